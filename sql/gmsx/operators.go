package gmsx

import (
	"math"
	"math/big"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
	"github.com/shopspring/decimal"
)

// An Operation is an operator on numbers with the types and the bounds that
// MySQL has: a result that does not fit is error 1690.
type Operation struct {
	op   string
	args []gms.Expression
	typ  gms.Type
}

var _ gms.CollationCoercible = (*Operation)(nil)

// Op is the operator: one of *, /, div, % and so on, or "neg".
func (o *Operation) Op() string { return o.op }

// Plain says of an expression of this package that it gives the same whenever
// it is evaluated with the same children, and does nothing else.
func Plain(e gms.Expression) bool {
	switch e := e.(type) {
	case *Operation, *choice, *cast, *extreme:
		return true
	case *shift:
		_, ok := e.interval.Child.(*expression.Literal)
		return ok
	}
	return false
}

func newOperation(op string, args ...gms.Expression) gms.Expression {
	return &Operation{op: op, args: args, typ: operationType(op, args)}
}

// operationType is the type of the result.
func operationType(op string, args []gms.Expression) gms.Type {
	unsigned, double, dec := false, false, false
	digits, scale := 0, 0 // of decimals: those before the point, and those after
	product, productScale := 0, 0
	for _, a := range args {
		t := a.Type()
		switch {
		case types.IsDeferredType(t):
			return t
		case types.IsFloat(t), types.IsText(t), types.IsJSON(t), types.IsEnum(t), types.IsSet(t), t == types.Null:
			double = double || t != types.Null
		default:
			p, s, ok := digitsOf(numberType(t))
			if !ok {
				double = true
				continue
			}
			dec = dec || types.IsDecimal(numberType(t))
			unsigned = unsigned || types.IsUnsigned(t)
			digits, scale = max(digits, p-s), max(scale, s)
			product, productScale = product+p, productScale+s
		}
	}
	switch op {
	case ast.BitAndStr, ast.BitOrStr, ast.BitXorStr, ast.ShiftLeftStr, ast.ShiftRightStr, "~":
		return types.Uint64
	case ast.IntDivStr:
		if unsigned {
			return types.Uint64
		}
		return types.Int64
	}
	if double {
		return types.Float64
	}
	if op == ast.DivStr {
		p, s, _ := digitsOf(numberType(args[0].Type()))
		_, s2, _ := digitsOf(numberType(args[1].Type()))
		return decimalType(p+s2+divisionDigits, s+divisionDigits)
	}
	if dec {
		switch op {
		case ast.MultStr:
			return decimalType(product, productScale)
		case ast.PlusStr, ast.MinusStr:
			return decimalType(digits+1+scale, scale)
		}
		return decimalType(digits+scale, scale)
	}
	switch op {
	case "neg":
		return types.Int64
	case ast.ModStr:
		unsigned = types.IsUnsigned(args[0].Type())
	}
	if unsigned {
		return types.Uint64
	}
	return types.Int64
}

// numberType is the type as which values of t are calculated with.
func numberType(t gms.Type) gms.Type {
	switch {
	case types.IsDateType(t), types.IsYear(t):
		return types.Int64
	case isTime(t):
		if p := t.(gms.DatetimeType).Precision(); p > 0 {
			return decimalType(14+p, p)
		}
		return types.Int64
	case types.IsTimespan(t):
		return decimalType(13, 6)
	case types.IsBit(t):
		return types.Uint64
	}
	return t
}

// Resolved implements gms.Expression.
func (o *Operation) Resolved() bool { return expression.ExpressionsResolved(o.args...) }

// Type implements gms.Expression.
func (o *Operation) Type() gms.Type { return o.typ }

// IsNullable implements gms.Expression.
func (o *Operation) IsNullable() bool {
	for _, a := range o.args {
		if a.IsNullable() {
			return true
		}
	}
	return o.op == ast.IntDivStr || o.op == ast.ModStr || o.op == ast.DivStr
}

// Children implements gms.Expression.
func (o *Operation) Children() []gms.Expression { return o.args }

// WithChildren implements gms.Expression.
func (o *Operation) WithChildren(args ...gms.Expression) (gms.Expression, error) {
	if len(args) != len(o.args) {
		return nil, gms.ErrInvalidChildrenNumber.New(o, len(args), len(o.args))
	}
	return newOperation(o.op, args...), nil
}

// CollationCoercibility implements gms.CollationCoercible.
func (o *Operation) CollationCoercibility(*gms.Context) (gms.CollationID, byte) {
	return gms.Collation_binary, 5
}

func (o *Operation) String() string {
	if len(o.args) == 1 {
		if o.op == "neg" {
			return "-" + o.args[0].String()
		}
		return o.op + o.args[0].String()
	}
	return "(" + o.args[0].String() + " " + o.op + " " + o.args[1].String() + ")"
}

// Eval implements gms.Expression.
func (o *Operation) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	var nums [2]any
	for i, a := range o.args {
		v, err := a.Eval(ctx, row)
		if err != nil || v == nil {
			return nil, err
		}
		if nums[i], err = toNumber(ctx, v); err != nil {
			return nil, err
		}
	}
	a, b := nums[0], nums[1]
	switch o.op {
	case ast.BitAndStr, ast.BitOrStr, ast.BitXorStr, ast.ShiftLeftStr, ast.ShiftRightStr, "~":
		return bitOperation(o.op, a, b), nil
	case ast.IntDivStr:
		return o.intDiv(ctx, a, b)
	}
	switch {
	case types.IsFloat(o.typ):
		return o.doubles(ctx, a, b)
	case types.IsDecimal(o.typ):
		return o.decimals(ctx, a, b)
	}
	return o.integers(ctx, a, b)
}

