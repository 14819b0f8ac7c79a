package sql

import (
	"bytes"
	"cmp"
	"container/heap"
	"errors"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"

	"weir/sql/gmsx"
	"weir/views"
	"weir/views/column"
	"weir/views/partial"
)

// hint gives the scan below a filter what the filter says of the key, so that
// it seeks the rows that may do; the filter stays. It returns nil where there
// is nothing to say.
func (s *Server) hint(ctx *gms.Context, f *plan.Filter) gms.Node {
	access := accessOf(f)
	if access == nil || access.names != nil || access.table.hint != nil {
		return nil
	}
	k := s.tableKernels(ctx, access.table)
	if k == nil {
		return nil
	}
	var parts views.Parts
	var said []string
	for _, cond := range access.filter {
		for _, c := range expression.SplitConjunction(cond) {
			x := k.truth(c)
			if x == nil {
				continue
			}
			if p := access.table.parts(x); p != nil {
				parts, said = both(parts, p), append(said, c.String())
			}
		}
	}
	if parts == nil || access.stray {
		return nil
	}
	out, err := changeAccess(f, func(n gms.Node) (gms.Node, error) { return withHint(ctx, n, parts, strings.Join(said, " AND ")) })
	if err != nil {
		return nil
	}
	return out
}

// changeAccess replaces the access at the end of a chain of nodes.
func changeAccess(n gms.Node, f func(gms.Node) (gms.Node, error)) (gms.Node, error) {
	switch n.(type) {
	case *plan.Filter, *plan.TableAlias, *plan.Project:
		child, err := changeAccess(n.Children()[0], f)
		if err != nil {
			return nil, err
		}
		return n.WithChildren(child)
	}
	return f(n)
}

var errNotOurs = errors.New("not an access to a view")

// withHint is an access whose table has a hint.
func withHint(ctx *gms.Context, n gms.Node, parts views.Parts, said string) (gms.Node, error) {
	hinted := func(t gms.Table) (gms.Table, error) {
		v, ok := t.(*viewTable)
		if !ok {
			return nil, errNotOurs
		}
		cp := *v
		cp.hint, cp.hinted = parts, said
		return &cp, nil
	}
	switch n := n.(type) {
	case *plan.ResolvedTable:
		t, err := hinted(n.UnderlyingTable())
		if err != nil {
			return nil, err
		}
		return n.WithTable(t)
	case *plan.IndexedTableAccess:
		r, ok := n.TableNode.(*plan.ResolvedTable)
		if !ok || !n.IsStatic() {
			return nil, errNotOurs
		}
		t, err := hinted(r.UnderlyingTable())
		if err != nil {
			return nil, err
		}
		of, err := r.WithTable(t)
		if err != nil {
			return nil, err
		}
		lookup, err := n.GetLookup(ctx, nil)
		if err != nil {
			return nil, err
		}
		tn, ok := of.(gms.TableNode)
		if !ok {
			return nil, errNotOurs
		}
		return plan.NewStaticIndexedAccessForTableNode(ctx, tn, lookup)
	}
	return nil, errNotOurs
}

// A sortColumn is a column of a table that is sorted by.
type sortColumn struct {
	col  int
	desc bool
}

// sortColumns are the columns of the access below n that the fields are, or
// false if one is something else.
func sortColumns(fields gms.SortFields, n gms.Node) (cols []sortColumn, access *tableAccess, ok bool) {
	access = accessOf(belowProjects(n))
	if access == nil || access.names != nil {
		return nil, nil, false
	}
	for _, f := range fields {
		gf, ok := fieldBelow(f.Column, n)
		if !ok || gf.TableId() != access.id {
			return nil, nil, false
		}
		c := access.column(gf.Name())
		if c < 0 {
			return nil, nil, false
		}
		cols = append(cols, sortColumn{col: c, desc: f.Order == gms.Descending})
	}
	return cols, access, len(cols) > 0
}

func belowProjects(n gms.Node) gms.Node {
	for {
		p, ok := n.(*plan.Project)
		if !ok {
			return n
		}
		n = p.Child
	}
}

// fieldBelow returns the table's column that e is below the projections at n.
func fieldBelow(e gms.Expression, n gms.Node) (*expression.GetField, bool) {
	for {
		if a, ok := e.(*expression.Alias); ok {
			e = a.Child
		}
		f, ok := e.(*expression.GetField)
		if !ok {
			return nil, false
		}
		p, ok := n.(*plan.Project)
		if !ok {
			return f, true
		}
		at := slices.IndexFunc(p.Projections, func(x gms.Expression) bool {
			ie, ok := x.(gms.IdExpression)
			return ok && ie.Id() == f.Id()
		})
		if at < 0 {
			return nil, false
		}
		e, n = p.Projections[at], p.Child
	}
}

