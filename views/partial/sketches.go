package partial

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
	"github.com/axiomhq/hyperloglog"
	"github.com/cespare/xxhash/v2"

	"weir/views/column"
)

// DistinctError is the standard error of APPROX_COUNT_DISTINCT beyond
// hashesMax values: 1.04/√2^14. Up to hashesMax values it is exact, but for
// collisions of 64-bit hashes.
const DistinctError = 0.0081

// hashesMax bounds the hashes kept before a set becomes a HyperLogLog of 16 KiB.
const hashesMax = 512

// hlls is APPROX_COUNT_DISTINCT: the hashes themselves while they are few, then
// a dense HyperLogLog of 2^14 registers. Which of the two follows from the set
// of hashes alone, so the answer does not depend on how the events were
// divided. Stored: number of hashes + 1 as a uvarint and the hashes in order,
// or 0 and the sketch with its length.
type hlls struct {
	kind   column.Kind
	few    []map[uint64]struct{}
	sketch []*hyperloglog.Sketch
}

func (s *hlls) Grow(n int)  { s.few, s.sketch = grow(s.few, n), grow(s.sketch, n) }
func (s *hlls) Clear(n int) { clear(s.few[:n]); clear(s.sketch[:n]) }

func (s *hlls) Add(groups, rows []uint32, args []*column.Vector) {
	arg := args[0]
	var buf [9]byte
	var text []byte
	for k, g := range groups {
		r := int(rows[k])
		if arg.IsNull(r) {
			continue
		}
		var h uint64
		switch {
		case s.kind.IsText():
			h = xxhash.Sum64String(arg.S[r])
		case s.kind == column.BigDec:
			text = appendDecimalKey(text[:0], arg.D[r])
			h = xxhash.Sum64(text)
		case s.kind == column.Float:
			h = xxhash.Sum64(appendFloatKey(buf[:0], arg.F[r]))
		default:
			binary.BigEndian.PutUint64(buf[:8], uint64(arg.I[r]))
			h = xxhash.Sum64(buf[:8])
		}
		s.insert(int(g), h)
	}
}

func (s *hlls) insert(i int, h uint64) {
	if s.sketch[i] != nil {
		s.sketch[i].InsertHash(h)
		return
	}
	if s.few[i] == nil {
		s.few[i] = map[uint64]struct{}{}
	}
	s.few[i][h] = struct{}{}
	if len(s.few[i]) > hashesMax {
		s.toSketch(i)
	}
}

func (s *hlls) toSketch(i int) {
	sk := hyperloglog.NewNoSparse()
	for h := range s.few[i] {
		sk.InsertHash(h)
	}
	s.few[i], s.sketch[i] = nil, sk
}

func (s *hlls) mergeSketch(i int, sk *hyperloglog.Sketch) {
	if s.sketch[i] == nil {
		s.toSketch(i)
	}
	_ = s.sketch[i].Merge(sk) // fails only where precisions differ, and there is one
}

func (s *hlls) Merge(i int, from States, j int) {
	f := from.(*hlls)
	if f.sketch[j] != nil {
		s.mergeSketch(i, f.sketch[j])
		return
	}
	for h := range f.few[j] {
		s.insert(i, h)
	}
}

func (s *hlls) Append(dst []byte, i int) []byte {
	if sk := s.sketch[i]; sk != nil {
		b, _ := sk.MarshalBinary() // never fails
		return append(binary.AppendUvarint(append(dst, 0), uint64(len(b))), b...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.few[i]))+1)
	hashes := make([]uint64, 0, len(s.few[i]))
	for h := range s.few[i] {
		hashes = append(hashes, h)
	}
	slices.Sort(hashes)
	for _, h := range hashes {
		dst = binary.BigEndian.AppendUint64(dst, h)
	}
	return dst
}

func (s *hlls) Decode(i int, src []byte) ([]byte, error) {
	n, src, err := uvarint(src)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		b, rest, err := readBytes(src)
		if err != nil {
			return nil, err
		}
		var sk hyperloglog.Sketch
		if err := sk.UnmarshalBinary(b); err != nil {
			return nil, errCorrupt
		}
		s.mergeSketch(i, &sk)
		return rest, nil
	}
	if n--; n > hashesMax || uint64(len(src)) < 8*n {
		return nil, errCorrupt
	}
	for range n {
		s.insert(i, binary.BigEndian.Uint64(src))
		src = src[8:]
	}
	return src, nil
}

func (s *hlls) Value(i int) column.Value {
	v := column.Value{Kind: column.Int, I: int64(len(s.few[i]))}
	if sk := s.sketch[i]; sk != nil {
		v.I = int64(sk.Estimate())
	}
	return v
}

// PercentileError is the relative error of APPROX_PERCENTILE.
const PercentileError = 0.01

// percentileMapping divides the numbers into bins for DDSketch (C. Masson, J.
// E. Rim, H. K. Lee, 2019).
var percentileMapping = func() mapping.IndexMapping {
	m, err := mapping.NewLogarithmicMapping(PercentileError)
	if err != nil {
		panic(err) // only for an error outside (0, 1)
	}
	return m
}()

