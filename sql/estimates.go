package sql

import (
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"weir/sql/gmsx"
	"weir/sql/tables"
)

// An estimator is a table that can tell about its rows without reading them all.
type estimator interface {
	gms.StatisticsTable
	gmsx.LookupCounter
	// Distinct returns about how many different values the first column of an
	// index has, the first two have, and so on; nil says nothing.
	Distinct(ctx *gms.Context, x gms.Index) ([]uint64, error)
}

var (
	_ estimator = (*viewTable)(nil)
	_ estimator = (*streamTable)(nil)
	_ estimator = (*tables.Table)(nil)
)

// CountLookup implements gmsx.LookupCounter.
func (t *viewTable) CountLookup(ctx *gms.Context, l gms.IndexLookup, most uint64) (n uint64, exact bool, err error) {
	snap, err := readSet(ctx).Snapshot(t.view)
	if err != nil {
		return 0, false, err
	}
	ranges, err := keyRanges(ctx, l, t.types)
	if err != nil || len(ranges) == 0 {
		return 0, err == nil, err
	}
	for i := range ranges {
		ranges[i].Any = nil // rows that they do not take are read too
	}
	n, err = snap.CountRanges(ctx, t.layer, ranges, most)
	return n, n < most, err
}

// Distinct implements estimator.
func (t *viewTable) Distinct(ctx *gms.Context, _ gms.Index) ([]uint64, error) {
	snap, err := readSet(ctx).Snapshot(t.view)
	if err != nil {
		return nil, err
	}
	return snap.Distinct(ctx, t.layer)
}

// CountLookup implements gmsx.LookupCounter: sequences that the log no longer
// has count too.
func (t *streamTable) CountLookup(ctx *gms.Context, l gms.IndexLookup, _ uint64) (n uint64, exact bool, err error) {
	parts, err := t.lookupRanges(ctx, l)
	for _, p := range parts {
		if p.until > p.after {
			n += p.until - p.after
		}
	}
	return n, true, err
}

// Distinct implements estimator: each event has a sequence of its own, and about
// each a time.
func (t *streamTable) Distinct(ctx *gms.Context, _ gms.Index) ([]uint64, error) {
	n, _, err := t.RowCount(ctx)
	return []uint64{n}, err
}

// showIndexes is SHOW INDEX; the engine knows no estimates. It declines with
// nil, nil where the table has none.
func showIndexes(ctx *gms.Context, n *plan.ShowIndexes) (gms.RowIter, error) {
	rt, ok := n.Child.(*plan.ResolvedTable)
	if !ok {
		return gms.RowsToRowIter(), nil // an ordinary view has no index
	}
	t, ok := rt.UnderlyingTable().(estimator)
	if !ok {
		return nil, nil
	}
	var rows []gms.Row
	for _, x := range n.IndexesToShow {
		counts, err := t.Distinct(ctx, x)
		if err != nil {
			return nil, err
		}
		nonUnique := 1
		if x.IsUnique() {
			nonUnique = 0
		}
		for i, e := range x.Expressions() {
			null, name := "", any(nil)
			if c := plan.GetColumnFromIndexExpr(e, rt); c != nil {
				name = c.Name
				if c.Nullable {
					null = "YES"
				}
			}
			var part any
			if p := x.PrefixLengths(); i < len(p) && p[i] > 0 {
				part = int64(p[i])
			}
			count := int64(0)
			if i < len(counts) {
				count = int64(counts[i])
			}
			rows = append(rows, gms.Row{
				x.Table(), nonUnique, x.ID(), i + 1, name, "A", count, part, nil, null, x.IndexType(), "", x.Comment(), "YES", nil,
			})
		}
	}
	return gms.RowsToRowIter(rows...), nil
}
