package sql

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
	"github.com/shopspring/decimal"

	"weir/sql/gmsx"
	"weir/views"
	"weir/views/column"
	"weir/views/partial"
)

// direct answers a SELECT of columns of one relation of a view that reads its
// rows in the order of the key, as most statements of dashboards and services
// do. Their plan says nothing that their text does not; to make it costs several
// times what it costs to read a row.
//
// It answers only where there is no doubt about what the planner would make of
// the statement: no column is missing or ambiguous, what columns are compared
// with is of their type, word for word, and the order is the key's. Everything
// else, errors among it, is the planner's.
func (s *Server) direct(ctx *gms.Context, p *gmsx.PlainSelect) (*gmsx.Direct, error) {
	if s.planned.Load() {
		return nil, nil
	}
	t := s.directTable(ctx, p)
	if t == nil || len(t.keys) == 0 {
		return nil, nil
	}
	d := &directPlan{viewShape: t.viewShape, p: p, source: strings.ToLower(p.Name.Name.String()), skip: 0, limit: -1}
	if !p.From.As.IsEmpty() {
		d.source = strings.ToLower(p.From.As.String())
	}
	d.bounds = make([]partBound, len(t.keys))
	if p.Extremes {
		return s.directExtremes(ctx, d)
	}
	if !d.columns() || p.Where != nil && !d.where(p.Where.Expr) || !d.order() || !d.limits() {
		return nil, nil
	}
	ranges, ok := d.ranges()
	if !ok {
		return nil, nil
	}
	readSet(ctx).Note(t.view)
	snap, err := readSet(ctx).Snapshot(t.view)
	if err != nil {
		return nil, sqlError(err)
	}
	s.directly.Add(1)
	return &gmsx.Direct{Schema: d.schemaOut(), Rows: d.rows(snap, ranges)}, nil
}

// directExtremes answers MIN and MAX of parts of the key behind equalities: they
// are in the first and the last row.
func (s *Server) directExtremes(ctx *gms.Context, d *directPlan) (*gmsx.Direct, error) {
	if d.p.Where != nil && !d.where(d.p.Where.Expr) || len(d.filter) > 0 {
		return nil, nil
	}
	rows := &extremeRows{}
	var schema gms.Schema
	fixed := 0
	for fixed < len(d.bounds) && len(d.bounds[fixed].in) == 1 {
		fixed++
	}
	for _, e := range d.p.SelectExprs {
		a := e.(*ast.AliasedExpr)
		of, most := gmsx.Extreme(a.Expr)
		col := d.column(of)
		if col < 0 || d.cols[col].Key != fixed || d.bounds[fixed].in != nil {
			return nil, nil
		}
		t := d.cols[col].Type
		switch {
		case t.Kind == column.Int, t.Kind == column.Time:
		case t.Kind == column.String && t.Length > 0 && t.Length <= plainText && strings.HasPrefix(t.SQL, "varchar("):
		default:
			return nil, nil
		}
		bounds := slices.Clone(d.bounds)
		bounds[fixed].from(partial.AfterNull(nil)) // NULL is nobody's extreme
		of2 := *d
		of2.bounds = bounds
		ranges, ok := of2.ranges()
		if !ok {
			return nil, nil
		}
		rows.of = append(rows.of, extreme{layout: d.layout([]int{col}, nil), ranges: ranges, most: most, make: d.makers[col]})
		name := a.InputExpression
		if !a.As.IsEmpty() {
			name = a.As.String()
		}
		if name == "" || schema.IndexOfColName(name) >= 0 {
			return nil, nil // the planner refuses one twice
		}
		schema = append(schema, &gms.Column{Name: name, Type: d.viewShape.schema[col].Type})
	}
	readSet(ctx).Note(d.view)
	snap, err := readSet(ctx).Snapshot(d.view)
	if err != nil {
		return nil, sqlError(err)
	}
	rows.snap = snap
	s.directly.Add(1)
	return &gmsx.Direct{Schema: schema, Rows: rows}, nil
}

// extremeRows are one row of values from the ends of ranges.
type extremeRows struct {
	snap *views.Snapshot
	of   []extreme
	done bool
}

type extreme struct {
	layout *views.Layout
	ranges []views.Range
	most   bool
	make   valueMaker
}

