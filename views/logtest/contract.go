package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/views"
)

// deadline is how long a test waits for what must happen soon.
const deadline = 30 * time.Second

// Run tests a broker against the contract. Each test has a broker of its own
// from open, which cleans up with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) views.Broker) {
	for _, test := range []struct {
		name string
		run  func(*fixture)
	}{
		{"new log is empty", newLogIsEmpty},
		{"records are kept as published", recordsAreKept},
		{"sequences follow the order of publishing", orderIsKept},
		{"read takes a range", readTakesARange},
		{"follow waits and wakes", followWakes},
		{"follow ends with its context", followEndsWithContext},
		{"a done context reads nothing", doneContext},
		{"a reader may stop early", breakEnds},
		{"an ID is stored once", duplicates},
		{"several readers see the same", severalReaders},
		{"readers keep up with publishers", readWhilePublishing},
		{"a batch stays as it is while it is held", batchIsStable},
		{"retention drops the oldest", retention},
		{"readers pass what retention drops", retentionUnderReader},
		{"a time has a sequence", timesOfLog},
		{"a log is made once and changed after", createAgain},
		{"subjects belong to one log", subjects},
		{"a deleted log is gone", deleted},
		{"what does not exist is ErrNoLog", noLog},
		{"what is sent goes to the log of its subject", sentToLogs},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
			defer cancel()
			test.run(&fixture{T: t, ctx: ctx, broker: open(t)})
		})
	}
}

// A fixture is one test: its broker, and the steps that fail it.
type fixture struct {
	*testing.T
	ctx    context.Context
	broker views.Broker
}

func (f *fixture) create(cfg views.LogConfig) views.Log {
	f.Helper()
	if cfg.Subjects == nil {
		cfg.Subjects = []string{cfg.Name, cfg.Name + ".>"}
	}
	l, err := f.broker.CreateLog(f.ctx, cfg)
	f.ok(err)
	return l
}

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) publish(log string, msgs ...views.Message) uint64 {
	f.Helper()
	seq, err := f.broker.Publish(f.ctx, log, msgs)
	f.ok(err)
	return seq
}

// publishN publishes n messages whose payloads are from, from+1 and so on.
func (f *fixture) publishN(log string, from, n int) uint64 {
	f.Helper()
	return f.publish(log, numbered(from, n)...)
}

func numbered(from, n int) []views.Message {
	msgs := make([]views.Message, n)
	for i := range msgs {
		msgs[i].Payload = fmt.Append(nil, from+i)
	}
	return msgs
}

func (f *fixture) state(l views.Log) views.LogState {
	f.Helper()
	st, err := l.State(f.ctx)
	f.ok(err)
	return st
}

// read returns copies of the records in (after, until].
func (f *fixture) read(l views.Log, after, until uint64) []views.Record {
	f.Helper()
	var all []views.Record
	for batch, err := range l.Read(f.ctx, after, until) {
		f.ok(err)
		all = f.check(all, batch, after)
	}
	return all
}

// follow returns copies of the first n records after the sequence after.
func (f *fixture) follow(l views.Log, after uint64, n int) ([]views.Record, error) {
	var all []views.Record
	for batch, err := range l.Read(f.ctx, after, 0) {
		if err != nil {
			return all, err
		}
		if all = f.check(all, batch, after); len(all) >= n {
			return all, nil
		}
	}
	return all, errors.New("following ended without an error")
}

// check appends copies of batch to all, and holds it to the order.
func (f *fixture) check(all, batch []views.Record, after uint64) []views.Record {
	if len(batch) == 0 {
		f.Error("Read yielded an empty batch")
	}
	for _, r := range batch {
		if r.Seq <= after {
			f.Errorf("Read yielded sequence %d, which is not above %d", r.Seq, after)
		}
		after = r.Seq
		r.Payload = bytes.Clone(r.Payload)
		r.Subject, r.ID = strings.Clone(r.Subject), strings.Clone(r.ID)
		all = append(all, r)
	}
	if len(all) > len(batch) && all[len(all)-len(batch)].Seq <= all[len(all)-len(batch)-1].Seq {
		f.Errorf("Read yielded sequence %d after %d", all[len(all)-len(batch)].Seq, all[len(all)-len(batch)-1].Seq)
	}
	return all
}