// inKeyOrder returns n as a plan that gives its rows in the order of fields by
// itself, or nil. The key gives it behind parts that are bound to one value.
func (s *Server) inKeyOrder(ctx *gms.Context, fields gms.SortFields, n gms.Node) gms.Node {
	cols, access, ok := sortColumns(fields, n)
	if !ok || len(access.table.keys) == 0 {
		return nil
	}
	t := access.table
	var lookup gms.IndexLookup
	var err error
	fixed := 0
	if access.lookup != nil {
		lookup = *access.lookup
		ranges, err := keyRanges(ctx, lookup, t.types)
		if err != nil || overlap(ranges) {
			return nil
		}
		fixed = fixedParts(ctx, lookup, t.types)
	} else if lookup, err = gms.NewMySQLIndexBuilder(t.indexes[0]).Build(ctx); err != nil {
		return nil
	}
	desc, known := false, false
	next := 0 // part of the key that comes next
	for _, c := range cols {
		k := t.cols[c.col].Key
		switch {
		case k < 0:
			return nil
		case k < fixed || k < next:
			continue // has one value here
		}
		for next < fixed {
			next++
		}
		if k != next || known && c.desc != desc {
			return nil
		}
		desc, known, next = c.desc, true, next+1
	}
	list, ok := lookup.Ranges.(gms.MySQLRangeCollection)
	if !ok {
		return nil
	}
	lookup = gms.NewIndexLookup(lookup.Index, list, lookup.IsPointLookup, lookup.IsEmptyRange, false, desc)
	out, err := changeAccess(n, func(leaf gms.Node) (gms.Node, error) {
		var of gms.TableNode
		switch leaf := leaf.(type) {
		case *plan.ResolvedTable:
			of = leaf
		case *plan.IndexedTableAccess:
			of = leaf.TableNode
		default:
			return nil, errNotOurs
		}
		return plan.NewStaticIndexedAccessForTableNode(ctx, of, lookup)
	})
	if err != nil {
		return nil
	}
	return out
}

// fixedParts is how many parts at the front of the key have one value in all
// ranges of a lookup.
func fixedParts(ctx *gms.Context, lookup gms.IndexLookup, types []keyType) (n int) {
	list, ok := lookup.Ranges.(gms.MySQLRangeCollection)
	if !ok || len(list) == 0 {
		return 0
	}
	for ; n < len(types); n++ {
		var of []byte
		for i, r := range list {
			v, ok := equality(ctx, r[n], types[n])
			if !ok {
				return n
			}
			at := partial.AppendKey(nil, v)
			if i > 0 && !bytes.Equal(at, of) {
				return n
			}
			of = at
		}
	}
	return n
}

// rowsMost bounds the rows that are kept of a pass for the first of them.
const rowsMost = 10_000

// firstRows returns ORDER BY … LIMIT with what is below it as a plan that keeps
// no more rows than it returns, or nil. The engine looks for that only where
// the two stand side by side.
func (s *Server) firstRows(ctx *gms.Context, l *plan.Limit) gms.Node {
	most, ok := rowNumber(ctx, l.Limit)
	if !ok || l.CalcFoundRows {
		return nil
	}
	above := []gms.Node{l}
	n := l.Child
	if o, ok := n.(*plan.Offset); ok {
		skip, ok := rowNumber(ctx, o.Offset)
		if !ok {
			return nil
		}
		most += skip
		above, n = append(above, o), o.Child
	}
	for {
		p, ok := n.(*plan.Project)
		if !ok {
			break
		}
		above, n = append(above, p), p.Child
	}
	var fields gms.SortFields
	var out gms.Node
	switch t := n.(type) {
	case *plan.Sort:
		fields, n = t.SortFields, t.Child
		out = plan.NewTopN(fields, expression.NewLiteral(most, types.Int64), n)
	case *plan.TopN:
		if t.CalcFoundRows {
			return nil
		}
		fields, n = t.Fields, t.Child
	default:
		return nil
	}
	if top := s.top(ctx, fields, n, most); top != nil {
		out = top
	}
	if out == nil || most > rowsMost {
		return nil
	}
	for _, n := range slices.Backward(above) {
		var err error
		if out, err = n.WithChildren(out); err != nil {
			return nil
		}
	}
	return out
}

// rowNumber is a constant of LIMIT or OFFSET.
func rowNumber(ctx *gms.Context, e gms.Expression) (int64, bool) {
	if _, ok := e.(*expression.Literal); !ok {
		return 0, false
	}
	v, err := e.Eval(ctx, nil)
	if err != nil {
		return 0, false
	}
	n, ok := gmsx.Integer(v)
	return n, ok && n >= 0 && n <= rowsMost
}

