package views

import (
	"context"
	"slices"
	"strings"

	"weir/views/column"
)

// How columns get to be kept: one pass over the rows of the file makes those that
// are missing, as what they will be read as.

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
	c.Heed(ctx)
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

// dictMost bounds the different texts of a column that is kept as codes.
const dictMost = 1 << 15

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
