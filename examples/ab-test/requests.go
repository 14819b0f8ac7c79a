package main

import (
	"cmp"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

const (
	// testDays is how long the test lasts.
	testDays = 3
	// requestsMin and requestsMax bound how often a visitor asks for a page.
	requestsMin, requestsMax = 4, 20
	// returnShare of the requests of a visitor come hours after the one before,
	// returnAfter on average; the others come after pageTime.
	returnShare = 0.15
	returnAfter = 8 * time.Hour
	pageTime    = time.Minute
	// lateShare of the requests come up to lateMax late, out of order.
	lateShare = 0.02
	lateMax   = 10 * time.Minute
	// firstVisitor is the number of the first visitor.
	firstVisitor = 100_001
	// sinceMax is how far back visitors look for what they have bought.
	sinceMax = 30 * 24 * time.Hour
)

// begin is the first midnight of the test, and end its last.
var (
	begin = time.Date(2022, time.August, 30, 0, 0, 0, 0, time.UTC)
	end   = begin.AddDate(0, 0, testDays)
)

// conversionRate is the truth that the test is to find: the share of the
// visitors who buy something, by variant.
var conversionRate = map[string]float64{"A": 0.050, "B": 0.065}

// A request is one line of the access log.
type request struct {
	at      time.Time // the event time
	arrives time.Time // when it is published, by the clock of the example
	visitor uint32
	buys    bool
}

// variantOf assigns a visitor to a variant, for good. As many get the one as the
// other, whatever numbers the visitors have.
func variantOf(visitor uint32) string {
	if sum := sha256.Sum256(strconv.AppendUint(nil, uint64(visitor), 10)); sum[0]&1 == 0 {
		return "A"
	}
	return "B"
}

// makeRequests returns n requests as they arrive; for a seed always the same.
func makeRequests(n int, seed uint64) []request {
	rng := rand.New(rand.NewPCG(seed, 1))
	all := make([]request, 0, n+requestsMax)
	for visitor := uint32(firstVisitor); len(all) < n; visitor++ {
		all = appendVisit(all, rng, visitor)
	}
	all = all[:n]
	slices.SortStableFunc(all, func(a, b request) int { return cmp.Or(a.arrives.Compare(b.arrives), a.at.Compare(b.at)) })
	return all
}

// appendVisit appends all requests of one visitor.
func appendVisit(all []request, rng *rand.Rand, visitor uint32) []request {
	buys := rng.Float64() < conversionRate[variantOf(visitor)]
	at := firstVisit(rng)
	for range requestsMin + rng.IntN(requestsMax-requestsMin+1) {
		all = append(all, request{at: at, arrives: arrival(rng, at), visitor: visitor})
		pause := pageTime
		if rng.Float64() < returnShare {
			pause = returnAfter
		}
		next := at.Add(time.Duration(rng.ExpFloat64() * float64(pause))).Truncate(time.Millisecond)
		if !next.Before(end) {
			break
		}
		at = next
	}
	all[len(all)-1].buys = buys // the last thing a buyer does
	return all
}

// firstVisit returns a time within the test; fewer visitors come at night.
func firstVisit(rng *rand.Rand) time.Time {
	for {
		at := begin.Add(time.Duration(rng.Int64N(int64(end.Sub(begin))))).Truncate(time.Millisecond)
		if night := at.Hour() < 7; !night || rng.Float64() < 0.3 {
			return at
		}
	}
}

// arrival returns when a request of the time at is published: none after the
// end of the test.
func arrival(rng *rand.Rand, at time.Time) time.Time {
	if rng.Float64() >= lateShare {
		return at
	}
	arrives := at.Add(time.Duration(rng.Int64N(int64(lateMax))))
	if arrives.Before(end) {
		return arrives
	}
	return at
}

// appendLine appends the line of r as the web server writes it. What a visitor
// asks for or buys is random and does not matter to the test.
func (r request) appendLine(line []byte, rng *rand.Rand) []byte {
	line = r.at.AppendFormat(line, "2006-01-02T15:04:05.000Z")
	action := " GET "
	if r.buys {
		action = " POST "
	}
	line = append(line, action...)
	line = appendAddress(line, r.visitor-firstVisitor)
	line = append(line, " /purchase/"...)
	line = strconv.AppendUint(line, uint64(r.visitor), 10)
	if r.buys {
		line = append(line, "/order?itembox="...)
		line = appendItembox(line, r.visitor)
		line = append(line, "&item="...)
		line = strconv.AppendInt(line, 101+rng.Int64N(40), 10)
	} else {
		line = append(line, "/list?itembox="...)
		line = appendItembox(line, r.visitor)
		line = append(line, "&minprice="...)
		line = strconv.AppendInt(line, 10*(1+rng.Int64N(10)), 10)
		line = append(line, "&since="...)
		line = r.at.Add(-time.Duration(rng.Int64N(int64(sinceMax)))).AppendFormat(line, "20060102-150405")
	}
	return append(line, " HTTP/1.1"...)
}

// appendAddress appends an address of 198.18.0.0/15, which is set aside for
// benchmarks; visitors may share one, as they do in life.
func appendAddress(line []byte, n uint32) []byte {
	line = append(line, "198."...)
	line = strconv.AppendUint(line, uint64(18+n>>16&1), 10)
	line = append(line, '.')
	line = strconv.AppendUint(line, uint64(n>>8&0xff), 10)
	line = append(line, '.')
	return strconv.AppendUint(line, uint64(n&0xff), 10)
}

func appendItembox(line []byte, visitor uint32) []byte {
	if variantOf(visitor) == "A" {
		return append(line, '1')
	}
	return append(line, '2')
}
