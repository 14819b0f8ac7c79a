package partial

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"weir/views/column"
)

// inParts folds values in parts of random size, merged in random order.
func inParts(t *testing.T, r *rand.Rand, spec Spec, values []column.Value) States {
	t.Helper()
	var parts []States
	for len(values) > 0 {
		n := min(len(values), 1+r.IntN(len(values)/3+100))
		parts = append(parts, fold(spec, values[:n]...))
		values = values[n:]
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
		whole := fold(spec, values...)
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
				got := fold(spec, values...).Value(0).F
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
