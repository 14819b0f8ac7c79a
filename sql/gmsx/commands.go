package gmsx

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/dolthub/vitess/go/mysql"
)

// Commands of the protocol that the protocol underneath does not know, or
// knows too little of.
const (
	commandStatistics = 0x09
	commandChangeUser = 0x11
	commandPrepare    = 0x16
	commandExecute    = 0x17
)

// A tap stands between a client that has logged in and the protocol
// underneath, and takes the commands out that it answers itself. It runs in
// the connection's goroutine, which reads here when it has answered all else,
// so that what the tap writes comes in its turn. Within TLS there is no tap:
// packets cannot be read below it.
type tap struct {
	c    *limitConn
	conn *mysql.Conn
	auth *authMethod // by which the client has logged in
	salt []byte      // which it has used for that
	in   *bufio.Reader

	pass    int     // bytes of the present packet that are passed on
	pending []byte  // passed on before them
	prepare *string // what the client prepares
	whole   bool    // the command executes a prepared statement without a cursor
}

// tapSize is how much of what a client sends is read at once: commands are
// mostly shorter.
const tapSize = 1 << 10

func newTap(c *limitConn, conn *mysql.Conn, auth *authMethod, salt []byte) *tap {
	t := &tap{c: c, conn: conn, auth: auth, salt: bytes.Clone(salt)}
	t.in = bufio.NewReaderSize(readerFunc(c.read), tapSize)
	return t
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (t *tap) Read(p []byte) (int, error) {
	for {
		if len(t.pending) > 0 {
			n := copy(p, t.pending)
			t.pending = t.pending[n:]
			return n, nil
		}
		if t.pass > 0 {
			n, err := t.in.Read(p[:min(len(p), t.pass)])
			t.pass -= n
			return n, err
		}
		if err := t.next(); err != nil {
			return 0, err
		}
	}
}

// next looks at the packet that begins now.
func (t *tap) next() error {
	head, err := t.in.Peek(packetHeader)
	if err != nil {
		return err
	}
	size := packetSize(head)
	t.pass = packetHeader + size
	t.whole = false
	if head[3] != 0 || size == 0 || size == packetMost {
		return nil // not a command, or one of several packets
	}
	if head, err = t.in.Peek(packetHeader + 1); err != nil {
		return err
	}
	command := head[packetHeader]
	switch command {
	case commandStatistics, commandChangeUser, commandPrepare:
	case commandExecute:
		const flags = packetHeader + 1 + 4 // after the command and the statement's id
		if size <= flags-packetHeader {
			return nil
		}
		if head, err = t.in.Peek(flags + 1); err == nil {
			t.whole = head[flags] == 0
		}
		return err
	default:
		return nil
	}
	packet, err := t.packet()
	if err != nil {
		return err
	}
	body := packet[packetHeader+1:]
	switch command {
	case commandStatistics:
		return t.write(1, []byte(t.c.handler.statistics()))
	case commandChangeUser:
		return t.changeUser(body)
	}
	text := string(body)
	t.prepare = &text
	t.pending = preparePacket
	return nil
}

// packetMost is the length of a packet that another one continues.
const packetMost = 1<<24 - 1

func packetSize(head []byte) int { return int(head[0]) | int(head[1])<<8 | int(head[2])<<16 }

// preparePacket is passed on in place of what a client prepares. The protocol
// underneath would parse that by itself, and refuse whatever is no statement
// of MySQL; ComPrepare parses it.
var preparePacket = append([]byte{9, 0, 0, 0, commandPrepare}, "SELECT 1"...)

// packet reads the present packet as a whole.
func (t *tap) packet() ([]byte, error) {
	p := make([]byte, t.pass)
	t.pass = 0
	_, err := io.ReadFull(t.in, p)
	return p, err
}

func (t *tap) write(seq byte, body []byte) error {
	p := append([]byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), seq}, body...)
	_, err := t.c.Write(p)
	return err
}

// fail answers with an error.
func (t *tap) fail(seq byte, err error) error {
	number, state, message := 1105, "HY000", err.Error()
	if own, ok := err.(*mysql.SQLError); ok { //nolint:errorlint // made by Error, not wrapped
		number, state, message = own.Num, own.State, own.Message
	}
	_, werr := t.c.Write(errPacket(seq, uint16(number), state, message))
	return werr
}

// changeUser logs another account in on the same connection, whose session
// begins anew. A client that is not let in is disconnected, as in MySQL.
func (t *tap) changeUser(body []byte) error {
	user, rest, ok := bytes.Cut(body, []byte{0})
	if !ok || len(rest) == 0 || len(rest) < 1+int(rest[0]) {
		return t.fail(1, Error(1047, "08S01", "malformed COM_CHANGE_USER"))
	}
	database, _, _ := bytes.Cut(rest[1+int(rest[0]):], []byte{0})
	if s := sessionOf(t.conn); s != nil && s.running.Load() {
		return t.fail(1, Error(2014, "HY000", "Commands out of sync: a statement of this connection has an open cursor"))
	}

	method := t.auth.native()
	// MariaDB's library answers with the salt of the login whatever it is sent,
	// so that this is the one to send.
	request := append([]byte{0xfe}, method.Name()...)
	request = append(request, 0)
	request = append(request, t.salt...)
	if err := t.write(1, request); err != nil {
		return err
	}
	head, err := t.in.Peek(packetHeader)
	if err != nil {
		return err
	}
	t.pass = packetHeader + packetSize(head)
	if t.pass > packetHeader+preAuthMax {
		return errTooLarge
	}
	answer, err := t.packet()
	if err != nil {
		return err
	}
	getter, err := t.auth.check(method, t.conn, string(user), t.salt, answer[packetHeader:], t.c.RemoteAddr())
	if err != nil {
		_ = t.fail(answer[3]+1, err)
		return io.EOF
	}
	t.conn.User, t.conn.UserData = string(user), getter
	if err := t.c.handler.restart(t.conn, string(database)); err != nil {
		return t.fail(answer[3]+1, err)
	}
	ok7 := binary.LittleEndian.AppendUint16([]byte{0, 0, 0}, t.conn.StatusFlags) // no rows touched, no id
	return t.write(answer[3]+1, append(ok7, 0, 0))
}

// restart begins the session of a connection anew, for the account that the
// connection has now.
func (h *handler) restart(c *mysql.Conn, database string) error {
	c.PrepareData = map[uint32]*mysql.PrepareData{}
	if err := h.ComResetConnection(c); err != nil {
		return mapError(h.ctx, err)
	}
	if database == "" {
		database = h.e.opts.DefaultDatabase
	}
	return h.ComInitDB(c, database)
}

// statistics is what COM_STATISTICS answers: a line for people.
func (h *handler) statistics() string {
	up := time.Since(started).Seconds()
	questions := h.e.questions.Load()
	return fmt.Sprintf("Uptime: %d  Threads: %d  Questions: %d  Slow queries: 0  Opens: 0  Flush tables: 0  Open tables: 0  Queries per second avg: %.3f",
		int64(up), len(h.e.procs.Processes()), questions, float64(questions)/max(up, 1))
}
