package views

import (
	"bytes"
	"context"
	"slices"

	"weir/views/column"
	"weir/views/partial"
)

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
	c.Heed(ctx)
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
