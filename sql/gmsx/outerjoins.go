package gmsx

import (
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
)

// outerJoined lets columns behind an outer join be NULL, which their tables say
// they never are: conditions that trust them lose rows, and clients that are
// told so refuse the NULL that comes. What a derived table has from an outer
// join within is not followed: all that the statement selects may be NULL then.
func outerJoined(_ *gms.Context, n gms.Node) (gms.Node, error) {
	optional := map[gms.TableId]bool{}
	add := func(side gms.Node) {
		transform.Inspect(side, func(n gms.Node) bool {
			if t, ok := n.(plan.TableIdNode); ok {
				optional[t.Id()] = true
			}
			return true
		})
	}
	_, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		if j, ok := n.(*plan.JoinNode); ok {
			if j.Op.IsLeftOuter() || j.Op.IsFullOuter() {
				add(j.Right())
			}
			if j.Op.IsRightOuter() || j.Op.IsFullOuter() {
				add(j.Left())
			}
		}
		return n, transform.SameTree, nil
	})
	if err != nil || len(optional) == 0 {
		return n, err
	}
	n, _, err = nullable(n, func(gf *expression.GetField) bool { return optional[gf.TableId()] })
	if err != nil {
		return nil, err
	}
	return selectedNullable(n)
}

// nullable makes those columns of n nullable that which says, those in
// sub-queries too.
func nullable(n gms.Node, which func(*expression.GetField) bool) (gms.Node, transform.TreeIdentity, error) {
	return transform.NodeExprsWithOpaque(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		switch e := e.(type) {
		case *expression.GetField:
			if !e.IsNullable() && which(e) {
				return asNullable(e), transform.NewTree, nil
			}
		case *plan.Subquery:
			q, same, err := nullable(e.Query, which)
			if err != nil || same {
				return e, transform.SameTree, err
			}
			return e.WithQuery(q), transform.NewTree, nil
		}
		return e, transform.SameTree, nil
	})
}

// selectedNullable makes the columns nullable that a statement selects.
func selectedNullable(n gms.Node) (gms.Node, error) {
	switch n := n.(type) {
	case *plan.Project, *plan.GroupBy:
		out, _, err := transform.OneNodeExpressions(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
			if gf, ok := e.(*expression.GetField); ok && !gf.IsNullable() {
				return asNullable(gf), transform.NewTree, nil
			}
			return e, transform.SameTree, nil
		})
		return out, err
	case *plan.Sort, *plan.TopN, *plan.Limit, *plan.Offset, *plan.Distinct, *plan.Having, *plan.Filter:
		child, err := selectedNullable(n.Children()[0])
		if err != nil {
			return nil, err
		}
		return n.WithChildren(child)
	}
	return n, nil
}

func asNullable(gf *expression.GetField) *expression.GetField {
	return expression.NewGetFieldWithTable(int(gf.Id()), int(gf.TableId()), gf.Type(), gf.Database(), gf.Table(), gf.Name(), true)
}
