package gmsx

import (
	"context"
	"testing"
)

// BenchmarkQuery is one statement after the other through the wire, with the
// client on the same processors.
func BenchmarkQuery(b *testing.B) {
	for _, q := range []struct{ name, text string }{
		{"SELECT1", "SELECT 1"},
		{"point", "SELECT n FROM windows WHERE w = '2026-01-01 05:00:00' AND k = 'k2'"},
		{"group", "SELECT k, SUM(n), COUNT(*) FROM windows GROUP BY k"},
	} {
		b.Run(q.name, func(b *testing.B) {
			s := start(b, Options{})
			db := s.root(b)
			conn, err := db.Conn(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			b.ReportAllocs()
			for b.Loop() {
				rows, err := conn.QueryContext(context.Background(), q.text)
				if err != nil {
					b.Fatal(err)
				}
				for rows.Next() {
				}
				if err := rows.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