// wantRange checks that records are exactly the sequences first to last, with
// the payloads that publishN gives them when it begins at 1.
func (f *fixture) wantRange(records []views.Record, first, last uint64) {
	f.Helper()
	want := 0
	if last >= first {
		want = int(last - first + 1)
	}
	if len(records) != want {
		f.Fatalf("read %d records, want the %d from %d to %d", len(records), want, first, last)
	}
	for i, r := range records {
		if seq := first + uint64(i); r.Seq != seq || string(r.Payload) != fmt.Sprint(seq) {
			f.Fatalf("record %d is sequence %d with payload %q, want sequence and payload %d", i, r.Seq, r.Payload, seq)
		}
	}
}

func newLogIsEmpty(f *fixture) {
	before := time.Now().Add(-time.Minute)
	l := f.create(views.LogConfig{Name: "a"})
	st := f.state(l)
	if st.First != 1 || st.Last != 0 || st.Messages != 0 || !st.FirstTime.IsZero() || !st.LastTime.IsZero() {
		f.Errorf("a new log's state is %+v", st)
	}
	if st.Created.Before(before) || st.Created.After(time.Now().Add(time.Minute)) {
		f.Errorf("created %v, and it is %v now", st.Created, time.Now())
	}
	if f.broker.Durability() == "" {
		f.Error("Durability says nothing")
	}
}

func recordsAreKept(f *fixture) {
	l := f.create(views.LogConfig{Name: "a"})
	big := make([]byte, 1<<20)
	for i := range big {
		big[i] = byte(rand.Uint32())
	}
	msgs := []views.Message{
		{Payload: []byte("plain")},
		{Subject: "a.b.c", Payload: []byte(`{"x": "한글"}`)},
		{ID: "id-1", Payload: []byte("with an ID")},
		{},
		{Subject: "a.empty", ID: "empty: ID, with punctuation"},
		{Payload: []byte("\r\nNATS/1.0\r\nNats-Msg-Id: no\r\n\r\n\x00\xff")},
		{ID: "big", Payload: big},
		{Subject: "a.b.c", ID: "한글", Payload: []byte("last")},
	}
	start := time.Now()
	if seq := f.publish("a", msgs...); seq != uint64(len(msgs)) {
		f.Fatalf("published up to sequence %d, want %d", seq, len(msgs))
	}
	end := time.Now()
	got := f.read(l, 0, uint64(len(msgs)))
	if len(got) != len(msgs) {
		f.Fatalf("read %d records, want %d", len(got), len(msgs))
	}
	for i, r := range got {
		want := msgs[i]
		if want.Subject == "" {
			want.Subject = "a"
		}
		if r.Subject != want.Subject || r.ID != want.ID || !bytes.Equal(r.Payload, want.Payload) {
			f.Errorf("record %d is %q %q with %d bytes, want %q %q with %d", r.Seq, r.Subject, r.ID, len(r.Payload), want.Subject, want.ID, len(want.Payload))
		}
		if at := time.Unix(0, r.Time); at.Before(start) || at.After(end) {
			f.Errorf("record %d was received at %v, published from %v to %v", r.Seq, at, start, end)
		}
	}
	st := f.state(l)
	if !st.FirstTime.Equal(time.Unix(0, got[0].Time)) || !st.LastTime.Equal(time.Unix(0, got[len(got)-1].Time)) {
		f.Errorf("state says %v to %v, the records %v to %v", st.FirstTime, st.LastTime, time.Unix(0, got[0].Time), time.Unix(0, got[len(got)-1].Time))
	}
	if st.First != 1 || st.Last != uint64(len(msgs)) || st.Messages != uint64(len(msgs)) || st.Bytes < 1<<20 {
		f.Errorf("state is %+v", st)
	}
}

