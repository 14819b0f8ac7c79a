package views_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/fault"
	"weir/views"
	"weir/views/column"
	"weir/views/logtest"
	"weir/views/partial"
)

// stalling is a broker whose logs, while it is stalled, give the first events
// of a range and then nothing until the reader gives up.
type stalling struct {
	views.Broker
	stalled atomic.Bool
	waiting chan struct{} // gets one for each reader that waits
	resume  chan struct{} // closed to let them go on
}

func newStalling() *stalling {
	return &stalling{Broker: &logtest.Memory{}, waiting: make(chan struct{}, 10), resume: make(chan struct{})}
}

func (b *stalling) CreateLog(ctx context.Context, cfg views.LogConfig) (views.Log, error) {
	l, err := b.Broker.CreateLog(ctx, cfg)
	return stallingLog{l, b}, err
}

func (b *stalling) OpenLog(ctx context.Context, name string) (views.Log, error) {
	l, err := b.Broker.OpenLog(ctx, name)
	return stallingLog{l, b}, err
}

type stallingLog struct {
	views.Log
	b *stalling
}

func (l stallingLog) Read(ctx context.Context, after, until uint64) iter.Seq2[[]views.Record, error] {
	if until == 0 || !l.b.stalled.Load() {
		return l.Log.Read(ctx, after, until)
	}
	return func(yield func([]views.Record, error) bool) {
		stalled := false
		for recs, err := range l.Log.Read(ctx, after, until) {
			if !yield(recs, err) {
				return
			}
			if !stalled {
				stalled = true
				l.b.waiting <- struct{}{}
				select {
				case <-l.b.resume:
				case <-ctx.Done():
					yield(nil, ctx.Err())
					return
				}
			}
		}
	}
}

// TestCancel shows that every kind of job can be cancelled, by its number and
// by its statement, that this is told, and that it leaves the view as it was.
func TestCancel(t *testing.T) {
	jobs := map[string]func(ctx context.Context, e *views.Engine, v *views.View) error{
		"refresh": func(ctx context.Context, e *views.Engine, v *views.View) error {
			_, err := e.Refresh(ctx, v, false)
			return err
		},
		"full": func(ctx context.Context, e *views.Engine, v *views.View) error {
			_, err := e.Refresh(ctx, v, true)
			return err
		},
		"rerun": func(ctx context.Context, e *views.Engine, _ *views.View) error {
			_, err := e.RerunBatch(ctx, 1)
			return err
		},
		"audit": func(ctx context.Context, e *views.Engine, v *views.View) error {
			_, err := e.Audit(ctx, v)
			return err
		},
		"replace": func(ctx context.Context, e *views.Engine, v *views.View) error {
			return e.CreateView(ctx, v.Def(), true)
		},
		"build": func(ctx context.Context, e *views.Engine, v *views.View) error {
			def := *v.Def()
			def.Name = "w"
			return e.CreateView(ctx, &def, false)
		},
	}
	for name, start := range jobs {
		for _, statement := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/statement=%v", name, statement), func(t *testing.T) {
				broker := newStalling()
				e, v, publish := openCountingOn(t, t.TempDir(), broker)
				publish(longReadKeys)
				if _, err := e.Refresh(t.Context(), v, false); err != nil {
					t.Fatal(err)
				}
				publish(longReadKeys)
				broker.stalled.Store(true)
				ctx, kill := context.WithCancel(t.Context())
				defer kill()
				done := make(chan error, 1)
				go func() { done <- start(ctx, e, v) }()
				<-broker.waiting
				job := running(e)
				if statement {
					kill()
				} else if err := e.CancelJob(job.ID); err != nil {
					t.Fatal(err)
				}
				err := <-done
				if !errors.Is(err, views.ErrCancelled) && !errors.Is(err, context.Canceled) {
					t.Errorf("the statement ended with %v", err)
				}
				if left := new(views.LeftError); errors.As(err, &left) {
					left.Cancel() // what KILL does, and a client that goes away does not
				}
				broker.stalled.Store(false)
				checkCancelled(t, e, job.ID)
				if err := readOnceCounts(e, 2); err != nil {
					t.Error(err)
				}
				if _, err := e.View(views.DefaultDatabase, "w"); !errors.Is(err, views.ErrUnknown) {
					t.Errorf("the view that was cancelled is there: %v", err)
				}
				// The next of each kind works.
				if name != "build" {
					if err := start(t.Context(), e, v); err != nil {
						t.Error(err)
					}
				}
				if err := readOnceCounts(e, 2); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// toMode is a change to a mode.
func toMode(mode views.Mode) func(old *views.ViewDef) (*views.ViewDef, error) {
	return func(old *views.ViewDef) (*views.ViewDef, error) {
		def := *old
		def.Mode = mode
		return &def, nil
	}
}

// running returns the job that runs.
func running(e *views.Engine) views.Job {
	for _, j := range e.Jobs() {
		if j.State == views.StateRunning {
			return j
		}
	}
	return views.Job{}
}

// checkCancelled waits for the job to be cancelled, and looks whether a batch
// run was left running.
func checkCancelled(t *testing.T, e *views.Engine, id uint64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		state := ""
		for _, j := range e.Jobs() {
			if j.ID == id {
				state = j.State
			}
		}
		if state == views.StateCancelled {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the job is %q", state)
		}
	}
	runs, err := e.BatchRuns()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if r.State == views.StateRunning || r.State == views.StateFailed {
			t.Errorf("batch run %d is %s", r.ID, r.State)
		}
	}
}

