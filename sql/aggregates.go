package sql

import (
	"errors"
	"fmt"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"

	"weir/sql/gmsx"
	"weir/views/column"
	"weir/views/partial"
)

// sketchAggregates are the aggregates that MySQL does not have: those of
// definitions, for queries over streams and anything else, and those that
// combine the partial states which the layers of a view show.
func sketchAggregates() map[string]gmsx.AggregateFactory {
	return map[string]gmsx.AggregateFactory{
		"approx_count_distinct":       newApproxDistinct,
		"approx_percentile":           newApproxPercentile,
		"merge_avg":                   newMergeAvg,
		"merge_count_distinct":        newMergeDistinct,
		"merge_approx_count_distinct": newMergeApproxDistinct,
		"merge_approx_percentile":     newMergePercentile,
	}
}

// A stateBuffer is an aggregate of the engine that is one of our partial states.
type stateBuffer struct {
	states partial.States
	arg    gms.Expression
	vector column.Vector
	take   func(ctx *gms.Context, x any) error
	maker  valueMaker
}

// newStateBuffer returns the state of one group for spec, whose argument is arg.
func newStateBuffer(spec partial.Spec, arg gms.Expression, result gms.Type) *stateBuffer {
	b := &stateBuffer{states: partial.NewStates(spec), arg: arg, maker: newValueMaker(result)}
	b.states.Grow(1)
	one := column.Batch{Len: 1}
	b.vector = *one.New(spec.Arg.Kind)
	b.vector.Scale = spec.Arg.Scale
	b.take = func(ctx *gms.Context, x any) error {
		v := fromEngine(ctx, x, arg.Type(), spec.Arg)
		if spec.Arg.Kind == column.Float {
			v = floatOf(ctx, x)
		}
		if v.IsNull() {
			return nil
		}
		b.vector.Set(0, 1, v)
		b.states.Add([]uint32{0}, []uint32{0}, []*column.Vector{&b.vector})
		return nil
	}
	return b
}

func floatOf(ctx *gms.Context, x any) column.Value {
	f, _, err := types.Float64.Convert(ctx, x)
	if err != nil || f == nil {
		return column.Null
	}
	return toValue(f, column.Double)
}

// merging makes the buffer one whose argument is a stored state.
func (b *stateBuffer) merging() *stateBuffer {
	b.take = func(ctx *gms.Context, x any) error {
		u, err := gms.UnwrapAny(ctx, x)
		if err != nil {
			return err
		}
		s, ok := toText(u)
		if !ok {
			return errors.New("the argument is not the stored state of an aggregate")
		}
		rest, err := b.states.Decode(0, []byte(s))
		if err == nil && len(rest) > 0 {
			err = errors.New("the argument is not the stored state of this aggregate")
		}
		return err
	}
	return b
}

// Update implements gms.AggregationBuffer.
func (b *stateBuffer) Update(ctx *gms.Context, row gms.Row) error {
	x, err := b.arg.Eval(ctx, row)
	if err != nil || x == nil {
		return err
	}
	return b.take(ctx, x)
}

// Eval implements gms.AggregationBuffer.
func (b *stateBuffer) Eval(*gms.Context) (any, error) { return b.maker.make(b.states.Value(0)), nil }

// Dispose implements gms.AggregationBuffer.
func (b *stateBuffer) Dispose() {}

func wrongArguments(usage string) error {
	return gmsx.Error(1582, "42000", "Incorrect parameter count or arguments: write %s", usage)
}

func newApproxDistinct(args []gms.Expression) (gmsx.AggregateSpec, error) {
	if len(args) != 1 {
		return gmsx.AggregateSpec{}, wrongArguments("APPROX_COUNT_DISTINCT(x)")
	}
	t, err := columnType(args[0].Type())
	if err != nil {
		return gmsx.AggregateSpec{}, err
	}
	return stateSpec(types.Int64, false, func(args []gms.Expression) *stateBuffer {
		return newStateBuffer(partial.Spec{Func: partial.ApproxDistinct, Arg: t, Result: column.Bigint}, args[0], types.Int64)
	}), nil
}

