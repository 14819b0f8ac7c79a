package views

import (
	"errors"
	"slices"

	"weir/views/column"
	"weir/views/partial"
)

// ErrWide is returned by Fill for a layout that is narrow: a value has more
// digits than fit.
var ErrWide = errors.New("views: a value is too wide for a narrow layout")

// A Layout says which columns of a layer are read, and how. It is made once for
// many scans and safe for concurrent use.
type Layout struct {
	layer  Layer
	cols   []LayerColumn
	index  []int  // of cols in the plan's Columns(layer)
	narrow []bool // by column: BigDec as Dec
	types  []column.Type
	specs  []partial.Spec

	keys     []int // by part of the key up to the last that is needed: the column it goes right into, or -1
	keyValue []bool
	aggs     []int // by aggregate up to the last that is needed: likewise
	wants    []partial.Want
	slow     []int // columns that do not come right from the key or a state
}

// Layout returns a layout of columns, which are indexes into the plan's
// Columns(layer). Sums that narrow, if it is not nil, says true for are filled
// as Dec, though their type is BigDec; where one does not fit, Fill returns
// ErrWide.
func (v *View) Layout(layer Layer, cols []int, narrow []bool) *Layout {
	all := v.plan.Columns(layer)
	l := &Layout{layer: layer, types: v.plan.KeyTypes(), specs: v.plan.Specs(), narrow: make([]bool, len(cols)), index: slices.Clone(cols)}
	for i, c := range cols {
		l.cols = append(l.cols, all[c])
		l.add(i, &all[c], narrow != nil && narrow[i])
	}
	// What is wanted as a state is not read a second time.
	for a, w := range l.wants {
		if i := l.aggs[a]; w == partial.WantState && i >= 0 {
			l.aggs[a], l.narrow[i], l.slow = -1, false, append(l.slow, i)
		}
	}
	return l
}

// add says where column i comes from.
func (l *Layout) add(i int, col *LayerColumn, narrow bool) {
	switch {
	case col.Part == PartEpoch || col.Part == PartServing:
	case col.Key >= 0:
		if l.needKey(col.Key); l.keys[col.Key] < 0 {
			l.keys[col.Key] = i
			return
		}
		l.keyValue[col.Key] = true
	case col.Agg >= 0:
		l.needAgg(col.Agg)
		if col.Part == Whole && l.wants[col.Agg] == partial.WantNothing && partial.Direct(l.specs[col.Agg]) {
			l.wants[col.Agg], l.aggs[col.Agg] = partial.WantValue, i
			l.narrow[i] = narrow && partial.Narrow(l.specs[col.Agg])
			return
		}
		l.wants[col.Agg] = partial.WantState
	default:
		for _, u := range col.Uses {
			if a := u - len(l.types); a >= 0 {
				l.needAgg(a)
				l.wants[a] = partial.WantState
			} else {
				l.needKey(u)
				l.keyValue[u] = true
			}
		}
	}
	l.slow = append(l.slow, i)
}

func (l *Layout) needKey(k int) {
	for len(l.keys) <= k {
		l.keys, l.keyValue = append(l.keys, -1), append(l.keyValue, false)
	}
}

func (l *Layout) needAgg(a int) {
	for len(l.aggs) <= a {
		l.aggs, l.wants = append(l.aggs, -1), append(l.wants, partial.WantNothing)
	}
}

// IsNarrow says whether column i of the layout is filled as Dec though its type
// is BigDec.
func (l *Layout) IsNarrow(i int) bool { return l.narrow[i] }

// fields is the part of a cursor that makes columns of the current row.
type fields struct {
	reader  *partial.Reader // of rows that one bucket has alone
	scratch *partial.Table  // for the others; nil until there is one
	one     int             // the group of scratch
	interns []partial.Interner
	keys    []column.Value   // by part of the key
	values  []column.Value   // keys, then aggregates, for Post
	vectors []*column.Vector // by aggregate: where its value goes
}

// begin gives b the vectors of the layout.
func (c *Cursor) begin(b *column.Batch) {
	l := c.out
	for i := range l.cols {
		kind := l.cols[i].Type.Kind
		if l.narrow[i] {
			kind = column.Dec
		}
		v := b.New(kind)
		v.Scale = l.cols[i].Type.Scale
		b.Cols = append(b.Cols, v)
	}
	if c.interns == nil {
		c.interns = make([]partial.Interner, len(l.keys))
		c.vectors = make([]*column.Vector, len(l.aggs))
	}
	for a, i := range l.aggs {
		if i >= 0 {
			c.vectors[a] = b.Cols[i]
		}
	}
}

