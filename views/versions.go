package views

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"weir/internal/fault"
)

// A previous is the version of a view that was replaced last. It stays current,
// and ROLLBACK puts it back.
type previous struct {
	view  *View
	until time.Time
	gone  chan struct{} // closed when it is no longer kept as this
}

// install attaches the finished version beside the one it replaces, makes it the
// one that the catalog names, and then that of the name. The old one is kept
// for keep_previous, and in any case for replacedGrace, for statements that
// found it before.
func (e *Engine) install(v, replaces *View, pending []*run) error {
	key := nameKey(v.Def().Database, v.Def().Name)
	if err := e.stillNames(key, replaces); err != nil {
		return err
	}
	meta, err := v.store.view()
	if err != nil {
		return err
	}
	v.store.damaged = v.damaged
	err = v.stream.attach(v, meta, pending, func(from, to uint64) (*run, error) {
		return v.compute(e.ctx, from, to, nil, func(uint64, uint64) {}) // the stream waits
	})
	if err != nil {
		return err
	}
	fault.Crash("swap.attached")
	if err := v.inheritChanges(replaces); err != nil {
		v.stream.detach(v)
		return err
	}
	e.versionMu.Lock()
	defer e.versionMu.Unlock()
	keep := time.Duration(0)
	if replaces != nil && replaces.failure() == nil {
		keep = v.Def().KeepPrevious
	}
	v.startSchedule() // before anybody can find it
	if err := e.name(key, v, replaces, keep); err != nil {
		v.halt()
		v.stream.detach(v)
		return err
	}
	if replaces != nil && keep == 0 {
		e.discard(replaces, replacedGrace)
	}
	return nil
}

// name makes v what the name stands for, in the catalog and then for
// statements, in the place of old, which is kept for that long. versionMu is held.
func (e *Engine) name(key string, v, old *View, keep time.Duration) error {
	// Who drops the view now waits for this before changing the catalog.
	if err := e.stillNames(key, old); err != nil {
		return err
	}
	entry := &viewEntry{Def: v.Def(), Version: v.Version, Built: true}
	until := e.clock.Now().Add(keep)
	e.mu.RLock()
	kept := e.previous[key]
	e.mu.RUnlock()
	switch {
	case keep > 0:
		entry.Previous = &versionEntry{Def: old.Def(), Version: old.Version, Until: until}
	case kept != nil && kept.view != v && (old == nil || old.failure() != nil):
		// v is a damaged version built again: what came before it stays that.
		entry.Previous = &versionEntry{Def: kept.view.Def(), Version: kept.view.Version, Until: kept.until}
	}
	if err := e.catalog.put(bucketViews, key, entry); err != nil {
		return err
	}
	fault.Crash("swap.named")
	e.mu.Lock()
	if e.views[key] != old {
		e.mu.Unlock()
		return errDroppedMeanwhile
	}
	e.views[key] = v
	e.mu.Unlock()
	fault.Crash("swap.served")
	if old != nil {
		old.stopChanges(atOnce, false)
	}
	v.startChanges()
	if kept != nil && entry.Previous != nil && entry.Previous.Version == kept.view.Version {
		return nil
	}
	// What was kept until now is no longer, unless it is v itself.
	if p := e.unkeep(key); p != nil && p.view != v {
		e.discard(p.view, replacedGrace)
	}
	if keep > 0 {
		e.keep(key, old, until)
	}
	return nil
}

// keep keeps v as the previous version of the name until the time.
func (e *Engine) keep(key string, v *View, until time.Time) {
	p := &previous{view: v, until: until, gone: make(chan struct{})}
	e.mu.Lock()
	e.previous[key] = p
	e.wg.Add(1)
	e.mu.Unlock()
	go func() {
		defer e.wg.Done()
		reached, stop := e.clock.At(until)
		defer stop()
		select {
		case <-reached:
			e.dropPrevious(key, p)
		case <-p.gone:
		case <-e.ctx.Done():
		}
	}()
}

