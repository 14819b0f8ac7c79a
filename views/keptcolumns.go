package views

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"weir/views/column"
	"weir/views/partial"
)

// Rows of a file are made for writing and for finding one: each is to be found
// in a page, verified and decoded. A dashboard reads all of them again and
// again, while those of the batch layer stay what they are for hours. So what
// passes over a view have decoded is kept, as columns, as long as there is room:
// a pass is then over vectors in memory. What the speed layer has on top is
// merged in for each pass: its rows take the place of those with the same keys.
//
// INVARIANT: kept columns are those of one content of one bucket of rows. A
// snapshot that sees another content never reads them.

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
	// overlayPart is how small a part of the kept rows those beside them must
	// be: each of them costs as much as some ten kept ones. Up to overlayLeast
	// there may be in any case.
	overlayPart  = 8
	overlayLeast = 128
	// keptRanges bounds the ranges of a pass over kept columns: each begins with
	// a search.
	keptRanges = 64
	// dictMost bounds the different texts of a column that is kept as codes.
	dictMost = 1 << 15
)

// A contentID says what the rows of a bucket are. Every change to a bucket
// moves its root and, but for one in 2^32, the sum of its checksums.
type contentID struct {
	rowset, root uint64
	rows, sum    uint64
	at           uint64 // the last sequence that is in them
	deleted      int64
}

