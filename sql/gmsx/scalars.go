package gmsx

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/expression/function/json"
	"github.com/dolthub/go-mysql-server/sql/types"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
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
		typed("json_contains_path", 3, 1<<16, integers, jsonContainsPath),
		gms.Function1{Name: "quote", Fn: func(e gms.Expression) gms.Expression { return &quote{expression.UnaryExpression{Child: e}} }},
	}
}

func periodMonths(p int64) int64 {
	year := p / 100
	switch {
	case year < 70:
		year += 2000
	case year < 100:
		year += 1900
	}
	return year*12 + p%100 - 1
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

func roundType(args []gms.Expression) gms.Type {
	t := operationType("plus", args[:1])
	d, ok := t.(gms.DecimalType)
	if !ok {
		return t
	}
	whole, scale := int(d.Precision()-d.Scale()), 0
	if len(args) > 1 {
		scale = int(d.Scale())
		if l, ok := args[1].(*expression.Literal); ok {
			if neg, n, ok := integer(l.Value()); ok && !neg {
				scale = int(min(n, types.DecimalTypeMaxScale))
			} else if neg {
				scale = 0
			}
		} else if _, ok := args[1].(*expression.UnaryMinus); ok {
			scale = 0
		}
	}
	return decimalType(whole+1+scale, scale)
}

func rounder(double func(float64) float64, dec func(decimal.Decimal) decimal.Decimal) func(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error) {
	return func(ctx *gms.Context, t gms.Type, _ []gms.Expression, vals []any) (any, error) {
		n, err := toNumber(ctx, vals[0])
		if err != nil {
			return nil, err
		}
		switch n := n.(type) {
		case float64:
			return double(n), nil
		case decimal.Decimal:
			d := dec(n)
			if types.IsDecimal(t) {
				return d, nil
			}
			return ofType(t, d), nil
		}
		return ofType(t, n), nil
	}
}

// ofType is a number as a value of a numeric type, cut off at its bounds.
func ofType(t gms.Type, n any) any {
	switch {
	case types.IsFloat(t):
		f, _ := double(n)
		return f
	case types.IsDecimal(t):
		return toDecimal(n)
	}
	b := toBig(n)
	switch {
	case types.IsUnsigned(t) && b.IsUint64():
		return b.Uint64()
	case types.IsUnsigned(t) && b.Sign() < 0:
		return uint64(0)
	case types.IsUnsigned(t):
		return uint64(math.MaxUint64)
	case b.IsInt64():
		return b.Int64()
	case b.Sign() < 0:
		return int64(math.MinInt64)
	}
	return int64(math.MaxInt64)
}

// places is the second argument of ROUND and TRUNCATE.
func places(ctx *gms.Context, vals []any) (int32, error) {
	if len(vals) < 2 {
		return 0, nil
	}
	n, err := toNumber(ctx, vals[1])
	if err != nil {
		return 0, err
	}
	return int32(max(-80, min(30, toBig(n).Int64()))), nil
}

// numberAndPlaces are the arguments of ROUND and TRUNCATE.
func numberAndPlaces(ctx *gms.Context, vals []any) (n any, p int32, err error) {
	if p, err = places(ctx, vals); err == nil {
		n, err = toNumber(ctx, vals[0])
	}
	return n, p, err
}

func round(ctx *gms.Context, t gms.Type, _ []gms.Expression, vals []any) (any, error) {
	n, p, err := numberAndPlaces(ctx, vals)
	if err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case float64:
		return scaled(n, p, math.RoundToEven), nil
	case decimal.Decimal:
		d := n.Round(p)
		if dt, ok := t.(gms.DecimalType); ok && -d.Exponent() > int32(dt.Scale()) {
			d = d.Round(int32(dt.Scale()))
		}
		return d, nil
	}
	if p >= 0 {
		return ofType(t, n), nil
	}
	d := toDecimal(n).Round(p)
	if b := d.BigInt(); types.IsUnsigned(t) && !b.IsUint64() || !types.IsUnsigned(t) && !b.IsInt64() {
		return nil, Error(1690, "22003", "%s value is out of range in 'round(%s,%d)'", map[bool]string{true: "BIGINT UNSIGNED", false: "BIGINT"}[types.IsUnsigned(t)], toDecimal(n), p)
	}
	return ofType(t, d), nil
}

