package views

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The kinds of batch runs.
const (
	RunInterval = "interval" // batch_interval has passed
	RunEvents   = "events"   // batch_events wait
	RunRefresh  = "refresh"  // REFRESH MATERIALIZED VIEW
	RunFull     = "full"     // REFRESH … FULL, and the first build
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
	ID        uint64
	View      string
	Kind      string
	From, To  uint64 // first and last sequence
	State     string
	Attempt   int
	Events    uint64
	Rows      uint64 // of the batch layer when the run was done
	Started   time.Time
	Finished  time.Time
	Error     string
	FullBatch bool // the run replaces the batch layer instead of adding to it
}

// runsMax bounds the batch runs a view remembers.
const runsMax = 1000

func putRun(tx *bolt.Tx, r *BatchRun) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	b := tx.Bucket(bucketRuns)
	if err := b.Put(binary.BigEndian.AppendUint64(nil, r.ID), raw); err != nil {
		return err
	}
	c := b.Cursor()
	if k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k)+runsMax <= r.ID {
		return c.Delete()
	}
	return nil
}

// runs returns the batch runs that the file remembers, oldest first.
func (s *store) runs() (runs []BatchRun, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketRuns)
		if b == nil {
			return nil
		}
		return b.ForEach(func(_, raw []byte) error {
			var r BatchRun
			if err := json.Unmarshal(raw, &r); err != nil {
				return err
			}
			runs = append(runs, r)
			return nil
		})
	})
	return runs, err
}

// schedule runs the batch layer of a lambda view by interval and by amount
// until ctx is done.
func (v *View) schedule(ctx context.Context) {
	defer close(v.done)
	if v.Def().Mode != Lambda {
		return
	}
	for ctx.Err() == nil && v.failure() == nil {
		kind := RunInterval
		wait := time.NewTimer(v.untilNextBatch())
		select {
		case <-ctx.Done():
		case <-wait.C:
		case <-v.amount:
			kind = RunEvents
		}
		wait.Stop()
		if ctx.Err() != nil {
			return
		}
		if kind == RunEvents && v.stream.Applied() < v.cut.Load()+v.Def().BatchEvents {
			continue // a run since then has taken them
		}
		err := v.runBatch(ctx, kind)
		if errors.Is(err, errDetached) {
			return // replaced or dropped meanwhile
		}
		if err != nil && ctx.Err() == nil {
			v.log().Error("batch run failed; the speed layer covers for it until the next", "error", err)
			sleep(ctx, time.Second)
		}
	}
}

// untilNextBatch is how long until the interval since the last run has passed.
func (v *View) untilNextBatch() time.Duration {
	m, err := v.store.view()
	if err != nil {
		return v.Def().BatchInterval
	}
	return max(0, time.Until(m.LastBatch.Add(v.Def().BatchInterval)))
}

// runBatch adds the events since the cut to the batch layer, recomputed from
// the log, and moves the cut.
func (v *View) runBatch(ctx context.Context, kind string) error {
	return v.batch(ctx, kind, false)
}

// recompute computes the view from the whole log beside the live rows and
// replaces them: the batch layer of a lambda view; of a kappa view, all epochs
// that the replay has caught up with.
func (v *View) recompute(ctx context.Context) error {
	return v.batch(ctx, RunFull, true)
}

// batch is a batch run (full: a recompute or replay) over a fixed range:
//
//  1. Close the open epoch at B', in the commit of all that was applied, and
//     write down the run: (B, B'] is its range, or (0, B'] for a full one.
//  2. Compute the range from the log, beside everything.
//  3. In one transaction write the rows, move the cut to B', retire the epochs
//     up to B' and mark the run done.
//
// A reader's transaction sees the view before step 3 or after it. A crash
// before step 3 leaves a closed epoch more, which serves like the open one.
func (v *View) batch(ctx context.Context, kind string, full bool) (err error) {
	v.batchMu.Lock()
	defer v.batchMu.Unlock()
	br := BatchRun{View: v.Def().Name, Kind: kind, State: StateRunning, Attempt: 1, Started: now(), FullBatch: full}
	if full {
		if err := v.refuseTrimmed(ctx); err != nil {
			return err
		}
	}
	if err := v.beginRun(&br); err != nil || br.To < br.From {
		return err
	}
	job := v.eng.startJob(jobKind(v.Def().Mode, full), v.Def().Name, br.To-br.From+1)
	ctx = job.bind(ctx)
	defer func() { job.end(err) }()
	rows, err := v.compute(ctx, br.From-1, br.To, func(seq uint64) { job.progress(seq - br.From + 1) })
	if err == nil && full {
		err = v.refuseLoss(rows)
	}
	if err == nil && rows.gaps > 0 && !full {
		v.log().Warn("the log no longer holds all events of a batch run: the speed layer's states are taken over instead",
			"from_seq", br.From, "to_seq", br.To, "missing", rows.gaps)
		rows, err = v.fromEpochs(rows)
	}
	br.Finished = now()
	if err == nil {
		br.Events = br.To - br.From + 1 - rows.gaps
		if err = v.finishRun(&br, rows); err == nil {
			return nil
		}
	}
	br.State, br.Error = StateFailed, err.Error()
	if errors.Is(err, context.Canceled) {
		br.State = StateCancelled
	}
	if e := v.store.update(func(tx *bolt.Tx, m *storeMeta) error {
		m.LastBatch = br.Finished
		return putRun(tx, &br)
	}); e != nil {
		v.log().Error("cannot write down that a batch run failed", "error", e)
	}
	return err
}

