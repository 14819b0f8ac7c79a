package gmsx

import (
	"context"
	"errors"

	gmsserver "github.com/dolthub/go-mysql-server/server"
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// A handler answers the commands of connections. It replaces the engine's own
// handler where statements run: that one keeps the whole result in memory,
// uses five goroutines for each, and looks at its client through /proc.
//
// The protocol underneath calls it from one goroutine for each connection, but
// for a statement with a cursor, which runs beside later commands.
type handler struct {
	mysql.Handler // for the commands that run no statement
	e             *Engine
	sm            *gmsserver.SessionManager
	ctx           context.Context // of all statements
	gone          func()          // called as the last of a connection
	watch         *watcher
}

var _ mysql.BinlogReplicaHandler = (*handler)(nil)

// NewConnection begins a connection, which has not logged in yet.
func (h *handler) NewConnection(c *mysql.Conn) {
	if lc := limited(c.Conn); lc != nil {
		lc.handler = h
	}
	h.sm.AddConn(c)
	gms.StatusVariables.IncrementGlobal("Connections", 1)
}

// ConnectionClosed ends a connection.
func (h *handler) ConnectionClosed(c *mysql.Conn) {
	defer h.gone()
	defer h.sm.RemoveConn(c)
	if sessionOf(c) == nil {
		return
	}
	defer h.e.engine.CloseSession(c.ConnectionID)
	ctx, err := h.sm.NewContextWithQuery(context.WithoutCancel(h.ctx), c, "")
	if err != nil {
		return
	}
	_, _ = h.e.engine.LS.ReleaseAll(ctx)
	_ = h.e.engine.Analyzer.Catalog.UnlockTables(ctx, c.ConnectionID)
}

// ComInitDB makes a database the current one.
func (h *handler) ComInitDB(c *mysql.Conn, name string) error {
	if err := h.sm.SetDB(h.ctx, c, name); err != nil {
		return mapError(h.ctx, err)
	}
	return nil
}

// ComQuery runs one statement.
func (h *handler) ComQuery(_ context.Context, c *mysql.Conn, query string, cb mysql.ResultSpoolFn) error {
	_, err := h.run(c, &command{query: query}, cb)
	return err
}

// ComMultiQuery runs the first statement of query and returns the others.
func (h *handler) ComMultiQuery(_ context.Context, c *mysql.Conn, query string, cb mysql.ResultSpoolFn) (string, error) {
	return h.run(c, &command{query: query, multi: true}, cb)
}

// ComStmtExecute runs a prepared statement.
func (h *handler) ComStmtExecute(_ context.Context, c *mysql.Conn, p *mysql.PrepareData, cb func(*sqltypes.Result) error) error {
	cmd := &command{query: p.PrepareStmt, prepared: p}
	// With a cursor this is another goroutine than the connection's, which
	// reads the next command only after the first rows.
	if lc := limited(c.Conn); lc != nil && lc.tap != nil {
		cmd.whole = lc.tap.whole
	}
	_, err := h.run(c, cmd, func(r *sqltypes.Result, _ bool) error { return cb(r) })
	return err
}

// ComPrepare parses and plans a statement to be executed later, and returns
// the columns that it will have.
func (h *handler) ComPrepare(_ context.Context, c *mysql.Conn, query string, p *mysql.PrepareData) (_ []*querypb.Field, err error) {
	own := false // the text is the client's, and not yet parsed
	if lc := limited(c.Conn); lc != nil && lc.tap != nil && lc.tap.prepare != nil {
		query, own = *lc.tap.prepare, true
		lc.tap.prepare = nil
	}
	ctx, err := h.sm.NewContextWithQuery(h.ctx, c, query)
	if err != nil {
		return nil, mapError(h.ctx, err)
	}
	if ctx, err = h.e.procs.BeginOperation(ctx); err != nil {
		return nil, mapError(h.ctx, err)
	}
	defer h.e.procs.EndOperation(ctx)
	s := sessionOf(c)
	if err := s.CommandBegin(); err != nil {
		return nil, mapError(ctx, err)
	}
	defer s.CommandEnd()
	defer func() {
		if r := recover(); r != nil {
			err = h.e.panicked(r, query)
		}
		err = h.e.hint(ctx, query, mapError(ctx, err))
	}()

	stmt, _, _, err := h.e.parser.Parse(ctx, query, false)
	if errors.Is(err, ast.ErrEmpty) {
		return nil, Error(1065, "42000", "Query was empty")
	}
	if err != nil {
		return nil, err
	}
	if own {
		p.PrepareStmt = query
		p.ParamsCount = parameters(stmt)
		p.ParamsType = make([]int32, p.ParamsCount)
		p.BindVars = make(map[string]*querypb.BindVariable, p.ParamsCount)
	}
	node, err := h.e.engine.PrepareParsedQuery(ctx, query, query, stmt)
	if err != nil {
		return nil, err
	}
	if forget := s.keepPrepared(query); forget != "" {
		h.e.engine.PreparedDataCache.UncacheStmt(s.ID(), forget)
	}
	switch node.(type) {
	case *plan.InsertInto, *plan.Update, *plan.UpdateJoin, *plan.DeleteFrom:
		// Their schema is of the rows they change; what they return is OK.
		return nil, nil
	}
	if types.IsOkResultSchema(node.Schema()) {
		return nil, nil
	}
	if node, err = outerJoined(ctx, node); err != nil {
		return nil, err
	}
	return fieldsOf(ctx, node.Schema()), nil
}

// parameters counts the question marks of a statement.
func parameters(stmt ast.Statement) (n uint16) {
	_ = ast.Walk(func(node ast.SQLNode) (bool, error) {
		if v, ok := node.(*ast.SQLVal); ok && v.Type == ast.ValArg {
			n++
		}
		return true, nil
	}, stmt)
	return n
}

var errReplication = errors.New("replication is not supported")

// ComRegisterReplica refuses a replica.
func (h *handler) ComRegisterReplica(*mysql.Conn, string, uint16, string, string) error {
	return Error(1235, "42000", "%v", errReplication)
}

// ComBinlogDumpGTID refuses a replica.
func (h *handler) ComBinlogDumpGTID(*mysql.Conn, string, uint64, mysql.GTIDSet) error {
	return Error(1235, "42000", "%v", errReplication)
}
