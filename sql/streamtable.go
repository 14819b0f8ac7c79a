package sql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/sql/ddl"
	"weir/views"
	"weir/views/column"
)

// A streamTable is a stream as a table: its events, straight from the log.
type streamTable struct {
	engine *views.Engine
	stream *views.Stream
	cols   []views.ColumnDef
	schema gms.Schema
	proj   []int // the columns that are read; nil is all
}

var (
	_ gms.PrimaryKeyTable       = (*streamTable)(nil)
	_ gms.ProjectedTable        = (*streamTable)(nil)
	_ gms.IndexAddressableTable = (*streamTable)(nil)
	_ gms.IndexedTable          = (*streamTable)(nil)
	_ gms.CommentedTable        = (*streamTable)(nil)
	_ gms.StatisticsTable       = (*streamTable)(nil)
	_ gms.InsertableTable       = (*streamTable)(nil)
)

func newStreamTable(e *views.Engine, s *views.Stream) (*streamTable, error) {
	t := &streamTable{engine: e, stream: s, cols: s.Def.AllColumns()}
	var err error
	if t.schema, err = streamSchema(s.Def, s.Def.Name); err != nil {
		return nil, err
	}
	return t, nil
}

// Name implements gms.Table.
func (t *streamTable) Name() string { return t.stream.Def.Name }

func (t *streamTable) String() string { return t.Name() }

// Collation implements gms.Table.
func (t *streamTable) Collation() gms.CollationID { return gms.Collation_Default }

// Comment implements gms.CommentedTable: what CREATE STREAM said.
func (t *streamTable) Comment() string {
	if stmt, err := ddl.Parse(t.stream.Def.Text); err == nil {
		if create, ok := stmt.(*ddl.CreateStream); ok && create.Comment != "" {
			return create.Comment
		}
	}
	return "stream of events"
}

// Schema implements gms.Table: the columns that are read.
func (t *streamTable) Schema() gms.Schema {
	return projected(t.schema, t.proj)
}

// PrimaryKeySchema implements gms.PrimaryKeyTable.
func (t *streamTable) PrimaryKeySchema() gms.PrimaryKeySchema {
	return gms.NewPrimaryKeySchema(t.schema, t.extra(views.ExtraSeq))
}

// extra is the column that an extra is.
func (t *streamTable) extra(e int) int { return len(t.stream.Def.Columns) + e }

// Projections implements gms.ProjectedTable.
func (t *streamTable) Projections() []string {
	return projectedNames(t.schema, t.proj)
}

// WithProjections implements gms.ProjectedTable.
func (t *streamTable) WithProjections(names []string) gms.Table {
	cp := *t
	cp.proj = projection(t.schema, names)
	return &cp
}

// DataLength implements gms.StatisticsTable.
func (t *streamTable) DataLength(ctx *gms.Context) (uint64, error) {
	st, err := t.stream.Log().State(ctx)
	return st.Bytes, err
}

// RowCount implements gms.StatisticsTable: dead letters count too.
func (t *streamTable) RowCount(ctx *gms.Context) (uint64, bool, error) {
	st, err := t.stream.Log().State(ctx)
	return st.Messages, false, err
}

// Partitions implements gms.Table.
func (t *streamTable) Partitions(*gms.Context) (gms.PartitionIter, error) {
	return gms.PartitionsToPartitionIter(wholeTable{}), nil
}

// A seqPartition is the events in (after, until].
type seqPartition struct {
	after, until uint64
	bounds       []keyBound // on the column at, each for itself
	at           int

	filter column.Expr // nil is all
	reads  []int       // the columns that filter reads
}

func (seqPartition) Key() []byte { return []byte("seq") }

// GetIndexes implements gms.IndexAddressable: the sequence, and the time that
// the log received the event.
func (t *streamTable) GetIndexes(*gms.Context) ([]gms.Index, error) {
	index := func(id string, extra int, unique bool) gms.Index {
		return &keyIndex{id: id, database: t.stream.Def.Database, table: t.Name(), unique: unique, cols: []*gms.Column{t.schema[t.extra(extra)]}}
	}
	return []gms.Index{index("PRIMARY", views.ExtraSeq, true), index("_time", views.ExtraTime, false)}, nil
}

// PreciseMatch implements gms.IndexAddressable.
func (t *streamTable) PreciseMatch() bool { return true }

// IndexedAccess implements gms.IndexAddressable.
func (t *streamTable) IndexedAccess(*gms.Context, gms.IndexLookup) gms.IndexedTable {
	cp := *t
	return &cp
}