// keptColumns are the columns that an engine keeps of its views.
type keptColumns struct {
	mu    sync.Mutex
	least uint64
	most  int64
	bytes int64
	list  map[*keptRows]struct{}
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

// keptRows are the rows of one content of a bucket.
type keptRows struct {
	view *View
	id   contentID

	load sync.Mutex // held while columns are read

	// The rest is guarded by keptColumns.mu; what it points to never changes.
	keys  *keyList // nil until the first columns are there
	cols  map[columnID]*keptColumn
	wide  map[columnID]bool // do not fit narrow vectors
	bytes int64
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

// of returns what is kept, or may be, of a content of a bucket of the view.
func (k *keptColumns) of(v *View, id contentID) *keptRows {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := v.kept[id.rowset]
	if r != nil && r.id != id {
		k.drop(r)
		r = nil
	}
	if r == nil {
		k.forget(v)
		r = &keptRows{view: v, id: id, cols: map[columnID]*keptColumn{}, wide: map[columnID]bool{}}
		if v.kept == nil {
			v.kept = map[uint64]*keptRows{}
			context.AfterFunc(v.ctx, func() { k.dropIf(func(r *keptRows) bool { return r.view == v }) })
		}
		v.kept[id.rowset] = r
		k.list[r] = struct{}{}
	}
	r.used = time.Now()
	return r
}

// keptContents bounds the contents of one view that are kept: its batch layer,
// and an epoch that is larger.
const keptContents = 2

// forget drops contents of v that were not read for the longest time, to leave
// room for one.
func (k *keptColumns) forget(v *View) {
	for len(v.kept) >= keptContents {
		var oldest *keptRows
		for _, r := range v.kept {
			if oldest == nil || r.used.Before(oldest.used) {
				oldest = r
			}
		}
		k.drop(oldest)
	}
}

// drop forgets r.
func (k *keptColumns) drop(r *keptRows) {
	if r.gone {
		return
	}
	r.gone = true
	k.bytes -= r.bytes
	delete(k.list, r)
	if r.view.kept[r.id.rowset] == r {
		delete(r.view.kept, r.id.rowset)
	}
}

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

// have returns the keys and the columns of a layout, or which of them are missing.
func (k *keptColumns) have(r *keptRows, l *Layout) (keys *keyList, cols []*keptColumn, missing []int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	cols = make([]*keptColumn, len(l.cols))
	for i := range l.cols {
		id := l.id(i)
		if r.wide[id] {
			return nil, nil, nil, ErrWide
		}
		if cols[i] = r.cols[id]; cols[i] == nil {
			missing = append(missing, i)
		}
	}
	return r.keys, cols, missing, nil
}

// due notes that so many rows of r were or are to be read, and says whether they
// had better been kept.
func (k *keptColumns) due(r *keptRows, rows uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	ok := r.passed >= r.id.rows && time.Since(r.refused) > keptIdle
	r.passed += rows
	return ok
}

// tooWide notes that the narrow columns of the layout do not fit.
func (k *keptColumns) tooWide(r *keptRows, l *Layout) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range l.cols {
		if id := l.id(i); id.narrow { // which of them it is nobody has said
			r.wide[id] = true
		}
	}
}

// room makes room for so many bytes more of r, and says whether there is.
func (k *keptColumns) room(r *keptRows, more int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.bytes+more > k.most {
		var oldest *keptRows
		for o := range k.list {
			if o != r && o.bytes > 0 && (oldest == nil || o.used.Before(oldest.used)) {
				oldest = o
			}
		}
		if oldest == nil {
			r.refused = time.Now()
			return false
		}
		k.drop(oldest)
	}
	return true
}

// put keeps columns that were read.
func (k *keptColumns) put(r *keptRows, keys *keyList, cols map[columnID]*keptColumn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.gone {
		return
	}
	add := func(n int64) { r.bytes, k.bytes = r.bytes+n, k.bytes+n }
	if r.keys == nil {
		r.keys = keys
		add(keys.bytes)
	}
	for id, c := range cols {
		if r.cols[id] == nil {
			r.cols[id] = c
			add(c.bytes)
		}
	}
	r.passed = 0
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
				s.View.eng.kept.due(p.rows, uint64(n))
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
	snap *Snapshot
	out  *Layout
	rows *keptRows
	keys *keyList // nil where the columns are not there
	cols []*keptColumn
	drop *windows // rows that retention has dropped and are still here

	vectors []*column.Vector
	texts   []column.Vector // room for those that are kept as codes
	sel     []uint32
}

// keptPass returns the pass over kept columns, nil where the layer is not worth
// one, and without keys where they are not there yet.
func (s *Snapshot) keptPass(ctx context.Context, out *Layout, ranges []Range) (*keptPass, error) {
	k := s.View.eng.kept
	id, ok, err := s.content(out.layer)
	if err != nil || !ok || len(ranges) > keptRanges {
		return nil, err
	}
	p := &keptPass{snap: s, out: out, rows: k.of(s.View, id)}
	keys, cols, missing, err := k.have(p.rows, out)
	if err != nil {
		return nil, err
	}
	if keys == nil || len(missing) > 0 {
		if !k.due(p.rows, 0) {
			return p, nil
		}
		if keys, cols, err = s.keep(ctx, p.rows, out, missing, keys, cols); err != nil || keys == nil {
			return p, err
		}
	}
	p.keys, p.cols = keys, cols
	if s.drop != nil && s.drop.floor != id.deleted {
		p.drop = s.drop
	}
	p.vectors = make([]*column.Vector, len(cols))
	p.texts = make([]column.Vector, len(cols))
	p.sel = make([]uint32, 0, BlockRows)
	return p, nil
}

// content returns what the largest bucket of a layer holds, and false where it
// is not worth keeping or there is too much beside it.
func (s *Snapshot) content(l Layer) (id contentID, ok bool, err error) {
	if l == Speed || len(s.View.plan.Keys) == 0 {
		return id, false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		return id, false, errEnded
	}
	id.deleted = s.meta.Deleted
	rest := uint64(0)
	add := func(r *rowset, at uint64) {
		n := *r.rows
		if n > id.rows {
			n, id.rows, id.sum, id.rowset, id.at = id.rows, n, *r.sum, r.number, at
		}
		rest += n
	}
	if s.meta.Batch != 0 {
		add(s.meta.batch(), s.meta.Cut)
	}
	if l == Serving {
		for i := range s.meta.Epochs {
			e := &s.meta.Epochs[i]
			at := e.To
			if at == 0 {
				at = s.meta.Applied
			}
			add(e.rowset(), at)
		}
		for _, r := range s.runs {
			rest += uint64(r.table.Len())
		}
	}
	if id.rows < s.View.eng.kept.least || rest > max(id.rows/overlayPart, overlayLeast) {
		return id, false, nil
	}
	err = s.guard(func() error {
		b := s.tx.Bucket(rowsBucket(id.rowset))
		if b == nil {
			return fmt.Errorf("%w: the %d rows of a bucket are missing", errDamaged, id.rows)
		}
		id.root = uint64(b.Root())
		return nil
	})
	return id, err == nil, err
}

var errEnded = errors.New("the statement that this row belongs to has ended")

// keep reads the missing columns of a layout, and the keys if need be. It
// returns no keys where another statement does so now, or there is no room.
func (s *Snapshot) keep(ctx context.Context, r *keptRows, out *Layout, missing []int, keys *keyList, cols []*keptColumn) (*keyList, []*keptColumn, error) {
	if !r.load.TryLock() {
		return nil, nil, nil
	}
	defer r.load.Unlock()
	k := s.View.eng.kept
	index, narrow := make([]int, len(missing)), make([]bool, len(missing))
	for j, i := range missing {
		index[j], narrow[j] = out.index[i], out.narrow[i]
	}
	part := s.View.Layout(out.layer, index, narrow)
	c := s.scan(part, slices.Clone(All))
	c.only, c.drop = r.id.rowset, nil
	c.src = c.part(c.src)
	if keys == nil {
		keys = &keyList{}
		c.note = keys.add
	}
	makers := make([]columnMaker, len(missing))
	var b column.Batch
	n := 0
	for {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		got, err := c.Fill(&b, BlockRows)
		if errors.Is(err, ErrWide) {
			k.tooWide(r, part)
		}
		if err != nil {
			return nil, nil, err
		}
		if got == 0 {
			break
		}
		var size int64
		for j := range makers {
			makers[j].add(b.Cols[j], n, got)
			size += makers[j].bytes
		}
		if c.note != nil {
			size += keys.bytes
		}
		if !k.room(r, size) {
			return nil, nil, nil
		}
		n += got
	}
	if uint64(n) != r.id.rows {
		return nil, nil, s.guard(func() error { return fmt.Errorf("%w: of %d rows there are %d", errDamaged, r.id.rows, n) })
	}
	made := map[columnID]*keptColumn{}
	for j, i := range missing {
		cols[i] = makers[j].done()
		made[out.id(i)] = cols[i]
	}
	k.put(r, keys, made)
	return keys, cols, nil
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
		m.bytes += 96 * int64(rows) // each has a number of its own
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

func (m *columnMaker) done() *keptColumn {
	c := m.keptColumn
	return &c
}

// An overlay are the rows of a pass that are not kept, and those that they take
// the place of.
type overlay struct {
	rows     []*Rows
	replaced []int // places among the kept rows, ascending
}

// overlay reads the rows beside the kept ones.
func (p *keptPass) overlay(ctx context.Context, r *Range) (*overlay, error) {
	o := &overlay{}
	if p.out.layer == Batch {
		return o, nil
	}
	s := p.snap
	c := s.scan(p.out, []Range{*r})
	c.over = p.rows.id.rowset
	c.src = c.part(c.src)
	at := 0
	var places []int64
	c.beside = func(key []byte) (found bool) {
		at, found = p.keys.search(at, key)
		if found {
			o.replaced = append(o.replaced, at)
			places = append(places, int64(at+1)*placeStep)
			return true
		}
		place := int64(at)*placeStep + 1
		if n := len(places); n > 0 && places[n-1] >= place {
			place = places[n-1] + 1
		}
		places = append(places, place)
		return false
	}
	for size := 64; ; size = min(4*size, BlockRows) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b := &column.Batch{}
		begun := len(places)
		n, err := c.Fill(b, size)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return o, nil
		}
		o.rows = append(o.rows, &Rows{Cols: slices.Clone(b.Cols), Len: n, Places: places[begun : begun+n : begun+n]})
	}
}

