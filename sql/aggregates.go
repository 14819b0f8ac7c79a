package sql

import (
	"fmt"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"

	"weir/sql/gmsx"
	"weir/views/column"
	"weir/views/partial"
)

// engineAggregates are those aggregates of definitions that are the engine's
// own, or package gmsx's, in queries.
var engineAggregates = []string{"count", "sum", "avg", "min", "max"}

// ownAggregates are the aggregates of queries that are partial states: those of
// definitions, for queries over streams and anything else, and those that
// combine the partial states which the layers of a view show. Some of them the
// engine has too, but its BIT_AND, BIT_OR and BIT_XOR round otherwise than MySQL
// and take -1.5 for 2^63, its VARIANCE is less exact, and a query is to give
// what a view gives.
func ownAggregates() map[string]gmsx.AggregateFactory {
	own := map[string]gmsx.AggregateFactory{"merge_avg": newMergeAvg}
	for name, agg := range aggregateFuncs {
		if !slices.Contains(engineAggregates, name) {
			own[name] = agg.factory(name)
		}
	}
	for name, m := range mergeFuncs {
		own[name] = m.factory(name)
	}
	return own
}

// A stateBuffer is an aggregate of the engine that is one of our partial states.
type stateBuffer struct {
	states  partial.States
	args    []gms.Expression
	types   []gms.Type // of what args give
	kept    []column.Type
	vectors []*column.Vector
	nulls   bool // NULL as the first argument matters
	seq     *column.Vector
	stored  bool // the argument is a stored state
	maker   valueMaker
}

// newStateBuffer returns the state of one group for spec with the arguments of
// a call, result being the engine's type of spec.Result. Where there is no
// sequence of the log, that of the rows stands for it.
func newStateBuffer(spec partial.Spec, args []gms.Expression, result gms.Type) (*stateBuffer, error) {
	b := &stateBuffer{states: partial.NewStates(spec), args: args, maker: newValueMaker(result)}
	b.states.Grow(1)
	one := column.Batch{Len: 1}
	for i, arg := range args {
		b.types = append(b.types, resultType(arg))
		t, err := columnType(b.types[i])
		if err != nil {
			return nil, err
		}
		if i == 0 {
			t = spec.Arg
		}
		v := one.New(t.Kind)
		v.Scale = t.Scale
		b.kept, b.vectors = append(b.kept, t), append(b.vectors, v)
	}
	if picks(spec.Func) {
		b.seq = one.New(column.Uint)
		b.seq.I[0] = 0
		b.vectors = append(b.vectors, b.seq)
		b.nulls = spec.Func != partial.AnyValue
	}
	return b, nil
}

// newMergeBuffer returns the state of one group for spec whose argument is a
// stored state.
func newMergeBuffer(spec partial.Spec, arg gms.Expression, result gms.Type) *stateBuffer {
	b := &stateBuffer{states: partial.NewStates(spec), args: []gms.Expression{arg}, stored: true, maker: newValueMaker(result)}
	b.states.Grow(1)
	return b
}

// firstGroup is the only group of a stateBuffer, and the only row of its vectors.
var firstGroup = []uint32{0}

// Update implements gms.AggregationBuffer.
func (b *stateBuffer) Update(ctx *gms.Context, row gms.Row) error {
	for i, arg := range b.args {
		x, err := arg.Eval(ctx, row)
		if err != nil {
			return err
		}
		if b.stored {
			return b.merge(ctx, x)
		}
		v := fromEngine(ctx, x, b.types[i], b.kept[i])
		if v.IsNull() && i == 0 && !b.nulls {
			return nil
		}
		b.vectors[i].Null = nil
		b.vectors[i].Set(0, 1, v)
	}
	if b.seq != nil {
		b.seq.I[0]++
	}
	b.states.Add(firstGroup, firstGroup, b.vectors)
	return nil
}

// merge takes in a stored state; NULL is that of no events.
func (b *stateBuffer) merge(ctx *gms.Context, x any) error {
	if x == nil {
		return nil
	}
	u, err := gms.UnwrapAny(ctx, x)
	if err != nil {
		return err
	}
	s, ok := toText(u)
	rest, err := b.states.Decode(0, []byte(s))
	if !ok || err != nil || len(rest) > 0 {
		return gmsx.Error(1210, "HY000", "%s is not a stored state of this aggregate: SHOW CREATE VIEW shows which columns of the layers are", b.args[0])
	}
	return nil
}

// Eval implements gms.AggregationBuffer.
func (b *stateBuffer) Eval(*gms.Context) (any, error) { return b.maker.make(b.states.Value(0)), nil }

// Dispose implements gms.AggregationBuffer.
func (b *stateBuffer) Dispose() {}

func wrongArguments(usage string) error {
	return gmsx.Error(1582, "42000", "Incorrect parameter count or arguments: write %s", usage)
}

