package sql

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/views"
	"weir/views/logtest"
)

// What is pushed into the scan of a view gives what the engine gives on the
// same rows. Behind a LIMIT, which nothing passes, the engine does it all.
func TestPushdownEqualsTheEngine(t *testing.T) {
	s := pushdownServer(t)
	keys := []struct{ view, a, b, n string }{
		{"plain", "k", "s", "n"}, {"texts", "s", "k", "n"}, {"times", "m", "s", "n"}, {"decimals", "d", "u", "n"}, {"unsigneds", "u", "d", "n"}, {"days", "day", "x", "n"},
	}
	consts := map[string][]string{
		"k":   {"0", "1", "-1", "2", "'1'", "1.0", "1.5", "'x'", "2147483648", "-99999999999", "NULL", "1e0", "TRUE", "18446744073709551615"},
		"s":   {"'a'", "'b'", "''", "'A'", "'ab'", "'żó'", "NULL", "1", "'a '", "'😀'"},
		"m":   {"'2026-01-01 10:00:00'", "'2026-01-01'", "TIMESTAMP '2026-01-01 10:01:00'", "'2026-01-01 10:00:30.5'", "NULL", "DATE '2026-01-01'", "CAST('2026-01-01 10:02:00' AS DATETIME) - INTERVAL 1 MINUTE"},
		"d":   {"0", "1.50", "1.5", "-2.25", "1.505", "'1.5'", "1e0", "99999999999999", "NULL"},
		"u":   {"0", "1", "-1", "18446744073709551615", "9223372036854775808", "'3'", "2.0", "2.5", "NULL", "18446744073709551616"},
		"day": {"'2026-01-01'", "DATE '2026-01-02'", "'2026-01-01 00:00:00'", "'2026-01-01 05:00:00'", "NULL"},
		"x":   {"0", "1.5", "-0.0", "1", "'1.5'", "1e300", "NULL", "0.1"},
	}
	r := rand.New(rand.NewPCG(7, 9))
	condition := func(c string) string {
		v := func() string { return pick(r, consts[c]...) }
		switch r.IntN(9) {
		case 0:
			return fmt.Sprintf("%s IN (%s, %s, %s)", c, v(), v(), v())
		case 1:
			return fmt.Sprintf("%s BETWEEN %s AND %s", c, v(), v())
		case 2:
			return c + pick(r, " IS NULL", " IS NOT NULL")
		case 3:
			if c == "s" {
				return "s " + pick(r, "", "NOT ") + "LIKE " + pick(r, "'a%'", "'%b'", "'ż%'", "'a_'", "'%'", "'A%'")
			}
			return fmt.Sprintf("NOT (%s = %s)", c, v())
		case 4:
			return fmt.Sprintf("%s <=> %s", c, v())
		case 5:
			return fmt.Sprintf("%s %s %s", v(), pick(r, "=", "<", ">=", "<>"), c)
		default:
			return fmt.Sprintf("%s %s %s", c, pick(r, "=", "<", "<=", ">", ">=", "<>"), v())
		}
	}
	different := 0
	for i := range 700 {
		k := keys[i%len(keys)]
		view := k.view + pick(r, "", "", "_batch", "_speed")
		where := ""
		for n := r.IntN(4); n > 0; n-- {
			where = strings.TrimPrefix(where+pick(r, " AND ", " AND ", " OR ")+condition(pick(r, k.a, k.a, k.b)), " ")
		}
		if where != "" {
			_, where, _ = strings.Cut(where, " ")
			where = " WHERE " + where
		}
		text, ordered := pushdownQuery(r, k.a, k.b, k.n, where, view)
		got, gotErr := selected(t, s, strings.ReplaceAll(text, "$", view))
		want, wantErr := selected(t, s, strings.ReplaceAll(text, "$", "(SELECT * FROM "+view+" LIMIT 1000000) AS "+view))
		if (gotErr == nil) != (wantErr == nil) {
			t.Errorf("%s: %v; the engine gives %v", strings.ReplaceAll(text, "$", view), gotErr, wantErr)
			different++
		}
		if !ordered {
			slices.Sort(got)
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", strings.ReplaceAll(text, "$", view), got, want)
			different++
		}
		if different > 12 {
			t.Fatal("and so on")
		}
	}
}

