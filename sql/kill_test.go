package sql

import (
	"context"
	gosql "database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"weir/views"
	"weir/views/column"
	"weir/views/logtest"
)

// TestKill ends statements of every kind from another connection, in the middle
// of what they do: KILL QUERY leaves the connection as it was, KILL ends it.
func TestKill(t *testing.T) {
	s := newTestServer(t, &logtest.Memory{}, 0)
	addr := serveTest(t, s)
	dsn := "root@tcp(" + addr + ")/analytics"
	admin := wireConn(t, dsn)
	exec := func(q string) {
		t.Helper()
		if _, err := admin.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	exec("CREATE STREAM ev (k INT, s VARCHAR(300))")
	exec("CREATE MATERIALIZED VIEW v AS SELECT k, COUNT(*) AS n, MAX(s) AS most FROM ev GROUP BY k")
	var rows []string
	for k := range 2000 {
		rows = append(rows, fmt.Sprintf("(%d, '%s')", k, strings.Repeat("x", 200)))
	}
	exec("INSERT INTO ev (k, s) VALUES " + strings.Join(rows, ", "))
	wait(t, s, "ev", 2000)
	exec("CREATE TABLE t (id INT PRIMARY KEY, x INT, s VARCHAR(300), KEY (x))")
	exec("INSERT INTO t SELECT k, k % 7, most FROM v")
	for _, c := range []struct{ name, query string }{
		{"stream scan", "SELECT a.s FROM ev a, ev b, ev c"},
		{"stream pass", "SELECT a.k, COUNT(*) FROM ev a, ev b, ev c GROUP BY a.k"},
		{"view pass", "SELECT SUM(a.n) FROM v a, v b, v c"},
		{"table scan", "SELECT COUNT(*) FROM t a, t b, t c WHERE a.x + b.x + c.x = -1"},
		{"sort", "SELECT a.k FROM v a, v b, v c ORDER BY a.n * b.k DESC, c.most LIMIT 3"},
		{"join by key", "SELECT COUNT(*) FROM t a JOIN t b ON b.x = a.x JOIN t c ON c.x = b.x JOIN t d ON d.x = c.x JOIN v ON v.k = d.id WHERE v.most = ''"},
		{"distinct", "SELECT COUNT(DISTINCT a.k, b.k % 5) FROM v a, v b, v c"},
		{"union", "SELECT COUNT(*) FROM (SELECT a.k FROM v a, v b, v c UNION SELECT 1) d"},
		{"window", "SELECT SUM(n) OVER (ORDER BY k) FROM (SELECT a.k, a.n FROM v a, v b, v c WHERE a.k + b.k + c.k > -1) d LIMIT 1"},
		{"sub-query", "SELECT k FROM v WHERE n < 0 OR EXISTS (SELECT 1 FROM t a, t b WHERE a.x + b.x + v.k = -1)"},
		{"sleep", "SELECT SLEEP(600)"},
	} {
		for _, kill := range []string{"KILL QUERY", "KILL CONNECTION"} {
			t.Run(c.name+"/"+kill, func(t *testing.T) {
				conn := wireConn(t, dsn)
				var id int
				if err := conn.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- drain(conn, c.query) }()
				awaitStatement(t, admin, id, ended)
				begun := time.Now()
				exec(fmt.Sprintf("%s %d", kill, id))
				err := <-ended
				if took := time.Since(begun); took > 10*time.Second {
					t.Errorf("it ended after %v", took)
				}
				var one int
				again := conn.QueryRowContext(t.Context(), "SELECT 1").Scan(&one)
				var numbered *mysql.MySQLError
				switch {
				case kill == "KILL QUERY":
					// Rows that are on their way leave no place for an error: the connection ends with them.
					lost := errors.Is(err, mysql.ErrInvalidConn) && c.name == "stream scan"
					if !lost && (!errors.As(err, &numbered) || numbered.Number != 1317) {
						t.Errorf("the statement gave %v, want error 1317", err)
					}
					if !lost && again != nil {
						t.Errorf("the connection is gone: %v", again)
					}
				case err == nil:
					t.Error("the statement came to its end")
				case !errors.Is(again, driver.ErrBadConn) && !errors.Is(again, mysql.ErrInvalidConn):
					t.Errorf("the connection is still there: %v", again)
				}
			})
		}
	}
}

