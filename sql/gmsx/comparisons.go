package gmsx

import (
	"cmp"
	"math"

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
	case x == familyText && y == familyText:
		return false
	case x == familyDecimal && y == familyDecimal:
		return true
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
		below := transform.SameTree
		if keyed {
			var err error
			if n, below, err = exactBelow(n); err != nil {
				return n, transform.SameTree, err
			}
		}
		n, same, err := transform.OneNodeExpressions(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
			out, changed := exactComparison(e, keyed)
			return out, transform.TreeIdentity(!changed), nil
		})
		return n, same && below, err
	})
	return out, err
}

// exactBelow makes those equalities of two columns right in the conditions of n
// that are no keys of a join: all that are below more than AND.
func exactBelow(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
	x, ok := n.(gms.Expressioner)
	if !ok {
		return n, transform.SameTree, nil
	}
	conds := x.Expressions()
	changed := false
	for i, c := range conds {
		parts := expression.SplitConjunction(c)
		own := false
		for j, p := range parts {
			if columnsEqual(p) {
				continue
			}
			out, same, err := transform.Expr(p, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
				if !columnsEqual(e) {
					return e, transform.SameTree, nil
				}
				out, changed := exactComparison(e, false)
				return out, transform.TreeIdentity(!changed), nil
			})
			if err != nil {
				return n, transform.SameTree, err
			}
			if !same {
				parts[j], own = out, true
			}
		}
		if own {
			conds[i], changed = expression.JoinAnd(parts...), true
		}
	}
	if !changed {
		return n, transform.SameTree, nil
	}
	n, err := x.WithExpressions(conds...)
	return n, transform.NewTree, err
}

// columnsEqual says whether e is an equality of two columns.
func columnsEqual(e gms.Expression) bool {
	switch e.(type) {
	case *expression.Equals, *expression.NullSafeEquals:
	default:
		return false
	}
	_, l := e.Children()[0].(*expression.GetField)
	_, r := e.Children()[1].(*expression.GetField)
	return l && r
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
	if !comparedWrongly(l.Type(), r.Type()) || doubleWithLiteral(l, r) || doubleWithLiteral(r, l) {
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

// doubleWithLiteral says that a is a DOUBLE and b a small number, which the
// engine compares rightly, and views with kernels.
func doubleWithLiteral(a, b gms.Expression) bool {
	l, ok := b.(*expression.Literal)
	if !ok || !types.IsFloat(a.Type()) || !types.IsNumber(b.Type()) {
		return false
	}
	f, ok := double(l.Value())
	return ok && math.Abs(f) <= 1<<53
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

// exactSubqueries makes x IN (SELECT y …) right: the engine hashes y in the
// type of x, and takes ” for NULL. What may become a join, as a condition of
// its own with values of one type, is left to it.
func exactSubqueries(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeExprsWithOpaque(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		in, ok := e.(*plan.InSubquery)
		if !ok {
			return e, transform.SameTree, nil
		}
		kind, ok := subqueryKind(in)
		if !ok {
			return e, transform.SameTree, nil
		}
		return &inSubquery{left: in.LeftChild, sub: in.RightChild.(*plan.Subquery), kind: kind}, transform.NewTree, nil
	})
	return out, err
}

// subqueryKind is as what x is compared with y, false if the engine is to say.
func subqueryKind(in *plan.InSubquery) (keyKind, bool) {
	sub, ok := in.RightChild.(*plan.Subquery)
	if !ok || types.NumColumns(in.LeftChild.Type()) != 1 {
		return keyNone, false
	}
	schema := sub.Query.Schema()
	if len(schema) != 1 {
		return keyNone, false
	}
	l, r := in.LeftChild.Type(), schema[0].Type
	kind := kindOfKeys(l, r)
	switch {
	case kind == keyNone && asTimes(l, r):
		kind = keyMoment
	case kind == keyNone && (types.IsTextOnly(l) && types.IsTextOnly(r) || l == types.Null || r == types.Null):
		kind = keySame
	}
	return kind, kind != keyNone
}

// An inSubquery is x IN (SELECT y …).
type inSubquery struct {
	left gms.Expression
	sub  *plan.Subquery
	kind keyKind

	// The keys of the values that the sub-query has given last: one that does
	// not depend on the row gives the same slice again.
	of   []any
	keys map[string]struct{}
	null bool
}

var _ gms.CollationCoercible = (*inSubquery)(nil)

func (in *inSubquery) Resolved() bool             { return in.left.Resolved() && in.sub.Resolved() }
func (in *inSubquery) Type() gms.Type             { return types.Boolean }
func (in *inSubquery) IsNullable() bool           { return true }
func (in *inSubquery) Children() []gms.Expression { return []gms.Expression{in.left, in.sub} }
func (in *inSubquery) String() string             { return "(" + in.left.String() + " IN " + in.sub.String() + ")" }

// CollationCoercibility implements gms.CollationCoercible.
func (in *inSubquery) CollationCoercibility(*gms.Context) (gms.CollationID, byte) {
	return gms.Collation_binary, 5
}

func (in *inSubquery) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 2 {
		return nil, gms.ErrInvalidChildrenNumber.New(in, len(children), 2)
	}
	sub, ok := children[1].(*plan.Subquery)
	if !ok {
		return nil, gms.ErrInvalidType.New(children[1])
	}
	return &inSubquery{left: children[0], sub: sub, kind: in.kind}, nil
}

func (in *inSubquery) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	vals, err := in.sub.EvalMultiple(ctx, row)
	if err != nil {
		return nil, err
	}
	if in.keys == nil || len(vals) != len(in.of) || len(vals) > 0 && &vals[0] != &in.of[0] {
		if err := in.index(ctx, vals); err != nil {
			return nil, err
		}
	}
	v, err := in.left.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	switch {
	case len(vals) == 0:
		return false, nil
	case v == nil:
		return nil, nil
	}
	l, _ := in.types()
	key, err := keyOf(ctx, in.kind, l, v)
	if err != nil {
		return nil, err
	}
	if _, ok := in.keys[key]; ok {
		return true, nil
	}
	if in.null {
		return nil, nil
	}
	return false, nil
}

// types are those by which the keys of both sides are made. Texts compare by one
// collation: that of the column, if only one of them is a column.
func (in *inSubquery) types() (l, r gms.Type) {
	l, r = in.left.Type(), in.sub.Query.Schema()[0].Type
	if types.IsTextOnly(l) && types.IsTextOnly(r) {
		if _, column := in.left.(*expression.GetField); column {
			return l, l
		}
		return r, r
	}
	return l, r
}

func (in *inSubquery) index(ctx *gms.Context, vals []any) error {
	in.of, in.keys, in.null = vals, make(map[string]struct{}, len(vals)), false
	_, t := in.types()
	for _, v := range vals {
		if v == nil {
			in.null = true
			continue
		}
		key, err := keyOf(ctx, in.kind, t, v)
		if err != nil {
			return err
		}
		in.keys[key] = struct{}{}
	}
	return nil
}
