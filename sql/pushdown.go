package sql

import (
	"errors"
	"io"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
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
	return []gmsx.Rule{{Early: true, Apply: keepExtremes}, {Apply: s.pushStreams}, {Apply: s.pushDown}}
}

// keepExtremes keeps MIN and MAX over a view from the engine, which reads them
// as the first row in the order of the primary key: that is NULL where NULL is
// among the keys, and no row at all where there is none. It looks only for an
// aggregate that stands alone.
func keepExtremes(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		g, ok := n.(*plan.GroupBy)
		if !ok || len(g.SelectedExprs) != 1 || len(g.GroupByExprs) != 0 || accessOf(g.Child) == nil {
			return n, transform.SameTree, nil
		}
		switch g.SelectedExprs[0].(type) {
		case *aggregation.Min, *aggregation.Max:
			return plan.NewGroupBy([]gms.Expression{g.SelectedExprs[0], g.SelectedExprs[0]}, nil, g.Child), transform.NewTree, nil
		}
		return n, transform.SameTree, nil
	})
	return out, err
}

// pushDown replaces what the engine does with the rows of a view by what weir
// does better, bottom up:
//
//   - a GROUP BY, by one pass over the rows in vectors: the same kernels and
//     partial states that compute views;
//   - ORDER BY what an index gives in order, behind equalities at its front;
//   - ORDER BY … LIMIT of other columns, by the same kind of pass;
//   - conditions that no index took, on parts of the key: the scan seeks what
//     they may hold for.
func (s *Server) pushDown(ctx *gms.Context, n gms.Node) (gms.Node, error) {
	given := map[gms.Node]givenKeys{}
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		switch t := n.(type) {
		case *plan.GroupBy:
			if a := s.newAggregate(ctx, t); a != nil {
				given[a] = a.given()
				return a, transform.NewTree, nil
			}
		case *plan.Filter:
			if out := s.hint(ctx, t); out != nil {
				return out, transform.NewTree, nil
			}
		}
		out, same, err := useKeys(n, given)
		if err != nil {
			return n, transform.SameTree, err
		}
		switch t := out.(type) {
		case *plan.Sort:
			if in := s.inKeyOrder(ctx, t.SortFields, t.Child); in != nil {
				return in, transform.NewTree, nil
			}
		case *plan.TopN:
			if in := s.inKeyOrder(ctx, t.Fields, t.Child); in != nil && !t.CalcFoundRows {
				return in, transform.NewTree, nil
			}
		case *plan.Limit:
			if in := s.firstRows(ctx, t); in != nil {
				return in, transform.NewTree, nil
			}
		}
		return out, same, nil
	})
	return out, err
}

// givenKeys are the keys of groups that an aggregate gives, by the text of
// their expressions.
type givenKeys map[string]gms.Expression

// useKeys has n, which is above an aggregate, take the keys of groups from
// there instead of computing them once more for each group.
func useKeys(n gms.Node, given map[gms.Node]givenKeys) (gms.Node, transform.TreeIdentity, error) {
	switch n.(type) {
	case *plan.Project, *plan.Sort, *plan.TopN, *plan.Having, *plan.Filter, *plan.Limit, *plan.Offset:
	default:
		return n, transform.SameTree, nil
	}
	var keys givenKeys
	switch c := n.Children()[0].(type) {
	case *aggregate, *plan.Project, *plan.Sort, *plan.TopN, *plan.Having, *plan.Filter, *plan.Limit, *plan.Offset:
		keys = given[c]
	}
	if len(keys) == 0 {
		return n, transform.SameTree, nil
	}
	out, same, err := transform.OneNodeExpressions(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		switch e.(type) {
		case *expression.GetField, *expression.Literal, *expression.Alias:
			return e, transform.SameTree, nil
		}
		if k, ok := keys[e.String()]; ok {
			return k, transform.NewTree, nil
		}
		return e, transform.SameTree, nil
	})
	if err == nil {
		given[out] = keys
	}
	return out, same, err
}

// An aggregate is a GROUP BY over a relation of a view, done by weir.
type aggregate struct {
	g      *plan.GroupBy
	access *tableAccess
	filter column.Expr
	keys   []column.Expr
	aggs   []views.Agg
	plain  []int        // columns of which a group gives its first row's
	out    []aggOutput  // of the selected expressions, then of extra
	extra  []aliasedKey // keys that are given beside them
	schema gms.Schema
}

// An aliasedKey is a key that the engine knows by the id of an alias.
type aliasedKey struct {
	key   int
	alias *expression.Alias
}

