package partial

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"weir/views/column"
)

// inParts folds values in parts of random size, merged in random order.
func inParts(t *testing.T, r *rand.Rand, spec Spec, values []column.Value) States {
	t.Helper()
	var parts []States
	for events := eventsOf(values...); len(events) > 0; {
		n := min(len(events), 1+r.IntN(len(events)/3+100))
		parts = append(parts, fold(spec, events[:n]...))
		events = events[n:]
	}
	for len(parts) > 1 {
		i, j := r.IntN(len(parts)), r.IntN(len(parts)-1)
		if j >= i {
			j++
		}
		if r.IntN(2) == 0 {
			parts[i].Merge(0, parts[j], 0)
		} else if _, err := parts[i].Decode(0, parts[j].Append(nil, 0)); err != nil {
			t.Fatal(err)
		}
		parts = slices.Delete(parts, j, j+1)
	}
	return parts[0]
}

// DistinctError is a standard error, so nearly every count is within four of
// them, and however the values are divided it is the same count.
func TestApproxDistinct(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	spec := Spec{Func: ApproxDistinct, Arg: column.Text, Result: column.Bigint}
	for _, n := range []int{1, 100, hashesMax, hashesMax + 1, 600, 2000, 20_000, 200_000} {
		var values []column.Value
		for i := range n {
			values = append(values, column.Value{Kind: column.String, S: strconv.Itoa(i)})
		}
		values = append(values, values[:n/2]...) // again
		r.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		whole := fold(spec, eventsOf(values...)...)
		got := whole.Value(0).I
		if off := math.Abs(float64(got)-float64(n)) / float64(n); off > 4*DistinctError || n <= hashesMax && off > 0 {
			t.Errorf("of %d values %d are counted: %.2f %% off", n, got, 100*off)
		}
		for range 3 {
			divided := inParts(t, r, spec, values)
			if v := divided.Value(0).I; v != got {
				t.Errorf("%d values are %d when divided, %d when not", n, v, got)
			}
			if !bytes.Equal(divided.Append(nil, 0), whole.Append(nil, 0)) {
				t.Errorf("%d values are stored otherwise when divided", n)
			}
		}
	}
}

// PercentileError bounds the distance to the value of the nearest rank.
func TestApproxPercentile(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, draw := range map[string]func() float64{
		"uniform":  r.Float64,
		"normal":   func() float64 { return 1000 * r.NormFloat64() },
		"wide":     func() float64 { return math.Exp(20 * r.NormFloat64()) },
		"integers": func() float64 { return float64(r.IntN(10)) },
		"negative": func() float64 { return -r.ExpFloat64() },
	} {
		for _, n := range []int{1, 2, 3, 10, 101, 1000, 20_000} {
			var values []column.Value
			var sorted []float64
			for range n {
				f := draw()
				values = append(values, column.Value{Kind: column.Float, F: f})
				sorted = append(sorted, f)
			}
			slices.Sort(sorted)
			for _, p := range []float64{0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1} {
				spec := Spec{Func: ApproxPercentile, Arg: column.Double, Result: column.Double, Param: p}
				got := fold(spec, eventsOf(values...)...).Value(0).F
				want := sorted[max(int(math.Ceil(p*float64(n)))-1, 0)]
				if math.Abs(got-want) > PercentileError*math.Abs(want)*(1+1e-9) {
					t.Errorf("%s, %d values: percentile %g is %g, want %g", name, n, p, got, want)
				}
				if divided := inParts(t, r, spec, values).Value(0).F; divided != got {
					t.Errorf("%s, %d values: percentile %g is %g when divided, %g when not", name, n, p, divided, got)
				}
			}
		}
	}
}

