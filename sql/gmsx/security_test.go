package gmsx

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

func TestLogin(t *testing.T) {
	s := start(t, Options{Password: "secret"})
	for _, c := range []struct{ user, password, using string }{
		{"root", "", "NO"}, {"root", "wrong", "YES"}, {"nobody", "", "NO"}, {"nobody", "secret", "YES"}, {"", "", "NO"},
	} {
		_, err := tryQuery(s.open(t, c.user, c.password, ""), "SELECT 1")
		expectError(t, err, 1045, "28000", fmt.Sprintf("Access denied for user '%s'@'127.0.0.1' (using password: %s)", c.user, c.using))
	}
	expect(t, s.root(t), "SELECT USER()", "root@localhost")
	db := s.open(t, "root", "secret", "allowCleartextPasswords=true&allowNativePasswords=true")
	expect(t, db, "SELECT 1", "1")
}

type memoryUsers struct{ data []byte }

func (m *memoryUsers) Load() ([]byte, error)  { return m.data, nil }
func (m *memoryUsers) Save(data []byte) error { m.data = append([]byte(nil), data...); return nil }

func TestAccountsAreKept(t *testing.T) {
	users := &memoryUsers{}
	s := start(t, Options{Users: users})
	mustExec(t, s.root(t), "CREATE USER bi IDENTIFIED BY 'b'", "GRANT SELECT ON d.nums TO bi", "ALTER USER root@localhost IDENTIFIED BY 'new'")
	s.stop()
	s = start(t, Options{Users: users})
	expect(t, s.open(t, "bi", "b", ""), "SELECT COUNT(*) FROM nums", "4")
	_, err := tryQuery(s.open(t, "bi", "b", ""), "SELECT * FROM pairs")
	expectError(t, err, 1142, "42000", "denied")
	_, err = tryQuery(s.root(t), "SELECT 1")
	expectError(t, err, 1045, "28000", "")
	mustExec(t, s.open(t, "root", "new", ""), "CREATE USER other")
	s.stop()
	s = start(t, Options{Users: users, Password: "set"})
	expect(t, s.root(t), "SELECT COUNT(*) FROM mysql.user WHERE user IN ('bi', 'other', 'root')", "4")
}

func TestFilesAreOutOfReach(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	db := start(t, Options{}).root(t)
	out := filepath.Join(dir, "out")
	for _, q := range []string{
		fmt.Sprintf("SELECT LOAD_FILE('%s')", secret),
		fmt.Sprintf("SELECT 1 INTO OUTFILE '%s'", out),
		fmt.Sprintf("SELECT 1 INTO DUMPFILE '%s'", out),
		fmt.Sprintf("LOAD DATA INFILE '%s' INTO TABLE nums", secret),
	} {
		_, err := tryQuery(db, q)
		expectError(t, err, 1235, "42000", "not supported")
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was written")
	}
	expect(t, db, "SELECT @@local_infile, @@secure_file_priv", "1 "+noFiles) // a client sends files of its own, or does not
}

func TestErrorsHaveNumbers(t *testing.T) {
	s := start(t, Options{})
	db := s.root(t)
	mustExec(t, db, "CREATE USER reader", "GRANT SELECT ON d.nums TO reader")
	reader := s.open(t, "reader", "", "")
	for _, c := range []struct {
		q      string
		number uint16
		state  string
	}{
		{"SELEC 1", 1064, "42000"},
		{"SELECT * FROM nosuch", 1146, "42S02"},
		{"SELECT nosuch FROM nums", 1054, "42S22"},
		{"SELECT nums.nosuch FROM nums", 1054, "42S22"},
		{"SELECT * FROM nosuch.nums", 1049, "42000"},
		{"USE nosuch", 1049, "42000"},
		{"SELECT nosuch(1)", 1305, "42000"},
		{"SELECT ABS(1, 2)", 1582, "42000"},
		{"SELECT id FROM nums a, nums b", 1052, "23000"},
		{"SELECT (SELECT id FROM nums)", 1242, "21000"},
		{"SELECT 1 UNION SELECT 1, 2", 1222, "21000"},
		{"SET @@nosuch = 1", 1193, "HY000"},
		{"CREATE USER reader", 1396, "HY000"},
	} {
		_, err := tryQuery(db, c.q)
		if err == nil {
			t.Errorf("%s: no error", c.q)
			continue
		}
		t.Run(c.q, func(t *testing.T) { expectError(t, err, c.number, c.state, "") })
	}
	_, err := tryQuery(reader, "SELECT * FROM pairs")
	expectError(t, err, 1142, "42000", "denied")
	_, err = tryQuery(reader, "USE mysql2")
	expectError(t, err, 1044, "42000", "denied")
	_, err = tryQuery(reader, "SELECT * FROM mysql.user")
	expectError(t, err, 1142, "42000", "denied")
}

