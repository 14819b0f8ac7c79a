package gmsx

import (
	gosql "database/sql"
	"fmt"
	"strings"
	"testing"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

func TestSumsAreExact(t *testing.T) {
	db := start(t, Options{}).root(t)
	expect(t, db, "SELECT SUM(i), AVG(i) FROM nums", "9007199254740996 3002399751580332.0000")
	expect(t, db, "SELECT SUM(u) FROM nums", "36893488147419103232") // 2 * (2^64 - 1) + 2
	expect(t, db, "SELECT SUM(-i), SUM(i * -1) FROM nums", "-9007199254740996 -9007199254740996")
	expect(t, db, "SELECT SUM(d), AVG(d) FROM nums", "0.50 0.166667")
	expect(t, db, "SELECT SUM(f), AVG(f) FROM nums WHERE id < 3", "1.0000005e+06 500000.25")
	expect(t, db, "SELECT SUM(t = 2), SUM(s LIKE 'ab%'), COUNT(i), COUNT(*), AVG(t) FROM nums", "2 2 3 4 1.6667")
	expect(t, db, "SELECT SUM(i), AVG(i), COUNT(i), MIN(i), MAX(d) FROM nums WHERE i IS NULL", "NULL NULL 0 NULL NULL")
	expect(t, db, "SELECT SUM(i), COUNT(*) FROM nums WHERE id > 100", "NULL 0")
	expect(t, db, "SELECT id, SUM(i) FROM nums WHERE id > 100 GROUP BY id")
	expect(t, db, "SELECT SUM(DISTINCT t), AVG(DISTINCT d), COUNT(DISTINCT t), COUNT(DISTINCT d, t) FROM nums", "3 0.150000 2 2")
	expect(t, db, "SELECT SUM(s) FROM nums", "0")
	expect(t, db, "SELECT SUM(i) + 1, SUM(i) / 2, -SUM(t) FROM nums", "9007199254740997 4503599627370498.0000 -5")
	expect(t, db, "SELECT t, SUM(i) AS total FROM nums GROUP BY t HAVING SUM(i) > 2 ORDER BY SUM(i) DESC, t", "1 9007199254740993", "2 3")
	expect(t, db, "SELECT * FROM (SELECT t, SUM(i) AS n FROM nums GROUP BY t) x WHERE n = 3", "2 3")
	expect(t, db, "SELECT (SELECT SUM(i) FROM nums) - SUM(i) FROM nums", "0")
	expect(t, db, "SELECT COUNT(*) FROM big", "1000000")
	expect(t, db, "SELECT SUM(id), AVG(id) FROM big", "499999500000 499999.5000")
	expect(t, db, "SELECT id, SUM(t) OVER (ORDER BY id) FROM nums WHERE t IS NOT NULL", "1 1", "2 3", "4 5")
}

func TestSumsHaveTypes(t *testing.T) {
	db := start(t, Options{}).root(t)
	for _, prepared := range []bool{false, true} {
		q, args := "SELECT SUM(i), SUM(u), SUM(t), SUM(d), AVG(d), AVG(i), SUM(f), COUNT(DISTINCT i) FROM nums WHERE id > 0", []any(nil)
		if prepared {
			q, args = strings.Replace(q, "id > 0", "id > ?", 1), []any{0}
		}
		rows, err := db.Query(q, args...)
		if err != nil {
			t.Fatal(err)
		}
		cols, err := rows.ColumnTypes()
		if err != nil {
			t.Fatal(err)
		}
		rows.Close()
		var got []string
		for _, c := range cols {
			name := c.DatabaseTypeName()
			if p, s, ok := c.DecimalSize(); ok && name == "DECIMAL" {
				name += fmt.Sprintf("(%d,%d)", p, s)
			}
			got = append(got, name)
		}
		want := "DECIMAL(41,0) DECIMAL(42,0) DECIMAL(25,0) DECIMAL(32,2) DECIMAL(14,6) DECIMAL(23,4) DOUBLE BIGINT"
		if strings.Join(got, " ") != want {
			t.Errorf("prepared %v: %s\nwant %s", prepared, strings.Join(got, " "), want)
		}
		if cols[0].Name() != "SUM(i)" || cols[7].Name() != "COUNT(DISTINCT i)" {
			t.Errorf("columns are named %q and %q", cols[0].Name(), cols[7].Name())
		}
	}
}

// NULL is no string, and no two strings are another two.
func TestGroupsAreKeyed(t *testing.T) {
	db := start(t, Options{}).root(t)
	expect(t, db, "SELECT HEX(a), HEX(b), COUNT(*) FROM pairs GROUP BY a, b ORDER BY HEX(a), HEX(b)",
		"NULL 78 2", "3C6E696C3E 78 1", "61 0062 2", "61 622C63 1", "6100 62 1", "612C62 63 1")
	expect(t, db, "SELECT COUNT(*) FROM (SELECT DISTINCT a, b FROM pairs) x", "6")
	expect(t, db, "SELECT COUNT(*) FROM (SELECT a, b FROM pairs UNION SELECT a, b FROM pairs) x", "6")
	expect(t, db, "SELECT COUNT(*) FROM (SELECT a, b FROM pairs UNION ALL SELECT a, b FROM pairs) x", "16")
	expect(t, db, "SELECT COUNT(DISTINCT a, b) FROM pairs", "5")
	expect(t, db, "SELECT id AS a FROM nums UNION SELECT 1 UNION SELECT 9 ORDER BY a DESC LIMIT 2 OFFSET 1", "4", "3")
	expect(t, db, "SELECT a FROM pairs WHERE b = 'x' INTERSECT SELECT a FROM pairs WHERE a IS NULL", "NULL")
	expect(t, db, "SELECT a FROM pairs WHERE b = 'x' EXCEPT SELECT a FROM pairs WHERE a IS NULL", "<nil>")
	expect(t, db, "SELECT s, COUNT(*) FROM nums GROUP BY s ORDER BY s", "NULL 1", "<nil> 1", "abc 1", "abż 1")
	expect(t, db, "SELECT DISTINCT d FROM nums ORDER BY d", "NULL", "0.10", "0.20")
	expect(t, db, "SELECT k, COUNT(*), MIN(n) FROM windows GROUP BY k ORDER BY k", "k0 34 0", "k1 33 1", "k2 33 2")
	expect(t, db, "SELECT HOUR(w) AS h, COUNT(*) FROM windows GROUP BY h ORDER BY 2 DESC, 1 LIMIT 1", "0 5")
}

func TestLikeLosesNothing(t *testing.T) {
	s := start(t, Options{})
	db := s.root(t)
	expect(t, db, "SELECT s FROM nums WHERE s LIKE 'ab%' ORDER BY id", "abc", "abż")
	expect(t, db, "SELECT id FROM nums WHERE s NOT LIKE 'ab%' ORDER BY id", "4")
	expect(t, db, "SELECT id FROM nums WHERE s LIKE 'ab_' AND s LIKE '%ż'", "2")
	expect(t, db, "SELECT id FROM nums WHERE s LIKE 'a%c'", "1")
	expect(t, db, "SELECT id FROM nums WHERE s LIKE 'abc'", "1")
	expect(t, db, "SELECT id FROM nums WHERE s LIKE '\\\\<nil>'", "4")
	expect(t, db, "SELECT id FROM nums WHERE s LIKE 'AB%'")
	expect(t, db, "SELECT id FROM nums WHERE s COLLATE utf8mb4_0900_ai_ci LIKE 'AB%' ORDER BY id", "1", "2")
	expect(t, db, "SELECT COUNT(*) FROM nums WHERE s LIKE '%'", "3")
	expect(t, db, "SELECT COUNT(*) FROM nums WHERE s LIKE NULL", "0")
	st, err := db.Prepare("SELECT COUNT(*) FROM nums WHERE s LIKE ?")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for pattern, want := range map[string]int{"ab%": 2, "%": 3, "abc": 1, "a\\%": 0} {
		var n int
		if err := st.QueryRow(pattern).Scan(&n); err != nil || n != want {
			t.Errorf("LIKE %q: %d, %v, want %d", pattern, n, err, want)
		}
	}
}

func TestNextPrefix(t *testing.T) {
	for prefix, want := range map[string]string{"ab": "ac", "a\U0010ffff": "b", "\ud7ff": "\ue000", "ż": "Ž"} {
		got, ok := nextPrefix(prefix)
		if prefix == "ż" {
			want = string(rune('ż' + 1))
		}
		if !ok || got != want {
			t.Errorf("nextPrefix(%q) = %q, %v, want %q", prefix, got, ok, want)
		}
	}
	if _, ok := nextPrefix("\U0010ffff"); ok {
		t.Error("something is above all characters")
	}
}

func TestDoublesAreWrittenAsMySQLDoes(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1e6: "1000000", 4079998: "4079998", 0.1: "0.1", -2.5: "-2.5", 123456789012345: "123456789012345", 1e14: "100000000000000",
		1e15: "1e15", 1.5e15: "1.5e15", 2e20: "2e20", 1e-5: "0.00001", 1e-15: "0.000000000000001", 1e-16: "1e-16", -1.25e300: "-1.25e300",
	} {
		if got := string(appendDouble(nil, f, 64)); got != want {
			t.Errorf("%g: %q, want %q", f, got, want)
		}
	}
	db := start(t, Options{}).root(t)
	expect(t, db, "SELECT f FROM nums ORDER BY id", "0.5", "1e+06", "NULL", "2e+20") // as the driver writes them
}

