package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"weir/views/column"
	"weir/views/partial"
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
	// batchMu is held for a batch run, a full recompute or a replay.
	batchMu sync.Mutex
	// amount wakes the batch scheduler when BatchEvents events wait.
	amount chan struct{}
	cut    atomic.Uint64 // storeMeta.Cut, for noticeAmount

	mu  sync.Mutex
	err error // why the view failed

	stop context.CancelFunc // ends the scheduler
	done chan struct{}      // closed when it has ended
}

func newView(eng *Engine, s *Stream, def *ViewDef, plan *ViewPlan, version uint64) *View {
	v := &View{
		Version: version, eng: eng, stream: s, plan: plan,
		pipe: newPipeline(plan), amount: make(chan struct{}, 1),
	}
	v.def.Store(def)
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
	var written storeMeta
	err := v.store.update(func(tx *bolt.Tx, m *storeMeta) error {
		if err := v.commitRuns(tx, m, vr.runs, st.watermark); err != nil {
			return err
		}
		if also != nil {
			if err := also(tx, m); err != nil {
				return err
			}
		}
		written = *m
		return nil
	})
	if err != nil {
		return fmt.Errorf("commit view %s: %w", v.Def().Name, err)
	}
	v.cut.Store(written.Cut)
	v.stream.dropCommitted(v, seq)
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
	r := combineRuns(runs)
	e := m.open()
	added, err := v.store.combine(tx, speedBucket(e.ID), r.table)
	if err != nil {
		return err
	}
	e.Rows += added
	e.Span.union(r.span)
	m.Applied, m.AppliedTime = r.to, r.time
	m.Watermark = max(m.Watermark, watermark)
	if r.gaps > 0 {
		m.Gaps += r.gaps
		v.log().Warn("the log has gaps: events were lost or dropped before the view read them",
			"from_seq", r.from+1, "to_seq", r.to, "missing", r.gaps)
	}
	return nil
}

// noticeAmount wakes the batch scheduler when enough events wait for it.
func (v *View) noticeAmount(seq uint64) {
	if v.Def().Mode != Lambda || v.Def().BatchEvents == 0 || seq < v.cut.Load()+v.Def().BatchEvents {
		return
	}
	select {
	case v.amount <- struct{}{}:
	default:
	}
}

// compute runs the events in (after, until] through the view's pipeline into a
// table of its own. progress is told how far it is. It fails where the log
// does not hold them all, unless the range begins below what retention kept
// and floor allows it.
func (v *View) compute(ctx context.Context, after, until uint64, progress func(seq uint64)) (r *run, err error) {
	defer func() {
		if p := recover(); p != nil {
			v.log().Error("computing a view failed", "panic", p, "stack", string(debug.Stack()))
			r, err = nil, fmt.Errorf("internal error while computing view %s: %v", v.Def().Name, p)
		}
	}()
	r = &run{from: after, to: until, span: noSpan, watermark: noSpan.Max, table: partial.NewTable(v.plan.Specs())}
	if after >= until {
		return r, nil
	}
	d, err := newDecoder(v.stream.plan, v.plan.Reads)
	if err != nil {
		return nil, err
	}
	pipe, b := newPipeline(v.plan), &column.Batch{}
	at := after
	for recs, err := range v.stream.log.Read(ctx, after, until) {
		if err != nil {
			return nil, fmt.Errorf("read the log after sequence %d: %w", at, err)
		}
		d.decode(recs, b)
		pipe.add(r.table, b, 0)
		span, watermark := d.times(recs, b, 0)
		r.span.union(span)
		r.watermark = max(r.watermark, watermark)
		last := &recs[len(recs)-1]
		r.gaps += last.Seq - at - uint64(len(recs))
		at, r.time = last.Seq, last.Time
		progress(at)
	}
	r.gaps += until - at
	return r, ctx.Err()
}

// retire drops the speed epochs up to the sequence cut.
func retire(tx *bolt.Tx, m *storeMeta, cut uint64) error {
	for _, e := range m.Epochs {
		if e.To != 0 && e.To <= cut {
			if err := deleteBucket(tx, speedBucket(e.ID)); err != nil {
				return err
			}
		}
	}
	m.Epochs = slices.DeleteFunc(m.Epochs, func(e epoch) bool { return e.To != 0 && e.To <= cut })
	return nil
}
