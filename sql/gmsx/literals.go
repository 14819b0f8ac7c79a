package gmsx

import (
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// typeLiterals turns what a time column is compared with into a literal of the
// column's type, once for the statement, where nothing is lost by it. The
// engine uses an index for
//
//	ts >= '2026-01-01 10:00:00'
//
// too, but holds the comparison for imprecise, and repeats it for each row,
// parsing the string again each time.
func typeLiterals(ctx *gms.Context, n gms.Node) (gms.Node, error) {
	return inConditions(n, func(e gms.Expression) (gms.Expression, bool, error) {
		var col *expression.GetField
		children := e.Children()
		switch e := e.(type) {
		case *expression.Equals, *expression.NullSafeEquals, *expression.GreaterThan, *expression.GreaterThanOrEqual,
			*expression.LessThan, *expression.LessThanOrEqual, *expression.Between:
			for _, child := range children {
				if gf, ok := child.(*expression.GetField); ok && isTime(gf.Type()) {
					col = gf
				}
			}
		case *expression.InTuple:
			gf, _ := e.Left().(*expression.GetField)
			tuple, ok := e.Right().(expression.Tuple)
			if gf == nil || !ok || !isTime(gf.Type()) {
				return e, false, nil
			}
			typed := make(expression.Tuple, len(tuple))
			for i, v := range tuple {
				if typed[i], ok = typeLiteral(ctx, gf.Type(), v); !ok {
					return e, false, nil
				}
			}
			return expression.NewInTuple(gf, typed), true, nil
		}
		if col == nil {
			return e, false, nil
		}
		changed := false
		typed := make([]gms.Expression, len(children))
		for i, child := range children {
			typed[i] = child
			if lit, ok := typeLiteral(ctx, col.Type(), child); ok {
				typed[i], changed = lit, true
			}
		}
		if !changed {
			return e, false, nil
		}
		out, err := e.WithChildren(typed...)
		return out, true, err
	})
}

func isTime(t gms.Type) bool {
	_, ok := t.(gms.DatetimeType)
	return ok
}

// typeLiteral is e as a literal of type t, if e is the same for all rows of
// the statement and is a time that t holds without rounding.
func typeLiteral(ctx *gms.Context, t gms.Type, e gms.Expression) (gms.Expression, bool) {
	if lit, ok := e.(*expression.Literal); ok && lit.Type().Equals(t) || !constant(e) {
		return e, false
	}
	v, err := e.Eval(ctx, nil)
	if err != nil {
		return e, false // the engine says what is wrong with it
	}
	switch v.(type) {
	case string, time.Time:
	default:
		return e, false
	}
	exact, _, err := types.DatetimeMaxPrecision.Convert(ctx, v)
	if err != nil {
		return e, false
	}
	typed, _, err := t.Convert(ctx, v)
	if err != nil {
		return e, false
	}
	a, ok := exact.(time.Time)
	b, ok2 := typed.(time.Time)
	if !ok || !ok2 || !a.Equal(b) {
		return e, false
	}
	return expression.NewLiteral(typed, t), true
}

// constant says whether e has one value for the whole statement, as NOW() and
// what is computed from it has.
func constant(e gms.Expression) bool {
	ok := true
	gms.Inspect(e, func(e gms.Expression) bool {
		switch e := e.(type) {
		case nil, *function.Now, *function.UTCTimestamp, *expression.Interval:
		case *expression.GetField, *expression.BindVar, *expression.UserVar, *expression.SystemVar, *expression.ProcedureParam,
			*plan.Subquery, *function.Sleep, gms.Aggregation, *expression.DefaultColumn:
			ok = false
		case gms.NonDeterministicExpression:
			ok = ok && !e.IsNonDeterministic()
		}
		return ok
	})
	return ok
}