// newDDSketch uses the sparse store: others sort or compact themselves when they
// are read, and a column of states may be read by many at once.
func newDDSketch() *ddsketch.DDSketch {
	return ddsketch.NewDDSketchFromStoreProvider(percentileMapping, store.SparseStoreConstructor)
}

// percentiles is APPROX_PERCENTILE. Bins are never collapsed, so combining is
// exact on the bins. Stored: the number of zeros, and the bins of positive and
// of negative values, see appendBins.
type percentiles struct {
	spec   Spec
	sketch []*ddsketch.DDSketch
}

func (s *percentiles) Grow(n int)  { s.sketch = grow(s.sketch, n) }
func (s *percentiles) Clear(n int) { clear(s.sketch[:n]) }

func (s *percentiles) at(i int) *ddsketch.DDSketch {
	if s.sketch[i] == nil {
		s.sketch[i] = newDDSketch()
	}
	return s.sketch[i]
}

func (s *percentiles) Add(groups, rows []uint32, args []*column.Vector) {
	arg := args[0]
	for k, g := range groups {
		if r := int(rows[k]); !arg.IsNull(r) {
			_ = s.at(int(g)).Add(arg.F[r]) // fails only beyond the range of the mapping, 1e±308
		}
	}
}

func (s *percentiles) Merge(i int, from States, j int) {
	if sk := from.(*percentiles).sketch[j]; sk != nil {
		_ = s.at(i).MergeWith(sk) // fails only where mappings differ, and there is one
	}
}

func (s *percentiles) Append(dst []byte, i int) []byte {
	sk := s.sketch[i]
	if sk == nil {
		return append(dst, 0, 0, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(sk.GetZeroCount()))
	dst = appendBins(dst, sk.GetPositiveValueStore())
	return appendBins(dst, sk.GetNegativeValueStore())
}

// A bin is the number of values in one of the sketch's intervals.
type bin struct {
	index int
	count float64
}

// appendBins appends the number of bins and, in order, how far each is from the
// one before and its count, so that equal sketches are equal bytes.
func appendBins(dst []byte, st store.Store) []byte {
	var bins []bin
	st.ForEach(func(index int, count float64) bool {
		bins = append(bins, bin{index, count})
		return false
	})
	slices.SortFunc(bins, func(a, b bin) int { return a.index - b.index })
	dst = binary.AppendUvarint(dst, uint64(len(bins)))
	last := 0
	for _, b := range bins {
		dst = binary.AppendVarint(dst, int64(b.index-last))
		dst = binary.AppendUvarint(dst, uint64(b.count))
		last = b.index
	}
	return dst
}

func (s *percentiles) Decode(i int, src []byte) ([]byte, error) {
	zeros, src, err := uvarint(src)
	if err != nil {
		return nil, err
	}
	if len(src) >= 2 && zeros == 0 && src[0] == 0 && src[1] == 0 {
		return src[2:], nil // no values
	}
	sk := s.at(i)
	if zeros > 0 && sk.AddWithCount(0, float64(zeros)) != nil {
		return nil, errCorrupt
	}
	if src, err = readBins(src, sk.GetPositiveValueStore()); err != nil {
		return nil, err
	}
	return readBins(src, sk.GetNegativeValueStore())
}

// binIndexMax is beyond the index of every bin: those of 1e±308 are below 36,000.
const binIndexMax = 1 << 20

// readBins adds stored bins to st.
func readBins(src []byte, st store.Store) ([]byte, error) {
	n, src, err := uvarint(src)
	if err != nil || n > 2*binIndexMax {
		return nil, errCorrupt
	}
	index := int64(0)
	for range n {
		step, w := binary.Varint(src)
		if w <= 0 {
			return nil, errCorrupt
		}
		count, rest, err := uvarint(src[w:])
		if index += step; err != nil || index < -binIndexMax || index > binIndexMax {
			return nil, errCorrupt
		}
		st.AddWithCount(int(index), float64(count))
		src = rest
	}
	return src, nil
}

// Value is the nearest-rank percentile: the ceil(p·n)-th smallest value.
func (s *percentiles) Value(i int) column.Value {
	sk := s.sketch[i]
	if sk == nil || sk.IsEmpty() {
		return column.Null
	}
	// The sketch's own quantiles lie between ranks, which rounding then takes for
	// one or the other. Half a rank up, a rank is always within its bin.
	rank := max(math.Ceil(s.spec.Param*sk.GetCount())-1, 0)
	below := sk.GetNegativeValueStore().TotalCount()
	var f float64
	switch zero := sk.GetZeroCount(); {
	case rank < below: // these are kept by their absolute values
		f = -sk.Value(sk.GetNegativeValueStore().KeyAtRank(below - 1 - rank + 0.5))
	case rank >= below+zero:
		f = sk.Value(sk.GetPositiveValueStore().KeyAtRank(rank - below - zero + 0.5))
	}
	return column.Value{Kind: column.Float, F: f}
}
