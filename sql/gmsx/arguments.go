package gmsx

import (
	"math"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// textFunctions take text. The engine writes numbers, dates and JSON in ways
// of its own where they get others: 1e-100 with a hundred digits, a DATE as the
// zero hour of its day.
var textFunctions = []string{
	"concat", "concat_ws", "upper", "ucase", "lower", "lcase", "ltrim", "rtrim", "left", "right", "substr", "substring", "mid", "substring_index", "replace", "reverse", "length", "octet_length",
	"char_length", "character_length", "instr", "position", "ord", "md5", "sha", "sha1", "sha2", "to_base64", "strcmp", "find_in_set", "regexp_like", "regexp_replace", "regexp_substr", "regexp_instr", "soundex",
}

// typeOfArgument are those that the engine gives the type of their argument: of a
// number they would be one, a number backwards or 0 for an empty text.
var typeOfArgument = map[string]bool{"reverse": true, "upper": true, "ucase": true, "lower": true, "lcase": true, "ltrim": true, "rtrim": true}

// textArgument is e as text, where the engine would write it in another way.
func textArgument(e gms.Expression) (gms.Expression, error) {
	t := e.Type()
	if types.IsFloat(t) || types.IsDecimal(t) || types.IsDateType(t) || isTime(t) || types.IsTimespan(t) {
		return makeCast(e, "char", -1, -1)
	}
	return e, nil
}

// numberFunctions take doubles, and what is made of other values.
var numberFunctions = []string{"sqrt", "ln", "log", "log2", "log10", "sin", "cos", "tan", "cot", "asin", "acos", "atan", "atan2", "degrees", "radians"}

func doubles([]gms.Expression) gms.Type { return types.Float64 }

// power is EXP or POW: a result beyond DOUBLE is error 1690.
func power(f func(vals []float64) float64) func(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error) {
	return func(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
		doubles := make([]float64, len(vals))
		texts := make([]string, len(vals))
		for i, v := range vals {
			n, err := toNumber(ctx, v)
			if err != nil {
				return nil, err
			}
			doubles[i], _ = double(n)
			texts[i] = args[i].String()
		}
		out := f(doubles)
		if math.IsInf(out, 0) || math.IsNaN(out) {
			name := "exp"
			if len(vals) > 1 {
				name = "pow"
			}
			return nil, Error(1690, "22003", "DOUBLE value is out of range in '%s(%s)'", name, strings.Join(texts, ","))
		}
		return out, nil
	}
}

// timeFunctions take times. Of a text that is none the engine fails.
var timeFunctions = []string{"weekday", "dayofweek", "dayofyear", "quarter", "dayname", "monthname", "date_format", "to_days", "year", "month", "day", "dayofmonth"}

// adaptedFunctions are the engine's functions with arguments of the types that
// they are meant for.
func adaptedFunctions() []gms.Function {
	builtin := map[string]gms.Function{}
	for _, f := range function.BuiltIns {
		builtin[strings.ToLower(f.FunctionName())] = f
	}
	var all []gms.Function
	adapt := func(names []string, arg func(name string, i int, e gms.Expression) (gms.Expression, error)) {
		for _, name := range names {
			f, ok := builtin[name]
			if !ok {
				continue
			}
			all = append(all, gms.FunctionN{Name: name, Fn: func(args ...gms.Expression) (gms.Expression, error) {
				adapted := make([]gms.Expression, len(args))
				for i, a := range args {
					var err error
					if adapted[i], err = arg(name, i, a); err != nil {
						return nil, err
					}
				}
				return f.NewInstance(adapted)
			}})
		}
	}
	adapt(textFunctions, func(name string, _ int, e gms.Expression) (gms.Expression, error) {
		if typeOfArgument[name] && types.IsNumber(e.Type()) {
			return makeCast(e, "char", -1, -1)
		}
		return textArgument(e)
	})
	adapt(numberFunctions, func(_ string, _ int, e gms.Expression) (gms.Expression, error) {
		if types.IsDeferredType(e.Type()) || types.IsFloat(e.Type()) && e.Type().Equals(types.Float64) {
			return e, nil
		}
		return makeCast(e, "double", -1, -1)
	})
	all = append(all, gms.Function1{Name: "exp", Fn: func(e gms.Expression) gms.Expression {
		return newTyped("exp", []gms.Expression{e}, doubles, power(func(vals []float64) float64 { return math.Exp(vals[0]) }))
	}})
	for _, name := range []string{"pow", "power"} {
		all = append(all, gms.Function2{Name: name, Fn: func(x, y gms.Expression) gms.Expression {
			return newTyped("pow", []gms.Expression{x, y}, doubles, power(func(vals []float64) float64 { return math.Pow(vals[0], vals[1]) }))
		}})
	}
	adapt(timeFunctions, func(name string, i int, e gms.Expression) (gms.Expression, error) {
		if i == 0 && types.IsTextOnly(e.Type()) || name == "datediff" && types.IsTextOnly(e.Type()) {
			return makeCast(e, "datetime", 6, -1)
		}
		return e, nil
	})
	return all
}
