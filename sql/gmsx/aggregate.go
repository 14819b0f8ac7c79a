package gmsx

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// The engine knows its aggregates by a list of names in its planner, takes the
// type of every SUM and AVG for DOUBLE, and asks the catalog for anything else
// about them. Other aggregates therefore travel under the name of one on the
// list, with their own name as the first argument: the parser turns
//
//	APPROX_PERCENTILE(x, 0.95)   into   last('\0approx_percentile', x, 0.95)
//
// and the catalog's function last makes the aggregate that the name stands
// for. The columns of a result are named after the text of the query, and the
// plan shows the aggregate's own name, so that nobody sees it.
const (
	aggregateCarrier = "last"
	aggregateMark    = "\x00"
	distinctMark     = "\x00distinct "
)

// An AggregateFactory makes an aggregate for a call with these arguments. Its
// error, when the arguments do not suit, becomes the statement's.
type AggregateFactory func(args []gms.Expression) (AggregateSpec, error)

// An AggregateSpec says what a call of an aggregate gives.
type AggregateSpec struct {
	Type     gms.Type
	Nullable bool
	// New makes the state of one group. The arguments are those of the call,
	// bound to the rows that Update will see.
	New func(args []gms.Expression) (gms.AggregationBuffer, error)
}

// An Aggregation is a call of an aggregate of ours: of Options.Aggregates, or
// SUM, AVG and COUNT(DISTINCT …). Rules find it in a plan's GroupBy.
type Aggregation struct {
	name     string
	distinct bool
	args     []gms.Expression
	spec     AggregateSpec
	id       gms.ColumnId
	window   *gms.WindowDefinition // of a call with OVER
	again    string                // blanks that tell equal calls with OVER apart, of which the engine would lose one
}

var _ gms.Aggregation = (*Aggregation)(nil)

// Name is the aggregate's name in lower case.
func (a *Aggregation) Name() string { return a.name }

// Args are the arguments of the call.
func (a *Aggregation) Args() []gms.Expression { return a.args }

// Distinct says that the call counts equal arguments once.
func (a *Aggregation) Distinct() bool { return a.distinct }

func (a *Aggregation) Type() gms.Type                { return a.spec.Type }
func (a *Aggregation) IsNullable() bool              { return a.spec.Nullable }
func (a *Aggregation) Id() gms.ColumnId              { return a.id }
func (a *Aggregation) Window() *gms.WindowDefinition { return a.window }

// Children are the arguments, and what the window is made of.
func (a *Aggregation) Children() []gms.Expression {
	return append(slices.Clip(a.args), a.window.ToExpressions()...)
}

func (a *Aggregation) Resolved() bool {
	return expression.ExpressionsResolved(a.Children()...)
}

func (a *Aggregation) String() string {
	args := make([]string, len(a.args))
	for i, arg := range a.args {
		args[i] = arg.String()
	}
	distinct := ""
	if a.distinct {
		distinct = "DISTINCT "
	}
	call := fmt.Sprintf("%s(%s%s)%s", strings.ToUpper(a.name), distinct, strings.Join(args, ", "), a.again)
	if a.window != nil {
		return call + " " + a.window.String()
	}
	return call
}

// Eval fails: an aggregate has a value only for a group.
func (a *Aggregation) Eval(*gms.Context, gms.Row) (any, error) {
	return nil, aggregation.ErrEvalUnsupportedOnAggregation.New(a.name)
}

func (a *Aggregation) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) < len(a.args) {
		return nil, gms.ErrInvalidChildrenNumber.New(a, len(children), len(a.args))
	}
	cp := *a
	cp.args = children[:len(a.args):len(a.args)]
	var err error
	cp.window, err = a.window.FromExpressions(children[len(a.args):])
	return &cp, err
}

func (a *Aggregation) WithId(id gms.ColumnId) gms.IdExpression {
	cp := *a
	cp.id = id
	return &cp
}

// NewBuffer makes the state of one group.
func (a *Aggregation) NewBuffer() (gms.AggregationBuffer, error) {
	if !a.distinct {
		return a.spec.New(a.args)
	}
	inner := make([]gms.Expression, len(a.args))
	d := &distinctBuffer{args: a.args, seen: map[string]struct{}{}}
	for i := range a.args {
		inner[i] = &distinctValue{Expression: a.args[i], at: &d.current, i: i}
	}
	var err error
	d.inner, err = a.spec.New(inner)
	return d, err
}

// WithWindow is the call with OVER.
func (a *Aggregation) WithWindow(w *gms.WindowDefinition) gms.WindowAdaptableExpression {
	cp, own := *a, *w
	own.PartitionBy = slices.Clone(w.PartitionBy)
	for i, e := range own.PartitionBy {
		// The engine's partitions are of values that are the same, not equal.
		switch t := e.Type(); {
		case types.IsDecimal(t):
			own.PartitionBy[i] = newJoinKey(e, keyExact, "")
		case isTime(t):
			own.PartitionBy[i] = newJoinKey(e, keyMoment, "")
		}
	}
	cp.window = &own
	return &cp
}

// NewWindowFunction executes a call with OVER.
func (a *Aggregation) NewWindowFunction() (gms.WindowFunction, error) { return newWindowCall(a) }

// builtinAggregates are those of the engine's that ours replace.
var builtinAggregates = map[string]AggregateFactory{
	"sum":   sumSpec,
	"avg":   avgSpec,
	"count": countSpec,
}

