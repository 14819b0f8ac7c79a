package views

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"weir/views/column"
)

// TestIDRing compares a ring with a list, through growing and shrinking.
func TestIDRing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var ring idRing
	ring.head, ring.next = 1<<33-5, 1<<33-5
	var list []idHash
	hash := func() idHash { return idHash{r.Uint64N(3), r.Uint64N(9000)} } // whose slots collide
	for step := range 60_000 {
		grow := 7
		if step/10_000%2 == 1 {
			grow = 3
		}
		if h := hash(); r.IntN(10) < grow && !slices.Contains(list, h) {
			ring.add(idEntry{h, int64(step)})
			list = append(list, h)
		} else if len(list) > 0 {
			ring.drop()
			list = list[1:]
		}
		if h := hash(); ring.has(h) != slices.Contains(list, h) || ring.len() != len(list) {
			t.Fatalf("step %d: has is %t, and %d of %d are there", step, ring.has(h), ring.len(), len(list))
		}
		if step%97 == 0 && len(list) > 0 && (!ring.has(list[0]) || !ring.has(list[len(list)-1])) {
			t.Fatalf("step %d: an id is gone", step)
		}
	}
	for ring.len() > 0 {
		ring.drop()
	}
	if len(ring.entries) != idRingLeast {
		t.Errorf("an empty ring has room for %d ids", len(ring.entries))
	}
}

// TestRepeatList compares a list with a set, also as it is read back.
func TestRepeatList(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var list repeatList
	var all []uint64
	seq := uint64(0)
	for range 5_000 {
		seq += 1 + r.Uint64N(3)*r.Uint64N(200)
		list.add(seq)
		all = append(all, seq)
		if r.IntN(100) == 0 {
			list.settle()
		}
	}
	var back repeatList
	list.settle()
	for _, c := range list.chunks {
		read, err := readRepeatChunk(c.from, c.code)
		if err != nil || read.to != c.to || read.ranges != c.ranges {
			t.Fatalf("chunk %+v is read as %+v, %v", c.seqRange, read.seqRange, err)
		}
		back.chunks = append(back.chunks, read)
	}
	if len(back.chunks) < 3 || back.last() != seq {
		t.Fatalf("%d chunks up to %d", len(back.chunks), back.last())
	}
	for range 5_000 {
		within := seqRange{from: r.Uint64N(seq + 10)}
		within.to = within.from + r.Uint64N(300)
		var got []uint64
		for r := range back.among(within) {
			for s := max(r.from, within.from); s <= min(r.to, within.to); s++ {
				got = append(got, s)
			}
		}
		lo, _ := slices.BinarySearch(all, within.from)
		hi, _ := slices.BinarySearch(all, within.to+1)
		if !slices.Equal(got, all[lo:hi]) {
			t.Fatalf("within %+v: %v, want %v", within, got, all[lo:hi])
		}
		if one := all[r.IntN(len(all))]; !back.has(one) {
			t.Fatalf("%d is missing", one)
		}
	}
	if _, err := readRepeatChunk(1, []byte{1, 0x80}); err == nil {
		t.Error("half a chunk was read")
	}
}

// A sliceLog is records as a log.
type sliceLog struct {
	Log
	records []Record
}

func (l sliceLog) Read(_ context.Context, after, until uint64) iter.Seq2[[]Record, error] {
	return func(yield func([]Record, error) bool) {
		for i, r := range l.records {
			if r.Seq > after && r.Seq <= until && !yield(l.records[i:i+1], nil) {
				return
			}
		}
	}
}

func (l sliceLog) id() LogState {
	return LogState{Created: time.Unix(1, 0), First: l.records[0].Seq, Last: l.records[len(l.records)-1].Seq}
}

// repeatsOf is what dedup promises, in the plainest way.
func repeatsOf(records []Record, window int64, most int) (repeats []uint64) {
	type first struct {
		id   string
		time int64
	}
	var known []first
	clock := int64(0)
	for _, r := range records {
		clock = max(clock, r.Time)
		if r.ID == "" {
			continue
		}
		if slices.ContainsFunc(known, func(f first) bool { return f.id == r.ID && clock-f.time < window }) {
			repeats = append(repeats, r.Seq)
			continue
		}
		known = slices.DeleteFunc(known, func(f first) bool { return clock-f.time >= window })
		known = append(known, first{r.ID, clock})
		known = known[max(0, len(known)-most):]
	}
	return repeats
}

