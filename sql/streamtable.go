package sql

import (
	"context"
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
	bound        *keyBound // on the column at, or nil
	at           int
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
	var parts []gms.Partition
	for _, r := range list {
		if lookup.IsEmptyRange || emptyRange(r) {
			continue
		}
		b := toBound(ctx, r[0], kt)
		p := seqPartition{until: st.Last, at: t.extra(extra), bound: &b}
		if extra == views.ExtraSeq {
			p.boundSeq(&b)
		} else if err := p.boundTime(ctx, t.stream, &b); err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	if lookup.IsReverse {
		// Sequences are read forwards; the rows of a range are turned round.
		for i := range parts {
			parts[i] = reversed{parts[i].(seqPartition)}
		}
		slices.Reverse(parts)
	}
	return gms.PartitionsToPartitionIter(parts...), nil
}

// reversed is a partition whose rows come last first.
type reversed struct{ seqPartition }

func (p *seqPartition) boundSeq(b *keyBound) {
	if b.lo != nil && b.lo.I != 0 {
		p.after = uint64(b.lo.I) - 1
	}
	if b.hi != nil {
		p.until = min(p.until, uint64(b.hi.I))
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
		return t.backwards(ctx, p.seqPartition)
	default:
		// What was acknowledged before the statement is within it.
		st, err := t.stream.Log().State(ctx)
		return t.rows(ctx, seqPartition{until: st.Last}), err
	}
}

func (t *streamTable) rows(ctx *gms.Context, p seqPartition) *streamRows {
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
	if p.bound != nil {
		need = append(slices.Clip(need), p.at)
	}
	it.next, it.stop = iter.Pull2(t.stream.Scan(ctx, p.after, p.until, need))
	return it
}

// backwardsMost bounds the events that a reversed range reads at a time.
const backwardsMost = 4096

// backwards returns the rows of a range last first, read in pieces from its end.
func (t *streamTable) backwards(_ *gms.Context, p seqPartition) (gms.RowIter, error) {
	return &backwardRows{t: t, p: p, size: 64}, nil
}

type backwardRows struct {
	t    *streamTable
	p    seqPartition
	size uint64
	rows []gms.Row
}

// Next implements gms.RowIter.
func (b *backwardRows) Next(ctx *gms.Context) (gms.Row, error) {
	for len(b.rows) == 0 {
		if b.p.until <= b.p.after {
			return nil, io.EOF
		}
		piece := b.p
		piece.after = max(b.p.after, b.p.until-min(b.size, b.p.until))
		it := b.t.rows(ctx, piece)
		rows, err := gms.RowIterToRows(ctx, it)
		if err != nil {
			return nil, err
		}
		b.rows, b.p.until = rows, piece.after
		b.size = min(b.size*4, backwardsMost)
	}
	last := len(b.rows) - 1
	row := b.rows[last]
	b.rows = b.rows[:last]
	return row, nil
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
			if it.p.bound == nil || it.p.bound.holds(it.batch.Cols[it.p.at].Value(i)) {
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
		it.batch, it.at = b, 0
	}
}

func (it *streamRows) count() int {
	if it.batch.Sel != nil {
		return len(it.batch.Sel)
	}
	return it.batch.Len
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
