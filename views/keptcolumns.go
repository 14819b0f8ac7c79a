package views

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/views/column"
	"weir/views/partial"
)

// Rows of a file are made for writing, and for finding one: each is found in a
// page, verified and decoded. A dashboard reads all of them again and again,
// while few of them change. So what passes over a view have decoded is kept as
// columns, as long as there is room, and a pass is over vectors in memory. The
// rows of groups that had events since are read anew and take the place of
// those that are kept. Which groups those are the runs say, that is what the
// live layer has applied.
//
// INVARIANT: between two sequences a row changes only if a run between them has
// its key, or the layers change, which keptID tells, or retention drops it.

// BlockRows is how many rows a pass takes at a time.
const BlockRows = 2048

const (
	// keptLeast is from how many rows on a bucket is worth keeping.
	keptLeast = 4096
	// keptMost bounds the bytes of all kept columns together, if the
	// environment (GOMEMLIMIT) leaves that much.
	keptMost = 256 << 20
	// keptIdle is for how long columns are kept that nobody reads.
	keptIdle = 10 * time.Minute
	// dirtyPart is how small a part of the kept rows those must be that are read
	// anew, each of which costs as much as some fifty kept ones. Up to dirtyLeast
	// there may be in any case.
	dirtyPart  = 16
	dirtyLeast = 128
	// recentMost bounds the runs that are remembered.
	recentMost = 1 << 14
	// keptRanges bounds the ranges of a pass over kept columns: each begins with
	// a search.
	keptRanges = 64
	// dictMost bounds the different texts of a column that is kept as codes.
	dictMost = 1 << 15
)

// A keptID says what the rows of a layer are made of, but for the runs: it
// changes with the batch layer, and where an epoch begins or ends.
type keptID struct {
	batch, rows, sum, cut uint64
	epochs                string
}

func (m *storeMeta) keptID(l Layer) (id keptID) {
	if m.Batch != 0 {
		id.batch, id.rows, id.sum, id.cut = m.Batch, m.BatchRows, m.BatchSum, m.Cut
	}
	if l != Batch {
		var list []byte
		for _, e := range m.Epochs {
			list = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(list, e.ID), e.Rowset)
		}
		id.epochs = string(list)
	}
	return id
}

// keptColumns are the columns that an engine keeps of its views.
type keptColumns struct {
	mu    sync.Mutex
	least uint64
	most  int64
	bytes int64 // of all rows, and of those that are being read
	list  map[*keptRows]struct{}

	passes atomic.Uint64 // over kept columns
}

func newKeptColumns(least int, most int64) *keptColumns {
	if least == 0 {
		least = keptLeast
	}
	if most == 0 {
		most = keptMost
		if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
			most = min(most, limit/8)
		}
	}
	return &keptColumns{least: uint64(least), most: most, list: map[*keptRows]struct{}{}}
}

// KeptColumns returns how many bytes of decoded columns are kept for passes over
// views, and how many passes there were over such.
func (e *Engine) KeptColumns() (bytes int64, passes uint64) {
	e.kept.mu.Lock()
	defer e.kept.mu.Unlock()
	return e.kept.bytes, e.kept.passes.Load()
}

// A keptView is what a view has for them.
type keptView struct {
	begun  bool
	layers [2]*keptRows // Serving and Batch
	// recent are the runs that commits took out of the stream's state, oldest
	// first and without their states: all of those beyond sequence after, while
	// recorded is set.
	recorded bool
	after    uint64
	recent   []*run
	groups   int // in recent
}

// keptRows are the rows of a layer at a sequence.
type keptRows struct {
	view  *View
	layer Layer
	id    keptID

	load    sync.Mutex // held while columns are read
	loading int64      // bytes of those, guarded by keptColumns.mu

	// The rest is guarded by keptColumns.mu; what it points to never changes.
	seq   uint64   // 0 while there are no columns
	floor int64    // rows of windows up to here are not among them
	keys  *keyList // nil while there are no columns
	cols  map[columnID]*keptColumn
	fresh map[*Layout]*overlay // the last by layout
	bytes int64                // of keys, columns and overlays
	used  time.Time
	gone  bool
	// passed is how many rows were read since the last load that were not here.
	// Once it is as many as there are, it is time for a load: whatever comes
	// then, at most about twice as much is read as had to be.
	passed  uint64
	refused time.Time // when there was no room for a load
}

// A columnID is a column of a view in any layer that has it.
type columnID struct {
	name   string
	narrow bool
}

func (l *Layout) id(i int) columnID { return columnID{strings.ToLower(l.cols[i].Name), l.narrow[i]} }

