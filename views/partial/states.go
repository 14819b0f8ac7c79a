package partial

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"

	"github.com/shopspring/decimal"

	"weir/views/column"
)

// A Func is an aggregate function. The numbers are part of the stored formats.
type Func uint8

// The aggregate functions.
const (
	CountAll         Func = iota + 1 // COUNT(*)
	Count                            // COUNT(x)
	Sum                              // SUM(x): exact for integers and decimals
	Avg                              // AVG(x)
	Min                              // MIN(x)
	Max                              // MAX(x)
	CountDistinct                    // COUNT(DISTINCT x), exact
	ApproxDistinct                   // APPROX_COUNT_DISTINCT(x)
	ApproxPercentile                 // APPROX_PERCENTILE(x, p)
	Only                             // the value itself, in views whose groups are single events
	First                            // FIRST(x, by)
	Last                             // LAST(x, by)
	AnyValue                         // ANY_VALUE(x)
	BitAnd                           // BIT_AND(x)
	BitOr                            // BIT_OR(x)
	BitXor                           // BIT_XOR(x)
	VarPop                           // VAR_POP(x), VARIANCE(x)
	VarSamp                          // VAR_SAMP(x)
	StddevPop                        // STDDEV_POP(x), STDDEV(x), STD(x)
	StddevSamp                       // STDDEV_SAMP(x)
	ApproxTopK                       // APPROX_TOP_K(x, k)
)

// A Spec is one aggregate of a view. CountAll takes no arguments, First and
// Last take x, by and the sequence, AnyValue x and the sequence, all others x.
type Spec struct {
	Func   Func
	Arg    column.Type // of x
	Result column.Type
	Param  float64 // ApproxPercentile: p in [0, 1]; ApproxTopK: k
}

// A States is a column of states, one per group, all of one aggregate. Groups
// are numbered from 0. A new state is that of no events.
type States interface {
	// Grow makes room for groups up to n, keeping what is there.
	Grow(n int)
	// Add takes rows rows[k] of args into the states groups[k]. See Spec for
	// what the arguments are.
	Add(groups, rows []uint32, args []*column.Vector)
	// Merge combines state i with state j of from, which has the same spec.
	Merge(i int, from States, j int)
	// Append appends the stored form of state i.
	Append(dst []byte, i int) []byte
	// Decode combines state i with a stored one and returns what follows it.
	// It keeps no reference to src.
	Decode(i int, src []byte) (rest []byte, err error)
	// Value returns the aggregate of the events that state i has seen.
	Value(i int) column.Value
	// Clear makes the first n states those of no events.
	Clear(n int)
}

// Bounded is States whose value may differ, within bounds, with the way that
// the events were divided.
type Bounded interface {
	// Agrees says whether state i and state j of with, which has the same spec,
	// may be of the same events.
	Agrees(i int, with States, j int) bool
}

// NewStates returns an empty column of states for spec.
func NewStates(spec Spec) States {
	switch spec.Func {
	case CountAll, Count:
		return &counts{}
	case Sum, Avg:
		return newSums(spec)
	case Min:
		return newExtremes(spec, -1)
	case Max:
		return newExtremes(spec, 1)
	case CountDistinct:
		return newDistinct(spec)
	case ApproxDistinct:
		return &hlls{kind: spec.Arg.Kind}
	case ApproxPercentile:
		return &percentiles{spec: spec}
	case Only:
		return &onlys{t: spec.Result}
	case First, AnyValue:
		return &picks{t: spec.Arg, dir: -1, any: spec.Func == AnyValue}
	case Last:
		return &picks{t: spec.Arg, dir: 1}
	case BitAnd, BitOr, BitXor:
		return &bitwise{f: spec.Func}
	case VarPop, VarSamp, StddevPop, StddevSamp:
		return &moments{f: spec.Func}
	case ApproxTopK:
		return newTops(spec)
	default:
		panic(fmt.Sprintf("partial: unknown aggregate %d", spec.Func))
	}
}

// grow returns s with at least n elements, new ones zero.
func grow[T any](s []T, n int) []T {
	if n <= len(s) {
		return s
	}
	if n <= cap(s) {
		old := len(s)
		s = s[:n]
		clear(s[old:])
		return s
	}
	g := make([]T, n, max(n, 2*cap(s)))
	copy(g, s)
	return g
}

