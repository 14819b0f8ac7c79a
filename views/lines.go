package views

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"weir/views/column"
)

// regexFormat reads the named groups of a regular expression.
type regexFormat struct {
	re     *regexp.Regexp
	fields []lineField
}

// A lineField is a column that is a part of a line.
type lineField struct {
	col, part int
	set       setter
}

func newRegexFormat(d *decoder) (*regexFormat, error) {
	def := d.plan.Def
	if def.Pattern == "" {
		return nil, &DefinitionError{Option: "format", Err: errors.New("regex needs a pattern with named groups: pattern = '^(?P<ip>\\S+) …'")}
	}
	re, err := regexp.Compile(def.Pattern)
	if err != nil {
		return nil, &DefinitionError{Option: "pattern", Err: fmt.Errorf("%w (the syntax is Go's, without look-around)", err)}
	}
	f := &regexFormat{re: re}
	f.fields, err = lineFields(d, func(name string) (int, error) {
		if n := re.SubexpIndex(name); n >= 0 {
			return n, nil
		}
		return 0, fmt.Errorf("the pattern has no group (?P<%s>…); it has %s", name, quoteList(re.SubexpNames()))
	})
	return f, err
}

func quoteList(names []string) string {
	names = slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "" })
	if len(names) == 0 {
		return "no named groups"
	}
	return strings.Join(names, ", ")
}

// lineFields finds the part of each column that is read; part says where it is.
func lineFields(d *decoder, part func(name string) (int, error)) ([]lineField, error) {
	var fields []lineField
	for i := range d.plan.Def.Columns {
		c := &d.plan.Def.Columns[i]
		if c.Generated != "" {
			continue
		}
		n, err := part(strings.TrimPrefix(c.Source(), "$."))
		if err != nil {
			return nil, &DefinitionError{Column: c.Name, Err: err}
		}
		set, err := newSetter(c, d.timeFormat(i))
		if err != nil {
			return nil, err
		}
		if d.needed[i] {
			fields = append(fields, lineField{col: i, part: n, set: set})
		}
	}
	return fields, nil
}

func (f *regexFormat) row(_ *decoder, b *column.Batch, i int, payload []byte) (string, bool) {
	line := text(trimEOL(payload))
	m := f.re.FindStringSubmatchIndex(line)
	if m == nil {
		return "the event does not match the stream's pattern", false
	}
	for k := range f.fields {
		field := &f.fields[k]
		v := b.Cols[field.col]
		start, end := m[2*field.part], m[2*field.part+1]
		if start < 0 || !field.set.text(v, i, line[start:end]) {
			v.SetNull(i, b.Len)
		}
	}
	return "", true
}

