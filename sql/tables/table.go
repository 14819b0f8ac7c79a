package tables

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sort"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	bolt "go.etcd.io/bbolt"
)

// A Table is a table as a statement sees it.
type Table struct {
	store  *Store
	def    *Def
	all    gms.Schema
	proj   []int      // the columns that are read; nil is all
	schema gms.Schema // of those
}

var (
	_ gms.PrimaryKeyTable          = (*Table)(nil)
	_ gms.ProjectedTable           = (*Table)(nil)
	_ gms.IndexAddressableTable    = (*Table)(nil)
	_ gms.IndexedTable             = (*Table)(nil)
	_ gms.CommentedTable           = (*Table)(nil)
	_ gms.StatisticsTable          = (*Table)(nil)
	_ gms.InsertableTable          = (*Table)(nil)
	_ gms.UpdatableTable           = (*Table)(nil)
	_ gms.DeletableTable           = (*Table)(nil)
	_ gms.ReplaceableTable         = (*Table)(nil)
	_ gms.TruncateableTable        = (*Table)(nil)
	_ gms.AutoIncrementTable       = (*Table)(nil)
	_ gms.AlterableTable           = (*Table)(nil)
	_ gms.RewritableTable          = (*Table)(nil)
	_ gms.IndexAlterableTable      = (*Table)(nil)
	_ gms.IndexBuildingTable       = (*Table)(nil)
	_ gms.PrimaryKeyAlterableTable = (*Table)(nil)
	_ gms.CheckTable               = (*Table)(nil)
	_ gms.CheckAlterableTable      = (*Table)(nil)
	_ gms.CollationAlterableTable  = (*Table)(nil)
)

func newTable(s *Store, d *Def) *Table {
	all := d.schema()
	return &Table{store: s, def: d, all: all, schema: all}
}

func (t *Table) Name() string               { return t.def.Name }
func (t *Table) String() string             { return t.def.Name }
func (t *Table) Collation() gms.CollationID { return t.def.collation() }
func (t *Table) Comment() string            { return t.def.Comment }
func (t *Table) Schema() gms.Schema         { return t.schema }

// IsTemporary implements gms.TemporaryTable: the engine asks every table in a
// transaction that is READ ONLY.
func (t *Table) IsTemporary() bool { return false }

// PrimaryKeySchema implements gms.PrimaryKeyTable.
func (t *Table) PrimaryKeySchema() gms.PrimaryKeySchema {
	return gms.NewPrimaryKeySchema(t.all, t.def.Key...)
}

// Projections implements gms.ProjectedTable.
func (t *Table) Projections() []string {
	if t.proj == nil {
		return nil
	}
	names := make([]string, len(t.proj))
	for i, c := range t.proj {
		names[i] = t.def.Columns[c].Name
	}
	return names
}

// WithProjections implements gms.ProjectedTable.
func (t *Table) WithProjections(names []string) gms.Table {
	cp := *t
	cp.proj = make([]int, 0, len(names))
	cp.schema = make(gms.Schema, 0, len(names))
	for _, n := range names {
		if c := t.def.column(n); c >= 0 {
			cp.proj = append(cp.proj, c)
			cp.schema = append(cp.schema, t.all[c])
		}
	}
	return &cp
}

// rowBytes is what a row is taken to hold, for the planner's estimates.
const rowBytes = 100

// DataLength implements gms.StatisticsTable.
func (t *Table) DataLength(ctx *gms.Context) (uint64, error) {
	n, _, err := t.RowCount(ctx)
	return n * rowBytes, err
}

// RowCount implements gms.StatisticsTable. It does not open the statement's
// snapshot, and so may be of another moment.
func (t *Table) RowCount(*gms.Context) (n uint64, exact bool, err error) {
	err = t.store.db.View(func(tx *bolt.Tx) error {
		c, err := readCounters(tx, t.def.ID)
		n = c.Rows
		return err
	})
	return n, false, err
}