// An aggOutput is a selected expression: a key, an aggregate, or a column that
// the groups have one value of.
type aggOutput struct {
	key, agg, plain int // -1 for the others
	make            valueMaker
}

var (
	_ gms.ExecSourceRel = (*aggregate)(nil)
	_ gms.Projector     = (*aggregate)(nil)
)

// A tableAccess is how a plan reads a relation of a view: whole, or by ranges
// that are known when the plan is made, perhaps through a derived table.
type tableAccess struct {
	table  *viewTable
	stream *streamScan // where it is a stream, not a view's relation
	lookup *gms.IndexLookup
	filter []gms.Expression // bound to the table's columns
	shown  []string         // the same, as the statement has it
	node   gms.Node
	id     gms.TableId    // by which fields know it
	names  map[string]int // the table's columns by the names that fields have; nil for its own
	cols   []int          // of the table: what is read
	uses   map[int]int    // and how often
	stray  bool           // some expression reads another table
	hint   views.Parts    // what the filter says of the key
	rows   string         // how many are read, for EXPLAIN
	kept   bool           // columns in memory are read, likewise
}

// accessOf returns the access to a view's relation that n is, or nil.
func accessOf(n gms.Node) *tableAccess {
	if a := anyAccess(n); a != nil && a.stream == nil {
		return a
	}
	return nil
}

// anyAccess returns the access to a view's relation or to a stream that n is, or
// nil.
func anyAccess(n gms.Node) *tableAccess {
	if scan := newStreamScan(n); scan != nil {
		return &tableAccess{stream: scan, node: scan, id: scan.Id()}
	}
	switch n := n.(type) {
	case *plan.Filter:
		a := anyAccess(n.Child)
		if a == nil {
			return nil
		}
		a.filter = append(a.filter, a.bind(n.Expression))
		a.shown = append(a.shown, n.Expression.String())
		return a
	case *plan.TableAlias:
		a := anyAccess(n.Child)
		if a != nil {
			a.id = n.Id()
		}
		return a
	case *plan.SubqueryAlias:
		if n.OuterScopeVisibility || n.IsLateral {
			return nil
		}
		return derivedAccess(n)
	case *plan.ResolvedTable:
		if t, ok := n.UnderlyingTable().(*viewTable); ok {
			return &tableAccess{table: t, node: n, id: n.Id()}
		}
	case *plan.IndexedTableAccess:
		t, ok := n.UnderlyingTable().(*viewTable)
		if !ok || !n.IsStatic() {
			return nil
		}
		if lookup, err := n.GetLookup(nil, nil); err == nil {
			return &tableAccess{table: t, lookup: &lookup, node: n, id: n.Id()}
		}
	}
	return nil
}

// kind is that of column i of the table.
func (a *tableAccess) kind(i int) column.Kind {
	if a.stream != nil {
		return a.stream.table.cols[i].Type.Kind
	}
	return a.table.cols[i].Type.Kind
}

// derivedAccess is the access of a derived table, or of a stored view, that
// does nothing but choose columns and rows.
func derivedAccess(n *plan.SubqueryAlias) *tableAccess {
	child, schema := n.Child, n.Schema()
	var exprs []gms.Expression
	if p, ok := child.(*plan.Project); ok {
		child, exprs = p.Child, p.Projections
	}
	a := anyAccess(child)
	if a == nil {
		return nil
	}
	names := map[string]int{}
	for i, c := range schema {
		at := -1
		if exprs == nil {
			at = a.column(child.Schema()[i].Name)
		} else if i < len(exprs) {
			e := exprs[i]
			if al, ok := e.(*expression.Alias); ok {
				e = al.Child
			}
			if f, ok := e.(*expression.GetField); ok && f.TableId() == a.id {
				at = a.column(f.Name())
			}
		}
		name := strings.ToLower(c.Name)
		if _, twice := names[name]; at < 0 || twice {
			return nil
		}
		names[name] = at
	}
	a.names, a.id = names, n.Id()
	return a
}

// column returns which column of the table a field with the name is, or -1.
func (a *tableAccess) column(name string) int {
	if a.names != nil {
		if i, ok := a.names[strings.ToLower(name)]; ok {
			return i
		}
		return -1
	}
	if a.stream != nil {
		return slices.IndexFunc(a.stream.table.cols, func(c views.ColumnDef) bool { return strings.EqualFold(c.Name, name) })
	}
	return slices.IndexFunc(a.table.cols, func(c views.LayerColumn) bool { return strings.EqualFold(c.Name, name) })
}

