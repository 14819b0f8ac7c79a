package gmsx

import (
	"context"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
	"github.com/shopspring/decimal"
)

// The engine calculates with integers in the type of its columns: u + 1 of a
// BIGINT UNSIGNED is negative, - of the least INT is that INT, sums that do not
// fit wrap around. Its planner chooses the node of an operator, and with it the
// types of all that is above, before any rule sees it. So operators reach it as
// calls of functions that no statement can name:
//
//	a + b   as   `weir +`(a, b)
//
// which are ours, and give the engine's own node where that is right.
const operatorPrefix = "weir "

// callOperators turns the operators of a statement into such calls.
func callOperators(stmt ast.Statement) {
	replaceExprs(reflect.ValueOf(stmt), func(e ast.Expr) ast.Expr {
		switch e := singleComparisons(e).(type) {
		default:
			return e
		case *ast.SubstrExpr:
			name := ast.Expr(e.Name)
			if e.Name == nil {
				name = e.StrVal
			}
			if e.To == nil {
				return operatorCall("substring", name, e.From)
			}
			return operatorCall("substring", name, e.From, e.To)
		case *ast.CaseExpr:
			return callCase(e)
		case *ast.BinaryExpr:
			_, l := e.Left.(*ast.IntervalExpr)
			_, r := e.Right.(*ast.IntervalExpr)
			switch e.Operator {
			case ast.JSONExtractOp:
				return operatorCall("json_extract", e.Left, e.Right)
			case ast.JSONUnquoteExtractOp:
				return operatorCall("json_unquote", operatorCall("json_extract", e.Left, e.Right))
			case ast.PlusStr, ast.MinusStr:
				switch {
				case r && e.Operator == ast.PlusStr:
					return operatorCall("date_add", e.Left, e.Right)
				case r:
					return operatorCall("date_sub", e.Left, e.Right)
				case l && e.Operator == ast.PlusStr:
					return operatorCall("date_add", e.Right, e.Left)
				case l:
					return e
				}
				return operatorCall(operatorPrefix+e.Operator, e.Left, e.Right)
			case ast.MultStr, ast.DivStr, ast.IntDivStr, ast.ModStr, ast.BitAndStr, ast.BitOrStr, ast.BitXorStr, ast.ShiftLeftStr, ast.ShiftRightStr:
				if l || r {
					return e
				}
				return operatorCall(operatorPrefix+strings.ToLower(e.Operator), e.Left, e.Right)
			}
		case *ast.UnaryExpr:
			switch e.Operator {
			case ast.MinusStr:
				if _, literal := e.Expr.(*ast.SQLVal); literal || isNegation(e.Expr) {
					return e // as in -1, and what keepDecimals has made
				}
				return operatorCall(operatorPrefix+"neg", e.Expr)
			case ast.TildaStr:
				return operatorCall(operatorPrefix+"~", e.Expr)
			}
		case *ast.TimestampFuncExpr:
			switch e.Name {
			case "timestampadd":
				return operatorCall("date_add", e.Expr2, &ast.IntervalExpr{Expr: e.Expr1, Unit: e.Unit})
			case "timestampdiff":
				return operatorCall(operatorPrefix+"timestampdiff", ast.NewStrVal([]byte(e.Unit)), e.Expr1, e.Expr2)
			}
		case *ast.ConvertExpr:
			if e.Type == nil || e.Type.Charset != "" {
				return e
			}
			kind := strings.ToLower(e.Type.Type)
			if !ownCasts[kind] {
				return e
			}
			num := func(v *ast.SQLVal) ast.Expr {
				if v == nil {
					return ast.NewIntVal([]byte("-1"))
				}
				return v
			}
			return operatorCall(operatorPrefix+"cast", e.Expr, ast.NewStrVal([]byte(kind)), num(e.Type.Length), num(e.Type.Scale))
		}
		return e
	})
}

// bitOperators are the operators on bits, and the functions that they become
// in definitions.
var bitOperators = map[string]bool{ast.BitAndStr: true, ast.BitOrStr: true, ast.BitXorStr: true, ast.ShiftLeftStr: true, ast.ShiftRightStr: true}

const bitPrefix = operatorPrefix + "bits "

func callBitOperators(stmt ast.Statement) {
	replaceExprs(reflect.ValueOf(stmt), func(e ast.Expr) ast.Expr {
		if b, ok := e.(*ast.BinaryExpr); ok && bitOperators[b.Operator] {
			return operatorCall(bitPrefix+b.Operator, b.Left, b.Right)
		}
		return e
	})
}

func isNegation(e ast.Expr) bool {
	u, ok := e.(*ast.UnaryExpr)
	return ok && u.Operator == ast.MinusStr
}

