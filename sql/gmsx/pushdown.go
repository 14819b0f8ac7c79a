package gmsx

import (
	"fmt"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
)

// pushFilters moves conditions on stored views, derived tables and unions to
// the tables under them, where indexes are. The engine pushes nothing into a
// stored view, and nothing through a UNION: one row of a view over a million
// cost the whole million.
//
// A condition goes down as long as it says the same there: through a
// projection with the expressions put in, into both sides of a UNION, below a
// GROUP BY if it is about the keys alone. It never passes a LIMIT.
func pushFilters(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		f, ok := n.(*plan.Filter)
		if !ok {
			return n, transform.SameTree, nil
		}
		switch f.Child.(type) {
		case *plan.SubqueryAlias, *plan.SetOp, *plan.Project, *plan.GroupBy:
		default:
			return n, transform.SameTree, nil
		}
		child := f.Child
		var kept []gms.Expression
		for _, cond := range expression.SplitConjunction(f.Expression) {
			moved, ok, err := push(child, cond)
			if err != nil {
				return nil, transform.SameTree, err
			}
			if !ok {
				kept = append(kept, cond)
				continue
			}
			child = moved
		}
		switch len(kept) {
		case len(expression.SplitConjunction(f.Expression)):
			return n, transform.SameTree, nil
		case 0:
			return child, transform.NewTree, nil
		}
		return plan.NewFilter(expression.JoinAnd(kept...), child), transform.NewTree, nil
	})
	return out, err
}

// push moves cond, which is about the output of n, into n. It says false if it
// cannot go below n's top.
func push(n gms.Node, cond gms.Expression) (gms.Node, bool, error) {
	if !movable(cond) {
		return n, false, nil
	}
	switch n := n.(type) {
	case *plan.Project:
		below, ok, err := substitute(cond, byID(n.Projections))
		if err != nil || !ok || !movable(below) {
			return n, false, err
		}
		return pushInto(n, n.Child, below)
	case *plan.GroupBy:
		if !aboutKeys(n, cond) {
			return n, false, nil
		}
		return pushInto(n, n.Child, cond)
	case *plan.Filter:
		return pushBeside(n, cond, push)
	case *plan.Having, *plan.Sort, *plan.Distinct:
		return pushInto(n, n.Children()[0], cond)
	case *plan.SubqueryAlias:
		return pushOrdinals(n, n.Columns(), cond)
	case *plan.SetOp:
		ids, ok := outputIDs(n.Left())
		if !ok {
			return n, false, nil
		}
		below, ok, err := substitute(cond, func(id gms.ColumnId) gms.Expression {
			at := -1
			for i, x := range ids {
				if x == id && at >= 0 {
					return nil // the same column twice: which one is meant?
				}
				if x == id {
					at = i
				}
			}
			if at < 0 {
				return nil
			}
			return ordinal(at)
		})
		if err != nil || !ok {
			return n, false, err
		}
		return pushByOrdinal(n, below)
	}
	return n, false, nil
}

// pushInto puts cond, which is about child's output, as far below n as it goes.
func pushInto(n gms.Node, child gms.Node, cond gms.Expression) (gms.Node, bool, error) {
	moved, ok, err := push(child, cond)
	if err != nil {
		return nil, false, err
	}
	if !ok {
		moved = filterAbove(child, cond)
	}
	out, err := n.WithChildren(moved)
	return out, true, err
}

// pushBeside pushes cond below a filter, or into it.
func pushBeside(f *plan.Filter, cond gms.Expression, push func(gms.Node, gms.Expression) (gms.Node, bool, error)) (gms.Node, bool, error) {
	child, ok, err := push(f.Child, cond)
	if err != nil || !ok {
		return f, false, err
	}
	if below, ok := child.(*plan.Filter); ok {
		return filterAbove(below, f.Expression), true, nil
	}
	return plan.NewFilter(f.Expression, child), true, nil
}

// filterAbove puts cond above n. It adds to a filter that is there: the
// engine loses conditions of two filters on each other.
func filterAbove(n gms.Node, cond gms.Expression) gms.Node {
	if f, ok := n.(*plan.Filter); ok {
		return plan.NewFilter(expression.NewAnd(f.Expression, cond), f.Child)
	}
	return plan.NewFilter(cond, n)
}

