package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/fault"
)

const (
	ledgerKeys = 20 // groups
	deadEvery  = 25 // one event in so many is no event of the stream
	// ledgerChunk is how many events are published at once, and ledgerPause how
	// far they are apart: a few hundred a commit, over all views.
	ledgerChunk = 20
	ledgerPause = time.Millisecond
	// crashWait is how long a process may take to reach the point at which it
	// is to crash.
	crashWait = 30 * time.Second
	// leftLimit is how long files of what is gone may stay: readers of a version
	// that was replaced have 2 s.
	leftLimit = time.Minute
)

// An entry is what a group holds.
type entry struct{ events, total int64 }

// A ledger keeps account of every event that was acknowledged, on a server that
// dies again and again, and compares the views with it.
type ledger struct {
	t      *testing.T
	s      *server
	c      *client
	p      *publisher
	choose *rand.Rand

	want    [ledgerKeys]entry
	events  uint64 // acknowledged
	dead    uint64 // of them, dead letters
	kept    bool   // t has a previous version
	crashes int
	watched []*watched
}

// A watched view has one delivery in one mode.
type watched struct {
	name, mode, delivery string
	events, total        [ledgerKeys]int64 // what it had beyond the ledger at the last look
	lost, doubled        int64
	crashes              int // that showed
}

// newLedger starts a server with a stream and a view of it for each delivery
// and mode.
func newLedger(ctx context.Context, t *testing.T, n uint64) *ledger {
	t.Helper()
	s := newServer(ctx, t)
	l := &ledger{t: t, s: s, c: newClient(t, s), choose: random(t, n)}
	l.c.exec(ctx, "CREATE STREAM s (k INT NOT NULL, n INT) WITH (duplicate_window = '10m', dedup_window = '1h')")
	for _, mode := range []string{"kappa", "lambda"} {
		for _, delivery := range []string{"exactly_once", "at_least_once", "at_most_once"} {
			w := &watched{name: delivery + "_" + mode, mode: mode, delivery: delivery}
			l.watched = append(l.watched, w)
			l.c.exec(ctx, fmt.Sprintf("CREATE MATERIALIZED VIEW %s WITH (mode = '%s', delivery = '%s', keep_previous = '0s') AS %s",
				w.name, mode, delivery, ledgerQuery)) // with a batch run each hour, which is never
			if got := l.c.value(ctx, "SELECT delivery FROM weir.views WHERE name = ?", w.name); got != delivery {
				t.Errorf("weir.views says that the delivery of %s is %s", w.name, got)
			}
		}
	}
	l.p = newPublisher(t, s, "s", 64, 300*time.Millisecond)
	l.p.pause = ledgerPause
	return l
}

const ledgerQuery = "SELECT k, COUNT(*) AS events, SUM(n) AS total FROM s GROUP BY k"

// load publishes a few events, and more until stop is closed. What it has begun
// it finishes, whatever dies meanwhile.
func (l *ledger) load(ctx context.Context, stop <-chan struct{}) error {
	for {
		var events []event
		for range ledgerChunk {
			i := l.events
			l.events++
			e := event{fmt.Sprint("e", i), fmt.Appendf(nil, `{"n":%d}`, i)}
			if i%deadEvery == deadEvery-1 {
				l.dead++
			} else {
				k := i % ledgerKeys
				e.payload = fmt.Appendf(nil, `{"k":%d,"n":%d}`, k, i)
				l.want[k].events++
				l.want[k].total += int64(i)
			}
			events = append(events, e)
		}
		if err := l.p.publish(ctx, events); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		default:
		}
	}
}

