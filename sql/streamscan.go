package sql

import (
	"cmp"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/shopspring/decimal"

	"weir/sql/gmsx"
	"weir/views"
	"weir/views/column"
)

// A tableNode is the engine's access to a table: whole, or by an index.
type tableNode interface {
	plan.TableIdNode
	gms.TableNode
}

// A streamScan reads a stream in place of the engine's own access. Beyond the
// ranges of an index, it bounds the sequences by every condition that says
// something about them, evaluates conditions as kernels over whole batches, and
// reads from the end where that is the order.
//
// INVARIANT: bounds only spare reading. Each condition is held by a kernel, by
// the index or by a filter above as well.
type streamScan struct {
	tableNode // as the engine made it, for names, columns and index ranges

	table   *streamTable // with its projection
	lookup  *gms.IndexLookup
	bounds  []gms.Expression // conditions, as far as they bound sequences
	filters []gms.Expression // those that filter is
	filter  column.Expr      // nil is all
	reads   []int            // columns that filter reads
	ordered bool             // by sequence, for who reads this
	reverse bool             // the last event comes first
}

var _ gms.ExecSourceRel = (*streamScan)(nil)

// newStreamScan returns the scan that n, an access to a stream, is; or nil.
func newStreamScan(n gms.Node) *streamScan {
	switch n := n.(type) {
	case *streamScan:
		cp := *n
		return &cp
	case *plan.ResolvedTable:
		if t, ok := n.UnderlyingTable().(*streamTable); ok {
			return &streamScan{tableNode: n, table: t}
		}
	case *plan.IndexedTableAccess:
		// The table below has the projection; UnderlyingTable unwraps it too.
		t, ok := n.UnderlyingTable().(*streamTable)
		if !ok || !n.IsStatic() {
			return nil
		}
		lookup, err := n.GetLookup(nil, nil)
		if err != nil {
			return nil
		}
		return &streamScan{tableNode: n, table: t, lookup: &lookup, ordered: lookup.IsReverse, reverse: lookup.IsReverse}
	}
	return nil
}

// scanBelow returns the scan of a stream that n is, perhaps under an alias, and
// what puts another in its place. The id is that by which fields know it.
func scanBelow(n gms.Node) (s *streamScan, id gms.TableId, replace func(gms.Node) (gms.Node, error)) {
	if a, ok := n.(*plan.TableAlias); ok {
		if s = newStreamScan(a.Child); s == nil {
			return nil, 0, nil
		}
		return s, a.Id(), func(n gms.Node) (gms.Node, error) { return a.WithChildren(n) }
	}
	if s = newStreamScan(n); s == nil {
		return nil, 0, nil
	}
	return s, s.Id(), func(n gms.Node) (gms.Node, error) { return n, nil }
}

// pushStreams gives scans of streams the conditions and the orders above them.
func (s *Server) pushStreams(ctx *gms.Context, n gms.Node) (gms.Node, error) {
	if s.plainStreams.Load() {
		return n, nil
	}
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		var out gms.Node
		var err error
		switch n := n.(type) {
		case *plan.Filter:
			out, err = s.filterStream(ctx, n)
		case *plan.Sort:
			out, err = orderStream(n.SortFields, n.Child)
		case *plan.TopN:
			if n.CalcFoundRows {
				return n, transform.SameTree, nil
			}
			if out, err = orderStream(n.Fields, n.Child); out != nil {
				out = plan.NewLimit(n.Limit, out)
			}
		}
		if out == nil || err != nil {
			return n, transform.SameTree, err
		}
		return out, transform.NewTree, nil
	})
	return out, err
}

// filterStream moves the conditions of f that are kernels into the scan below,
// and tells it of the others; nil where there is no scan.
func (s *Server) filterStream(ctx *gms.Context, f *plan.Filter) (gms.Node, error) {
	scan, id, replace := scanBelow(f.Child)
	if scan == nil {
		return nil, nil
	}
	k := s.streamKernels(ctx, scan.table)
	if k == nil {
		return nil, nil
	}
	k.noMemo = true
	var kept []gms.Expression
	bounds := slices.Clip(scan.bounds)
	filters := slices.Clip(scan.filters)
	for _, cond := range expression.SplitConjunction(f.Expression) {
		bound, cols, ok := bindStream(cond, scan.table, id)
		if !ok {
			kept = append(kept, cond)
			continue
		}
		if mayBound(bound, scan.table) {
			bounds = append(bounds, bound)
		}
		x := k.truth(bound)
		if x == nil {
			kept = append(kept, cond)
			continue
		}
		for _, c := range cols {
			if !slices.Contains(scan.reads, c) {
				scan.reads = append(slices.Clip(scan.reads), c)
			}
		}
		if scan.filter != nil {
			x = &column.And{L: scan.filter, R: x}
		}
		scan.filter = x
		filters = append(filters, cond)
	}
	if len(bounds) == len(scan.bounds) && len(filters) == len(scan.filters) {
		return nil, nil
	}
	scan.bounds, scan.filters = bounds, filters
	out, err := replace(scan)
	if err != nil || len(kept) == 0 {
		return out, err
	}
	return plan.NewFilter(expression.JoinAnd(kept...), out), nil
}