// top returns the first rows of n in the order of fields as one pass over the
// rows in vectors, or nil.
func (s *Server) top(ctx *gms.Context, fields gms.SortFields, n gms.Node, most int64) gms.Node {
	cols, _, ok := sortColumns(fields, n)
	if !ok || most > rowsMost {
		return nil
	}
	out, err := replaceAccess(n, func(leaf gms.Node) (gms.Node, error) {
		access := accessOf(leaf)
		if access == nil {
			return nil, errNotOurs
		}
		k := s.tableKernels(ctx, access.table)
		if k == nil {
			return nil, errNotOurs
		}
		t := &topRows{access: access, by: cols, most: int(most), schema: leaf.Schema(), leaf: leaf}
		if t.filter, ok = access.condition(k); !ok {
			return nil, errNotOurs
		}
		for _, c := range t.schema {
			at := access.column(c.Name)
			if at < 0 {
				return nil, errNotOurs
			}
			t.shown = append(t.shown, at)
			if !slices.Contains(access.cols, at) {
				access.cols = append(access.cols, at)
			}
		}
		for _, c := range cols {
			if kind := access.table.cols[c.col].Type.Kind; kind == column.JSON {
				return nil, errNotOurs
			}
			if !slices.Contains(access.cols, c.col) {
				access.cols = append(access.cols, c.col)
			}
		}
		return t, nil
	})
	if err != nil {
		return nil
	}
	return out
}

// replaceAccess replaces the filters and the access below projections.
func replaceAccess(n gms.Node, f func(gms.Node) (gms.Node, error)) (gms.Node, error) {
	if p, ok := n.(*plan.Project); ok {
		child, err := replaceAccess(p.Child, f)
		if err != nil {
			return nil, err
		}
		return p.WithChildren(child)
	}
	return f(n)
}

// topRows are the first rows of an access in an order that no index gives.
type topRows struct {
	access *tableAccess
	filter column.Expr
	by     []sortColumn
	most   int
	schema gms.Schema
	shown  []int    // the table's columns that rows have
	leaf   gms.Node // what it stands for
}

var (
	_ gms.ExecSourceRel = (*topRows)(nil)
	_ gms.Projector     = (*topRows)(nil)
)

func (t *topRows) Resolved() bool       { return true }
func (t *topRows) IsReadOnly() bool     { return true }
func (t *topRows) Schema() gms.Schema   { return t.schema }
func (t *topRows) Children() []gms.Node { return nil }

func (t *topRows) WithChildren(children ...gms.Node) (gms.Node, error) {
	if len(children) != 0 {
		return nil, gms.ErrInvalidChildrenNumber.New(t, len(children), 0)
	}
	return t, nil
}

// ProjectedExprs implements gms.Projector: the columns by the ids that they
// have in the plan.
func (t *topRows) ProjectedExprs() []gms.Expression {
	ids := columnIDs(t.leaf)
	exprs := make([]gms.Expression, len(t.schema))
	for i, c := range t.schema {
		exprs[i] = expression.NewGetFieldWithTable(int(ids(t.shown[i])), int(t.access.id), c.Type, c.DatabaseSource, c.Source, c.Name, c.Nullable)
	}
	return exprs
}

// columnIDs returns the ids of the columns of an access, by their place in the
// whole table.
func columnIDs(n gms.Node) func(col int) gms.ColumnId {
	for {
		switch t := n.(type) {
		case *plan.Filter:
			n = t.Child
			continue
		case *plan.TableAlias:
			// An alias has the ids of the table below.
			n = t.Child
			continue
		}
		break
	}
	first := gms.ColumnId(0)
	if t, ok := n.(plan.TableIdNode); ok {
		first, _ = t.Columns().Next(1)
	}
	return func(col int) gms.ColumnId { return first + gms.ColumnId(col) }
}

func (t *topRows) String() string {
	pr := gms.NewTreePrinter()
	by := make([]string, len(t.by))
	for i, c := range t.by {
		by[i] = t.access.table.cols[c.col].Name
		if c.desc {
			by[i] += " DESC"
		}
	}
	_ = pr.WriteNode("FirstRows(%d by %s)", t.most, strings.Join(by, ", "))
	_ = pr.WriteChildren(t.access.describe()...)
	return pr.String()
}

// RowIter implements gms.ExecSourceRel: it passes over all rows, and then
// yields the first.
func (t *topRows) RowIter(ctx *gms.Context, _ gms.Row) (gms.RowIter, error) {
	rows, err := t.rows(ctx, true)
	if errors.Is(err, views.ErrWide) {
		rows, err = t.rows(ctx, false)
	}
	if err != nil {
		return nil, err
	}
	return gms.RowsToRowIter(rows...), nil
}

