package gmsx

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
)

// keyTables are tables by_… of the same rows, each with another column as its
// key, and by_it with two.
func keyTables() []*testTable {
	cols := gms.Schema{
		{Name: "i", Type: types.Int32, Nullable: true},
		{Name: "t", Type: types.Int8, Nullable: true},
		{Name: "u", Type: types.Uint64, Nullable: true},
		{Name: "d", Type: types.MustCreateDecimalType(10, 2), Nullable: true},
		{Name: "f", Type: types.Float64, Nullable: true},
		{Name: "dt", Type: types.Date, Nullable: true},
		{Name: "ts", Type: types.MustCreateDatetimeType(types.Datetime.Type(), 6), Nullable: true},
		{Name: "s", Type: types.MustCreateString(sqltypes.VarChar, 20, gms.Collation_utf8mb4_0900_bin), Nullable: true},
	}
	day := ts("2026-01-01 00:00:00")
	rows := []gms.Row{
		{int32(math.MaxInt32), int8(127), uint64(math.MaxUint64), dec("1.50"), 0.1, day, day.Add(10 * time.Hour), "x"},
		{int32(math.MinInt32), int8(-128), uint64(0), dec("1.49"), 0.5, day.AddDate(0, 0, 1), day, "7"},
		{int32(5), int8(5), uint64(5), dec("2.00"), 1.5, day.AddDate(0, 0, 2), day.Add(time.Microsecond), "10x"},
		{int32(-1), int8(-1), uint64(1 << 63), dec("-1.50"), -0.5, day, day, "abc"},
		{nil, nil, nil, nil, nil, nil, nil, nil},
	}
	var tables []*testTable
	for _, keys := range [][]int{{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {0, 1}} {
		name, order := "by_", append([]int{}, keys...)
		for _, k := range keys {
			name += cols[k].Name
		}
		for i := range cols {
			if i != keys[0] && i != keys[len(keys)-1] {
				order = append(order, i)
			}
		}
		var schema gms.Schema
		for _, i := range order {
			c := *cols[i]
			schema = append(schema, &c)
		}
		t := newTestTable(name, len(keys), schema)
		for _, r := range rows {
			var row gms.Row
			for _, i := range order {
				row = append(row, r[i])
			}
			t.rows = append(t.rows, row)
		}
		tables = append(tables, t)
	}
	return tables
}

func startKeyed(t *testing.T, more ...*testTable) *server {
	return start(t, Options{Provider: &testProvider{dbs: []*testDB{newTestDB("d", append(keyTables(), more...)...)}}})
}

func explain(t *testing.T, db querier, q string) string {
	t.Helper()
	return strings.Join(query(t, db, "EXPLAIN FORMAT=TREE "+q), "\n")
}

func TestKeysAreComparedExactly(t *testing.T) {
	db := startKeyed(t).root(t)
	for _, c := range []struct {
		table, cond, want string
		index             bool
	}{
		{"i", "i = 5", "1", true},
		{"i", "5 = i", "1", true},
		{"i", "5 < i", "1", true},
		{"i", "i = '5'", "1", true},
		{"i", "i = 5.0", "1", true},
		{"i", "i IN (5, -1, NULL)", "2", true},
		{"i", "i NOT IN (5, -1)", "2", true},
		{"i", "i NOT IN (5, 5000000000)", "3", false},
		{"i", "i <=> NULL", "1", true},
		{"i", "i = NULL", "0", true},
		{"i", "i BETWEEN -1 AND 5", "2", true},
		{"i", "i BETWEEN -1 AND 3000000000", "3", true}, // by its lower bound
		{"i", "i NOT BETWEEN -1 AND 3000000000", "1", false},
		{"i", "i = 2147483647", "1", true},
		{"i", "i = 2147483648", "0", false},
		{"i", "i < 2147483648", "4", false},
		{"i", "i <= 2147483648", "4", false},
		{"i", "i >= 2147483648", "0", false},
		{"i", "i <> 2147483648", "4", false},
		{"i", "i <=> 2147483648", "0", false},
		{"i", "NOT i <=> 2147483648", "5", false},
		{"i", "i IN (2147483648, 5)", "1", false},
		{"i", "i = -2147483649", "0", false},
		{"i", "i > -2147483649", "4", false},
		{"i", "i > 4.5", "2", false},
		{"i", "i = 99999999999999999999", "0", false},
		{"i", "i = 'abc'", "0", false},
		{"i", "i = '5x'", "1", false},
		{"i", "i IN ('5x', 'abc')", "1", false},
		{"i", "i < 'abc'", "2", false},
		{"i", "i = CAST('5' AS SIGNED)", "1", true},
		{"i", "i = 2147483647 + 1", "0", false},
		{"i", "NOT (i = 5 OR i = 2147483648)", "3", true},
		{"t", "t = 128", "0", false},
		{"t", "t < 128", "4", false},
		{"t", "t > -129", "4", false},
		{"t", "t <> 300", "4", false},
		{"t", "t = 127", "1", true},
		{"t", "t = TRUE", "0", true},
		{"u", "u = 5", "1", true},
		{"u", "u = 18446744073709551615", "1", true},
		{"u", "u = 9223372036854775808", "1", true},
		{"u", "u = 9223372036854775809", "0", true},
		{"u", "u > -1", "4", false},
		{"u", "u >= -1", "4", false},
		{"u", "u = -1", "0", false},
		{"u", "u <> -1", "4", false},
		{"u", "u < -1", "0", false},
		{"u", "u IN (-1, 5)", "1", false},
		{"u", "u NOT IN (-1, 5)", "3", false},
		{"u", "u BETWEEN -1 AND 5", "2", true},
		{"u", "u > 0.5e0", "3", false},
		{"u", "u > 0.5", "3", false},
		{"u", "u < 18446744073709551616", "4", false},
		{"d", "d = 1.50", "1", true},
		{"d", "d = 1.5", "1", true},
		{"d", "d = 2", "1", true},
		{"d", "d > 1.49", "2", true},
		{"d", "d IN (1.5, 2)", "2", true},
		{"d", "d IN (1.499, 1.501)", "0", false},
		{"d", "d IN (1.499, 1.50)", "1", false},
		{"d", "d = 1.499", "0", false},
		{"d", "d > 1.499", "2", false},
		{"d", "1.499 < d", "2", false},
		{"d", "d = -1.5", "1", true},
		{"d", "d > -1.499", "3", false},
		{"d", "d BETWEEN 1.499 AND 1.501", "1", false},
		{"d", "d < 123456789012.5", "4", false},
		{"d", "d = 123456789012", "0", false},
		{"d", "d <> 1.5", "3", false},
		{"d", "d <> 2", "3", false},
		{"d", "d NOT IN (1.5, 2)", "2", false},
		{"d", "NOT (d = 1.5 OR d = 2)", "2", false},
		{"d", "d = 'abc'", "0", false},
		{"f", "f = 0.1", "1", true},
		{"f", "f = 0.1e0", "1", true},
		{"f", "f > 0", "3", true},
		{"f", "f <> 0.1e0", "3", false},
		{"f", "f <> 0.5", "3", false},
		{"f", "f NOT IN (0.1, 1.5)", "2", false},
		{"dt", "dt = '2026-01-01'", "2", true},
		{"dt", "dt = DATE '2026-01-01'", "2", true},
		{"dt", "dt = '2026-01-01 00:00:00'", "2", true},
		{"dt", "dt = '2026-01-01 10:00:00'", "0", false},
		{"dt", "dt = TIMESTAMP '2026-01-01 10:00:00'", "0", false},
		{"dt", "dt = CAST('2026-01-01 10:00:00' AS DATETIME)", "0", false},
		{"dt", "dt > '2026-01-01 10:00:00'", "2", false},
		{"dt", "dt < '2026-01-01 10:00:00'", "2", false},
		{"dt", "dt <> '2026-01-01 10:00:00'", "4", false},
		{"dt", "dt IN ('2026-01-01 10:00:00', '2026-01-02')", "1", false},
		{"dt", "dt BETWEEN '2026-01-01 10:00:00' AND '2026-01-02'", "1", true},
		{"dt", "dt = 20260101", "2", true},
		{"dt", "dt < 20260101100000", "2", false},
		{"dt", "dt = TRUE", "0", false},
		{"ts", "ts = '2026-01-01 10:00:00'", "1", true},
		{"ts", "ts = TIMESTAMP '2026-01-01 10:00:00'", "1", true},
		{"ts", "ts = '2026-01-01'", "2", true},
		{"ts", "ts < NOW() - INTERVAL 1 HOUR", "4", true},
		{"ts", "ts IN ('2026-01-01', '2026-01-01 00:00:00.000001')", "3", true},
		{"s", "s = 'x'", "1", true},
		{"s", "s IN ('x', 'abc', 'y')", "2", true},
		{"s", "s > 'b'", "1", true},
		{"s", "s = 'X'", "0", true},
		{"s", "s = 'X' COLLATE utf8mb4_0900_ai_ci", "1", false},
		{"s", "s > 5", "2", false},
		{"s", "s = 0", "2", false},
		{"s", "s IN (7, 10)", "2", false},
	} {
		from := " FROM by_" + c.table + " WHERE " + c.cond
		expect(t, db, "SELECT COUNT(*)"+from, c.want)
		expect(t, db, "SELECT COUNT(*) FROM (SELECT *"+from+") x", c.want)
		expect(t, db, "SELECT COUNT(*) FROM by_i o WHERE o.t = 5 AND EXISTS (SELECT 1"+from+")", map[bool]string{true: "0", false: "1"}[c.want == "0"])
		expect(t, db, "SELECT COUNT(*) FROM (SELECT t AS five FROM by_t) z JOIN by_"+c.table+" ON five = 5 AND "+c.cond, c.want)
		p := explain(t, db, "SELECT *"+from)
		if got := strings.Contains(p, "IndexedTableAccess") || strings.Contains(p, "EmptyTable"); got != c.index {
			t.Errorf("%s: index %v, want %v\n%s", c.cond, got, c.index, p)
		}
	}
}

func TestPreparedKeysAreComparedExactly(t *testing.T) {
	db := startKeyed(t).root(t)
	for _, c := range []struct {
		q    string
		arg  any
		want string
	}{
		{"SELECT COUNT(*) FROM by_i WHERE i = ?", int64(5), "1"},
		{"SELECT COUNT(*) FROM by_i WHERE i = ?", int64(1 << 31), "0"},
		{"SELECT COUNT(*) FROM by_i WHERE i < ?", int64(1 << 31), "4"},
		{"SELECT COUNT(*) FROM by_i WHERE i = ?", "5", "1"},
		{"SELECT COUNT(*) FROM by_u WHERE u > ?", int64(-1), "4"},
		{"SELECT COUNT(*) FROM by_u WHERE u = ?", uint64(math.MaxUint64), "1"},
		{"SELECT COUNT(*) FROM by_d WHERE d <> ?", 1.5, "3"},
		{"SELECT COUNT(*) FROM by_d WHERE d = ?", "1.50", "1"},
		{"SELECT COUNT(*) FROM by_f WHERE f = ?", 0.1, "1"},
		{"SELECT COUNT(*) FROM by_dt WHERE dt < ?", "2026-01-01 10:00:00", "2"},
	} {
		if got := query(t, db, c.q, c.arg); got[0] != c.want {
			t.Errorf("%s %v: %s, want %s", c.q, c.arg, got, c.want)
		}
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	query(t, conn, "SET @big = 2147483648, @five = 5")
	expect(t, conn, "SELECT COUNT(*) FROM by_i WHERE i = @big", "0")
	expect(t, conn, "SELECT COUNT(*) FROM by_i WHERE i < @big", "4")
	expect(t, conn, "SELECT COUNT(*) FROM by_i WHERE i = @five", "1")
}

// pairTable has two nullable keys: (n, n), (n, NULL) and (NULL, n) for n of
// 0, 1, 2, and (NULL, NULL).
func pairTable() *testTable {
	t := newTestTable("v", 2, gms.Schema{
		{Name: "k", Type: types.Int32, Nullable: true},
		{Name: "t", Type: types.Int32, Nullable: true},
		{Name: "n", Type: types.Int64},
	})
	t.rows = append(t.rows, gms.Row{nil, nil, int64(0)})
	for i := range int32(3) {
		t.rows = append(t.rows, gms.Row{nil, i, int64(i)})
	}
	for i := range int32(3) {
		t.rows = append(t.rows, gms.Row{i, nil, int64(i)}, gms.Row{i, i, int64(i)})
	}
	return t
}

func TestNullKeysJoinNothing(t *testing.T) {
	db := startKeyed(t, pairTable()).root(t)
	on := " v a JOIN v b ON a.k = b.k AND a.t = b.t"
	if p := explain(t, db, "SELECT a.n, b.n FROM"+on); strings.Contains(p, "MergeJoin") ||
		!strings.Contains(p, "LookupJoin") && !strings.Contains(p, "HashJoin") {
		t.Errorf("the plan is\n%s", p)
	}
	expect(t, db, "SELECT COUNT(*) FROM"+on, "3")
	expect(t, db, "SELECT COUNT(*), COUNT(b.n) FROM"+strings.Replace(on, "JOIN", "LEFT JOIN", 1), "10 3")
	expect(t, db, "SELECT COUNT(*) FROM v a JOIN v b ON a.k = b.k", "12")
	expect(t, db, "SELECT COUNT(*) FROM v a JOIN v b ON a.t = b.t", "12")
	expect(t, db, "SELECT COUNT(*) FROM v a JOIN v b ON a.k <=> b.k AND a.t <=> b.t", "10")
	for _, hint := range []string{"HASH_JOIN(a,b)", "LOOKUP_JOIN(a,b)", "INNER_JOIN(a,b)"} {
		expect(t, db, "SELECT /*+ "+hint+" */ COUNT(*) FROM"+on, "3")
		expect(t, db, "SELECT /*+ "+hint+" */ COUNT(*), COUNT(b.n) FROM"+strings.Replace(on, "JOIN", "LEFT JOIN", 1), "10 3")
	}
	// Distinct rows of what is not sorted by them.
	expect(t, db, "SELECT COUNT(*) FROM v a WHERE EXISTS (SELECT 1 FROM v b WHERE b.t = a.t)", "6")
	expect(t, db, "SELECT COUNT(*) FROM v a WHERE a.t IN (SELECT b.t FROM v b)", "6")
	expect(t, db, "SELECT COUNT(*) FROM v a WHERE NOT EXISTS (SELECT 1 FROM v b WHERE b.t = a.t)", "4")
	expect(t, db, "SELECT COUNT(*) FROM v a WHERE NOT EXISTS (SELECT 1 FROM v b WHERE b.t = a.t OR b.k > 5)", "4")
	expect(t, db, "SELECT COUNT(*) FROM v a WHERE NOT EXISTS (SELECT 1 FROM v b WHERE b.t <= a.t AND b.k = a.k)", "7")
	expect(t, db, "SELECT COUNT(*) FROM v a WHERE a.t NOT IN (SELECT b.t FROM v b)", "0")
	expect(t, db, "SELECT COUNT(*) FROM v a WHERE a.t NOT IN (SELECT b.t FROM v b WHERE b.t > 0)", "2")
}

func TestDoublesHaveARange(t *testing.T) {
	inf := newTestTable("inf", 0, gms.Schema{{Name: "f", Type: types.Float64, Nullable: true}},
		gms.Row{1e308}, gms.Row{1e308}, gms.Row{math.NaN()})
	s := startKeyed(t, inf)
	db := s.root(t)
	for _, q := range []string{"SELECT 1e308 * 10", "SELECT -1e308 * 10", "SELECT SUM(f) FROM inf WHERE f = 1e308", "SELECT f FROM inf"} {
		_, err := tryQuery(db, q)
		expectError(t, err, 1690, "22003", "DOUBLE value is out of range")
	}
	_, err := tryQuery(db, "SELECT f * ? FROM inf", 10.0)
	expectError(t, err, 1690, "22003", "DOUBLE value is out of range")
	expect(t, db, "SELECT 1e308", "1e+308")
	if strings.Contains(s.logs.String(), "panic") {
		t.Error(s.logs.String())
	}
}

// Columns of different types join where their values are equal, by a lookup
// or a hash.
func TestJoinsAreExact(t *testing.T) {
	o := newTestTable("o", 0, gms.Schema{
		{Name: "big", Type: types.Int64, Nullable: true},
		{Name: "dd", Type: types.MustCreateDecimalType(20, 4), Nullable: true},
		{Name: "ff", Type: types.Float64, Nullable: true},
		{Name: "tt", Type: types.MustCreateDatetimeType(sqltypes.Datetime, 6), Nullable: true},
		{Name: "tx", Type: types.Text, Nullable: true},
	},
		gms.Row{int64(1 << 31), dec("1.4999"), 5.4, ts("2026-01-01 10:00:00"), "5x"},
		gms.Row{int64(-1), dec("1.5000"), 5.0, ts("2026-01-02 00:00:00"), "5"},
		gms.Row{int64(5000), dec("99999999999.5000"), -0.6, nil, "abc"},
		gms.Row{nil, nil, nil, nil, nil})
	db := startKeyed(t, o, pairTable()).root(t)
	for _, c := range []struct {
		on, rows, how string
		n             int
	}{
		{"by_i z ON o.big = z.i", "-1 -1", "LookupJoin", 1},
		{"by_t z ON o.big = z.t", "-1 -1", "LookupJoin", 1},
		{"by_u z ON o.big = z.u", "", "LookupJoin", 0},
		{"by_u z ON o.big = z.i", "-1 -1", "HashJoin", 1},
		{"by_d z ON o.dd = z.d", "1.5000 1.50", "HashJoin", 1},
		{"by_i z ON o.ff = z.i", "5 5", "LookupJoin", 1},
		{"by_dt z ON o.tt = z.dt", "2026-01-02 00:00:00 2026-01-02", "LookupJoin", 1},
		{"by_i z ON o.tx = z.i", "5 5|5x 5", "HashJoin", 2},
	} {
		cols := strings.Join(strings.Split(c.on[strings.Index(c.on, " ON ")+4:], " = "), ", ")
		var want []string
		if c.rows != "" {
			want = strings.Split(c.rows, "|")
		}
		q := "SELECT " + cols + " FROM o JOIN " + c.on + " ORDER BY 1"
		expect(t, db, q, want...)
		if p := explain(t, db, q); !strings.Contains(p, c.how) {
			t.Errorf("%s is no %s:\n%s", q, c.how, p)
		}
		expect(t, db, "SELECT COUNT(*) FROM o LEFT JOIN "+c.on, "4")
		sub := strings.Replace(c.on, " ON ", " WHERE ", 1)
		expect(t, db, "SELECT COUNT(*) FROM o WHERE EXISTS (SELECT 1 FROM "+sub+")", fmt.Sprint(c.n))
		expect(t, db, "SELECT COUNT(*) FROM o WHERE NOT EXISTS (SELECT 1 FROM "+sub+")", fmt.Sprint(4-c.n))
	}
	if p := explain(t, db, "SELECT * FROM v a WHERE NOT EXISTS (SELECT 1 FROM v b WHERE b.t = a.t)"); !strings.Contains(p, "HashJoin") {
		t.Errorf("no hash join:\n%s", p)
	}
}
