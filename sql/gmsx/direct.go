package gmsx

import (
	"errors"
	"io"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// A Direct is the answer to a SELECT that the engine has not planned.
type Direct struct {
	Schema gms.Schema
	Rows   WireRows
}

// WireRows are rows that can also write themselves to a client.
type WireRows interface {
	gms.RowIter
	// WriteRows writes the next rows, at least one and at most most of them;
	// io.EOF at the end.
	WriteRows(ctx *gms.Context, w *RowWriter, most int) error
}

// A PlainSelect is the only kind of statement that Options.Direct is asked
// for. Every expression in it is a column, a literal, or a parameter.
//
//	SELECT columns and * FROM one table
//	[WHERE comparisons, BETWEEN and IN, joined by AND] [ORDER BY columns] [LIMIT]
//
// or, without ORDER BY and LIMIT, SELECT MIN(column), MAX(column) and nothing else.
type PlainSelect struct {
	*ast.Select
	From *ast.AliasedTableExpr
	Name ast.TableName
	Args map[string]ast.Expr // of parameters, by name

	// Extremes says that the result is one row of extremes, see Extreme.
	Extremes bool
}

// Extreme returns the column of MIN(column) or MAX(column), nil for all else.
func Extreme(e ast.Expr) (of *ast.ColName, most bool) {
	f, ok := e.(*ast.FuncExpr)
	if !ok || f.Distinct || f.Over != nil || !f.Qualifier.IsEmpty() || len(f.Exprs) != 1 {
		return nil, false
	}
	if most = f.Name.Lowered() == "max"; !most && f.Name.Lowered() != "min" {
		return nil, false
	}
	arg, ok := f.Exprs[0].(*ast.AliasedExpr)
	if !ok || !arg.As.IsEmpty() || !isColumn(arg.Expr) {
		return nil, false
	}
	return arg.Expr.(*ast.ColName), most
}

// Value returns the literal that an operand is; nil where it is a column, or
// a parameter that was given none.
func (p *PlainSelect) Value(e ast.Expr) ast.Expr {
	if v, ok := e.(*ast.SQLVal); ok && v.Type == ast.ValArg && len(v.Val) > 0 {
		return p.Args[string(v.Val[1:])]
	}
	if _, ok := e.(*ast.ColName); ok {
		return nil
	}
	return e
}

// plainSelect returns a statement as a PlainSelect, or nil. Without lists there
// is no IN in it, which rewrite has something to do with.
func plainSelect(stmt ast.Statement, lists bool) *PlainSelect {
	s, ok := stmt.(*ast.Select)
	if !ok || s.With != nil || s.GroupBy != nil || s.Having != nil || s.Window != nil || s.Into != nil || s.Lock != "" ||
		s.QueryOpts != (ast.QueryOpts{}) || len(s.Comments) > 0 || len(s.From) != 1 {
		return nil
	}
	from, ok := s.From[0].(*ast.AliasedTableExpr)
	if !ok || from.Partitions != nil || from.Hints != nil || from.AsOf != nil || from.Lateral {
		return nil
	}
	name, ok := from.Expr.(ast.TableName)
	if !ok || !name.SchemaQualifier.IsEmpty() {
		return nil
	}
	columns, extremes := 0, 0
	for _, e := range s.SelectExprs {
		switch e := e.(type) {
		case *ast.StarExpr:
			columns++
		case *ast.AliasedExpr:
			if isColumn(e.Expr) {
				columns++
			} else if of, _ := Extreme(e.Expr); of != nil {
				extremes++
			} else {
				return nil
			}
		default:
			return nil
		}
	}
	if extremes > 0 && (columns > 0 || s.OrderBy != nil || s.Limit != nil) {
		return nil
	}
	if s.Where != nil && !plainCondition(s.Where.Expr, lists) {
		return nil
	}
	for _, o := range s.OrderBy {
		if !isColumn(o.Expr) {
			return nil
		}
	}
	if l := s.Limit; l != nil && (!plainOperand(l.Rowcount) || l.Offset != nil && !plainOperand(l.Offset)) {
		return nil
	}
	return &PlainSelect{Select: s, From: from, Name: name, Extremes: extremes > 0}
}

func isColumn(e ast.Expr) bool {
	c, ok := e.(*ast.ColName)
	return ok && c.StoredProcVal == nil
}

func plainCondition(e ast.Expr, lists bool) bool {
	switch e := e.(type) {
	case *ast.AndExpr:
		return plainCondition(e.Left, lists) && plainCondition(e.Right, lists)
	case *ast.ParenExpr:
		return plainCondition(e.Expr, lists)
	case *ast.RangeCond:
		return e.Operator == ast.BetweenStr && isColumn(e.Left) && plainOperand(e.From) && plainOperand(e.To)
	case *ast.ComparisonExpr:
		if e.Escape != nil {
			return false
		}
		switch e.Operator {
		case ast.EqualStr, ast.LessThanStr, ast.LessEqualStr, ast.GreaterThanStr, ast.GreaterEqualStr, ast.NotEqualStr:
			return isColumn(e.Left) && plainOperand(e.Right) || isColumn(e.Right) && plainOperand(e.Left)
		case ast.InStr:
			list, ok := e.Right.(ast.ValTuple)
			if !lists || !ok || !isColumn(e.Left) {
				return false
			}
			for _, v := range list {
				if !plainOperand(v) {
					return false
				}
			}
			return true
		}
	}
	return false
}

// plainOperand says whether an expression is a literal, whole or text, or a parameter.
func plainOperand(e ast.Expr) bool {
	if u, ok := e.(*ast.UnaryExpr); ok && u.Operator == ast.MinusStr {
		v, ok := u.Expr.(*ast.SQLVal)
		return ok && v.Type == ast.IntVal
	}
	v, ok := e.(*ast.SQLVal)
	return ok && (v.Type == ast.IntVal || v.Type == ast.StrVal || v.Type == ast.ValArg)
}

// direct asks Options.Direct for a statement, and returns no schema where the
// engine shall plan it. It keeps the books of the session as the engine does.
func (e *Engine) direct(ctx *gms.Context, stmt ast.Statement, bindings map[string]ast.Expr) (gms.Schema, gms.RowIter, error) {
	if e.opts.Direct == nil || ctx.IsInterpreted() {
		return nil, nil, nil
	}
	p := plainSelect(stmt, true)
	if p == nil {
		return nil, nil, nil
	}
	p.Args = bindings
	if plain, _ := gms.HasDefaultValue(ctx, ctx.Session, "sql_select_limit"); !plain {
		return nil, nil, nil
	}
	if ctx.GetTransaction() == nil {
		// Without autocommit the statement begins a transaction.
		if auto, err := plan.IsSessionAutocommit(ctx); err != nil || !auto {
			return nil, nil, err
		}
	}
	if err := e.engine.Analyzer.Catalog.AuthorizationHandler().HandleAuth(ctx, nil, p.From.Auth); err != nil {
		return nil, nil, nil //nolint:nilerr // the engine says it
	}
	d, err := e.opts.Direct(ctx, p)
	if d == nil || err != nil {
		return nil, nil, err
	}
	gms.IncrementStatusVariable(ctx, "Questions", 1)
	gms.IncrementStatusVariable(ctx, "Com_select", 1)
	ctx.ClearWarnings()
	return d.Schema, &directIter{WireRows: d.Rows}, nil
}

// A directIter counts the rows of a Direct for FOUND_ROWS.
type directIter struct {
	WireRows
	n      int64
	closed bool
}

func (d *directIter) Next(ctx *gms.Context) (gms.Row, error) {
	row, err := d.WireRows.Next(ctx)
	if err == nil {
		d.n++
	}
	return row, err
}

func (d *directIter) WriteRows(ctx *gms.Context, w *RowWriter, most int) error {
	before := len(w.e.rows)
	err := d.WireRows.WriteRows(ctx, w, most)
	d.n += int64(len(w.e.rows) - before)
	return err
}

func (d *directIter) Close(ctx *gms.Context) error {
	if d.closed {
		return nil
	}
	d.closed = true
	err := d.WireRows.Close(ctx)
	ctx.SetLastQueryInfoInt(gms.RowCount, -1)
	ctx.SetLastQueryInfoInt(gms.FoundRows, d.n)
	return err
}

// writeRows has rows write a batch and says whether it is the last.
func (e *encoder) writeRows(ctx *gms.Context, rows WireRows) (last bool, err error) {
	w := e.writer()
	defer w.end()
	for !e.full() {
		err := rows.WriteRows(ctx, w, batchRows-len(e.rows))
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}
