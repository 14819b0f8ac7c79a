package views

import (
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"weir/views/column"
	"weir/views/partial"
)

// Every group knows the sequence of the first event in it. So where the log
// has lost its beginning, to retention or to damage, the groups that can still
// be derived from it are told from those that cannot: a rebuild replaces the
// first and keeps the others as they are, which is what the promise asks of
// both.

// withFirstSeq adds the sequence of a group's first event to the plan's
// aggregates, as the last.
func withFirstSeq(p *ViewPlan, d *StreamDef) *ViewPlan {
	seq := len(d.Columns) + ExtraSeq
	t := Extras[ExtraSeq].Type
	p.Aggs = append(p.Aggs, Agg{
		Name: "__first_seq", Hidden: true, Args: []column.Expr{&column.Col{Index: seq, T: t}},
		Spec: partial.Spec{Func: partial.Min, Arg: t, Result: t},
	})
	if !slices.Contains(p.Reads, seq) {
		p.Reads = append(p.Reads, seq)
	}
	return p
}

// firstSeq is the sequence of the first event of group i of t.
func firstSeq(t *partial.Table, i int) uint64 {
	return uint64(t.States(len(t.Specs()) - 1).Value(i).I)
}

// statesAt returns all groups of the view as they were at the sequence at, which
// is the end of a closed epoch or the cut.
func (v *View) statesAt(at uint64) (*partial.Table, error) {
	t := partial.NewTable(v.plan.Specs())
	err := v.store.read(func(tx *bolt.Tx, m *storeMeta) error {
		if m.Batch != 0 {
			if err := m.batch().into(tx, t); err != nil {
				return err
			}
		}
		return m.closedUntil(at, func(e *epoch) error { return e.rowset().into(tx, t) })
	})
	return t, err
}

// closedUntil calls f with the epochs that serve and end at the sequence at the
// latest.
func (m *storeMeta) closedUntil(at uint64, f func(e *epoch) error) error {
	for i := range m.Epochs {
		if e := &m.Epochs[i]; e.To != 0 && e.To <= at {
			if err := f(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// keepHistory makes rows, which were computed from the whole log, hold the
// groups of the view that have events from before the sequence that the log is
// whole from, as the view has them up to rows.to. It returns how many they are.
//
// The caller has closed the open epoch at rows.to.
func (v *View) keepHistory(rows *run) (kept uint64, err error) {
	old, err := v.statesAt(rows.to)
	if err != nil {
		return 0, err
	}
	merged := rows.table.New()
	for i := range old.Len() {
		if firstSeq(old, i) < rows.whole {
			merged.MergeGroup(old, i)
			kept++
		}
	}
	for i := range rows.table.Len() {
		if j := old.Lookup(rows.table.Key(i)); j < 0 || firstSeq(old, j) >= rows.whole {
			merged.MergeGroup(rows.table, i)
		}
	}
	rows.table = merged
	return kept, nil
}

// inherit is keepHistory for a version that was computed up to the sequence at
// in a file of its own: it takes over the groups of old, and gaps, which is how
// many sequences the log did not have for old up to there.
func (v *View) inherit(old *View, at, gaps, whole uint64) (kept uint64, err error) {
	groups, err := old.statesAt(at)
	if err != nil {
		return 0, err
	}
	was, err := old.store.view()
	if err != nil {
		return 0, err
	}
	err = v.store.update(func(tx *bolt.Tx, m *storeMeta) error {
		if m.Mode == Lambda && m.Batch == 0 {
			m.Batch, m.BatchSpan, m.Cut = m.newRowset(), noSpan, at
		}
		r := m.batch()
		if m.Mode == Kappa {
			r = m.open().rowset()
		}
		b, err := tx.CreateBucketIfNotExists(rowsBucket(r.number))
		if err != nil {
			return err
		}
		c := b.Cursor()
		for _, i := range groups.Sorted() {
			if firstSeq(groups, int(i)) >= whole {
				continue
			}
			key := groups.Key(int(i))
			old, _, err := r.get(c, key)
			if err != nil {
				return err
			}
			if err := r.put(b, key, old, groups.Append(nil, int(i))); err != nil {
				return err
			}
			kept++
		}
		m.Gaps, m.CutGaps = gaps, gaps
		m.Floor, m.Shown = max(m.Floor, was.Floor), max(m.Shown, was.Shown)
		return nil
	})
	return kept, err
}

// keptNote says what keepHistory and inherit did.
func keptNote(kept, of, whole uint64) string {
	return fmt.Sprintf("%d of %d rows were kept as they were: the log is whole from sequence %d on only, and they count events before it",
		kept, of, whole)
}
