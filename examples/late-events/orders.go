package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	hours = 6
	// lateShare of the orders come between lateMin and lateMax after they were
	// made, the others within promptMax.
	lateShare = 0.03
	lateMin   = time.Minute
	lateMax   = 3 * time.Hour
	promptMax = 2 * time.Second
)

// midnight is when the day of the example begins.
var midnight = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// An order is an event. Its times are counted from midnight.
type order struct {
	at      time.Duration // when it was made: the event time
	arrives time.Duration // when the log receives it
	cents   int
}

// payload is the event as it is published.
func (o order) payload() []byte {
	return fmt.Appendf(nil, `{"at":"%s","cents":%d}`, midnight.Add(o.at).Format("2006-01-02T15:04:05.000Z"), o.cents)
}

// makeOrders returns n orders as they arrive, the same ones each time.
func makeOrders(n int) []order {
	r := rand.New(rand.NewPCG(2026, 3))
	all := make([]order, n)
	for i := range all {
		at := time.Duration(r.Int64N(int64(hours * time.Hour))).Truncate(time.Millisecond)
		delay := time.Duration(r.Int64N(int64(promptMax)))
		if r.Float64() < lateShare {
			// Many are minutes late, few are hours.
			delay = time.Duration(float64(lateMin) * math.Pow(float64(lateMax/lateMin), r.Float64()))
		}
		all[i] = order{at: at, arrives: at + delay, cents: 100 + r.IntN(9900)}
	}
	slices.SortFunc(all, func(a, b order) int { return cmp.Or(cmp.Compare(a.arrives, b.arrives), cmp.Compare(a.at, b.at)) })
	return all
}

// arrivedBy is how many of the orders have arrived before t.
func arrivedBy(all []order, t time.Duration) int {
	n, _ := slices.BinarySearchFunc(all, t, func(o order, t time.Duration) int { return cmp.Compare(o.arrives, t) })
	return n
}

// sums are what was sold in each hour.
type sums struct{ orders, cents [hours]int }

func (s *sums) add(o order, times int) {
	hour := o.at / time.Hour
	s.orders[hour] += times
	s.cents[hour] += times * o.cents
}

// truth is what was sold.
func truth(all []order) (s sums) {
	for _, o := range all {
		s.add(o, 1)
	}
	return s
}

// An answer is what a system says, and how many orders it has lost and counted
// twice by that.
type answer struct {
	sums
	lost, twice [hours]int
}

// joinedInTime is the answer of a system that joins batch and live data at a
// point in time. The batch that ran at the time cut has the orders made before
// then, as far as it knew them. Orders made from cut on, or from overlap before
// it, are taken from the live data.
func joinedInTime(all []order, cut, overlap time.Duration) (a answer) {
	for _, o := range all {
		times := 0
		if o.at < cut && o.arrives < cut {
			times++
		}
		if o.at >= cut-overlap {
			times++
		}
		a.add(o, times)
		switch times {
		case 0:
			a.lost[o.at/time.Hour]++
		case 2:
			a.twice[o.at/time.Hour]++
		}
	}
	return a
}

func total(of [hours]int) (sum int) {
	for _, n := range of {
		sum += n
	}
	return sum
}
