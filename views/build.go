package views

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// catchUpMax bounds the events that a build takes in while its stream waits.
const catchUpMax = 5000

// viewPath is the file of a version of a view.
func (e *Engine) viewPath(def *ViewDef, version uint64) string {
	name := url.PathEscape(strings.ToLower(def.Database + "." + def.Name))
	return filepath.Join(e.dir, "views", fmt.Sprintf("%s.%d.db", name, version))
}

// removeStrayFiles deletes the files of versions that no view uses: builds
// that a crash cut short, and versions that were replaced.
func (e *Engine) removeStrayFiles(entries map[string]*viewEntry) {
	used := map[string]bool{}
	for _, entry := range entries {
		used[e.viewPath(entry.Def, entry.Version)] = entry.Built
	}
	paths, _ := filepath.Glob(filepath.Join(e.dir, "views", "*.db"))
	for _, path := range paths {
		if !used[path] {
			if err := os.Remove(path); err != nil {
				e.log.Warn("cannot remove a file that no view uses", "path", path, "error", err)
			}
		}
	}
}

// recoverView opens the file of a view and attaches it to its stream. It
// returns true where the view must be built again.
func (e *Engine) recoverView(ctx context.Context, entry *viewEntry) (again bool) {
	def := entry.Def
	log := e.log.With("view", def.Name)
	s, ok := e.streams[nameKey(def.Database, def.Stream)]
	if !ok {
		log.Error("the stream of a view is gone; the view is not served", "stream", def.Stream)
		return false
	}
	plan, err := e.compile(def, s.Def)
	if err != nil {
		v := newView(e, s.Stream, def, &ViewPlan{}, entry.Version)
		v.fail(fmt.Errorf("its definition no longer compiles: %w", err))
		e.views[nameKey(def.Database, def.Name)] = v
		return false
	}
	if !entry.Built {
		return true
	}
	v := newView(e, s.Stream, def, plan, entry.Version)
	var meta *storeMeta
	err = guard("open view", func() (err error) {
		meta, err = v.openExisting(ctx)
		return err
	})
	if err != nil {
		if v.store != nil {
			_ = v.store.db.Close()
			v.store = nil
		}
		if s.id.First > 1 {
			// History below the log's floor cannot be computed again.
			v.fail(fmt.Errorf("its file is not to be trusted (%w), and the log begins at sequence %d only: DROP and CREATE the view to have it without what came before", err, s.id.First))
			e.views[nameKey(def.Database, def.Name)] = v
			return false
		}
		log.Error("the view's file is not to be trusted; the view is built again from the log", "reason", err)
		return true
	}
	v.cut.Store(meta.Cut)
	if err := s.attach(v, meta, nil, nil); err != nil {
		v.fail(err)
	}
	e.views[nameKey(def.Database, def.Name)] = v
	v.startSchedule()
	return false
}

// openExisting opens the view's file and checks that it is the view of this log.
func (v *View) openExisting(ctx context.Context) (*storeMeta, error) {
	path := v.eng.viewPath(v.Def(), v.Version)
	if _, err := os.Stat(path); err != nil {
		return nil, errors.New("the file is missing")
	}
	var err error
	if v.store, err = openStore(path, v.plan.Specs()); err != nil {
		return nil, err
	}
	meta, err := v.store.view()
	if err != nil {
		return nil, err
	}
	if meta.Definition != v.Def().Query {
		return nil, errors.New("the file is that of another definition")
	}
	if err := v.checkLog(ctx, meta); err != nil {
		return nil, err
	}
	if err := v.store.update(v.settle); err != nil {
		return nil, err
	}
	return v.store.view()
}

// settle brings the file in line with the definition and with the end of the
// process that wrote it.
func (v *View) settle(tx *bolt.Tx, m *storeMeta) error {
	if err := v.convert(tx, m); err != nil {
		return err
	}
	if err := v.prune(tx, m); err != nil {
		return err
	}
	return failInterruptedRuns(tx, m)
}

