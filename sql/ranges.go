package sql

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"

	"weir/views"
	"weir/views/column"
	"weir/views/partial"
)

// A keyType is the type of a part of a key, ours and the engine's.
type keyType struct {
	own    column.Type
	engine gms.Type
}

// keyRanges translates an index lookup into ranges in their order: the equalities at the front and the first other condition are the
// range, those on the parts behind are conditions within.
func keyRanges(ctx *gms.Context, lookup gms.IndexLookup, types []keyType) ([]views.Range, error) {
	list, ok := lookup.Ranges.(gms.MySQLRangeCollection)
	if !ok {
		return nil, fmt.Errorf("index lookup of an unknown kind: %T", lookup.Ranges)
	}
	var out []views.Range
	for _, r := range list {
		if lookup.IsEmptyRange || emptyRange(r) {
			continue
		}
		if kr, ok := toKeyRange(ctx, r, types); ok {
			out = append(out, kr)
		}
	}
	return inOrder(out), nil
}

// inOrder sorts ranges, and joins those that differ only in the conditions
// within. Others may overlap; no row is in two of them.
func inOrder(list []views.Range) []views.Range {
	if len(list) < 2 {
		return list
	}
	slices.SortStableFunc(list, func(a, b views.Range) int {
		return cmp.Or(bytes.Compare(a.Lo, b.Lo), compareEnds(a.Hi, b.Hi))
	})
	out := list[:1]
	for _, r := range list[1:] {
		last := &out[len(out)-1]
		switch {
		case !bytes.Equal(last.Lo, r.Lo) || compareEnds(last.Hi, r.Hi) != 0:
			out = append(out, r)
		case len(last.Any) == 0 || len(r.Any) == 0:
			last.Any = nil
		default:
			last.Any = append(slices.Clip(last.Any), r.Any...)
		}
	}
	return out
}

// compareEnds compares ends of ranges, of which nil is the last.
func compareEnds(a, b []byte) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return bytes.Compare(a, b)
}

// within returns the ranges with further conditions on the parts of their keys.
func within(ranges []views.Range, conds ...views.Parts) []views.Range {
	var cond views.Parts
	for _, c := range conds {
		cond = both(cond, c)
	}
	if cond == nil {
		return ranges
	}
	out := slices.Clone(ranges)
	for i := range out {
		if len(out[i].Any) == 0 {
			out[i].Any = []views.Parts{cond}
			continue
		}
		out[i].Any = slices.Clone(out[i].Any)
		for k := range out[i].Any {
			out[i].Any[k] = both(out[i].Any[k], cond)
		}
	}
	return out
}

// both is the condition that two conditions hold.
func both(a, b views.Parts) views.Parts {
	if len(a) < len(b) {
		a, b = b, a
	}
	if len(b) == 0 {
		return a
	}
	out := slices.Clone(a)
	for i, s := range b {
		if bytes.Compare(s.Lo, out[i].Lo) > 0 {
			out[i].Lo = s.Lo
		}
		if compareEnds(s.Hi, out[i].Hi) < 0 {
			out[i].Hi = s.Hi
		}
	}
	return out
}

// parts is what a condition on the columns of a relation says of its key: all
// rows for which it is true are within. nil says nothing.
func (s *viewShape) parts(x column.Expr) views.Parts {
	switch x := x.(type) {
	case *column.And:
		return both(s.parts(x.L), s.parts(x.R))
	case *column.IsNull:
		if p := s.part(x.X); p >= 0 {
			return onPart(p, views.Span{Hi: partial.AfterNull(nil)})
		}
	case *column.Cmp:
		op, col, by := x.Op, x.L, x.R
		if _, ok := col.(*column.Const); ok {
			op, col, by = turned(op), by, col
		}
		c, ok := by.(*column.Const)
		p := s.part(col)
		if !ok || p < 0 || c.V.IsNull() || c.V.Kind != s.types[p].own.Kind || len(c.V.S) > longText {
			return nil
		}
		at := partial.AppendKey(nil, c.V)
		span := views.Span{Lo: partial.AfterNull(nil)}
		switch op {
		case column.Eq, column.NullSafeEq:
			span = views.Span{Lo: at, Hi: partial.PrefixEnd(at)}
		case column.Lt:
			span.Hi = at
		case column.Le:
			span.Hi = partial.PrefixEnd(at)
		case column.Gt:
			span.Lo = partial.PrefixEnd(at)
		case column.Ge:
			span.Lo = at
		default:
			return nil
		}
		return onPart(p, span)
	}
	return nil
}

