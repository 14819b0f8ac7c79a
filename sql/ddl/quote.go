package ddl

import "strings"

// QuoteName writes a name as SQL: in backticks where a parser would take it
// for something else, and as it is otherwise.
func QuoteName(name string) string {
	if isPlain(name) && !mustQuote[asciiLower(name)] {
		return name
	}
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// isPlain reports whether name has the form of a word in every MySQL parser:
// some take neither dollar signs nor letters beyond ASCII.
func isPlain(name string) bool {
	if name == "" || isDigit(name[0]) {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isWordByte(c) || c == '$' || c >= 0x80 {
			return false
		}
	}
	return true
}

var stringEscapes = strings.NewReplacer(
	`\`, `\\`, `'`, `''`, "\x00", `\0`, "\n", `\n`, "\r", `\r`, "\x1a", `\Z`)

// QuoteString writes text as a SQL string.
func QuoteString(text string) string { return "'" + stringEscapes.Replace(text) + "'" }

// unquote returns what a quoted name or a string stands for.
func unquote(text string) string {
	q := text[:1]
	text = text[1 : len(text)-1]
	if q == "`" {
		return strings.ReplaceAll(text, "``", "`")
	}
	if !strings.ContainsAny(text, q+`\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
			b.WriteString(unescape(text[i]))
		case c == q[0]:
			i++ // it is there twice
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape is what a backslash and c stand for. The wildcards of LIKE keep
// their backslash: it is LIKE that reads it.
func unescape(c byte) string {
	switch c {
	case '0':
		return "\x00"
	case 'b':
		return "\b"
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case 'Z':
		return "\x1a"
	case '%', '_':
		return `\` + string(c)
	}
	return string([]byte{c})
}

func asciiLower(s string) string { return strings.Map(lowerRune, s) }
func asciiUpper(s string) string { return strings.Map(upperRune, s) }

func lowerRune(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

func upperRune(r rune) rune {
	if 'a' <= r && r <= 'z' {
		return r - 'a' + 'A'
	}
	return r
}
