package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/jetstream"
	"weir/jetstream/publisher"
	"weir/views"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts a log server that publishers of the subject "events" can use.
func open(t *testing.T, dir, addr string) (*jetstream.Server, views.Log) {
	t.Helper()
	srv, err := jetstream.Open(t.Context(), jetstream.Config{
		Dir: dir, Addr: addr, Sync: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	log, err := srv.CreateLog(t.Context(), views.LogConfig{
		Name: "events", Subjects: []string{"events"}, DuplicateWindow: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	return srv, log
}

func dial(t *testing.T, cfg publisher.Config) *publisher.Publisher {
	t.Helper()
	p, err := publisher.Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// publish publishes the events numbered from first to last.
func publish(t *testing.T, p *publisher.Publisher, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		event := publisher.Event{Subject: "events", ID: fmt.Sprint(n), Payload: fmt.Append(nil, n)}
		if err := p.Publish(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
}

func messages(t *testing.T, log views.Log) int {
	t.Helper()
	state, err := log.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return int(state.Messages)
}

func TestPublish(t *testing.T) {
	srv, log := open(t, t.TempDir(), "127.0.0.1:0")
	defer srv.Close()
	p := dial(t, publisher.Config{URL: "nats://" + srv.Addr(), Window: 10})
	publish(t, p, 1, 100)
	publish(t, p, 51, 150)
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := publisher.Progress{Sent: 200, Acked: 200, Duplicates: 50, LastSeq: 150}
	if got := p.Progress(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := messages(t, log); got != 150 {
		t.Errorf("the log has %d events, want 150", got)
	}
}

// TestServerRestart stops the server while events are on their way.
func TestServerRestart(t *testing.T) {
	dir := t.TempDir()
	srv, _ := open(t, dir, "127.0.0.1:0")
	addr := srv.Addr()
	p := dial(t, publisher.Config{URL: "nats://" + addr, Window: 100})
	publish(t, p, 1, 1000)
	if err := p.Flush(t.Context()); err != nil { // with an empty window
		t.Fatal(err)
	}
	publish(t, p, 1001, 1050)
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 1051, 1099) // the window still has room: nothing waits for the server that is gone
	srv, log := open(t, dir, addr)
	defer srv.Close()
	publish(t, p, 1100, 2000)
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.Progress(); got.Acked != 2000 || got.Retries == 0 {
		t.Errorf("got %+v, want 2000 acknowledged, some after a retry", got)
	}
	if got := messages(t, log); got != 2000 {
		t.Errorf("the log has %d events, want 2000", got)
	}
}

func TestNobodyTakesIt(t *testing.T) {
	srv, _ := open(t, t.TempDir(), "127.0.0.1:0")
	defer srv.Close()
	p := dial(t, publisher.Config{URL: "nats://" + srv.Addr(), Patience: 100 * time.Millisecond})
	if err := p.Publish(t.Context(), publisher.Event{Subject: "elsewhere"}); err != nil {
		t.Fatal(err)
	}
	err := p.Flush(t.Context())
	if err == nil {
		t.Fatal("published to a subject that no log takes")
	}
	if again := p.Publish(t.Context(), publisher.Event{Subject: "events"}); !errors.Is(again, err) {
		t.Errorf("publish after giving up: got %v, want %v", again, err)
	}
}

// TestCancelKeepsTheWindow cancels a wait and takes it up again.
func TestCancelKeepsTheWindow(t *testing.T) {
	srv, _ := open(t, t.TempDir(), "127.0.0.1:0")
	defer srv.Close()
	p := dial(t, publisher.Config{URL: "nats://" + srv.Addr()})
	publish(t, p, 1, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Flush(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.Progress().Acked; got != 10 {
		t.Errorf("%d acknowledged, want 10", got)
	}
}

func TestLogsAsPublishersSeeThem(t *testing.T) {
	srv, log := open(t, t.TempDir(), "127.0.0.1:0")
	defer srv.Close()
	var acks []publisher.Ack
	p := dial(t, publisher.Config{URL: "nats://" + srv.Addr(), OnAck: func(a publisher.Ack) { acks = append(acks, a) }})
	st, err := log.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for stored, err := range p.Stored(t.Context(), "events", 0) {
		t.Fatalf("an empty log has %+v, error %v", stored, err)
	}
	publish(t, p, 1, 1000)
	publish(t, p, 1000, 1000)
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(acks) != 1001 || acks[6] != (publisher.Ack{Seq: 7}) || acks[1000] != (publisher.Ack{Seq: 1000, Duplicate: true}) {
		t.Errorf("%d acknowledgements, the last is %+v", len(acks), acks[len(acks)-1])
	}
	l, err := p.Log(t.Context(), "events")
	if err != nil || !l.Created.Equal(st.Created) || l.First != 1 || l.Last != 1000 || fmt.Sprint(l.Subjects) != "[events]" {
		t.Errorf("got log %+v, error %v", l, err)
	}
	if _, err := p.Log(t.Context(), "none"); !errors.Is(err, publisher.ErrNoLog) {
		t.Errorf("a log that does not exist: got error %v", err)
	}
	if names, err := p.Logs(t.Context()); err != nil || fmt.Sprint(names) != "[events]" {
		t.Errorf("the logs are %v, error %v", names, err)
	}
	if name, err := p.LogOf(t.Context(), "events"); err != nil || name != "events" {
		t.Errorf("the subject's log is %q, error %v", name, err)
	}
	if _, err := p.LogOf(t.Context(), "none"); !errors.Is(err, publisher.ErrNoLog) {
		t.Errorf("a subject of no log: got error %v", err)
	}
	next := uint64(400)
	for stored, err := range p.Stored(t.Context(), "events", next) {
		next++
		if err != nil || stored.Seq != next || stored.ID != fmt.Sprint(next) || stored.Time.IsZero() {
			t.Fatalf("got %+v, error %v; want event %d", stored, err, next)
		}
	}
	if next != 1000 {
		t.Errorf("the last event of the log is %d", next)
	}
	if stored, ok, err := p.At(t.Context(), "events", 500); err != nil || !ok || stored.ID != "500" {
		t.Errorf("got %+v, %v, error %v", stored, ok, err)
	}
	if _, ok, err := p.At(t.Context(), "events", 1001); err != nil || ok {
		t.Errorf("an event that does not exist: %v, error %v", ok, err)
	}
}

func TestMarks(t *testing.T) {
	dir := t.TempDir()
	srv, _ := open(t, dir, "127.0.0.1:0")
	p := dial(t, publisher.Config{URL: "nats://" + srv.Addr()})
	if marks, err := p.Marks(t.Context(), "a.*"); err != nil || len(marks) != 0 {
		t.Errorf("there are marks %v, error %v", marks, err)
	}
	if m, err := p.Mark(t.Context(), "a.b"); err != nil || m.Revision != 0 {
		t.Errorf("got mark %+v, error %v", m, err)
	}
	first, err := p.SetMark(t.Context(), "a.b", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.SetMark(t.Context(), "a.b", []byte("2"), 0); !errors.Is(err, publisher.ErrMarkChanged) {
		t.Errorf("a mark that exists was made: %v", err)
	}
	second, err := p.SetMark(t.Context(), "a.b", []byte("2"), first)
	if err != nil || second == first {
		t.Fatalf("revision %d, error %v", second, err)
	}
	if _, err := p.SetMark(t.Context(), "a.b", []byte("3"), first); !errors.Is(err, publisher.ErrMarkChanged) {
		t.Errorf("a mark that had changed was set: %v", err)
	}
	if _, err := p.SetMark(t.Context(), "c.d", nil, 0); err != nil {
		t.Error(err)
	}
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	srv, _ = open(t, dir, "127.0.0.1:0")
	defer srv.Close()
	p = dial(t, publisher.Config{URL: "nats://" + srv.Addr()})
	marks, err := p.Marks(t.Context(), "a.*")
	if err != nil || len(marks) != 1 || marks[0].Key != "a.b" || string(marks[0].Value) != "2" || marks[0].Revision != second || marks[0].At.IsZero() {
		t.Errorf("after a restart there are marks %+v, error %v", marks, err)
	}
}
