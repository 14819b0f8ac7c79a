package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"weir/internal/fault"
)

// A View is one version of a materialized view: its definition, its file, and
// its place in a stream.
type View struct {
	def     atomic.Pointer[ViewDef] // ALTER replaces it
	Version uint64
	eng     *Engine
	stream  *Stream
	plan    *ViewPlan
	pipe    *pipeline // of the stream's follower
	store   *store

	// flushing is the sequence up to which a commit is writing the runs, 0
	// while none is.
	flushing atomic.Uint64
	// commitMu makes commits of this view follow one another.
	commitMu sync.Mutex
	damage   atomic.Bool // its file was found damaged
	// alterSem is full while the options change. It is taken before batchSem.
	alterSem chan struct{}
	// batchSem is full while a batch run, a full recompute or a replay goes on.
	batchSem chan struct{}
	// amount wakes the batch scheduler when BatchEvents events wait, wake when
	// something else has changed for it.
	amount, wake chan struct{}
	cut          atomic.Uint64 // storeMeta.Cut, for enough
	// skipped is the end of the last run that was cancelled: BatchEvents more
	// must come before there is another for their amount.
	skipped atomic.Uint64

	// Kept is for what readers make once for the version, by keys of their own.
	Kept sync.Map

	kept     keptView // guarded by keptColumns.mu
	keysOnce sync.Once
	keys     *Layout // without columns

	mu    sync.Mutex
	err   error // why the view failed
	stuck error // why the last commit failed, which is tried again

	// changes sends the rows that commits change; nil while none are sent.
	changes     atomic.Pointer[changes]
	changesMu   sync.Mutex // held while changes begins or ends; taken before commitMu
	changesOver bool       // it does not begin again

	stop context.CancelFunc // ends the scheduler
	done chan struct{}      // closed when it has ended

	ctx context.Context // of the version: ended when it is dropped or replaced
	end context.CancelCauseFunc
}

func newView(eng *Engine, s *Stream, def *ViewDef, plan *ViewPlan, version uint64) *View {
	v := &View{
		Version: version, eng: eng, stream: s, plan: plan,
		pipe: newPipeline(plan), alterSem: make(chan struct{}, 1), batchSem: make(chan struct{}, 1), amount: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
	v.def.Store(def)
	v.ctx, v.end = context.WithCancelCause(eng.ctx)
	return v
}

// Def returns what the view's definition says now.
func (v *View) Def() *ViewDef { return v.def.Load() }

// Plan returns what the view computes.
func (v *View) Plan() *ViewPlan { return v.plan }

// Stream returns the stream that the view reads.
func (v *View) Stream() *Stream { return v.stream }

func (v *View) log() *slog.Logger { return v.eng.log.With("view", v.Def().Name) }

// fail marks the view failed: it takes no more events and answers no query.
func (v *View) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err == nil {
		v.err = err
		if !errors.Is(err, errDetached) { // dropped or replaced: as it should be
			v.log().Error("view failed", "error", err)
		}
	}
}

// failure returns why the view failed, or nil.
func (v *View) failure() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

// commitFailed keeps why a commit could not be written. A disk that is full or
// gives errors may come back: the view answers from memory meanwhile, and the
// commit is tried again. What else a commit can fail of does not go away.
func (v *View) commitFailed(err error) {
	if errors.Is(err, errDamaged) || errors.Is(err, errDetached) {
		v.fail(err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stuck == nil {
		v.log().Error("the view's file cannot be written; it answers from memory, and the commit is tried again", "error", err)
	}
	v.stuck = err
}

// commitWorks is what ends commitFailed.
func (v *View) commitWorks() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stuck != nil {
		v.log().Info("the view's file can be written again")
		v.stuck = nil
	}
}

// trouble returns why the last commit failed, or nil.
func (v *View) trouble() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stuck
}

