package sql

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/views"
	"weir/views/column"
)

// A viewTable is one of the three relations of a view: v, v_batch or v_speed.
type viewTable struct {
	*viewShape
	proj []int // the columns that are read; nil is all
	// hint is what must hold of the key, as a filter above says too, and hinted
	// the conditions there that say it.
	hint   views.Parts
	hinted string

	// spare is a scan that has ended and may begin anew, as in a join that
	// looks up one key after the other.
	spare *atomic.Pointer[viewRows]
}

// A viewShape is what all uses of a relation share. It is made once for each
// version of the view, and never changes.
type viewShape struct {
	name    string
	view    *views.View
	layer   views.Layer
	cols    []views.LayerColumn
	schema  gms.Schema // of all columns
	primary gms.PrimaryKeySchema
	keys    []int     // the columns of the group key, in its order
	types   []keyType // and their types
	indexes []gms.Index
	makers  []valueMaker

	layouts sync.Map // of views.Layout by their columns
	made    atomic.Int64
}

var (
	_ gms.PrimaryKeyTable       = (*viewTable)(nil)
	_ gms.ProjectedTable        = (*viewTable)(nil)
	_ gms.IndexAddressableTable = (*viewTable)(nil)
	_ gms.IndexedTable          = (*viewTable)(nil)
	_ gms.CommentedTable        = (*viewTable)(nil)
	_ gms.StatisticsTable       = (*viewTable)(nil)
)

func newViewTable(v *views.View, layer views.Layer, name string) (*viewTable, error) {
	type key struct {
		layer views.Layer
		name  string
	}
	if s, ok := v.Kept.Load(key{layer, name}); ok {
		return &viewTable{viewShape: s.(*viewShape)}, nil
	}
	s, err := newViewShape(v, layer, name)
	if err != nil {
		return nil, err
	}
	v.Kept.Store(key{layer, name}, s)
	return &viewTable{viewShape: s}, nil
}

func newViewShape(v *views.View, layer views.Layer, name string) (*viewShape, error) {
	s := &viewShape{name: name, view: v, layer: layer, cols: v.Plan().Columns(layer), keys: make([]int, len(v.Plan().Keys))}
	var extra []int
	for i, c := range slices.Backward(s.cols) {
		if c.Key >= 0 {
			s.keys[c.Key] = i
		}
	}
	for i, c := range s.cols {
		et, err := engineType(c.Type)
		if err != nil {
			return nil, err
		}
		if c.Part == views.PartEpoch {
			extra = append(extra, i)
		}
		s.makers = append(s.makers, newValueMaker(et))
		s.schema = append(s.schema, &gms.Column{
			Name: c.Name, Type: et, Nullable: c.Null, Source: name, DatabaseSource: v.Def().Database, PrimaryKey: c.Key >= 0 || c.Part == views.PartEpoch,
		})
	}
	s.primary = gms.NewPrimaryKeySchema(s.schema, append(slices.Clone(s.keys), extra...)...)
	for i, k := range s.keys {
		s.types = append(s.types, keyType{own: v.Plan().Keys[i].Expr.Type(), engine: s.schema[k].Type})
	}
	if len(s.keys) > 0 {
		idx := &keyIndex{id: "PRIMARY", database: v.Def().Database, table: name, unique: true}
		if layer == views.Speed { // which has a row for each group and epoch
			idx.id, idx.unique = "group_key", false
		}
		for _, k := range s.keys {
			idx.cols = append(idx.cols, s.schema[k])
		}
		s.indexes = []gms.Index{idx}
	}
	return s, nil
}

// layoutsMax bounds the layouts that are kept of a relation.
const layoutsMax = 256

// layout returns the layout of columns, which is made once.
func (s *viewShape) layout(cols []int, narrow []bool) *views.Layout {
	key := make([]byte, 0, 32)
	for i, c := range cols {
		c *= 2
		if narrow != nil && narrow[i] {
			c++
		}
		key = binary.AppendUvarint(key, uint64(c))
	}
	if l, ok := s.layouts.Load(string(key)); ok {
		return l.(*views.Layout)
	}
	l := s.view.Layout(s.layer, cols, narrow)
	if s.made.Add(1) <= layoutsMax {
		s.layouts.Store(string(key), l)
	}
	return l
}

// Name implements gms.Table.
func (t *viewTable) Name() string { return t.name }

func (t *viewTable) String() string { return t.name }

// Collation implements gms.Table.
func (t *viewTable) Collation() gms.CollationID { return gms.Collation_Default }

// Comment implements gms.CommentedTable.
func (t *viewTable) Comment() string {
	switch t.layer {
	case views.Batch:
		return "batch layer of the materialized view " + t.view.Def().Name
	case views.Speed:
		return "speed layer of the materialized view " + t.view.Def().Name
	default:
		return "materialized view over the stream " + t.view.Def().Stream
	}
}

// Schema implements gms.Table: the columns that are read.
func (t *viewTable) Schema() gms.Schema {
	return projected(t.schema, t.proj)
}

