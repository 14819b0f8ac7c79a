package partial

import (
	"encoding/binary"
	"math"

	"weir/views/column"
)

// moments is the STDDEV and VARIANCE family: the count, the mean, and the sum
// of squared distances from it, combined as by T. F. Chan, G. H. Golub and R.
// J. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
// Variances", 1979. Mean and sum are computed in two DOUBLEs each: in one, the
// rounding of the mean would show in the variance of large numbers that differ
// little, and that of the sum in how the events were divided.
//
// Stored: the count as a uvarint, and unless it is zero the other two, 16 bytes
// each.
type moments struct {
	f    Func
	n    []int64
	mean []twofold
	m2   []twofold
}

// A twofold is a number as the sum of a DOUBLE and what rounding took from it.
type twofold struct{ hi, lo float64 }

// plus returns t + x, with the error of the addition kept (D. E. Knuth's
// TwoSum).
func (t twofold) plus(x float64) twofold {
	sum := t.hi + x
	b := sum - t.hi
	lo := t.lo + ((t.hi - (sum - b)) + (x - b))
	hi := sum + lo
	return twofold{hi, lo - (hi - sum)}
}

// add returns t + u.
func (t twofold) add(u twofold) twofold { return t.plus(u.hi).plus(u.lo) }

// times returns t·u.
func (t twofold) times(u twofold) twofold {
	p := t.hi * u.hi
	return twofold{p, math.FMA(t.hi, u.hi, -p) + (t.hi*u.lo + t.lo*u.hi)}
}

// ratio returns a/b.
func ratio(a, b float64) twofold {
	q := a / b
	return twofold{q, math.FMA(-q, b, a) / b}
}

func (s *moments) Grow(n int) { s.n, s.mean, s.m2 = grow(s.n, n), grow(s.mean, n), grow(s.m2, n) }

func (s *moments) Clear(n int) { clear(s.n[:n]); clear(s.mean[:n]); clear(s.m2[:n]) }

func (s *moments) Add(groups, rows []uint32, args []*column.Vector) {
	x := args[0]
	for k, g := range groups {
		r := rows[k]
		if x.Null != nil && x.Null[r] {
			continue
		}
		s.plus(int(g), 1, twofold{hi: x.F[r]}, twofold{})
	}
}

// plus combines state i with that of n > 0 values.
func (s *moments) plus(i int, n int64, mean, m2 twofold) {
	if s.n[i] == 0 {
		s.n[i], s.mean[i], s.m2[i] = n, mean, m2
		return
	}
	a, b := float64(s.n[i]), float64(n)
	d := mean.add(twofold{-s.mean[i].hi, -s.mean[i].lo})
	step := d.times(ratio(b, a+b))
	s.n[i] += n
	s.mean[i] = s.mean[i].add(step)
	s.m2[i] = s.m2[i].add(m2).add(step.times(d).times(twofold{hi: a}))
}

func (s *moments) Merge(i int, from States, j int) {
	if f := from.(*moments); f.n[j] > 0 {
		s.plus(i, f.n[j], f.mean[j], f.m2[j])
	}
}

func (s *moments) Append(dst []byte, i int) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.n[i]))
	if s.n[i] == 0 {
		return dst
	}
	for _, f := range []float64{s.mean[i].hi, s.mean[i].lo, s.m2[i].hi, s.m2[i].lo} {
		dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(f))
	}
	return dst
}

func (s *moments) Decode(i int, src []byte) ([]byte, error) {
	n, src, err := uvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	if len(src) < 32 || n > math.MaxInt64 {
		return nil, errCorrupt
	}
	var f [4]float64
	for k := range f {
		f[k] = math.Float64frombits(binary.BigEndian.Uint64(src[8*k:]))
	}
	s.plus(i, int64(n), twofold{f[0], f[1]}, twofold{f[2], f[3]})
	return src[32:], nil
}

// Value is NULL where MySQL's is: of no values, and of a single one as a
// sample. So is one beyond the range of DOUBLE.
func (s *moments) Value(i int) column.Value {
	n := float64(s.n[i])
	if s.f == VarSamp || s.f == StddevSamp {
		n--
	}
	if n <= 0 {
		return column.Null
	}
	f := max(s.m2[i].hi+s.m2[i].lo, 0) / n
	if s.f == StddevPop || s.f == StddevSamp {
		f = math.Sqrt(f)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return column.Null
	}
	return column.Value{Kind: column.Float, F: f}
}