// A keptColumn is a column of all rows, in blocks of BlockRows. Those of a text
// that has few values are codes, and have no texts.
type keptColumn struct {
	blocks []*column.Vector
	dict   []string
	bytes  int64
	// When it was read: not before the keys were. What has changed in between
	// is dirty for all that may read it.
	seq   uint64
	floor int64
}

// keyList are keys in order, in blocks of BlockRows.
type keyList struct {
	blocks []keyBlock
	n      int
	bytes  int64
}

type keyBlock struct {
	data []byte
	ends []uint32
}

func (b *keyBlock) key(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.data[start:b.ends[i]]
}

func (l *keyList) key(i int) []byte { return l.blocks[i/BlockRows].key(i % BlockRows) }

func (l *keyList) add(key []byte) {
	if l.n%BlockRows == 0 {
		l.blocks = append(l.blocks, keyBlock{})
	}
	b := &l.blocks[len(l.blocks)-1]
	b.data = append(b.data, key...)
	b.ends = append(b.ends, uint32(len(b.data)))
	l.n++
	l.bytes += int64(len(key)) + 4
}

// search returns the place of the first key ≥ key, from place from on.
func (l *keyList) search(from int, key []byte) (at int, found bool) {
	step := 1
	to := from
	for to < l.n && bytes.Compare(l.key(to), key) < 0 {
		from = to + 1
		to += step
		step *= 2
	}
	to = min(to, l.n)
	at = from + sort.Search(to-from, func(i int) bool { return bytes.Compare(l.key(from+i), key) >= 0 })
	return at, at < l.n && bytes.Equal(l.key(at), key)
}

// of returns what is kept, or may be, of a layer of the view.
func (k *keptColumns) of(v *View, l Layer, id keptID) *keptRows {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := v.kept.layers[l]
	if r != nil && r.id != id {
		k.drop(r)
		r = nil
	}
	if r == nil {
		r = &keptRows{view: v, layer: l, id: id, cols: map[columnID]*keptColumn{}, fresh: map[*Layout]*overlay{}}
		if !v.kept.begun {
			v.kept.begun = true
			context.AfterFunc(v.ctx, func() { k.forget(v) })
		}
		v.kept.layers[l] = r
		k.list[r] = struct{}{}
	}
	r.used = time.Now()
	return r
}

// drop forgets r.
func (k *keptColumns) drop(r *keptRows) {
	if r.gone {
		return
	}
	r.gone = true
	k.bytes -= r.bytes
	delete(k.list, r)
	r.view.kept.layers[r.layer] = nil
	if r.layer == Serving {
		r.view.kept.recorded, r.view.kept.recent, r.view.kept.groups = false, nil, 0
	}
}

// record has the runs of v kept that commits take out of the stream's state.
func (k *keptColumns) record(v *View) {
	v.stream.applyMu.Lock()
	defer v.stream.applyMu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !v.kept.recorded {
		v.kept.recorded, v.kept.after = true, v.stream.state.Load().views[v].base
	}
}

// committed takes over runs that a commit took out of the stream's state, before
// it is seen without them.
func (k *keptColumns) committed(v *View, runs []*run) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !v.kept.recorded {
		return
	}
	most := recentMost // while the columns are being read
	if r := v.kept.layers[Serving]; r != nil && r.keys != nil {
		most = r.keys.dirtyMost()
	}
	for _, r := range runs {
		if r.to <= v.kept.after {
			continue // the columns were read after it
		}
		v.kept.groups += r.table.Len()
		// Its states may be far larger than what is kept of the view.
		v.kept.recent = append(v.kept.recent, &run{from: r.from, to: r.to, table: r.table.WithoutStates()})
	}
	if v.kept.groups > most || len(v.kept.recent) > recentMost {
		// It is over: too much has changed since.
		v.kept.recorded, v.kept.recent, v.kept.groups = false, nil, 0
	}
}

// dirtyMost is how many keys at most may be dirty.
func (l *keyList) dirtyMost() int { return max(l.n/dirtyPart, dirtyLeast) }

// forget drops what there is of v.
func (k *keptColumns) forget(v *View) { k.dropIf(func(r *keptRows) bool { return r.view == v }) }

func (k *keptColumns) dropIf(f func(r *keptRows) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for r := range k.list {
		if f(r) {
			k.drop(r)
		}
	}
}

// sweep drops what nobody reads, until ctx ends.
func (k *keptColumns) sweep(ctx context.Context) {
	t := time.NewTicker(keptIdle / 10)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			k.dropIf(func(r *keptRows) bool { return now.Sub(r.used) > keptIdle })
		}
	}
}

// A keptState is what there is of keptRows for one statement.
type keptState struct {
	seq     uint64
	floor   int64
	keys    *keyList // nil where they are not of use
	cols    []*keptColumn
	missing []int    // of the columns
	fresh   *overlay // an earlier one of the layout
	runs    []*run   // those that may be beyond seq
}

