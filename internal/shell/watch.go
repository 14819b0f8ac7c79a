package shell

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"weir/internal/terminal"
)

const (
	// watchRows is how many rows of an answer are kept; the others are counted.
	watchRows = 1000
	// watchLeast keeps a slip of the finger from loading the server.
	watchLeast = 100 * time.Millisecond
)

// Control sequences of a screen that is drawn over and over.
const (
	screenOpen  = "\x1b[?1049h\x1b[?25l\x1b[?7l" // another screen, no cursor, no wrapping
	screenClose = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	screenHome  = "\x1b[H"
	lineRest    = "\x1b[K"
	screenRest  = "\x1b[J"
)

// A snapshot is an answer that was kept.
type snapshot struct {
	cols  []column
	rows  [][]cell // the first watchRows
	total int
}

func (s *snapshot) begin(cols []column) error {
	*s = snapshot{cols: cols}
	return nil
}

func (s *snapshot) row(cells []cell) error {
	if s.total++; len(s.rows) == watchRows {
		return nil
	}
	kept := make([]cell, len(cells))
	for i, c := range cells {
		kept[i] = bytes.Clone(c)
	}
	s.rows = append(s.rows, kept)
	return nil
}

func (s *snapshot) end() error { return nil }

// watch repeats a statement until there is an interrupt. The argument is an
// interval and the statement; without a statement it is the one that was begun.
func (sh *shell) watch(ctx context.Context, arg string) error {
	interval, text, err := watchArgument(arg)
	if err != nil {
		return err
	}
	if text == "" {
		text = sh.split.end(false).text
	}
	if text == "" {
		return errors.New(`there is no statement to repeat: SELECT … \watch 1s`)
	}
	w := &watcher{sh: sh, text: text, interval: interval, live: terminal.Is(sh.cfg.Stdout)}
	return w.run(ctx)
}