// A count is never too high, and too low by at most one in topCapacity of the
// events; up to twice that many values it is exact.
func TestApproxTopK(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, k := range []int{1, 10, 100} {
		spec := Spec{Func: ApproxTopK, Arg: column.Text, Result: column.Text, Param: float64(k)}
		capacity := topCapacity(spec.Param)
		for name, draw := range map[string]func() int{
			"few":     func() int { return r.IntN(2 * capacity) },
			"skewed":  func() int { return int(math.Exp(r.ExpFloat64() * 2)) },
			"uniform": func() int { return r.IntN(20 * capacity) },
			"own":     func() int { return r.Int() },
		} {
			const n = 30_000
			truth := map[string]int64{}
			var values []column.Value
			for range n {
				s := strconv.Itoa(draw())
				truth[s]++
				values = append(values, column.Value{Kind: column.String, S: s})
			}
			bound := int64(n / capacity)
			if len(truth) <= 2*capacity {
				bound = 0
			}
			whole, divided := fold(spec, eventsOf(values...)...), inParts(t, r, spec, values)
			other := fold(spec, eventsOf(slices.Repeat(values[:1], 2*n)...)...)
			if b := whole.(Bounded); !b.Agrees(0, divided, 0) || !divided.(Bounded).Agrees(0, whole, 0) || b.Agrees(0, other, 0) || other.(Bounded).Agrees(0, whole, 0) {
				t.Errorf("top %d, %s: the states do not tell the same events from others", k, name)
			}
			for what, s := range map[string]States{"whole": whole, "divided": divided} {
				if lost := s.(*tops[string]).lost[0]; lost > bound {
					t.Errorf("top %d, %s, %s: %d subtracted, more than %d", k, name, what, lost, bound)
				}
				if held := len(s.(*tops[string]).counts[0]); held > 2*capacity {
					t.Errorf("top %d, %s, %s: %d counters", k, name, what, held)
				}
				for x, c := range s.(*tops[string]).counts[0] {
					if *c > truth[x] {
						t.Errorf("top %d, %s, %s: %s is counted %d times, but is there %d times", k, name, what, x, *c, truth[x])
					}
				}
				for x, want := range truth {
					got := int64(0)
					if c := s.(*tops[string]).counts[0][x]; c != nil {
						got = *c
					}
					if got < want-bound {
						t.Errorf("top %d, %s, %s: %s is counted %d times, want %d - %d at least", k, name, what, x, got, want, bound)
					}
				}
			}
		}
	}
}

// Merging is the same both ways, also where the counts are approximate.
func TestApproxTopKCommutes(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	spec := Spec{Func: ApproxTopK, Arg: column.Bigint, Result: column.Text, Param: 5}
	for range 20 {
		part := func() States {
			var values []column.Value
			for range r.IntN(2000) {
				values = append(values, column.Value{Kind: column.Int, I: int64(r.ExpFloat64() * 100)})
			}
			return fold(spec, eventsOf(values...)...)
		}
		a, b := part(), part()
		ab, ba := fold(spec), fold(spec)
		for _, s := range []States{a, b} {
			ab.Merge(0, s, 0)
		}
		for _, s := range []States{b, a} {
			ba.Merge(0, s, 0)
		}
		if x, y := ab.Append(nil, 0), ba.Append(nil, 0); !bytes.Equal(x, y) {
			t.Fatalf("%s one way, %s the other", ab.Value(0), ba.Value(0))
		}
	}
}

// The values are shown by count and then by value, as their type has them.
func TestApproxTopKShows(t *testing.T) {
	jan := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC).UnixMicro()
	date := column.Type{Kind: column.Time, SQL: "date", Date: true}
	for _, c := range []struct {
		typ    column.Type
		values []column.Value
		want   string
	}{
		{column.Text, nil, "NULL"},
		{column.Text, []column.Value{column.Null}, "NULL"},
		{column.Text, []column.Value{{S: "b"}, {S: "a"}, {S: "b"}, {S: "<\"日\xff"}, column.Null, {S: "c"}}, `[{"value":"b","count":2},{"value":"<\"日\ufffd","count":1},{"value":"a","count":1}]`},
		{column.Bigint, []column.Value{{I: 5}, {I: -5}, {I: 5}}, `[{"value":5,"count":2},{"value":-5,"count":1}]`},
		{column.Unsigned, []column.Value{{I: -1}, {I: 1}}, `[{"value":1,"count":1},{"value":18446744073709551615,"count":1}]`},
		{column.Double, []column.Value{{Kind: column.Float}, {Kind: column.Float, F: math.Copysign(0, -1)}, {F: -2.5}}, `[{"value":0,"count":2},{"value":-2.5,"count":1}]`},
		{narrow, []column.Value{{I: 150}, {I: -1}}, `[{"value":-0.01,"count":1},{"value":1.50,"count":1}]`},
		{wideDecimal, []column.Value{{D: decimal.RequireFromString("1.5")}, {D: decimal.RequireFromString("1.50")}}, `[{"value":1.5000000000,"count":2}]`},
		{column.Datetime, []column.Value{{I: jan}}, `[{"value":"2026-01-02 03:04:05.5","count":1}]`},
		{date, []column.Value{{I: jan}}, `[{"value":"2026-01-02","count":1}]`},
	} {
		for i, v := range c.values {
			if v != column.Null {
				c.values[i].Kind, c.values[i].Scale = c.typ.Kind, c.typ.Scale
			}
		}
		spec := Spec{Func: ApproxTopK, Arg: c.typ, Result: column.Text, Param: 3}
		got := fold(spec, eventsOf(c.values...)...).Value(0)
		if got.String() != c.want {
			t.Errorf("top of %v: %s, want %s", c.values, got, c.want)
		}
		if !got.IsNull() && !json.Valid([]byte(got.S)) {
			t.Errorf("%s is not JSON", got)
		}
	}
}
