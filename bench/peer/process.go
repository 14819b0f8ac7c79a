package peer

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// A process is a server that only this program knows.
type process struct {
	cmd  *exec.Cmd
	log  *tail
	done chan error
}

// launch starts a command and waits until ready returns nil; where it does not
// within a minute, or the command ends, the error has the end of its log.
func launch(ctx context.Context, cmd *exec.Cmd, ready func() error) (*process, error) {
	p := &process{cmd: cmd, log: new(tail), done: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.done <- cmd.Wait() }()
	deadline := time.Now().Add(time.Minute)
	for {
		err := ready()
		if err == nil {
			return p, nil
		}
		select {
		case end := <-p.done:
			return nil, fmt.Errorf("%s ends: %w\n%s", filepath.Base(cmd.Path), end, p.log)
		case <-ctx.Done():
			_ = p.stop(syscall.SIGKILL)
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = p.stop(syscall.SIGKILL)
			return nil, fmt.Errorf("%s does not become ready: %w\n%s", filepath.Base(cmd.Path), err, p.log)
		}
	}
}

// stop sends a signal and waits for the end, which is forced after a minute.
func (p *process) stop(signal os.Signal) error {
	_ = p.cmd.Process.Signal(signal)
	select {
	case err := <-p.done:
		if signal == syscall.SIGKILL {
			return nil
		}
		return err
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("%s did not stop within a minute: %w", filepath.Base(p.cmd.Path), <-p.done)
	}
}

// A tail keeps the last of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if most := 1 << 14; len(t.text) > 2*most {
		t.text = bytes.Clone(t.text[len(t.text)-most:])
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// program finds one in PATH and in places where Debian puts servers.
func program(name, debian string, places ...string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, pattern := range append(places, "/usr/sbin") {
		found, _ := filepath.Glob(filepath.Join(pattern, name))
		if len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%w: no %s; on Debian, apt-get install %s", ErrMissing, name, debian)
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// finish runs a command to its end; an error has what it said.
func finish(cmd *exec.Cmd) error {
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, text)
	}
	return nil
}