// checkLog compares the view's checkpoint with the log. After a power cut a
// log can come back shorter than a view that was synced, and give the lost
// sequences to other events.
func (v *View) checkLog(ctx context.Context, m *storeMeta) error {
	id := v.stream.id
	if id.Created.UnixNano() != m.LogCreated {
		return fmt.Errorf("the log is another one: made at %s", id.Created)
	}
	if m.Applied > id.Last {
		return fmt.Errorf("the log ends at sequence %d, but the view has applied %d", id.Last, m.Applied)
	}
	if m.Applied < id.First || m.Applied == 0 {
		return nil // nothing left to compare with
	}
	for recs, err := range v.stream.log.Read(ctx, m.Applied-1, m.Applied) {
		if err != nil {
			return err
		}
		if r := recs[0]; m.AppliedTime != 0 && r.Time != m.AppliedTime {
			return fmt.Errorf("the log holds another event at sequence %d than the one that the view has applied", r.Seq)
		}
	}
	return nil
}

// failInterruptedRuns marks the batch runs that were running when weir stopped.
// Their epochs are still there, so nothing is lost, and they are tried again.
func failInterruptedRuns(tx *bolt.Tx, m *storeMeta) error {
	var running []BatchRun
	err := tx.Bucket(bucketRuns).ForEach(func(_, raw []byte) error {
		var r BatchRun
		err := json.Unmarshal(raw, &r)
		if r.State == StateRunning {
			running = append(running, r)
		}
		return err
	})
	for i := 0; i < len(running) && err == nil; i++ {
		r := &running[i]
		r.State, r.Error, r.Finished = StateFailed, errStopped.Error(), now()
		if r.again() && r.From == m.Cut+1 {
			m.Retry = r.ID
		}
		err = putRun(tx, r)
	}
	return err
}

// refuseLoss returns an error where rows, computed from the whole log, lack
// events that the view counts, which another definition could not count:
// retention or damage has taken them since.
func (v *View) refuseLoss(rows *run) error {
	if v.store == nil {
		return nil
	}
	m, err := v.store.view()
	if err != nil {
		return err
	}
	if rows.gaps > m.Gaps {
		return fmt.Errorf("the log no longer holds %d events that %s counts: it keeps the rows it has; DROP and CREATE the view to have it without them, or ALTER it where its options alone are to change",
			rows.gaps-m.Gaps, v.Def().Name)
	}
	return nil
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
	b, err := e.startBuild(def, old)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-b.done:
		return b.err
	}
}

// CancelBuild stops the build of a view, if there is one: a first build leaves
// nothing behind, and a replacement leaves the view as it was.
func (e *Engine) CancelBuild(database, name string) {
	e.mu.RLock()
	b := e.building[nameKey(database, name)]
	e.mu.RUnlock()
	if b != nil {
		b.job.cancel(ErrCancelled)
		<-b.done
	}
}

// startBuild compiles the view and builds it in a goroutine of its own.
func (e *Engine) startBuild(def *ViewDef, replaces *View) (*build, error) {
	key := nameKey(def.Database, def.Name)
	s, ok := e.Stream(def.Database, def.Stream)
	if !ok {
		return nil, fmt.Errorf("stream %s %w", def.Stream, ErrUnknown)
	}
	plan, err := e.compile(def, s.Def)
	if err != nil {
		return nil, err
	}
	var version uint64
	err = e.catalog.db.Update(func(tx *bolt.Tx) (err error) {
		version, err = tx.Bucket(bucketViews).NextSequence()
		return err
	})
	if err != nil {
		return nil, err
	}
	b := &build{def: def, done: make(chan struct{})}
	e.mu.Lock()
	entry := e.streams[nameKey(def.Database, def.Stream)]
	if _, busy := e.building[key]; busy || e.ctx.Err() != nil {
		e.mu.Unlock()
		return nil, fmt.Errorf("view %s %w", def.Name, ErrBuilding)
	}
	if entry == nil || entry.Stream != s || e.views[key] != replaces {
		e.mu.Unlock()
		return nil, fmt.Errorf("view %s: its stream or the view itself was dropped or made meanwhile; run the statement again", def.Name)
	}
	var ctx context.Context
	b.job, ctx = e.startJob(e.ctx, JobBuild, def.Name, 0)
	e.building[key] = b
	e.wg.Add(1)
	e.mu.Unlock()
	go func() {
		defer e.wg.Done()
		v := newView(e, s, def, plan, version)
		b.err = e.build(ctx, v, replaces, b)
		b.job.end(b.err)
		e.mu.Lock()
		delete(e.building, key)
		e.mu.Unlock()
		close(b.done)
	}()
	return b, nil
}

