package sql

import (
	"cmp"
	"fmt"
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

// A keyRange is what an index lookup asks for: a range of stored keys, which
// the equalities at the front and the first other condition make, and bounds
// on the parts behind.
type keyRange struct {
	views.Range
	bounds []keyBound // by part of the key; nil where the range says it all
}

// A keyBound bounds one part of a key.
type keyBound struct {
	lo, hi         *column.Value // nil is no bound
	loOpen, hiOpen bool          // the bound itself is outside
	null           bool          // NULL is inside
	all            bool          // no bound at all
}

// keyRanges translates an index lookup.
func keyRanges(ctx *gms.Context, lookup gms.IndexLookup, types []keyType) ([]keyRange, error) {
	list, ok := lookup.Ranges.(gms.MySQLRangeCollection)
	if !ok {
		return nil, fmt.Errorf("index lookup of an unknown kind: %T", lookup.Ranges)
	}
	var out []keyRange
	for _, r := range list {
		if lookup.IsEmptyRange || emptyRange(r) {
			continue
		}
		if kr, ok := toKeyRange(ctx, r, types); ok {
			out = append(out, kr)
		}
	}
	return out, nil
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
func toKeyRange(ctx *gms.Context, r gms.MySQLRange, types []keyType) (keyRange, bool) {
	var prefix []byte
	out := keyRange{}
	for i, col := range r {
		if v, ok := equality(ctx, col, types[i]); ok {
			prefix = partial.AppendKey(prefix, v)
			continue
		}
		out.Lo = lowerKey(ctx, prefix, col.LowerBound, types[i])
		out.Hi = upperKey(ctx, prefix, col.UpperBound, types[i])
		for k := i + 1; k < len(r); k++ {
			b := toBound(ctx, r[k], types[k])
			if out.bounds == nil && !b.all {
				out.bounds = make([]keyBound, len(types))
				for n := range out.bounds {
					out.bounds[n].all = true
				}
			}
			if !b.all {
				out.bounds[k] = b
			}
		}
		return out, out.Hi == nil || string(out.Lo) < string(out.Hi)
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
	case gms.AboveAll:
		b.all = b.null
	case gms.AboveNull, gms.BelowNull:
		// NULL alone, or nothing: no value is at most this.
		v := column.Value{Kind: t.own.Kind}
		b.lo, b.loOpen, b.hi, b.hiOpen = &v, true, &v, true
	}
	return b
}

// checks says whether the range bounds part k of the key beyond its keys.
func (r *keyRange) checks(k int) bool { return r.bounds != nil && !r.bounds[k].all }

// holds says whether row i is inside the bounds; keyAt says which column of b
// each part of the key is.
func (r *keyRange) holds(b *column.Batch, keyAt []int, i int) bool {
	for k := range r.bounds {
		if r.bounds[k].all {
			continue
		}
		if !r.bounds[k].holds(b.Cols[keyAt[k]].Value(i)) {
			return false
		}
	}
	return true
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