// Next implements gms.RowIter.
func (r *extremeRows) Next(ctx *gms.Context) (gms.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.done {
		return nil, io.EOF
	}
	r.done = true
	row := make(gms.Row, len(r.of))
	for i, x := range r.of {
		if len(x.ranges) == 0 {
			continue
		}
		var b column.Batch
		c := r.snap.ScanLayout(x.layout, x.ranges, x.most)
		c.Heed(ctx)
		n, err := c.Fill(&b, 1)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			row[i] = x.make.make(b.Cols[0].Value(0))
		}
	}
	return row, nil
}

// WriteRows implements gmsx.WireRows.
func (r *extremeRows) WriteRows(ctx *gms.Context, w *gmsx.RowWriter, _ int) error {
	row, err := r.Next(ctx)
	if err != nil {
		return err
	}
	w.Row()
	for _, v := range row {
		if err := w.Value(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// Close implements gms.RowIter. The snapshot is the statement's.
func (r *extremeRows) Close(*gms.Context) error { return nil }

// directTable is the relation of a view that p reads, or nil.
func (s *Server) directTable(ctx *gms.Context, p *gmsx.PlainSelect) *viewTable {
	database := p.Name.DbQualifier.String()
	if database == "" {
		database = ctx.GetCurrentDatabase()
	}
	if database = s.database(database); database == "" {
		return nil
	}
	name := p.Name.Name.String()
	if _, stream := s.cfg.Engine.Stream(database, name); stream || s.tables.Table(ctx, database, name) != nil {
		return nil
	}
	v, layer, err := findLayer(s.cfg.Engine, database, name)
	if err != nil || v == nil {
		return nil
	}
	t, err := newViewTable(v, layer, strings.ToLower(name))
	if err != nil {
		return nil
	}
	return t
}

// A directPlan is what direct makes of a statement.
type directPlan struct {
	*viewShape
	p      *gmsx.PlainSelect
	source string // by which columns may be qualified

	out     []directColumn
	read    []int // columns of the relation, in the order in which they are first named
	bounds  []partBound
	filter  []column.Cmp // over read
	reverse bool
	skip    int64
	limit   int64 // -1 is none
}

// A directColumn is a column of the result.
type directColumn struct {
	col   int    // of the relation
	read  int    // where it is in directPlan.read
	name  string // as the statement has it
	alias bool
}

// A partBound is what conditions say of a part of the key, which is never NULL
// then: it is one of the values in, unless that is nil, and within the span.
type partBound struct {
	in    [][]byte
	span  views.Span
	bound bool
}

// column returns the column of the relation that an expression is, or -1.
func (d *directPlan) column(e ast.Expr) int {
	c, ok := e.(*ast.ColName)
	if !ok || !d.names(c.Qualifier) {
		return -1
	}
	for i := range d.cols {
		if strings.EqualFold(d.cols[i].Name, c.Name.String()) {
			return i
		}
	}
	return -1
}

// names says whether a qualifier is none, or the relation's name.
func (d *directPlan) names(q ast.TableName) bool {
	return q.DbQualifier.IsEmpty() && q.SchemaQualifier.IsEmpty() && (q.Name.IsEmpty() || strings.EqualFold(q.Name.String(), d.source))
}

// reads notes that a column is read and returns where.
func (d *directPlan) reads(col int) int {
	i := slices.Index(d.read, col)
	if i < 0 {
		i = len(d.read)
		d.read = append(d.read, col)
	}
	return i
}

func (d *directPlan) columns() bool {
	for _, e := range d.p.SelectExprs {
		switch e := e.(type) {
		case *ast.StarExpr:
			if !d.names(e.TableName) {
				return false
			}
			for i := range d.cols {
				d.out = append(d.out, directColumn{col: i, read: d.reads(i), name: d.cols[i].Name})
			}
		case *ast.AliasedExpr:
			col := d.column(e.Expr)
			if col < 0 {
				return false
			}
			o := directColumn{col: col, read: d.reads(col), name: e.Expr.(*ast.ColName).Name.String()}
			if !e.As.IsEmpty() {
				o.name, o.alias = e.As.String(), true
			}
			d.out = append(d.out, o)
		}
	}
	return len(d.out) > 0
}

// where notes a condition, false where it is in doubt.
func (d *directPlan) where(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.AndExpr:
		return d.where(e.Left) && d.where(e.Right)
	case *ast.ParenExpr:
		return d.where(e.Expr)
	case *ast.RangeCond:
		col := d.column(e.Left)
		return d.compare(col, column.Ge, e.From) && d.compare(col, column.Le, e.To)
	case *ast.ComparisonExpr:
		if e.Operator == ast.InStr {
			return d.in(e)
		}
		op, left, right := operators[e.Operator], e.Left, e.Right
		if _, ok := left.(*ast.ColName); !ok {
			op, left, right = turned(op), right, left
		}
		return d.compare(d.column(left), op, right)
	}
	return false
}

var operators = map[string]column.Op{
	ast.EqualStr: column.Eq, ast.NotEqualStr: column.Ne,
	ast.LessThanStr: column.Lt, ast.LessEqualStr: column.Le, ast.GreaterThanStr: column.Gt, ast.GreaterEqualStr: column.Ge,
}

// compare notes a comparison of a column with a literal.
func (d *directPlan) compare(col int, op column.Op, e ast.Expr) bool {
	if col < 0 {
		return false
	}
	v, ok := d.literal(col, e)
	if !ok {
		return false
	}
	i := d.reads(col)
	part := d.cols[col].Key
	if part < 0 || op == column.Ne {
		t := d.cols[col].Type
		d.filter = append(d.filter, column.Cmp{Op: op, L: &column.Col{Index: i, T: t}, R: &column.Const{V: v, T: t}})
		return true
	}
	at := partial.AppendKey(nil, v)
	switch op {
	case column.Eq:
		d.bounds[part].among([][]byte{at})
	case column.Lt:
		d.bounds[part].below(at)
	case column.Le:
		d.bounds[part].below(partial.PrefixEnd(at))
	case column.Gt:
		d.bounds[part].from(partial.PrefixEnd(at))
	case column.Ge:
		d.bounds[part].from(at)
	default:
		return false
	}
	return true
}

// in notes that a part of the key is in a list.
func (d *directPlan) in(e *ast.ComparisonExpr) bool {
	col := d.column(e.Left)
	list, ok := e.Right.(ast.ValTuple)
	if col < 0 || !ok || d.cols[col].Key < 0 {
		return false
	}
	var values [][]byte
	for _, x := range list {
		v, ok := d.literal(col, x)
		if !ok {
			return false
		}
		values = append(values, partial.AppendKey(nil, v))
	}
	d.reads(col)
	slices.SortFunc(values, bytes.Compare)
	d.bounds[d.cols[col].Key].among(slices.CompactFunc(values, bytes.Equal))
	return true
}

// among leaves of the values those in a list, which is in order.
func (b *partBound) among(values [][]byte) {
	if b.in == nil {
		b.in = values
		return
	}
	b.in = slices.DeleteFunc(slices.Clone(b.in), func(v []byte) bool {
		_, found := slices.BinarySearchFunc(values, v, bytes.Compare)
		return !found
	})
}

func (b *partBound) from(at []byte) {
	b.bound = true
	if bytes.Compare(at, b.span.Lo) > 0 {
		b.span.Lo = at
	}
}

func (b *partBound) below(at []byte) {
	b.bound = true
	if compareEnds(at, b.span.Hi) < 0 {
		b.span.Hi = at
	}
}

// literal returns a literal as a value of the column's type, false where it is
// of another type, not a value of the column's as it stands, or in doubt.
func (d *directPlan) literal(col int, e ast.Expr) (column.Value, bool) {
	var text []byte
	var kind ast.ValType
	minus := false
	switch v := d.p.Value(e).(type) {
	case *ast.SQLVal:
		text, kind = v.Val, v.Type
	case *ast.UnaryExpr:
		n, ok := v.Expr.(*ast.SQLVal)
		if !ok || len(n.Val) == 0 || n.Val[0] == '-' {
			return column.Null, false
		}
		text, kind, minus = n.Val, n.Type, true
	default:
		return column.Null, false
	}
	t, et := d.cols[col].Type, d.schema[col].Type
	out := column.Value{Kind: t.Kind, Scale: t.Scale}
	switch {
	case kind == ast.IntVal:
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil || len(text) > 18 {
			return column.Null, false
		}
		if minus {
			n = -n
		}
		switch t.Kind {
		case column.Int:
			lo, hi := intBounds(et)
			out.I = n
			return out, types.IsInteger(et) && (lo == 0 && hi == 0 || n >= lo && n <= hi)
		case column.Uint:
			out.I = n
			return out, types.IsInteger(et) && n >= 0
		case column.BigDec:
			out.D = decimal.New(n, 0)
			return out, len(text)+int(t.Scale) <= int(t.Digits)
		case column.Dec:
			out.I = n * column.Pow10[t.Scale]
			return out, len(text)+int(t.Scale) <= int(t.Digits)
		}
	case kind == ast.StrVal && !minus && t.Kind == column.String:
		out.S = string(text)
		return out, types.IsTextOnly(et) && (strings.HasPrefix(t.SQL, "varchar(") || strings.HasSuffix(t.SQL, "text")) &&
			len(text) <= plainText && (t.Length == 0 || len(text) <= t.Length) && utf8.Valid(text)
	case kind == ast.StrVal && !minus && t.Kind == column.Time:
		dt, ok := et.(gms.DatetimeType)
		if !ok {
			return column.Null, false
		}
		out.I, ok = plainTime(string(text), t.Date, dt.Precision())
		return out, ok
	}
	return column.Null, false
}

// plainText bounds what text is compared with here. Longer text may be compared
// by what stands in its place in a key.
const plainText = 255

// plainTime returns the microseconds of a date or a time as MySQL writes it,
// with at most so many digits after the second.
func plainTime(text string, date bool, digits int) (int64, bool) {
	layout := time.DateTime
	if len(text) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	// Parse takes a fraction behind the layout, and a comma before it.
	if extra := len(text) - len(layout); date && layout != time.DateOnly || extra > digits+1 || extra == 1 || extra > 0 && text[len(layout)] != '.' {
		return 0, false
	}
	at, err := time.Parse(layout, text)
	return at.UnixMicro(), err == nil && at.Year() > 0
}

// order says whether the rows shall come in the order of the key, or against it.
func (d *directPlan) order() bool {
	known := false
	next := 0 // part of the key that comes next
	for _, o := range d.p.OrderBy {
		col := d.orderColumn(o.Expr)
		if col < 0 {
			return false
		}
		d.reads(col)
		k := d.cols[col].Key
		switch {
		case k < 0:
			return false
		case k < next || len(d.bounds[k].in) == 1:
			continue // has one value here
		}
		for next < k && len(d.bounds[next].in) == 1 {
			next++
		}
		desc := o.Direction == ast.DescScr
		if k != next || known && desc != d.reverse {
			return false
		}
		d.reverse, known, next = desc, true, next+1
	}
	if !known && len(d.p.OrderBy) > 0 {
		d.reverse = d.p.OrderBy[0].Direction == ast.DescScr // one group's epochs, perhaps
	}
	return true
}

// orderColumn is the column of the relation that rows are ordered by. A name
// may be one of the result's columns first.
func (d *directPlan) orderColumn(e ast.Expr) int {
	col := d.column(e)
	c := e.(*ast.ColName)
	for _, o := range d.out {
		if !strings.EqualFold(o.name, c.Name.String()) {
			continue
		}
		if !c.Qualifier.IsEmpty() && o.alias || col >= 0 && col != o.col {
			return -1
		}
		col = o.col
	}
	return col
}

func (d *directPlan) limits() bool {
	l := d.p.Limit
	if l == nil {
		return true
	}
	var ok bool
	if d.limit, ok = d.number(l.Rowcount); ok && l.Offset != nil {
		d.skip, ok = d.number(l.Offset)
	}
	return ok
}

// number is a number of rows.
func (d *directPlan) number(e ast.Expr) (int64, bool) {
	v, ok := d.p.Value(e).(*ast.SQLVal)
	if !ok || v.Type != ast.IntVal {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v.Val), 10, 32)
	return n, err == nil && n >= 0
}

// rangesMost bounds the ranges that lists of values may come to.
const rangesMost = 256

// ranges are where the rows are, in order.
func (d *directPlan) ranges() ([]views.Range, bool) {
	prefixes := [][]byte{nil}
	for part := range d.bounds {
		b := &d.bounds[part]
		b.in = slices.DeleteFunc(b.in, func(v []byte) bool {
			return bytes.Compare(v, b.span.Lo) < 0 || b.span.Hi != nil && bytes.Compare(v, b.span.Hi) >= 0
		})
		if b.in != nil && len(b.in) == 0 || b.span.Hi != nil && bytes.Compare(b.span.Lo, b.span.Hi) >= 0 {
			return nil, true // no row
		}
		if b.bound && len(b.span.Lo) == 0 {
			b.span.Lo = partial.AfterNull(nil)
		}
	}
	part := 0
	for ; part < len(d.bounds) && d.bounds[part].in != nil; part++ {
		in := d.bounds[part].in
		if len(in)*len(prefixes) > rangesMost {
			return nil, false
		}
		longer := make([][]byte, 0, len(in)*len(prefixes))
		for _, p := range prefixes {
			for _, v := range in {
				longer = append(longer, append(slices.Clip(p), v...))
			}
		}
		prefixes = longer
	}
	var span views.Span
	if part < len(d.bounds) {
		span = d.bounds[part].span
		part++
	}
	within := []views.Parts{nil}
	for ; part < len(d.bounds); part++ {
		b := d.bounds[part]
		spans := []views.Span{b.span}
		if b.in != nil {
			spans = spans[:0]
			for _, v := range b.in {
				spans = append(spans, views.Span{Lo: v, Hi: partial.PrefixEnd(v)})
			}
		} else if !b.bound {
			continue
		}
		if len(spans)*len(within) > rangesMost {
			return nil, false
		}
		var more []views.Parts
		for _, w := range within {
			for _, s := range spans {
				parts := make(views.Parts, part+1)
				copy(parts, w)
				parts[part] = s
				more = append(more, parts)
			}
		}
		within = more
	}
	if len(within) == 1 && within[0] == nil {
		within = nil
	}
	ranges := make([]views.Range, len(prefixes))
	for i, p := range prefixes {
		r := views.Range{Lo: append(slices.Clip(p), span.Lo...), Any: within}
		if span.Hi != nil {
			r.Hi = append(slices.Clip(p), span.Hi...)
		} else {
			r.Hi = partial.PrefixEnd(p)
		}
		ranges[i] = r
	}
	return ranges, true
}

// schemaOut is that of the result. As the planner's, it says of columns that they
// are the key's only where the result is what is read, no more and in the
// relation's order. Then it also leaves the relation's name as it was written.
func (d *directPlan) schemaOut() gms.Schema {
	whole := len(d.out) == len(d.read)
	for i, o := range d.out {
		whole = whole && !o.alias && o.name == d.cols[o.col].Name && (i == 0 || d.out[i-1].col < o.col)
	}
	source := d.source
	if whole && d.p.From.As.IsEmpty() {
		source = d.p.Name.Name.String()
	}
	schema := make(gms.Schema, len(d.out))
	columns := make([]gms.Column, len(d.out))
	for i, o := range d.out {
		of := d.viewShape.schema[o.col]
		c := &columns[i]
		c.Name, c.Type, c.Nullable = o.name, of.Type, of.Nullable
		if !o.alias {
			c.Source, c.DatabaseSource = source, of.DatabaseSource
			c.PrimaryKey = whole && of.PrimaryKey
		}
		schema[i] = c
	}
	return schema
}

func (d *directPlan) rows(snap *views.Snapshot, ranges []views.Range) *directRows {
	narrow := make([]bool, len(d.read))
	for i := range narrow {
		narrow[i] = true
	}
	r := &directRows{plan: d, snap: snap, ranges: ranges, reverse: d.reverse, skip: d.skip, limit: d.limit, next: firstFill}
	for i := range d.filter {
		r.filter = append(r.filter, &d.filter[i])
		narrow[d.filter[i].L.(*column.Col).Index] = false // it is compared with what is wide
	}
	r.layout = d.layout(d.read, narrow)
	r.cols = make([]wireColumn, len(d.out))
	for i, o := range d.out {
		r.cols[i] = newWireColumn(o.read, d.cols[o.col].Type, d.viewShape.schema[o.col].Type, d.makers[o.col])
	}
	if r.limit >= 0 && len(r.filter) == 0 {
		r.next = int(min(r.skip+r.limit, mostFill))
	}
	return r
}

// directRows are the rows of a directPlan.
type directRows struct {
	plan    *directPlan
	snap    *views.Snapshot
	layout  *views.Layout // narrow, until a value does not fit
	ranges  []views.Range
	reverse bool
	filter  []column.Expr
	cols    []wireColumn
	skip    int64
	limit   int64 // that are still to come; -1 is no limit

	cursor *views.Cursor // nil before the first
	read   int           // rows that it has given
	batch  column.Batch
	sel    []uint32 // rows of the batch still to be given
	all    []uint32
	next   int
	ended  bool
}

// Next implements gms.RowIter.
func (r *directRows) Next(ctx *gms.Context) (gms.Row, error) {
	if err := r.fill(ctx); err != nil {
		return nil, err
	}
	row := make(gms.Row, len(r.cols))
	for k := range r.cols {
		c := &r.cols[k]
		row[k] = c.make.make(r.batch.Cols[c.read].Value(int(r.sel[0])))
	}
	r.sel = r.sel[1:]
	return row, nil
}

// WriteRows implements gmsx.WireRows.
func (r *directRows) WriteRows(ctx *gms.Context, w *gmsx.RowWriter, most int) error {
	if err := r.fill(ctx); err != nil {
		return err
	}
	sel := r.sel[:min(most, len(r.sel))]
	r.sel = r.sel[len(sel):]
	for _, at := range sel {
		w.Row()
		for k := range r.cols {
			c := &r.cols[k]
			if err := c.write(ctx, w, r.batch.Cols[c.read], int(at)); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill reads rows unless some are left; io.EOF at the end.
func (r *directRows) fill(ctx *gms.Context) error {
	for len(r.sel) == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.ended || r.limit == 0 || len(r.ranges) == 0 {
			return io.EOF
		}
		if r.cursor == nil {
			r.cursor = r.snap.ScanLayout(r.layout, r.ranges, r.reverse)
			r.cursor.Heed(ctx)
			r.cursor.Bound(fillBytes)
		}
		n, err := r.cursor.Fill(&r.batch, r.next)
		if errors.Is(err, views.ErrWide) {
			err = r.widen(ctx)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		r.read += n
		r.ended = !r.cursor.More()
		r.next = min(r.next*4, mostFill)
		for len(r.all) < n {
			r.all = append(r.all, uint32(len(r.all)))
		}
		r.sel = r.all[:n]
		if len(r.filter) > 0 && n > 0 {
			r.batch.Sel = slices.Clone(r.sel)
			for _, f := range r.filter {
				r.batch.Keep(f)
			}
			r.sel = r.batch.Sel
		}
		skip := min(r.skip, int64(len(r.sel)))
		r.sel, r.skip = r.sel[skip:], r.skip-skip
		if r.limit >= 0 {
			r.sel = r.sel[:min(r.limit, int64(len(r.sel)))]
			r.limit -= int64(len(r.sel))
		}
	}
	return nil
}

// widen begins again where the cursor was, with columns in which every value fits.
func (r *directRows) widen(ctx *gms.Context) error {
	r.cursor = r.snap.ScanLayout(r.plan.layout(r.plan.read, nil), r.ranges, r.reverse)
	r.cursor.Heed(ctx)
	r.cursor.Bound(fillBytes)
	for left := r.read; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.cursor.Fill(&r.batch, min(left, mostFill))
		if err != nil || n == 0 {
			return err
		}
		left -= n
	}
	return nil
}

// Close implements gms.RowIter. The snapshot is the statement's.
func (r *directRows) Close(*gms.Context) error { return nil }

// A wireColumn is a column of a result that is written from a vector.
type wireColumn struct {
	read   int
	make   valueMaker
	kind   column.Kind // Invalid where values are made one by one
	wire   querypb.Type
	digits int
}

func newWireColumn(read int, t column.Type, et gms.Type, maker valueMaker) wireColumn {
	c := wireColumn{read: read, make: maker, wire: et.Type()}
	switch t.Kind {
	case column.Int, column.Uint:
		if types.IsInteger(et) {
			c.kind = t.Kind
		}
	case column.Float:
		if c.wire == querypb.Type_FLOAT64 {
			c.kind = t.Kind
		}
	case column.Dec, column.BigDec:
		// Either kind may come.
		if dt, ok := et.(gms.DecimalType); ok && dt.Scale() == t.Scale {
			c.kind, c.digits = t.Kind, int(t.Scale)
		}
	case column.Time:
		if dt, ok := et.(gms.DatetimeType); ok {
			c.kind, c.digits = t.Kind, dt.Precision()
		}
	case column.String:
		if types.IsTextOnly(et) {
			c.kind = t.Kind
		}
	}
	return c
}

// write writes row at of a vector.
func (c *wireColumn) write(ctx *gms.Context, w *gmsx.RowWriter, v *column.Vector, at int) error {
	if v.IsNull(at) {
		w.Null()
		return nil
	}
	written := false
	switch {
	case c.kind == column.Invalid:
	case v.Kind == column.Int || v.Kind == column.Uint:
		w.Int(c.wire, v.I[at])
		written = true
	case v.Kind == column.Float:
		w.Double(v.F[at])
		written = true
	case v.Kind == column.Dec:
		w.Decimal(v.I[at], c.digits)
		written = true
	case v.Kind == column.BigDec:
		written = w.BigDecimal(v.D[at], c.digits)
	case v.Kind == column.Time:
		written = w.Time(c.wire, v.I[at], c.digits)
	case v.Kind == column.String:
		written = w.Text(c.wire, v.S[at])
	}
	if written {
		return nil
	}
	return w.Value(ctx, c.make.make(v.Value(at)))
}
