package gmsx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// testStatement is CREATE STREAM name, which returns nothing, or SHOW STREAMS,
// which returns rows.
type testStatement struct {
	text   string
	schema gms.Schema
	rows   []gms.Row
	err    error
	wait   bool
	access Access
}

func (s *testStatement) Schema() gms.Schema { return s.schema }
func (s *testStatement) ReadOnly() bool     { return s.schema != nil }
func (s *testStatement) Access() Access     { return s.access }

func (s *testStatement) RowIter(ctx *gms.Context) (gms.RowIter, error) {
	if s.wait {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if s.err != nil {
		return nil, s.err
	}
	if s.schema == nil {
		return OK(7), nil
	}
	return gms.RowsToRowIter(s.rows...), nil
}

// testHook knows the statements of streams, and their mistakes.
func testHook(_ context.Context, q string) (Statement, bool, error) {
	upper := strings.ToUpper(q)
	switch {
	case strings.HasPrefix(upper, "CREATE STREAM"):
		return &testStatement{text: q, access: Access{Privilege: PrivilegeCreate, Database: "d"}}, true, nil
	case strings.HasPrefix(upper, "SHOW STREAMS"):
		return &testStatement{
			text: q, schema: gms.Schema{{Name: "name", Type: types.LongText}, {Name: "n", Type: types.Int64}},
			rows: []gms.Row{{"a", int64(1)}, {"b", int64(2)}},
		}, true, nil
	case strings.HasPrefix(upper, "WRONG STREAM"):
		return nil, false, errors.New("a stream has no colour")
	case strings.HasPrefix(upper, "NUMBERED STREAM"):
		return nil, false, Error(1234, "42X01", "its own number: %d%%", 50)
	case strings.HasPrefix(upper, "FAILING STREAM"):
		return &testStatement{text: q, err: Error(3100, "HY000", "it is 12%% done")}, true, nil
	case strings.HasPrefix(upper, "WAIT FOR STREAM"):
		return &testStatement{text: q, wait: true}, true, nil
	}
	return nil, false, nil
}

func TestStatementsOfOnesOwn(t *testing.T) {
	s := start(t, Options{ParseHook: testHook})
	db := s.root(t)
	res, err := db.Exec("/* c */ CREATE STREAM x (a INT) -- the end; not\n;")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := res.RowsAffected(); n != 7 {
		t.Errorf("%d rows affected, want 7", n)
	}
	expect(t, db, "show streams", "a 1", "b 2")

	_, err = db.Exec("WRONG STREAM x")
	expectError(t, err, 1064, "42000", "a stream has no colour")
	_, err = db.Exec("NUMBERED STREAM x")
	expectError(t, err, 1234, "42X01", "its own number: 50%")
	_, err = db.Exec("FAILING STREAM x")
	expectError(t, err, 3100, "HY000", "it is 12% done")
	_, err = db.Exec("CREATE STREAM x; SELECT 1") // without CLIENT_MULTI_STATEMENTS
	expectError(t, err, 1064, "42000", "only one statement")

	mustExec(t, db, "CREATE USER reader IDENTIFIED BY 'r'", "GRANT SELECT ON d.* TO reader")
	reader := s.open(t, "reader", "r", "")
	_, err = reader.Exec("CREATE STREAM x")
	expectError(t, err, 1044, "42000", "denied")
	expect(t, reader, "SHOW STREAMS", "a 1", "b 2")
}

func TestStatementsOfOnesOwnAmongOthers(t *testing.T) {
	db := start(t, Options{ParseHook: testHook}).open(t, "root", "", "multiStatements=true")
	rows, err := db.Query("SELECT 'a;b' AS x; CREATE STREAM x (a INT); SHOW STREAMS /* ; */; ; SELECT `id` FROM nums WHERE s = 'abc'; ")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for {
		cols, _ := rows.Columns()
		for rows.Next() {
			vals := make([]any, len(cols))
			for i := range vals {
				vals[i] = new(string)
			}
			if err := rows.Scan(vals...); err != nil {
				t.Fatal(err)
			}
			for _, v := range vals {
				got = append(got, *v.(*string))
			}
		}
		if !rows.NextResultSet() {
			break
		}
	}
	if err := rows.Err(); err != nil || strings.Join(got, " ") != "a;b a 1 b 2 1" {
		t.Errorf("got %q, %v", got, err)
	}
	_, err = db.Exec("SELECT 1; WRONG STREAM x; SELECT 2")
	expectError(t, err, 1064, "42000", "no colour")
}

func TestWaitingStatementIsKilledNotTimedOut(t *testing.T) {
	s := start(t, Options{ParseHook: testHook, StatementTimeout: 1})
	db := s.root(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var id int
	if err := conn.QueryRowContext(ctx, "SHOW PROCESSLIST").Scan(&id, new(any), new(any), new(any), new(any), new(any), new(any), new(any)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(ctx, "WAIT FOR STREAM x")
		done <- err
	}()
	await(t, "it waits", func() bool { return running(s, "WAIT FOR STREAM x") })
	mustExec(t, db, fmt.Sprintf("KILL QUERY %d", id))
	expectError(t, <-done, 1317, "70100", "")
}

// A hook that knows TUMBLE(ts, INTERVAL 1 HOUR) as TUMBLE(ts, 3600).
func testRewrite(stmt ast.Statement, _ string) (ast.Statement, error) {
	return stmt, ast.Walk(func(n ast.SQLNode) (bool, error) {
		f, ok := n.(*ast.FuncExpr)
		if !ok || f.Name.Lowered() != "tumble" || len(f.Exprs) != 2 {
			return true, nil
		}
		a := f.Exprs[1].(*ast.AliasedExpr)
		if iv, ok := a.Expr.(*ast.IntervalExpr); ok {
			if !strings.EqualFold(iv.Unit, "hour") {
				return false, errors.New("a window is of hours")
			}
			a.Expr = &ast.BinaryExpr{Operator: ast.MultStr, Left: iv.Expr, Right: ast.NewIntVal([]byte("3600"))}
		}
		return true, nil
	}, stmt)
}

var testTumble = gms.Function2{Name: "tumble", Fn: func(a, b gms.Expression) gms.Expression { return &tumble{a, b} }}

type tumble struct{ ts, width gms.Expression }

func (f *tumble) Resolved() bool             { return f.ts.Resolved() && f.width.Resolved() }
func (f *tumble) String() string             { return fmt.Sprintf("tumble(%s, %s)", f.ts, f.width) }
func (f *tumble) Type() gms.Type             { return types.Int64 }
func (f *tumble) IsNullable() bool           { return true }
func (f *tumble) Children() []gms.Expression { return []gms.Expression{f.ts, f.width} }
func (f *tumble) WithChildren(c ...gms.Expression) (gms.Expression, error) {
	return &tumble{c[0], c[1]}, nil
}

func (f *tumble) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	ts, err := f.ts.Eval(ctx, row)
	if err != nil || ts == nil {
		return nil, err
	}
	w, err := f.width.Eval(ctx, row)
	if err != nil || w == nil {
		return nil, err
	}
	n, _, err := types.Int64.Convert(ctx, w)
	if err != nil {
		return nil, err
	}
	t, _, err := types.DatetimeMaxPrecision.Convert(ctx, ts)
	if err != nil {
		return nil, err
	}
	return t.(interface{ Unix() int64 }).Unix() / n.(int64), nil
}

func TestStatementsAreRewritten(t *testing.T) {
	db := start(t, Options{ParseHook: testHook, RewriteHook: testRewrite, Functions: []gms.Function{testTumble}}).root(t)
	const q = "SELECT TUMBLE(w, INTERVAL 50 HOUR) AS h, COUNT(*) FROM windows WHERE n >= %s GROUP BY h ORDER BY h"
	want := []string{"9817 4", "9818 50", "9819 46"}
	expect(t, db, fmt.Sprintf(q, "0"), want...)
	if got := query(t, db, fmt.Sprintf(q, "?"), 0); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("prepared: %q", got)
	}
	mustExec(t, db, "CREATE VIEW hours AS SELECT TUMBLE(w, INTERVAL 50 HOUR) AS h, SUM(n) AS s FROM windows GROUP BY h")
	expect(t, db, "SELECT COUNT(*), SUM(s) FROM hours", "3 4950")
	expect(t, db, "SELECT COUNT(*) FROM (SELECT TUMBLE(w, INTERVAL 50 HOUR) AS h FROM windows) x WHERE h = 9818", "50")
	expect(t, db, "SELECT s FROM hours WHERE h = 9817", "6")
	_, err := db.Query("SELECT TUMBLE(w, INTERVAL 1 DAY) FROM windows")
	expectError(t, err, 1064, "42000", "a window is of hours")
	_, err = db.Query("SELECT TUMBLE(w, INTERVAL 1 DAY) FROM windows WHERE n > ?", 1)
	expectError(t, err, 1064, "42000", "a window is of hours")
}