// crash runs a statement under load until the server dies: at the point that
// env has armed, or, where env is empty, killed after a while. It starts the
// server again. answered says that the statement succeeded, died that the
// server ended by itself.
func (l *ledger) crash(ctx context.Context, env, statement string, after time.Duration) (answered, died bool) {
	l.t.Helper()
	l.crashes++
	if env != "" {
		l.s.kill()
		if !l.s.launch(ctx, fault.Variable+"="+env) {
			l.s.start(ctx)
			return false, true
		}
		after = crashWait
	}
	p, err := l.s.running(ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	stop, published, ended := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	loaded := make(chan struct{}) // closed when an event is acknowledged
	l.p.onAck = func(uint64) { l.p.onAck = nil; close(loaded) }
	go func() { published <- l.load(ctx, stop) }()
	go func() {
		var err error
		if statement != "" {
			<-loaded // so that a batch run has something to do
			_, err = l.c.db.ExecContext(ctx, statement)
		}
		ended <- err
	}()
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-p.logDone:
		died = true
	case <-timer.C:
	}
	close(stop)
	if !l.s.kill() {
		l.t.Fatal("the server was not killed")
	}
	l.again(ctx, env)
	l.s.start(ctx)
	if err := <-published; err != nil {
		l.t.Fatal(err)
	}
	err = <-ended
	if e := answer(err); e != nil && !strings.Contains(e.Message, fault.Variable) {
		l.t.Errorf("%s: %v", statement, e)
	}
	return err == nil, died
}

