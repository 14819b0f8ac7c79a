package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/internal/fault"
)

const (
	// startLimit bounds a start, recovery included.
	startLimit = 60 * time.Second
	// stopLimit is what operators are promised.
	stopLimit = 10 * time.Second
	// logKept is how many of its last lines a server that fails shows.
	logKept = 60
)

// A server is weir serve on one data directory: one process after another.
// Its addresses change with each of them, and its clients dial the current
// ones.
type server struct {
	t   testing.TB
	dir string

	mu     sync.Mutex
	proc   *process      // the running one, or nil
	up     chan struct{} // closed while one is running
	log    []string      // last lines
	errors []string      // lines that no run may write
	starts int
}

// A process is one run of the server.
type process struct {
	cmd         *exec.Cmd
	mysql, nats string
	logDone     chan struct{}
}

// newServer starts a server on an empty directory.
func newServer(ctx context.Context, t testing.TB) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), up: make(chan struct{})}
	t.Cleanup(s.cleanup)
	s.start(ctx)
	return s
}

func (s *server) cleanup() {
	s.kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.errors {
		s.t.Errorf("the server logged: %s", line)
	}
	if s.t.Failed() {
		s.t.Logf("the server's last lines (start %d):\n%s", s.starts, strings.Join(s.log, "\n"))
	}
}

// ready is the line that a server logs when every listener answers.
var ready = regexp.MustCompile(`msg=ready mysql=(\S+) nats=nats://(\S+)`)

// start returns once the server is ready. It must be, whatever the last
// process died of.
func (s *server) start(ctx context.Context) {
	s.t.Helper()
	if s.launch(ctx) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Fatalf("start %d: the server did not become ready within %v:\n%s", s.starts, startLimit, strings.Join(s.log, "\n"))
}

// launch starts a process, with more in its environment, and reports whether it
// became ready. One that does not is over.
func (s *server) launch(ctx context.Context, env ...string) bool {
	s.t.Helper()
	cmd := exec.Command(binary, "serve", "--data", s.dir,
		"--mysql", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), env...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p := &process{cmd: cmd, logDone: make(chan struct{})}
	isReady := make(chan bool, 1)
	go s.follow(p, stderr, isReady)
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	ok := false
	select {
	case ok = <-isReady:
	case <-ctx.Done():
	}
	if !ok {
		_ = cmd.Process.Signal(syscall.SIGQUIT) // its stacks
		time.AfterFunc(stopLimit, func() { _ = cmd.Process.Kill() })
		<-p.logDone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starts++
	if !ok {
		if err := cmd.Wait(); !wasKilled(err) {
			s.t.Errorf("start %d: the server did not become ready: %v\n%s", s.starts, err, strings.Join(s.log, "\n"))
		}
		return false
	}
	s.proc = p
	close(s.up)
	return true
}

// follow keeps what a process logs, and sends whether it became ready.
func (s *server) follow(p *process, stderr io.Reader, isReady chan<- bool) {
	defer close(p.logDone)
	dying := false
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		s.mu.Lock()
		s.log = append(s.log, line)
		dying = dying || strings.HasPrefix(line, "SIGQUIT") // all of its stacks follow
		if n := len(s.log) - logKept; n > 0 && !dying {
			s.log = s.log[n:]
		}
		if alarming(line) {
			s.errors = append(s.errors, line)
		}
		s.mu.Unlock()
		if m := ready.FindStringSubmatch(line); m != nil {
			p.mysql, p.nats = m[1], m[2]
			isReady <- true
		}
	}
	isReady <- false
}

// alarming says of a line that it must not come up. A killed process loses
// nothing that was written, so that even a view which is built again, or an
// epoch with a gap, is a defect here.
func alarming(line string) bool {
	if strings.Contains(line, fault.Variable) {
		return false // what a test has asked for
	}
	for _, sign := range []string{"level=ERROR", "DATA RACE", "panic: ", "fatal error: ", "the log has gaps"} {
		if strings.Contains(line, sign) {
			return true
		}
	}
	return false
}

// end takes the running process from the server, if there is one.
func (s *server) end() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.proc
	if p != nil {
		s.proc, s.up = nil, make(chan struct{})
	}
	return p
}

// kill ends the process without a chance to do anything, and reports whether
// there was one that was running until then.
func (s *server) kill() bool {
	p := s.end()
	if p == nil {
		return false
	}
	_ = p.cmd.Process.Kill()
	<-p.logDone
	err := p.cmd.Wait()
	if !wasKilled(err) {
		s.t.Errorf("the server ended before it was killed: %v", err)
		return false
	}
	return true
}

// wasKilled says whether a process ended by SIGKILL.
func wasKilled(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// stop ends the process as an operator does.
func (s *server) stop() {
	s.t.Helper()
	p := s.end()
	begun := time.Now()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	force := time.AfterFunc(2*stopLimit, func() { _ = p.cmd.Process.Kill() })
	defer force.Stop()
	<-p.logDone
	if err := p.cmd.Wait(); err != nil {
		s.t.Errorf("stop: %v, want exit status 0", err)
	}
	if took := time.Since(begun); took > stopLimit {
		s.t.Errorf("the stop took %v", took)
	}
}

// running returns the process, waiting for one to be ready.
func (s *server) running(ctx context.Context) (*process, error) {
	for {
		s.mu.Lock()
		p, up := s.proc, s.up
		s.mu.Unlock()
		if p != nil {
			return p, nil
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// dial connects to one of the running process's listeners.
func (s *server) dial(ctx context.Context, addr func(*process) string) (net.Conn, error) {
	s.mu.Lock()
	p := s.proc
	s.mu.Unlock()
	if p == nil {
		return nil, errors.New("the server is down")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr(p))
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return conn, nil
}

// files returns the names in a folder of the data directory.
func (s *server) files(folder string) (names []string) {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir + "/" + folder)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
