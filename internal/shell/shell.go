package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/term"

	"weir/internal/terminal"
)

// A Config says what to run, and where.
type Config struct {
	Server     *mysql.Config
	Statements []string      // to run, and nothing else; without any, what Stdin has
	Format     string        // one of Formats, or "" for a table on a terminal and tsv elsewhere
	Watch      time.Duration // repeats the last of Statements so often; 0 runs it once
	Names      bool          // of columns stand above the rows
	Force      bool          // an error does not end the run
	Pager      string        // a command that results on a terminal go through; "" for none
	History    string        // the file that keeps what was typed; "" keeps none

	Stdin      *os.File
	Stdout     io.Writer
	Stderr     io.Writer
	Interrupts <-chan os.Signal // one for each Ctrl-C; what a statement does not take ends the shell
}

// ErrFailed says that a statement has failed, which the user was told.
var ErrFailed = errors.New("a statement failed")

// A shell is one run.
type shell struct {
	cfg      Config
	s        *session
	out      *bufio.Writer
	format   string
	pager    string
	reads    bool // somebody reads along: there are prompts and times
	warn     bool // warnings are shown, and not only counted
	color    bool
	split    *splitter
	words    *words // nil where nobody completes
	sourcing int    // how many files are being read, one within the other
	file     string // the innermost
	results  int    // printed so far
	stop     bool
}

// Run runs statements until there are no more, or ctx is done. An error was not
// yet shown, unless it is ErrFailed.
func Run(ctx context.Context, cfg Config) error {
	sh := &shell{
		cfg: cfg, out: bufio.NewWriterSize(cfg.Stdout, 1<<16), format: cfg.Format, pager: cfg.Pager,
		split: newSplitter(), color: terminal.Colors(cfg.Stdout),
	}
	sh.reads = len(cfg.Statements) == 0 && term.IsTerminal(int(cfg.Stdin.Fd())) && term.IsTerminal(stdoutFd(cfg.Stdout))
	if sh.format == "" {
		sh.format = "tsv"
		if term.IsTerminal(stdoutFd(cfg.Stdout)) && (sh.reads || len(cfg.Statements) > 0) {
			sh.format = "table"
		}
	}
	if err := sh.open(ctx); err != nil {
		return err
	}
	defer sh.s.close()
	switch {
	case len(cfg.Statements) > 0:
		return sh.given(ctx)
	case sh.reads:
		return sh.interactive(ctx)
	}
	return sh.script(ctx, cfg.Stdin)
}

// accessDenied is the server's error for a password that is wrong or missing.
const accessDenied = 1045

// open connects, and asks for the password that it lacks.
func (sh *shell) open(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-sh.cfg.Interrupts:
			cancel()
		case <-done:
		}
	})
	defer watching.Wait()
	defer close(done)
	defer cancel()
	sh.s, err = open(ctx, sh.cfg.Server)
	var denied *mysql.MySQLError
	if !errors.As(err, &denied) || denied.Number != accessDenied || sh.cfg.Server.Passwd != "" ||
		!term.IsTerminal(int(sh.cfg.Stdin.Fd())) {
		return openError(sh.cfg.Server, err)
	}
	password, err := readPassword(ctx, sh.cfg.Stdin, sh.cfg.Stderr, fmt.Sprintf("Password of %s: ", sh.cfg.Server.User))
	if err != nil {
		return err
	}
	sh.cfg.Server = sh.cfg.Server.Clone()
	sh.cfg.Server.Passwd = password
	sh.s, err = open(ctx, sh.cfg.Server)
	return openError(sh.cfg.Server, err)
}

// readPassword reads a line that is not shown: the terminal is told so before
// the prompt asks for it. When ctx is done, what reads it is left behind: the
// shell is about to end.
func readPassword(ctx context.Context, in *os.File, out io.Writer, prompt string) (string, error) {
	fd := int(in.Fd())
	state, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(fd, state) }()
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		console := struct {
			io.Reader
			io.Writer
		}{in, out}
		text, err := term.NewTerminal(console, "").ReadPassword(prompt)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		if errors.Is(l.err, io.EOF) { // Ctrl-C, or Ctrl-D
			l.err = errors.New("interrupted")
		}
		return l.text, l.err
	case <-ctx.Done():
		return "", errors.New("interrupted")
	}
}

func openError(server *mysql.Config, err error) error {
	var said *mysql.MySQLError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said) && said.Number == accessDenied && server.Passwd == "":
		return fmt.Errorf("%s: give the password in WEIR_PASSWORD", errorText(err))
	case errors.As(err, &said):
		return errors.New(errorText(err))
	}
	return fmt.Errorf("connect to %s: %w: is weir serve running there? --data or --host and --port say where", server.Addr, err)
}