func TestPanicIsAnError(t *testing.T) {
	boom := gms.Function1{Name: "boom", Fn: func(e gms.Expression) gms.Expression { return &boomExpr{e} }}
	s := start(t, Options{Functions: []gms.Function{boom}})
	db := s.root(t)
	for _, q := range []string{"SELECT boom(id) FROM nums", "SELECT COUNT(boom(id)) FROM nums", "SELECT id FROM nums WHERE boom(id) > 1"} {
		_, err := tryQuery(db, q)
		expectError(t, err, 1105, "HY000", "kaboom")
		_, err = tryQuery(db, q+" -- ?", nil...)
		expectError(t, err, 1105, "HY000", "kaboom")
	}
	expect(t, db, "SELECT 1", "1")
	if !strings.Contains(s.logs.String(), "kaboom") || !strings.Contains(s.logs.String(), "boomExpr") {
		t.Error("the panic and its stack are not in the log")
	}
}

type boomExpr struct{ gms.Expression }

func (e *boomExpr) Type() gms.Type { return types.Int64 }
func (e *boomExpr) WithChildren(c ...gms.Expression) (gms.Expression, error) {
	return &boomExpr{c[0]}, nil
}

func (e *boomExpr) Children() []gms.Expression              { return []gms.Expression{e.Expression} }
func (e *boomExpr) String() string                          { return "boom()" }
func (e *boomExpr) Eval(*gms.Context, gms.Row) (any, error) { panic("kaboom") }

func TestMemoryLimit(t *testing.T) {
	s := start(t, Options{MemoryLimit: 1})
	_, err := tryQuery(s.root(t), "SELECT id, COUNT(*) FROM big GROUP BY id")
	expectError(t, err, 1041, "HY000", "memory")
	_, err = tryQuery(s.root(t), "SELECT DISTINCT id FROM big")
	if err == nil {
		t.Error("DISTINCT has no limit")
	}
	_, err = tryQuery(s.root(t), "SELECT COUNT(DISTINCT id) FROM big")
	expectError(t, err, 1041, "HY000", "memory")
}

// dial opens a connection and reads the server's greeting, or what it says
// instead.
func dial(t *testing.T, s *server) (net.Conn, []byte) {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(waitMax)); err != nil {
		t.Fatal(err)
	}
	return c, readPacket(t, c)
}

func readPacket(t *testing.T, c net.Conn) []byte {
	t.Helper()
	var h [4]byte
	if _, err := io.ReadFull(c, h[:]); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, int(h[0])|int(h[1])<<8|int(h[2])<<16)
	if _, err := io.ReadFull(c, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// closed checks that the server closes c, whatever it says before.
func closed(t *testing.T, c net.Conn) string {
	t.Helper()
	said, err := io.ReadAll(c)
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		t.Error("the connection stays open")
	}
	return string(said)
}

