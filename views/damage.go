package views

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"
)

// A view's file is verified when it is opened, and each row when it is read.
// Damage that is found makes the view failed at once, so that nobody gets a
// wrong answer, and the view is built again from the log.

// scrubInterval is how often the files of views are verified while weir runs:
// often enough for damage in rows that nobody reads to be found while the log
// still has their events.
const scrubInterval = 6 * time.Hour

// rebuildPause is how long after a view was built again for damage it is not
// built again by itself: a disk that damages what is written to it would keep
// weir building for ever.
const rebuildPause = 10 * time.Minute

// damaged makes the view failed and has it built again. It is called with the
// error that a read or write of its file returns, from any goroutine.
func (v *View) damaged(err error) {
	if !v.damage.CompareAndSwap(false, true) {
		return
	}
	v.fail(fmt.Errorf("its file is not to be trusted (%w); it is being built again from the log, see weir.jobs", err))
	e := v.eng
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx.Err() != nil {
		return // the next start finds it
	}
	e.wg.Go(func() {
		if why := v.rebuild(e.ctx); why != nil && e.ctx.Err() == nil {
			v.failAnew(fmt.Errorf("its file is not to be trusted (%w), and it was not built again: %w", err, why))
		}
	})
}

// rebuild builds the view again from the log, if that has all it takes.
func (v *View) rebuild(ctx context.Context) error {
	if err := v.rebuildable(ctx); err != nil {
		return err
	}
	e, key := v.eng, nameKey(v.Def().Database, v.Def().Name)
	e.rebuilt.Store(key, e.clock.Now())
	for {
		_, err := e.buildAndWait(ctx, buildOrder{def: v.Def(), replaces: v})
		if err == nil {
			v.log().Warn("a view whose file was damaged is built again, and answers")
		}
		if !errors.Is(err, ErrBuilding) && !errors.Is(err, errMeanwhile) {
			return err
		}
		// Somebody else builds it, or did. That may come to nothing.
		e.mu.RLock()
		b, serves := e.building[key], e.views[key] == v
		e.mu.RUnlock()
		switch {
		case b != nil:
			select {
			case <-b.done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		case !serves:
			return nil
		case errors.Is(err, errMeanwhile):
			sleep(ctx, time.Second) // its definition has changed
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// failAnew is fail of a view that has failed already, for another reason.
func (v *View) failAnew(err error) {
	v.mu.Lock()
	v.err = err
	v.mu.Unlock()
	v.log().Error("view failed", "error", err)
}

// rebuildable returns why the log cannot give all that the view counts, or why
// it is not to be asked.
func (v *View) rebuildable(ctx context.Context) error {
	key := nameKey(v.Def().Database, v.Def().Name)
	if at, ok := v.eng.rebuilt.Load(key); ok && v.eng.clock.Now().Sub(at.(time.Time)) < rebuildPause {
		return fmt.Errorf("that has just been done: look at the disk, then say REFRESH MATERIALIZED VIEW %s FULL", v.Def().Name)
	}
	v.eng.mu.RLock()
	serves := v.eng.views[key] == v
	v.eng.mu.RUnlock()
	if !serves {
		return errors.New("it was replaced")
	}
	st, err := v.stream.log.State(ctx)
	if err != nil {
		return err
	}
	return v.trimmed(st)
}

// trimmed returns an error where the log has lost its beginning, and with it
// what a view whose file is lost would have to be computed from.
func (v *View) trimmed(st LogState) error {
	if st.First <= 1 {
		return nil
	}
	return fmt.Errorf("the log begins at sequence %d only: DROP and CREATE the view to have it without what came before", st.First)
}

// scrub verifies the files of all views from time to time, until ctx is done.
func (e *Engine) scrub(ctx context.Context) {
	for {
		sleep(ctx, scrubInterval)
		if ctx.Err() != nil {
			return
		}
		list, _ := e.Views()
		for _, v := range list {
			v.verify(ctx)
		}
	}
}

// verify reads the whole file of a view, which tells of damage itself.
func (v *View) verify(ctx context.Context) {
	if v.store == nil || v.failure() != nil {
		return
	}
	if err := v.store.verify(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		v.log().Error("the file of a view cannot be verified", "error", err)
	}
}

// logCheckInterval is how often the logs are looked at while weir runs.
var logCheckInterval = 2 * time.Second

// watchLogs looks whether the logs are still those that views are computed
// from, until ctx is done. A log is read anew from its files where the server
// that has it was started again in place, as after a full disk.
func (e *Engine) watchLogs(ctx context.Context) {
	for {
		sleep(ctx, logCheckInterval)
		if ctx.Err() != nil {
			return
		}
		e.mu.RLock()
		streams := make([]*Stream, 0, len(e.streams))
		for _, entry := range e.streams {
			streams = append(streams, entry.Stream)
		}
		e.mu.RUnlock()
		for _, s := range streams {
			s.checkLog(ctx)
		}
	}
}

// checkLog says when the log has lost events, and fails the views where it no
// longer has what they have applied last: those sequences will be other events.
func (s *Stream) checkLog(ctx context.Context) {
	applied := s.Applied()
	st, err := s.log.State(ctx)
	if err != nil {
		return // whoever reads it says so
	}
	switch {
	case !st.Created.Equal(s.id.Created):
		err = fmt.Errorf("the log is another one: made at %s", st.Created)
	case st.Last < applied:
		err = fmt.Errorf("the log ends at sequence %d, but the view has applied %d", st.Last, applied)
	default:
		s.checkWhole(st)
		return
	}
	s.applyMu.Lock()
	list := slices.Clone(s.views)
	s.applyMu.Unlock()
	for _, v := range list {
		v.fail(fmt.Errorf("%w; start weir again, which builds the view from the log as it is then", err))
	}
}

// checkWhole logs that the log has lost events from its middle, when it has lost
// more than before. Weir's logs lose nothing there but to damage.
func (s *Stream) checkWhole(st LogState) {
	if st.Messages == 0 || st.Messages >= st.Last-st.First+1 {
		return
	}
	missing := st.Last - st.First + 1 - st.Messages
	if missing > s.missing {
		s.eng.log.Error("the log of a stream has lost events to damage: views keep what they have counted of them",
			"stream", s.Def.Name, "missing", missing, "first_seq", st.First, "last_seq", st.Last)
	}
	s.missing = missing
}
