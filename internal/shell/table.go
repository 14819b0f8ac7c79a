package shell

import (
	"bufio"
	"bytes"
	"strings"

	"github.com/mattn/go-runewidth"
)

// tableRows is how many rows a table looks at for the widths of its columns. A
// value of a later row that is wider moves what is to the right of it.
const tableRows = 1000

// A tablePrinter draws the mysql client's tables.
type tablePrinter struct {
	w     *bufio.Writer
	names bool

	cols   []column
	widths []int
	first  [][]cell // until the widths are known
	drawn  bool     // the widths are, and the head is drawn
	rows   int
}

func (p *tablePrinter) begin(cols []column) error {
	p.cols, p.widths = cols, make([]int, len(cols))
	if p.names {
		for i, c := range cols {
			p.widths[i] = width(title(c.name))
		}
	}
	return nil
}

func (p *tablePrinter) row(cells []cell) error {
	p.rows++
	if p.drawn {
		return p.draw(cells)
	}
	kept := make([]cell, len(cells))
	for i, c := range cells {
		kept[i] = bytes.Clone(c)
		for line := range strings.SplitSeq(shown(c), "\n") {
			p.widths[i] = max(p.widths[i], width(line))
		}
	}
	if p.first = append(p.first, kept); len(p.first) == tableRows {
		return p.drawFirst()
	}
	return nil
}

func (p *tablePrinter) end() error {
	if !p.drawn {
		if err := p.drawFirst(); err != nil {
			return err
		}
	}
	if p.rows == 0 {
		return nil
	}
	return p.rule()
}

func (p *tablePrinter) drawFirst() error {
	p.drawn = true
	if p.rows > 0 {
		if err := p.rule(); err != nil {
			return err
		}
	}
	if p.names && p.rows > 0 {
		texts := make([]string, len(p.cols))
		for i, c := range p.cols {
			texts[i] = title(c.name)
		}
		_ = p.line(texts, nil) // the rule would fail as well
		if err := p.rule(); err != nil {
			return err
		}
	}
	for _, cells := range p.first {
		if err := p.draw(cells); err != nil {
			return err
		}
	}
	p.first = nil
	return nil
}

// draw draws a row, of as many lines as its tallest cell has.
func (p *tablePrinter) draw(cells []cell) error {
	texts := make([]string, len(cells))
	tall := false
	for i, c := range cells {
		texts[i] = shown(c)
		tall = tall || strings.Contains(texts[i], "\n")
	}
	if !tall {
		return p.line(texts, p.cols)
	}
	for more := true; more; {
		more = false
		now := make([]string, len(texts))
		for i, text := range texts {
			var rest bool
			now[i], texts[i], rest = strings.Cut(text, "\n")
			more = more || rest
		}
		if err := p.line(now, p.cols); err != nil {
			return err
		}
	}
	return nil
}

// line draws cells of one line. Those of numeric columns stand on the right;
// without columns none does.
func (p *tablePrinter) line(texts []string, cols []column) error {
	for i, text := range texts {
		_, _ = p.w.WriteString("| ")
		space := max(0, p.widths[i]-width(text))
		if cols != nil && cols[i].numeric {
			p.spaces(space)
			space = 0
		}
		_, _ = p.w.WriteString(text)
		p.spaces(space + 1)
	}
	_, err := p.w.WriteString("|\n")
	return err
}

func (p *tablePrinter) spaces(n int) {
	for range n {
		_ = p.w.WriteByte(' ')
	}
}

func (p *tablePrinter) rule() error {
	for _, n := range p.widths {
		_ = p.w.WriteByte('+')
		for range n + 2 {
			_ = p.w.WriteByte('-')
		}
	}
	_, err := p.w.WriteString("+\n")
	return err
}

// width is how many columns of a terminal a text takes.
func width(text string) int {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return runewidth.StringWidth(text)
		}
	}
	return len(text)
}
