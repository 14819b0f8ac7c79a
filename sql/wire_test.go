package sql

import (
	"context"
	gosql "database/sql"
	"net"
	"testing"

	_ "github.com/go-sql-driver/mysql"
)

// wireQueries are what dashboards ask most often, with arguments.
var wireQueries = []struct {
	name, text string
	args       []any
}{
	{"one", "SELECT 1", nil},
	{"point", "SELECT n, revenue, mean FROM facts WHERE minute = ? AND campaign = ?", []any{"2023-11-14 23:14:00", "c7"}},
	{"range", "SELECT minute, campaign, n, revenue FROM facts WHERE minute >= ? AND minute < ?", []any{"2023-11-14 23:14:00", "2023-11-14 23:24:00"}},
	{"newest", "SELECT minute, campaign, n, revenue FROM facts ORDER BY minute DESC, campaign DESC LIMIT 10", nil},
	{"behind", "SELECT minute, n, revenue FROM facts WHERE campaign = ? ORDER BY minute DESC LIMIT 20", []any{"c7"}},
	{"extremes", "SELECT MIN(minute), MAX(minute) FROM facts", nil},
}

// BenchmarkWire is one statement after the other by one client, on the same
// processors, in both protocols.
func BenchmarkWire(b *testing.B) {
	s := benchServer(b, 0)
	addr := serveTest(b, s)
	for _, q := range wireQueries {
		b.Run(q.name+"/text", func(b *testing.B) {
			conn := wireConn(b, "root@tcp("+addr+")/analytics?interpolateParams=true")
			benchWire(b, func() (*gosql.Rows, error) { return conn.QueryContext(b.Context(), q.text, q.args...) })
		})
		b.Run(q.name+"/prepared", func(b *testing.B) {
			conn := wireConn(b, "root@tcp("+addr+")/analytics")
			stmt, err := conn.PrepareContext(b.Context(), q.text)
			if err != nil {
				b.Fatal(err)
			}
			defer stmt.Close()
			benchWire(b, func() (*gosql.Rows, error) { return stmt.QueryContext(b.Context(), q.args...) })
		})
	}
}

// serveTest has s answer on a port of its own until the test ends.
func serveTest(t testing.TB, s *Server) (addr string) {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.engine.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// wireConn is a connection of its own until the test ends.
func wireConn(t testing.TB, dsn string) *gosql.Conn {
	t.Helper()
	db, err := gosql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func benchWire(b *testing.B, query func() (*gosql.Rows, error)) {
	b.ReportAllocs()
	for b.Loop() {
		rows, err := query()
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for rows.Next() {
			n++
		}
		if err := rows.Close(); err != nil || n == 0 {
			b.Fatal(n, err)
		}
	}
}
