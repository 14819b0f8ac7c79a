package sql

import (
	"slices"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/views/column"
	"weir/views/partial"
)

// eachEvent is each for the events of a stream: they are decoded into vectors,
// and no row is made of them.
func (p *pass) eachEvent(ctx *gms.Context, f func(b *column.Batch) error) error {
	scan := p.access.stream
	parts, err := scan.ranges(ctx)
	if err != nil {
		return err
	}
	cols := slices.Concat(p.cols, scan.reads)
	var sel []uint32
	for _, part := range parts {
		need := cols
		if part.bounds != nil {
			need = append(slices.Clip(cols), part.at)
		}
		for b, err := range scan.table.stream.Scan(ctx, part.after, part.until, need) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			b.Context = &p.memos
			sel = selectRows(b, &part, sel)
			for _, filter := range []column.Expr{scan.filter, p.filter} {
				if filter != nil && len(b.Sel) > 0 {
					b.Keep(filter)
				}
			}
			if len(b.Sel) == 0 {
				continue
			}
			if err := f(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// selectRows lists in b.Sel the rows that are in the partition's bounds. It
// uses the memory of sel, and returns what there is of it now.
func selectRows(b *column.Batch, part *seqPartition, sel []uint32) []uint32 {
	sel = sel[:0]
	b.Rows(func(i int) {
		if part.holds(b, i) {
			sel = append(sel, uint32(i))
		}
	})
	b.Sel = sel
	return sel
}

// countOfLog answers COUNT(*) of a whole stream from what the log knows of
// itself, without a look at the events; false where it cannot.
func (a *aggregate) countOfLog(ctx *gms.Context) (row gms.Row, ok bool, err error) {
	scan := a.access.stream
	if scan == nil || scan.lookup != nil || scan.bounds != nil || scan.filter != nil || a.filter != nil || len(a.keys) > 0 {
		return nil, false, nil
	}
	for i := range a.aggs {
		if a.aggs[i].Spec.Func != partial.CountAll {
			return nil, false, nil
		}
	}
	n, ok, err := scan.table.stream.Count(ctx)
	if err != nil || !ok {
		return nil, false, err
	}
	row = make(gms.Row, len(a.out))
	for k, o := range a.out {
		row[k] = o.make.make(column.Value{Kind: a.aggs[o.agg].Spec.Result.Kind, I: int64(n)})
	}
	return row, true, nil
}
