package views

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"weir/internal/fault"
)

// viewPath is the file of a version of a view.
func (e *Engine) viewPath(def *ViewDef, version uint64) string {
	name := url.PathEscape(strings.ToLower(def.Database + "." + def.Name))
	return filepath.Join(e.dir, "views", fmt.Sprintf("%s.%d.db", name, version))
}

// removeStrayFiles deletes the files of versions that no view uses, and copies
// that reads have left.
func (e *Engine) removeStrayFiles(entries map[string]*viewEntry) {
	used := map[string]bool{}
	for _, entry := range entries {
		used[e.viewPath(entry.Def, entry.Version)] = true
		for _, other := range []*versionEntry{entry.Building, entry.Previous} {
			if other != nil {
				used[e.viewPath(other.Def, other.Version)] = true
			}
		}
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

// recoverView opens the versions of a view and attaches them to their stream.
// It returns the builds that are to begin, or go on, once everything runs.
func (e *Engine) recoverView(ctx context.Context, entry *viewEntry) (builds []buildOrder) {
	key := nameKey(entry.Def.Database, entry.Def.Name)
	if p := entry.Previous; p != nil {
		e.recoverPrevious(ctx, key, p)
	}
	if !entry.Built {
		return []buildOrder{{def: entry.Def, version: entry.Version, lost: entry.Lost}}
	}
	v, again := e.recoverVersion(ctx, entry.Def, entry.Version)
	if v != nil {
		e.views[key] = v
		v.startChanges()
	}
	switch b := entry.Building; {
	case again && b != nil: // what was to replace it takes its place all the more
		o := buildOrder{def: b.Def, version: b.Version, lost: true}
		if b.Replay {
			o.def = entry.Def
		}
		builds = append(builds, o)
	case again:
		builds = append(builds, buildOrder{def: entry.Def, lost: true})
	case b != nil && v != nil:
		o := buildOrder{def: b.Def, version: b.Version, replaces: v, replay: b.Replay}
		if o.replay {
			o.def = v.Def() // the same, but for options that were altered since
		}
		builds = append(builds, o)
	}
	return builds
}

// recoverPrevious opens the version that a view had before. One that can never
// be put back is forgotten.
func (e *Engine) recoverPrevious(ctx context.Context, key string, p *versionEntry) {
	old, _ := e.recoverVersion(ctx, p.Def, p.Version)
	if old != nil && old.failure() == nil {
		e.keep(key, old, p.Until)
		return
	}
	e.log.Error("the previous version of a view is lost: ROLLBACK is not possible", "view", p.Def.Name)
	if old != nil && old.store == nil && e.clock.Now().Before(p.Until) {
		return // the next start may be able to open it
	}
	if err := e.catalog.changeView(key, func(entry *viewEntry) { entry.Previous = nil }); err != nil {
		e.log.Error("cannot write down that a previous version has ended", "view", p.Def.Name, "error", err)
	}
	if old != nil {
		e.discard(old, 0)
	} else {
		_ = os.Remove(e.viewPath(p.Def, p.Version))
	}
}

// recoverVersion opens the file of a version and attaches it to its stream. It
// returns nil and true where the view must be built again.
func (e *Engine) recoverVersion(ctx context.Context, def *ViewDef, version uint64) (v *View, again bool) {
	log := e.log.With("view", def.Name)
	s, ok := e.streams[nameKey(def.Database, def.Stream)]
	if !ok {
		log.Error("the stream of a view is gone; the view is not served", "stream", def.Stream)
		return nil, false
	}
	plan, err := e.compile(def, s.Def)
	if err != nil {
		v := newView(e, s.Stream, def, &ViewPlan{}, version)
		v.fail(fmt.Errorf("its definition no longer compiles: %w", err))
		return v, false
	}
	v = newView(e, s.Stream, def, plan, version)
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
		if passing(ctx, err) {
			v.fail(fmt.Errorf("its file cannot be opened now, and is kept: %w; start weir again when it can", err))
			return v, false
		}
		if lost := v.trimmed(s.id); lost != nil {
			v.fail(fmt.Errorf("its file is not to be trusted (%w), and %w", err, lost))
			return v, false
		}
		log.Error("the view's file is not to be trusted; the view is built again from the log", "reason", err)
		return nil, true
	}
	v.cut.Store(meta.Cut)
	v.store.damaged = v.damaged
	if err := s.attach(v, meta, nil, nil); err != nil {
		v.fail(err)
	}
	v.startSchedule()
	return v, false
}

// passing says of an error in opening a file that it may be gone the next time:
// it says nothing of what the file holds.
func passing(ctx context.Context, err error) bool {
	var errno syscall.Errno
	return ctx.Err() != nil || errors.As(err, &errno) || errors.Is(err, bolterrors.ErrTimeout)
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
	if err := v.store.verify(ctx); err != nil {
		return nil, err
	}
	if err := v.store.update(v.settle); err != nil {
		return nil, err
	}
	fault.Crash("recover.settled")
	return v.store.view()
}

// settle brings the file in line with the definition and with the end of the
// process that wrote it.
func (v *View) settle(tx *bolt.Tx, m *storeMeta) error {
	// Where a crash came between the two, the checkpoint decides: the rows may
	// then count events twice, or lack some, as the view's delivery has it.
	if m.Applied > m.Resume {
		m.Gaps = m.ResumeGaps // they will be met again
	}
	m.Applied, m.AppliedTime = m.Resume, m.ResumeTime
	v.settleChanges(m, v.Def())
	if err := v.convert(tx, m, v.Def()); err != nil {
		return err
	}
	if err := v.prune(tx, m, v.Def()); err != nil {
		return err
	}
	return failInterruptedRuns(tx, m)
}

// checkLog compares the view's checkpoint with the log. After a power cut a
// log can come back shorter than a view that was synced, and give the lost
// sequences to other events.
func (v *View) checkLog(ctx context.Context, m *storeMeta) error {
	at, when := m.Resume, m.ResumeTime
	if m.Applied > at {
		// A crash came between the rows and the sequence of a commit. The rows
		// may have events twice, but only ones that the log has.
		at, when = m.Applied, m.AppliedTime
	}
	return v.stream.id.hasPlace(ctx, v.stream.log, place{m.LogCreated, at, when}, "the view has applied")
}

// A place is how far a log was read.
type place struct {
	created int64 // when the log was made; 0 is not known
	seq     uint64
	time    int64 // when the log received the event with that sequence; 0 is not known
}

// hasPlace returns an error where the log, whose state id is, is not the one that
// was read up to p. What had read it is for the message.
func (id LogState) hasPlace(ctx context.Context, log Log, p place, had string) error {
	if p.created != 0 && p.created != id.Created.UnixNano() {
		return fmt.Errorf("the log is another one: made at %s", id.Created)
	}
	if p.seq > id.Last {
		return fmt.Errorf("the log ends at sequence %d, but %s %d", id.Last, had, p.seq)
	}
	if p.seq < id.First || p.seq == 0 || p.time == 0 {
		return nil // nothing left to compare with
	}
	for recs, err := range log.Read(ctx, p.seq-1, p.seq) {
		if err != nil {
			return err
		}
		if recs[0].Time != p.time {
			return fmt.Errorf("the log holds another event at sequence %d than it did", p.seq)
		}
	}
	return nil
}

// failInterruptedRuns marks the batch runs that were running when weir stopped.
// Their epochs are still there, so nothing is lost, and they are tried again.
func failInterruptedRuns(tx *bolt.Tx, m *storeMeta) error {
	var running []BatchRun
	err := eachRun(tx, func(r *BatchRun) error {
		if r.State == StateRunning {
			running = append(running, *r)
		}
		return nil
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
