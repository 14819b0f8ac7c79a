package views

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"weir/internal/fault"
	"weir/views/partial"
)

// The kinds of batch runs.
const (
	RunInterval = "interval" // batch_interval has passed
	RunEvents   = "events"   // batch_events wait
	RunRefresh  = "refresh"  // REFRESH MATERIALIZED VIEW
	RunFull     = "full"     // REFRESH … FULL, and the first build
	RunRerun    = "rerun"    // CALL weir.rerun_batch
)

// The states of batch runs and jobs.
const (
	StateRunning   = "running"
	StateDone      = "done"
	StateFailed    = "failed"
	StateCancelled = "cancelled"
)

// A BatchRun is a row of weir.batch_runs: one run of the batch layer over a
// fixed range of the log.
type BatchRun struct {
	ID       uint64
	Database string `json:"-"` // of the view, which its file does not name
	View     string
	Kind     string
	From, To uint64 // first and last sequence
	State    string
	Attempt  int
	Events   uint64
	Rows     uint64 // of the batch layer when the run was done
	Started  time.Time
	Finished time.Time
	Error    string
	Gaps     uint64 // storeMeta.Gaps up to To, or for a rerun to the cut
	Note     string // what the run could not do as it should, and did instead
}

// again says whether a run that failed is tried again by itself: those that
// move the cut. One of the others replaces rows that serve as well as before.
func (r *BatchRun) again() bool { return r.Kind != RunFull && r.Kind != RunRerun }

// runsMax bounds the batch runs a view remembers.
const runsMax = 1000

func putRun(tx *bolt.Tx, r *BatchRun) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	b, key := tx.Bucket(bucketRuns), binary.BigEndian.AppendUint64(nil, r.ID)
	if err := b.Put(key, seal(key, raw)); err != nil {
		return err
	}
	c := b.Cursor()
	if k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k)+runsMax <= r.ID {
		return c.Delete()
	}
	return nil
}

// getRun returns a batch run, and whether the file remembers it.
func getRun(tx *bolt.Tx, id uint64) (r BatchRun, ok bool, err error) {
	key := binary.BigEndian.AppendUint64(nil, id)
	raw := tx.Bucket(bucketRuns).Get(key)
	if raw == nil {
		return r, false, nil
	}
	if raw, err = unseal(key, raw); err != nil {
		return r, true, err
	}
	return r, true, json.Unmarshal(raw, &r)
}

// eachRun calls f with every batch run that the file remembers, oldest first.
func eachRun(tx *bolt.Tx, f func(r *BatchRun) error) error {
	b := tx.Bucket(bucketRuns)
	if b == nil {
		return fmt.Errorf("%w: it has no batch runs", errDamaged)
	}
	return b.ForEach(func(key, raw []byte) error {
		raw, err := unseal(key, raw)
		if err != nil {
			return err
		}
		var r BatchRun
		if err := json.Unmarshal(raw, &r); err != nil {
			return err
		}
		return f(&r)
	})
}

// runs returns the batch runs that the file remembers, oldest first.
func (s *store) runs() (runs []BatchRun, err error) {
	err = s.read(func(tx *bolt.Tx, _ *storeMeta) error {
		return eachRun(tx, func(r *BatchRun) error {
			runs = append(runs, *r)
			return nil
		})
	})
	return runs, err
}

// waiting returns the run that has failed and waits to be tried again; its ID is
// 0 where there is none.
func (s *store) waiting() (m *storeMeta, failed BatchRun, err error) {
	err = s.read(func(tx *bolt.Tx, now *storeMeta) (err error) {
		if m = now; m.Retry != 0 {
			failed, _, err = getRun(tx, m.Retry)
		}
		return err
	})
	return m, failed, err
}

// retryMin and retryMax bound how long a failed batch run waits before it is
// tried again: twice as long each time.
const (
	retryMin = time.Second
	retryMax = 5 * time.Minute
)

func retryAfter(attempt int) time.Duration {
	return min(retryMax, retryMin<<min(max(attempt-1, 0), 16))
}

// idle is how long the scheduler sleeps when it knows nothing that is due.
const idle = time.Hour

