package views_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/views"
	"weir/views/column"
	"weir/views/logtest"
)

// TestDamagedFilesAreBuiltAgain damages the file of a view in ways that bbolt
// panics or faults on, and expects the view to be what the log says.
func TestDamagedFilesAreBuiltAgain(t *testing.T) {
	noise := func(b []byte) {
		r := rand.New(rand.NewPCG(1, 2))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
	damage := map[string]func([]byte) []byte{
		"gone":         func([]byte) []byte { return nil },
		"cut to 100":   func(b []byte) []byte { return b[:100] },
		"cut to pages": func(b []byte) []byte { return b[:12288] },
		"noise behind": func(b []byte) []byte { noise(b[8192:]); return b },
		"noise before": func(b []byte) []byte { noise(b[:8192]); return b },
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			dir, broker := t.TempDir(), &logtest.Memory{}
			e, _, publish := openCountingOn(t, dir, broker)
			publish(longReadKeys)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "views", "*.db"))
			if err != nil || len(files) != 1 {
				t.Fatalf("the view has the files %v, %v", files, err)
			}
			content, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			if content = do(content); content == nil {
				err = os.Remove(files[0])
			} else {
				err = os.WriteFile(files[0], content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if n := countWhenBuilt(t, reopen(t, dir, broker)); n != longReadKeys {
				t.Errorf("the view has %d rows, want %d", n, longReadKeys)
			}
		})
	}
}

// removeFiles removes the files of all views.
func removeFiles(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "views", "*.db"))
	for i := 0; i < len(files) && err == nil; i++ {
		err = os.Remove(files[i])
	}
	if err != nil {
		t.Fatal(err)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func reopen(t *testing.T, dir string, broker views.Broker) *views.Engine {
	t.Helper()
	e, err := views.Open(t.Context(), views.Config{Dir: dir, Broker: broker, Compiler: countByKey{}, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// countWhenBuilt returns the number of rows of view v once it answers.
func countWhenBuilt(t *testing.T, e *views.Engine) uint64 {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		v, err := e.View(views.DefaultDatabase, "v")
		if err != nil {
			continue // still being built
		}
		var set views.ReadSet
		defer set.Close()
		snap, err := set.Snapshot(v)
		if err != nil {
			t.Fatal(err)
		}
		return rowsOf(t, snap)
	}
	t.Fatal("the view is not built in time")
	return 0
}

// rowsOf is the number of rows of the view.
func rowsOf(t *testing.T, snap *views.Snapshot) uint64 {
	t.Helper()
	n, err := snap.Count(t.Context(), views.Serving)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRecomputeLosesNothing shows that FULL keeps the rows that count events
// which the log has lost since, and says so, and that OR REPLACE is refused.
func TestRecomputeLosesNothing(t *testing.T) {
	lose := map[string]func(b *logtest.Memory){
		"trimmed": func(b *logtest.Memory) { b.Trim("s", 500) },
		"gap":     func(b *logtest.Memory) { b.Drop("s", 500) },
	}
	for name, do := range lose {
		t.Run(name, func(t *testing.T) {
			broker := &logtest.Memory{}
			e, v, publish := openCountingOn(t, t.TempDir(), broker)
			publish(longReadKeys)
			do(broker)
			for range 2 { // the second has the rows of the first to keep
				if note, err := e.Refresh(t.Context(), v, true); err != nil || !strings.Contains(note, "were kept as they were") {
					t.Errorf("FULL: note %q, error %v", note, err)
				}
			}
			if err := e.CreateView(t.Context(), v.Def(), true); err == nil {
				t.Error("OR REPLACE succeeded")
			}
			// A batch run takes over what the speed layer has.
			if _, err := e.Refresh(t.Context(), v, false); err != nil {
				t.Error(err)
			}
			if n := countWhenBuilt(t, e); n != longReadKeys {
				t.Errorf("the view has %d rows, want %d", n, longReadKeys)
			}
		})
	}
}

// TestReplaceUnderReads shows that statements beside OR REPLACE never fail, and
// that DROP beside it leaves nothing behind.
func TestReplaceUnderReads(t *testing.T) {
	e, first, publish := openCounting(t, t.TempDir())
	publish(longReadKeys)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	reads := 0
	readers.Go(func() {
		for ; ctx.Err() == nil; reads++ {
			if err := readOnce(e); err != nil {
				t.Errorf("read %d: %v", reads, err)
				return
			}
		}
	})
	for range 10 {
		if err := e.CreateView(t.Context(), first.Def(), true); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	readers.Wait()
	if reads == 0 {
		t.Fatal("nothing was read: the test tested nothing")
	}
	replaced := make(chan error, 1)
	go func() { replaced <- e.CreateView(t.Context(), first.Def(), true) }()
	if err := e.DropView(t.Context(), views.DefaultDatabase, "v"); err != nil {
		t.Fatal(err)
	}
	if err := <-replaced; err != nil {
		t.Logf("replaced beside the DROP: %v", err)
	}
	if _, err := e.View(views.DefaultDatabase, "v"); err == nil {
		// The statement came after the DROP.
		if err := e.DropView(t.Context(), views.DefaultDatabase, "v"); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.DropStream(t.Context(), views.DefaultDatabase, "s"); err != nil {
		t.Error(err)
	}
}

func readOnce(e *views.Engine) error {
	v, err := e.View(views.DefaultDatabase, "v")
	if err != nil {
		return err
	}
	var set views.ReadSet
	defer set.Close()
	snap, err := set.Snapshot(v)
	if err != nil {
		return err
	}
	var b column.Batch
	c := snap.Scan(views.Serving, []views.Range{{}}, false, []int{0, 1})
	rows := 0
	for {
		n, err := c.Fill(&b, 256)
		if err != nil {
			return err
		}
		if rows += n; n == 0 {
			break
		}
	}
	if rows != longReadKeys {
		return fmt.Errorf("%d rows, want %d", rows, longReadKeys)
	}
	return nil
}
