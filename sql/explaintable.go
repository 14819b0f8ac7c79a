package sql

import (
	"fmt"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"

	"weir/sql/gmsx"
	"weir/views"
)

// explainTable are the rows of a tabular EXPLAIN: one for each table that is
// read, in the order in which they are, and two for a serving view. Each SELECT
// that is computed by itself has an id, as in MySQL: those whose rows go straight
// into another SELECT, as those of most views, have that one's. Those that were
// read for the plan come last.
func explainTable(ctx *gms.Context, n gms.Node, read []gmsx.ReadFirst) []gms.Row {
	x := &explainer{ctx: ctx}
	kind := ""
	transform.Inspect(n, func(n gms.Node) bool {
		switch n.(type) {
		case *plan.Update:
			kind = "UPDATE"
		case *plan.DeleteFrom:
			kind = "DELETE"
		}
		return kind == ""
	})
	rows := x.block(n, kind)
	for _, r := range read {
		inner := x.block(r.Query, "SUBQUERY")
		inner[0].extra = append(inner[0].extra, readFirst(r))
		rows = append(rows, inner...)
	}
	out := make([]gms.Row, len(rows))
	for i, r := range rows {
		switch {
		case r.selectType != "":
		case x.blocks == 1:
			r.selectType = "SIMPLE"
		default:
			r.selectType = "PRIMARY"
		}
		out[i] = r.row()
	}
	return out
}

// readFirst says how many values a sub-query has given to the plan.
func readFirst(r gmsx.ReadFirst) string {
	if r.Values == 1 {
		return "Read first: 1 value"
	}
	return fmt.Sprintf("Read first: %d values", r.Values)
}

// An explainer gives the SELECTs of a plan their numbers.
type explainer struct {
	ctx    *gms.Context
	blocks uint64
}

// An explained is a row of EXPLAIN. What is nil is NULL.
type explained struct {
	id         any
	selectType string // "" of the outermost SELECT
	table      any
	kind       any
	key        any
	keyLen     any
	ref        any
	rows       any
	filtered   any
	extra      []string
}

func (r *explained) row() gms.Row {
	return gms.Row{r.id, r.selectType, r.table, nil, r.kind, r.key, r.key, r.keyLen, r.ref, r.rows, r.filtered, orNull(strings.Join(r.extra, "; "))}
}

// A selectBlock is one SELECT: its own rows, and those of the SELECTs that it
// computes.
type selectBlock struct {
	id         uint64
	kind       string
	own, inner []*explained
	seen       map[string]int // subqueries by their text: the plan may have one in several places
}

// A reading is what stands above a table in its SELECT.
type reading struct {
	alias string
	where bool   // a condition is left to the rows
	extra string // of the join
}

// block explains a SELECT of a kind.
func (x *explainer) block(n gms.Node, kind string) []*explained {
	x.blocks++
	b := &selectBlock{id: x.blocks, kind: kind, seen: map[string]int{}}
	x.walk(b, n, reading{})
	if len(b.own) == 0 {
		b.own = []*explained{{id: b.id, selectType: kind, extra: []string{"No tables used"}}}
	}
	return append(b.own, b.inner...)
}

func (b *selectBlock) add(r *explained) *explained {
	r.id, r.selectType = b.id, b.kind
	b.own = append(b.own, r)
	return r
}

