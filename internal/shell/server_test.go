package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"weir/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serveHere runs a server until the end of the test, and returns how to reach it.
func serveHere(t *testing.T) *mysql.Config {
	t.Helper()
	i, err := server.Start(t.Context(), server.Config{
		Dir: t.TempDir(), MySQL: "127.0.0.1:0", NATS: "127.0.0.1:0", HTTP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", "tcp", i.Endpoints().MySQL
	return cfg
}

func TestFunctionsThatAreCompletedExist(t *testing.T) {
	s, err := open(t.Context(), serveHere(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, f := range functions {
		_, err := s.run(t.Context(), "SELECT "+f+"()", new(snapshot))
		var said *mysql.MySQLError
		if errors.As(err, &said) && said.Number == 1305 {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// A meter counts what is written, and measures memory now and then.
type meter struct {
	lines int
	most  uint64
}

func (m *meter) Write(p []byte) (int, error) {
	const often = 1024
	before := m.lines / often
	m.lines += bytes.Count(p, []byte("\n"))
	if m.lines/often != before {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		m.most = max(m.most, stats.HeapAlloc)
	}
	return len(p), nil
}

// TestResultsOfAnySizeTakeNoMemory reads more than it may keep.
func TestResultsOfAnySizeTakeNoMemory(t *testing.T) {
	const digits, rows, limit = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4)", 5 * 5 * 5 * 5 * 5 * 5, 32 << 20
	from := make([]string, 6)
	for i := range from {
		from[i] = fmt.Sprintf("%s AS t%d", digits, i)
	}
	query := "SELECT t0.d, REPEAT('x', 3000) AS x FROM " + strings.Join(from, ", ")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	server := serveHere(t)
	for _, format := range []string{"table", "tsv"} {
		out := new(meter)
		err := Run(context.Background(), Config{
			Server: server, Statements: []string{query}, Format: format, Names: true,
			Stdin: null, Stdout: out, Stderr: t.Output(),
		})
		if err != nil || out.lines < rows {
			t.Fatalf("%s: %d lines, want %d (%v)", format, out.lines, rows, err)
		}
		if out.most > limit {
			t.Errorf("%s: %d MB of memory for %d MB of rows", format, out.most>>20, rows*3000>>20)
		}
	}
}
