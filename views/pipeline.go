package views

import (
	"math"

	"weir/views/column"
	"weir/views/partial"
)

// A pipeline turns decoded events into partial states of one view. The live
// layer, batch runs, builds and replays all run events through here. A
// pipeline belongs to one goroutine.
type pipeline struct {
	plan  *ViewPlan
	specs []partial.Spec
	keys  []*column.Vector
	args  [][]*column.Vector
	rows  []uint32
}

func newPipeline(plan *ViewPlan) *pipeline {
	p := &pipeline{
		plan: plan, specs: plan.Specs(),
		keys: make([]*column.Vector, len(plan.Keys)),
		args: make([][]*column.Vector, len(plan.Aggs)),
	}
	for i := range plan.Aggs {
		p.args[i] = make([]*column.Vector, len(plan.Aggs[i].Args))
	}
	return p
}

// A span is an extent of event time in microseconds; it is empty when Min > Max.
type span struct{ Min, Max int64 }

var noSpan = span{math.MaxInt64, math.MinInt64}

func (s *span) add(t int64) { s.Min, s.Max = min(s.Min, t), max(s.Max, t) }

func (s *span) union(o span) { s.Min, s.Max = min(s.Min, o.Min), max(s.Max, o.Max) }

// add takes the rows of b that decoded, from row first on, into t.
func (p *pipeline) add(t *partial.Table, b *column.Batch, first int) {
	sel := b.Sel
	defer func() { b.Sel = sel }()
	b.Sel = p.candidates(b, first)
	if p.plan.Filter != nil && len(b.Sel) > 0 {
		b.Keep(p.plan.Filter)
	}
	if len(b.Sel) == 0 {
		return
	}
	for i := range p.plan.Keys {
		if x := p.plan.Keys[i].Expr; x != p.plan.Hop { // whose windows come below
			p.keys[i] = x.Eval(b)
		}
	}
	for i := range p.plan.Aggs {
		for k, arg := range p.plan.Aggs[i].Args {
			p.args[i][k] = arg.Eval(b)
		}
	}
	if p.plan.Hop == nil {
		t.Add(b.Sel, p.keys, p.args)
		return
	}
	for starts, rows := range p.plan.Hop.Windows(b) {
		p.keys[p.plan.Window] = starts
		t.Add(rows, p.keys, p.args)
	}
}

// candidates lists the rows from first on that decoded, in p.rows.
func (p *pipeline) candidates(b *column.Batch, first int) []uint32 {
	p.rows = p.rows[:0]
	if b.Sel == nil {
		for i := first; i < b.Len; i++ {
			p.rows = append(p.rows, uint32(i))
		}
		return p.rows
	}
	for _, i := range b.Sel {
		if int(i) >= first {
			p.rows = append(p.rows, i)
		}
	}
	return p.rows
}

// times returns the extent of event time of the rows that decoded, from row
// first on, and the watermark they reach: the latest time that is not more
// than an hour ahead of the moment the log received the event.
func (d *decoder) times(recs []Record, b *column.Batch, first int) (s span, watermark int64) {
	s, watermark = noSpan, math.MinInt64
	b.Rows(func(i int) {
		if i < first {
			return
		}
		t, ok := d.eventTime(recs, b, i)
		if !ok {
			return
		}
		s.add(t)
		if t <= recs[i].Time/1000+clockSkewMax {
			watermark = max(watermark, t)
		}
	})
	return s, watermark
}

// clockSkewMax bounds how far ahead of the log's clock an event time may be to
// move the watermark, in microseconds.
const clockSkewMax = 3600 * 1_000_000