// pushOrdinals pushes cond into an alias with these columns. What is within
// knows them only by their place.
func pushOrdinals(n *plan.SubqueryAlias, cols gms.ColSet, cond gms.Expression) (gms.Node, bool, error) {
	place := map[gms.ColumnId]int{}
	// The ids of an alias are given in the order of its columns.
	cols.ForEach(func(id gms.ColumnId) { place[id] = len(place) })
	if len(place) != len(n.Schema()) {
		return n, false, nil
	}
	below, ok, err := substitute(cond, func(id gms.ColumnId) gms.Expression {
		if i, ok := place[id]; ok {
			return ordinal(i)
		}
		return nil
	})
	if err != nil || !ok {
		return n, false, err
	}
	child, ok, err := pushByOrdinal(n.Child, below)
	if err != nil || !ok {
		return n, false, err
	}
	return n.WithChild(child), true, nil
}

// pushByOrdinal moves cond, whose columns are ordinals of n's output, into n.
func pushByOrdinal(n gms.Node, cond gms.Expression) (gms.Node, bool, error) {
	within := func(n gms.Node, exprs []gms.Expression) (gms.Node, bool, error) {
		below, ok, err := fromOrdinals(cond, func(i int) gms.Expression {
			if i >= len(exprs) {
				return nil
			}
			return unalias(exprs[i])
		})
		if err != nil || !ok || !movable(below) {
			return n, false, err
		}
		return pushInto(n, n.Children()[0], below)
	}
	switch n := n.(type) {
	case *plan.Project:
		return within(n, n.Projections)
	case *plan.GroupBy:
		below, ok, err := fromOrdinals(cond, func(i int) gms.Expression {
			if i >= len(n.SelectedExprs) {
				return nil
			}
			return unalias(n.SelectedExprs[i])
		})
		if err != nil || !ok || !movable(below) || !aboutKeys(n, below) {
			return n, false, err
		}
		return pushInto(n, n.Child, below)
	case *plan.SetOp:
		if n.SetOpType != plan.UnionType || n.Limit != nil || n.Offset != nil {
			return n, false, nil
		}
		left, ok, err := pushByOrdinal(n.Left(), cond)
		if err != nil || !ok {
			return n, false, err
		}
		right, ok, err := pushByOrdinal(n.Right(), cond)
		if err != nil || !ok {
			return n, false, err
		}
		out, err := n.WithChildren(left, right)
		return out, true, err
	case *plan.SubqueryAlias:
		child, ok, err := pushByOrdinal(n.Child, cond)
		if err != nil || !ok {
			return n, false, err
		}
		return n.WithChild(child), true, nil
	case *plan.Filter:
		return pushBeside(n, cond, pushByOrdinal)
	case *plan.Having, *plan.Sort, *plan.Distinct:
		child, ok, err := pushByOrdinal(n.Children()[0], cond)
		if err != nil || !ok {
			return n, false, err
		}
		out, err := n.WithChildren(child)
		return out, true, err
	case *plan.ResolvedTable:
		return filterTable(n, n.Columns(), cond)
	}
	return n, false, nil
}

// filterTable puts cond above a table.
func filterTable(n *plan.ResolvedTable, cols gms.ColSet, cond gms.Expression) (gms.Node, bool, error) {
	var ids []gms.ColumnId
	cols.ForEach(func(id gms.ColumnId) { ids = append(ids, id) })
	schema := n.Schema()
	if len(ids) != len(schema) {
		return n, false, nil
	}
	below, ok, err := fromOrdinals(cond, func(i int) gms.Expression {
		if i >= len(schema) {
			return nil
		}
		c := schema[i]
		return expression.NewGetFieldWithTable(int(ids[i]), int(n.Id()), c.Type, c.DatabaseSource, c.Source, c.Name, c.Nullable)
	})
	if err != nil || !ok {
		return n, false, err
	}
	return plan.NewFilter(below, n), true, nil
}

// aboutKeys says whether cond is about the keys of a group alone, so that it
// holds for all rows of a group or for none.
func aboutKeys(g *plan.GroupBy, cond gms.Expression) bool {
	if len(g.GroupByExprs) == 0 {
		return false
	}
	keys := map[string]bool{}
	ids := map[gms.ColumnId]bool{}
	for _, k := range g.GroupByExprs {
		k = unalias(k)
		if gf, ok := k.(*expression.GetField); ok {
			ids[gf.Id()] = true
			continue
		}
		keys[k.String()] = true
	}
	ok := true
	gms.Inspect(cond, func(e gms.Expression) bool {
		if e == nil || keys[e.String()] {
			return false
		}
		if gf, is := e.(*expression.GetField); is && !ids[gf.Id()] {
			ok = false
		}
		return ok
	})
	return ok
}