// given runs the statements of the command line.
func (sh *shell) given(ctx context.Context) error {
	var items []item
	for _, text := range sh.cfg.Statements {
		sh.split.line = 0
		for line := range strings.SplitSeq(text, "\n") {
			items = append(items, sh.split.feed(strings.TrimSuffix(line, "\r"))...)
		}
		if err := sh.unclosed(); err != nil {
			return err
		}
		if it, ok := sh.split.rest(); ok {
			items = append(items, it)
		}
		sh.split.reset()
	}
	if sh.cfg.Watch > 0 {
		if len(items) == 0 {
			return errors.New("--watch repeats a statement: give one")
		}
		last := len(items) - 1
		items[last].command, items[last].text = "watch", sh.cfg.Watch.String()+" "+items[last].text
	}
	failed := false
	for _, it := range items {
		it.line = 0 // where it stands helps nobody
		if !sh.do(ctx, it) {
			failed = true
			if !sh.cfg.Force {
				break
			}
		}
		if sh.stop || ctx.Err() != nil {
			break
		}
	}
	return result(failed)
}

func result(failed bool) error {
	if failed {
		return ErrFailed
	}
	return nil
}

// unclosed returns an error where the input ends in a quote or a comment.
func (sh *shell) unclosed() error {
	switch sh.split.in {
	case 0:
		return nil
	case '*':
		return fmt.Errorf("the comment that begins in line %d is never closed", sh.split.opens)
	}
	return fmt.Errorf("the %c that is opened in line %d is never closed", sh.split.in, sh.split.opens)
}

// script runs what a file has.
func (sh *shell) script(ctx context.Context, from io.Reader) error {
	outer := sh.split
	sh.split = newSplitter()
	sh.split.delimiter = outer.delimiter
	defer func() { sh.split = outer }()
	failed := false
	lines := bufio.NewReaderSize(from, 1<<16)
	for first := true; ; first = false {
		line, readErr := lines.ReadString('\n')
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return fmt.Errorf("read: %w", readErr)
		}
		var items []item
		if line != "" {
			if first {
				line = strings.TrimPrefix(line, "\uFEFF")
			}
			items = sh.split.feed(strings.TrimRight(line, "\r\n"))
		}
		if readErr != nil {
			if err := sh.unclosed(); err != nil {
				return err
			}
			if it, ok := sh.split.rest(); ok {
				items = append(items, it)
			}
		}
		for _, it := range items {
			if !sh.do(ctx, it) {
				failed = true
				if !sh.cfg.Force {
					return ErrFailed
				}
			}
			if sh.stop || ctx.Err() != nil {
				return result(failed)
			}
		}
		if readErr != nil {
			return result(failed)
		}
	}
}

// do does what an item says, and reports whether that succeeded. The user was
// told if it did not.
func (sh *shell) do(ctx context.Context, it item) bool {
	var err error
	switch {
	case it.command == "watch":
		err = sh.watch(ctx, it.text)
	case it.command != "":
		err = sh.command(ctx, it.command, it.text)
	case it.text == "":
		if sh.reads && sh.sourcing == 0 {
			err = errors.New("there is no statement to run")
		}
	default:
		err = sh.statement(ctx, it)
	}
	if flushed := sh.out.Flush(); err == nil && flushed != nil {
		err = flushed
	}
	return sh.tell(err, it.line)
}

// tell shows an error, and reports whether there was none.
func (sh *shell) tell(err error, line int) bool {
	if err == nil {
		return true
	}
	if errors.Is(err, ErrFailed) { // of a file, which has told
		return false
	}
	text := errorText(err)
	if line > 0 && (!sh.reads || sh.sourcing > 0) {
		where := fmt.Sprintf(" at line %d", line)
		if sh.sourcing > 0 {
			where += " of " + sh.file
		}
		head, tail, _ := strings.Cut(text, ": ")
		text = head + where + ": " + tail
	}
	if sh.color {
		text = red + text + plain
	}
	fmt.Fprintln(sh.cfg.Stderr, text)
	return false
}

// errorText is an error as the mysql client shows it. Our own have no number.
func errorText(err error) string {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return fmt.Sprintf("ERROR %d (%s): %s", e.Number, e.SQLState[:], e.Message)
	}
	if lost(err) {
		return "ERROR 2013 (HY000): lost the connection to the server: " + err.Error()
	}
	return "ERROR: " + err.Error()
}

