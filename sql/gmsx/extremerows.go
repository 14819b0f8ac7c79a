package gmsx

import (
	"errors"
	"io"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// extremeRows gives MIN and MAX of a primary key a row where there is none. The
// engine reads the first row in the key's order instead of all, and returns
// what it read: nothing, instead of NULL.
func extremeRows(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		p, ok := n.(*plan.Project)
		if !ok {
			return n, transform.SameTree, nil
		}
		g, ok := p.Child.(*plan.GroupBy)
		if !ok || len(g.GroupByExprs) != 0 || len(g.SelectedExprs) != 1 {
			return n, transform.SameTree, nil
		}
		switch g.SelectedExprs[0].(type) {
		case *aggregation.Min, *aggregation.Max:
		default:
			return n, transform.SameTree, nil
		}
		if none, ok := ofNothing(p.Projections); ok {
			return &atLeastOne{padded{child: p}, none}, transform.NewTree, nil
		}
		// Two aggregates are too many for the engine's shorter way.
		own := plan.NewGroupBy([]gms.Expression{g.SelectedExprs[0], g.SelectedExprs[0]}, nil, g.Child)
		out, err := p.WithChildren(own)
		return out, transform.NewTree, err
	})
	return out, err
}

// ofNothing are the expressions where all columns are NULL; false if they need
// more than columns.
func ofNothing(exprs []gms.Expression) ([]gms.Expression, bool) {
	out := make([]gms.Expression, len(exprs))
	for i, e := range exprs {
		if !movable(e) {
			return nil, false
		}
		columns := 0
		none, _, err := transform.Expr(e, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
			if gf, ok := e.(*expression.GetField); ok {
				if gf.Table() != "" {
					columns++
				}
				return expression.NewLiteral(nil, types.Null), transform.NewTree, nil
			}
			return e, transform.SameTree, nil
		})
		if err != nil || columns > 0 {
			return nil, false
		}
		out[i] = none
	}
	return out, true
}

// A padded passes the rows of its child on. A row without columns gets one,
// since the engine's windows take it for none.
type padded struct{ child gms.Node }

// An ownNode is a node of this package, which executes itself.
type ownNode interface {
	rows(ctx *gms.Context, b gms.NodeExecBuilder, row gms.Row) (gms.RowIter, error)
}

// padWindows gives the rows of windows a column: of those without, each would
// be a partition of its own, and COUNT(*) OVER () 1.
func padWindows(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		w, ok := n.(*plan.Window)
		if !ok || len(w.Child.Schema()) > 0 {
			return n, transform.SameTree, nil
		}
		if _, ok := w.Child.(*padded); ok {
			return n, transform.SameTree, nil
		}
		out, err := w.WithChildren(&padded{w.Child})
		return out, transform.NewTree, err
	})
	return out, err
}

func (p *padded) Resolved() bool       { return p.child.Resolved() }
func (p *padded) String() string       { return p.child.String() }
func (p *padded) Schema() gms.Schema   { return p.child.Schema() }
func (p *padded) Children() []gms.Node { return []gms.Node{p.child} }
func (p *padded) IsReadOnly() bool     { return p.child.IsReadOnly() }

func (p *padded) WithChildren(children ...gms.Node) (gms.Node, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(p, len(children), 1)
	}
	return &padded{children[0]}, nil
}

func (p *padded) rows(ctx *gms.Context, b gms.NodeExecBuilder, row gms.Row) (gms.RowIter, error) {
	all, err := b.Build(ctx, p.child, row)
	if err != nil {
		return nil, err
	}
	return &paddedIter{all}, nil
}

type paddedIter struct{ gms.RowIter }

func (p *paddedIter) Next(ctx *gms.Context) (gms.Row, error) {
	row, err := p.RowIter.Next(ctx)
	if err == nil && len(row) == 0 {
		row = gms.Row{nil}
	}
	return row, err
}

// An atLeastOne passes the rows of its child on and, if there are none, one.
type atLeastOne struct {
	padded
	none []gms.Expression
}

func (a *atLeastOne) WithChildren(children ...gms.Node) (gms.Node, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(a, len(children), 1)
	}
	return &atLeastOne{padded{children[0]}, a.none}, nil
}

func (a *atLeastOne) rows(ctx *gms.Context, b gms.NodeExecBuilder, row gms.Row) (gms.RowIter, error) {
	all, err := b.Build(ctx, a.child, row)
	if err != nil {
		return nil, err
	}
	return &atLeastOneIter{RowIter: all, none: a.none}, nil
}

type atLeastOneIter struct {
	gms.RowIter
	none []gms.Expression
	any  bool
}

func (a *atLeastOneIter) Next(ctx *gms.Context) (gms.Row, error) {
	row, err := a.RowIter.Next(ctx)
	if a.any || !errors.Is(err, io.EOF) {
		a.any = true
		return row, err
	}
	a.any = true
	row = make(gms.Row, len(a.none))
	for i, e := range a.none {
		if row[i], err = e.Eval(ctx, nil); err != nil {
			return nil, err
		}
	}
	return row, nil
}
