package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// freshLimit is how long an acknowledged event may take into the views on a
// machine that does much else.
const freshLimit = 10 * time.Second

// diskSize is how large the disk is that the test fills.
const diskSize = "96m"

// smallDisk returns a folder that is a disk of its own.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+diskSize, "weir-test", dir).CombinedOutput(); err != nil {
		msg := fmt.Sprintf("a small disk cannot be mounted here (that takes root): %v: %s", err, out)
		fmt.Fprintf(os.Stderr, "!!! SKIPPED %s: %s\n", t.Name(), msg)
		t.Skip(msg)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return filepath.Join(dir, "data")
}

// fill takes all the space that is left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int64{1 << 20, 4096, 1} {
		for err = nil; err == nil; {
			_, err = io.CopyN(f, zeros{}, size)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// alarms takes what the server has logged that it must not log as a rule.
func (s *server) alarms() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.errors
	s.errors = nil
	return lines
}

// mustSay waits until the server has logged an alarm with each of the words,
// and forgives it those, and what has one of the others in it.
func (s *server) mustSay(ctx context.Context, words []string, others ...string) {
	s.t.Helper()
	missing := slices.Clone(words)
	for {
		for _, line := range s.alarms() {
			missing = slices.DeleteFunc(missing, func(w string) bool { return strings.Contains(line, w) })
			if !slices.ContainsFunc(append(others, words...), func(w string) bool { return strings.Contains(line, w) }) {
				s.t.Errorf("the server logged: %s", line)
			}
		}
		if len(missing) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("the server has said nothing of %q", missing)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// counts are the payloads of events 1 to n, each of some size.
func counts(from, n int) []event {
	events := make([]event, n)
	pad := strings.Repeat("x", 400)
	for i := range events {
		events[i] = event{id: fmt.Sprint("e", from+i), payload: fmt.Appendf(nil, `{"k": %d, "pad": %q}`, (from+i)%100, pad)}
	}
	return events
}

var countsViews = []string{
	"CREATE STREAM s (k BIGINT)",
	"CREATE MATERIALIZED VIEW v WITH (batch_interval = '1s') AS SELECT k, COUNT(*) AS n FROM s GROUP BY k",
	"CREATE MATERIALIZED VIEW w WITH (mode = 'kappa') AS SELECT k, COUNT(*) AS n FROM s GROUP BY k",
}

// mustCount waits for the sequence and checks that both views count n events.
func (c *client) mustCount(ctx context.Context, seq, n uint64) {
	c.t.Helper()
	c.wait(ctx, "s", seq)
	for _, name := range []string{"v", "w"} {
		if got := c.value(ctx, "SELECT COALESCE(SUM(n), 0) FROM "+name); got != fmt.Sprint(n) {
			c.t.Errorf("%s counts %s events, want %d", name, got, n)
		}
	}
}

// counted waits until the view counts n events, and returns how many it does
// then.
func (c *client) counted(ctx context.Context, name string, n uint64) uint64 {
	c.t.Helper()
	limit := time.After(freshLimit)
	for {
		got := number(c.t, c.value(ctx, "SELECT COALESCE(SUM(n), 0) FROM "+name))
		if got >= n {
			return got
		}
		select {
		case <-limit:
			c.t.Fatalf("%s counts %d events after %v, want at least the %d acknowledged ones", name, got, freshLimit, n)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestFullDisk fills the disk under a running server, and expects errors for
// publishers, right answers for readers, and everything to go on by itself when
// there is space.
func TestFullDisk(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := &server{t: t, dir: smallDisk(t), up: make(chan struct{})}
	t.Cleanup(s.cleanup)
	s.start(ctx)
	c := newClient(t, s)
	for _, q := range countsViews {
		c.exec(ctx, q)
	}
	p := newPublisher(t, s, "s", 64, ackLimitCrash)
	if err := p.publish(ctx, counts(0, 5000)); err != nil {
		t.Fatal(err)
	}
	c.mustCount(ctx, 5000, 5000)

	filler := filepath.Join(filepath.Dir(s.dir), "filler")
	fill(t, filler)
	published := make(chan error, 1)
	go func() { published <- p.publish(ctx, counts(5000, 20_000)) }()
	harmless := []string{"no space left", "failed to store a msg", "take no events", "cannot be written", "cannot write", "batch run failed", "cannot be started"}
	s.mustSay(ctx, []string{"the logs take no events"}, harmless...)
	if _, err := c.db.ExecContext(ctx, "INSERT INTO s (k) VALUES (1)"); err == nil || !strings.Contains(err.Error(), "space") {
		t.Errorf("INSERT on a full disk: %v", err)
	}
	full := p.acked.Load()
	if full == 25_000 {
		t.Fatal("everything was published: the disk was not full")
	}
	for range 5 { // seconds of a full disk
		// What is acknowledged is in the views soon, not only when there is space.
		acked := p.acked.Load()
		n := c.counted(ctx, "v", acked)
		if n > 25_000 {
			t.Errorf("on a full disk v counts %d of 25000 events", n)
		}
		if w := c.counted(ctx, "w", acked); w > 25_000 {
			t.Errorf("on a full disk w counts %d of 25000 events", w)
		}
		p.pace(ctx, time.Now().Add(time.Second))
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	c.mustCount(ctx, p.lastSeq.Load(), 25_000)
	t.Logf("%d events were acknowledged when the disk was full; %d were sent again", full, p.retries.Load())
	if p.retries.Load() == 0 {
		t.Error("no publisher saw an error: the test tested too little")
	}
	for _, name := range []string{"v", "w"} {
		for c.value(ctx, "SELECT state FROM weir.views WHERE name = ?", name) != "live" {
			p.pace(ctx, time.Now().Add(50*time.Millisecond))
		}
	}
	s.mustSay(ctx, nil, harmless...)
	s.stop()
	s.start(ctx)
	c.mustCount(ctx, p.lastSeq.Load(), 25_000)
	s.mustSay(ctx, nil, harmless...)
}