// wholeTable is the partition of a scan.
type wholeTable struct{}

func (wholeTable) Key() []byte { return []byte("all") }

// Partitions implements gms.Table.
func (t *Table) Partitions(*gms.Context) (gms.PartitionIter, error) {
	return gms.PartitionsToPartitionIter(wholeTable{}), nil
}

// PartitionRows implements gms.Table.
func (t *Table) PartitionRows(ctx *gms.Context, p gms.Partition) (gms.RowIter, error) {
	l, ok := p.(lookup)
	if !ok {
		l = lookup{ranges: []keyRange{{}}}
	}
	bucket := t.def.Rows
	if l.index != nil {
		bucket = l.index.Rows
	}
	if tx := txOf(ctx, t.store); tx != nil {
		if e := tx.edits[t.def.ID]; e != nil && e.rows[bucket] != nil && e.rows[bucket].fresh {
			return t.pending(ctx, tx, e, l)
		}
	}
	snap, err := t.store.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	it := &rows{t: t, snap: snap, ranges: l.ranges, index: l.index, bucket: bucket, reverse: l.reverse, current: keyRange{none: true}}
	b, err := snap.bucket(bucket)
	if err != nil {
		return nil, err
	}
	if l.index != nil {
		if it.table, err = snap.bucket(t.def.Rows); err != nil {
			return nil, err
		}
	}
	it.cursor = b.Cursor()
	return it, nil
}

// pending returns the rows that the statement itself has written to a table
// that it has made anew: ALTER in several steps reads them.
func (t *Table) pending(ctx *gms.Context, tx *Tx, e *edits, l lookup) (gms.RowIter, error) {
	var list []gms.Row
	err := tx.each(ctx, e, t.def.Rows, func(key, rec []byte) error {
		row, err := t.def.readRow(ctx, rec, nil)
		if err != nil {
			return t.store.damaged(t.def, key)
		}
		if len(l.ranges) > 0 && !slices.ContainsFunc(l.ranges, func(r keyRange) bool { return r.holds(ctx, t.def, row) }) {
			return nil
		}
		if t.proj != nil {
			out := make(gms.Row, len(t.proj))
			for i, c := range t.proj {
				out[i] = row[c]
			}
			row = out
		}
		list = append(list, row)
		return nil
	})
	return gms.RowsToRowIter(list...), err
}

// rows are the rows of ranges of a table, by its primary key or an index.
type rows struct {
	t       *Table
	snap    *snapshot
	cursor  *bolt.Cursor
	table   *bolt.Bucket // of rows, for an index
	index   *IndexDef
	bucket  uint64
	ranges  []keyRange
	current keyRange
	within  bool // current has begun
	reverse bool
	n       int
}

// Next implements gms.RowIter.
func (it *rows) Next(ctx *gms.Context) (row gms.Row, err error) {
	if it.snap.tx == nil {
		return nil, errChanged() // its statement has ended
	}
	err = it.t.store.guard(func() error {
		row, err = it.next(ctx)
		return err
	})
	return row, err
}

func (it *rows) next(ctx *gms.Context) (gms.Row, error) {
	for {
		if it.n++; it.n%256 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		k, v := it.step()
		if k == nil {
			if len(it.ranges) == 0 {
				return nil, io.EOF
			}
			it.current, it.ranges, it.within = it.ranges[0], it.ranges[1:], false
			continue
		}
		row, err := it.row(ctx, k, v)
		if err != nil || row != nil {
			return row, err
		}
	}
}

