package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/ergochat/readline"
)

// historySize is how many entries the history keeps.
const historySize = 5000

// Control sequences.
const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	dim    = "\x1b[2m"
	plain  = "\x1b[0m"
)

// interactive reads statements from a terminal.
func (sh *shell) interactive(ctx context.Context) error {
	sh.words = newWords(ctx, sh.s.db)
	defer sh.words.close()
	editor, err := sh.newEditor(ctx)
	if err != nil {
		return err
	}
	defer editor.Close()
	defer context.AfterFunc(ctx, func() { _ = editor.Close() })() // ends ReadLine

	fmt.Fprintf(sh.cfg.Stdout, "Connected to %s at %s. Statements end with ; or \\G.\nhelp shows the commands, Tab completes, Ctrl-D leaves.\n\n",
		sh.s.version, sh.s.cfg.Addr)
	var typed []string // the lines of the statement
	for !sh.stop && ctx.Err() == nil {
		editor.SetPrompt(sh.prompt())
		line, err := editor.ReadLine()
		_ = editor.SaveToHistory("") // so that the next arrow begins at the latest again
		switch {
		case errors.Is(err, readline.ErrInterrupt):
			sh.split.reset()
			typed = nil
			continue
		case errors.Is(err, io.EOF):
			fmt.Fprintln(sh.cfg.Stdout, "Bye")
			return nil
		case err != nil:
			return err
		}
		if typed = append(typed, line); strings.TrimSpace(line) == "" && !sh.split.pending() {
			typed = nil
		}
		items := sh.split.feed(line)
		if !sh.split.pending() {
			if entry := oneLine(strings.Join(typed, "\n")); !secret(entry) {
				_ = editor.SaveToHistory(entry) // a history that cannot be written is no reason to stop
			}
			typed = nil
		}
		sh.calm()
		for _, it := range items {
			if !sh.do(ctx, it) || sh.stop {
				break
			}
		}
	}
	return nil
}

// calm forgets an interrupt that came when nothing ran.
func (sh *shell) calm() {
	select {
	case <-sh.cfg.Interrupts:
	default:
	}
}

// prompt tells the database, or what a line goes on with.
func (sh *shell) prompt() string {
	name := sh.s.database
	if name == "" {
		name = "weir"
	}
	name = shown(cell(name))
	text := name + "> "
	if sh.split.pending() {
		sign := "->"
		switch sh.split.in {
		case 0:
		case '*':
			sign = "*>"
		default:
			sign = string(sh.split.in) + ">"
		}
		text = strings.Repeat(" ", max(0, width(name)-1)) + sign + " "
	}
	if sh.color {
		return bold + text + plain
	}
	return text
}

// history returns the file of the history, with nobody but the user able to
// read it, or "" where there cannot be one.
func (sh *shell) history() string {
	path := sh.cfg.History
	if path == "" || os.MkdirAll(filepath.Dir(path), 0o700) != nil {
		return ""
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return ""
	}
	_ = f.Close()
	return path
}

// Do is called by the editor when Tab was pressed.
func (sh *shell) Do(line []rune, pos int) (suffixes [][]rune, length int) {
	before := string(line[:pos])
	if strings.TrimSpace(before) == "" { // a tab within what was pasted
		return [][]rune{[]rune("    ")}, 0
	}
	n := sh.words.get()
	list, typed := completions(sh.split.text.String()+before, sh.s.database, &n)
	for _, c := range list {
		suffixes = append(suffixes, []rune(c[len(typed):]))
	}
	return suffixes, utf8.RuneCountInString(typed)
}

// secret reports whether a line may hold a password, which no file keeps.
func secret(line string) bool {
	upper := strings.ToUpper(line)
	return strings.Contains(upper, "IDENTIFIED") || strings.Contains(upper, "PASSWORD")
}

// oneLine returns a statement of many lines as one that means the same.
func oneLine(text string) string {
	s := newSplitter()
	s.delimiter = "\x00"
	var b strings.Builder
	for i := 0; i < len(text); {
		c := text[i]
		end := i + 1
		switch {
		case c == '\n':
			for end < len(text) && (text[end] == ' ' || text[end] == '\t' || text[end] == '\n') {
				end++
			}
			b.WriteByte(' ')
		case c == '#' || strings.HasPrefix(text[i:], "-- "):
			if line := strings.IndexByte(text[i:], '\n'); line >= 0 {
				end = i + line
				b.WriteString("/*" + strings.ReplaceAll(strings.TrimLeft(text[i:end], "#-"), "*/", "* /") + " */")
			} else {
				end = len(text)
				b.WriteString(text[i:])
			}
		case c == '\'' || c == '"' || c == '`' || strings.HasPrefix(text[i:], "/*"):
			if s.in = c; c == '/' {
				s.in, end = '*', i+2
			}
			for end < len(text) && s.in != 0 {
				end = s.inside(text, end)
			}
			line := " "
			if c == '\'' || c == '"' {
				line = `\n`
			}
			b.WriteString(strings.ReplaceAll(text[i:end], "\n", line))
			s.in = 0
		default:
			b.WriteByte(c)
		}
		i = end
	}
	return b.String()
}
