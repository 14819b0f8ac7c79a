package views

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"weir/views/column"
	"weir/views/partial"
)

// How the rows of a layer are read one after the other, from all their sources.

// seekAfter is how many rows that no condition takes a cursor steps over before
// it seeks the next that one may: a seek costs about as much as that.
const seekAfter = 12

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
	most  int              // bytes of texts, for Bound
	more  bool             // for More
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

// Bound makes Fill stop at the row with which the texts that it has filled come
// to so many bytes. More then says whether it stopped before the end.
func (c *Cursor) Bound(bytes int) { c.most = bytes }

// More says whether the last Fill may have left rows.
func (c *Cursor) More() bool { return c.more }

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
	n, size := 0, 0
	for n < limit && (c.most == 0 || size < c.most) && c.advance() {
		if c.note != nil {
			c.note(c.current)
		}
		if err := c.row(b, n, limit); errors.Is(err, partial.ErrWide) {
			return 0, ErrWide
		} else if err != nil {
			return 0, fmt.Errorf("view %s, row %x: %w", c.snap.View.Def().Name, c.current, err)
		}
		if c.most > 0 {
			for _, v := range b.Cols {
				if v.Kind.IsText() {
					size += len(v.S[n])
				}
			}
		}
		n++
	}
	c.more = n == limit || c.most > 0 && size >= c.most
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
			if c.stopped() {
				return false
			}
		}
		if c.snap.damage != nil || c.stopped() {
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
