package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The numbers of the errors that a client may meet here.
const (
	errUnknownTable = 1146
	errBuilding     = 1105
)

// A saboteur kills the server while it runs a statement.
type saboteur struct {
	t      *testing.T
	d      *dataset
	s      *server
	c      *client
	choose *rand.Rand
	broken int // statements that a kill broke off
}

// newSaboteur returns one on a server that has the events of a data set and,
// as yet, no views of them.
func newSaboteur(ctx context.Context, t *testing.T, d *dataset, n uint64) *saboteur {
	t.Helper()
	s := newServer(ctx, t)
	b := &saboteur{t: t, d: d, s: s, c: newClient(t, s), choose: random(t, n)}
	b.c.exec(ctx, d.create())
	if err := newPublisher(t, s, d.subject, 4096, ackLimit).publish(ctx, d.events(t)); err != nil {
		t.Fatal(err)
	}
	return b
}

// strike runs a statement, kills the server within spread of its begin, or at
// its end, and starts it again. It reports whether the statement was answered.
func (b *saboteur) strike(ctx context.Context, statement string, spread time.Duration) (answered bool) {
	b.t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := b.c.db.ExecContext(ctx, statement)
		ended <- err
	}()
	timer := time.NewTimer(time.Duration(b.choose.Int64N(int64(spread))))
	defer timer.Stop()
	var err error
	select {
	case err = <-ended:
		answered = err == nil
		if !b.s.kill() {
			b.t.Fatalf("no kill after %s", statement)
		}
	case <-timer.C:
		if !b.s.kill() {
			b.t.Fatalf("no kill during %s", statement)
		}
		err = <-ended
		if answered = err == nil; !answered {
			b.broken++
		}
	}
	if e := answer(err); e != nil {
		b.t.Fatalf("%v\n%s", e, statement)
	}
	b.s.start(ctx)
	return answered
}

// more reports whether there is a round i: as many as were asked for, and more
// while chance has let every statement end before its kill.
func (b *saboteur) more(i int) bool {
	return i < *crashes || b.broken == 0 && *crashes > 1 && i < 10**crashes
}

// how tells whether kills broke statements off.
func (b *saboteur) how() {
	b.t.Helper()
	b.t.Logf("%d kills, %d broke a statement off", b.s.starts-1, b.broken)
	if b.broken == 0 && *crashes > 1 {
		b.t.Error("no kill broke a statement off, so this tested nothing")
	}
}

// length is how long a statement takes.
func (b *saboteur) length(ctx context.Context, statement string) time.Duration {
	b.t.Helper()
	begun := time.Now()
	b.c.exec(ctx, statement)
	return time.Since(begun)
}

// live waits until a view answers and returns true, or false if it does not exist.
func (b *saboteur) live(ctx context.Context, view string) bool {
	b.t.Helper()
	for {
		_, err := b.c.query(ctx, "SELECT 1 FROM "+view+" LIMIT 1")
		e := answer(err)
		switch {
		case err == nil:
			return true
		case e != nil && e.Number == errUnknownTable:
			return false
		case e == nil || e.Number != errBuilding || !strings.Contains(e.Message, "still being built"):
			b.t.Fatalf("%s: %v", view, err)
		}
		// The server works on it: there is nothing else to wait for.
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			b.t.Fatalf("%s is still being built: %v", view, err)
		}
	}
}

// right makes the checks that are about one view.
func (b *saboteur) right(ctx context.Context, v *viewDef, ending string) {
	b.t.Helper()
	made := 0
	for i := range b.d.checks {
		names := inBraces.FindAllStringSubmatch(b.d.checks[i].query, -1)
		if slices.ContainsFunc(names, func(m []string) bool { return m[1] != v.name }) {
			continue
		}
		made++
		if !b.d.run(b.t, &b.d.checks[i], ending, func(q string) [][]string { return b.c.rows(ctx, q) }) {
			b.t.FailNow()
		}
	}
	if made == 0 {
		b.t.Fatalf("no check is about %s alone", v.name)
	}
}