func TestHugePacketBeforeLogin(t *testing.T) {
	s := start(t, Options{})
	c, greeting := dial(t, s)
	if len(greeting) == 0 || greeting[0] != 10 {
		t.Fatalf("greeting %x", greeting)
	}
	if _, err := c.Write([]byte{0xff, 0xff, 0xfe, 1}); err != nil { // announces 16 MB
		t.Fatal(err)
	}
	if said := closed(t, c); !strings.Contains(said, "max_allowed_packet") {
		t.Errorf("it said %q", said)
	}

	// Many packets that are small each.
	c, _ = dial(t, s)
	for range 1000 {
		if _, err := c.Write(append([]byte{0xff, 0x7f, 0, 1}, make([]byte, 0x7fff)...)); err != nil {
			return
		}
	}
	closed(t, c)
}

func TestHugeStatement(t *testing.T) {
	s := start(t, Options{MaxPacket: 1 << 20})
	db := s.open(t, "root", "", "maxAllowedPacket=0")
	if _, err := tryQuery(db, "SELECT '"+strings.Repeat("x", 3<<20)+"'"); err == nil {
		t.Error("no error")
	}
	expect(t, db, "SELECT LENGTH('"+strings.Repeat("x", 900<<10)+"')", "921600")
}

func TestSlowLogin(t *testing.T) {
	s := start(t, Options{LoginTimeout: 50 * time.Millisecond})
	c, _ := dial(t, s)
	closed(t, c)
	expect(t, s.root(t), "SELECT 1", "1")
}

func TestIdleConnection(t *testing.T) {
	s := start(t, Options{IdleTimeout: 50 * time.Millisecond})
	conn, err := s.root(t).Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	await(t, "the connection is closed", func() bool { return len(s.procs.Processes()) == 0 })
}

func TestTooManyConnections(t *testing.T) {
	s := start(t, Options{MaxConnections: 2})
	db := s.root(t)
	var conns []io.Closer
	for range 2 {
		c, err := db.Conn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	other := s.root(t)
	expectError(t, other.Ping(), 1040, "08004", "Too many connections")
	for _, c := range conns {
		c.Close()
	}
	db.Close()
	await(t, "there is room again", func() bool { return other.Ping() == nil })
}

func TestHalfOpenConnections(t *testing.T) {
	s := start(t, Options{})
	for range halfOpenMax {
		dial(t, s)
	}
	c, said := dial(t, s)
	if !strings.Contains(string(said), "Too many connections") {
		t.Errorf("it said %q", said)
	}
	closed(t, c)
}

func TestGarbage(t *testing.T) {
	s := start(t, Options{})
	for _, p := range [][]byte{{}, {0}, make([]byte, 32), make([]byte, 4000), []byte(strings.Repeat("\xff", 500)), []byte("GET / HTTP/1.1\r\n\r\n")} {
		c, _ := dial(t, s)
		packet := append([]byte{byte(len(p)), byte(len(p) >> 8), 0, 1}, p...)
		if _, err := c.Write(packet); err != nil {
			t.Fatal(err)
		}
		_ = c.(*net.TCPConn).CloseWrite()
		closed(t, c)
	}
	expect(t, s.root(t), "SELECT 1", "1")
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	s := start(t, Options{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, RequireTLS: true, Password: "p"})
	db := s.open(t, "root", "p", "tls=skip-verify")
	expect(t, db, "SELECT id FROM nums WHERE id = 1", "1")
	_, err = db.Prepare("SELEC ?")
	expectError(t, err, 1064, "42000", "syntax")
	if _, err := tryQuery(db, "SELECT SLEEP(0)"); err != nil {
		t.Error(err)
	}
	_, err = tryQuery(s.open(t, "root", "p", ""), "SELECT 1")
	expectError(t, err, 3159, "HY000", "insecure transport")
}

func TestLogsAreBounded(t *testing.T) {
	logs := &logBuffer{}
	bridgeLogs(slog.New(slog.NewTextHandler(logs, nil)))
	for range 10 * logBurst {
		logLimited(slog.LevelWarn, "again and again")
	}
	if n := strings.Count(logs.String(), "again and again"); n > logBurst {
		t.Errorf("%d lines, want %d", n, logBurst)
	}
}