// again lets every third crash be followed by one on the way back: at the same
// point, if what goes on from there comes to it, or a moment later.
func (l *ledger) again(ctx context.Context, env string) {
	l.t.Helper()
	if l.choose.IntN(3) > 0 {
		return
	}
	l.crashes++
	if !l.s.launch(ctx, fault.Variable+"="+env) {
		return
	}
	p, err := l.s.running(ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	timer := time.NewTimer(time.Duration(l.choose.Int64N(int64(crashSpread))))
	defer timer.Stop()
	select {
	case <-p.logDone:
	case <-timer.C:
	}
	l.s.kill()
}

// check compares everything with the ledger, once what goes on is over.
func (l *ledger) check(ctx context.Context, what string) {
	l.t.Helper()
	l.c.wait(ctx, "s", l.p.lastSeq.Load())
	if got := l.c.value(ctx, "SELECT last_seq FROM weir.streams WHERE name = 's'"); got != fmt.Sprint(l.events) {
		l.t.Fatalf("%s: the log ends at %s, want %d: each event once", what, got, l.events)
	}
	if got := l.c.value(ctx, "SELECT dead_letters FROM weir.streams WHERE name = 's'"); got != fmt.Sprint(l.dead) {
		l.t.Errorf("%s: %s dead letters, want %d", what, got, l.dead)
	}
	if rows := l.c.rows(ctx, "SELECT name, state, error FROM weir.views WHERE state = 'failed' OR error IS NOT NULL"); len(rows) > 0 {
		l.t.Fatalf("%s: %v", what, rows)
	}
	for _, w := range l.watched {
		l.look(ctx, w, what)
	}
	l.files(ctx, what)
}

// look compares a watched view with the ledger, as its delivery has it.
func (l *ledger) look(ctx context.Context, w *watched, what string) {
	l.t.Helper()
	l.addUp(ctx, w.name, what)
	lost, doubled := w.lost, w.doubled
	for k, got := range l.groups(ctx, w.name) {
		events, total := got.events-l.want[k].events, got.total-l.want[k].total
		more := events - w.events[k]
		w.events[k], w.total[k] = events, total
		w.doubled += max(more, 0)
		w.lost += max(-more, 0)
	}
	switch {
	case w.delivery != "at_least_once" && w.doubled > doubled, w.delivery != "at_most_once" && w.lost > lost,
		w.delivery == "exactly_once" && w.total != [ledgerKeys]int64{}:
		l.t.Fatalf("%s: %s has lost %d events and doubled %d, sums are off by %v", what, w.name, w.lost-lost, w.doubled-doubled, w.total)
	case w.lost > lost || w.doubled > doubled:
		w.crashes++
	}
}

// groups are the rows of a view by key.
func (l *ledger) groups(ctx context.Context, view string) (groups [ledgerKeys]entry) {
	l.t.Helper()
	for _, r := range l.c.rows(ctx, "SELECT k, events, total FROM "+view) {
		var k int
		var e entry
		if _, err := fmt.Sscan(strings.Join(r, " "), &k, &e.events, &e.total); err != nil {
			l.t.Fatalf("%s: row %q: %v", view, r, err)
		}
		groups[k] = e
	}
	return groups
}

// addUp checks within one statement that a view is the sum of its layers.
func (l *ledger) addUp(ctx context.Context, view, what string) {
	l.t.Helper()
	r := l.c.rows(ctx, fmt.Sprintf(`SELECT (SELECT COALESCE(SUM(events), 0) FROM %s),
		(SELECT COALESCE(SUM(events), 0) FROM %[1]s_batch) + (SELECT COALESCE(SUM(events), 0) FROM %[1]s_speed WHERE __serving = 1)`, view))[0]
	if r[0] != r[1] {
		l.t.Errorf("%s: %s counts %s events, its layers %s", what, view, r[0], r[1])
	}
}

// heal recomputes the views that need not equal the ledger: then they do.
func (l *ledger) heal(ctx context.Context) {
	l.t.Helper()
	for _, w := range l.watched {
		l.c.exec(ctx, "REFRESH MATERIALIZED VIEW "+w.name)
		w.events, w.total = [ledgerKeys]int64{}, [ledgerKeys]int64{}
		if got := l.groups(ctx, w.name); got != l.want {
			l.t.Fatalf("%s after REFRESH: %v, want %v", w.name, got, l.want)
		}
	}
}

// files waits until the data directory holds the files of what there is, and
// no others.
func (l *ledger) files(ctx context.Context, what string) {
	l.t.Helper()
	var want, got []string
	for deadline := time.Now().Add(leftLimit); time.Now().Before(deadline); l.p.pace(ctx, time.Now().Add(20*time.Millisecond)) {
		want, got = nil, nil
		for _, r := range l.c.rows(ctx, "SELECT name, version FROM weir.views") {
			want = append(want, "views/analytics."+r[0]+"."+r[1]+".db")
		}
		for _, r := range l.c.rows(ctx, "SELECT name FROM weir.streams") {
			want = append(want, "streams/"+r[0]+".db", "log/"+r[0])
		}
		for _, at := range [][2]string{{"views/*", "views/"}, {"streams/*", "streams/"}, {"log/*/*/streams/*", "log/"}} {
			paths, _ := filepath.Glob(filepath.Join(l.s.dir, at[0]))
			for _, p := range paths {
				if name := at[1] + filepath.Base(p); name != "log/KV_weir-publish" { // weir's own
					got = append(got, name)
				}
			}
		}
		if l.kept { // one version of t more
			if i := slices.IndexFunc(got, func(name string) bool {
				return strings.HasPrefix(name, "views/analytics.t.") && !slices.Contains(want, name)
			}); i >= 0 {
				want = append(want, got[i])
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if slices.Equal(want, got) {
			return
		}
	}
	l.t.Errorf("%s: the data directory has\n%v, want\n%v", what, got, want)
}

// report says what each delivery has come to.
func (l *ledger) report() {
	l.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%d crashes, %d events, %d sent again\n", l.crashes, l.events, l.p.retries.Load())
	fmt.Fprintf(&b, "%-22s %10s %10s %10s\n", "view", "lost", "doubled", "crashes that showed")
	for _, w := range l.watched {
		fmt.Fprintf(&b, "%-22s %10d %10d %10d\n", w.name, w.lost, w.doubled, w.crashes)
	}
	l.t.Log(b.String())
}

// TestCrashDeliveries kills the server again and again, between the two
// transactions of a commit and at random. What a view counts then is what its
// delivery promises, and a batch run or a replay makes it right.
func TestCrashDeliveries(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), crashLimit+time.Duration(*kills)*startLimit/4)
	defer cancel()
	l := newLedger(ctx, t, 20)
	for i := range 2 * *kills {
		between := i%2 == 0
		env, what := "", "killed"
		if between {
			env = fmt.Sprintf("commit.between=crash:%d", 1+l.choose.IntN(12))
			what = env
		}
		showed := l.showed()
		if _, died := l.crash(ctx, env, "", time.Duration(l.choose.Int64N(int64(crashEach)))); died != between {
			t.Fatalf("%s: the server died by itself: %v", what, died)
		}
		l.check(ctx, what)
		if now := l.showed(); between && now == showed {
			t.Errorf("%s: no view shows it", what)
		}
		if i%8 == 7 {
			l.heal(ctx)
		}
	}
	l.heal(ctx)
	l.report()
	for _, w := range l.watched {
		if w.delivery != "exactly_once" && w.crashes == 0 && *kills >= 12 {
			t.Errorf("%s never lost or doubled anything, so this tested nothing", w.name)
		}
	}
}

// showed is how many crashes views have shown.
func (l *ledger) showed() (n int) {
	for _, w := range l.watched {
		n += w.crashes
	}
	return n
}
