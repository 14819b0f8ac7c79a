package gmsx

import (
	"errors"
	"io"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// A command is a client's demand to run a statement.
type command struct {
	query    string
	multi    bool               // query may hold several; the first is run
	prepared *mysql.PrepareData // nil for a statement in text
	whole    bool               // a prepared one is known to have no cursor
}

// run runs one statement, hands its result to cb in batches, and returns the
// text after it. Its error is a *mysql.SQLError.
func (h *handler) run(c *mysql.Conn, cmd *command, cb mysql.ResultSpoolFn) (rest string, err error) {
	ctx, err := h.sm.NewContextWithQuery(h.ctx, c, cmd.query)
	if err != nil {
		return "", mapError(h.ctx, err)
	}
	h.e.questions.Add(1)
	s := sessionOf(c)
	if !s.enter() {
		// A session's state is not made for two statements at once.
		return "", Error(2014, "HY000", "Commands out of sync: a statement of this connection has an open cursor")
	}
	defer s.leave()
	if ctx, err = h.e.procs.BeginQuery(ctx, cmd.query); err != nil {
		return "", mapError(h.ctx, err)
	}
	defer h.e.procs.EndQuery(ctx)
	if err := s.CommandBegin(); err != nil {
		return "", mapError(ctx, err)
	}
	defer s.CommandEnd()
	defer h.watch.add(ctx, c.Conn)()

	rest, err = h.execute(ctx, c, s, cmd, cb)
	if err != nil {
		// The reason why ctx ended is gone after EndQuery.
		err = h.e.hint(ctx, cmd.query, mapError(ctx, err))
		s.failed(err)
		return rest, err
	}
	return rest, nil
}

func (h *handler) execute(ctx *gms.Context, c *mysql.Conn, s *Session, cmd *command, cb mysql.ResultSpoolFn) (rest string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = h.e.panicked(r, cmd.query)
		}
	}()
	query := cmd.query
	stmt, cached := h.e.engine.PreparedDataCache.GetCachedStmt(s.ID(), query)
	if !cached {
		stmt, query, rest, err = h.e.parser.Parse(ctx, query, cmd.multi)
		if errors.Is(err, ast.ErrEmpty) {
			return rest, cb(&sqltypes.Result{}, rest != "")
		}
		if err != nil {
			return "", err
		}
	}
	if reads(stmt) {
		defer limit(ctx, s.timeout(ctx))()
	}
	var bindings map[string]ast.Expr
	if cmd.prepared != nil {
		if bindings, err = bindingsOf(cmd.prepared.BindVars); err != nil {
			return rest, err
		}
	}

	flags := &gms.QueryFlags{}
	flags.Set(gms.QFlagDeferProjections)
	schema, iter, err := h.e.plan(ctx, query, stmt, bindings, flags)
	if err != nil {
		return rest, err
	}
	rows := &onceClosed{RowIter: iter}
	defer rows.Close(ctx)
	more := rest != ""

	if schema == nil || types.IsOkResultSchema(schema) {
		result, err := okResult(ctx, rows)
		if err == nil {
			err = rows.Close(ctx)
		}
		if err != nil {
			return rest, err
		}
		setStatus(ctx, c)
		return rest, cb(result, more)
	}
	// The rows' memory may go with them, so that they are sent before they
	// are closed.
	if show, ok := stmt.(*ast.Show); ok && strings.EqualFold(show.Type, "collation") {
		schema = mysqlNames(schema)
	}
	if err := stream(ctx, schema, rows, cmd.prepared != nil, cmd.prepared == nil || cmd.whole, func(r *sqltypes.Result) error { return cb(r, more) }); err != nil {
		return rest, err
	}
	if err := rows.Close(ctx); err != nil {
		return rest, err
	}
	if cmd.prepared == nil {
		// With a cursor the connection goes on meanwhile, and owns its status.
		setStatus(ctx, c)
	}
	return rest, nil
}

// reads says whether a statement only reads, and is therefore stopped by
// max_execution_time, as in MySQL.
func reads(stmt ast.Statement) bool {
	switch stmt.(type) {
	case ast.SelectStatement, *ast.Show, *ast.Explain:
		return true
	}
	return false
}

// onceClosed lets a statement close its rows both when it is done, for the
// error, and when it fails.
type onceClosed struct {
	gms.RowIter
	closed bool
}

func (o *onceClosed) Close(ctx *gms.Context) error {
	if o.closed {
		return nil
	}
	o.closed = true
	return o.RowIter.Close(ctx)
}

// okResult is the result of a statement without rows. It leaves out the text
// that the engine adds, which MariaDB's clients take for a broken packet.
func okResult(ctx *gms.Context, rows gms.RowIter) (*sqltypes.Result, error) {
	r := &sqltypes.Result{}
	for {
		row, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		if types.IsOkResult(row) {
			ok := types.GetOkResult(row)
			r.RowsAffected, r.InsertID = ok.RowsAffected, ok.InsertID
		}
	}
}

// setStatus tells the client whether it is in a transaction.
func setStatus(ctx *gms.Context, c *mysql.Conn) {
	set := func(flag uint16, on bool) {
		if on {
			c.StatusFlags |= flag
		} else {
			c.StatusFlags &^= flag
		}
	}
	auto, err := ctx.GetSessionVariable(ctx, gms.AutoCommitSessionVar)
	if err == nil {
		on, err := gms.ConvertToBool(ctx, auto)
		set(uint16(mysql.ServerStatusAutocommit), err == nil && on)
	}
	set(uint16(mysql.ServerInTransaction), ctx.GetTransaction() != nil)
}

// bindingsOf turns the parameters of a prepared statement into expressions.
func bindingsOf(vars map[string]*querypb.BindVariable) (map[string]ast.Expr, error) {
	exprs := make(map[string]ast.Expr, len(vars))
	for name, v := range vars {
		value, err := sqltypes.BindVariableToValue(v)
		if err != nil {
			return nil, err
		}
		if exprs[name], err = ast.ExprFromValue(value); err != nil {
			return nil, err
		}
	}
	return exprs, nil
}
