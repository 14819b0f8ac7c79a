package gmsx

import (
	"context"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/shopspring/decimal"
)

// plainCasts makes CAST of a text that begins with a number that number, as
// MySQL does. The engine makes 0 of '12abc'.
func plainCasts(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeExprsWithOpaque(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		c, ok := e.(*expression.Convert)
		if !ok || !types.IsText(c.Child.Type()) || types.IsBinaryType(c.Child.Type()) {
			return e, transform.SameTree, nil
		}
		if call, ok := c.Child.(*Call); ok && call.name == numberPrefix {
			return e, transform.SameTree, nil
		}
		form := numberForm
		switch c.Type() {
		case types.Int64, types.Uint64:
			form = integerForm
		default:
			if !types.IsNumber(c.Type()) {
				return e, transform.SameTree, nil
			}
		}
		prefix := NewCall(numberPrefix, c.Child.Type(), []gms.Expression{c.Child}, func(_ *gms.Context, args []any) (any, error) {
			s, ok := args[0].(string)
			if !ok {
				return args[0], nil
			}
			return castPrefix(s, form), nil
		})
		cast, err := c.WithChildren(prefix)
		return cast, transform.NewTree, err
	})
	return out, err
}

// numberPrefix is the name of the call in plans.
const numberPrefix = "number_at_the_start_of"

var (
	numberForm  = regexp.MustCompile(`^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?`)
	integerForm = regexp.MustCompile(`^[+-]?\d+`)
)

// castPrefix is the number with which a text begins, or 0. A text that is
// a number as a whole stays.
func castPrefix(s string, form *regexp.Regexp) string {
	s = strings.TrimSpace(s)
	number := numberForm.FindString(s)
	if len(number) == len(s) && number != "" {
		return s
	}
	if number = form.FindString(s); number != "" {
		return number
	}
	return "0"
}

// ownCasts are the types that casts to are ours.
var ownCasts = map[string]bool{
	"signed": true, "unsigned": true, "decimal": true, "double": true, "real": true, "char": true, "nchar": true, "datetime": true, "date": true,
}

// A cast is CAST(x AS type).
type cast struct {
	expression.UnaryExpression
	kind          string
	length, scale int // -1 where there is none
	rounded       int // the decimals of a DOUBLE that goes to a text, -1 where it has its own
	typ           gms.Type
	engine        gms.Expression // executes those of which it has all that matters
}

func newCast(args []gms.Expression) (gms.Expression, error) {
	kind, _ := args[1].(*expression.Literal)
	number := func(e gms.Expression) int {
		if l, ok := e.(*expression.Literal); ok {
			if _, n, ok := integer(l.Value()); ok {
				return int(int64(n))
			}
		}
		return -1
	}
	return makeCast(args[0], kind.Value().(string), number(args[2]), number(args[3]))
}

func makeCast(x gms.Expression, kind string, length, scale int) (gms.Expression, error) {
	c := &cast{UnaryExpression: expression.UnaryExpression{Child: x}, kind: kind, length: length, scale: scale, rounded: roundedTo(x)}
	switch kind {
	case "signed":
		c.typ = types.Int64
	case "unsigned":
		c.typ = types.Uint64
	case "double", "real":
		c.typ = types.Float64
	case "decimal":
		p, s := 10, 0
		if length >= 0 {
			p = length
		}
		if scale >= 0 {
			s = scale
		}
		if p == 0 {
			p = 10
		}
		if p > types.DecimalTypeMaxPrecision {
			return nil, Error(1426, "42000", "Too-big precision %d specified for '%s'. Maximum is %d.", p, x, types.DecimalTypeMaxPrecision)
		}
		if s > types.DecimalTypeMaxScale {
			return nil, Error(1425, "42000", "Too big scale %d specified for column '%s'. Maximum is %d.", s, x, types.DecimalTypeMaxScale)
		}
		if s > p {
			return nil, Error(1427, "42000", "For float(M,D), double(M,D) or decimal(M,D), M must be >= D (column '%s').", x)
		}
		c.typ = types.MustCreateDecimalType(uint8(p), uint8(s))
	case "datetime":
		if length > 6 {
			return nil, Error(1426, "42000", "Too-big precision %d specified for 'CAST'. Maximum is 6.", length)
		}
		c.typ = types.MustCreateDatetimeType(querypb.Type_DATETIME, max(0, length))
	case "date":
		c.typ = types.Date
	default: // char
		c.typ = types.LongText
	}
	if kind != "char" && kind != "nchar" {
		return c, nil
	}
	if length >= 0 {
		c.engine = expression.NewConvertWithLengthAndScale(x, "char", length, 0)
	} else {
		c.engine = expression.NewConvert(x, "char")
	}
	c.typ = c.engine.Type()
	return c, nil
}