// rowsRead counts the rows that leave the tables while q runs.
func rowsRead(t *testing.T, db *gosql.DB, tables []*testTable, q string, args ...any) int64 {
	t.Helper()
	for _, tb := range tables {
		tb.read.Store(0)
	}
	query(t, db, q, args...)
	var n int64
	for _, tb := range tables {
		n += tb.read.Load()
	}
	return n
}

func TestTimesAreCompared(t *testing.T) {
	tables := testTables()
	s := start(t, Options{Provider: &testProvider{dbs: []*testDB{newTestDB("d", tables...)}}})
	db := s.root(t)
	for q, want := range map[string]string{
		"w >= '2026-01-04 23:00:00'":                                               "5",
		"w > '2026-01-04 23:00:00'":                                                "4",
		"'2026-01-04 23:00:00' < w":                                                "4",
		"w BETWEEN '2026-01-02' AND '2026-01-02 01:00:00'":                         "2",
		"w NOT BETWEEN '2026-01-01 01:00:00' AND '2027-01-02 01:00:00'":            "1",
		"w IN ('2026-01-01 05:00:00', '2026-01-01 06:00:00.000000', '2020-01-01')": "2",
		"w >= NOW() - INTERVAL 100 YEAR AND w < '2026-01-01 01:00:00'":             "1",
		"w = TIMESTAMP('2026-01-01 05:00:00')":                                     "1",
		"w >= '2026-01-01' AND k = 'k1'":                                           "33",
	} {
		expect(t, db, "SELECT COUNT(*) FROM windows WHERE "+q, want)
	}
	// The condition is the index range, and nothing is left to compare.
	for _, cond := range []string{
		"w >= '2026-01-04 23:00:00'", "w BETWEEN '2026-01-04 23:00:00' AND '2026-01-09'", "w > NOW() - INTERVAL 100 YEAR",
		"w IN ('2026-01-04 23:00:00', '2026-01-05')",
	} {
		planned := strings.Join(query(t, db, "EXPLAIN PLAN SELECT n FROM windows WHERE "+cond), "\n")
		if strings.Contains(planned, "Filter") || !strings.Contains(planned, "IndexedTableAccess") {
			t.Errorf("%s:\n%s", cond, planned)
		}
	}
	if n := rowsRead(t, db, tables, "SELECT n FROM windows WHERE w >= ?", "2026-01-04 23:00:00"); n != 5 {
		t.Errorf("%d rows were read for 5", n)
	}
}