// build computes a version of a view beside everything and lets it take its
// place among its stream's views.
func (e *Engine) build(ctx context.Context, v, replaces *View, b *build) (err error) {
	def := v.Def()
	if replaces == nil {
		// So that a crash does not forget the statement.
		if err := e.catalog.put(bucketViews, nameKey(def.Database, def.Name), &viewEntry{Def: def, Version: v.Version}); err != nil {
			return err
		}
	}
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
		_ = os.Remove(e.viewPath(def, v.Version))
		if replaces == nil && !errors.Is(err, context.Canceled) {
			_ = e.catalog.put(bucketViews, nameKey(def.Database, def.Name), nil)
		}
	}()
	st, err := v.stream.log.State(ctx)
	if err != nil {
		return err
	}
	b.job.setTotal(st.Last)
	base, err := v.firstBuild(ctx, st, replaces, b.job)
	if err != nil {
		return err
	}
	pending, err := v.catchUp(ctx, base, b.job)
	if err != nil {
		return err
	}
	return e.install(v, replaces, pending)
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

// firstBuild computes the view over the log as st says it is and writes its
// file: a batch run of a lambda view, the first epoch of a kappa view.
func (v *View) firstBuild(ctx context.Context, st LogState, replaces *View, j *job) (base uint64, err error) {
	br := BatchRun{View: v.Def().Name, Kind: RunFull, State: StateDone, Attempt: 1, From: 1, To: st.Last, Started: v.eng.clock.Now()}
	rows, err := v.compute(ctx, 0, st.Last, j.progress)
	if err != nil {
		return 0, err
	}
	if replaces != nil {
		if err := replaces.refuseLoss(rows); err != nil {
			return 0, err
		}
	}
	if rows.gaps > 0 && st.Last > 0 {
		v.log().Warn("the log no longer holds all events since its first; the view begins without them", "missing", rows.gaps)
	}
	meta := storeMeta{
		Definition: v.Def().Query, Version: v.Version, Mode: v.Def().Mode, LogCreated: st.Created.UnixNano(), Floor: noFloor,
		Applied: st.Last, AppliedTime: rows.time, Gaps: rows.gaps, Watermark: rows.watermark, BatchSpan: noSpan, LastBatch: v.eng.clock.Now(),
	}
	meta.openEpoch()
	v.store, err = createStore(v.eng.viewPath(v.Def(), v.Version), v.plan.Specs(), meta)
	if err != nil {
		return 0, err
	}
	if replaces != nil {
		if err := v.store.inheritRuns(replaces.store); err != nil {
			return 0, err
		}
	}
	if st.Last == 0 {
		return 0, nil
	}
	br.Events, br.Finished = st.Last-rows.gaps, v.eng.clock.Now()
	err = v.store.update(func(tx *bolt.Tx, m *storeMeta) error {
		if v.Def().Mode == Kappa {
			return v.replaceEpochs(tx, m, rows)
		}
		id, err := v.eng.nextRunID()
		if err != nil {
			return err
		}
		if err := v.addBatch(tx, m, rows, true); err != nil {
			return err
		}
		br.ID, br.Rows = id, m.BatchRows
		v.cut.Store(m.Cut)
		return putRun(tx, &br)
	})
	return st.Last, err
}

