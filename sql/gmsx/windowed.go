package gmsx

import (
	"slices"
	"strconv"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// Aggregates with OVER are ours too. The engine adds up in a DOUBLE, makes
// BIGINT of an average, and takes the whole partition, or the rows one by one,
// for the frame of an ORDER BY without one; it is up to the last peer of the
// current row. The functions that are no aggregates, like RANK, are the engine's.
//
// windowCarrier is on the engine's list of functions that may have OVER, as
// aggregateCarrier is on that of aggregates.
const windowCarrier = "first"

// windowAggregates are the aggregates that may have OVER.
var windowAggregates = map[string]AggregateFactory{
	"rank": rankSpec, "dense_rank": rankSpec, "percent_rank": rankSpec, "cume_dist": rankSpec, "ntile": ntileSpec,
	"sum": sumSpec, "avg": avgSpec, "count": countSpec,
	"min":         engineAggregate("min", func(e gms.Expression) gms.Aggregation { return aggregation.NewMin(e) }),
	"max":         engineAggregate("max", func(e gms.Expression) gms.Aggregation { return aggregation.NewMax(e) }),
	"any_value":   engineAggregate("any_value", func(e gms.Expression) gms.Aggregation { return aggregation.NewAnyValue(e) }),
	"std":         engineAggregate("std", func(e gms.Expression) gms.Aggregation { return aggregation.NewStdDevPop(e) }),
	"stddev":      engineAggregate("stddev", func(e gms.Expression) gms.Aggregation { return aggregation.NewStdDevPop(e) }),
	"stddev_pop":  engineAggregate("stddev_pop", func(e gms.Expression) gms.Aggregation { return aggregation.NewStdDevPop(e) }),
	"stddev_samp": engineAggregate("stddev_samp", func(e gms.Expression) gms.Aggregation { return aggregation.NewStdDevSamp(e) }),
	"variance":    engineAggregate("variance", func(e gms.Expression) gms.Aggregation { return aggregation.NewVarPop(e) }),
	"var_pop":     engineAggregate("var_pop", func(e gms.Expression) gms.Aggregation { return aggregation.NewVarPop(e) }),
	"var_samp":    engineAggregate("var_samp", func(e gms.Expression) gms.Aggregation { return aggregation.NewVarSamp(e) }),
}

// rankSpec is of RANK, DENSE_RANK and PERCENT_RANK, of which the engine takes
// 1.5 and 1.50 for different. They have no state for rows.
func rankSpec(args []gms.Expression) (AggregateSpec, error) {
	if len(args) != 0 {
		return AggregateSpec{}, gms.ErrInvalidArgumentNumber.New("rank", 0, len(args))
	}
	return AggregateSpec{Type: types.Uint64, New: func([]gms.Expression) (gms.AggregationBuffer, error) {
		return nil, gms.ErrUnsupportedFeature.New("RANK without OVER")
	}}, nil
}

// ranks are the functions of where a row stands in its partition.
var ranks = map[string]bool{"rank": true, "dense_rank": true, "percent_rank": true, "cume_dist": true, "ntile": true}

// ntileSpec is of NTILE(n).
func ntileSpec(args []gms.Expression) (AggregateSpec, error) {
	if len(args) != 1 {
		return AggregateSpec{}, gms.ErrInvalidArgumentNumber.New("ntile", 1, len(args))
	}
	spec, err := rankSpec(nil)
	spec.Nullable = true
	return spec, err
}

// ntile is in which of n parts of about one size the i-th of size rows is; the
// first parts are the larger ones.
func ntile(i, size, n uint64) uint64 {
	small, large := size/n, size%n
	if i < large*(small+1) {
		return i/(small+1) + 1
	}
	return large + (i-large*(small+1))/small + 1
}

// engineAggregate is an aggregate of the engine's as one of ours.
func engineAggregate(name string, of func(gms.Expression) gms.Aggregation) AggregateFactory {
	return func(args []gms.Expression) (AggregateSpec, error) {
		if len(args) != 1 {
			return AggregateSpec{}, gms.ErrInvalidArgumentNumber.New(name, 1, len(args))
		}
		return AggregateSpec{Type: of(args[0]).Type(), Nullable: true, New: func(args []gms.Expression) (gms.AggregationBuffer, error) {
			return of(args[0]).NewBuffer()
		}}, nil
	}
}

// windows is the function that aggregates with OVER reach.
func windows() gms.Function {
	return gms.FunctionN{Name: windowCarrier, Fn: func(args ...gms.Expression) (gms.Expression, error) {
		tag, _ := aggregateTag(args)
		name := strings.TrimRight(tag, " ")
		if f, ok := windowAggregates[name]; ok {
			a, err := newAggregation(f, name, false, args[1:])
			if a, ok := a.(*Aggregation); ok {
				a.again = tag[len(name):]
				if name == "percent_rank" || name == "cume_dist" {
					a.spec.Type = types.Float64
				}
			}
			return a, err
		}
		if len(args) != 1 {
			return nil, gms.ErrInvalidArgumentNumber.New(windowCarrier, 1, len(args))
		}
		return aggregation.NewFirst(args[0]), nil
	}}
}

// plainOver drops constants from OVER, by which all rows are equal. The engine
// takes them for positions of rows that it no longer has.
func plainOver(o *ast.Over) {
	constant := func(e ast.Expr) bool {
		switch e.(type) {
		case *ast.SQLVal, *ast.NullVal, ast.BoolVal:
			return true
		}
		return false
	}
	w := (*ast.WindowDef)(o)
	w.PartitionBy = slices.DeleteFunc(w.PartitionBy, constant)
	if w.Frame == nil {
		w.OrderBy = slices.DeleteFunc(w.OrderBy, func(o *ast.Order) bool { return constant(o.Expr) })
	}
}

// plainGroupConcat gives GROUP_CONCAT one argument, a text: the engine takes
// the first of several, and writes numbers in ways of its own. Positions in its
// ORDER BY are of its arguments.
func plainGroupConcat(g *ast.GroupConcatExpr) {
	var args []ast.Expr
	for _, e := range g.Exprs {
		a, ok := e.(*ast.AliasedExpr)
		if !ok {
			return
		}
		args = append(args, a.Expr)
	}
	for _, o := range g.OrderBy {
		v, ok := o.Expr.(*ast.SQLVal)
		if !ok || v.Type != ast.IntVal {
			continue
		}
		if at, err := strconv.Atoi(string(v.Val)); err == nil && at >= 1 && at <= len(args) {
			o.Expr = args[at-1]
		}
	}
	g.Exprs = ast.SelectExprs{&ast.AliasedExpr{Expr: operatorCall("concat", args...)}}
}

func (p *parser) renameWindow(f *ast.FuncExpr, again string) {
	name := f.Name.Lowered()
	if _, ok := windowAggregates[name]; !ok || f.Distinct {
		return
	}
	tag := &ast.AliasedExpr{Expr: ast.NewStrVal([]byte(aggregateMark + name + again))}
	args := f.Exprs
	if name == "count" && len(args) == 1 {
		if _, star := args[0].(*ast.StarExpr); star {
			args = ast.SelectExprs{&ast.AliasedExpr{Expr: ast.NewIntVal([]byte("1"))}}
		}
	}
	f.Name = ast.NewColIdent(windowCarrier)
	f.Exprs = append(ast.SelectExprs{tag}, args...)
}

// A windowCall computes an aggregate for the rows of a partition, in their
// order.
type windowCall struct {
	a      *Aggregation
	framer gms.WindowFramer // nil without a frame
	part   gms.WindowInterval

	buffer     gms.AggregationBuffer
	start, end int // of the rows in buffer
	pos        int // the current row
	value      any

	first, groups int // of RANK: the current row's first peer, and how many groups of peers there were
}

// A windowError is an error on its way through the engine's windows, which
// have no place for one, to the statement's end.
type windowError struct{ error }

func newWindowCall(a *Aggregation) (gms.WindowFunction, error) {
	w := &windowCall{a: a}
	if a.window != nil && a.window.Frame != nil {
		var err error
		if w.framer, err = a.window.Frame.NewFramer(a.window); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// DefaultFramer implements gms.WindowFunction.
func (w *windowCall) DefaultFramer() gms.WindowFramer {
	if w.framer != nil {
		return w.framer
	}
	return aggregation.NewPartitionFramer()
}

// StartPartition implements gms.WindowFunction.
func (w *windowCall) StartPartition(_ *gms.Context, part gms.WindowInterval, _ gms.WindowBuffer) error {
	w.Dispose()
	w.part, w.pos = part, part.Start
	w.first, w.groups = part.Start, 0
	return nil
}

// Dispose implements gms.WindowFunction.
func (w *windowCall) Dispose() {
	if w.buffer != nil {
		w.buffer.Dispose()
		w.buffer = nil
	}
}

// Compute implements gms.WindowFunction.
func (w *windowCall) Compute(ctx *gms.Context, frame gms.WindowInterval, rows gms.WindowBuffer) any {
	v, err := w.compute(ctx, frame, rows)
	if err != nil {
		panic(windowError{err})
	}
	return v
}

func (w *windowCall) compute(ctx *gms.Context, frame gms.WindowInterval, rows gms.WindowBuffer) (any, error) {
	if ranks[w.a.name] {
		return w.rank(ctx, rows)
	}
	if w.framer == nil && w.pos < w.part.End {
		frame = w.part
		if len(w.a.window.OrderBy) > 0 {
			frame.End = w.pos + 1
			if w.buffer != nil && w.end > w.pos {
				frame.End = w.end // a peer of the row before
			} else {
				for frame.End < w.part.End {
					if same, err := w.peers(ctx, rows[w.pos], rows[frame.End]); err != nil || !same {
						if err != nil {
							return nil, err
						}
						break
					}
					frame.End++
				}
			}
		}
	}
	w.pos++
	if w.buffer != nil && frame.Start == w.start && frame.End == w.end {
		return w.value, nil
	}
	if w.buffer == nil || frame.Start != w.start || frame.End < w.end {
		w.Dispose()
		var err error
		if w.buffer, err = w.a.NewBuffer(); err != nil {
			return nil, err
		}
		w.start, w.end = frame.Start, frame.Start
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for ; w.end < frame.End; w.end++ {
		if err := w.buffer.Update(ctx, rows[w.end]); err != nil {
			return nil, err
		}
	}
	var err error
	w.value, err = w.buffer.Eval(ctx)
	return w.value, err
}

// rank is where the current row stands among the groups of peers.
func (w *windowCall) rank(ctx *gms.Context, rows gms.WindowBuffer) (any, error) {
	if w.pos >= w.part.End {
		return nil, nil
	}
	same := w.pos > w.part.Start
	if same {
		var err error
		if same, err = w.peers(ctx, rows[w.pos-1], rows[w.pos]); err != nil {
			return nil, err
		}
	}
	if !same {
		w.first = w.pos
		w.groups++
	}
	w.pos++
	rank := w.first - w.part.Start
	switch w.a.name {
	case "cume_dist":
		end := w.pos
		for end < w.part.End {
			peer, err := w.peers(ctx, rows[w.pos-1], rows[end])
			if err != nil {
				return nil, err
			}
			if !peer {
				break
			}
			end++
		}
		return float64(end-w.part.Start) / float64(w.part.End-w.part.Start), nil
	case "ntile":
		v, err := w.a.args[0].Eval(ctx, rows[w.pos-1])
		if err != nil || v == nil {
			return nil, err
		}
		n, err := toNumber(ctx, v)
		if err != nil {
			return nil, err
		}
		parts := toBig(n)
		if parts.Sign() <= 0 || !parts.IsInt64() {
			return nil, Error(1210, "HY000", "Incorrect arguments to ntile")
		}
		return ntile(uint64(w.pos-1-w.part.Start), uint64(w.part.End-w.part.Start), parts.Uint64()), nil
	case "dense_rank":
		return uint64(w.groups), nil
	case "percent_rank":
		if n := w.part.End - w.part.Start; n > 1 {
			return float64(rank) / float64(n-1), nil
		}
		return float64(0), nil
	}
	return uint64(rank) + 1, nil
}

// peers says whether ORDER BY holds two rows for equal.
func (w *windowCall) peers(ctx *gms.Context, a, b gms.Row) (bool, error) {
	for _, f := range w.a.window.OrderBy {
		x, err := f.Column.Eval(ctx, a)
		if err != nil {
			return false, err
		}
		y, err := f.Column.Eval(ctx, b)
		if err != nil {
			return false, err
		}
		if x == nil || y == nil {
			if x != nil || y != nil {
				return false, nil
			}
			continue
		}
		if c, err := f.Column.Type().Compare(ctx, x, y); err != nil || c != 0 {
			return false, err
		}
	}
	return true, nil
}
