package views_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/views"
	"weir/views/column"
	"weir/views/logtest"
	"weir/views/partial"
)

// countByKey is a plan of SELECT k, COUNT(*) … GROUP BY k over the first column.
type countByKey struct{}

func (countByKey) CompileStream(def *views.StreamDef) (*views.StreamPlan, error) {
	return &views.StreamPlan{Def: def}, nil
}

func (countByKey) CompileView(*views.ViewDef, *views.StreamDef) (*views.ViewPlan, error) {
	k := &column.Col{Index: 0, T: column.Bigint}
	return &views.ViewPlan{
		Reads: []int{0}, Window: -1, Keys: []views.Key{{Name: "k", Expr: k}},
		Aggs: []views.Agg{{Name: "__n", Spec: partial.Spec{Func: partial.CountAll, Result: column.Bigint}}},
		Outputs: []views.Output{
			{Name: "k", Type: column.Bigint, Key: 0, Agg: -1},
			{Name: "n", Type: column.Bigint, Key: -1, Agg: 0},
		},
	}, nil
}

// TestLongReadMoves shows that a read whose transaction is taken away goes on
// at the same sequence, in both directions, whatever happens to the view.
func TestLongReadMoves(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		t.Run(fmt.Sprintf("reverse=%v", reverse), func(t *testing.T) { longRead(t, reverse) })
	}
}

const longReadKeys = 1000

func longRead(t *testing.T, reverse bool) {
	dir := t.TempDir()
	e, v, publish := openCounting(t, dir)
	publish(longReadKeys)
	var set views.ReadSet
	defer set.Close()
	snap, err := set.Snapshot(v)
	if err != nil {
		t.Fatal(err)
	}
	c := snap.Scan(views.Serving, []views.Range{{}}, reverse, []int{0, 1})
	var b column.Batch
	next := int64(0)
	for read := 0; ; {
		n, err := c.Fill(&b, 70)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		for i := range n {
			want := next
			if reverse {
				want = longReadKeys - 1 - next
			}
			if k, count := b.Cols[0].I[i], b.Cols[1].I[i]; k != want || count != 1 {
				t.Fatalf("row %d is (%d, %d), want (%d, 1)", next, k, count, want)
			}
			next++
		}
		if read++; read%3 == 1 {
			publish(longReadKeys) // the live view counts twice as much now
			if _, err := e.Refresh(context.Background(), v, false); err != nil {
				t.Fatal(err)
			}
			snap.Detach()
		}
	}
	if next != longReadKeys {
		t.Fatalf("%d rows were read, want %d", next, longReadKeys)
	}
	set.Close()
	if files, _ := filepath.Glob(filepath.Join(dir, "views", "*.read.db")); len(files) > 0 {
		t.Errorf("copies are left: %v", files)
	}
}

// openCounting returns an engine with one stream and one view over it, and what
// publishes an event for each key below n and waits until it is applied.
func openCounting(t *testing.T, dir string) (*views.Engine, *views.View, func(n int)) {
	t.Helper()
	return openCountingOn(t, dir, &logtest.Memory{})
}

// openCountingOn is openCounting with a given broker.
func openCountingOn(t *testing.T, dir string, broker views.Broker) (*views.Engine, *views.View, func(n int)) {
	t.Helper()
	return openClock(t, dir, broker, nil)
}

// openClock is openCountingOn with a given clock.
func openClock(t *testing.T, dir string, broker views.Broker, clock views.Clock) (*views.Engine, *views.View, func(n int)) {
	t.Helper()
	view := &views.ViewDef{BatchInterval: time.Hour}
	if clock != nil {
		view.BatchInterval, view.SpeedRetention = 3*time.Hour, 24*time.Hour
	}
	e, v := openView(t, views.Config{Dir: dir, Broker: broker, Compiler: countByKey{}, Clock: clock, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))},
		&views.StreamDef{Columns: []views.ColumnDef{{Name: "k", Type: column.Bigint}}}, view)
	return e, v, func(n int) {
		msgs := make([]views.Message, n)
		for i := range msgs {
			msgs[i].Payload = fmt.Appendf(nil, `{"k":%d}`, i)
		}
		publishTo(t, e, v, msgs)
	}
}