// readOnceCounts reads view v and wants each key n times.
func readOnceCounts(e *views.Engine, n int64) error {
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
	c := snap.Scan(views.Serving, views.All, false, []int{0, 1})
	var b column.Batch
	rows := 0
	for {
		got, err := c.Fill(&b, 100)
		if err != nil {
			return err
		}
		for i := range got {
			if b.Cols[1].I[i] != n {
				return fmt.Errorf("key %d counts %d, want %d", b.Cols[0].I[i], b.Cols[1].I[i], n)
			}
		}
		if rows += got; got == 0 {
			break
		}
	}
	if rows != longReadKeys {
		return fmt.Errorf("%d rows, want %d", rows, longReadKeys)
	}
	return nil
}

// TestScheduleByClock shows batch runs after each interval, retries of a failed
// run after longer and longer pauses, and how long retired epochs are kept, on
// a clock of the test's.
func TestScheduleByClock(t *testing.T) {
	t.Cleanup(fault.Reset)
	start := time.Date(2022, 8, 30, 0, 0, 0, 0, time.UTC)
	clock := views.NewManualClock(start)
	e, _, publish := openClock(t, t.TempDir(), &logtest.Memory{}, clock)
	at := func(d time.Duration) { clock.Set(start.Add(d)) }
	runs := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprint("runs ", want), func() (string, bool) {
			list, err := e.BatchRuns()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range list {
				got = append(got, fmt.Sprintf("%s %d-%d %s %d", r.Kind, r.From, r.To, r.State, r.Attempt))
			}
			return strings.Join(got, ", "), strings.Join(got, ", ") == strings.Join(want, ", ")
		})
	}
	retired := func(want int) {
		t.Helper()
		eventually(t, fmt.Sprint("retired epochs ", want), func() (string, bool) {
			layers, err := e.Layers()
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, l := range layers {
				if !l.Serving {
					n++
				}
			}
			return fmt.Sprint(n), n == want
		})
	}
	publish(longReadKeys)
	runs()
	at(3 * time.Hour)
	runs("interval 1-1000 done 1")
	retired(1)
	publish(longReadKeys)
	fault.Set("batch.compute", 2)
	at(6 * time.Hour)
	runs("interval 1-1000 done 1", "interval 1001-2000 failed 1")
	publish(longReadKeys) // not part of the range of what failed
	at(6*time.Hour + time.Second)
	runs("interval 1-1000 done 1", "interval 1001-2000 failed 2")
	at(6*time.Hour + 2*time.Second)
	runs("interval 1-1000 done 1", "interval 1001-2000 failed 2") // too early: it waits for two seconds now
	at(6*time.Hour + 3*time.Second)
	runs("interval 1-1000 done 1", "interval 1001-2000 done 3")
	retired(2)
	if err := readOnceCounts(e, 3); err != nil {
		t.Error(err)
	}
	at(10 * time.Hour)
	runs("interval 1-1000 done 1", "interval 1001-2000 done 3", "interval 2001-3000 done 1")
	retired(3)
	at(26 * time.Hour) // a day after none of them
	retired(3)
	at(27 * time.Hour)
	retired(2)
	at(40 * time.Hour)
	retired(0)
	if err := readOnceCounts(e, 3); err != nil {
		t.Error(err)
	}
}

func eventually(t *testing.T, what string, look func() (got string, ok bool)) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		got, ok := look()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain, the last was %s", what, got)
		}
	}
}

