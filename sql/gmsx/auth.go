package gmsx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/dolthub/vitess/go/mysql"
)

// loginPause slows down who tries passwords on one connection after another.
const loginPause = 50 * time.Millisecond

// An authServer answers every failed login alike, so that nobody learns which
// accounts exist, and ends the login phase of a connection.
type authServer struct {
	mysql.AuthServer
	opts *Options
}

func newAuthServer(inner mysql.AuthServer, opts *Options) *authServer {
	return &authServer{AuthServer: inner, opts: opts}
}

func (a *authServer) AuthMethods() []mysql.AuthMethod {
	inner := a.AuthServer.AuthMethods()
	methods := make([]mysql.AuthMethod, len(inner))
	for i, m := range inner {
		methods[i] = &authMethod{AuthMethod: m, a: a, all: inner}
	}
	return methods
}

type authMethod struct {
	mysql.AuthMethod
	a   *authServer
	all []mysql.AuthMethod
}

// HandleUser takes an unknown account for one with a native password, which
// then fails like any other.
func (m *authMethod) HandleUser(c *mysql.Conn, user string) bool {
	if m.AuthMethod.HandleUser(c, user) {
		return true
	}
	if m.Name() != mysql.MysqlNativePassword {
		return false
	}
	for _, other := range m.all {
		if other.HandleUser(c, user) {
			return false
		}
	}
	return true
}

func (m *authMethod) HandleAuthPluginData(c *mysql.Conn, user string, serverData, clientData []byte, addr net.Addr) (mysql.Getter, error) {
	if m.a.opts.RequireTLS && !c.TLSEnabled() && addr.Network() != "unix" {
		return nil, Error(3159, "HY000", "Connections using insecure transport are prohibited while --require_secure_transport=ON.")
	}
	getter, err := m.check(m.AuthMethod, c, user, serverData, clientData, addr)
	if err != nil {
		return nil, err
	}
	if lc := limited(c.Conn); lc != nil {
		lc.authenticate(c, m, serverData)
	}
	c.Conn = &syntaxConn{Conn: c.Conn}
	return getter, nil
}

// methodOf is the method by which a user logs in; for an unknown one, that of
// a native password.
func (m *authMethod) methodOf(c *mysql.Conn, user string) mysql.AuthMethod {
	for _, other := range m.all {
		if other.AllowClearTextWithoutTLS() && other.HandleUser(c, user) {
			return other
		}
	}
	for _, other := range m.all {
		if other.Name() == mysql.MysqlNativePassword {
			return other
		}
	}
	return m.AuthMethod
}

// check asks a method whether the client knows the secret of an account.
func (m *authMethod) check(method mysql.AuthMethod, c *mysql.Conn, user string, serverData, clientData []byte, addr net.Addr) (mysql.Getter, error) {
	getter, err := handleAuth(method, c, user, serverData, clientData, addr)
	if err != nil {
		time.Sleep(loginPause)
		using := "NO"
		if len(bytes.Trim(clientData, "\x00")) > 0 {
			using = "YES"
		}
		host, _, herr := net.SplitHostPort(addr.String())
		if herr != nil {
			host = "localhost"
		}
		return nil, Error(1045, "28000", "Access denied for user '%s'@'%s' (using password: %s)", user, host, using)
	}
	return getter, nil
}

// handleAuth runs a method, which indexes the client's bytes without a look at
// how many there are.
func handleAuth(m mysql.AuthMethod, c *mysql.Conn, user string, serverData, clientData []byte, addr net.Addr) (_ mysql.Getter, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("malformed authentication data")
		}
	}()
	return m.HandleAuthPluginData(c, user, serverData, clientData, addr)
}

// A syntaxConn corrects one error on its way out, within TLS. The protocol underneath
// parses what a client prepares before the handler sees it, and reports a
// syntax error there as 1105 HY000. The packet's header has been written by
// then, so that the correction is of the same length, as luck has it.
type syntaxConn struct{ net.Conn }

const (
	preparedSyntaxError = "unknown error: Code: INVALID_ARGUMENT\n"
	mysqlSyntaxError    = "You have an error in your SQL syntax; "
)

func (c *syntaxConn) Write(p []byte) (int, error) {
	const start = 1 + 2 + 1 + 5 // 0xff, number, '#', state
	if len(p) < start || p[0] != 0xff || binary.LittleEndian.Uint16(p[1:]) != 1105 ||
		!bytes.HasPrefix(p[start:], []byte(preparedSyntaxError+"syntax error")) {
		return c.Conn.Write(p)
	}
	message := mysqlSyntaxError + string(p[start+len(preparedSyntaxError):])
	return c.Conn.Write(errPacket(0, 1064, "42000", strings.ReplaceAll(message, "\n", " "))[packetHeader:])
}

// NetConn is the connection underneath, as in crypto/tls.
func (c *syntaxConn) NetConn() net.Conn { return c.Conn }