func unalias(e gms.Expression) gms.Expression {
	if a, ok := e.(*expression.Alias); ok {
		return a.Child
	}
	return e
}

// byID finds the expression of a projection that gives a column.
func byID(exprs []gms.Expression) func(gms.ColumnId) gms.Expression {
	return func(id gms.ColumnId) gms.Expression {
		for _, e := range exprs {
			if ie, ok := e.(gms.IdExpression); ok && ie.Id() == id {
				return unalias(e)
			}
		}
		return nil
	}
}

// outputIDs are the ids of n's columns in their order, if n has them.
func outputIDs(n gms.Node) ([]gms.ColumnId, bool) {
	var exprs []gms.Expression
	switch n := n.(type) {
	case *plan.Project:
		exprs = n.Projections
	case *plan.GroupBy:
		exprs = n.SelectedExprs
	case *plan.Filter, *plan.Having, *plan.Sort, *plan.Distinct, *plan.Limit, *plan.Offset:
		return outputIDs(n.Children()[0])
	case *plan.SetOp:
		return outputIDs(n.Left())
	default:
		return nil, false
	}
	ids := make([]gms.ColumnId, len(exprs))
	for i, e := range exprs {
		ie, ok := e.(gms.IdExpression)
		if !ok {
			return nil, false
		}
		ids[i] = ie.Id()
	}
	return ids, true
}

// substitute replaces the columns of e; false if one has no replacement.
func substitute(e gms.Expression, with func(gms.ColumnId) gms.Expression) (gms.Expression, bool, error) {
	ok := true
	out, _, err := transform.Expr(e, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		gf, is := e.(*expression.GetField)
		if !is {
			return e, transform.SameTree, nil
		}
		r := with(gf.Id())
		if r == nil {
			ok = false
			return e, transform.SameTree, nil
		}
		if o, is := r.(*ordinalField); is {
			o.typ = gf.Type()
		}
		return r, transform.NewTree, nil
	})
	return out, ok, err
}

// fromOrdinals replaces the ordinals of e; false if one has no replacement.
func fromOrdinals(e gms.Expression, with func(int) gms.Expression) (gms.Expression, bool, error) {
	ok := true
	out, _, err := transform.Expr(e, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		o, is := e.(*ordinalField)
		if !is {
			return e, transform.SameTree, nil
		}
		r := with(o.i)
		if r == nil {
			ok = false
			return e, transform.SameTree, nil
		}
		return r, transform.NewTree, nil
	})
	return out, ok, err
}

// An ordinalField is a column by its place, while a condition is on its way.
type ordinalField struct {
	i   int
	typ gms.Type
}

func ordinal(i int) *ordinalField { return &ordinalField{i: i} }

func (o *ordinalField) Resolved() bool             { return true }
func (o *ordinalField) String() string             { return fmt.Sprintf("column %d", o.i) }
func (o *ordinalField) Type() gms.Type             { return o.typ }
func (o *ordinalField) IsNullable() bool           { return true }
func (o *ordinalField) Children() []gms.Expression { return nil }

func (o *ordinalField) Eval(*gms.Context, gms.Row) (any, error) {
	return nil, fmt.Errorf("%s has no row", o)
}

func (o *ordinalField) WithChildren(...gms.Expression) (gms.Expression, error) { return o, nil }

// mapViews tells the engine which column of a stored view is which within, as
// it knows of derived tables. It then pushes conditions into views within
// joins by itself.
func mapViews(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		sq, ok := n.(*plan.SubqueryAlias)
		if !ok || sq.ScopeMapping != nil {
			return n, transform.SameTree, nil
		}
		p, ok := sq.Child.(*plan.Project)
		if !ok || sq.Columns().Len() != len(p.Projections) {
			return n, transform.SameTree, nil
		}
		mapping := map[gms.ColumnId]gms.Expression{}
		i := 0
		sq.Columns().ForEach(func(id gms.ColumnId) {
			switch e := p.Projections[i].(type) {
			case *expression.GetField:
				mapping[id] = e
			case *expression.Alias:
				mapping[id] = expression.NewGetField(int(e.Id()), e.Type(), e.Name(), e.IsNullable())
			}
			i++
		})
		if len(mapping) != len(p.Projections) {
			return n, transform.SameTree, nil
		}
		return sq.WithScopeMapping(mapping), transform.NewTree, nil
	})
	return out, err
}
