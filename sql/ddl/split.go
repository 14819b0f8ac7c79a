package ddl

import "strings"

// A Part is one statement of a script.
type Part struct {
	Text string // without the semicolon, and without space and comments around it
	Line int    // where Text begins, from 1
	Pos  int    // in bytes, from 0: NewError(script, Pos+err.Pos, err.Msg) is an error of the script
}

// Split cuts a script into its statements, at the semicolons that are in no
// quotes and no comment. A part of nothing but space and comments is dropped;
// executable comments count as statements. An error is always an *Error.
func Split(script string) ([]Part, error) {
	s := newScanner(script)
	var parts []Part
	start, last := -1, 0  // of the current part; -1 before its first token
	line, counted := 1, 0 // the line of byte counted
	for {
		t := s.next()
		switch {
		case t.kind == broken:
			return nil, NewError(script, t.pos, unclosed(script[t.pos]))
		case t.kind == end || t.kind == symbol && script[t.pos] == ';':
			if start >= 0 {
				line += strings.Count(script[counted:start], "\n")
				counted = start
				parts = append(parts, Part{script[start:last], line, start})
			}
			if t.kind == end {
				return parts, nil
			}
			start = -1
		default:
			if start < 0 {
				start = t.pos
			}
			last = t.end
		}
	}
}