// Type implements gms.Expression.
func (c *cast) Type() gms.Type { return c.typ }

// IsNullable implements gms.Expression.
func (c *cast) IsNullable() bool { return true }

// WithChildren implements gms.Expression.
func (c *cast) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(c, len(children), 1)
	}
	return makeCast(children[0], c.kind, c.length, c.scale)
}

// CollationCoercibility implements gms.CollationCoercible.
func (c *cast) CollationCoercibility(ctx *gms.Context) (gms.CollationID, byte) {
	if c.engine != nil {
		return gms.GetCoercibility(ctx, c.engine)
	}
	return gms.Collation_binary, 5
}

func (c *cast) String() string {
	of := ""
	switch {
	case c.length >= 0 && c.scale >= 0:
		of = "(" + strconv.Itoa(c.length) + "," + strconv.Itoa(c.scale) + ")"
	case c.length >= 0:
		of = "(" + strconv.Itoa(c.length) + ")"
	}
	return "convert(" + c.Child.String() + ", " + c.kind + of + ")"
}

// Eval implements gms.Expression.
func (c *cast) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	v, err := c.Child.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	switch c.kind {
	case "signed", "unsigned":
		return c.integer(ctx, v)
	case "double", "real":
		n, err := toNumber(ctx, v)
		if err != nil {
			return nil, err
		}
		f, _ := double(n)
		return f, nil
	case "decimal":
		return c.decimal(ctx, v)
	case "datetime", "date":
		t, ok := toTime(ctx, v)
		if !ok {
			return nil, nil
		}
		if c.kind == "date" {
			return t.Truncate(24 * time.Hour), nil
		}
		return roundTime(t, max(0, c.length))
	}
	if f, ok := v.(float64); ok && c.rounded >= 0 {
		return firstChars(fixedDouble(f, c.rounded), max(c.length, -1)), nil
	}
	text, err := toText(ctx, c.Child.Type(), v)
	if err != nil {
		return nil, err
	}
	if c.length >= 0 {
		text = firstChars(text, c.length)
	}
	return text, nil
}

func (c *cast) integer(ctx *gms.Context, v any) (any, error) {
	if s, ok := textOf(v); ok {
		return c.textInteger(ctx, s), nil
	}
	n, err := toNumber(ctx, v)
	if err != nil {
		return nil, err
	}
	if t, ok := v.(time.Time); ok {
		n = timeNumber(t.Round(time.Second))
	}
	neg, bits, ok := integer(n)
	if !ok {
		var b *big.Int
		if f, is := n.(float64); is {
			b, _ = big.NewFloat(math.RoundToEven(f)).Int(nil)
		} else {
			b = toDecimal(n).Round(0).BigInt()
		}
		return c.clamp(ctx, b, n), nil
	}
	if c.kind == "signed" {
		return int64(bits), nil
	}
	_ = neg
	return bits, nil
}

// clamp is a rounded number at the bounds of the type, as MySQL has it.
func (c *cast) clamp(ctx *gms.Context, b *big.Int, v any) any {
	_, f := v.(float64)
	kind := "DECIMAL"
	if f {
		kind = "DOUBLE"
	}
	switch {
	case c.kind == "signed" && b.IsInt64():
		return b.Int64()
	case c.kind == "unsigned" && b.IsUint64():
		return b.Uint64()
	case c.kind == "unsigned" && f && b.IsInt64():
		return uint64(b.Int64())
	}
	warnTruncated(ctx, kind, toDecimal(v).String())
	switch {
	case c.kind == "signed" && b.Sign() < 0:
		return int64(math.MinInt64)
	case c.kind == "signed":
		return int64(math.MaxInt64)
	case b.Sign() < 0 && f:
		return uint64(1 << 63)
	case b.Sign() < 0:
		return uint64(0)
	}
	return uint64(math.MaxUint64)
}

