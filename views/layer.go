package views

import (
	"strings"

	"weir/views/column"
	"weir/views/partial"
)

// A Layer is one of the three relations of a view.
type Layer uint8

// The layers. Serving is batch and speed combined.
const (
	Serving Layer = iota
	Batch
	Speed
)

func (l Layer) String() string { return [...]string{"serving", "batch", "speed"}[l] }

// A Part says what of an aggregate a column shows.
type Part uint8

// The parts of an aggregate. A partial state that is more than its value is
// shown by the batch and speed layers as its parts, so that they can be
// combined in SQL.
const (
	Whole       Part = iota // its value
	PartSum                 // of an average: the sum
	PartCount               // of an average: the count
	PartStored              // the stored form of the state
	PartEpoch               // not of an aggregate: the epoch that the row is of
	PartServing             // likewise: 1 where the epoch serves, 0 where batch has covered it
)

// A LayerColumn is a column of a view's relations. One of Key, Agg and Post
// says where its values come from; Key and Agg are -1 where they do not.
type LayerColumn struct {
	Output
	Part  Part
	State bool // shown by the batch and speed layers only
}

// partsOf says which columns beside its value an aggregate needs to be
// combined in SQL.
func partsOf(f partial.Func) []Part {
	switch f {
	case partial.Avg:
		return []Part{PartSum, PartCount}
	case partial.CountDistinct, partial.ApproxDistinct, partial.ApproxPercentile, partial.ApproxTopK,
		partial.First, partial.Last, partial.AnyValue,
		partial.VarPop, partial.VarSamp, partial.StddevPop, partial.StddevSamp:
		return []Part{PartStored}
	default:
		return nil
	}
}

// Columns returns the columns of a layer: the view's own, and for the batch
// and speed layers those of partial states, whose names begin with __.
func (p *ViewPlan) Columns(l Layer) []LayerColumn {
	cols := make([]LayerColumn, len(p.Outputs))
	shown := make([]string, len(p.Aggs))
	for i, o := range p.Outputs {
		cols[i].Output = o
		if o.Agg >= 0 && shown[o.Agg] == "" {
			shown[o.Agg] = o.Name
		}
	}
	if l == Serving {
		return cols
	}
	taken := map[string]bool{EpochColumn: true, ServingColumn: true}
	for a := range p.Aggs {
		if p.Aggs[a].Hidden {
			continue
		}
		for _, c := range p.stateColumns(a, shown[a]) {
			for taken[strings.ToLower(c.Name)] { // a column may be named like the state of another
				c.Name += "_"
			}
			taken[strings.ToLower(c.Name)] = true
			cols = append(cols, c)
		}
	}
	if l == Speed {
		own := func(name string, part Part, t column.Type) LayerColumn {
			return LayerColumn{Part: part, State: true, Output: Output{Name: name, Type: t, Key: -1, Agg: -1}}
		}
		cols = append(cols, own(EpochColumn, PartEpoch, column.Unsigned), own(ServingColumn, PartServing, column.Bigint))
	}
	return cols
}

// The columns of v_speed that tell its epochs apart: it has one row for each
// group and epoch, of those that serve and of those that batch has covered.
const (
	EpochColumn   = "__epoch"
	ServingColumn = "__serving"
)

// stateColumns are the columns of the partial state of aggregate a, which the
// output shown shows, if any.
func (p *ViewPlan) stateColumns(a int, shown string) (cols []LayerColumn) {
	agg := &p.Aggs[a]
	name := agg.Name
	if shown != "" {
		name = "__" + shown
	}
	col := func(suffix string, part Part, t column.Type) LayerColumn {
		return LayerColumn{Part: part, State: true, Output: Output{Name: name + suffix, Type: t, Key: -1, Agg: a, Null: part != PartCount}}
	}
	for _, part := range partsOf(agg.Spec.Func) {
		switch part {
		case PartSum:
			cols = append(cols, col("_sum", part, partial.SumType(agg.Spec.Arg)))
		case PartCount:
			cols = append(cols, col("_count", part, column.Bigint))
		default:
			cols = append(cols, col("_state", part, column.Blob))
		}
	}
	if cols == nil && shown == "" {
		cols = append(cols, col("", Whole, agg.Spec.Result))
	}
	return cols
}

// KeyTypes returns the types of the parts of the group key.
func (p *ViewPlan) KeyTypes() []column.Type {
	types := make([]column.Type, len(p.Keys))
	for i, k := range p.Keys {
		types[i] = k.Expr.Type()
	}
	return types
}
