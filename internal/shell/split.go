package shell

import "strings"

// An item is what the splitter has cut from the input: a statement, or a
// command of the shell.
type item struct {
	text     string // the statement, or the argument of the command
	command  string // the command's long name; "" for a statement
	vertical bool   // the statement ended with \G
	line     int    // where it began, from 1
}

// A splitter cuts lines into items. It knows quotes and comments as MySQL does,
// so that a delimiter or a backslash in one of them means nothing.
type splitter struct {
	delimiter string

	text  strings.Builder // of the statement so far
	begun bool            // text holds more than space and comments
	in    byte            // the quote that is open, '*' in a comment, or 0
	line  int             // lines read
	from  int             // the line that the statement began in
	opens int             // the line that in was opened in
}

func newSplitter() *splitter { return &splitter{delimiter: ";"} }

// reset forgets the statement so far.
func (s *splitter) reset() {
	s.text.Reset()
	s.begun, s.in = false, 0
}

// pending reports whether a statement has begun.
func (s *splitter) pending() bool { return s.begun || s.in != 0 }

// feed takes the next line, without its end, and returns what is complete.
func (s *splitter) feed(line string) []item {
	s.line++
	var items []item
	fresh := true // nothing of the line was read, or just a delimiter
	for i := 0; i < len(line); {
		if s.in != 0 {
			i = s.inside(line, i)
			continue
		}
		if fresh && !s.pending() && line[i] > ' ' {
			if name, arg, n, ok := s.wordCommand(line[i:]); ok {
				s.text.Reset()
				items = append(items, s.command(name, arg))
				i += n
				continue
			}
		}
		fresh = fresh && line[i] <= ' '
		switch c := line[i]; {
		case strings.HasPrefix(line[i:], s.delimiter):
			i += len(s.delimiter)
			fresh = true
			items = append(items, s.end(false))
		case c == '\\' && i+1 < len(line):
			name, arg, next := backslash(line, i)
			i = next
			switch name {
			case "ego", "go":
				items = append(items, s.end(name == "ego"))
			case "clear":
				s.reset()
				items = append(items, s.command(name, ""))
			case "":
				s.take(line[i-2:i], true)
			default:
				items = append(items, s.command(name, arg))
			}
		case c == '\'' || c == '"' || c == '`':
			s.open(c)
			s.take(line[i:i+1], true)
			i++
		case c == '#' || strings.HasPrefix(line[i:], "--") && (i+2 == len(line) || line[i+2] <= ' '):
			s.take(line[i:], false)
			i = len(line)
		case strings.HasPrefix(line[i:], "/*"):
			executable := strings.HasPrefix(line[i:], "/*!") || strings.HasPrefix(line[i:], "/*+")
			s.open('*')
			s.take("/*", executable)
			i += 2
		default:
			s.take(line[i:i+1], c != ' ' && c != '\t' && c != '\r')
			i++
		}
	}
	if s.pending() {
		s.text.WriteByte('\n')
	}
	return items
}

// rest returns the statement that the end of the input ends.
func (s *splitter) rest() (item, bool) {
	if !s.begun || strings.TrimSpace(s.text.String()) == "" {
		return item{}, false
	}
	return s.end(false), true
}

func (s *splitter) open(what byte) { s.in, s.opens = what, s.line }

// inside reads on in a quote or a comment, and returns where it stopped.
func (s *splitter) inside(line string, i int) int {
	if s.in == '*' {
		end := strings.Index(line[i:], "*/")
		if end < 0 {
			s.text.WriteString(line[i:])
			return len(line)
		}
		s.text.WriteString(line[i : i+end+2])
		s.in = 0
		return i + end + 2
	}
	n := 1
	switch c := line[i]; {
	case c == '\\' && s.in != '`' && i+1 < len(line):
		n = 2
	case c == s.in && i+1 < len(line) && line[i+1] == c: // it stands for one of itself
		n = 2
	case c == s.in:
		s.in = 0
	}
	s.text.WriteString(line[i : i+n])
	return i + n
}

