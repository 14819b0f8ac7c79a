package gmsx

import (
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

const (
	// balanceFrom is from how many branches on a UNION is balanced.
	balanceFrom = 5
	// unionDepthMax is how deep what cannot be balanced may be.
	unionDepthMax = 14
)

// balanceUnion turns a chain a ∪ b ∪ c ∪ d into (a ∪ b) ∪ (c ∪ d). The engine
// takes time exponential in the depth of a UNION whose branches have different
// types, during which nothing stops it: twenty branches took half a minute.
// The two sides of a recursive one mean something and stay.
func balanceUnion(s *ast.SetOp, recursive bool) error {
	if branches := unionBranches(s); !recursive && isUnion(s.Type) && len(branches) >= balanceFrom {
		mid := len(branches) / 2
		s.Left, s.Right = balanced(branches[:mid], s.Type), balanced(branches[mid:], s.Type)
	}
	if unionDepth(s) > unionDepthMax {
		return Error(1235, "42000", "This statement has too many UNIONs of different kinds")
	}
	return nil
}

func isUnion(t string) bool {
	return t == ast.UnionStr || t == ast.UnionAllStr || t == ast.UnionDistinctStr
}

// unionBranches are the branches of a chain of one kind. A UNION within that
// has an order or a limit of its own is one branch.
func unionBranches(s *ast.SetOp) []ast.SelectStatement {
	var right []ast.SelectStatement // from the last on
	for {
		right = append(right, s.Right)
		left, ok := s.Left.(*ast.SetOp)
		if !ok || left.Type != s.Type || left.OrderBy != nil || left.Limit != nil || left.With != nil || left.Into != nil || left.Lock != "" {
			right = append(right, s.Left)
			break
		}
		s = left
	}
	slices.Reverse(right)
	return right
}

func balanced(branches []ast.SelectStatement, kind string) ast.SelectStatement {
	if len(branches) == 1 {
		return branches[0]
	}
	mid := len(branches) / 2
	return &ast.SetOp{Type: kind, Left: balanced(branches[:mid], kind), Right: balanced(branches[mid:], kind)}
}

func unionDepth(s ast.SelectStatement) int {
	switch s := s.(type) {
	case *ast.SetOp:
		return 1 + max(unionDepth(s.Left), unionDepth(s.Right))
	case *ast.ParenSelect:
		return unionDepth(s.Select)
	}
	return 0
}

// exactUnions gives the columns of a UNION the types that hold the values of
// all its sides. The engine's planner converts both sides where they differ,
// into a type that may not: BIGINT for unsigned values, 0 decimals, the NULL of
// the first side, text.
func exactUnions(_ *gms.Context, n gms.Node) (gms.Node, error) {
	derived := map[gms.TableId]gms.Schema{}
	out, same, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		switch n := n.(type) {
		case *plan.SubqueryAlias:
			derived[n.Id()] = n.Schema()
		case *plan.SetOp:
			return exactUnion(n)
		}
		return n, transform.SameTree, nil
	})
	if err != nil || same || len(derived) == 0 {
		return out, err
	}
	// What is above was planned with the types from before.
	out, _, err = transform.NodeExprsWithOpaque(out, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		if gf, ok := e.(*expression.GetField); ok {
			for _, c := range derived[gf.TableId()] {
				if strings.EqualFold(c.Name, gf.Name()) && !c.Type.Equals(gf.Type()) {
					return retype(gf, c.Type), transform.NewTree, nil
				}
			}
		}
		return e, transform.SameTree, nil
	})
	return out, err
}

func retype(gf *expression.GetField, t gms.Type) gms.Expression {
	return expression.NewGetFieldWithTable(int(gf.Id()), int(gf.TableId()), t, gf.Database(), gf.Table(), gf.Name(), gf.IsNullable())
}

// converted is the column in a projection that the planner has made for a
// UNION.
func converted(e gms.Expression) (*expression.GetField, bool) {
	a, ok := e.(*expression.Alias)
	if !ok {
		return nil, false
	}
	e = a.Child
	if c, ok := e.(*expression.Convert); ok {
		e = c.Child
	}
	gf, ok := e.(*expression.GetField)
	return gf, ok
}

func exactUnion(n *plan.SetOp) (gms.Node, transform.TreeIdentity, error) {
	l, ok1 := n.Left().(*plan.Project)
	r, ok2 := n.Right().(*plan.Project)
	if !ok1 || !ok2 || len(l.Projections) != len(r.Projections) {
		return n, transform.SameTree, nil
	}
	ls, rs := l.Child.Schema(), r.Child.Schema()
	if len(ls) != len(l.Projections) || len(rs) != len(r.Projections) {
		return n, transform.SameTree, nil
	}
	le, re := slices.Clone(l.Projections), slices.Clone(r.Projections)
	changed := false
	for i := range le {
		a, of1 := converted(le[i])
		b, of2 := converted(re[i])
		if !of1 || !of2 {
			continue
		}
		t := commonTypeOf([]gms.Type{ls[i].Type, rs[i].Type})
		le[i] = expression.NewAlias(ls[i].Name, newCoerced(retype(a, ls[i].Type), t))
		re[i] = expression.NewAlias(rs[i].Name, newCoerced(retype(b, rs[i].Type), t))
		changed = true
	}
	if !changed {
		return n, transform.SameTree, nil
	}
	out, err := n.WithChildren(plan.NewProject(le, l.Child), plan.NewProject(re, r.Child))
	return out, transform.NewTree, err
}

// A coerced is a value as one of a type that holds it.
type coerced struct {
	expression.UnaryExpression
	typ gms.Type
}

var _ gms.CollationCoercible = (*coerced)(nil)

func newCoerced(e gms.Expression, t gms.Type) gms.Expression {
	if e.Type().Equals(t) {
		return e
	}
	return &coerced{expression.UnaryExpression{Child: e}, t}
}

func (c *coerced) Type() gms.Type { return c.typ }
func (c *coerced) String() string { return c.Child.String() }

// CollationCoercibility implements gms.CollationCoercible.
func (c *coerced) CollationCoercibility(ctx *gms.Context) (gms.CollationID, byte) {
	if !types.IsTextOnly(c.typ) {
		return gms.Collation_binary, 5
	}
	return gms.GetCoercibility(ctx, c.Child)
}

func (c *coerced) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(c, len(children), 1)
	}
	return &coerced{expression.UnaryExpression{Child: children[0]}, c.typ}, nil
}

func (c *coerced) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	v, err := c.Child.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	return asType(ctx, c.typ, c.Child.Type(), v)
}
