package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// asMain makes the test binary run main instead of the tests, so that tests
// can start and kill the program as a process of its own.
const asMain = "WEIR_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"weir": main})
}

func TestExitStatus(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.sql")
	for _, test := range []struct {
		args   string
		status int
		stderr string // part of it
	}{
		{"version", statusOK, ""},
		{"--help", statusOK, ""},
		{"serve --help", statusOK, ""},
		{"help", statusOK, ""},
		{"help sql", statusOK, ""},
		{"help srve", statusUsage, "did you mean \"serve\""},
		{"", statusUsage, "Usage: weir"},
		{"srve", statusUsage, "serve"},
		{"serve --no-such-flag", statusUsage, "--no-such-flag"},
		{"serve --durability never", statusUsage, "or always"},
		{"serve --durability 0s", statusUsage, "or always"},
		{"serve --log-level loud", statusUsage, "debug"},
		{"serve --mysql 0.0.0.0:3306", statusError, "WEIR_PASSWORD"},
		{"serve --schema " + missing, statusError, "missing.sql"},
		{"publish", statusUsage, "<stream>"},
		{"publish s --rate -1", statusUsage, "--rate"},
		{"publish s a b --as name", statusUsage, "--as"},
		{"publish s " + missing, statusError, "missing.sql"},
		{"publish --nats 127.0.0.1:1 s", statusError, "--nats"},
		{"sql --tls maybe x", statusUsage, "--tls"},
		{"sql -e x x", statusUsage, "--execute"},
		{"sql --watch 1s", statusUsage, "--watch"},
		{"sql --port 1 x", statusError, "is weir serve running there?"},
		{"sql --dsn tcp(host x", statusError, "--dsn"},
		{"health --http 127.0.0.1:1", statusError, "refused"},
	} {
		var stdout, stderr bytes.Buffer
		got := run(t.Context(), strings.Fields(test.args), &stdout, &stderr)
		if got != test.status || !strings.Contains(stderr.String(), test.stderr) {
			t.Errorf("weir %s: got status %d and %q, want %d and %q", test.args, got, &stderr, test.status, test.stderr)
		}
		if lines := strings.Count(stderr.String(), "\n"); test.args != "" && lines > 1 {
			t.Errorf("weir %s: %d lines on stderr, want one: %s", test.args, lines, &stderr)
		}
	}
}

// serve starts weir serve on dir as a process and returns once it is ready.
func serve(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "serve", "--data", dir,
		"--mysql", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), asMain+"=1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "msg=ready") {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return cmd
		}
		t.Log(lines.Text())
	}
	t.Fatal("weir serve ended before it was ready")
	return nil
}

func TestSignalsStopCleanly(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		dir := t.TempDir()
		cmd := serve(t, dir)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after %v: %v, want exit status 0", sig, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "endpoints.json")); !os.IsNotExist(err) {
			t.Errorf("after %v: endpoints.json is still there", sig)
		}
	}
}

func TestKillLeavesNoLock(t *testing.T) {
	dir := t.TempDir()
	cmd := serve(t, dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if _, err := os.Stat(filepath.Join(dir, "endpoints.json")); err != nil {
		t.Fatalf("the kill was no crash: %v", err)
	}
	serve(t, dir)
}
