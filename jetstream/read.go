package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

const (
	// One pull asks for at most this much. It bounds what waits in memory
	// while the caller is busy, and a batch, and it is large enough that the
	// pause between two pulls, a message to the server and back, is lost in it.
	pullMessages = 16 << 10
	pullBytes    = 16 << 20 // above payloadMax, so that any message fits

	// A bounded read asks for what its caller takes in about this long, from
	// pullMin on: the server hands over a pull in one go, and one that the
	// caller takes slowly is one that is to leave others room.
	pullTime = 20 * time.Millisecond
	pullMin  = 512

	// A pull lasts this long; while nothing comes, the server says so each
	// heartbeat, and a reader that misses some takes a new consumer: on a machine
	// with much else to do they are late.
	pullExpires   = 30 * time.Second
	pullHeartbeat = time.Second
	silenceMax    = 11 * time.Second

	// inactiveMax is how long the server keeps a consumer whose reader is
	// gone, or busy; one that was busy takes a new consumer.
	inactiveMax = 5 * time.Minute

	// stallsMax is how many consumers in turn may stop at the same record before a
	// bounded read ends with an error.
	stallsMax = 5

	// Waits between attempts to get a consumer.
	backoffMin = 5 * time.Millisecond
	backoffMax = time.Second
)

// A reader is one Read under way.
//
// INVARIANT: every record in (after, pos] that the log held has been handed
// over once, in order, and none after pos has. The server numbers what it
// delivers to a consumer without gaps, so a message lost on the way shows as a
// jump in that number; then, as after any other fault, the reader drops its
// wire and what it still brings, and attaches a new one at pos+1.
//
// There is one pull at a time, and it is asked for before the caller gets its
// batch: the next batch gathers in the wire while the caller works.
type reader struct {
	ctx     context.Context
	log     *log
	created time.Time // of the log as it was first attached to
	pos     uint64    // last sequence delivered
	until   uint64    // last sequence wanted; 0 follows

	got     arrivals
	timer   *time.Timer
	backoff time.Duration // before the next attempt to attach

	stream   natsjs.Stream
	consumer string
	wire     *wire // nil while detached
	pulls    int
	stalls   int       // consumers that stalled since a record came
	ask      int       // messages that a pull of a bounded read asks for
	asked    time.Time // when the last one did
}

func newReader(ctx context.Context, l *log, after, until uint64) *reader {
	return &reader{ctx: ctx, log: l, pos: after, until: until, ask: 4 * pullMin}
}

func (r *reader) close() {
	r.detach()
	if r.timer != nil {
		r.timer.Stop()
	}
}