// LookupPartitions implements gms.IndexedTable: each range is one of sequences.
func (t *streamTable) LookupPartitions(ctx *gms.Context, lookup gms.IndexLookup) (gms.PartitionIter, error) {
	ranges, err := t.lookupRanges(ctx, lookup)
	if err != nil {
		return nil, err
	}
	parts := make([]gms.Partition, len(ranges))
	for i := range ranges {
		parts[i] = ranges[i]
		if lookup.IsReverse {
			parts[i] = reversed{ranges[i]}
		}
	}
	return gms.PartitionsToPartitionIter(parts...), nil
}

// lookupRanges translates an index lookup to ranges of sequences, in its order.
func (t *streamTable) lookupRanges(ctx *gms.Context, lookup gms.IndexLookup) (parts []seqPartition, err error) {
	extra := views.ExtraSeq
	if lookup.Index.ID() != "PRIMARY" {
		extra = views.ExtraTime
	}
	kt := keyType{own: t.cols[t.extra(extra)].Type, engine: t.schema[t.extra(extra)].Type}
	list, ok := lookup.Ranges.(gms.MySQLRangeCollection)
	if !ok {
		return nil, fmt.Errorf("index lookup of an unknown kind: %T", lookup.Ranges)
	}
	st, err := t.stream.Log().State(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if lookup.IsEmptyRange || emptyRange(r) {
			continue
		}
		b := toBound(ctx, r[0], kt)
		p := seqPartition{until: st.Last, at: t.extra(extra), bounds: []keyBound{b}}
		if extra == views.ExtraSeq {
			p.boundSeq(&b)
		} else if err := p.boundTime(ctx, t.stream, &b); err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// reversed is a partition whose rows come last first.
type reversed struct{ seqPartition }

func (p *seqPartition) boundSeq(b *keyBound) {
	if b.lo != nil && b.lo.I != 0 {
		p.after = uint64(b.lo.I) - 1
		if b.loOpen {
			p.after++
		}
	}
	if b.hi != nil {
		until := uint64(b.hi.I)
		if b.hiOpen && until > 0 {
			until--
		}
		p.until = min(p.until, until)
	}
}

func (p *seqPartition) boundTime(ctx context.Context, s *views.Stream, b *keyBound) (err error) {
	if b.lo != nil {
		if p.after, err = s.SeqAt(ctx, b.lo.I*1000); err != nil {
			return err
		}
	}
	if b.hi != nil && b.hi.I < math.MaxInt64/1000-1 {
		until, err := s.SeqAt(ctx, (b.hi.I+1)*1000)
		if err != nil {
			return err
		}
		p.until = min(p.until, until)
	}
	return nil
}

// PartitionRows implements gms.Table.
func (t *streamTable) PartitionRows(ctx *gms.Context, p gms.Partition) (gms.RowIter, error) {
	switch p := p.(type) {
	case seqPartition:
		return t.rows(ctx, p), nil
	case reversed:
		// Sequences are read forwards; the rows of a range are turned round.
		return &backwardRows{t: t, p: p.seqPartition, size: backwardsFirst}, nil
	default:
		// What was acknowledged before the statement is within it.
		st, err := t.stream.Log().State(ctx)
		return t.rows(ctx, seqPartition{until: st.Last}), err
	}
}

// rows are the events of a range; value may ask for the columns also, too.
func (t *streamTable) rows(ctx *gms.Context, p seqPartition, also ...int) *streamRows {
	it := &streamRows{p: p, cols: t.proj}
	if it.cols == nil {
		for i := range t.cols {
			it.cols = append(it.cols, i)
		}
	}
	for _, c := range it.cols {
		it.makers = append(it.makers, newValueMaker(t.schema[c].Type))
	}
	need := it.cols
	if p.bounds != nil {
		need = append(slices.Clip(need), p.at)
	}
	need = append(slices.Clip(need), p.reads...)
	need = append(need, also...)
	it.next, it.stop = iter.Pull2(t.stream.Scan(ctx, p.after, p.until, need))
	return it
}

// A reversed range is read in pieces from its end: of few events at first, for
// those who want the last of all, and of more while few of them are wanted.
const (
	backwardsFirst = 64
	backwardsBytes = 4 << 20 // of the rows that are held, but for one that is larger
	backwardsMost  = 1 << 18 // events of a piece
)

// backwardRows are the rows of a range, the last first.
type backwardRows struct {
	t    *streamTable
	p    seqPartition // what is not read yet
	size uint64       // events of the next piece
	held []backwardRow
	now  int // bytes that held refers to
	most int // the most that it did
}

type backwardRow struct {
	row   gms.Row
	seq   uint64
	bytes int
}

// Next implements gms.RowIter.
func (b *backwardRows) Next(ctx *gms.Context) (gms.Row, error) {
	for len(b.held) == 0 {
		if b.p.until <= b.p.after {
			return nil, io.EOF
		}
		if err := b.fill(ctx); err != nil {
			return nil, err
		}
	}
	last := len(b.held) - 1
	row := b.held[last]
	b.held[last] = backwardRow{}
	b.held = b.held[:last]
	b.now -= row.bytes
	return row.row, nil
}

// fill reads the next piece forwards, and holds those of its rows that come last.
// Where they are more than may be held, the first of them are left to the next
// piece, which is then as long as what was held.
func (b *backwardRows) fill(ctx *gms.Context) (err error) {
	piece := b.p
	piece.after = max(b.p.after, b.p.until-min(b.size, b.p.until))
	it := b.t.rows(ctx, piece, b.t.extra(views.ExtraSeq))
	defer func() { err = errors.Join(err, it.Close(ctx)) }()
	rest, first := piece.after, 0 // of held, the rows before first are dropped
	for {
		row, err := it.Next(ctx)
		if err == io.EOF { //nolint:errorlint // our own iterator returns it bare
			break
		}
		if err != nil {
			return err
		}
		held := backwardRow{row: row, seq: uint64(it.value(b.t.extra(views.ExtraSeq)).I), bytes: it.bytes()}
		b.held = append(b.held, held)
		b.now += held.bytes
		for b.now > backwardsBytes && first < len(b.held)-1 {
			b.now -= b.held[first].bytes
			rest = b.held[first].seq
			b.held[first] = backwardRow{}
			first++
		}
		b.most = max(b.most, b.now)
		if first > len(b.held)/2 { // what is dropped leaves its place, too
			kept := copy(b.held, b.held[first:])
			clear(b.held[kept:])
			b.held, first = b.held[:kept], 0
		}
	}
	kept := copy(b.held, b.held[first:])
	clear(b.held[kept:])
	b.held = b.held[:kept]
	switch {
	case rest > piece.after:
		b.size = max(b.p.until-rest, 1)
	case b.now < backwardsBytes/8:
		b.size = min(b.size*4, backwardsMost)
	}
	b.p.until = rest
	return nil
}

// Close implements gms.RowIter.
func (b *backwardRows) Close(*gms.Context) error { return nil }

// streamRows are the events of a range of sequences.
type streamRows struct {
	p      seqPartition
	cols   []int
	makers []valueMaker
	next   func() (*column.Batch, error, bool)
	stop   func()
	batch  *column.Batch
	at     int
	sel    []uint32 // rows that filter leaves
}

// Next implements gms.RowIter.
func (it *streamRows) Next(ctx *gms.Context) (gms.Row, error) {
	for {
		for it.batch != nil && it.at < it.count() {
			i := it.at
			if it.batch.Sel != nil {
				i = int(it.batch.Sel[it.at])
			}
			it.at++
			if it.p.holds(it.batch, i) {
				return it.row(i), nil
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, err, ok := it.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, io.EOF
		}
		if it.p.filter != nil {
			it.sel = keepRows(b, it.p.filter, it.sel)
		}
		it.batch, it.at = b, 0
	}
}

// value is the column c of the event that Next returned last, until the next.
func (it *streamRows) value(c int) column.Value {
	i := it.at - 1
	if it.batch.Sel != nil {
		i = int(it.batch.Sel[i])
	}
	return it.batch.Cols[c].Value(i)
}

// bytes is about the memory of the row that Next returned last.
func (it *streamRows) bytes() int {
	n := 48
	for _, c := range it.cols {
		v := it.value(c)
		if n += 24 + len(v.S); v.Kind == column.JSON {
			n += 15 * len(v.S) // a tree of values
		}
	}
	return n
}

// keepRows leaves of a batch the rows for which cond is true. It may use the
// memory of sel, and returns that of Sel to be used again.
func keepRows(b *column.Batch, cond column.Expr, sel []uint32) []uint32 {
	if b.Sel == nil {
		sel = sel[:0]
		for i := range b.Len {
			sel = append(sel, uint32(i))
		}
		b.Sel = sel
	}
	if len(b.Sel) > 0 {
		b.Keep(cond)
	}
	return b.Sel
}

func (it *streamRows) count() int {
	if it.batch.Sel != nil {
		return len(it.batch.Sel)
	}
	return it.batch.Len
}

// holds says whether row i of b is inside the bounds.
func (p *seqPartition) holds(b *column.Batch, i int) bool {
	for k := range p.bounds {
		if !p.bounds[k].holds(b.Cols[p.at].Value(i)) {
			return false
		}
	}
	return true
}

// row makes row i the engine's. Its text outlives the batch.
func (it *streamRows) row(i int) gms.Row {
	row := make(gms.Row, len(it.cols))
	for k, c := range it.cols {
		row[k] = it.makers[k].make(it.batch.Cols[c].Value(i).Clone())
	}
	return row
}

// Close implements gms.RowIter.
func (it *streamRows) Close(*gms.Context) error {
	it.stop()
	return nil
}
