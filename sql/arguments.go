package sql

import (
	"fmt"
	"strconv"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/views"
	"weir/views/column"
	"weir/views/partial"
)

// An aggregateFunc is an aggregate of definitions.
type aggregateFunc struct {
	f    partial.Func
	args string // as they are written in a call
}

// aggregateFuncs are the aggregates of definitions by name. COUNT stands for
// all three of its forms.
var aggregateFuncs = map[string]aggregateFunc{
	"count": {partial.Count, "x"}, "sum": {partial.Sum, "x"}, "avg": {partial.Avg, "x"}, "min": {partial.Min, "x"}, "max": {partial.Max, "x"},
	"first": {partial.First, "x, by"}, "last": {partial.Last, "x, by"}, "any_value": {partial.AnyValue, "x"},
	"bit_and": {partial.BitAnd, "x"}, "bit_or": {partial.BitOr, "x"}, "bit_xor": {partial.BitXor, "x"},
	"std": {partial.StddevPop, "x"}, "stddev": {partial.StddevPop, "x"}, "stddev_pop": {partial.StddevPop, "x"}, "stddev_samp": {partial.StddevSamp, "x"},
	"variance": {partial.VarPop, "x"}, "var_pop": {partial.VarPop, "x"}, "var_samp": {partial.VarSamp, "x"},
	"approx_count_distinct": {partial.ApproxDistinct, "x"}, "approx_percentile": {partial.ApproxPercentile, "x, 0.95"}, "approx_top_k": {partial.ApproxTopK, "x, 10"},
}

// usage is how a call of the aggregate is written.
func (a aggregateFunc) usage(name string) string {
	return strings.ToUpper(name) + "(" + a.args + ")"
}

// count is how many arguments a call has.
func (a aggregateFunc) count() int { return 1 + strings.Count(a.args, ",") }

// neverNull says whether an aggregate has a value for no events.
func neverNull(f partial.Func) bool {
	switch f {
	case partial.CountAll, partial.Count, partial.CountDistinct, partial.ApproxDistinct, partial.BitAnd, partial.BitOr, partial.BitXor:
		return true
	}
	return false
}

// picks says whether an aggregate needs the sequence as its last argument.
func picks(f partial.Func) bool {
	return f == partial.First || f == partial.Last || f == partial.AnyValue
}

// aggregateArgs returns the arguments of an aggregate that are computed from
// events, as partial.Spec has them.
func aggregateArgs(call *ast.FuncExpr) ([]ast.Expr, error) {
	name := call.Name.Lowered()
	agg := aggregateFuncs[name]
	bad := misused("%s: write %s", ast.String(call), agg.usage(name))
	if call.Distinct && name != "count" && name != "min" && name != "max" {
		return nil, refused("%s(DISTINCT …) is not possible in a materialized view: only COUNT(DISTINCT x) is", strings.ToUpper(name))
	}
	if call.Distinct && len(call.Exprs) > agg.count() {
		return nil, refused("%s counts combinations: make one value of each, as in COUNT(DISTINCT CONCAT(a, '|', b))", ast.String(call))
	}
	if len(call.Exprs) != agg.count() {
		return nil, bad
	}
	if _, star := call.Exprs[0].(*ast.StarExpr); star && name == "count" && !call.Distinct {
		return nil, nil
	}
	exprs := call.Exprs
	if agg.f == partial.ApproxPercentile || agg.f == partial.ApproxTopK {
		exprs = exprs[:1] // the other is written out
	}
	var args []ast.Expr
	for _, e := range exprs {
		a, ok := e.(*ast.AliasedExpr)
		if !ok {
			return nil, bad
		}
		if len(aggregatesIn(a.Expr)) > 0 {
			return nil, coded(1111, "HY000", "%s: an aggregate of an aggregate is not possible", ast.String(call))
		}
		args = append(args, a.Expr)
	}
	if picks(agg.f) {
		args = append(args, &ast.ColName{Name: ast.NewColIdent(views.Extras[views.ExtraSeq].Name)})
	}
	return args, nil
}

// compileAggregate compiles the call of an aggregate with its arguments, none
// for COUNT(*).
func compileAggregate(k *kernelCompiler, call *ast.FuncExpr, args []gms.Expression) (views.Agg, error) {
	a := views.Agg{Spec: partial.Spec{Func: aggregateFuncs[call.Name.Lowered()].f}}
	if len(args) == 0 {
		a.Spec.Func, a.Spec.Result = partial.CountAll, column.Bigint
		return a, nil
	}
	for _, arg := range args {
		x, err := k.compile(arg)
		if err != nil {
			return a, fmt.Errorf("%s: %w", ast.String(call), err)
		}
		a.Args = append(a.Args, x)
	}
	if err := compileArg(k, &a, call, args[0]); err != nil {
		return a, err
	}
	a.Spec.Arg = a.Args[0].Type()
	a.Spec.Result = resultOf(a.Spec)
	return a, nil
}

