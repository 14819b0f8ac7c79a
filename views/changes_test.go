package views_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/views"
	"weir/views/column"
	"weir/views/logtest"
)

const changesSubject = "views.v"

// failing is a broker that does not send while it fails.
type failing struct {
	*logtest.Memory
	fails atomic.Bool
	tried atomic.Int64
}

func (b *failing) Send(ctx context.Context, msgs []views.Message) error {
	b.tried.Add(1)
	if b.fails.Load() {
		return errors.New("sending fails in this test")
	}
	return b.Memory.Send(ctx, msgs)
}

// A follower checks the changes of view v, of the events that went to stream s:
// event n has the key keys[n].
type follower struct {
	t    *testing.T
	e    *views.Engine
	sub  *logtest.Subscription
	keys []int64
	r    *rand.Rand
}

func newFollower(t *testing.T, e *views.Engine, b *logtest.Memory) *follower {
	return &follower{t: t, e: e, sub: b.Subscribe(changesSubject), r: rand.New(rand.NewPCG(1, 2))}
}

func (f *follower) view() *views.View {
	f.t.Helper()
	v, err := f.e.View(views.DefaultDatabase, "v")
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

// alter sets the subject of the view's changes.
func (f *follower) alter(subject string) error {
	return f.e.AlterView(f.t.Context(), f.view(), func(old *views.ViewDef) (*views.ViewDef, error) {
		def := *old
		def.PublishChanges = subject
		return &def, nil
	})
}

func (f *follower) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// publish publishes n events with keys below among, and waits until they are applied.
func (f *follower) publish(n, among int) {
	f.t.Helper()
	msgs := make([]views.Message, n)
	for i := range msgs {
		k := f.r.Int64N(int64(among))
		f.keys = append(f.keys, k)
		msgs[i].Payload = fmt.Appendf(nil, `{"k":%d}`, k)
	}
	s := f.view().Stream()
	seq, err := f.e.Publish(f.t.Context(), s, msgs)
	f.ok(err)
	f.ok(s.WaitApplied(f.t.Context(), seq))
}

// counts is the view after the first n events.
func (f *follower) counts(n int) map[int64]int64 {
	counts := map[int64]int64{}
	for _, k := range f.keys[:n] {
		counts[k]++
	}
	return counts
}

// A change is one message.
type change struct {
	K, N         int64
	seq, version uint64
	id           string
}

func (f *follower) changes() (list []change) {
	f.t.Helper()
	for _, m := range f.sub.Messages() {
		c := change{id: m.ID}
		f.ok(json.Unmarshal(m.Payload, &c))
		var err1, err2 error
		c.seq, err1 = strconv.ParseUint(m.Header[views.HeaderSeq][0], 10, 64)
		c.version, err2 = strconv.ParseUint(m.Header[views.HeaderVersion][0], 10, 64)
		f.ok(errors.Join(err1, err2))
		if want := fmt.Sprintf("v:%d:%d:", c.version, c.seq); !strings.HasPrefix(m.ID, want) {
			f.t.Errorf("ID %s does not begin with %s", m.ID, want)
		}
		list = append(list, c)
	}
	return list
}

// check wants each message to be the row at its sequence, and waits until the
// last one of each key that the events after the first n have is the row as it
// is. It returns how many messages there are.
func (f *follower) check(n int) int {
	f.t.Helper()
	want := f.counts(len(f.keys))
	maps.DeleteFunc(want, func(k, _ int64) bool { return !slices.Contains(f.keys[n:], k) })
	eventually(f.t, fmt.Sprint("the last message for each of ", len(want), " keys"), func() (string, bool) {
		last := map[int64]int64{}
		for _, c := range f.changes() {
			if _, ok := want[c.K]; ok {
				last[c.K] = c.N
			}
		}
		return fmt.Sprintf("%d keys", len(last)), maps.Equal(last, want)
	})
	list := f.changes()
	slices.SortStableFunc(list, func(a, b change) int { return int(a.seq) - int(b.seq) })
	counts, at, ids := map[int64]int64{}, 0, map[string]int64{}
	for _, c := range list {
		for ; at < int(c.seq); at++ {
			counts[f.keys[at]]++
		}
		if counts[c.K] != c.N {
			f.t.Errorf("key %d at sequence %d has %d, want %d", c.K, c.seq, c.N, counts[c.K])
		}
		if k, ok := ids[c.id]; ok && k != c.K {
			f.t.Errorf("keys %d and %d share the ID %s", k, c.K, c.id)
		}
		ids[c.id] = c.K
	}
	return len(list)
}

// quiet wants no message to come but those there are, also where some were due.
func (f *follower) quiet(n int) {
	f.t.Helper()
	f.ok(f.e.Close()) // has what is due sent
	if got := len(f.sub.Messages()); got != n {
		f.t.Errorf("%d messages came, want %d", got, n)
	}
}

// image copies the data directory as a crash would leave it.
func image(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestChangedRowsAreSent shows that every row that events change is sent as it
// was at some commit and, last, as it is; with batch runs, which change nothing.
func TestChangedRowsAreSent(t *testing.T) {
	broker, dir := &logtest.Memory{}, t.TempDir()
	e, _, _ := openCountingOn(t, dir, broker)
	f := newFollower(t, e, broker)
	f.publish(100, 1000)
	f.ok(f.alter(changesSubject))
	for range 20 {
		f.publish(500, 3000)
	}
	f.publish(1, 3000)
	n := f.check(100)
	if _, err := e.Refresh(t.Context(), f.view(), false); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Refresh(t.Context(), f.view(), true); err != nil {
		t.Fatal(err)
	}
	f.publish(1, 1)
	f.check(100)
	f.quiet(n + 1)
	f.e = reopen(t, dir, broker) // which knows what was sent
	f.publish(1, 1)
	f.check(100)
	f.quiet(n + 2)
}

// TestChangesSurviveCrashes shows that changes that could not be sent, or that
// nobody has written down to be sent, are sent after a crash.
func TestChangesSurviveCrashes(t *testing.T) {
	views.SetChangesStep(t, 100)
	broker := &failing{Memory: &logtest.Memory{}}
	dir := t.TempDir()
	e, _, _ := openCountingOn(t, dir, broker)
	f := newFollower(t, e, broker.Memory)
	f.publish(100, 100)
	f.ok(f.alter(changesSubject))
	f.publish(200, 1000)
	f.check(100)
	for i := range 3 {
		broker.fails.Store(i%2 == 0)
		tried := broker.tried.Load()
		f.publish(700, 5000)
		applied := uint64(len(f.keys))
		eventually(t, "a commit", func() (string, bool) {
			at, err := f.view().Committed()
			f.ok(err)
			return fmt.Sprint(at), at == applied && broker.tried.Load() > tried
		})
		dir = image(t, dir)
		broker.fails.Store(true)
		_ = f.e.Close()
		broker.fails.Store(false)
		f.e = reopen(t, dir, broker)
		f.check(100)
	}
}

// TestChangesThatDoNotFit shows that keys which memory does not hold are found
// again in the log.
func TestChangesThatDoNotFit(t *testing.T) {
	views.SetChangesKeep(t, 50)
	views.SetChangesStep(t, 100)
	broker := &failing{Memory: &logtest.Memory{}}
	e, _, _ := openCountingOn(t, t.TempDir(), broker)
	f := newFollower(t, e, broker.Memory)
	f.ok(f.alter(changesSubject))
	f.publish(10, 10)
	f.check(0)
	broker.fails.Store(true)
	for range 8 {
		f.publish(70, 5000)
		applied := uint64(len(f.keys))
		eventually(t, "a commit", func() (string, bool) {
			at, err := f.view().Committed()
			f.ok(err)
			return fmt.Sprint(at), at == applied
		})
	}
	broker.fails.Store(false)
	f.check(0)
}

// TestChangesBeginAndEnd shows that ALTER begins with the next event, changes
// the subject without leaving out a row, and ends.
func TestChangesBeginAndEnd(t *testing.T) {
	broker := &logtest.Memory{}
	e, _, _ := openCountingOn(t, t.TempDir(), broker)
	f := newFollower(t, e, broker)
	f.publish(100, 100)
	f.ok(f.alter(changesSubject))
	f.ok(f.alter(changesSubject))
	f.publish(1, 1)
	f.check(100)
	other := broker.Subscribe("views.other")
	f.ok(f.alter("views.other"))
	f.publish(1, 1)
	eventually(t, "the other subject", func() (string, bool) {
		list := other.Messages()
		return fmt.Sprint(len(list)), len(list) > 0 && string(list[len(list)-1].Payload) == fmt.Sprintf(`{"k":0,"n":%d}`, f.counts(102)[0])
	})
	f.ok(f.alter(""))
	n, m := len(f.sub.Messages()), len(other.Messages())
	f.publish(100, 100)
	f.ok(f.alter(changesSubject)) // not those before it
	f.publish(1, 1)
	f.check(202)
	f.quiet(n + 1)
	if got := len(other.Messages()); got != m {
		t.Errorf("%d messages to the other subject, want %d", got, m)
	}
}

// TestChangesUnheard shows that what nobody hears is not kept for later.
func TestChangesUnheard(t *testing.T) {
	broker := &failing{Memory: &logtest.Memory{}}
	e, _, _ := openCountingOn(t, t.TempDir(), broker)
	f := newFollower(t, e, broker.Memory)
	f.sub.Close()
	f.ok(f.alter(changesSubject))
	f.publish(100, 100)
	eventually(t, "a commit", func() (string, bool) {
		sent := f.view().Sent()
		return fmt.Sprint(sent), sent == 100
	})
	if n := broker.tried.Load(); n > 0 {
		t.Errorf("%d times something was sent to nobody", n)
	}
	f.sub = broker.Subscribe(changesSubject)
	f.publish(5, 1)
	f.check(100)
	f.quiet(1)
}

// TestChangesAcrossVersions shows that a new version goes on where the one
// before was, and that a rebuild of a lost file sends every row.
func TestChangesAcrossVersions(t *testing.T) {
	broker := &failing{Memory: &logtest.Memory{}}
	dir := t.TempDir()
	e, _, _ := openCountingOn(t, dir, broker)
	f := newFollower(t, e, broker.Memory)
	f.publish(5000, 5000) // more rows than are sent at once
	f.ok(f.alter(changesSubject))
	f.publish(100, 100)
	f.check(5000)
	def := *f.view().Def()
	def.KeepPrevious = time.Hour
	for i := range 4 {
		broker.fails.Store(true) // the old version cannot send these
		from := len(f.keys)
		f.publish(50, 1000)
		if i%2 == 0 {
			f.ok(e.CreateView(t.Context(), &def, true))
		} else {
			f.ok(e.Rollback(views.DefaultDatabase, "v"))
		}
		broker.fails.Store(false)
		f.publish(50, 1000)
		f.check(from)
	}
	n := len(f.sub.Messages())
	f.quiet(n)
	removeFiles(t, dir)
	f.sub = broker.Subscribe(changesSubject)
	f.e = reopen(t, dir, broker)
	f.check(0)
}

// TestChangesOfATrimmedLog shows that where the events are gone that say which
// rows have changed, all are sent.
func TestChangesOfATrimmedLog(t *testing.T) {
	broker := &failing{Memory: &logtest.Memory{}}
	dir := t.TempDir()
	e, _, _ := openCountingOn(t, dir, broker)
	f := newFollower(t, e, broker.Memory)
	f.ok(f.alter(changesSubject))
	f.publish(100, 1000)
	f.check(0)
	broker.fails.Store(true)
	f.publish(100, 1000)
	f.ok(e.Close())
	broker.Trim("s", 150)
	broker.fails.Store(false)
	f.sub = broker.Subscribe(changesSubject)
	f.e = reopen(t, dir, broker)
	f.check(0)
}

// TestViewsInAChain shows a view over a stream that takes the changes of
// another view, and that a circle of them is refused.
func TestViewsInAChain(t *testing.T) {
	broker := &logtest.Memory{}
	e, _, _ := openCountingOn(t, t.TempDir(), broker)
	f := newFollower(t, e, broker)
	err := e.CreateStream(t.Context(), &views.StreamDef{
		Database: views.DefaultDatabase, Name: "changes", Format: views.FormatJSON, Subjects: []string{"views.*"},
		Columns: []views.ColumnDef{{Name: "n", Type: column.Bigint}},
	})
	f.ok(err)
	w := &views.ViewDef{Database: views.DefaultDatabase, Name: "w", Stream: "changes", Mode: views.Kappa, Delivery: views.ExactlyOnce}
	f.ok(e.CreateView(t.Context(), w, false))
	f.ok(f.alter(changesSubject))
	f.publish(10, 5)
	f.publish(10, 5)
	f.check(0)
	second, err := e.View(views.DefaultDatabase, "w")
	f.ok(err)
	f.ok(second.Stream().WaitApplied(t.Context(), uint64(len(f.sub.Messages()))))
	var set views.ReadSet
	defer set.Close()
	snap, err := set.Snapshot(second)
	f.ok(err)
	counts := map[int64]bool{}
	for _, c := range f.changes() {
		counts[c.N] = true
	}
	if n := rowsOf(t, snap); int(n) != len(counts) {
		t.Errorf("the second view has %d rows, want %d", n, len(counts))
	}

	refused := func(err error, want string) {
		t.Helper()
		var wrong *views.DefinitionError
		if !errors.As(err, &wrong) || wrong.Option != "publish_changes" || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	refused(f.alter("s"), "the stream s, which the view reads, takes the subject s")
	x := *w
	x.Name = "x"
	x.PublishChanges = "s"
	refused(e.CreateView(t.Context(), &x, false), "come back to the stream changes, which the view reads, by way of v")
	x.PublishChanges = "views.x"
	refused(e.CreateView(t.Context(), &x, false), "takes the subject views.x")
	x.PublishChanges = "elsewhere"
	f.ok(e.CreateView(t.Context(), &x, false))
}