// A topRow is a row that may be among the first.
type topRow struct {
	by    []column.Value
	shown []column.Value
	place int64 // in the order of the key, which decides between equals
}

// topHeap has the last of the rows in front.
type topHeap struct {
	rows []topRow
	by   []sortColumn
}

func (h *topHeap) Len() int           { return len(h.rows) }
func (h *topHeap) Less(i, j int) bool { return h.compare(&h.rows[i], &h.rows[j]) > 0 }
func (h *topHeap) Swap(i, j int)      { h.rows[i], h.rows[j] = h.rows[j], h.rows[i] }
func (h *topHeap) Push(x any)         { h.rows = append(h.rows, x.(topRow)) }

func (h *topHeap) Pop() any {
	last := h.rows[len(h.rows)-1]
	h.rows = h.rows[:len(h.rows)-1]
	return last
}

func (h *topHeap) compare(a, b *topRow) int {
	for i, by := range h.by {
		if c := compareNulls(a.by[i], b.by[i]); c != 0 {
			if by.desc {
				return -c
			}
			return c
		}
	}
	return cmp.Compare(a.place, b.place)
}

// compareNulls compares values of one kind, of which NULL is the least.
func compareNulls(a, b column.Value) int {
	switch {
	case a.IsNull() && b.IsNull():
		return 0
	case a.IsNull():
		return -1
	case b.IsNull():
		return 1
	}
	return compareValues(a, b)
}

// pass is one over all rows.
func (t *topRows) pass(narrow bool) *pass {
	p := &pass{access: t.access, filter: t.filter}
	if narrow {
		p.narrow = func(c int) bool { return t.access.uses[c] == 0 } // those that a filter reads are of their own kind
	}
	return p
}

// rows passes over all rows.
func (t *topRows) rows(ctx *gms.Context, narrow bool) ([]gms.Row, error) {
	p := t.pass(narrow)
	p.open(ctx)
	h := &topHeap{by: t.by}
	err := p.each(ctx, func(b *column.Batch) error {
		rows := b.Sel
		if t.most == 0 {
			return nil
		}
		if len(h.rows) == t.most {
			rows = t.notBehind(b, &h.rows[0])
		}
		for _, i := range rows {
			place := p.rows.Place(int(i))
			if len(h.rows) == t.most && !t.before(b, int(i), place, &h.rows[0]) {
				continue
			}
			r := topRow{place: place, by: make([]column.Value, len(t.by)), shown: make([]column.Value, len(t.shown))}
			for k, c := range t.by {
				r.by[k] = b.Cols[c.col].Value(int(i)).Clone()
			}
			for k, c := range t.shown {
				r.shown[k] = b.Cols[c].Value(int(i)).Clone()
			}
			if len(h.rows) < t.most {
				heap.Push(h, r)
			} else {
				h.rows[0] = r
				heap.Fix(h, 0)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(h.rows, func(a, b topRow) int { return h.compare(&a, &b) })
	rows := make([]gms.Row, len(h.rows))
	for i := range rows {
		rows[i] = make(gms.Row, len(t.shown))
		for k, c := range t.shown {
			rows[i][k] = t.access.table.makers[c].make(h.rows[i].shown[k])
		}
	}
	return rows, nil
}

// before says whether row i comes before the last that is kept.
func (t *topRows) before(b *column.Batch, i int, place int64, last *topRow) bool {
	for k, by := range t.by {
		c := compareNulls(b.Cols[by.col].Value(i), last.by[k])
		if by.desc {
			c = -c
		}
		if c != 0 {
			return c < 0
		}
	}
	return place < last.place
}

// notBehind leaves of the rows of a batch, in place, those whose first column
// does not put them behind the last that is kept: few, once some were seen.
func (t *topRows) notBehind(b *column.Batch, last *topRow) []uint32 {
	v, than := b.Cols[t.by[0].col], last.by[0]
	if v.Null != nil || than.IsNull() {
		return b.Sel
	}
	switch desc := t.by[0].desc; v.Kind {
	case column.Int, column.Time, column.Dec:
		return notBehind(b.Sel, v.I, than.I, desc)
	case column.Float:
		return notBehind(b.Sel, v.F, than.F, desc)
	default:
		return b.Sel
	}
}

func notBehind[T int64 | float64](rows []uint32, x []T, than T, desc bool) []uint32 {
	kept := rows[:0]
	for _, i := range rows {
		if desc && x[i] >= than || !desc && x[i] <= than {
			kept = append(kept, i)
		}
	}
	return kept
}