// step goes to the next record of the current range; nil at its end.
func (it *rows) step() (k, v []byte) {
	switch {
	case !it.within && it.current.empty():
		return nil, nil
	case it.within && it.reverse:
		k, v = it.cursor.Prev()
	case it.within:
		k, v = it.cursor.Next()
	case it.reverse && it.current.hi != nil:
		if at, _ := it.cursor.Seek(it.current.hi); at == nil {
			k, v = it.cursor.Last()
		} else {
			k, v = it.cursor.Prev()
		}
	case it.reverse:
		k, v = it.cursor.Last()
	default:
		k, v = it.cursor.Seek(it.current.lo)
	}
	it.within = true
	if k == nil || it.reverse && bytes.Compare(k, it.current.lo) < 0 ||
		!it.reverse && it.current.hi != nil && bytes.Compare(k, it.current.hi) >= 0 {
		it.current, it.within = keyRange{none: true}, false
		return nil, nil
	}
	return k, v
}

// row returns the row of a record, nil where it is not in the range after all.
func (it *rows) row(ctx *gms.Context, k, v []byte) (gms.Row, error) {
	d := it.t.def
	rec, err := unseal(it.bucket, k, v)
	if err == nil && it.index != nil {
		key := rec
		if v = it.table.Get(key); v == nil {
			return nil, it.t.store.damaged(d, key)
		}
		rec, err = unseal(d.Rows, key, v)
	}
	if err != nil {
		return nil, it.t.store.damaged(d, k)
	}
	if it.current.checks == nil {
		row, err := d.readRow(ctx, rec, it.t.proj)
		if err != nil {
			return nil, it.t.store.damaged(d, k)
		}
		return row, nil
	}
	row, err := d.readRow(ctx, rec, nil)
	if err != nil {
		return nil, it.t.store.damaged(d, k)
	}
	if !it.current.holds(ctx, d, row) {
		return nil, nil
	}
	if it.t.proj == nil {
		return row, nil
	}
	out := make(gms.Row, len(it.t.proj))
	for i, c := range it.t.proj {
		out[i] = row[c]
	}
	return out, nil
}

// Close implements gms.RowIter. The snapshot is the statement's.
func (it *rows) Close(*gms.Context) error { return nil }

// An Index is the primary key or a secondary index of a table.
type Index struct {
	def *Def
	ix  *IndexDef // nil is the primary key
}

var _ gms.OrderedIndex = (*Index)(nil)

func (x *Index) columns() []int {
	if x.ix == nil {
		return x.def.Key
	}
	return x.ix.Columns
}

// ID implements gms.Index.
func (x *Index) ID() string {
	if x.ix == nil {
		return "PRIMARY"
	}
	return x.ix.Name
}

func (x *Index) Database() string  { return x.def.Database }
func (x *Index) Table() string     { return x.def.Name }
func (x *Index) IsUnique() bool    { return x.ix == nil || x.ix.Unique }
func (x *Index) IsSpatial() bool   { return false }
func (x *Index) IsFullText() bool  { return false }
func (x *Index) IsVector() bool    { return false }
func (x *Index) IndexType() string { return "BTREE" }
func (x *Index) IsGenerated() bool { return false }
func (x *Index) Reversible() bool  { return true }

// Comment implements gms.Index.
func (x *Index) Comment() string {
	if x.ix == nil {
		return ""
	}
	return x.ix.Comment
}

// PrefixLengths implements gms.Index.
func (x *Index) PrefixLengths() []uint16 {
	if x.ix == nil || !slices.ContainsFunc(x.ix.Prefix, func(n uint16) bool { return n > 0 }) {
		return nil
	}
	return x.ix.Prefix
}

// Order implements gms.OrderedIndex: of texts that are cut there is none.
func (x *Index) Order() gms.IndexOrder {
	if x.PrefixLengths() != nil {
		return gms.IndexOrderNone
	}
	return gms.IndexOrderAsc
}

// CanSupportOrderBy implements gms.Index.
func (x *Index) CanSupportOrderBy(gms.Expression) bool { return x.PrefixLengths() == nil }

// CanSupport implements gms.Index.
func (x *Index) CanSupport(*gms.Context, ...gms.Range) bool { return true }

// Expressions implements gms.Index.
func (x *Index) Expressions() []string {
	cols := x.columns()
	list := make([]string, len(cols))
	for i, c := range cols {
		list[i] = x.def.Name + "." + x.def.Columns[c].Name
	}
	return list
}