func orderIsKept(f *fixture) {
	l := f.create(views.LogConfig{Name: "a"})
	var next uint64
	for _, n := range []int{1, 2, 10_000, 1} {
		next += uint64(n)
		if seq := f.publishN("a", int(next)-n+1, n); seq != next {
			f.Fatalf("published up to sequence %d, want %d", seq, next)
		}
		if st := f.state(l); st.Last != next {
			f.Fatalf("the state's last sequence is %d right after the acknowledgement of %d", st.Last, next)
		}
	}
	f.wantRange(f.read(l, 0, next), 1, next)
	if seq := f.publish("a"); seq != 0 {
		f.Errorf("publishing nothing returned sequence %d", seq)
	}
}

func readTakesARange(f *fixture) {
	l := f.create(views.LogConfig{Name: "a"})
	f.publishN("a", 1, 3000)
	for _, r := range [][2]uint64{{0, 1}, {0, 3000}, {1, 2}, {999, 2001}, {2999, 3000}, {3000, 3000}, {7, 7}, {9, 8}, {4000, 3000}} {
		f.wantRange(f.read(l, r[0], r[1]), r[0]+1, max(r[0], r[1]))
	}
}

// following runs follow beside the test.
func (f *fixture) following(l views.Log, after uint64, n int) (wait func() []views.Record) {
	type result struct {
		records []views.Record
		err     error
	}
	c := make(chan result, 1)
	go func() {
		records, err := f.follow(l, after, n)
		c <- result{records, err}
	}()
	return func() []views.Record {
		f.Helper()
		r := <-c
		if r.err != nil {
			f.Fatalf("following from %d, after %d of %d records: %v", after, len(r.records), n, r.err)
		}
		return r.records
	}
}

func followWakes(f *fixture) {
	l := f.create(views.LogConfig{Name: "a"})
	seen := make(chan uint64)
	go func() {
		defer close(seen)
		for batch, err := range l.Read(f.ctx, 0, 0) {
			if err != nil {
				f.Error(err)
				return
			}
			for _, r := range batch {
				seen <- r.Seq
			}
			if batch[len(batch)-1].Seq >= 30 {
				return
			}
		}
	}()
	var seq uint64
	for _, n := range []int{1, 1, 1, 20, 1, 6} { // the reader is at the end each time
		f.publishN("a", 1, n)
		for range n {
			seq++
			select {
			case got := <-seen:
				if got != seq {
					f.Fatalf("follow yielded sequence %d, want %d", got, seq)
				}
			case <-time.After(deadline):
				f.Fatalf("sequence %d was published %v ago and is not seen", seq, deadline)
			}
		}
	}
	if _, more := <-seen; more {
		f.Error("there is more than was published")
	}
	wait := f.following(l, 31, 1) // starts beyond the end
	f.publishN("a", 31, 2)
	f.wantRange(wait()[:1], 32, 32)
}

func followEndsWithContext(f *fixture) {
	l := f.create(views.LogConfig{Name: "a"})
	f.publishN("a", 1, 10)
	for _, after := range []uint64{0, 10} {
		ctx, cancel := context.WithCancel(f.ctx)
		ended := make(chan error)
		reading := make(chan struct{}, 100)
		go func() {
			var last error
			for _, err := range l.Read(ctx, after, 0) {
				last = err
				reading <- struct{}{}
			}
			ended <- last
		}()
		if after == 0 {
			<-reading
		}
		cancel()
		f.wantEnd(ended, context.Canceled)
	}
	ctx, cancel := context.WithDeadline(f.ctx, time.Now().Add(50*time.Millisecond))
	defer cancel()
	ended := make(chan error)
	go func() {
		var last error
		for _, err := range l.Read(ctx, 10, 0) {
			last = err
		}
		ended <- last
	}()
	f.wantEnd(ended, context.DeadlineExceeded)
}

func (f *fixture) wantEnd(ended <-chan error, want error) {
	f.Helper()
	select {
	case err := <-ended:
		if !errors.Is(err, want) {
			f.Errorf("reading ended with %v, want %v", err, want)
		}
	case <-time.After(deadline):
		f.Fatalf("reading goes on; it should have ended with %v", want)
	}
}