// streamKernels returns a compiler of expressions over all columns of t.
func (s *Server) streamKernels(ctx *gms.Context, t *streamTable) *kernelCompiler {
	types := make([]column.Type, len(t.cols))
	for i := range t.cols {
		types[i] = t.cols[i].Type
	}
	return s.queryKernels(ctx, types)
}

// bindStream gives the fields of e the indexes of the stream's columns, and
// lists them; false where e reads another table.
func bindStream(e gms.Expression, t *streamTable, id gms.TableId) (bound gms.Expression, cols []int, ok bool) {
	ok = true
	bound, _, _ = transform.Expr(e, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		f, is := e.(*expression.GetField)
		if !is {
			return e, transform.SameTree, nil
		}
		i := slices.IndexFunc(t.cols, func(c views.ColumnDef) bool { return strings.EqualFold(c.Name, f.Name()) })
		if i < 0 || f.TableId() != id {
			ok = false
			return e, transform.SameTree, nil
		}
		if !slices.Contains(cols, i) {
			cols = append(cols, i)
		}
		return f.WithIndex(i), transform.NewTree, nil
	})
	return bound, cols, ok
}

// orderStream makes the scan below, through projections and filters, read in
// the order of the fields, where that is the order of the log or its reverse.
// It returns what is below the sort then, and nil otherwise.
func orderStream(fields gms.SortFields, child gms.Node) (gms.Node, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	exprs := make([]gms.Expression, len(fields))
	reverse := fields[0].Order == gms.Descending
	for i, f := range fields {
		if f.Order != fields[0].Order {
			return nil, nil
		}
		exprs[i] = f.Column
	}
	return orderBelow(child, exprs, reverse)
}

func orderBelow(n gms.Node, by []gms.Expression, reverse bool) (gms.Node, error) {
	switch n := n.(type) {
	case *plan.Filter:
		below, err := orderBelow(n.Child, by, reverse)
		if below == nil || err != nil {
			return nil, err
		}
		return n.WithChildren(below)
	case *plan.Project:
		inner := make([]gms.Expression, len(by))
		for i, e := range by {
			ie, ok := e.(gms.IdExpression)
			if !ok {
				return nil, nil
			}
			at := slices.IndexFunc(n.Projections, func(p gms.Expression) bool {
				pe, ok := p.(gms.IdExpression)
				return ok && pe.Id() == ie.Id()
			})
			if at < 0 {
				return nil, nil
			}
			inner[i] = n.Projections[at]
			if a, ok := inner[i].(*expression.Alias); ok {
				inner[i] = a.Child
			}
		}
		below, err := orderBelow(n.Child, inner, reverse)
		if below == nil || err != nil {
			return nil, err
		}
		return n.WithChildren(below)
	}
	scan, id, replace := scanBelow(n)
	if scan == nil || scan.ordered && scan.reverse != reverse {
		return nil, nil
	}
	if scan.lookup != nil && scan.lookup.Ranges.Len() > 1 {
		return nil, nil // ranges come as the engine lists them
	}
	for _, e := range by {
		f, ok := e.(*expression.GetField)
		if !ok || f.TableId() != id {
			return nil, nil
		}
		// The log receives its events in the order of their sequences.
		name := strings.ToLower(f.Name())
		if name != scan.table.cols[scan.table.extra(views.ExtraSeq)].Name && name != scan.table.cols[scan.table.extra(views.ExtraTime)].Name {
			return nil, nil
		}
		if name == scan.table.cols[scan.table.extra(views.ExtraSeq)].Name {
			break // which no two events share
		}
	}
	scan.ordered, scan.reverse = true, reverse
	return replace(scan)
}

// Children implements gms.Node: the engine's access is not one of them.
func (s *streamScan) Children() []gms.Node { return nil }

// WithChildren implements gms.Node.
func (s *streamScan) WithChildren(children ...gms.Node) (gms.Node, error) {
	if len(children) != 0 {
		return nil, gms.ErrInvalidChildrenNumber.New(s, len(children), 0)
	}
	return s, nil
}