// unkeep takes the previous version of a name from it, if there is one.
func (e *Engine) unkeep(key string) *previous {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.previous[key]
	if p != nil {
		delete(e.previous, key)
		close(p.gone)
	}
	return p
}

// dropPrevious ends a previous version, if it still is that.
func (e *Engine) dropPrevious(key string, p *previous) {
	e.versionMu.Lock()
	defer e.versionMu.Unlock()
	e.mu.RLock()
	still := e.previous[key] == p
	e.mu.RUnlock()
	if still {
		e.endPrevious(key, p)
	}
}

// endPrevious is dropPrevious with versionMu held.
func (e *Engine) endPrevious(key string, p *previous) {
	if err := e.catalog.changeView(key, func(entry *viewEntry) { entry.Previous = nil }); err != nil {
		e.log.Error("cannot write down that a previous version has ended", "view", p.view.Def().Name, "error", err)
	}
	fault.Crash("previous.ended")
	e.unkeep(key)
	e.discard(p.view, replacedGrace)
}

// Rollback puts the previous version of a view back. The present one becomes
// the previous one, so that a second ROLLBACK undoes the first.
func (e *Engine) Rollback(database, name string) error {
	key := nameKey(database, name)
	e.versionMu.Lock()
	defer e.versionMu.Unlock()
	e.mu.RLock()
	v, p, b := e.views[key], e.previous[key], e.building[key]
	e.mu.RUnlock()
	switch {
	case v == nil && b != nil:
		return b.progressError()
	case v == nil:
		return fmt.Errorf("materialized view %s %w", name, ErrUnknown)
	case b != nil:
		return fmt.Errorf("a new version of %s %w: wait for it, or cancel its job", name, ErrBuilding)
	case p == nil:
		return fmt.Errorf("%s %w: OR REPLACE and replays keep one for keep_previous", name, ErrNoPrevious)
	}
	if err := p.view.failure(); err != nil {
		return fmt.Errorf("the previous version of %s has failed and cannot be put back: %w", name, err)
	}
	if err := e.checkChanges(p.view.Def()); err != nil {
		return err
	}
	if err := p.view.inheritChanges(v); err != nil {
		return err
	}
	keep := time.Duration(0)
	if v.failure() == nil {
		keep = max(v.Def().KeepPrevious, p.view.Def().KeepPrevious)
	}
	if err := e.name(key, p.view, v, keep); err != nil {
		return err
	}
	if keep == 0 {
		e.discard(v, replacedGrace)
	}
	return nil
}

var errDroppedMeanwhile = errors.New("the view was dropped, or replaced by another version, meanwhile; run the statement again")

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
	v.end(errDetached)
	go func() {
		defer e.wg.Done()
		v.halt()
		v.batchSem <- struct{}{} // the run that v.end has stopped is over
		v.stopChanges(atOnce, true)
		sleep(e.ctx, grace)
		v.stream.detach(v)
		v.fail(errDetached)
		v.commitMu.Lock()   // a commit that had begun is over, and no other begins
		v.commitMu.Unlock() //nolint:staticcheck // it is a barrier
		if v.store != nil {
			if err := v.store.db.Close(); err != nil {
				v.log().Warn("close view", "error", err)
			}
		}
		fault.Crash("discard.closed")
		if err := os.Remove(e.viewPath(v.Def(), v.Version)); err != nil && !errors.Is(err, os.ErrNotExist) {
			v.log().Warn("remove view", "error", err)
		}
		fault.Crash("discard.removed")
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
	fault.Crash("drop.begun")
	e.versionMu.Lock()
	err := e.catalog.put(bucketViews, key, nil)
	fault.Crash("drop.named")
	p := e.unkeep(key)
	e.versionMu.Unlock()
	if p != nil {
		e.discard(p.view, 0)
	}
	if v != nil {
		e.discard(v, 0)
	}
	return err
}
