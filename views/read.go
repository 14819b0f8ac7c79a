package views

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"weir/views/column"
	"weir/views/partial"
)

// A ReadSet is what one statement reads: a snapshot of each view, those of one
// stream all at the same sequence.
type ReadSet struct {
	mu    sync.Mutex // the engine may finish a statement on another goroutine than it began
	noted []*View
	snaps map[*View]*Snapshot
}

// Note says that the statement will read v, so that its snapshot is taken
// together with those of the stream's other views.
func (r *ReadSet) Note(v *View) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(v)
}

func (r *ReadSet) note(v *View) {
	if !slices.Contains(r.noted, v) {
		r.noted = append(r.noted, v)
	}
}

// Snapshot returns the statement's snapshot of v.
func (r *ReadSet) Snapshot(v *View) (*Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.snaps[v]; s != nil {
		return s, nil
	}
	r.note(v)
	v.eng.governor.read.Store(time.Now().UnixNano())
	var together []*View
	for _, w := range r.noted {
		if w.stream == v.stream && r.snaps[w] == nil {
			if err := w.working(); err == nil {
				together = append(together, w)
			} else if w == v {
				return nil, err
			}
		}
	}
	if r.snaps == nil {
		r.snaps = map[*View]*Snapshot{}
	}
	snaps, err := takeSnapshots(v.stream, together)
	if err != nil {
		return nil, err
	}
	for _, s := range snaps {
		r.snaps[s.View] = s
	}
	return r.snaps[v], nil
}

// Close ends the snapshots.
func (r *ReadSet) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.snaps {
		s.close()
	}
	r.snaps, r.noted = nil, nil
}

// A Snapshot is a view at one sequence: its rows are those of a computation
// over the events up to there.
//
// It reads through a transaction of the view's file. An open transaction keeps
// the file from using freed pages again, so one that outlives txAgeMax, as
// under a client that reads slowly, moves to a copy of the file; see detach.
type Snapshot struct {
	View *View
	Seq  uint64
	meta *storeMeta
	runs []*run   // beyond meta.Applied
	live []*run   // the same and those before them that were in memory too
	drop *windows // rows that retention has dropped, in the file or not

	mu     sync.Mutex
	damage error    // found in the file: no cursor goes on
	tx     *bolt.Tx // nil once closed
	moved  int      // how often tx was replaced: cursors of the one before must be made again
	copy   *bolt.DB // what tx reads when it has moved
	timer  *time.Timer
}

// txAgeMax bounds how long a statement holds a transaction of a view's own file.
var txAgeMax = 2 * time.Second

// detach moves the snapshot to a copy of the view's file, and lets go of the
// file itself. Where there is no room for a copy it stays as it is.
func (s *Snapshot) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		return
	}
	v := s.View
	path := fmt.Sprintf("%s.%d.read.db", strings.TrimSuffix(v.eng.viewPath(v.Def(), v.Version), ".db"), readCopies.Add(1))
	db, tx, err := copyFile(s.tx, path)
	if err != nil {
		s.View.log().Warn("a long read keeps the view's file from using freed space again: cannot copy it", "error", err)
		return
	}
	_ = s.tx.Rollback() // a read transaction: cannot fail
	if s.copy != nil {
		_ = s.copy.Close()
	}
	s.tx, s.copy = tx, db
	s.moved++
}

// readCopies numbers the copies of files that long reads make.
var readCopies atomic.Uint64

// copyFile copies what tx sees to path and opens it. The file is nameless then.
func copyFile(tx *bolt.Tx, path string) (*bolt.DB, *bolt.Tx, error) {
	defer func() { _ = os.Remove(path) }()
	if err := tx.CopyFile(path, 0o600); err != nil {
		return nil, nil, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, NoStatistics: true})
	if err != nil {
		return nil, nil, err
	}
	copied, err := db.Begin(false)
	if err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	return db, copied, nil
}

// takeSnapshots returns snapshots of views of one stream, all at one sequence.
//
// A snapshot is a transaction of the file and the runs beyond what it holds.
// The runs are looked up first: should a commit then put more into the file
// than they reach to, or should they begin beyond it, everything is taken anew.
func takeSnapshots(s *Stream, views []*View) ([]*Snapshot, error) {
	for {
		st := s.state.Load()
		snaps, ok, err := snapshotsAt(st, views)
		if ok && err == nil {
			for _, snap := range snaps {
				snap.timer = time.AfterFunc(txAgeMax, snap.detach)
			}
			return snaps, nil
		}
		for _, snap := range snaps {
			snap.close()
		}
		if err != nil {
			return nil, err
		}
	}
}

