package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/fault"
)

// An op is a statement that crashes meet. What it changes is seen by what it
// leaves: the view t, or the stream u.
type op struct {
	name   string
	setup  []string // statements before it
	faults string   // what is to fail besides
	run    string
	after  string        // what there is once it has taken effect; empty is what there was
	stream bool          // it is about u
	takes  time.Duration // how long after its answer it still works
}

// makeT creates t. It begins with CREATE or CREATE OR REPLACE.
func makeT(create, with string, more bool) string {
	query := ledgerQuery
	if more {
		query = strings.Replace(query, " FROM", ", MAX(n) AS most FROM", 1)
	}
	return create + " MATERIALIZED VIEW t WITH (" + with + ") AS " + query
}

const (
	lambdaT  = "mode = 'lambda', keep_previous = '0s'"
	kappaT   = "mode = 'kappa', keep_previous = '0s'"
	refreshT = "REFRESH MATERIALIZED VIEW t"
	makeU    = "CREATE STREAM u (a INT)"
	fillU    = "INSERT INTO u VALUES (1), (2), (3)"
	viewOfU  = "CREATE MATERIALIZED VIEW t AS SELECT a AS k, COUNT(*) AS events, SUM(a) AS total FROM u GROUP BY k"
)

var ops = []*op{
	{name: "load"},
	{name: "create lambda", run: makeT("CREATE", lambdaT, false), after: "lambda 3"},
	{name: "create kappa", run: makeT("CREATE", kappaT, false), after: "kappa 3"},
	{name: "create fails", run: makeT("CREATE", lambdaT, false), after: "lambda 3", faults: "build.step:t=1"},
	{name: "replace", setup: []string{makeT("CREATE", lambdaT, false)}, run: makeT("CREATE OR REPLACE", lambdaT, true), after: "lambda 4", takes: 2500 * time.Millisecond},
	{name: "replace keeps", setup: []string{makeT("CREATE", "keep_previous = '1s'", false)}, run: makeT("CREATE OR REPLACE", "keep_previous = '1s'", true), after: "lambda 4", takes: 3500 * time.Millisecond},
	{name: "replay", setup: []string{makeT("CREATE", kappaT, false)}, run: refreshT},
	{name: "replay fails", setup: []string{makeT("CREATE", kappaT, false)}, run: refreshT, faults: "build.step:t=1"},
	{name: "rollback", setup: []string{makeT("CREATE", "keep_previous = '1h'", false), makeT("CREATE OR REPLACE", "keep_previous = '1h'", true)}, run: "ALTER MATERIALIZED VIEW t ROLLBACK", after: "lambda 3"},
	{name: "refresh", setup: []string{makeT("CREATE", lambdaT, false)}, run: refreshT},
	{name: "refresh fails", setup: []string{makeT("CREATE", lambdaT, false)}, run: refreshT, faults: "batch.compute:t=1"},
	{name: "full", setup: []string{makeT("CREATE", lambdaT, false)}, run: refreshT + " FULL"},
	{name: "retire", setup: []string{makeT("CREATE", lambdaT+", speed_retention = '100ms'", false)}, run: refreshT, takes: time.Second},
	{name: "to kappa", setup: []string{makeT("CREATE", lambdaT, false), refreshT}, run: "ALTER MATERIALIZED VIEW t SET (mode = 'kappa')", after: "kappa 3"},
	{name: "to lambda", setup: []string{makeT("CREATE", kappaT, false)}, run: "ALTER MATERIALIZED VIEW t SET (mode = 'lambda')", after: "lambda 3"},
	{name: "drop", setup: []string{makeT("CREATE", lambdaT, false), refreshT}, run: "DROP MATERIALIZED VIEW t", after: "none"},
	{name: "create stream", run: makeU, after: "0 events", stream: true},
	{name: "drop stream", setup: []string{makeU, fillU}, run: "DROP STREAM u", after: "none", stream: true},
	{name: "drop stream of a previous version", setup: []string{makeU, fillU, viewOfU, makeT("CREATE OR REPLACE", "keep_previous = '1h'", false)}, run: "DROP STREAM u", after: "none", stream: true},
}

