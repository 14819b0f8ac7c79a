package views_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/views"
	"weir/views/logtest"
)

// files are the versions' files in a data directory.
func files(t *testing.T, dir string) int {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "views", "*.db"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestPreviousVersion shows that the version before the last stays current,
// that ROLLBACK puts it back and can be undone, and that it ends with
// keep_previous, with the next version, and with the view.
func TestPreviousVersion(t *testing.T) {
	dir, clock, broker := t.TempDir(), views.NewManualClock(time.Now()), &logtest.Memory{}
	e, v, publish := openClock(t, dir, broker, clock)
	def := *v.Def()
	def.KeepPrevious = time.Hour
	name := func() uint64 {
		v, err := e.View(views.DefaultDatabase, "v")
		if err != nil {
			t.Fatal(err)
		}
		return v.Version
	}
	rollback := func() {
		t.Helper()
		if err := e.Rollback(views.DefaultDatabase, "v"); err != nil {
			t.Fatal(err)
		}
	}
	publish(longReadKeys)
	if err := e.CreateView(t.Context(), &def, true); err != nil {
		t.Fatal(err)
	}
	publish(longReadKeys)
	for _, want := range []uint64{1, 2, 1} {
		rollback()
		if got := name(); got != want {
			t.Fatalf("version %d, want %d", got, want)
		}
		if err := readOnceCounts(e, 2); err != nil {
			t.Fatal(err)
		}
	}
	// A restart keeps both, and both catch up.
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := views.Open(t.Context(), views.Config{Dir: dir, Broker: broker, Compiler: countByKey{}, Clock: clock, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	rollback()
	if got := name(); got != 2 {
		t.Fatalf("version %d after a restart, want 2", got)
	}
	if err := readOnceCounts(e, 2); err != nil {
		t.Fatal(err)
	}
	// Version 1 is given up for version 2 when there is a version 3.
	if err := e.CreateView(t.Context(), &def, true); err != nil {
		t.Fatal(err)
	}
	rollback()
	if got := name(); got != 2 {
		t.Fatalf("version %d, want 2", got)
	}
	eventually(t, "two files", func() (string, bool) { n := files(t, dir); return fmt.Sprint(n), n == 2 })
	clock.Set(clock.Now().Add(time.Hour))
	eventually(t, "one file", func() (string, bool) { n := files(t, dir); return fmt.Sprint(n), n == 1 })
	if err := e.Rollback(views.DefaultDatabase, "v"); err == nil || !strings.Contains(err.Error(), "no previous version") {
		t.Errorf("ROLLBACK after keep_previous: %v", err)
	}
	if err := e.CreateView(t.Context(), &def, true); err != nil {
		t.Fatal(err)
	}
	if err := e.DropView(t.Context(), views.DefaultDatabase, "v"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no files", func() (string, bool) { n := files(t, dir); return fmt.Sprint(n), n == 0 })
}

// noting is a broker whose logs note from where they are read to an end, and
// that can be made to stop at a sequence.
type noting struct {
	views.Broker
	mu    sync.Mutex
	after []uint64
	stop  uint64
	at    chan struct{}
}

func (b *noting) CreateLog(ctx context.Context, cfg views.LogConfig) (views.Log, error) {
	l, err := b.Broker.CreateLog(ctx, cfg)
	return notingLog{l, b}, err
}

func (b *noting) OpenLog(ctx context.Context, name string) (views.Log, error) {
	l, err := b.Broker.OpenLog(ctx, name)
	return notingLog{l, b}, err
}

type notingLog struct {
	views.Log
	b *noting
}

func (l notingLog) Read(ctx context.Context, after, until uint64) iter.Seq2[[]views.Record, error] {
	if until > after+1 { // not one event, to compare with a checkpoint
		l.b.mu.Lock()
		l.b.after = append(l.b.after, after)
		stop := l.b.stop
		l.b.mu.Unlock()
		if stop != 0 && until > stop {
			return func(yield func([]views.Record, error) bool) {
				l.b.at <- struct{}{}
				<-ctx.Done()
				yield(nil, ctx.Err())
			}
		}
	}
	return l.Log.Read(ctx, after, until)
}

// TestBuildResumes shows that a build, a replacement and a replay that are cut
// short go on from their last commit at the next start, and that the version
// that serves answers meanwhile.
func TestBuildResumes(t *testing.T) {
	views.SetBuildChunk(t, 100)
	for name, start := range map[string]func(ctx context.Context, e *views.Engine, v *views.View) error{
		"build": func(ctx context.Context, e *views.Engine, v *views.View) error {
			def := *v.Def()
			def.Name = "w"
			return e.CreateView(ctx, &def, false)
		},
		"replace": func(ctx context.Context, e *views.Engine, v *views.View) error {
			return e.CreateView(ctx, v.Def(), true)
		},
		"replay": func(ctx context.Context, e *views.Engine, v *views.View) error {
			if err := e.AlterView(ctx, v, toMode(views.Kappa)); err != nil {
				return err
			}
			_, err := e.Refresh(ctx, v, false)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, broker := t.TempDir(), &noting{Broker: &logtest.Memory{}, at: make(chan struct{}, 10)}
			e, v, publish := openCountingOn(t, dir, broker)
			publish(longReadKeys)
			broker.stop = 500
			done := make(chan error, 1)
			go func() { done <- start(t.Context(), e, v) }()
			<-broker.at
			image := t.TempDir() // as kill -9 would have left it
			if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err == nil {
				t.Error("the statement succeeded")
			}
			for _, dir := range []string{dir, image} {
				broker.mu.Lock()
				broker.stop, broker.after = 0, nil
				broker.mu.Unlock()
				e := reopen(t, dir, broker)
				eventually(t, "the build to be done", func() (string, bool) {
					jobs := e.Jobs()
					return fmt.Sprint(jobs), len(jobs) == 1 && jobs[0].State == views.StateDone
				})
				broker.mu.Lock()
				for _, after := range broker.after {
					if after < 500 {
						t.Errorf("the log was read again after %d", after)
					}
				}
				broker.mu.Unlock()
				if err := readOnceCounts(e, 1); err != nil {
					t.Error(err)
				}
				if n := files(t, dir); name == "build" && n != 2 {
					t.Errorf("%d files, want 2", n)
				}
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestReplayKeepsHistory shows that the replay of a kappa view keeps the rows
// that count events which the log has lost, and says so, also the next time.
func TestReplayKeepsHistory(t *testing.T) {
	broker := &logtest.Memory{}
	e, v, publish := openCountingOn(t, t.TempDir(), broker)
	publish(longReadKeys)
	if err := e.AlterView(t.Context(), v, toMode(views.Kappa)); err != nil {
		t.Fatal(err)
	}
	broker.Trim("s", 500)
	publish(longReadKeys)
	for range 2 {
		v, err := e.View(views.DefaultDatabase, "v")
		if err != nil {
			t.Fatal(err)
		}
		note, err := e.Refresh(t.Context(), v, false)
		if err != nil || !strings.HasPrefix(note, "499 of 1000 rows were kept as they were: the log is whole from sequence 500 on") {
			t.Errorf("note %q, %v", note, err)
		}
		if err := readOnceCounts(e, 2); err != nil {
			t.Error(err)
		}
	}
}

// versionFile is the file of version n of view v.
func versionFile(dir string, n int) string {
	return filepath.Join(dir, "views", fmt.Sprintf("%s.v.%d.db", views.DefaultDatabase, n))
}

// TestPreviousOutlivesLoss shows that a version that is built again because its
// file is lost does not cost the one before it, and that a previous version
// that is lost itself is forgotten.
func TestPreviousOutlivesLoss(t *testing.T) {
	dir, broker := t.TempDir(), &logtest.Memory{}
	e, v, publish := openCountingOn(t, dir, broker)
	publish(longReadKeys)
	def := *v.Def()
	def.KeepPrevious = time.Hour
	if err := e.CreateView(t.Context(), &def, true); err != nil {
		t.Fatal(err)
	}
	restart := func(lost int) {
		t.Helper()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(versionFile(dir, lost)); err != nil {
			t.Fatal(err)
		}
		e = reopen(t, dir, broker)
		rightInTheEnd(t, "after a restart", func() error { return answer(e, 1) })
	}
	restart(2)
	if n := files(t, dir); n != 2 {
		t.Errorf("%d files, want that of the version built again and that of the one before", n)
	}
	eventually(t, "a ROLLBACK", func() (string, bool) { // the build that has just put its version in place ends
		err := e.Rollback(views.DefaultDatabase, "v")
		if err != nil && !errors.Is(err, views.ErrBuilding) {
			t.Fatal(err)
		}
		return fmt.Sprint(err), err == nil
	})
	if err := answer(e, 1); err != nil {
		t.Error(err)
	}
	restart(3) // which is the previous one now
	for range 2 {
		if err := e.Rollback(views.DefaultDatabase, "v"); err == nil || !strings.Contains(err.Error(), "no previous version") {
			t.Errorf("ROLLBACK to a version that is lost: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = reopen(t, dir, broker)
	}
}

// TestReplacementOutlivesLoss shows that a replacement goes on whose view has
// lost its file meanwhile.
func TestReplacementOutlivesLoss(t *testing.T) {
	views.SetBuildChunk(t, 100)
	dir, broker := t.TempDir(), &noting{Broker: &logtest.Memory{}, at: make(chan struct{}, 10)}
	e, v, publish := openCountingOn(t, dir, broker)
	publish(longReadKeys)
	broker.stop = 500
	done := make(chan error, 1)
	go func() { done <- e.CreateView(t.Context(), v.Def(), true) }()
	<-broker.at
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("the statement succeeded")
	}
	if err := os.Remove(versionFile(dir, 1)); err != nil {
		t.Fatal(err)
	}
	broker.mu.Lock()
	broker.stop, broker.after = 0, nil
	broker.mu.Unlock()
	e = reopen(t, dir, broker)
	rightInTheEnd(t, "after a restart", func() error { return answer(e, 1) })
	broker.mu.Lock()
	defer broker.mu.Unlock()
	for _, after := range broker.after {
		if after < 500 {
			t.Errorf("the log was read again after %d", after)
		}
	}
	if v, err := e.View(views.DefaultDatabase, "v"); err != nil || v.Version != 2 {
		t.Errorf("version %d, %v, want 2", v.Version, err)
	}
}
