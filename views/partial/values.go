package partial

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"weir/views/column"
)

// appendValue appends the stored form of a value that is not NULL.
func appendValue(dst []byte, v column.Value) []byte {
	switch v.Kind {
	case column.Float:
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(v.F))
	case column.BigDec:
		return appendDecimal(dst, v.D)
	case column.String, column.Bytes, column.JSON:
		return append(binary.AppendUvarint(dst, uint64(len(v.S))), v.S...)
	default:
		return binary.AppendVarint(dst, v.I)
	}
}

// readValue reads a stored value of type t. Its text is a copy.
func readValue(src []byte, t column.Type) (v column.Value, rest []byte, err error) {
	v.Kind, v.Scale = t.Kind, t.Scale
	switch {
	case t.Kind == column.Float:
		if len(src) < 8 {
			return v, nil, errCorrupt
		}
		v.F = math.Float64frombits(binary.BigEndian.Uint64(src))
		return v, src[8:], nil
	case t.Kind == column.BigDec:
		v.D, rest, err = readDecimal(src)
		return v, rest, err
	case t.Kind.IsText():
		b, rest, err := readBytes(src)
		v.S = string(b)
		return v, rest, err
	}
	n, w := binary.Varint(src)
	if w <= 0 {
		return v, nil, errCorrupt
	}
	v.I = n
	return v, src[w:], nil
}

// newExtremes returns the states of MIN (dir -1) or MAX (dir 1).
func newExtremes(spec Spec, dir int) States {
	switch k := spec.Arg.Kind; {
	case k == column.Float:
		return &extremes[float64]{
			t: spec.Arg, dir: dir, cmp: cmp.Compare[float64],
			of: func(v *column.Vector) []float64 { return v.F }, pack: func(f float64) column.Value { return column.Value{F: f} },
			unpack: func(v column.Value) float64 { return v.F },
		}
	case k == column.BigDec:
		return &extremes[decimal.Decimal]{
			t: spec.Arg, dir: dir, cmp: decimal.Decimal.Cmp,
			of: func(v *column.Vector) []decimal.Decimal { return v.D }, pack: func(d decimal.Decimal) column.Value { return column.Value{D: d} },
			unpack: func(v column.Value) decimal.Decimal { return v.D },
		}
	case k.IsText():
		return &extremes[string]{
			t: spec.Arg, dir: dir, cmp: strings.Compare, keep: strings.Clone,
			of: func(v *column.Vector) []string { return v.S }, pack: func(s string) column.Value { return column.Value{S: s} },
			unpack: func(v column.Value) string { return v.S },
		}
	default:
		compare := cmp.Compare[int64]
		if k == column.Uint {
			compare = func(a, b int64) int { return cmp.Compare(uint64(a), uint64(b)) }
		}
		return &extremes[int64]{
			t: spec.Arg, dir: dir, cmp: compare,
			of: func(v *column.Vector) []int64 { return v.I }, pack: func(n int64) column.Value { return column.Value{I: n} },
			unpack: func(v column.Value) int64 { return v.I },
		}
	}
}

// extremes is MIN or MAX. Stored: a byte, 1 where there is a value, and the value.
type extremes[T any] struct {
	t      column.Type
	dir    int
	cmp    func(a, b T) int
	of     func(*column.Vector) []T
	pack   func(T) column.Value
	unpack func(column.Value) T
	keep   func(T) T // makes a value of a batch outlive it; nil where it does anyway

	has []bool
	v   []T
}

func (s *extremes[T]) Grow(n int)  { s.has, s.v = grow(s.has, n), grow(s.v, n) }
func (s *extremes[T]) Clear(n int) { clear(s.has[:n]); clear(s.v[:n]) }

func (s *extremes[T]) Add(groups, rows []uint32, args []*column.Vector) {
	arg := args[0]
	xs := s.of(arg)
	for k, g := range groups {
		r := rows[k]
		if arg.Null != nil && arg.Null[r] {
			continue
		}
		if x := xs[r]; !s.has[g] || s.cmp(x, s.v[g])*s.dir > 0 {
			if s.keep != nil {
				x = s.keep(x)
			}
			s.has[g], s.v[g] = true, x
		}
	}
}

func (s *extremes[T]) plus(i int, x T) {
	if !s.has[i] || s.cmp(x, s.v[i])*s.dir > 0 {
		s.has[i], s.v[i] = true, x
	}
}

func (s *extremes[T]) Merge(i int, from States, j int) {
	if f := from.(*extremes[T]); f.has[j] {
		s.plus(i, f.v[j])
	}
}

func (s *extremes[T]) Append(dst []byte, i int) []byte {
	if !s.has[i] {
		return append(dst, 0)
	}
	v := s.pack(s.v[i])
	v.Kind, v.Scale = s.t.Kind, s.t.Scale
	return appendValue(append(dst, 1), v)
}

func (s *extremes[T]) Decode(i int, src []byte) ([]byte, error) {
	if len(src) == 0 {
		return nil, errCorrupt
	}
	if src[0] == 0 {
		return src[1:], nil
	}
	v, rest, err := readValue(src[1:], s.t)
	if err != nil {
		return nil, err
	}
	s.plus(i, s.unpack(v))
	return rest, nil
}