// schedule runs the batch layer of a lambda view by interval and by amount,
// tries failed runs again and drops retired epochs whose time is over, until
// ctx is done.
func (v *View) schedule(ctx context.Context) {
	defer close(v.done)
	for ctx.Err() == nil && v.failure() == nil {
		kind, at, amount := v.nextRun()
		reached, stop := v.eng.clock.At(at)
		due := true
		select {
		case <-ctx.Done():
		case <-reached:
		case <-v.wake:
			due = false
		case <-amount:
			kind = RunEvents
			due = v.enough(v.stream.Applied()) // a run since it was noticed may have taken them
		}
		stop()
		if ctx.Err() != nil || !due {
			continue
		}
		var err error
		if kind == "" {
			err = v.pruneRetired()
		} else {
			_, err = v.runBatch(ctx, kind)
		}
		if errors.Is(err, errDetached) {
			return // replaced or dropped meanwhile
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, errNoBatchLayer) || errors.Is(err, ErrCancelled) {
			continue
		}
		v.log().Error("batch run failed; the speed layer covers for it until it is tried again", "error", err)
		if _, at, _ := v.nextRun(); !at.After(v.eng.clock.Now()) {
			sleep(ctx, retryMin) // it could not even be written down
		}
	}
}

// nextRun returns what the scheduler is to do next and when: a batch run of the
// kind, or with "" to look at the retired epochs. amount, where it is not nil,
// tells that enough events wait before that.
func (v *View) nextRun() (kind string, at time.Time, amount <-chan struct{}) {
	def, now := v.Def(), v.eng.clock.Now()
	at = now.Add(idle)
	m, failed, err := v.store.waiting()
	if err != nil {
		return "", at, nil // the file is damaged: the next commit fails the view
	}
	if def.Mode == Lambda {
		kind = RunInterval
		switch {
		case failed.ID != 0:
			at = failed.Finished.Add(retryAfter(failed.Attempt))
		case v.enough(v.stream.Applied()):
			return RunEvents, now, nil
		default:
			at, amount = m.LastBatch.Add(def.BatchInterval), v.amount
		}
	}
	if len(m.Retired) > 0 {
		if over := m.Retired[0].Retired.Add(def.SpeedRetention); over.Before(at) {
			kind, at = "", over
		}
	}
	return kind, at, amount
}

// rouse makes the scheduler look again at what is due.
func (v *View) rouse() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// lockBatch waits until no batch run, recompute or replay of the view goes on,
// and keeps others from beginning until unlock is called.
func (v *View) lockBatch(ctx context.Context) (unlock func(), err error) {
	select {
	case v.batchSem <- struct{}{}:
		return func() { <-v.batchSem }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-v.ctx.Done():
		return nil, context.Cause(v.ctx)
	}
}

