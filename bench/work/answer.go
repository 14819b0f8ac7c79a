package work

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// An Answer is what a view has to hold, computed by hand.
type Answer struct {
	work   *Workload
	view   *View
	groups map[string][]cell
	seen   int // how many groups Check has met
}

// A cell is the state of one aggregate.
type cell struct {
	n      int64
	sum    float64
	values []float64
	set    map[int64]struct{}
}

// Answer computes what a view holds after the first so many events of the
// input.
func (in *Input) Answer(v *View, events int64) *Answer {
	a := &Answer{work: in.Workload, view: v, groups: map[string][]cell{}}
	row := make([]Value, len(in.Columns))
	var key []byte
	for i := range events {
		in.Row(i, row)
		if v.Where != nil && !v.Where.Hold(in.Workload, row) {
			continue
		}
		key = v.AppendKey(in.Workload, key[:0], row)
		cells := a.groups[string(key)]
		if cells == nil {
			cells = make([]cell, len(v.Aggs))
			a.groups[string(key)] = cells
		}
		for j, agg := range v.Aggs {
			agg.add(in.Workload, &cells[j], row)
		}
	}
	return a
}

// AppendKey appends the group of a row: its keys, each before a tab.
func (v *View) AppendKey(w *Workload, b []byte, row []Value) []byte {
	for _, k := range v.Keys {
		i := w.Index(k.Column)
		if k.Window > 0 {
			b = strconv.AppendInt(b, row[i].N/k.Window, 10)
		} else {
			b = w.Columns[i].appendText(b, row[i])
		}
		b = append(b, '\t')
	}
	return b
}

func (a Agg) add(w *Workload, c *cell, row []Value) {
	switch a.Func {
	case Count:
		c.n++
	case CountIf:
		if a.If.Hold(w, row) {
			c.n++
		}
	case Distinct:
		if c.set == nil {
			c.set = map[int64]struct{}{}
		}
		c.set[row[w.Index(a.Column)].N] = struct{}{}
	default:
		c.n++
		value := a.value(w, row)
		c.sum += value
		if a.Func == P95 {
			c.values = append(c.values, value)
		}
	}
}

func (a Agg) value(w *Workload, row []Value) float64 {
	i := w.Index(a.Column)
	if w.Columns[i].Kind == Float {
		return row[i].F
	}
	return float64(row[i].N) // exact: below 2^53
}

// Groups returns how many groups the view has.
func (a *Answer) Groups() int { return len(a.groups) }

// Check compares one row as a contender gives it, as text, with the answer.
func (a *Answer) Check(row []string) error {
	v := a.view
	if len(row) != len(v.Keys)+len(v.Aggs) {
		return fmt.Errorf("%s: a row of %d columns", v.Name, len(row))
	}
	var key []byte
	for _, k := range row[:len(v.Keys)] {
		key = append(append(key, k...), '\t')
	}
	cells, ok := a.groups[string(key)]
	if !ok {
		return fmt.Errorf("%s: group %q should not be there", v.Name, key)
	}
	a.seen++
	for i, agg := range v.Aggs {
		text := row[len(v.Keys)+i]
		got, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%s: group %q: %s is %q", v.Name, key, agg.Name, text)
		}
		low, high := agg.bounds(&cells[i])
		if got < low || got > high {
			return fmt.Errorf("%s: group %q: %s is %s, and should be %v to %v", v.Name, key, agg.Name, text, low, high)
		}
	}
	return nil
}

// Done ends the rows of Check: no group may be missing or there twice.
func (a *Answer) Done() error {
	defer func() { a.seen = 0 }()
	if a.seen != len(a.groups) {
		return fmt.Errorf("%s: %d groups, and should be %d", a.view.Name, a.seen, len(a.groups))
	}
	if a.seen == 0 {
		return errors.New(a.view.Name + ": nothing to compare")
	}
	return nil
}

// bounds returns what a contender may answer: one value for what is exact,
// give or take rounding; for sketches, what they promise.
func (a Agg) bounds(c *cell) (low, high float64) {
	const rounding, sketch = 1e-9, 0.02
	switch a.Func {
	case Count, CountIf:
		return float64(c.n), float64(c.n)
	case Sum:
		return c.sum * (1 - rounding), c.sum * (1 + rounding)
	case Avg:
		return c.sum / float64(c.n) * (1 - 1e-6), c.sum / float64(c.n) * (1 + 1e-6)
	case Distinct:
		n := float64(len(c.set))
		return math.Floor(n * (1 - sketch)), math.Ceil(n * (1 + sketch))
	default:
		slices.Sort(c.values)
		at := 0.95 * float64(len(c.values)-1)
		return c.values[int(at)] * (1 - sketch), c.values[int(math.Ceil(at))] * (1 + sketch)
	}
}

// Group returns the rows of an additive view over some events, as a client adds
// them up before an upsert: for each group keys, windows as their number, and aggregates.
func (v *View) Group(w *Workload, rows [][]Value) [][]Value {
	groups := make(map[string]int, len(rows))
	var list [][]Value
	var key []byte
	for _, row := range rows {
		if v.Where != nil && !v.Where.Hold(w, row) {
			continue
		}
		key = v.AppendKey(w, key[:0], row)
		at, ok := groups[string(key)]
		if !ok {
			at = len(list)
			groups[string(key)] = at
			group := make([]Value, len(v.Keys)+len(v.Aggs))
			for i, k := range v.Keys {
				group[i] = row[w.Index(k.Column)]
				if k.Window > 0 {
					group[i].N /= k.Window
				}
			}
			list = append(list, group)
		}
		for i, a := range v.Aggs {
			a.addTo(w, &list[at][len(v.Keys)+i], row)
		}
	}
	return list
}

func (a Agg) addTo(w *Workload, to *Value, row []Value) {
	switch a.Func {
	case Count:
		to.N++
	case CountIf:
		if a.If.Hold(w, row) {
			to.N++
		}
	default:
		i := w.Index(a.Column)
		to.N += row[i].N
		to.F += row[i].F
	}
}

// Args returns a row of Group as drivers take it.
func (v *View) Args(w *Workload, row []Value) []any {
	_, kinds := v.kinds(w)
	args := make([]any, len(row))
	for i, value := range row {
		args[i] = Column{Kind: kinds[i]}.Arg(value)
	}
	return args
}