// pushdownQuery is a query of one of the kinds that are pushed down, over the
// relation $; ordered says that the order of its rows is given.
func pushdownQuery(r *rand.Rand, a, b, n, where, view string) (text string, ordered bool) {
	limit := fmt.Sprintf(" LIMIT %d", r.IntN(9))
	if r.IntN(3) == 0 {
		limit += fmt.Sprintf(" OFFSET %d", r.IntN(4))
	}
	dir := pick(r, "", " DESC")
	other := pick(r, "", " DESC")
	rest := a + ", " + b
	if strings.HasSuffix(view, "_speed") {
		rest += ", __epoch"
	}
	switch r.IntN(9) {
	case 0:
		return fmt.Sprintf("SELECT %s, %s, n FROM $%s ORDER BY %s%s, %s%s%s", a, b, where, a, dir, rest, dir, limit), true
	case 1:
		return fmt.Sprintf("SELECT %s AS x1, n AS x2, total FROM $%s ORDER BY x2%s, total%s, %s%s", a, where, other, dir, rest, limit), true
	case 2:
		return fmt.Sprintf("SELECT %s, COUNT(*), SUM(n), MIN(total), MAX(mean), SUM(total), COUNT(mean) FROM $%s GROUP BY %s", b, where, b), false
	case 3:
		return fmt.Sprintf("SELECT COUNT(*), SUM(n), AVG(total) FROM $%s", where), true
	case 4:
		return fmt.Sprintf("SELECT MIN(%s), MAX(%s) FROM $%s", a, a, where), true
	case 5:
		return fmt.Sprintf("SELECT %s(%s) FROM $%s", pick(r, "MIN", "MAX"), pick(r, a, b), where), true
	case 6:
		return fmt.Sprintf("SELECT DISTINCT %s FROM $%s", b, where), false
	case 7:
		if a == "m" {
			bucket := pick(r, "UNIX_TIMESTAMP(m) DIV 120 * 120", "FLOOR(UNIX_TIMESTAMP(m)/90)*90", "DATE(m)", "DATE_FORMAT(m, '%H:%i')", "HOUR(m)", "UNIX_TIMESTAMP(m) DIV 300", "UNIX_TIMESTAMP(m)")
			return fmt.Sprintf("SELECT %s AS t, SUM(n) AS n FROM $%s GROUP BY t HAVING n > 0 ORDER BY t%s", bucket, where, dir), true
		}
		return fmt.Sprintf("SELECT CONCAT('<', %s, '>') AS c, COUNT(*) FROM $%s GROUP BY c", b, where), false
	default:
		return fmt.Sprintf("SELECT * FROM $%s", where), false
	}
}

// selected returns the rows of a SELECT as texts.
func selected(t testing.TB, s *Server, query string) (rows []string, err error) {
	t.Helper()
	ctx, end := s.engine.NewContext(t.Context(), views.DefaultDatabase)
	defer end()
	schema, iter, err := s.engine.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	list, err := gms.RowIterToRows(ctx, iter)
	for _, row := range list {
		rows = append(rows, fmt.Sprint(plainRow(ctx, schema, row)))
	}
	return rows, err
}

// pushdownServer has views with keys of many types, NULL among them, in both
// layers, some of their rows in both.
func pushdownServer(t *testing.T) *Server {
	broker := &logtest.Memory{}
	s := newTestServer(t, broker, 0)
	exec := func(list ...string) {
		for _, q := range list {
			if err := s.Exec(t.Context(), "test", q); err != nil {
				t.Fatal(err)
			}
		}
	}
	exec("CREATE STREAM e (ts DATETIME(6), k INT, s VARCHAR(20), d DECIMAL(12,2), u BIGINT UNSIGNED, x DOUBLE, day DATE, c DECIMAL(10,2)) WITH (event_time = 'ts')")
	const aggregates = "COUNT(*) AS n, SUM(c) AS total, AVG(x) AS mean"
	names := []string{"plain", "texts", "times", "decimals", "unsigneds", "days"}
	for i, key := range []string{"k, s", "s, k", "TUMBLE(ts, INTERVAL 1 MINUTE) AS m, s", "d, u", "u, d", "day, x"} {
		group := strings.Replace(key, "TUMBLE(ts, INTERVAL 1 MINUTE) AS m", "m", 1)
		exec(fmt.Sprintf("CREATE MATERIALIZED VIEW %s WITH (speed_retention = '1h') AS SELECT %s, %s FROM e GROUP BY %s", names[i], key, aggregates, group))
	}
	r := rand.New(rand.NewPCG(3, 4))
	seq := uint64(0)
	publish := func() {
		var msgs []views.Message
		for range 150 {
			msgs = append(msgs, views.Message{Payload: fmt.Appendf(nil, `{"ts":%s,"k":%s,"s":%s,"d":%s,"u":%s,"x":%s,"day":%s,"c":%s}`,
				pick(r, "null", `"2026-01-01T10:00:30Z"`, `"2026-01-01T10:01:00Z"`, `"2026-01-01T10:04:59.999999Z"`, `"2026-01-02T00:00:00Z"`, `"1970-01-01T00:00:00Z"`, `"1969-12-31T23:59:00Z"`),
				pick(r, "null", "-1", "0", "1", "2", "3", "2147483647"), pick(r, "null", `""`, `"a"`, `"ab"`, `"abż"`, `"A"`, `"b"`, `"żó"`, `"a\u0000b"`, `"😀"`),
				pick(r, "null", "0", "1.5", "1.51", "-2.25", "9999999999.99"), pick(r, "null", "0", "1", "3", "9223372036854775808", "18446744073709551615"),
				pick(r, "null", "0", "1.5", "-0.0", "0.1", "1e300"), pick(r, "null", `"2026-01-01"`, `"2026-01-02"`), pick(r, "null", "1.25", "-3", "99999999.99"))})
		}
		if _, err := broker.Publish(t.Context(), "e", msgs); err != nil {
			t.Fatal(err)
		}
		seq += uint64(len(msgs))
		wait(t, s, "e", seq)
	}
	publish()
	for _, n := range names {
		exec("REFRESH MATERIALIZED VIEW " + n)
	}
	publish()
	return s
}

