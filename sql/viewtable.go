package sql

import (
	"fmt"
	"io"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/views"
	"weir/views/column"
)

// A viewTable is one of the three relations of a view: v, v_batch or v_speed.
type viewTable struct {
	name   string
	view   *views.View
	layer  views.Layer
	cols   []views.LayerColumn
	schema gms.Schema // of all columns
	proj   []int      // the columns that are read; nil is all
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
	t := &viewTable{name: name, view: v, layer: layer, cols: v.Plan().Columns(layer)}
	for _, c := range t.cols {
		et, err := engineType(c.Type)
		if err != nil {
			return nil, err
		}
		t.schema = append(t.schema, &gms.Column{
			Name: c.Name, Type: et, Nullable: c.Null, Source: name, DatabaseSource: v.Def().Database, PrimaryKey: c.Key >= 0 || c.Part == views.PartEpoch,
		})
	}
	return t, nil
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
func (t *viewTable) PrimaryKeySchema() gms.PrimaryKeySchema {
	keys := t.keyColumns()
	for i, c := range t.cols {
		if c.Part == views.PartEpoch {
			keys = append(keys, i)
		}
	}
	return gms.NewPrimaryKeySchema(t.schema, keys...)
}

// keyColumns are the columns of the group key, in its order.
func (t *viewTable) keyColumns() []int {
	keys := make([]int, len(t.view.Plan().Keys))
	for i, c := range slices.Backward(t.cols) {
		if c.Key >= 0 {
			keys[c.Key] = i
		}
	}
	return keys
}

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
		return t.scan(ctx, l.ranges, l.reverse)
	}
	return t.scan(ctx, []keyRange{{Range: views.Range{}}}, false)
}

// A lookupPartition is the part of a table that an index lookup asks for.
type lookupPartition struct {
	ranges  []keyRange
	reverse bool
}

func (lookupPartition) Key() []byte { return []byte("lookup") }

// GetIndexes implements gms.IndexAddressable: the primary key, unless the view
// has one row.
func (t *viewTable) GetIndexes(*gms.Context) ([]gms.Index, error) {
	keys := t.keyColumns()
	if len(keys) == 0 {
		return nil, nil
	}
	idx := &keyIndex{id: "PRIMARY", database: t.view.Def().Database, table: t.name, unique: true}
	if t.layer == views.Speed { // which has a row for each group and epoch
		idx.id, idx.unique = "group_key", false
	}
	for _, k := range keys {
		idx.cols = append(idx.cols, t.schema[k])
	}
	return []gms.Index{idx}, nil
}

// PreciseMatch implements gms.IndexAddressable: a lookup returns the rows that
// match it and no others.
func (t *viewTable) PreciseMatch() bool { return true }

// IndexedAccess implements gms.IndexAddressable.
func (t *viewTable) IndexedAccess(*gms.Context, gms.IndexLookup) gms.IndexedTable {
	cp := *t
	return &cp
}

// LookupPartitions implements gms.IndexedTable.
func (t *viewTable) LookupPartitions(ctx *gms.Context, lookup gms.IndexLookup) (gms.PartitionIter, error) {
	ranges, err := keyRanges(ctx, lookup, t.keyTypes())
	if err != nil {
		return nil, err
	}
	return gms.PartitionsToPartitionIter(lookupPartition{ranges: ranges, reverse: lookup.IsReverse}), nil
}

// keyTypes are the types of the group key, ours and the engine's.
func (t *viewTable) keyTypes() (types []keyType) {
	for i, k := range t.keyColumns() {
		types = append(types, keyType{own: t.view.Plan().Keys[i].Expr.Type(), engine: t.schema[k].Type})
	}
	return types
}

// scan returns the rows of the ranges, one range after the other.
func (t *viewTable) scan(ctx *gms.Context, ranges []keyRange, reverse bool) (gms.RowIter, error) {
	snap, err := readSet(ctx).Snapshot(t.view)
	if err != nil {
		return nil, err
	}
	it := &viewRows{snap: snap, layer: t.layer, ranges: ranges, reverse: reverse, cols: t.proj, next: firstFill}
	if t.proj == nil {
		it.cols = make([]int, len(t.cols))
		for i := range it.cols {
			it.cols[i] = i
		}
	}
	it.width = len(it.cols)
	for _, c := range it.cols {
		it.makers = append(it.makers, newValueMaker(t.schema[c].Type))
	}
	// Ranges that bound more than the leading columns need those to check.
	it.keyAt = t.keyColumns()
	for i, k := range it.keyAt {
		if it.keyAt[i] = slices.Index(it.cols, k); it.keyAt[i] < 0 && slices.ContainsFunc(ranges, func(r keyRange) bool { return r.checks(i) }) {
			it.cols = append(slices.Clip(it.cols), k)
			it.keyAt[i] = len(it.cols) - 1
		}
	}
	return it, nil
}

// The rows that are read at a time: few at first, for lookups of one, then more.
const (
	firstFill = 4
	mostFill  = 1024
)

// viewRows are rows of a view.
type viewRows struct {
	snap    *views.Snapshot
	layer   views.Layer
	ranges  []keyRange // those not begun yet
	current keyRange
	cursor  *views.Cursor
	reverse bool
	cols    []int
	width   int // columns of a row: the first of cols
	makers  []valueMaker
	keyAt   []int // where each part of the key is among cols, or -1

	batch column.Batch
	n, at int
	next  int
}

// Next implements gms.RowIter.
func (it *viewRows) Next(ctx *gms.Context) (gms.Row, error) {
	for {
		for it.at < it.n {
			i := it.at
			it.at++
			if it.current.holds(&it.batch, it.keyAt, i) {
				return it.row(i), nil
			}
		}
		if err := it.fill(ctx); err != nil {
			return nil, err
		}
	}
}

func (it *viewRows) row(i int) gms.Row {
	row := make(gms.Row, it.width)
	for k := range row {
		row[k] = it.makers[k].make(it.batch.Cols[k].Value(i))
	}
	return row
}

// fill reads the next rows; io.EOF at the end.
func (it *viewRows) fill(ctx *gms.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		if it.cursor == nil {
			if len(it.ranges) == 0 {
				return io.EOF
			}
			it.current, it.ranges = it.ranges[0], it.ranges[1:]
			it.cursor = it.snap.Scan(it.layer, []views.Range{it.current.Range}, it.reverse, it.cols)
		}
		it.at = 0
		if it.n, err = it.cursor.Fill(&it.batch, it.next); err != nil {
			return err
		}
		it.next = min(it.next*4, mostFill)
		if it.n > 0 {
			return nil
		}
		it.cursor = nil
	}
}

// Close implements gms.RowIter. The snapshot is the statement's.
func (it *viewRows) Close(*gms.Context) error { return nil }

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