// fromEpochs returns what the closed speed epochs hold in the place of rows
// that the log cannot give any more. States combine, so it is the same.
func (v *View) fromEpochs(rows *run) (*run, error) {
	taken := &run{from: rows.from, to: rows.to, span: rows.span, gaps: rows.gaps, table: rows.table.New()}
	err := guard("read the speed layer", func() error {
		return v.store.db.View(func(tx *bolt.Tx) error {
			m, err := v.store.meta(tx)
			if err != nil {
				return err
			}
			for _, e := range m.Epochs {
				b := tx.Bucket(speedBucket(e.ID))
				if e.To == 0 || e.To > rows.to || b == nil {
					continue
				}
				taken.span.union(e.Span)
				if err := b.ForEach(func(k, states []byte) error {
					return taken.table.Decode(taken.table.Group(k), states)
				}); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return taken, err
}

func jobKind(mode Mode, full bool) string {
	if full && mode == Kappa {
		return JobReplay
	}
	return JobBatch
}

// refuseTrimmed returns an error where the log has dropped events that the
// view counts: recomputing would lose them.
func (v *View) refuseTrimmed(ctx context.Context) error {
	st, err := v.stream.log.State(ctx)
	if err != nil {
		return err
	}
	if st.First > 1 {
		return fmt.Errorf("the log of %s begins at sequence %d: recomputing %s would lose what came before; it keeps the rows it has",
			v.stream.Def.Name, st.First, v.Def().Name)
	}
	return nil
}

// refuseLoss returns an error where rows, computed from the whole log, lack
// events that the view counts: retention or damage has taken them since.
func (v *View) refuseLoss(rows *run) error {
	m, err := v.store.view()
	if err != nil {
		return err
	}
	if rows.gaps > m.Gaps {
		return fmt.Errorf("the log no longer holds %d events that %s counts: it keeps the rows it has", rows.gaps-m.Gaps, v.Def().Name)
	}
	return nil
}

// beginRun closes the open epoch and writes the run down. With nothing to do
// it leaves br.To below br.From.
func (v *View) beginRun(br *BatchRun) error {
	return v.commit(func(tx *bolt.Tx, m *storeMeta) error {
		br.From, br.To = m.Cut+1, m.Applied
		if br.FullBatch {
			br.From = 1
		}
		if br.To < br.From {
			m.LastBatch = now()
			return nil
		}
		if m.open().From <= m.Applied {
			m.openEpoch()
		}
		id, err := v.eng.nextRunID()
		if err != nil {
			return err
		}
		br.ID = id
		return putRun(tx, br)
	})
}

// finishRun is step 3 of batch.
func (v *View) finishRun(br *BatchRun, rows *run) error {
	err := v.store.update(func(tx *bolt.Tx, m *storeMeta) error {
		var err error
		if v.Def().Mode == Kappa {
			err = v.replaceEpochs(tx, m, br, rows)
		} else {
			err = v.replaceBatch(tx, m, br, rows)
		}
		if err != nil {
			return err
		}
		m.LastBatch = br.Finished
		br.State, br.Rows = StateDone, m.BatchRows
		return putRun(tx, br)
	})
	if err != nil {
		return err
	}
	if v.Def().Mode == Lambda {
		v.cut.Store(br.To)
	}
	return nil
}

// replaceBatch puts the rows of a run into the batch layer and moves the cut.
func (v *View) replaceBatch(tx *bolt.Tx, m *storeMeta, br *BatchRun, rows *run) error {
	old := m.Batch
	if br.FullBatch || m.Batch == 0 {
		m.NextBatch++
		m.Batch, m.BatchRows, m.BatchSpan = m.NextBatch, 0, noSpan
	}
	added, err := v.store.combine(tx, batchBucket(m.Batch), rows.table)
	if err != nil {
		return err
	}
	if old != 0 && old != m.Batch {
		if err := deleteBucket(tx, batchBucket(old)); err != nil {
			return err
		}
	}
	m.BatchRows += added
	m.BatchSpan.union(rows.span)
	m.Cut = br.To
	return retire(tx, m, br.To)
}

// replaceEpochs puts the rows of a replay in the place of the epochs it covers.
func (v *View) replaceEpochs(tx *bolt.Tx, m *storeMeta, br *BatchRun, rows *run) error {
	m.NextEpoch++
	e := epoch{ID: m.NextEpoch, From: 1, To: br.To, Span: rows.span}
	var err error
	if e.Rows, err = v.store.combine(tx, speedBucket(e.ID), rows.table); err != nil {
		return err
	}
	if err := retire(tx, m, br.To); err != nil {
		return err
	}
	m.Epochs = append([]epoch{e}, m.Epochs...)
	return nil
}
