// Package publisher sends events to weir over the network, as any NATS client
// can: it publishes, and keeps every event until the log has acknowledged it.
//
// Acknowledgements are awaited behind a window of events, so that throughput
// does not hang on round trips. An event whose acknowledgement is missing, as
// when the server was killed, is sent again; with an ID the log then still
// stores it once. Events that were sent again may stand behind later ones.
package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
)

const (
	// windowDefault keeps a connection busy without holding much of what a
	// crash of the publisher would lose.
	windowDefault = 4096
	// patienceDefault outlasts a restart of the server.
	patienceDefault = time.Minute
	// ackTimeout is how long an acknowledgement may take before the event is
	// sent again.
	ackTimeout = 10 * time.Second
	// retryWaitMin and retryWaitMax bound the pause between two attempts.
	retryWaitMin = 20 * time.Millisecond
	retryWaitMax = time.Second
	// reconnectWait is short: the server is expected back soon.
	reconnectWait = 50 * time.Millisecond
)

// A Config says where to publish, and how hard to try.
type Config struct {
	URL      string        // nats://host:port
	User     string        // "" is root
	Password string        // of the user; "" where the server asks for none
	CAFile   string        // certificates that the server's is checked against; "" is the system's
	Window   int           // events that may wait for their acknowledgement; 0 means 4096
	Patience time.Duration // how long to send one event again before giving up; 0 means a minute
	OnAck    func(Ack)     // called for each acknowledged event, in the order of Publish, from Publish and Flush; may be nil
}

// An Event is what is published. Its payload must not change until it has been
// acknowledged.
type Event struct {
	Subject string
	ID      string // the same non-empty ID within the log's duplicate window: the same event
	Payload []byte
}

// An Ack is the log's acknowledgement of one event.
type Ack struct {
	Seq       uint64 // the event's place in the log
	Duplicate bool   // it was there already, under its ID
}

// Progress counts what a Publisher has done.
type Progress struct {
	Sent       uint64 // taken by Publish
	Acked      uint64 // acknowledged by the log
	Duplicates uint64 // of these, already in the log under their ID
	Retries    uint64 // sent again
	LastSeq    uint64 // highest sequence acknowledged
}

// A Publisher is one connection to a log. All methods but Progress are for one
// goroutine.
type Publisher struct {
	cfg  Config
	conn *nats.Conn
	js   natsjs.JetStream

	marks natsjs.KeyValue // once it was asked for

	window []sent // a ring: those from head on wait for their acknowledgement
	head   int
	count  int
	err    error // what made it give up, for good

	sent, acked, duplicates, retries, lastSeq atomic.Uint64
}

// sent is an event on its way. A nil ack means that it could not be sent.
type sent struct {
	event Event
	ack   natsjs.PubAckFuture
}

// Dial connects to the server.
func Dial(cfg Config) (*Publisher, error) {
	if cfg.Window <= 0 {
		cfg.Window = windowDefault
	}
	if cfg.Patience <= 0 {
		cfg.Patience = patienceDefault
	}
	options := []nats.Option{
		nats.Name("weir publisher"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.ReconnectBufSize(-1), // what cannot be sent now is ours to send again
	}
	user := cmp.Or(cfg.User, "root")
	if cfg.User != "" || cfg.Password != "" {
		options = append(options, nats.UserInfo(user, cfg.Password))
	}
	if user != "root" { // who may hear answers on inboxes of its own alone
		options = append(options, nats.CustomInboxPrefix("_INBOX."+user))
	}
	if cfg.CAFile != "" {
		options = append(options, nats.RootCAs(cfg.CAFile))
	}
	conn, err := nats.Connect(cfg.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.URL, err)
	}
	js, err := natsjs.New(conn,
		natsjs.WithPublishAsyncMaxPending(cfg.Window+1), // the window is the limit
		natsjs.WithPublishAsyncTimeout(ackTimeout))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to %s: %w", cfg.URL, err)
	}
	return &Publisher{cfg: cfg, conn: conn, js: js, window: make([]sent, cfg.Window)}, nil
}

// headerMax bounds what an event carries besides its payload and its ID.
const headerMax = 128

// MaxPayload is how long the payload of an event with a short ID may be.
func (p *Publisher) MaxPayload() int { return int(p.conn.MaxPayload()) - headerMax }

// Close ends the connection without waiting for acknowledgements; see Flush.
func (p *Publisher) Close() { p.conn.Close() }

