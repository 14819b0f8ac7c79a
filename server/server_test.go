package server_test

import (
	"context"
	gosql "database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"weir/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is that of an instance on free ports.
func config(dir string) server.Config {
	return server.Config{
		Dir:    dir,
		MySQL:  "127.0.0.1:0",
		NATS:   "127.0.0.1:0",
		HTTP:   "127.0.0.1:0",
		Sync:   100 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	}
}

// start runs an instance until the end of the test.
func start(t *testing.T, cfg server.Config) *server.Instance {
	t.Helper()
	i, err := server.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return i
}

// get returns the status and body of url.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestEndpointsWhileRunning(t *testing.T) {
	dir := t.TempDir()
	i := start(t, config(dir))
	file := filepath.Join(dir, "endpoints.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var ends server.Endpoints
	if err := json.Unmarshal(text, &ends); err != nil {
		t.Fatal(err)
	}
	if ends != i.Endpoints() {
		t.Errorf("endpoints.json says %+v, want %+v", ends, i.Endpoints())
	}
	for _, addr := range []string{ends.MySQL, strings.TrimPrefix(ends.NATS, "nats://"), strings.TrimPrefix(ends.HTTP, "http://")} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Errorf("%s does not answer: %v", addr, err)
			continue
		}
		conn.Close()
	}
	if err := i.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("endpoints.json is still there after the stop: %v", err)
	}
}

func TestHTTPWhileRunning(t *testing.T) {
	i := start(t, config(t.TempDir()))
	for path, want := range map[string]string{
		"/healthz": "ok",
		"/readyz":  "ready",
		"/":        "mysql -h127.0.0.1",
	} {
		if code, body := get(t, i.Endpoints().HTTP+path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s: got %d %q, want 200 and %q", path, code, body, want)
		}
	}
	if code, _ := get(t, i.Endpoints().HTTP+"/none"); code != http.StatusNotFound {
		t.Errorf("GET /none: got %d, want 404", code)
	}
}