func TestConditionsReachTables(t *testing.T) {
	tables := testTables()
	s := start(t, Options{Provider: &testProvider{dbs: []*testDB{newTestDB("d", tables...)}}})
	db := s.root(t)
	mustExec(t, db,
		"CREATE VIEW plain AS SELECT w, k, n + 1 AS m FROM windows",
		"CREATE VIEW both_ AS SELECT w, k, n FROM windows UNION ALL SELECT w, k, n FROM more_windows",
		"CREATE VIEW grouped AS SELECT w, SUM(n) AS total, COUNT(*) AS c FROM (SELECT w, k, n FROM windows UNION ALL SELECT w, k, n FROM more_windows) u GROUP BY w",
		"CREATE VIEW nested AS SELECT w AS x, m FROM plain WHERE m > 0",
		"CREATE VIEW swapped (a, b) AS SELECT n, w FROM windows",
		"CREATE VIEW limited AS SELECT w, n FROM windows ORDER BY w LIMIT 10",
		"CREATE VIEW keyed AS SELECT DATE(w) AS d, SUM(n) AS total FROM windows GROUP BY DATE(w)",
	)
	for _, c := range []struct {
		q     string
		rows  string
		reads int64 // at most
	}{
		{"SELECT m FROM plain WHERE w = '2026-01-01 05:00:00'", "6", 1},
		{"SELECT x.m FROM plain x WHERE x.w < '2026-01-01 02:00:00' AND x.m > 1", "2", 2},
		{"SELECT COUNT(*) FROM both_ WHERE w < '2026-01-01 02:00:00'", "4", 4},
		{"SELECT COUNT(*) FROM both_ WHERE w < '2026-01-01 02:00:00' AND n = 1", "2", 4},
		{"SELECT total, c FROM grouped WHERE w = '2026-01-01 05:00:00'", "10 2", 2},
		{"SELECT total FROM grouped WHERE w < '2026-01-01 03:00:00' AND total > 2", "4", 6},
		{"SELECT m FROM nested WHERE x = '2026-01-01 05:00:00'", "6", 1},
		{"SELECT a FROM swapped WHERE b = '2026-01-01 05:00:00'", "5", 1},
		{"SELECT COUNT(*) FROM limited WHERE w >= '2026-01-01 05:00:00'", "5", 100},
		{"SELECT total FROM keyed WHERE d = '2026-01-05'", "390", 100}, // 96+97+98+99
		{"SELECT COUNT(*) FROM (SELECT w, n FROM windows UNION ALL SELECT w, n FROM more_windows) x WHERE w = '2026-01-01 05:00:00'", "2", 2},
		{"SELECT COUNT(*) FROM (SELECT w, n FROM windows UNION SELECT w, n FROM more_windows) x WHERE w = '2026-01-01 05:00:00'", "1", 2},
		{"SELECT p.m FROM plain p JOIN nums u ON u.id = p.m WHERE p.w = '2026-01-01 00:00:00'", "1", 5},
		{"SELECT COUNT(*) FROM nums u LEFT JOIN plain p ON u.id = p.m AND p.w < '2026-01-01 02:00:00'", "4", 500},
	} {
		expect(t, db, c.q, c.rows)
		if n := rowsRead(t, db, tables, c.q); n > c.reads {
			t.Errorf("%s: %d rows were read, want %d at most\n%s", c.q, n, c.reads, strings.Join(query(t, db, "EXPLAIN PLAN "+c.q), "\n"))
		}
	}
}

