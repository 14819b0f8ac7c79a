package gmsx

import (
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/go-sql-driver/mysql"
	"github.com/shopspring/decimal"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitMax is how long a test waits for what must happen soon.
const waitMax = time.Minute

// A server is an engine on a loopback port for one test.
type server struct {
	*Engine
	addr string
	logs *logBuffer
	stop func()
}

// start serves o until the test ends, and checks that serving ends cleanly.
func start(t testing.TB, o Options) *server {
	t.Helper()
	logs := &logBuffer{}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(logs, nil))
	}
	if o.DefaultDatabase == "" {
		o.DefaultDatabase = "d"
	}
	if o.Provider == nil {
		o.Provider = &testProvider{dbs: []*testDB{newTestDB("d", testTables()...)}}
	}
	o.Operators = true
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- e.Serve(ctx, ln) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(waitMax):
			t.Error("Serve did not end")
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &server{Engine: e, addr: ln.Addr().String(), logs: logs, stop: stop}
}

// open connects to s; params are the driver's.
func (s *server) open(t testing.TB, user, password, params string) *gosql.DB {
	t.Helper()
	db, err := gosql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/?%s", user, password, s.addr, params))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (s *server) root(t testing.TB) *gosql.DB { return s.open(t, "root", s.opts.Password, "") }

// query returns the rows as text, a value after the other with a space
// between, and ends the test on an error.
func query(t *testing.T, db querier, q string, args ...any) []string {
	t.Helper()
	rows, err := tryQuery(db, q, args...)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return rows
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*gosql.Rows, error)
}

func tryQuery(db querier, q string, args ...any) ([]string, error) {
	rows, err := db.QueryContext(context.Background(), q, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	out := []string{}
	for rows.Next() {
		vals := make([]gosql.NullString, len(cols))
		ptrs := make([]any, len(cols))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rows.Scan(ptrs...); err != nil {
			return nil, err
		}
		text := make([]string, len(vals))
		for i, v := range vals {
			text[i] = v.String
			if !v.Valid {
				text[i] = "NULL"
			}
		}
		out = append(out, strings.Join(text, " "))
	}
	return out, rows.Err()
}

// expect compares the rows of a query with those wanted, in order.
func expect(t *testing.T, db querier, q string, want ...string) {
	t.Helper()
	got, err := tryQuery(db, q)
	if err != nil {
		t.Errorf("%s: %v", q, err)
		return
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\ngot  %q\nwant %q", q, got, want)
	}
}

// expectError checks the number and SQLSTATE of a statement's error, and that
// its message contains text.
func expectError(t *testing.T, err error, number uint16, state, text string) {
	t.Helper()
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		t.Errorf("error %v, want number %d", err, number)
		return
	}
	if e.Number != number || string(e.SQLState[:]) != state || !strings.Contains(e.Message, text) {
		t.Errorf("error %d (%s) %q, want %d (%s) …%s…", e.Number, e.SQLState, e.Message, number, state, text)
	}
}

// await waits until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(waitMax)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

type logBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func dec(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func ts(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		panic(err)
	}
	return t
}

var testVarchar = types.MustCreateStringWithDefaults(types.Text.Type(), 200)

// bigRows is how many rows the table big has.
const bigRows = 1_000_000

// testTables are the tables that most tests use.
func testTables() []*testTable {
	nums := newTestTable("nums", 1, gms.Schema{
		{Name: "id", Type: types.Int64},
		{Name: "i", Type: types.Int64, Nullable: true},
		{Name: "u", Type: types.Uint64, Nullable: true},
		{Name: "t", Type: types.Int8, Nullable: true},
		{Name: "d", Type: types.MustCreateDecimalType(10, 2), Nullable: true},
		{Name: "f", Type: types.Float64, Nullable: true},
		{Name: "s", Type: testVarchar, Nullable: true},
	},
		gms.Row{int64(1), int64(9007199254740993), uint64(18446744073709551615), int8(1), dec("0.10"), 0.5, "abc"},
		gms.Row{int64(2), int64(1), uint64(18446744073709551615), int8(2), dec("0.20"), 1e6, "abż"},
		gms.Row{int64(3), nil, nil, nil, nil, nil, nil},
		gms.Row{int64(4), int64(2), uint64(2), int8(2), dec("0.20"), 2e20, "<nil>"},
	)
	pairs := newTestTable("pairs", 0, gms.Schema{
		{Name: "a", Type: testVarchar, Nullable: true},
		{Name: "b", Type: testVarchar, Nullable: true},
	},
		gms.Row{"a\x00", "b"}, gms.Row{"a", "\x00b"}, gms.Row{nil, "x"}, gms.Row{"<nil>", "x"}, gms.Row{"a", "\x00b"}, gms.Row{nil, "x"},
		gms.Row{"a,b", "c"}, gms.Row{"a", "b,c"},
	)
	windows := newTestTable("windows", 2, gms.Schema{
		{Name: "w", Type: types.MustCreateDatetimeType(types.Datetime.Type(), 6)},
		{Name: "k", Type: testVarchar},
		{Name: "n", Type: types.Int64},
	})
	for i := range 100 {
		windows.rows = append(windows.rows, gms.Row{ts("2026-01-01 00:00:00").Add(time.Duration(i) * time.Hour), fmt.Sprint("k", i%3), int64(i)})
	}
	more := newTestTable("more_windows", 2, windows.schema.Copy(), windows.rows[:50]...)
	big := newTestTable("big", 1, gms.Schema{
		{Name: "id", Type: types.Int64},
		{Name: "s", Type: testVarchar},
		{Name: "f", Type: types.Float64},
	})
	big.n = bigRows
	big.row = func(i int) gms.Row { return gms.Row{int64(i), "row", float64(i)} }
	return []*testTable{nums, pairs, windows, more, big}
}

// numberOf is the number of a client's error, 0 for any other.
func numberOf(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}
