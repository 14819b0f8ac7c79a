package gmsx

import (
	"cmp"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"
)

// exactKeys keeps comparisons of a column with what is no value of its type
// from the engine's choice of index ranges. The engine converts the value into
// the column's type first, so that, of an INT, k = 2147483648 finds 2147483647,
// and then drops the condition. What is a value of the type becomes a literal
// of the type; all else is compared row by row.
func exactKeys(ctx *gms.Context, n gms.Node) (gms.Node, error) {
	return inConditions(n, func(e gms.Expression) (gms.Expression, bool, error) {
		switch e := e.(type) {
		case *expression.Not:
			return hideInexactEquals(e)
		case *expression.Between:
			if !movable(e.Val) {
				return e, false, nil
			}
			lo, _ := exactKey(ctx, expression.NewGreaterThanOrEqual(e.Val, e.Lower))
			hi, _ := exactKey(ctx, expression.NewLessThanOrEqual(e.Val, e.Upper))
			return expression.NewAnd(lo, hi), true, nil
		}
		out, changed := exactKey(ctx, e)
		return out, changed, nil
	})
}

// hideInexactEquals hides all equalities below NOT of columns that are no
// integers: the engine takes d <> 1.5 for d IS NOT NULL.
func hideInexactEquals(e gms.Expression) (gms.Expression, bool, error) {
	out, same, err := transform.Expr(e, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		c, ok := comparisonOf(e)
		if !ok || c.op != opEqual || !(types.IsDecimal(c.col.Type()) || types.IsFloat(c.col.Type())) || !evaluable(c.values) {
			return e, transform.SameTree, nil
		}
		return newHidden(c), transform.NewTree, nil
	})
	return out, !bool(same), err
}

// exactKey is e as it shall be.
func exactKey(ctx *gms.Context, e gms.Expression) (gms.Expression, bool) {
	c, ok := comparisonOf(e)
	if !ok || !evaluable(c.values) {
		return e, false
	}
	typed := make([]gms.Expression, len(c.values))
	fits, changed := true, false
	for i, v := range c.values {
		fixed := constant(v)
		if !fixed && !variable(v) { // like RAND(), which has another value for each row
			fits = false
			continue
		}
		val, err := v.Eval(ctx, nil)
		if err != nil {
			return e, false // the engine says what is wrong with it
		}
		if text, ok := timeOfNumber(val); ok && fixed && isTime(c.col.Type()) {
			val, v = text, expression.NewLiteral(text, types.LongText)
			c.values[i] = v
		}
		typed[i] = v
		if val == nil {
			continue
		}
		key, ok := exactValue(ctx, c.col, v, val)
		if !ok {
			fits = false
			if fixed && asNumbers(c.col.Type(), v.Type()) {
				c.values[i] = expression.NewLiteral(val, v.Type())
			}
			continue
		}
		if fixed && key != nil {
			typed[i], changed = expression.NewLiteral(key, c.col.Type()), true
		}
	}
	switch {
	case !fits:
		return newHidden(c), true
	case !changed:
		return e, false
	case c.in:
		return expression.NewInTuple(c.col, expression.Tuple(typed)), true
	}
	return c.op.make(c.col, typed[0]), true
}

// exactValue is val as a value of the column's type, false if it is none; nil
// is one as it stands.
func exactValue(ctx *gms.Context, col *expression.GetField, e gms.Expression, val any) (any, bool) {
	t := col.Type()
	switch {
	case isTime(t):
		lit, ok := typeLiteral(ctx, t, e)
		if l, is := lit.(*expression.Literal); is && l.Type().Equals(t) {
			return l.Value(), true
		}
		return nil, ok
	case types.IsInteger(t):
		return exactInteger(ctx, t, val)
	case types.IsDecimal(t):
		d, ok := exactDecimal(val)
		dt, is := t.(gms.DecimalType)
		if !ok || !is || !d.Equal(d.Truncate(int32(dt.Scale()))) || d.Abs().Cmp(decimal.New(1, int32(dt.Precision())-int32(dt.Scale()))) >= 0 {
			return nil, false
		}
		if _, double := val.(float64); double && dt.Precision() > 15 {
			return nil, false // several of the column's values are that double
		}
		key, in, err := t.Convert(ctx, d)
		return key, err == nil && in == gms.InRange
	case types.IsFloat(t):
		if s, text := val.(string); text {
			if _, ok := exactDecimal(s); !ok {
				return nil, false
			}
		}
		f, ok := double(val)
		if !ok || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, false
		}
		if t.Equals(types.Float32) {
			return float32(f), float64(float32(f)) == f
		}
		return f, true
	case types.IsTextOnly(t):
		s, ok := val.(string)
		if !ok {
			return nil, false
		}
		if st, ok := t.(gms.StringType); ok && int64(utf8.RuneCountInString(s)) > st.MaxCharacterLength() {
			return nil, false // no value of the column is so long, and a key of it would be another
		}
		own, is := t.(gms.TypeWithCollation)
		collation, _ := gms.ResolveCoercibility(coercibility(ctx, col, e))
		return nil, !is || collation == own.Collation()
	}
	return nil, true
}