// bind gives the fields of e the indexes of the table's columns, which are
// known by name: the plan's own come later. It notes the columns as read, and a
// field of another table, as in a correlated sub-query, as stray.
func (a *tableAccess) bind(e gms.Expression) gms.Expression {
	out, _, _ := transform.Expr(e, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		f, ok := e.(*expression.GetField)
		if !ok {
			return e, transform.SameTree, nil
		}
		i := a.column(f.Name())
		if i < 0 || f.TableId() != a.id {
			a.stray = true
			return e, transform.SameTree, nil
		}
		if !slices.Contains(a.cols, i) {
			a.cols = append(a.cols, i)
		}
		if a.uses == nil {
			a.uses = map[int]int{}
		}
		a.uses[i]++
		return f.WithIndex(i), transform.NewTree, nil
	})
	return out
}

// condition compiles the filter; false where it has parts that only the engine
// can evaluate.
func (a *tableAccess) condition(k *kernelCompiler) (x column.Expr, ok bool) {
	for _, f := range a.filter {
		y := k.truth(f)
		if y == nil {
			return nil, false
		}
		if x != nil {
			y = &column.And{L: x, R: y}
		}
		x = y
	}
	if x != nil && a.stream == nil {
		a.hint = a.table.parts(x)
	}
	return x, !a.stray
}

// ranges are those that the access reads, in order.
func (a *tableAccess) ranges(ctx *gms.Context) ([]views.Range, error) {
	ranges := views.All
	if a.lookup != nil {
		var err error
		if ranges, err = keyRanges(ctx, *a.lookup, a.table.types); err != nil {
			return nil, err
		}
	}
	return within(ranges, a.table.hint, a.hint), nil
}

// newAggregate returns g as an aggregate, or nil where it must stay the
// engine's: when it reads something else, or computes what has no kernel.
func (s *Server) newAggregate(ctx *gms.Context, g *plan.GroupBy) *aggregate {
	access := anyAccess(g.Child)
	if access == nil || access.stream != nil && s.plainStreams.Load() {
		return nil
	}
	a := &aggregate{g: g, access: access}
	var k *kernelCompiler
	if access.stream != nil {
		k = s.streamKernels(ctx, access.stream.table)
	} else {
		k = s.tableKernels(ctx, access.table)
	}
	if k == nil {
		return nil
	}
	var ok bool
	if a.filter, ok = access.condition(k); !ok {
		return nil
	}
	for _, e := range g.GroupByExprs {
		x := k.part(access.bind(e))
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
	if access.stray {
		return nil
	}
	a.schema = slices.Clone(g.Schema())
	for i, e := range g.GroupByExprs {
		if al, ok := e.(*expression.Alias); ok && al.Id() != 0 {
			a.extra = append(a.extra, aliasedKey{key: i, alias: al})
			a.out = append(a.out, aggOutput{key: i, agg: -1, plain: -1, make: newValueMaker(al.Type())})
			a.schema = append(a.schema, &gms.Column{Name: al.Name(), Type: al.Type(), Nullable: al.IsNullable()})
		}
	}
	return a
}

// given are the keys that nodes above may take by the ids of their aliases.
func (a *aggregate) given() givenKeys {
	keys := givenKeys{}
	for _, x := range a.extra {
		keys[x.alias.Child.String()] = expression.NewGetField(int(x.alias.Id()), x.alias.Type(), x.alias.Name(), x.alias.IsNullable())
	}
	return keys
}

// tableKernels returns a compiler of expressions over all columns of t.
func (s *Server) tableKernels(ctx *gms.Context, t *viewTable) *kernelCompiler {
	types := make([]column.Type, len(t.cols))
	for i := range t.cols {
		types[i] = t.cols[i].Type
	}
	return s.queryKernels(ctx, types)
}

// queryKernels returns a compiler of a query's expressions over columns of the
// types; nil where the engine lacks one of them.
func (s *Server) queryKernels(ctx *gms.Context, types []column.Type) *kernelCompiler {
	k, err := s.compiler.kernels(types)
	if err != nil {
		return nil
	}
	k.query = true
	if zone, err := function.SessionTimeZone(ctx); err == nil && (zone == "+00:00" || strings.EqualFold(zone, "UTC")) {
		k.utc = true
	}
	return k
}

// selectExpr adds a selected expression; false when weir cannot compute it.
func (a *aggregate) selectExpr(k *kernelCompiler, e gms.Expression) bool {
	maker := newValueMaker(e.Type())
	if al, ok := e.(*expression.Alias); ok {
		return a.selectExpr(k, al.Child)
	}
	o := aggOutput{key: -1, agg: -1, plain: -1, make: maker}
	for i, g := range a.g.GroupByExprs {
		if g.String() == e.String() {
			o.key = i
			a.out = append(a.out, o)
			return true
		}
	}
	if f, ok := e.(*expression.GetField); ok && len(a.keys) > 0 {
		// A column that stands for its group, for what is computed of it above.
		if f = a.access.bind(f).(*expression.GetField); a.access.stray || a.access.kind(f.Index()) == column.JSON {
			return false
		}
		o.plain = len(a.plain)
		a.plain = append(a.plain, f.Index())
		a.out = append(a.out, o)
		return true
	}
	agg, ok := a.aggregateOf(k, e)
	if !ok {
		return false
	}
	o.agg = len(a.aggs)
	a.out = append(a.out, o)
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
	x := k.part(a.access.bind(arg))
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

func (a *aggregate) Resolved() bool       { return true }
func (a *aggregate) IsReadOnly() bool     { return true }
func (a *aggregate) Schema() gms.Schema   { return a.schema }
func (a *aggregate) Children() []gms.Node { return nil }

// ProjectedExprs implements gms.Projector.
func (a *aggregate) ProjectedExprs() []gms.Expression {
	exprs := slices.Clip(a.g.SelectedExprs)
	for _, x := range a.extra {
		exprs = append(exprs, x.alias)
	}
	return exprs
}

func (a *aggregate) WithChildren(children ...gms.Node) (gms.Node, error) {
	if len(children) != 0 {
		return nil, gms.ErrInvalidChildrenNumber.New(a, len(children), 0)
	}
	return a, nil
}

func (a *aggregate) String() string {
	pr := gms.NewTreePrinter()
	_ = pr.WriteNode("AggregatePartials")
	var children []string
	if how := a.shortcut(); how != "" {
		children = append(children, how)
	}
	children = append(children, "group by: "+exprList(a.g.GroupByExprs), "select: "+exprList(a.g.SelectedExprs))
	_ = pr.WriteChildren(append(children, a.access.describe()...)...)
	return pr.String()
}

func exprList(list []gms.Expression) string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = e.String()
	}
	return strings.Join(texts, ", ")
}