func doneContext(f *fixture) {
	l := f.create(views.LogConfig{Name: "a"})
	f.publishN("a", 1, 10)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	for _, until := range []uint64{0, 10} {
		n := 0
		for batch, err := range l.Read(ctx, 0, until) {
			if n++; n > 1 || batch != nil || !errors.Is(err, context.Canceled) {
				f.Errorf("a done context reads %d records and error %v", len(batch), err)
			}
		}
		if n == 0 {
			f.Error("a done context reads without an error")
		}
	}
	if _, err := l.State(ctx); !errors.Is(err, context.Canceled) {
		f.Errorf("State with a done context: %v", err)
	}
	if _, err := f.broker.Publish(ctx, "a", numbered(1, 1)); !errors.Is(err, context.Canceled) {
		f.Errorf("Publish with a done context: %v", err)
	}
}

func breakEnds(f *fixture) {
	l := f.create(views.LogConfig{Name: "a"})
	f.publishN("a", 1, 5000)
	for _, until := range []uint64{0, 5000} {
		var next uint64 = 1
		for next <= 5000 { // resumes after each batch, as after a crash
			for batch, err := range l.Read(f.ctx, next-1, until) {
				f.ok(err)
				if batch[0].Seq != next {
					f.Fatalf("resumed at %d, want %d", batch[0].Seq, next)
				}
				next = batch[len(batch)-1].Seq + 1
				break
			}
		}
	}
}

func duplicates(f *fixture) {
	l := f.create(views.LogConfig{Name: "a", DuplicateWindow: time.Minute})
	msg := func(id, payload string) views.Message { return views.Message{ID: id, Payload: []byte(payload)} }
	for i, step := range []struct {
		msgs []views.Message
		want uint64
	}{
		{[]views.Message{msg("x", "1"), msg("y", "2")}, 2},
		{[]views.Message{msg("x", "again")}, 1},
		{[]views.Message{msg("y", "again"), msg("x", "again")}, 2},
		{[]views.Message{msg("x", "again"), msg("z", "3"), msg("z", "again"), msg("y", "again")}, 3},
		{[]views.Message{msg("", "4"), msg("", "5")}, 5},
	} {
		if seq := f.publish("a", step.msgs...); seq != step.want {
			f.Errorf("step %d: sequence %d, want %d", i, seq, step.want)
		}
	}
	f.wantRange(f.read(l, 0, 5), 1, 5)
	if st := f.state(l); st.Last != 5 || st.Messages != 5 {
		f.Errorf("state is %+v, want 5 records", st)
	}
}

func severalReaders(f *fixture) {
	l := f.create(views.LogConfig{Name: "a"})
	f.publishN("a", 1, 5000)
	var g sync.WaitGroup
	for i := range 4 {
		g.Go(func() {
			after := uint64(i * 1000)
			records, err := f.follow(l, after, 5000-int(after))
			if err != nil {
				f.Error(err)
				return
			}
			f.wantOrder(records, after+1, 5000)
		})
	}
	g.Wait()
}

// wantOrder is wantRange for any goroutine and any payload.
func (f *fixture) wantOrder(records []views.Record, first, last uint64) {
	for i, r := range records {
		if r.Seq != first+uint64(i) {
			f.Errorf("record %d is sequence %d, want %d", i, r.Seq, first+uint64(i))
			return
		}
	}
	if n := len(records); n == 0 || records[n-1].Seq != last {
		f.Errorf("read %d records from %d, want all up to %d", n, first, last)
	}
}

func readWhilePublishing(f *fixture) {
	const publishers, rounds, each = 3, 20, 250
	l := f.create(views.LogConfig{Name: "a"})
	total := publishers * rounds * each
	waits := make([]func() []views.Record, 3)
	for i := range waits {
		waits[i] = f.following(l, 0, total)
	}
	var g sync.WaitGroup
	for p := range publishers {
		g.Go(func() {
			for round := range rounds {
				msgs := numbered(round*each, each)
				for i := range msgs {
					msgs[i].Subject = fmt.Sprintf("a.%d", p)
				}
				if _, err := f.broker.Publish(f.ctx, "a", msgs); err != nil {
					f.Error(err)
				}
			}
		})
	}
	g.Wait()
	for _, wait := range waits {
		records := wait()
		f.wantOrder(records, 1, uint64(total))
		next := map[string]int{} // each publisher's messages are in its order
		for _, r := range records {
			if string(r.Payload) != fmt.Sprint(next[r.Subject]) {
				f.Fatalf("sequence %d of %s is message %s, want %d", r.Seq, r.Subject, r.Payload, next[r.Subject])
			}
			next[r.Subject]++
		}
	}
}

