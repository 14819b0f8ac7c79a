package gmsx

import (
	"cmp"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// The engine converts one side of a comparison into the type of the other, and
// fails, rounds or finds nothing where MySQL compares as numbers or as times.

// A family is of types whose values the engine compares rightly.
type family byte

const (
	familyOther    family = 'o'
	familySigned   family = 'i'
	familyUnsigned family = 'u'
	familyDecimal  family = 'd'
	familyFloat    family = 'f'
	familyText     family = 's'
	familyDate     family = 'D'
	familyTime     family = 'T'
)

func familyOf(t gms.Type) family {
	switch {
	case types.IsSigned(t):
		return familySigned
	case types.IsUnsigned(t):
		return familyUnsigned
	case types.IsDecimal(t):
		return familyDecimal
	case types.IsFloat(t):
		return familyFloat
	case types.IsTextOnly(t):
		return familyText
	case types.IsDateType(t):
		return familyDate
	case isTime(t):
		return familyTime
	}
	return familyOther
}

// comparedWrongly says whether the engine compares values of the types in ways
// that are not MySQL's.
func comparedWrongly(a, b gms.Type) bool {
	x, y := familyOf(a), familyOf(b)
	switch {
	case x == familyOther || y == familyOther:
		return false
	case x == familyDecimal && y == familyDecimal:
		return !a.Equals(b)
	}
	return x != y
}

// exactComparisons replaces comparisons of values of different types, except
// those that may become an index range or a key of a join: the rules before
// have made these right.
func exactComparisons(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		keyed := false
		switch n.(type) {
		case *plan.Filter, *plan.JoinNode, *plan.Having:
			keyed = true
		}
		return transform.OneNodeExpressions(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
			out, changed := exactComparison(e, keyed)
			return out, transform.TreeIdentity(!changed), nil
		})
	})
	return out, err
}

func exactComparison(e gms.Expression, keyed bool) (gms.Expression, bool) {
	var op operator
	switch e := e.(type) {
	case *expression.Equals:
		op = opEqual
	case *expression.NullSafeEquals:
		op = opNullSafe
	case *expression.LessThan:
		op = opLess
	case *expression.LessThanOrEqual:
		op = opLessEqual
	case *expression.GreaterThan:
		op = opGreater
	case *expression.GreaterThanOrEqual:
		op = opGreaterEqual
	case *expression.Between:
		lo, changed1 := exactComparison(expression.NewGreaterThanOrEqual(e.Val, e.Lower), keyed)
		hi, changed2 := exactComparison(expression.NewLessThanOrEqual(e.Val, e.Upper), keyed)
		if !changed1 && !changed2 || !movable(e.Val) {
			return e, false
		}
		return expression.NewAnd(lo, hi), true
	case *expression.InTuple:
		tuple, ok := e.Right().(expression.Tuple)
		if !ok || len(e.Left().Children()) > 0 && types.NumColumns(e.Left().Type()) != 1 {
			return e, false
		}
		wrong := false
		for _, v := range tuple {
			wrong = wrong || comparedWrongly(e.Left().Type(), v.Type())
		}
		if c, ok := comparisonOf(e); !wrong || keyed && ok && evaluable(c.values) {
			return e, false
		}
		return makeHidden(opEqual, true, append([]gms.Expression{e.Left()}, tuple...)), true
	default:
		return e, false
	}
	l, r := e.Children()[0], e.Children()[1]
	if !comparedWrongly(l.Type(), r.Type()) {
		return e, false
	}
	if c, ok := comparisonOf(e); keyed && ok {
		if evaluable(c.values) {
			return e, false
		}
		if other, ok := c.values[0].(*expression.GetField); ok && other.TableId() != c.col.TableId() && (op == opEqual || op == opNullSafe) {
			return e, false
		}
	}
	return makeHidden(op, false, []gms.Expression{l, r}), true
}

// asTimes says whether values of the types compare as times.
func asTimes(a, b gms.Type) bool {
	x, y := isTime(a), isTime(b)
	return x && (y || types.IsTextOnly(b)) || y && types.IsTextOnly(a)
}

// compareTimes compares a time with a time, or with a text. A text that is no
// time is compared as one.
func compareTimes(ctx *gms.Context, at, bt gms.Type, a, b any) (int, bool) {
	x, ok1 := toTime(ctx, a)
	y, ok2 := toTime(ctx, b)
	if ok1 && ok2 {
		return x.Compare(y), true
	}
	s, err1 := toText(ctx, at, a)
	t, err2 := toText(ctx, bt, b)
	return cmp.Compare(s, t), err1 == nil && err2 == nil
}

