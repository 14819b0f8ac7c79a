package views

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"weir/internal/fault"
)

// catchUpMax bounds the events that a build takes in while its stream waits.
const catchUpMax = 5000

// buildChunk is how many events a build computes between two commits: what a
// crash makes it do again at most.
var buildChunk uint64 = 4 << 20

// A buildOrder says what is to be built.
type buildOrder struct {
	def      *ViewDef
	version  uint64 // whose file to go on with; 0 begins a new one
	replaces *View
	replay   bool // of the SELECT that the view has: what the log has lost is taken over
	lost     bool // the view was built before: its name stays, whatever becomes of this
}

// A build is a version of a view on its way to answering queries.
type build struct {
	buildOrder
	job  *job
	done chan struct{}
	note string // once done: what could not be done as it should, and was done instead
	err  error  // once done
}

// compile returns the plan of a view, with what every view of ours has.
func (e *Engine) compile(def *ViewDef, stream *StreamDef) (*ViewPlan, error) {
	plan, err := e.compiler.CompileView(def, stream)
	if err != nil {
		return nil, err
	}
	if err := plan.checkRetention(def, stream); err != nil {
		return nil, err
	}
	return withFirstSeq(plan, stream), nil
}

// CreateView makes a view and returns when it has caught up with the log as it
// was at the call. With replace a view of that name serves on until then.
// When ctx is done first, CreateView returns its error and the build goes on.
func (e *Engine) CreateView(ctx context.Context, def *ViewDef, replace bool) error {
	e.mu.RLock()
	old := e.views[nameKey(def.Database, def.Name)]
	e.mu.RUnlock()
	if !replace && old != nil {
		return fmt.Errorf("materialized view %s %w", def.Name, ErrExists)
	}
	for _, suffix := range []string{"", "_batch", "_speed"} {
		if err := e.checkFree(def.Database, def.Name+suffix, old); err != nil {
			if suffix != "" {
				return fmt.Errorf("%w, and the view %s needs that name for one of its layers", err, def.Name)
			}
			return err
		}
	}
	if err := e.checkChanges(def); err != nil {
		return err
	}
	_, err := e.buildAndWait(ctx, buildOrder{def: def, replaces: old})
	return err
}