// reach says which ops come to the crash points whose names begin so, and at
// which of the first visits the process is to end.
var reach = []struct {
	points string
	ops    string
	visits int
}{
	{"commit.", "load", 12},
	{"dead.", "load", 3},
	{"dedup.", "load", 3},
	{"batch.failing", "refresh fails", 1},
	{"batch.failed", "refresh fails", 1},
	{"batch.", "refresh, full", 1},
	{"retired.", "retire", 1},
	{"replay.", "replay", 1},
	{"build.inherited", "replace, replay", 1},
	{"build.", "create lambda, create kappa, replace, replay", 1},
	{"forget.", "create fails, replay fails", 1},
	{"swap.attached", "create lambda, create kappa, replace, replay", 1},
	{"swap.", "create lambda, create kappa, replace, replay, rollback", 1},
	{"previous.", "replace keeps, drop stream of a previous version", 1},
	{"discard.", "replace, drop", 1},
	{"alter.", "to kappa, to lambda", 1},
	{"drop.", "drop", 1},
	{"create.", "create stream", 1},
	{"dropstream.", "drop stream, drop stream of a previous version", 1},
	{"recover.created", "create stream", 1},
	{"recover.settled", "load, refresh, replace", 6},
	{"recover.", "load", 1},
}

// opFor chooses an op that comes to a point, and a visit.
func opFor(t *testing.T, point string, choose *rand.Rand) (*op, int) {
	for _, r := range reach {
		if strings.HasPrefix(point, r.points) {
			names := strings.Split(r.ops, ", ")
			name := names[choose.IntN(len(names))]
			return ops[slices.IndexFunc(ops, func(o *op) bool { return o.name == name })], 1 + choose.IntN(r.visits)
		}
	}
	t.Fatalf("no op comes to the crash point %s", point)
	return nil, 0
}

// TestCrashPoints ends the server at every point where a crash could matter,
// and at random, while statements run under load. Each time every event counts
// as the ledger says, each statement has taken effect or has not, and nothing
// is left behind.
func TestCrashPoints(t *testing.T) {
	points := slices.DeleteFunc(slices.Clone(fault.CrashPoints), func(p string) bool {
		return strings.HasPrefix(p, "tables.") || strings.HasPrefix(p, "changes.") // TestCrashDuringTables and TestChanges come there
	})
	if *visits > 0 {
		points = slices.Repeat(points, *visits)
	}
	ctx, cancel := context.WithTimeout(t.Context(), crashLimit+time.Duration(len(points)+*kills)*startLimit/4)
	defer cancel()
	l := newLedger(ctx, t, 21)
	l.choose.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	if *visits == 0 {
		points = points[:pointsSome]
	}
	for i, point := range points {
		o, visit := opFor(t, point, l.choose)
		env := fmt.Sprintf("%s=crash:%d", point, visit)
		l.met(ctx, o, env)
		if i%20 == 19 {
			l.heal(ctx)
		}
	}
	atPoints := l.crashes
	for i := range *kills {
		l.met(ctx, ops[l.choose.IntN(len(ops))], "")
		if i%20 == 19 {
			l.heal(ctx)
		}
	}
	l.heal(ctx)
	for _, w := range l.watched {
		if a := l.c.rows(ctx, "AUDIT MATERIALIZED VIEW "+w.name); len(a) != 1 {
			t.Errorf("AUDIT of %s: %q", w.name, a)
		}
	}
	t.Logf("%d crashes at points, %d kills at random", atPoints, l.crashes-atPoints)
	l.report()
}

// pointsSome is how many points a short run visits.
const pointsSome = 8

