package partial

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"weir/views/column"
)

// TopKMax is the largest k of APPROX_TOP_K.
const TopKMax = 1000

// topCapacity is the C of tops: values beyond it may be missing, or counted
// short by one in C of the events, so it is well above k.
func topCapacity(k float64) int { return max(64, 8*int(k)) }

// tops is APPROX_TOP_K: a counter for each value, as by P. K. Agarwal, G.
// Cormode, Z. Huang, J. M. Phillips, Z. Wei and K. Yi, "Mergeable Summaries",
// 2013, after J. Misra and D. Gries. When there are more than 2C counters, the
// (C+1)-th largest is subtracted from all, and what is left of at most C of
// them stays.
//
// So up to 2C values the counts are exact and do not depend on how the events
// were divided. Beyond that they are never too high, and too low by at most
// what was subtracted. This is N/C at most for N events, since it was taken from
// more than C counters each time.
//
// Stored: what was subtracted and the number of counters as uvarints, and in
// order of the values each value and its count as a uvarint, so that equal
// states are equal bytes.
type tops[T cmp.Ordered] struct {
	k, capacity int

	of     func(v *column.Vector, r int) T // may be in memory of the batch
	keep   func(T) T                       // makes a value outlive the batch
	append func(dst []byte, x T) []byte
	read   func(src []byte) (T, []byte, error)
	show   func(x T) any // in JSON

	counts []map[T]*int64
	lost   []int64 // what was subtracted
	sizes  []int64 // scratch of shrink
}

func newTops(spec Spec) States {
	c := topCapacity(spec.Param)
	if kind := spec.Arg.Kind; kind.IsText() {
		s := &tops[string]{k: int(spec.Param), capacity: c, keep: strings.Clone, append: appendText, read: readText}
		s.of = func(v *column.Vector, r int) string { return v.S[r] }
		s.show = func(x string) any { return x }
		return s
	} else if kind == column.BigDec {
		s := &tops[string]{k: int(spec.Param), capacity: c, keep: strings.Clone, append: appendText}
		s.of = func(v *column.Vector, r int) string { return string(appendDecimalKey(nil, v.D[r])) }
		s.read = func(src []byte) (string, []byte, error) {
			x, rest, err := readText(src)
			if err == nil {
				var left []byte
				if _, left, err = readDecimalKey([]byte(x)); len(left) > 0 {
					err = errCorrupt
				}
			}
			return x, rest, err
		}
		s.show = func(x string) any {
			d, _, _ := readDecimalKey([]byte(x))
			return json.Number(d.StringFixed(int32(spec.Arg.Scale)))
		}
		return s
	}
	s := &tops[uint64]{k: int(spec.Param), capacity: c, of: sortBits, append: binary.BigEndian.AppendUint64}
	s.keep = func(x uint64) uint64 { return x }
	s.read = func(src []byte) (uint64, []byte, error) {
		if len(src) < 8 {
			return 0, nil, errCorrupt
		}
		return binary.BigEndian.Uint64(src), src[8:], nil
	}
	s.show = func(x uint64) any { return showNumber(x, spec.Arg) }
	return s
}

func appendText(dst []byte, x string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(x))), x...)
}

func readText(src []byte) (string, []byte, error) {
	b, rest, err := readBytes(src)
	return string(b), rest, err
}

// showNumber returns the value of type t that sortBits made x of, for JSON.
func showNumber(x uint64, t column.Type) any {
	n := int64(x ^ 1<<63)
	switch t.Kind {
	case column.Float:
		return json.Number(strconv.FormatFloat(bitsFloat(x), 'g', -1, 64))
	case column.Uint:
		return json.Number(strconv.FormatUint(x, 10))
	case column.Dec:
		return json.Number(decimal.New(n, -int32(t.Scale)).StringFixed(int32(t.Scale)))
	case column.Time:
		if t.Date {
			return time.UnixMicro(n).UTC().Format(time.DateOnly)
		}
		return time.UnixMicro(n).UTC().Format("2006-01-02 15:04:05.999999")
	default:
		return json.Number(strconv.FormatInt(n, 10))
	}
}

func (s *tops[T]) Grow(n int)  { s.counts, s.lost = grow(s.counts, n), grow(s.lost, n) }
func (s *tops[T]) Clear(n int) { clear(s.counts[:n]); clear(s.lost[:n]) }

