// Package traffic makes up the access log of a shop, one request a line, as
//
//	GET 198.18.3.7 /purchase/117/list?itembox=1&minprice=20&since=20220830-123542 HTTP/1.1
//
// The lines of a seed are always the same, so a test or a benchmark can be run
// again on them. A few items and visitors make most of the requests, as they
// do in life.
package traffic

import (
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	// skew is the exponent of the Zipf distributions.
	skew = 1.1
	// otherShare is the share of requests that are not for an item.
	otherShare = 0.05
	// unpricedShare is the share of item requests without minprice.
	unpricedShare = 0.1
	// sinceSpan is how far since varies.
	sinceSpan = 30 * 24 * time.Hour
)

// sinceFirst is the earliest since.
var sinceFirst = time.Date(2022, time.August, 30, 12, 35, 42, 0, time.UTC)

// other are the targets of requests that are not for an item.
var other = []string{"/", "/cart", "/login", "/robots.txt"}

// A Generator makes lines. It is for one goroutine.
type Generator struct {
	rng      *rand.Rand
	items    *rand.Zipf
	visitors *rand.Zipf
}

// New returns the generator of a seed, whose requests come from so many
// visitors (at most 131,072) and ask for so many items.
func New(seed uint64, items, visitors int) *Generator {
	rng := rand.New(rand.NewPCG(seed, seed))
	return &Generator{
		rng:      rng,
		items:    rand.NewZipf(rng, skew, 1, uint64(items-1)),
		visitors: rand.NewZipf(rng, skew, 1, uint64(visitors-1)),
	}
}

// Append appends the next line, without a line end.
func (g *Generator) Append(line []byte) []byte {
	line = append(line, "GET "...)
	line = g.appendVisitor(line)
	line = append(line, ' ')
	if g.rng.Float64() < otherShare {
		line = append(line, other[g.rng.IntN(len(other))]...)
	} else {
		line = g.appendItem(line)
	}
	return append(line, " HTTP/1.1"...)
}

// appendVisitor appends an address of 198.18.0.0/15, which is set aside for
// benchmarks.
func (g *Generator) appendVisitor(line []byte) []byte {
	n := g.visitors.Uint64()
	line = append(line, "198."...)
	line = strconv.AppendUint(line, 18+n>>16&1, 10)
	line = append(line, '.')
	line = strconv.AppendUint(line, n>>8&0xff, 10)
	line = append(line, '.')
	return strconv.AppendUint(line, n&0xff, 10)
}

func (g *Generator) appendItem(line []byte) []byte {
	line = append(line, "/purchase/"...)
	line = strconv.AppendUint(line, 101+g.items.Uint64(), 10)
	line = append(line, "/list?itembox="...)
	line = strconv.AppendInt(line, 1+g.rng.Int64N(3), 10)
	if g.rng.Float64() >= unpricedShare {
		line = append(line, "&minprice="...)
		line = strconv.AppendInt(line, 10*(1+g.rng.Int64N(10)), 10)
	}
	line = append(line, "&since="...)
	since := sinceFirst.Add(time.Duration(g.rng.Int64N(int64(sinceSpan))))
	return since.AppendFormat(line, "20060102-150405")
}
