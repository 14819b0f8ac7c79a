package jetstream

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

// TestRestartInPlace shows that a server that is started again in place keeps
// its address, that readers, publishers and clients from outside go on by
// themselves, and that every event comes once.
func TestRestartInPlace(t *testing.T) {
	s := open(t, Config{})
	s.unwatch() // the test does what it does
	<-s.watched
	l := mustCreate(t, s, "a")
	addr := s.Addr()
	outside, err := nats.Connect("nats://"+addr, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	js, err := natsjs.New(outside)
	if err != nil {
		t.Fatal(err)
	}
	const rounds, each = 4, 500
	read := make(chan error, 1)
	go func() {
		next := uint64(1)
		for batch, err := range l.Read(t.Context(), 0, 0) {
			if err != nil {
				read <- err
				return
			}
			for _, r := range batch {
				if r.Seq != next {
					read <- errors.New("a record is missing, or came twice")
					return
				}
				next++
			}
			if next > rounds*(each+1) {
				read <- nil
				return
			}
		}
	}()
	for i := range rounds {
		if i > 0 {
			if err := s.restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.Addr(); got != addr {
			t.Fatalf("the server has moved from %s to %s", addr, got)
		}
		mustPublish(t, s, "a", each)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		for {
			if _, err := js.Publish(ctx, "a", []byte("{}"), natsjs.WithMsgID("outside-"+string(rune('a'+i)))); err == nil {
				break
			} else if ctx.Err() != nil {
				t.Fatal(err)
			}
		}
		cancel()
	}
	select {
	case err := <-read:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the reader does not go on")
	}
	if err := s.Healthy(); err != nil {
		t.Error(err)
	}
}

// TestUnwritableIsSaid shows what publishers and health checks hear while the
// server cannot write.
func TestUnwritableIsSaid(t *testing.T) {
	s := open(t, Config{})
	mustCreate(t, s, "a")
	s.noteUnwritable(errors.New("no space left on device"))
	if err := s.Healthy(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Healthy: %v", err)
	}
	if _, err := s.Publish(t.Context(), "a", []views.Message{{}}); err == nil || !strings.Contains(err.Error(), "until there is space") {
		t.Errorf("Publish: %v", err)
	}
	s.noteUnwritable(nil)
	mustPublish(t, s, "a", 1)
}

// TestStoppedServerIsStartedAgain shows that the watch finds a server whose
// logs are closed, as after an error of the disk, and starts it again.
func TestStoppedServerIsStartedAgain(t *testing.T) {
	s := open(t, Config{})
	mustCreate(t, s, "a")
	mustPublish(t, s, "a", 10)
	back := s.reconnected()
	if err := s.ns.Load().DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-back: // which no server lets it while one is started
	case <-time.After(time.Minute):
		t.Fatal("the server is not started again")
	}
	for s.cannotWrite() != nil {
		runtime.Gosched() // the watch is about to say that it can
	}
	if seq, err := s.Publish(t.Context(), "a", events(1)); err != nil || seq != 11 {
		t.Errorf("the next sequence is %d, want 11: %v", seq, err)
	}
}