func batchIsStable(f *fixture) {
	l := f.create(views.LogConfig{Name: "a"})
	f.publishN("a", 1, 500)
	var read uint64
	for batch, err := range l.Read(f.ctx, 0, 0) {
		f.ok(err)
		if read == 0 {
			f.publishN("a", 501, 4500) // arrives while the batch is held
		}
		for _, r := range batch {
			if read++; r.Seq != read || string(r.Payload) != fmt.Sprint(read) || r.Subject != "a" {
				f.Fatalf("record %d is now sequence %d of %q with payload %q", read, r.Seq, r.Subject, r.Payload)
			}
		}
		if read == 5000 {
			break
		}
	}
}

func retention(f *fixture) {
	l := f.create(views.LogConfig{Name: "a", MaxBytes: 256 << 10})
	f.publishN("a", 1, 100)
	payload := make([]byte, 1000)
	for range 4 {
		msgs := make([]views.Message, 250)
		for i := range msgs {
			msgs[i].Payload = payload
		}
		f.publish("a", msgs...)
	}
	st := f.state(l)
	if st.Last != 1100 || st.First < 700 || st.Messages != st.Last-st.First+1 || st.Bytes > 256<<10 {
		f.Fatalf("after retention the state is %+v", st)
	}
	f.wantOrder(f.read(l, 0, st.Last), st.First, st.Last)
	f.wantOrder(f.read(l, st.First, st.Last), st.First+1, st.Last)
	if got := f.read(l, 0, st.First-1); len(got) != 0 {
		f.Errorf("read %d records below the first", len(got))
	}
	if got := f.read(l, 10, 20); len(got) != 0 {
		f.Errorf("read %d records of a range that is gone", len(got))
	}
	f.wantOrder(f.read(l, 10, st.First), st.First, st.First)
}

func retentionUnderReader(f *fixture) {
	l := f.create(views.LogConfig{Name: "a", MaxBytes: 256 << 10})
	payload := make([]byte, 1000)
	msgs := make([]views.Message, 100)
	for i := range msgs {
		msgs[i].Payload = payload
	}
	f.publish("a", msgs...)
	var last uint64
	for batch, err := range l.Read(f.ctx, 0, 0) {
		f.ok(err)
		for _, r := range batch {
			if r.Seq <= last {
				f.Fatalf("sequence %d after %d", r.Seq, last)
			}
			last = r.Seq
		}
		if last >= 2000 {
			break
		}
		for range 5 {
			f.publish("a", msgs...)
		}
	}
}

func timesOfLog(f *fixture) {
	l := f.create(views.LogConfig{Name: "a", MaxBytes: 256 << 10})
	at := func(t int64, want uint64) {
		f.Helper()
		seq, err := l.SeqAt(f.ctx, t)
		f.ok(err)
		if seq != want {
			f.Errorf("the records from %d on are after sequence %d, want %d", t, seq, want)
		}
	}
	at(time.Now().UnixNano(), 0)
	at(1, 0)
	payload := make([]byte, 1000)
	for range 30 { // beyond what retention keeps
		msgs := make([]views.Message, 20)
		for i := range msgs {
			msgs[i].Payload = payload
		}
		f.publish("a", msgs...)
	}
	st := f.state(l)
	records := f.read(l, 0, st.Last)
	if len(records) < 100 || st.First == 1 {
		f.Fatalf("retention left %d records from %d on", len(records), st.First)
	}
	for i, r := range records {
		before := i // the first of this time
		for before > 0 && records[before-1].Time == r.Time {
			before--
		}
		at(r.Time, records[before].Seq-1)
		if i+1 == len(records) {
			at(r.Time+1, st.Last)
		} else if records[i+1].Time > r.Time {
			at(r.Time+1, r.Seq)
		}
	}
	at(1, st.First-1)
	at(time.Now().Add(24*time.Hour).UnixNano(), st.Last)
	f.ok(f.broker.DeleteLog(f.ctx, "a"))
	if _, err := l.SeqAt(f.ctx, 1); !errors.Is(err, views.ErrNoLog) {
		f.Errorf("a time in a log that is gone: %v", err)
	}
}

