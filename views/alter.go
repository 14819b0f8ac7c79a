package views

import (
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"weir/internal/fault"
)

// AlterView gives a view other options: change returns its definition with
// them, which must have the same name, stream and SELECT. Nothing is computed
// again.
func (e *Engine) AlterView(ctx context.Context, v *View, change func(old *ViewDef) (*ViewDef, error)) error {
	if err := v.working(); err != nil {
		return err
	}
	select {
	case v.alterSem <- struct{}{}:
		defer func() { <-v.alterSem }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	def, err := change(v.Def())
	if err != nil {
		return err
	}
	if err := e.checkChanges(def); err != nil {
		return err
	}
	if err := v.plan.checkRetention(def, v.stream.Def); err != nil {
		return err
	}
	if def.Mode != v.Def().Mode {
		if err := e.notBuilding(def); err != nil { // which a replay would keep waiting
			return err
		}
		unlock, err := v.lockBatch(ctx)
		if err != nil {
			return err
		}
		defer unlock()
	}
	return e.alter(v, def)
}

// alter changes the file, then the catalog, then what everybody sees. Should
// weir stop between the first two, the file follows the catalog when it is
// opened: the statement was not answered.
func (e *Engine) alter(v *View, def *ViewDef) error {
	e.versionMu.Lock()
	defer e.versionMu.Unlock()
	key := nameKey(def.Database, def.Name)
	if err := e.stillNames(key, v); err != nil {
		return err
	}
	if err := e.notBuilding(def); err != nil {
		return err
	}
	old := v.Def()
	cut, err := v.follow(def)
	if err != nil {
		return err
	}
	fault.Crash("alter.written")
	if err := e.catalog.changeView(key, func(entry *viewEntry) { entry.Def = def }); err != nil {
		if _, back := v.follow(old); back != nil {
			v.fail(fmt.Errorf("its file and the catalog do not agree: %w", back))
		}
		return err
	}
	fault.Crash("alter.named")
	v.def.Store(def)
	v.cut.Store(cut)
	v.alterChanges()
	v.rouse()
	// What a shorter retention drops is dropped now. Where that cannot be
	// written, the next commit does it.
	if err := v.commit(v.expire); err != nil {
		v.commitFailed(err)
	}
	return nil
}

// notBuilding returns ErrBuilding while another version of the view is built.
func (e *Engine) notBuilding(def *ViewDef) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.building[nameKey(def.Database, def.Name)] == nil {
		return nil
	}
	return fmt.Errorf("a new version of %s %w: wait for it, or cancel its job", def.Name, ErrBuilding)
}

// follow makes the file that of the definition, and returns its cut.
func (v *View) follow(def *ViewDef) (cut uint64, err error) {
	err = v.commit(func(tx *bolt.Tx, m *storeMeta) error {
		if err := v.convert(tx, m, def); err != nil {
			return err
		}
		v.settleChanges(m, def)
		cut = m.Cut
		return v.prune(tx, m, def)
	})
	return cut, err
}

// convert makes the file that of the definition's mode, without computing anything:
// the batch layer is f(1..B), and so is an epoch from 1 to B.
func (v *View) convert(tx *bolt.Tx, m *storeMeta, def *ViewDef) error {
	mode := def.Mode
	if m.Mode == mode {
		return nil
	}
	m.Mode = mode
	if mode == Kappa {
		if m.Batch != 0 {
			m.NextEpoch++
			e := epoch{ID: m.NextEpoch, Rowset: m.Batch, From: 1, To: m.Cut, Rows: m.BatchRows, Sum: m.BatchSum, Span: m.BatchSpan}
			m.Epochs = append([]epoch{e}, m.Epochs...)
		}
		m.Batch, m.BatchRows, m.BatchSum, m.BatchSpan, m.Cut, m.Retry = 0, 0, 0, noSpan, 0, 0
		return v.prune(tx, m, def)
	}
	if m.open().From <= m.Applied {
		m.openEpoch()
	}
	if e := m.Epochs[0]; e.To != 0 && e.From == 1 {
		m.Batch, m.BatchRows, m.BatchSum, m.BatchSpan, m.Cut = e.Rowset, e.Rows, e.Sum, e.Span, e.To
		m.CutGaps = m.Gaps
		m.Epochs = m.Epochs[1:]
	}
	m.LastBatch = v.eng.clock.Now()
	return nil
}