// walk adds what n reads to its SELECT. Subqueries are numbered in the order in
// which they are written: those of the select list before those of FROM.
func (x *explainer) walk(b *selectBlock, n gms.Node, above reading) {
	switch t := n.(type) {
	case *aggregate:
		x.access(b, t.access.node, above, "Aggregate partial states")
		return
	case *topRows:
		x.access(b, t.access.node, above, "First rows")
		return
	case *streamScan:
		x.access(b, n, above, "")
		return
	case *plan.ResolvedTable, *plan.IndexedTableAccess:
		if t, ok := n.(*plan.ResolvedTable); ok && plan.IsDualTable(t) {
			return
		}
		x.access(b, n, above, "")
		return
	case *plan.EmptyTable:
		b.add(&explained{extra: []string{"Impossible WHERE"}})
		return
	case *plan.TableAlias:
		above.alias = t.Name()
		x.walk(b, t.Child, above)
		return
	case *plan.SubqueryAlias:
		if merged(t.Child) {
			x.walk(b, t.Child, above)
			return
		}
		x.derived(b, t.Child, above)
		return
	case *plan.RecursiveTable:
		b.add(&explained{table: t.Name(), kind: "ALL", filtered: 100.0, extra: extras("Recursive", above)})
		return
	case *plan.RecursiveCte:
		x.walk(b, t.Left(), reading{})
		if len(b.own) == 0 {
			b.add(&explained{extra: []string{"No tables used"}})
		}
		b.inner = append(b.inner, x.block(t.Right(), "UNION")...)
		return
	case *plan.SetOp:
		x.union(b, t)
		return
	case *plan.JoinNode:
		x.walk(b, t.Left(), reading{})
		right := reading{}
		switch {
		case t.Op.IsHash():
			right.extra = "Using join buffer (hash join)"
		case t.Op.IsSemi():
			right.extra = "FirstMatch"
		case t.Op.IsAnti():
			right.extra = "Not exists"
		}
		x.walk(b, t.Right(), right)
		x.subqueries(b, n)
		return
	case *plan.Filter:
		above.where = true
		x.walk(b, t.Child, above)
		x.subqueries(b, n)
		return
	case *plan.Project, *plan.GroupBy, *plan.Window:
		x.subqueries(b, n)
		for _, c := range n.Children() {
			x.walk(b, c, above)
		}
		if g, ok := n.(*plan.GroupBy); ok && len(g.GroupByExprs) > 0 {
			b.using("Using temporary")
		}
		return
	case *plan.Sort, *plan.TopN:
		x.walk(b, n.Children()[0], above)
		x.subqueries(b, n)
		b.using("Using filesort")
		return
	}
	children := n.Children()
	if id, ok := n.(plan.TableIdNode); ok && len(children) == 0 {
		r := b.add(&explained{table: named(id.Name(), above.alias), kind: "ALL", filtered: 100.0, extra: extras("", above)})
		if v, ok := n.(*plan.ValueDerivedTable); ok {
			r.rows = uint64(len(v.ExpressionTuples))
		}
		return
	}
	for _, c := range children {
		x.walk(b, c, above)
	}
	x.subqueries(b, n)
}

// using says of a SELECT what is done with its rows as a whole, at the first of
// its tables, as MySQL does.
func (b *selectBlock) using(what string) {
	if len(b.own) > 0 && !slices.Contains(b.own[0].extra, what) {
		b.own[0].extra = append(b.own[0].extra, what)
	}
}

// subqueries adds the SELECTs in the expressions of n.
func (x *explainer) subqueries(b *selectBlock, n gms.Node) {
	e, ok := n.(gms.Expressioner)
	if !ok {
		return
	}
	here := map[string]int{}
	for _, e := range e.Expressions() {
		gms.Inspect(e, func(e gms.Expression) bool {
			s, ok := e.(*plan.Subquery)
			if !ok {
				return e != nil
			}
			if here[s.QueryString]++; here[s.QueryString] <= b.seen[s.QueryString] {
				return false
			}
			b.seen[s.QueryString]++
			kind := "SUBQUERY"
			if !s.Correlated().Empty() {
				kind = "DEPENDENT SUBQUERY"
			}
			b.inner = append(b.inner, x.block(s.Query, kind)...)
			return false
		})
	}
}

// derived adds a table that a SELECT of its own makes.
func (x *explainer) derived(b *selectBlock, n gms.Node, above reading) {
	r := b.add(&explained{kind: "ALL", filtered: 100.0, extra: extras("", above)})
	r.table = fmt.Sprintf("<derived%d>", x.blocks+1)
	made := x.block(n, "DERIVED")
	// As many as the first table gives, as far as that is known.
	if r.rows = made[0].rows; made[0].table == nil {
		r.rows = uint64(1)
	}
	b.inner = append(b.inner, made...)
}