// state returns what there is for a snapshot.
func (k *keptColumns) state(r *keptRows, s *Snapshot, l *Layout) (st keptState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	st = keptState{seq: r.seq, floor: r.floor, keys: r.keys, cols: make([]*keptColumn, len(l.cols)), fresh: r.fresh[l]}
	for i := range l.cols {
		c := r.cols[l.id(i)]
		if st.cols[i] = c; c == nil || s.floor() < c.floor || r.layer == Serving && s.Seq < c.seq {
			st.missing = append(st.missing, i)
		}
	}
	if s.floor() < r.floor {
		st.keys = nil
	}
	if r.layer == Serving {
		kept := &r.view.kept
		if s.Seq < r.seq || !kept.recorded || r.seq < kept.after {
			st.keys = nil
		}
		st.runs = append(slices.Clone(kept.recent), s.live...)
	}
	return st
}

// floor is the last window that retention has dropped of what the snapshot shows.
func (s *Snapshot) floor() int64 {
	if s.drop == nil {
		return noFloor
	}
	return s.drop.floor
}

// due says whether so many rows, as are about to be read, had better be kept.
func (k *keptColumns) due(r *keptRows, all uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return r.passed >= all && time.Since(r.refused) > keptIdle
}

// missed notes that so many rows were read that are not kept.
func (k *keptColumns) missed(r *keptRows, rows int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r.passed += uint64(rows)
}

// room makes room for what is being read of r, which is so many bytes by now, and
// says whether there is.
func (k *keptColumns) room(r *keptRows, loading int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.gone || !k.makeRoom(r, loading-r.loading) {
		r.refused = time.Now()
		return false
	}
	k.bytes += loading - r.loading
	r.loading = loading
	return true
}

// makeRoom makes room for so many bytes more of r, at the cost of others, and says
// whether there is. mu is held.
func (k *keptColumns) makeRoom(r *keptRows, more int64) bool {
	for k.bytes+more > k.most {
		var oldest *keptRows
		for o := range k.list {
			if o != r && o.bytes > 0 && (oldest == nil || o.used.Before(oldest.used)) {
				oldest = o
			}
		}
		if oldest == nil {
			return false
		}
		k.drop(oldest)
	}
	return true
}

// loaded says that nothing of r is being read any more.
func (k *keptColumns) loaded(r *keptRows) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bytes -= r.loading
	r.loading = 0
}

// renew forgets the columns of r, which are of no use at the sequence of s, and
// would take the room of those to come. It says false where s is older than them.
func (k *keptColumns) renew(r *keptRows, s *Snapshot) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.gone || s.Seq < r.seq {
		return false
	}
	k.empty(r)
	return true
}

// empty forgets what there is of r. mu is held.
func (k *keptColumns) empty(r *keptRows) {
	k.bytes -= r.bytes
	r.keys, r.seq, r.bytes = nil, 0, 0
	clear(r.cols)
	clear(r.fresh)
}

// put keeps columns that were read: with join more of the rows that are kept.
func (k *keptColumns) put(r *keptRows, st *keptState, cols map[columnID]*keptColumn, join bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bytes -= r.loading // it is counted as what it has become
	r.loading = 0
	if r.gone || join && r.keys != st.keys { // others have been read meanwhile
		return
	}
	if !join {
		k.empty(r)
		r.keys, r.seq, r.floor, r.bytes = st.keys, st.seq, st.floor, st.keys.bytes
		k.bytes += r.bytes
		if kept := &r.view.kept; r.layer == Serving {
			kept.recent = slices.DeleteFunc(slices.Clone(kept.recent), func(o *run) bool { return o.to <= r.seq })
			kept.after, kept.groups = max(kept.after, r.seq), 0
			for _, o := range kept.recent {
				kept.groups += o.table.Len()
			}
		}
	}
	for id, c := range cols {
		more := c.bytes
		if old := r.cols[id]; old != nil {
			more -= old.bytes
		}
		r.cols[id] = c
		r.bytes += more
		k.bytes += more
	}
	r.passed = 0
}

// keptLayouts bounds the layouts of which the last overlay is kept.
const keptLayouts = 16

// putFresh keeps an overlay for the statements that come.
func (k *keptColumns) putFresh(r *keptRows, keys *keyList, l *Layout, o *overlay) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.gone || r.keys != keys {
		return
	}
	forget := func(l *Layout) {
		if old := r.fresh[l]; old != nil {
			r.bytes -= old.bytes
			k.bytes -= old.bytes
			delete(r.fresh, l)
		}
	}
	if forget(l); len(r.fresh) >= keptLayouts {
		for l := range r.fresh {
			forget(l)
		}
	}
	if !k.makeRoom(r, o.bytes) {
		return
	}
	r.fresh[l] = o
	r.bytes += o.bytes
	k.bytes += o.bytes
}