// replay computes a view from the whole log into a new version beside the live
// one, which it then replaces. The note says what of the old one was kept
// because the log has lost it. A build that goes on already comes first.
func (e *Engine) replay(ctx context.Context, def *ViewDef) (note string, err error) {
	key := nameKey(def.Database, def.Name)
	for {
		e.mu.RLock()
		v, b := e.views[key], e.building[key]
		e.mu.RUnlock()
		switch {
		case b != nil:
			select {
			case <-b.done:
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		case v == nil:
			return "", fmt.Errorf("materialized view %s %w", def.Name, ErrUnknown)
		default:
			note, err = e.buildAndWait(ctx, buildOrder{def: v.Def(), replaces: v, replay: true})
			if e.ctx.Err() != nil || !errors.Is(err, errMeanwhile) && !errors.Is(err, ErrBuilding) {
				return note, err
			}
		}
	}
}

// errMeanwhile says that what a build was ordered for has changed.
var errMeanwhile = errors.New("its stream or the view itself was dropped or made meanwhile; run the statement again")

func (e *Engine) buildAndWait(ctx context.Context, o buildOrder) (note string, err error) {
	b, err := e.startBuild(o)
	if err != nil {
		return "", err
	}
	select {
	case <-ctx.Done():
		return "", &LeftError{context.Cause(ctx), b}
	case <-b.done:
		return b.note, b.err
	}
}

// A LeftError is the end of a wait for a build that goes on.
type LeftError struct {
	cause error
	build *build
}

func (e *LeftError) Error() string { return e.cause.Error() }

func (e *LeftError) Unwrap() error { return e.cause }

// Cancel stops the build: a first one leaves nothing behind, a replacement
// leaves the view as it was.
func (e *LeftError) Cancel() {
	e.build.job.cancel(ErrCancelled)
	<-e.build.done
}

// startBuild compiles the view and builds it in a goroutine of its own.
func (e *Engine) startBuild(o buildOrder) (*build, error) {
	def, key := o.def, nameKey(o.def.Database, o.def.Name)
	s, ok := e.Stream(def.Database, def.Stream)
	if !ok {
		return nil, fmt.Errorf("stream %s %w", def.Stream, ErrUnknown)
	}
	plan, err := e.compile(def, s.Def)
	if err != nil {
		return nil, err
	}
	if o.version == 0 {
		if o.version, err = e.catalog.nextVersion(); err != nil {
			return nil, err
		}
	}
	b := &build{buildOrder: o, done: make(chan struct{})}
	e.versionMu.Lock() // an ALTER comes before or after it
	defer e.versionMu.Unlock()
	e.mu.Lock()
	entry := e.streams[nameKey(def.Database, def.Stream)]
	if other, busy := e.building[key]; busy || e.ctx.Err() != nil {
		e.mu.Unlock()
		if !busy {
			return nil, errStopped
		}
		return nil, fmt.Errorf("%w; wait for it, or CALL weir.cancel_job(%d)", other.progressError(), other.job.ID)
	}
	if entry == nil || entry.Stream != s || e.views[key] != o.replaces || o.replay && o.replaces.Def() != def {
		e.mu.Unlock()
		return nil, fmt.Errorf("view %s: %w", def.Name, errMeanwhile)
	}
	kind := JobBuild
	if o.replay {
		kind = JobReplay
	}
	var ctx context.Context
	b.job, ctx = e.startJob(e.ctx, kind, def, 0)
	e.building[key] = b
	e.wg.Add(1)
	e.mu.Unlock()
	go func() {
		defer e.wg.Done()
		b.err = e.build(ctx, newView(e, s, def, plan, o.version), b)
		b.job.end(b.err)
		e.mu.Lock()
		delete(e.building, key)
		e.mu.Unlock()
		close(b.done)
	}()
	return b, nil
}

// build computes a version of a view beside everything and lets it take its
// place among its stream's views. When weir stops meanwhile, the next start
// goes on from the last commit; on any other error nothing is left.
func (e *Engine) build(ctx context.Context, v *View, b *build) (err error) {
	defer func() {
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if v.store != nil {
			_ = v.store.db.Close()
		}
		if e.ctx.Err() != nil && !errors.Is(err, ErrCancelled) {
			return
		}
		e.forgetBuild(v, b)
		if b.lost {
			e.unbuilt(v, err)
		}
	}()
	if err := e.noteBuild(b); err != nil {
		return err
	}
	fault.Crash("build.noted")
	st, err := v.stream.log.State(ctx)
	if err != nil {
		return err
	}
	target := st.Last
	was := uint64(0) // gaps that the version that is replaced had by then
	if old := b.replaces; b.replay && old.legible() {
		// The state that is taken over where the log has lost events is that at
		// target: no batch run may take the epochs up to there away.
		unlock, err := old.lockBatch(ctx)
		if err != nil {
			return err
		}
		defer unlock()
		if target, was, err = old.closeEpoch(); err != nil {
			return err
		}
		fault.Crash("replay.closed")
	} else if old.legible() {
		if m, err := old.store.view(); err == nil {
			was = m.Gaps
		}
	}
	started := e.clock.Now()
	at, err := v.beginBuild(ctx, st)
	if err != nil {
		return err
	}
	fault.Crash("build.opened")
	b.job.setTotal(target)
	pace := v.replayPace()
	for at < target {
		if at, err = v.buildStep(ctx, at, min(at+buildChunk, target), pace, b.job); err != nil {
			return err
		}
	}
	if err := v.takeOver(b, target, was, started); err != nil {
		return err
	}
	fault.Crash("build.taken_over")
	pending, err := v.catchUp(ctx, at, pace, b.job)
	if err != nil {
		return err
	}
	fault.Crash("build.caught_up")
	return e.install(v, b.replaces, pending)
}

// noteBuild writes a build down, so that a crash does not forget the statement.
func (e *Engine) noteBuild(b *build) error {
	key := nameKey(b.def.Database, b.def.Name)
	if b.replaces == nil {
		return e.catalog.beginView(key, b.def, b.version, b.lost)
	}
	return e.catalog.changeView(key, func(entry *viewEntry) {
		entry.Building = &versionEntry{Def: b.def, Version: b.version, Replay: b.replay}
	})
}

// forgetBuild removes what a build has written.
func (e *Engine) forgetBuild(v *View, b *build) {
	key := nameKey(b.def.Database, b.def.Name)
	_ = os.Remove(e.viewPath(b.def, v.Version))
	fault.Crash("forget.removed")
	err := e.catalog.changeView(key, func(entry *viewEntry) {
		if entry.Building != nil && entry.Building.Version == b.version {
			entry.Building = nil
		}
	})
	if b.replaces == nil && !b.lost && err == nil {
		err = e.catalog.endView(key, b.version)
	}
	fault.Crash("forget.done")
	if err != nil {
		e.log.Error("cannot write down that a build has ended", "view", b.def.Name, "error", err)
	}
}

// unbuilt makes a view known that was built before, whose file is lost, and
// that could not be built again.
func (e *Engine) unbuilt(v *View, why error) {
	v.store = nil
	v.fail(fmt.Errorf("its file was lost, and it could not be built again: %w", why))
	e.versionMu.Lock()
	defer e.versionMu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if key := nameKey(v.Def().Database, v.Def().Name); e.views[key] == nil {
		e.views[key] = v
	}
}

// legible says whether there is a file that tells what the view has applied: a
// version without one is replaced as if it had counted nothing. v may be nil.
func (v *View) legible() bool {
	if v == nil || v.store == nil {
		return false
	}
	_, err := v.store.view()
	return !errors.Is(err, errDamaged)
}

// closeEpoch closes the open epoch, if it has events, at the sequence that it
// returns: what the view has applied, or had when it failed; and how many
// sequences the log did not have up to there.
func (v *View) closeEpoch() (at, gaps uint64, err error) {
	write := func(_ *bolt.Tx, m *storeMeta) error {
		at, gaps = m.Applied, m.Gaps
		if m.open().From <= m.Applied {
			m.openEpoch()
		}
		return nil
	}
	if v.failure() != nil {
		return at, gaps, v.store.update(write)
	}
	err = v.commit(write)
	return at, gaps, err
}

// beginBuild opens the file of a build that a stop has cut short, or a new one,
// and returns the sequence that it has reached.
func (v *View) beginBuild(ctx context.Context, st LogState) (at uint64, err error) {
	err = guard("open build", func() error {
		m, err := v.openExisting(ctx)
		if err != nil {
			return err
		}
		at = m.Applied
		if m.Mode == Lambda && m.Applied != m.Cut {
			// It had joined its stream already. What the speed layer has taken
			// since is computed again: a build goes on from the cut.
			at, err = m.Cut, v.store.update(v.backToCut)
		}
		return err
	})
	if err == nil || passing(ctx, err) {
		return at, err
	}
	if v.store != nil {
		_ = v.store.db.Close()
	}
	meta := storeMeta{
		Definition: v.Def().Query, Version: v.Version, Mode: v.Def().Mode, LogCreated: st.Created.UnixNano(),
		Watermark: noSpan.Max, BatchSpan: noSpan, LastBatch: v.eng.clock.Now(),
	}
	meta.bringBack()
	meta.openEpoch()
	v.store, err = createStore(v.eng.viewPath(v.Def(), v.Version), v.plan.Specs(), meta)
	return 0, err
}

// backToCut drops what the speed layer holds.
func (v *View) backToCut(tx *bolt.Tx, m *storeMeta) error {
	for _, e := range append(slices.Clone(m.Epochs), m.Retired...) {
		if err := dropRows(tx, e.Rowset); err != nil {
			return err
		}
	}
	m.Epochs, m.Retired = nil, nil
	m.Applied, m.AppliedTime, m.Gaps = m.Cut, 0, m.CutGaps
	m.openEpoch()
	m.checkpoint()
	return nil
}

// buildStep takes the events in (at, to] into the file and returns to.
func (v *View) buildStep(ctx context.Context, at, to uint64, pace *pacer, j *job) (uint64, error) {
	before, _ := v.store.view()
	rows, err := v.compute(ctx, at, to, pace, func(seq, gaps uint64) { j.progress(seq, before.Gaps+gaps) })
	if err != nil {
		return 0, err
	}
	if err := fault.Point("build.step", v.Def().Name); err != nil {
		return 0, err
	}
	return to, v.store.update(func(tx *bolt.Tx, m *storeMeta) error {
		m.Watermark = max(m.Watermark, rows.watermark)
		if rows.gaps > 0 {
			m.Gaps, m.Whole = m.Gaps+rows.gaps, rows.whole
		}
		if v.Def().Mode == Lambda {
			if err := v.addBatch(tx, m, rows, false); err != nil {
				return err
			}
			m.open().From, m.CutGaps = to+1, m.Gaps
		} else if err := v.addSpeed(tx, m, rows); err != nil {
			return err
		}
		m.Applied = to
		if rows.time != 0 {
			m.AppliedTime = rows.time
		}
		m.checkpoint()
		return v.expire(tx, m)
	})
}

// takeOver completes what is computed up to the sequence at: with the rows of
// the version that is replaced that the log can no longer give, its batch runs,
// and the run that this build is.
//
// was is how many sequences the log did not have for the version that is replaced.
func (v *View) takeOver(b *build, at, was uint64, started time.Time) error {
	old := b.replaces
	m, err := v.store.view()
	if err != nil {
		return err
	}
	var kept uint64
	switch {
	case m.Gaps == 0:
	case old == nil && !b.lost:
		v.log().Warn("the log no longer holds all events since its first; the view begins without them", "missing", m.Gaps)
	case !old.legible():
		return fmt.Errorf("the log no longer holds %d events, which %s may have counted: DROP and CREATE the view to have it without them", m.Gaps, v.Def().Name)
	case m.Gaps <= was: // what the view has never counted
	case b.replay:
		if kept, err = v.inherit(old, at, was, m.Whole); err != nil {
			return err
		}
	default:
		return fmt.Errorf("the log no longer holds %d events that %s counts: it keeps the rows it has; DROP and CREATE the view to have it without them, or ALTER it where its options alone are to change",
			m.Gaps-was, v.Def().Name)
	}
	if old.legible() {
		if err := v.store.inheritRuns(old.store); err != nil {
			return err
		}
		fault.Crash("build.inherited")
	}
	if at == 0 || v.Def().Mode == Kappa && !b.replay {
		return nil
	}
	return v.store.update(func(tx *bolt.Tx, m *storeMeta) (err error) {
		br := BatchRun{View: v.Def().Name, Kind: RunFull, State: StateDone, Attempt: 1, From: 1, To: at, Events: at - m.Gaps, Started: started, Finished: v.eng.clock.Now()}
		if m.Built != 0 { // a stop came behind this, and the build has gone on
			before, _, err := getRun(tx, m.Built)
			if err != nil {
				return err
			}
			br.ID, br.Note = m.Built, before.Note
		} else if br.ID, err = v.eng.nextRunID(); err != nil {
			return err
		}
		m.Built = br.ID
		if br.Rows = m.BatchRows; v.Def().Mode == Kappa {
			br.Rows = m.open().Rows
		}
		if kept > 0 {
			br.Note = keptNote(kept, br.Rows, m.Whole)
			b.note = br.Note
			v.log().Warn("a view was computed from the log anew, as far as that goes", "note", br.Note)
		}
		v.cut.Store(m.Cut)
		return putRun(tx, &br)
	})
}

// inheritRuns takes over the batch runs of the version that is replaced.
func (s *store) inheritRuns(from *store) error {
	runs, err := from.runs()
	if err != nil {
		return nil //nolint:nilerr // a damaged file is being replaced: its history goes with it
	}
	return s.update(func(tx *bolt.Tx, _ *storeMeta) error {
		for i := range runs {
			if runs[i].State == StateRunning {
				runs[i].State, runs[i].Error = StateCancelled, "the view was replaced while it ran"
			}
			if err := putRun(tx, &runs[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// setTotal says how many events the job will take.
func (j *job) setTotal(n uint64) {
	j.jobs.mu.Lock()
	defer j.jobs.mu.Unlock()
	j.EventsIn = n
}

// total returns how many events the job will take.
func (j *job) total() uint64 {
	j.jobs.mu.Lock()
	defer j.jobs.mu.Unlock()
	return j.EventsIn
}

// catchUp takes in what the stream has applied since base, until little is left.
// A round that does not leave half of what it found is slower than the stream is
// fed, or nearly: the next may hurt others more, for this must end.
func (v *View) catchUp(ctx context.Context, base uint64, pace *pacer, j *job) (pending []*run, err error) {
	at, behind, missing := base, uint64(math.MaxUint64), j.missing.Load()
	if err := v.stream.WaitApplied(ctx, base); err != nil {
		return nil, err
	}
	for {
		head := v.stream.Applied()
		if head <= at+catchUpMax {
			return pending, nil
		}
		if head-at > behind/2 {
			pace.urge()
		}
		behind = head - at
		j.setTotal(head)
		r, err := v.compute(ctx, at, head, pace, func(seq, gaps uint64) { j.progress(seq, missing+gaps) })
		if err != nil {
			return nil, err
		}
		missing += r.gaps
		pending = appendRun(pending, r, 0)
		at = head
	}
}
