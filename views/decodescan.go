package views

import (
	"bytes"
	"strconv"

	"weir/views/column"
)

// A jsonScan finds the fields of plain events in one pass, where the parser
// first makes a tree of each. It does so for objects without escapes; whatever
// else there is, events that are no JSON among it, it leaves to the parser, which
// has the last word on what is an event.
//
// INVARIANT: what the scan takes, the parser takes too, with the same values.
type jsonScan struct {
	root  jsonNode
	found []jsonSpan // by field
	round uint64     // of the event
}

// A jsonNode is a place in events that a path goes through or ends at.
type jsonNode struct {
	key    string
	index  int   // the key as that of an array's element, -1 if it is none
	fields []int // whose paths end here
	inner  []*jsonNode
	round  uint64 // in which it was last found: the first of its key counts
	// guess are the keys of the last object here, by place: those of the next
	// are mostly the same.
	guess []jsonGuess
}

type jsonGuess struct {
	quoted []byte    // the key as most write it: "key":
	node   *jsonNode // nil where no path goes on with the key
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
		if kinds[k] == column.JSON {
			return nil
		}
		n := &s.root
		for _, key := range fields[k].path {
			n = n.child(key)
		}
		n.fields = append(n.fields, k)
	}
	return s
}

// child returns the node of a key in n, which is made if there is none.
func (n *jsonNode) child(key string) *jsonNode {
	if c := n.find(key); c != nil {
		return c
	}
	c := &jsonNode{key: key, index: -1}
	if i, err := strconv.Atoi(key); err == nil && i >= 0 { // as the parser reads it
		c.index = i
	}
	n.inner = append(n.inner, c)
	return c
}

// find returns the node of a key in n, or nil.
func (n *jsonNode) find(key string) *jsonNode {
	for _, c := range n.inner {
		if c.key == key {
			return c
		}
	}
	return nil
}

// scan finds the values of all fields in p; false leaves p to the parser.
func (s *jsonScan) scan(p []byte) bool {
	if bytes.IndexByte(p, '\\') >= 0 {
		return false
	}
	clear(s.found)
	s.round++
	i := space(p, 0)
	if i >= len(p) || p[i] != '{' {
		return false
	}
	end, ok := s.object(p, i, &s.root, 0)
	return ok && space(p, end) == len(p)
}

// object takes what is wanted of the object that begins at i, and returns where
// that ends.
func (s *jsonScan) object(p []byte, i int, n *jsonNode, depth int) (end int, ok bool) {
	if i = space(p, i+1); i < len(p) && p[i] == '}' {
		return i + 1, true
	}
	for place := 0; ; place++ {
		var inner *jsonNode
		if g := n.guessed(place); g != nil && bytes.HasPrefix(p[min(i, len(p)):], g.quoted) {
			inner, i = g.node, i+len(g.quoted)
		} else {
			if i >= len(p) || p[i] != '"' {
				return 0, false
			}
			size := bytes.IndexByte(p[i+1:], '"')
			if size < 0 {
				return 0, false
			}
			inner = n.learn(place, p[i:i+size+2])
			if i = space(p, i+size+2); i >= len(p) || p[i] != ':' {
				return 0, false
			}
			i++
		}
		if i, ok = s.value(p, space(p, i), inner, depth); !ok {
			return 0, false
		}
		if i = space(p, i); i >= len(p) {
			return 0, false
		}
		switch p[i] {
		case ',':
			i = space(p, i+1)
		case '}':
			return i + 1, true
		default:
			return 0, false
		}
	}
}

// value takes the value that begins at i for the node, if there is one that has
// none yet, and returns where that ends.
func (s *jsonScan) value(p []byte, i int, n *jsonNode, depth int) (end int, ok bool) {
	if n == nil || n.round == s.round {
		_, end, ok = value(p, i, depth)
		return end, ok
	}
	n.round = s.round
	if len(n.inner) > 0 && i < len(p) && depth < scanDepth {
		switch p[i] {
		case '{':
			end, ok = s.object(p, i, n, depth+1)
			s.take(n, jsonSpan{'{', i, end})
			return end, ok
		case '[':
			end, ok = s.array(p, i, n, depth+1)
			s.take(n, jsonSpan{'[', i, end})
			return end, ok
		}
	}
	v, end, ok := value(p, i, depth)
	s.take(n, v)
	return end, ok
}

func (s *jsonScan) take(n *jsonNode, v jsonSpan) {
	for _, k := range n.fields {
		s.found[k] = v
	}
}

// array is object for an array, whose elements have their numbers for keys.
func (s *jsonScan) array(p []byte, i int, n *jsonNode, depth int) (end int, ok bool) {
	if i = space(p, i+1); i < len(p) && p[i] == ']' {
		return i + 1, true
	}
	for at := 0; ; at++ {
		begin := i
		if _, i, ok = value(p, begin, depth); !ok {
			return 0, false
		}
		for _, c := range n.inner {
			if c.index == at {
				s.value(p, begin, c, depth)
			}
		}
		if i = space(p, i); i >= len(p) {
			return 0, false
		}
		switch p[i] {
		case ',':
			i = space(p, i+1)
		case ']':
			return i + 1, true
		default:
			return 0, false
		}
	}
}

// guessed returns what the last object here had at a place, or nil.
func (n *jsonNode) guessed(place int) *jsonGuess {
	if place >= len(n.guess) {
		return nil
	}
	return &n.guess[place]
}

// learn remembers the key at a place, with its quotes, and returns its node.
func (n *jsonNode) learn(place int, quoted []byte) *jsonNode {
	inner := n.find(string(quoted[1 : len(quoted)-1]))
	if place == len(n.guess) && place < guessMax {
		n.guess = append(n.guess, jsonGuess{})
	}
	if g := n.guessed(place); g != nil {
		g.quoted, g.node = append(append(g.quoted[:0], quoted...), ':'), inner
	}
	return inner
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