// scaled applies f to the number of 10^-p in x.
func scaled(x float64, p int32, f func(float64) float64) float64 {
	unit := math.Pow(10, math.Abs(float64(p)))
	switch {
	case p < 0 && math.IsInf(unit, 0):
		return 0
	case p < 0:
		return f(x/unit) * unit
	case math.IsInf(x*unit, 0):
		return x
	}
	return f(x*unit) / unit
}

func cutOff(ctx *gms.Context, t gms.Type, _ []gms.Expression, vals []any) (any, error) {
	n, p, err := numberAndPlaces(ctx, vals)
	if err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case float64:
		return scaled(n, p, math.Trunc), nil
	case decimal.Decimal:
		return cut(n, int64(p)), nil
	}
	if p >= 0 {
		return ofType(t, n), nil
	}
	return ofType(t, cut(toDecimal(n), int64(p))), nil
}

func absolute(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error) {
	n, err := toNumber(ctx, vals[0])
	if err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case float64:
		return math.Abs(n), nil
	case decimal.Decimal:
		return n.Abs(), nil
	case int64:
		if n == math.MinInt64 {
			return nil, Error(1690, "22003", "BIGINT value is out of range in 'abs(%s)'", args[0])
		}
		if n < 0 {
			n = -n
		}
		return ofType(t, n), nil
	}
	return n, nil
}

// padMax is the longest text that LPAD and RPAD make, max_allowed_packet of
// MySQL.
const padMax = 64 << 20

func pad(left bool) func(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error) {
	return func(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
		s, err := toText(ctx, args[0].Type(), vals[0])
		if err != nil {
			return nil, err
		}
		with, err := toText(ctx, args[2].Type(), vals[2])
		if err != nil {
			return nil, err
		}
		num, err := toNumber(ctx, vals[1])
		if err != nil {
			return nil, err
		}
		n := toBig(num).Int64()
		have := int64(len([]rune(s)))
		switch {
		case n < 0 || n > padMax:
			return nil, nil
		case n <= have:
			return firstChars(s, int(n)), nil
		case with == "":
			return nil, nil
		}
		fill := []rune(with)
		var b strings.Builder
		for i := range n - have {
			b.WriteRune(fill[i%int64(len(fill))])
		}
		if left {
			return b.String() + s, nil
		}
		return s + b.String(), nil
	}
}

func insertText(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
	s, err := toText(ctx, args[0].Type(), vals[0])
	if err != nil {
		return nil, err
	}
	with, err := toText(ctx, args[3].Type(), vals[3])
	if err != nil {
		return nil, err
	}
	var at [2]int64
	for i := range at {
		n, err := toNumber(ctx, vals[1+i])
		if err != nil {
			return nil, err
		}
		at[i] = toBig(n).Int64()
	}
	chars := []rune(s)
	if at[0] < 1 || at[0] > int64(len(chars)) {
		return s, nil
	}
	end := int64(len(chars))
	if at[1] >= 0 && at[1] < end-at[0]+1 {
		end = at[0] - 1 + at[1]
	}
	return string(chars[:at[0]-1]) + with + string(chars[end:]), nil
}

// A quote is QUOTE(x), which has a value for NULL.
type quote struct{ expression.UnaryExpression }

func (q *quote) Type() gms.Type   { return types.LongText }
func (q *quote) IsNullable() bool { return false }
func (q *quote) String() string   { return "quote(" + q.Child.String() + ")" }

