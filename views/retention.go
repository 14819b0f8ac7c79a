package views

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"weir/views/column"
	"weir/views/partial"
)

// noFloor is the floor of a view from which no window was dropped.
const noFloor = math.MinInt64

// due returns the start of the last window that is to be dropped where the
// watermark stands, in microseconds: that of a window which ended retention
// ago. Which rows a view has is so a function of the log alone.
func (v *View) due(watermark int64) int64 {
	keep := v.Def().Retention.Microseconds()
	if keep <= 0 || v.plan.Window < 0 || watermark == noSpan.Max {
		return noFloor
	}
	// Times are within some 10,000 years: nothing here overflows.
	return watermark - keep - v.plan.WindowSize
}

// floor is storeMeta.Floor at the watermark.
func (v *View) floor(m *storeMeta, watermark int64) int64 { return max(m.Floor, v.due(watermark)) }

// shown is storeMeta.Shown at the watermark.
func (v *View) shown(m *storeMeta, watermark int64) int64 { return max(m.Shown, v.due(watermark)) }

// bringBack makes windows that were dropped ones that a recompute brings back.
func (m *storeMeta) bringBack() { m.Floor, m.Shown, m.Deleted = noFloor, noFloor, noFloor }

// checkRetention returns an error where the view's retention has no windows of
// event time to drop.
func (p *ViewPlan) checkRetention(def *ViewDef, stream *StreamDef) error {
	if def.Retention == 0 {
		return nil
	}
	name, at := Extras[ExtraTime].Name, len(stream.Columns)+ExtraTime
	if stream.EventTime != "" {
		at = slices.IndexFunc(stream.Columns, func(c ColumnDef) bool { return strings.EqualFold(c.Name, stream.EventTime) })
		name = stream.Columns[at].Name
	}
	var of column.Expr
	if p.Window >= 0 {
		switch w := p.Keys[p.Window].Expr.(type) {
		case *column.Tumble:
			of = w.X
		case *column.Hop:
			of = w.X
		}
	}
	if c, ok := of.(*column.Col); ok && c.Index == at {
		return nil
	}
	why := "this view has none: GROUP BY TUMBLE(%s, INTERVAL …)"
	if of != nil {
		why = "the windows of this view are of another time than the stream's, which is %s"
	}
	return &DefinitionError{Option: "retention", Err: fmt.Errorf("it drops windows of event time, and "+why, name)}
}

// windows tells which keys are those of windows that a floor has dropped.
type windows struct {
	at    int // which part of the key is the window
	types []column.Type
	floor int64
}

func (v *View) windows(floor int64) *windows {
	if floor == noFloor || v.plan.Window < 0 {
		return nil
	}
	return &windows{at: v.plan.Window, types: v.plan.KeyTypes(), floor: floor}
}

// keeps says whether the row with the key is not of a dropped window. A row
// without a time, or whose key makes no sense, is kept.
func (w *windows) keeps(key []byte) bool {
	if w == nil {
		return true
	}
	var start column.Value
	var err error
	for i := 0; i <= w.at; i++ {
		if start, key, err = partial.ReadKey(key, w.types[i]); err != nil {
			return true
		}
	}
	return start.IsNull() || start.I > w.floor
}

// expire deletes the rows of windows that have become due by the watermark, in
// all layers, in the transaction of the commit that finds them due.
func (v *View) expire(tx *bolt.Tx, m *storeMeta) error {
	floor := v.floor(m, m.Watermark)
	m.Floor, m.Shown = floor, max(m.Shown, floor)
	if floor <= m.Deleted || v.plan.Window > 0 && floor-max(m.Deleted, -1<<60) < v.plan.WindowSize {
		// Windows that are not the first part of the key are looked for among
		// all rows, so not before one more can be due. Readers skip them.
		return nil
	}
	w := v.windows(floor)
	for _, r := range m.rowsets() {
		if err := w.delete(tx.Bucket(rowsBucket(r.number)), r); err != nil {
			return err
		}
	}
	m.Deleted = floor
	return nil
}

// expireChunk is how many keys are looked up before they are deleted: a bbolt
// cursor loses its place when its bucket changes.
const expireChunk = 10_000

// delete removes the rows that w does not keep.
func (w *windows) delete(b *bolt.Bucket, r *rowset) error {
	if b == nil {
		return nil
	}
	type row struct {
		key   []byte
		check uint32
	}
	var from []byte
	for {
		var due []row
		c := b.Cursor()
		k, v := c.Seek(from)
		for ; k != nil && len(due) < expireChunk; k, v = c.Next() {
			if !w.keeps(k) {
				_, check, err := openRow(r.number, k, v)
				if err != nil {
					return err
				}
				due = append(due, row{bytes.Clone(k), check})
			} else if w.at == 0 && !w.isNull(k) {
				k = nil // the first window that stays: those behind it stay too
				break
			}
		}
		from = bytes.Clone(k)
		for _, d := range due {
			if err := r.delete(b, d.key, d.check); err != nil {
				return err
			}
		}
		if from == nil {
			return nil
		}
	}
}

// isNull says whether the first part of the key, a window, is NULL.
func (w *windows) isNull(key []byte) bool {
	start, _, err := partial.ReadKey(key, w.types[0])
	return err == nil && start.IsNull()
}