// row puts the current row into row i of b, which is made for n.
func (c *Cursor) row(b *column.Batch, i, n int) error {
	if err := c.key(b, i, n); err != nil {
		return err
	}
	l := c.out
	if len(l.wants) > 0 && len(c.at) == 1 {
		if s, ok := c.at[0].(*bucketSource); ok {
			if c.reader == nil {
				c.reader = partial.NewReader(l.specs, l.wants)
			}
			if err := c.reader.Read(s.states, c.vectors, i, n); err != nil {
				return err
			}
			for _, k := range l.slow {
				b.Cols[k].Set(i, n, c.value(&l.cols[k], c.reader.States, 0))
			}
			return nil
		}
	}
	states, at, err := c.combined()
	if err != nil {
		return err
	}
	for a, k := range l.aggs {
		if k < 0 {
			continue
		}
		x := states(a).Value(at)
		if l.narrow[k] && !x.IsNull() {
			d := x.D.Shift(int32(l.cols[k].Type.Scale))
			if !d.BigInt().IsInt64() {
				return partial.ErrWide
			}
			x = column.Value{Kind: column.Dec, I: d.IntPart()}
		}
		b.Cols[k].Set(i, n, x)
	}
	for _, k := range l.slow {
		b.Cols[k].Set(i, n, c.value(&l.cols[k], states, at))
	}
	return nil
}

// key reads the parts of the current row's key that are needed.
func (c *Cursor) key(b *column.Batch, i, n int) (err error) {
	l, key := c.out, c.current
	for k, col := range l.keys {
		switch {
		case l.keyValue[k]:
			if c.keys == nil {
				c.keys = make([]column.Value, len(l.types))
			}
			if c.keys[k], key, err = partial.ReadKey(key, l.types[k]); err == nil && col >= 0 {
				b.Cols[col].Set(i, n, c.keys[k])
			}
		case col >= 0:
			key, err = partial.ReadKeyInto(key, l.types[k], b.Cols[col], i, n, &c.interns[k])
		default:
			key, err = partial.SkipKey(key, l.types[k])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// combined returns the states of the current row, which several sources may
// hold, and their group.
func (c *Cursor) combined() (states func(int) partial.States, at int, err error) {
	if len(c.out.wants) == 0 {
		return nil, 0, nil
	}
	if len(c.at) == 1 {
		if t, ok := c.at[0].(*tableSource); ok { // whose states need no decoding
			return t.t.States, int(t.order[t.at]), nil
		}
	}
	if err := c.combine(len(c.out.wants)); err != nil {
		return nil, 0, err
	}
	return c.scratch.States, c.one, nil
}

// combine combines the first n aggregates of the current row in the scratch table.
func (c *Cursor) combine(n int) error {
	if c.scratch == nil {
		c.scratch = partial.NewTable(c.out.specs)
		c.one = c.scratch.Group(partial.EmptyKey())
	}
	c.scratch.ClearStates(1)
	for _, s := range c.at {
		if err := s.into(c.scratch, c.one, n); err != nil {
			return err
		}
	}
	return nil
}

// value returns what a column shows of the current row.
func (c *Cursor) value(col *LayerColumn, states func(int) partial.States, at int) column.Value {
	switch {
	case col.Part == PartEpoch:
		return column.Value{Kind: column.Uint, I: int64(c.epoch().ID)}
	case col.Part == PartServing:
		return column.Value{Kind: column.Int, I: serving(c.epoch())}
	case col.Key >= 0:
		return c.keys[col.Key]
	case col.Agg >= 0:
		return part(states(col.Agg), at, col.Part)
	}
	if c.values == nil {
		c.values = make([]column.Value, len(c.out.types)+len(c.out.specs))
	}
	for _, u := range col.Uses {
		if k := u - len(c.out.types); k >= 0 {
			c.values[u] = states(k).Value(at)
		} else {
			c.values[u] = c.keys[u]
		}
	}
	return col.Post(c.values)
}

func part(s partial.States, i int, p Part) column.Value {
	switch p {
	case PartSum:
		return s.(partial.Average).Sum(i)
	case PartCount:
		return column.Value{Kind: column.Int, I: s.(partial.Average).Count(i)}
	case PartStored:
		return column.Value{Kind: column.Bytes, S: string(s.Append(nil, i))}
	default:
		return s.Value(i)
	}
}