// Rows are some rows of a pass.
type Rows struct {
	Cols []*column.Vector // by the columns of the layout; not to be changed
	Len  int
	Sel  []uint32 // the rows that there are, in order; nil is all
	// Places, if there are any, says by row what FirstPlace says otherwise:
	// where it is in the order of the key, beside the rows of other calls.
	Places     []int64
	FirstPlace int64
}

// placeStep is between the places of kept rows; rows of the speed layer are
// between those. Their number is far smaller.
const placeStep = 1 << 24

// Place is where a row is in the order of the key, beside all rows of the pass.
func (r *Rows) Place(i int) int64 {
	if r.Places != nil {
		return r.Places[i]
	}
	return r.FirstPlace + int64(i)*placeStep
}

// Each calls f with the rows of a layer with keys in the ranges, some at a time,
// in no order: those that two ranges have, twice. It ends when f or ctx fails.
func (s *Snapshot) Each(ctx context.Context, out *Layout, ranges []Range, f func(*Rows) error) error {
	p, err := s.keptPass(ctx, out, ranges)
	if err != nil {
		return err
	}
	var place int64
	for i := range ranges {
		if p != nil && p.keys != nil {
			if err := p.run(ctx, &ranges[i], f); err != nil {
				return err
			}
			continue
		}
		cursor := s.ScanLayout(out, ranges[i:i+1:i+1], false)
		cursor.Heed(ctx)
		var read column.Batch
		for {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := cursor.Fill(&read, BlockRows)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			if p != nil {
				s.View.eng.kept.missed(p.rows, n)
			}
			if err := f(&Rows{Cols: read.Cols, Len: n, FirstPlace: place}); err != nil {
				return err
			}
			place += int64(n) * placeStep
		}
	}
	return nil
}

// A keptPass is a pass over kept columns.
type keptPass struct {
	snap  *Snapshot
	out   *Layout
	rows  *keptRows
	keys  *keyList // nil where the columns are not there
	cols  []*keptColumn
	fresh *overlay
	drop  *windows // rows that retention has dropped since they were read; nil is none

	vectors []*column.Vector
	texts   []column.Vector // room for those that are kept as codes
	sel     []uint32
}

// keptPass returns the pass over kept columns, nil where the layer is not worth
// one, and without keys where they are not there yet.
func (s *Snapshot) keptPass(ctx context.Context, out *Layout, ranges []Range) (*keptPass, error) {
	k := s.View.eng.kept
	if !s.keeps(out, ranges) {
		return nil, nil
	}
	all := s.Estimate(out.layer)
	p := &keptPass{snap: s, out: out, rows: k.of(s.View, out.layer, s.meta.keptID(out.layer))}
	st := k.state(p.rows, s, out)
	var dirty *keyList
	if st.keys != nil {
		if st.fresh != nil && st.fresh.seq > s.Seq {
			st.fresh = nil
		}
		var ok bool
		if dirty, ok = st.dirty(); !ok {
			st.keys = nil
		}
	}
	if st.keys == nil || len(st.missing) > 0 {
		if !k.due(p.rows, all) {
			return p, nil
		}
		if st.keys == nil {
			dirty = &keyList{}
		}
		if ok, err := s.keep(ctx, p.rows, out, &st); err != nil || !ok {
			return p, err
		}
	}
	var err error
	if p.fresh, err = s.overlay(ctx, out, &st, dirty); err != nil {
		return nil, err
	}
	if p.fresh != st.fresh {
		k.putFresh(p.rows, st.keys, out, p.fresh)
	}
	k.passes.Add(1)
	p.keys, p.cols = st.keys, st.cols
	if s.floor() > st.floor {
		p.drop = s.drop
	}
	p.vectors = make([]*column.Vector, len(p.cols))
	p.texts = make([]column.Vector, len(p.cols))
	p.sel = make([]uint32, 0, BlockRows)
	return p, nil
}

// Keeps says whether a pass over the layer's rows would, as it is now, be one
// over columns that are kept in memory.
func (s *Snapshot) Keeps(out *Layout, ranges []Range) bool {
	k := s.View.eng.kept
	if !s.keeps(out, ranges) {
		return false
	}
	st := k.state(k.of(s.View, out.layer, s.meta.keptID(out.layer)), s, out)
	if st.keys == nil || len(st.missing) > 0 {
		return false
	}
	_, ok := st.dirty()
	return ok
}