func newApproxPercentile(args []gms.Expression) (gmsx.AggregateSpec, error) {
	p, err := percentileArg(args, "APPROX_PERCENTILE(x, 0.95)")
	if err != nil {
		return gmsx.AggregateSpec{}, err
	}
	return stateSpec(types.Float64, true, func(args []gms.Expression) *stateBuffer {
		return newStateBuffer(percentileSpec(p), args[0], types.Float64)
	}), nil
}

func newMergePercentile(args []gms.Expression) (gmsx.AggregateSpec, error) {
	p, err := percentileArg(args, "MERGE_APPROX_PERCENTILE(state, 0.95)")
	if err != nil {
		return gmsx.AggregateSpec{}, err
	}
	return stateSpec(types.Float64, true, func(args []gms.Expression) *stateBuffer {
		return newStateBuffer(percentileSpec(p), args[0], types.Float64).merging()
	}), nil
}

func percentileSpec(p float64) partial.Spec {
	return partial.Spec{Func: partial.ApproxPercentile, Arg: column.Double, Result: column.Double, Param: p}
}

func percentileArg(args []gms.Expression, usage string) (float64, error) {
	if len(args) != 2 {
		return 0, wrongArguments(usage)
	}
	l, ok := args[1].(*expression.Literal)
	if !ok {
		return 0, wrongArguments(usage + ": the second argument is a number that is written out")
	}
	f, _, err := types.Float64.Convert(gms.NewEmptyContext(), l.Value())
	if err != nil || f == nil || f.(float64) < 0 || f.(float64) > 1 {
		return 0, wrongArguments(usage + ": the second argument is from 0 to 1")
	}
	return f.(float64), nil
}

func newMergeApproxDistinct(args []gms.Expression) (gmsx.AggregateSpec, error) {
	if len(args) != 1 {
		return gmsx.AggregateSpec{}, wrongArguments("MERGE_APPROX_COUNT_DISTINCT(state)")
	}
	return stateSpec(types.Int64, false, func(args []gms.Expression) *stateBuffer {
		return newStateBuffer(partial.Spec{Func: partial.ApproxDistinct, Arg: column.Bigint, Result: column.Bigint}, args[0], types.Int64).merging()
	}), nil
}

func newMergeDistinct(args []gms.Expression) (gmsx.AggregateSpec, error) {
	usage := "MERGE_COUNT_DISTINCT(state, 'type of the values')"
	if len(args) != 2 {
		return gmsx.AggregateSpec{}, wrongArguments(usage)
	}
	l, ok := args[1].(*expression.Literal)
	if !ok {
		return gmsx.AggregateSpec{}, wrongArguments(usage)
	}
	t, err := parseType(fmt.Sprint(l.Value()))
	if err != nil {
		return gmsx.AggregateSpec{}, wrongArguments(usage)
	}
	return stateSpec(types.Int64, false, func(args []gms.Expression) *stateBuffer {
		return newStateBuffer(partial.Spec{Func: partial.CountDistinct, Arg: t, Result: column.Bigint}, args[0], types.Int64).merging()
	}), nil
}

func stateSpec(t gms.Type, nullable bool, buffer func([]gms.Expression) *stateBuffer) gmsx.AggregateSpec {
	return gmsx.AggregateSpec{Type: t, Nullable: nullable, New: func(args []gms.Expression) (gms.AggregationBuffer, error) {
		return buffer(args), nil
	}}
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
		count := newStateBuffer(partial.Spec{Func: partial.Sum, Arg: column.Bigint, Result: column.Decimal(41, 0)}, args[1], types.Int64)
		sum := newStateBuffer(partial.Spec{Func: partial.Sum, Arg: t, Result: partial.SumType(t)}, args[0], et)
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
