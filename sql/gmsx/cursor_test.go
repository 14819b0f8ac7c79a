package gmsx

import (
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// A wire speaks the protocol itself, for what the driver does not do.
type wire struct {
	t   *testing.T
	c   net.Conn
	seq byte
}

// login opens a connection as root, without a password.
func (s *server) login(t *testing.T) *wire {
	t.Helper()
	c, _ := dial(t, s)
	if err := c.SetDeadline(time.Now().Add(waitMax)); err != nil {
		t.Fatal(err)
	}
	const protocol41, secure, pluginAuth = 1 << 9, 1 << 15, 1 << 19
	p := binary.LittleEndian.AppendUint32(nil, protocol41|secure|pluginAuth)
	p = binary.LittleEndian.AppendUint32(p, 1<<24)
	p = append(p, 45)
	p = append(p, make([]byte, 23)...)
	p = append(p, "root\x00\x00mysql_native_password\x00"...)
	w := &wire{t: t, c: c, seq: 1}
	w.write(p)
	if r := w.read(); r[0] != 0 {
		t.Fatalf("login: %q", r)
	}
	return w
}

func (w *wire) write(p []byte) {
	w.t.Helper()
	h := []byte{byte(len(p)), byte(len(p) >> 8), byte(len(p) >> 16), w.seq}
	if _, err := w.c.Write(append(h, p...)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) command(cmd byte, p ...byte) {
	w.t.Helper()
	w.seq = 0
	w.write(append([]byte{cmd}, p...))
}

func (w *wire) read() []byte {
	w.t.Helper()
	return readPacket(w.t, w.c)
}

const (
	comQuery, comStmtPrepare, comStmtExecute, comStmtClose, comStmtFetch = 3, 22, 23, 25, 28
	eofPacket                                                            = 0xfe
)

// prepare prepares a statement without parameters and returns its id.
func (w *wire) prepare(q string) []byte {
	w.t.Helper()
	w.command(comStmtPrepare, []byte(q)...)
	r := w.read()
	if r[0] != 0 {
		w.t.Fatalf("prepare: %q", r)
	}
	w.skipColumns(int(binary.LittleEndian.Uint16(r[5:])))
	return r[1:5]
}

func (w *wire) skipColumns(n int) {
	for range n {
		w.read()
	}
	if r := w.read(); r[0] != eofPacket {
		w.t.Fatalf("no end of the columns: %q", r)
	}
}

// The rows of a cursor wait in the server while the client fetches them in
// pieces. Their memory must not serve the next batch meanwhile.
func TestCursor(t *testing.T) {
	t.Run("planned", func(t *testing.T) {
		testCursor(t, Options{}, "SELECT id, CONCAT('row ', id) AS s FROM big WHERE id < 5000")
	})
	t.Run("direct", func(t *testing.T) {
		opts := Options{Direct: func(*gms.Context, *PlainSelect) (*Direct, error) {
			return &Direct{Schema: gms.Schema{{Name: "id", Type: types.Int64}, {Name: "s", Type: types.LongText}}, Rows: &cursorRows{}}, nil
		}}
		testCursor(t, opts, "SELECT id, id AS s FROM big WHERE id < 5000")
	})
}

const cursorRowsMost = 5000

// cursorRows are rows that write themselves.
type cursorRows struct{ n int }

func (*cursorRows) Next(*gms.Context) (gms.Row, error) { return nil, io.EOF }
func (*cursorRows) Close(*gms.Context) error           { return nil }

func (r *cursorRows) WriteRows(_ *gms.Context, w *RowWriter, most int) error {
	if r.n == cursorRowsMost {
		return io.EOF
	}
	for range min(most, cursorRowsMost-r.n) {
		w.Row()
		w.Int(types.Int64.Type(), int64(r.n))
		w.Text(types.LongText.Type(), "row "+strconv.Itoa(r.n))
		r.n++
	}
	return nil
}

func testCursor(t *testing.T, opts Options, query string) {
	s := start(t, opts)
	w := s.login(t)
	const rows = cursorRowsMost
	id := w.prepare(query)
	open := func() {
		w.command(comStmtExecute, append(append([]byte{}, id...), 1, 1, 0, 0, 0)...) // CURSOR_TYPE_READ_ONLY
		if r := w.read(); r[0] != 2 {
			t.Fatalf("execute: %q", r)
		}
		w.skipColumns(2)
	}
	open()
	n := 0
	for last := false; !last; {
		w.command(comStmtFetch, append(append([]byte{}, id...), 37, 0, 0, 0)...)
		for {
			r := w.read()
			if r[0] == eofPacket {
				last = binary.LittleEndian.Uint16(r[3:])&128 != 0 // SERVER_STATUS_LAST_ROW_SENT
				break
			}
			if r[0] != 0 {
				t.Fatalf("row %d: %q", n, r)
			}
			if len(r) < 12 {
				t.Fatalf("row %d: %x", n, r)
			}
			got := int(binary.LittleEndian.Uint64(r[2:]))
			text := string(r[11:])
			if got != n || !strings.HasPrefix(text, "row ") || text != "row "+strconv.Itoa(n) {
				t.Fatalf("row %d is %d %q", n, got, text)
			}
			n++
		}
	}
	if n != rows {
		t.Fatalf("%d rows, want %d", n, rows)
	}

	// Meanwhile the connection takes no other statement, and is free again
	// when the cursor is closed.
	open()
	w.command(comQuery, []byte("SELECT 1")...)
	if r := w.read(); r[0] != 0xff || binary.LittleEndian.Uint16(r[1:]) != 2014 {
		t.Errorf("a statement beside a cursor: %q", r)
	}
	w.command(comStmtClose, id...)
	w.command(comQuery, []byte("SELECT 1")...)
	if r := w.read(); r[0] != 1 {
		t.Errorf("after the cursor: %q", r)
	}
}

// A connection that ends with a cursor open leaves nothing behind.
func TestCursorOfLostConnection(t *testing.T) {
	s := start(t, Options{})
	w := s.login(t)
	id := w.prepare("SELECT id FROM big")
	w.command(comStmtExecute, append(append([]byte{}, id...), 1, 1, 0, 0, 0)...)
	w.read()
	w.skipColumns(1)
	w.c.Close()
	await(t, "the statement has ended", func() bool { return len(s.procs.Processes()) == 0 })
}

// What the protocol cannot do is refused, and the connection lives or ends
// cleanly.
func TestCommandsOutOfUse(t *testing.T) {
	s := start(t, Options{})
	for _, cmd := range []byte{0x15 /* register replica */, 0x1e /* binlog dump */, 0x99} {
		w := s.login(t)
		w.command(cmd, make([]byte, 30)...)
		if cmd == 0x99 {
			if r := w.read(); r[0] != 0xff || binary.LittleEndian.Uint16(r[1:]) != 1047 {
				t.Errorf("command %#x: %q", cmd, r)
			}
			w.command(comQuery, []byte("SELECT 1")...)
			if r := w.read(); r[0] != 1 {
				t.Errorf("after command %#x: %q", cmd, r)
			}
			continue
		}
		if _, err := io.ReadAll(w.c); err != nil {
			t.Errorf("command %#x: %v", cmd, err)
		}
	}
	expect(t, s.root(t), "SELECT 1", "1")
}
