package gmsx

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/expression/function/json"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"
)

// mendedFunctions are functions of which the engine has values, or types, that
// are not MySQL's.
func mendedFunctions() []gms.Function {
	typed := func(name string, least, most int, typ func(args []gms.Expression) gms.Type, eval func(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error)) gms.Function {
		return gms.FunctionN{Name: name, Fn: func(args ...gms.Expression) (gms.Expression, error) {
			if len(args) < least || len(args) > most {
				return nil, gms.ErrInvalidArgumentNumber.New(name, least, len(args))
			}
			return newTyped(name, args, typ, eval), nil
		}}
	}
	interval := func(name string, sign int64) gms.Function {
		return gms.FunctionN{Name: name, Fn: func(args ...gms.Expression) (gms.Expression, error) {
			if len(args) != 2 {
				return nil, gms.ErrInvalidArgumentNumber.New(name, 2, len(args))
			}
			i, ok := args[1].(*expression.Interval)
			if !ok {
				if !strings.HasSuffix(name, "date") {
					return nil, Error(1064, "42000", mysqlSyntaxError+"%s needs an INTERVAL", name)
				}
				i = expression.NewInterval(args[1], "DAY")
			}
			return newShift(name, args[0], i, sign), nil
		}}
	}
	number := func(args []gms.Expression) gms.Type { return operationType("plus", args[:1]) }
	whole := func(args []gms.Expression) gms.Type {
		t := number(args)
		if d, ok := t.(gms.DecimalType); ok {
			if d.Precision()-d.Scale() < 18 {
				return types.Int64
			}
			return decimalType(int(d.Precision()-d.Scale())+1, 0)
		}
		return t
	}
	text := func([]gms.Expression) gms.Type { return types.LongText }
	integers := func([]gms.Expression) gms.Type { return types.Int64 }
	return []gms.Function{
		interval("date_add", 1), interval("date_sub", -1), interval("adddate", 1), interval("subdate", -1),
		typed("unix_timestamp", 0, 1, unixTimestampType, unixTimestamp),
		typed(operatorPrefix+"timestampdiff", 3, 3, integers, timestampDiff),
		typed("floor", 1, 1, whole, rounder(math.Floor, decimal.Decimal.Floor)),
		typed("ceil", 1, 1, whole, rounder(math.Ceil, decimal.Decimal.Ceil)),
		typed("ceiling", 1, 1, whole, rounder(math.Ceil, decimal.Decimal.Ceil)),
		typed("round", 1, 2, roundType, round),
		typed("truncate", 2, 2, roundType, cutOff),
		typed("abs", 1, 1, number, absolute),
		typed("mod", 2, 2, func(args []gms.Expression) gms.Type { return operationType("%", args) }, func(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error) {
			return (&Operation{op: "%", typ: t, args: args}).Eval(ctx, nil)
		}),
		gms.FunctionN{Name: "greatest", Fn: func(args ...gms.Expression) (gms.Expression, error) { return newExtreme("greatest", 1, args) }},
		gms.FunctionN{Name: "least", Fn: func(args ...gms.Expression) (gms.Expression, error) { return newExtreme("least", -1, args) }},
		typed("lpad", 3, 3, text, pad(true)), typed("rpad", 3, 3, text, pad(false)),
		typed("insert", 4, 4, text, insertText),
		typed("period_add", 2, 2, integers, func(_ *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			m := periodMonths(toBig(vals[0]).Int64()) + toBig(vals[1]).Int64()
			return m/12*100 + m%12 + 1, nil
		}),
		typed("period_diff", 2, 2, integers, func(_ *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			return periodMonths(toBig(vals[0]).Int64()) - periodMonths(toBig(vals[1]).Int64()), nil
		}),
		typed("timestamp", 1, 1, timestampType, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			at, ok := toTime(ctx, vals[0])
			if !ok {
				return nil, nil
			}
			return at, nil
		}),
		typed("datediff", 2, 2, integers, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			a, ok1 := toTime(ctx, vals[0])
			b, ok2 := toTime(ctx, vals[1])
			if !ok1 || !ok2 {
				return nil, nil
			}
			return dayNumber(a) - dayNumber(b), nil
		}),
		typed("week", 1, 2, integers, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			return weekOf(ctx, vals, 0, func(_, week int) int { return week })
		}),
		typed("weekofyear", 1, 1, integers, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			return weekOf(ctx, append(vals, int64(3)), 0, func(_, week int) int { return week })
		}),
		typed("yearweek", 1, 2, integers, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			return weekOf(ctx, vals, 2, func(year, week int) int { return year*100 + week })
		}),
		typed("repeat", 2, 2, text, func(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
			s, err := toText(ctx, args[0].Type(), vals[0])
			if err != nil {
				return nil, err
			}
			num, err := toNumber(ctx, vals[1])
			if err != nil {
				return nil, err
			}
			n := toBig(num)
			switch {
			case n.Sign() <= 0 || s == "":
				return "", nil
			case !n.IsInt64() || n.Int64() > padMax/int64(len(s)):
				return nil, nil
			}
			return strings.Repeat(s, int(n.Int64())), nil
		}),
		typed("locate", 2, 3, integers, func(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
			sub, err := toText(ctx, args[0].Type(), vals[0])
			if err != nil {
				return nil, err
			}
			s, err := toText(ctx, args[1].Type(), vals[1])
			if err != nil {
				return nil, err
			}
			from := int64(1)
			if len(vals) > 2 {
				n, err := toNumber(ctx, vals[2])
				if err != nil {
					return nil, err
				}
				from = toBig(n).Int64()
			}
			chars := []rune(s)
			if from < 1 || from > int64(len(chars))+1 {
				return int64(0), nil
			}
			head := string(chars[:from-1])
			at := strings.Index(s[len(head):], sub)
			if at < 0 {
				return int64(0), nil
			}
			return int64(len([]rune(s[:len(head)+at]))) + 1, nil
		}),
		typed("sign", 1, 1, integers, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			n, err := toNumber(ctx, vals[0])
			if err != nil {
				return nil, err
			}
			c, _ := compareNumbers(n, int64(0))
			return int64(c), nil
		}),
		typed("ascii", 1, 1, integers, func(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
			s, err := toText(ctx, args[0].Type(), vals[0])
			if err != nil || s == "" {
				return int64(0), err
			}
			return int64(s[0]), nil
		}),
		typed("bin", 1, 1, text, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			n, err := toNumber(ctx, vals[0])
			if err != nil {
				return nil, err
			}
			return strconv.FormatUint(toBits(n), 2), nil
		}),
		typed("bit_count", 1, 1, integers, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			n, err := toNumber(ctx, vals[0])
			if err != nil {
				return nil, err
			}
			return int64(bits.OnesCount64(toBits(n))), nil
		}),
		typed("last_day", 1, 1, func([]gms.Expression) gms.Type { return types.Date }, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			t, ok := toTime(ctx, vals[0])
			if !ok {
				return nil, nil
			}
			return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC), nil
		}),
		typed("date", 1, 1, func([]gms.Expression) gms.Type { return types.Date }, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
			t, ok := toTime(ctx, vals[0])
			if !ok {
				return nil, nil
			}
			return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC), nil
		}),
		typed("convert_tz", 3, 3, timestampType, convertZone),
		typed("json_extract", 2, 1<<16, func([]gms.Expression) gms.Type { return types.JSON }, jsonExtract),
		gms.FunctionN{Name: "field", Fn: func(args ...gms.Expression) (gms.Expression, error) { return newField(args) }},
		nullSafe("json_type"), nullSafe("crc32"),
		typed("json_length", 1, 2, integers, func(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
			path := any("$")
			if len(vals) > 1 {
				path = vals[1]
			}
			val, found, ok := jsonLookup(ctx, vals[0], path)
			if !ok {
				e, err := json.NewJsonLength(args...)
				if err != nil {
					return nil, err
				}
				return e.Eval(ctx, nil)
			}
			if !found {
				return nil, nil
			}
			switch val := val.(type) {
			case map[string]any:
				return int64(len(val)), nil
			case []any:
				return int64(len(val)), nil
			}
			return int64(1), nil
		}),
		typed("format", 2, 2, text, formatNumber),
		typed("json_contains_path", 3, 1<<16, func([]gms.Expression) gms.Type { return types.Boolean }, jsonContainsPath),
		gms.Function1{Name: "quote", Fn: func(e gms.Expression) gms.Expression { return &quote{expression.UnaryExpression{Child: e}} }},
	}
}