// commit writes the view's applied runs and their sequence in one transaction,
// and whatever more also does in it, after the runs are in.
//
// Exactly once rests on this: rows and checkpoint become durable together.
func (v *View) commit(also func(tx *bolt.Tx, m *storeMeta) error) error {
	v.commitMu.Lock()
	defer v.commitMu.Unlock()
	v.stream.applyMu.Lock()
	st := v.stream.state.Load()
	vr, attached := st.views[v]
	seq := vr.end()
	v.flushing.Store(seq)
	v.stream.applyMu.Unlock()
	defer v.flushing.Store(0)
	if v.failure() != nil || !attached {
		if also == nil {
			return nil
		}
		if err := v.failure(); err != nil {
			return err
		}
		return errDetached
	}
	if also == nil && len(vr.runs) == 0 {
		return nil
	}
	var refused error
	write := func(tx *bolt.Tx, m *storeMeta) error {
		if err := v.commitRuns(tx, m, vr.runs, st.watermark); err != nil {
			return err
		}
		v.changes.Load().note(m)
		if also != nil {
			if refused = also(tx, m); refused != nil {
				return refused
			}
		}
		return nil
	}
	begun := time.Now()
	err := v.transact(also != nil, seq, vr, write)
	v.stream.commits.add(time.Since(begun), 1)
	if err != nil {
		if refused != nil {
			return refused
		}
		return fmt.Errorf("commit view %s: %w", v.Def().Name, err)
	}
	v.commitWorks()
	v.stream.dropCommitted(v, seq)
	v.changes.Load().offer(vr.runs)
	return nil
}

// transact commits rows and checkpoint in the order of the view's delivery.
// What moves the cut is exactly once in any case.
func (v *View) transact(cut bool, seq uint64, vr viewRuns, write func(tx *bolt.Tx, m *storeMeta) error) error {
	if err := fault.Point("view.commit", v.Def().Name); err != nil {
		return err
	}
	delivery := v.Def().Delivery
	if cut || len(vr.runs) == 0 {
		delivery = ExactlyOnce
	}
	if delivery == AtMostOnce {
		err := v.store.update(func(_ *bolt.Tx, m *storeMeta) error {
			m.Resume, m.ResumeTime = max(m.Resume, seq), vr.runs[len(vr.runs)-1].time
			return nil
		})
		if err != nil {
			return err
		}
		fault.Crash("commit.between")
	}
	fault.Crash("commit.before")
	err := v.store.update(func(tx *bolt.Tx, m *storeMeta) error {
		if err := write(tx, m); err != nil {
			return err
		}
		if delivery != AtLeastOnce {
			m.checkpoint()
		}
		return nil
	})
	if err != nil {
		return err
	}
	fault.Crash("commit.after")
	if delivery == AtLeastOnce {
		fault.Crash("commit.between")
		err := fault.Point("view.checkpoint", v.Def().Name)
		if err == nil {
			err = v.store.update(func(_ *bolt.Tx, m *storeMeta) error {
				m.checkpoint()
				return nil
			})
		}
		if err != nil {
			// The rows are in the file: to commit them again would count them
			// twice without a crash. The next commit writes its own sequence.
			v.log().Warn("the sequence of a commit cannot be written: a crash before the next one counts events twice", "error", err)
		}
	}
	return nil
}

// commitRuns puts runs into the open epoch.
func (v *View) commitRuns(tx *bolt.Tx, m *storeMeta, runs []*run, watermark int64) error {
	i := 0
	for i < len(runs) && runs[i].to <= m.Applied {
		i++ // committed already; only the news of it has not spread
	}
	if runs = runs[i:]; len(runs) == 0 {
		return nil
	}
	if runs[0].from != m.Applied {
		// A commit that was said to have failed is in the file after all, and the
		// runs were combined since: they cannot be told apart any more.
		return fmt.Errorf("%w: it has the events up to %d, and those that follow begin at %d", errDamaged, m.Applied, runs[0].from+1)
	}
	r := combineRuns(runs)
	m.Watermark = max(m.Watermark, watermark)
	if err := v.addSpeed(tx, m, r); err != nil {
		return err
	}
	m.Applied, m.AppliedTime = r.to, r.time
	if r.gaps > 0 {
		m.Gaps += r.gaps
		v.log().Warn("the log has gaps: events were lost or dropped before the view read them",
			"from_seq", r.from+1, "to_seq", r.to, "missing", r.gaps)
	}
	return v.expire(tx, m)
}

// addSpeed puts a run's rows into the open epoch.
func (v *View) addSpeed(tx *bolt.Tx, m *storeMeta, r *run) error {
	e := m.open()
	e.Span.union(r.span)
	return v.store.combine(tx, e.rowset(), r.table, v.windows(v.floor(m, m.Watermark)).keeps)
}

// enough says whether, with the events up to seq, enough wait for a batch run.
func (v *View) enough(seq uint64) bool {
	n := v.Def().BatchEvents
	return v.Def().Mode == Lambda && n > 0 && seq >= max(v.cut.Load(), v.skipped.Load())+n
}

// noticeAmount wakes the batch scheduler when enough events wait for it.
func (v *View) noticeAmount(seq uint64) {
	if !v.enough(seq) {
		return
	}
	select {
	case v.amount <- struct{}{}:
	default:
	}
}
