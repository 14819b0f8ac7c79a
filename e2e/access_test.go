package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	gosql "database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// writeCertificate writes a certificate of its own for 127.0.0.1, and its key.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "weir"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

type ends struct{ MySQL, NATS, HTTP string }

// serveWith runs weir with flags until the test ends.
func serveWith(t *testing.T, flags ...string) ends {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(binary, append([]string{"serve", "--data", dir, "--mysql", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0"}, flags...)...)
	log, err := os.Create(filepath.Join(dir, "weir.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s", text)
		}
	})
	var e ends
	until(t, "weir is ready", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "endpoints.json"))
		return err == nil && json.Unmarshal(text, &e) == nil
	})
	return e
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(startLimit); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func connectAs(t *testing.T, addr, user, password string, config *tls.Config) *gosql.DB {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName, cfg.TLS = user, password, "tcp", addr, "analytics", config
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := gosql.OpenDB(c)
	t.Cleanup(func() { db.Close() })
	return db
}

func do(t *testing.T, db *gosql.DB, stmts ...string) {
	t.Helper()
	for _, s := range stmts {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// All three listeners speak TLS, to the clients that people have, and go on
// with a certificate that was renewed.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	e := serveWith(t, "--tls-cert", certFile, "--tls-key", keyFile, "--password", "p")
	trust := func() *tls.Config {
		text, err := os.ReadFile(certFile)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(text)
		return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	}

	db := connectAs(t, e.MySQL, "root", "p", trust())
	do(t, db, "CREATE STREAM e (k INT)", "INSERT INTO e VALUES (1)",
		"CREATE USER secure IDENTIFIED BY 's' REQUIRE SSL", "GRANT SELECT ON e TO secure",
		"CREATE USER modern IDENTIFIED WITH caching_sha2_password BY 'm'", "GRANT SELECT ON e TO modern")
	var n int
	for user, password := range map[string]string{"secure": "s", "modern": "m"} {
		if err := connectAs(t, e.MySQL, user, password, trust()).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM e").Scan(&n); err != nil || n != 1 {
			t.Errorf("%s: %d rows, %v", user, n, err)
		}
		if err := connectAs(t, e.MySQL, user, password, nil).PingContext(t.Context()); !isDenied(err) {
			t.Errorf("%s without TLS: %v", user, err)
		}
		if err := connectAs(t, e.MySQL, user, "wrong", trust()).PingContext(t.Context()); !isDenied(err) {
			t.Errorf("%s with another password: %v", user, err)
		}
	}

	if !strings.HasPrefix(e.NATS, "tls://") || !strings.HasPrefix(e.HTTP, "https://") {
		t.Errorf("the endpoints are %+v", e)
	}
	nc, err := nats.Connect(e.NATS, nats.UserInfo("root", "p"), nats.RootCAs(certFile))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "e", []byte(`{"k":2}`)); err != nil {
		t.Error(err)
	}
	if plain, err := nats.Connect(strings.Replace(e.NATS, "tls://", "nats://", 1), nats.UserInfo("root", "p")); err == nil {
		plain.Close()
		t.Error("NATS without a check of the certificate")
	}

	get := func(config *tls.Config) (serial int64) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		res, err := client.Get(e.HTTP + "/readyz")
		if err != nil {
			return 0
		}
		defer res.Body.Close()
		if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
			t.Errorf("readyz: %d %s", res.StatusCode, text)
		}
		return res.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if n := get(trust()); n != 1 {
		t.Errorf("the certificate is %d", n)
	}
	writeCertificate(t, certFile, keyFile, 2)
	until(t, "the new certificate is used", func() bool { return get(trust()) == 2 })

	health := exec.CommandContext(t.Context(), binary, "health", "--http", strings.TrimPrefix(e.HTTP, "https://"), "--tls-cert", certFile)
	if out, err := health.CombinedOutput(); err != nil {
		t.Errorf("weir health: %v: %s", err, out)
	}
	file := filepath.Join(dir, "lines")
	if err := os.WriteFile(file, []byte("{\"k\":3}\n{\"k\":4}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	publish := exec.CommandContext(t.Context(), binary, "publish", "--nats", e.NATS, "--tls-ca", certFile, "e", file)
	publish.Env = append(os.Environ(), "WEIR_PASSWORD=p")
	if out, err := publish.CombinedOutput(); err != nil {
		t.Errorf("weir publish: %v: %s", err, out)
	}
	if client, err := exec.LookPath("mariadb"); err == nil {
		host, port, _ := net.SplitHostPort(e.MySQL)
		out, err := exec.CommandContext(t.Context(), client, "-h", host, "-P", port, "-usecure", "-ps", "--ssl", "-N", "-e", "SELECT COUNT(*) FROM e", "analytics").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "4" {
			t.Errorf("mariadb: %v: %s", err, out)
		}
	}
}

func isDenied(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == 1045
}

// Accounts of SQL use NATS within their rights, which follow every GRANT,
// REVOKE and CREATE STREAM.
func TestNATSAccounts(t *testing.T) {
	t.Parallel()
	e := serveWith(t)
	root := connectAs(t, e.MySQL, "root", "", nil)
	do(t, root, "CREATE STREAM e (k INT) WITH (subjects = 'e, e.>')", "CREATE STREAM private (k INT)",
		"CREATE USER ingest IDENTIFIED BY 'i'", "GRANT INSERT ON e TO ingest",
		"CREATE USER reader IDENTIFIED BY 'r'", "GRANT SELECT ON e TO reader",
		"CREATE USER loader IDENTIFIED BY 'l'", "GRANT SELECT, INSERT ON *.* TO loader")

	refused := make(chan string, 100)
	client := func(user, password string) (*nats.Conn, natsjs.JetStream) {
		nc, err := nats.Connect(e.NATS, nats.UserInfo(user, password), nats.CustomInboxPrefix("_INBOX."+user),
			nats.ReconnectWait(5*time.Millisecond), nats.ReconnectJitter(0, 0), nats.MaxReconnects(-1),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err.Error() }))
		if err != nil {
			t.Fatalf("%s: %v", user, err)
		}
		t.Cleanup(nc.Close)
		js, err := natsjs.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		return nc, js
	}
	isRefused := func(what string) {
		t.Helper()
		select {
		case err := <-refused:
			if !strings.Contains(strings.ToLower(err), "permissions violation") {
				t.Errorf("%s: %s", what, err)
			}
		case <-time.After(ackLimit):
			t.Errorf("%s is not refused", what)
		}
	}
	publish := func(js natsjs.JetStream, subject string) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := js.Publish(ctx, subject, []byte(`{"k":1}`), natsjs.WithRetryAttempts(0))
		return err
	}

	for _, login := range [][2]string{{"ingest", "wrong"}, {"ingest", ""}, {"nobody", "x"}, {"root", "x"}} {
		if nc, err := nats.Connect(e.NATS, nats.UserInfo(login[0], login[1])); err == nil {
			nc.Close()
			t.Errorf("%s is let in with %q", login[0], login[1])
		}
	}

	ingest, ingestJS := client("ingest", "i")
	reader, readerJS := client("reader", "r")
	heard, err := reader.SubscribeSync("e.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := publish(ingestJS, "e.x"); err != nil {
		t.Errorf("ingest publishes: %v", err)
	}
	if m, err := heard.NextMsg(ackLimit); err != nil || string(m.Data) != `{"k":1}` {
		t.Errorf("reader hears: %v", err)
	}
	for what, f := range map[string]func(){
		"publishing to another stream":        func() { _ = ingest.Publish("private", nil) },
		"publishing as a reader":              func() { _ = reader.Publish("e.x", nil) },
		"hearing as a publisher":              func() { _, _ = ingest.SubscribeSync("e.x") },
		"hearing another stream":              func() { _, _ = reader.SubscribeSync("private") },
		"hearing everything":                  func() { _, _ = reader.SubscribeSync(">") },
		"hearing the answers to others":       func() { _, _ = ingest.SubscribeSync("_INBOX.>") },
		"reading the log":                     func() { _ = ingest.Publish("$JS.API.STREAM.MSG.GET.analytics.e", nil) },
		"a consumer, which delivers anywhere": func() { _ = reader.Publish("$JS.API.CONSUMER.CREATE.e", nil) },
		"dropping a log":                      func() { _ = ingest.Publish("$JS.API.STREAM.DELETE.e", nil) },
		"a list of the streams":               func() { _ = ingest.Publish("$JS.API.STREAM.NAMES", nil) },
		"marks of weir publish":               func() { _ = ingest.Publish("$KV.weir-publish.x", nil) },
		"the system's subjects":               func() { _, _ = ingest.SubscribeSync("$SYS.>") },
		"weir's own answers":                  func() { _, _ = ingest.SubscribeSync("_WEIR.>") },
	} {
		f()
		_ = ingest.Flush()
		_ = reader.Flush()
		isRefused(what)
	}
	_ = readerJS

	// What may be done follows the grants, without a new login by hand.
	do(t, root, "GRANT INSERT ON private TO ingest")
	until(t, "ingest publishes to private", func() bool { return publish(ingestJS, "private") == nil })
	do(t, root, "REVOKE INSERT ON e FROM ingest")
	until(t, "ingest publishes to e no more", func() bool { return publish(ingestJS, "e.x") != nil })
}

// weir publish works as an account that may read and write.
func TestPublishAsAccount(t *testing.T) {
	t.Parallel()
	e := serveWith(t)
	root := connectAs(t, e.MySQL, "root", "", nil)
	do(t, root, "CREATE STREAM e (k INT)", "CREATE USER loader IDENTIFIED BY 'l'", "GRANT SELECT, INSERT ON *.* TO loader")
	file := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(file, []byte("{\"k\":3}\n{\"k\":4}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 published, 0 there already", "0 published, 2 there already"} {
		cmd := exec.CommandContext(t.Context(), binary, "publish", "--nats", e.NATS, "--user", "loader", "e", file)
		cmd.Env = append(os.Environ(), "WEIR_PASSWORD=l")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("weir publish: %v: %s", err, out)
		}
	}
	// Who changes the password, or drops the account, ends its connections.
	nc, err := nats.Connect(e.NATS, nats.UserInfo("loader", "l"), nats.CustomInboxPrefix("_INBOX.loader"), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	do(t, root, "ALTER USER loader IDENTIFIED BY 'other'")
	until(t, "the connection is closed", nc.IsClosed)
}
