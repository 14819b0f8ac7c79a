package gmsx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/dolthub/vitess/go/mysql"
)

const (
	// halfOpenMax bounds the connections that have not logged in yet, each of
	// which can hold a buffer of preAuthMax.
	halfOpenMax = 64
	// preAuthMax bounds what a client may send before it has logged in. The
	// protocol underneath would read without end.
	preAuthMax = 64 << 10
	// acceptPause is how long accepting rests when the machine refuses it,
	// out of file descriptors for instance.
	acceptPause = 50 * time.Millisecond
	// writeMax is how long a client may leave its rows unread.
	writeMax = time.Minute
)

// A listener bounds what connections may cost, before and after they log in.
//
// The protocol underneath has no limit on packets, waits for ever, and closes
// connections above its maximum without a word.
type listener struct {
	net.Listener
	opts *Options

	handlers sync.WaitGroup // accepted connections whose handler has not ended

	mu       sync.Mutex
	conns    map[*limitConn]struct{}
	halfOpen int
	closed   bool
	err      error
}

func newListener(ln net.Listener, opts *Options) *listener {
	return &listener{Listener: ln, opts: opts, conns: map[*limitConn]struct{}{}}
}

// Accept returns the next connection that may log in. It fails only when the
// listener is closed, since its caller takes any failure for the end.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			var ne net.Error
			if !errors.Is(err, net.ErrClosed) && errors.As(err, &ne) && !l.isClosed() {
				logLimited(0, "accept: "+err.Error())
				time.Sleep(acceptPause)
				continue
			}
			l.mu.Lock()
			if !l.closed {
				l.err = err
			}
			l.mu.Unlock()
			return nil, err
		}
		lc := &limitConn{Conn: c, l: l, packetMax: preAuthMax, deadline: time.Now().Add(l.opts.LoginTimeout)}
		if l.add(lc) {
			return lc, nil
		}
		refuse(c)
	}
}

// add admits a connection unless there are too many.
func (l *listener) add(c *limitConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.conns) >= l.opts.MaxConnections || l.halfOpen >= halfOpenMax {
		return false
	}
	l.conns[c] = struct{}{}
	l.halfOpen++
	l.handlers.Add(1)
	return true
}

// refuse tells a client why it is not let in.
func refuse(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(acceptPause))
	_, _ = c.Write(errPacket(0, 1040, "08004", "Too many connections"))
	_ = c.Close()
}

func (l *listener) remove(c *limitConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.conns[c]; !ok {
		return
	}
	delete(l.conns, c)
	if !c.loggedIn {
		l.halfOpen--
	}
}

func (l *listener) loggedIn(c *limitConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.conns[c]; ok && !c.loggedIn {
		c.loggedIn = true
		l.halfOpen--
	}
}

func (l *listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Close stops accepting.
func (l *listener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	return l.Listener.Close()
}

// closeConns closes every connection.
func (l *listener) closeConns() {
	l.mu.Lock()
	conns := make([]*limitConn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// gone is called when the handler of a connection has ended.
func (l *listener) gone() { l.handlers.Done() }

// wait waits for the handlers of all connections.
func (l *listener) wait() { l.handlers.Wait() }

// failure is why Accept ended, if nobody closed the listener.
func (l *listener) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// A limitConn is a connection with limits of size and time on what its client
// does. One goroutine reads and writes it; anyone may close it.
type limitConn struct {
	net.Conn
	l        *listener
	loggedIn bool // guarded by l.mu

	authenticated bool      // the login phase is over
	deadline      time.Time // of the login
	encrypted     bool      // packets are not readable here

	packetMax int                // bytes a client may send before it is answered
	unread    int                // bytes it has sent since
	header    [packetHeader]byte // of the packet whose header is being read
	headerLen int
	left      int // bytes of the current packet still to come

	mariadb bool     // the client has said that it is MariaDB's library
	handler *handler // of the connection's commands
	tap     *tap     // nil before the login, and within TLS
}

var errTooLarge = errors.New("packet is larger than allowed")

// authenticate lifts the limits of the login phase, which has ended by auth
// with salt.
func (c *limitConn) authenticate(conn *mysql.Conn, auth *authMethod, salt []byte) {
	c.authenticated = true
	c.packetMax = c.l.opts.MaxPacket + preAuthMax
	c.l.loggedIn(c)
	if !c.encrypted && c.handler != nil && c.left == 0 && c.headerLen == 0 {
		c.tap = newTap(c, conn, auth, salt)
	}
}

func (c *limitConn) Read(p []byte) (int, error) {
	if c.tap != nil {
		return c.tap.Read(p)
	}
	return c.read(p)
}

// read reads what the client sends, within the limits.
func (c *limitConn) read(p []byte) (int, error) {
	deadline := c.deadline
	if c.authenticated {
		deadline = time.Now().Add(c.l.opts.IdleTimeout)
	}
	if err := c.Conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.unread += n
	if !c.authenticated && bytes.Contains(p[:n], mariadbLibrary) {
		c.mariadb = true
	}
	if c.unread > c.packetMax || !c.fits(p[:n]) {
		if !c.encrypted {
			_, _ = c.Conn.Write(errPacket(c.header[3]+1, 1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes"))
		}
		return 0, errTooLarge
	}
	return n, err
}

// fits follows the packets in what was read and says whether each announces a
// length that is allowed: the reader above allocates what a header announces.
func (c *limitConn) fits(p []byte) bool {
	for len(p) > 0 && !c.encrypted {
		if c.left > 0 {
			n := min(c.left, len(p))
			c.left -= n
			p = p[n:]
			continue
		}
		n := copy(c.header[c.headerLen:], p)
		c.headerLen += n
		p = p[n:]
		if c.headerLen < len(c.header) {
			return true
		}
		c.headerLen = 0
		c.left = int(c.header[0]) | int(c.header[1])<<8 | int(c.header[2])<<16
		if c.left > c.packetMax {
			return false
		}
		if !c.authenticated && c.header[3] == 1 && c.left == sslRequestLen && c.l.opts.TLS != nil {
			// What follows this packet is the TLS handshake.
			c.encrypted = true
		}
	}
	return true
}

// mariadbLibrary is how MariaDB's library says what it is when it logs in.
var mariadbLibrary = []byte("\x0c_client_name\x0alibmariadb")

// sslRequestLen is the length of the packet by which a client asks for TLS. A
// login packet is longer.
const sslRequestLen = 32

func (c *limitConn) Write(p []byte) (int, error) {
	c.unread = 0
	if err := c.Conn.SetWriteDeadline(time.Now().Add(writeMax)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *limitConn) Close() error {
	c.l.remove(c)
	return c.Conn.Close()
}

// NetConn is the connection underneath, as in crypto/tls.
func (c *limitConn) NetConn() net.Conn { return c.Conn }

// limited finds the limitConn under the wrappers of a connection.
func limited(c net.Conn) *limitConn {
	for {
		switch w := c.(type) {
		case *limitConn:
			return w
		case interface{ NetConn() net.Conn }:
			c = w.NetConn()
		default:
			return nil
		}
	}
}

// packetHeader is the length of what stands before each packet.
const packetHeader = 4

// errPacket is an error as the protocol writes it, with its header.
func errPacket(seq byte, number uint16, state, message string) []byte {
	n := 1 + 2 + 1 + len(state) + len(message)
	p := make([]byte, 0, packetHeader+n)
	p = append(p, byte(n), byte(n>>8), byte(n>>16), seq, 0xff)
	p = binary.LittleEndian.AppendUint16(p, number)
	p = append(p, '#')
	p = append(p, state...)
	return append(p, message...)
}