func snapshotsAt(st *readState, views []*View) (snaps []*Snapshot, ok bool, err error) {
	for _, v := range views {
		vr, attached := st.views[v]
		if !attached {
			return snaps, false, fmt.Errorf("materialized view %s was replaced or dropped; run the statement again", v.Def().Name)
		}
		snap := &Snapshot{View: v, Seq: st.seq}
		err = snap.guard(func() (err error) {
			if snap.tx, err = v.store.db.Begin(false); err == nil {
				snap.meta, err = v.store.meta(snap.tx)
			}
			return err
		})
		snaps = append(snaps, snap)
		if err != nil {
			return snaps, false, err
		}
		if snap.meta.Applied < vr.base || snap.meta.Applied > vr.end() {
			return snaps, false, nil
		}
		runs := vr.runs
		snap.live = runs
		for len(runs) > 0 && runs[0].to <= snap.meta.Applied {
			runs = runs[1:]
		}
		if len(runs) > 0 && runs[0].from < snap.meta.Applied {
			return snaps, false, nil // a run that a commit cut through: cannot be
		}
		snap.runs = runs
		snap.drop = v.windows(v.shown(snap.meta, st.watermark))
	}
	return snaps, true, nil
}

func (s *Snapshot) close() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		return
	}
	_ = s.tx.Rollback() // a read transaction: cannot fail
	s.tx = nil
	if s.copy != nil {
		if err := s.copy.Close(); err != nil {
			s.View.log().Warn("close the copy of a view's file", "error", err)
		}
	}
}

// A Range is a range of stored keys: from Lo, to before Hi. A nil Hi is no bound.
type Range struct {
	Lo, Hi []byte
	// Any, if there are any, are conditions on the parts of the key, of which
	// one must hold.
	Any []Parts
}

// Parts is a condition on the parts of a key, in their order: each must be in
// its Span. It may end early.
type Parts []Span

// A Span is a range of one part of a key in its stored form: from Lo, to before
// Hi. nil is no bound.
type Span struct{ Lo, Hi []byte }

// all says whether every value, NULL among them, is within.
func (s Span) all() bool { return len(s.Lo) == 0 && s.Hi == nil }

// seekAfter is how many rows that no condition takes a cursor steps over before
// it seeks the next that one may: a seek costs about as much as that.
const seekAfter = 12

// next returns where the first row behind key may be that the condition takes;
// ok says that it is key itself. In reverse it is the place that such rows are
// before. end says that there are none.
func (p Parts) next(key []byte, types []column.Type, reverse bool) (at []byte, ok, end bool) {
	rest := key
	for i, s := range p {
		start := len(key) - len(rest)
		after, err := partial.SkipKey(rest, types[i])
		if err != nil {
			return nil, true, false // reading the row says what is wrong
		}
		part := rest[:len(rest)-len(after)]
		rest = after
		if s.all() {
			continue
		}
		below, above := bytes.Compare(part, s.Lo) < 0, s.Hi != nil && bytes.Compare(part, s.Hi) >= 0
		switch {
		case !below && !above:
		case below && !reverse:
			return append(bytes.Clone(key[:start]), s.Lo...), false, false
		case above && reverse:
			return append(bytes.Clone(key[:start]), s.Hi...), false, false
		case reverse:
			return bytes.Clone(key[:start]), false, start == 0
		default:
			at = partial.PrefixEnd(key[:start])
			return at, false, at == nil
		}
	}
	return nil, true, false
}

// All is the range of all keys.
var All = []Range{{}}

// sources returns what the layer's rows are made of.
func (s *Snapshot) sources(l Layer) (list []source) {
	if err := guard("read view", func() error {
		list = s.find(l)
		return nil
	}); err != nil {
		s.damage = err
	}
	return list
}