// timeOfNumber is the time that MySQL takes a number for, YYYYMMDD or
// YYYYMMDDhhmmss, as text.
func timeOfNumber(val any) (string, bool) {
	_, n, ok := integer(val)
	if !ok {
		return "", false
	}
	text := strconv.FormatUint(n, 10)
	for digits, layout := range map[int]string{8: "20060102", 14: "20060102150405"} {
		if at, err := time.Parse(layout, text); err == nil && len(text) == digits {
			return at.Format(time.DateTime), true
		}
	}
	return "", false
}

func coercibility(ctx *gms.Context, l, r gms.Expression) (gms.CollationID, byte, gms.CollationID, byte) {
	lc, lb := gms.GetCoercibility(ctx, l)
	rc, rb := gms.GetCoercibility(ctx, r)
	return lc, lb, rc, rb
}

func exactInteger(ctx *gms.Context, t gms.Type, val any) (any, bool) {
	if f, ok := val.(float64); ok && math.Abs(f) > 1<<53 {
		return nil, false // several integers are that double
	}
	d, ok := exactDecimal(val)
	if !ok || !d.IsInteger() {
		return nil, false
	}
	b := d.BigInt()
	var key any
	var in gms.ConvertInRange
	var err error
	switch {
	case b.IsInt64():
		key, in, err = t.Convert(ctx, b.Int64())
	case b.IsUint64():
		key, in, err = t.Convert(ctx, b.Uint64())
	default:
		return nil, false
	}
	if err != nil || in != gms.InRange {
		return nil, false
	}
	back, ok := exactDecimal(key) // the engine may wrap or clamp without a word
	return key, ok && back.Equal(d)
}

