package gmsx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	sqle "github.com/dolthub/go-mysql-server"
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/rowexec"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// An Engine parses, plans and executes statements, for connections through
// Serve and in process through Query.
type Engine struct {
	opts   Options
	log    *slog.Logger
	engine *sqle.Engine
	parser *parser
	procs  *processList

	accounts *Accounts

	questions  atomic.Uint64 // statements of connections, so far
	internalID atomic.Uint32 // of sessions in process, above those of connections
}

// internalIDs is the first id of a session in process: connections count up
// from 1 and share the engine's tables of prepared statements and locks.
const internalIDs = 1 << 31

// New returns an engine over the databases of o.Provider.
//
// The engine underneath keeps its system variables, its status variables and
// its log output in globals, so the engines of one process share them.
func New(o Options) (*Engine, error) {
	if o.Provider == nil {
		return nil, errors.New("gmsx: no provider")
	}
	o.setDefaults()
	if err := setGlobals(&o); err != nil {
		return nil, err
	}

	e := &Engine{opts: o, log: o.Logger}
	e.parser = newParser(e)

	builder := analyzer.NewBuilder(newProvider(e))
	addRules(e, builder, o)
	a := builder.Build()
	a.Catalog.AuthHandler = authorizer{e}
	a.Coster = coster{a.Coster}
	exec := &execBuilder{e: e, user: o.Build}
	exec.base = rowexec.NewOverrideBuilder(exec)
	a.ExecBuilder = exec.base
	a.Parser = e.parser

	e.engine = sqle.New(a, nil)
	e.engine.Parser = e.parser
	e.engine.MemoryManager = gms.NewMemoryManager(newMemory(o.MemoryLimit))
	e.procs = &processList{ProcessList: e.engine.ProcessList}
	e.engine.ProcessList = e.procs
	if e.accounts = o.Accounts; e.accounts == nil {
		var err error
		if e.accounts, err = OpenAccounts(o.Users, o.Password); err != nil {
			return nil, err
		}
	}
	e.accounts.attach(e.engine.Analyzer.Catalog.MySQLDb)
	return e, nil
}

// Engine gives the engine underneath, for compiling definitions.
func (e *Engine) Engine() *sqle.Engine { return e.engine }

// Parse reads the first statement of query, as a connection would, and
// returns the rest of the text after it.
func (e *Engine) Parse(ctx *gms.Context, query string) (stmt ast.Statement, rest string, err error) {
	stmt, _, rest, err = e.parser.Parse(ctx, query, true)
	return stmt, rest, err
}

// NewContext begins a session of root in process, whose current database is
// db. The context ends with ctx; end ends the session and must be called.
func (e *Engine) NewContext(ctx context.Context, db string) (c *gms.Context, end func()) {
	id := internalIDs + e.internalID.Add(1)
	client := gms.Client{User: rootUser, Address: "localhost"}
	s := newSession(gms.NewBaseSessionWithClientServer("", client, id))
	s.SetCurrentDatabase(db)
	c = gms.NewContext(ctx,
		gms.WithSession(s),
		gms.WithMemoryManager(e.engine.MemoryManager),
		gms.WithPid(uint64(id)))
	c.ProcessList = e.visible(c)
	return c, func() {
		e.engine.CloseSession(id)
		s.SessionEnd()
	}
}

// Query runs one statement in the session of ctx. The rows must be closed.
//
// Within a statement of the same session, a procedure's body for instance,
// it is part of that statement: both see the same Statement state.
func (e *Engine) Query(ctx *gms.Context, query string) (_ gms.Schema, _ gms.RowIter, err error) {
	if err := gms.SessionCommandBegin(ctx.Session); err != nil {
		return nil, nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			err = e.panicked(r, query)
		}
		if err != nil {
			gms.SessionCommandEnd(ctx.Session)
			err = mapError(ctx, err)
		}
	}()
	stmt, _, _, err := e.parser.Parse(ctx, query, false)
	if errors.Is(err, ast.ErrEmpty) {
		return nil, nil, Error(1065, "42000", "Query was empty")
	}
	if err != nil {
		return nil, nil, err
	}
	schema, iter, err := e.plan(ctx, query, stmt, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	return schema, &statementIter{RowIter: iter, e: e, query: query}, nil
}

// ErrReplan is what Options.Build returns for a statement whose tables were
// altered since it was planned: it is planned again, within the same Statement.
var ErrReplan = Error(1412, "HY000", "Table definition has changed, please retry transaction")

// replans bounds how often a statement is planned again.
const replans = 3

// plan plans a statement and begins to run it.
func (e *Engine) plan(ctx *gms.Context, query string, stmt ast.Statement, bindings map[string]ast.Expr, flags *gms.QueryFlags) (schema gms.Schema, iter gms.RowIter, err error) {
	schema, iter, err = e.direct(ctx, stmt, bindings)
	if schema != nil || err != nil {
		return schema, iter, err
	}
	for range replans {
		schema, iter, _, err = e.engine.QueryWithBindings(ctx, query, stmt, bindings, flags)
		if !errors.Is(err, ErrReplan) {
			break
		}
	}
	return schema, iter, err
}

// A statementIter ends its statement when it is closed.
type statementIter struct {
	gms.RowIter
	e      *Engine
	query  string
	closed bool
}

func (it *statementIter) Next(ctx *gms.Context) (row gms.Row, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = it.e.panicked(r, it.query)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			err = mapError(ctx, err)
		}
	}()
	return it.RowIter.Next(ctx)
}

func (it *statementIter) Close(ctx *gms.Context) error {
	if it.closed {
		return nil
	}
	it.closed = true
	defer gms.SessionCommandEnd(ctx.Session)
	return it.RowIter.Close(ctx)
}

// panicked turns a panic into the error of its statement: a defect in one
// expression must not end the server.
func (e *Engine) panicked(r any, query string) error {
	if w, ok := r.(windowError); ok {
		return w.error
	}
	e.log.Error("statement panicked", "panic", r, "query", shorten(query), "stack", string(debug.Stack()))
	return Error(1105, "HY000", "internal error: %v", r)
}

// queryLogMax bounds how much of a statement's text a log line carries.
const queryLogMax = 500

func shorten(query string) string {
	if len(query) > queryLogMax {
		return fmt.Sprintf("%s… (%d bytes)", query[:queryLogMax], len(query))
	}
	return query
}

// Close ends what the engine still runs. Serve must have returned.
func (e *Engine) Close() error {
	// The engine reports that it cancelled its own context.
	if err := e.engine.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
