package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A wreck is a server whose files are changed while it is down.
type wreck struct {
	t *testing.T
	s *server
	c *client
	p *publisher
	n int // events published
}

func newWreck(ctx context.Context, t *testing.T, options string) *wreck {
	t.Helper()
	w := &wreck{t: t, s: newServer(ctx, t)}
	w.c = newClient(t, w.s)
	for i, q := range countsViews {
		if i == 0 {
			q += options
		}
		w.c.exec(ctx, q)
	}
	w.p = newPublisher(t, w.s, "s", 1000, ackLimit)
	return w
}

// publish publishes n events and waits until the views have them.
func (w *wreck) publish(ctx context.Context, n int) {
	w.t.Helper()
	if err := w.p.publish(ctx, counts(w.n, n)); err != nil {
		w.t.Fatal(err)
	}
	w.n += n
	w.c.wait(ctx, "s", number(w.t, w.c.value(ctx, "SELECT last_seq FROM weir.streams")))
}

// log is the folder of the log's blocks.
func (w *wreck) log() string { return filepath.Join(w.s.dir, "log", "jetstream", "$G", "streams", "s") }

// blocks are the files of the log, oldest first.
func (w *wreck) blocks() []string {
	w.t.Helper()
	blocks, err := filepath.Glob(filepath.Join(w.log(), "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		w.t.Fatalf("the log has the blocks %v, %v", blocks, err)
	}
	slices.SortFunc(blocks, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return slices.Compare([]byte(a), []byte(b))
	})
	return blocks
}

// forget makes the log read its blocks again at its next start.
func (w *wreck) forget() {
	w.must(os.Remove(filepath.Join(w.log(), "msgs", "index.db")))
}

func (w *wreck) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// copyOf copies parts of the data directory to a folder, or back.
func (w *wreck) copyOf(from, to string, parts ...string) {
	w.t.Helper()
	for _, part := range parts {
		w.must(os.RemoveAll(filepath.Join(to, part)))
		if out, err := exec.Command("cp", "-a", filepath.Join(from, part), to).CombinedOutput(); err != nil {
			w.t.Fatalf("cp: %v: %s", err, out)
		}
	}
}

// agrees checks that the views count the events that the log has, and as many
// that it no longer has.
func (w *wreck) agrees(ctx context.Context, lost uint64) {
	w.t.Helper()
	for w.c.value(ctx, "SELECT COUNT(*) FROM weir.views WHERE state = 'live'") != "2" {
		w.p.pace(ctx, time.Now().Add(20*time.Millisecond))
	}
	log := w.c.rows(ctx, "SELECT last_seq, messages FROM weir.streams")[0]
	w.c.mustCount(ctx, number(w.t, log[0]), number(w.t, log[1])+lost)
}

