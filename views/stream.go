package views

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/fault"
	"weir/views/column"
	"weir/views/partial"
)

// A Stream follows one log and keeps all its views current.
//
// One goroutine (follow) decodes each batch of events once and applies it to
// every view; another (commit) writes what was applied to the views' files at
// intervals. Readers need neither: they take the state that was current when
// they began, see readState.
//
// Locks, in the order they are taken: View.batchSem, applyMu, mu. A bbolt write
// transaction is never begun with applyMu or mu held.
type Stream struct {
	Def  *StreamDef
	eng  *Engine
	plan *StreamPlan
	log  Log
	id   LogState // as it was when the stream was opened: Created counts
	dead *deadStore
	// missing is how many sequences the log lacked in its middle when it was
	// looked at last. It belongs to who opens the stream, and then to watchLogs.
	missing uint64
	// dedup finds the events that were sent again; nil without dedup_window.
	dedup *dedup

	// state is what readers see.
	state atomic.Pointer[readState]

	// applyMu is held while a batch of events is applied and while a view
	// joins or leaves, so that all views are at one sequence whenever it is free.
	applyMu sync.Mutex
	views   []*View // guarded by applyMu
	decoder *decoder

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever state advances

	followed atomic.Uint64 // last sequence that follow has seen

	shown, filed, commits delays // as StreamMeter has them
}

// A readState is what all views of a stream are at one sequence: for each view,
// the runs of partial states that extend its file. It is immutable.
type readState struct {
	seq       uint64 // every view has applied the events up to here
	time      int64  // when the log received event seq, nanoseconds; 0 before the first
	watermark int64
	views     map[*View]viewRuns
}

// viewRuns are the applied events of a view beyond base, where its file may
// already hold some: a reader takes the runs beyond what the file holds in the
// reader's own transaction.
type viewRuns struct {
	base uint64 // the events up to here are in the file for certain
	runs []*run // consecutive: the first begins at base+1, the last ends at seq
}

// A run is the partial states of the events in (from, to]. It is immutable.
type run struct {
	from, to  uint64
	time      int64 // of event to, or of the last before it
	since     int64 // of the first event; 0 where it did not come by itself
	span      span
	watermark int64  // of the run's events, for runs that compute made
	gaps      uint64 // sequences in the range that the log did not have
	// For runs that compute made: how far it read, and the first sequence from
	// which on the log had them all.
	seen, whole uint64
	table       *partial.Table
}

func newStream(eng *Engine, plan *StreamPlan, log Log) *Stream {
	s := &Stream{
		Def: plan.Def, eng: eng, plan: plan, log: log,
		changed: make(chan struct{}),
	}
	s.state.Store(&readState{watermark: noSpan.Max})
	return s
}

// Log returns the stream's log.
func (s *Stream) Log() Log { return s.log }

// Applied returns the sequence up to which every view has applied the log.
func (s *Stream) Applied() uint64 { return s.state.Load().seq }

// columnsNeeded is what the views of the stream read. applyMu is held.
func (s *Stream) columnsNeeded() (cols []int) {
	for _, v := range s.views {
		cols = append(cols, v.plan.Reads...)
	}
	return cols
}

// setViews replaces the stream's views and makes a decoder for them. applyMu
// is held.
func (s *Stream) setViews(views []*View) error {
	old := s.views
	s.views = views
	d, err := newDecoder(s.plan, s.columnsNeeded())
	if err != nil {
		s.views = old
		return err
	}
	s.decoder = d
	return nil
}

