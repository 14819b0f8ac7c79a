package partial

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"

	"weir/views/column"
)

// picks is FIRST and LAST: x of the event with the lowest or highest by, where
// events without by do not count and equal ones are ordered by their sequence.
// ANY_VALUE is x of the event with the lowest sequence that has one. So there
// is one answer, however the events were divided.
//
// Stored: a byte that says what follows: by, as a number of 8 bytes or as a
// text with its length, unless it is ANY_VALUE; the sequence as a uvarint; and
// x, unless it is NULL.
type picks struct {
	t   column.Type
	dir int  // -1 for the lowest by, 1 for the highest
	any bool // ANY_VALUE

	v   []pick
	key []byte // scratch of Add
}

// A pick is the event that is ahead. Its texts are its own, in memory that the
// next event to be ahead takes over.
type pick struct {
	form byte
	seq  uint64
	num  uint64 // by, where it is a number: sorts as it does
	by   []byte // by, where it is text or a decimal: sorts as it does

	x    column.Value // but for its text
	text []byte
}

// The forms of a pick; 0 is that of no events.
const (
	pickPlain  = 1 // without by
	pickNumber = 2
	pickText   = 3
	pickForm   = 3
	pickValue  = 4 // beside one of them: x is not NULL
)

func (s *picks) Grow(n int)  { s.v = grow(s.v, n) }
func (s *picks) Clear(n int) { clear(s.v[:n]) }

func (s *picks) Add(groups, rows []uint32, args []*column.Vector) {
	x, by, seqs := args[0], args[1], args[len(args)-1].I
	if s.any {
		by = x // whose NULLs do not count
	}
	var num uint64
	for k, g := range groups {
		r := int(rows[k])
		if by.IsNull(r) {
			continue
		}
		form := byte(pickPlain)
		if !s.any {
			form = pickNumber
			switch {
			case by.Kind.IsText():
				form, s.key = pickText, append(s.key[:0], by.S[r]...)
			case by.Kind == column.BigDec:
				form, s.key = pickText, appendDecimalKey(s.key[:0], by.D[r])
			default:
				num = sortBits(by, r)
			}
		}
		if p, seq := &s.v[g], uint64(seqs[r]); s.ahead(p, num, s.key, seq) {
			p.form, p.seq, p.num, p.by = form, seq, num, append(p.by[:0], s.key...)
			p.take(x, r)
		}
	}
}

// sortBits returns the number in row r of v as bits that sort as it does. It
// is for all kinds but texts and BigDec.
func sortBits(v *column.Vector, r int) uint64 {
	switch v.Kind {
	case column.Float:
		return floatBits(v.F[r])
	case column.Uint:
		return uint64(v.I[r])
	default:
		return uint64(v.I[r]) ^ 1<<63
	}
}

// ahead says whether an event comes before (FIRST) or after (LAST) p.
func (s *picks) ahead(p *pick, num uint64, by []byte, seq uint64) bool {
	return p.form == 0 || cmp.Or(cmp.Compare(num, p.num), bytes.Compare(by, p.by), cmp.Compare(seq, p.seq))*s.dir > 0
}

// take makes x that of row r.
func (p *pick) take(x *column.Vector, r int) {
	p.x, p.text = x.Value(r), p.text[:0]
	if p.x.IsNull() {
		return
	}
	p.form |= pickValue
	if p.x.Kind.IsText() {
		p.x.S, p.text = "", append(p.text, p.x.S...)
	}
}

func (s *picks) Merge(i int, from States, j int) { s.plus(i, &from.(*picks).v[j]) }

// plus combines state i with q, which it copies.
func (s *picks) plus(i int, q *pick) {
	p := &s.v[i]
	if q.form == 0 || !s.ahead(p, q.num, q.by, q.seq) && !s.sameButAhead(p, q) {
		return
	}
	by, text := append(p.by[:0], q.by...), append(p.text[:0], q.text...)
	*p = *q
	p.by, p.text = by, text
}

// sameButAhead orders picks that differ in x alone, as only those of different
// logs can.
func (s *picks) sameButAhead(p, q *pick) bool {
	return p.seq == q.seq && p.num == q.num && bytes.Equal(p.by, q.by) && bytes.Compare(q.append(nil), p.append(nil))*s.dir > 0
}

func (s *picks) Append(dst []byte, i int) []byte { return s.v[i].append(dst) }

