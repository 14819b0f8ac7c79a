package views

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"

	"weir/views/column"
	"weir/views/partial"
)

// The benchmarks of this file are what REFRESH … FULL does to an event, stage
// by stage, for an access log in the order of its time: 100 paths and two
// variants, so that there are 200 groups a minute, or with users a group of
// 16,000 in no order.

// accessLog returns a view over such a log and n of its records.
func accessLog(b *testing.B, n int) (*View, []Record) {
	b.Helper()
	cols := []ColumnDef{
		{Name: "seq", Type: column.Bigint},
		{Name: "ts", Type: column.Datetime},
		{Name: "ip", Type: column.Text},
		{Name: "path", Type: column.Text},
		{Name: "user_id", Type: column.Bigint},
		{Name: "status", Type: column.Bigint},
		{Name: "bytes", Type: column.Bigint},
		{Name: "latency_ms", Type: column.Double},
		{Name: "variant", Type: column.Text},
	}
	const ts, path, user, status, size, latency, variant = 1, 3, 4, 5, 6, 7, 8
	stream := &StreamPlan{
		Def: &StreamDef{Format: FormatJSON, Columns: cols, EventTime: "ts", TimeFormat: "unix_ms"},
	}
	col := func(i int) column.Expr { return &column.Col{Index: i, T: cols[i].Type} }
	failed := &column.Cmp{Op: column.Ge, L: col(status), R: &column.Const{V: column.Value{Kind: column.Int, I: 500}, T: column.Bigint}}
	whole := column.Decimal(41, 0)
	plan := &ViewPlan{
		Keys: []Key{{Expr: &column.Tumble{X: col(ts), Size: 60_000_000}}, {Expr: col(path)}, {Expr: col(variant)}},
		Aggs: []Agg{
			{Spec: partial.Spec{Func: partial.CountAll, Result: column.Bigint}},
			{Spec: partial.Spec{Func: partial.Sum, Arg: column.Boolean, Result: whole}, Args: []column.Expr{failed}},
			{Spec: partial.Spec{Func: partial.Sum, Arg: column.Bigint, Result: whole}, Args: []column.Expr{col(size)}},
			{Spec: partial.Spec{Func: partial.Sum, Arg: column.Double, Result: column.Double}, Args: []column.Expr{col(latency)}},
		},
		Reads: []int{ts, path, variant, status, size, latency, user},
	}
	r := rand.New(rand.NewPCG(1, 2))
	recs := make([]Record, n)
	for i := range recs {
		code := 200
		if r.IntN(50) == 0 {
			code = 503
		}
		path := min(r.IntN(100), r.IntN(100))
		recs[i] = Record{Seq: uint64(i + 1), Time: int64(1_700_000_040_000+i*3) * 1e6, Subject: "access", Payload: fmt.Appendf(nil,
			`{"seq":%d,"ts":%d,"ip":"%d.%d.%d.%d","method":"GET","path":"/section%d/page%02d","user_id":%d,"item_id":%d,"status":%d,"bytes":%d,"latency_ms":%g,"variant":"%c"}`,
			i, 1_700_000_040_000+i*3, r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256), path%7, path, r.IntN(100_000), r.IntN(10_000), code,
			100+r.IntN(7000), float64(4+r.IntN(300))/4, 'A'+r.IntN(2))}
	}
	return &View{plan: plan, stream: &Stream{Def: stream.Def, plan: stream}}, recs
}

// processor returns the time that the process has had processors for, in
// nanoseconds.
func processor(b *testing.B) int64 {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return use.Utime.Nano() + use.Stime.Nano()
}

// perEvent runs f, which takes so many events, again and again, and reports the
// time of processors for each, which other programs disturb less than the clock.
func perEvent(b *testing.B, events int, f func()) {
	b.Helper()
	f()
	begun := processor(b)
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(processor(b)-begun)/float64(b.N)/float64(events), "cpu-ns/event")
}

const benchBatch = 1024 // events that a worker takes at once

// BenchmarkTake is what a worker does with an event: all of it, and its parts.
func BenchmarkTake(b *testing.B) {
	const n = 64 * benchBatch
	v, recs := accessLog(b, n)
	each := func(b *testing.B, f func(recs []Record)) {
		perEvent(b, n, func() {
			for at := 0; at < n; at += benchBatch {
				f(recs[at : at+benchBatch])
			}
		})
	}
	worker := func(b *testing.B) *worker {
		w, err := v.newWorker()
		if err != nil {
			b.Fatal(err)
		}
		return w
	}
	b.Run("all", func(b *testing.B) {
		w := worker(b)
		each(b, func(recs []Record) { _ = w.take(recs) })
	})
	b.Run("decode", func(b *testing.B) {
		w := worker(b)
		each(b, func(recs []Record) { w.decoder.decode(recs, &w.batch) })
	})
	b.Run("copy", func(b *testing.B) {
		var c recordCopy
		each(b, c.copyOf)
	})
	b.Run("groups", func(b *testing.B) {
		w := worker(b)
		w.decoder.decode(recs, &w.batch)
		var rows []uint32
		for i := range recs {
			rows = append(rows, uint32(i))
		}
		var keys []*column.Vector
		for _, k := range v.plan.Keys {
			keys = append(keys, k.Expr.Eval(&w.batch))
		}
		t := partial.NewTable(nil)
		perEvent(b, n, func() {
			for at := 0; at < n; at += benchBatch {
				t.Add(rows[at:at+benchBatch], keys, nil)
			}
		})
	})
}

// BenchmarkRows is what 100,000 groups of the access log take once their events
// are counted; what is reported for an event is that of a group here.
func BenchmarkRows(b *testing.B) {
	const n = 100_000
	v, recs := accessLog(b, 1)
	w, err := v.newWorker()
	if err != nil {
		b.Fatal(err)
	}
	if err := w.take(recs); err != nil {
		b.Fatal(err)
	}
	all := w.table.New()
	for i := range n {
		key := partial.AppendKey(nil, column.Value{Kind: column.Time, I: 1_700_000_040_000_000 + int64(i/200)*60_000_000})
		key = partial.AppendKey(key, column.Value{Kind: column.String, S: fmt.Sprintf("/section%d/page%02d", i*37%7, i*37%100)})
		key = partial.AppendKey(key, column.Value{Kind: column.String, S: string(rune('A' + i/100%2))})
		all.MergeInto(all.Group(key), w.table, 0)
	}
	b.Run("merge", func(b *testing.B) { perEvent(b, n, func() { all.New().Merge(all) }) })
	copies := func() *partial.Table {
		t := all.New()
		t.Merge(all)
		return t
	}
	b.Run("merge and sort", func(b *testing.B) { perEvent(b, n, func() { copies().Sorted() }) })
	b.Run("write", func(b *testing.B) {
		all.Sorted()
		perEvent(b, n, func() {
			meta := storeMeta{}
			meta.openEpoch()
			s, err := createStore(filepath.Join(b.TempDir(), "v.db"), v.plan.Specs(), meta)
			if err != nil {
				b.Fatal(err)
			}
			write(b, s, all)
			_ = s.db.Close()
		})
	})
}