// run passes over one range.
func (p *keptPass) run(ctx context.Context, r *Range, f func(*Rows) error) error {
	o, err := p.overlay(ctx, r)
	if err != nil {
		return err
	}
	from, to := 0, p.keys.n
	if len(r.Lo) > 0 {
		from, _ = p.keys.search(0, r.Lo)
	}
	if r.Hi != nil {
		to, _ = p.keys.search(from, r.Hi)
	}
	replaced := o.replaced
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
	for _, rows := range o.rows {
		if err := f(rows); err != nil {
			return err
		}
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
			if replaced = replaced[1:]; true {
				continue
			}
		}
		if len(r.Any) > 0 && !slices.ContainsFunc(r.Any, func(c Parts) bool { return c.holds(keys.key(i), p.out.types) }) {
			continue
		}
		if p.drop != nil && !p.drop.keeps(keys.key(i)) {
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

// part are the sources that the cursor reads: those of one bucket, or those
// beside it, all if it says neither.
func (c *Cursor) part(list []source) []source {
	if c.only == 0 && c.over == 0 {
		return list
	}
	c.base = nil
	return slices.DeleteFunc(list, func(s source) bool {
		b, ok := s.(*bucketSource)
		if c.only != 0 {
			return !ok || b.rows.number != c.only
		}
		if ok && b.rows.number == c.over {
			c.base = b
			return true
		}
		return false
	})
}

// withBase adds the row of the bucket that the cursor reads beside, if it has
// one with the current key.
func (c *Cursor) withBase() error {
	if !c.beside(c.current) {
		return nil
	}
	if c.base == nil {
		return fmt.Errorf("%w: a bucket of rows is missing", errDamaged)
	}
	if c.base.seek(c.current, false); !bytes.Equal(c.base.key(), c.current) {
		return cmp.Or(c.snap.damage, fmt.Errorf("%w: row %x is missing", errDamaged, c.current))
	}
	c.at = append(c.at, c.base)
	return nil
}