// textInteger is the integer at the beginning of a text.
func (c *cast) textInteger(ctx *gms.Context, s string) any {
	t := strings.TrimLeft(s, " \t\n\v\f\r")
	end := 0
	if end < len(t) && (t[end] == '-' || t[end] == '+') {
		end++
	}
	from := end
	for end < len(t) && t[end] >= '0' && t[end] <= '9' {
		end++
	}
	if strings.TrimRight(t[end:], " \t\n\v\f\r") != "" || end == from {
		warnTruncated(ctx, "INTEGER", s)
	}
	if end == from {
		if c.kind == "signed" {
			return int64(0)
		}
		return uint64(0)
	}
	b, _ := new(big.Int).SetString(strings.TrimPrefix(t[:end], "+"), 10)
	switch {
	case b.IsUint64():
		if c.kind == "signed" {
			return int64(b.Uint64())
		}
		return b.Uint64()
	case b.IsInt64():
		if c.kind == "signed" {
			return b.Int64()
		}
		return uint64(b.Int64())
	}
	warnTruncated(ctx, "INTEGER", s)
	switch {
	case b.Sign() < 0 && c.kind == "signed":
		return int64(math.MinInt64)
	case b.Sign() < 0:
		return uint64(1 << 63)
	case c.kind == "signed":
		return int64(-1) // all bits of the greatest, as MySQL has it
	}
	return uint64(math.MaxUint64)
}

func (c *cast) decimal(ctx *gms.Context, v any) (any, error) {
	var d decimal.Decimal
	if s, ok := textOf(v); ok {
		m := leadingNumber.FindStringSubmatch(s)
		if m == nil || strings.TrimRight(s[len(m[0]):], " \t\n\v\f\r") != "" {
			warnTruncated(ctx, "DECIMAL", s)
		}
		if m != nil {
			if f, err := strconv.ParseFloat(m[1], 64); err == nil && math.Abs(f) < 1e66 {
				d, _ = decimal.NewFromString(m[1])
			} else if f != 0 {
				d = decimal.New(1, types.DecimalTypeMaxPrecision)
				if f < 0 {
					d = d.Neg()
				}
			}
		}
	} else {
		n, err := toNumber(ctx, v)
		if err != nil {
			return nil, err
		}
		if f, ok := n.(float64); ok && math.Abs(f) > 1e66 {
			d = decimal.New(1, types.DecimalTypeMaxPrecision)
			if f < 0 {
				d = d.Neg()
			}
		} else {
			d = toDecimal(n)
		}
	}
	t := c.typ.(gms.DecimalType)
	d = d.Round(int32(t.Scale()))
	bound := decimal.New(1, int32(t.Precision())-int32(t.Scale()))
	if d.Abs().Cmp(bound) >= 0 {
		warn(ctx, 1264, "Out of range value for column '%s' at row 1", c)
		most := bound.Sub(decimal.New(1, -int32(t.Scale())))
		if d.Sign() < 0 {
			most = most.Neg()
		}
		return most, nil
	}
	return d, nil
}

// textOf is a text value.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case gms.StringWrapper:
		s, err := v.Unwrap(context.Background())
		return s, err == nil
	}
	return "", false
}

// toText is a value of type t as text.
func toText(ctx *gms.Context, t gms.Type, v any) (string, error) {
	if s, ok := textOf(v); ok {
		return s, nil
	}
	switch v := v.(type) {
	case float64:
		return string(appendDouble(nil, v, 64)), nil
	case float32:
		return string(appendDouble(nil, float64(v), 32)), nil
	case bool:
		if v {
			return "1", nil
		}
		return "0", nil
	case decimal.Decimal:
		if d, ok := t.(gms.DecimalType); ok && d.Scale() < types.DecimalTypeMaxScale { // a quotient has more digits
			return v.StringFixed(int32(d.Scale())), nil
		}
		if -v.Exponent() > 0 {
			return v.StringFixed(-v.Exponent()), nil
		}
		return v.String(), nil
	}
	if _, n, ok := integer(v); ok {
		if neg, _, _ := integer(v); neg {
			return strconv.FormatInt(int64(n), 10), nil
		}
		return strconv.FormatUint(n, 10), nil
	}
	val, err := t.SQL(ctx, nil, v)
	if err != nil {
		return "", err
	}
	return val.ToString(), nil
}

// firstChars are the first n characters of s.
func firstChars(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