// aggregateNames are the names to rename in statements: calls with DISTINCT
// only for those that are false.
func (e *Engine) aggregateNames() map[string]bool {
	names := map[string]bool{"sum": true, "avg": true, "count": false}
	for name := range e.opts.Aggregates {
		names[strings.ToLower(name)] = true
	}
	return names
}

// aggregates is the function that the renamed calls reach.
func (e *Engine) aggregates() gms.Function {
	own := map[string]AggregateFactory{}
	for name, f := range builtinAggregates {
		own[name] = f
	}
	for name, f := range e.opts.Aggregates {
		own[strings.ToLower(name)] = f
	}
	return gms.FunctionN{Name: aggregateCarrier, Fn: func(args ...gms.Expression) (gms.Expression, error) {
		name, distinct := aggregateTag(args)
		if name == "" {
			if len(args) != 1 {
				return nil, gms.ErrInvalidArgumentNumber.New(aggregateCarrier, 1, len(args))
			}
			return aggregation.NewLast(args[0]), nil
		}
		return newAggregation(own[name], name, distinct, args[1:])
	}}
}

func newAggregation(f AggregateFactory, name string, distinct bool, args []gms.Expression) (gms.Expression, error) {
	spec, err := f(args)
	if err != nil {
		return nil, err
	}
	return &Aggregation{name: name, distinct: distinct, args: args, spec: spec}, nil
}

// aggregateTag reads the first argument of a renamed call.
func aggregateTag(args []gms.Expression) (name string, distinct bool) {
	if len(args) == 0 {
		return "", false
	}
	lit, ok := args[0].(interface{ Value() any })
	if !ok {
		return "", false
	}
	tag, _ := lit.Value().(string)
	if name, ok := strings.CutPrefix(tag, distinctMark); ok {
		return name, true
	}
	name, _ = strings.CutPrefix(tag, aggregateMark)
	if name == tag {
		return "", false
	}
	return name, false
}

// renameAggregate renames the call of an aggregate of ours. again is blanks, as
// many as there were of the same call with OVER.
func (p *parser) renameAggregate(f *ast.FuncExpr, again string) {
	name := f.Name.Lowered()
	if f.Over != nil {
		p.renameWindow(f, again)
		return
	}
	always, ok := p.names[name]
	if name == "count" && len(f.Exprs) == 1 {
		if a, is := f.Exprs[0].(*ast.AliasedExpr); is {
			_, null := a.Expr.(*ast.NullVal)
			always = always || null // the engine counts the rows
		}
	}
	if !ok || !always && !f.Distinct {
		return
	}
	tag := aggregateMark + name
	if f.Distinct {
		tag = distinctMark + name
	}
	f.Name = ast.NewColIdent(aggregateCarrier)
	f.Distinct = false
	f.Exprs = append(ast.SelectExprs{&ast.AliasedExpr{Expr: ast.NewStrVal([]byte(tag))}}, f.Exprs...)
}

// AggregateNames are the names of all aggregates that a GROUP BY may use, in
// lower case and in order, for messages and checks.
func (e *Engine) AggregateNames() []string {
	names := slices.Collect(maps.Keys(engineAggregates))
	for name, always := range e.parser.names {
		if always {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// countSpec is COUNT(DISTINCT …); the engine's own hashes the text of its
// arguments, joined by commas.
func countSpec(args []gms.Expression) (AggregateSpec, error) {
	if len(args) == 0 {
		return AggregateSpec{}, gms.ErrInvalidArgumentNumber.New("count", "1 or more", 0)
	}
	return AggregateSpec{Type: types.Int64, New: func(args []gms.Expression) (gms.AggregationBuffer, error) {
		return &countBuffer{args: args}, nil
	}}, nil
}

// A countBuffer counts the rows of which no argument is NULL.
type countBuffer struct {
	args []gms.Expression
	n    int64
}

func (b *countBuffer) Update(ctx *gms.Context, row gms.Row) error {
	for _, arg := range b.args {
		if v, err := arg.Eval(ctx, row); err != nil || v == nil {
			return err
		}
	}
	b.n++
	return nil
}

func (b *countBuffer) Eval(*gms.Context) (any, error) { return b.n, nil }
func (b *countBuffer) Dispose()                       {}

// A distinctBuffer passes each combination of arguments on once. One with a
// NULL is passed on too, since what NULL means is the aggregate's to say.
type distinctBuffer struct {
	args    []gms.Expression
	seen    map[string]struct{}
	key     []byte
	current gms.Row // the arguments of the row that is being passed on
	inner   gms.AggregationBuffer
}

func (d *distinctBuffer) Update(ctx *gms.Context, row gms.Row) error {
	d.key = d.key[:0]
	values := make(gms.Row, len(d.args))
	for i, arg := range d.args {
		v, err := arg.Eval(ctx, row)
		if err != nil {
			return err
		}
		values[i] = v
		if d.key, err = appendKey(ctx, d.key, arg.Type(), v); err != nil {
			return err
		}
	}
	if _, ok := d.seen[string(d.key)]; ok {
		return nil
	}
	if err := mayGrow(ctx, len(d.seen)); err != nil {
		return err
	}
	d.seen[string(d.key)] = struct{}{}
	d.current = values
	return d.inner.Update(ctx, row)
}

func (d *distinctBuffer) Eval(ctx *gms.Context) (any, error) { return d.inner.Eval(ctx) }
func (d *distinctBuffer) Dispose()                           { d.inner.Dispose() }

// A distinctValue is an argument whose value was computed for the key.
type distinctValue struct {
	gms.Expression
	at *gms.Row
	i  int
}

func (v *distinctValue) Eval(*gms.Context, gms.Row) (any, error) { return (*v.at)[v.i], nil }