func (s *Snapshot) find(l Layer) (list []source) {
	add := func(r *rowset, e *epoch) {
		if *r.rows == 0 {
			return
		}
		if b := s.tx.Bucket(rowsBucket(r.number)); b != nil {
			list = append(list, &bucketSource{origin: origin{e}, c: b.Cursor(), rows: r, damage: &s.damage})
		} else {
			s.damage = r.complete(0, 0)
		}
	}
	if l != Speed && s.meta.Batch != 0 {
		add(s.meta.batch(), nil)
	}
	if l == Batch {
		return list
	}
	if l == Speed {
		for i := range s.meta.Retired {
			add(s.meta.Retired[i].rowset(), &s.meta.Retired[i])
		}
	}
	for i := range s.meta.Epochs {
		add(s.meta.Epochs[i].rowset(), &s.meta.Epochs[i])
	}
	for _, r := range s.runs {
		if r.table.Len() > 0 {
			list = append(list, &tableSource{origin: origin{s.meta.open()}, t: r.table, order: r.table.Sorted()})
		}
	}
	return list
}

// Count returns the number of rows of a layer.
func (s *Snapshot) Count(l Layer) (n uint64, err error) {
	if n, ok, err := s.keptCount(l); ok || err != nil {
		return n, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(l)
}

// count takes as a fact how many rows the largest source has, and looks for the
// rows of the others there: the speed layer has few rows beside the batch layer,
// and the runs in memory few beside the open epoch.
func (s *Snapshot) count(l Layer) (n uint64, err error) {
	known := s.drop == nil || s.drop.floor == s.meta.Deleted // rows that are dropped are not in the file
	if l == Batch && known {
		return max(s.meta.BatchRows, s.keyless()), nil
	}
	err = s.guard(func() error {
		c := &Cursor{snap: s, layer: l, src: s.sources(l), ranges: All, drop: s.drop}
		var most *bucketSource
		if known && !c.perEpoch() {
			most = c.withoutMost()
		}
		for c.advance() {
			if most != nil {
				if k, _, err := most.rows.seek(most.c, c.current); err != nil {
					return err
				} else if bytes.Equal(k, c.current) {
					continue
				}
			}
			n++
		}
		if most != nil {
			n += *most.rows.rows
		}
		return s.damage
	})
	return max(n, s.keyless()), err
}

// withoutMost takes the bucket with the most rows from the sources, if the
// others have few beside it.
func (c *Cursor) withoutMost() (most *bucketSource) {
	var at int
	var rest uint64
	for i, s := range c.src {
		n := uint64(0)
		switch s := s.(type) {
		case *bucketSource:
			n = *s.rows.rows
			if most == nil || n > *most.rows.rows {
				if most != nil {
					rest += *most.rows.rows
				}
				most, at = s, i
				continue
			}
		case *tableSource:
			n = uint64(s.t.Len())
		}
		rest += n
	}
	// To find a row costs some ten times what a step to the next one does.
	if most == nil || rest > *most.rows.rows/10 {
		return nil
	}
	c.src = slices.Delete(c.src, at, at+1)
	return most
}

// countChunk is how many rows are counted between two looks at the context.
const countChunk = 10_000

// CountRanges returns the number of rows of a layer in ranges, which must be in
// order. It stops at most, unless that is 0.
func (s *Snapshot) CountRanges(ctx context.Context, l Layer, ranges []Range, most uint64) (n uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		return 0, errors.New("the statement that counts has ended")
	}
	out := s.View.Layout(l, nil, nil)
	err = s.guard(func() error {
		c := &Cursor{snap: s, layer: l, src: s.sources(l), moved: s.moved, ranges: ranges, drop: s.drop, out: out}
		for (most == 0 || n < most) && c.advance() {
			if n++; n%countChunk == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return s.damage
	})
	if n == 0 && coversEmpty(ranges) {
		n = s.keyless()
	}
	return n, err
}

// guard runs f, which reads the file, and has the view built again where that
// is damaged.
func (s *Snapshot) guard(f func() error) error {
	err := guard("read view "+s.View.Def().Name, f)
	if err == nil {
		return nil
	}
	return s.View.store.notice(err)
}

// bytes returns the size of the file that the snapshot sees.
func (s *Snapshot) bytes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(s.tx.Size())
}

// Estimate returns about how many rows a layer has, never fewer, without
// looking at them.
func (s *Snapshot) Estimate(l Layer) (n uint64) {
	if l != Speed {
		n += s.meta.BatchRows
	}
	if l != Batch {
		for _, e := range s.meta.Epochs {
			n += e.Rows
		}
		for _, r := range s.runs {
			n += uint64(r.table.Len())
		}
	}
	if l == Speed {
		for _, e := range s.meta.Retired {
			n += e.Rows
		}
	}
	return max(n, s.keyless())
}