func operatorCall(name string, args ...ast.Expr) ast.Expr {
	f := &ast.FuncExpr{Name: ast.NewColIdent(name)}
	for _, a := range args {
		f.Exprs = append(f.Exprs, &ast.AliasedExpr{Expr: a})
	}
	return f
}

var exprType = reflect.TypeFor[ast.Expr]()

// replaceExprs applies f to every expression below v, the inner ones first.
// The parser's own tools replace one expression that is known, in few places.
func replaceExprs(v reflect.Value, f func(ast.Expr) ast.Expr) {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		replaceExprs(v.Elem(), f)
		if v.Type() == exprType && v.CanSet() {
			if old := v.Interface().(ast.Expr); old != nil {
				v.Set(reflect.ValueOf(f(old)))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() == reflect.Struct {
			replaceExprs(v.Elem(), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && holdsExprs(v.Type().Field(i).Type) {
				replaceExprs(v.Field(i), f)
			}
		}
	case reflect.Slice:
		if !holdsExprs(v.Type().Elem()) {
			return
		}
		for i := range v.Len() {
			replaceExprs(v.Index(i), f)
		}
	}
}

func holdsExprs(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice:
		return holdsExprs(t.Elem()) || t.Elem().Kind() == reflect.Struct
	case reflect.Struct:
		return true
	}
	return false
}

// operatorFunctions are the functions that operators are turned into.
func operatorFunctions() []gms.Function {
	var all []gms.Function
	for _, op := range []string{ast.PlusStr, ast.MinusStr, ast.MultStr, ast.DivStr, ast.IntDivStr, ast.ModStr, ast.BitAndStr, ast.BitOrStr, ast.BitXorStr, ast.ShiftLeftStr, ast.ShiftRightStr} {
		all = append(all, gms.Function2{Name: operatorPrefix + op, Fn: func(l, r gms.Expression) gms.Expression { return newOperation(op, l, r) }})
	}
	for op := range bitOperators {
		all = append(all, gms.Function2{Name: bitPrefix + op, Fn: func(l, r gms.Expression) gms.Expression {
			if b := expression.NewBitOp(l, r, op); !types.IsFloat(b.Type()) {
				return b
			}
			return newOperation(op, l, r)
		}})
	}
	return append(all,
		gms.Function1{Name: operatorPrefix + "neg", Fn: func(e gms.Expression) gms.Expression { return newOperation("neg", e) }},
		gms.Function1{Name: operatorPrefix + "~", Fn: func(e gms.Expression) gms.Expression { return newOperation("~", e) }},
		gms.FunctionN{Name: operatorPrefix + "cast", Fn: func(args ...gms.Expression) (gms.Expression, error) { return newCast(args) }},
	)
}

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
		x, y := toDecimal(a), toDecimal(b)
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

// toBits are the 64 bits of a number, rounded and cut off as MySQL does.
func toBits(v any) uint64 {
	_, n, ok := integer(v)
	if ok {
		return n
	}
	b := toDecimal(v).Round(0).BigInt()
	neg := b.Sign() < 0
	switch {
	case b.IsUint64():
		return b.Uint64()
	case b.IsInt64():
		return uint64(b.Int64())
	case neg:
		return 1 << 63
	}
	if _, f := v.(float64); f {
		return math.MaxInt64
	}
	return math.MaxUint64
}

func toBig(v any) *big.Int {
	neg, n, ok := integer(v)
	switch {
	case !ok:
		return toDecimal(v).Round(0).BigInt()
	case neg:
		return big.NewInt(int64(n))
	}
	return new(big.Int).SetUint64(n)
}

// toDecimal is a number as a decimal.
func toDecimal(v any) decimal.Decimal {
	switch v := v.(type) {
	case decimal.Decimal:
		return v
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return decimal.Zero
		}
		return decimal.NewFromFloat(v)
	}
	d, _ := exactDecimal(v)
	return d
}

// toNumber is a value as what numeric operators take it for: an int64, uint64,
// decimal or float64.
func toNumber(ctx *gms.Context, v any) (any, error) {
	switch v := v.(type) {
	case int64, uint64, float64, decimal.Decimal:
		return v, nil
	case float32:
		return float64(v), nil
	case []byte:
		return toNumber(ctx, string(v))
	case string:
		return textNumber(ctx, v), nil
	case time.Time:
		return timeNumber(v), nil
	case types.Timespan:
		us := v.AsMicroseconds()
		sign := int64(1)
		if us < 0 {
			sign, us = -1, -us
		}
		s := us / 1e6
		d := decimal.New(sign*((s/3600*100+s/60%60)*100+s%60), 0)
		if us%1e6 != 0 {
			return d.Add(decimal.New(sign*(us%1e6), -6)), nil
		}
		return d.IntPart(), nil
	case gms.JSONWrapper:
		val, err := v.ToInterface()
		if err != nil {
			return nil, err
		}
		switch val := val.(type) {
		case map[string]any, []any, nil:
			return float64(0), nil
		default:
			return toNumber(ctx, val)
		}
	case gms.AnyWrapper:
		val, err := v.UnwrapAny(ctx)
		if err != nil {
			return nil, err
		}
		return toNumber(ctx, val)
	}
	if neg, n, ok := integer(v); ok {
		if neg {
			return int64(n), nil
		}
		if n <= math.MaxInt64 {
			return int64(n), nil
		}
		return n, nil
	}
	f, err := convertFloat(ctx, v)
	return f, err
}

