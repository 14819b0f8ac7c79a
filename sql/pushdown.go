package sql

import (
	"io"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"

	"weir/sql/gmsx"
	"weir/views"
	"weir/views/column"
	"weir/views/partial"
)

// rules are the analyzer's rules about our tables.
func (s *Server) rules() []gmsx.Rule {
	return []gmsx.Rule{{Apply: s.pushStreams}, {Apply: s.pushAggregates}}
}

// pushAggregates replaces a GROUP BY over a relation of a view, perhaps with a
// filter between, by one pass over the view's rows in vectors: the same
// kernels and partial states that compute views.
func (s *Server) pushAggregates(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		g, ok := n.(*plan.GroupBy)
		if !ok {
			return n, transform.SameTree, nil
		}
		if a := s.newAggregate(g); a != nil {
			return a, transform.NewTree, nil
		}
		return n, transform.SameTree, nil
	})
	return out, err
}

// An aggregate is a GROUP BY over a relation of a view, done by weir.
type aggregate struct {
	g      *plan.GroupBy
	access tableAccess
	cols   []int // of the table: what is read
	stray  bool  // some expression reads another table
	filter column.Expr
	keys   []column.Expr
	aggs   []views.Agg
	out    []aggOutput
}

// An aggOutput is a selected expression: a key or an aggregate.
type aggOutput struct {
	key, agg int // -1 for the other
	make     valueMaker
}

var (
	_ gms.ExecSourceRel = (*aggregate)(nil)
	_ gms.Projector     = (*aggregate)(nil)
)

// A tableAccess is how a plan reads a relation of a view: whole, or by ranges
// that are known when the plan is made.
type tableAccess struct {
	table  *viewTable
	stream *streamScan // where it is a stream, not a view's relation
	lookup *gms.IndexLookup
	filter []gms.Expression
	node   gms.Node
	id     gms.TableId // by which fields know the table
}

// accessOf returns the access that n is, or false.
func accessOf(n gms.Node) (tableAccess, bool) {
	if scan := newStreamScan(n); scan != nil {
		return tableAccess{stream: scan, node: scan, id: scan.Id()}, true
	}
	switch n := n.(type) {
	case *plan.Filter:
		a, ok := accessOf(n.Child)
		a.filter = append(a.filter, n.Expression)
		return a, ok
	case *plan.TableAlias:
		a, ok := accessOf(n.Child)
		a.id = n.Id()
		return a, ok
	case *plan.ResolvedTable:
		t, ok := n.UnderlyingTable().(*viewTable)
		return tableAccess{table: t, node: n, id: n.Id()}, ok
	case *plan.IndexedTableAccess:
		t, ok := n.UnderlyingTable().(*viewTable)
		if !ok || !n.IsStatic() {
			return tableAccess{}, false
		}
		lookup, err := n.GetLookup(nil, nil)
		return tableAccess{table: t, lookup: &lookup, node: n, id: n.Id()}, err == nil
	default:
		return tableAccess{}, false
	}
}

// column is the index of a column by name, or -1.
func (a *tableAccess) column(name string) int {
	if a.stream != nil {
		return slices.IndexFunc(a.stream.table.cols, func(c views.ColumnDef) bool { return strings.EqualFold(c.Name, name) })
	}
	return slices.IndexFunc(a.table.cols, func(c views.LayerColumn) bool { return strings.EqualFold(c.Name, name) })
}

// newAggregate returns g as an aggregate, or nil where it must stay the
// engine's: when it reads something else, or computes what has no kernel.
func (s *Server) newAggregate(g *plan.GroupBy) *aggregate {
	access, ok := accessOf(g.Child)
	if !ok {
		return nil
	}
	a := &aggregate{g: g, access: access}
	var k *kernelCompiler
	if access.stream != nil {
		if s.plainStreams.Load() {
			return nil
		}
		k = s.streamKernels(access.stream.table)
	} else {
		k = s.tableKernels(access.table)
	}
	if k == nil {
		return nil
	}
	for _, f := range access.filter {
		x := k.truth(a.bind(f))
		if x == nil {
			return nil
		}
		if a.filter != nil {
			x = &column.And{L: a.filter, R: x}
		}
		a.filter = x
	}
	for _, e := range g.GroupByExprs {
		x := k.part(a.bind(e))
		if x == nil || x.Type().Kind == column.JSON {
			return nil
		}
		a.keys = append(a.keys, x)
	}
	for _, e := range g.SelectedExprs {
		if !a.selectExpr(k, e) {
			return nil
		}
	}
	if a.stray {
		return nil
	}
	return a
}

// tableKernels returns a compiler of expressions over all columns of t.
func (s *Server) tableKernels(t *viewTable) *kernelCompiler {
	types := make([]column.Type, len(t.cols))
	for i := range t.cols {
		types[i] = t.cols[i].Type
	}
	k, err := s.compiler.kernels(types)
	if err != nil {
		return nil
	}
	k.query = true
	return k
}