// ColumnExpressionTypes implements gms.Index.
func (x *Index) ColumnExpressionTypes() []gms.ColumnExpressionType {
	cols := x.columns()
	list := make([]gms.ColumnExpressionType, len(cols))
	for i, e := range x.Expressions() {
		list[i] = gms.ColumnExpressionType{Expression: e, Type: x.def.kinds[cols[i]].typ}
	}
	return list
}

// GetIndexes implements gms.IndexAddressable.
func (t *Table) GetIndexes(*gms.Context) (list []gms.Index, _ error) {
	if len(t.def.Key) > 0 {
		list = append(list, &Index{def: t.def})
	}
	for i := range t.def.Indexes {
		list = append(list, &Index{def: t.def, ix: &t.def.Indexes[i]})
	}
	return list, nil
}

// PreciseMatch implements gms.IndexAddressable: a lookup returns the rows that
// match it and no others.
func (t *Table) PreciseMatch() bool { return true }

// IndexedAccess implements gms.IndexAddressable.
func (t *Table) IndexedAccess(*gms.Context, gms.IndexLookup) gms.IndexedTable {
	cp := *t
	return &cp
}

// A lookup is the part of a table that an index lookup asks for.
type lookup struct {
	index   *IndexDef
	ranges  []keyRange
	reverse bool
}

func (lookup) Key() []byte { return []byte("lookup") }

// LookupPartitions implements gms.IndexedTable.
func (t *Table) LookupPartitions(ctx *gms.Context, l gms.IndexLookup) (gms.PartitionIter, error) {
	x, ok := l.Index.(*Index)
	if !ok {
		return nil, fmt.Errorf("index lookup by an index of another table: %T", l.Index)
	}
	ranges, ok := l.Ranges.(gms.MySQLRangeCollection)
	if !ok {
		return nil, fmt.Errorf("index lookup of an unknown kind: %T", l.Ranges)
	}
	out := lookup{index: x.ix, reverse: l.IsReverse}
	for _, r := range ranges {
		if l.IsEmptyRange {
			break
		}
		kr, err := x.keyRange(ctx, r)
		if err != nil {
			return nil, err
		}
		if !kr.none {
			out.ranges = append(out.ranges, kr)
		}
	}
	sort.Slice(out.ranges, func(i, j int) bool { return bytes.Compare(out.ranges[i].lo, out.ranges[j].lo) < 0 })
	if out.reverse {
		slices.Reverse(out.ranges)
	}
	if len(out.ranges) == 0 {
		out.ranges = []keyRange{{none: true}}
	}
	return gms.PartitionsToPartitionIter(out), nil
}

// A keyRange is the keys in [lo, hi), and what their rows must fulfil beside;
// a nil hi is no end.
type keyRange struct {
	lo, hi []byte
	none   bool // no key at all
	checks []bound
}

// A bound bounds the values of a column, as parts of a key.
type bound struct {
	col            int
	lo, hi         []byte // nil is none
	loOpen, hiOpen bool   // the bound itself is outside
}

func (r *keyRange) empty() bool { return r.none }

// holds says whether a row is within the bounds.
func (r *keyRange) holds(ctx *gms.Context, d *Def, row gms.Row) bool {
	if r.none {
		return false
	}
	for i := range r.checks {
		b := &r.checks[i]
		key, err := d.kinds[b.col].appendKey(ctx, nil, row[b.col], 0)
		if err != nil {
			return false
		}
		if b.lo != nil {
			if c := bytes.Compare(key, b.lo); c < 0 || c == 0 && b.loOpen {
				return false
			}
		}
		if b.hi != nil {
			if c := bytes.Compare(key, b.hi); c > 0 || c == 0 && b.hiOpen {
				return false
			}
		}
	}
	return true
}