// A typedCall is a Call whose type follows from its arguments.
type typedCall struct {
	name string
	args []gms.Expression
	typ  gms.Type
	// typeOf and eval are the function's. eval gets values that are not NULL.
	typeOf func(args []gms.Expression) gms.Type
	eval   func(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error)
}

var _ gms.CollationCoercible = (*typedCall)(nil)

func newTyped(name string, args []gms.Expression, typeOf func(args []gms.Expression) gms.Type, eval func(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error)) *typedCall {
	c := &typedCall{name: name, args: args, typeOf: typeOf, eval: eval, typ: typeOf(args)}
	for _, a := range args {
		if types.IsDeferredType(a.Type()) && !types.IsTextOnly(c.typ) {
			c.typ = a.Type()
			break
		}
	}
	return c
}

func (c *typedCall) Resolved() bool             { return expression.ExpressionsResolved(c.args...) }
func (c *typedCall) Type() gms.Type             { return c.typ }
func (c *typedCall) IsNullable() bool           { return true }
func (c *typedCall) Children() []gms.Expression { return c.args }
func (c *typedCall) FunctionName() string       { return strings.TrimPrefix(c.name, operatorPrefix) }
func (c *typedCall) Description() string        { return c.FunctionName() }

func (c *typedCall) String() string {
	args := make([]string, len(c.args))
	for i, a := range c.args {
		args[i] = a.String()
	}
	return c.FunctionName() + "(" + strings.Join(args, ",") + ")"
}

