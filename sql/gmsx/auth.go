package gmsx

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what mysql_native_password is made of
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
)

// loginPause slows down who tries passwords on one connection after another.
const loginPause = 50 * time.Millisecond

// An authServer lets accounts in. It answers every failed login alike, so that
// nobody learns which accounts exist, and ends the login phase of a connection.
type authServer struct {
	e       *Engine
	methods []mysql.AuthMethod
}

func newAuthServer(e *Engine) *authServer {
	a := &authServer{e: e}
	// A client that asks for another method is offered the first that its
	// account has: programs that know the newer one may not know the older,
	// and those that know the older alone ask for that, which is announced.
	a.methods = []mysql.AuthMethod{
		&authMethod{AuthMethod: mysql.NewSha2CachingAuthMethod(openAccounts{e}, passwords{e}, nil), a: a},
		&authMethod{AuthMethod: mysql.NewMysqlNativeAuthMethod(nativeHashes{e}, nil), a: a},
	}
	return a
}

func (a *authServer) AuthMethods() []mysql.AuthMethod { return a.methods }

func (a *authServer) DefaultAuthMethodDescription() mysql.AuthMethodDescription {
	return mysql.MysqlNativePassword
}

// hostOf is where a client comes from.
func hostOf(addr net.Addr) string {
	if addr.Network() == "unix" {
		return localhost
	}
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return localhost
	}
	return host
}

var errDenied = errors.New("access denied")

// admitted is the account of a client, if there is one that may log in. Whether
// it must use TLS is for check.
func (e *Engine) admitted(user string, addr net.Addr) (*account, error) {
	a := e.accounts.find(user, hostOf(addr))
	if !admits(a, hostOf(addr), true) {
		return nil, errDenied
	}
	return a, nil
}

func getter(a *account) mysql.Getter { return gms.MysqlConnectionUser{User: a.user, Host: a.host} }

// nativeHashes compares what mysql_native_password sends.
type nativeHashes struct{ e *Engine }

func (n nativeHashes) UserEntryWithHash(_ []*x509.Certificate, salt []byte, user string, answer []byte, addr net.Addr) (mysql.Getter, error) {
	a, err := n.e.admitted(user, addr)
	if err != nil {
		return nil, err
	}
	if a.open() {
		if len(answer) > 0 {
			return nil, errDenied
		}
		return getter(a), nil
	}
	hash, err := hex.DecodeString(strings.TrimPrefix(a.native, "*"))
	if err != nil || len(hash) != sha1.Size || len(answer) != sha1.Size || !mysql.VerifyHashedMysqlNativePassword(answer, salt, hash) {
		return nil, errDenied
	}
	return getter(a), nil
}

// openAccounts lets accounts without a password in by caching_sha2_password,
// and asks all others for theirs.
type openAccounts struct{ e *Engine }

func (o openAccounts) UserEntryWithCacheHash(_ []*x509.Certificate, _ []byte, user string, answer []byte, addr net.Addr) (mysql.Getter, mysql.CacheState, error) {
	if len(bytes.Trim(answer, "\x00")) > 0 {
		return nil, mysql.AuthNeedMoreData, nil
	}
	a, err := o.e.admitted(user, addr)
	if err != nil || !a.open() {
		return nil, mysql.AuthRejected, nil //nolint:nilerr // which is what this says
	}
	return getter(a), mysql.AuthAccepted, nil
}

// passwords compares those that come by caching_sha2_password, within TLS.
type passwords struct{ e *Engine }

func (p passwords) UserEntryWithPassword(_ []*x509.Certificate, user, password string, addr net.Addr) (mysql.Getter, error) {
	a, err := p.e.admitted(user, addr)
	if err != nil {
		return nil, err
	}
	if !a.knows(password) {
		return nil, errDenied
	}
	return getter(a), nil
}

type authMethod struct {
	mysql.AuthMethod
	a *authServer
}

// HandleUser says whether an account can log in by the method. One that is
// unknown can by the native one, which then fails like any other.
func (m *authMethod) HandleUser(c *mysql.Conn, user string) bool {
	a := m.a.e.accounts.find(user, hostOf(c.RemoteAddr()))
	if m.Name() == mysql.MysqlNativePassword {
		return a == nil || a.native != "" || a.sha2 == "" || !c.TLSEnabled()
	}
	return a != nil && (a.open() || a.sha2 != "" && c.TLSEnabled())
}

func (m *authMethod) HandleAuthPluginData(c *mysql.Conn, user string, serverData, clientData []byte, addr net.Addr) (mysql.Getter, error) {
	if o := m.a.e.opts; !c.TLSEnabled() && addr.Network() != "unix" && (o.RequireTLS || o.RemoteTLS && !loopbackHost(hostOf(addr))) {
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

// native is the method of a native password, by which a user changes on a
// connection: the other one would have to speak for longer than that allows.
func (m *authMethod) native() mysql.AuthMethod {
	for _, other := range m.a.methods {
		if other.Name() == mysql.MysqlNativePassword {
			return other.(*authMethod).AuthMethod //nolint:forcetypeassert // newAuthServer has made them
		}
	}
	return m.AuthMethod
}

// check asks a method whether the client knows the secret of an account.
func (m *authMethod) check(method mysql.AuthMethod, c *mysql.Conn, user string, serverData, clientData []byte, addr net.Addr) (mysql.Getter, error) {
	getter, err := handleAuth(method, c, user, serverData, clientData, addr)
	if a := m.a.e.accounts.find(user, hostOf(addr)); err == nil && a != nil && a.tls && !c.TLSEnabled() {
		err = errDenied
	}
	if err != nil {
		time.Sleep(loginPause)
		using := "NO"
		if len(bytes.Trim(clientData, "\x00")) > 0 {
			using = "YES"
		}
		return nil, Error(1045, "28000", "Access denied for user '%s'@'%s' (using password: %s)", user, hostOf(addr), using)
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