// views are the files of views that the data directory holds.
func (b *saboteur) files(view string) (names []string) {
	for _, name := range b.s.files("views") {
		if strings.HasPrefix(name, "analytics."+view+".") {
			names = append(names, name)
		}
	}
	return names
}

// TestCrashDuringBuild kills the server while it builds a view over events that
// are there, and once the view is dropped.
func TestCrashDuringBuild(t *testing.T) {
	dataDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), crashLimit+time.Duration(*crashes)*startLimit/10)
	defer cancel()
	d := &wikipedia
	if raceEnabled {
		d = &apache // it takes about as long
	}
	b := newSaboteur(ctx, t, d, 10)
	var spread time.Duration
	for i := 0; b.more(i); i++ {
		v := &b.d.views[i%len(b.d.views)]
		ending, create := "", v.lambda("")
		if b.choose.IntN(2) == 0 {
			ending, create = kappa, v.kappa()
		}
		name := v.name + ending
		if spread == 0 {
			spread = b.length(ctx, create)
			b.c.exec(ctx, "DROP MATERIALIZED VIEW "+name)
		}
		if answered := b.strike(ctx, create, spread); !b.live(ctx, name) {
			if answered {
				t.Fatalf("%s is gone, after its CREATE was answered", name)
			}
			b.c.exec(ctx, create)
		}
		b.right(ctx, v, ending)
		if answered := b.strike(ctx, "DROP MATERIALIZED VIEW "+name, 5*time.Millisecond); b.live(ctx, name) {
			if answered {
				t.Fatalf("%s is back, after its DROP was answered", name)
			}
			b.right(ctx, v, ending)
			b.c.exec(ctx, "DROP MATERIALIZED VIEW "+name)
		} else if left := b.files(name); left != nil {
			t.Errorf("%s is dropped and left %v", name, left)
		}
		b.c.exec(ctx, create)
		b.right(ctx, v, ending)
		b.c.exec(ctx, "DROP MATERIALIZED VIEW "+name)
	}
	b.how()
}

// TestCrashDuringRecompute kills the server while it computes a view again
// beside the one that it serves: REFRESH FULL, a replay, OR REPLACE.
func TestCrashDuringRecompute(t *testing.T) {
	dataDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), crashLimit+time.Duration(*crashes)*startLimit/10)
	defer cancel()
	b := newSaboteur(ctx, t, &wikipedia, 11)
	v := &b.d.views[1] // per_channel
	b.c.exec(ctx, v.kappa())
	spread := b.length(ctx, v.lambda(""))
	other := *v
	other.query = strings.Replace(v.query, " FROM ", ", MAX(added) AS most FROM ", 1)
	kinds := []string{"FULL", "replay", "OR REPLACE"}
	columns := 6 // of per_channel, or one more
	for i := 0; b.more(i); i++ {
		switch kinds[i%len(kinds)] {
		case "FULL":
			b.strike(ctx, "REFRESH MATERIALIZED VIEW "+v.name+" FULL", spread)
		case "replay":
			b.strike(ctx, "REFRESH MATERIALIZED VIEW "+v.name+kappa, spread)
		case "OR REPLACE":
			next, with := &other, 7
			if columns == 7 {
				next, with = v, 6
			}
			answered := b.strike(ctx, strings.Replace(next.lambda(""), "CREATE", "CREATE OR REPLACE", 1), spread)
			got := len(b.c.rows(ctx, "SELECT * FROM "+v.name+" LIMIT 1")[0])
			if got != columns && got != with || answered && got != with {
				t.Fatalf("OR REPLACE of %d columns by %d: now there are %d (answered: %v)", columns, with, got, answered)
			}
		}
		// It answers at once: what was there is served on.
		for _, ending := range []string{"", kappa} {
			got := b.c.rows(ctx, "SELECT channel, edits, added, deleted, delta, users FROM "+v.name+ending+" ORDER BY channel")
			compare(t, v.name+ending, answers(t, b.d.name, "q03_channel"), got, nil)
		}
		// What the kill has cut short goes on.
		b.until(ctx, "a job still runs", func() bool {
			return b.c.value(ctx, "SELECT COUNT(*) FROM weir.jobs WHERE state = 'running'") == "0"
		})
		columns = len(b.c.rows(ctx, "SELECT * FROM "+v.name+" LIMIT 1")[0])
		if running := b.c.rows(ctx, "SELECT * FROM weir.batch_runs WHERE state NOT IN ('done', 'failed')"); len(running) != 0 {
			t.Errorf("runs that the kill ended are not over: %q", running)
		}
	}
	for _, ending := range []string{"", kappa} {
		var left []string
		b.until(ctx, "the file of a version that was replaced is kept", func() bool { // until nobody can read it
			left = b.files(v.name + ending)
			return len(left) <= 2
		})
		if len(left) < 1 || len(left) > 2 {
			t.Errorf("the files of %s are %v, want one, and perhaps that of the version before", v.name+ending, left)
		}
	}
	b.how()
}