// next returns the next batch: all that has arrived since the last, waiting for
// something to. An empty batch is the end.
func (r *reader) next() ([]views.Record, error) {
	for !r.done() {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		if r.wire == nil {
			if err := r.reattach(); err != nil {
				return nil, err
			}
			continue
		}
		idle, lost := r.wire.take(&r.got)
		batch, err := r.accept()
		switch {
		case errors.Is(err, errStalled):
			lost = err
		case err != nil:
			return nil, err
		}
		if idle && lost == nil && !r.done() {
			lost = r.request()
		}
		if len(batch) > 0 {
			return batch, nil // a loss shows again at the next take
		}
		if lost != nil {
			r.drop(lost)
		} else if err := r.wait(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (r *reader) done() bool { return r.until != 0 && r.pos >= r.until }

// accept moves pos over what was taken, and cuts off what is beyond until.
func (r *reader) accept() ([]views.Record, error) {
	batch := r.got.records
	n := len(batch)
	if n > 0 {
		r.pos = batch[n-1].Seq
		r.backoff, r.stalls = 0, 0
	}
	switch {
	case r.until == 0 && r.got.heartbeat && r.got.pending > 0:
		_, err := r.waits()
		return batch, err
	case r.until == 0 || r.pos == r.until:
		return batch, nil
	}
	if r.pos > r.until { // until itself is not in the log any more
		r.pos = r.until
		return batch[:sort.Search(n, func(i int) bool { return batch[i].Seq > r.until })], nil
	}
	if n > 0 && r.got.pending == 0 || r.got.heartbeat {
		return batch, r.finish()
	}
	return batch, nil
}

// finish moves pos to until when the log has no records between them (until
// itself may be trimmed or lost), which ends the read. The server finds none also
// where it could not load a block just now, so that its consumer must have come
// to the end too.
func (r *reader) finish() error {
	m, err := r.stream.GetMsg(r.ctx, r.pos+1, natsjs.WithGetMsgSubject(">"))
	none := errors.Is(err, natsjs.ErrMsgNotFound) || err == nil && m.Sequence > r.until
	if err != nil && !none {
		return r.ctx.Err() // the server cannot say: wait for it
	}
	if ended, err := r.waits(); err != nil || !ended {
		return err
	}
	if none {
		r.pos = r.until
	}
	return nil
}

// waits says whether the consumer waits at the end of the log. It is an error,
// errStalled, that it waits, as a heartbeat says, and not at the end: where it
// cannot load a block it does so until something new comes to the log.
func (r *reader) waits() (atEnd bool, err error) {
	c, err := r.stream.Consumer(r.ctx, r.consumer)
	switch {
	case err != nil:
		return false, r.ctx.Err()
	case c.CachedInfo().NumPending == 0:
		return true, nil
	case !r.got.heartbeat:
		return false, nil
	}
	if r.stalls++; r.stalls > stallsMax && r.until != 0 {
		return false, r.fail(fmt.Errorf("the nats server does not hand over the %d records that it counts behind it, and says why in the log: see docs/operations.md for damaged blocks", c.CachedInfo().NumPending))
	}
	return false, errStalled
}

// wait returns when there may be something to take.
func (r *reader) wait() error {
	r.startTimer(silenceMax)
	defer r.timer.Stop()
	select {
	case <-r.wire.ready:
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-r.log.server.closed:
		return r.fail(errClosed)
	case <-r.timer.C:
		r.drop(fmt.Errorf("%w: nothing came for %v", errMissed, silenceMax))
	}
	return nil
}

func (r *reader) startTimer(d time.Duration) {
	if r.timer == nil {
		r.timer = time.NewTimer(d)
	} else {
		r.timer.Reset(d)
	}
}

var (
	errStalled  = errors.New("the consumer has stopped before the end of the log")
	errClosed   = errors.New("the nats server has stopped")
	errReplaced = errors.New("the log was deleted and made again while it was read")
)

func (r *reader) fail(err error) error { return r.log.stopped(r.pos, err) }

// stopped is the error of a read that has ended after a record.
func (l *log) stopped(after uint64, err error) error {
	return fmt.Errorf("reading log %s after %d: %w", l.name, after, err)
}

// drop detaches from a consumer that is of no more use.
func (r *reader) drop(why error) {
	log := r.log.server.logger.Debug
	if errors.Is(why, errMissed) || errors.Is(why, errStalled) {
		log = r.log.server.logger.Warn
	}
	log("a log's reader takes a new consumer", "log", r.log.name, "after", r.pos, "reason", why)
	r.detach()
}

// reattach gets a new consumer, after a wait if the last one brought nothing.
func (r *reader) reattach() error {
	if r.backoff > 0 {
		r.startTimer(r.backoff)
		defer r.timer.Stop()
		select {
		case <-r.timer.C:
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-r.log.server.closed:
			return r.fail(errClosed)
		}
	}
	r.backoff = min(max(2*r.backoff, backoffMin), backoffMax)
	err := r.attach()
	if err == nil {
		return nil
	}
	r.detach()
	switch {
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case errors.Is(err, natsjs.ErrStreamNotFound):
		return r.fail(views.ErrNoLog)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return r.fail(errClosed)
	case errors.Is(err, errReplaced), errors.Is(err, errUnsafe):
		return r.fail(err)
	}
	r.log.server.logger.Warn("a log's reader cannot start yet", "log", r.log.name, "after", r.pos, "error", err)
	return nil
}

// attach makes a consumer that starts after pos, and asks for its first
// messages.
func (r *reader) attach() error {
	s := r.log.server
	ctx, cancel := context.WithTimeout(r.ctx, requestTimeout)
	defer cancel()
	// What was asked over a connection that broke is not answered over the next.
	defer s.onReconnect(cancel)()
	var err error
	if r.stream, err = s.js.Stream(ctx, r.log.name); err != nil {
		return err
	}
	switch created := r.stream.CachedInfo().Created; {
	case r.created.IsZero():
		r.created = created
	case !r.created.Equal(created):
		return errReplaced
	}
	if err := r.log.safe(r.stream, r.pos, r.until); err != nil {
		return err
	}
	r.consumer = "weir-" + rand.Text()
	made, err := r.stream.CreateConsumer(ctx, natsjs.ConsumerConfig{
		Name:              r.consumer,
		DeliverPolicy:     natsjs.DeliverByStartSequencePolicy,
		OptStartSeq:       r.pos + 1,
		AckPolicy:         natsjs.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactiveMax,
	})
	if err != nil {
		return err
	}
	if r.until != 0 && made.CachedInfo().NumPending == 0 {
		if err := r.finish(); err != nil || r.done() {
			return err
		}
	}
	ackPrefix := "$JS.ACK." + r.log.name + "." + r.consumer + "."
	if r.wire, err = dial(s, internalUser, s.password, s.nc.NewInbox(), ackPrefix, r.pos); err != nil {
		return err
	}
	return r.request()
}

// request asks for the next messages.
func (r *reader) request() error {
	n, now := pullMessages, time.Now()
	if r.until != 0 {
		switch {
		case now.Sub(r.asked) < pullTime:
			r.ask = min(2*r.ask, pullMessages)
		case now.Sub(r.asked) > 2*pullTime:
			r.ask = max(r.ask/2, pullMin)
		}
		n = int(min(uint64(r.ask), r.until-r.pos))
	}
	r.asked = now
	r.pulls++
	return r.wire.request("$JS.API.CONSUMER.MSG.NEXT."+r.log.name+"."+r.consumer, r.wire.inbox+"."+strconv.Itoa(r.pulls), n, pullBytes)
}

// detach gives the consumer up. Deleting it may fail: the server then does so
// itself once it has been idle for long enough.
func (r *reader) detach() {
	if r.wire != nil {
		r.wire.close()
		r.wire = nil
	}
	if r.consumer != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 2*time.Second)
		defer cancel()
		_ = r.stream.DeleteConsumer(ctx, r.consumer)
		r.consumer = ""
	}
}
