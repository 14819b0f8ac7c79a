package views

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"unsafe"
)

// An idHash stands for a message id. Two ids with the same one would lose an
// event, so it is half of a cryptographic hash: nobody can make such a pair.
type idHash struct{ hi, lo uint64 }

func hashID(id string) idHash {
	sum := sha256.Sum256(unsafe.Slice(unsafe.StringData(id), len(id)))
	return idHash{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])}
}

// An idEntry is an id that is remembered.
type idEntry struct {
	hash idHash
	time int64 // of the stream's clock, nanoseconds
}

// idRingLeast is the number of entries that a ring begins with.
const idRingLeast = 1 << 10

// An idRing remembers ids in the order in which they came, each once, and
// forgets them in that order. An id costs 40 bytes of it when it is full, and 80
// when it has just grown.
//
// The entries have consecutive numbers, [head, next). Number n is in the place
// n modulo the length, a power of two. The index is a hash table with linear
// probing, at most half full.
type idRing struct {
	entries    []idEntry
	index      []idSlot
	head, next uint64
}

// An idSlot is 0, or a place plus one with the low half of what the hash in it
// ends in: enough to search and to move slots without a look at the entries,
// which are all over the memory.
type idSlot uint64

func newSlot(h idHash, place uint64) idSlot { return idSlot(h.lo<<32 | place + 1) }

func (s idSlot) place() uint32 { return uint32(s) - 1 }

func (r *idRing) len() int { return int(r.next - r.head) }

// place is where the entry with the number is.
func (r *idRing) place(number uint64) uint64 { return number & uint64(len(r.entries)-1) }

func (r *idRing) at(number uint64) *idEntry { return &r.entries[r.place(number)] }

func (r *idRing) has(h idHash) bool {
	if r.len() == 0 {
		return false
	}
	mask := uint64(len(r.index) - 1)
	for i := h.lo & mask; r.index[i] != 0; i = (i + 1) & mask {
		if s := r.index[i]; uint64(s)>>32 == h.lo&math.MaxUint32 && r.entries[s.place()].hash == h {
			return true
		}
	}
	return false
}

// add remembers an id that is not there yet.
func (r *idRing) add(e idEntry) {
	if r.len() == len(r.entries) {
		r.resize(max(2*len(r.entries), idRingLeast))
	}
	*r.at(r.next) = e
	r.link(r.next)
	r.next++
}

// drop forgets the oldest id.
func (r *idRing) drop() {
	r.unlink(r.head)
	r.head++
	if n := len(r.entries); n > idRingLeast && r.len() < n/8 {
		r.resize(n / 4)
	}
}

// resize moves everything to places for n entries.
func (r *idRing) resize(n int) {
	entries := make([]idEntry, n)
	for i := r.head; i < r.next; i++ {
		entries[i&uint64(n-1)] = *r.at(i)
	}
	r.entries, r.index = entries, make([]idSlot, 2*n)
	for i := r.head; i < r.next; i++ {
		r.link(i)
	}
}

// link puts the entry with the number into the index.
func (r *idRing) link(number uint64) {
	h, mask := r.at(number).hash, uint64(len(r.index)-1)
	i := h.lo & mask
	for r.index[i] != 0 {
		i = (i + 1) & mask
	}
	r.index[i] = newSlot(h, r.place(number))
}

// unlink takes the entry with the number out of the index. Slots behind it that
// are there for want of its own move up.
func (r *idRing) unlink(number uint64) {
	h, mask := r.at(number).hash, uint64(len(r.index)-1)
	free, own := h.lo&mask, newSlot(h, r.place(number))
	for r.index[free] != own {
		free = (free + 1) & mask
	}
	for i := (free + 1) & mask; r.index[i] != 0; i = (i + 1) & mask {
		home := uint64(r.index[i]) >> 32 & mask
		if (i-home)&mask >= (i-free)&mask {
			r.index[free] = r.index[i]
			free = i
		}
	}
	r.index[free] = 0
}
