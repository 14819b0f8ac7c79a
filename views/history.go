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

// keepHistory makes rows, which were computed from the whole log, hold the
// groups of the view that have events from before the sequence that the log is
// whole from, as the view has them up to rows.to. It returns how many they are.
//
// The caller has closed the open epoch at rows.to.
func (v *View) keepHistory(rows *run) (kept uint64, err error) {
	old := rows.table.New()
	err = v.store.read(func(tx *bolt.Tx, m *storeMeta) error {
		if m.Batch != 0 {
			if err := v.store.into(tx, m.Batch, old); err != nil {
				return err
			}
		}
		for _, e := range m.Epochs {
			if e.To == 0 || e.To > rows.to {
				continue
			}
			if err := v.store.into(tx, e.Rowset, old); err != nil {
				return err
			}
		}
		return nil
	})
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

// keptNote says what keepHistory did.
func keptNote(kept uint64, rows *run) string {
	return fmt.Sprintf("%d of %d rows were kept as they were: the log is whole from sequence %d on only, and they count events before it",
		kept, rows.table.Len(), rows.whole)
}