// TestAuditFindsDamage shows that AUDIT finds rows that are wrong, missing, too
// many or not to be read, and that FULL mends them.
func TestAuditFindsDamage(t *testing.T) {
	damages := map[string]struct {
		key    int64
		change func(states []byte) []byte
		want   string
	}{
		"changed": {7, func(states []byte) []byte {
			states[0]++
			return states
		}, "k = 7: n is 2 in the view, 1 from the log"},
		"missing":    {7, func([]byte) []byte { return nil }, "k = 7: the log gives this row, the view has none"},
		"too many":   {-7, func([]byte) []byte { return []byte{1, 0} }, "k = -7: the view has this row, the log gives none"},
		"unreadable": {7, func([]byte) []byte { return []byte{0xff} }, "k = 7: cannot be read"},
	}
	for name, d := range damages {
		t.Run(name, func(t *testing.T) {
			e, v, publish := openCounting(t, t.TempDir())
			publish(longReadKeys)
			if _, err := e.Refresh(t.Context(), v, false); err != nil {
				t.Fatal(err)
			}
			if a, err := e.Audit(t.Context(), v); err != nil || a.Different != 0 || a.Compared != longReadKeys || a.Seq != longReadKeys {
				t.Fatalf("audit of a sound view: %+v, %v", a, err)
			}
			if err := v.ChangeRow(partial.AppendKey(nil, column.Value{Kind: column.Int, I: d.key}), d.change); err != nil {
				t.Fatal(err)
			}
			a, err := e.Audit(t.Context(), v)
			if err != nil || a.Different != 1 || !strings.HasPrefix(a.First, d.want) {
				t.Errorf("audit: %+v, %v", a, err)
			}
			if _, err := e.Refresh(t.Context(), v, true); err != nil {
				t.Fatal(err)
			}
			if a, err := e.Audit(t.Context(), v); err != nil || a.Different != 0 {
				t.Errorf("audit after FULL: %+v, %v", a, err)
			}
		})
	}
}

