package views

import (
	"encoding/binary"
	"errors"
	"iter"
	"sort"
)

// repeatChunkRanges bounds what must be decoded to look one sequence up.
const repeatChunkRanges = 512

// A repeatList is a growing set of sequences: ranges, since what is sent again
// is often a whole file, in a few bytes each.
type repeatList struct {
	chunks []repeatChunk
	open   seqRange // behind all of them: the one that may still grow
	count  uint64
}

// A seqRange is the sequences from to to; {} is empty.
type seqRange struct{ from, to uint64 }

// A repeatChunk is some of the ranges: for each how far it begins behind the
// one before it, and how far its end is from its beginning, as uvarints.
type repeatChunk struct {
	seqRange // from the first to the last sequence
	ranges   int
	code     []byte
}

func (c *repeatChunk) add(r seqRange) {
	if c.ranges == 0 {
		c.seqRange = seqRange{r.from, r.from}
	}
	c.code = binary.AppendUvarint(c.code, r.from-c.to)
	c.code = binary.AppendUvarint(c.code, r.to-r.from)
	c.to = r.to
	c.ranges++
}

// all yields the chunk's ranges, in order.
func (c *repeatChunk) all(yield func(seqRange) bool) {
	at := c.from
	for code := c.code; len(code) > 0; {
		gap, n := binary.Uvarint(code)
		size, m := binary.Uvarint(code[n:])
		code = code[n+m:]
		r := seqRange{at + gap, at + gap + size}
		if at = r.to; !yield(r) {
			return
		}
	}
}

var errRepeats = errors.New("a list of repeats ends in the middle")

// readRepeatChunk returns the chunk with the first sequence and the code.
func readRepeatChunk(from uint64, code []byte) (c repeatChunk, err error) {
	c = repeatChunk{seqRange: seqRange{from, from}, code: code}
	for len(code) > 0 {
		gap, n := binary.Uvarint(code)
		size, m := binary.Uvarint(code[max(n, 0):])
		if n <= 0 || m <= 0 {
			return c, errRepeats
		}
		code = code[n+m:]
		c.to += gap + size
		c.ranges++
	}
	return c, nil
}

// add adds a sequence that is higher than all that are there.
func (l *repeatList) add(seq uint64) {
	l.count++
	switch {
	case l.open.to == 0:
		l.open = seqRange{seq, seq}
	case l.open.to+1 == seq:
		l.open.to = seq
	default:
		l.settle()
		l.open = seqRange{seq, seq}
	}
}

// settle puts the open range into the chunks.
func (l *repeatList) settle() {
	if l.open.to == 0 {
		return
	}
	if n := len(l.chunks); n == 0 || l.chunks[n-1].ranges >= repeatChunkRanges {
		l.chunks = append(l.chunks, repeatChunk{})
	}
	l.chunks[len(l.chunks)-1].add(l.open)
	l.open = seqRange{}
}

// last is the highest sequence, or 0.
func (l *repeatList) last() uint64 {
	if l.open.to != 0 {
		return l.open.to
	}
	if n := len(l.chunks); n > 0 {
		return l.chunks[n-1].to
	}
	return 0
}

// among yields the ranges that have sequences within the given one, in order.
func (l *repeatList) among(within seqRange) iter.Seq[seqRange] {
	return func(yield func(seqRange) bool) {
		i := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].to >= within.from })
		for ; i < len(l.chunks) && l.chunks[i].from <= within.to; i++ {
			for r := range l.chunks[i].all {
				if r.to < within.from {
					continue
				}
				if r.from > within.to || !yield(r) {
					return
				}
			}
		}
		if r := l.open; r.to >= within.from && r.to != 0 && r.from <= within.to {
			yield(r)
		}
	}
}

func (l *repeatList) has(seq uint64) bool {
	for range l.among(seqRange{seq, seq}) {
		return true
	}
	return false
}
