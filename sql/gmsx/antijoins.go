package gmsx

import (
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// notExists makes NOT EXISTS right where its condition is NULL. The engine
// joins it as it does NOT IN, for which a NULL excludes the row. A condition
// that is false there instead, and still all of keys for a lookup or a hash, is
//
//	b.k = a.k AND key(b.k) = key(a.k)
//
// where the keys of NULL are two that are equal to none.
func notExists(_ *gms.Context, n gms.Node) (gms.Node, error) {
	return inConditions(n, func(e gms.Expression) (gms.Expression, bool, error) {
		not, ok := e.(*expression.Not)
		if !ok {
			return e, false, nil
		}
		exists, ok := not.Child.(*plan.ExistsSubquery)
		if !ok {
			return e, false, nil
		}
		exists, changed, err := withConditions(exists, withoutNulls)
		if err != nil || !changed {
			return e, false, err
		}
		return expression.NewNot(exists), true, nil
	})
}

// exactExists makes EXISTS right where its condition compares an outer column
// with one of another type. The engine turns it into a join with the different
// values of the inner one, of which several may be equal to one outer value.
func exactExists(_ *gms.Context, n gms.Node) (gms.Node, error) {
	return inConditions(n, func(e gms.Expression) (gms.Expression, bool, error) {
		exists, ok := e.(*plan.ExistsSubquery)
		if !ok {
			return e, false, nil
		}
		return withConditions(exists, exactPredicates)
	})
}

// withConditions returns EXISTS with other conditions in its query, and whether
// there are any: change is given those of each filter, and the outer columns.
func withConditions(exists *plan.ExistsSubquery, change func(conds []gms.Expression, outer gms.ColSet) ([]gms.Expression, bool)) (*plan.ExistsSubquery, bool, error) {
	outer := exists.Query.Correlated()
	q, same, err := transform.Node(exists.Query.Query, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		f, ok := n.(*plan.Filter)
		if !ok {
			return n, transform.SameTree, nil
		}
		conds, changed := change(expression.SplitConjunction(f.Expression), outer)
		if !changed {
			return n, transform.SameTree, nil
		}
		return plan.NewFilter(expression.JoinAnd(conds...), f.Child), transform.NewTree, nil
	})
	if err != nil || same {
		return exists, false, err
	}
	return plan.NewExistsSubquery(exists.Query.WithQuery(q)), true, nil
}

// correlated says whether an expression is about one of the outer columns.
func correlated(e gms.Expression, outer gms.ColSet) bool {
	return transform.InspectExpr(e, func(e gms.Expression) bool {
		gf, ok := e.(*expression.GetField)
		return ok && outer.Contains(gf.Id())
	})
}

// exactPredicates makes those of conds that compare outer columns with columns of
// other types exact, and never NULL.
func exactPredicates(conds []gms.Expression, outer gms.ColSet) ([]gms.Expression, bool) {
	changed := false
	for i, c := range conds {
		switch c.(type) {
		case *expression.Equals, *expression.NullSafeEquals:
		default:
			continue
		}
		if !correlated(c, outer) {
			continue
		}
		if own, ok := exactComparison(c, false); ok {
			conds[i], changed = &isTrue{expression.UnaryExpression{Child: own}}, true
		}
	}
	return conds, changed
}

// withoutNulls makes those of conds that are about outer columns never NULL.
func withoutNulls(conds []gms.Expression, outer gms.ColSet) ([]gms.Expression, bool) {
	have := map[string]bool{}
	for _, c := range conds {
		have[c.String()] = true
	}
	var out []gms.Expression
	for _, c := range conds {
		columns := transform.InspectExpr(c, func(e gms.Expression) bool {
			_, ok := e.(*expression.GetField)
			return ok
		})
		_, done := c.(*isTrue)
		if eq, ok := c.(*expression.Equals); ok {
			// Of keys that are never NULL. That a column is NOT NULL says nothing of
			// it behind an outer join.
			_, l := eq.Left().(*joinKey)
			_, r := eq.Right().(*joinKey)
			done = done || l && r
		}
		if !correlated(c, outer) && columns || done {
			out = append(out, c)
			continue
		}
		if _, ok := c.(*expression.Equals); ok {
			l, r := c.Children()[0], c.Children()[1]
			if kind := kindOfKeys(l.Type(), r.Type()); kind != keyNone && movable(c) {
				out = append(out, c)
				if again := expression.NewEquals(newJoinKey(l, kind, " l"), newJoinKey(r, kind, " r")); !have[again.String()] {
					out = append(out, again)
				}
				continue
			}
		}
		out = append(out, &isTrue{expression.UnaryExpression{Child: c}})
	}
	return out, len(out) != len(conds) || !sameExprs(out, conds)
}

func sameExprs(a, b []gms.Expression) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// isTrue is its child, with false for NULL.
type isTrue struct{ expression.UnaryExpression }

func (t *isTrue) Type() gms.Type   { return types.Boolean }
func (t *isTrue) IsNullable() bool { return false }
func (t *isTrue) String() string   { return "(" + t.Child.String() + " IS TRUE)" }

func (t *isTrue) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	v, err := gms.EvaluateCondition(ctx, t.Child, row)
	return gms.IsTrue(v), err
}

func (t *isTrue) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(t, len(children), 1)
	}
	return &isTrue{expression.UnaryExpression{Child: children[0]}}, nil
}

// CollationCoercibility implements gms.CollationCoercible.
func (t *isTrue) CollationCoercibility(*gms.Context) (gms.CollationID, byte) {
	return gms.Collation_binary, 5
}