// factory makes calls of the aggregate in queries.
func (a aggregateFunc) factory(name string) gmsx.AggregateFactory {
	return func(args []gms.Expression) (gmsx.AggregateSpec, error) {
		if len(args) != a.count() {
			return gmsx.AggregateSpec{}, wrongArguments(a.usage(name))
		}
		spec := partial.Spec{Func: a.f}
		var err error
		events := len(args) // arguments that are computed from each row
		switch a.f {
		case partial.ApproxPercentile:
			events = 1
			spec.Param, err = percentileArg(args[1], a.usage(name))
		case partial.ApproxTopK:
			events = 1
			spec.Param, err = topArg(args[1], a.usage(name))
		}
		if err != nil {
			return gmsx.AggregateSpec{}, err
		}
		if spec.Arg, err = columnType(resultType(asArgument(a.f, args[0]))); err != nil {
			return gmsx.AggregateSpec{}, err
		}
		if err := checkArgs(a, name, spec.Arg, args); err != nil {
			return gmsx.AggregateSpec{}, err
		}
		return stateSpec(spec, func(spec partial.Spec, args []gms.Expression, result gms.Type) (*stateBuffer, error) {
			args = slices.Clone(args[:events])
			args[0] = asArgument(spec.Func, args[0])
			return newStateBuffer(spec, args, result)
		})
	}
}

// checkArgs refuses arguments of types that the aggregate does not take.
func checkArgs(a aggregateFunc, name string, t column.Type, args []gms.Expression) error {
	switch a.f {
	case partial.First, partial.Last:
		by, err := columnType(resultType(args[1]))
		if err != nil {
			return err
		}
		return sqlError(checkOrderType(a.usage(name), by))
	case partial.ApproxTopK:
		return sqlError(checkTopType(a.usage(name), t))
	}
	return nil
}

// asArgument returns the first argument of an aggregate in the type that the
// aggregate needs, as compileArg does for definitions.
func asArgument(f partial.Func, arg gms.Expression) gms.Expression {
	t, err := columnType(arg.Type())
	switch f {
	case partial.BitAnd, partial.BitOr, partial.BitXor:
		if err == nil && !isFloatable(t.Kind) {
			return expression.NewConvert(arg, expression.ConvertToSigned)
		}
	case partial.VarPop, partial.VarSamp, partial.StddevPop, partial.StddevSamp, partial.ApproxPercentile:
		if err == nil && t.SQL != column.Double.SQL {
			return expression.NewConvert(arg, expression.ConvertToDouble)
		}
	}
	return arg
}

// stateSpec is the aggregate with the states of spec but for its result.
func stateSpec(spec partial.Spec, buffer func(partial.Spec, []gms.Expression, gms.Type) (*stateBuffer, error)) (gmsx.AggregateSpec, error) {
	spec.Result = resultOf(spec)
	t, err := engineType(spec.Result)
	if err != nil {
		return gmsx.AggregateSpec{}, err
	}
	return gmsx.AggregateSpec{Type: t, Nullable: !neverNull(spec.Func), New: func(args []gms.Expression) (gms.AggregationBuffer, error) {
		return buffer(spec, args, t)
	}}, nil
}

// literalArg returns the value of an argument that is written out.
func literalArg(e gms.Expression, usage string) (any, error) {
	l, ok := e.(*expression.Literal)
	if !ok {
		return nil, wrongArguments(usage)
	}
	return l.Value(), nil
}

func percentileArg(e gms.Expression, usage string) (float64, error) {
	x, err := literalArg(e, usage+": the second argument is a number that is written out")
	if err != nil {
		return 0, err
	}
	f, _, err := types.Float64.Convert(gms.NewEmptyContext(), x)
	if err != nil || f == nil || f.(float64) < 0 || f.(float64) > 1 {
		return 0, wrongArguments(usage + ": the second argument is from 0 to 1")
	}
	return f.(float64), nil
}

func topArg(e gms.Expression, usage string) (float64, error) {
	usage += fmt.Sprintf(": the second argument is a whole number from 1 to %d that is written out", partial.TopKMax)
	x, err := literalArg(e, usage)
	if err != nil {
		return 0, err
	}
	n, ok := gmsx.Integer(x)
	if !ok || n < 1 || n > partial.TopKMax {
		return 0, wrongArguments(usage)
	}
	return float64(n), nil
}

func typeArg(e gms.Expression, usage string) (column.Type, error) {
	x, err := literalArg(e, usage)
	if err != nil {
		return column.Type{}, err
	}
	t, err := parseType(fmt.Sprint(x))
	if err != nil {
		return column.Type{}, wrongArguments(usage)
	}
	return t, nil
}

// A mergeFunc combines stored states of an aggregate. It needs the parameter
// and the type of the argument where the states follow from them.
type mergeFunc struct {
	f            partial.Func
	param, typed bool
}

