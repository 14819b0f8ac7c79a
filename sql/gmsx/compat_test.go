package gmsx

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestLongUnions(t *testing.T) {
	db := start(t, Options{}).root(t)
	for _, kind := range []string{"UNION", "UNION ALL"} {
		q := "SELECT 1 a, 255 c, 0 d"
		want := []string{"1 255 0"}
		for i := range 42 {
			q += fmt.Sprintf(" %s SELECT %d00, 65535, 70000", kind, i+2)
			want = append(want, fmt.Sprintf("%d00 65535 70000", i+2))
		}
		began := time.Now()
		expect(t, db, q, want...)
		expect(t, db, q+" ORDER BY a DESC LIMIT 2", "4300 65535 70000", "4200 65535 70000")
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("%s of 43 branches took %v", kind, d)
		}
	}
	expect(t, db, "SELECT 1 AS a UNION ALL SELECT 1 UNION SELECT 2 UNION ALL SELECT 2 UNION ALL SELECT 2 ORDER BY a", "1", "2", "2", "2")
	_, err := tryQuery(db, "SELECT 1"+strings.Repeat(" UNION SELECT 2 UNION ALL SELECT 3", 20))
	expectError(t, err, 1235, "42000", "too many UNIONs")
	expect(t, db, "WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM c WHERE n < 7) SELECT SUM(n) FROM c", "28")
}

func TestClientsFindWhatTheyLookFor(t *testing.T) {
	db := start(t, Options{}).root(t)
	for _, row := range query(t, db, "SHOW FULL COLUMNS FROM nums") {
		if !strings.Contains(row, " select ") {
			t.Errorf("no privileges: %q", row)
		}
	}
	if got := query(t, db, "SHOW STATUS LIKE 'Uptime'"); len(got) != 1 || got[0] == "Uptime 0" {
		t.Errorf("%q", got)
	}
	for _, q := range []string{
		"SHOW TRIGGERS", "SHOW EVENTS", "SHOW PROCEDURE STATUS", "EXPLAIN SELECT * FROM nums WHERE id = 1",
		"SELECT * FROM information_schema.routines", "SELECT * FROM information_schema.triggers", "SELECT * FROM information_schema.columns",
		"SHOW CREATE TABLE nums", "SHOW INDEX FROM nums", "SHOW TABLE STATUS", "SHOW VARIABLES", "SHOW WARNINGS", "SHOW ENGINES", "SHOW COLLATION",
	} {
		if _, err := tryQuery(db, q); err != nil {
			t.Errorf("%s: %v", q, err)
		}
	}
	expect(t, db, "EXPLAIN SELECT id FROM nums WHERE id = 1", "1 SELECT NULL NULL NULL NULL NULL NULL NULL NULL NULL ")
	db.SetMaxOpenConns(1)
	mustExec(t, db, "PREPARE s FROM 'SELECT ? + 1'", "SET @a = 41")
	expect(t, db, "EXECUTE s USING @a", "42")
	mustExec(t, db, "DEALLOCATE PREPARE s")
}