// keeps says whether columns may be kept for passes of a layout over ranges.
func (s *Snapshot) keeps(out *Layout, ranges []Range) bool {
	return out.layer != Speed && len(s.View.plan.Keys) > 0 && s.Estimate(out.layer) >= s.View.eng.kept.least && len(ranges) <= keptRanges
}

// countCost is what it costs to look up whether the batch layer has a row that
// the speed layer has, in rows that a pass reads.
const countCost = 10

// keptCount returns the number of rows of the serving view where their keys are
// kept. Counts that must do without are a reason to keep them.
func (s *Snapshot) keptCount(l Layer) (n uint64, ok bool, err error) {
	if l != Serving || s.View.plan.Keys == nil {
		return 0, false, nil
	}
	// What is read is bounded: a part of the rows, but for the first time.
	p, err := s.keptPass(s.View.eng.ctx, s.View.keysOnly(), All)
	if err != nil || p == nil {
		return 0, false, err
	}
	if p.keys == nil || p.drop != nil {
		s.View.eng.kept.missed(p.rows, countCost*int(s.Estimate(l)-s.meta.BatchRows))
		return 0, false, nil
	}
	return uint64(p.keys.n - len(p.fresh.replaced) + p.fresh.Len), true, nil
}

// keysOnly is the layout without columns.
func (v *View) keysOnly() *Layout {
	v.keysOnce.Do(func() { v.keys = v.Layout(Serving, nil, nil) })
	return v.keys
}

// dirty are the keys of rows that may have changed since the rows were read, or
// since the earlier overlay. ok says that there are not too many.
func (st *keptState) dirty() (*keyList, bool) {
	since, most := st.seq, st.keys.dirtyMost()
	if st.fresh != nil {
		since = max(since, st.fresh.seq)
		if st.fresh.keys.n > most {
			return nil, false
		}
	}
	var tables []*partial.Table
	n := 0
	for _, r := range st.runs {
		if r.to > since {
			tables = append(tables, r.table)
			n += r.table.Len()
		}
	}
	if n > 2*most { // a run may be there twice
		return nil, false
	}
	keys := make([][]byte, 0, n)
	for _, t := range tables {
		for i := range t.Len() {
			keys = append(keys, t.Key(i))
		}
	}
	slices.SortFunc(keys, bytes.Compare)
	list := &keyList{}
	for _, key := range slices.CompactFunc(keys, bytes.Equal) {
		list.add(key)
	}
	return list, list.n <= most
}

// keep reads the missing columns of a layout, and the keys if they are. It says
// false where another statement does so now, or there is no room.
func (s *Snapshot) keep(ctx context.Context, r *keptRows, out *Layout, st *keptState) (bool, error) {
	if !r.load.TryLock() {
		return false, nil
	}
	defer r.load.Unlock()
	k := s.View.eng.kept
	if st.keys == nil && !k.renew(r, s) {
		return false, nil
	}
	defer k.loaded(r)
	if r.layer == Serving {
		k.record(s.View)
	}
	missing := st.missing
	if st.keys == nil {
		missing = make([]int, len(out.cols))
		for i := range missing {
			missing[i] = i
		}
	}
	index, narrow := make([]int, len(missing)), make([]bool, len(missing))
	for j, i := range missing {
		index[j], narrow[j] = out.index[i], out.narrow[i]
	}
	c := s.ScanLayout(s.View.Layout(out.layer, index, narrow), slices.Clone(All), false)
	l := &keptLoad{keys: st.keys, makers: make([]columnMaker, len(missing))}
	if l.keys == nil {
		l.fresh = &keyList{}
		c.note = l.fresh.add
	} else {
		c.note = l.find
	}
	var b column.Batch
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		l.places = l.places[:0]
		n, err := c.Fill(&b, BlockRows)
		if err != nil {
			return false, err
		}
		if n == 0 {
			break
		}
		if !k.room(r, l.take(&b, n)) {
			return false, nil
		}
	}
	if l.keys != nil && l.there == nil && len(missing) > 0 {
		return false, nil // there is no row any more
	}
	l.end()
	made := map[columnID]*keptColumn{}
	for j, i := range missing {
		col := l.makers[j].keptColumn
		col.seq, col.floor = s.Seq, s.floor()
		st.cols[i], made[out.id(i)] = &col, &col
	}
	join := st.keys != nil
	if !join {
		st.seq, st.floor, st.keys, st.fresh = s.Seq, s.floor(), l.fresh, nil
	}
	k.put(r, st, made, join)
	return true, nil
}