func trimEOL(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

// The parts of a line in combined log format.
const (
	partIP = iota
	partIdent
	partUser
	partTime
	partRequest
	partMethod
	partTarget
	partProtocol
	partStatus
	partBytes
	partReferer
	partAgent
	combinedParts
)

// combinedNames are the names under which a column finds its part. The first
// of each part is the one that errors suggest.
var combinedNames = [combinedParts][]string{
	partIP:       {"ip", "host", "remote_addr", "remote_host", "client", "client_ip", "clientip"},
	partIdent:    {"ident", "logname", "remote_logname"},
	partUser:     {"user", "auth", "remote_user"},
	partTime:     {"ts", "time", "timestamp", "time_local", "event_time"},
	partRequest:  {"request"},
	partMethod:   {"method", "verb", "request_method"},
	partTarget:   {"target", "uri", "url", "request_uri"},
	partProtocol: {"protocol", "http_version"},
	partStatus:   {"status", "code", "response"},
	partBytes:    {"bytes", "size", "body_bytes_sent"},
	partReferer:  {"referer", "referrer", "http_referer"},
	partAgent:    {"agent", "user_agent", "useragent", "http_user_agent"},
}

// combinedTime is how the combined log format writes times.
const combinedTime = "02/Jan/2006:15:04:05 -0700"

// combinedFormat reads the combined log format of Apache and nginx:
//
//	ip ident user [time] "method target protocol" status bytes "referer" "agent"
//
// A part that is only - is NULL.
type combinedFormat struct {
	fields []lineField
	parts  [combinedParts]string
}

func newCombinedFormat(d *decoder) (*combinedFormat, error) {
	f := &combinedFormat{}
	var err error
	f.fields, err = lineFields(d, func(name string) (int, error) {
		for part, names := range combinedNames {
			if slices.Contains(names, strings.ToLower(name)) {
				return part, nil
			}
		}
		var known []string
		for _, names := range combinedNames {
			known = append(known, names[0])
		}
		return 0, fmt.Errorf("the combined log format has no field %s; it has %s (say which with PATH)", name, strings.Join(known, ", "))
	})
	for k := range f.fields {
		c := &d.plan.Def.Columns[f.fields[k].col]
		if f.fields[k].part == partTime && c.Type.Kind == column.Time && d.timeFormat(f.fields[k].col) == "" {
			f.fields[k].set, err = newSetter(c, combinedTime)
		}
	}
	return f, err
}

func (f *combinedFormat) row(_ *decoder, b *column.Batch, i int, payload []byte) (string, bool) {
	if !f.split(text(trimEOL(payload))) {
		return "the event is not a line of the combined log format", false
	}
	for k := range f.fields {
		field := &f.fields[k]
		v := b.Cols[field.col]
		if s := f.parts[field.part]; s == "-" || !field.set.text(v, i, s) {
			v.SetNull(i, b.Len)
		}
	}
	return "", true
}

// split finds the parts of a line and says whether it has them all.
func (f *combinedFormat) split(line string) bool {
	p := lineScanner{rest: line, ok: true}
	f.parts[partIP] = p.word()
	f.parts[partIdent] = p.word()
	f.parts[partUser] = p.word()
	f.parts[partTime] = p.bracketed()
	f.parts[partRequest] = p.quoted()
	f.parts[partStatus] = p.word()
	f.parts[partBytes] = p.word()
	f.parts[partReferer] = p.quoted()
	f.parts[partAgent] = p.quoted()
	if !p.ok || strings.TrimSpace(p.rest) != "" || !digits(f.parts[partStatus], 3) {
		return false
	}
	if s := f.parts[partBytes]; s != "-" && !digits(s, len(s)) {
		return false
	}
	method, after, _ := strings.Cut(f.parts[partRequest], " ")
	target, protocol, _ := strings.Cut(after, " ")
	f.parts[partMethod], f.parts[partTarget], f.parts[partProtocol] = method, target, protocol
	if target == "" {
		f.parts[partTarget] = "-"
	}
	if protocol == "" {
		f.parts[partProtocol] = "-"
	}
	return true
}

func digits(s string, n int) bool {
	if len(s) != n || n == 0 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// A lineScanner takes parts off the front of a line.
type lineScanner struct {
	rest string
	ok   bool
}

// take returns the part before end and skips end and one space.
func (p *lineScanner) take(end int, skip int) string {
	if end < 0 || !p.ok {
		p.ok = false
		return ""
	}
	s := p.rest[:end]
	p.rest = strings.TrimPrefix(p.rest[end+skip:], " ")
	return s
}

func (p *lineScanner) word() string {
	end := strings.IndexByte(p.rest, ' ')
	if end == 0 {
		end = -1
	}
	return p.take(end, 1)
}

func (p *lineScanner) bracketed() string {
	if !p.open('[') {
		return ""
	}
	return p.take(strings.IndexByte(p.rest, ']'), 1)
}

// quoted takes a text in double quotes, in which \ escapes the next character.
func (p *lineScanner) quoted() string {
	if !p.open('"') {
		return ""
	}
	for i := 0; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '\\':
			i++
		case '"':
			return p.take(i, 1)
		}
	}
	p.ok = false
	return ""
}

func (p *lineScanner) open(c byte) bool {
	if !p.ok || p.rest == "" || p.rest[0] != c {
		p.ok = false
		return false
	}
	p.rest = p.rest[1:]
	return true
}
