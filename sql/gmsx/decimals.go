package gmsx

import (
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// keepDecimals hides decimal literals of a comparison behind two minus signs.
// The engine's planner rounds them to the type of the column that they are
// compared with before any rule sees them; plainDecimals takes the signs away.
func keepDecimals(c *ast.ComparisonExpr) {
	for _, side := range []*ast.Expr{&c.Left, &c.Right} {
		e := *side
		for {
			p, ok := e.(*ast.ParenExpr)
			if !ok {
				break
			}
			e = p.Expr
		}
		if v, ok := e.(*ast.SQLVal); ok && v.Type == ast.FloatVal {
			*side = &ast.UnaryExpr{Operator: ast.MinusStr, Expr: &ast.UnaryExpr{Operator: ast.MinusStr, Expr: v}}
		}
	}
}

// keepAllDecimals does so within an EXPLAIN, into which ast.Walk does not go.
func keepAllDecimals(stmt ast.Statement) {
	_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
		if c, ok := n.(*ast.ComparisonExpr); ok {
			keepDecimals(c)
		}
		return true, nil
	}, stmt)
}

func plainDecimals(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeExprsWithOpaque(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		outer, ok := e.(*expression.UnaryMinus)
		if !ok {
			return e, transform.SameTree, nil
		}
		inner, ok := outer.Child.(*expression.UnaryMinus)
		if !ok {
			return e, transform.SameTree, nil
		}
		lit, ok := inner.Child.(*expression.Literal)
		if !ok || !types.IsDecimal(lit.Type()) && !types.IsFloat(lit.Type()) {
			return e, transform.SameTree, nil
		}
		return lit, transform.NewTree, nil
	})
	return out, err
}
