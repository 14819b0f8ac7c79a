package ddl

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// An Error says what is wrong with a statement and where.
type Error struct {
	Msg    string // what was expected, or why it is refused
	Line   int    // from 1
	Column int    // in characters, from 1
	Pos    int    // in bytes, from 0
	Near   string // the text at Pos, shortened; "" at the end of the statement

	line string // the whole line, for Caret
}

// NewError makes an Error about the text at byte pos of a statement or a
// script, for what is found wrong after parsing: the value of an option, say.
func NewError(src string, pos int, msg string) *Error {
	pos = min(max(pos, 0), len(src))
	s := scanner{src, pos}
	t := s.next()
	near := ""
	if t.kind != end {
		near = shorten(src[t.pos:t.end])
	}
	line, column := Locate(src, pos)
	return &Error{Msg: msg, Line: line, Column: column, Pos: pos, Near: near, line: lineAt(src, pos)}
}

// LastToken returns where the last token of src begins, in bytes, or 0 where
// there is none.
func LastToken(src string) int {
	s := newScanner(src)
	last := 0
	for t := s.next(); t.kind != end && t.kind != broken; t = s.next() {
		last = t.pos
	}
	return last
}

// Locate returns the line and the column, in characters, of byte pos of src.
// Both begin at 1.
func Locate(src string, pos int) (line, column int) {
	before := src[:min(max(pos, 0), len(src))]
	start := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:])
}

func lineAt(src string, pos int) string {
	start := strings.LastIndexByte(src[:pos], '\n') + 1
	line, _, _ := strings.Cut(src[start:], "\n")
	return strings.TrimSuffix(line, "\r")
}

// nearMax bounds Near, in characters: enough to find the place by.
const nearMax = 40

// shorten returns the first line of text, cut at nearMax characters.
func shorten(text string) string {
	first, _, more := strings.Cut(text, "\n")
	if r := []rune(first); len(r) > nearMax {
		first, more = string(r[:nearMax]), true
	}
	if more {
		return first + "…"
	}
	return first
}

func (e *Error) Error() string {
	near := "at the end"
	if e.Near != "" {
		near = "near '" + e.Near + "'"
	}
	return fmt.Sprintf("syntax error at line %d, column %d %s: %s", e.Line, e.Column, near, e.Msg)
}

// caretBefore and caretAfter bound what Caret shows of a long line, in characters.
const (
	caretBefore = 60
	caretAfter  = 40
)

// Caret renders the line of the error with a mark under the place.
func (e *Error) Caret() string {
	line := []rune(e.line)
	at := min(e.Column-1, len(line))
	before, after := line[:at], line[at:]
	prefix, suffix := "", ""
	if len(before) > caretBefore {
		prefix, before = "…", before[len(before)-caretBefore:]
	}
	if len(after) > caretAfter {
		suffix, after = "…", after[:caretAfter]
	}
	head := prefix + string(before)
	return head + string(after) + suffix + "\n" + blank(head) + "^"
}

// blank is white space as wide as text is on a terminal.
func blank(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\t':
			b.WriteByte('\t')
		case isWide(r):
			b.WriteString("  ")
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// isWide reports whether terminals give r two cells, as they do in Chinese,
// Japanese and Korean text.
func isWide(r rune) bool {
	return 0x1100 <= r && r <= 0x115F || 0x2E80 <= r && r <= 0xA4CF ||
		0xAC00 <= r && r <= 0xD7A3 || 0xF900 <= r && r <= 0xFAFF ||
		0xFE30 <= r && r <= 0xFE6F || 0xFF00 <= r && r <= 0xFF60 ||
		0xFFE0 <= r && r <= 0xFFE6 || 0x1F300 <= r && r <= 0x1FAFF || 0x20000 <= r && r <= 0x3FFFD
}