// resultOf is the type of an aggregate.
func resultOf(spec partial.Spec) column.Type {
	switch spec.Func {
	case partial.Sum:
		return partial.SumType(spec.Arg)
	case partial.Avg:
		return partial.AvgType(spec.Arg)
	case partial.Min, partial.Max, partial.First, partial.Last, partial.AnyValue:
		return spec.Arg
	case partial.BitAnd, partial.BitOr, partial.BitXor:
		return column.Unsigned
	case partial.VarPop, partial.VarSamp, partial.StddevPop, partial.StddevSamp, partial.ApproxPercentile:
		return column.Double
	case partial.ApproxTopK:
		return column.Text
	default:
		return column.Bigint
	}
}

// compileArg gives the first argument of an aggregate, arg, the type that it
// needs, and reads what is written out in the call.
func compileArg(k *kernelCompiler, a *views.Agg, call *ast.FuncExpr, arg gms.Expression) (err error) {
	x := &a.Args[0]
	switch a.Spec.Func {
	case partial.Count:
		if call.Distinct {
			a.Spec.Func = partial.CountDistinct
		}
	case partial.Sum, partial.Avg:
		*x = asNumber(k, *x, arg)
	case partial.First, partial.Last:
		err = checkOrderType(ast.String(call), a.Args[1].Type())
	case partial.BitAnd, partial.BitOr, partial.BitXor:
		if !isFloatable((*x).Type().Kind) {
			*x = k.convert(arg, expression.ConvertToSigned)
		}
	case partial.VarPop, partial.VarSamp, partial.StddevPop, partial.StddevSamp:
		*x = asFloat(asNumber(k, *x, arg))
	case partial.ApproxPercentile:
		*x = asFloat(asNumber(k, *x, arg))
		a.Spec.Param, err = percentile(call)
	case partial.ApproxTopK:
		if a.Spec.Param, err = topK(call); err == nil {
			err = checkTopType(ast.String(call), (*x).Type())
		}
	}
	return err
}

// asNumber returns x as a number: text and times count as the engine's DOUBLE
// of them.
func asNumber(k *kernelCompiler, x column.Expr, e gms.Expression) column.Expr {
	if isFloatable(x.Type().Kind) {
		return x
	}
	return k.convert(e, expression.ConvertToDouble)
}

func asFloat(x column.Expr) column.Expr {
	if x.Type().Kind == column.Float {
		return x
	}
	return &column.ToFloat{X: x}
}

// convert returns e as a DOUBLE or SIGNED, converted by the engine.
func (k *kernelCompiler) convert(e gms.Expression, to string) column.Expr {
	x, err := k.fallback(expression.NewConvert(e, to))
	if err != nil {
		panic(err) // both have a type of ours
	}
	return x
}

func percentile(call *ast.FuncExpr) (float64, error) {
	p, err := strconv.ParseFloat(writtenOut(call), 64)
	if err != nil || p < 0 || p > 1 {
		return 0, misused("%s: the second argument is a number from 0 to 1, written out, such as 0.95", ast.String(call))
	}
	return p, nil
}

func topK(call *ast.FuncExpr) (float64, error) {
	n, err := strconv.Atoi(writtenOut(call))
	if err != nil || n < 1 || n > partial.TopKMax {
		return 0, misused("%s: the second argument is a whole number from 1 to %d, written out, such as 10", ast.String(call), partial.TopKMax)
	}
	return float64(n), nil
}

// writtenOut returns the number that is the second argument of a call; "" when
// it is something else.
func writtenOut(call *ast.FuncExpr) string {
	if a, ok := call.Exprs[1].(*ast.AliasedExpr); ok {
		if v, ok := a.Expr.(*ast.SQLVal); ok && (v.Type == ast.IntVal || v.Type == ast.FloatVal) {
			return string(v.Val)
		}
	}
	return ""
}

// checkOrderType refuses what FIRST and LAST cannot order by.
func checkOrderType(call string, t column.Type) error {
	if t.Kind == column.JSON {
		return misused("%s: JSON has no order: order by a time, a number or a text", call)
	}
	return nil
}

// checkTopType refuses what APPROX_TOP_K has no JSON for.
func checkTopType(call string, t column.Type) error {
	switch {
	case t.Kind == column.Bytes:
		return misused("%s: raw bytes have no place in JSON: count HEX(x)", call)
	case t.Kind == column.JSON || t.SQL == timeSQL:
		return misused("%s: count a text or a number: CAST(x AS CHAR)", call)
	}
	return nil
}

// timeSQL is the type TIME, whose values are kept as an Int.
const timeSQL = "time(6)"
