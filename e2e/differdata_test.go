package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
)

// The rows that both servers hold. The values of each column are those on
// which comparing, sorting, converting and adding up go wrong.

// A differColumn is a column of the stream, and what its rows may have, as SQL.
type differColumn struct {
	name, typ, maria string
	kind             kind
	values           []string
}

var differColumns = []differColumn{
	{"id", "BIGINT NOT NULL", "BIGINT NOT NULL", kNum, nil},
	{"i", "BIGINT", "BIGINT", kNum, []string{
		"NULL", "0", "1", "-1", "2", "3", "7", "10", "-10", "42", "127", "255", "1000000", "2147483648", "-2147483649",
		"9007199254740993", "9007199254740992", "9223372036854775807", "-9223372036854775808",
	}},
	{"u", "BIGINT UNSIGNED", "BIGINT UNSIGNED", kNum, []string{
		"NULL", "0", "1", "2", "3", "10", "42", "255", "4294967296", "9223372036854775807", "9223372036854775808",
		"18446744073709551615",
	}},
	{"n", "INT", "INT", kNum, []string{"NULL", "0", "1", "2", "3", "4", "5", "-1", "-2", "-3", "7", "12", "100", "2147483647", "-2147483648"}},
	{"f", "DOUBLE", "DOUBLE", kNum, []string{
		"NULL", "0e0", "1e0", "-1e0", "0.1e0", "-2.5e0", "2.5e0", "0.5e0", "1.5e0", "3e0", "1e6", "1e14", "1e15", "1e-5", "1e-7",
		"0.3333333333333333e0", "1.5e60", "-1e-100", "42e0",
	}},
	{"d", "DECIMAL(10,2)", "DECIMAL(10,2)", kNum, []string{"NULL", "0.00", "0.10", "-0.10", "1.00", "1.50", "2.50", "-2.50", "0.01", "-0.01", "3.14", "42.00", "12.00", "99999999.99", "-99999999.99"}},
	{"s", "VARCHAR(40)", "VARCHAR(40)", kStr, []string{
		"NULL", "''", "' '", "'a'", "'A'", "'a '", "'ab'", "'abc'", "'ABC'", "'Abc'", "'ä'", "'a\u0308'", "'ß'", "'ss'", "'ż'", "'abż'", "'😀'", "'ab😀'",
		"'%'", "'_'", "'a_b'", "'a%b'", `'a\\b'`, "'12'", "'12abc'", "'-1.5e2'", "'1e3'", "' 7'", "'0'", "'0.0'", "'NULL'", "'<nil>'", "'2026-01-02'", "'İ'", "'it''s'",
		"'x,y'", "'1,2'", "'20260102'", "'true'",
	}},
	{"k", "VARCHAR(10)", "VARCHAR(10)", kStr, []string{"'a'", "'b'", "'c'", "'A'", "NULL", "''", "'1'", "'2'"}},
	{"dt", "DATETIME(6)", "DATETIME(6)", kTime, []string{
		"NULL", "'2026-01-01 00:00:00'", "'2026-01-01 00:00:00.000001'", "'2026-01-01 23:59:59.999999'", "'2026-01-02 03:04:05.678900'",
		"'1969-12-31 23:59:59.5'", "'1970-01-01 00:00:00'", "'1970-01-01 00:00:01'", "'2024-02-29 12:00:00'", "'2026-03-29 01:30:00'", "'2026-12-31 23:00:00'", "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'2026-01-31 10:11:12.5'",
	}},
	{"da", "DATE", "DATE", kDate, []string{"NULL", "'2024-02-29'", "'2026-01-01'", "'2026-01-02'", "'2026-12-31'", "'1970-01-01'", "'9999-12-31'", "'2025-12-29'", "'2023-01-01'", "'2026-01-31'"}},
	{"b", "BOOLEAN", "BOOLEAN", kBool, []string{"NULL", "TRUE", "FALSE"}},
	{"j", "JSON", "JSON", kJSON, []string{"NULL", `'{"a": 1, "b": [1, 2, {"c": null}]}'`, `'[]'`, `'{}'`, `'"x"'`, `'1'`, `'1.5'`, `'null'`, `'true'`, `'{"a": "x", "b": 2}'`, `'[1, "two", 3.5, null]'`, `'{"a": {"b": "ż"}}'`}},
}

const differRows = 72

// differValues are the rows, as SQL: the values of each column in turn, and
// then at random.
func differValues(r *rand.Rand) []string {
	rows := make([]string, differRows)
	for i := range rows {
		vals := make([]string, len(differColumns))
		for c, col := range differColumns {
			switch {
			case col.values == nil:
				vals[c] = fmt.Sprint(i + 1)
			case i < len(col.values):
				vals[c] = col.values[(i+c*5)%len(col.values)]
			default:
				vals[c] = col.values[r.IntN(len(col.values))]
			}
		}
		rows[i] = "(" + strings.Join(vals, ", ") + ")"
	}
	return rows
}

// A relation is a table of both servers.
type relation struct {
	name string
	cols []relationColumn
}

type relationColumn struct {
	name string
	kind kind
}

const projected = "id, i, u, n, f, d, s, k, dt, da, b, j"