func TestSplitStatement(t *testing.T) {
	for in, want := range map[string][2]string{
		"a":                               {"a", ""},
		"a;b":                             {"a", "b"},
		"a';'b;c":                         {"a';'b", "c"},
		`a'\';'b;c`:                       {`a'\';'b`, "c"},
		"a'';'b'';c":                      {"a''", "'b'';c"},
		"a`;``;`b;c":                      {"a`;``;`b", "c"},
		`a";"b;c`:                         {`a";"b`, "c"},
		"a -- ;\n b;c":                    {"a -- ;\n b", "c"},
		"a # ;\n b;c":                     {"a # ;\n b", "c"},
		"a /* ; */ b;c":                   {"a /* ; */ b", "c"},
		"a--;b":                           {"a--", "b"},
		"a /* ;":                          {"a /* ;", ""},
		"a ';":                            {"a ';", ""},
		"CREATE STREAM x WITH (p=';');;b": {"CREATE STREAM x WITH (p=';')", ";b"},
	} {
		first, rest := splitStatement(in)
		if first != want[0] || rest != want[1] {
			t.Errorf("%q: %q and %q", in, first, rest)
		}
	}
	if got := trimComments(" /* a */ -- b\n # c\n\t SELECT 1"); got != "SELECT 1" {
		t.Errorf("trimComments: %q", got)
	}
}