// A keptLoad makes columns of the rows of a cursor: of all, whose keys are new,
// or of those whose keys are kept.
type keptLoad struct {
	keys, fresh *keyList
	makers      []columnMaker
	rows        int

	// With keys: which of them the rows of the last fill have, -1 for those that
	// are not kept, and all rows by place.
	at     int
	places []int
	all    column.Batch
	there  []bool
	texts  []map[string]string // by column: those of all, as long as they are few
	bytes  int64               // of all
}

// find is told the key of each row.
func (l *keptLoad) find(key []byte) {
	at, found := l.keys.search(l.at, key)
	if l.at = at; !found {
		at = -1
	}
	l.places = append(l.places, at)
}

// take takes the next n rows, and returns how many bytes there are.
func (l *keptLoad) take(b *column.Batch, n int) (bytes int64) {
	if l.keys == nil {
		for j := range l.makers {
			l.makers[j].add(b.Cols[j], l.rows, n)
			bytes += l.makers[j].bytes
		}
		l.rows += n
		return bytes + l.fresh.bytes
	}
	if l.there == nil {
		l.there = make([]bool, l.keys.n)
		l.all.Len = l.keys.n
		for _, v := range b.Cols {
			of := l.all.New(v.Kind)
			of.Scale = v.Scale
			l.all.Cols = append(l.all.Cols, of)
			l.texts = append(l.texts, map[string]string{})
		}
		l.bytes = int64(16 * l.keys.n * len(l.makers))
	}
	for i, at := range l.places[:n] {
		if at < 0 {
			continue
		}
		l.there[at] = true
		for j, v := range l.all.Cols {
			v.Set(at, l.keys.n, l.share(j, b.Cols[j].Value(i)))
		}
	}
	return l.bytes
}

// share returns a value of column j, whose text is that of an equal one if there
// was one before.
func (l *keptLoad) share(j int, x column.Value) column.Value {
	if x.Kind.IsText() {
		if text, ok := l.texts[j][x.S]; ok {
			x.S = text
			return x
		}
		if len(l.texts[j]) < dictMost {
			l.texts[j][x.S] = x.S
		}
	}
	l.bytes += sizeOf(x)
	return x
}

// sizeOf is what a value takes beside the 16 bytes of its place.
func sizeOf(x column.Value) int64 {
	if x.Kind == column.BigDec {
		return bigDecBytes
	}
	return int64(len(x.S))
}

// bigDecBytes is what a BigDec takes: each has a number of its own.
const bigDecBytes = 96

// end is called behind the last row. Rows that the cursor has not come to are
// NULL: they are gone, which those know that read the others.
func (l *keptLoad) end() {
	if l.keys == nil {
		return
	}
	for j, v := range l.all.Cols {
		for at, ok := range l.there {
			if !ok {
				v.SetNull(at, l.keys.n)
			}
		}
		for at := 0; at < l.keys.n; at += BlockRows {
			n := min(BlockRows, l.keys.n-at)
			l.makers[j].add(v.Slice(at, at+n), at, n)
		}
	}
}

// A columnMaker makes a keptColumn of the vectors of its blocks.
type columnMaker struct {
	keptColumn
	codes map[string]uint32
	plain bool // there are too many texts for codes
}

// add takes rows n to n+rows.
func (m *columnMaker) add(v *column.Vector, n, rows int) {
	out := &column.Vector{Kind: v.Kind, Scale: v.Scale}
	if v.Null != nil {
		out.Null = slices.Clone(v.Null[:rows])
		m.bytes += int64(rows)
	}
	switch {
	case v.Kind == column.Float:
		out.F = slices.Clone(v.F[:rows])
		m.bytes += 8 * int64(rows)
	case v.Kind == column.BigDec:
		out.D = slices.Clone(v.D[:rows])
		m.bytes += bigDecBytes * int64(rows)
	case !v.Kind.IsText():
		out.I = slices.Clone(v.I[:rows])
		m.bytes += 8 * int64(rows)
	case m.plain:
		m.texts(out, v, rows)
	default:
		m.encode(out, v, n, rows)
	}
	m.blocks = append(m.blocks, out)
}

// texts keeps the texts of a block, one behind the other.
func (m *columnMaker) texts(out, v *column.Vector, rows int) {
	var all strings.Builder
	for i := range rows {
		if !v.IsNull(i) {
			all.WriteString(v.S[i])
		}
	}
	data, at := all.String(), 0
	out.S = make([]string, rows)
	for i := range rows {
		if !v.IsNull(i) {
			out.S[i] = data[at : at+len(v.S[i])]
			at += len(v.S[i])
		}
	}
	m.bytes += int64(len(data)) + 16*int64(rows)
}

