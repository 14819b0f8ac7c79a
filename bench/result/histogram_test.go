package result

import (
	"math"
	"strings"
	"testing"
)

func TestHistogram(t *testing.T) {
	read := func(text string) Histogram {
		t.Helper()
		h, err := ReadHistogram(strings.NewReader(text), "d_seconds")
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	before := read(`d_seconds_bucket{s="a",le="0.1"} 5
d_seconds_bucket{s="a",le="0.2"} 5
d_seconds_bucket{s="a",le="+Inf"} 5
`)
	h := read(`# TYPE d_seconds histogram
d_seconds_bucket{s="a",le="0.1"} 5
d_seconds_bucket{s="a",le="0.2"} 10
d_seconds_bucket{s="a",le="+Inf"} 11
d_seconds_sum{s="a"} 2
d_seconds_bucket{s="b",le="0.1"} 4
d_seconds_bucket{s="b",le="0.2"} 4
d_seconds_bucket{s="b",le="+Inf"} 4
other_bucket{le="0.1"} 9
`).Since(before)
	for p, want := range map[float64]float64{0.2: 0.05, 0.4: 0.1, 0.65: 0.15, 0.9: 0.2, 1: 0.2} {
		if got := h.Quantile(p); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v of %v is %v, want %v", p, h, got, want)
		}
	}
	if got := read("").Quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing is %v", got)
	}
}