func (p *pick) append(dst []byte) []byte {
	dst = append(dst, p.form)
	switch p.form & pickForm {
	case 0:
		return dst
	case pickNumber:
		dst = binary.BigEndian.AppendUint64(dst, p.num)
	case pickText:
		dst = append(binary.AppendUvarint(dst, uint64(len(p.by))), p.by...)
	}
	dst = binary.AppendUvarint(dst, p.seq)
	switch {
	case p.form&pickValue == 0:
		return dst
	case p.x.Kind.IsText():
		return append(binary.AppendUvarint(dst, uint64(len(p.text))), p.text...)
	default:
		return appendValue(dst, p.x)
	}
}

func (s *picks) Decode(i int, src []byte) (rest []byte, err error) {
	if len(src) == 0 {
		return nil, errCorrupt
	}
	var q pick
	if q.form, src = src[0], src[1:]; q.form == 0 {
		return src, nil
	}
	switch q.form &^ pickValue {
	case pickPlain:
	case pickNumber:
		if len(src) < 8 {
			return nil, errCorrupt
		}
		q.num, src = binary.BigEndian.Uint64(src), src[8:]
	case pickText:
		if q.by, src, err = readBytes(src); err != nil {
			return nil, err
		}
	default:
		return nil, errCorrupt
	}
	if q.seq, src, err = uvarint(src); err != nil {
		return nil, err
	}
	if q.form&pickValue != 0 {
		if s.t.Kind.IsText() {
			q.x.Kind = s.t.Kind
			q.text, src, err = readBytes(src)
		} else {
			q.x, src, err = readValue(src, s.t)
		}
		if err != nil {
			return nil, err
		}
	}
	s.plus(i, &q)
	return src, nil
}

func (s *picks) Value(i int) column.Value {
	v := s.v[i].x
	if v.Kind.IsText() {
		v.S = string(s.v[i].text)
	}
	return v
}

// bitwise is BIT_AND, BIT_OR and BIT_XOR. Of BIT_AND it keeps the complement,
// so that nothing is 0 for all three. Stored: as a uvarint.
type bitwise struct {
	f Func
	v []uint64
}

func (s *bitwise) Grow(n int)  { s.v = grow(s.v, n) }
func (s *bitwise) Clear(n int) { clear(s.v[:n]) }

func (s *bitwise) Add(groups, rows []uint32, args []*column.Vector) {
	x := args[0]
	for k, g := range groups {
		r := int(rows[k])
		if x.IsNull(r) {
			continue
		}
		n := wholeNumber(x, r)
		if s.f == BitAnd {
			n = ^n
		}
		s.plus(int(g), n)
	}
}

func (s *bitwise) plus(i int, n uint64) {
	if s.f == BitXor {
		s.v[i] ^= n
	} else {
		s.v[i] |= n
	}
}

func (s *bitwise) Merge(i int, from States, j int) { s.plus(i, from.(*bitwise).v[j]) }

func (s *bitwise) Append(dst []byte, i int) []byte { return binary.AppendUvarint(dst, s.v[i]) }

func (s *bitwise) Decode(i int, src []byte) ([]byte, error) {
	n, rest, err := uvarint(src)
	s.plus(i, n)
	return rest, err
}

func (s *bitwise) Value(i int) column.Value {
	n := s.v[i]
	if s.f == BitAnd {
		n = ^n
	}
	return column.Value{Kind: column.Uint, I: int64(n)}
}

// wholeNumber returns the 64 bits of row r of v, a number: as MySQL does it,
// fractions are rounded, those of a DECIMAL half away from zero and those of a
// DOUBLE half to even, and what is beyond a BIGINT is the nearest one.
func wholeNumber(v *column.Vector, r int) uint64 {
	switch v.Kind {
	case column.Float:
		f := math.RoundToEven(v.F[r])
		switch {
		case f >= 1<<63:
			return math.MaxInt64
		case f <= -1<<63:
			return 1 << 63
		}
		return uint64(int64(f))
	case column.Dec:
		unit := column.Pow10[v.Scale]
		n, rest := v.I[r]/unit, v.I[r]%unit
		return uint64(n + rest*2/unit)
	case column.BigDec:
		b := v.D[r].Round(0).BigInt()
		switch {
		case b.IsInt64():
			return uint64(b.Int64())
		case b.Sign() > 0:
			return math.MaxInt64
		}
		return 1 << 63
	default:
		return uint64(v.I[r])
	}
}
