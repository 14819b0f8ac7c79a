// Package regex has the surface of github.com/dolthub/go-icu-regex that
// go-mysql-server uses, over Go's own regexp package.
//
// The original runs ICU inside a WebAssembly machine, which costs 200 ms at
// start, 25 MB of memory and 3.5 MB of binary, and whose backtracking lets one
// query burn a core for ever. RE2 runs in time linear in its input. What it
// lacks, namely look-around and back-references inside a pattern, is an
// "invalid regular expression" error here.
//
// Positions are counted in characters, as MySQL documents them.
package regex

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// Errors of the calls below.
var (
	ErrRegexNotYetSet = errors.New("SetRegexString must be called before any other function")
	ErrMatchNotYetSet = errors.New("SetMatchString must be called as there is nothing to match against")
	ErrInvalidRegex   = errors.New("invalid regular expression")
)

// ShouldPanic is kept for callers; nothing here can leak.
var ShouldPanic = true

// SetRegexLeakHandler is kept for callers; nothing here can leak.
func SetRegexLeakHandler(func()) {}

// RegexFlags change how a pattern matches; the values are ICU's.
type RegexFlags uint32

// The flags. Comments, Unix_Lines, Unicode_Word and Error_On_Unknown_Escapes
// have no meaning in RE2 and are ignored.
const (
	RegexFlags_None                     RegexFlags = 0
	RegexFlags_Unix_Lines               RegexFlags = 1
	RegexFlags_Case_Insensitive         RegexFlags = 2
	RegexFlags_Comments                 RegexFlags = 4
	RegexFlags_Multiline                RegexFlags = 8
	RegexFlags_Literal                  RegexFlags = 16
	RegexFlags_Dot_All                  RegexFlags = 32
	RegexFlags_Unicode_Word             RegexFlags = 256
	RegexFlags_Error_On_Unknown_Escapes RegexFlags = 512
)

// A Regex matches one pattern against one text after the other. Positions and
// occurrences start at 1.
type Regex interface {
	SetRegexString(ctx context.Context, regexStr string, flags RegexFlags) error
	SetMatchString(ctx context.Context, matchStr string) error
	IndexOf(ctx context.Context, start int, occurrence int, endIndex bool) (int, error)
	Matches(ctx context.Context, start int, occurrence int) (bool, error)
	Replace(ctx context.Context, replacementStr string, position int, occurrence int) (string, error)
	Substring(ctx context.Context, start int, occurrence int) (string, bool, error)
	StringBufferSize() uint32
	Close() error
}

// CreateRegex returns a Regex without a pattern. The buffer size is ignored.
func CreateRegex(uint32) Regex { return &re2{} }

type re2 struct {
	re   *regexp.Regexp
	text string
	set  bool
}

// compiled keeps the latest patterns, since an expression is compiled anew for
// every statement, and for every row when the pattern is not a constant.
var compiled = struct {
	sync.Mutex
	byPattern map[string]*regexp.Regexp
}{byPattern: map[string]*regexp.Regexp{}}

// compiledMax bounds the patterns that are kept.
const compiledMax = 256

func compile(pattern string) (*regexp.Regexp, error) {
	compiled.Lock()
	re := compiled.byPattern[pattern]
	compiled.Unlock()
	if re != nil {
		return re, nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrInvalidRegex, err)
	}
	compiled.Lock()
	defer compiled.Unlock()
	if len(compiled.byPattern) >= compiledMax {
		clear(compiled.byPattern)
	}
	compiled.byPattern[pattern] = re
	return re, nil
}

func (r *re2) SetRegexString(_ context.Context, pattern string, flags RegexFlags) error {
	if flags&RegexFlags_Literal != 0 {
		pattern = regexp.QuoteMeta(pattern)
	}
	var f string
	if flags&RegexFlags_Case_Insensitive != 0 {
		f += "i"
	}
	if flags&RegexFlags_Multiline != 0 {
		f += "m"
	}
	if flags&RegexFlags_Dot_All != 0 {
		f += "s"
	}
	if f != "" {
		pattern = "(?" + f + ")" + pattern
	}
	re, err := compile(pattern)
	if err != nil {
		return err
	}
	r.re = re
	return nil
}