// differViews are the views, with what they have in MariaDB. @where is the
// condition on the rows that count.
var differViews = []struct {
	name, weir, maria, key string
	cols                   []relationColumn
}{
	{
		"p", "SELECT " + projected + " FROM t", "SELECT _seq, " + projected + " FROM t WHERE @where", "_seq",
		[]relationColumn{{"id", kNum}, {"i", kNum}, {"u", kNum}, {"n", kNum}, {"f", kNum}, {"d", kNum}, {"s", kStr}, {"k", kStr}, {"dt", kTime}, {"da", kDate}, {"b", kBool}, {"j", kJSON}},
	},
	{
		"a", "SELECT k, n, COUNT(*) AS c, SUM(i) AS si, SUM(d) AS sd, AVG(n) AS an, MIN(f) AS mf, MAX(dt) AS xd, MIN(s) AS ms, MAX(u) AS xu FROM t GROUP BY k, n",
		"SELECT k, n, COUNT(*) AS c, SUM(i) AS si, SUM(d) AS sd, AVG(n) AS an, MIN(f) AS mf, MAX(dt) AS xd, MIN(s) AS ms, MAX(u) AS xu FROM t WHERE @where GROUP BY k, n", "k, n",
		[]relationColumn{{"k", kStr}, {"n", kNum}, {"c", kNum}, {"si", kNum}, {"sd", kNum}, {"an", kNum}, {"mf", kNum}, {"xd", kTime}, {"ms", kStr}, {"xu", kNum}},
	},
	{
		"w", "SELECT TUMBLE(dt, INTERVAL 1 DAY) AS w, b, COUNT(*) AS c, COUNT(DISTINCT n) AS cn, SUM(d) AS sd, BIT_OR(n) AS bo, MAX(s) AS xs, COUNT(s) AS cs FROM t GROUP BY w, b",
		"SELECT CAST(DATE(dt) AS DATETIME(6)) AS w, b, COUNT(*) AS c, COUNT(DISTINCT n) AS cn, SUM(d) AS sd, BIT_OR(n) AS bo, MAX(s) AS xs, COUNT(s) AS cs FROM t WHERE @where GROUP BY 1, b", "w, b",
		[]relationColumn{{"w", kTime}, {"b", kBool}, {"c", kNum}, {"cn", kNum}, {"sd", kNum}, {"bo", kNum}, {"xs", kStr}, {"cs", kNum}},
	},
	{
		"q", "SELECT da, s, d, COUNT(*) AS c, MIN(i) AS mi, AVG(d) AS ad FROM t GROUP BY da, s, d",
		"SELECT da, s, d, COUNT(*) AS c, MIN(i) AS mi, AVG(d) AS ad FROM t WHERE @where GROUP BY da, s, d", "da, s, d",
		[]relationColumn{{"da", kDate}, {"s", kStr}, {"d", kNum}, {"c", kNum}, {"mi", kNum}, {"ad", kNum}},
	},
}

// fill makes the relations on both servers and fills them, the first half of
// the rows through the batch layer.
func (d *differ) fill(ctx context.Context, rows []string) {
	d.t.Helper()
	var weirCols, mariaCols []string
	t := relation{name: "t", cols: []relationColumn{{"_seq", kNum}}}
	for _, c := range differColumns {
		weirCols = append(weirCols, c.name+" "+c.typ)
		mariaCols = append(mariaCols, c.name+" "+c.maria)
		t.cols = append(t.cols, relationColumn{c.name, c.kind})
	}
	half := len(rows) / 2
	insert := "INSERT INTO t (" + projected + ") VALUES "
	w, m := d.weir, d.maria
	w.must(ctx, "CREATE STREAM t ("+strings.Join(weirCols, ", ")+")")
	for _, v := range differViews {
		w.must(ctx, "CREATE MATERIALIZED VIEW "+v.name+" WITH (batch_interval = '100d', speed_retention = '0') AS "+v.weir)
	}
	w.must(ctx, insert+strings.Join(rows[:half], ", "))
	w.must(ctx, fmt.Sprintf("SELECT WAIT_FOR_SEQ('t', %d, 60)", half))
	for _, v := range differViews {
		w.must(ctx, "REFRESH MATERIALIZED VIEW "+v.name)
	}
	w.must(ctx, insert+strings.Join(rows[half:], ", "))
	w.must(ctx, fmt.Sprintf("SELECT WAIT_FOR_SEQ('t', %d, 60)", len(rows)))

	m.must(ctx, "CREATE TABLE t (_seq BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, "+strings.Join(mariaCols, ", ")+")")
	for _, row := range rows {
		m.must(ctx, insert+row)
	}
	d.relations = append(d.relations, t)
	for _, v := range differViews {
		for suffix, where := range map[string]string{"": "TRUE", "_batch": fmt.Sprintf("_seq <= %d", half), "_speed": fmt.Sprintf("_seq > %d", half)} {
			m.must(ctx, "CREATE TABLE "+v.name+suffix+" AS "+strings.Replace(v.maria, "@where", where, 1))
			m.must(ctx, "ALTER TABLE "+v.name+suffix+" ADD INDEX ("+v.key+")")
		}
	}
	for _, v := range differViews {
		for _, suffix := range []string{"", "_batch", "_speed"} {
			d.relations = append(d.relations, relation{v.name + suffix, v.cols})
		}
	}
}