// union adds a UNION, an INTERSECT or an EXCEPT: its first SELECT is the one
// that b is.
func (x *explainer) union(b *selectBlock, n *plan.SetOp) {
	name := map[int]string{plan.UnionType: "UNION", plan.IntersectType: "INTERSECT", plan.ExceptType: "EXCEPT"}[n.SetOpType]
	ids := []uint64{b.id}
	parts := []gms.Node{n.Left(), n.Right()}
	for { // a chain of one kind is one union
		left := bare(parts[0])
		s, ok := left.(*plan.SetOp)
		if !ok || s.SetOpType != n.SetOpType || n.SetOpType != plan.UnionType || s.Limit != nil || s.Offset != nil || len(s.SortFields) > 0 {
			break
		}
		parts = append([]gms.Node{s.Left(), s.Right()}, parts[1:]...)
	}
	x.walk(b, parts[0], reading{})
	if len(b.own) == 0 {
		b.add(&explained{extra: []string{"No tables used"}})
	}
	for _, p := range parts[1:] {
		ids = append(ids, x.blocks+1)
		kind := name
		if strings.HasPrefix(b.kind, "DEPENDENT") {
			kind = "DEPENDENT " + name
		}
		b.inner = append(b.inner, x.block(p, kind)...)
	}
	if !n.Distinct && len(n.SortFields) == 0 && n.SetOpType == plan.UnionType {
		return
	}
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = fmt.Sprint(id)
	}
	r := &explained{selectType: name + " RESULT", table: "<" + strings.ToLower(name) + strings.Join(list, ",") + ">", kind: "ALL", extra: []string{"Using temporary"}}
	if len(n.SortFields) > 0 {
		r.extra = append(r.extra, "Using filesort")
	}
	b.inner = append(b.inner, r)
}

// bare is n without the projections that make the types of a UNION's sides one.
func bare(n gms.Node) gms.Node {
	for {
		p, ok := n.(*plan.Project)
		if !ok {
			return n
		}
		n = p.Child
	}
}

// merged says whether the rows of a derived table or view go straight into the
// SELECT that reads it: it chooses rows and columns of tables, and no more.
func merged(n gms.Node) bool {
	switch n := n.(type) {
	case *plan.ResolvedTable:
		return !plan.IsDualTable(n)
	case *plan.IndexedTableAccess, *streamScan:
		return true
	case *plan.TableAlias:
		return merged(n.Child)
	case *plan.Filter:
		return merged(n.Child)
	case *plan.Project:
		return merged(n.Child)
	case *plan.JoinNode:
		return merged(n.Left()) && merged(n.Right())
	case *plan.HashLookup:
		return merged(n.Child)
	case *plan.SubqueryAlias:
		return true
	}
	return false
}

// named is the name under which a table is read.
func named(name, alias string) string {
	if alias != "" {
		return alias
	}
	return name
}

// extras are what EXPLAIN says beside the columns that have a meaning of their own.
func extras(first string, above reading) (list []string) {
	if first != "" {
		list = append(list, first)
	}
	if above.where {
		list = append(list, "Using where")
	}
	if above.extra != "" {
		list = append(list, above.extra)
	}
	return list
}

// access adds the rows of one access: two for a serving view.
func (x *explainer) access(b *selectBlock, n gms.Node, above reading, how string) {
	ctx := x.ctx
	for { // what stands between a pass of ours and its table
		if f, ok := n.(*plan.Filter); ok {
			n, above.where = f.Child, true
		} else if a, ok := n.(*plan.TableAlias); ok {
			n, above.alias = a.Child, a.Name()
		} else {
			break
		}
	}
	if scan := newStreamScan(n); scan != nil {
		x.streamAccess(b, scan, above, how)
		return
	}
	name := "?"
	if t, ok := n.(gms.Nameable); ok {
		name = named(t.Name(), above.alias)
	}
	r := &explained{kind: "ALL", filtered: 100.0}
	tn, _ := n.(gms.TableNode)
	var table gms.Table
	if tn != nil {
		table = tn.UnderlyingTable()
	}
	if st, ok := table.(gms.StatisticsTable); ok {
		if c, _, err := st.RowCount(ctx); err == nil {
			r.rows = c
		}
	}
	if a, ok := accessNode(n); ok {
		if c, _, ok := a.countRows(ctx); ok {
			r.rows = c
		}
	}
	if ita, ok := n.(*plan.IndexedTableAccess); ok {
		describeIndex(ctx, r, ita, table)
	}
	r.extra = append(r.extra, extras(how, above)...)
	v, ok := table.(*viewTable)
	if !ok || v.layer != views.Serving {
		r.table = name
		b.add(r)
		return
	}
	r.extra = append(r.extra, "Merge")
	for _, l := range []views.Layer{views.Batch, views.Speed} {
		own := *r
		own.table, own.extra = name+"_"+l.String(), slices.Clone(r.extra)
		b.add(&own)
	}
}

