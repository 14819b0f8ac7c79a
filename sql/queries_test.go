package sql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/views"
	"weir/views/logtest"
)

// benchRows are the rows of the views that BenchmarkQueries reads: a hundred
// campaigns for each minute. One in twenty is of the speed layer.
const benchRows = 100_000

// BenchmarkQueries is what the statements of dashboards take in process: with
// planning, without the wire.
func BenchmarkQueries(b *testing.B) {
	s := benchServer(b, 0)
	for _, q := range []struct{ name, text string }{
		{"point", "SELECT n, revenue, mean FROM facts WHERE minute = '2023-11-14 23:14:00' AND campaign = 'c7'"},
		{"range", "SELECT minute, campaign, n, revenue FROM facts WHERE minute >= '2023-11-14 23:14:00' AND minute < '2023-11-14 23:24:00'"},
		{"newest", "SELECT minute, n FROM facts WHERE campaign = 'c7' ORDER BY minute DESC LIMIT 20"},
		{"top", "SELECT minute, campaign, revenue FROM facts ORDER BY revenue DESC LIMIT 10"},
		{"group", "SELECT campaign, COUNT(*), SUM(n), SUM(revenue), MAX(most) FROM facts GROUP BY campaign"},
		{"buckets", "SELECT UNIX_TIMESTAMP(minute) DIV 300 * 300 AS t, SUM(n) AS n FROM facts GROUP BY t ORDER BY t"},
		{"join", "SELECT f.minute, f.campaign, f.n, c.cost FROM facts f JOIN costs c ON c.minute = f.minute AND c.campaign = f.campaign WHERE f.minute >= '2023-11-14 23:14:00' AND f.minute < '2023-11-14 23:24:00'"},
		{"count", "SELECT COUNT(*) FROM facts"},
	} {
		for _, layer := range []string{"", "_batch"} {
			text := strings.ReplaceAll(strings.ReplaceAll(q.text, "FROM facts", "FROM facts"+layer), "JOIN costs", "JOIN costs"+layer)
			b.Run(q.name+layer, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if runQuery(b, s, text) == 0 {
						b.Fatal("no rows")
					}
				}
			})
		}
	}
}

// runQuery runs a SELECT and returns how many rows it has.
func runQuery(t testing.TB, s *Server, query string) (n int) {
	t.Helper()
	ctx, end := s.engine.NewContext(t.Context(), views.DefaultDatabase)
	defer end()
	_, iter, err := s.engine.Query(ctx, query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	for {
		if _, err = iter.Next(ctx); err != nil {
			break
		}
		n++
	}
	if err := errors.Join(ignoreEOF(err), iter.Close(ctx)); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// newTestServer is a server over a log in memory.
func newTestServer(t testing.TB, broker *logtest.Memory, limit uint64) *Server {
	t.Helper()
	return newKeepingServer(t, broker, limit, 0)
}

// newKeepingServer is newTestServer with so many bytes for columns of passes; 0
// is enough.
func newKeepingServer(t testing.TB, broker *logtest.Memory, limit uint64, keep int64) *Server {
	t.Helper()
	compiler, err := sharedCompiler()
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	engine, err := views.Open(t.Context(), views.Config{Dir: t.TempDir(), Broker: broker, Compiler: compiler, Logger: logger, KeepLeast: 1, KeepMost: keep})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Listen(Config{Addr: "127.0.0.1:0", Dir: t.TempDir(), Engine: engine, Compiler: compiler, Logger: logger, MemoryLimit: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), engine.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// BenchmarkPass is what passes over a view take: over its file, and over
// columns that are kept.
func BenchmarkPass(b *testing.B) {
	for _, how := range []struct {
		name string
		keep int64
	}{{"file", 1}, {"kept", 0}} {
		s := benchServer(b, how.keep)
		for _, q := range []struct{ name, text string }{
			{"top", "SELECT minute, campaign, revenue FROM facts ORDER BY revenue DESC LIMIT 10"},
			{"group", "SELECT campaign, COUNT(*), SUM(n), SUM(revenue), MAX(most) FROM facts GROUP BY campaign"},
			{"range", "SELECT campaign, SUM(n) FROM facts WHERE minute >= '2023-11-14 23:14:00' AND minute < '2023-11-15 04:14:00' AND n > 0 GROUP BY campaign"},
			{"count", "SELECT COUNT(*) FROM facts"},
		} {
			b.Run(how.name+"/"+q.name, func(b *testing.B) {
				for range 10 { // what is going to be kept is kept now
					runQuery(b, s, q.text)
				}
				b.ReportAllocs()
				for b.Loop() {
					runQuery(b, s, q.text)
				}
			})
		}
	}
}

// benchServer is a server with benchRows rows, and so many bytes to keep columns.
func benchServer(b *testing.B, keep int64) *Server {
	b.Helper()
	broker := &logtest.Memory{}
	s := newKeepingServer(b, broker, 0, keep)
	exec := func(list ...string) {
		for _, q := range list {
			if err := s.Exec(b.Context(), "bench", q); err != nil {
				b.Fatal(err)
			}
		}
	}
	publish := func(from, to int) {
		var msgs []views.Message
		for i := from; i < to; i++ {
			h := uint32(i) * 2654435761
			minute := time.Unix(1_700_000_040+int64(i/100)*60, 0).UTC().Format("2006-01-02T15:04:05Z")
			msgs = append(msgs, views.Message{Payload: fmt.Appendf(nil, `{"ts":%q,"campaign":"c%d","user":%d,"price":%d.%02d,"latency":%d.5}`, minute, i%100, h>>4%50_000, h>>10%500, h>>3%100, h>>12%2000)})
		}
		if _, err := broker.Publish(b.Context(), "ads", msgs); err != nil {
			b.Fatal(err)
		}
	}
	exec("CREATE STREAM ads (ts DATETIME(6) NOT NULL, campaign VARCHAR(20), user INT, price DECIMAL(10,2), latency DOUBLE) WITH (event_time = 'ts')")
	publish(0, benchRows)
	exec("CREATE MATERIALIZED VIEW facts AS SELECT TUMBLE(ts, INTERVAL 1 MINUTE) AS minute, campaign, COUNT(*) AS n, SUM(price) AS revenue, AVG(latency) AS mean, MAX(latency) AS most FROM ads GROUP BY minute, campaign",
		"CREATE MATERIALIZED VIEW costs AS SELECT TUMBLE(ts, INTERVAL 1 MINUTE) AS minute, campaign, SUM(user) AS cost FROM ads GROUP BY minute, campaign",
		"REFRESH MATERIALIZED VIEW facts; REFRESH MATERIALIZED VIEW costs")
	publish(benchRows-benchRows/40, benchRows+benchRows/40)
	wait(b, s, "ads", uint64(benchRows+benchRows/20))
	return s
}

// wait waits until the views of a stream have applied a sequence.
func wait(t testing.TB, s *Server, stream string, seq uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, end := s.engine.NewContext(ctx, views.DefaultDatabase)
	defer end()
	_, iter, err := s.engine.Query(c, fmt.Sprintf("SELECT WAIT_FOR_SEQ('%s', %d, 60)", stream, seq))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := gms.RowIterToRows(c, iter)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
}