func (s *extremes[T]) Value(i int) column.Value {
	if !s.has[i] {
		return column.Null
	}
	v := s.pack(s.v[i])
	v.Kind, v.Scale = s.t.Kind, s.t.Scale
	return v
}

// onlys is the value of a group that is one event. Stored: as extremes.
type onlys struct {
	t column.Type
	v []column.Value
}

func (s *onlys) Grow(n int)  { s.v = grow(s.v, n) }
func (s *onlys) Clear(n int) { clear(s.v[:n]) }

func (s *onlys) Add(groups, rows []uint32, args []*column.Vector) {
	for k, g := range groups {
		s.v[g] = args[0].Value(int(rows[k])).Clone()
	}
}

func (s *onlys) Merge(i int, from States, j int) {
	if v := from.(*onlys).v[j]; !v.IsNull() {
		s.v[i] = v
	}
}

func (s *onlys) Append(dst []byte, i int) []byte {
	if s.v[i].IsNull() {
		return append(dst, 0)
	}
	return appendValue(append(dst, 1), s.v[i])
}

func (s *onlys) Decode(i int, src []byte) (rest []byte, err error) {
	if len(src) == 0 {
		return nil, errCorrupt
	}
	if src[0] == 0 {
		return src[1:], nil
	}
	s.v[i], rest, err = readValue(src[1:], s.t)
	return rest, err
}

func (s *onlys) Value(i int) column.Value { return s.v[i] }

func newDistinct(spec Spec) States {
	switch k := spec.Arg.Kind; {
	case k.IsText():
		return &distinct[string]{add: addText, size: func(dst []byte, s string) []byte {
			return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
		}, read: func(src []byte) (string, []byte, error) {
			b, rest, err := readBytes(src)
			return string(b), rest, err
		}}
	case k == column.BigDec:
		// Equal decimals may differ in form; the key is the form they share.
		return &distinct[string]{add: func(set map[string]struct{}, v *column.Vector, r int) {
			set[string(appendDecimalKey(nil, v.D[r]))] = struct{}{}
		}, size: func(dst []byte, s string) []byte {
			return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
		}, read: func(src []byte) (string, []byte, error) {
			b, rest, err := readBytes(src)
			return string(b), rest, err
		}}
	default:
		add := addInt
		if k == column.Float {
			add = addFloat
		}
		return &distinct[int64]{add: add, size: binary.AppendVarint, read: func(src []byte) (int64, []byte, error) {
			n, w := binary.Varint(src)
			if w <= 0 {
				return 0, nil, errCorrupt
			}
			return n, src[w:], nil
		}}
	}
}

func addText(set map[string]struct{}, v *column.Vector, r int) {
	if _, ok := set[v.S[r]]; !ok {
		set[strings.Clone(v.S[r])] = struct{}{}
	}
}

func addInt(set map[int64]struct{}, v *column.Vector, r int) { set[v.I[r]] = struct{}{} }

func addFloat(set map[int64]struct{}, v *column.Vector, r int) {
	set[int64(math.Float64bits(v.F[r]+0))] = struct{}{}
}

// distinct is COUNT(DISTINCT): the set of values. Stored: their number as a
// uvarint, and the values in order, so that equal sets are equal bytes.
type distinct[T cmp.Ordered] struct {
	add  func(map[T]struct{}, *column.Vector, int)
	size func([]byte, T) []byte
	read func([]byte) (T, []byte, error)

	sets []map[T]struct{} // nil when empty; shared with no other column
}

func (s *distinct[T]) Grow(n int)  { s.sets = grow(s.sets, n) }
func (s *distinct[T]) Clear(n int) { clear(s.sets[:n]) }

func (s *distinct[T]) set(i int) map[T]struct{} {
	if s.sets[i] == nil {
		s.sets[i] = map[T]struct{}{}
	}
	return s.sets[i]
}

func (s *distinct[T]) Add(groups, rows []uint32, args []*column.Vector) {
	arg := args[0]
	for k, g := range groups {
		if r := int(rows[k]); !arg.IsNull(r) {
			s.add(s.set(int(g)), arg, r)
		}
	}
}

func (s *distinct[T]) Merge(i int, from States, j int) {
	other := from.(*distinct[T]).sets[j]
	if len(other) == 0 {
		return
	}
	set := s.set(i)
	for x := range other {
		set[x] = struct{}{}
	}
}

func (s *distinct[T]) Append(dst []byte, i int) []byte {
	set := s.sets[i]
	dst = binary.AppendUvarint(dst, uint64(len(set)))
	values := make([]T, 0, len(set))
	for x := range set {
		values = append(values, x)
	}
	slices.Sort(values)
	for _, x := range values {
		dst = s.size(dst, x)
	}
	return dst
}

func (s *distinct[T]) Decode(i int, src []byte) ([]byte, error) {
	n, src, err := uvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	set := s.set(i)
	for range n {
		var x T
		if x, src, err = s.read(src); err != nil {
			return nil, err
		}
		set[x] = struct{}{}
	}
	return src, nil
}

func (s *distinct[T]) Value(i int) column.Value {
	return column.Value{Kind: column.Int, I: int64(len(s.sets[i]))}
}
