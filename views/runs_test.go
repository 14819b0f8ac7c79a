package views

import (
	"fmt"
	"testing"

	"weir/views/column"
	"weir/views/partial"
)

// Between two commits readers look into every run, so there must be few; and
// none may be lost or change places.
func TestRunsStayFew(t *testing.T) {
	specs := []partial.Spec{{Func: partial.CountAll, Result: column.Bigint}}
	const batches, each = 1000, 20
	for name, keys := range map[string]int{"few groups": 50, "as many groups as events": batches * each} {
		for _, flushing := range []uint64{0, 300} {
			var runs []*run
			for n := range uint64(batches) {
				table := partial.NewTable(specs)
				for i := range uint64(each) {
					table.Group(partial.AppendKey(nil, column.Value{Kind: column.String, S: fmt.Sprint((n*each + i) % uint64(keys))}))
				}
				if n < flushing {
					runs = appendRun(runs, &run{from: n, to: n + 1, span: noSpan, table: table}, 0)
				} else {
					runs = appendRun(runs, &run{from: n, to: n + 1, span: noSpan, table: table}, flushing)
				}
				if most := 40; len(runs) > most {
					t.Fatalf("%s: %d runs after %d batches", name, len(runs), n+1)
				}
			}
			var at uint64
			seen := map[string]bool{}
			for _, r := range runs {
				if r.from != at {
					t.Fatalf("%s: a run begins after %d where the one before ends at %d", name, r.from, at)
				}
				if r.from < flushing && r.to > flushing {
					t.Errorf("%s: a run of (%d, %d] was combined over a commit at %d", name, r.from, r.to, flushing)
				}
				at = r.to
				for i := range r.table.Len() {
					seen[string(r.table.Key(i))] = true
				}
			}
			if at != batches || len(seen) != keys {
				t.Errorf("%s: runs go to %d with %d groups, want %d and %d", name, at, len(seen), batches, keys)
			}
		}
	}
}
