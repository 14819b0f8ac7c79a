package gmsx

import (
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
)

// groupOuterColumns has a GROUP BY give the columns that sub-queries above it
// take from the rows of the group, as in
//
//	SELECT page, (SELECT name FROM o WHERE o.id = p.owner) FROM p GROUP BY page, owner
//
// The engine gives what the SELECT itself names, and then finds no such column,
// or another one. A group gives those of its first row.
//
// What is selected by a name that HAVING, ORDER BY or GROUP BY use is in the plan
// twice, the second time above rows that no longer have these columns: there the
// first one's value is taken.
func groupOuterColumns(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := withOuterColumns(n, map[gms.ColumnId]bool{})
	if err != nil {
		return nil, err
	}
	out, _, err = transform.NodeWithOpaque(out, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		p, ok := n.(*plan.Project)
		if !ok {
			return n, transform.SameTree, nil
		}
		below := projectBelow(p.Child)
		if below == nil {
			return n, transform.SameTree, nil
		}
		made := map[gms.ColumnId]*expression.Alias{}
		for _, e := range below.Projections {
			if a, ok := e.(*expression.Alias); ok && a.Id() != 0 && !movable(a.Child) {
				made[a.Id()] = a
			}
		}
		exprs := append([]gms.Expression(nil), p.Projections...)
		changed := false
		for i, e := range exprs {
			a, ok := e.(*expression.Alias)
			if !ok || made[a.Id()] == nil || made[a.Id()].Child.String() != a.Child.String() {
				continue
			}
			exprs[i], changed = expression.NewGetField(int(a.Id()), a.Type(), a.Name(), a.IsNullable()), true
		}
		if !changed {
			return n, transform.SameTree, nil
		}
		return plan.NewProject(exprs, p.Child), transform.NewTree, nil
	})
	return out, err
}

// projectBelow is the projection whose rows n passes on, nil if there is none.
func projectBelow(n gms.Node) *plan.Project {
	for {
		switch t := n.(type) {
		case *plan.Project:
			return t
		case *plan.Having, *plan.Sort, *plan.TopN, *plan.Limit, *plan.Offset, *plan.Distinct:
			n = t.Children()[0]
		default:
			return nil
		}
	}
}

// withOuterColumns is n for the sub-queries above it in the same query, whose
// outer columns are wanted.
func withOuterColumns(n gms.Node, wanted map[gms.ColumnId]bool) (gms.Node, transform.TreeIdentity, error) {
	switch n := n.(type) {
	case *plan.Project, *plan.Having, *plan.Sort, *plan.TopN, *plan.Window:
		for _, e := range n.(gms.Expressioner).Expressions() {
			gms.Inspect(e, func(e gms.Expression) bool {
				var s *plan.Subquery
				switch e := e.(type) {
				case *plan.Subquery:
					s = e
				case *plan.ExistsSubquery:
					s = e.Query
				default:
					return true
				}
				s.Correlated().ForEach(func(id gms.ColumnId) { wanted[id] = true })
				return true
			})
		}
	case *plan.Distinct, *plan.Limit, *plan.Offset:
	case *plan.GroupBy:
		g, changed := groupWith(n, wanted)
		child, same, err := withOuterColumns(n.Child, map[gms.ColumnId]bool{})
		if err != nil || bool(same) && !changed {
			return n, transform.SameTree, err
		}
		out, err := g.WithChildren(child)
		return out, transform.NewTree, err
	default:
		wanted = map[gms.ColumnId]bool{}
	}
	children := n.Children()
	changed := false
	for i, c := range children {
		out, same, err := withOuterColumns(c, wanted)
		if err != nil {
			return n, transform.SameTree, err
		}
		if !same {
			if !changed {
				children = append([]gms.Node(nil), children...)
			}
			children[i], changed = out, true
		}
		if len(children) > 1 {
			wanted = map[gms.ColumnId]bool{}
		}
	}
	if !changed {
		return n, transform.SameTree, nil
	}
	out, err := n.WithChildren(children...)
	return out, transform.NewTree, err
}

// groupWith is g with those of the wanted columns that its rows have and it does
// not give.
func groupWith(g *plan.GroupBy, wanted map[gms.ColumnId]bool) (*plan.GroupBy, bool) {
	if len(wanted) == 0 {
		return g, false
	}
	for _, e := range g.SelectedExprs {
		if ie, ok := e.(gms.IdExpression); ok {
			delete(wanted, ie.Id())
		}
	}
	selected := g.SelectedExprs[:len(g.SelectedExprs):len(g.SelectedExprs)]
	give := func(n gms.Node) bool {
		t, ok := n.(plan.TableIdNode)
		if !ok {
			return true
		}
		schema, cols := t.Schema(), t.Columns()
		if cols.Len() != len(schema) {
			return false
		}
		i := 0
		cols.ForEach(func(id gms.ColumnId) {
			c := schema[i]
			i++
			if wanted[id] {
				delete(wanted, id)
				selected = append(selected, expression.NewGetFieldWithTable(int(id), int(t.Id()), c.Type, c.DatabaseSource, t.Name(), c.Name, c.Nullable))
			}
		})
		return false
	}
	transform.Inspect(g.Child, give)
	if len(selected) == len(g.SelectedExprs) {
		return g, false
	}
	return plan.NewGroupBy(selected, g.GroupByExprs, g.Child), true
}
