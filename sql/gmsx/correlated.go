package gmsx

import (
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// tables are those whose columns a node may read from its children, by id and
// by name: within a stored view ids are another statement's.
type tables struct {
	ids   map[gms.TableId]bool
	names map[string]string // in lower case, with the database of one without alias
}

func tablesBelow(n gms.Node) tables {
	t := tables{map[gms.TableId]bool{}, map[string]string{}}
	for _, c := range n.Children() {
		transform.Inspect(c, func(n gms.Node) bool {
			at, ok := n.(plan.TableIdNode)
			if !ok {
				return true
			}
			if at.Id() != 0 {
				t.ids[at.Id()] = true
			}
			database := ""
			if r, ok := n.(*plan.ResolvedTable); ok && r.SqlDatabase != nil {
				database = r.SqlDatabase.Name()
			}
			t.names[strings.ToLower(at.Name())] = database
			return false
		})
	}
	return t
}

// has says whether gf is a column of one of the tables.
func (t tables) has(gf *expression.GetField) bool {
	if t.ids[gf.TableId()] {
		return true
	}
	database, ok := t.names[strings.ToLower(gf.Table())]
	return ok && gf.Table() != "" && (database == "" || gf.Database() == "" || strings.EqualFold(database, gf.Database()))
}

// columnsOf says of the columns in e whether some are of the given tables, and
// whether some are of others. Sub-queries within count as both.
func columnsOf(e gms.Expression, t tables) (of, others bool) {
	gms.Inspect(e, func(e gms.Expression) bool {
		switch e := e.(type) {
		case *expression.GetField:
			if e.Table() == "" || t.has(e) {
				of = true
			} else {
				others = true
			}
		case *plan.Subquery, *plan.ExistsSubquery, *plan.InSubquery:
			of, others = true, true
		}
		return true
	})
	return of, others
}

// holdOuterConditions keeps conditions on columns of the outer query alone from
// the engine's choice of index ranges, which finds columns by their names: of
//
//	SELECT (SELECT MAX(z.n) FROM t z WHERE z.k > 'a' AND x.n > 0) FROM t x
//
// it makes a range of z.n, and drops the condition.
func holdOuterConditions(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		switch n.(type) {
		case *plan.Filter, *plan.JoinNode:
		default:
			return n, transform.SameTree, nil
		}
		var below *tables
		return transform.OneNodeExpressions(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
			switch e.(type) {
			case *expression.And, *expression.Or, *expression.Xor, *held:
				return e, transform.SameTree, nil
			}
			if !types.IsBoolean(e.Type()) {
				return e, transform.SameTree, nil
			}
			if below == nil {
				t := tablesBelow(n)
				below = &t
			}
			if of, others := columnsOf(e, *below); of || !others {
				return e, transform.SameTree, nil
			}
			return &held{expression.UnaryExpression{Child: e}}, transform.NewTree, nil
		})
	})
	return out, err
}

// A held is an expression under a type that the optimiser does not know.
type held struct{ expression.UnaryExpression }

var _ gms.CollationCoercible = (*held)(nil)

// Type implements gms.Expression.
func (h *held) Type() gms.Type { return h.Child.Type() }

func (h *held) String() string { return h.Child.String() }

// CollationCoercibility implements gms.CollationCoercible.
func (h *held) CollationCoercibility(ctx *gms.Context) (gms.CollationID, byte) {
	return gms.GetCoercibility(ctx, h.Child)
}

// Eval implements gms.Expression.
func (h *held) Eval(ctx *gms.Context, row gms.Row) (any, error) { return h.Child.Eval(ctx, row) }

// WithChildren implements gms.Expression.
func (h *held) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(h, len(children), 1)
	}
	return &held{expression.UnaryExpression{Child: children[0]}}, nil
}