// bind gives the fields of e the indexes of the table's columns, which are
// known by name: the plan's own come later. It notes the columns as read, and a
// field of another table, as in a correlated sub-query, as stray.
func (a *aggregate) bind(e gms.Expression) gms.Expression {
	out, _, _ := transform.Expr(e, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		f, ok := e.(*expression.GetField)
		if !ok {
			return e, transform.SameTree, nil
		}
		i := a.access.column(f.Name())
		if i < 0 || f.TableId() != a.access.id {
			a.stray = true
			return e, transform.SameTree, nil
		}
		if !slices.Contains(a.cols, i) {
			a.cols = append(a.cols, i)
		}
		return f.WithIndex(i), transform.NewTree, nil
	})
	return out
}

// selectExpr adds a selected expression; false when weir cannot compute it.
func (a *aggregate) selectExpr(k *kernelCompiler, e gms.Expression) bool {
	maker := newValueMaker(e.Type())
	if al, ok := e.(*expression.Alias); ok {
		return a.selectExpr(k, al.Child)
	}
	for i, g := range a.g.GroupByExprs {
		if g.String() == e.String() {
			a.out = append(a.out, aggOutput{key: i, agg: -1, make: maker})
			return true
		}
	}
	agg, ok := a.aggregateOf(k, e)
	if !ok {
		return false
	}
	a.out = append(a.out, aggOutput{key: -1, agg: len(a.aggs), make: maker})
	a.aggs = append(a.aggs, agg)
	return true
}

// aggregateOf returns an aggregate of the engine, or of package gmsx, as one
// of ours.
func (a *aggregate) aggregateOf(k *kernelCompiler, e gms.Expression) (agg views.Agg, ok bool) {
	t, err := columnType(e.Type())
	if err != nil {
		return agg, false
	}
	agg.Spec.Result = t
	var arg gms.Expression
	switch e := e.(type) {
	case *aggregation.Count:
		arg, agg.Spec.Func = e.Children()[0], partial.Count
		if _, star := arg.(*expression.Literal); star {
			agg.Spec.Func = partial.CountAll
			return agg, true
		}
	case *aggregation.Min:
		arg, agg.Spec.Func = e.Children()[0], partial.Min
	case *aggregation.Max:
		arg, agg.Spec.Func = e.Children()[0], partial.Max
	case *gmsx.Aggregation:
		known, ok := aggregateFuncs[e.Name()]
		fn := known.f
		if fn == partial.Count {
			fn = partial.CountDistinct
		}
		if !ok || len(e.Args()) != 1 || picks(fn) || e.Distinct() != (fn == partial.CountDistinct) {
			return agg, false
		}
		arg, agg.Spec.Func = e.Args()[0], fn
	default:
		return agg, false
	}
	x := k.part(a.bind(arg))
	if x == nil || x.Type().Kind == column.JSON {
		return agg, false
	}
	switch agg.Spec.Func {
	case partial.Sum, partial.Avg:
		if !isFloatable(x.Type().Kind) {
			return agg, false
		}
		if t.Kind == column.Float {
			x = asFloat(x)
		}
	case partial.BitAnd, partial.BitOr, partial.BitXor:
		if !isFloatable(x.Type().Kind) {
			return agg, false
		}
	case partial.VarPop, partial.VarSamp, partial.StddevPop, partial.StddevSamp:
		if !isFloatable(x.Type().Kind) {
			return agg, false
		}
		x = asFloat(x)
	case partial.Min, partial.Max:
		if x.Type().Kind != t.Kind {
			return agg, false
		}
	}
	agg.Spec.Arg, agg.Args = x.Type(), []column.Expr{x}
	return agg, true
}

func (a *aggregate) Resolved() bool                   { return true }
func (a *aggregate) IsReadOnly() bool                 { return true }
func (a *aggregate) Schema() gms.Schema               { return a.g.Schema() }
func (a *aggregate) Children() []gms.Node             { return nil }
func (a *aggregate) ProjectedExprs() []gms.Expression { return a.g.SelectedExprs }

func (a *aggregate) WithChildren(children ...gms.Node) (gms.Node, error) {
	if len(children) != 0 {
		return nil, gms.ErrInvalidChildrenNumber.New(a, len(children), 0)
	}
	return a, nil
}

func (a *aggregate) String() string {
	pr := gms.NewTreePrinter()
	_ = pr.WriteNode("AggregatePartials")
	children := []string{"group by: " + exprList(a.g.GroupByExprs), "select: " + exprList(a.g.SelectedExprs)}
	if len(a.access.filter) > 0 {
		children = append(children, "filter: "+exprList(a.access.filter))
	}
	_ = pr.WriteChildren(append(children, describeAccess(a.access.node))...)
	return pr.String()
}

