package views

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"weir/views/column"
	"weir/views/partial"
)

// An Audit is the result of AUDIT MATERIALIZED VIEW.
type Audit struct {
	Seq       uint64 // the view and the log were compared at this sequence
	Compared  uint64 // rows, of either side
	Different uint64
	First     string // what the first difference is; "" where there is none
	Kept      uint64 // rows that count events which the log no longer has, and were not compared
	Took      time.Duration
}

// floatTolerance is how far DOUBLE results may lie apart, relative to their
// size, when the same events were added up in another order.
const floatTolerance = 1e-9

// Audit computes the view from the log beside it and compares every row, both
// at one sequence. Reading and writing go on.
func (e *Engine) Audit(ctx context.Context, v *View) (a *Audit, err error) {
	if err := v.working(); err != nil {
		return nil, err
	}
	if err := v.waitHead(ctx); err != nil {
		return nil, err
	}
	start := time.Now()
	var r ReadSet
	defer r.Close()
	snap, err := r.Snapshot(v)
	if err != nil {
		return nil, err
	}
	job, ctx := e.startJob(ctx, JobAudit, v.Def(), snap.Seq)
	defer func() { job.end(err) }()
	rows, err := v.compute(ctx, 0, snap.Seq, v.replayPace(), job.progress)
	if err == nil {
		c := &comparison{view: v, snap: snap, want: rows.table, whole: 1}
		if rows.gaps > snap.meta.Gaps {
			c.whole = rows.whole
		}
		if err = c.run(ctx); err == nil {
			c.result.Seq, c.result.Took = snap.Seq, time.Since(start)
			return &c.result, nil
		}
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, err
}

// A comparison goes through the rows of a view and those computed from the log,
// both in the order of their keys.
type comparison struct {
	view   *View
	snap   *Snapshot
	want   *partial.Table
	whole  uint64 // the log has every event from here on
	result Audit
}

// compareChunk is how many rows are compared before the snapshot may move.
const compareChunk = 1000

func (c *comparison) run(ctx context.Context) error {
	cols := make([]int, len(c.view.plan.Outputs))
	for i := range cols {
		cols[i] = i
	}
	got := c.snap.Scan(Serving, All, false, cols)
	got.Heed(ctx)
	order := c.want.Sorted()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		more := false
		if order, more = c.chunk(got, order); !more {
			break
		}
	}
	if got.ended != nil {
		return got.ended // what is left was not compared, and is not missing
	}
	for _, i := range order {
		c.missing(int(i))
	}
	return nil
}

// chunk compares the next rows of the view and returns the groups that come
// behind them.
func (c *comparison) chunk(got *Cursor, order []uint32) (rest []uint32, more bool) {
	err := guard("audit", func() error {
		c.snap.mu.Lock()
		defer c.snap.mu.Unlock()
		if got.moved != c.snap.moved {
			got.follow()
		}
		for range compareChunk {
			if !got.advance() {
				return c.snap.damage // a page that makes no sense: what is behind it cannot be looked at
			}
			key := got.current
			for len(order) > 0 && bytes.Compare(c.want.Key(int(order[0])), key) < 0 {
				c.missing(int(order[0]))
				order = order[1:]
			}
			group := -1
			if len(order) > 0 && bytes.Equal(c.want.Key(int(order[0])), key) {
				group, order = int(order[0]), order[1:]
			}
			c.row(got, group)
			got.resume = append(got.resume[:0], key...)
		}
		more = true
		return nil
	})
	if err != nil {
		c.differ(fmt.Sprintf("the view cannot be read on from here: %v", err))
		return nil, false
	}
	return order, more
}

// row compares the row that the cursor is at with a group, -1 for none.
func (c *comparison) row(got *Cursor, group int) {
	if err := got.combine(len(got.out.specs)); err != nil {
		c.result.Compared++
		c.differ(fmt.Sprintf("%s: cannot be read: %v", c.name(got.current), err))
		return
	}
	if c.whole > 1 && firstSeq(got.scratch, got.one) < c.whole {
		c.result.Kept++
		return
	}
	c.result.Compared++
	if group < 0 {
		c.differ(c.name(got.current) + ": the view has this row, the log gives none")
		return
	}
	for k := range c.view.plan.Aggs {
		a := &c.view.plan.Aggs[k]
		have, want := got.scratch.States(k), c.want.States(k)
		h, w := have.Value(got.one), want.Value(group)
		if same(h, w) {
			continue
		}
		if b, ok := have.(partial.Bounded); ok && b.Agrees(got.one, want, group) {
			continue
		}
		c.differ(fmt.Sprintf("%s: %s is %s in the view, %s from the log", c.name(got.current), c.label(k, a), show(h), show(w)))
		return
	}
}

// missing counts a group that the view has no row for.
func (c *comparison) missing(group int) {
	key := c.want.Key(group)
	if !c.snap.drop.keeps(key) {
		return
	}
	c.result.Compared++
	c.differ(c.name(key) + ": the log gives this row, the view has none")
}

func (c *comparison) differ(text string) {
	c.result.Different++
	if c.result.First == "" {
		c.result.First = text
	}
}

// label is what users know an aggregate as.
func (c *comparison) label(k int, a *Agg) string {
	for _, o := range c.view.plan.Outputs {
		if o.Agg == k {
			return o.Name
		}
	}
	return a.Name
}

// name is a group key as text.
func (c *comparison) name(key []byte) string {
	var parts []string
	for _, k := range c.view.plan.Keys {
		v, rest, err := partial.ReadKey(key, k.Expr.Type())
		if err != nil {
			return fmt.Sprintf("row %x", key)
		}
		key = rest
		parts = append(parts, k.Name+" = "+show(v))
	}
	if len(parts) == 0 {
		return "the row"
	}
	return strings.Join(parts, ", ")
}

func show(v column.Value) string {
	switch {
	case v.Kind == column.Time:
		return time.UnixMicro(v.I).UTC().Format("'2006-01-02 15:04:05.999999'")
	case v.Kind.IsText():
		return fmt.Sprintf("%.60q", v.S)
	default:
		return v.String()
	}
}

// same says whether two results are the same answer.
func same(a, b column.Value) bool {
	if a.IsNull() || b.IsNull() {
		return a.IsNull() == b.IsNull()
	}
	if a.Kind == column.Float && b.Kind == column.Float {
		return math.Abs(a.F-b.F) <= floatTolerance*math.Max(math.Abs(a.F), math.Abs(b.F)) || a.F == b.F
	}
	switch {
	case a.Kind != b.Kind:
		return false
	case a.Kind.IsText():
		return a.S == b.S
	case a.Kind == column.BigDec:
		return a.D.Equal(b.D)
	default:
		return a.I == b.I
	}
}
