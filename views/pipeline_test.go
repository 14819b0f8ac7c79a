package views

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/views/column"
	"weir/views/partial"
)

// A hopBench is SELECT HOP(ts, …) AS w, k, COUNT(*), SUM(n) … WHERE n <> 0
// GROUP BY w, k over columns ts, k and n.
type hopBench struct {
	hop  *column.Hop
	pipe *pipeline
}

func newHopBench(slide, size, offset int64) hopBench {
	hop := &column.Hop{X: &column.Col{Index: 0, T: column.Datetime}, Slide: slide, Size: size, Offset: offset}
	n := &column.Col{Index: 2, T: column.Bigint}
	return hopBench{hop, newPipeline(&ViewPlan{
		Filter: &column.Truth{X: n},
		Keys:   []Key{{Name: "k", Expr: &column.Col{Index: 1, T: column.Bigint}}, {Name: "w", Expr: hop}},
		Aggs: []Agg{
			{Spec: partial.Spec{Func: partial.CountAll, Result: column.Bigint}},
			{Spec: partial.Spec{Func: partial.Sum, Arg: column.Bigint, Result: partial.SumType(column.Bigint)}, Args: []column.Expr{n}},
		},
		Window: 1, WindowSize: size, Hop: hop,
	})}
}

func (h hopBench) key(k int64, w column.Value) string {
	key := partial.AppendKey(nil, column.Value{Kind: column.Int, I: k})
	return string(partial.AppendKey(key, w))
}

// hopSums are what one group has.
type hopSums struct{ count, total int64 }

func (h hopBench) compare(t rapid.TB, table *partial.Table, want map[string]hopSums) {
	t.Helper()
	if table.Len() != len(want) {
		t.Errorf("%+v: %d groups, want %d", *h.hop, table.Len(), len(want))
	}
	for key, sums := range want {
		g := table.Lookup([]byte(key))
		if g < 0 {
			t.Errorf("%+v: there is no group %x", *h.hop, key)
			continue
		}
		count, total := table.States(0).Value(g), table.States(1).Value(g)
		if count.I != sums.count || total.Decimal().IntPart() != sums.total {
			t.Errorf("%+v: group %x has %v events and the sum %v, want %+v", *h.hop, key, count, total, sums)
		}
	}
}

// An event is in each window [offset + i*slide, offset + i*slide + size) that
// holds its time, for whole i, and in no other.
func TestEventsAreInEveryWindowThatHoldsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slide := rapid.Int64Range(1, 60).Draw(t, "slide")
		h := newHopBench(slide, rapid.Int64Range(1, 6*slide).Draw(t, "size"), rapid.Int64Range(-300, 300).Draw(t, "offset"))
		table, want := partial.NewTable(h.pipe.specs), map[string]hopSums{}
		for range 3 {
			rows := rapid.IntRange(1, 40).Draw(t, "rows")
			first := rapid.IntRange(0, rows-1).Draw(t, "first")
			b := &column.Batch{}
			b.Reset(rows)
			ts, k, n := b.New(column.Time), b.New(column.Int), b.New(column.Int)
			b.Cols = []*column.Vector{ts, k, n}
			if rapid.Bool().Draw(t, "dead letters") {
				b.Sel = []uint32{}
			}
			for i := range rows {
				ts.I[i] = rapid.Int64Range(-500, 500).Draw(t, "ts")
				k.I[i], n.I[i] = rapid.Int64Range(0, 1).Draw(t, "k"), rapid.Int64Range(0, 3).Draw(t, "n")
				if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
					ts.SetNull(i, rows)
				}
				if b.Sel != nil {
					if rapid.IntRange(0, 3).Draw(t, "dead") == 0 {
						continue
					}
					b.Sel = append(b.Sel, uint32(i))
				}
				if i < first || n.I[i] == 0 {
					continue
				}
				count := func(w column.Value) {
					s := want[h.key(k.I[i], w)]
					s.count, s.total = s.count+1, s.total+n.I[i]
					want[h.key(k.I[i], w)] = s
				}
				if ts.IsNull(i) {
					count(column.Null)
					continue
				}
				for start := h.hop.Offset - 2000*slide; start <= 1000; start += slide {
					if start <= ts.I[i] && ts.I[i] < start+h.hop.Size {
						count(column.Value{Kind: column.Time, I: start})
					}
				}
			}
			h.pipe.add(table, b, first)
		}
		h.compare(t, table, want)
	})
}

// The first and the last time of DATETIME are in all windows whose start a
// DATETIME holds, or else in NULL, with whatever length an INTERVAL can say.
func TestWindowsOfExtremeTimes(t *testing.T) {
	const most = 1 << 62 // see intervalArg in package sql
	for _, at := range []int64{firstTime, lastTime, -1, 0} {
		for _, h := range []hopBench{
			newHopBench(60e6, 300e6, 0), newHopBench(most, most, 0), newHopBench(most, most, most), newHopBench(most, most, -most),
			newHopBench(most-1, most, 0), newHopBench(most/2, most, -most), newHopBench(1, 1000, most), newHopBench(most, 1, 0), newHopBench(most/1000+1, most, 7),
		} {
			b := &column.Batch{}
			b.Reset(1)
			ts, k, n := b.New(column.Time), b.New(column.Int), b.New(column.Int)
			ts.I[0], k.I[0], n.I[0] = at, 0, 1
			b.Cols = []*column.Vector{ts, k, n}
			table := partial.NewTable(h.pipe.specs)
			h.pipe.add(table, b, 0)
			want := map[string]hopSums{}
			// Going back from the latest start, as a sum of parts that fit.
			age := ((at%h.hop.Slide-h.hop.Offset%h.hop.Slide)%h.hop.Slide + h.hop.Slide) % h.hop.Slide
			if at-age < firstTime {
				want[h.key(0, column.Null)] = hopSums{1, 1}
			}
			for ; age < h.hop.Size && at-age >= firstTime; age += h.hop.Slide {
				want[h.key(0, column.Value{Kind: column.Time, I: at - age})] = hopSums{1, 1}
			}
			h.compare(t, table, want)
			if table.Len() > int(h.hop.Count()) {
				t.Errorf("%+v: %s is in %d windows, want at most %d", *h.hop, time.UnixMicro(at).UTC(), table.Len(), h.hop.Count())
			}
		}
	}
}

// Fanning out allocates for new groups and not for events.
func TestHopDoesNotAllocateForEvents(t *testing.T) {
	h := newHopBench(60e6, 300e6, 0)
	b := &column.Batch{}
	table := partial.NewTable(h.pipe.specs)
	const rows = 4000
	allocs := testing.AllocsPerRun(5, func() {
		b.Reset(rows)
		ts, k, n := b.New(column.Time), b.New(column.Int), b.New(column.Int)
		for i := range rows {
			ts.I[i], k.I[i], n.I[i] = int64(i)*100e3, int64(i%3), 1
		}
		b.Cols = append(b.Cols[:0], ts, k, n)
		h.pipe.add(table, b, 0)
	})
	if math.Round(allocs) > rows/100 {
		t.Errorf("%v allocations for %d events", allocs, rows)
	}
}