// keyless is the number of rows that there are in any case: a view without
// group key has one.
func (s *Snapshot) keyless() uint64 {
	if len(s.View.plan.Keys) == 0 {
		return 1
	}
	return 0
}

// A source yields rows in order of their keys.
type source interface {
	// seek goes to the first row with a key ≥ key, or, in reverse, the last
	// with a key < key; nil is the end.
	seek(key []byte, reverse bool)
	step(reverse bool)
	key() []byte // of the row it is at; nil when there is none
	// into combines the row's states of the first n aggregates into group i of t.
	into(t *partial.Table, i, n int) error
	// of is the epoch that the rows belong to, nil for the batch layer, and id
	// its number.
	of() *epoch
	id() uint64
}

// origin is where the rows of a source come from.
type origin struct{ epoch *epoch }

func (o origin) of() *epoch { return o.epoch }

func (o origin) id() uint64 {
	if o.epoch == nil {
		return 0
	}
	return o.epoch.ID
}

// bucketSource is a bucket of a view's file. It is never at a row that is not
// as it was written: it puts what is wrong into damage, and ends there.
type bucketSource struct {
	origin
	c      *bolt.Cursor
	rows   *rowset
	damage *error
	k, v   []byte
	states []byte
	seen   uint64 // rows since the beginning (in reverse, the end) of the bucket
	sum    uint64 // of their checksums
	whole  bool   // seen began there
	last   []byte // the row before, where it was stepped from
	floor  []byte // otherwise, the key that was sought
	ahead  bool   // it goes forwards: no row is between last, or floor, and k
}

// nearBy is how many rows a source steps on to one that is sought: keys that are
// looked up one after the other are often neighbours.
const nearBy = 8

func (b *bucketSource) seek(key []byte, reverse bool) {
	if !reverse && key != nil && b.near(key) {
		return
	}
	b.floor, b.ahead = append(b.floor[:0], key...), !reverse
	b.seen, b.sum, b.whole, b.last = 0, 0, key == nil, nil
	var err error
	switch {
	case key == nil && reverse:
		b.k, b.v = b.c.Last()
	case key == nil:
		b.k, b.v = b.c.First()
	default:
		if b.k, b.v, err = b.rows.seek(b.c, key); err == nil && reverse {
			if b.k == nil {
				b.k, b.v = b.c.Last()
			} else {
				b.k, b.v = b.c.Prev()
			}
		}
	}
	b.arrive(reverse, err)
}

// near goes to the first row with a key ≥ key if that is the row it is at, or
// one of the next.
func (b *bucketSource) near(key []byte) bool {
	if !b.ahead || b.last != nil && bytes.Compare(b.last, key) >= 0 || b.last == nil && bytes.Compare(b.floor, key) > 0 {
		return false
	}
	for range nearBy {
		if b.k == nil || bytes.Compare(b.k, key) >= 0 {
			return true
		}
		b.step(false)
	}
	return false
}

func (b *bucketSource) step(reverse bool) {
	if b.k == nil {
		return
	}
	b.last = b.k
	if reverse {
		b.k, b.v = b.c.Prev()
	} else {
		b.k, b.v = b.c.Next()
	}
	b.arrive(reverse, nil)
}

// arrive verifies the row that the cursor has come to.
func (b *bucketSource) arrive(reverse bool, err error) {
	switch {
	case err != nil:
	case b.k == nil:
		if b.whole {
			err = b.rows.complete(b.seen, b.sum)
		}
		b.whole = false
	default:
		var check uint32
		b.states, check, err = openRow(b.rows.number, b.k, b.v)
		b.seen, b.sum = b.seen+1, b.sum+uint64(check)
		if err == nil && b.last != nil && !inOrder(b.last, b.k, reverse) {
			err = fmt.Errorf("%w: row %x is out of order", errDamaged, b.k)
		}
	}
	if err != nil {
		*b.damage, b.k = err, nil
	}
}

func inOrder(first, second []byte, reverse bool) bool {
	if reverse {
		first, second = second, first
	}
	return bytes.Compare(first, second) < 0
}

func (b *bucketSource) key() []byte { return b.k }