// counts is COUNT. Stored: a uvarint.
type counts struct{ n []int64 }

func (s *counts) Grow(n int)  { s.n = grow(s.n, n) }
func (s *counts) Clear(n int) { clear(s.n[:n]) }

func (s *counts) Add(groups, rows []uint32, args []*column.Vector) {
	if len(args) == 0 || args[0].Null == nil {
		for _, g := range groups {
			s.n[g]++
		}
		return
	}
	for k, g := range groups {
		if !args[0].Null[rows[k]] {
			s.n[g]++
		}
	}
}

func (s *counts) Merge(i int, from States, j int) { s.n[i] += from.(*counts).n[j] }

func (s *counts) Append(dst []byte, i int) []byte {
	return binary.AppendUvarint(dst, uint64(s.n[i]))
}

func (s *counts) Decode(i int, src []byte) ([]byte, error) {
	n, rest, err := uvarint(src)
	s.n[i] += int64(n)
	return rest, err
}

func (s *counts) Value(i int) column.Value { return column.Value{Kind: column.Int, I: s.n[i]} }

func uvarint(src []byte) (uint64, []byte, error) {
	n, w := binary.Uvarint(src)
	if w <= 0 {
		return 0, nil, errCorrupt
	}
	return n, src[w:], nil
}

// An Average is States of AVG, which are a sum and a count.
type Average interface {
	Sum(i int) column.Value // NULL when the count is zero
	Count(i int) int64
}

// SumType is the type of the SUM of values of type t.
func SumType(t column.Type) column.Type {
	switch t.Kind {
	case column.Float:
		return column.Double
	case column.Dec, column.BigDec:
		return column.Decimal(int(t.Digits)+22, int(t.Scale))
	case column.Uint:
		return column.Decimal(42, 0)
	default:
		return column.Decimal(41, 0)
	}
}

// AvgType is the type of the AVG of values of type t: as MySQL has it, with
// four more digits after the point than the values.
func AvgType(t column.Type) column.Type {
	switch t.Kind {
	case column.Float:
		return column.Double
	case column.Dec, column.BigDec:
		return column.Decimal(int(t.Digits)+4, min(int(t.Scale)+4, 30))
	default:
		return column.Decimal(24, 4)
	}
}

func newSums(spec Spec) States {
	switch spec.Arg.Kind {
	case column.Float:
		return &floatSums{avg: spec.Func == Avg}
	case column.BigDec:
		return &bigSums{avg: spec.Func == Avg, scale: spec.Result.Scale}
	default:
		return &intSums{avg: spec.Func == Avg, unsigned: spec.Arg.Kind == column.Uint, argScale: spec.Arg.Scale, result: spec.Result}
	}
}

// intSums is SUM and AVG of Int, Uint and Dec, exact in 128 bits: 2^63 values
// of any size fit. Stored: count as a uvarint, and unless it is zero the sum,
// as a varint where it fits 63 bits, else the byte 0x80 0x00 and 16 bytes.
type intSums struct {
	avg, unsigned bool
	argScale      uint8
	result        column.Type
	n             []int64
	hi            []int64 // two's complement, with lo
	lo            []uint64
}

func (s *intSums) Grow(n int) {
	s.n, s.hi, s.lo = grow(s.n, n), grow(s.hi, n), grow(s.lo, n)
}

func (s *intSums) Clear(n int) { clear(s.n[:n]); clear(s.hi[:n]); clear(s.lo[:n]) }

func (s *intSums) Add(groups, rows []uint32, args []*column.Vector) {
	arg := args[0]
	for k, g := range groups {
		r := rows[k]
		if arg.Null != nil && arg.Null[r] {
			continue
		}
		x := arg.I[r]
		hi := x >> 63
		if s.unsigned {
			hi = 0
		}
		lo, carry := bits.Add64(s.lo[g], uint64(x), 0)
		s.lo[g], s.hi[g] = lo, s.hi[g]+hi+int64(carry)
		s.n[g]++
	}
}

func (s *intSums) plus(i int, n, hi int64, lo uint64) {
	sum, carry := bits.Add64(s.lo[i], lo, 0)
	s.lo[i], s.hi[i] = sum, s.hi[i]+hi+int64(carry)
	s.n[i] += n
}