// Progress may be called at any time, from any goroutine.
func (p *Publisher) Progress() Progress {
	return Progress{
		Sent:       p.sent.Load(),
		Acked:      p.acked.Load(),
		Duplicates: p.duplicates.Load(),
		Retries:    p.retries.Load(),
		LastSeq:    p.lastSeq.Load(),
	}
}

// Publish sends an event and returns without its acknowledgement, unless the
// window is full: then it waits for the oldest one in it. An error means that
// some event was given up, or that ctx is done; after the first kind the
// Publisher is of no more use.
func (p *Publisher) Publish(ctx context.Context, event Event) error {
	for p.count > 0 && (p.count == len(p.window) || p.answered()) {
		if err := p.settle(ctx); err != nil {
			return err
		}
	}
	if p.err != nil {
		return p.err
	}
	ack, err := p.js.PublishMsgAsync(event.message())
	if err != nil {
		ack = nil // settle sends it again
	}
	p.window[(p.head+p.count)%len(p.window)] = sent{event, ack}
	p.count++
	p.sent.Add(1)
	return nil
}

// Flush returns once everything published is acknowledged, or with what kept
// it from being so.
func (p *Publisher) Flush(ctx context.Context) error {
	for p.count > 0 {
		if err := p.settle(ctx); err != nil {
			return err
		}
	}
	return p.err
}

// answered reports whether settling the oldest event takes no waiting.
func (p *Publisher) answered() bool {
	oldest := p.window[p.head]
	return oldest.ack != nil && len(oldest.ack.Ok()) > 0
}

// settle waits until the oldest event in the window is acknowledged. When ctx
// is done the event stays in the window.
func (p *Publisher) settle(ctx context.Context) error {
	if p.err != nil {
		return p.err
	}
	oldest := &p.window[p.head]
	ack, err := oldest.wait(ctx)
	if err != nil && ctx.Err() == nil {
		oldest.ack = nil // a later settle must not wait for it again
		ack, err = p.retry(ctx, oldest.event, err)
	}
	if ctx.Err() != nil && err != nil {
		return ctx.Err()
	}
	if err != nil {
		p.err = fmt.Errorf("publish to %s: %w", oldest.event.Subject, err)
		return p.err
	}
	p.acked.Add(1)
	if ack.Duplicate {
		p.duplicates.Add(1)
	}
	p.lastSeq.Store(max(p.lastSeq.Load(), ack.Sequence))
	*oldest = sent{}
	p.head = (p.head + 1) % len(p.window)
	p.count--
	if p.cfg.OnAck != nil {
		p.cfg.OnAck(Ack{Seq: ack.Sequence, Duplicate: ack.Duplicate})
	}
	return nil
}

// errUnsent is why an event that never left is sent again.
var errUnsent = errors.New("no connection")

func (s *sent) wait(ctx context.Context) (*natsjs.PubAck, error) {
	if s.ack == nil {
		return nil, errUnsent
	}
	select {
	case ack := <-s.ack.Ok():
		return ack, nil
	case err := <-s.ack.Err():
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// retry sends an event until it is acknowledged, patience is at its end, or
// the event can never be taken.
func (p *Publisher) retry(ctx context.Context, event Event, cause error) (*natsjs.PubAck, error) {
	limit, cancel := context.WithTimeout(ctx, p.cfg.Patience)
	defer cancel()
	for wait := retryWaitMin; ; wait = min(2*wait, retryWaitMax) {
		if int64(len(event.Payload)) > p.conn.MaxPayload() {
			return nil, nats.ErrMaxPayload
		}
		p.retries.Add(1)
		ack, err := p.attempt(limit, event)
		if err == nil {
			return ack, nil
		}
		if limit.Err() == nil {
			cause = err
		}
		select {
		case <-limit.Done():
			return nil, fmt.Errorf("not acknowledged within %v: %w", p.cfg.Patience, cause)
		case <-time.After(wait):
		}
	}
}

// attempt publishes an event and waits for its acknowledgement.
func (p *Publisher) attempt(ctx context.Context, event Event) (*natsjs.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	return p.js.PublishMsg(ctx, event.message())
}

func (e Event) message() *nats.Msg {
	msg := &nats.Msg{Subject: e.Subject, Data: e.Payload}
	if e.ID != "" {
		msg.Header = nats.Header{natsjs.MsgIDHeader: {e.ID}}
	}
	return msg
}