// timeNumber is a time as YYYYMMDDhhmmss with its fraction.
func timeNumber(t time.Time) any {
	n := int64(t.Year())*1e10 + int64(t.Month())*1e8 + int64(t.Day())*1e6 + int64(t.Hour())*1e4 + int64(t.Minute())*100 + int64(t.Second())
	if us := t.Nanosecond() / 1000; us != 0 {
		return decimal.New(n, 0).Add(decimal.New(int64(us), -6))
	}
	return n
}

// textNumber is the number at the beginning of a text, with a warning for what
// is behind it.
func textNumber(ctx *gms.Context, s string) float64 {
	m := leadingNumber.FindStringSubmatch(s)
	if m == nil {
		warnTruncated(ctx, "DOUBLE", s)
		return 0
	}
	if strings.TrimRight(s[len(m[0]):], " \t\n\v\f\r") != "" {
		warnTruncated(ctx, "DOUBLE", s)
	}
	f, _ := strconv.ParseFloat(m[1], 64)
	if math.IsInf(f, 0) {
		return math.Copysign(math.MaxFloat64, f)
	}
	return f
}

// warnedShown is how much of a value a warning shows.
const warnedShown = 128

func warnTruncated(ctx *gms.Context, kind, s string) {
	if len(s) > warnedShown {
		s = strings.ToValidUTF8(s[:warnedShown], "")
	}
	warn(ctx, 1292, "Truncated incorrect %s value: '%s'", kind, s)
}

// warningsMax is how many warnings a statement keeps, as in MySQL.
const warningsMax = 1024

func warn(ctx *gms.Context, code int, message string, args ...any) {
	if ctx != nil && ctx.Session != nil && ctx.WarningCount() < warningsMax {
		ctx.Warn(code, message, args...)
	}
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
	c := &cast{UnaryExpression: expression.UnaryExpression{Child: x}, kind: kind, length: length, scale: scale}
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
		if d, ok := t.(gms.DecimalType); ok && -v.Exponent() < int32(d.Scale()) && d.Scale() < types.DecimalTypeMaxScale {
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

// toTime is a value as a time, false with a warning if it is none.
func toTime(ctx *gms.Context, v any) (time.Time, bool) {
	switch x := v.(type) {
	case time.Time:
		return x, true
	case types.Timespan:
		now := ctx.QueryTime().UTC().Truncate(24 * time.Hour)
		return now.Add(x.AsTimeDuration()), true
	case string:
		if t, ok := parseTime(x); ok {
			return t, true
		}
	case []byte:
		return toTime(ctx, string(x))
	default:
		if n, err := toNumber(ctx, v); err == nil {
			if t, ok := numberTime(toDecimal(n)); ok {
				return t, true
			}
		}
	}
	s, err := toText(ctx, types.LongText, v)
	if err == nil {
		warn(ctx, 1292, "Incorrect datetime value: '%s'", firstChars(s, warnedShown))
	}
	return time.Time{}, false
}

// numberTime is the time that a number YYYYMMDD or YYYYMMDDhhmmss stands for.
func numberTime(d decimal.Decimal) (time.Time, bool) {
	if d.Sign() <= 0 {
		return time.Time{}, false
	}
	text := d.Truncate(0).String()
	if len(text) == 6 || len(text) == 12 {
		century := "20"
		if text >= "7" {
			century = "19"
		}
		text = century + text
	}
	layout := map[int]string{8: "20060102", 14: "20060102150405"}[len(text)]
	t, err := time.Parse(layout, text)
	if layout == "" || err != nil {
		return time.Time{}, false
	}
	return t.Add(time.Duration(d.Sub(d.Truncate(0)).Shift(9).IntPart())), true
}

// roundTime rounds to so many decimals of a second.
func roundTime(t time.Time, decimals int) (any, error) {
	unit := time.Second
	for range decimals {
		unit /= 10
	}
	r := t.Round(unit)
	if r.Year() > 9999 {
		return nil, nil
	}
	return r, nil
}
