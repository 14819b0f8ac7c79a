package gmsx

import (
	"sync"
	"sync/atomic"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
)

// A Session is one client's, or one caller's in process.
//
// Transactions are accepted and mean nothing: every statement is its own, as
// the log knows no transaction over several of them, and a ROLLBACK that leaves
// something done says so with MySQL's warning 1196. What a statement opens
// for all its scans, a snapshot for instance, is kept in its Statement and
// closed when it ends. It must not be tied to the transaction, since the
// engine drops those without a word on several of its error paths.
type Session struct {
	*gms.BaseSession

	conditions conditions
	prepared   []string    // texts in the engine's cache, oldest first
	plainJSON  bool        // the client knows no type JSON: it gets LONGTEXT, as of MariaDB
	running    atomic.Bool // a statement of the connection runs
	wrote      atomic.Bool // something since the transaction began that ROLLBACK cannot undo

	mu    sync.Mutex
	depth int             // statements within statements
	state *StatementState // of the outermost statement
}

var (
	_ gms.TransactionSession    = (*Session)(nil)
	_ gms.LifecycleAwareSession = (*Session)(nil)
)

func newSession(base *gms.BaseSession) *Session {
	return &Session{BaseSession: base, state: &StatementState{}}
}

// SessionOf returns the session of a context that an Engine made, or nil.
func SessionOf(ctx *gms.Context) *Session {
	s, _ := ctx.Session.(*Session)
	return s
}

// Statement is the state of the statement that runs now.
func (s *Session) Statement() *StatementState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// OnStatementEnd has f called when the statement that runs now ends, however
// it ends, after its rows were read. The last registered is called first.
func (s *Session) OnStatementEnd(f func()) { s.Statement().OnEnd(f) }

// CommandBegin begins a statement. It nests: a procedure's statements belong
// to the CALL.
func (s *Session) CommandBegin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.depth++; s.depth == 1 {
		s.conditions.begun()
	}
	return nil
}

// CommandEnd ends a statement.
func (s *Session) CommandEnd() {
	s.mu.Lock()
	if s.depth > 0 {
		s.depth--
	}
	if s.depth > 0 {
		s.mu.Unlock()
		return
	}
	done := s.state
	s.state = &StatementState{}
	s.mu.Unlock()

	// An error leaves the implicit transaction in place, where the next
	// statement would take it for an explicit one.
	if !s.GetIgnoreAutoCommit() {
		s.SetTransaction(nil)
	}
	done.end()
}

// SessionEnd ends the session and whatever statement it still had.
func (s *Session) SessionEnd() {
	s.mu.Lock()
	done := s.state
	s.state, s.depth = &StatementState{}, 0
	s.mu.Unlock()
	done.end()
}

// A transaction is what BEGIN makes. It isolates nothing.
type transaction struct{ readOnly bool }

func (t *transaction) String() string   { return "transaction" }
func (t *transaction) IsReadOnly() bool { return t.readOnly }

// StartTransaction accepts BEGIN and the implicit start of a statement.
func (s *Session) StartTransaction(_ *gms.Context, c gms.TransactionCharacteristic) (gms.Transaction, error) {
	s.wrote.Store(false)
	return &transaction{readOnly: c == gms.ReadOnly}, nil
}

// Wrote notes that a statement has changed what ROLLBACK cannot undo.
func (s *Session) Wrote() { s.wrote.Store(true) }

// CommitTransaction accepts COMMIT.
func (s *Session) CommitTransaction(*gms.Context, gms.Transaction) error { return nil }

// Rollback accepts ROLLBACK, which undoes nothing: what was published stays.
func (s *Session) Rollback(ctx *gms.Context, _ gms.Transaction) error {
	s.warnKept(ctx)
	return nil
}

// warnKept warns of a ROLLBACK that leaves something done.
func (s *Session) warnKept(ctx *gms.Context) {
	if s.wrote.Load() && s.GetIgnoreAutoCommit() {
		ctx.Warn(1196, "Some non-transactional changed tables couldn't be rolled back")
	}
}