// WithId implements plan.TableIdNode.
func (s *streamScan) WithId(id gms.TableId) plan.TableIdNode {
	cp := *s
	if n, ok := s.tableNode.WithId(id).(tableNode); ok {
		cp.tableNode = n
	}
	return &cp
}

// WithColumns implements plan.TableIdNode.
func (s *streamScan) WithColumns(cols gms.ColSet) plan.TableIdNode {
	cp := *s
	if n, ok := s.tableNode.WithColumns(cols).(tableNode); ok {
		cp.tableNode = n
	}
	return &cp
}

// describe says in a line how the scan reads less than all, "" if it does not.
func (s *streamScan) describe() string {
	var parts []string
	if s.lookup != nil {
		parts = append(parts, "Using index condition: "+s.lookup.Ranges.DebugString())
	}
	if len(s.bounds) > 0 {
		parts = append(parts, "Sequences bounded by: "+exprList(s.bounds))
	}
	if len(s.filters) > 0 {
		parts = append(parts, "Kernels: "+exprList(s.filters))
	}
	if s.reverse {
		parts = append(parts, "Backwards")
	}
	return strings.Join(parts, "; ")
}

func (s *streamScan) String() string {
	pr := gms.NewTreePrinter()
	_ = pr.WriteNode("ReadLog(%s)", s.Name())
	var children []string
	if s.lookup != nil {
		children = append(children, "index: "+s.lookup.Index.ID()+" "+s.lookup.Ranges.DebugString())
	}
	if len(s.bounds) > 0 {
		children = append(children, "bounds: "+exprList(s.bounds))
	}
	if len(s.filters) > 0 {
		children = append(children, "kernels: "+exprList(s.filters))
	}
	if s.reverse {
		children = append(children, "reverse: true")
	}
	names := s.table.Projections()
	if names == nil {
		for _, c := range s.table.schema {
			names = append(names, c.Name)
		}
	}
	_ = pr.WriteChildren(append(children, "columns: ["+strings.Join(names, " ")+"]")...)
	return pr.String()
}

// ranges are the sequences that the scan reads, in the order of reading.
func (s *streamScan) ranges(ctx *gms.Context) (parts []seqPartition, err error) {
	if s.lookup == nil {
		st, err := s.table.stream.Log().State(ctx)
		if err != nil {
			return nil, err
		}
		parts = []seqPartition{{until: st.Last}}
	} else if parts, err = s.table.lookupRanges(ctx, *s.lookup); err != nil {
		return nil, err
	}
	if len(s.bounds) > 0 {
		after, until, err := s.limits(ctx)
		if err != nil {
			return nil, err
		}
		for i := range parts {
			parts[i].after, parts[i].until = max(parts[i].after, after), min(parts[i].until, until)
		}
	}
	return slices.DeleteFunc(parts, func(p seqPartition) bool { return p.after >= p.until }), nil
}

// limits are the sequences (after, until] outside which a condition is not true.
func (s *streamScan) limits(ctx *gms.Context) (after, until uint64, err error) {
	b := everything
	for _, e := range s.bounds {
		b = b.and(s.boundsOf(ctx, e))
	}
	if b.empty() {
		return 0, 0, nil
	}
	until = math.MaxUint64
	if b.seq.lo > 0 {
		after = uint64(b.seq.lo) - 1
	}
	if b.seq.hi < math.MaxInt64 {
		until = uint64(max(b.seq.hi, 0))
	}
	const most = math.MaxInt64/1000 - 1
	if b.time.lo > -most {
		at, err := s.table.stream.SeqAt(ctx, min(b.time.lo, most)*1000)
		if err != nil {
			return 0, 0, err
		}
		after = max(after, at)
	}
	if b.time.hi < most {
		at, err := s.table.stream.SeqAt(ctx, (max(b.time.hi, -most)+1)*1000)
		if err != nil {
			return 0, 0, err
		}
		until = min(until, at)
	}
	return after, until, nil
}

// RowIter implements gms.ExecSourceRel.
func (s *streamScan) RowIter(ctx *gms.Context, _ gms.Row) (gms.RowIter, error) {
	parts, err := s.ranges(ctx)
	if err != nil {
		return nil, err
	}
	return &scanRows{s: s, parts: parts}, nil
}

// open returns the rows of one range.
func (s *streamScan) open(ctx *gms.Context, p seqPartition) gms.RowIter {
	p.filter, p.reads = s.filter, s.reads
	if s.reverse {
		return &backwardRows{t: s.table, p: p, size: backwardsFirst}
	}
	return s.table.rows(ctx, p)
}

