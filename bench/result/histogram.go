package result

import (
	"bufio"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A Histogram is how many values there were up to each bound, as a server
// reports it: those up to smaller bounds included, all up to +Inf.
type Histogram map[float64]float64

// ReadHistogram reads one from text in the format of Prometheus, the sum of those of all labels;
// it is empty where there is none of the name.
func ReadHistogram(text io.Reader, name string) (Histogram, error) {
	h := Histogram{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name+"_bucket{")
		if !ok {
			continue
		}
		labels, count, _ := strings.Cut(rest, "} ")
		_, bound, _ := strings.Cut(labels, `le="`)
		bound, _, _ = strings.Cut(bound, `"`)
		at, err := strconv.ParseFloat(bound, 64)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseFloat(count, 64)
		if err != nil {
			return nil, err
		}
		h[at] += n
	}
	return h, lines.Err()
}

// Since returns the values that have come since an earlier reading.
func (h Histogram) Since(before Histogram) Histogram {
	now := maps.Clone(h)
	for bound, n := range before {
		now[bound] -= n
	}
	return now
}

// Quantile returns the bound that a share p of the values does not exceed, with
// its place between that bound and the one before reckoned from the counts; 0
// of none, and the last bound of those beyond it.
func (h Histogram) Quantile(p float64) float64 {
	want := p * h[math.Inf(1)]
	if want <= 0 {
		return 0
	}
	var below, count float64
	for _, bound := range slices.Sorted(maps.Keys(h)) {
		switch {
		case h[bound] < want:
			below, count = bound, h[bound]
		case math.IsInf(bound, 1):
			return below
		default:
			return below + (bound-below)*(want-count)/(h[bound]-count)
		}
	}
	return below
}