func (o *Operation) outOfRange() error {
	kind := "BIGINT"
	switch {
	case types.IsUnsigned(o.typ):
		kind = "BIGINT UNSIGNED"
	case types.IsFloat(o.typ):
		kind = "DOUBLE"
	case types.IsDecimal(o.typ):
		kind = "DECIMAL"
	}
	return Error(1690, "22003", "%s value is out of range in '%s'", kind, o)
}

func (o *Operation) doubles(ctx *gms.Context, a, b any) (any, error) {
	x, _ := double(a)
	var y float64
	if b != nil {
		y, _ = double(b)
	}
	var f float64
	switch o.op {
	case ast.PlusStr:
		f = x + y
	case ast.MinusStr:
		f = x - y
	case ast.MultStr:
		f = x * y
	case "neg":
		f = -x
	case ast.ModStr, ast.DivStr:
		if y == 0 {
			divisionByZero(ctx)
			return nil, nil
		}
		if f = math.Mod(x, y); o.op == ast.DivStr {
			f = x / y
		}
	}
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, o.outOfRange()
	}
	return f, nil
}

func divisionByZero(ctx *gms.Context) { warn(ctx, 1365, "Division by 0") }

func (o *Operation) decimals(ctx *gms.Context, a, b any) (any, error) {
	x := toDecimal(a)
	if b == nil {
		return x.Neg(), nil
	}
	y := toDecimal(b)
	var d decimal.Decimal
	switch o.op {
	case ast.PlusStr:
		d = x.Add(y)
	case ast.MinusStr:
		d = x.Sub(y)
	case ast.MultStr:
		d = x.Mul(y)
		if -d.Exponent() > types.DecimalTypeMaxScale {
			d = d.Round(types.DecimalTypeMaxScale)
		}
	case ast.ModStr:
		if y.IsZero() {
			divisionByZero(ctx)
			return nil, nil
		}
		d = x.Mod(y)
	case ast.DivStr:
		if y.IsZero() {
			divisionByZero(ctx)
			return nil, nil
		}
		d, _ = x.QuoRem(y, o.quotientDigits(x, y))
	}
	if d.NumDigits()+int(d.Exponent()) > types.DecimalTypeMaxPrecision {
		return nil, o.outOfRange()
	}
	return d, nil
}

// wordDigits is how many digits MySQL calculates decimals with.
const wordDigits = 81

// divisionDigits is how many decimals a quotient has more than what is divided.
const divisionDigits = 4

// quotientDigits is how many decimals a quotient is calculated with: MySQL
// keeps decimals in words of 9 digits, fills the last one, and rounds only
// when the value is shown. So AVG(a / b) is not that of rounded quotients.
func (o *Operation) quotientDigits(x, y decimal.Decimal) int32 {
	words := func(digits int32) int32 { return (max(0, digits) + 8) / 9 * 9 }
	a, b := words(-x.Exponent()), words(-y.Exponent())
	more := int32(divisionDigits) - (a + x.Exponent()) - (b + y.Exponent())
	return min(words(a+b+max(0, more)), 72)
}

// integers calculates exactly, and says what does not fit.
func (o *Operation) integers(ctx *gms.Context, a, b any) (any, error) {
	if x, ok := a.(int64); ok && o.typ == types.Int64 {
		y, ok := b.(int64)
		switch {
		case ok && o.op == ast.PlusStr:
			if s := x + y; (s > x) == (y > 0) {
				return s, nil
			}
			return nil, o.outOfRange()
		case ok && o.op == ast.MinusStr:
			if s := x - y; (s < x) == (y > 0) {
				return s, nil
			}
			return nil, o.outOfRange()
		}
	}
	x := toBig(a)
	z := new(big.Int)
	if b == nil {
		z.Neg(x)
	} else {
		y := toBig(b)
		switch o.op {
		case ast.PlusStr:
			z.Add(x, y)
		case ast.MinusStr:
			z.Sub(x, y)
		case ast.MultStr:
			z.Mul(x, y)
		case ast.ModStr:
			if y.Sign() == 0 {
				divisionByZero(ctx)
				return nil, nil
			}
			z.Rem(x, y)
		}
	}
	return o.fit(z)
}

// fit is z as a value of the operation's type.
func (o *Operation) fit(z *big.Int) (any, error) {
	switch {
	case types.IsUnsigned(o.typ) && z.IsUint64():
		return z.Uint64(), nil
	case !types.IsUnsigned(o.typ) && z.IsInt64():
		return z.Int64(), nil
	}
	return nil, o.outOfRange()
}

func (o *Operation) intDiv(ctx *gms.Context, a, b any) (any, error) {
	_, af := a.(float64)
	_, bf := b.(float64)
	var z *big.Int
	if _, ok1 := a.(decimal.Decimal); ok1 || isDecimal(b) || af || bf {
		// MySQL's decimals have 81 digits; what a double has beyond them is 0.
		x, y := toDecimal(a).Truncate(wordDigits), toDecimal(b).Truncate(wordDigits)
		if y.IsZero() {
			divisionByZero(ctx)
			return nil, nil
		}
		q, _ := x.QuoRem(y, 0)
		z = q.BigInt()
	} else {
		x, y := toBig(a), toBig(b)
		if y.Sign() == 0 {
			divisionByZero(ctx)
			return nil, nil
		}
		z = new(big.Int).Quo(x, y)
	}
	return o.fit(z)
}

func bitOperation(op string, a, b any) any {
	x := toBits(a)
	if b == nil {
		return ^x
	}
	y := toBits(b)
	switch op {
	case ast.BitAndStr:
		return x & y
	case ast.BitOrStr:
		return x | y
	case ast.BitXorStr:
		return x ^ y
	case ast.ShiftLeftStr:
		return x << y // 0 from 64 on, as in MySQL
	default:
		return x >> y
	}
}