func TestMetrics(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Password = "secret"
	i := start(t, cfg)
	db, err := gosql.Open("mysql", "root:secret@tcp("+i.Endpoints().MySQL+")/?interpolateParams=true")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, s := range []string{
		"CREATE STREAM clicks (n INT)", "CREATE STREAM secrets (n INT)",
		"CREATE MATERIALIZED VIEW sums AS SELECT SUM(n) AS n FROM clicks",
		"INSERT INTO clicks VALUES (1), (2)",
		"CREATE USER watcher@localhost IDENTIFIED BY 'w'", "GRANT SELECT ON weir.* TO watcher@localhost", "GRANT SELECT ON analytics.clicks TO watcher@localhost",
		"CREATE USER reader@localhost IDENTIFIED BY 'r'", "GRANT SELECT ON analytics.* TO reader@localhost",
	} {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	var applied int
	if err := db.QueryRowContext(t.Context(), "SELECT WAIT_FOR_SEQ('clicks', 2, 10)").Scan(&applied); err != nil || applied != 1 {
		t.Fatalf("not applied: %d, %v", applied, err)
	}
	const clicks, secrets = `weir_event_shown_delay_seconds_count{database="analytics",stream="clicks"} 2`, `stream="secrets"`
	for login, want := range map[string]struct {
		code int
		has  []string
		no   string
	}{
		"":          {http.StatusUnauthorized, nil, "weir_event"},
		"root:x":    {http.StatusUnauthorized, nil, "weir_event"},
		"reader:r":  {http.StatusForbidden, []string{"GRANT SELECT ON weir.*"}, "weir_event"},
		"watcher:w": {http.StatusOK, []string{clicks, "go_goroutines"}, secrets},
		"root:secret": {http.StatusOK, []string{
			clicks, secrets, `weir_stream_applied_sequence{database="analytics",stream="clicks"} 2`, "process_cpu_seconds_total",
		}, "no such thing"},
	} {
		url := strings.Replace(i.Endpoints().HTTP, "//", "//"+login+"@", 1) + "/metrics"
		code, body := get(t, url)
		if code != want.code || strings.Contains(body, want.no) {
			t.Errorf("as %q: got %d, want %d without %s:\n%s", login, code, want.code, want.no, body)
		}
		for _, has := range want.has {
			if !strings.Contains(body, has) {
				t.Errorf("as %q: no %s in\n%s", login, has, body)
			}
		}
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	dir := t.TempDir()
	i := start(t, config(dir))
	_, err := server.Start(t.Context(), config(dir))
	if err == nil || !strings.Contains(err.Error(), "data directory "+dir+" is in use by another weir") {
		t.Errorf("second start: got %v, want that the directory is in use", err)
	}
	if code, _ := get(t, i.Endpoints().HTTP+"/readyz"); code != http.StatusOK {
		t.Errorf("first instance after the second was refused: got %d, want 200", code)
	}
	if _, err := os.Stat(filepath.Join(dir, "endpoints.json")); err != nil {
		t.Errorf("the refused instance removed the first one's endpoints: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for flag, set := range map[string]func(*server.Config){
		"--mysql": func(c *server.Config) { c.MySQL = addr },
		"--nats":  func(c *server.Config) { c.NATS = addr },
		"--http":  func(c *server.Config) { c.HTTP = addr },
	} {
		cfg := config(t.TempDir())
		set(&cfg)
		_, err := server.Start(t.Context(), cfg)
		if want := flag + " " + addr + ": the port is in use"; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestStaleEndpointsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "endpoints.json")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := config(dir)
	cfg.HTTP = taken.Addr().String()
	if _, err := server.Start(t.Context(), cfg); err == nil {
		t.Fatal("started on a port in use")
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("endpoints.json of a crashed instance is still there: %v", err)
	}
}

func TestRestartOnTheSameDirectory(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Schema = []server.Script{{Name: "schema.sql", Text: "CREATE STREAM IF NOT EXISTS s (a INT);"}}
	for range 2 {
		i := start(t, cfg)
		if err := i.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSchemaError(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Schema = []server.Script{{Name: "shop.sql", Text: "CREATE STREAM s (a INT);\n\nSELEC 1;\n"}}
	_, err := server.Start(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "shop.sql:3") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line with shop.sql:3", err)
	}
	cfg.Schema = nil
	start(t, cfg) // nothing is left of the first
}

func TestContextStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	i, err := server.Start(ctx, config(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	idle, err := net.Dial("tcp", strings.TrimPrefix(i.Endpoints().HTTP, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close() // a client that says nothing does not hold up the stop
	begun := time.Now()
	cancel()
	if err := i.Wait(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("stop took %v", took)
	}
}

func TestStopBeforeReady(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Run(ctx, config(t.TempDir())); err != nil {
		t.Errorf("got %v, want a clean stop", err)
	}
}

// What others can reach asks for a password.
func TestOpenToOthers(t *testing.T) {
	dir := t.TempDir()
	for _, set := range []func(*server.Config){
		func(c *server.Config) { c.MySQL = "0.0.0.0:0" },
		func(c *server.Config) { c.NATS = ":0" },
		func(c *server.Config) { c.HTTP = "weir.example:80" },
	} {
		cfg := config(dir)
		set(&cfg)
		if _, err := server.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "set a password") {
			t.Errorf("got %v, want a word about the password", err)
		}
	}
	cfg := config(dir)
	cfg.Schema = []server.Script{{Name: "set", Text: "SET PASSWORD FOR root@localhost = 'x';"}}
	if err := start(t, cfg).Stop(); err != nil {
		t.Fatal(err)
	}
	cfg = config(dir)
	cfg.MySQL = "0.0.0.0:0"
	start(t, cfg) // with the password that was set
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*server.Config)
		want string // part of the error, or "" for none
	}{
		{"loopback", func(*server.Config) {}, ""},
		{"localhost", func(c *server.Config) { c.MySQL = "localhost:0" }, ""},
		{"IPv6 loopback", func(c *server.Config) { c.NATS = "[::1]:0" }, ""},
		{"half of TLS", func(c *server.Config) { c.TLSCert = "cert.pem" }, "--tls-key"},
		{"no port", func(c *server.Config) { c.HTTP = "127.0.0.1" }, "host:port"},
		{"named port", func(c *server.Config) { c.HTTP = "127.0.0.1:http" }, "number"},
		{"no directory", func(c *server.Config) { c.Dir = "" }, "--data"},
		{"negative interval", func(c *server.Config) { c.Sync = -1 }, "--durability"},
	} {
		cfg := config("unused")
		test.set(&cfg)
		err := cfg.Validate()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: got %v, want no error", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}