// RowIter implements gms.ExecSourceRel: it aggregates, and then yields the groups.
func (a *aggregate) RowIter(ctx *gms.Context, _ gms.Row) (gms.RowIter, error) {
	if row, ok, err := a.countOfLog(ctx); ok || err != nil {
		return gms.RowsToRowIter(row), err
	}
	if a.shortcut() != "" {
		row, err := a.ends(ctx)
		if err != nil {
			return nil, err
		}
		return gms.RowsToRowIter(row), nil
	}
	// Sums of sums nearly always fit in words; where one does not, all is read
	// again as what it is.
	r, err := a.aggregated(ctx, true)
	if errors.Is(err, views.ErrWide) {
		r, err = a.aggregated(ctx, false)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// pass is one over all rows.
func (a *aggregate) pass(narrow bool) *pass {
	p := &pass{access: a.access, filter: a.filter}
	if narrow {
		p.narrow = a.narrowable
	}
	return p
}

// aggregated reads all rows.
func (a *aggregate) aggregated(ctx *gms.Context, narrow bool) (*aggregateRows, error) {
	p := a.pass(narrow)
	p.open(ctx)
	specs := make([]partial.Spec, len(a.aggs))
	for i := range a.aggs {
		specs[i] = a.aggs[i].Spec
		if len(a.aggs[i].Args) == 1 && p.isNarrow(a.aggs[i].Args[0]) {
			specs[i].Arg.Kind = column.Dec
		}
	}
	t := partial.NewTable(specs)
	t.KeepKeys()
	if len(a.keys) == 0 {
		t.Group(partial.EmptyKey()) // without GROUP BY there is one row in any case
	}
	r := &aggregateRows{a: a, t: t}
	keys := make([]*column.Vector, len(a.keys))
	args := make([][]*column.Vector, len(a.aggs))
	room := newRoom(ctx)
	err := p.each(ctx, func(b *column.Batch) error {
		for i, k := range a.keys {
			keys[i] = k.Eval(b)
		}
		for i := range a.aggs {
			args[i] = args[i][:0]
			for _, arg := range a.aggs[i].Args {
				args[i] = append(args[i], arg.Eval(b))
			}
		}
		if err := p.memos.err(); err != nil {
			return err
		}
		t.Add(b.Sel, keys, args)
		r.keepFirst(b)
		return room.check(t.Len())
	})
	return r, err
}

// narrowable says whether column c of the table is read only as the argument of
// aggregates to which a decimal of 63 bits is as good as any.
func (a *aggregate) narrowable(c int) bool {
	bare := 0
	for i := range a.aggs {
		switch a.aggs[i].Spec.Func {
		case partial.Sum, partial.Avg, partial.Min, partial.Max, partial.Count:
			if col, ok := a.aggs[i].Args[0].(*column.Col); ok && col.Index == c {
				bare++
			}
		}
	}
	return bare == a.access.uses[c]
}

// shortcut says how the aggregate is had without a look at all rows, or "".
func (a *aggregate) shortcut() string {
	if a.access.stream != nil || len(a.keys) > 0 || a.filter != nil || len(a.aggs) == 0 || a.access.table.hint != nil {
		return ""
	}
	counts := false
	for i := range a.aggs {
		switch a.aggs[i].Spec.Func {
		case partial.CountAll:
			counts = true
		case partial.Min, partial.Max:
			if col, ok := a.aggs[i].Args[0].(*column.Col); !ok || a.access.table.cols[col.Index].Key != 0 {
				return ""
			}
		default:
			return ""
		}
	}
	if counts {
		return "by: the number of rows" + map[bool]string{true: " in the ranges"}[a.access.lookup != nil]
	}
	return "by: the ends of the key"
}

// ends is the only row of an aggregate that has a shortcut.
func (a *aggregate) ends(ctx *gms.Context) (gms.Row, error) {
	snap, err := readSet(ctx).Snapshot(a.access.table.view)
	if err != nil {
		return nil, err
	}
	ranges, err := a.access.ranges(ctx)
	if err != nil {
		return nil, err
	}
	row := make(gms.Row, len(a.out))
	for i, o := range a.out {
		agg := &a.aggs[o.agg]
		var v column.Value
		if agg.Spec.Func == partial.CountAll {
			var n uint64
			if a.access.lookup == nil {
				n, err = snap.Count(ctx, a.access.table.layer)
			} else {
				n, err = snap.CountRanges(ctx, a.access.table.layer, ranges, 0)
			}
			v = column.Value{Kind: column.Int, I: int64(n)}
		} else {
			v, err = a.end(ctx, snap, ranges, agg.Args[0].(*column.Col).Index, agg.Spec.Func == partial.Max)
		}
		if err != nil {
			return nil, err
		}
		row[i] = o.make.make(v)
	}
	return row, nil
}

// end is the least or the greatest value of the first part of the key. NULL is
// less than all values, and is the answer only where there are no others.
func (a *aggregate) end(ctx *gms.Context, snap *views.Snapshot, ranges []views.Range, col int, greatest bool) (column.Value, error) {
	if !greatest {
		ranges = within(ranges, views.Parts{{Lo: partial.AfterNull(nil)}}, nil)
	}
	if greatest {
		ranges = slices.Clone(ranges)
		slices.Reverse(ranges)
	}
	best := column.Null
	for _, r := range ranges {
		var b column.Batch
		c := snap.ScanLayout(a.access.table.layout([]int{col}, nil), []views.Range{r}, greatest)
		c.Heed(ctx)
		n, err := c.Fill(&b, 1)
		if err != nil {
			return best, err
		}
		if n == 0 || b.Cols[0].IsNull(0) {
			continue
		}
		v := b.Cols[0].Value(0).Clone()
		if c := 0; !best.IsNull() {
			if c = compareValues(v, best); (c < 0) == greatest {
				continue
			}
		}
		best = v
	}
	return best, nil
}

// aggregateRows are the groups of an aggregate.
type aggregateRows struct {
	a     *aggregate
	t     *partial.Table
	first [][]column.Value // by plain column and group
	next  int
}

// keepFirst keeps of each group that the last batch began the row that began it.
func (it *aggregateRows) keepFirst(b *column.Batch) {
	if len(it.a.plain) == 0 {
		return
	}
	if it.first == nil {
		it.first = make([][]column.Value, len(it.a.plain))
	}
	for k, g := range it.t.Groups() {
		if int(g) < len(it.first[0]) {
			continue
		}
		for p, c := range it.a.plain {
			it.first[p] = append(it.first[p], b.Cols[c].Value(int(b.Sel[k])))
		}
	}
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
		switch {
		case o.key >= 0:
			row[k] = o.make.make(keys[o.key])
		case o.plain >= 0:
			row[k] = o.make.make(it.first[o.plain][i])
		default:
			row[k] = o.make.make(it.t.States(o.agg).Value(i))
		}
	}
	return row, nil
}

// Close implements gms.RowIter.
func (it *aggregateRows) Close(*gms.Context) error { return nil }