// A first aggregate of a test: the arguments' count and sum, as text.
func testAggregate(args []gms.Expression) (AggregateSpec, error) {
	if len(args) == 0 || len(args) > 2 {
		return AggregateSpec{}, Error(1582, "42000", "Incorrect parameter count in the call to native function 'approx_thing'")
	}
	return AggregateSpec{Type: types.LongText, Nullable: true, New: func(args []gms.Expression) (gms.AggregationBuffer, error) {
		return &testBuffer{args: args}, nil
	}}, nil
}

type testBuffer struct {
	args []gms.Expression
	n    int
	all  []string
}

func (b *testBuffer) Update(ctx *gms.Context, row gms.Row) error {
	for _, a := range b.args {
		v, err := a.Eval(ctx, row)
		if err != nil {
			return err
		}
		b.all = append(b.all, fmt.Sprint(v))
	}
	b.n++
	return nil
}

func (b *testBuffer) Eval(*gms.Context) (any, error) {
	return fmt.Sprintf("%d:%s", b.n, strings.Join(b.all, ",")), nil
}
func (b *testBuffer) Dispose() {}

func TestAggregatesOfOnesOwn(t *testing.T) {
	db := start(t, Options{Aggregates: map[string]AggregateFactory{"approx_thing": testAggregate, "First": testAggregate}}).root(t)
	expect(t, db, "SELECT approx_thing(id, 0.95) FROM nums WHERE id < 3", "2:1,0.95,2,0.95")
	expect(t, db, "SELECT t, Approx_Thing(id) FROM nums GROUP BY t ORDER BY t", "NULL 1:3", "1 1:1", "2 2:2,4")
	expect(t, db, "SELECT APPROX_THING(DISTINCT t) FROM nums", "3:1,2,<nil>")
	expect(t, db, "SELECT FIRST(id, t) FROM nums WHERE id = 1", "1:1,1")
	expect(t, db, "SELECT LAST(id) FROM nums", "4") // the carrier's own
	expect(t, db, "SELECT t, approx_thing(id) AS x FROM nums GROUP BY t HAVING x LIKE '2:%' ORDER BY approx_thing(id)", "2 2:2,4")
	mustExec(t, db, "CREATE VIEW v AS SELECT t, approx_thing(id) AS x, SUM(id) AS y FROM nums GROUP BY t")
	expect(t, db, "SELECT x, y FROM v WHERE t = 2", "2:2,4 6")
	st, err := db.Prepare("SELECT approx_thing(id, ?) FROM nums WHERE id = ?")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var x string
	if err := st.QueryRow(7, 2).Scan(&x); err != nil || x != "1:2,7" {
		t.Errorf("prepared: %q, %v", x, err)
	}
	rows, err := db.Query("SELECT approx_thing(id, 0.95), approx_thing(id) AS b FROM nums")
	if err != nil {
		t.Fatal(err)
	}
	cols, _ := rows.Columns()
	rows.Close()
	if fmt.Sprint(cols) != "[approx_thing(id, 0.95) b]" {
		t.Errorf("columns: %q", cols)
	}
	_, err = db.Query("SELECT approx_thing() FROM nums")
	expectError(t, err, 1582, "42000", "parameter count")
	_, err = db.Query("SELECT approx_thing(nosuch) FROM nums")
	expectError(t, err, 1054, "42S22", "nosuch")
}