func (s *tops[T]) Add(groups, rows []uint32, args []*column.Vector) {
	x := args[0]
	for k, g := range groups {
		r := int(rows[k])
		if x.IsNull(r) {
			continue
		}
		s.plus(int(g), s.of(x, r), 1)
		s.shrink(int(g))
	}
}

// plus counts x n more times. Counters are pointers since a map that is assigned
// to keeps the last x, which may be in memory of the batch.
func (s *tops[T]) plus(i int, x T, n int64) {
	if c := s.counts[i][x]; c != nil {
		*c += n
		return
	}
	if s.counts[i] == nil {
		s.counts[i] = map[T]*int64{}
	}
	c := new(int64)
	*c = n
	s.counts[i][s.keep(x)] = c
}

// shrink leaves at most 2C counters. It is called after everything that goes
// into state i at once, so that the order within does not matter.
func (s *tops[T]) shrink(i int) {
	counts := s.counts[i]
	if len(counts) <= 2*s.capacity {
		return
	}
	s.sizes = s.sizes[:0]
	for _, c := range counts {
		s.sizes = append(s.sizes, *c)
	}
	slices.Sort(s.sizes)
	cut := s.sizes[len(s.sizes)-1-s.capacity]
	s.lost[i] += cut
	for x, c := range counts {
		if *c -= cut; *c <= 0 {
			delete(counts, x)
		}
	}
}

func (s *tops[T]) Merge(i int, from States, j int) {
	f := from.(*tops[T])
	for x, c := range f.counts[j] {
		s.plus(i, x, *c)
	}
	s.lost[i] += f.lost[j]
	s.shrink(i)
}

func (s *tops[T]) Append(dst []byte, i int) []byte {
	values := make([]T, 0, len(s.counts[i]))
	for x := range s.counts[i] {
		values = append(values, x)
	}
	slices.Sort(values)
	dst = binary.AppendUvarint(dst, uint64(s.lost[i]))
	dst = binary.AppendUvarint(dst, uint64(len(values)))
	for _, x := range values {
		dst = binary.AppendUvarint(s.append(dst, x), uint64(*s.counts[i][x]))
	}
	return dst
}

// topCountMax is beyond every count: a thousand years of a million a second.
const topCountMax = 1 << 55

func (s *tops[T]) Decode(i int, src []byte) ([]byte, error) {
	lost, src, err := uvarint(src)
	if err != nil || lost > topCountMax {
		return nil, errCorrupt
	}
	n, src, err := uvarint(src)
	if err != nil {
		return nil, err
	}
	for range n {
		var x T
		if x, src, err = s.read(src); err != nil {
			return nil, err
		}
		var count uint64
		if count, src, err = uvarint(src); err != nil || count == 0 || count > topCountMax {
			return nil, errCorrupt
		}
		s.plus(i, x, int64(count))
	}
	s.lost[i] += int64(lost)
	s.shrink(i)
	return src, nil
}

// Agrees implements Bounded: there are counts that both states leave possible.
func (s *tops[T]) Agrees(i int, with States, j int) bool {
	w := with.(*tops[T])
	for x, c := range s.counts[i] {
		d := int64(0)
		if p := w.counts[j][x]; p != nil {
			d = *p
		}
		if *c > d+w.lost[j] || d > *c+s.lost[i] {
			return false
		}
	}
	for x, d := range w.counts[j] {
		if s.counts[i][x] == nil && *d > s.lost[i] {
			return false
		}
	}
	return true
}

// Value is the k values with the highest counts as JSON, equal counts in the
// order of the values; NULL when there are none.
func (s *tops[T]) Value(i int) column.Value {
	type top struct {
		x     T
		count int64
	}
	all := make([]top, 0, len(s.counts[i]))
	for x, c := range s.counts[i] {
		all = append(all, top{x, *c})
	}
	if len(all) == 0 {
		return column.Null
	}
	slices.SortFunc(all, func(a, b top) int { return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.x, b.x)) })
	type entry struct {
		Value any   `json:"value"`
		Count int64 `json:"count"`
	}
	entries := make([]entry, 0, s.k)
	for _, t := range all[:min(len(all), s.k)] {
		entries = append(entries, entry{s.show(t.x), t.count})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(entries) // never fails: texts and numbers
	return column.Value{Kind: column.String, S: strings.TrimSuffix(b.String(), "\n")}
}