// longText is longer than what a key holds of a text as it is.
const longText = 2500

// part is which part of the key an expression is, or -1.
func (s *viewShape) part(x column.Expr) int {
	if c, ok := x.(*column.Col); ok {
		return s.cols[c.Index].Key
	}
	return -1
}

func onPart(p int, span views.Span) views.Parts {
	parts := make(views.Parts, p+1)
	parts[p] = span
	return parts
}

// turned is the comparison with its sides changed.
func turned(op column.Op) column.Op {
	switch op {
	case column.Lt:
		return column.Gt
	case column.Le:
		return column.Ge
	case column.Gt:
		return column.Lt
	case column.Ge:
		return column.Le
	}
	return op
}

// overlap says whether some of the ranges, which are in order, overlap.
func overlap(list []views.Range) bool {
	for i := 1; i < len(list); i++ {
		if list[i-1].Hi == nil || bytes.Compare(list[i-1].Hi, list[i].Lo) > 0 {
			return true
		}
	}
	return false
}

// emptyRange says whether no row can be in the range: one of its parts ends
// before it begins. The engine makes such ranges of conditions that contradict
// each other, and of joins on NULL.
func emptyRange(r gms.MySQLRange) bool {
	for _, c := range r {
		order, err := c.LowerBound.Compare(c.UpperBound, c.Typ)
		if err == nil && order >= 0 {
			return true
		}
	}
	return false
}

// toKeyRange translates one range; false when it is empty.
func toKeyRange(ctx *gms.Context, r gms.MySQLRange, types []keyType) (views.Range, bool) {
	var prefix []byte
	var out views.Range
	for i, col := range r {
		if v, ok := equality(ctx, col, types[i]); ok {
			prefix = partial.AppendKey(prefix, v)
			continue
		}
		out.Lo = lowerKey(ctx, prefix, col.LowerBound, types[i])
		out.Hi = upperKey(ctx, prefix, col.UpperBound, types[i])
		if out.Hi != nil && bytes.Compare(out.Lo, out.Hi) >= 0 {
			return out, false
		}
		var parts views.Parts
		for k := i + 1; k < len(r); k++ {
			s := views.Span{Lo: lowerKey(ctx, nil, r[k].LowerBound, types[k]), Hi: upperKey(ctx, nil, r[k].UpperBound, types[k])}
			if s.Hi != nil && bytes.Compare(s.Lo, s.Hi) >= 0 {
				return out, false
			}
			if len(s.Lo) == 0 && s.Hi == nil {
				continue
			}
			for len(parts) < k {
				parts = append(parts, views.Span{})
			}
			parts = append(parts, s)
		}
		if parts != nil {
			out.Any = []views.Parts{parts}
		}
		return out, true
	}
	out.Lo, out.Hi = prefix, partial.PrefixEnd(prefix)
	return out, true
}

// equality returns the value that a part must equal, NULL included.
func equality(ctx *gms.Context, c gms.MySQLRangeColumnExpr, t keyType) (column.Value, bool) {
	switch lo := c.LowerBound.(type) {
	case gms.Below:
		hi, ok := c.UpperBound.(gms.Above)
		if !ok {
			return column.Null, false
		}
		a, b := keyValue(ctx, lo.Key, t), keyValue(ctx, hi.Key, t)
		return a, !a.IsNull() && string(partial.AppendKey(nil, a)) == string(partial.AppendKey(nil, b))
	case gms.BelowNull:
		_, ok := c.UpperBound.(gms.AboveNull)
		return column.Null, ok
	}
	return column.Null, false
}

