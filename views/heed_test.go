package views_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"weir/views"
	"weir/views/column"
	"weir/views/partial"
)

// A read that comes to no row can be stopped.
func TestReadWithoutRowsIsStopped(t *testing.T) {
	_, v, publish := openCounting(t, t.TempDir())
	publish(3000)
	var between []views.Parts // places between the keys
	for k := range int64(3000) {
		at := partial.AppendKey(nil, column.Value{Kind: column.Int, I: k})
		between = append(between, views.Parts{{Lo: append(slices.Clip(at), 0), Hi: append(slices.Clip(at), 1)}})
	}
	var set views.ReadSet
	defer set.Close()
	snap, err := set.Snapshot(v)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	read := func(reverse bool) error {
		c := snap.ScanLayout(v.Layout(views.Serving, []int{0}, nil), []views.Range{{Any: between}}, reverse)
		c.Heed(ctx)
		var b column.Batch
		n, err := c.Fill(&b, 10)
		if n != 0 {
			t.Errorf("reverse=%v: %d rows", reverse, n)
		}
		return err
	}
	for _, reverse := range []bool{false, true} {
		if err := read(reverse); err != nil {
			t.Errorf("reverse=%v: %v", reverse, err)
		}
	}
	cancel()
	for _, reverse := range []bool{false, true} {
		if err := read(reverse); !errors.Is(err, context.Canceled) {
			t.Errorf("reverse=%v: %v", reverse, err)
		}
	}
}
