package views_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"weir/internal/fault"
	"weir/views"
	"weir/views/logtest"
)

// openAtLeastOnce is openCountingOn with a view that is at least once, and whose
// file takes the rows of commits, but not their sequences.
func openAtLeastOnce(t *testing.T, dir string, broker views.Broker) (*views.Engine, func(n int)) {
	t.Helper()
	t.Cleanup(fault.Reset)
	e, v, publish := openCountingOn(t, dir, broker)
	def := *v.Def()
	def.Delivery = views.AtLeastOnce
	if err := e.CreateView(t.Context(), &def, true); err != nil {
		t.Fatal(err)
	}
	fault.Set("view.checkpoint:v", math.MaxInt)
	return e, publish
}

// TestSequenceThatCannotBeWritten shows that a view that is at least once counts
// nothing twice while nothing crashes, and goes on answering, whether or not its
// sequence can be written.
func TestSequenceThatCannotBeWritten(t *testing.T) {
	dir, broker := t.TempDir(), &logtest.Memory{}
	e, publish := openAtLeastOnce(t, dir, broker)
	n := int64(0)
	for begun := time.Now(); time.Since(begun) < 500*time.Millisecond; { // some commits
		publish(longReadKeys)
		n++
		if err := readOnceCounts(e, n); err != nil {
			t.Fatal(err)
		}
	}
	fault.Reset()
	publish(longReadKeys)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := readOnceCounts(reopen(t, dir, broker), n+1); err != nil {
		t.Error(err)
	}
}

// TestRowsWithoutTheirSequence shows what a start makes of rows whose sequence
// was not written: their events count twice until a batch run; where the log
// has lost the events, the view is built again.
func TestRowsWithoutTheirSequence(t *testing.T) {
	for name, test := range map[string]struct {
		last uint64 // of the log, when it comes back
		rows uint64
		n    int64
	}{
		"with the log":           {longReadKeys, longReadKeys, 2},
		"with a log cut shorter": {longReadKeys / 2, longReadKeys / 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir, broker := t.TempDir(), &logtest.Memory{}
			e, publish := openAtLeastOnce(t, dir, broker)
			publish(longReadKeys)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			fault.Reset()
			broker.Truncate("s", test.last)
			e = reopen(t, dir, broker)
			if rows := countWhenBuilt(t, e); rows != test.rows {
				t.Errorf("%d rows, want %d", rows, test.rows)
			}
			v, err := e.View(views.DefaultDatabase, "v")
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int64{test.n, 1} {
				a, err := e.Audit(t.Context(), v)
				if err != nil || (a.Different == 0) != (n == 1) {
					t.Errorf("audit of rows that count %d: %+v, %v", n, a, err)
				}
				if _, err := e.Refresh(t.Context(), v, false); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestGapsAreCountedOnce shows that events which are applied a second time do
// not make a view believe that it never had what the log loses later.
func TestGapsAreCountedOnce(t *testing.T) {
	dir, broker := t.TempDir(), &logtest.Memory{}
	e, _ := openAtLeastOnce(t, dir, broker)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	msgs := make([]views.Message, longReadKeys)
	for i := range msgs {
		msgs[i].Payload = fmt.Appendf(nil, `{"k":%d}`, i)
	}
	if _, err := broker.Publish(t.Context(), "s", msgs); err != nil {
		t.Fatal(err)
	}
	broker.Drop("s", 500) // before the view has seen it
	for range 2 {
		e = reopen(t, dir, broker)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	fault.Reset()
	e = reopen(t, dir, broker)
	broker.Drop("s", 600)
	v, err := e.View(views.DefaultDatabase, "v")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Refresh(t.Context(), v, true); err != nil {
		t.Fatal(err)
	}
	if n := countWhenBuilt(t, e); n != longReadKeys-1 {
		t.Errorf("the view has %d rows, want %d", n, longReadKeys-1)
	}
}
