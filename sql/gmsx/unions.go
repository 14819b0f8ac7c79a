package gmsx

import (
	"reflect"
	"slices"
	"strconv"
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

// nameUnion gives the columns that a UNION may be sorted by names. The engine
// sorts by a position's expression, over rows that no longer have what is in
// it: by the constant 1 of SELECT 1 UNION SELECT 2 ORDER BY 1.
func nameUnion(s *ast.SetOp) {
	s.Left, s.Right = ownOrder(s.Left), ownOrder(s.Right)
	if len(s.OrderBy) == 0 {
		return
	}
	first := ast.SelectStatement(s)
	for {
		switch f := first.(type) {
		case *ast.SetOp:
			first = f.Left
			continue
		case *ast.ParenSelect:
			first = f.Select
			continue
		}
		break
	}
	sel, ok := first.(*ast.Select)
	if !ok {
		return
	}
	for _, e := range sel.SelectExprs {
		if a, ok := e.(*ast.AliasedExpr); ok && a.As.IsEmpty() {
			if _, column := a.Expr.(*ast.ColName); !column {
				a.As = ast.NewColIdent(columnName(a))
			}
		}
	}
	for _, o := range s.OrderBy {
		if name, ok := positionName(sel.SelectExprs, o.Expr); ok {
			o.Expr = &ast.ColName{Name: name}
		}
	}
}

// columnName is the name of a column without alias.
func columnName(a *ast.AliasedExpr) string {
	if a.InputExpression != "" {
		return a.InputExpression
	}
	return ast.String(a.Expr)
}

// positionName is the name that the expression at a position has alone.
func positionName(exprs ast.SelectExprs, position ast.Expr) (name ast.ColIdent, ok bool) {
	v, ok := position.(*ast.SQLVal)
	if !ok || v.Type != ast.IntVal {
		return name, false
	}
	at, err := strconv.Atoi(string(v.Val))
	if err != nil || at < 1 || at > len(exprs) {
		return name, false
	}
	names := make([]ast.ColIdent, len(exprs))
	for i, e := range exprs {
		a, ok := e.(*ast.AliasedExpr)
		if !ok {
			return name, false
		}
		names[i] = a.As
		if c, column := a.Expr.(*ast.ColName); column && a.As.IsEmpty() {
			names[i] = c.Name
		}
	}
	for i, n := range names {
		if i != at-1 && n.Equal(names[at-1]) {
			return name, false
		}
	}
	return names[at-1], true
}

// ownOrder makes a derived table of a UNION within another that has an order or
// a limit: the engine gives these to the outer one.
func ownOrder(s ast.SelectStatement) ast.SelectStatement {
	inner := s
	for {
		p, ok := inner.(*ast.ParenSelect)
		if !ok {
			break
		}
		inner = p.Select
	}
	u, ok := inner.(*ast.SetOp)
	if !ok || len(u.OrderBy) == 0 && u.Limit == nil {
		return s
	}
	return &ast.Select{
		SelectExprs: ast.SelectExprs{&ast.StarExpr{}},
		From: ast.TableExprs{&ast.AliasedTableExpr{
			Expr: &ast.Subquery{Select: u}, As: ast.NewTableIdent(operatorPrefix + "union"), Auth: ast.AuthInformation{AuthType: ast.AuthType_IGNORE},
		}},
	}
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

func retype(gf *expression.GetField, t gms.Type) *expression.GetField {
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
	l, ok1 := unionSide(n.Left())
	r, ok2 := unionSide(n.Right())
	if !ok1 || !ok2 || len(l.exprs) != len(r.exprs) {
		return n, transform.SameTree, nil
	}
	le, re := make([]gms.Expression, len(l.exprs)), make([]gms.Expression, len(l.exprs))
	changed := l.converts || r.converts
	for i := range le {
		a, b := l.exprs[i], r.exprs[i]
		le[i], re[i] = a, b
		if reflect.DeepEqual(a.Type(), b.Type()) && !l.aliased[i] && !r.aliased[i] {
			continue
		}
		changed = changed || !reflect.DeepEqual(a.Type(), b.Type())
		t := commonType([]gms.Expression{a, b})
		if t == types.Null {
			t = types.LongText
		}
		le[i] = expression.NewAlias(l.names[i], &coerced{expression.UnaryExpression{Child: a}, t})
		re[i] = expression.NewAlias(r.names[i], &coerced{expression.UnaryExpression{Child: b}, t})
	}
	fields, resorted := sortedAs(n.SortFields, l.names, le)
	if !changed && !resorted {
		return n, transform.SameTree, nil
	}
	typed := *n
	typed.SortFields = fields
	if !changed {
		return &typed, transform.NewTree, nil
	}
	out, err := typed.WithChildren(plan.NewProject(le, l.base), plan.NewProject(re, r.base))
	return out, transform.NewTree, err
}

// sortedAs are sort fields that compare by the types of the columns as they are
// now, and whether that changes them.
func sortedAs(fields gms.SortFields, names []string, columns []gms.Expression) (gms.SortFields, bool) {
	out, changed := slices.Clone(fields), false
	for i := range out {
		out[i].Column, _, _ = transform.Expr(out[i].Column, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
			gf, ok := e.(*expression.GetField)
			if !ok {
				return e, transform.SameTree, nil
			}
			for c, name := range names {
				if strings.EqualFold(name, gf.Name()) && !columns[c].Type().Equals(gf.Type()) {
					changed = true
					return retype(gf, columns[c].Type()), transform.NewTree, nil
				}
			}
			return e, transform.SameTree, nil
		})
	}
	return out, changed
}

// A side of a UNION, without what the planner has put on top.
type side struct {
	base     gms.Node
	exprs    []*expression.GetField
	names    []string
	aliased  []bool
	converts bool // the planner converts a column
}

func unionSide(n gms.Node) (side, bool) {
	if p, ok := n.(*plan.Project); ok {
		s := side{base: p.Child}
		schema := p.Child.Schema()
		ok := len(schema) == len(p.Projections)
		for i, e := range p.Projections {
			gf, plain := e.(*expression.GetField)
			if !plain {
				if gf, plain = converted(e); plain {
					a := e.(*expression.Alias)
					_, convert := a.Child.(*expression.Convert)
					s.converts = s.converts || convert
				}
			}
			if !plain || !ok || !strings.EqualFold(schema[i].Name, gf.Name()) {
				ok = false
				break
			}
			name, again := schema[i].Name, false
			if a, is := e.(*expression.Alias); is {
				name, again = a.Name(), true
			}
			s.exprs = append(s.exprs, retype(gf, schema[i].Type))
			s.names = append(s.names, name)
			s.aliased = append(s.aliased, again)
			// The types below may have changed since the planner looked.
			s.converts = s.converts || !schema[i].Type.Equals(gf.Type())
		}
		if ok && s.converts {
			return s, true
		}
	}
	ids := columnIDs(n)
	schema := n.Schema()
	if len(ids) != len(schema) {
		return side{}, false
	}
	s := side{base: n}
	for i, c := range schema {
		s.exprs = append(s.exprs, expression.NewGetFieldWithTable(int(ids[i]), 0, c.Type, c.DatabaseSource, c.Source, c.Name, c.Nullable))
		s.names = append(s.names, c.Name)
		s.aliased = append(s.aliased, false)
	}
	return s, true
}

// columnIDs are the ids by which the columns of n are known.
func columnIDs(n gms.Node) (ids []gms.ColumnId) {
	switch n := n.(type) {
	case *plan.Project:
		for _, p := range n.Projections {
			id := gms.ColumnId(0)
			if e, ok := p.(gms.IdExpression); ok {
				id = e.Id()
			}
			ids = append(ids, id)
		}
	case plan.TableIdNode:
		n.Columns().ForEach(func(id gms.ColumnId) { ids = append(ids, id) })
	default:
		if len(n.Children()) == 1 {
			return columnIDs(n.Children()[0])
		}
	}
	return ids
}

// A coerced is a value as one of a type that holds it.
type coerced struct {
	expression.UnaryExpression
	typ gms.Type
}

var _ gms.CollationCoercible = (*coerced)(nil)

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
