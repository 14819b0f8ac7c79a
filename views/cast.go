package views

import (
	"strconv"
	"strings"
	"time"

	"weir/views/column"
)

// Cast returns x as values of a column, by the rules that fields of an event
// follow: what the column cannot hold is NULL.
func Cast(x column.Expr, c *ColumnDef) column.Expr {
	if from := x.Type(); from.SQL == c.Type.SQL {
		return x
	}
	set, err := newSetter(c, "")
	if err != nil {
		panic(err) // newSetter refuses time formats only
	}
	return &cast{x: x, set: set}
}

type cast struct {
	x   column.Expr
	set setter
}

// Type implements column.Expr.
func (c *cast) Type() column.Type { return c.set.t }

// Eval implements column.Expr.
func (c *cast) Eval(b *column.Batch) *column.Vector {
	x := c.x.Eval(b)
	v := b.New(c.set.t.Kind)
	v.Scale = c.set.t.Scale
	b.Rows(func(i int) {
		if x.IsNull(i) || !c.put(v, i, x.Value(i)) {
			v.SetNull(i, b.Len)
		}
	})
	return v
}

// put puts a value into row i and says whether the column can hold it.
func (c *cast) put(v *column.Vector, i int, x column.Value) bool {
	switch {
	case x.Kind == column.Time && v.Kind == column.Time:
		v.I[i] = c.set.day(x.I)
		return true
	case x.Kind == column.Time:
		return c.set.text(v, i, formatTime(x.I))
	case v.Kind == column.Time && !x.Kind.IsText():
		return false
	case x.Kind.IsText():
		return c.set.text(v, i, strings.TrimSpace(x.S)) || c.set.text(v, i, x.S)
	case x.Kind == column.Float && (v.Kind == column.Int || v.Kind == column.Uint):
		return c.set.number(v, i, strconv.FormatFloat(x.F, 'f', -1, 64))
	default:
		return c.set.text(v, i, x.String())
	}
}

func formatTime(t int64) string {
	return time.UnixMicro(t).UTC().Format("2006-01-02 15:04:05.999999")
}