// encode keeps the codes of a block of texts. Where there are too many of them
// for what they save, all blocks become texts.
func (m *columnMaker) encode(out, v *column.Vector, n, rows int) {
	if m.codes == nil {
		m.codes = map[string]uint32{}
	}
	out.Codes = make([]uint32, rows)
	for i := range rows {
		if v.IsNull(i) {
			continue
		}
		c, ok := m.codes[v.S[i]]
		if !ok {
			c = uint32(len(m.dict))
			text := strings.Clone(v.S[i])
			m.codes[text] = c
			m.dict = append(m.dict, text)
			m.bytes += int64(len(text)) + 16
		}
		out.Codes[i] = c
	}
	m.bytes += 4 * int64(rows)
	if len(m.dict) <= min(dictMost, BlockRows/2+(n+rows)/8) {
		return
	}
	m.bytes = 0
	for _, b := range append(m.blocks, out) {
		of := &column.Vector{Null: b.Null, S: make([]string, len(b.Codes))}
		for i, c := range b.Codes {
			if !b.IsNull(i) {
				of.S[i] = m.dict[c]
			}
		}
		m.texts(b, of, len(b.Codes))
		b.Codes = nil
	}
	m.plain, m.codes, m.dict = true, nil, nil
}

// An overlay are the rows that changed since those were read that are kept.
type overlay struct {
	seq   uint64 // at which they were read
	bytes int64
	keys  *keyList
	rows  []int // by key: which row it is, or -1 where there is none any more
	Rows        // the places of which are those among the kept rows
	of    []int // by row: its key

	replaced []int // places in the kept rows, ascending, of those that are there
}

// overlay returns the rows that changed since those of st were read. dirty are
// the keys of those that did since st.fresh was.
func (s *Snapshot) overlay(ctx context.Context, out *Layout, st *keptState, dirty *keyList) (*overlay, error) {
	old := st.fresh
	if dirty.n == 0 && old != nil {
		return old, nil
	}
	if old == nil {
		old = &overlay{keys: &keyList{}}
	}
	now := &overlay{seq: s.Seq, keys: &keyList{}}
	if dirty.n == 0 {
		return now, nil
	}
	ranges := make([]Range, dirty.n)
	for i := range ranges {
		lo := dirty.key(i)
		ranges[i] = Range{Lo: lo, Hi: append(lo[:len(lo):len(lo)], 0)}
	}
	var found keyList
	c := s.ScanLayout(out, ranges, false)
	c.note = found.add
	var cols [][]*column.Vector // of BlockRows rows each
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b := &column.Batch{}
		n, err := c.Fill(b, min(BlockRows, dirty.n))
		if err != nil {
			return nil, err
		}
		if len(cols) == 0 || n > 0 {
			cols = append(cols, b.Cols)
		}
		if n < BlockRows {
			break
		}
	}
	now.merge(out, old, dirty, &found, cols)
	now.place(st.keys)
	return now, nil
}

// merge makes o the rows of old, with those of the dirty keys in the place of
// theirs: of them those that were found are rows of cols, BlockRows in each.
func (o *overlay) merge(out *Layout, old *overlay, dirty, found *keyList, cols [][]*column.Vector) {
	type from struct {
		row   int
		fresh bool
	}
	var list []from // by row
	take := func(key []byte, f from) {
		o.rows = append(o.rows, -1)
		if f.row >= 0 {
			o.rows[o.keys.n] = len(list)
			o.of = append(o.of, o.keys.n)
			list = append(list, f)
		}
		o.keys.add(key)
	}
	i, n := 0, 0
	for j := range dirty.n {
		key := dirty.key(j)
		for ; i < old.keys.n && bytes.Compare(old.keys.key(i), key) < 0; i++ {
			take(old.keys.key(i), from{old.rows[i], false})
		}
		if i < old.keys.n && bytes.Equal(old.keys.key(i), key) {
			i++
		}
		row := -1
		if n < found.n && bytes.Equal(found.key(n), key) {
			row, n = n, n+1
		}
		take(key, from{row, true})
	}
	for ; i < old.keys.n; i++ {
		take(old.keys.key(i), from{old.rows[i], false})
	}
	b := column.Batch{Len: len(list)}
	for k := range out.cols {
		v := b.New(cols[0][k].Kind)
		v.Scale = cols[0][k].Scale
		for at, f := range list {
			var x column.Value
			if f.fresh {
				x = cols[f.row/BlockRows][k].Value(f.row % BlockRows)
			} else {
				x = old.Cols[k].Value(f.row)
			}
			v.Set(at, len(list), x)
			o.bytes += 16 + sizeOf(x)
		}
		o.Cols = append(o.Cols, v)
	}
	o.Len = len(list)
	o.bytes += o.keys.bytes + 24*int64(o.keys.n)
}

