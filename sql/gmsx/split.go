package gmsx

import "strings"

// splitStatement cuts the first statement off query. It knows strings, quoted
// names and comments, so that a ';' in one of them ends nothing. It does not
// know compound statements, whose BEGIN … END the engine's parser cuts itself.
func splitStatement(query string) (first, rest string) {
	for i := 0; i < len(query); {
		switch c := query[i]; {
		case c == ';':
			return query[:i], query[i+1:]
		case c == '\'' || c == '"' || c == '`':
			i = skipQuoted(query, i)
		default:
			if n := skipComment(query, i); n > i {
				i = n
			} else {
				i++
			}
		}
	}
	return query, ""
}

// skipQuoted returns the index after the string or quoted name at i.
func skipQuoted(s string, i int) int {
	quote := s[i]
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if quote != '`' {
				i++
			}
		case quote:
			if i+1 >= len(s) || s[i+1] != quote {
				return i + 1
			}
			i++
		}
	}
	return len(s)
}

// skipComment returns the index after the comment at i, or i if there is none.
func skipComment(s string, i int) int {
	switch {
	case s[i] == '#':
	case strings.HasPrefix(s[i:], "--") && (i+2 == len(s) || s[i+2] <= ' '):
	case strings.HasPrefix(s[i:], "/*"):
		if end := strings.Index(s[i+2:], "*/"); end >= 0 {
			return i + 2 + end + 2
		}
		return len(s)
	default:
		return i
	}
	if end := strings.IndexByte(s[i:], '\n'); end >= 0 {
		return i + end + 1
	}
	return len(s)
}

// trimComments cuts white space and comments off the front. What MySQL
// executes in /*! … */ is a comment here; no statement of ours is written so.
func trimComments(s string) string {
	for s != "" {
		switch n := skipComment(s, 0); {
		case n > 0:
			s = s[n:]
		case s[0] == ' ' || s[0] == '\t' || s[0] == '\n' || s[0] == '\r':
			s = s[1:]
		default:
			return s
		}
	}
	return s
}
