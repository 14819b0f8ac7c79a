package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// crashLimit bounds one crash test, beside what each of its crashes may take.
	crashLimit = 2 * time.Minute
	// crashEach is about how far apart crashes are. Views commit ten times a
	// second and run their batches five times, so each life sees some of both.
	crashEach = 400 * time.Millisecond
	// crashSpread is how long after its event a kill may come.
	crashSpread = 150 * time.Millisecond
	// refreshSpread is the longest pause between two REFRESHes.
	refreshSpread = 100 * time.Millisecond
	// toldView is the first view whose batch layer runs when it is told only.
	toldView = 2
)

// TestCrashRealData kills the server at random moments while a data set is
// published, batches run by interval and by amount, views are refreshed and
// read. In the end every answer is that of the reference.
func TestCrashRealData(t *testing.T) {
	dataDir(t)
	for i, d := range []*dataset{&apache, &taxi, &wikipedia} {
		t.Run(d.name, func(t *testing.T) {
			if raceEnabled && d.large {
				t.Skip("too many events for the race detector")
			}
			if testing.Short() && d != &apache {
				t.Skip("-short: one data set")
			}
			ctx, cancel := context.WithTimeout(t.Context(), crashLimit+time.Duration(*crashes)*startLimit/10)
			defer cancel()
			crashRealData(ctx, t, d, uint64(i))
		})
	}
}

// A storm is a server that is published to, refreshed, read and killed at once.
type storm struct {
	t      *testing.T
	d      *dataset
	s      *server
	c      *client
	p      *publisher
	events []event

	acks, answers chan struct{} // told of acknowledgements, and of answers to a REFRESH

	refreshes atomic.Uint64 // that were answered
	reads     atomic.Uint64
}

func crashRealData(ctx context.Context, t *testing.T, d *dataset, n uint64) {
	s := newServer(ctx, t)
	st := &storm{t: t, d: d, s: s, c: newClient(t, s), events: d.events(t), acks: make(chan struct{}, 1), answers: make(chan struct{}, 1)}
	choose := random(t, n)
	st.c.exec(ctx, d.create())
	// Some run by interval, some by amount, and some when they are told.
	oftens := [...]string{", batch_interval = '200ms'", fmt.Sprintf(", batch_events = %d", len(st.events)/20), toldView: ""}
	for i, v := range d.views {
		st.c.exec(ctx, v.lambda(oftens[i%len(oftens)]))
		st.c.exec(ctx, v.kappa())
	}
	st.p = newPublisher(t, s, d.subject, 64<<choose.IntN(4), ackLimitCrash)
	st.p.pause = time.Duration(*crashes) * crashEach / time.Duration(len(st.events))
	st.p.onAck = func(uint64) { tell(st.acks) }
	st.run(ctx, choose)
	st.settled(ctx)
}

// run publishes everything, and kills, refreshes and reads meanwhile.
func (st *storm) run(ctx context.Context, choose *rand.Rand) {
	busy, done := context.WithCancel(ctx)
	published := make(chan error, 1)
	var others sync.WaitGroup
	most := len(st.events) * 9 / 10
	go func() { published <- st.p.publish(ctx, st.events[:most]) }()
	refresh := rand.New(rand.NewPCG(choose.Uint64(), 0))
	others.Go(func() { st.refresh(busy, refresh) })
	others.Go(func() { st.read(busy) })
	st.crash(ctx, choose, uint64(most))
	err := <-published
	if err == nil {
		err = st.p.publish(ctx, st.events[most:])
	}
	done()
	others.Wait()
	if err != nil {
		st.t.Fatal(err)
	}
}

// crash kills the server at random places of the first events.
func (st *storm) crash(ctx context.Context, choose *rand.Rand, first uint64) {
	at := make([]uint64, *crashes)
	for i := range at {
		at[i] = choose.Uint64N(first)
	}
	slices.Sort(at)
	for i, place := range at {
		// By the fourth kill a REFRESH of every kind was answered.
		for (st.p.acked.Load() < place || st.refreshes.Load() <= uint64(i)) && ctx.Err() == nil {
			st.progress(ctx)
		}
		st.p.pace(ctx, time.Now().Add(time.Duration(choose.Int64N(int64(crashSpread)))))
		if !st.s.kill() {
			st.t.Fatalf("kill %d did not happen", i+1)
		}
		acked, seq := st.p.acked.Load(), st.p.lastSeq.Load()
		st.s.start(ctx)
		st.survived(ctx, acked, seq)
	}
}

// progress waits for an acknowledgement or the answer of a REFRESH.
func (st *storm) progress(ctx context.Context) {
	select {
	case <-st.acks:
	case <-st.answers:
	case <-ctx.Done():
	}
}