func createAgain(f *fixture) {
	f.create(views.LogConfig{Name: "a", Subjects: []string{"a"}})
	before := f.publishN("a", 1, 3)
	l := f.create(views.LogConfig{Name: "a", Subjects: []string{"b", "a"}, MaxAge: time.Hour, Metadata: map[string]string{"k": "v"}})
	f.create(views.LogConfig{Name: "a", Subjects: []string{"b", "a"}, MaxAge: time.Hour, Metadata: map[string]string{"k": "v"}})
	if seq := f.publishN("a", 4, 1); seq != before+1 {
		f.Errorf("published sequence %d, want %d", seq, before+1)
	}
	records := f.read(l, 0, 4)
	f.wantRange(records, 1, 4)
	if records[2].Subject != "a" || records[3].Subject != "b" {
		f.Errorf("subjects are %q and %q, want the first of each configuration, a and b", records[2].Subject, records[3].Subject)
	}
	opened, err := f.broker.OpenLog(f.ctx, "a")
	f.ok(err)
	if a, b := f.state(l), f.state(opened); !a.Created.Equal(b.Created) || a.Last != b.Last {
		f.Errorf("the same log is %+v and %+v", a, b)
	}
}

func subjects(f *fixture) {
	f.create(views.LogConfig{Name: "first", Subjects: []string{"x.*", "y"}})
	for _, taken := range []string{"x.>", "x.1", "*.1", "y", ">"} {
		_, err := f.broker.CreateLog(f.ctx, views.LogConfig{Name: "second", Subjects: []string{"z", taken}})
		// A subject that begins with a wildcard may be refused for itself.
		if err == nil || !strings.ContainsAny(taken[:1], "*>") && !strings.Contains(err.Error(), "log first") {
			f.Errorf("subject %s is taken by log first: %v", taken, err)
		}
	}
	f.create(views.LogConfig{Name: "second", Subjects: []string{"z", "x.1.2"}})
	for _, m := range []views.Message{{Subject: "x.1"}, {Subject: "q"}, {Subject: "z.*"}, {Subject: "z "}} {
		if _, err := f.broker.Publish(f.ctx, "second", []views.Message{{}, m}); err == nil {
			f.Errorf("log second took a message to %q", m.Subject)
		}
	}
	if _, err := f.broker.Publish(f.ctx, "first", []views.Message{{}}); err == nil {
		f.Error("a log whose first subject is a wildcard took a message without a subject")
	}
	if seq := f.publish("second", views.Message{Subject: "x.1.2"}); seq != 1 {
		f.Errorf("published sequence %d, want 1: refused messages store nothing", seq)
	}
	for _, cfg := range []views.LogConfig{{Name: "third"}, {Name: "", Subjects: []string{"t"}}, {Name: "a b", Subjects: []string{"t"}}, {Name: "a.b", Subjects: []string{"t"}}, {Name: "../a", Subjects: []string{"t"}}} {
		if _, err := f.broker.CreateLog(f.ctx, cfg); err == nil {
			f.Errorf("made a log of %+v", cfg)
		}
	}
}

func deleted(f *fixture) {
	l := f.create(views.LogConfig{Name: "a"})
	f.publishN("a", 1, 10)
	created := f.state(l).Created
	started := make(chan struct{}, 100)
	ended := make(chan error)
	go func() {
		var last error
		for _, err := range l.Read(f.ctx, 0, 0) {
			last = err
			started <- struct{}{}
		}
		ended <- last
	}()
	<-started
	f.ok(f.broker.DeleteLog(f.ctx, "a"))
	f.wantEnd(ended, views.ErrNoLog)
	l = f.create(views.LogConfig{Name: "a"})
	st := f.state(l)
	if st.Last != 0 || !st.Created.After(created) {
		f.Errorf("the new log of the same name has state %+v; the old was made %v", st, created)
	}
	if seq := f.publishN("a", 1, 1); seq != 1 {
		f.Errorf("the new log begins at sequence %d", seq)
	}
}