func keyValue(ctx *gms.Context, x any, t keyType) column.Value {
	return fromEngine(ctx, x, t.engine, t.own)
}

// lowerKey is the first key at or above a cut.
func lowerKey(ctx *gms.Context, prefix []byte, cut gms.MySQLRangeCut, t keyType) []byte {
	p := append([]byte(nil), prefix...)
	switch c := cut.(type) {
	case gms.Below:
		if v := keyValue(ctx, c.Key, t); !v.IsNull() {
			return partial.AppendKey(p, v)
		}
		return partial.AfterNull(p)
	case gms.Above:
		if v := keyValue(ctx, c.Key, t); !v.IsNull() {
			return partial.PrefixEnd(partial.AppendKey(p, v))
		}
		return partial.AfterNull(p)
	case gms.AboveNull:
		return partial.AfterNull(p)
	case gms.AboveAll:
		return partial.PrefixEnd(p)
	default:
		return p
	}
}

// upperKey is the first key above a cut.
func upperKey(ctx *gms.Context, prefix []byte, cut gms.MySQLRangeCut, t keyType) []byte {
	p := append([]byte(nil), prefix...)
	switch c := cut.(type) {
	case gms.Below:
		if v := keyValue(ctx, c.Key, t); !v.IsNull() {
			return partial.AppendKey(p, v)
		}
	case gms.Above:
		if v := keyValue(ctx, c.Key, t); !v.IsNull() {
			return partial.PrefixEnd(partial.AppendKey(p, v))
		}
	case gms.AboveNull:
		return partial.AfterNull(p)
	case gms.BelowNull:
		return p
	}
	return partial.PrefixEnd(p)
}

// A keyBound bounds a column of a stream.
type keyBound struct {
	lo, hi         *column.Value // nil is no bound
	loOpen, hiOpen bool          // the bound itself is outside
	null           bool          // NULL is inside
}

func toBound(ctx *gms.Context, c gms.MySQLRangeColumnExpr, t keyType) keyBound {
	var b keyBound
	set := func(at **column.Value, open *bool, x any, o bool) {
		if v := keyValue(ctx, x, t); !v.IsNull() {
			*at, *open = &v, o
		}
	}
	switch lo := c.LowerBound.(type) {
	case gms.Below:
		set(&b.lo, &b.loOpen, lo.Key, false)
	case gms.Above:
		set(&b.lo, &b.loOpen, lo.Key, true)
	case gms.BelowNull:
		b.null = true
	}
	switch hi := c.UpperBound.(type) {
	case gms.Below:
		set(&b.hi, &b.hiOpen, hi.Key, true)
	case gms.Above:
		set(&b.hi, &b.hiOpen, hi.Key, false)
	case gms.AboveNull, gms.BelowNull:
		// NULL alone, or nothing: no value is at most this.
		v := column.Value{Kind: t.own.Kind}
		b.lo, b.loOpen, b.hi, b.hiOpen = &v, true, &v, true
	}
	return b
}

func (b *keyBound) holds(v column.Value) bool {
	if v.IsNull() {
		return b.null
	}
	if b.lo != nil {
		if c := compareValues(v, *b.lo); c < 0 || c == 0 && b.loOpen {
			return false
		}
	}
	if b.hi != nil {
		if c := compareValues(v, *b.hi); c > 0 || c == 0 && b.hiOpen {
			return false
		}
	}
	return true
}

// compareValues compares two values of one kind, neither of them NULL.
func compareValues(a, b column.Value) int {
	switch {
	case a.Kind == column.Float:
		return cmp.Compare(a.F, b.F)
	case a.Kind == column.Uint:
		return cmp.Compare(uint64(a.I), uint64(b.I))
	case a.Kind == column.BigDec:
		return a.D.Cmp(b.D)
	case a.Kind.IsText():
		return strings.Compare(a.S, b.S)
	default:
		return cmp.Compare(a.I, b.I)
	}
}