func (s *intSums) Merge(i int, from States, j int) {
	f := from.(*intSums)
	s.plus(i, f.n[j], f.hi[j], f.lo[j])
}

func (s *intSums) Append(dst []byte, i int) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.n[i]))
	if s.n[i] == 0 {
		return dst
	}
	if s.hi[i] == int64(s.lo[i])>>63 {
		return binary.AppendVarint(append(dst, 0), int64(s.lo[i]))
	}
	dst = binary.BigEndian.AppendUint64(append(dst, 1), uint64(s.hi[i]))
	return binary.BigEndian.AppendUint64(dst, s.lo[i])
}

func (s *intSums) Decode(i int, src []byte) ([]byte, error) {
	n, src, err := uvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	if len(src) == 0 {
		return nil, errCorrupt
	}
	if src[0] == 0 {
		x, w := binary.Varint(src[1:])
		if w <= 0 {
			return nil, errCorrupt
		}
		s.plus(i, int64(n), x>>63, uint64(x))
		return src[1+w:], nil
	}
	if len(src) < 17 {
		return nil, errCorrupt
	}
	s.plus(i, int64(n), int64(binary.BigEndian.Uint64(src[1:])), binary.BigEndian.Uint64(src[9:]))
	return src[17:], nil
}

func (s *intSums) Value(i int) column.Value {
	if s.n[i] == 0 {
		return column.Null
	}
	d := s.sum(i)
	if s.avg {
		d = d.DivRound(decimal.New(s.n[i], 0), int32(s.result.Scale))
	}
	return toDecimal(d, s.result)
}

// Sum implements Average.
func (s *intSums) Sum(i int) column.Value {
	if s.n[i] == 0 {
		return column.Null
	}
	return column.Value{Kind: column.BigDec, D: s.sum(i)}
}

// Count implements Average.
func (s *intSums) Count(i int) int64 { return s.n[i] }

func (s *intSums) sum(i int) decimal.Decimal {
	if s.hi[i] == int64(s.lo[i])>>63 {
		return decimal.New(int64(s.lo[i]), -int32(s.argScale))
	}
	b := new(big.Int).Lsh(big.NewInt(s.hi[i]), 64)
	b.Add(b, new(big.Int).SetUint64(s.lo[i]))
	return decimal.NewFromBigInt(b, -int32(s.argScale))
}

// toDecimal returns d as a value of the type t.
func toDecimal(d decimal.Decimal, t column.Type) column.Value {
	if t.Kind == column.Dec {
		return column.Value{Kind: column.Dec, Scale: t.Scale, I: d.Shift(int32(t.Scale)).IntPart()}
	}
	return column.Value{Kind: column.BigDec, D: d}
}

// floatSums is SUM and AVG of DOUBLE by Neumaier's compensated summation
// (A. Neumaier, 1974), which keeps the rounding errors in a second sum, so
// that the way the events were divided does not show. Stored: count as a
// uvarint, and unless it is zero both sums, 8 bytes each.
type floatSums struct {
	avg    bool
	n      []int64
	sum, c []float64
}

func (s *floatSums) Grow(n int) {
	s.n, s.sum, s.c = grow(s.n, n), grow(s.sum, n), grow(s.c, n)
}

func (s *floatSums) Clear(n int) { clear(s.n[:n]); clear(s.sum[:n]); clear(s.c[:n]) }

func (s *floatSums) Add(groups, rows []uint32, args []*column.Vector) {
	arg := args[0]
	for k, g := range groups {
		r := rows[k]
		if arg.Null != nil && arg.Null[r] {
			continue
		}
		s.plus(int(g), arg.F[r])
		s.n[g]++
	}
}

func (s *floatSums) plus(i int, x float64) {
	sum := s.sum[i]
	t := sum + x
	if math.Abs(sum) >= math.Abs(x) {
		s.c[i] += (sum - t) + x
	} else {
		s.c[i] += (x - t) + sum
	}
	s.sum[i] = t
}

func (s *floatSums) Merge(i int, from States, j int) {
	f := from.(*floatSums)
	s.plus(i, f.sum[j])
	s.plus(i, f.c[j])
	s.n[i] += f.n[j]
}