// take adds to the statement. It begins with the first text that counts; what
// was before, space and comments, is dropped.
func (s *splitter) take(text string, counts bool) {
	if counts && !s.begun {
		s.begun, s.from = true, s.line
		s.text.Reset()
	}
	s.text.WriteString(text)
}

// end cuts the statement off.
func (s *splitter) end(vertical bool) item {
	it := item{text: strings.TrimSpace(s.text.String()), vertical: vertical, line: s.from}
	if !s.begun {
		it.text, it.line = "", s.line
	}
	s.reset()
	return it
}

// command makes an item. The delimiter is the splitter's own affair as well.
func (s *splitter) command(name, arg string) item {
	if name == "delimiter" && arg != "" && !strings.Contains(arg, `\`) {
		s.delimiter, _, _ = strings.Cut(arg, " ")
	}
	return item{command: name, text: arg, line: s.line}
}

// A command is one of the shell's own.
type command struct {
	name  string // at the beginning of a statement
	short byte   // after a backslash, anywhere; 0 for none
	takes string // its argument, for the help
	help  string
}

var commands = []command{
	{"?", '?', "", "the same as help"},
	{"clear", 'c', "", "forget the statement that was begun"},
	{"delimiter", 'd', "text", "end statements with text"},
	{"ego", 'G', "", "end the statement, and show each row as a list"},
	{"exit", 'q', "", "leave; so does Ctrl-D"},
	{"format", 'F', "name", "show rows as " + strings.Join(Formats, ", ")},
	{"go", 'g', "", "end the statement"},
	{"help", 'h', "", "show this"},
	{"nopager", 'n', "", "show results as they are"},
	{"nowarning", 'w', "", "only count warnings"},
	{"pager", 'P', "command", "show results through a command; without one through $PAGER"},
	{"print", 'p', "", "show the statement that was begun"},
	{"quit", 'q', "", "leave"},
	{"rehash", '#', "", "learn again which names there are, for completion"},
	{"source", '.', "file", "run the statements of a file"},
	{"status", 's', "", "show what this is connected to"},
	{"use", 'u', "database", "make a database the current one"},
	{"warnings", 'W', "", "show warnings after each statement"},
	{"watch", 0, "1s", `end the statement, and repeat it each second: SELECT … \watch 1s`},
}

// wordCommand reports whether a line begins with one of the commands that are
// words, and how much of the line that takes, with the delimiter behind it.
func (s *splitter) wordCommand(line string) (name, arg string, n int, ok bool) {
	if word, arg, _ := strings.Cut(line, " "); strings.EqualFold(word, "delimiter") {
		return "delimiter", strings.TrimSpace(arg), len(line), true
	}
	text, _, ended := strings.Cut(line, s.delimiter)
	if n = len(text); ended {
		n += len(s.delimiter)
	}
	word, arg, _ := strings.Cut(strings.TrimSpace(text), " ")
	arg = strings.TrimSpace(arg)
	for _, c := range commands {
		if !strings.EqualFold(c.name, word) || c.name == "watch" {
			continue
		}
		if arg != "" && c.takes == "" && c.name != "help" { // no command, so perhaps a statement
			return "", "", 0, false
		}
		return long(c), arg, n, true
	}
	return "", "", 0, false
}

// long is the name that the shell goes by: some commands have two.
func long(c command) string {
	switch c.name {
	case "?":
		return "help"
	case "exit":
		return "quit"
	}
	return c.name
}

// backslash reads the command at line[i], a backslash, and returns its name, its
// argument and where the line goes on. There is no name for what is no command.
func backslash(line string, i int) (name, arg string, next int) {
	rest := line[i+1:]
	if word, tail, _ := strings.Cut(rest, " "); strings.TrimRight(word, ";") == "watch" {
		return "watch", strings.TrimRight(strings.TrimSpace(tail), "; "), len(line)
	}
	for _, c := range commands {
		if c.short == 0 || c.short != rest[0] {
			continue
		}
		if c.takes == "" {
			return long(c), "", i + 2
		}
		return long(c), strings.TrimRight(strings.TrimSpace(rest[1:]), "; "), len(line)
	}
	return "", "", i + 2
}