func noLog(f *fixture) {
	l := f.create(views.LogConfig{Name: "a"})
	f.ok(f.broker.DeleteLog(f.ctx, "a"))
	for what, do := range map[string]func() error{
		"open":    func() error { _, err := f.broker.OpenLog(f.ctx, "a"); return err },
		"delete":  func() error { return f.broker.DeleteLog(f.ctx, "a") },
		"publish": func() error { _, err := f.broker.Publish(f.ctx, "a", numbered(1, 1)); return err },
		"state":   func() error { _, err := l.State(f.ctx); return err },
		"read":    func() error { _, err := f.follow(l, 0, 1); return err },
		"range": func() error {
			for _, err := range l.Read(f.ctx, 0, 1) {
				return err
			}
			return nil
		},
	} {
		if err := do(); !errors.Is(err, views.ErrNoLog) {
			f.Errorf("%s: %v, want %v", what, err, views.ErrNoLog)
		}
	}
}

func sentToLogs(f *fixture) {
	send := func(msgs ...views.Message) {
		f.Helper()
		f.ok(f.broker.Send(f.ctx, msgs))
	}
	msg := func(subject, id, payload string) views.Message {
		return views.Message{Subject: subject, ID: id, Payload: []byte(payload), Header: map[string][]string{"K": {"v"}}}
	}
	heard := func(subject string, want bool) {
		f.Helper()
		if f.broker.Heard(subject) != want {
			f.Errorf("somebody hears %s: %v, want %v", subject, !want, want)
		}
	}
	heard("a.1", false)
	send(msg("a.1", "", "to nobody"))
	a := f.create(views.LogConfig{Name: "a", Subjects: []string{"a.*"}})
	b := f.create(views.LogConfig{Name: "b", Subjects: []string{"b"}})
	heard("a.1", true)
	heard("a.1.2", false)
	send(msg("a.1", "x", "1"), msg("b", "x", "1"), msg("a.2", "", "2"), msg("a.1.2", "", "to nobody"), msg("a.1", "x", "again"), msg("b", "", "2"), msg("a.1", "y", "3"))
	send(msg("a.1", "y", "again"), msg("a.3", "", "4"))
	for l, subjects := range map[views.Log][]string{a: {"a.1", "a.2", "a.1", "a.3"}, b: {"b", "b"}} {
		records := f.read(l, 0, f.state(l).Last)
		f.wantRange(records, 1, uint64(len(subjects)))
		for i, r := range records {
			if r.Subject != subjects[i] {
				f.Errorf("record %d has subject %s, want %s", i+1, r.Subject, subjects[i])
			}
		}
	}
	if id := f.read(a, 0, 1)[0].ID; id != "x" {
		f.Errorf("the first record has ID %q, want x", id)
	}
	for _, subject := range []string{"", "a.*", "a.>", "a b", "a..b"} {
		if err := f.broker.Send(f.ctx, []views.Message{msg("a.1", "", "5"), msg(subject, "", "6")}); err == nil {
			f.Errorf("a message to %q was sent", subject)
		}
	}
	if last := f.state(a).Last; last != 4 {
		f.Errorf("what was refused stored up to sequence %d, want 4", last)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	for _, subject := range []string{"a.1", "nobody"} {
		if err := f.broker.Send(ctx, []views.Message{msg(subject, "", "7")}); !errors.Is(err, context.Canceled) {
			f.Errorf("Send to %s with a done context: %v", subject, err)
		}
	}
	f.ok(f.broker.DeleteLog(f.ctx, "a"))
	heard("a.1", false)
	send(msg("a.1", "", "to nobody"))
	a = f.create(views.LogConfig{Name: "a", Subjects: []string{"a.*"}})
	send(msg("a.1", "", "1"))
	f.wantRange(f.read(a, 0, f.state(a).Last), 1, 1)
}