// CreateSavepoint accepts SAVEPOINT.
func (s *Session) CreateSavepoint(*gms.Context, gms.Transaction, string) error { return nil }

// RollbackToSavepoint accepts ROLLBACK TO.
func (s *Session) RollbackToSavepoint(ctx *gms.Context, _ gms.Transaction, _ string) error {
	s.warnKept(ctx)
	return nil
}

// ReleaseSavepoint accepts RELEASE SAVEPOINT.
func (s *Session) ReleaseSavepoint(*gms.Context, gms.Transaction, string) error { return nil }

// A StatementState holds what the parts of one statement share. It is safe
// for concurrent use.
type StatementState struct {
	mu      sync.Mutex
	values  map[any]any
	closers []func()
	ended   bool
}

// Value returns the value of key, or nil. Use a type of your own as the key.
func (st *StatementState) Value(key any) any {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.values[key]
}

// SetValue sets the value of key until the statement ends.
func (st *StatementState) SetValue(key, value any) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.values == nil {
		st.values = map[any]any{}
	}
	st.values[key] = value
}

// LoadOrStore returns the value of key, which create makes the first time;
// end, if not nil, is called when the statement ends. When create fails,
// nothing is kept.
func (st *StatementState) LoadOrStore(key any, create func() (value any, end func(), err error)) (any, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if v, ok := st.values[key]; ok {
		return v, nil
	}
	v, end, err := create()
	if err != nil {
		return nil, err
	}
	if st.values == nil {
		st.values = map[any]any{}
	}
	st.values[key] = v
	if end != nil {
		st.closers = append(st.closers, end)
	}
	return v, nil
}

// OnEnd has f called when the statement ends, at once if it has ended.
func (st *StatementState) OnEnd(f func()) {
	st.mu.Lock()
	if !st.ended {
		st.closers = append(st.closers, f)
		st.mu.Unlock()
		return
	}
	st.mu.Unlock()
	f()
}

func (st *StatementState) end() {
	st.mu.Lock()
	closers := st.closers
	st.closers, st.values, st.ended = nil, nil, true
	st.mu.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
}

// preparedMax bounds the parsed texts that the engine keeps for one session.
// COM_STMT_CLOSE does not reach that cache; a text that has left it is parsed
// again when it is executed.
const preparedMax = 256

// keepPrepared notes a text that was prepared and returns one to forget.
func (s *Session) keepPrepared(query string) (forget string) {
	for _, q := range s.prepared {
		if q == query {
			return ""
		}
	}
	s.prepared = append(s.prepared, query)
	if len(s.prepared) <= preparedMax {
		return ""
	}
	forget = s.prepared[0]
	s.prepared = append(s.prepared[:0], s.prepared[1:]...)
	return forget
}

// enter begins a statement of the connection unless one still runs.
func (s *Session) enter() bool { return s.running.CompareAndSwap(false, true) }

func (s *Session) leave() { s.running.Store(false) }

// sessionOf returns the session of a connection, or nil before its first command.
func sessionOf(c *mysql.Conn) *Session {
	s, _ := c.ClientData.(*Session)
	return s
}

// timeout is how long a SELECT of this session may run; 0 is for ever.
func (s *Session) timeout(ctx *gms.Context) time.Duration {
	v, err := s.GetSessionVariable(ctx, "max_execution_time")
	if err != nil {
		return 0
	}
	ms, _ := v.(int64)
	d := time.Duration(max(0, ms)) * time.Millisecond
	// MariaDB's clients set another variable, in seconds.
	if v, err := s.GetSessionVariable(ctx, "max_statement_time"); err == nil {
		if sec, _ := v.(float64); sec > 0 && (d == 0 || sec < d.Seconds()) {
			d = time.Duration(sec * float64(time.Second))
		}
	}
	return d
}