// drain reads all rows of a statement.
func drain(conn *gosql.Conn, query string) error {
	rows, err := conn.QueryContext(context.Background(), query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

// awaitStatement waits until a connection is at work on a statement.
func awaitStatement(t *testing.T, admin *gosql.Conn, id int, ended <-chan error) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		select {
		case err := <-ended:
			t.Fatalf("the statement ended by itself: %v", err)
		default:
		}
		var n int
		if err := admin.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.processlist WHERE id = ? AND command = 'Query'", id).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			return
		}
	}
	t.Fatal("the statement did not begin")
}

// TestFillIsBoundInBytes: rows with long texts are read a few at a time.
func TestFillIsBoundInBytes(t *testing.T) {
	s := newTestServer(t, &logtest.Memory{}, 0)
	do := func(q string) []string {
		t.Helper()
		rows, err := s.query(t.Context(), q)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		return rows
	}
	do("CREATE STREAM ev (k INT, s LONGTEXT)")
	do("CREATE MATERIALIZED VIEW v AS SELECT k, MAX(s) AS most FROM ev GROUP BY k")
	do("CREATE TABLE t (id INT PRIMARY KEY)")
	const rows, size = 20, 300_000
	for k := range rows {
		do(fmt.Sprintf("INSERT INTO ev (k, s) VALUES (%d, REPEAT('x', %d))", k, size))
		do(fmt.Sprintf("INSERT INTO t VALUES (%d)", k))
	}
	wait(t, s, "ev", rows)
	want := fmt.Sprint(rows, " ", rows*size)
	for _, q := range []string{
		"SELECT COUNT(*), SUM(LENGTH(most)) FROM (SELECT most FROM v ORDER BY RAND()) d",
		"SELECT COUNT(*), SUM(LENGTH(v.most)) FROM t JOIN v ON v.k = t.id",
	} {
		if got := do(q); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", q, got, want)
		}
	}
	if got := do("SELECT k, most FROM v ORDER BY k DESC"); len(got) != rows {
		t.Errorf("%d rows, want %d", len(got), rows)
	}
	v, err := s.cfg.Engine.View(views.DefaultDatabase, "v")
	if err != nil {
		t.Fatal(err)
	}
	var set views.ReadSet
	defer set.Close()
	snap, err := set.Snapshot(v)
	if err != nil {
		t.Fatal(err)
	}
	c := snap.Scan(views.Serving, []views.Range{{}}, false, []int{0, 1})
	c.Bound(fillBytes)
	var b column.Batch
	total := 0
	for more := true; more; more = c.More() {
		n, err := c.Fill(&b, mostFill)
		if err != nil {
			t.Fatal(err)
		}
		if most := fillBytes/size + 1; n > most {
			t.Fatalf("%d rows at once, want %d at most", n, most)
		}
		total += n
	}
	if total != rows {
		t.Errorf("%d rows, want %d", total, rows)
	}
}

// TestOneNameOnce: of statements that make things of one name at once, one does.
func TestOneNameOnce(t *testing.T) {
	s := newTestServer(t, &logtest.Memory{}, 0)
	if _, err := s.query(t.Context(), "CREATE STREAM ev (k INT)"); err != nil {
		t.Fatal(err)
	}
	for round := range 8 {
		name := fmt.Sprint("n", round)
		var made, refused atomic.Int64
		var wg sync.WaitGroup
		var makers sync.Map
		for _, q := range []string{
			"CREATE TABLE %s (id INT PRIMARY KEY)", "CREATE STREAM %s (k INT)", "CREATE VIEW %s AS SELECT 1 AS n",
			"CREATE MATERIALIZED VIEW %s AS SELECT k, COUNT(*) AS n FROM ev GROUP BY k", "CREATE TABLE %s (x INT)", "CREATE STREAM %s (j INT)",
		} {
			wg.Go(func() {
				_, err := s.query(t.Context(), fmt.Sprintf(q, name))
				switch {
				case err == nil:
					made.Add(1)
					makers.Store(q, true)
				case strings.Contains(err.Error(), "1050") || strings.Contains(err.Error(), "already exists"):
					refused.Add(1)
				default:
					t.Errorf(q+": %v", name, err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 || refused.Load() != 5 {
			var list []string
			makers.Range(func(q, _ any) bool {
				list = append(list, q.(string))
				return true
			})
			t.Errorf("%d statements made %s and %d were refused, want 1 and 5: %q", made.Load(), name, refused.Load(), list)
		}
	}
	if held := len(s.claims.held); held != 0 {
		t.Errorf("%d names are claimed still", held)
	}
}