func (r *re2) SetMatchString(_ context.Context, text string) error {
	if r.re == nil {
		return ErrRegexNotYetSet
	}
	r.text, r.set = text, true
	return nil
}

// offset is where in bytes the character at position start begins.
func (r *re2) offset(start int) int {
	off := 0
	for ; start > 1 && off < len(r.text); start-- {
		_, n := utf8.DecodeRuneInString(r.text[off:])
		off += n
	}
	return off
}

// find returns the byte range of the occurrence-th match from position start.
func (r *re2) find(start, occurrence int) (lo, hi int, ok bool, err error) {
	if r.re == nil {
		return 0, 0, false, ErrRegexNotYetSet
	}
	if !r.set {
		return 0, 0, false, ErrMatchNotYetSet
	}
	off := r.offset(start)
	n := max(occurrence, 1)
	all := r.re.FindAllStringIndex(r.text[off:], n)
	if len(all) < n {
		return 0, 0, false, nil
	}
	m := all[n-1]
	return off + m[0], off + m[1], true, nil
}

func (r *re2) IndexOf(_ context.Context, start, occurrence int, endIndex bool) (int, error) {
	lo, hi, ok, err := r.find(start, occurrence)
	if err != nil || !ok {
		return 0, err
	}
	if endIndex {
		lo = hi
	}
	return utf8.RuneCountInString(r.text[:lo]) + 1, nil
}

func (r *re2) Matches(_ context.Context, start, occurrence int) (bool, error) {
	if start <= 1 && occurrence <= 1 && r.re != nil && r.set {
		return r.re.MatchString(r.text), nil
	}
	_, _, ok, err := r.find(start, occurrence)
	return ok, err
}

func (r *re2) Substring(_ context.Context, start, occurrence int) (string, bool, error) {
	lo, hi, ok, err := r.find(start, occurrence)
	if err != nil || !ok {
		return "", false, err
	}
	return r.text[lo:hi], true, nil
}

func (r *re2) Replace(_ context.Context, replacement string, position, occurrence int) (string, error) {
	if r.re == nil {
		return "", ErrRegexNotYetSet
	}
	if !r.set {
		return "", ErrMatchNotYetSet
	}
	off := r.offset(position)
	text := r.text[off:]
	n := -1
	if occurrence > 0 {
		n = occurrence
	}
	var out strings.Builder
	out.WriteString(r.text[:off])
	last := 0
	for i, m := range r.re.FindAllStringSubmatchIndex(text, n) {
		if occurrence > 0 && i != occurrence-1 {
			continue
		}
		out.WriteString(text[last:m[0]])
		expand(&out, replacement, text, m)
		last = m[1]
	}
	out.WriteString(text[last:])
	return out.String(), nil
}

// expand writes the replacement: $n is the n-th group, a backslash makes the
// next character ordinary.
func expand(out *strings.Builder, replacement, text string, m []int) {
	for i := 0; i < len(replacement); i++ {
		c := replacement[i]
		switch {
		case c == '\\' && i+1 < len(replacement):
			i++
			out.WriteByte(replacement[i])
		case c == '$' && i+1 < len(replacement) && isDigit(replacement[i+1]):
			g := 0
			for i+1 < len(replacement) && isDigit(replacement[i+1]) {
				next := g*10 + int(replacement[i+1]-'0')
				if 2*next+1 >= len(m) && g > 0 {
					break
				}
				g = next
				i++
			}
			if 2*g+1 < len(m) && m[2*g] >= 0 {
				out.WriteString(text[m[2*g]:m[2*g+1]])
			}
		default:
			out.WriteByte(c)
		}
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (r *re2) StringBufferSize() uint32 { return 0 }

func (r *re2) Close() error { return nil }