// snapKey is of the snapshot that statements of the test open.
type snapKey struct{}

func TestStatementState(t *testing.T) {
	var opened, closed atomic.Int64
	snapshot := gms.Function0{Name: "snapshot", Fn: func() gms.Expression { return &snapshotExpr{opened: &opened, closed: &closed} }}
	s := start(t, Options{Functions: []gms.Function{snapshot}, StatementTimeout: 0})
	db := s.root(t)
	db.SetMaxOpenConns(1)
	expect(t, db, "SELECT snapshot(), snapshot() FROM nums", "1 1", "1 1", "1 1", "1 1")
	expect(t, db, "SELECT snapshot() FROM nums WHERE id = 1", "2")
	if n := len(query(t, db, "SELECT snapshot() FROM nums WHERE id > ?", 0)); n != 4 {
		t.Errorf("%d rows", n)
	}
	if _, err := tryQuery(db, "SELECT snapshot(), LOAD_FILE('x') FROM nums"); err == nil {
		t.Error("no error")
	}
	mustExec(t, db, "BEGIN")
	query(t, db, "SELECT snapshot()")
	mustExec(t, db, "SAVEPOINT a", "ROLLBACK TO SAVEPOINT a", "RELEASE SAVEPOINT a", "COMMIT", "START TRANSACTION READ ONLY", "ROLLBACK")
	await(t, "all are closed", func() bool { return opened.Load() == closed.Load() && opened.Load() == 5 })

	// In process, and a statement within another.
	c, end := s.NewContext(context.Background(), "d")
	defer end()
	_, outer, err := s.Query(c, "SELECT snapshot()")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outer.Next(c); err != nil {
		t.Fatal(err)
	}
	_, inner, err := s.Query(c, "SELECT snapshot() FROM nums")
	if err != nil {
		t.Fatal(err)
	}
	for {
		row, err := inner.Next(c)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || row[0] != int64(6) {
			t.Fatalf("the inner statement has its own state: %v, %v", row, err)
		}
	}
	if err := inner.Close(c); err != nil {
		t.Fatal(err)
	}
	if closed.Load() != 5 {
		t.Error("the end of an inner statement ended the outer one")
	}
	if err := outer.Close(c); err != nil {
		t.Fatal(err)
	}
	if closed.Load() != 6 {
		t.Error("the end of the outer statement closed nothing")
	}
	if _, _, err := s.Query(c, "SELECT nosuch"); err == nil {
		t.Error("no error")
	}
	if SessionOf(c).depth != 0 {
		t.Error("a failed statement has not ended")
	}
}

type snapshotExpr struct {
	opened, closed *atomic.Int64
}

func (e *snapshotExpr) Resolved() bool             { return true }
func (e *snapshotExpr) String() string             { return "snapshot()" }
func (e *snapshotExpr) Type() gms.Type             { return types.Int64 }
func (e *snapshotExpr) IsNullable() bool           { return false }
func (e *snapshotExpr) IsNonDeterministic() bool   { return true }
func (e *snapshotExpr) Children() []gms.Expression { return nil }
func (e *snapshotExpr) WithChildren(...gms.Expression) (gms.Expression, error) {
	return e, nil
}

func (e *snapshotExpr) Eval(ctx *gms.Context, _ gms.Row) (any, error) {
	return SessionOf(ctx).Statement().LoadOrStore(snapKey{}, func() (any, func(), error) {
		return e.opened.Add(1), func() { e.closed.Add(1) }, nil
	})
}
