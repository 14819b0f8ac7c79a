package views

import (
	"bytes"

	"weir/views/column"
)

// A jsonScan finds the fields of plain events in one pass, where the parser
// first makes a tree of each. It does so for objects whose fields are wanted by
// their own name, and that have no escapes; whatever else there is, events that
// are no JSON among it, it leaves to the parser, which has the last word on what
// is an event.
//
// INVARIANT: what the scan takes, the parser takes too, with the same values.
type jsonScan struct {
	names []string
	found []jsonSpan // by field
	// guess are the keys of the last event, by place: those of the next are
	// mostly the same.
	guess []jsonGuess
}

type jsonGuess struct {
	key    []byte
	fields []int // that are this key's
}

// A jsonSpan is a value in a payload; kind is its first byte, 0 for none and '0'
// for every number.
type jsonSpan struct {
	kind       byte
	start, end int // of a text, without its quotes
}

// guessMax bounds the keys remembered; events with more are not regular.
const guessMax = 256

// newJSONScan returns a scan for the fields, or nil where it could take no event.
func newJSONScan(fields []jsonField, kinds []column.Kind) *jsonScan {
	s := &jsonScan{found: make([]jsonSpan, len(fields))}
	for k := range fields {
		if len(fields[k].path) != 1 || kinds[k] == column.JSON {
			return nil
		}
		s.names = append(s.names, fields[k].path[0])
	}
	return s
}

// scan finds the values of all fields in p; false leaves p to the parser.
func (s *jsonScan) scan(p []byte) bool {
	if bytes.IndexByte(p, '\\') >= 0 {
		return false
	}
	clear(s.found)
	i := space(p, 0)
	if i >= len(p) || p[i] != '{' {
		return false
	}
	if i = space(p, i+1); i < len(p) && p[i] == '}' {
		return space(p, i+1) == len(p)
	}
	for place := 0; ; place++ {
		if i >= len(p) || p[i] != '"' {
			return false
		}
		n := bytes.IndexByte(p[i+1:], '"')
		if n < 0 {
			return false
		}
		key := p[i+1 : i+1+n]
		if i = space(p, i+n+2); i >= len(p) || p[i] != ':' {
			return false
		}
		v, end, ok := value(p, space(p, i+1), 0)
		if !ok {
			return false
		}
		s.take(place, key, v)
		if i = space(p, end); i >= len(p) {
			return false
		}
		switch p[i] {
		case ',':
			i = space(p, i+1)
		case '}':
			return space(p, i+1) == len(p)
		default:
			return false
		}
	}
}

// take notes a value for the fields of its key, of which the first counts.
func (s *jsonScan) take(place int, key []byte, v jsonSpan) {
	if place >= len(s.guess) || !bytes.Equal(s.guess[place].key, key) {
		place = min(place, guessMax)
		s.learn(place, key)
	}
	for _, k := range s.guess[place].fields {
		if s.found[k].kind == 0 {
			s.found[k] = v
		}
	}
}

// learn remembers the key at a place; beyond guessMax all keys share one.
func (s *jsonScan) learn(place int, key []byte) {
	for len(s.guess) <= place {
		s.guess = append(s.guess, jsonGuess{})
	}
	g := &s.guess[place]
	g.key, g.fields = append(g.key[:0], key...), g.fields[:0]
	for k, name := range s.names {
		if name == string(key) {
			g.fields = append(g.fields, k)
		}
	}
}

// space returns the place of the first byte from i on that is no white space.
func space(p []byte, i int) int {
	for i < len(p) && p[i] <= ' ' && (p[i] == ' ' || p[i] == '\n' || p[i] == '\t' || p[i] == '\r') {
		i++
	}
	return i
}

// scanDepth bounds the values within values; the parser takes some more.
const scanDepth = 100

// value returns the value that begins at i, and where it ends.
func value(p []byte, i, depth int) (v jsonSpan, end int, ok bool) {
	if i >= len(p) || depth > scanDepth {
		return v, 0, false
	}
	switch c := p[i]; c {
	case '"':
		n := bytes.IndexByte(p[i+1:], '"')
		return jsonSpan{c, i + 1, i + 1 + n}, i + n + 2, n >= 0
	case '{', '[':
		end, ok = nested(p, i, depth)
		return jsonSpan{c, i, end}, end, ok
	case 't', 'n':
		word := "true"
		if c == 'n' {
			word = "null"
		}
		ok = len(p)-i >= 4 && string(p[i:i+4]) == word
		return jsonSpan{c, i, i + 4}, i + 4, ok
	case 'f':
		ok = len(p)-i >= 5 && string(p[i:i+5]) == "false"
		return jsonSpan{c, i, i + 5}, i + 5, ok
	}
	end = i
	for end < len(p) && inNumber[p[end]] {
		end++
	}
	// The parser has its own mind about +1, a lone sign, inf and nan.
	ok = end > i && p[i] != '+' && (end > i+1 || p[i] != '-')
	return jsonSpan{'0', i, end}, end, ok
}

var inNumber = func() (t [256]bool) {
	for _, c := range "0123456789+-.eE" {
		t[c] = true
	}
	return t
}()

// nested returns where the object or array that begins at i ends.
func nested(p []byte, i, depth int) (end int, ok bool) {
	object, last := p[i] == '{', byte(']')
	if object {
		last = '}'
	}
	if i = space(p, i+1); i < len(p) && p[i] == last {
		return i + 1, true
	}
	for {
		if object {
			if i >= len(p) || p[i] != '"' {
				return 0, false
			}
			n := bytes.IndexByte(p[i+1:], '"')
			if n < 0 {
				return 0, false
			}
			if i = space(p, i+n+2); i >= len(p) || p[i] != ':' {
				return 0, false
			}
			i = space(p, i+1)
		}
		if _, i, ok = value(p, i, depth+1); !ok {
			return 0, false
		}
		if i = space(p, i); i >= len(p) {
			return 0, false
		}
		switch p[i] {
		case ',':
			i = space(p, i+1)
		case last:
			return i + 1, true
		default:
			return 0, false
		}
	}
}

// fill puts what the scan has found into row i.
func (f *jsonFormat) fill(b *column.Batch, i int, p []byte) {
	for k := range f.fields {
		field, span := &f.fields[k], f.scan.found[k]
		v := b.Cols[field.col]
		raw := text(p[span.start:span.end])
		ok := false
		switch span.kind {
		case '"':
			ok = field.set.text(v, i, raw)
		case 't', 'f':
			ok = field.set.truth(v, i, span.kind == 't')
		case '0':
			if v.Kind.IsText() {
				ok = field.set.raw(v, i, raw)
			} else {
				ok = field.set.number(v, i, raw)
			}
		}
		if !ok {
			v.SetNull(i, b.Len)
		}
	}
}
