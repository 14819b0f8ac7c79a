package gmsx

import (
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/memo"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/stats"
)

// A LookupCounter is a table that can tell how many rows a lookup comes to.
type LookupCounter interface {
	// CountLookup counts at most so many; exact says that it came to the end.
	CountLookup(ctx *gms.Context, l gms.IndexLookup, most uint64) (n uint64, exact bool, err error)
}

// countedRows is how many rows are counted at most for a plan.
const countedRows = 2048

// LookupRows returns about how many rows a lookup of a table of total rows comes to.
func LookupRows(ctx *gms.Context, t LookupCounter, l gms.IndexLookup, most, total uint64) (n uint64, err error) {
	n, exact, err := t.CountLookup(ctx, l, most)
	if err != nil || exact || n < most {
		return n, err
	}
	return max(n, total/2), nil
}

// coster estimates what plans of joins cost. The engine takes for granted that
// every range of an index is half of the table, however narrow it is, and so
// may begin a join with a whole table where one key is asked for of another: the
// ranges are counted instead. It does so when the first plan of a group is asked
// for, which is when the engine has made all of them.
type coster struct{ memo.Coster }

func (c coster) EstimateCost(ctx *gms.Context, n memo.RelExpr, s gms.StatsProvider) (float64, error) {
	if j, ok := n.(memo.JoinRel); ok {
		p := j.JoinPrivate()
		for _, g := range []*memo.ExprGroup{p.Left, p.Right, n.Group()} {
			count(ctx, g)
		}
	}
	return c.Coster.EstimateCost(ctx, n, s)
}

// counted are statistics of a group whose ranges were counted.
type counted struct{ gms.Statistic }

// count gives a group and those below it statistics that are counted.
func count(ctx *gms.Context, g *memo.ExprGroup) {
	if _, done := g.RelProps.GetStats().(counted); done {
		return
	}
	var least gms.Statistic
	joins := false
	for n := g.First; n != nil; n = n.Next() {
		for _, child := range n.Children() {
			count(ctx, child)
		}
		var rows uint64
		ok := false
		switch n := n.(type) {
		case *memo.IndexScan:
			rows, ok = rangeRows(ctx, n.Table)
		case *memo.Filter:
			if child, is := n.Child.RelProps.GetStats().(counted); is {
				if _, scan := n.Child.First.(*memo.IndexScan); scan {
					rows, ok = child.RowCount(), true
				}
			}
		case memo.JoinRel:
			joins = true
		}
		if ok && (least == nil || rows < least.RowCount()) {
			least = &stats.Statistic{RowCnt: rows}
		}
	}
	switch {
	case least != nil:
		g.RelProps.SetStats(least)
	case joins:
		g.RelProps.SetStats(nil)
		memo.CardMemoGroups(ctx, g)
	}
	if s := g.RelProps.GetStats(); s != nil {
		g.RelProps.SetStats(counted{s})
	}
}

// rangeRows is about how many rows the ranges of an index that are known hold.
func rangeRows(ctx *gms.Context, n *plan.IndexedTableAccess) (uint64, bool) {
	if n == nil || !n.IsStatic() {
		return 0, false
	}
	t, ok := n.UnderlyingTable().(LookupCounter)
	if !ok {
		return 0, false
	}
	l, err := n.GetLookup(ctx, nil)
	if err != nil {
		return 0, false
	}
	total := uint64(0)
	if st, ok := t.(gms.StatisticsTable); ok {
		if total, _, err = st.RowCount(ctx); err != nil {
			return 0, false
		}
	}
	rows, err := LookupRows(ctx, t, l, countedRows, total)
	return rows, err == nil
}
