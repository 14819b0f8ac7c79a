package views

import (
	"bytes"
	"slices"

	"weir/views/column"
	"weir/views/partial"
)

// A Range is a range of stored keys: from Lo, to before Hi. A nil Hi is no bound.
type Range struct {
	Lo, Hi []byte
	// Any, if there are any, are conditions on the parts of the key, of which
	// one must hold.
	Any []Parts
}

// Parts is a condition on the parts of a key, in their order: each must be in
// its Span. It may end early.
type Parts []Span

// A Span is a range of one part of a key in its stored form: from Lo, to before
// Hi. nil is no bound.
type Span struct{ Lo, Hi []byte }

// all says whether every value, NULL among them, is within.
func (s Span) all() bool { return len(s.Lo) == 0 && s.Hi == nil }

// next returns where the first row behind key may be that the condition takes;
// ok says that it is key itself. In reverse it is the place that such rows are
// before. end says that there are none.
func (p Parts) next(key []byte, types []column.Type, reverse bool) (at []byte, ok, end bool) {
	rest := key
	for i, s := range p {
		start := len(key) - len(rest)
		after, err := partial.SkipKey(rest, types[i])
		if err != nil {
			return nil, true, false // reading the row says what is wrong
		}
		part := rest[:len(rest)-len(after)]
		rest = after
		if s.all() {
			continue
		}
		below, above := bytes.Compare(part, s.Lo) < 0, s.Hi != nil && bytes.Compare(part, s.Hi) >= 0
		switch {
		case !below && !above:
		case below && !reverse:
			return append(bytes.Clone(key[:start]), s.Lo...), false, false
		case above && reverse:
			return append(bytes.Clone(key[:start]), s.Hi...), false, false
		case reverse:
			return bytes.Clone(key[:start]), false, start == 0
		default:
			at = partial.PrefixEnd(key[:start])
			return at, false, at == nil
		}
	}
	return nil, true, false
}

// holds says whether the condition takes the key. One that makes no sense it
// takes: reading the row says what is wrong.
func (p Parts) holds(key []byte, types []column.Type) bool {
	for i, s := range p {
		after, err := partial.SkipKey(key, types[i])
		if err != nil {
			return true
		}
		part := key[:len(key)-len(after)]
		key = after
		if !s.all() && (bytes.Compare(part, s.Lo) < 0 || s.Hi != nil && bytes.Compare(part, s.Hi) >= 0) {
			return false
		}
	}
	return true
}

// All is the range of all keys.
var All = []Range{{}}

// coversEmpty says whether the ranges hold the key of a view without group key.
func coversEmpty(ranges []Range) bool {
	key := partial.EmptyKey()
	return slices.ContainsFunc(ranges, func(r Range) bool {
		return bytes.Compare(r.Lo, key) <= 0 && (r.Hi == nil || bytes.Compare(key, r.Hi) < 0)
	})
}