// tell wakes who waits for c, which holds one.
func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// survived checks that no acknowledged event is lost by a kill.
func (st *storm) survived(ctx context.Context, acked, seq uint64) {
	st.t.Helper()
	st.c.wait(ctx, st.d.stream, seq)
	for _, v := range st.d.views {
		if v.count == "" || v.filtered() {
			continue
		}
		for _, name := range []string{v.name, v.name + kappa} {
			n := number(st.t, st.c.value(ctx, fmt.Sprintf("SELECT COALESCE(SUM(%s), 0) FROM %s", v.count, name)))
			if n+uint64(len(st.d.dead)) < acked || n > uint64(len(st.events)) {
				st.t.Fatalf("after a kill %s counts %d events, want %d to %d", name, n, acked, len(st.events))
			}
		}
	}
}

// refresh runs the batch layer of one view after the other: a run, FULL and
// replays in turn, each until it is answered. A REFRESH may break off with the
// server, but must not fail. The first is of a view that runs when it is told
// only, once there is an event, so that it has something to do.
func (st *storm) refresh(ctx context.Context, choose *rand.Rand) {
	for st.p.acked.Load() == 0 && ctx.Err() == nil {
		st.p.pace(ctx, time.Now().Add(5*time.Millisecond))
	}
	for n := uint64(0); ctx.Err() == nil; n = st.refreshes.Load() {
		name := st.d.views[choose.IntN(len(st.d.views))].name
		if n == 0 {
			name = st.d.views[toldView].name
		}
		name += []string{"", kappa}[n/2%2]
		_, err := st.c.db.ExecContext(ctx, "REFRESH MATERIALIZED VIEW "+name+[]string{"", " FULL"}[n%2])
		if e := answer(err); e != nil {
			st.t.Errorf("REFRESH of %s: %v", name, e)
			return
		}
		if err == nil {
			st.refreshes.Add(1)
			tell(st.answers)
		}
		st.p.pace(ctx, time.Now().Add(time.Duration(choose.Int64N(int64(refreshSpread)))))
	}
}

// whatServes is the condition on a layer that leaves out what batch has covered.
func whatServes(layer string) string {
	if strings.HasSuffix(layer, "_speed") {
		return " WHERE __serving = 1"
	}
	return ""
}

// read checks, all the time, that the layers of a view add up to it and that
// both modes are at the same event, within one SELECT; and that no answer goes
// back behind an earlier one, whatever was killed between the two.
func (st *storm) read(ctx context.Context) {
	v := &st.d.views[slices.IndexFunc(st.d.views, func(v viewDef) bool { return v.count != "" && !v.filtered() })]
	sum := func(layer string) string {
		return fmt.Sprintf("(SELECT COALESCE(SUM(%s), 0) FROM %s%s%s)", v.count, v.name, layer, whatServes(layer))
	}
	query := fmt.Sprintf("SELECT %s, %s + %s, %s", sum(""), sum("_batch"), sum("_speed"), sum(kappa))
	before := uint64(0)
	for ctx.Err() == nil {
		rows, err := st.c.query(ctx, query)
		switch e := answer(err); {
		case e != nil:
			st.t.Errorf("%v\n%s", e, query)
			return
		case err != nil:
			st.p.pace(ctx, time.Now().Add(5*time.Millisecond))
			continue
		}
		st.reads.Add(1)
		r := rows[0]
		if r[0] != r[1] || r[0] != r[2] {
			st.t.Errorf("%s counts %s events, its layers %s, the kappa view %s, in one SELECT", v.name, r[0], r[1], r[2])
			return
		}
		now := number(st.t, r[0])
		if now < before {
			st.t.Errorf("%s counts %d events, after it had counted %d", v.name, now, before)
			return
		}
		before = now
	}
}

// settled checks the state after everything was published.
func (st *storm) settled(ctx context.Context) {
	t, c, d := st.t, st.c, st.d
	t.Helper()
	last := uint64(len(st.events))
	t.Logf("%d events, %d kills, %d events sent again, %d REFRESHes, %d reads", last, st.s.starts-1, st.p.retries.Load(), st.refreshes.Load(), st.reads.Load())
	if acked := st.p.acked.Load(); acked != last || st.s.starts != *crashes+1 || st.p.retries.Load() == 0 ||
		st.refreshes.Load() == 0 || st.reads.Load() == 0 {
		t.Error("this tested too little")
	}
	c.wait(ctx, d.stream, st.p.lastSeq.Load())
	log := c.rows(ctx, "SELECT messages, last_seq FROM weir.streams WHERE name = ?", d.stream)[0]
	if want := fmt.Sprint(last); log[0] != want || log[1] != want {
		t.Fatalf("the log has %s events, the last at sequence %s, want each of %d once", log[0], log[1], last)
	}
	all(ctx, t, c, d)
	for _, v := range d.views {
		addUp(ctx, t, c, d, &v, last)
	}
	deadLetters(ctx, t, c, d, st.events)
	for _, kind := range []string{"interval", "events", "refresh", "full"} {
		done := c.value(ctx, "SELECT COUNT(*) FROM weir.batch_runs WHERE kind = ? AND state = 'done'", kind)
		if done == "0" && *crashes > 1 {
			t.Errorf("no batch run of kind %s was done, so its commit was never near a kill", kind)
		}
	}
}