func (b *bucketSource) into(t *partial.Table, i, n int) error {
	return t.DecodeSome(i, n, b.states)
}

// tableSource is a run in memory.
type tableSource struct {
	origin
	t     *partial.Table
	order []uint32
	at    int // position in order; -1 or len(order) is none
}

func (s *tableSource) seek(key []byte, reverse bool) {
	n := len(s.order)
	at := n
	if key != nil {
		at, _ = slices.BinarySearchFunc(s.order, key, func(i uint32, key []byte) int {
			return bytes.Compare(s.t.Key(int(i)), key)
		})
	} else if !reverse {
		at = 0
	}
	if reverse {
		at--
	}
	s.at = at
}

func (s *tableSource) step(reverse bool) {
	if reverse {
		s.at--
	} else {
		s.at++
	}
}

func (s *tableSource) key() []byte {
	if s.at < 0 || s.at >= len(s.order) {
		return nil
	}
	return s.t.Key(int(s.order[s.at]))
}

func (s *tableSource) into(t *partial.Table, i, n int) error {
	for k := range n {
		t.States(k).Merge(i, s.t.States(k), int(s.order[s.at]))
	}
	return nil
}

// A Cursor yields the rows of a layer in the order of their keys, those of
// equal keys in different sources combined; the rows of the speed layer only
// within each epoch, in the order of key and epoch.
type Cursor struct {
	snap    *Snapshot
	layer   Layer
	src     []source
	ranges  []Range
	reverse bool
	out     *Layout
	drop    *windows

	moved   int    // Snapshot.moved when src was made
	resume  []byte // key of the last row, once one was read
	after   uint64 // and its epoch
	started bool
	from    []byte
	bound   []byte   // end of the current range, in the direction of travel
	at      []source // the sources that hold the current row
	current []byte   // its key
	rival   []byte   // the next key of the other sources, nil where they have none; known while alone is set
	alone   bool     // one source holds the current row
	any     []Parts  // of the current range
	misses  int      // rows stepped over since the last that any took
	keyless bool     // the row that there is in any case is still to come

	note  func(key []byte) // is told the key of each row, if it is not nil
	ctx   context.Context  // nil where nothing stops it
	steps int              // over rows that no condition took
	ended error            // of ctx
	noted *keyBlock        // for NoteKeys

	fields
}

// Scan returns a cursor over the rows of a layer with keys in the ranges, which
// must be in order and not overlap. cols are the columns it fills, as indexes
// into the plan's Columns(layer). With reverse it goes from the last row to
// the first.
func (s *Snapshot) Scan(l Layer, ranges []Range, reverse bool, cols []int) *Cursor {
	return s.ScanLayout(s.View.Layout(l, cols, nil), ranges, reverse)
}

// ScanLayout is Scan of the columns of a layout, which must be one of the
// snapshot's view.
func (s *Snapshot) ScanLayout(out *Layout, ranges []Range, reverse bool) *Cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Cursor{
		snap: s, layer: out.layer, src: s.sources(out.layer), moved: s.moved, ranges: ranges, reverse: reverse, drop: s.drop,
		out: out, keyless: s.keyless() == 1 && coversEmpty(ranges),
	}
}

// NoteKeys makes the cursor note the keys of the rows that it fills, for Key.
func (c *Cursor) NoteKeys() {
	c.noted = &keyBlock{}
	c.note = func(key []byte) {
		c.noted.data = append(c.noted.data, key...)
		c.noted.ends = append(c.noted.ends, uint32(len(c.noted.data)))
	}
}

// Key returns the stored key of row i of the last Fill. It lives until the next.
func (c *Cursor) Key(i int) []byte { return c.noted.key(i) }

// Heed makes Fill return ctx's error once ctx is done, however long it takes to
// come to a row that the conditions of the ranges take.
func (c *Cursor) Heed(ctx context.Context) { c.ctx = ctx }

// heedEvery is how many rows are stepped over between two looks at the context.
const heedEvery = 1024

// stopped says whether the context is done, looking now and then.
func (c *Cursor) stopped() bool {
	if c.steps++; c.ctx == nil || c.steps%heedEvery != 0 {
		return false
	}
	c.ended = c.ctx.Err()
	return c.ended != nil
}