// streamAccess adds the row of a scan of a stream.
func (x *explainer) streamAccess(b *selectBlock, scan *streamScan, above reading, how string) {
	r := &explained{table: named(scan.table.Name(), above.alias), kind: "ALL", filtered: 100.0}
	if st, err := scan.table.stream.Log().State(x.ctx); err == nil {
		r.rows = st.Messages
	}
	if text := scan.describe(); text != "" {
		r.extra = append(r.extra, text)
	}
	if scan.lookup != nil || len(scan.bounds) > 0 {
		r.kind, r.key, r.keyLen = "range", "PRIMARY", "8"
		if parts, err := scan.ranges(x.ctx); err == nil {
			n := uint64(0)
			for _, p := range parts {
				if p.until > p.after {
					n += p.until - p.after
				}
			}
			r.rows = n
		}
	}
	if scan.lookup != nil {
		r.key = scan.lookup.Index.ID()
	}
	r.extra = append(r.extra, extras(how, above)...)
	b.add(r)
}

// describeIndex says by which key an access reads, and about how many rows.
func describeIndex(ctx *gms.Context, r *explained, ita *plan.IndexedTableAccess, table gms.Table) {
	idx := ita.Index()
	cols := idx.ColumnExpressionTypes()
	est, _ := table.(estimator)
	r.key = idx.ID()
	used, whole := 0, idx.IsUnique()
	if !ita.IsStatic() {
		used = min(len(ita.Expressions()), len(cols))
		r.kind, r.ref = "ref", strings.Join(refs(ita.Expressions()), ",")
		switch {
		case whole && used == len(cols):
			r.kind, r.rows = "eq_ref", uint64(1)
		case est != nil:
			r.rows = perKey(ctx, est, idx, used)
		}
		r.keyLen = keyLength(idx, table, used)
		return
	}
	lookup, err := ita.GetLookup(ctx, nil)
	if err != nil {
		return
	}
	ranges, ok := lookup.Ranges.(gms.MySQLRangeCollection)
	if !ok {
		return
	}
	equal := len(ranges) == 1 && !lookup.IsEmptyRange
	for _, rg := range ranges {
		n, eq := usedParts(rg)
		used, equal = max(used, n), equal && eq
	}
	if used == 0 { // for its order
		r.kind, r.keyLen = "index", keyLength(idx, table, len(cols))
		return
	}
	r.kind = "range"
	if equal {
		r.kind, r.ref = "ref", strings.TrimSuffix(strings.Repeat("const,", used), ",")
		if whole && used == len(cols) {
			r.kind = "const"
		}
	}
	r.keyLen = keyLength(idx, table, used)
	r.extra = append(r.extra, "Using index condition: "+rangesText(ranges))
	if _, is := table.(*viewTable); !is && est != nil { // views count their ranges themselves
		if total, _, err := est.RowCount(ctx); err == nil {
			if n, err := gmsx.LookupRows(ctx, est, lookup, rowsExact, total); err == nil {
				r.rows = n
			}
		}
	}
}

// rangesShown is how many ranges EXPLAIN shows of a lookup.
const rangesShown = 8

// rangesText are the first ranges of a lookup, and how many more there are.
func rangesText(list gms.MySQLRangeCollection) string {
	if len(list) <= rangesShown {
		return list.DebugString()
	}
	text := list[:rangesShown].DebugString()
	return fmt.Sprintf("%s, … and %d more]", strings.TrimSuffix(text, "]"), len(list)-rangesShown)
}

// perKey is about how many rows have one value of the first columns of an index.
func perKey(ctx *gms.Context, t estimator, idx gms.Index, used int) any {
	total, _, err := t.RowCount(ctx)
	if err != nil {
		return nil
	}
	counts, err := t.Distinct(ctx, idx)
	if err != nil || used == 0 || used > len(counts) || counts[used-1] == 0 {
		return total
	}
	return max(1, total/counts[used-1])
}

