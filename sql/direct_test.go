package sql

import (
	"bytes"
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"

	"weir/views"
	"weir/views/logtest"
)

// A recorder keeps what a server sends.
type recorder struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

type recorded struct {
	net.Conn
	to *recorder
}

func (c recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	c.to.buf.Write(p[:n])
	return n, err
}

// take returns what came since it was last asked.
func (r *recorder) take() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := bytes.Clone(r.buf.Bytes())
	r.buf.Reset()
	return b
}

// recordedConn is a connection whose answers are kept.
func recordedConn(t *testing.T, addr, params string) (*gosql.Conn, *recorder) {
	t.Helper()
	r := &recorder{}
	network := "recorded " + t.Name() + params
	mysql.RegisterDialContext(network, func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		return recorded{c, r}, err
	})
	t.Cleanup(func() { mysql.DeregisterDialContext(network) })
	return wireConn(t, "root@"+network+"("+addr+")/analytics"+params), r
}

// What is answered without the planner is, byte for byte, what the planner
// answers: rows, descriptions of columns, warnings and errors, in both protocols.
func TestDirectEqualsThePlanner(t *testing.T) {
	s := pushdownServer(t)
	addr := serveTest(t, s)
	text, fromText := recordedConn(t, addr, "?interpolateParams=true&time_zone=%27%2B00%3A00%27")
	prepared, fromPrepared := recordedConn(t, addr, "")
	latin, fromLatin := recordedConn(t, addr, "?interpolateParams=true&charset=latin1&sql_mode=%27ANSI%27")
	for _, conn := range []*gosql.Conn{text, prepared, latin} {
		drainRows(conn.QueryContext(t.Context(), "SELECT 1")) // the first tells the status of the session
	}
	r := rand.New(rand.NewPCG(11, 12))
	both := func(conn *gosql.Conn, rec *recorder, query string, args []any) {
		t.Helper()
		run := func(ctx context.Context, args []any) (*gosql.Rows, error) {
			return conn.QueryContext(ctx, query, args...)
		}
		if conn == prepared {
			stmt, err := conn.PrepareContext(t.Context(), query)
			if err != nil {
				return // it is not even planned
			}
			defer stmt.Close()
			run = func(ctx context.Context, args []any) (*gosql.Rows, error) { return stmt.QueryContext(ctx, args...) }
		}
		var answers [2][]byte
		for i, planned := range []bool{true, false} {
			s.planned.Store(planned)
			rec.take()
			drainRows(run(t.Context(), args))
			drainRows(conn.QueryContext(t.Context(), "SHOW WARNINGS"))
			drainRows(conn.QueryContext(t.Context(), "SELECT FOUND_ROWS(), ROW_COUNT()"))
			answers[i] = rec.take()
		}
		if !bytes.Equal(answers[0], answers[1]) {
			t.Errorf("%s %q:\nplanned %.900q\n direct %.900q", query, args, answers[0], answers[1])
		}
	}
	const statements = 400
	for range statements {
		query, args := directQuery(r)
		both(text, fromText, query, args)
		both(prepared, fromPrepared, query, args)
		both(latin, fromLatin, query, args)
		if t.Failed() {
			return
		}
	}
	if n := s.directly.Load(); n < statements/2 {
		t.Errorf("%d of %d statements were answered without the planner", n, 2*statements)
	}
}

func drainRows(rows *gosql.Rows, err error) {
	if err != nil {
		return
	}
	for rows.Next() {
	}
	_ = rows.Close()
}

