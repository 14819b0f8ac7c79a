package gmsx

import (
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// An extreme is GREATEST or LEAST.
type extreme struct {
	name string
	sign int
	args []gms.Expression
	typ  gms.Type
}

var _ gms.CollationCoercible = (*extreme)(nil)

func newExtreme(name string, sign int, args []gms.Expression) (gms.Expression, error) {
	if len(args) < 2 {
		return nil, Error(1582, "42000", "Incorrect parameter count in the call to native function '%s'", name)
	}
	return &extreme{name: name, sign: sign, args: args, typ: commonType(args)}, nil
}

func (x *extreme) Resolved() bool             { return expression.ExpressionsResolved(x.args...) }
func (x *extreme) Type() gms.Type             { return x.typ }
func (x *extreme) IsNullable() bool           { return true }
func (x *extreme) Children() []gms.Expression { return x.args }

func (x *extreme) String() string {
	args := make([]string, len(x.args))
	for i, a := range x.args {
		args[i] = a.String()
	}
	return x.name + "(" + strings.Join(args, ",") + ")"
}

func (x *extreme) WithChildren(args ...gms.Expression) (gms.Expression, error) {
	return newExtreme(x.name, x.sign, args)
}

// CollationCoercibility implements gms.CollationCoercible.
func (x *extreme) CollationCoercibility(ctx *gms.Context) (gms.CollationID, byte) {
	if !types.IsTextOnly(x.typ) {
		return gms.Collation_binary, 5
	}
	collation, coercibility := gms.GetCoercibility(ctx, x.args[0])
	for _, a := range x.args[1:] {
		c, b := gms.GetCoercibility(ctx, a)
		collation, coercibility = gms.ResolveCoercibility(collation, coercibility, c, b)
	}
	return collation, coercibility
}

func (x *extreme) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	var best any
	for _, a := range x.args {
		v, err := a.Eval(ctx, row)
		if err != nil || v == nil {
			return nil, err
		}
		if v, err = asType(ctx, x.typ, a.Type(), v); err != nil || v == nil {
			return nil, err
		}
		if best == nil {
			best = v
			continue
		}
		c, ok := compareNumbers(v, best)
		switch {
		case types.IsTextOnly(x.typ), !types.IsNumber(x.typ), !ok:
			if c, err = x.typ.Compare(ctx, v, best); err != nil {
				return nil, err
			}
		}
		if c*x.sign > 0 {
			best = v
		}
	}
	return best, nil
}

// A field is FIELD(x, a, b, …), which is 0 for NULL.
type field struct{ extreme }

func newField(args []gms.Expression) (gms.Expression, error) {
	if len(args) < 2 {
		return nil, Error(1582, "42000", "Incorrect parameter count in the call to native function 'field'")
	}
	return &field{extreme{name: "field", args: args, typ: types.Int64}}, nil
}

func (f *field) IsNullable() bool                                            { return false }
func (f *field) WithChildren(args ...gms.Expression) (gms.Expression, error) { return newField(args) }

func (f *field) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	texts, numbers := true, true
	for _, a := range f.args {
		t := a.Type()
		texts = texts && (types.IsTextOnly(t) || t == types.Null)
		numbers = numbers && (types.IsNumber(t) || t == types.Null)
	}
	x, err := f.args[0].Eval(ctx, row)
	if err != nil || x == nil {
		return int64(0), err
	}
	for i, a := range f.args[1:] {
		v, err := a.Eval(ctx, row)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		equal := false
		if texts {
			s, err := toText(ctx, f.args[0].Type(), x)
			if err != nil {
				return nil, err
			}
			o, err := toText(ctx, a.Type(), v)
			if err != nil {
				return nil, err
			}
			equal = s == o
		} else {
			n, err := toNumber(ctx, x)
			if err != nil {
				return nil, err
			}
			o, err := toNumber(ctx, v)
			if err != nil {
				return nil, err
			}
			if !numbers {
				n, _ = double(n)
				o, _ = double(o)
			}
			c, ok := compareNumbers(n, o)
			equal = ok && c == 0
		}
		if equal {
			return int64(i) + 1, nil
		}
	}
	return int64(0), nil
}
