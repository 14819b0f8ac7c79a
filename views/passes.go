package views

import (
	"context"
	"slices"

	"weir/views/column"
)

// BlockRows is how many rows a pass takes at a time.
const BlockRows = 2048

// keptRanges bounds the ranges of a pass over kept columns: each begins with a
// search.
const keptRanges = 64

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

// takes says whether the conditions of the range, and retention, leave the row
// with the key.
func (p *keptPass) takes(r *Range, key []byte) bool {
	if len(r.Any) > 0 && !slices.ContainsFunc(r.Any, func(c Parts) bool { return c.holds(key, p.out.types) }) {
		return false
	}
	return p.drop.keeps(key)
}
