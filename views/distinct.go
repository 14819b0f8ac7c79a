package views

import (
	"bytes"
	"context"
	"errors"

	"weir/views/column"
	"weir/views/partial"
)

// The rows and the places that Distinct looks at.
const (
	distinctRows  = 2048
	distinctSeeks = 128
)

// Distinct returns about how many different values the first part of the keys
// of a layer has, the first two have, and so on: one number for each part of the
// group key, none of them 0 where there are rows. It looks at a bounded number
// of rows: the numbers are exact where there are few, and else what those at the
// front make likely.
func (s *Snapshot) Distinct(ctx context.Context, l Layer) (counts []uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx == nil {
		return nil, errors.New("the statement that estimates has ended")
	}
	out := s.View.Layout(l, nil, nil)
	total := s.Estimate(l)
	counts = make([]uint64, len(out.types))
	err = s.guard(func() error {
		at := func(from []byte) *Cursor {
			return &Cursor{snap: s, layer: l, src: s.sources(l), moved: s.moved, ranges: []Range{{Lo: from}}, drop: s.drop, out: out}
		}
		c := at(nil)
		var last []byte
		seen := uint64(0)
		for seen < distinctRows && c.advance() {
			for k := commonParts(last, c.current, out.types); k < len(counts); k++ {
				counts[k]++
			}
			last = append(last[:0], c.current...)
			seen++
		}
		if s.damage != nil || seen < distinctRows {
			return s.damage
		}
		for k := range counts {
			if counts[k] > distinctSeeks {
				counts[k] = max(counts[k], uint64(float64(total)/float64(seen)*float64(counts[k])))
				continue
			}
			n, ended, err := s.skip(ctx, at, k+1, out.types)
			if err != nil {
				return err
			}
			if !ended { // the front does not show what is typical: as many rows for each value as there
				n = max(n, total/(seen/counts[k]))
			}
			counts[k] = n
		}
		return s.damage
	})
	return counts, err
}

// skip counts the different values of the first parts of the keys by seeking
// from one to the next, and says whether it came to the end.
func (s *Snapshot) skip(ctx context.Context, at func([]byte) *Cursor, parts int, types []column.Type) (n uint64, ended bool, err error) {
	var from []byte
	for n < distinctSeeks {
		if err := ctx.Err(); err != nil {
			return n, false, err
		}
		c := at(from)
		if !c.advance() {
			return n, true, nil
		}
		n++
		rest := c.current
		for _, t := range types[:parts] {
			if rest, err = partial.SkipKey(rest, t); err != nil {
				return n, false, err
			}
		}
		if from = partial.PrefixEnd(bytes.Clone(c.current[:len(c.current)-len(rest)])); from == nil {
			return n, true, nil
		}
	}
	return n, false, nil
}

// commonParts is how many parts at the front of two keys are equal.
func commonParts(a, b []byte, types []column.Type) int {
	if a == nil {
		return 0
	}
	for i, t := range types {
		ra, errA := partial.SkipKey(a, t)
		rb, errB := partial.SkipKey(b, t)
		if errA != nil || errB != nil || !bytes.Equal(a[:len(a)-len(ra)], b[:len(b)-len(rb)]) {
			return i
		}
		a, b = ra, rb
	}
	return len(types)
}
