package views_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
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

// Cases that once went wrong, each as it was found.

// TestAlterThatCannotBeWritten shows that an ALTER whose file cannot be written
// changes nothing.
func TestAlterThatCannotBeWritten(t *testing.T) {
	t.Cleanup(fault.Reset)
	dir, broker := t.TempDir(), &logtest.Memory{}
	e, v, publish := openCountingOn(t, dir, broker)
	publish(longReadKeys)
	if _, err := e.Refresh(t.Context(), v, false); err != nil {
		t.Fatal(err)
	}
	fault.Set("view.commit:v", 1)
	if err := e.AlterView(t.Context(), v, toMode(views.Kappa)); err == nil {
		t.Fatal("ALTER succeeded")
	}
	fault.Reset()
	if mode := v.Def().Mode; mode != views.Lambda {
		t.Errorf("the mode is %s", mode)
	}
	for range 2 {
		v, err := e.View(views.DefaultDatabase, "v")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Refresh(t.Context(), v, true); err != nil {
			t.Fatal(err)
		}
		if err := readOnceCounts(e, 1); err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = reopen(t, dir, broker)
	}
}

// TestAlterRacesDrop shows that a view that is dropped beside an ALTER does not
// come back, and that one that is replaced beside it stays replaced.
func TestAlterRacesDrop(t *testing.T) {
	dir, broker := t.TempDir(), &logtest.Memory{}
	e, v, publish := openCountingOn(t, dir, broker)
	publish(10)
	wanted := map[string]uint64{}
	for i := range 20 {
		def := *v.Def()
		def.Name = fmt.Sprintf("w%d", i)
		if err := e.CreateView(t.Context(), &def, false); err != nil {
			t.Fatal(err)
		}
		w, err := e.View(def.Database, def.Name)
		if err != nil {
			t.Fatal(err)
		}
		altered := make(chan struct{})
		go func() {
			defer close(altered)
			_ = e.AlterView(t.Context(), w, func(old *views.ViewDef) (*views.ViewDef, error) {
				def := *old
				def.BatchEvents = 7
				return &def, nil
			})
		}()
		if i%2 == 0 {
			err = e.DropView(t.Context(), def.Database, def.Name)
		} else if err = e.CreateView(t.Context(), &def, true); err == nil {
			w, err = e.View(def.Database, def.Name)
			wanted[def.Name] = w.Version
		}
		if err != nil && !errors.Is(err, views.ErrBuilding) {
			t.Fatal(err)
		}
		<-altered
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = reopen(t, dir, broker)
	list, building := e.Views()
	if len(building) > 0 {
		t.Errorf("%d views are being built again", len(building))
	}
	for _, w := range list {
		if want := wanted[w.Def().Name]; w.Version != want && w.Def().Name != "v" {
			t.Errorf("%s is there in version %d, want %d", w.Def().Name, w.Version, want)
		}
	}
}

// TestAltersFollowEachOther shows that an ALTER that waits does not undo one
// that came meanwhile.
func TestAltersFollowEachOther(t *testing.T) {
	broker := newStalling()
	e, v, publish := openCountingOn(t, t.TempDir(), broker)
	publish(longReadKeys)
	broker.stalled.Store(true)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	full := make(chan error, 1)
	go func() {
		_, err := e.Refresh(ctx, v, true)
		full <- err
	}()
	<-broker.waiting
	altered := make(chan error, 2)
	go func() { altered <- e.AlterView(t.Context(), v, toMode(views.Kappa)) }()
	go func() {
		altered <- e.AlterView(t.Context(), v, func(old *views.ViewDef) (*views.ViewDef, error) {
			def := *old
			def.KeepPrevious = time.Minute
			return &def, nil
		})
	}()
	broker.stalled.Store(false)
	stop()
	if err := <-full; err == nil {
		t.Error("a FULL that was killed succeeded")
	}
	if err := errors.Join(<-altered, <-altered); err != nil {
		t.Fatal(err)
	}
	if def := v.Def(); def.Mode != views.Kappa || def.KeepPrevious != time.Minute {
		t.Errorf("the options are %+v", def)
	}
}

// windowed is a plan of SELECT k, TUMBLE(ts, one hour) AS w, COUNT(*) … GROUP
// BY k, w, or with first GROUP BY w, k.
type windowed struct{ first bool }

func (windowed) CompileStream(def *views.StreamDef) (*views.StreamPlan, error) {
	return &views.StreamPlan{Def: def}, nil
}

const hour = int64(3600e6)

func (c windowed) CompileView(*views.ViewDef, *views.StreamDef) (*views.ViewPlan, error) {
	k := views.Key{Name: "k", Expr: &column.Col{Index: 0, T: column.Bigint}}
	w := views.Key{Name: "w", Expr: &column.Tumble{X: &column.Col{Index: 1, T: column.Datetime}, Size: hour}}
	p := &views.ViewPlan{
		Reads: []int{0, 1}, Window: 1, WindowSize: hour, Keys: []views.Key{k, w},
		Aggs: []views.Agg{{Name: "__n", Spec: partial.Spec{Func: partial.CountAll, Result: column.Bigint}}},
	}
	if c.first {
		p.Window, p.Keys = 0, []views.Key{w, k}
	}
	for i, key := range p.Keys {
		p.Outputs = append(p.Outputs, views.Output{Name: key.Name, Type: key.Expr.Type(), Key: i, Agg: -1})
	}
	p.Outputs = append(p.Outputs, views.Output{Name: "n", Type: column.Bigint, Key: -1, Agg: 0})
	return p, nil
}

// openWindowed returns an engine with a view with retention, and what publishes
// events at minutes after midnight and waits.
func openWindowed(t *testing.T, broker views.Broker, c windowed, retention time.Duration) (*views.Engine, *views.View, func(minutes ...int)) {
	t.Helper()
	e, v := openView(t, views.Config{Dir: t.TempDir(), Broker: broker, Compiler: c, Logger: discard()},
		&views.StreamDef{EventTime: "ts", Columns: []views.ColumnDef{{Name: "k", Type: column.Bigint}, {Name: "ts", Type: column.Datetime}}},
		&views.ViewDef{BatchInterval: time.Hour, Retention: retention})
	midnight := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return e, v, func(minutes ...int) {
		t.Helper()
		var msgs []views.Message
		for _, m := range minutes {
			msgs = append(msgs, views.Message{Payload: fmt.Appendf(nil, `{"k":1,"ts":%q}`, midnight.Add(time.Duration(m)*time.Minute).Format(time.RFC3339))})
		}
		publishTo(t, e, v, msgs)
	}
}

// keepFor is a change of retention.
func keepFor(d time.Duration) func(old *views.ViewDef) (*views.ViewDef, error) {
	return func(old *views.ViewDef) (*views.ViewDef, error) {
		def := *old
		def.Retention = d
		return &def, nil
	}
}

// hours returns the number of events in each hour of view v.
func hours(t *testing.T, e *views.Engine, v *views.View) string {
	t.Helper()
	var set views.ReadSet
	defer set.Close()
	snap, err := set.Snapshot(v)
	if err != nil {
		t.Fatal(err)
	}
	c := snap.Scan(views.Serving, views.All, false, []int{0, 1, 2})
	var b column.Batch
	var got []string
	for {
		n, err := c.Fill(&b, 100)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return strings.Join(got, " ")
		}
		for i := range n {
			w := b.Cols[1].I[i]
			if v.Plan().Window == 0 {
				w = b.Cols[0].I[i]
			}
			got = append(got, fmt.Sprintf("%d:%d", w/hour%24, b.Cols[2].I[i]))
		}
	}
}