func watchArgument(arg string) (interval time.Duration, text string, err error) {
	first, text, _ := strings.Cut(arg, " ")
	if first == "" {
		return time.Second, "", nil
	}
	interval, err = time.ParseDuration(first)
	if seconds, plain := strconv.ParseFloat(first, 64); plain == nil {
		interval, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || interval < watchLeast {
		return 0, "", fmt.Errorf("%q is no interval of at least %v: give one such as 1s or 500ms", first, watchLeast)
	}
	return interval, text, nil
}

// A watcher shows a statement's answers over and over.
type watcher struct {
	sh       *shell
	text     string
	interval time.Duration
	live     bool // in place; elsewhere each answer that differs is printed

	now, last *snapshot // last is nil before the second answer
	answer    answer
	trouble   error // of the latest try
	shown     string
}

func (w *watcher) run(ctx context.Context) error {
	sh := w.sh
	resized := make(chan os.Signal, 1)
	if w.live {
		signal.Notify(resized, resizeSignals...)
		defer signal.Stop(resized)
	}
	sh.calm()
	open := false
	defer func() {
		if open {
			_, _ = io.WriteString(sh.cfg.Stdout, screenClose)
			if w.now != nil { // the latest stays
				_ = w.print(sh.out)
				_ = sh.out.Flush()
			}
		}
	}()
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for {
		interrupted, err := w.ask(ctx)
		switch {
		case interrupted || ctx.Err() != nil:
			return nil
		case err != nil && w.now == nil: // it never worked
			return err
		}
		if w.live && !open {
			open = true
			_, _ = io.WriteString(sh.cfg.Stdout, screenOpen)
		}
		for drawn := false; !drawn; {
			if err := w.draw(); err != nil {
				return err
			}
			select {
			case <-tick.C:
				drawn = true
			case <-resized:
			case <-sh.cfg.Interrupts:
				return nil
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// ask gets the next answer. An error is the trouble that is shown beside the
// latest.
func (w *watcher) ask(ctx context.Context) (interrupted bool, err error) {
	s := w.sh.s
	if s.conn == nil {
		if err = s.connect(ctx); err != nil {
			w.trouble = err
			return false, err
		}
	}
	next := new(snapshot)
	var a answer
	interrupted, err = s.interruptible(ctx, w.sh.cfg.Interrupts, func(ctx context.Context) (err error) {
		a, err = s.run(ctx, w.text, next)
		return err
	})
	if w.trouble = err; err != nil {
		if lost(err) || interrupted {
			s.disconnect()
		}
		return interrupted, err
	}
	w.last, w.now, w.answer = w.now, next, a
	return interrupted, nil
}

// draw shows the latest answer.
func (w *watcher) draw() error {
	if !w.live {
		return w.append()
	}
	_, height, err := term.GetSize(stdoutFd(w.sh.cfg.Stdout))
	if err != nil {
		height = 24
	}
	var b strings.Builder
	b.WriteString(screenHome)
	for i, line := range w.lines(height) {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(line + plain + lineRest)
	}
	b.WriteString(screenRest)
	_, err = io.WriteString(w.sh.cfg.Stdout, b.String())
	return err
}

func stdoutFd(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		return int(f.Fd())
	}
	return -1
}

// lines are those of the screen.
func (w *watcher) lines(height int) []string {
	d := compare(w.last, w.now)
	head := fmt.Sprintf("Every %v: %s", w.interval, shown(cell(strings.Join(strings.Fields(w.text), " "))))
	lines := []string{w.paint(bold, head), w.paint(dim, w.status(d)), ""}
	if w.trouble != nil {
		lines[1] = w.paint(red, errorText(w.trouble)+": trying again; this is the answer before")
	}
	table := w.table(d)
	if room := height - len(lines); len(table) > room && room > 1 {
		hidden := len(table) - room + 1
		table = append(table[:room-1:room-1], w.paint(dim, fmt.Sprintf("… %d more lines: a LIMIT or a larger window shows them", hidden)))
	}
	return append(lines, table...)
}

// status tells how the answer differs from the one before.
func (w *watcher) status(d *difference) string {
	text := time.Now().Format(time.TimeOnly) + "  " + conclusion(w.answer, 0)
	for _, part := range []struct {
		n    int
		what string
	}{{d.changed, "changed"}, {d.added, "new"}, {d.gone, "gone"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	return text + "  (Ctrl-C ends)"
}

func (w *watcher) paint(color, text string) string {
	if !w.sh.color || text == "" {
		return text
	}
	return color + text + plain
}

// table draws the rows with marks: + before a row that is new, ~ before one
// that has changed, and colors for the values.
func (w *watcher) table(d *difference) []string {
	var text bytes.Buffer
	out := bufio.NewWriter(&text)
	t := &tablePrinter{w: out, names: true}
	_ = t.begin(w.now.cols)
	for _, row := range w.now.rows {
		_ = t.row(flat(row))
	}
	_ = t.end()
	_ = out.Flush()
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	if len(w.now.rows) == 0 {
		return []string{"  (no rows)"}
	}
	const head = 3 // a rule, the names, a rule
	for i := range lines {
		if n := i - head; n >= 0 && n < len(w.now.rows) {
			lines[i] = w.marked(lines[i], t.widths, d.rows[n])
		} else {
			lines[i] = "  " + lines[i]
		}
	}
	return lines
}

// flat keeps each row on one line.
func flat(row []cell) []cell {
	list := make([]cell, len(row))
	for i, c := range row {
		list[i] = c
		if bytes.ContainsRune(c, '\n') {
			list[i] = bytes.ReplaceAll(c, []byte("\n"), []byte("⏎"))
		}
	}
	return list
}

// marked paints what a row has of new.
func (w *watcher) marked(line string, widths []int, d rowDifference) string {
	switch {
	case d.added:
		return w.paint(green, "+ "+line)
	case d.cells == nil:
		return "  " + line
	case !w.sh.color:
		return "~ " + line
	}
	var b strings.Builder
	b.WriteString(yellow + "~ " + plain)
	rest := line
	for i, n := range widths { // each is "| " and the cell and " "
		var part string
		part, rest = cutWidth(rest, n+3)
		switch d.cells[i] {
		case same:
			b.WriteString(part)
		case up:
			b.WriteString("|" + green + bold + part[1:] + plain)
		case down:
			b.WriteString("|" + red + bold + part[1:] + plain)
		default:
			b.WriteString("|" + yellow + bold + part[1:] + plain)
		}
	}
	return b.String() + rest
}

// cutWidth cuts a text behind so many columns of the terminal.
func cutWidth(text string, n int) (head, tail string) {
	if len(text) >= n && width(text[:n]) == n && !strings.ContainsFunc(text[:n], func(r rune) bool { return r >= 0x80 }) {
		return text[:n], text[n:]
	}
	for i := range text {
		if width(text[:i]) >= n {
			return text[:i], text[i:]
		}
	}
	return text, ""
}

// append prints an answer behind the others if it differs from the one before.
func (w *watcher) append() error {
	sh := w.sh
	if w.trouble != nil {
		_, err := fmt.Fprintln(sh.cfg.Stderr, errorText(w.trouble))
		return err
	}
	var text bytes.Buffer
	out := bufio.NewWriter(&text)
	if err := w.print(out); err != nil {
		return err
	}
	_ = out.Flush()
	if text.String() == w.shown {
		return nil
	}
	w.shown = text.String()
	_, err := io.WriteString(sh.cfg.Stdout, w.shown)
	return err
}

// print prints the latest answer in the shell's format.
func (w *watcher) print(out *bufio.Writer) error {
	p := newPrinter(w.sh.format, out, w.sh.cfg.Names)
	if len(w.now.cols) == 0 {
		return nil
	}
	if err := p.begin(w.now.cols); err != nil {
		return err
	}
	for _, row := range w.now.rows {
		if err := p.row(row); err != nil {
			return err
		}
	}
	return p.end()
}

// A change is what has become of a value.
type change uint8

const (
	same change = iota
	up          // a number that is higher
	down
	other
)

type rowDifference struct {
	added bool
	cells []change // nil where all are the same
}

// A difference is what two answers differ in, with an entry for each row of the
// second.
type difference struct {
	rows                 []rowDifference
	changed, added, gone int
}

// compare finds the rows of one answer in the next by the values that name
// them. Without a first answer nothing has changed.
func compare(last, now *snapshot) *difference {
	d := &difference{rows: make([]rowDifference, len(now.rows))}
	if last == nil || len(last.cols) != len(now.cols) {
		return d
	}
	key := keyOf(last, now)
	before := make(map[string][]cell, len(last.rows))
	for _, row := range last.rows {
		before[keyText(row, key)] = row
	}
	for i, row := range now.rows {
		text := keyText(row, key)
		old, ok := before[text]
		if !ok {
			d.rows[i].added = true
			d.added++
			continue
		}
		delete(before, text)
		for n := range row {
			if c := changeOf(now.cols[n], old[n], row[n]); c != same {
				if d.rows[i].cells == nil {
					d.rows[i].cells = make([]change, len(row))
					d.changed++
				}
				d.rows[i].cells[n] = c
			}
		}
	}
	d.gone = len(before)
	return d
}

// keyOf returns the columns that tell the rows of both answers apart: as few as
// do, first those that are no numbers, since a group's name rarely is one and
// its counts always are. One row needs none.
func keyOf(last, now *snapshot) []int {
	var order []int
	for _, numeric := range []bool{false, true} {
		for i, c := range now.cols {
			if c.numeric == numeric {
				order = append(order, i)
			}
		}
	}
	for n := range order {
		if distinct(last.rows, order[:n]) && distinct(now.rows, order[:n]) {
			return order[:n]
		}
	}
	return order
}

func distinct(rows [][]cell, key []int) bool {
	seen := make(map[string]struct{}, len(rows))
	for _, row := range rows {
		seen[keyText(row, key)] = struct{}{}
	}
	return len(seen) == len(rows)
}

// keyText is different for keys that are.
func keyText(row []cell, key []int) string {
	var b strings.Builder
	for _, i := range key {
		if row[i] == nil {
			b.WriteString("-,")
			continue
		}
		fmt.Fprintf(&b, "%d:%s,", len(row[i]), row[i])
	}
	return b.String()
}

func changeOf(col column, old, now cell) change {
	if bytes.Equal(old, now) && (old == nil) == (now == nil) {
		return same
	}
	if a, ok := new(big.Float).SetString(string(old)); ok && col.numeric {
		if b, ok := new(big.Float).SetString(string(now)); ok {
			if a.Cmp(b) < 0 {
				return up
			}
			return down
		}
	}
	return other
}
