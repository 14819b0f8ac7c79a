package sql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"weir/sql/tables"
	"weir/views"
	"weir/views/logtest"
)

// tablesServer is a server in process, for statements on tables.
func tablesServer(t testing.TB) *Server {
	t.Helper()
	s, end := openTables(t, t.TempDir())
	t.Cleanup(end)
	return s
}

// openTables is tablesServer on a data directory, until end is called.
func openTables(t testing.TB, dir string) (s *Server, end func()) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	compiler, err := sharedCompiler()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := views.Open(t.Context(), views.Config{Dir: dir, Broker: &logtest.Memory{}, Compiler: compiler, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	s, err = Listen(Config{Addr: "127.0.0.1:0", Dir: dir, Engine: engine, Compiler: compiler, Version: "v0", Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(s.Close(), s.engine.Close(), engine.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestTablesDamage: a row that is not what was written is an error where it is
// read, and the others are there.
func TestTablesDamage(t *testing.T) {
	dir := t.TempDir()
	s, end := openTables(t, dir)
	for _, text := range []string{
		"CREATE TABLE t (id INT PRIMARY KEY, s TEXT)",
		"INSERT INTO t VALUES (1, 'whole'), (2, 'the row that is damaged'), (3, 'whole, too')",
	} {
		if _, err := s.query(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	end()
	path := filepath.Join(dir, "tables.db")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	hurt := bytes.ReplaceAll(file, []byte("row that is damaged"), []byte("row that was damaged"[:19]))
	if bytes.Equal(hurt, file) {
		t.Fatal("the row is not in the file as it was written")
	}
	if err := os.WriteFile(path, hurt, 0o600); err != nil {
		t.Fatal(err)
	}
	s, end = openTables(t, dir)
	defer end()
	for _, text := range []string{"SELECT * FROM t", "SELECT * FROM t WHERE id = 2", "UPDATE t SET s = 'x' WHERE id = 2", "ALTER TABLE t ADD COLUMN n INT"} {
		if rows, err := s.query(t.Context(), text); err == nil || !strings.Contains(err.Error(), "Table 't' is damaged at") {
			t.Errorf("%s: %q, %v", text, rows, err)
		}
	}
	if rows, err := s.query(t.Context(), "SELECT s FROM t WHERE id = 3"); err != nil || len(rows) != 1 || rows[0] != "whole, too" {
		t.Errorf("another row: %q, %v", rows, err)
	}
}

// query runs a statement and returns its rows, a line for each.
func (s *Server) query(ctx context.Context, text string) ([]string, error) {
	c, end := s.engine.NewContext(ctx, views.DefaultDatabase)
	defer end()
	_, rows, err := s.engine.Query(c, text)
	if err != nil {
		return nil, err
	}
	var out []string
	for {
		row, err := rows.Next(c)
		if errors.Is(err, io.EOF) {
			return out, rows.Close(c)
		}
		if err != nil {
			return out, errors.Join(err, rows.Close(c))
		}
		out = append(out, strings.Trim(fmt.Sprint([]any(row)), "[]"))
	}
}

// TestTablesTogether: writers and readers at once. Each statement sees one
// moment, and none is lost.
func TestTablesTogether(t *testing.T) {
	s := tablesServer(t)
	ctx := t.Context()
	must := func(text string) []string {
		rows, err := s.query(ctx, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		return rows
	}
	must("CREATE TABLE a (id INT PRIMARY KEY, v INT, KEY (v))")
	must("CREATE TABLE b (id INT PRIMARY KEY, v INT)")
	must("CREATE TABLE log (n INT AUTO_INCREMENT PRIMARY KEY, w INT)")
	must("INSERT INTO a VALUES (1, 0), (2, 0), (3, 0)")
	must("INSERT INTO b VALUES (1, 0), (2, 0), (3, 0)")
	const writers, each = 4, 15
	var wg, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for range each {
				// Both tables change together.
				must("UPDATE a JOIN b ON a.id = b.id SET a.v = a.v + 1, b.v = b.v + 1")
				must(fmt.Sprintf("INSERT INTO log (w) VALUES (%d)", w))
			}
		})
	}
	wg.Go(func() {
		for i := range each {
			must("ALTER TABLE log ADD COLUMN extra INT DEFAULT 5")
			must("ALTER TABLE log DROP COLUMN extra")
			must(fmt.Sprintf("CREATE OR REPLACE VIEW w AS SELECT %d AS n", i))
		}
	})
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				rows := must("SELECT COUNT(*), COUNT(DISTINCT a.v), COUNT(DISTINCT b.v), SUM(a.v - b.v) FROM a JOIN b ON a.id = b.id WHERE a.v >= 0")
				if len(rows) != 1 || rows[0] != "3 1 1 0" {
					t.Errorf("a statement saw %q", rows)
				}
				// The table may be altered between planning and reading.
				if _, err := s.query(ctx, "SELECT COUNT(*) FROM log"); err != nil && !strings.Contains(err.Error(), "1412") {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(done)
	readers.Wait()
	if rows := must("SELECT MIN(v), MAX(v) FROM a"); rows[0] != fmt.Sprint(writers*each, " ", writers*each) {
		t.Errorf("%d increments made %s", writers*each, rows[0])
	}
	if rows := must("SELECT COUNT(*), COUNT(DISTINCT n) FROM log"); rows[0] != fmt.Sprint(writers*each, " ", writers*each) {
		t.Errorf("%d inserts made %s", writers*each, rows[0])
	}
}

func BenchmarkTables(b *testing.B) {
	s := tablesServer(b)
	must := func(text string) {
		if _, err := s.query(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
	must("CREATE TABLE d (n INT PRIMARY KEY)")
	must("INSERT INTO d VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)")
	must("CREATE TABLE big (id INT PRIMARY KEY, name VARCHAR(20), k INT, KEY (name), KEY (k))")
	const rows = 100_000
	for _, c := range []struct{ name, text string }{
		{"insert", "INSERT INTO big SELECT a.n*10000+b.n*1000+c.n*100+e.n*10+f.n, CONCAT('name', c.n*100+e.n*10+f.n), e.n FROM d a, d b, d c, d e, d f"},
		{"scan", "SELECT COUNT(*), SUM(k) FROM big"},
		{"update", "UPDATE big SET k = k + 1"},
		{"delete", "DELETE FROM big WHERE id >= 0"},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				if c.name == "insert" {
					b.StopTimer()
					must("TRUNCATE big")
					b.StartTimer()
				}
				must(c.text)
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// TestViewsInACircle: views that read each other, as two statements at once can
// make them, are errors where they are read, also where the engine reads them
// of its own accord.
func TestViewsInACircle(t *testing.T) {
	s := tablesServer(t)
	ctx := gms.NewContext(t.Context())
	for _, v := range []*tables.ViewDef{
		{Name: "a", Select: "SELECT * FROM b", Create: "CREATE VIEW `analytics`.`a` AS SELECT * FROM b"},
		{Name: "b", Select: "SELECT * FROM a", Create: "CREATE VIEW `analytics`.`b` AS SELECT * FROM a"},
	} {
		v.Database = "analytics"
		if err := s.tables.CreateView(ctx, v); err != nil {
			t.Fatal(err)
		}
	}
	var wrong *mysql.SQLError
	if _, err := s.query(t.Context(), "SELECT * FROM a"); !errors.As(err, &wrong) || wrong.Num != 1462 {
		t.Errorf("SELECT: %v, want error 1462", err)
	}
	for _, text := range []string{
		"SELECT * FROM information_schema.columns WHERE table_schema = 'analytics'",
		"SELECT * FROM information_schema.views WHERE table_schema = 'analytics'",
		"DROP VIEW a, b",
	} {
		if _, err := s.query(t.Context(), text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
