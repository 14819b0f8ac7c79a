package views_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/views"
	"weir/views/column"
	"weir/views/logtest"
	"weir/views/partial"
)

// wordByKey is a plan of SELECT k, COUNT(*) AS n, MAX(s) AS word … GROUP BY k.
type wordByKey struct{}

func (wordByKey) CompileStream(def *views.StreamDef) (*views.StreamPlan, error) {
	return &views.StreamPlan{Def: def}, nil
}

func (wordByKey) CompileView(*views.ViewDef, *views.StreamDef) (*views.ViewPlan, error) {
	k, s := &column.Col{Index: 0, T: column.Bigint}, &column.Col{Index: 1, T: column.Text}
	return &views.ViewPlan{
		Reads: []int{0, 1}, Window: -1, Keys: []views.Key{{Name: "k", Expr: k}},
		Aggs: []views.Agg{
			{Name: "__n", Spec: partial.Spec{Func: partial.CountAll, Result: column.Bigint}},
			{Name: "__word", Spec: partial.Spec{Func: partial.Max, Arg: column.Text, Result: column.Text}, Args: []column.Expr{s}},
		},
		Outputs: []views.Output{
			{Name: "k", Type: column.Bigint, Key: 0, Agg: -1},
			{Name: "n", Type: column.Bigint, Key: -1, Agg: 0},
			{Name: "word", Type: column.Text, Key: -1, Agg: 1, Null: true},
		},
	}, nil
}

// A wordView is a view whose passes keep at most so many bytes.
type wordView struct {
	*views.View
	t    *testing.T
	e    *views.Engine
	cols map[string]*views.Layout // by columns
}

func openWords(t *testing.T, most int64) *wordView {
	t.Helper()
	e, v := openView(t,
		views.Config{Dir: t.TempDir(), Broker: &logtest.Memory{}, Compiler: wordByKey{}, Logger: discard(), KeepLeast: 1, KeepMost: most},
		&views.StreamDef{Columns: []views.ColumnDef{{Name: "k", Type: column.Bigint}, {Name: "s", Type: column.Text}}},
		&views.ViewDef{BatchInterval: time.Hour})
	return &wordView{View: v, t: t, e: e, cols: map[string]*views.Layout{}}
}

// publish sends an event for each of the keys from from to before to, with a text
// that begins with the key and goes on with the word.
func (w *wordView) publish(from, to int, word string) {
	w.t.Helper()
	var msgs []views.Message
	for k := from; k < to; k++ {
		msgs = append(msgs, views.Message{Payload: fmt.Appendf(nil, `{"k":%d,"s":"%d%s"}`, k, k, word)})
	}
	publishTo(w.t, w.e, w.View, msgs)
}

// commit waits until all that was published is in the view's file alone.
func (w *wordView) commit() {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); w.Runs() > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			w.t.Fatal("the view is not committed")
		}
	}
}

// pass passes over columns often enough for them to be kept, and returns the
// rows of the last pass and whether that was over kept columns.
func (w *wordView) pass(cols ...int) (rows []string, kept bool) {
	w.t.Helper()
	id := fmt.Sprint(cols)
	if w.cols[id] == nil {
		w.cols[id] = w.Layout(views.Serving, cols, nil)
	}
	for range 3 {
		var set views.ReadSet
		snap, err := set.Snapshot(w.View)
		if err != nil {
			w.t.Fatal(err)
		}
		_, before := w.e.KeptColumns()
		rows = rows[:0]
		err = snap.Each(context.Background(), w.cols[id], slices.Clone(views.All), func(r *views.Rows) error {
			for i := range r.Len {
				if r.Sel != nil && !slices.Contains(r.Sel, uint32(i)) {
					continue
				}
				var row []string
				for _, c := range r.Cols {
					text := fmt.Sprint(c.Value(i).I)
					if c.Kind == column.String {
						text = c.Value(i).S
					}
					row = append(row, text)
				}
				rows = append(rows, strings.Join(row, "|"))
			}
			return nil
		})
		set.Close()
		if err != nil {
			w.t.Fatal(err)
		}
		_, after := w.e.KeptColumns()
		kept = after > before
	}
	return rows, kept
}

// What is kept is bounded, also where columns of long texts join others.
func TestKeptColumnsAreBounded(t *testing.T) {
	const most = 4 << 20
	w := openWords(t, most)
	w.publish(0, 200, strings.Repeat("x", 100<<10))
	if _, kept := w.pass(0, 1); !kept {
		t.Error("numbers are not kept")
	}
	if rows, kept := w.pass(0, 2); len(rows) != 200 || kept {
		t.Errorf("%d rows, kept: %v; of 20 MB there is room for 4", len(rows), kept)
	}
	if bytes, _ := w.e.KeptColumns(); bytes > most {
		t.Errorf("%d bytes are kept, of %d at most", bytes, int64(most))
	}
}

// Columns that are out of date do not take the room of those in their place,
// however large they are.
func TestKeptColumnsAreReplaced(t *testing.T) {
	const n = 3000
	w := openWords(t, n*1500)
	w.publish(0, n, strings.Repeat("x", 1000))
	if _, kept := w.pass(0, 2); !kept {
		t.Fatal("nothing is kept")
	}
	w.publish(0, n, strings.Repeat("y", 1000)) // more than are read anew
	rows, kept := w.pass(0, 2)
	if !kept {
		t.Error("the columns are not read again")
	}
	if len(rows) != n || rows[0] != "0|0"+strings.Repeat("y", 1000) {
		t.Errorf("%d rows, the first %.20q", len(rows), rows[0])
	}
}

// Rows that have changed since count, too.
func TestKeptColumnsCountWhatIsReadAnew(t *testing.T) {
	w := openWords(t, 64<<20)
	w.publish(0, 200, strings.Repeat("x", 50<<10))
	w.commit() // else the runs are one
	w.pass(0, 2)
	before, _ := w.e.KeptColumns()
	w.publish(0, 100, strings.Repeat("y", 50<<10))
	if _, kept := w.pass(0, 2); !kept {
		t.Error("the columns are not kept")
	}
	after, _ := w.e.KeptColumns()
	if after < before+100*(50<<10) {
		t.Errorf("%d bytes are kept after %d rows of 50 KiB have changed, and %d were before", after, 100, before)
	}
	// As many again, not more each time.
	w.publish(0, 100, strings.Repeat("z", 50<<10))
	w.pass(0, 2)
	if now, _ := w.e.KeptColumns(); now > after+1<<20 {
		t.Errorf("%d bytes are kept, and %d were before the same rows changed again", now, after)
	}
}

// Of the rows that have changed only the keys are kept: states may be large.
func TestKeptColumnsKeepNoStates(t *testing.T) {
	w := openWords(t, 64<<20)
	w.publish(0, 200, "x")
	w.commit() // else the runs are one
	w.pass(0, 2)
	w.publish(0, 100, "y")
	w.commit()
	if runs, states := w.KeptStates(); runs == 0 || states > 0 {
		t.Errorf("%d states are kept in %d runs", states, runs)
	}
	if rows, kept := w.pass(0, 2); !kept || len(rows) != 200 {
		t.Errorf("%d rows, kept: %v", len(rows), kept)
	}
}

// Views that are read at once share the room.
func TestKeptColumnsShareTheRoom(t *testing.T) {
	if ok := views.RoomFor(100, 40, 50, 40, 10); !slices.Equal(ok, []bool{true, true, false, true}) {
		t.Errorf("there is room for %v", ok)
	}
}
