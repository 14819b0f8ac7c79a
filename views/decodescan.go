package views

import (
	"bytes"
	"encoding/binary"
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

	// What is compared without a call: the first eight bytes, or as many as there
	// are, and the bits of a word that these are.
	head, mask uint64
	tail       []byte // the rest of quoted
	size       int    // of quoted
}

// set makes g the guess that of a key, which is given with its quotes.
func (g *jsonGuess) set(quoted []byte, n *jsonNode) {
	g.quoted, g.node = append(append(g.quoted[:0], quoted...), ':'), n
	var head, mask [8]byte
	g.tail = g.quoted[copy(head[:], g.quoted):]
	for i := range min(len(g.quoted), len(mask)) {
		mask[i] = 0xff
	}
	g.head, g.mask = binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(mask[:])
	g.size = len(g.quoted)
}

// A jsonSpan is a value in a payload; kind is its first byte, but '1' for a plain
// number, '0' for every other, and 0 for none.
type jsonSpan struct {
	kind       byte
	plain      plainNumber
	start, end int // of a text, without its quotes
}

// A plainNumber is digits / 10^frac, or less than zero that: a number of at most
// plainDigits digits without an exponent, of which one at least stands before
// the point, and one behind it if there is a point.
type plainNumber struct {
	digits uint64
	frac   uint8
	neg    bool
}

const plainDigits = 18

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
		// Where an event ends within the eight bytes, there is no guess.
		if place < len(n.guess) && i+8 <= len(p) &&
			(binary.LittleEndian.Uint64(p[i:])^n.guess[place].head)&n.guess[place].mask == 0 &&
			(len(n.guess[place].tail) == 0 || bytes.HasPrefix(p[i+8:], n.guess[place].tail)) {
			inner, i = n.guess[place].node, i+n.guess[place].size
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
		if i < len(p) && p[i] <= ' ' {
			i = space(p, i)
		}
		switch {
		case inner != nil:
			i, ok = s.value(p, i, inner, depth)
		case i < len(p) && p[i] == '"':
			size := bytes.IndexByte(p[i+1:], '"')
			i, ok = i+size+2, size >= 0
		default:
			i, ok = skipValue(p, i, depth)
		}
		if !ok {
			return 0, false
		}
		if i < len(p) && p[i] <= ' ' {
			i = space(p, i)
		}
		if i >= len(p) {
			return 0, false
		}
		switch p[i] {
		case ',':
			if i++; i < len(p) && p[i] <= ' ' {
				i = space(p, i)
			}
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
	if n.round == s.round {
		return skipValue(p, i, depth)
	}
	n.round = s.round
	if len(n.fields) == 1 && len(n.inner) == 0 {
		return readValue(p, i, depth, &s.found[n.fields[0]])
	}
	if len(n.inner) > 0 && i < len(p) && depth < scanDepth {
		switch p[i] {
		case '{':
			end, ok = s.object(p, i, n, depth+1)
			s.take(n, jsonSpan{kind: '{', start: i, end: end})
			return end, ok
		case '[':
			end, ok = s.array(p, i, n, depth+1)
			s.take(n, jsonSpan{kind: '[', start: i, end: end})
			return end, ok
		}
	}
	if len(n.fields) == 0 {
		return skipValue(p, i, depth)
	}
	v := &s.found[n.fields[0]]
	end, ok = readValue(p, i, depth, v)
	for _, k := range n.fields[1:] {
		s.found[k] = *v
	}
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
		if i, ok = skipValue(p, begin, depth); !ok {
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

// learn remembers the key at a place, with its quotes, and returns its node.
func (n *jsonNode) learn(place int, quoted []byte) *jsonNode {
	inner := n.find(string(quoted[1 : len(quoted)-1]))
	if place == len(n.guess) && place < guessMax {
		n.guess = append(n.guess, jsonGuess{})
	}
	if place < len(n.guess) {
		n.guess[place].set(quoted, inner)
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

// readValue puts the value that begins at i into v and returns where it ends.
func readValue(p []byte, i, depth int, v *jsonSpan) (end int, ok bool) {
	if i >= len(p) {
		return 0, false
	}
	switch c := p[i]; {
	case c == '"':
		n := bytes.IndexByte(p[i+1:], '"')
		v.kind, v.start, v.end = c, i+1, i+1+n
		return i + n + 2, n >= 0
	case c-'0' <= 9 || c == '-':
		v.start = i
		v.end, v.kind, ok = readNumber(p, i, &v.plain)
		return v.end, ok
	default:
		end, ok = skipValue(p, i, depth)
		v.kind, v.start, v.end = c, i, end
		if ok && inNumber[c] {
			v.kind = '0'
		}
		return end, ok
	}
}

// readNumber reads the number that begins at i, with a digit or a minus, and
// returns where it ends and its kind: a plain one is in n.
func readNumber(p []byte, i int, n *plainNumber) (end int, kind byte, ok bool) {
	end = i
	if n.neg = p[i] == '-'; n.neg {
		end++
	}
	digits, first := uint64(0), end
	for end < len(p) && p[end]-'0' <= 9 {
		digits = digits*10 + uint64(p[end]-'0')
		end++
	}
	whole, frac := end-first, 0
	if end < len(p) && p[end] == '.' && whole > 0 {
		point := end
		for end++; end < len(p) && p[end]-'0' <= 9; end++ {
			digits = digits*10 + uint64(p[end]-'0')
		}
		if frac = end - point - 1; frac == 0 {
			whole = 0 // not plain
		}
	}
	if whole > 0 && whole+frac <= plainDigits && (end == len(p) || !inNumber[p[end]]) {
		n.digits, n.frac = digits, uint8(frac)
		return end, '1', true
	}
	end, ok = skipNumber(p, i)
	return end, '0', ok
}

// skipNumber returns where the number ends that begins at i.
func skipNumber(p []byte, i int) (end int, ok bool) {
	end = i
	for end < len(p) && inNumber[p[end]] {
		end++
	}
	// The parser has its own mind about +1, a lone sign, inf and nan.
	return end, end > i && p[i] != '+' && (end > i+1 || p[i] != '-')
}

// skipValue returns where the value ends that begins at i.
func skipValue(p []byte, i, depth int) (end int, ok bool) {
	if i >= len(p) || depth > scanDepth {
		return 0, false
	}
	switch c := p[i]; c {
	case '"':
		n := bytes.IndexByte(p[i+1:], '"')
		return i + n + 2, n >= 0
	case '{', '[':
		return nested(p, i, depth)
	case 't', 'n':
		word := "true"
		if c == 'n' {
			word = "null"
		}
		return i + 4, len(p)-i >= 4 && string(p[i:i+4]) == word
	case 'f':
		return i + 5, len(p)-i >= 5 && string(p[i:i+5]) == "false"
	}
	return skipNumber(p, i)
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
		if i, ok = skipValue(p, i, depth+1); !ok {
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
		field, span := &f.fields[k], &f.scan.found[k]
		v := b.Cols[field.col]
		raw := text(p[span.start:span.end])
		ok := false
		switch span.kind {
		case '"':
			ok = field.set.text(v, i, raw)
		case 't', 'f':
			ok = field.set.truth(v, i, span.kind == 't')
		case '1':
			ok = field.set.plain(v, i, &span.plain, raw)
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