// keyRange translates a range of the engine's.
func (x *Index) keyRange(ctx *gms.Context, r gms.MySQLRange) (keyRange, error) {
	cols := x.columns()
	var out keyRange
	var prefix []byte
	open := false // a part before was no equality: those behind are checked on rows
	for i, e := range r {
		if i >= len(cols) {
			break
		}
		col := cols[i]
		k := &x.def.kinds[col]
		cut := uint16(0)
		if x.ix != nil && i < len(x.ix.Prefix) {
			cut = x.ix.Prefix[i]
		}
		b, impossible, err := toBound(ctx, k, col, e)
		if err != nil {
			return out, err
		}
		if impossible {
			return keyRange{none: true}, nil
		}
		equal := b.lo != nil && b.hi != nil && !b.loOpen && !b.hiOpen && bytes.Equal(b.lo, b.hi)
		if open || cut > 0 {
			if b.lo != nil || b.hi != nil {
				out.checks = append(out.checks, b)
			}
		}
		if open {
			continue
		}
		lo, hi := b.lo, b.hi
		loOpen, hiOpen := b.loOpen, b.hiOpen
		if cut > 0 {
			if lo, hi, err = cutBounds(ctx, k, e, cut, b); err != nil {
				return out, err
			}
			loOpen, hiOpen = false, false
		}
		if equal {
			prefix = append(prefix, lo...)
			out.lo, out.hi = prefix, end(prefix)
			continue
		}
		open = true
		out.lo = prefix
		if lo != nil {
			out.lo = append(bytes.Clone(prefix), lo...)
			if loOpen {
				out.lo = end(out.lo)
			}
		}
		out.hi = end(prefix)
		if hi != nil {
			out.hi = append(bytes.Clone(prefix), hi...)
			if !hiOpen {
				out.hi = end(out.hi)
			}
		}
	}
	out.none = out.hi != nil && bytes.Compare(out.lo, out.hi) >= 0
	return out, nil
}

// cutBounds are the bounds as an index has them that holds the first characters.
func cutBounds(ctx *gms.Context, k *kind, e gms.MySQLRangeColumnExpr, cut uint16, b bound) (lo, hi []byte, err error) {
	part := func(c gms.MySQLRangeCut, full []byte) ([]byte, error) {
		switch c := c.(type) {
		case gms.Below:
			return cutKey(ctx, k, c.Key, cut)
		case gms.Above:
			return cutKey(ctx, k, c.Key, cut)
		}
		return full, nil
	}
	if b.lo != nil {
		if lo, err = part(e.LowerBound, b.lo); err != nil {
			return nil, nil, err
		}
	}
	if b.hi != nil {
		hi, err = part(e.UpperBound, b.hi)
	}
	return lo, hi, err
}

func cutKey(ctx *gms.Context, k *kind, x any, cut uint16) ([]byte, error) {
	v, _, err := k.typ.Convert(ctx, x)
	if err != nil {
		return nil, err
	}
	return k.appendKey(ctx, nil, v, cut)
}

// toBound translates what a range says of one column. It says impossible where
// no value fulfils it.
func toBound(ctx *gms.Context, k *kind, col int, e gms.MySQLRangeColumnExpr) (b bound, impossible bool, err error) {
	b.col = col
	outside := false
	value := func(x any) ([]byte, error) {
		v, inRange, err := k.typ.Convert(ctx, x)
		if err != nil {
			return nil, err
		}
		outside = outside || inRange == gms.OutOfRange
		return k.appendKey(ctx, nil, v, 0)
	}
	null := []byte{tagNull}
	switch c := e.LowerBound.(type) {
	case gms.Below:
		if c.Key == nil {
			return b, true, nil
		}
		b.lo, err = value(c.Key)
	case gms.Above:
		if c.Key == nil {
			return b, true, nil
		}
		b.lo, err = value(c.Key)
		b.loOpen = true
	case gms.AboveNull:
		b.lo, b.loOpen = null, true
	case gms.AboveAll:
		return b, true, nil
	}
	if err != nil {
		return b, false, err
	}
	switch c := e.UpperBound.(type) {
	case gms.Below:
		if c.Key == nil {
			return b, true, nil
		}
		b.hi, err = value(c.Key)
		b.hiOpen = true
	case gms.Above:
		if c.Key == nil {
			return b, true, nil
		}
		b.hi, err = value(c.Key)
	case gms.AboveNull:
		b.hi = null
		if b.lo == nil {
			b.lo = null // NULL alone: an equality
		}
	case gms.BelowNull:
		return b, true, nil
	}
	if err != nil {
		return b, false, err
	}
	if b.lo != nil && b.hi != nil {
		if c := bytes.Compare(b.lo, b.hi); c > 0 || c == 0 && (b.loOpen || b.hiOpen || outside) {
			return b, true, nil
		}
	}
	return b, false, nil
}