// PrimaryKeySchema implements gms.PrimaryKeyTable: the group key, in the order
// of GROUP BY.
func (t *viewTable) PrimaryKeySchema() gms.PrimaryKeySchema { return t.primary }

// Projections implements gms.ProjectedTable.
func (t *viewTable) Projections() []string {
	return projectedNames(t.schema, t.proj)
}

// WithProjections implements gms.ProjectedTable.
func (t *viewTable) WithProjections(names []string) gms.Table {
	cp := *t
	cp.proj = projection(t.schema, names)
	return &cp
}

// projected returns the columns of a schema that are read; a nil proj is all.
func projected(s gms.Schema, proj []int) gms.Schema {
	if proj == nil {
		return s
	}
	out := make(gms.Schema, len(proj))
	for i, c := range proj {
		out[i] = s[c]
	}
	return out
}

// projectedNames returns the names of the columns that are read; nil for all.
func projectedNames(s gms.Schema, proj []int) []string {
	if proj == nil {
		return nil
	}
	names := make([]string, len(proj))
	for i, c := range proj {
		names[i] = s[c].Name
	}
	return names
}

// projection returns the indexes of the named columns.
func projection(s gms.Schema, names []string) []int {
	proj := make([]int, 0, len(names))
	for _, n := range names {
		proj = append(proj, s.IndexOf(n, s[0].Source))
	}
	return proj
}

// DataLength implements gms.StatisticsTable.
func (t *viewTable) DataLength(ctx *gms.Context) (uint64, error) {
	n, _, err := t.RowCount(ctx)
	return n * 100, err
}

// RowCount implements gms.StatisticsTable.
func (t *viewTable) RowCount(ctx *gms.Context) (uint64, bool, error) {
	s, err := readSet(ctx).Snapshot(t.view)
	if err != nil {
		return 0, false, err
	}
	return s.Estimate(t.layer), false, nil
}

// Partitions implements gms.Table.
func (t *viewTable) Partitions(*gms.Context) (gms.PartitionIter, error) {
	return gms.PartitionsToPartitionIter(wholeTable{}), nil
}

// wholeTable is the only partition of every table.
type wholeTable struct{}

func (wholeTable) Key() []byte { return []byte("all") }

// PartitionRows implements gms.Table.
func (t *viewTable) PartitionRows(ctx *gms.Context, p gms.Partition) (gms.RowIter, error) {
	if l, ok := p.(lookupPartition); ok {
		return t.scan(ctx, within(l.ranges, t.hint), l.reverse)
	}
	return t.scan(ctx, within(views.All, t.hint), false)
}

// A lookupPartition is the part of a table that an index lookup asks for.
type lookupPartition struct {
	ranges  []views.Range
	reverse bool
}

func (lookupPartition) Key() []byte { return []byte("lookup") }

// GetIndexes implements gms.IndexAddressable: the primary key, unless the view
// has one row.
func (t *viewTable) GetIndexes(*gms.Context) ([]gms.Index, error) { return t.indexes, nil }

// PreciseMatch implements gms.IndexAddressable: a lookup returns the rows that
// match it and no others.
func (t *viewTable) PreciseMatch() bool { return true }

// IndexedAccess implements gms.IndexAddressable.
func (t *viewTable) IndexedAccess(*gms.Context, gms.IndexLookup) gms.IndexedTable {
	cp := *t
	cp.spare = &atomic.Pointer[viewRows]{}
	return &cp
}

// LookupPartitions implements gms.IndexedTable.
func (t *viewTable) LookupPartitions(ctx *gms.Context, lookup gms.IndexLookup) (gms.PartitionIter, error) {
	ranges, err := keyRanges(ctx, lookup, t.types)
	if err != nil {
		return nil, err
	}
	return gms.PartitionsToPartitionIter(lookupPartition{ranges: ranges, reverse: lookup.IsReverse}), nil
}

// scan returns the rows of the ranges, which are in order; in reverse from the
// last to the first.
func (t *viewTable) scan(ctx *gms.Context, ranges []views.Range, reverse bool) (gms.RowIter, error) {
	snap, err := readSet(ctx).Snapshot(t.view)
	if err != nil {
		return nil, err
	}
	if t.spare != nil {
		if it := t.spare.Swap(nil); it != nil && it.snap == snap {
			it.restart(ranges, reverse)
			return it, nil
		}
	}
	it := &viewRows{snap: snap, ranges: ranges, reverse: reverse, next: firstFill, spare: t.spare}
	it.layout, it.makers = t.rowsMadeOf()
	return it, nil
}

// rowsMadeOf returns how the columns that are read lie in the vectors of a
// cursor, and what makes the engine's values of them.
func (t *viewTable) rowsMadeOf() (*views.Layout, []valueMaker) {
	cols := t.proj
	if cols == nil {
		cols = make([]int, len(t.cols))
		for i := range cols {
			cols[i] = i
		}
	}
	makers := make([]valueMaker, len(cols))
	for i, c := range cols {
		makers[i] = t.viewShape.makers[c]
	}
	return t.layout(cols, nil), makers
}