func exprList(list []gms.Expression) string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = e.String()
	}
	return strings.Join(texts, ", ")
}

// aggregateBatch is how many rows are aggregated at a time.
const aggregateBatch = 4096

// RowIter implements gms.ExecSourceRel: it aggregates, and then yields the groups.
func (a *aggregate) RowIter(ctx *gms.Context, _ gms.Row) (gms.RowIter, error) {
	if row, ok, err := a.countOfLog(ctx); ok || err != nil {
		return gms.RowsToRowIter(row), err
	}
	specs := make([]partial.Spec, len(a.aggs))
	for i := range a.aggs {
		specs[i] = a.aggs[i].Spec
	}
	t := partial.NewTable(specs)
	t.KeepKeys()
	if len(a.keys) == 0 {
		t.Group(partial.EmptyKey()) // without GROUP BY there is one row in any case
	}
	if err := a.fill(ctx, t); err != nil {
		return nil, err
	}
	return &aggregateRows{a: a, t: t}, nil
}

// fill aggregates the rows of the table into t.
func (a *aggregate) fill(ctx *gms.Context, t *partial.Table) error {
	if a.access.stream != nil {
		return a.fillFromLog(ctx, t)
	}
	snap, err := readSet(ctx).Snapshot(a.access.table.view)
	if err != nil {
		return err
	}
	ranges := []keyRange{{}}
	if a.access.lookup != nil {
		if ranges, err = keyRanges(ctx, *a.access.lookup, a.access.table.keyTypes()); err != nil {
			return err
		}
	}
	cols := slices.Clone(a.cols)
	keyAt := a.access.table.keyColumns()
	for i, c := range keyAt {
		if slices.ContainsFunc(ranges, func(r keyRange) bool { return r.checks(i) }) && !slices.Contains(cols, c) {
			cols = append(cols, c)
		}
	}
	p := &aggregatePass{a: a, t: t, cols: cols, keyAt: keyAt}
	for _, r := range ranges {
		cursor := snap.Scan(a.access.table.layer, []views.Range{r.Range}, false, cols)
		for {
			n, err := cursor.Fill(&p.read, aggregateBatch)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			p.add(&r, n)
		}
	}
	return nil
}

// An aggregatePass takes batches of rows into a table.
type aggregatePass struct {
	a    *aggregate
	t    *partial.Table
	cols []int // of the view's table, as the cursor fills them
	// keyAt are the table's columns of the group key.
	keyAt []int
	read  column.Batch // as the cursor fills it
	wide  column.Batch // the same vectors by the table's columns
	rows  []uint32
}

// add takes the n rows that were read in the range r.
func (p *aggregatePass) add(r *keyRange, n int) {
	b := &p.wide
	b.Cols = slices.Grow(b.Cols[:0], len(p.a.access.table.cols))[:len(p.a.access.table.cols)]
	b.Reset(n)
	for i, c := range p.cols {
		b.Cols[c] = p.read.Cols[i]
	}
	p.rows = p.rows[:0]
	for i := range n {
		if r.holds(b, p.keyAt, i) {
			p.rows = append(p.rows, uint32(i))
		}
	}
	b.Sel = p.rows
	p.take(b)
}

// take takes the rows that b.Sel lists, as far as the filter lets them.
func (p *aggregatePass) take(b *column.Batch) {
	if p.a.filter != nil && len(b.Sel) > 0 {
		b.Keep(p.a.filter)
	}
	if len(b.Sel) == 0 {
		return
	}
	keys := make([]*column.Vector, len(p.a.keys))
	for i, k := range p.a.keys {
		keys[i] = k.Eval(b)
	}
	args := make([][]*column.Vector, len(p.a.aggs))
	for i := range p.a.aggs {
		for _, arg := range p.a.aggs[i].Args {
			args[i] = append(args[i], arg.Eval(b))
		}
	}
	p.t.Add(b.Sel, keys, args)
}

// aggregateRows are the groups of an aggregate.
type aggregateRows struct {
	a    *aggregate
	t    *partial.Table
	next int
}

// Next implements gms.RowIter.
func (it *aggregateRows) Next(*gms.Context) (gms.Row, error) {
	if it.next >= it.t.Len() {
		return nil, io.EOF
	}
	i := it.next
	it.next++
	keys := make([]column.Value, len(it.a.keys))
	key := it.t.Key(i)
	for k := range keys {
		var err error
		if keys[k], key, err = partial.ReadKey(key, it.a.keys[k].Type()); err != nil {
			return nil, err
		}
	}
	row := make(gms.Row, len(it.a.out))
	for k, o := range it.a.out {
		if o.key >= 0 {
			row[k] = o.make.make(keys[o.key])
		} else {
			row[k] = o.make.make(it.t.States(o.agg).Value(i))
		}
	}
	return row, nil
}

// Close implements gms.RowIter.
func (it *aggregateRows) Close(*gms.Context) error { return nil }