// What comes from behind an outer join may be NULL, whatever its table says.
func TestOuterJoinsAreNullable(t *testing.T) {
	db := start(t, Options{}).root(t)
	const joined = "FROM nums x LEFT JOIN nums y ON y.id = x.id + 1"
	for _, test := range [][2]string{
		{"SELECT id FROM nums", "false"},
		{"SELECT x.id, y.id " + joined, "true true"},
		{"SELECT y.id FROM nums y RIGHT JOIN nums x ON y.id = x.id + 1", "true"},
		{"SELECT d.id FROM (SELECT y.id " + joined + ") d", "true"},
		{"SELECT y.id " + joined + " ORDER BY y.id LIMIT 1", "true"},
		{"SELECT DISTINCT y.id " + joined + " WHERE x.id > 0 ORDER BY 1", "true"},
		{"SELECT x.id, y.id FROM nums x JOIN nums y ON y.id = x.id LIMIT 1", "false false"},
	} {
		q, want := test[0], test[1]
		for _, prepared := range []bool{false, true} {
			ask := func() (*gosql.Rows, error) { return db.Query(q) }
			if prepared {
				stmt, err := db.Prepare(q)
				if err != nil {
					t.Fatal(q, err)
				}
				defer stmt.Close()
				ask = func() (*gosql.Rows, error) { return stmt.Query() }
			}
			rows, err := ask()
			if err != nil {
				t.Fatal(q, err)
			}
			cols, err := rows.ColumnTypes()
			if err != nil {
				t.Fatal(err)
			}
			rows.Close()
			var got []string
			for _, c := range cols {
				nullable, _ := c.Nullable()
				got = append(got, fmt.Sprint(nullable))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %s, want %s", q, strings.Join(got, " "), want)
			}
		}
	}
	expect(t, db, "SELECT x.id, y.id "+joined+" WHERE NOT EXISTS (SELECT 1 FROM nums z WHERE z.id = y.id)", "4 NULL")
}