// scanRows are the rows of a scan, one range after the other.
type scanRows struct {
	s     *streamScan
	parts []seqPartition
	rows  gms.RowIter
}

// Next implements gms.RowIter.
func (it *scanRows) Next(ctx *gms.Context) (gms.Row, error) {
	for {
		if it.rows == nil {
			if len(it.parts) == 0 {
				return nil, io.EOF
			}
			it.rows, it.parts = it.s.open(ctx, it.parts[0]), it.parts[1:]
		}
		row, err := it.rows.Next(ctx)
		if err != io.EOF { //nolint:errorlint // our own iterators return it bare
			return row, err
		}
		if err := it.Close(ctx); err != nil {
			return nil, err
		}
	}
}

// Close implements gms.RowIter.
func (it *scanRows) Close(ctx *gms.Context) error {
	if it.rows == nil {
		return nil
	}
	rows := it.rows
	it.rows = nil
	return rows.Close(ctx)
}

// An extent is all values from lo to hi, both inside; empty when lo > hi.
type extent struct{ lo, hi int64 }

var allValues = extent{math.MinInt64, math.MaxInt64}

func (x extent) and(y extent) extent { return extent{max(x.lo, y.lo), min(x.hi, y.hi)} }

// A logBound is where in the log a condition may be true: sequences, and the
// times at which the log received the events, in microseconds.
type logBound struct{ seq, time extent }

var (
	everything = logBound{allValues, allValues}
	nothing    = logBound{extent{1, 0}, extent{1, 0}}
)

func (b logBound) empty() bool { return b.seq.lo > b.seq.hi || b.time.lo > b.time.hi }

func (b logBound) and(c logBound) logBound { return logBound{b.seq.and(c.seq), b.time.and(c.time)} }

// or is what holds both.
func (b logBound) or(c logBound) logBound {
	switch {
	case b.empty():
		return c
	case c.empty():
		return b
	}
	hull := func(x, y extent) extent { return extent{min(x.lo, y.lo), max(x.hi, y.hi)} }
	return logBound{hull(b.seq, c.seq), hull(b.time, c.time)}
}

// mayBound says whether a condition may bound sequences: whether a comparison
// of _seq or _time with a constant must hold, or one of several.
func mayBound(e gms.Expression, t *streamTable) bool {
	compares := func(l gms.Expression, rs ...gms.Expression) bool {
		f, ok := l.(*expression.GetField)
		if !ok && len(rs) == 1 {
			f, ok = rs[0].(*expression.GetField)
			rs = []gms.Expression{l}
		}
		return ok && (f.Index() == t.extra(views.ExtraSeq) || f.Index() == t.extra(views.ExtraTime)) &&
			!slices.ContainsFunc(rs, func(e gms.Expression) bool { return !constant(e) })
	}
	switch e := e.(type) {
	case *expression.And:
		return mayBound(e.LeftChild, t) || mayBound(e.RightChild, t)
	case *expression.Or:
		return mayBound(e.LeftChild, t) && mayBound(e.RightChild, t)
	case *expression.Between:
		return compares(e.Val, e.Lower, e.Upper)
	case *expression.Equals, *expression.NullSafeEquals, *expression.LessThan, *expression.LessThanOrEqual,
		*expression.GreaterThan, *expression.GreaterThanOrEqual:
		c := e.Children()
		return compares(c[0], c[1])
	case *expression.InTuple:
		list, ok := e.Right().(expression.Tuple)
		return ok && compares(e.Left(), list...)
	case *expression.HashInTuple:
		list, ok := e.Right().(expression.Tuple)
		return ok && compares(e.Left(), list...)
	}
	return false
}

// boundsOf is where e, a condition with the stream's columns bound, may be true.
func (s *streamScan) boundsOf(ctx *gms.Context, e gms.Expression) logBound {
	switch e := e.(type) {
	case *expression.And:
		return s.boundsOf(ctx, e.LeftChild).and(s.boundsOf(ctx, e.RightChild))
	case *expression.Or:
		return s.boundsOf(ctx, e.LeftChild).or(s.boundsOf(ctx, e.RightChild))
	case *expression.Between:
		return s.compare(ctx, e.Val, column.Ge, e.Lower).and(s.compare(ctx, e.Val, column.Le, e.Upper))
	case *expression.Equals:
		return s.compare(ctx, e.Left(), column.Eq, e.Right())
	case *expression.NullSafeEquals:
		return s.compare(ctx, e.Left(), column.Eq, e.Right())
	case *expression.LessThan:
		return s.compare(ctx, e.Left(), column.Lt, e.Right())
	case *expression.LessThanOrEqual:
		return s.compare(ctx, e.Left(), column.Le, e.Right())
	case *expression.GreaterThan:
		return s.compare(ctx, e.Left(), column.Gt, e.Right())
	case *expression.GreaterThanOrEqual:
		return s.compare(ctx, e.Left(), column.Ge, e.Right())
	case *expression.InTuple:
		return s.in(ctx, e.Left(), e.Right())
	case *expression.HashInTuple:
		return s.in(ctx, e.Left(), e.Right())
	}
	return everything
}