// TestDamagedLog changes the files of a stopped server's log in the ways that
// disks, power cuts and people do, and expects it to say so and to be right.
func TestDamagedLog(t *testing.T) {
	for name, test := range map[string]func(ctx context.Context, t *testing.T){
		"tail lost": func(ctx context.Context, t *testing.T) {
			w := newWreck(ctx, t, "")
			w.publish(ctx, 3000)
			w.s.stop()
			last := w.blocks()[len(w.blocks())-1]
			info, err := os.Stat(last)
			w.must(err)
			w.must(os.Truncate(last, info.Size()/2+7))
			w.forget()
			w.s.start(ctx)
			w.s.mustSay(ctx, []string{"the view is built again from the log"}, "begin again")
			w.agrees(ctx, 0)
			w.publish(ctx, 100)
			w.agrees(ctx, 0)
		},
		"sequences used again": func(ctx context.Context, t *testing.T) {
			w, log, views := newWreck(ctx, t, ""), t.TempDir(), t.TempDir()
			w.publish(ctx, 2000)
			w.s.stop()
			w.copyOf(w.s.dir, log, "log")
			w.s.start(ctx)
			w.publish(ctx, 1000)
			w.s.stop()
			w.copyOf(w.s.dir, views, "views", "catalog.db", "streams")
			w.copyOf(log, w.s.dir, "log")
			w.s.start(ctx)
			w.s.mustSay(ctx, []string{"the log ends at sequence 2000, but the view has applied 3000"}, "dead letters begin again", "built again")
			w.agrees(ctx, 0)
			w.publish(ctx, 2000)
			w.s.stop()
			w.copyOf(views, w.s.dir, "views", "catalog.db", "streams")
			w.s.start(ctx)
			w.s.mustSay(ctx, []string{"another event at sequence 3000"}, "built again")
			w.agrees(ctx, 0)
		},
		"replaced": func(ctx context.Context, t *testing.T) {
			w := newWreck(ctx, t, "")
			w.publish(ctx, 3000)
			w.s.stop()
			w.must(os.RemoveAll(w.log()))
			w.s.start(ctx)
			w.s.mustSay(ctx, []string{"the log of a stream is gone", "the log is another one"}, "begin again")
			w.agrees(ctx, 0)
			w.publish(ctx, 4000)
			w.agrees(ctx, 0)
		},
		"emptied from outside": func(ctx context.Context, t *testing.T) {
			w := newWreck(ctx, t, "")
			w.publish(ctx, 3000)
			w.s.stop()
			for _, b := range w.blocks() {
				w.must(os.Remove(b))
			}
			w.forget()
			w.s.start(ctx)
			w.s.mustSay(ctx, []string{"the view is built again from the log"}, "begin again")
			w.agrees(ctx, 0)
			w.publish(ctx, 100)
			w.agrees(ctx, 0)
		},
		"retention passed the view": func(ctx context.Context, t *testing.T) {
			w, views := newWreck(ctx, t, " WITH (retention = '2s')"), t.TempDir()
			w.publish(ctx, 2000)
			w.s.stop()
			w.copyOf(w.s.dir, views, "views", "catalog.db", "streams")
			w.s.start(ctx)
			w.publish(ctx, 1000)
			for w.c.value(ctx, "SELECT messages FROM weir.streams") != "0" {
				w.p.pace(ctx, time.Now().Add(50*time.Millisecond))
			}
			w.s.stop()
			w.copyOf(views, w.s.dir, "views", "catalog.db", "streams")
			w.s.start(ctx)
			w.publish(ctx, 10)
			w.s.mustSay(ctx, []string{"view=v from_seq", "view=w from_seq"})
			w.c.mustCount(ctx, 3010, 2010)
		},
		"a block in the middle": func(ctx context.Context, t *testing.T) {
			w := newWreck(ctx, t, "")
			w.publish(ctx, 25_000)
			w.s.stop()
			block := w.blocks()[0]
			content, err := os.ReadFile(block)
			w.must(err)
			content[len(content)/2] ^= 1
			w.must(os.WriteFile(block, content, 0o600))
			w.forget()
			w.s.start(ctx)
			w.s.mustSay(ctx, []string{"the log of a stream has lost events to damage"})
			missing := 25_000 - number(t, w.c.value(ctx, "SELECT messages FROM weir.streams"))
			if missing == 0 {
				t.Fatal("the log has lost nothing: the test tested nothing")
			}
			w.agrees(ctx, missing)
			for _, v := range []string{"v", "w"} {
				w.c.exec(ctx, fmt.Sprintf("REFRESH MATERIALIZED VIEW %s FULL", v))
			}
			w.agrees(ctx, missing)
			w.publish(ctx, 100)
			w.agrees(ctx, missing)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			test(ctx, t)
		})
	}
}

// TestCopyOfALiveDirectory copies the data directory of a server under load,
// and expects a server on the copy to be right.
func TestCopyOfALiveDirectory(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := newWreck(ctx, t, "")
	w.publish(ctx, 20_000)
	busy, stop := context.WithCancel(ctx)
	published := make(chan error, 1)
	w.p.pause = 50 * time.Microsecond
	go func() {
		for busy.Err() == nil {
			if err := w.p.publish(ctx, counts(w.n, 1000)); err != nil {
				published <- err
				return
			}
			w.n += 1000
		}
		published <- nil
	}()
	var copies []string
	for range 4 {
		dir := filepath.Join(t.TempDir(), "copy")
		_ = exec.Command("cp", "-r", w.s.dir, dir).Run() // files may go while it runs
		copies = append(copies, dir)
	}
	stop()
	w.must(<-published)
	for _, dir := range copies {
		s := &server{t: t, dir: dir, up: make(chan struct{})}
		t.Cleanup(s.cleanup)
		s.start(ctx)
		again := &wreck{t: t, s: s, c: newClient(t, s), n: 1 << 30}
		again.p = newPublisher(t, s, "s", 1000, ackLimit)
		again.agrees(ctx, 0)
		again.publish(ctx, 100)
		again.agrees(ctx, 0)
		s.mustSay(ctx, nil, "is built again", "begin again")
		s.stop()
	}
}