func setDedupMax(t testing.TB, n int) {
	old := dedupIDsMax
	dedupIDsMax = n
	t.Cleanup(func() { dedupIDsMax = old })
}

// openDedupFile opens what a stream's file has.
func openDedupFile(t testing.TB, path string, window int64, log sliceLog) (*dedup, error) {
	t.Helper()
	dead, err := openDead(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dead.db.Close() })
	d := &dedup{db: dead.db, window: window}
	return d, d.load(t.Context(), log, log.id())
}

// TestDedupIsAFunctionOfTheLog judges logs with stops and crashes in between,
// and compares with what is computed of the whole log.
func TestDedupIsAFunctionOfTheLog(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { judgeWithCrashes(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func judgeWithCrashes(t *testing.T, r *rand.Rand) {
	const window = 1000
	setDedupMax(t, pick(r, 1, 3, 50, 1_000, 1_000_000))
	log := sliceLog{records: randomRecords(r, window)}
	want := repeatsOf(log.records, window, dedupIDsMax)
	path := filepath.Join(t.TempDir(), "s.db")
	d, err := openDedupFile(t, path, window, log)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for at < len(log.records) {
		switch r.IntN(8) {
		case 0: // a stop
			if err := d.save(); err != nil {
				t.Fatal(err)
			}
			fallthrough
		case 1: // a crash: on from there, or from what an older view needs
			_ = d.db.Close()
			if d, err = openDedupFile(t, path, window, log); err != nil {
				t.Fatal(err)
			}
			for at > 0 && (log.records[at-1].Seq > d.Seen || r.IntN(50) > 0) {
				at--
			}
		case 2:
			if err := d.save(); err != nil {
				t.Fatal(err)
			}
		default:
			n := min(1+r.IntN(200), len(log.records)-at)
			checkRows(t, r, d, log.records[at:at+n], want, d.take)
			at += n
		}
	}
	checkRows(t, r, d, log.records, want, d.skip)
	if d.repeats.count != uint64(len(want)) {
		t.Errorf("%d repeats, want %d", d.repeats.count, len(want))
	}
	if !t.Failed() && d.ids.len() > dedupIDsMax {
		t.Errorf("%d ids are remembered", d.ids.len())
	}
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// randomRecords have ids that come again within the window, at its edge and
// beyond, a clock that jumps and goes back, and gaps.
func randomRecords(r *rand.Rand, window int64) (records []Record) {
	seq, now := uint64(0), int64(1_000_000)
	var ids []string
	pace := pick(r, 1, 10, 300)
	for range 300 + r.IntN(3_000) {
		seq++
		if r.IntN(200) == 0 {
			seq += r.Uint64N(5)
		}
		switch r.IntN(100) {
		case 0:
			now += window
		case 1:
			now -= r.Int64N(window)
		default:
			now += r.Int64N(int64(pace))
		}
		rec := Record{Seq: seq, Time: now}
		switch n := r.IntN(10); {
		case n < 2:
		case n < 5 && len(ids) > 0:
			// Often one that is about a window old.
			rec.ID = ids[max(0, len(ids)-1-r.IntN(1+r.IntN(len(ids))))]
		default:
			rec.ID = fmt.Sprint("id", seq)
			ids = append(ids, rec.ID)
		}
		records = append(records, rec)
	}
	return records
}

// checkRows lets some rows matter and compares those that take leaves.
func checkRows(t *testing.T, r *rand.Rand, d *dedup, recs []Record, repeats []uint64, take func([]Record, *column.Batch)) {
	t.Helper()
	b := &column.Batch{Len: len(recs)}
	if r.IntN(2) == 0 {
		b.Sel = []uint32{}
		for i := range recs {
			if r.IntN(10) > 0 {
				b.Sel = append(b.Sel, uint32(i))
			}
		}
	}
	want, got := []int{}, []int{}
	b.Rows(func(i int) {
		if _, repeat := slices.BinarySearch(repeats, recs[i].Seq); !repeat {
			want = append(want, i)
		}
	})
	take(recs, b)
	b.Rows(func(i int) { got = append(got, i) })
	if !slices.Equal(got, want) {
		t.Fatalf("events %d to %d: rows %v, want %v", recs[0].Seq, recs[len(recs)-1].Seq, got, want)
	}
	var letters []DeadLetter
	for i := range recs {
		letters = append(letters, DeadLetter{Seq: recs[i].Seq})
	}
	for _, l := range d.first(letters) {
		if _, repeat := slices.BinarySearch(repeats, l.Seq); repeat {
			t.Fatalf("event %d is a repeat and a dead letter", l.Seq)
		}
	}
}

// TestDedupWindow goes to the edges of the window.
func TestDedupWindow(t *testing.T) {
	type event struct {
		id   string
		time int64
	}
	const window = 100
	for _, test := range []struct {
		name   string
		most   int
		events []event
		want   []uint64
	}{
		{"within", 9, []event{{"a", 1000}, {"a", 1099}}, []uint64{2}},
		{"at the end", 9, []event{{"a", 1000}, {"a", 1100}}, nil},
		{"the window does not move with repeats", 9, []event{{"a", 1000}, {"a", 1060}, {"a", 1120}, {"a", 1180}, {"a", 1219}}, []uint64{2, 4, 5}},
		{"other ids", 9, []event{{"a", 1000}, {"b", 1000}, {"A", 1000}, {"a ", 1000}}, nil},
		{"no id", 9, []event{{"", 1000}, {"", 1000}}, nil},
		{"the clock goes back", 9, []event{{"a", 1000}, {"b", 500}, {"a", 901}, {"b", 1099}}, []uint64{3, 4}},
		{"a repeat takes no room", 2, []event{{"a", 1000}, {"b", 1001}, {"b", 1002}, {"b", 1003}, {"a", 1004}}, []uint64{3, 4, 5}},
		{"the oldest goes first", 2, []event{{"a", 1000}, {"b", 1001}, {"c", 1002}, {"b", 1003}, {"a", 1004}, {"b", 1005}}, []uint64{4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			setDedupMax(t, test.most)
			var log sliceLog
			for i, e := range test.events {
				log.records = append(log.records, Record{Seq: uint64(i + 1), Time: e.time, ID: e.id})
			}
			d, err := openDedupFile(t, filepath.Join(t.TempDir(), "s.db"), window, log)
			if err != nil {
				t.Fatal(err)
			}
			d.take(log.records, &column.Batch{Len: len(log.records)})
			var got []uint64
			for i := range log.records {
				if d.repeats.has(log.records[i].Seq) {
					got = append(got, log.records[i].Seq)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("repeats %v, want %v", got, test.want)
			}
		})
	}
}

// TestDedupHorizon shows since when ids are known: for the window, or for less
// where there were too many, or events that nobody has looked at.
func TestDedupHorizon(t *testing.T) {
	setDedupMax(t, 3)
	start := time.Now().Add(-time.Minute)
	log := sliceLog{}
	s := &Stream{dedup: &dedup{window: int64(time.Hour)}}
	add := func(seq uint64, after time.Duration) time.Duration {
		r := Record{Seq: seq, Time: start.Add(after).UnixNano(), ID: fmt.Sprint(seq)}
		log.records = append(log.records, r)
		s.dedup.take(log.records[len(log.records)-1:], &column.Batch{Len: 1})
		_, horizon := s.Repeats()
		return horizon.Sub(start)
	}
	for seq := range uint64(3) {
		if h := add(seq+1, time.Duration(seq)*time.Second); h > -58*time.Minute {
			t.Errorf("after event %d the horizon is %v from the first", seq+1, h)
		}
	}
	if h, want := add(4, 3*time.Second), time.Microsecond; h != want {
		t.Errorf("with an id too many the horizon is %v from the first, want %v", h, want)
	}
	if h, want := add(5, 4*time.Second), time.Second+time.Microsecond; h != want {
		t.Errorf("with two ids too many the horizon is %v from the first, want %v", h, want)
	}
	if h, want := add(9, 5*time.Second), 5*time.Second+time.Microsecond; h != want {
		t.Errorf("behind a gap the horizon is %v from the first, want %v", h, want)
	}
}

// TestDedupFileOfAnotherLog shows that a file is not trusted for a log that is
// not the one it was written for.
func TestDedupFileOfAnotherLog(t *testing.T) {
	log := sliceLog{records: randomRecords(rand.New(rand.NewPCG(5, 6)), 1000)}
	path := filepath.Join(t.TempDir(), "s.db")
	d, err := openDedupFile(t, path, 1000, log)
	if err != nil {
		t.Fatal(err)
	}
	d.take(log.records, &column.Batch{Len: len(log.records)})
	if err := d.save(); err != nil {
		t.Fatal(err)
	}
	last := len(log.records) - 1
	changes := map[string]func(l *sliceLog, id *LogState){
		"shorter": func(_ *sliceLog, id *LogState) { id.Last-- },
		"another": func(_ *sliceLog, id *LogState) { id.Created = time.Unix(2, 0) },
		"another event": func(l *sliceLog, _ *LogState) {
			l.records = slices.Clone(l.records)
			l.records[last].Time++
		},
	}
	for name, change := range changes {
		l, id := log, log.id()
		change(&l, &id)
		if err := (&dedup{db: d.db, window: 1000}).load(t.Context(), l, id); err == nil {
			t.Errorf("%s: the file is trusted", name)
		}
	}
	if err := (&dedup{db: d.db, window: 1000}).load(t.Context(), log, log.id()); err != nil {
		t.Error(err)
	}
}

// A firstLog is a log that begins somewhere.
type firstLog struct {
	sliceLog
	first uint64
}

func (l *firstLog) State(context.Context) (LogState, error) { return LogState{First: l.first}, nil }

// TestDedupForgetsInTheFile shows that ids that are forgotten, and repeats that
// the log no longer has, do not stay in the file.
func TestDedupForgetsInTheFile(t *testing.T) {
	log := sliceLog{}
	d, err := openDedupFile(t, filepath.Join(t.TempDir(), "s.db"), 1000, sliceLog{records: []Record{{Seq: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 40_000; seq++ {
		r := Record{Seq: seq, Time: int64(seq), ID: fmt.Sprint("id", seq)}
		if seq%4 == 0 {
			r.ID = fmt.Sprint("id", seq-1)
		}
		log.records = append(log.records, r)
		if seq%1000 == 0 {
			d.take(log.records[seq-1000:], &column.Batch{Len: 1000})
			if err := d.save(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// While it runs, an hour after the log has dropped them, and not before.
	first := &firstLog{sliceLog: log, first: 10_000}
	for range 2 {
		if err := d.forget(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if !d.repeats.has(4) {
			t.Fatal("what the log has just dropped is forgotten")
		}
	}
	first.first = 20_000
	d.askedAt = d.askedAt.Add(-forgetInterval)
	if err := d.forget(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	last := Record{Seq: 40_001, Time: 40_001, ID: "last"}
	log.records = append(log.records, last)
	d.take([]Record{last}, &column.Batch{Len: 1})
	if err := d.save(); err != nil {
		t.Fatal(err)
	}
	if n := len(d.repeats.chunks); d.repeats.has(4) || !d.repeats.has(10_000) || n > 30_000/4/repeatChunkRanges+2 {
		t.Errorf("%d chunks of repeats are in memory", n)
	}
	known := &dedup{db: d.db, window: 1000}
	if err := known.load(t.Context(), log, log.id()); err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(known.repeats.chunks, d.repeats.chunks, func(a, b repeatChunk) bool { return a.seqRange == b.seqRange }) || known.repeats.count != 10_000 {
		t.Error("the file does not have what is in memory")
	}

	id := log.id()
	id.First = 30_000
	again := &dedup{db: d.db, window: 1000}
	if err := again.load(t.Context(), log, id); err != nil {
		t.Fatal(err)
	}
	tx, err := d.db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if n := tx.Bucket(bucketIDs).Inspect().KeyN; n > 1000/idChunk+2 {
		t.Errorf("the file has %d chunks of ids", n)
	}
	if n := tx.Bucket(bucketRepeats).Inspect().KeyN; n != len(again.repeats.chunks) || n > 10_000/repeatChunkRanges || again.repeats.count != 10_000 {
		t.Errorf("the file has %d chunks of repeats, %d of them are read, and the count is %d", n, len(again.repeats.chunks), again.repeats.count)
	}
	if !again.repeats.has(30_000) || !again.repeats.has(40_000) {
		t.Error("a repeat that the log has is forgotten")
	}
}

// TestDedupAllocatesNothing holds it for events with and without ids.
func TestDedupAllocatesNothing(t *testing.T) {
	setDedupMax(t, 1000)
	d := &dedup{window: int64(time.Hour)}
	recs := make([]Record, 1000)
	seq := uint64(0)
	b := &column.Batch{Len: len(recs)}
	next := func() {
		for i := range recs {
			seq++
			recs[i].Seq, recs[i].Time = seq, int64(seq)
		}
		d.take(recs, b)
	}
	for i := range recs {
		recs[i].ID = fmt.Sprintf("an id that is so long that it does not fit on a stack %d", i)
	}
	next()
	b.Sel = nil
	if n := testing.AllocsPerRun(10, func() { next(); b.Sel = nil }); n > 4 {
		t.Errorf("%v allocations for 1000 repeats", n)
	}
	d.window = 1
	if n := testing.AllocsPerRun(10, next); n > 0 {
		t.Errorf("%v allocations for 1000 events", n)
	}
}

// BenchmarkDedup judges events whose ids are all new, with as many remembered
// as there can be, and events that are all sent again.
func BenchmarkDedup(b *testing.B) {
	ids := make([]string, 2*dedupIDsMax)
	for i := range ids {
		ids[i] = fmt.Sprintf("0190a7c2-5b1e-7c3d-9f1a-%012x", i)
	}
	recs := make([]Record, 1000)
	batch := &column.Batch{Len: len(recs)}
	seq := uint64(0)
	next := func(d *dedup, id func(seq uint64) string) {
		for i := range recs {
			seq++
			recs[i] = Record{Seq: seq, Time: int64(seq), ID: id(seq)}
		}
		batch.Sel = nil
		d.take(recs, batch)
	}
	fresh := func(seq uint64) string { return ids[seq%uint64(len(ids))] }
	for name, id := range map[string]func(seq uint64) string{
		"new":    fresh,
		"none":   func(uint64) string { return "" },
		"repeat": func(uint64) string { return ids[0] },
	} {
		b.Run(name, func(b *testing.B) {
			d := &dedup{window: int64(time.Hour)}
			seq = 0
			if name == "new" {
				for int(seq) < dedupIDsMax {
					next(d, fresh)
				}
				b.ReportMetric(float64(len(d.ids.entries)*24+len(d.ids.index)*8)/float64(d.ids.len()), "B/id")
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N / len(recs) {
				next(d, id)
			}
		})
	}
}

// BenchmarkDedupOpen writes and reads a file with all ids that there can be.
func BenchmarkDedupOpen(b *testing.B) {
	log := sliceLog{records: []Record{{Seq: 1}}}
	path := filepath.Join(b.TempDir(), "s.db")
	d, err := openDedupFile(b, path, int64(time.Hour), log)
	if err != nil {
		b.Fatal(err)
	}
	for n := range dedupIDsMax {
		d.judge(&Record{Seq: uint64(n + 1), Time: int64(n), ID: fmt.Sprint(n)})
	}
	start := time.Now()
	if err := d.save(); err != nil {
		b.Fatal(err)
	}
	b.Logf("written in %v", time.Since(start))
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	id := LogState{Created: time.Unix(1, 0), First: d.Seen + 1, Last: d.Seen}
	for range b.N {
		if err := (&dedup{db: d.db, window: int64(time.Hour)}).load(b.Context(), log, id); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(info.Size())/float64(d.ids.len()), "B/id")
}