// place finds the places of the rows among those that are kept.
func (o *overlay) place(keys *keyList) {
	o.Places = make([]int64, o.Len)
	at := 0
	found := false
	last := int64(-1)
	for i := range o.keys.n {
		at, found = keys.search(at, o.keys.key(i))
		place := int64(at+1) * placeStep
		if found {
			o.replaced = append(o.replaced, at)
		} else {
			place = max(int64(at)*placeStep, last) + 1
		}
		last = place
		if row := o.rows[i]; row >= 0 {
			o.Places[row] = place
		}
	}
}

// taken are the rows with keys that the range has.
func (o *overlay) taken(p *keptPass, r *Range) *Rows {
	rows := o.Rows
	if len(r.Lo) == 0 && r.Hi == nil && len(r.Any) == 0 && p.drop == nil {
		return &rows
	}
	rows.Sel = make([]uint32, 0, o.Len)
	for i, at := range o.of {
		key := o.keys.key(at)
		if bytes.Compare(key, r.Lo) >= 0 && (r.Hi == nil || bytes.Compare(key, r.Hi) < 0) && p.takes(r, key) {
			rows.Sel = append(rows.Sel, uint32(i))
		}
	}
	return &rows
}

// run passes over one range.
func (p *keptPass) run(ctx context.Context, r *Range, f func(*Rows) error) error {
	from, to := 0, p.keys.n
	if len(r.Lo) > 0 {
		from, _ = p.keys.search(0, r.Lo)
	}
	if r.Hi != nil {
		to, _ = p.keys.search(from, r.Hi)
	}
	replaced := p.fresh.replaced
	if at, _ := slices.BinarySearch(replaced, from); at > 0 {
		replaced = replaced[at:]
	}
	var rows Rows
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		block := from / BlockRows
		first := block * BlockRows
		begin, end := from-first, min(to-first, len(p.keys.blocks[block].ends))
		here := 0
		for here < len(replaced) && replaced[here] < first+end {
			here++
		}
		p.columns(block)
		rows = Rows{Cols: p.vectors, Len: len(p.keys.blocks[block].ends), FirstPlace: int64(first+1) * placeStep}
		if begin > 0 || end < rows.Len || here > 0 || len(r.Any) > 0 || p.drop != nil {
			rows.Sel = p.selected(r, &p.keys.blocks[block], begin, end, first, replaced[:here])
		}
		replaced, from = replaced[here:], first+end
		if rows.Sel != nil && len(rows.Sel) == 0 {
			continue
		}
		if err := f(&rows); err != nil {
			return err
		}
	}
	if more := p.fresh.taken(p, r); more.Len > 0 && (more.Sel == nil || len(more.Sel) > 0) {
		return f(more)
	}
	return nil
}

// columns makes p.vectors those of a block.
func (p *keptPass) columns(block int) {
	for i, c := range p.cols {
		v := c.blocks[block]
		if v.Codes == nil {
			p.vectors[i] = v
			continue
		}
		t := &p.texts[i]
		if t.S == nil {
			t.S = make([]string, BlockRows)
		}
		t.Kind, t.Null, t.Codes, t.Dict, t.S = v.Kind, v.Null, v.Codes, c.dict, t.S[:len(v.Codes)]
		if len(c.dict) > 0 {
			for k, code := range v.Codes {
				t.S[k] = c.dict[code]
			}
		}
		p.vectors[i] = t
	}
}

// selected lists the rows of a block from begin to end that are taken.
func (p *keptPass) selected(r *Range, keys *keyBlock, begin, end, first int, replaced []int) []uint32 {
	sel := p.sel[:0]
	for i := begin; i < end; i++ {
		if len(replaced) > 0 && replaced[0] <= first+i {
			replaced = replaced[1:]
			continue
		}
		if !p.takes(r, keys.key(i)) {
			continue
		}
		sel = append(sel, uint32(i))
	}
	p.sel = sel
	return sel
}

// holds says whether the condition takes the key. One that makes no sense it
// takes: reading the row says what is wrong.
func (p Parts) holds(key []byte, types []column.Type) bool {
	for i, s := range p {
		after, err := partial.SkipKey(key, types[i])
		if err != nil {
			return true
		}
		part := key[:len(key)-len(after)]
		key = after
		if !s.all() && (bytes.Compare(part, s.Lo) < 0 || s.Hi != nil && bytes.Compare(part, s.Hi) >= 0) {
			return false
		}
	}
	return true
}

// takes says whether the conditions of the range, and retention, leave the row
// with the key.
func (p *keptPass) takes(r *Range, key []byte) bool {
	if len(r.Any) > 0 && !slices.ContainsFunc(r.Any, func(c Parts) bool { return c.holds(key, p.out.types) }) {
		return false
	}
	return p.drop.keeps(key)
}
