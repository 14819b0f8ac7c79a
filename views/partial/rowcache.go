package partial

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/bits"
	"unsafe"

	"weir/views/column"
)

// A rowCache finds the groups of the rows of a batch by the values of their
// columns: of the rows of one batch most share their group with another, and to
// compare with that takes less than a key.
//
// INVARIANT: a row is given the group of another only if all their values are
// the same. What the cache has not seen, or cannot tell, is found by its key.
type rowCache struct {
	seen []seenRow // by hash; a power of two
	hash []uint64  // of the rows
	rest int       // batches that are not tried, since the ones before had little in common
}

// A seenRow is a row whose group is known; group is that plus one.
type seenRow struct {
	hash  uint64
	row   uint32
	group uint32
}

const (
	rowCacheBits = 11
	// rowCacheLeast is for how many rows at once clearing the cache is worth it.
	rowCacheLeast = 256
	// rowCacheRest is how many batches pass before the cache is tried again.
	rowCacheRest = 15
)

// addRows finds the groups of rows as addKeys does, if they are enough and their
// columns can be compared.
func (t *Table) addRows(rows []uint32, keys []*column.Vector) bool {
	c := &t.rows
	if len(rows) < rowCacheLeast || len(keys) == 0 {
		return false
	}
	if c.rest > 0 {
		c.rest--
		return false
	}
	if !c.hashRows(rows, keys) {
		return false
	}
	if c.seen == nil {
		c.seen = make([]seenRow, 1<<rowCacheBits)
	}
	clear(c.seen)
	found := 0
	for n, r := range rows {
		h := c.hash[n]
		s := &c.seen[h>>(64-rowCacheBits)]
		if s.group != 0 && s.hash == h && sameRow(keys, s.row, r) {
			t.groups = append(t.groups, s.group-1)
			found++
			continue
		}
		t.key = appendRowKey(t.key[:0], keys, int(r), t.limit())
		g := uint32(t.Group(t.key))
		*s = seenRow{h, r, g + 1}
		t.groups = append(t.groups, g)
	}
	if 2*found < len(rows) {
		c.rest = rowCacheRest
	}
	return true
}

// hashRows puts the hashes of rows into c.hash; false says that a column is of a
// kind that it does not hash.
func (c *rowCache) hashRows(rows []uint32, keys []*column.Vector) bool {
	if cap(c.hash) < len(rows) {
		c.hash = make([]uint64, len(rows))
	}
	c.hash = c.hash[:len(rows)]
	clear(c.hash)
	for _, v := range keys {
		switch {
		case v.Kind == column.BigDec || v.Kind == column.Invalid:
			return false
		case v.Codes != nil:
			for n, r := range rows {
				c.hash[n] = mix(c.hash[n], uint64(v.Codes[r]))
			}
		case v.Kind.IsText():
			for n, r := range rows {
				c.hash[n] = mix(c.hash[n], hashText(v.S[r]))
			}
		case v.Kind == column.Float:
			for n, r := range rows {
				c.hash[n] = mix(c.hash[n], math.Float64bits(v.F[r]))
			}
		default:
			for n, r := range rows {
				c.hash[n] = mix(c.hash[n], uint64(v.I[r]))
			}
		}
	}
	return true
}

// mix adds x to the hash h by the two halves of a product.
func mix(h, x uint64) uint64 {
	hi, lo := bits.Mul64(h^x^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return hi ^ lo
}

// hashText returns a hash of s: a short one is read as two words.
func hashText(s string) uint64 {
	n := len(s)
	if n > 16 {
		return maphash.String(seed, s)
	}
	b := unsafe.Slice(unsafe.StringData(s), n)
	switch {
	case n >= 8:
		return mix(binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])^uint64(n))
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(b))<<32 | uint64(binary.LittleEndian.Uint32(b[n-4:])) ^ uint64(n)
	case n > 0:
		return uint64(b[0])<<16 | uint64(b[n/2])<<8 | uint64(b[n-1]) | uint64(n)<<24
	}
	return 0
}

// sameRow says whether rows a and b have the same values. It may say no of values
// that are the same to SQL.
func sameRow(keys []*column.Vector, a, b uint32) bool {
	for _, v := range keys {
		if v.Null != nil && (v.Null[a] || v.Null[b]) {
			if v.Null[a] != v.Null[b] {
				return false
			}
			continue
		}
		var same bool
		switch {
		case v.Codes != nil:
			same = v.Codes[a] == v.Codes[b]
		case v.Kind.IsText():
			same = v.S[a] == v.S[b]
		case v.Kind == column.Float:
			same = v.F[a] == v.F[b]
		default:
			same = v.I[a] == v.I[b]
		}
		if !same {
			return false
		}
	}
	return true
}