// directQuery is a SELECT of columns with its arguments. Most, not all, are
// such that the planner is not asked for them.
func directQuery(r *rand.Rand) (query string, args []any) {
	view := pick(r, directViews...)
	name := view.name + pick(r, "", "", "_batch", "_speed")
	from := pick(r, name, name, strings.ToUpper(name), "analytics."+name, "`"+name+"`")
	qualifier := ""
	if r.IntN(4) == 0 {
		from, qualifier = from+pick(r, " ", " AS ")+"Q", pick(r, "", "q.", "Q.")
	}
	columns := append([]string{"n", "total", "mean"}, view.keys...)
	if strings.HasSuffix(name, "_speed") {
		columns = append(columns, "__epoch", "__serving", "__mean_sum")
	}
	var out string
	switch r.IntN(4) {
	case 0:
		out = pick(r, "*", qualifier+"*")
	case 1:
		out = strings.Join(append(append([]string{}, view.keys...), "n"), ", ")
	default:
		var list []string
		for range 1 + r.IntN(3) {
			list = append(list, qualifier+pick(r, columns...)+pick(r, "", "", "", "", " AS x", " AS `Y z`", " n"))
			if r.IntN(10) == 0 {
				list[len(list)-1] = strings.ToUpper(list[len(list)-1])
			}
		}
		out = strings.Join(list, pick(r, ", ", ","))
	}
	value := func(column string) string {
		v := pick(r, directValues[column]...)
		if r.IntN(3) > 0 {
			v = pick(r, directValues[column][:2]...) // is one of the column's own
		}
		if n, isText := v.(string); r.IntN(3) > 0 || isText && n == "" {
			args = append(args, v)
			return "?"
		}
		if text, ok := v.(string); ok {
			return "'" + strings.ReplaceAll(text, "'", "''") + "'"
		}
		return fmt.Sprint(v)
	}
	var conditions []string
	condition := func(column string) {
		shown := qualifier + column
		switch r.IntN(10) {
		case 0:
			conditions = append(conditions, fmt.Sprintf("%s IN (%s, %s)", shown, value(column), value(column)))
		case 1:
			conditions = append(conditions, fmt.Sprintf("%s BETWEEN %s AND %s", shown, value(column), value(column)))
		case 2:
			conditions = append(conditions, fmt.Sprintf("(%s %s %s)", value(column), pick(r, "=", "<", ">=", "<>"), shown))
		case 3, 4:
			conditions = append(conditions, fmt.Sprintf("%s %s %s", shown, pick(r, "<", "<=", ">", ">=", "<>", "<=>"), value(column)))
		default:
			conditions = append(conditions, fmt.Sprintf("%s = %s", shown, value(column)))
		}
	}
	if r.IntN(4) > 0 {
		condition(view.keys[0])
	}
	if r.IntN(2) == 0 {
		condition(view.keys[1])
	}
	if r.IntN(4) == 0 {
		condition(pick(r, "n", "total", "mean", view.keys[0]))
	}
	extremes := r.IntN(6) == 0
	if extremes {
		var list []string
		for range 1 + r.IntN(2) {
			list = append(list, pick(r, "MIN(%s)", "MAX(%s)", "max( %s )", "min(%s) AS least", "MAX(%s) n"))
			list[len(list)-1] = fmt.Sprintf(list[len(list)-1], qualifier+pick(r, view.keys[0], view.keys[0], view.keys[1], "n"))
		}
		out = strings.Join(list, ", ")
	}
	query = "SELECT " + out + " FROM " + from
	if len(conditions) > 0 {
		query += " WHERE " + strings.Join(conditions, " AND ")
	}
	if extremes {
		return query, args
	}
	// Of a group's rows of several epochs the order is nobody's business.
	dir := pick(r, "", " DESC", " ASC")
	if strings.HasSuffix(name, "_speed") {
		dir = ""
	}
	switch r.IntN(5) {
	case 0:
		query += " ORDER BY " + qualifier + view.keys[0] + dir + ", " + qualifier + view.keys[1] + dir
	case 1:
		query += " ORDER BY " + qualifier + view.keys[1] + dir + ", " + view.keys[0] + dir
	case 2:
		query += " ORDER BY " + view.keys[0]
	}
	switch r.IntN(4) {
	case 0:
		query += " LIMIT " + fmt.Sprint(r.IntN(9))
	case 1:
		query += " LIMIT ? OFFSET ?"
		args = append(args, r.IntN(9), r.IntN(5))
	case 2:
		if r.IntN(8) == 0 {
			query += pick(r, " LIMIT 5, 5", " LIMIT 18446744073709551615", " FOR UPDATE")
		}
	}
	return query, args
}

var directViews = []struct {
	name string
	keys []string
}{
	{"plain", []string{"k", "s"}},
	{"texts", []string{"s", "k"}},
	{"times", []string{"m", "s"}},
	{"decimals", []string{"d", "u"}},
	{"unsigneds", []string{"u", "d"}},
	{"days", []string{"day", "x"}},
}