func (s *floatSums) Append(dst []byte, i int) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.n[i]))
	if s.n[i] == 0 {
		return dst
	}
	dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(s.sum[i]))
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(s.c[i]))
}

func (s *floatSums) Decode(i int, src []byte) ([]byte, error) {
	n, src, err := uvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	if len(src) < 16 {
		return nil, errCorrupt
	}
	s.plus(i, math.Float64frombits(binary.BigEndian.Uint64(src)))
	s.plus(i, math.Float64frombits(binary.BigEndian.Uint64(src[8:])))
	s.n[i] += int64(n)
	return src[16:], nil
}

func (s *floatSums) Value(i int) column.Value {
	if s.n[i] == 0 {
		return column.Null
	}
	f := s.sum[i] + s.c[i]
	if s.avg {
		f /= float64(s.n[i])
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return column.Null
	}
	return column.Value{Kind: column.Float, F: f}
}

// Sum implements Average.
func (s *floatSums) Sum(i int) column.Value {
	if s.n[i] == 0 {
		return column.Null
	}
	return column.Value{Kind: column.Float, F: s.sum[i] + s.c[i]}
}

// Count implements Average.
func (s *floatSums) Count(i int) int64 { return s.n[i] }

// Sum implements Average.
func (s *bigSums) Sum(i int) column.Value {
	if s.n[i] == 0 {
		return column.Null
	}
	return column.Value{Kind: column.BigDec, D: s.sum[i]}
}

// Count implements Average.
func (s *bigSums) Count(i int) int64 { return s.n[i] }

// bigSums is SUM and AVG of decimals of any size. Stored: count as a uvarint,
// and unless it is zero the sum as decimal's own binary form, with its length.
type bigSums struct {
	avg   bool
	scale uint8
	n     []int64
	sum   []decimal.Decimal
}

func (s *bigSums) Grow(n int)  { s.n, s.sum = grow(s.n, n), grow(s.sum, n) }
func (s *bigSums) Clear(n int) { clear(s.n[:n]); clear(s.sum[:n]) }

func (s *bigSums) Add(groups, rows []uint32, args []*column.Vector) {
	arg := args[0]
	for k, g := range groups {
		if r := int(rows[k]); !arg.IsNull(r) {
			s.sum[g] = s.sum[g].Add(arg.D[r])
			s.n[g]++
		}
	}
}

func (s *bigSums) Merge(i int, from States, j int) {
	f := from.(*bigSums)
	s.sum[i] = s.sum[i].Add(f.sum[j])
	s.n[i] += f.n[j]
}

func (s *bigSums) Append(dst []byte, i int) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.n[i]))
	if s.n[i] == 0 {
		return dst
	}
	return appendDecimal(dst, s.sum[i])
}

func (s *bigSums) Decode(i int, src []byte) ([]byte, error) {
	n, src, err := uvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	d, src, err := readDecimal(src)
	if err != nil {
		return nil, err
	}
	s.sum[i] = s.sum[i].Add(d)
	s.n[i] += int64(n)
	return src, nil
}

func (s *bigSums) Value(i int) column.Value {
	if s.n[i] == 0 {
		return column.Null
	}
	d := s.sum[i]
	if s.avg {
		d = d.DivRound(decimal.New(s.n[i], 0), int32(s.scale))
	}
	return column.Value{Kind: column.BigDec, D: d}
}

func appendDecimal(dst []byte, d decimal.Decimal) []byte {
	b, _ := d.MarshalBinary() // never fails
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func readDecimal(src []byte) (d decimal.Decimal, rest []byte, err error) {
	b, rest, err := readBytes(src)
	if err != nil {
		return d, nil, err
	}
	if d.UnmarshalBinary(b) != nil || !plausible(d.Exponent()) {
		return decimal.Zero, nil, errCorrupt
	}
	return d, rest, nil
}

// plausible says whether a decimal of ours can have the exponent. A damaged one
// may ask for a billion digits as soon as something is added to it.
func plausible(exponent int32) bool { return exponent > -1000 && exponent < 1000 }

// readBytes returns bytes stored with their length, not copied.
func readBytes(src []byte) (b, rest []byte, err error) {
	n, src, err := uvarint(src)
	if err != nil || n > uint64(len(src)) {
		return nil, nil, errCorrupt
	}
	return src[:n], src[n:], nil
}