// CollationCoercibility implements gms.CollationCoercible.
func (q *quote) CollationCoercibility(*gms.Context) (gms.CollationID, byte) {
	return gms.Collation_Default, 4
}

func (q *quote) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(q, len(children), 1)
	}
	return &quote{expression.UnaryExpression{Child: children[0]}}, nil
}

func (q *quote) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	v, err := q.Child.Eval(ctx, row)
	if err != nil || v == nil {
		return "NULL", err
	}
	s, err := toText(ctx, q.Child.Type(), v)
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`, "\x1a", `\Z`).Replace(s) + "'", err
}

func unixTimestampType(args []gms.Expression) gms.Type {
	if len(args) == 0 {
		return types.Int64
	}
	decimals := 0
	switch t := args[0].Type(); {
	case types.IsDateType(t):
	case isTime(t):
		decimals = t.(gms.DatetimeType).Precision()
	case types.IsTextOnly(t):
		decimals = 6
		if l, ok := args[0].(*expression.Literal); ok {
			s, _ := textOf(l.Value())
			_, frac, _ := strings.Cut(s, ".")
			decimals = min(6, len(frac))
		}
	}
	if decimals == 0 {
		return types.Int64
	}
	return decimalType(11+decimals, decimals)
}

func unixTimestamp(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error) {
	if len(vals) == 0 {
		return ctx.QueryTime().Unix(), nil
	}
	if zone, err := ctx.GetSessionVariable(ctx, "time_zone"); err == nil && zone != "SYSTEM" && zone != "UTC" && zone != "+00:00" {
		e, err := function.NewUnixTimestamp(args...)
		if err != nil {
			return nil, err
		}
		v, err := e.Eval(ctx, nil)
		if err != nil || v == nil {
			return nil, err
		}
		return ofType(t, v), nil
	}
	at, ok := toTime(ctx, vals[0])
	if !ok {
		return ofType(t, int64(0)), nil
	}
	if at.Unix() < 0 || at.Unix() > function.MaxUnixTimeSecs {
		return ofType(t, int64(0)), nil
	}
	if types.IsDecimal(t) {
		return decimal.New(at.UnixMicro(), -6).Truncate(int32(t.(gms.DecimalType).Scale())), nil
	}
	return at.Unix(), nil
}

func timestampDiff(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
	unit, _ := vals[0].(string)
	a, ok1 := toTime(ctx, vals[1])
	b, ok2 := toTime(ctx, vals[2])
	if !ok1 || !ok2 {
		return nil, nil
	}
	sign := int64(1)
	if b.Before(a) {
		a, b, sign = b, a, -1
	}
	// A duration holds no more than 292 years.
	seconds, micros := b.Unix()-a.Unix(), int64(b.Nanosecond()-a.Nanosecond())/1000
	if micros < 0 {
		seconds, micros = seconds-1, micros+1e6
	}
	months := int64(b.Year()-a.Year())*12 + int64(b.Month()) - int64(a.Month())
	if within(b) < within(a) {
		months--
	}
	unit = strings.TrimPrefix(strings.ToUpper(unit), "SQL_TSI_")
	switch unit {
	case "MICROSECOND", "FRAC_SECOND":
		d := new(big.Int).Mul(big.NewInt(seconds), big.NewInt(1e6))
		if d.Add(d, big.NewInt(micros)); !d.IsInt64() {
			return nil, Error(1690, "22003", "BIGINT value is out of range in 'timestampdiff'")
		}
		return sign * d.Int64(), nil
	case "SECOND":
		return sign * seconds, nil
	case "MINUTE":
		return sign * (seconds / 60), nil
	case "HOUR":
		return sign * (seconds / 3600), nil
	case "DAY":
		return sign * (seconds / 86400), nil
	case "WEEK":
		return sign * (seconds / 604800), nil
	case "MONTH":
		return sign * months, nil
	case "QUARTER":
		return sign * (months / 3), nil
	case "YEAR":
		return sign * (months / 12), nil
	}
	return nil, Error(1064, "42000", mysqlSyntaxError+"%s is no unit of TIMESTAMPDIFF", unit)
}

// within is where in its month a time is.
func within(t time.Time) int64 {
	return int64(t.Day())*86400e6 + int64(t.Hour())*3600e6 + int64(t.Minute())*60e6 + int64(t.Second())*1e6 + int64(t.Nanosecond())/1000
}

// A shift is a time with an interval added, or subtracted.
type shift struct {
	name     string
	at       gms.Expression
	interval *expression.Interval // no child: the engine allows it below its own nodes only
	sign     int64
	typ      gms.Type
}

var _ gms.CollationCoercible = (*shift)(nil)

// dayUnits are the units of intervals that leave a DATE one.
var dayUnits = map[string]bool{"DAY": true, "WEEK": true, "MONTH": true, "QUARTER": true, "YEAR": true, "YEAR_MONTH": true}

func newShift(name string, at gms.Expression, i *expression.Interval, sign int64) gms.Expression {
	s := &shift{name: name, at: at, interval: i, sign: sign}
	decimals := 0
	if strings.HasSuffix(i.Unit, "MICROSECOND") {
		decimals = 6
	} else if i.Unit == "SECOND" {
		switch t := i.Child.Type(); {
		case types.IsDecimal(t):
			decimals = int(min(6, t.(gms.DecimalType).Scale()))
		case types.IsFloat(t):
			decimals = 6
		}
	}
	switch t := at.Type(); {
	case types.IsDeferredType(t):
		s.typ = t
	case types.IsTimespan(t):
		s.typ = types.Time
	case types.IsDateType(t) && dayUnits[i.Unit]:
		s.typ = types.Date
	case isTime(t) || types.IsDateType(t):
		s.typ = types.MustCreateDatetimeType(querypb.Type_DATETIME, max(decimals, t.(gms.DatetimeType).Precision()))
	default:
		s.typ = types.LongText
	}
	return s
}

func (s *shift) Resolved() bool             { return s.at.Resolved() && s.interval.Resolved() }
func (s *shift) Type() gms.Type             { return s.typ }
func (s *shift) IsNullable() bool           { return true }
func (s *shift) Children() []gms.Expression { return []gms.Expression{s.at, s.interval.Child} }

func (s *shift) String() string {
	op := "+"
	if s.sign < 0 {
		op = "-"
	}
	return "(" + s.at.String() + " " + op + " " + s.interval.String() + ")"
}

func (s *shift) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 2 {
		return nil, gms.ErrInvalidChildrenNumber.New(s, len(children), 2)
	}
	return newShift(s.name, children[0], expression.NewInterval(children[1], s.interval.Unit), s.sign), nil
}

// CollationCoercibility implements gms.CollationCoercible.
func (s *shift) CollationCoercibility(*gms.Context) (gms.CollationID, byte) {
	if types.IsTextOnly(s.typ) {
		return gms.Collation_Default, 4
	}
	return gms.Collation_binary, 5
}

// Eval is NULL for what is no time, and for times beyond year 9999.
func (s *shift) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	v, err := s.at.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	d, err := s.delta(ctx, row)
	if err != nil || d == nil {
		return nil, err
	}
	if span, ok := v.(types.Timespan); ok {
		return types.Timespan(span.AsMicroseconds() + s.sign*(((d.Days*24+d.Hours)*60+d.Minutes)*60e6+d.Seconds*1e6+d.Microseconds)), nil
	}
	t, ok := toTime(ctx, v)
	if !ok {
		return nil, nil
	}
	out, ok := moved(t, d, s.sign)
	if !ok {
		warn(ctx, 1441, "Datetime function: datetime field overflow")
		return nil, nil
	}
	if !types.IsTextOnly(s.typ) {
		return out, nil
	}
	// Of a text, the result is one too: a date of a date.
	text, _ := toText(ctx, s.at.Type(), v)
	switch {
	case dayUnits[s.interval.Unit] && !strings.ContainsAny(strings.TrimSpace(text), ": T") && len(strings.TrimSpace(text)) < 14:
		return out.Format(time.DateOnly), nil
	case out.Nanosecond() != 0:
		return out.Format("2006-01-02 15:04:05.000000"), nil
	}
	return out.Format(time.DateTime), nil
}

// delta is the interval, nil if it is NULL.
func (s *shift) delta(ctx *gms.Context, row gms.Row) (*expression.TimeDelta, error) {
	var unit int64 // microseconds
	switch s.interval.Unit {
	case "SECOND":
		v, err := s.interval.Child.Eval(ctx, row)
		if err != nil || v == nil {
			return nil, err
		}
		n, err := toNumber(ctx, v)
		if err != nil {
			return nil, err
		}
		us := toDecimal(n).Shift(6).Truncate(0).BigInt()
		if !us.IsInt64() {
			return &expression.TimeDelta{Years: 10000}, nil
		}
		return &expression.TimeDelta{Seconds: us.Int64() / 1e6, Microseconds: us.Int64() % 1e6}, nil
	case "MICROSECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR":
		unit = 1
	}
	if unit == 0 {
		return s.interval.EvalDelta(ctx, row)
	}
	v, err := s.interval.Child.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	n, err := toNumber(ctx, v)
	if err != nil {
		return nil, err
	}
	b := toBig(n)
	if text, ok := textOf(v); ok {
		b = big.NewInt((&cast{kind: "signed"}).textInteger(ctx, text).(int64))
	}
	if b.CmpAbs(big.NewInt(1e18)) > 0 {
		return &expression.TimeDelta{Years: 10000}, nil
	}
	i := b.Int64()
	switch s.interval.Unit {
	case "MICROSECOND":
		return &expression.TimeDelta{Microseconds: i}, nil
	case "MINUTE":
		return &expression.TimeDelta{Minutes: i}, nil
	case "HOUR":
		return &expression.TimeDelta{Hours: i}, nil
	case "DAY":
		return &expression.TimeDelta{Days: i}, nil
	case "WEEK":
		return &expression.TimeDelta{Days: i * 7}, nil
	case "MONTH":
		return &expression.TimeDelta{Months: i}, nil
	case "QUARTER":
		return &expression.TimeDelta{Months: i * 3}, nil
	}
	return &expression.TimeDelta{Years: i}, nil
}

// moved is t with d added sign times, false if that is beyond what a DATETIME
// holds.
func moved(t time.Time, d *expression.TimeDelta, sign int64) (time.Time, bool) {
	const beyond = 10000 * 366 * 86400 // seconds, more than all years have
	months := int64(t.Year())*12 + int64(t.Month()) - 1
	for _, n := range []int64{d.Years, d.Months, d.Days, d.Hours / 24} {
		if n > beyond || n < -beyond {
			return t, false
		}
	}
	months += sign * (d.Years*12 + d.Months)
	if months < 0 || months >= 10000*12 {
		return t, false
	}
	year, month := int(months/12), time.Month(months%12+1)
	day := t.Day()
	if last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day(); day > last {
		day = last
	}
	out := time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	seconds := new(big.Int).SetInt64(d.Days*24 + d.Hours)
	seconds.Mul(seconds, big.NewInt(60)).Add(seconds, big.NewInt(d.Minutes))
	seconds.Mul(seconds, big.NewInt(60)).Add(seconds, big.NewInt(d.Seconds))
	seconds.Add(seconds, big.NewInt(d.Microseconds/1e6))
	if !seconds.IsInt64() || seconds.CmpAbs(big.NewInt(beyond)) > 0 {
		return t, false
	}
	out = time.Unix(out.Unix()+sign*seconds.Int64(), int64(out.Nanosecond())).UTC()
	out = out.Add(time.Duration(sign*(d.Microseconds%1e6)) * time.Microsecond)
	return out, out.Year() >= 0 && out.Year() <= 9999
}

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

// commonType is the type of an expression that has the value of one of several:
// the least that holds the values of all.
func commonType(exprs []gms.Expression) gms.Type {
	ts := make([]gms.Type, len(exprs))
	for i, e := range exprs {
		ts[i] = e.Type()
		if l, ok := e.(*expression.Literal); ok && l.Value() == nil {
			ts[i] = types.Null
		}
	}
	return commonTypeOf(ts)
}

func commonTypeOf(ts []gms.Type) gms.Type {
	var common gms.Type = types.Null
	for _, t := range ts {
		if types.IsDeferredType(t) {
			return t
		}
		common = commonOfTwo(common, t)
	}
	return common
}

func commonOfTwo(a, b gms.Type) gms.Type {
	number := func(t gms.Type) bool {
		return types.IsInteger(t) || types.IsDecimal(t) || types.IsFloat(t) || types.IsYear(t) || types.IsBit(t)
	}
	switch {
	case a == types.Null || a.Equals(b):
		return b
	case b == types.Null:
		return a
	case number(a) && number(b):
		return commonNumber(a, b)
	case isTime(a) && isTime(b):
		if types.IsDateType(a) && types.IsDateType(b) {
			return types.Date
		}
		return types.MustCreateDatetimeType(querypb.Type_DATETIME, max(a.(gms.DatetimeType).Precision(), b.(gms.DatetimeType).Precision()))
	case types.IsTimespan(a) && types.IsTimespan(b):
		return types.Time
	case types.IsJSON(a) && types.IsJSON(b):
		return types.JSON
	case types.IsBinaryType(a) && !types.IsJSON(a) || types.IsBinaryType(b) && !types.IsJSON(b):
		return types.LongBlob
	case types.IsTextOnly(a) && types.IsTextOnly(b):
		if sa, ok := a.(gms.StringType); ok {
			if sb, ok := b.(gms.StringType); ok && sa.Collation() == sb.Collation() {
				if sa.MaxCharacterLength() >= sb.MaxCharacterLength() {
					return a
				}
				return b
			}
		}
	}
	return types.LongText
}

func commonNumber(a, b gms.Type) gms.Type {
	switch {
	case types.IsFloat(a) || types.IsFloat(b):
		return types.Float64
	case types.IsDecimal(numberType(a)) || types.IsDecimal(numberType(b)), types.IsUnsigned(a) != types.IsUnsigned(b) && (a == types.Uint64 || b == types.Uint64):
		p1, s1, ok1 := digitsOf(numberType(a))
		p2, s2, ok2 := digitsOf(numberType(b))
		if !ok1 || !ok2 {
			return types.Float64
		}
		scale := max(s1, s2)
		return decimalType(max(p1-s1, p2-s2)+scale, scale)
	case types.IsUnsigned(a) && types.IsUnsigned(b):
		return types.Uint64
	}
	return types.Int64
}

// asType is a value of type from as one of the common type t, NULL if it is
// none.
func asType(ctx *gms.Context, t, from gms.Type, v any) (any, error) {
	switch {
	case types.IsTextOnly(t):
		return toText(ctx, from, v)
	case types.IsNumber(t):
		n, err := toNumber(ctx, v)
		if err != nil {
			return nil, err
		}
		return ofType(t, n), nil
	case isTime(t):
		at, ok := toTime(ctx, v)
		if !ok {
			return nil, nil
		}
		return at, nil
	}
	out, _, err := t.Convert(ctx, v)
	return out, err
}

func timestampType(args []gms.Expression) gms.Type {
	p := 6
	switch t := args[0].Type(); {
	case types.IsDateType(t):
		p = 0
	case isTime(t):
		p = t.(gms.DatetimeType).Precision()
	case types.IsTextOnly(t):
		if l, ok := args[0].(*expression.Literal); ok {
			s, _ := textOf(l.Value())
			_, frac, _ := strings.Cut(s, ".")
			p = min(6, len(frac))
		}
	}
	return types.MustCreateDatetimeType(querypb.Type_DATETIME, p)
}

// dayNumber counts days.
func dayNumber(t time.Time) int64 {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix() / 86400
}

// weekOf is the week of a time in one of MySQL's modes. Bits of mode: 1, weeks
// begin on Monday; 2, days before week 1 belong to the year before; 4, week 1 is
// the first that begins in the year, not the first with more than half its days.
func weekOf(ctx *gms.Context, vals []any, always int, result func(year, week int) int) (any, error) {
	t, ok := toTime(ctx, vals[0])
	if !ok {
		return nil, nil
	}
	mode := 0
	if len(vals) > 1 {
		n, err := toNumber(ctx, vals[1])
		if err != nil {
			return nil, err
		}
		mode = int(toBig(n).Int64() & 7)
	}
	monday := mode&1 != 0
	wholeYear := (mode|always)&2 != 0
	first := mode&4 != 0
	if !monday {
		first = !first // MySQL's modes of weeks from Sunday say it the other way round
	}
	weekday := func(t time.Time) int {
		if monday {
			return (int(t.Weekday()) + 6) % 7
		}
		return int(t.Weekday())
	}
	year := t.Year()
	start := func(year int) time.Time { // of week 1
		d := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		w := weekday(d)
		if first && w != 0 || !first && w >= 4 {
			return d.AddDate(0, 0, 7-w)
		}
		return d.AddDate(0, 0, -w)
	}
	day := dayNumber(t)
	if day < dayNumber(start(year)) {
		if !wholeYear {
			return int64(result(year, 0)), nil
		}
		year--
	} else if wholeYear && day >= dayNumber(start(year+1)) {
		year++
	}
	return int64(result(year, int(day-dayNumber(start(year)))/7+1)), nil
}

// A field is FIELD(x, a, b, …), which is 0 for NULL.
type field struct{ extreme }

func newField(args []gms.Expression) (gms.Expression, error) {
	if len(args) < 2 {
		return nil, Error(1582, "42000", "Incorrect parameter count in the call to native function 'field'")
	}
	return &field{extreme{name: "field", args: args, typ: types.Int64}}, nil
}

func (f *field) IsNullable() bool { return false }

func (f *field) WithChildren(args ...gms.Expression) (gms.Expression, error) { return newField(args) }

func (f *field) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	texts, numbers := true, true
	for _, a := range f.args {
		t := a.Type()
		texts = texts && types.IsTextOnly(t)
		numbers = numbers && types.IsNumber(t)
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

// convertZone leaves times alone that no TIMESTAMP holds, as MySQL does.
func convertZone(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
	t, ok := toTime(ctx, vals[0])
	if !ok {
		return nil, nil
	}
	e := function.NewConvertTz(expression.NewLiteral(t, types.DatetimeMaxPrecision), args[1], args[2])
	if t.Unix() < 0 || t.Unix() > function.MaxUnixTimeSecs {
		return t, nil
	}
	return e.Eval(ctx, nil)
}

// formatNumber is FORMAT(x, decimals): rounded, with commas at the thousands.
func formatNumber(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
	n, err := toNumber(ctx, vals[0])
	if err != nil {
		return nil, err
	}
	p, err := places(ctx, vals)
	if err != nil {
		return nil, err
	}
	p = max(0, p)
	d := toDecimal(n)
	if f, ok := n.(float64); ok {
		d = toDecimal(scaled(f, p, math.RoundToEven))
	}
	whole, frac, _ := strings.Cut(d.StringFixed(p), ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	var b strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	if frac != "" {
		b.WriteString("." + frac)
	}
	return sign + b.String(), nil
}