// inheritRuns takes over the batch runs of the version that is replaced.
func (s *store) inheritRuns(from *store) error {
	if from == nil {
		return nil
	}
	runs, err := from.runs()
	if err != nil {
		return err
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

// catchUp takes in what the stream has applied since base, until little is left.
func (v *View) catchUp(ctx context.Context, base uint64, j *job) (pending []*run, err error) {
	at := base
	if err := v.stream.WaitApplied(ctx, base); err != nil {
		return nil, err
	}
	for {
		head := v.stream.Applied()
		if head <= at+catchUpMax {
			return pending, nil
		}
		r, err := v.compute(ctx, at, head, j.progress)
		if err != nil {
			return nil, err
		}
		pending = appendRun(pending, r, 0)
		at = head
	}
}

// install attaches the finished version beside the one it replaces, makes it the
// one that the catalog names, and then that of the name. The old one stays
// current for replacedGrace, for statements that found it before.
func (e *Engine) install(v, replaces *View, pending []*run) error {
	key := nameKey(v.Def().Database, v.Def().Name)
	if err := e.stillNames(key, replaces); err != nil {
		return err
	}
	meta, err := v.store.view()
	if err != nil {
		return err
	}
	err = v.stream.attach(v, meta, pending, func(from, to uint64) (*run, error) {
		return v.compute(e.ctx, from, to, func(uint64) {})
	})
	if err != nil {
		return err
	}
	// Who drops the view now waits for this build before changing the catalog.
	err = e.catalog.put(bucketViews, key, &viewEntry{Def: v.Def(), Version: v.Version, Built: true})
	if err == nil {
		e.mu.Lock()
		if e.views[key] != replaces {
			err = errDroppedMeanwhile
		} else {
			e.views[key] = v
			v.startSchedule()
		}
		e.mu.Unlock()
	}
	if err != nil {
		v.stream.detach(v)
		return err
	}
	if replaces != nil {
		e.discard(replaces, replacedGrace)
	}
	return nil
}

var errDroppedMeanwhile = errors.New("the view was dropped meanwhile")

// stillNames returns an error where the name is no longer that of the version
// that is to be replaced.
func (e *Engine) stillNames(key string, replaces *View) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.views[key] != replaces {
		return errDroppedMeanwhile
	}
	return nil
}

// replacedGrace is how long a version that was replaced can still be read by
// statements that found it under its name.
const replacedGrace = 2 * time.Second

// discard ends a view that nobody can find any more, after a while, and deletes
// its file once its last reader is done.
func (e *Engine) discard(v *View, grace time.Duration) {
	e.wg.Add(1)
	go func() {
		defer e.wg.Done()
		v.halt()
		sleep(e.ctx, grace)
		v.stream.detach(v)
		v.fail(errDetached)
		v.commitMu.Lock() // a commit that had begun is over
		defer v.commitMu.Unlock()
		if v.store == nil {
			return
		}
		if err := v.store.db.Close(); err != nil {
			v.log().Warn("close view", "error", err)
		}
		if err := os.Remove(e.viewPath(v.Def(), v.Version)); err != nil && !errors.Is(err, os.ErrNotExist) {
			v.log().Warn("remove view", "error", err)
		}
	}()
}

// DropView removes a view and its rows; a build of it is cancelled. When ctx is
// done first, it goes on without the caller.
func (e *Engine) DropView(ctx context.Context, database, name string) error {
	key := nameKey(database, name)
	e.mu.Lock()
	v, b := e.views[key], e.building[key]
	delete(e.views, key)
	if v == nil && b == nil {
		e.mu.Unlock()
		return fmt.Errorf("materialized view %s %w", name, ErrUnknown)
	}
	e.wg.Add(1)
	e.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		defer e.wg.Done()
		done <- e.drop(key, v, b)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-done:
		return err
	}
}

// drop removes what has the name key: the view v and the build b, either of
// which may be nil.
func (e *Engine) drop(key string, v *View, b *build) error {
	if b != nil {
		b.job.cancel(ErrCancelled)
		<-b.done
		e.mu.Lock()
		built := e.views[key] // by a first build that was done before it was cancelled
		delete(e.views, key)
		e.mu.Unlock()
		if built != nil && built != v {
			e.discard(built, 0)
		}
	}
	err := e.catalog.put(bucketViews, key, nil)
	if v != nil {
		e.discard(v, 0)
	}
	return err
}