// mergeFuncs are the aggregates that combine stored states, by name.
var mergeFuncs = map[string]mergeFunc{
	"merge_count_distinct":        {f: partial.CountDistinct, typed: true},
	"merge_approx_count_distinct": {f: partial.ApproxDistinct},
	"merge_approx_percentile":     {f: partial.ApproxPercentile, param: true},
	"merge_approx_top_k":          {f: partial.ApproxTopK, param: true, typed: true},
	"merge_first":                 {f: partial.First, typed: true},
	"merge_last":                  {f: partial.Last, typed: true},
	"merge_any_value":             {f: partial.AnyValue, typed: true},
	"merge_var_pop":               {f: partial.VarPop},
	"merge_var_samp":              {f: partial.VarSamp},
	"merge_stddev_pop":            {f: partial.StddevPop},
	"merge_stddev_samp":           {f: partial.StddevSamp},
}

// call is how a call is written, in the order of its arguments.
func (m mergeFunc) call(name, state, param, typ string) string {
	args := []string{state}
	if m.param {
		args = append(args, param)
	}
	if m.typed {
		args = append(args, "'"+typ+"'")
	}
	return strings.ToUpper(name) + "(" + strings.Join(args, ", ") + ")"
}

// factory makes calls of the aggregate in queries.
func (m mergeFunc) factory(name string) gmsx.AggregateFactory {
	example := "0.95"
	if m.f == partial.ApproxTopK {
		example = "10"
	}
	usage := m.call(name, "state", example, "type of the values")
	return func(args []gms.Expression) (gmsx.AggregateSpec, error) {
		spec := partial.Spec{Func: m.f, Arg: column.Bigint}
		if len(args) != strings.Count(usage, ",")+1 {
			return gmsx.AggregateSpec{}, wrongArguments(usage)
		}
		var err error
		switch m.f {
		case partial.ApproxPercentile:
			spec.Param, err = percentileArg(args[1], usage)
		case partial.ApproxTopK:
			spec.Param, err = topArg(args[1], usage)
		}
		if err == nil && m.typed {
			spec.Arg, err = typeArg(args[len(args)-1], usage)
		}
		if err != nil {
			return gmsx.AggregateSpec{}, err
		}
		return stateSpec(spec, func(spec partial.Spec, args []gms.Expression, result gms.Type) (*stateBuffer, error) {
			return newMergeBuffer(spec, args[0], result), nil
		})
	}
}

// newMergeAvg is MERGE_AVG(sum, count): the average of values whose sums and
// counts are given in parts.
func newMergeAvg(args []gms.Expression) (gmsx.AggregateSpec, error) {
	if len(args) != 2 {
		return gmsx.AggregateSpec{}, wrongArguments("MERGE_AVG(sum, count)")
	}
	t, err := columnType(args[0].Type())
	if err != nil {
		return gmsx.AggregateSpec{}, err
	}
	result := column.Double
	if t.Kind != column.Float {
		result = column.Decimal(65, int(t.Scale)+4)
	}
	et, err := engineType(result)
	if err != nil {
		return gmsx.AggregateSpec{}, err
	}
	return gmsx.AggregateSpec{Type: et, Nullable: true, New: func(args []gms.Expression) (gms.AggregationBuffer, error) {
		count, err := newStateBuffer(partial.Spec{Func: partial.Sum, Arg: column.Bigint, Result: column.Decimal(41, 0)}, args[1:], types.Int64)
		if err != nil {
			return nil, err
		}
		sum, err := newStateBuffer(partial.Spec{Func: partial.Sum, Arg: t, Result: partial.SumType(t)}, args[:1], et)
		if err != nil {
			return nil, err
		}
		return &avgBuffer{sum: sum, count: count, scale: int32(t.Scale) + 4}, nil
	}}, nil
}

type avgBuffer struct {
	sum, count *stateBuffer
	scale      int32
}

// Update implements gms.AggregationBuffer.
func (b *avgBuffer) Update(ctx *gms.Context, row gms.Row) error {
	if err := b.sum.Update(ctx, row); err != nil {
		return err
	}
	return b.count.Update(ctx, row)
}

// Eval implements gms.AggregationBuffer.
func (b *avgBuffer) Eval(*gms.Context) (any, error) {
	sum, count := b.sum.states.Value(0), b.count.states.Value(0)
	if sum.IsNull() || count.IsNull() || count.Decimal().IsZero() {
		return nil, nil
	}
	if sum.Kind == column.Float {
		return sum.F / count.Decimal().InexactFloat64(), nil
	}
	return sum.Decimal().DivRound(count.Decimal(), b.scale), nil
}

// Dispose implements gms.AggregationBuffer.
func (b *avgBuffer) Dispose() {}