// until asks again and again whether the server has come to a state, and fails
// the test with what holds until then if it does not.
func (b *saboteur) until(ctx context.Context, holds string, done func() bool) {
	b.t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			b.t.Fatalf("%s: %v", holds, context.Cause(ctx))
		case <-again.C:
		}
	}
}

// TestCrashAroundStreams kills the server while it makes and drops a stream.
// Events of a dropped stream never come back.
func TestCrashAroundStreams(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), crashLimit+time.Duration(*crashes)*startLimit/10)
	defer cancel()
	s := newServer(ctx, t)
	b := &saboteur{t: t, s: s, c: newClient(t, s), choose: random(t, 12)}
	create := "CREATE STREAM IF NOT EXISTS s (a INT NOT NULL) WITH (duplicate_window = '5m')"
	const spread = 15 * time.Millisecond
	for i := 0; b.more(i); i++ {
		answered := b.strike(ctx, create, spread)
		exists := len(b.c.rows(ctx, "SHOW STREAMS")) == 1
		if answered && !exists {
			t.Fatal("the stream is gone, after its CREATE was answered")
		}
		b.c.exec(ctx, create)
		count := func(want string) {
			t.Helper()
			b.c.exec(ctx, "CREATE MATERIALIZED VIEW v AS SELECT COUNT(*) AS n FROM s")
			got := b.c.value(ctx, "SELECT n FROM v") + " " + b.c.value(ctx, "SELECT COUNT(*) FROM weir.dead_letters")
			if got != want {
				t.Fatalf("round %d: events and dead letters of the stream: got %s, want %s", i+1, got, want)
			}
			b.c.exec(ctx, "DROP MATERIALIZED VIEW v")
		}
		count("0 0")
		id := fmt.Sprint("round", i)
		events := []event{{id + "a", []byte(`{"a":1}`)}, {id + "b", []byte(`{"b":1}`)}, {id + "c", []byte(`{"a":2}`)}}
		p := newPublisher(t, s, "s", 16, ackLimit)
		if err := p.publish(ctx, events); err != nil {
			t.Fatal(err)
		}
		p.conn.Close()
		b.c.wait(ctx, "s", 3)
		count("2 1")
		answered = b.strike(ctx, "DROP STREAM s", spread)
		exists = len(b.c.rows(ctx, "SHOW STREAMS")) == 1
		if answered && exists {
			t.Fatal("the stream is back, after its DROP was answered")
		}
		if exists {
			count("2 1")
			b.c.exec(ctx, "DROP STREAM s")
		}
		b.c.exec(ctx, create)
		count("0 0")
		b.c.exec(ctx, "DROP STREAM s")
	}
	b.how()
}
