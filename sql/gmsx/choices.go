package gmsx

import (
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// A choice has the value of one of several expressions: CASE, IF, IFNULL,
// COALESCE, NULLIF. The engine announces the type of one of them, and gives
// values of the others.
type choice struct {
	name string // in messages, and how the children are read
	args []gms.Expression
	typ  gms.Type
}

var _ gms.CollationCoercible = (*choice)(nil)

// choiceFunctions are the functions that choose. Where all values have one
// type, the engine's own are right.
func choiceFunctions() []gms.Function {
	of := func(name string, least, most int, engine func(args []gms.Expression) (gms.Expression, error)) gms.Function {
		return gms.FunctionN{Name: name, Fn: func(args ...gms.Expression) (gms.Expression, error) {
			if len(args) < least || len(args) > most {
				return nil, Error(1582, "42000", "Incorrect parameter count in the call to native function '%s'", strings.TrimPrefix(name, operatorPrefix))
			}
			c := newChoice(name, args)
			for _, v := range c.values() {
				if t := v.Type(); engine == nil || !t.Equals(c.typ) && !(types.IsTextOnly(t) && types.IsTextOnly(c.typ)) {
					return c, nil
				}
			}
			e, err := engine(args)
			if err != nil || !e.Type().Equals(c.typ) && !types.IsTextOnly(c.typ) {
				return c, err
			}
			return e, nil
		}}
	}
	const any = 1 << 16
	return []gms.Function{
		of("coalesce", 1, any, func(args []gms.Expression) (gms.Expression, error) { return function.NewCoalesce(args...) }),
		of("ifnull", 2, 2, func(args []gms.Expression) (gms.Expression, error) { return function.NewIfNull(args[0], args[1]), nil }),
		of("if", 3, 3, func(args []gms.Expression) (gms.Expression, error) {
			return function.NewIf(args[0], args[1], args[2]), nil
		}),
		of("nullif", 2, 2, nil),
		of(operatorPrefix+"case", 2, any, func(args []gms.Expression) (gms.Expression, error) {
			var branches []expression.CaseBranch
			for i := 0; i+1 < len(args); i += 2 {
				branches = append(branches, expression.CaseBranch{Cond: args[i], Value: args[i+1]})
			}
			var other gms.Expression
			if len(args)%2 == 1 {
				other = args[len(args)-1]
			}
			return expression.NewCase(nil, branches, other), nil
		}),
	}
}

// callCase is a searched CASE as a call.
func callCase(c *ast.CaseExpr) ast.Expr {
	var args []ast.Expr
	for _, w := range c.Whens {
		args = append(args, w.Cond, w.Val)
	}
	if c.Else != nil {
		args = append(args, c.Else)
	}
	return operatorCall(operatorPrefix+"case", args...)
}

func newChoice(name string, args []gms.Expression) *choice {
	c := &choice{name: name, args: args}
	c.typ = commonType(c.values())
	if c.typ == types.Null && name == "nullif" {
		c.typ = args[0].Type()
	}
	return c
}

// values are the expressions that the value may be of.
func (c *choice) values() []gms.Expression {
	switch c.name {
	case "if":
		return c.args[1:]
	case "nullif":
		return c.args[:1]
	case operatorPrefix + "case":
		var vs []gms.Expression
		for i := 1; i < len(c.args); i += 2 {
			vs = append(vs, c.args[i])
		}
		if len(c.args)%2 == 1 {
			vs = append(vs, c.args[len(c.args)-1])
		}
		return vs
	}
	return c.args
}

func (c *choice) Resolved() bool             { return expression.ExpressionsResolved(c.args...) }
func (c *choice) Type() gms.Type             { return c.typ }
func (c *choice) IsNullable() bool           { return true }
func (c *choice) Children() []gms.Expression { return c.args }

func (c *choice) String() string {
	args := make([]string, len(c.args))
	for i, a := range c.args {
		args[i] = a.String()
	}
	return strings.TrimPrefix(c.name, operatorPrefix) + "(" + strings.Join(args, ",") + ")"
}

func (c *choice) WithChildren(args ...gms.Expression) (gms.Expression, error) {
	if len(args) != len(c.args) {
		return nil, gms.ErrInvalidChildrenNumber.New(c, len(args), len(c.args))
	}
	return newChoice(c.name, args), nil
}

// CollationCoercibility implements gms.CollationCoercible.
func (c *choice) CollationCoercibility(ctx *gms.Context) (gms.CollationID, byte) {
	if !types.IsTextOnly(c.typ) {
		return gms.Collation_binary, 5
	}
	vs := c.values()
	collation, coercibility := gms.GetCoercibility(ctx, vs[0])
	for _, v := range vs[1:] {
		o, b := gms.GetCoercibility(ctx, v)
		collation, coercibility = gms.ResolveCoercibility(collation, coercibility, o, b)
	}
	return collation, coercibility
}

func (c *choice) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	e, err := c.chosen(ctx, row)
	if e == nil || err != nil {
		return nil, err
	}
	v, err := e.Eval(ctx, row)
	if err != nil || v == nil || types.IsDeferredType(c.typ) {
		return v, err
	}
	return asType(ctx, c.typ, e.Type(), v)
}

// chosen is the expression whose value it is; nil is NULL.
func (c *choice) chosen(ctx *gms.Context, row gms.Row) (gms.Expression, error) {
	switch c.name {
	case "if":
		v, err := gms.EvaluateCondition(ctx, c.args[0], row)
		if err != nil {
			return nil, err
		}
		if gms.IsTrue(v) {
			return c.args[1], nil
		}
		return c.args[2], nil
	case "nullif":
		eq, _ := exactComparison(expression.NewEquals(c.args[0], c.args[1]), false)
		v, err := eq.Eval(ctx, row)
		if err != nil || gms.IsTrue(v) {
			return nil, err
		}
		return c.args[0], nil
	case operatorPrefix + "case":
		for i := 0; i+1 < len(c.args); i += 2 {
			v, err := gms.EvaluateCondition(ctx, c.args[i], row)
			if err != nil {
				return nil, err
			}
			if gms.IsTrue(v) {
				return c.args[i+1], nil
			}
		}
		if len(c.args)%2 == 1 {
			return c.args[len(c.args)-1], nil
		}
		return nil, nil
	}
	for _, a := range c.args {
		v, err := a.Eval(ctx, row)
		if err != nil {
			return nil, err
		}
		if v != nil {
			return a, nil
		}
	}
	return nil, nil
}