func (s *streamScan) in(ctx *gms.Context, left, right gms.Expression) logBound {
	list, ok := right.(expression.Tuple)
	if !ok {
		return everything
	}
	b := nothing
	for _, e := range list {
		b = b.or(s.compare(ctx, left, column.Eq, e))
	}
	return b
}

// mirrored are the comparisons with their sides exchanged.
var mirrored = map[column.Op]column.Op{column.Eq: column.Eq, column.Lt: column.Gt, column.Le: column.Ge, column.Gt: column.Lt, column.Ge: column.Le}

func (s *streamScan) compare(ctx *gms.Context, l gms.Expression, op column.Op, r gms.Expression) logBound {
	f, ok := l.(*expression.GetField)
	if !ok {
		if f, ok = r.(*expression.GetField); !ok {
			return everything
		}
		op, r = mirrored[op], l
	}
	if !constant(r) {
		return everything
	}
	v, err := r.Eval(ctx, nil)
	if err != nil {
		return everything // the condition fails where it is evaluated
	}
	if v == nil {
		return nothing
	}
	var lo, hi int64 // v, rounded down and up
	b := everything
	at := &b.seq
	switch f.Index() {
	case s.table.extra(views.ExtraSeq):
		lo, hi, ok = aroundNumber(v)
	case s.table.extra(views.ExtraTime):
		at = &b.time
		lo, hi, ok = aroundTime(v)
	default:
		ok = false
	}
	if !ok {
		return everything
	}
	*at = allValues.beside(op, lo, hi)
	return b
}

// beside is the part of x that stands in the relation op to a value between lo
// and hi, which are at most 1 apart.
func (x extent) beside(op column.Op, lo, hi int64) extent {
	switch op {
	case column.Eq:
		return extent{hi, lo}
	case column.Ge:
		x.lo = hi
	case column.Gt:
		if lo == math.MaxInt64 {
			return extent{1, 0}
		}
		x.lo = lo + 1
	case column.Le:
		x.hi = lo
	case column.Lt:
		if hi == math.MinInt64 {
			return extent{1, 0}
		}
		x.hi = hi - 1
	}
	return x
}

// constant says whether e has one value in the whole statement, and one that
// may be computed before it.
func constant(e gms.Expression) bool {
	ok := true
	gms.Inspect(e, func(e gms.Expression) bool {
		switch e := e.(type) {
		case nil:
		case *expression.Literal, *expression.UserVar:
		case *expression.Arithmetic, *expression.UnaryMinus:
		case gms.NonDeterministicExpression:
			ok = ok && !e.IsNonDeterministic()
		default:
			ok = false
		}
		return ok
	})
	return ok
}

// aroundNumber returns the integers below and above a number, or the number.
func aroundNumber(v any) (lo, hi int64, ok bool) {
	switch n := v.(type) {
	case uint64:
		if n > math.MaxInt64 {
			return math.MaxInt64, math.MaxInt64, true // above every sequence
		}
	case float32:
		return aroundNumber(float64(n))
	case float64:
		if !(math.Abs(n) < 1<<53) {
			return 0, 0, false
		}
		return int64(math.Floor(n)), int64(math.Ceil(n)), true
	case decimal.Decimal:
		if n.Abs().Cmp(decimal.New(1, 18)) >= 0 {
			return 0, 0, false
		}
		return n.Floor().IntPart(), n.Ceil().IntPart(), true
	}
	i, ok := gmsx.Integer(v)
	return i, i, ok
}

// aroundTime returns the microseconds below and above a time, or the time.
func aroundTime(v any) (lo, hi int64, ok bool) {
	t, ok := v.(time.Time)
	if !ok || cmp.Compare(t.Year(), 0) < 0 || t.Year() > 9999 {
		return 0, 0, false
	}
	lo = t.UnixMicro()
	hi = lo
	if t.Nanosecond()%1000 != 0 {
		hi++
	}
	return lo, hi, true
}