// The rows that are read at a time: few at first, for lookups of one, then more.
const (
	firstFill = 4
	mostFill  = 1024
	fillBytes = 1 << 20 // of texts, whatever the rows
)

// viewRows are rows of a view.
type viewRows struct {
	snap    *views.Snapshot
	layout  *views.Layout
	ranges  []views.Range // those not begun yet
	cursor  *views.Cursor // nil before the first
	begun   bool          // the cursor is in a range
	reverse bool
	makers  []valueMaker // of a row's columns
	spare   *atomic.Pointer[viewRows]

	batch column.Batch
	n, at int
	next  int
	cells []any // of which rows are slices
}

func (it *viewRows) restart(ranges []views.Range, reverse bool) {
	it.ranges, it.reverse, it.begun = ranges, reverse, false
	it.n, it.at, it.next = 0, 0, firstFill
}

// Next implements gms.RowIter.
func (it *viewRows) Next(ctx *gms.Context) (gms.Row, error) {
	if it.at == it.n {
		if err := it.fill(ctx); err != nil {
			return nil, err
		}
	}
	width := len(it.makers)
	if len(it.cells) < width {
		it.cells = make([]any, width*min(it.n-it.at, rowsMade))
	}
	row := gms.Row(it.cells[:width:width])
	it.cells = it.cells[width:]
	for k := range row {
		row[k] = it.makers[k].make(it.batch.Cols[k].Value(it.at))
	}
	it.at++
	return row, nil
}

// rowsMade is how many rows at most are made of one piece of memory.
const rowsMade = 16

// fill reads the next rows; io.EOF at the end.
func (it *viewRows) fill(ctx *gms.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		if !it.begun {
			if len(it.ranges) == 0 {
				return io.EOF
			}
			it.begin(ctx)
		}
		it.at = 0
		if it.n, err = it.cursor.Fill(&it.batch, it.next); err != nil {
			return err
		}
		it.begun = it.cursor.More()
		it.next = min(it.next*4, mostFill)
		if it.n > 0 {
			return nil
		}
	}
}

// begin begins the next range.
func (it *viewRows) begin(ctx context.Context) {
	at := 0
	if it.reverse {
		at = len(it.ranges) - 1
	}
	r := it.ranges[at : at+1 : at+1]
	if it.reverse {
		it.ranges = it.ranges[:at]
	} else {
		it.ranges = it.ranges[1:]
	}
	it.begun = true
	if it.cursor == nil {
		it.cursor = it.snap.ScanLayout(it.layout, r, it.reverse)
	} else {
		it.cursor.Restart(r, it.reverse)
	}
	it.cursor.Heed(ctx)
	it.cursor.Bound(fillBytes)
}

// Close implements gms.RowIter. The snapshot is the statement's.
func (it *viewRows) Close(*gms.Context) error {
	if it.spare != nil && it.cursor != nil {
		it.n, it.at = 0, 0
		it.spare.Store(it)
	}
	return nil
}

// A keyIndex is an index over leading columns of a key that keeps rows in order.
type keyIndex struct {
	id, database, table string
	cols                []*gms.Column
	unique              bool
}

var _ gms.OrderedIndex = (*keyIndex)(nil)

func (x *keyIndex) ID() string                                 { return x.id }
func (x *keyIndex) Database() string                           { return x.database }
func (x *keyIndex) Table() string                              { return x.table }
func (x *keyIndex) IsUnique() bool                             { return x.unique }
func (x *keyIndex) IsSpatial() bool                            { return false }
func (x *keyIndex) IsFullText() bool                           { return false }
func (x *keyIndex) IsVector() bool                             { return false }
func (x *keyIndex) Comment() string                            { return "" }
func (x *keyIndex) IndexType() string                          { return "BTREE" }
func (x *keyIndex) IsGenerated() bool                          { return false }
func (x *keyIndex) PrefixLengths() []uint16                    { return nil }
func (x *keyIndex) Order() gms.IndexOrder                      { return gms.IndexOrderAsc }
func (x *keyIndex) Reversible() bool                           { return true }
func (x *keyIndex) CanSupportOrderBy(gms.Expression) bool      { return true }
func (x *keyIndex) CanSupport(*gms.Context, ...gms.Range) bool { return true }

func (x *keyIndex) Expressions() []string {
	list := make([]string, len(x.cols))
	for i, c := range x.cols {
		list[i] = x.table + "." + c.Name
	}
	return list
}

func (x *keyIndex) ColumnExpressionTypes() []gms.ColumnExpressionType {
	list := make([]gms.ColumnExpressionType, len(x.cols))
	for i, e := range x.Expressions() {
		list[i] = gms.ColumnExpressionType{Expression: e, Type: x.cols[i].Type}
	}
	return list
}

func (x *keyIndex) String() string {
	return fmt.Sprintf("%s(%s)", x.id, strings.Join(x.Expressions(), ","))
}