// Restart makes the cursor one over other ranges.
func (c *Cursor) Restart(ranges []Range, reverse bool) {
	c.snap.mu.Lock()
	defer c.snap.mu.Unlock()
	c.ranges, c.reverse, c.started, c.at = ranges, reverse, false, c.at[:0]
	c.keyless = c.snap.keyless() == 1 && coversEmpty(ranges)
}

// Fill makes b the next rows, at most limit of them, with one vector for each
// of the cursor's columns, and returns how many there are; 0 is the end.
func (c *Cursor) Fill(b *column.Batch, limit int) (n int, err error) {
	c.snap.mu.Lock()
	defer c.snap.mu.Unlock()
	if c.snap.tx == nil {
		return 0, errors.New("the statement that this row belongs to has ended")
	}
	err = c.snap.guard(func() error {
		n, err = c.fill(b, limit)
		return err
	})
	return n, err
}

func (c *Cursor) fill(b *column.Batch, limit int) (int, error) {
	if c.moved != c.snap.moved {
		c.follow()
	}
	b.Cols = b.Cols[:0]
	b.Reset(limit)
	c.begin(b)
	if c.noted != nil {
		c.noted.data, c.noted.ends = c.noted.data[:0], c.noted.ends[:0]
	}
	n := 0
	for n < limit && c.advance() {
		if c.note != nil {
			c.note(c.current)
		}
		if err := c.row(b, n, limit); errors.Is(err, partial.ErrWide) {
			return 0, ErrWide
		} else if err != nil {
			return 0, fmt.Errorf("view %s, row %x: %w", c.snap.View.Def().Name, c.current, err)
		}
		n++
	}
	if c.snap.damage != nil {
		return 0, c.snap.damage
	}
	if c.ended != nil {
		return 0, c.ended
	}
	if n == 0 && limit > 0 && c.keyless {
		c.at = nil
		if err := c.row(b, 0, limit); err != nil {
			return 0, err
		}
		n = 1
	}
	c.keyless = c.keyless && n == 0
	c.resume = append(c.resume[:0], c.current...)
	if len(c.at) > 0 {
		c.after = c.at[0].id()
	}
	truncate(b, n)
	return n, nil
}

// follow makes the cursor one of the transaction that its snapshot has moved
// to, at the row it was at.
func (c *Cursor) follow() {
	c.src, c.moved = c.snap.sources(c.layer), c.snap.moved
	c.at, c.current = c.at[:0], slices.Clone(c.resume) // the old key was in the file's memory
	if !c.started {
		return
	}
	if len(c.resume) == 0 {
		for _, s := range c.src {
			s.seek(c.from, c.reverse)
		}
		return
	}
	at := c.resume
	if c.reverse {
		at = append(slices.Clone(at), 0) // seek goes to before it
	}
	for _, s := range c.src {
		s.seek(at, c.reverse)
		if bytes.Equal(s.key(), c.resume) && (!c.perEpoch() || (s.id() <= c.after) != c.reverse || s.id() == c.after) {
			s.step(c.reverse) // was read
		}
	}
}

// perEpoch says whether equal keys of different epochs are different rows.
func (c *Cursor) perEpoch() bool { return c.layer == Speed }

// coversEmpty says whether the ranges hold the key of a view without group key.
func coversEmpty(ranges []Range) bool {
	key := partial.EmptyKey()
	return slices.ContainsFunc(ranges, func(r Range) bool {
		return bytes.Compare(r.Lo, key) <= 0 && (r.Hi == nil || bytes.Compare(key, r.Hi) < 0)
	})
}

// truncate makes b have its first n rows only.
func truncate(b *column.Batch, n int) {
	b.Len = n
	for _, v := range b.Cols {
		if v.Null != nil {
			v.Null = v.Null[:n]
		}
		switch {
		case v.Kind == column.Float:
			v.F = v.F[:n]
		case v.Kind == column.BigDec:
			v.D = v.D[:n]
		case v.Kind.IsText():
			v.S = v.S[:n]
		default:
			v.I = v.I[:n]
		}
	}
}

// advance goes to the next row and says whether there is one.
func (c *Cursor) advance() bool {
	for c.next() {
		if len(c.any) == 0 || c.takes() {
			return true
		}
		if c.stopped() {
			return false
		}
	}
	return false
}