// directValues are what the columns are compared with.
var directValues = map[string][]any{
	"k":     {0, 1, -1, 2, 3, 3, 2147483647, 2147483648, "1", "x", 1.5, nil, int64(-9223372036854775808), "007"},
	"s":     {"a", "ab", "b", "", "A", "żó", "😀", "a ", "a'b", "a\x00b", strings.Repeat("x", 21), strings.Repeat("ż", 300), 1, nil, "\xff"},
	"m":     {"2026-01-01 10:00:00", "2026-01-01 10:01:00", "2026-01-01", "2026-01-01 10:01:00.000", "2026-01-01 10:00:30.5", "2026-01-01T10:00:00", "2026-02-30", "0000-00-00", "2026-1-1", "2026-01-01 10:00:00.1234567", "2026-01-01 10:00:00,5", "1969-12-31 23:59:00", "9999-12-31 23:59:59.999999", nil, 20260101, "x", "2026-01-01 10:00:00 "},
	"d":     {0, 1, -2, "1.5", 1.5, "-2.25", 99999999999, nil, "abc"},
	"u":     {0, 1, 3, -1, "3", int64(9223372036854775807), uint64(18446744073709551615), 1.5, nil},
	"day":   {"2026-01-01", "2026-01-02", "2026-01-01 00:00:00", "2026-01-01 05:00:00", 20260101, nil, "x"},
	"x":     {0, 1.5, "1.5", 1, nil},
	"n":     {0, 1, 2, 10, "1", 1.5, nil},
	"total": {0, 1, "1.25", 5, 99999999, nil},
	"mean":  {0, 1, "0.5", 1.5, nil},
}

// Sums that do not fit where those before them did are read all the same, each
// row once.
func TestDirectReadsWideSums(t *testing.T) {
	broker := &logtest.Memory{}
	s := newTestServer(t, broker, 0)
	const rows = 3000
	for _, q := range []string{
		"CREATE STREAM e (k INT, c DECIMAL(25,5))",
		"CREATE MATERIALIZED VIEW v AS SELECT k, SUM(c) AS total FROM e GROUP BY k",
	} {
		if err := s.Exec(t.Context(), "test", q); err != nil {
			t.Fatal(err)
		}
	}
	var msgs []views.Message
	for i := range rows {
		total := strconv.Itoa(i)
		if i == 2000 {
			total = "12345678901234567890.12345"
		}
		msgs = append(msgs, views.Message{Payload: fmt.Appendf(nil, `{"k":%d,"c":%s}`, i, total)})
	}
	if _, err := broker.Publish(t.Context(), "e", msgs); err != nil {
		t.Fatal(err)
	}
	wait(t, s, "e", rows)
	for _, query := range []string{"SELECT k, total FROM v", "SELECT total, k FROM v WHERE total > 7 AND k >= 3 ORDER BY k DESC LIMIT 2500 OFFSET 11"} {
		s.planned.Store(false)
		before := s.directly.Load()
		got, err := selected(t, s, query)
		if err != nil || s.directly.Load() == before {
			t.Fatalf("%s: %v, or not answered directly", query, err)
		}
		s.planned.Store(true)
		want, err := selected(t, s, query)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) < 2500 || !slices.Equal(got, want) {
			t.Errorf("%s: %d rows, the planner gives %d", query, len(got), len(want))
		}
	}
}

// A statement that is answered directly ends when it is killed.
func TestDirectEndsWhenKilled(t *testing.T) {
	s := pushdownServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	c, end := s.engine.NewContext(ctx, views.DefaultDatabase)
	defer end()
	before := s.directly.Load()
	_, rows, err := s.engine.Query(c, "SELECT k, s, n FROM plain")
	if err != nil || s.directly.Load() == before {
		t.Fatalf("%v, or not answered directly", err)
	}
	defer rows.Close(c)
	if _, err := rows.Next(c); err != nil {
		t.Fatal(err)
	}
	cancel()
	for err = nil; err == nil; {
		_, err = rows.Next(c)
	}
	if errors.Is(err, io.EOF) {
		t.Error("the rows went on to their end")
	}
}
