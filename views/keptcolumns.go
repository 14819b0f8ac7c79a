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
//
// Here is what is kept, and for how long; keptload.go reads it from the file,
// overlay.go has the rows that changed since, and passes.go goes over both.

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
