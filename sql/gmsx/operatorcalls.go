package gmsx

import (
	"reflect"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
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
		case *ast.TrimExpr:
			cp := *e
			cp.Str = operatorCall(operatorPrefix+"text", e.Str)
			return &cp
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
		gms.FunctionN{Name: operatorPrefix + "text", Fn: func(args ...gms.Expression) (gms.Expression, error) {
			if len(args) == 1 && types.IsNumber(args[0].Type()) {
				return makeCast(args[0], "char", -1, -1)
			}
			return textArgument(args[0])
		}},
		gms.FunctionN{Name: operatorPrefix + "cast", Fn: func(args ...gms.Expression) (gms.Expression, error) { return newCast(args) }},
	)
}