// follow applies the log from the sequence after on until ctx is done. An
// error of the log is logged and the log read again from where it stopped.
func (s *Stream) follow(ctx context.Context, after uint64) {
	s.followed.Store(after)
	b := &column.Batch{}
	for ctx.Err() == nil {
		for recs, err := range s.log.Read(ctx, s.followed.Load(), 0) {
			if err == nil {
				err = s.apply(recs, b)
			}
			if err != nil {
				if ctx.Err() == nil {
					s.eng.log.Error("reading the log stopped, trying again", "stream", s.Def.Name, "error", err)
					sleep(ctx, time.Second)
				}
				break
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// apply takes a batch of records into every view and publishes the result.
func (s *Stream) apply(recs []Record, b *column.Batch) error {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	seen := s.followed.Load()
	for len(recs) > 0 && recs[0].Seq <= seen {
		recs = recs[1:] // cannot happen with a Log that keeps its contract
	}
	if len(recs) == 0 {
		return nil
	}
	dead := s.decoder.decode(recs, b)
	s.dedup.take(recs, b)
	s.dead.add(s.dedup.first(dead), &recs[len(recs)-1])
	last := &recs[len(recs)-1]
	old := s.state.Load()
	next := &readState{seq: last.Seq, time: last.Time, views: make(map[*View]viewRuns, len(s.views))}
	next.seq = max(next.seq, old.seq)
	times, watermark := s.decoder.times(recs, b, 0)
	next.watermark = max(old.watermark, watermark)
	for _, v := range s.views {
		next.views[v] = v.apply(old.views[v], recs, b, s.decoder, times)
	}
	s.followed.Store(last.Seq)
	s.publish(next)
	lag := time.Since(time.Unix(0, recs[0].Time))
	s.eng.governor.lag.observe(lag)
	s.shown.add(lag, len(recs))
	for _, v := range s.views {
		v.noticeAmount(next.seq)
	}
	return nil
}

// publish makes st what readers see and wakes who waits for it. applyMu is held.
func (s *Stream) publish(st *readState) {
	s.state.Store(st)
	s.mu.Lock()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
}

// WaitApplied waits until every view of the stream has applied the event with
// the sequence seq, and returns ctx.Err() when ctx is done first.
func (s *Stream) WaitApplied(ctx context.Context, seq uint64) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if s.Applied() >= seq {
			return nil
		}
		look := time.NewTimer(lostCheckInterval)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-look.C:
			s.passLost(ctx)
		}
		look.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// lostCheckInterval is how often a wait for a sequence looks whether its event
// can still come.
const lostCheckInterval = 250 * time.Millisecond

// passLost takes the stream past events that the log has dropped before they
// were read, where it has none left: no record will come to show the gap.
func (s *Stream) passLost(ctx context.Context) {
	st, err := s.log.State(ctx)
	if err != nil || st.First <= st.Last {
		return
	}
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	old := s.state.Load()
	if s.followed.Load() >= st.Last {
		return
	}
	next := *old
	next.seq, next.views = max(old.seq, st.Last), make(map[*View]viewRuns, len(s.views))
	for _, v := range s.views {
		vr := old.views[v]
		if at := vr.end(); at < st.Last {
			lost := &run{from: at, to: st.Last, time: old.time, span: noSpan, watermark: noSpan.Max, gaps: st.Last - at, table: partial.NewTable(v.pipe.specs)}
			vr.runs = append(vr.runs[:len(vr.runs):len(vr.runs)], lost)
		}
		next.views[v] = vr
	}
	s.followed.Store(st.Last)
	s.publish(&next)
}

// apply returns the view's runs with the records taken in: those beyond what
// it has. times is the extent of event time of all the records. The stream's
// applyMu is held. A panic makes the view failed; the others go on.
func (v *View) apply(old viewRuns, recs []Record, b *column.Batch, d *decoder, times span) (now viewRuns) {
	now = old
	at := old.end()
	last := &recs[len(recs)-1]
	if v.failure() != nil || at >= last.Seq {
		return now
	}
	defer func() {
		if p := recover(); p != nil {
			v.eng.log.Error("view failed", "view", v.Def().Name, "panic", p, "stack", string(debug.Stack()))
			v.fail(fmt.Errorf("internal error at sequence %d: %v", last.Seq, p))
			now = old
		}
	}()
	if err := fault.Point("view.apply", v.Def().Name); err != nil {
		panic(err)
	}
	first := 0
	for recs[first].Seq <= at {
		first++
	}
	r := &run{from: at, to: last.Seq, time: last.Time, since: recs[first].Time, watermark: noSpan.Max, table: partial.NewTable(v.pipe.specs)}
	r.gaps = (last.Seq - at) - uint64(len(recs)-first)
	v.pipe.add(r.table, b, first)
	if r.span = times; first > 0 {
		r.span, _ = d.times(recs, b, first)
	}
	now.runs = appendRun(old.runs, r, v.flushing.Load())
	return now
}

// since is when the log received the first event that some view's file may
// lack; 0 where there is none.
func (st *readState) since() (first int64) {
	for _, vr := range st.views {
		if len(vr.runs) > 0 && vr.runs[0].since > 0 && (first == 0 || vr.runs[0].since < first) {
			first = vr.runs[0].since
		}
	}
	return first
}

// end is the sequence up to which the runs go.
func (r viewRuns) end() uint64 {
	if n := len(r.runs); n > 0 {
		return r.runs[n-1].to
	}
	return r.base
}

// runsAlike is how many neighbours of similar size there are before they are
// combined: a reader looks into each, and each is worked through as often as
// there are sizes.
const runsAlike = 4

// appendRun returns runs with r behind them. Neighbours of similar size are
// combined, runsAlike at a time, so that their number grows with the logarithm
// of the events; those that a commit is writing (up to the sequence flushing)
// are left alone.
func appendRun(runs []*run, r *run, flushing uint64) []*run {
	keep := len(runs)
	size := r.table.Len()
	for keep > 0 && runs[keep-1].from >= flushing && runs[keep-1].table.Len() <= 2*size {
		keep--
		size += runs[keep].table.Len()
	}
	if len(runs)-keep < runsAlike-1 {
		keep = len(runs)
	}
	next := make([]*run, keep, keep+1)
	copy(next, runs)
	if keep < len(runs) {
		r = combineRuns(append(runs[keep:len(runs):len(runs)], r))
	}
	return append(next, r)
}

// combineRuns returns consecutive runs as one.
func combineRuns(runs []*run) *run {
	first, last := runs[0], runs[len(runs)-1]
	if len(runs) == 1 {
		return first
	}
	c := &run{from: first.from, to: last.to, time: last.time, since: first.since, span: noSpan, watermark: noSpan.Max, table: first.table.New()}
	for _, r := range runs {
		c.table.Merge(r.table)
		c.span.union(r.span)
		c.watermark = max(c.watermark, r.watermark)
		c.gaps += r.gaps
	}
	return c
}

// flushIntervalMin is how often applied events are committed while events flow.
const flushIntervalMin = 100 * time.Millisecond

// flushShare bounds the part of the time that commits take: the next one
// begins no sooner than this many times the length of the last.
const flushShare = 4

// commitLoop commits what was applied, at intervals, until ctx is done, and
// then once more.
func (s *Stream) commitLoop(ctx context.Context) {
	var committed uint64
	all := true
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if all && s.Applied() == committed {
			select {
			case <-ctx.Done():
				s.commit()
				return
			case <-changed:
			}
		}
		if err := s.dedup.forget(ctx, s.log); err != nil && ctx.Err() == nil {
			s.eng.log.Warn("cannot find out which repeats the log no longer has", "stream", s.Def.Name, "error", err)
		}
		start := time.Now()
		committed, all = s.commit()
		pause := max(flushIntervalMin, flushShare*time.Since(start))
		if !all {
			pause = max(pause, commitRetry)
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			s.commit() // what cannot be written now is in the log
			return
		case <-wait.C:
		}
	}
}

// commitRetry is how long a commit that failed waits before it is tried again.
const commitRetry = time.Second

// commit writes what was applied and returns the sequence it reached, and
// whether every view could be written.
func (s *Stream) commit() (seq uint64, all bool) {
	s.applyMu.Lock()
	views := append([]*View(nil), s.views...)
	s.applyMu.Unlock()
	st := s.state.Load()
	seq, all = st.seq, true
	for _, v := range views {
		if err := v.commit(nil); err != nil {
			v.commitFailed(err)
			all = false
		}
	}
	if since := st.since(); all && since > 0 {
		s.filed.add(time.Since(time.Unix(0, since)), 1)
	}
	if err := s.dead.commit(); err != nil {
		s.eng.log.Error("cannot write dead letters", "stream", s.Def.Name, "error", err)
		all = false
	}
	if err := s.dedup.commit(); err != nil {
		s.eng.log.Error("cannot write message ids", "stream", s.Def.Name, "error", err)
		all = false
	}
	return seq, all
}

// errDetached says that a view has left its stream.
var errDetached = errors.New("the view was dropped or replaced meanwhile")

// dropCommitted takes the runs up to seq, which v's file now holds, out of
// what readers see.
func (s *Stream) dropCommitted(v *View, seq uint64) {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	old := s.state.Load()
	vr, ok := old.views[v]
	if !ok {
		return
	}
	vr.base = max(vr.base, seq)
	i := 0
	for i < len(vr.runs) && vr.runs[i].to <= seq {
		i++
	}
	s.eng.kept.committed(v, vr.runs[:i])
	vr.runs = vr.runs[i:len(vr.runs):len(vr.runs)]
	next := *old
	next.views = make(map[*View]viewRuns, len(old.views))
	for k, r := range old.views {
		next.views[k] = r
	}
	next.views[v] = vr
	s.state.Store(&next)
}

// attach makes v one of the stream's views: m is what its file holds, pending
// are its runs beyond that. When more has been applied by now, catchUp is
// called for the rest, which it must return as a run.
func (s *Stream) attach(v *View, m *storeMeta, pending []*run, catchUp func(from, to uint64) (*run, error)) error {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	s.eng.kept.forget(v) // its file may have got more while it was away
	old := s.state.Load()
	vr := viewRuns{base: m.Applied, runs: pending}
	if at := vr.end(); at < old.seq {
		r, err := catchUp(at, old.seq)
		if err != nil {
			return err
		}
		vr.runs = appendRun(vr.runs, r, 0)
	}
	next := *old
	next.watermark = max(next.watermark, m.Watermark)
	for _, r := range pending {
		next.watermark = max(next.watermark, r.watermark)
	}
	next.views = make(map[*View]viewRuns, len(old.views)+1)
	var views []*View
	for _, w := range s.views {
		if w != v {
			next.views[w] = old.views[w]
			views = append(views, w)
		}
	}
	next.views[v] = vr
	if err := s.setViews(append(views, v)); err != nil {
		return err
	}
	s.publish(&next)
	return nil
}

// detach takes v out of the stream's views.
func (s *Stream) detach(v *View) {
	s.applyMu.Lock()
	defer s.applyMu.Unlock()
	var views []*View
	for _, w := range s.views {
		if w != v {
			views = append(views, w)
		}
	}
	next := *s.state.Load()
	old := next.views
	next.views = make(map[*View]viewRuns, len(views))
	for _, w := range views {
		next.views[w] = old[w]
	}
	if err := s.setViews(views); err != nil {
		s.eng.log.Error("detach view", "view", v.Def().Name, "error", err) // fewer columns than before: cannot fail
	}
	s.publish(&next)
}