func (c *typedCall) WithChildren(args ...gms.Expression) (gms.Expression, error) {
	if len(args) != len(c.args) {
		return nil, gms.ErrInvalidChildrenNumber.New(c, len(args), len(c.args))
	}
	return newTyped(c.name, args, c.typeOf, c.eval), nil
}

// CollationCoercibility implements gms.CollationCoercible.
func (c *typedCall) CollationCoercibility(*gms.Context) (gms.CollationID, byte) {
	if types.IsTextOnly(c.typ) {
		return gms.Collation_Default, 4
	}
	return gms.Collation_binary, 5
}

func (c *typedCall) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	vals := make([]any, len(c.args))
	args := make([]gms.Expression, len(c.args))
	for i, a := range c.args {
		v, err := a.Eval(ctx, row)
		if err != nil || v == nil {
			return nil, err
		}
		if s, ok := v.(gms.StringWrapper); ok {
			if v, err = s.Unwrap(ctx); err != nil {
				return nil, err
			}
		}
		vals[i] = v
		args[i] = expression.NewLiteral(v, a.Type())
	}
	return c.eval(ctx, c.typ, args, vals)
}

// nullSafe is a function of the engine's that fails of NULL, or has a value.
func nullSafe(name string) gms.Function {
	var builtin gms.Function
	for _, f := range function.BuiltIns {
		if strings.EqualFold(f.FunctionName(), name) {
			builtin = f
		}
	}
	return gms.FunctionN{Name: name, Fn: func(args ...gms.Expression) (gms.Expression, error) {
		e, err := builtin.NewInstance(args)
		if err != nil {
			return nil, err
		}
		return newTyped(name, args, func(args []gms.Expression) gms.Type {
			t := e.Type()
			if t == types.Boolean {
				return types.Int64
			}
			return t
		}, func(ctx *gms.Context, t gms.Type, args []gms.Expression, _ []any) (any, error) {
			e, err := builtin.NewInstance(args)
			if err != nil {
				return nil, err
			}
			v, err := e.Eval(ctx, nil)
			if b, ok := v.(bool); ok {
				return ofType(t, b), err
			}
			return v, err
		}), nil
	}}
}
