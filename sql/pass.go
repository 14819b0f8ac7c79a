package sql

import (
	"slices"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/sql/gmsx"
	"weir/views"
	"weir/views/column"
)

// A pass goes once over the rows of an access, in vectors.
type pass struct {
	access *tableAccess
	filter column.Expr
	narrow func(col int) bool // which columns of the table may be read narrow; nil is none

	cols    []int // of the table, as they are read
	narrows []bool
	memos   memoRuns
	rows    *views.Rows // those that f is called with
}

// open says what is read.
func (p *pass) open(ctx *gms.Context) {
	p.memos.ctx = ctx
	p.cols = p.access.cols
	p.narrows = make([]bool, len(p.cols))
	for i, c := range p.cols {
		p.narrows[i] = p.narrow != nil && p.narrow(c)
	}
	if p.access.stream != nil {
		clear(p.narrows)
		return
	}
	l := p.access.table.layout(p.cols, p.narrows)
	for i := range p.narrows {
		p.narrows[i] = l.IsNarrow(i)
	}
}

// isNarrow says whether x is a column that is read narrow.
func (p *pass) isNarrow(x column.Expr) bool {
	c, ok := x.(*column.Col)
	if !ok {
		return false
	}
	i := slices.Index(p.cols, c.Index)
	return i >= 0 && p.narrows[i]
}

// each calls f with the rows that the filter takes, batch by batch: vectors by
// the table's columns, of which Sel lists the rows. There is at least one.
func (p *pass) each(ctx *gms.Context, f func(b *column.Batch) error) error {
	if p.access.stream != nil {
		return p.eachEvent(ctx, f)
	}
	t := p.access.table
	snap, err := readSet(ctx).Snapshot(t.view)
	if err != nil {
		return err
	}
	ranges, err := p.access.ranges(ctx)
	if err != nil {
		return err
	}
	var wide column.Batch
	wide.Context = &p.memos
	wide.Cols = make([]*column.Vector, len(t.cols))
	sel := make([]uint32, views.BlockRows)
	return snap.Each(ctx, t.layout(p.cols, p.narrows), ranges, func(rows *views.Rows) error {
		p.rows = rows
		wide.Reset(rows.Len)
		for k, c := range p.cols {
			wide.Cols[c] = rows.Cols[k]
		}
		if rows.Sel != nil {
			wide.Sel = append(sel[:0], rows.Sel...)
		} else {
			sel = slices.Grow(sel[:0], rows.Len)
			wide.Sel = sel[:rows.Len]
			for k := range wide.Sel {
				wide.Sel[k] = uint32(k)
			}
		}
		if p.filter != nil {
			wide.Keep(p.filter)
			if err := p.memos.err(); err != nil {
				return err
			}
		}
		if len(wide.Sel) == 0 {
			return nil
		}
		return f(&wide)
	})
}

// A room watches how much memory the groups of a statement take.
type room struct {
	ctx  *gms.Context
	seen int
}

// roomEvery is after how many new groups the memory is looked at.
const roomEvery = 4096

func newRoom(ctx *gms.Context) *room { return &room{ctx: ctx} }

// check fails when there is no memory for n groups.
func (r *room) check(n int) error {
	if n < r.seen+roomEvery || r.ctx.Memory == nil {
		return nil
	}
	r.seen = n
	if r.ctx.Memory.HasAvailable() {
		return nil
	}
	if r.ctx.Memory.Free(); r.ctx.Memory.HasAvailable() {
		return nil
	}
	return gmsx.Error(1041, "HY000", "Out of memory: the server's heap is at its limit, and this GROUP BY has %d groups already; bound it by a WHERE on the key, group by fewer columns, or give the server more memory with GOMEMLIMIT", n)
}
