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
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 1001, 1050) // fewer than the window, so it does not wait
	srv, log := open(t, dir, addr)
	defer srv.Close()
	publish(t, p, 1051, 2000)
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