// takes says whether one of the range's conditions takes the current row. After
// some that none does it goes to before the next that one may take.
func (c *Cursor) takes() bool {
	var to []byte
	found := false
	for _, p := range c.any {
		at, ok, end := p.next(c.current, c.out.types, c.reverse)
		if ok {
			c.misses = 0
			return true
		}
		if !end && (!found || (bytes.Compare(at, to) < 0) != c.reverse) {
			to, found = at, true
		}
	}
	if c.misses++; c.misses < seekAfter && found {
		return false
	}
	// Where that row is not taken either, it is sought from there at once.
	c.misses, c.at = seekAfter-1, c.at[:0]
	if !found {
		c.started = false // nothing more in this range
		return false
	}
	for _, s := range c.src {
		s.seek(to, c.reverse)
	}
	return false
}

// next goes to the next row of the ranges, whatever their conditions.
func (c *Cursor) next() bool {
	for _, s := range c.at {
		s.step(c.reverse)
	}
	if c.alone && len(c.at) == 1 && c.ahead() {
		return true
	}
	for {
		if !c.started {
			if len(c.ranges) == 0 {
				c.at = c.at[:0]
				return false
			}
			c.startRange()
		}
		for c.pick() {
			if c.drop.keeps(c.current) {
				return true
			}
			for _, s := range c.at {
				s.step(c.reverse)
			}
		}
		if c.snap.damage != nil {
			return false
		}
		c.started = false
	}
}

// ahead says whether the source of the last row also has the next one, which is
// then the current row: where sources interleave little, as those of the two
// layers do, the others need no look at every row.
func (c *Cursor) ahead() bool {
	k := c.at[0].key()
	if k == nil || !c.beforeRival(k) || !c.within(k) || !c.drop.keeps(k) {
		return false
	}
	c.current = k
	return true
}

func (c *Cursor) beforeRival(k []byte) bool {
	if c.rival == nil {
		return true
	}
	if c.reverse {
		return bytes.Compare(k, c.rival) > 0
	}
	return bytes.Compare(k, c.rival) < 0
}

// startRange goes to the beginning of the next range.
func (c *Cursor) startRange() {
	var r Range
	if c.reverse {
		r = c.ranges[len(c.ranges)-1]
		c.ranges = c.ranges[:len(c.ranges)-1]
	} else {
		r = c.ranges[0]
		c.ranges = c.ranges[1:]
	}
	from := r.Lo
	c.bound, c.any, c.misses = r.Hi, r.Any, seekAfter
	if c.reverse {
		from, c.bound = r.Hi, r.Lo
	}
	if len(from) == 0 {
		from = nil
	}
	for _, s := range c.src {
		s.seek(from, c.reverse)
	}
	c.from, c.resume = from, c.resume[:0]
	c.started = true
}

// pick finds the sources that hold the next key of the range.
func (c *Cursor) pick() bool {
	c.at, c.rival, c.alone = c.at[:0], nil, false
	if c.snap.damage != nil {
		return false
	}
	var best []byte
	for _, s := range c.src {
		k := s.key()
		if k == nil {
			continue
		}
		order := -1
		if len(c.at) > 0 {
			if order = bytes.Compare(k, best); order == 0 && c.perEpoch() {
				order = cmp.Compare(s.id(), c.at[0].id())
			}
			if c.reverse {
				order = -order
			}
		}
		switch {
		case order < 0:
			if len(c.at) > 0 {
				c.rival = best // no rival before was nearer
			}
			best, c.at = k, append(c.at[:0], s)
		case order == 0:
			c.at = append(c.at, s)
		case c.beforeRival(k):
			c.rival = k
		}
	}
	if len(c.at) == 0 || !c.within(best) {
		c.at = c.at[:0]
		return false
	}
	c.current, c.alone = best, len(c.at) == 1
	return true
}

// within says whether the key is before the end of the range.
func (c *Cursor) within(key []byte) bool {
	if c.reverse {
		return bytes.Compare(key, c.bound) >= 0
	}
	return c.bound == nil || bytes.Compare(key, c.bound) < 0
}

// epoch is that of the current row of the speed layer. The row that there is
// in any case is of the open one.
func (c *Cursor) epoch() *epoch {
	if len(c.at) == 0 {
		return c.snap.meta.open()
	}
	return c.at[0].of()
}

func serving(e *epoch) int64 {
	if e.Retired.IsZero() {
		return 1
	}
	return 0
}
