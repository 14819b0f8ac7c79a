package sql

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/internal/fault"
	"weir/views"
)

// What else happens to the views of TestViewsEqualTheLog than events, queries
// and crashes: batch runs that fail or are fed again, other options, audits,
// windows that retention drops, a log that loses its beginning.

// operate does one of these.
func (w *world) operate() {
	v := w.randomView()
	if v == nil {
		return
	}
	switch n := w.r.IntN(14); {
	case n >= 12:
		w.rollback(v)
	case n < 3:
		w.rerun(v)
	case n < 5:
		w.failBatch(v)
	case n < 6:
		w.failView(v)
	case n < 9:
		w.alter(v)
	case n < 11:
		w.audit(v)
	default:
		w.trim()
	}
}

// try runs a statement that may be refused with one of the reasons.
func (w *world) try(text string, reasons ...string) (refused bool) {
	w.t.Helper()
	err := w.server.Exec(w.t.Context(), "test", text)
	w.did("%s: %v", text, err)
	if err == nil {
		return false
	}
	if !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(err.Error(), r) }) {
		w.t.Fatalf("%s: %v", text, err)
	}
	return true
}

// rerun feeds one of a view's batch runs its range again.
func (w *world) rerun(v *views.View) {
	runs, err := w.engine.BatchRuns()
	if err != nil {
		w.t.Fatal(err)
	}
	runs = slices.DeleteFunc(runs, func(r views.BatchRun) bool { return r.View != v.Def().Name || r.State == views.StateRunning })
	if len(runs) > 0 {
		w.try(fmt.Sprintf("CALL weir.rerun_batch(%d)", pick(w.r, runs...).ID), "kappa view", "does not follow the batch layer")
		w.check()
	}
}

// failBatch makes the next batch run of a view fail before or after it has
// computed its rows. The scheduler tries it again, or the next REFRESH does.
func (w *world) failBatch(v *views.View) {
	point := pick(w.r, "batch.compute:", "batch.write:") + v.Def().Name
	fault.Set(point, 1+w.r.IntN(2))
	defer fault.Set(point, 0)
	w.settle()
	w.did("fail %s", point)
	w.try("REFRESH MATERIALIZED VIEW "+v.Def().Name+pick(w.r, "", " FULL"), "injected failure")
	w.checkView(v)
	if w.r.IntN(2) == 0 {
		w.publish()
		w.check()
	}
}

// failView makes a view fail: for a while, as a full disk does, when it answers
// all the same, or for good, when FULL has it back. The others go on.
func (w *world) failView(v *views.View) {
	name := v.Def().Name
	w.settle()
	point := pick(w.r, "view.commit:", "view.apply:") + name
	if strings.HasPrefix(point, "view.apply") && w.trimmed {
		return // it could not be built again
	}
	fault.Set(point, math.MaxInt)
	w.did("fail %s", point)
	if _, err := w.broker.Publish(w.t.Context(), "ev", []views.Message{{Payload: []byte(`[]`)}}); err != nil {
		w.t.Fatal(err)
	}
	w.events = append(w.events, plainEvent{})
	w.await(name, views.ViewFailed)
	for _, other := range w.viewList() {
		if other != v || strings.HasPrefix(point, "view.commit") {
			w.checkView(other)
		}
	}
	fault.Set(point, 0)
	if strings.HasPrefix(point, "view.apply") {
		w.exec("REFRESH MATERIALIZED VIEW " + name + " FULL")
	}
	w.await(name, views.ViewLive)
	w.check()
}

// await waits until a view is in a state.
func (w *world) await(name, state string) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		infos, err := w.engine.ViewInfos(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		i := slices.IndexFunc(infos, func(i views.ViewInfo) bool { return i.Def.Name == name })
		if infos[i].State == state {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("view %s is %s, not %s: %s", name, infos[i].State, state, infos[i].Error)
		}
	}
}

// alter gives a view other options.
func (w *world) alter(v *views.View) {
	set := pick(w.r,
		"mode = 'kappa'", "mode = 'lambda'", "mode = 'lambda', batch_interval = '100ms'",
		"mode = 'lambda', batch_interval = '1h', speed_retention = '0'",
		"mode = 'lambda', speed_retention = '100ms'", "mode = 'lambda', batch_events = 100")
	if v.Def().Retention == 0 && w.r.IntN(3) == 0 {
		// Only once: what a shorter retention has dropped does not come back.
		set = strings.TrimPrefix(w.retention(w.defs[v.Def().Query]), ", ")
	}
	if set == "" {
		return
	}
	w.try(fmt.Sprintf("ALTER MATERIALIZED VIEW %s SET (%s)", v.Def().Name, set))
	w.checkView(v)
}

// rollback puts the version before the last back, where there is one.
func (w *world) rollback(v *views.View) {
	w.try("ALTER MATERIALIZED VIEW "+v.Def().Name+" ROLLBACK", "no previous version",
		"injected failure at view.apply:"+v.Def().Name) // which failed the version before as well
	w.check()
}

// audit compares a view with the log by weir's own means.
func (w *world) audit(v *views.View) {
	_, rows, _ := w.query("AUDIT MATERIALIZED VIEW "+v.Def().Name, nil)
	w.did("audit %s: %v", v.Def().Name, rows)
	if len(rows) != 1 || compareCells(rows[0][3], int64(0)) != 0 {
		w.t.Fatalf("AUDIT MATERIALIZED VIEW %s: %v", v.Def().Name, rows)
	}
}

// trim makes the log lose its beginning, of which the views' files have all.
func (w *world) trim() {
	if !w.trims || len(w.events) == 0 {
		return
	}
	w.settle()
	w.restart()
	w.images = nil // theirs may lack events that are gone now
	w.first = max(w.first, w.r.IntN(len(w.events))+1)
	w.did("trim the log to %d", w.first)
	w.broker.Trim("ev", uint64(w.first))
	w.trimmed = true
}

// retention returns the option for views whose first or second column is a
// window, of any length, and nothing for others.
func (w *world) retention(d propertyDef) string {
	if !strings.Contains(d.items, "TUMBLE(") && !strings.Contains(d.items, "HOP(") {
		return ""
	}
	return fmt.Sprintf(", retention = '%s'", pick(w.r, "1s", "1m", "5m", "1h", "30d"))
}

// withoutExpired returns rows of v without the windows that its retention has
// dropped at the sequence seq: those that ended so long before the watermark.
func (w *world) withoutExpired(v *views.View, rows []gms.Row, seq uint64) []gms.Row {
	keep, plan := v.Def().Retention, v.Plan()
	if keep == 0 {
		return rows
	}
	_, latest, _ := w.query(fmt.Sprintf("SELECT MAX(ts) FROM ev WHERE _seq <= %d AND ts <= _time + INTERVAL 1 HOUR", seq), nil)
	watermark, ok := latest[0][0].(time.Time)
	if !ok {
		return rows
	}
	at := slices.IndexFunc(plan.Outputs, func(o views.Output) bool { return o.Key == plan.Window })
	return slices.DeleteFunc(rows, func(row gms.Row) bool {
		start, ok := row[at].(time.Time)
		return ok && start.UnixMicro()+plan.WindowSize <= watermark.Add(-keep).UnixMicro()
	})
}