// refs are what the columns of a key are compared with.
func refs(list []gms.Expression) []string {
	out := make([]string, len(list))
	for i, e := range list {
		switch e := e.(type) {
		case *expression.GetField:
			out[i] = e.Table() + "." + e.Name()
			if e.Database() != "" {
				out[i] = e.Database() + "." + out[i]
			}
		case *expression.Literal:
			out[i] = "const"
		default:
			out[i] = "func"
		}
	}
	return out
}

// usedParts is how many columns at the front of a key a range bounds, up to the
// first that is no equality, and whether all of them are equalities.
func usedParts(r gms.MySQLRange) (n int, equal bool) {
	for _, c := range r {
		_, fromNull := c.LowerBound.(gms.BelowNull)
		_, toEnd := c.UpperBound.(gms.AboveAll)
		if fromNull && toEnd {
			return n, n > 0
		}
		n++
		lo, okLo := c.LowerBound.(gms.Below)
		hi, okHi := c.UpperBound.(gms.Above)
		if okLo && okHi {
			if order, err := lo.Compare(gms.Below(hi), c.Typ); err == nil && order == 0 {
				continue
			}
		}
		if _, toNull := c.UpperBound.(gms.AboveNull); fromNull && toNull {
			continue
		}
		return n, false
	}
	return n, true
}

// keyLength is how many bytes the first columns of an index take, as MySQL
// counts them: the longest values, one byte for what may be NULL, two for what
// has different lengths.
func keyLength(idx gms.Index, table gms.Table, used int) any {
	schema := table.Schema()
	if t, ok := table.(gms.PrimaryKeyTable); ok {
		schema = t.PrimaryKeySchema().Schema
	}
	n := 0
	for i, c := range idx.ColumnExpressionTypes()[:used] {
		_, name, _ := strings.Cut(c.Expression, ".")
		if at := schema.IndexOfColName(strings.ToLower(name)); at >= 0 && schema[at].Nullable {
			n++
		}
		var prefix uint16
		if p := idx.PrefixLengths(); i < len(p) {
			prefix = p[i]
		}
		n += typeLength(c.Type, int64(prefix))
	}
	if used == 0 {
		return nil
	}
	return fmt.Sprint(n)
}

// typeLength is how many bytes a value of a type takes in a key of MySQL's.
func typeLength(t gms.Type, prefix int64) int {
	fraction := func() int {
		if d, ok := t.(gms.DatetimeType); ok {
			return (d.Precision() + 1) / 2
		}
		return 3
	}
	switch t.Type() {
	case sqltypes.Int8, sqltypes.Uint8, sqltypes.Year:
		return 1
	case sqltypes.Int16, sqltypes.Uint16, sqltypes.Enum:
		return 2
	case sqltypes.Int24, sqltypes.Uint24, sqltypes.Date:
		return 3
	case sqltypes.Int32, sqltypes.Uint32, sqltypes.Float32:
		return 4
	case sqltypes.Int64, sqltypes.Uint64, sqltypes.Float64, sqltypes.Set:
		return 8
	case sqltypes.Time:
		return 6
	case sqltypes.Timestamp:
		return 4 + fraction()
	case sqltypes.Datetime:
		return 5 + fraction()
	case sqltypes.Bit:
		if b, ok := t.(types.BitType); ok {
			return (int(b.NumberOfBits()) + 7) / 8
		}
		return 8
	case sqltypes.Decimal:
		d, ok := t.(gms.DecimalType)
		if !ok {
			return 8
		}
		digits := func(n int) int { return n/9*4 + (n%9+1)/2 }
		return digits(int(d.Precision())-int(d.Scale())) + digits(int(d.Scale()))
	}
	if s, ok := t.(gms.StringType); ok {
		chars, width := s.MaxCharacterLength(), max(s.CharacterSet().MaxLength(), 1)
		if prefix > 0 {
			chars = min(chars, prefix)
		}
		n := chars * width
		if t.Type() != sqltypes.Char && t.Type() != sqltypes.Binary {
			n += 2
		}
		return int(min(n, 3072))
	}
	return 8
}
