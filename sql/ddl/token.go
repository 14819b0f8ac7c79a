package ddl

import "strings"

type tokenKind uint8

const (
	end    tokenKind = iota // of the text
	word                    // a keyword, an unquoted name, or digits and letters such as 30d
	number                  // digits, perhaps with a fraction and an exponent
	quoted                  // `a name`
	str                     // 'text' or "text"
	symbol                  // any other single byte
	hint                    // an executable comment: /*! … */
	broken                  // a quote or comment that is never closed
)

// A token is a piece of the text, from byte pos up to byte end.
type token struct {
	kind     tokenKind
	pos, end int
}

// A scanner cuts text into tokens and skips space and plain comments.
type scanner struct {
	src string
	pos int
}

// byteOrderMark begins many a file that an editor on Windows has saved.
const byteOrderMark = "\uFEFF"

func newScanner(src string) scanner {
	if strings.HasPrefix(src, byteOrderMark) {
		return scanner{src, len(byteOrderMark)}
	}
	return scanner{src, 0}
}

// peek is the byte i places ahead, or 0 beyond the text.
func (s *scanner) peek(i int) byte {
	if s.pos+i < len(s.src) {
		return s.src[s.pos+i]
	}
	return 0
}

func (s *scanner) next() token {
	if t, ok := s.skip(); !ok {
		return t
	}
	start := s.pos
	if start >= len(s.src) {
		return token{end, start, start}
	}
	kind := symbol
	switch c := s.src[start]; {
	case c == '`':
		kind = s.quote(quoted)
	case c == '\'' || c == '"':
		kind = s.quote(str)
	case c == '/' && s.peek(1) == '*': // skip has left an executable one
		kind = s.comment()
	case isDigit(c) || c == '.' && isDigit(s.peek(1)):
		kind = s.number()
	case isWordByte(c):
		kind = word
		s.wordBytes()
	default:
		s.pos++
	}
	return token{kind, start, s.pos}
}

// skip moves to the next token. Where a comment is not closed, ok is false and
// t stands at its beginning.
func (s *scanner) skip() (t token, ok bool) {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case isSpace(c):
			s.pos++
		case c == '#' || c == '-' && s.peek(1) == '-':
			s.line()
		case c == '/' && s.peek(1) == '*' && s.peek(2) != '!':
			start := s.pos
			if s.comment() == broken {
				return token{broken, start, s.pos}, false
			}
		default:
			return token{}, true
		}
	}
	return token{}, true
}

// line moves to the end of the line.
func (s *scanner) line() {
	if i := strings.IndexByte(s.src[s.pos:], '\n'); i >= 0 {
		s.pos += i
		return
	}
	s.pos = len(s.src)
}

// comment moves past a comment in slashes and stars. As in MySQL, they do not nest.
func (s *scanner) comment() tokenKind {
	if i := strings.Index(s.src[s.pos+2:], "*/"); i >= 0 {
		s.pos += 2 + i + 2
		return hint
	}
	s.pos = len(s.src)
	return broken
}

// quote moves past quoted text. The quote itself is written twice inside; in
// strings, though not in names, a backslash escapes it as well.
func (s *scanner) quote(kind tokenKind) tokenKind {
	q := s.src[s.pos]
	for s.pos++; s.pos < len(s.src); s.pos++ {
		switch c := s.src[s.pos]; {
		case c == '\\' && kind == str:
			s.pos++
		case c == q && s.peek(1) == q:
			s.pos++
		case c == q:
			s.pos++
			return kind
		}
	}
	s.pos = len(s.src)
	return broken
}

// number moves past a number. Letters directly behind it make it a word, so
// that an option may be written 30d or 1.5GB without quotes.
func (s *scanner) number() tokenKind {
	s.digits()
	if s.peek(0) == '.' {
		s.pos++
		s.digits()
	}
	if c := s.peek(0); c == 'e' || c == 'E' {
		exponent := 1
		if c := s.peek(1); c == '+' || c == '-' {
			exponent = 2
		}
		if isDigit(s.peek(exponent)) {
			s.pos += exponent
			s.digits()
		}
	}
	if isWordByte(s.peek(0)) {
		s.wordBytes()
		return word
	}
	return number
}

func (s *scanner) digits() {
	for isDigit(s.peek(0)) {
		s.pos++
	}
}

func (s *scanner) wordBytes() {
	for isWordByte(s.peek(0)) {
		s.pos++
	}
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) ||
		c == '_' || c == '$' || c >= 0x80
}