// statement runs one on the server.
func (sh *shell) statement(ctx context.Context, it item) error {
	if sh.s.conn == nil {
		if err := sh.reconnect(ctx); err != nil {
			return err
		}
	}
	format := sh.format
	if it.vertical {
		format = "vertical"
	}
	if format == "markdown" && sh.results > 0 && !sh.reads {
		fmt.Fprintln(sh.out) // two tables without a line between would be one
	}
	sh.results++
	out, closePager, err := sh.output()
	if err != nil {
		return err
	}
	var a answer
	interrupted, err := sh.s.interruptible(ctx, sh.cfg.Interrupts, func(ctx context.Context) error {
		var err error
		a, err = sh.s.run(ctx, it.text, &stopping{newPrinter(format, out, sh.cfg.Names), sh, ctx})
		return err
	})
	if flushed := out.Flush(); err == nil && flushed != nil {
		err = &outputError{flushed}
	}
	closePager()
	var unwritten *outputError
	switch {
	case err != nil && lost(err), interrupted && errors.Is(err, context.Canceled):
		sh.s.disconnect()
		if interrupted {
			return errors.New("interrupted; the statement may still run on the server")
		}
		return err
	case errors.As(err, &unwritten) && sh.pager != "" && sh.reads: // who quits a pager has seen enough
	case err != nil:
		return err
	}
	if word := firstWord(it.text); word == "USE" {
		if err := sh.s.currentDatabase(ctx); err != nil {
			return err
		}
	} else if sh.words != nil && slices.Contains(naming, word) {
		sh.words.refresh()
	}
	return sh.conclude(ctx, it, a)
}

// naming are the statements that may change which names there are.
var naming = []string{"CREATE", "DROP", "ALTER", "CALL", "RENAME"}

// stopping ends the run of a statement that an interrupt has ended, where the
// server goes on for a moment.
type stopping struct {
	printer
	sh  *shell
	ctx context.Context
}

func (p *stopping) row(cells []cell) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	return p.printer.row(cells)
}

// conclude shows what stands behind the rows, and the warnings.
func (sh *shell) conclude(ctx context.Context, it item, a answer) error {
	var list []warning
	if (sh.reads || sh.warn) && !strings.EqualFold(strings.Join(strings.Fields(it.text), " "), "show warnings") {
		var err error
		if list, err = sh.s.warnings(ctx); err != nil {
			return err
		}
	}
	if sh.reads {
		fmt.Fprintln(sh.out, conclusion(a, len(list)))
	}
	if sh.warn {
		for _, w := range list {
			fmt.Fprintf(sh.out, "%s (Code %d): %s\n", w.level, w.code, w.message)
		}
	}
	if sh.reads {
		fmt.Fprintln(sh.out)
	}
	return nil
}

// conclusion is the line behind the rows.
func conclusion(a answer, warnings int) string {
	var b strings.Builder
	switch {
	case a.returned && a.rows == 0:
		b.WriteString("Empty set")
	case a.returned:
		fmt.Fprintf(&b, "%s in set", count(a.rows, "row"))
	default:
		fmt.Fprintf(&b, "Query OK, %s affected", count(a.rows, "row"))
	}
	if warnings > 0 {
		b.WriteString(", " + count(int64(warnings), "warning"))
	}
	fmt.Fprintf(&b, " (%.3f sec)", a.elapsed.Seconds())
	return b.String()
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// reconnect follows a lost connection.
func (sh *shell) reconnect(ctx context.Context) error {
	if sh.reads {
		fmt.Fprintln(sh.cfg.Stderr, "Connecting again; variables of the session are lost.")
	}
	if err := sh.s.connect(ctx); err != nil {
		return openError(sh.cfg.Server, err)
	}
	return nil
}

// output returns where rows go, and what to call behind them.
func (sh *shell) output() (*bufio.Writer, func(), error) {
	if sh.pager == "" || !terminal.Is(sh.cfg.Stdout) {
		return sh.out, func() {}, nil
	}
	if err := sh.out.Flush(); err != nil {
		return nil, nil, err
	}
	cmd := exec.Command("sh", "-c", sh.pager) //nolint:gosec,noctx // the user's own command, which ends when it wants
	cmd.Stdout, cmd.Stderr = sh.cfg.Stdout, sh.cfg.Stderr
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("pager %s: %w", sh.pager, err)
	}
	return bufio.NewWriterSize(pipe, 1<<16), func() {
		_ = pipe.Close()
		_ = cmd.Wait() // how it ended is its own affair
	}, nil
}