// end returns the least key above all that begin with prefix, nil for none.
func end(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			out := bytes.Clone(prefix[:i+1])
			out[i]++
			return out
		}
	}
	return nil
}

// Inserter implements gms.InsertableTable.
func (t *Table) Inserter(*gms.Context) gms.RowInserter { return &editor{t.store, t.def} }

// Updater implements gms.UpdatableTable.
func (t *Table) Updater(*gms.Context) gms.RowUpdater { return &editor{t.store, t.def} }

// Deleter implements gms.DeletableTable.
func (t *Table) Deleter(*gms.Context) gms.RowDeleter { return &editor{t.store, t.def} }

// Replacer implements gms.ReplaceableTable.
func (t *Table) Replacer(*gms.Context) gms.RowReplacer { return &editor{t.store, t.def} }

// Truncate implements gms.TruncateableTable.
func (t *Table) Truncate(ctx *gms.Context) (int, error) {
	tx, outer, err := t.store.begin(ctx)
	if err != nil {
		return 0, err
	}
	if outer {
		defer tx.rollback()
	}
	n, err := tx.truncate(ctx, t.def)
	if err == nil && outer {
		err = tx.commit()
	}
	return n, err
}

// PeekNextAutoIncrementValue implements gms.AutoIncrementGetter.
func (t *Table) PeekNextAutoIncrementValue(ctx *gms.Context) (n uint64, err error) {
	if tx := txOf(ctx, t.store); tx != nil && tx.edits[t.def.ID] != nil {
		return tx.edits[t.def.ID].counts.Auto, nil
	}
	err = t.store.db.View(func(tx *bolt.Tx) error {
		c, err := readCounters(tx, t.def.ID)
		n = c.Auto
		return err
	})
	return n, err
}

// GetNextAutoIncrementValue implements gms.AutoIncrementTable.
func (t *Table) GetNextAutoIncrementValue(ctx *gms.Context, given any) (uint64, error) {
	tx := txOf(ctx, t.store)
	if tx == nil {
		return t.PeekNextAutoIncrementValue(ctx)
	}
	_, e, err := t.store.editing(ctx, t.def)
	if err != nil {
		return 0, err
	}
	if given != nil {
		v, _, err := types.Uint64.Convert(ctx, given)
		if err != nil {
			return 0, err
		}
		if n, ok := v.(uint64); ok && n > e.counts.Auto {
			e.counts.Auto = n
		}
	}
	return e.counts.Auto, nil
}

// AutoIncrementSetter implements gms.AutoIncrementTable.
func (t *Table) AutoIncrementSetter(*gms.Context) gms.AutoIncrementSetter {
	return &editor{t.store, t.def}
}

// GetChecks implements gms.CheckTable.
func (t *Table) GetChecks(*gms.Context) (list []gms.CheckDefinition, _ error) {
	for _, c := range t.def.Checks {
		list = append(list, gms.CheckDefinition{Name: c.Name, CheckExpression: c.Expression, Enforced: c.Enforced})
	}
	return list, nil
}
