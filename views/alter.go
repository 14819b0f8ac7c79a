package views

import (
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"weir/internal/fault"
)

// AlterView gives a view other options: def is its definition with them, which
// must have the same name, stream and SELECT. Nothing is computed again.
func (e *Engine) AlterView(ctx context.Context, v *View, def *ViewDef) error {
	if err := v.working(); err != nil {
		return err
	}
	if err := v.plan.checkRetention(def, v.stream.Def); err != nil {
		return err
	}
	if def.Mode != v.Def().Mode {
		unlock, err := v.lockBatch(ctx)
		if err != nil {
			return err
		}
		defer unlock()
	}
	key := nameKey(def.Database, def.Name)
	// The catalog comes first: should weir stop here, the file follows it when
	// the view is opened again.
	if err := e.alterEntry(key, v, def); err != nil {
		return err
	}
	fault.Crash("alter.named")
	var cut uint64
	err := v.commit(func(tx *bolt.Tx, m *storeMeta) error {
		if err := v.convert(tx, m); err != nil {
			return err
		}
		cut = m.Cut
		if err := v.prune(tx, m); err != nil {
			return err
		}
		return v.expire(tx, m)
	})
	if err != nil {
		return fmt.Errorf("the options of %s are changed, but not yet its file: %w", def.Name, err)
	}
	fault.Crash("alter.written")
	v.cut.Store(cut)
	v.rouse()
	return nil
}

// alterEntry gives a view another definition, in the catalog and then in memory.
func (e *Engine) alterEntry(key string, v *View, def *ViewDef) error {
	e.versionMu.Lock()
	defer e.versionMu.Unlock()
	if err := e.stillNames(key, v); err != nil {
		return err
	}
	e.mu.RLock()
	b := e.building[key]
	e.mu.RUnlock()
	if b != nil {
		return fmt.Errorf("a new version of %s %w: wait for it, or cancel its job", def.Name, ErrBuilding)
	}
	if err := e.catalog.changeView(key, func(entry *viewEntry) { entry.Def = def }); err != nil {
		return err
	}
	v.def.Store(def)
	return nil
}

// convert makes the file that of the view's mode, without computing anything:
// the batch layer is f(1..B), and so is an epoch from 1 to B.
func (v *View) convert(tx *bolt.Tx, m *storeMeta) error {
	mode := v.Def().Mode
	if m.Mode == mode {
		return nil
	}
	m.Mode = mode
	if mode == Kappa {
		if m.Batch != 0 {
			m.NextEpoch++
			e := epoch{ID: m.NextEpoch, Rowset: m.Batch, From: 1, To: m.Cut, Rows: m.BatchRows, Span: m.BatchSpan}
			m.Epochs = append([]epoch{e}, m.Epochs...)
		}
		m.Batch, m.BatchRows, m.BatchSpan, m.Cut, m.Retry = 0, 0, noSpan, 0, 0
		return v.prune(tx, m)
	}
	if m.open().From <= m.Applied {
		m.openEpoch()
	}
	if e := m.Epochs[0]; e.To != 0 && e.From == 1 {
		m.Batch, m.BatchRows, m.BatchSpan, m.Cut = e.Rowset, e.Rows, e.Span, e.To
		m.Epochs = m.Epochs[1:]
	}
	m.LastBatch = v.eng.clock.Now()
	return nil
}