// refuseOuterAggregates refuses aggregates in a sub-query of columns of outer
// queries alone. They are the outer query's, over its rows, and the engine
// computes them over the sub-query's.
//
// Nor has WHERE aggregates of its own: it comes before there are groups.
func refuseOuterAggregates(_ *gms.Context, n gms.Node) (gms.Node, error) {
	var err error
	nodesDeep(n, func(n gms.Node) {
		f, ok := n.(*plan.Filter)
		if !ok || err != nil {
			return
		}
		gms.Inspect(f.Expression, func(e gms.Expression) bool {
			switch e := e.(type) {
			case *plan.Subquery, *plan.ExistsSubquery:
				return false
			case gms.Aggregation:
				if of, others := columnsOf(e, tablesBelow(f)); err == nil && others && !of {
					err = outerAggregate(e)
				} else if err == nil {
					err = Error(1111, "HY000", "Invalid use of group function")
				}
				return false
			}
			return true
		})
	})
	if err != nil {
		return n, err
	}
	transform.Inspect(n, func(n gms.Node) bool {
		g, ok := n.(*plan.GroupBy)
		if !ok || err != nil {
			return err == nil
		}
		var below *tables
		for _, e := range g.SelectedExprs {
			gms.Inspect(e, func(e gms.Expression) bool {
				a, ok := e.(gms.Aggregation)
				if !ok || err != nil {
					return err == nil
				}
				if below == nil {
					t := tablesBelow(g)
					below = &t
				}
				if of, others := columnsOf(a, *below); others && !of {
					err = outerAggregate(a)
				}
				return false
			})
		}
		return err == nil
	})
	return n, err
}

func outerAggregate(a gms.Expression) error {
	return Error(1235, "42000", "This version of weir doesn't yet support an aggregate in a sub-query over columns of the outer query alone, which SQL computes over the outer query's rows: %s. Select it in the outer query", a)
}

// nodesDeep calls f for all nodes in n, those of sub-queries too.
func nodesDeep(n gms.Node, f func(gms.Node)) {
	f(n)
	if e, ok := n.(gms.Expressioner); ok {
		for _, e := range e.Expressions() {
			gms.Inspect(e, func(e gms.Expression) bool {
				switch s := e.(type) {
				case *plan.Subquery:
					nodesDeep(s.Query, f)
				case *plan.ExistsSubquery:
					nodesDeep(s.Query.Query, f)
					return false
				}
				return true
			})
		}
	}
	for _, c := range n.Children() {
		nodesDeep(c, f)
	}
}

// existsForIn says x IN (SELECT y … WHERE …), whose rows depend on those of the
// outer query, as EXISTS (SELECT y … WHERE … AND y = x): the inner side is then
// looked up by y, and read no further than to the first row. Both are true of the
// same rows; where one is false and the other NULL is all the same to a condition
// that stands in an AND.
func existsForIn(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		f, ok := n.(*plan.Filter)
		if !ok {
			return n, transform.SameTree, nil
		}
		conds := expression.SplitConjunction(f.Expression)
		changed := false
		for i, c := range conds {
			in, ok := c.(*plan.InSubquery)
			if !ok {
				continue
			}
			exists, err := asExists(in)
			if err != nil {
				return n, transform.SameTree, err
			}
			if exists != nil {
				conds[i], changed = exists, true
			}
		}
		if !changed {
			return n, transform.SameTree, nil
		}
		return plan.NewFilter(expression.JoinAnd(conds...), f.Child), transform.NewTree, nil
	})
	return out, err
}

// asExists is a correlated IN as EXISTS, nil if it is none or has groups, limits
// and the like.
func asExists(in *plan.InSubquery) (*plan.ExistsSubquery, error) {
	col, ok := in.LeftChild.(*expression.GetField)
	s, ok2 := in.RightChild.(*plan.Subquery)
	if !ok || !ok2 || s.Correlated().Empty() || s.Volatile() {
		return nil, nil
	}
	p, ok := s.Query.(*plan.Project)
	if !ok || len(p.Projections) != 1 {
		return nil, nil
	}
	y := unalias(p.Projections[0])
	if !movable(y) || !comparesAsLiteral(col.Type(), y.Type()) {
		return nil, nil
	}
	if a, ok := col.Type().(gms.TypeWithCollation); ok && types.IsTextOnly(col.Type()) {
		if b, ok := y.Type().(gms.TypeWithCollation); !ok || a.Collation() != b.Collation() {
			return nil, nil
		}
	}
	if _, same := tablesBelow(p).names[strings.ToLower(col.Table())]; same {
		return nil, nil // the engine goes by names here and there
	}
	child := p.Child
	switch child.(type) {
	case *plan.Filter, *plan.ResolvedTable, *plan.TableAlias, *plan.JoinNode:
	default:
		return nil, nil
	}
	q, err := p.WithChildren(filterAbove(child, expression.NewEquals(y, col)))
	if err != nil {
		return nil, err
	}
	return plan.NewExistsSubquery(s.WithQuery(q).WithCorrelated(s.Correlated().Union(gms.NewColSet(col.Id())))), nil
}