// singleComparisons turns comparisons of rows, and CASE with an operand, into
// those of single values. The engine compares rows by converting them whole.
func singleComparisons(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.ComparisonExpr:
		l, ok1 := e.Left.(ast.ValTuple)
		r, ok2 := e.Right.(ast.ValTuple)
		if !ok1 || !ok2 || e.Escape != nil {
			return e
		}
		switch e.Operator {
		case ast.EqualStr, ast.NullSafeEqualStr:
			if len(l) == len(r) {
				return rowsEqual(e.Operator, l, r)
			}
		case ast.NotEqualStr:
			if len(l) == len(r) {
				return &ast.NotExpr{Expr: &ast.ParenExpr{Expr: rowsEqual(ast.EqualStr, l, r)}}
			}
		case ast.InStr, ast.NotInStr:
			var any ast.Expr
			for _, v := range r {
				row, ok := v.(ast.ValTuple)
				if !ok || len(row) != len(l) {
					return e
				}
				eq := rowsEqual(ast.EqualStr, l, row)
				if any == nil {
					any = eq
				} else {
					any = &ast.OrExpr{Left: any, Right: eq}
				}
			}
			switch {
			case any == nil:
				return e
			case e.Operator == ast.NotInStr:
				return &ast.NotExpr{Expr: &ast.ParenExpr{Expr: any}}
			}
			return &ast.ParenExpr{Expr: any}
		}
	case *ast.CaseExpr:
		if e.Expr == nil {
			return e
		}
		c := &ast.CaseExpr{Else: e.Else}
		for _, w := range e.Whens {
			c.Whens = append(c.Whens, &ast.When{Cond: &ast.ComparisonExpr{Operator: ast.EqualStr, Left: e.Expr, Right: w.Cond}, Val: w.Val})
		}
		return c
	}
	return e
}

func rowsEqual(op string, l, r ast.ValTuple) ast.Expr {
	var all ast.Expr
	for i := range l {
		var eq ast.Expr = &ast.ComparisonExpr{Operator: op, Left: l[i], Right: r[i]}
		if x, ok := l[i].(ast.ValTuple); ok {
			if y, ok := r[i].(ast.ValTuple); ok && len(x) == len(y) {
				eq = rowsEqual(op, x, y)
			}
		}
		if all == nil {
			all = eq
		} else {
			all = &ast.AndExpr{Left: all, Right: eq}
		}
	}
	return &ast.ParenExpr{Expr: all}
}

// exactSubqueries makes x IN (SELECT y …) right where the types differ: the
// engine hashes y in the type of x.
func exactSubqueries(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeExprsWithOpaque(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		in, ok := e.(*plan.InSubquery)
		if !ok {
			return e, transform.SameTree, nil
		}
		sub, ok := in.RightChild.(*plan.Subquery)
		if !ok || types.NumColumns(in.LeftChild.Type()) != 1 {
			return e, transform.SameTree, nil
		}
		schema := sub.Query.Schema()
		if len(schema) != 1 || !comparedWrongly(in.LeftChild.Type(), schema[0].Type) {
			return e, transform.SameTree, nil
		}
		kind := kindOfKeys(in.LeftChild.Type(), schema[0].Type)
		if kind == keyNone {
			if !asTimes(in.LeftChild.Type(), schema[0].Type) {
				return e, transform.SameTree, nil
			}
			kind = keyMoment
		}
		if kind == keySame {
			return e, transform.SameTree, nil
		}
		q, changed := keyedQuery(sub.Query, kind)
		if !changed {
			return e, transform.SameTree, nil
		}
		// As a join, the engine would look for the keys' columns, not the keys.
		return &unjoined{expression.UnaryExpression{Child: plan.NewInSubquery(newJoinKey(in.LeftChild, kind, ""), sub.WithQuery(q))}}, transform.NewTree, nil
	})
	return out, err
}

// keyedQuery is a query of one column whose values are made keys.
func keyedQuery(n gms.Node, kind keyKind) (gms.Node, bool) {
	switch n := n.(type) {
	case *plan.Project:
		if len(n.Projections) != 1 {
			return n, false
		}
		e := n.Projections[0]
		if a, ok := e.(*expression.Alias); ok {
			e = a.Child
		}
		return plan.NewProject([]gms.Expression{newJoinKey(e, kind, "")}, n.Child), true
	case *plan.Distinct:
		child, ok := keyedQuery(n.Child, kind)
		return plan.NewDistinct(child), ok
	}
	return n, false
}

// An unjoined condition is one that the optimiser makes no join of.
type unjoined struct{ expression.UnaryExpression }

func (u *unjoined) Type() gms.Type   { return u.Child.Type() }
func (u *unjoined) IsNullable() bool { return u.Child.IsNullable() }
func (u *unjoined) String() string   { return u.Child.String() }

// CollationCoercibility implements gms.CollationCoercible.
func (u *unjoined) CollationCoercibility(*gms.Context) (gms.CollationID, byte) {
	return gms.Collation_binary, 5
}

func (u *unjoined) Eval(ctx *gms.Context, row gms.Row) (any, error) { return u.Child.Eval(ctx, row) }

func (u *unjoined) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(u, len(children), 1)
	}
	return &unjoined{expression.UnaryExpression{Child: children[0]}}, nil
}