// plainNumber is a number in text that means the same in every type.
var plainNumber = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`)

// plainDigits bounds such a text, and exponents.
const plainDigits = 80

// exactDecimal is a number, or a text that is nothing but a number.
func exactDecimal(val any) (decimal.Decimal, bool) {
	switch v := val.(type) {
	case decimal.Decimal:
		return v, true
	case float32:
		return exactDecimal(float64(v))
	case float64:
		if a := math.Abs(v); math.IsNaN(v) || a > 1e66 || v != 0 && a < 1e-66 {
			return decimal.Zero, false
		}
		return decimal.NewFromFloat(v), true
	case string:
		if len(v) > plainDigits || !plainNumber.MatchString(v) {
			return decimal.Zero, false
		}
		d, err := decimal.NewFromString(v)
		return d, err == nil
	}
	neg, n, ok := integer(val)
	if !ok {
		return decimal.Zero, false
	}
	if neg {
		return decimal.NewFromInt(int64(n)), true
	}
	return decimal.NewFromBigInt(new(big.Int).SetUint64(n), 0), true
}

// integer is an integer in two's complement, and whether it is negative.
func integer(val any) (neg bool, n uint64, ok bool) {
	signed := func(i int64) (bool, uint64, bool) { return i < 0, uint64(i), true }
	switch v := val.(type) {
	case bool:
		if v {
			return false, 1, true
		}
		return false, 0, true
	case int:
		return signed(int64(v))
	case int8:
		return signed(int64(v))
	case int16:
		return signed(int64(v))
	case int32:
		return signed(int64(v))
	case int64:
		return signed(v)
	case uint:
		return false, uint64(v), true
	case uint8:
		return false, uint64(v), true
	case uint16:
		return false, uint64(v), true
	case uint32:
		return false, uint64(v), true
	case uint64:
		return false, v, true
	}
	return false, 0, false
}

// leadingNumber is what of a text MySQL takes for a number.
var leadingNumber = regexp.MustCompile(`^[ \t\n\v\f\r]*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)`)

// double is a number or a text as a DOUBLE.
func double(val any) (float64, bool) {
	switch v := val.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case decimal.Decimal:
		return v.InexactFloat64(), true
	case []byte:
		return double(string(v))
	case string:
		m := leadingNumber.FindStringSubmatch(v)
		if m == nil {
			return 0, true
		}
		f, err := strconv.ParseFloat(m[1], 64)
		return f, err == nil
	}
	neg, n, ok := integer(val)
	if neg {
		return float64(int64(n)), ok
	}
	return float64(n), ok
}

// compareNumbers compares as MySQL does: integers and decimals exactly, and
// what else is compared with a number as doubles.
func compareNumbers(a, b any) (int, bool) {
	aneg, an, ok1 := integer(a)
	bneg, bn, ok2 := integer(b)
	if ok1 && ok2 {
		if aneg != bneg {
			if aneg {
				return -1, true
			}
			return 1, true
		}
		return cmp.Compare(an, bn), true
	}
	if (ok1 || isDecimal(a)) && (ok2 || isDecimal(b)) {
		x, _ := exactDecimal(a)
		y, _ := exactDecimal(b)
		return x.Cmp(y), true
	}
	x, ok1 := double(a)
	y, ok2 := double(b)
	if !ok1 || !ok2 {
		return 0, false
	}
	return cmp.Compare(x, y), true
}

func isDecimal(v any) bool {
	_, ok := v.(decimal.Decimal)
	return ok
}

// evaluable says whether the engine would make index keys of all values.
func evaluable(values []gms.Expression) bool {
	ok := true
	for _, v := range values {
		gms.Inspect(v, func(e gms.Expression) bool {
			switch e.(type) {
			case *expression.GetField, *expression.BindVar, *expression.ProcedureParam, *plan.Subquery, gms.Aggregation, *expression.DefaultColumn:
				ok = false
			}
			return ok
		})
	}
	return ok
}

// variable says whether e is a variable of the session, alone.
func variable(e gms.Expression) bool {
	switch e.(type) {
	case *expression.UserVar, *expression.SystemVar:
		return true
	}
	return false
}

// An operator compares a column, on its left, with a value.
type operator int

const (
	opEqual operator = iota
	opNullSafe
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
)

func (o operator) make(l, r gms.Expression) gms.Expression {
	switch o {
	case opNullSafe:
		return expression.NewNullSafeEquals(l, r)
	case opLess:
		return expression.NewLessThan(l, r)
	case opLessEqual:
		return expression.NewLessThanOrEqual(l, r)
	case opGreater:
		return expression.NewGreaterThan(l, r)
	case opGreaterEqual:
		return expression.NewGreaterThanOrEqual(l, r)
	default:
		return expression.NewEquals(l, r)
	}
}

func (o operator) holds(c int) bool {
	switch o {
	case opLess:
		return c < 0
	case opLessEqual:
		return c <= 0
	case opGreater:
		return c > 0
	case opGreaterEqual:
		return c >= 0
	default:
		return c == 0
	}
}

// swapped is the operator for the sides exchanged.
func (o operator) swapped() operator {
	switch o {
	case opLess:
		return opGreater
	case opLessEqual:
		return opGreaterEqual
	case opGreater:
		return opLess
	case opGreaterEqual:
		return opLessEqual
	default:
		return o
	}
}

// A comparison is of a column with a value, or with each of several.
type comparison struct {
	op     operator
	in     bool // col IN (values)
	col    *expression.GetField
	values []gms.Expression
}

// comparisonOf is e if it compares a column with something else.
func comparisonOf(e gms.Expression) (comparison, bool) {
	var c comparison
	switch e := e.(type) {
	case *expression.InTuple:
		col, ok := e.Left().(*expression.GetField)
		tuple, ok2 := e.Right().(expression.Tuple)
		return comparison{op: opEqual, in: true, col: col, values: append([]gms.Expression{}, tuple...)}, ok && ok2
	case *expression.Equals:
		c.op = opEqual
	case *expression.NullSafeEquals:
		c.op = opNullSafe
	case *expression.LessThan:
		c.op = opLess
	case *expression.LessThanOrEqual:
		c.op = opLessEqual
	case *expression.GreaterThan:
		c.op = opGreater
	case *expression.GreaterThanOrEqual:
		c.op = opGreaterEqual
	default:
		return c, false
	}
	l, r := e.Children()[0], e.Children()[1]
	if _, ok := l.(*expression.GetField); !ok {
		l, r, c.op = r, l, c.op.swapped()
	}
	col, ok := l.(*expression.GetField)
	c.col, c.values = col, []gms.Expression{r}
	return c, ok
}

// A hidden is a comparison under a type that the optimiser does not know. Its
// children are the column and then the values.
type hidden struct {
	op      operator
	in      bool
	all     []gms.Expression
	engines []gms.Expression // the engine's comparison with each value; nil where numbers, or times, are compared
}

var _ gms.CollationCoercible = (*hidden)(nil)

func newHidden(c comparison) *hidden {
	return makeHidden(c.op, c.in, append([]gms.Expression{c.col}, c.values...))
}

func makeHidden(op operator, in bool, all []gms.Expression) *hidden {
	h := &hidden{op: op, in: in, all: all}
	for _, v := range all[1:] {
		var e gms.Expression
		if !asNumbers(all[0].Type(), v.Type()) && (!asTimes(all[0].Type(), v.Type()) || noTime(all[0]) || noTime(v)) {
			e = op.make(all[0], v)
		}
		h.engines = append(h.engines, e)
	}
	return h
}

// noTime says that e is a text that is no time, of which the engine says so
// where it is compared with one.
func noTime(e gms.Expression) bool {
	l, ok := e.(*expression.Literal)
	if !ok || !types.IsTextOnly(e.Type()) {
		return false
	}
	s, ok := textOf(l.Value())
	if !ok {
		return false
	}
	_, ok = parseTime(s)
	return !ok
}

// asNumbers says whether values of the types compare as numbers.
func asNumbers(a, b gms.Type) bool {
	number := func(t gms.Type) bool { return types.IsInteger(t) || types.IsDecimal(t) || types.IsFloat(t) }
	other := func(t gms.Type) bool { return number(t) || types.IsTextOnly(t) || isTime(t) }
	return number(a) && other(b) || number(b) && other(a)
}

// Eval is NULL, as of IN, if no value matches and one of them is NULL.
func (h *hidden) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	left, err := h.all[0].Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	unknown := false
	for i, e := range h.engines {
		v, err := h.compare(ctx, row, left, h.all[i+1], e)
		if err != nil {
			return nil, err
		}
		switch v {
		case true:
			return true, nil
		case nil:
			unknown = true
		}
	}
	if unknown {
		return nil, nil
	}
	return false, nil
}

func (h *hidden) compare(ctx *gms.Context, row gms.Row, left any, right, engine gms.Expression) (any, error) {
	if engine != nil {
		return engine.Eval(ctx, row)
	}
	v, err := right.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	if left == nil || v == nil {
		if h.op == opNullSafe {
			return left == nil && v == nil, nil
		}
		return nil, nil
	}
	var c int
	var ok bool
	if asTimes(h.all[0].Type(), right.Type()) {
		c, ok = compareTimes(ctx, h.all[0].Type(), right.Type(), left, v)
	} else {
		if left, err = toNumber(ctx, left); err != nil {
			return nil, err
		}
		if v, err = toNumber(ctx, v); err != nil {
			return nil, err
		}
		c, ok = compareNumbers(left, v)
	}
	if !ok {
		return h.op.make(h.all[0], right).Eval(ctx, row)
	}
	return h.op.holds(c), nil
}

// Resolved implements gms.Expression.
func (h *hidden) Resolved() bool { return expression.ExpressionsResolved(h.all...) }

// Type implements gms.Expression.
func (h *hidden) Type() gms.Type { return types.Boolean }

// IsNullable implements gms.Expression.
func (h *hidden) IsNullable() bool { return h.op != opNullSafe }

// Children implements gms.Expression.
func (h *hidden) Children() []gms.Expression { return h.all }

// WithChildren implements gms.Expression.
func (h *hidden) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != len(h.all) {
		return nil, gms.ErrInvalidChildrenNumber.New(h, len(children), len(h.all))
	}
	return makeHidden(h.op, h.in, children), nil
}

// CollationCoercibility implements gms.CollationCoercible.
func (h *hidden) CollationCoercibility(*gms.Context) (gms.CollationID, byte) {
	return gms.Collation_binary, 5
}

func (h *hidden) String() string {
	if !h.in {
		return h.op.make(h.all[0], h.all[1]).String()
	}
	texts := make([]string, len(h.all)-1)
	for i, v := range h.all[1:] {
		texts[i] = v.String()
	}
	return "(" + h.all[0].String() + " IN (" + strings.Join(texts, ", ") + "))"
}
