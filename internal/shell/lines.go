package shell

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/ergochat/readline"

	"weir/internal/terminal"
)

// An editor reads the lines that somebody types. readline.Instance is one.
type editor interface {
	SetPrompt(prompt string)
	// ReadLine returns a line, readline.ErrInterrupt after Ctrl-C, or io.EOF.
	ReadLine() (string, error)
	SaveToHistory(entry string) error
	Close() error
}

// newEditor returns what the terminal is good for.
func (sh *shell) newEditor(ctx context.Context) (editor, error) {
	if !terminal.Is(sh.cfg.Stdout) {
		return newPlainEditor(ctx, sh.cfg.Stdin, sh.cfg.Stdout, sh.cfg.Interrupts), nil
	}
	screen := &screen{in: sh.cfg.Stdin, out: sh.cfg.Stdout}
	return readline.NewFromConfig(&readline.Config{
		HistoryFile:            sh.history(),
		HistoryLimit:           historySize,
		DisableAutoSaveHistory: true,
		HistorySearchFold:      true,
		AutoComplete:           sh,
		EOFPrompt:              "\n",
		Undo:                   true,
		Stdin:                  screen,
		Stdout:                 screen,
		Stderr:                 sh.cfg.Stderr,
	})
}

// A screen stands between the editor and the terminal, and answers in its place
// where the cursor is: at the beginning of a line, since all that the shell
// writes ends one. A terminal that does not answer, or is far away, would keep
// the editor waiting before each line.
type screen struct {
	in  io.Reader
	out io.Writer

	mu    sync.Mutex
	asked bool
}

var (
	whereIsCursor = []byte("\x1b[6n")
	atLineStart   = []byte("\x1b[1;1R")
)

func (s *screen) Write(p []byte) (int, error) {
	if !bytes.Equal(p, whereIsCursor) {
		return s.out.Write(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = true
	return len(p), nil
}

// Read gives the answer before anything else: the editor asks first, and reads
// then.
func (s *screen) Read(p []byte) (int, error) {
	s.mu.Lock()
	asked := s.asked
	if asked = asked && len(p) >= len(atLineStart); asked {
		s.asked = false
	}
	s.mu.Unlock()
	if asked {
		return copy(p, atLineStart), nil
	}
	return s.in.Read(p)
}

// A plainEditor is for terminals that understand no control sequences: it has
// prompts, and leaves the rest to the system.
type plainEditor struct {
	ctx        context.Context
	out        io.Writer
	prompt     string
	interrupts <-chan os.Signal
	lines      chan string // closed at the end
}

// newPlainEditor begins to read. Only the end of the input ends what reads, so
// that it is left behind if the shell ends first, as the process does then.
func newPlainEditor(ctx context.Context, in io.Reader, out io.Writer, interrupts <-chan os.Signal) *plainEditor {
	e := &plainEditor{ctx: ctx, out: out, interrupts: interrupts, lines: make(chan string)}
	go func() {
		defer close(e.lines)
		r := bufio.NewReader(in)
		for {
			line, err := r.ReadString('\n')
			if line != "" {
				select {
				case e.lines <- strings.TrimRight(line, "\r\n"):
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return e
}

func (e *plainEditor) SetPrompt(prompt string)    { e.prompt = prompt }
func (e *plainEditor) SaveToHistory(string) error { return nil }
func (e *plainEditor) Close() error               { return nil }

func (e *plainEditor) ReadLine() (string, error) {
	if _, err := io.WriteString(e.out, e.prompt); err != nil {
		return "", err
	}
	select {
	case line, ok := <-e.lines:
		if !ok {
			fmt.Fprintln(e.out)
			return "", io.EOF
		}
		return line, nil
	case <-e.interrupts:
		fmt.Fprintln(e.out)
		return "", readline.ErrInterrupt
	case <-e.ctx.Done():
		return "", io.EOF
	}
}