// Joins that look rows up by key give what a join of all rows gives.
func TestJoinsEqualTheEngine(t *testing.T) {
	s := pushdownServer(t)
	r := rand.New(rand.NewPCG(5, 6))
	for range 150 {
		view := pick(r, "plain", "texts") + pick(r, "", "", "_batch", "_speed")
		with := pick(r, "plain", "texts") + pick(r, "", "", "_batch", "_speed")
		on := pick(r, "a.k = b.k AND a.s = b.s", "a.k = b.k", "a.s = b.s", "a.k <=> b.k AND a.s <=> b.s", "a.k = b.k AND a.s = b.s AND a.n > b.n", "a.n = b.k AND b.s = a.s", "b.s = CONCAT(a.s, 'b')", "b.k = a.total AND b.s = a.s")
		where := pick(r, "", "", " WHERE a.k > 0", " WHERE b.n > 2", " WHERE a.s LIKE 'a%%'", " WHERE a.k IS NULL", " WHERE b.k IS NULL")
		kind := pick(r, "JOIN", "LEFT JOIN", "JOIN")
		text := "SELECT a.k, a.s, a.n, b.k, b.s, b.total FROM %s " + kind + " %s ON " + on + where
		got, err := selected(t, s, fmt.Sprintf(text, view+" a", with+" b"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := selected(t, s, fmt.Sprintf(text, "(SELECT * FROM "+view+" LIMIT 1000000) a", "(SELECT * FROM "+with+" LIMIT 1000000) b"))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", fmt.Sprintf(text, view+" a", with+" b"), got, want)
		}
	}
}

// A GROUP BY that is pushed down has a limit for its memory, and says the way out.
func TestGroupsHaveALimit(t *testing.T) {
	broker := &logtest.Memory{}
	s := newTestServer(t, broker, 1<<20)
	for _, q := range []string{"CREATE STREAM e (k INT)", "CREATE MATERIALIZED VIEW v AS SELECT k, COUNT(*) AS n FROM e GROUP BY k"} {
		if err := s.Exec(t.Context(), "test", q); err != nil {
			t.Fatal(err)
		}
	}
	var msgs []views.Message
	for i := range 3 * roomEvery {
		msgs = append(msgs, views.Message{Payload: fmt.Appendf(nil, `{"k":%d}`, i)})
	}
	if _, err := broker.Publish(t.Context(), "e", msgs); err != nil {
		t.Fatal(err)
	}
	wait(t, s, "e", uint64(len(msgs)))
	if _, err := selected(t, s, "SELECT k, SUM(n) FROM v GROUP BY k"); err == nil || !strings.Contains(err.Error(), "Out of memory") || !strings.Contains(err.Error(), "GOMEMLIMIT") {
		t.Errorf("got %v, want an error that says the way out", err)
	}
	if rows, err := selected(t, s, "SELECT SUM(n) FROM v"); err != nil || len(rows) != 1 {
		t.Errorf("one group: %v, %v", rows, err)
	}
}
