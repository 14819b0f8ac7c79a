package views

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// delayBounds are the upper ends of the classes of Delays, inclusive.
var delayBounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond, 5 * time.Millisecond, 7500 * time.Microsecond,
	10 * time.Millisecond, 15 * time.Millisecond, 20 * time.Millisecond, 25 * time.Millisecond, 35 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 10 * time.Second,
}

// delays counts measured delays by class. It may be read while it is added to.
type delays struct {
	counts [len(delayBounds) + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// add counts n delays of d; one below zero, as of a clock that was set back, as 0.
func (h *delays) add(d time.Duration, n int) {
	d = max(d, 0)
	at, _ := slices.BinarySearch(delayBounds[:], d)
	h.counts[at].Add(uint64(n))
	h.sum.Add(int64(min(d, math.MaxInt64/time.Duration(n)) * time.Duration(n)))
}

// A Delays is a histogram: how many delays there were of at most each bound,
// those of smaller bounds included.
type Delays struct {
	Bounds []time.Duration // in order
	Counts []uint64        // of each bound
	Count  uint64          // of all, those above the last bound too
	Sum    time.Duration
}

func (h *delays) read() Delays {
	d := Delays{Bounds: delayBounds[:], Counts: make([]uint64, len(delayBounds)), Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		if d.Count += h.counts[i].Load(); i < len(d.Counts) {
			d.Counts[i] = d.Count
		}
	}
	return d
}

// A StreamMeter is what a stream has measured of itself since it was opened.
type StreamMeter struct {
	Database, Stream string
	Applied          uint64 // sequence that every view has applied
	// Since the log received an event: until reads show it, for each event, where
	// all that are applied together count as the first of them; and until it is
	// in the file of every view, for the first event of each commit.
	Shown, Committed Delays
	Commits          Delays // how long each view's commits took
}

// Meters returns those of all streams, in order of their names.
func (e *Engine) Meters() (list []StreamMeter) {
	e.mu.RLock()
	for _, s := range e.streams {
		list = append(list, StreamMeter{
			Database: s.Def.Database, Stream: s.Def.Name, Applied: s.Applied(),
			Shown: s.shown.read(), Committed: s.filed.read(), Commits: s.commits.read(),
		})
	}
	e.mu.RUnlock()
	slices.SortFunc(list, func(a, b StreamMeter) int {
		if c := strings.Compare(a.Database, b.Database); c != 0 {
			return c
		}
		return strings.Compare(a.Stream, b.Stream)
	})
	return list
}
