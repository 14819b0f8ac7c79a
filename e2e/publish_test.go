package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

// An event is what is published. Its id is the same each time it is sent.
type event struct {
	id      string
	payload []byte
}

// The limits of one attempt to publish. Where servers die it is short, since an
// event that was sent into a dying one has no answer, and to send it twice does
// no harm.
const (
	ackLimit      = time.Minute
	ackLimitCrash = time.Second
)

// A publisher sends events until they are acknowledged.
type publisher struct {
	t       testing.TB
	s       *server
	conn    *nats.Conn
	js      natsjs.JetStream
	subject string
	window  int           // events that may wait for their acknowledgement
	limit   time.Duration // of one attempt
	pause   time.Duration // between events, on average

	acked   atomic.Uint64 // events, each once
	lastSeq atomic.Uint64 // highest sequence acknowledged
	retries atomic.Uint64
	onAck   func(acked uint64) // may be nil
}

// currentAddress dials the server's current process.
type currentAddress struct{ s *server }

func (d currentAddress) Dial(string, string) (net.Conn, error) {
	return d.s.dial(context.Background(), func(p *process) string { return p.nats })
}

func newPublisher(t testing.TB, s *server, subject string, window int, limit time.Duration) *publisher {
	t.Helper()
	conn, err := nats.Connect("nats://weir", nats.SetCustomDialer(currentAddress{s}), nats.SkipHostLookup(),
		nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ReconnectBufSize(-1), // what cannot be sent now is sent again, here
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := natsjs.New(conn, natsjs.WithPublishAsyncMaxPending(window+1), natsjs.WithPublishAsyncTimeout(limit))
	if err != nil {
		t.Fatal(err)
	}
	return &publisher{t: t, s: s, conn: conn, js: js, subject: subject, window: window, limit: limit}
}

// sent is an event on its way; a nil ack means that it did not leave.
type sent struct {
	event event
	ack   natsjs.PubAckFuture
}

// publish returns once every event is acknowledged.
func (p *publisher) publish(ctx context.Context, events []event) error {
	var flying []sent
	due := time.Now()
	for _, e := range events {
		if p.pause > 0 {
			due = later(due.Add(p.pause), time.Now().Add(-burst))
			p.pace(ctx, due)
		}
		if len(flying) == p.window {
			if err := p.settle(ctx, flying[0]); err != nil {
				return err
			}
			flying = flying[1:]
		}
		ack, err := p.js.PublishMsgAsync(p.message(e))
		if err != nil {
			ack = nil
		}
		flying = append(flying, sent{e, ack})
	}
	for _, f := range flying {
		if err := p.settle(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// burst is how far a publisher that was held up may catch up at full speed.
const burst = 50 * time.Millisecond

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// pace waits until a time.
func (p *publisher) pace(ctx context.Context, due time.Time) {
	if wait := time.Until(due); wait > time.Millisecond {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

func (p *publisher) message(e event) *nats.Msg {
	return &nats.Msg{Subject: p.subject, Data: e.payload, Header: nats.Header{natsjs.MsgIDHeader: {e.id}}}
}

var errUnsent = errors.New("not sent")

// settle waits for an event's acknowledgement, sending it again until it comes.
func (p *publisher) settle(ctx context.Context, f sent) error {
	err := errUnsent
	var ack *natsjs.PubAck
	if f.ack != nil {
		select {
		case ack = <-f.ack.Ok():
			err = nil
		case err = <-f.ack.Err():
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	for err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("event %s is not acknowledged: %w (%w)", f.event.id, ctx.Err(), err)
		}
		if _, e := p.s.running(ctx); e != nil {
			continue
		}
		p.retries.Add(1)
		ack, err = p.attempt(ctx, f.event)
	}
	p.lastSeq.Store(max(p.lastSeq.Load(), ack.Sequence)) // before acked, which says that it is
	n := p.acked.Add(1)
	if p.onAck != nil {
		p.onAck(n)
	}
	return nil
}

func (p *publisher) attempt(ctx context.Context, e event) (*natsjs.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	// The connection comes back by itself, a moment after the server.
	if err := p.conn.FlushWithContext(ctx); err != nil {
		p.pace(ctx, time.Now().Add(20*time.Millisecond))
		return nil, err
	}
	return p.js.PublishMsg(ctx, p.message(e))
}