// TestLateEventsDuringFull shows that events which come during a FULL that
// brings windows back count in them.
func TestLateEventsDuringFull(t *testing.T) {
	for _, c := range []windowed{{first: true}, {}} {
		broker := newStalling()
		e, v, publish := openWindowed(t, broker, c, time.Hour)
		publish(0, 1, 2, 300)
		publish(3) // late
		if got := hours(t, e, v); got != "5:1" {
			t.Fatalf("%+v: %s", c, got)
		}
		if err := e.AlterView(t.Context(), v, keepFor(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		broker.stalled.Store(true)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := e.Refresh(ctx, v, true)
			done <- err
		}()
		<-broker.waiting
		publish(4)
		if got := hours(t, e, v); got != "5:1" {
			t.Errorf("%+v: during FULL: %s", c, got)
		}
		stop() // the first is cancelled; what came meanwhile must not be lacking from the next
		if err := <-done; err == nil {
			t.Error("a FULL that was killed succeeded")
		}
		broker.stalled.Store(false)
		publish(5)
		if _, err := e.Refresh(t.Context(), v, true); err != nil {
			t.Fatal(err)
		}
		if got := hours(t, e, v); got != "0:6 5:1" {
			t.Errorf("%+v: after FULL: %s", c, got)
		}
	}
}

// TestLongerRetention shows that no half of a window comes back when retention
// becomes longer.
func TestLongerRetention(t *testing.T) {
	for _, c := range []windowed{{first: true}, {}} {
		e, v, publish := openWindowed(t, &logtest.Memory{}, c, time.Hour)
		publish(0, 1)
		publish(125)
		publish(2, 3) // late: hour 0 is due
		if err := e.AlterView(t.Context(), v, keepFor(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := hours(t, e, v); got != "2:1" {
			t.Errorf("%+v: %s", c, got)
		}
		if a, err := e.Audit(t.Context(), v); err != nil || a.Different != 0 {
			t.Errorf("%+v: audit %+v, %v", c, a, err)
		}
	}
}

// losing is a broker whose logs can lose records on the way to who follows.
type losing struct {
	views.Broker
	lose atomic.Int64
}

func (b *losing) CreateLog(ctx context.Context, cfg views.LogConfig) (views.Log, error) {
	l, err := b.Broker.CreateLog(ctx, cfg)
	return losingLog{l, b}, err
}

type losingLog struct {
	views.Log
	b *losing
}

func (l losingLog) Read(ctx context.Context, after, until uint64) iter.Seq2[[]views.Record, error] {
	return func(yield func([]views.Record, error) bool) {
		for recs, err := range l.Log.Read(ctx, after, until) {
			if n := min(l.b.lose.Load(), int64(len(recs)-1)); until == 0 && n > 0 {
				recs = recs[n:]
				l.b.lose.Add(-n)
			}
			if !yield(recs, err) {
				return
			}
		}
	}
}

// TestGapsDuringFull shows that a gap that the live layer meets during a FULL
// does not hide what the log has lost before.
func TestGapsDuringFull(t *testing.T) {
	memory := &logtest.Memory{}
	lossy := &losing{Broker: memory}
	broker := newStalling()
	broker.Broker = lossy
	e, v, publish := openCountingOn(t, t.TempDir(), broker)
	publish(longReadKeys)
	memory.Trim("s", 300)
	broker.stalled.Store(true)
	done := make(chan error, 1)
	var note string
	go func() {
		var err error
		note, err = e.Refresh(t.Context(), v, true)
		done <- err
	}()
	<-broker.waiting
	broker.stalled.Store(false)
	lossy.lose.Store(400)
	publish(longReadKeys)
	close(broker.resume)
	if err := <-done; err != nil || note == "" {
		t.Errorf("note %q, %v", note, err)
	}
	if n := countWhenBuilt(t, e); n != longReadKeys {
		t.Errorf("%d rows, want %d", n, longReadKeys)
	}
}

// TestFailedOverTrimmedLog shows that FULL has a failed view back with the rows
// that the log cannot give any more.
func TestFailedOverTrimmedLog(t *testing.T) {
	t.Cleanup(fault.Reset)
	broker := &logtest.Memory{}
	e, v, publish := openCountingOn(t, t.TempDir(), broker)
	publish(longReadKeys)
	if _, err := e.Refresh(t.Context(), v, false); err != nil { // so that the file has them
		t.Fatal(err)
	}
	broker.Trim("s", 500)
	fault.Set("view.apply:v", 1)
	publish(longReadKeys)
	note, err := e.Refresh(t.Context(), v, true)
	if err != nil || !strings.Contains(note, "were kept as they were") {
		t.Fatalf("FULL: %q, %v", note, err)
	}
	// Rows that were kept have what the view had when it failed.
	if n := countWhenBuilt(t, e); n != longReadKeys {
		t.Errorf("%d rows, want %d", n, longReadKeys)
	}
}

// TestRebuildThatFails shows that a view whose file was lost and that cannot be
// built again keeps its name, says why, and is built by FULL or the next start.
func TestRebuildThatFails(t *testing.T) {
	t.Cleanup(fault.Reset)
	dir, broker := t.TempDir(), &logtest.Memory{}
	e, _, publish := openCountingOn(t, dir, broker)
	publish(longReadKeys)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	removeFiles(t, dir)
	fault.Set("build.step", 2)
	for _, way := range []string{"restart", "FULL"} {
		e = reopen(t, dir, broker)
		var v *views.View
		eventually(t, "the view to have failed", func() (string, bool) {
			var err error
			if v, err = e.View(views.DefaultDatabase, "v"); err != nil {
				return err.Error(), false
			}
			_, err = e.Refresh(t.Context(), v, false)
			return fmt.Sprint(err), errors.Is(err, views.ErrFailed) && strings.Contains(err.Error(), "injected")
		})
		if way == "FULL" {
			if _, err := e.Refresh(t.Context(), v, true); err != nil {
				t.Fatal(err)
			}
			if err := readOnceCounts(e, 1); err != nil {
				t.Error(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := readOnceCounts(reopen(t, dir, broker), 1); err != nil {
		t.Error(err)
	}
}

// lines counts what is logged as an error.
type lines struct {
	slog.Handler
	n *atomic.Int64
}

func (l lines) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		l.n.Add(1)
	}
	return nil
}

func (l lines) Enabled(context.Context, slog.Level) bool { return true }

func (l lines) WithAttrs([]slog.Attr) slog.Handler { return l }

// TestRunThatCannotBegin shows that a batch run which cannot even be written
// down is tried again now and then, not at once.
func TestRunThatCannotBegin(t *testing.T) {
	t.Cleanup(fault.Reset)
	clock, broker, n := views.NewManualClock(time.Now()), &logtest.Memory{}, &atomic.Int64{}
	dir := t.TempDir()
	e, _, publish := openClock(t, dir, broker, clock)
	publish(longReadKeys)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := views.Open(t.Context(), views.Config{Dir: dir, Broker: broker, Compiler: countByKey{}, Clock: clock, Logger: slog.New(lines{slog.DiscardHandler, n})})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	fault.Set("view.commit", 1<<30)
	clock.Set(clock.Now().Add(4 * time.Hour))
	eventually(t, "an error", func() (string, bool) { return "", n.Load() > 0 })
	time.Sleep(200 * time.Millisecond) // long for a loop that spins
	if got := n.Load(); got > 3 {
		t.Errorf("%d errors in a moment", got)
	}
}

// TestRerunKeepsRetry shows that feeding another run its range again does not
// make one that failed forgotten.
func TestRerunKeepsRetry(t *testing.T) {
	t.Cleanup(fault.Reset)
	e, v, publish := openCounting(t, t.TempDir())
	publish(longReadKeys)
	if _, err := e.Refresh(t.Context(), v, false); err != nil {
		t.Fatal(err)
	}
	publish(longReadKeys)
	fault.Set("batch.compute", 1)
	if _, err := e.Refresh(t.Context(), v, false); err == nil {
		t.Fatal("REFRESH succeeded")
	}
	if _, err := e.RerunBatch(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failed run to be done", func() (string, bool) {
		runs, err := e.BatchRuns()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(runs), runs[1].State == views.StateDone && runs[1].Attempt == 2
	})
}

// TestAmountWithoutEvents shows that batch_events counts what waits already.
func TestAmountWithoutEvents(t *testing.T) {
	dir, broker := t.TempDir(), &logtest.Memory{}
	e, v, publish := openCountingOn(t, dir, broker)
	publish(longReadKeys)
	err := e.AlterView(t.Context(), v, func(old *views.ViewDef) (*views.ViewDef, error) {
		def := *old
		def.BatchEvents = 10
		return &def, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a run", func() (string, bool) {
		runs, err := e.BatchRuns()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(runs), len(runs) == 1 && runs[0].Kind == views.RunEvents && runs[0].State == views.StateDone
	})
}

// TestDropStopsRuns shows that what is dropped or replaced does not go on
// computing.
func TestDropStopsRuns(t *testing.T) {
	for _, replace := range []bool{false, true} {
		broker := newStalling()
		e, v, publish := openCountingOn(t, t.TempDir(), broker)
		publish(longReadKeys)
		broker.stalled.Store(true)
		done := make(chan error, 1)
		go func() {
			_, err := e.Refresh(t.Context(), v, true)
			done <- err
		}()
		<-broker.waiting
		broker.stalled.Store(false)
		var err error
		if replace {
			err = e.CreateView(t.Context(), v.Def(), true)
		} else {
			err = e.DropView(t.Context(), v.Def().Database, v.Def().Name)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), "dropped or replaced meanwhile") {
			t.Errorf("FULL ended with %v", err)
		}
	}
}

// TestCloseWhenNothingCanBeWritten shows that a stop does not wait for a disk
// that is full, and that nothing is lost by that.
func TestCloseWhenNothingCanBeWritten(t *testing.T) {
	t.Cleanup(fault.Reset)
	dir, broker := t.TempDir(), &logtest.Memory{}
	e, _, publish := openCountingOn(t, dir, broker)
	fault.Set("view.commit", 1<<30)
	publish(longReadKeys)
	closed := make(chan struct{})
	go func() {
		_ = e.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Fatal("the stop hangs")
	}
	fault.Reset()
	if err := readOnceCounts(reopen(t, dir, broker), 1); err != nil {
		t.Error(err)
	}
}
