package gmsx

import (
	"context"
	gosql "database/sql"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestServeAnswersAndEnds(t *testing.T) {
	s := start(t, Options{})
	db := s.root(t)
	expect(t, db, "SELECT 1", "1")
	expect(t, db, "SELECT VERSION(), @@version_comment, @@time_zone, DATABASE()", "8.0.33-weir weir +00:00 d")
	expect(t, db, "SELECT id, s FROM nums WHERE id = 2", "2 abż")
	s.stop()
	if err := db.Ping(); err == nil {
		t.Error("the server answers after its end")
	}
}

func TestMultiStatements(t *testing.T) {
	s := start(t, Options{})
	db := s.open(t, "root", "", "multiStatements=true")
	rows, err := db.Query("SELECT 1; SELECT ';' /* ; */ ; -- ;\n SELECT 3;")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for {
		for rows.Next() {
			var v string
			if err := rows.Scan(&v); err != nil {
				t.Fatal(err)
			}
			got = append(got, v)
		}
		if !rows.NextResultSet() {
			break
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[1 ; 3]" {
		t.Errorf("got %q", got)
	}
}

func TestPrepared(t *testing.T) {
	s := start(t, Options{})
	db := s.root(t)
	stmt, err := db.Prepare("SELECT id, i, d, f, s FROM nums WHERE id >= ? AND id < ? ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	for range 3 {
		rows, err := stmt.Query(1, 3)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for rows.Next() {
			var id, i int64
			var d, str string
			var f float64
			if err := rows.Scan(&id, &i, &d, &f, &str); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%v %v %v %v %v", id, i, d, f, str))
		}
		rows.Close()
		if fmt.Sprint(got) != "[1 9007199254740993 0.10 0.5 abc 2 1 0.20 1e+06 abż]" {
			t.Errorf("got %q", got)
		}
	}
	if got := query(t, db, "SELECT SUM(i), AVG(d), COUNT(DISTINCT s) FROM nums WHERE id > ?", 0); got[0] != "9007199254740996 0.166667 3" {
		t.Errorf("aggregates: %q", got)
	}
	_, err = db.Prepare("SELEC 1")
	expectError(t, err, 1064, "42000", "near 'SELEC 1' at line 1")
	_, err = db.Prepare("SELECT nosuch FROM nums")
	expectError(t, err, 1054, "42S22", "nosuch")
}

// Many texts may be prepared on one connection without a trace of them left.
func TestPreparedTextsAreForgotten(t *testing.T) {
	s := start(t, Options{})
	db := s.root(t)
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	first, err := conn.PrepareContext(context.Background(), "SELECT ? + 0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for i := range preparedMax + 50 {
		st, err := conn.PrepareContext(context.Background(), fmt.Sprintf("SELECT ? + %d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		st.Close()
	}
	var id uint32
	if err := conn.QueryRowContext(context.Background(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	if n := len(s.engine.PreparedDataCache.CachedStatementsForSession(id)); n > preparedMax {
		t.Errorf("%d texts kept, want %d", n, preparedMax)
	}
	var v int
	if err := first.QueryRow(41).Scan(&v); err != nil || v != 41 {
		t.Errorf("a forgotten text: %d, %v", v, err)
	}
}

func TestStreamingHoldsLittle(t *testing.T) {
	s := start(t, Options{})
	db := s.root(t)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, q := range []struct {
		text string
		args []any
	}{{"SELECT id, s, f FROM big", nil}, {"SELECT id, s, f FROM big WHERE id >= ?", []any{0}}} {
		rows, err := db.Query(q.text, q.args...)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		var peak uint64
		for rows.Next() {
			var id int64
			var str string
			var f float64
			if err := rows.Scan(&id, &str, &f); err != nil {
				t.Fatal(err)
			}
			if id != int64(n) || str != "row" || f != float64(n) {
				t.Fatalf("row %d is %d %s %v", n, id, str, f)
			}
			if n++; n%250_000 == 0 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse)
			}
		}
		if err := rows.Err(); err != nil || n != bigRows {
			t.Fatalf("%d rows, %v", n, err)
		}
		if grown := int64(peak) - int64(before.HeapInuse); grown > 20<<20 {
			t.Errorf("%s: heap grew by %d MiB while a million rows passed", q.text, grown>>20)
		}
	}
}

// endless has work for hours and looks at its context between rows.
const endless = "SELECT COUNT(*) FROM big a, big b WHERE a.f * b.f < -1"

func TestCancelEndsTheStatement(t *testing.T) {
	s := start(t, Options{})
	db := s.root(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := db.QueryContext(ctx, endless)
		done <- err
	}()
	await(t, "the query runs", func() bool { return running(s, endless) })
	cancel() // the driver closes the connection
	if err := <-done; err == nil {
		t.Error("no error")
	}
	await(t, "the server has noticed", func() bool { return !running(s, endless) })
}

func running(s *server, q string) bool {
	for _, p := range s.procs.Processes() {
		if p.Query == q {
			return true
		}
	}
	return false
}

func TestKill(t *testing.T) {
	s := start(t, Options{})
	admin := s.root(t)
	mustExec(t, admin, "CREATE USER reader IDENTIFIED BY 'r'", "GRANT SELECT ON d.* TO reader")
	reader := s.open(t, "reader", "r", "")
	conn, err := reader.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var id int
	if err := conn.QueryRowContext(context.Background(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}

	for _, k := range []struct {
		by   *gosql.DB
		kill string
	}{{reader, "KILL QUERY %d"}, {admin, "KILL QUERY %d"}} {
		done := make(chan error, 1)
		go func() {
			_, err := tryQuery(conn, endless)
			done <- err
		}()
		await(t, "the query runs", func() bool { return running(s, endless) })
		if _, err := k.by.Exec(fmt.Sprintf(k.kill, id)); err != nil {
			t.Fatal(err)
		}
		expectError(t, <-done, 1317, "70100", "interrupted")
	}
	var one int
	if err := conn.QueryRowContext(context.Background(), "SELECT 1").Scan(&one); err != nil {
		t.Errorf("after KILL QUERY: %v", err)
	}

	// Another account's statements are its own.
	var rootID int
	root, err := admin.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := root.QueryRowContext(context.Background(), "SELECT CONNECTION_ID()").Scan(&rootID); err != nil {
		t.Fatal(err)
	}
	_, err = reader.Exec(fmt.Sprintf("KILL %d", rootID))
	expectError(t, err, 1095, "HY000", "not owner")
	_, err = reader.Exec("KILL 99999")
	expectError(t, err, 1094, "HY000", "Unknown thread")
	for _, row := range query(t, reader, "SHOW PROCESSLIST") {
		if !strings.Contains(row, "reader") {
			t.Errorf("reader sees %q", row)
		}
	}
	if rows := query(t, admin, "SHOW FULL PROCESSLIST"); len(rows) < 2 {
		t.Errorf("root sees only %q", rows)
	}
	if rows := query(t, reader, "SHOW GRANTS"); len(rows) != 2 {
		t.Errorf("own grants: %q", rows)
	}

	if _, err := admin.Exec(fmt.Sprintf("KILL CONNECTION %d", id)); err != nil {
		t.Fatal(err)
	}
	if err := conn.QueryRowContext(context.Background(), "SELECT 1").Scan(&one); err == nil {
		t.Error("the connection outlived KILL")
	}
}

func mustExec(t *testing.T, db *gosql.DB, stmts ...string) {
	t.Helper()
	for _, q := range stmts {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func TestStatementTimeout(t *testing.T) {
	s := start(t, Options{StatementTimeout: 50 * time.Millisecond})
	db := s.root(t)
	db.SetMaxOpenConns(1)
	_, err := tryQuery(db, endless)
	expectError(t, err, 3024, "HY000", "maximum statement execution time")
	_, err = tryQuery(db, "SELECT SLEEP(60)")
	expectError(t, err, 3024, "HY000", "")

	mustExec(t, db, "SET max_execution_time = 0")
	expect(t, db, "SELECT SLEEP(0.1)", "0")
	mustExec(t, db, "SET max_execution_time = 30")
	_, err = tryQuery(db, endless)
	expectError(t, err, 3024, "HY000", "")
}

func TestShutdownEndsStatements(t *testing.T) {
	s := start(t, Options{})
	db := s.root(t)
	done := make(chan error, 1)
	go func() {
		_, err := tryQuery(db, endless)
		done <- err
	}()
	await(t, "the query runs", func() bool { return running(s, endless) })
	s.stop()
	if err := <-done; err == nil {
		t.Error("no error")
	}
}