// runBatch adds the events since the cut to the batch layer, computed from the
// log, and moves the cut. A run that failed before comes first, over the range
// it had; for REFRESH the events since then follow.
func (v *View) runBatch(ctx context.Context, kind string) (br *BatchRun, err error) {
	unlock, err := v.lockBatch(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if v.Def().Mode == Kappa {
		return nil, errNoBatchLayer
	}
	_, failed, err := v.store.waiting()
	if err != nil {
		return nil, err
	}
	if failed.ID != 0 {
		if err := v.attempt(ctx, &failed); err != nil || kind != RunRefresh {
			return &failed, err
		}
	}
	br = &BatchRun{Kind: kind}
	if err := v.beginRun(br); err != nil || br.To < br.From {
		return br, err
	}
	return br, v.attempt(ctx, br)
}

// errNoBatchLayer says that a view has become one without a batch layer.
var errNoBatchLayer = errors.New("a kappa view has no batch layer")

// recompute computes the batch layer from the whole log beside the live rows
// and replaces it. It returns the run as it was done.
func (v *View) recompute(ctx context.Context) (*BatchRun, error) {
	unlock, err := v.lockBatch(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if v.Def().Mode == Kappa {
		return nil, errNoBatchLayer
	}
	br := &BatchRun{Kind: RunFull}
	if err := v.beginRun(br); err != nil || br.To < br.From {
		return br, err
	}
	return br, v.attempt(ctx, br)
}

// rerun feeds a batch run its range again. A range that is not in the batch
// layer yet is added to it. For one that is, the groups that it touches are
// computed anew, from all events up to the cut, and replaced: states combine,
// but what one run has put into them cannot be taken out again.
func (v *View) rerun(ctx context.Context, id uint64) (*BatchRun, error) {
	unlock, err := v.lockBatch(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	br := &BatchRun{Kind: RunRerun}
	err = v.commit(func(tx *bolt.Tx, m *storeMeta) error {
		of, ok, err := getRun(tx, id)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("batch run %d %w", id, ErrUnknown)
		}
		br.From, br.To = of.From, of.To
		closes := func(e epoch) bool { return e.To == of.To }
		if v.Def().Mode == Kappa {
			return fmt.Errorf("%s is a kappa view and has no batch layer: REFRESH MATERIALIZED VIEW %s replays the log", v.Def().Name, v.Def().Name)
		}
		if of.To > m.Cut && (of.From != m.Cut+1 || !slices.ContainsFunc(m.Epochs, closes)) {
			return fmt.Errorf("the range of batch run %d, %d to %d, does not follow the batch layer, which ends at %d: REFRESH MATERIALIZED VIEW %s has those events",
				id, of.From, of.To, m.Cut, v.Def().Name)
		}
		return v.writeRun(tx, m, br)
	})
	if err != nil {
		return nil, err
	}
	return br, v.attempt(ctx, br)
}

// beginRun closes the open epoch and writes the run down with its range: the
// events since the cut, or for RunFull all. With nothing to do it leaves br.To
// below br.From.
func (v *View) beginRun(br *BatchRun) error {
	return v.commit(func(tx *bolt.Tx, m *storeMeta) error {
		br.From, br.To = m.Cut+1, m.Applied
		if br.Kind == RunFull {
			br.From, m.Floor = 1, noFloor
		}
		m.LastBatch = v.eng.clock.Now()
		if br.To < br.From {
			return nil
		}
		if m.open().From <= m.Applied {
			m.openEpoch()
		}
		return v.writeRun(tx, m, br)
	})
}

// writeRun gives a new run its number and writes it down.
func (v *View) writeRun(tx *bolt.Tx, m *storeMeta, br *BatchRun) (err error) {
	if br.ID, err = v.eng.nextRunID(); err != nil {
		return err
	}
	if br.Gaps = m.Gaps; br.Kind == RunRerun && br.To <= m.Cut {
		br.Gaps = m.CutGaps
	}
	br.View, br.State, br.Started = v.Def().Name, StateRunning, v.eng.clock.Now()
	return putRun(tx, br)
}

// attempt is a batch run over a fixed range, which is written down already and
// whose end is that of a closed epoch:
//
//  1. The open epoch was closed at B', in the commit of all that was applied:
//     (B, B'] is the range, or (0, B'] for a full run.
//  2. Compute the range from the log, beside everything.
//  3. In one transaction write the rows, move the cut to B', retire the epochs
//     up to B' and mark the run done.
//
// A reader's transaction sees the view before step 3 or after it. A crash or a
// failure before step 3 leaves a closed epoch more, which serves like the open
// one, and the run is tried again over the same range.
func (v *View) attempt(ctx context.Context, br *BatchRun) (err error) {
	br.Attempt++
	if br.Attempt > 1 {
		br.State, br.Error, br.Started, br.Finished = StateRunning, "", v.eng.clock.Now(), time.Time{}
		if err := v.store.update(func(tx *bolt.Tx, _ *storeMeta) error { return putRun(tx, br) }); err != nil {
			return err
		}
	}
	fault.Crash("batch.begun")
	job, ctx := v.eng.startJob(ctx, JobBatch, v.Def(), br.To-br.From+1)
	defer func() { job.end(err) }()
	defer context.AfterFunc(v.ctx, func() { job.cancel(context.Cause(v.ctx)) })()
	put, err := v.derive(ctx, br, job)
	if err == nil {
		fault.Crash("batch.computed")
		if err = v.finishRun(br, put); err == nil {
			fault.Crash("batch.written")
			return nil
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	br.State, br.Error, br.Finished = StateFailed, err.Error(), v.eng.clock.Now()
	switch {
	case v.eng.ctx.Err() != nil:
		br.Error = errStopped.Error()
	case ctx.Err() != nil:
		br.State, br.Error = StateCancelled, ErrCancelled.Error()
		v.skipped.Store(br.To)
	}
	fault.Crash("batch.failing")
	if e := v.store.update(func(tx *bolt.Tx, m *storeMeta) error {
		switch {
		case br.State == StateFailed && br.again():
			m.Retry = br.ID
		case m.Retry == br.ID:
			m.Retry = 0
		}
		return putRun(tx, br)
	}); e != nil {
		v.log().Error("cannot write down that a batch run failed", "error", e)
	}
	fault.Crash("batch.failed")
	v.rouse()
	return err
}

// errStopped is why a run failed that was running when weir stopped.
var errStopped = errors.New("weir stopped while it ran")

// A putRows writes what a run has computed, in the transaction that finishes it.
type putRows func(tx *bolt.Tx, m *storeMeta) error

// derive computes the rows of a run and returns what writes them.
func (v *View) derive(ctx context.Context, br *BatchRun, job *job) (putRows, error) {
	if err := fault.Point("batch.compute", v.Def().Name); err != nil {
		return nil, err
	}
	pace := v.batchPace(br.Kind)
	rows, err := v.compute(ctx, br.From-1, br.To, pace, func(seq, gaps uint64) { job.progress(seq-br.From+1, gaps) })
	if err != nil {
		return nil, err
	}
	br.Events = br.To - br.From + 1 - rows.gaps
	m, err := v.store.view()
	if err != nil {
		return nil, err
	}
	switch {
	case br.Kind == RunFull:
		if rows, err = v.withHistory(br, rows); err != nil {
			return nil, err
		}
		return func(tx *bolt.Tx, m *storeMeta) error { return v.addBatch(tx, m, rows, true) }, nil
	case br.To <= m.Cut:
		all := rows
		if br.From > 1 || br.To < m.Cut {
			job.setTotal(job.total() + m.Cut)
			if all, err = v.compute(ctx, 0, m.Cut, pace, func(seq, gaps uint64) { job.progress(br.To-br.From+1+seq, rows.gaps+gaps) }); err != nil {
				return nil, err
			}
		}
		if all, err = v.withHistory(br, all); err != nil {
			return nil, err
		}
		return func(tx *bolt.Tx, m *storeMeta) error { return v.replaceGroups(tx, m, all, rows.table) }, nil
	}
	if rows.gaps > 0 {
		br.Note = fmt.Sprintf("the log no longer holds %d events of the range: the speed layer's states of it were taken over instead", rows.gaps)
		v.log().Warn("a batch run lacks events", "note", br.Note, "from_seq", br.From, "to_seq", br.To)
		if rows, err = v.fromEpochs(rows); err != nil {
			return nil, err
		}
	}
	return func(tx *bolt.Tx, m *storeMeta) error { return v.addBatch(tx, m, rows, false) }, nil
}

// withHistory returns rows, which were computed from the whole log, with the
// groups that the log can no longer give as the view has them.
func (v *View) withHistory(br *BatchRun, rows *run) (*run, error) {
	if rows.gaps <= br.Gaps {
		return rows, nil // the log has what the view has ever counted
	}
	kept, err := v.keepHistory(rows)
	if err == nil && kept > 0 {
		br.Note = keptNote(kept, uint64(rows.table.Len()), rows.whole)
		v.log().Warn("a view was computed from the log anew, as far as that goes", "note", br.Note)
	}
	return rows, err
}

// fromEpochs returns what the closed speed epochs hold in the place of rows
// that the log cannot give any more. States combine, so it is the same.
func (v *View) fromEpochs(rows *run) (*run, error) {
	taken := &run{from: rows.from, to: rows.to, span: rows.span, gaps: rows.gaps, table: rows.table.New()}
	err := v.store.read(func(tx *bolt.Tx, m *storeMeta) error {
		return m.closedUntil(rows.to, func(e *epoch) error {
			taken.span.union(e.Span)
			return e.rowset().into(tx, taken.table)
		})
	})
	return taken, err
}

// finishRun is step 3 of attempt.
func (v *View) finishRun(br *BatchRun, put putRows) error {
	if err := fault.Point("batch.write", v.Def().Name); err != nil {
		return err
	}
	br.Finished = v.eng.clock.Now()
	var cut uint64
	err := v.store.update(func(tx *bolt.Tx, m *storeMeta) error {
		if err := put(tx, m); err != nil {
			return err
		}
		if br.To == m.Cut {
			m.CutGaps = br.Gaps
		}
		if err := v.settleRetry(tx, m, br); err != nil {
			return err
		}
		br.State, br.Rows, cut = StateDone, m.BatchRows, m.Cut
		return putRun(tx, br)
	})
	if err != nil {
		return err
	}
	v.cut.Store(cut)
	v.rouse()
	return nil
}

// settleRetry forgets the run that was to be tried again where it is done, or
// the batch layer has its range now.
func (v *View) settleRetry(tx *bolt.Tx, m *storeMeta, done *BatchRun) error {
	if m.Retry == 0 {
		return nil
	}
	failed, ok, err := getRun(tx, m.Retry)
	if err == nil && (!ok || failed.ID == done.ID || failed.To <= m.Cut) {
		m.Retry = 0
	}
	return err
}

// addBatch puts the rows of a run into the batch layer, or with replace in the
// place of it, and moves the cut to the end of the run.
func (v *View) addBatch(tx *bolt.Tx, m *storeMeta, rows *run, replace bool) error {
	if m.Batch != 0 && replace {
		if err := dropRows(tx, m.Batch); err != nil {
			return err
		}
		m.Batch = 0
	}
	if m.Batch == 0 {
		m.Batch, m.BatchRows, m.BatchSum, m.BatchSpan = m.newRowset(), 0, 0, noSpan
	}
	if replace {
		m.bringBack()
	}
	floor := v.floor(m, m.Watermark)
	if err := v.store.combine(tx, m.batch(), rows.table, v.windows(floor).keeps); err != nil {
		return err
	}
	m.BatchSpan.union(rows.span)
	m.Cut = rows.to
	return v.retire(tx, m, rows.to)
}

// replaceGroups puts the groups of all that are in touched in the place of
// those that the batch layer has.
func (v *View) replaceGroups(tx *bolt.Tx, m *storeMeta, all *run, touched *partial.Table) error {
	r := m.batch()
	b, err := tx.CreateBucketIfNotExists(rowsBucket(r.number))
	if err != nil {
		return err
	}
	c := b.Cursor()
	keeps := v.windows(v.floor(m, m.Watermark)).keeps
	for _, i := range touched.Sorted() {
		key := touched.Key(int(i))
		j := all.table.Lookup(key)
		if j < 0 || !keeps(key) {
			continue
		}
		old, _, err := r.get(c, key)
		if err != nil {
			return err
		}
		if err := r.put(b, key, old, all.table.Append(nil, j)); err != nil {
			return err
		}
	}
	return nil
}

// retire takes the epochs up to the sequence cut out of service. Those that
// batch has covered stay in v_speed for a while.
func (v *View) retire(tx *bolt.Tx, m *storeMeta, cut uint64) error {
	def, now := v.Def(), v.eng.clock.Now()
	for _, e := range m.Epochs {
		switch {
		case e.To == 0 || e.To > cut:
		case def.Mode == Lambda && def.SpeedRetention > 0:
			e.Retired = now
			m.Retired = append(m.Retired, e)
		default:
			if err := dropRows(tx, e.Rowset); err != nil {
				return err
			}
		}
	}
	m.Epochs = slices.DeleteFunc(m.Epochs, func(e epoch) bool { return e.To != 0 && e.To <= cut })
	return v.prune(tx, m, def)
}

// prune drops the retired epochs that have been kept for speed_retention.
func (v *View) prune(tx *bolt.Tx, m *storeMeta, def *ViewDef) error {
	now := v.eng.clock.Now()
	for len(m.Retired) > 0 && (def.Mode != Lambda || !m.Retired[0].Retired.Add(def.SpeedRetention).After(now)) {
		if err := dropRows(tx, m.Retired[0].Rowset); err != nil {
			return err
		}
		m.Retired = m.Retired[1:]
	}
	return nil
}

func (v *View) pruneRetired() error {
	err := v.store.update(func(tx *bolt.Tx, m *storeMeta) error { return v.prune(tx, m, v.Def()) })
	fault.Crash("retired.dropped")
	return err
}