// met lets a crash meet an op, and checks what comes of it.
func (l *ledger) met(ctx context.Context, o *op, env string) {
	l.t.Helper()
	what := o.name + " killed"
	if env != "" {
		what = o.name + " at " + env
	}
	for _, s := range o.setup {
		l.c.exec(ctx, s)
	}
	before, runs := l.there(ctx, o), l.fullRuns(ctx)
	arm := env
	if strings.HasPrefix(env, "recover.created") { // a start has something to do
		l.leave(ctx, "create.logged=crash:1", o.run)
	} else if env != "" && o.faults != "" {
		arm += "," + o.faults
	}
	answered, died := l.crash(ctx, arm, o.run, l.when(o))
	if died != (env != "") {
		l.t.Fatalf("%s: the server died by itself: %v", what, died)
	}
	l.settled(ctx)
	if n := l.fullRuns(ctx); n > runs+1 {
		l.t.Errorf("%s: weir.batch_runs has %d runs of kind full, and had %d before", what, n, runs)
	}
	now, want := l.there(ctx, o), o.after
	if want == "" {
		want = before
	}
	if now != want && (answered || now != before) {
		l.t.Fatalf("%s: there was %q, the statement makes it %q (answered: %v), and now there is %q", what, before, want, answered, now)
	}
	l.kept = o.name == "rollback" || now == "3 events"
	l.check(ctx, what)
	l.kept = false
	if !o.stream && now != "none" {
		l.right(ctx, what, now)
	}
	if o.name == "rollback" {
		l.c.exec(ctx, o.run) // there still is a version to go back to
		if other := l.there(ctx, o); other == now {
			l.t.Errorf("%s: ROLLBACK from %s came to %s", what, now, other)
		}
		l.right(ctx, what, "")
	}
	l.c.exec(ctx, "DROP MATERIALIZED VIEW IF EXISTS t")
	l.c.exec(ctx, "DROP STREAM IF EXISTS u")
	l.files(ctx, what+", dropped")
}

// leave runs a statement until the server dies at a point, and leaves it at that.
func (l *ledger) leave(ctx context.Context, env, statement string) {
	l.t.Helper()
	l.crashes++
	l.s.kill()
	if !l.s.launch(ctx, fault.Variable+"="+env) {
		l.t.Fatalf("%s came before the statement", env)
	}
	p, err := l.s.running(ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.c.db.ExecContext(ctx, statement); err == nil {
		l.t.Fatalf("%s was answered, and not the end at %s", statement, env)
	}
	<-p.logDone
	l.s.kill()
}

// when is how long after the begin of an op a kill comes.
func (l *ledger) when(o *op) time.Duration {
	return time.Duration(l.choose.Int64N(int64(crashSpread + o.takes)))
}

// settled waits until what a crash has cut short is done.
func (l *ledger) settled(ctx context.Context) {
	l.t.Helper()
	for l.c.value(ctx, "SELECT COUNT(*) FROM weir.jobs WHERE state = 'running'") != "0" ||
		l.c.value(ctx, "SELECT COUNT(*) FROM weir.views WHERE state = 'building'") != "0" {
		l.p.pace(ctx, time.Now().Add(5*time.Millisecond)) // the server works on it: there is nothing else to wait for
	}
	if rows := l.c.rows(ctx, "SELECT * FROM weir.batch_runs WHERE state NOT IN ('done', 'failed')"); len(rows) > 0 {
		l.t.Errorf("runs that the crash ended are not over: %q", rows)
	}
}

// fullRuns is how many of t there were.
func (l *ledger) fullRuns(ctx context.Context) uint64 {
	l.t.Helper()
	return number(l.t, l.c.value(ctx, "SELECT COUNT(*) FROM weir.batch_runs WHERE view = 't' AND kind = 'full'"))
}

// there is what an op is about, as a client sees it.
func (l *ledger) there(ctx context.Context, o *op) string {
	l.t.Helper()
	if o.stream {
		if len(l.c.rows(ctx, "SELECT 1 FROM weir.streams WHERE name = 'u'")) == 0 {
			return "none"
		}
		return l.c.value(ctx, "SELECT COUNT(*) FROM u") + " events"
	}
	mode := l.c.rows(ctx, "SELECT mode FROM weir.views WHERE name = 't'")
	if len(mode) == 0 {
		return "none"
	}
	return fmt.Sprint(mode[0][0], " ", len(l.c.rows(ctx, "SHOW COLUMNS FROM t")))
}

// right checks t, which is exactly once.
func (l *ledger) right(ctx context.Context, what, is string) {
	l.t.Helper()
	if got := l.groups(ctx, "t"); got != l.want {
		l.t.Fatalf("%s: t holds %v, want %v", what, got, l.want)
	}
	l.addUp(ctx, "t", what)
	if n := l.c.value(ctx, "SELECT COUNT(*) FROM t_batch"); strings.HasPrefix(is, "kappa") && n != "0" {
		l.t.Errorf("%s: t is a kappa view, and its batch layer has %s rows", what, n)
	}
}