// inState waits until view w is in a state, for a reason.
func inState(t *testing.T, e *views.Engine, state, reason string) {
	t.Helper()
	eventually(t, "w to be "+state, func() (string, bool) {
		infos, err := e.ViewInfos(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w := infos[len(infos)-1]
		return fmt.Sprint(w.State, w.Error), w.State == state && strings.Contains(w.Error, reason)
	})
}

// openTwo returns openCounting with a second view, w.
func openTwo(t *testing.T) (e *views.Engine, w *views.View, publish func(n int)) {
	t.Helper()
	t.Cleanup(fault.Reset)
	e, v, publish := openCounting(t, t.TempDir())
	def := *v.Def()
	def.Name = "w"
	if err := e.CreateView(t.Context(), &def, false); err != nil {
		t.Fatal(err)
	}
	w, err := e.View(views.DefaultDatabase, "w")
	if err != nil {
		t.Fatal(err)
	}
	return e, w, publish
}

// TestViewThatCannotBeWritten shows that a view whose file takes no commits is
// failed with the error, still answers right, neither stops the others nor
// loses anything, and is well again as soon as the file can be written.
func TestViewThatCannotBeWritten(t *testing.T) {
	e, w, publish := openTwo(t)
	fault.Set("view.commit:w", 1000)
	publish(longReadKeys)
	inState(t, e, views.ViewFailed, "injected")
	publish(longReadKeys)
	if err := readOnceCounts(e, 2); err != nil {
		t.Error(err)
	}
	var set views.ReadSet
	defer set.Close()
	snap, err := set.Snapshot(w)
	if err != nil || snap.Seq != 2*longReadKeys || rowsOf(t, snap) != longReadKeys {
		t.Errorf("reading it: %v", err)
	}
	if _, err := e.Refresh(t.Context(), w, false); err == nil {
		t.Error("REFRESH of a view that cannot be written succeeded")
	}
	fault.Reset()
	inState(t, e, views.ViewLive, "")
	if a, err := e.Audit(t.Context(), w); err != nil || a.Different != 0 || a.Seq != 2*longReadKeys {
		t.Errorf("audit: %+v, %v", a, err)
	}
}

// TestFailedViewStandsAlone shows that a view that fails for good stops alone,
// and that FULL builds it anew.
func TestFailedViewStandsAlone(t *testing.T) {
	e, w, publish := openTwo(t)
	fault.Set("view.apply:w", 1)
	publish(longReadKeys)
	inState(t, e, views.ViewFailed, "injected")
	publish(longReadKeys)
	if err := readOnceCounts(e, 2); err != nil {
		t.Error(err)
	}
	var set views.ReadSet
	defer set.Close()
	if _, err := set.Snapshot(w); !errors.Is(err, views.ErrFailed) || !strings.Contains(err.Error(), "FULL builds it anew") {
		t.Errorf("reading a failed view: %v", err)
	}
	if _, err := e.Refresh(t.Context(), w, false); !errors.Is(err, views.ErrFailed) {
		t.Errorf("REFRESH of a failed view: %v", err)
	}
	if _, err := e.Refresh(t.Context(), w, true); err != nil {
		t.Fatal(err)
	}
	w, err := e.View(views.DefaultDatabase, "w")
	if err != nil {
		t.Fatal(err)
	}
	snap, err := set.Snapshot(w)
	if err != nil || rowsOf(t, snap) != longReadKeys {
		t.Errorf("after FULL: %v", err)
	}
}

// TestComputeInParallel shows that several workers make the same of a log as one.
func TestComputeInParallel(t *testing.T) {
	views.SetComputeWorkers(t, 4)
	e, v, publish := openCounting(t, t.TempDir())
	for range 5 {
		publish(longReadKeys)
	}
	for range 3 {
		if _, err := e.Refresh(t.Context(), v, true); err != nil {
			t.Fatal(err)
		}
		if err := readOnceCounts(e, 5); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSpeedLayerByEpoch shows that the speed layer has a row for each key and
// epoch, in both directions, also when the read is moved to a copy at any row.
func TestSpeedLayerByEpoch(t *testing.T) {
	clock := views.NewManualClock(time.Now())
	e, v, publish := openClock(t, t.TempDir(), &logtest.Memory{}, clock)
	const epochs, keys = 4, 50
	for i := range epochs {
		publish(keys)
		if i < epochs-1 { // the last one is open
			if _, err := e.Refresh(t.Context(), v, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, reverse := range []bool{false, true} {
		for piece := 1; piece < 9; piece++ {
			var set views.ReadSet
			snap, err := set.Snapshot(v)
			if err != nil {
				t.Fatal(err)
			}
			c := snap.Scan(views.Speed, views.All, reverse, []int{0, 1, 2, 3})
			var b column.Batch
			var got []string
			for {
				n, err := c.Fill(&b, piece)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					break
				}
				for i := range n {
					got = append(got, fmt.Sprint(b.Cols[0].I[i], b.Cols[1].I[i], b.Cols[2].I[i], b.Cols[3].I[i]))
				}
				snap.Detach()
			}
			set.Close()
			var want []string
			for k := range keys {
				for epoch := 1; epoch <= epochs; epoch++ {
					serving := 0
					if epoch == epochs {
						serving = 1
					}
					want = append(want, fmt.Sprint(k, 1, epoch, serving))
				}
			}
			if reverse {
				slices.Reverse(want)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("reverse %v, %d at a time: got %v", reverse, piece, got)
			}
		}
	}
}

// TestRefreshMeetsAlter shows that a REFRESH that waits for its turn while the
// view becomes one without a batch layer does what REFRESH does there.
func TestRefreshMeetsAlter(t *testing.T) {
	broker := newStalling()
	e, v, publish := openCountingOn(t, t.TempDir(), broker)
	publish(longReadKeys)
	broker.stalled.Store(true)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	first := make(chan error, 1)
	go func() {
		_, err := e.Refresh(ctx, v, false)
		first <- err
	}()
	<-broker.waiting // it holds the view's turn
	altered, second := make(chan error, 1), make(chan error, 1)
	go func() {
		altered <- e.AlterView(t.Context(), v, toMode(views.Kappa))
	}()
	go func() {
		_, err := e.Refresh(t.Context(), v, false)
		second <- err
	}()
	broker.stalled.Store(false)
	stop()
	if err := <-first; err == nil {
		t.Error("a REFRESH that was killed succeeded")
	}
	if err := errors.Join(<-altered, <-second); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := readOnceCounts(e, 1); err != nil {
			t.Error(err)
		}
		if _, err := e.Refresh(t.Context(), v, true); err != nil {
			t.Fatal(err)
		}
	}
	layers, err := e.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		if l.Layer == views.Batch {
			t.Errorf("a kappa view has a batch layer: %+v", l)
		}
	}
}
