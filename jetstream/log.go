package jetstream

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

// A log is one JetStream stream. It holds nothing that can go out of date: the
// server is asked each time.
type log struct {
	server   *Server
	name     string
	subjects []string
	created  time.Time
}

var _ views.Log = (*log)(nil)

// State returns the log's identity and extent.
func (l *log) State(ctx context.Context) (views.LogState, error) {
	stream, err := l.server.js.Stream(ctx, l.name)
	if err != nil {
		return views.LogState{}, fmt.Errorf("reading the state of log %s: %w", l.name, explain(ctx, err))
	}
	info := stream.CachedInfo()
	st := views.LogState{
		Created:  info.Created,
		First:    info.State.FirstSeq,
		Last:     info.State.LastSeq,
		Messages: info.State.Msgs,
		Bytes:    info.State.Bytes,
	}
	if st.Messages == 0 {
		st.First = st.Last + 1
		return st, nil
	}
	st.FirstTime, st.LastTime = info.State.FirstTime, info.State.LastTime
	return st, nil
}

// SeqAt returns the sequence after which the records are of the time t or later.
// The server looks for it when it makes a consumer that begins at a time.
func (l *log) SeqAt(ctx context.Context, t int64) (uint64, error) {
	fail := func(err error) (uint64, error) {
		return 0, fmt.Errorf("looking for a time in log %s: %w", l.name, explain(ctx, err))
	}
	stream, err := l.server.js.Stream(ctx, l.name)
	if err != nil {
		return fail(err)
	}
	at := time.Unix(0, t).UTC()
	made, err := stream.CreateConsumer(ctx, natsjs.ConsumerConfig{
		Name:              "weir-" + rand.Text(),
		DeliverPolicy:     natsjs.DeliverByStartTimePolicy,
		OptStartTime:      &at,
		AckPolicy:         natsjs.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactiveMax,
	})
	if err != nil {
		return fail(err)
	}
	info := made.CachedInfo()
	if err := stream.DeleteConsumer(ctx, info.Name); err != nil && ctx.Err() != nil {
		return 0, ctx.Err() // the server deletes it itself, once it is idle for long enough
	}
	return info.Delivered.Stream, nil
}

// Read yields the records in (after, until], or follows the log where until is
// zero.
func (l *log) Read(ctx context.Context, after, until uint64) iter.Seq2[[]views.Record, error] {
	return func(yield func([]views.Record, error) bool) {
		if until != 0 && until <= after {
			return
		}
		if until == 0 {
			l.follow(ctx, after, yield)
			return
		}
		if blocks := l.blocks(after, until); blocks != nil {
			l.readBlocks(ctx, blocks, yield)
			return
		}
		l.consume(ctx, after, until, yield)
	}
}

// readBlocks reads the log's blocks, and what they do not tell through a
// consumer.
func (l *log) readBlocks(ctx context.Context, r *blockReader, yield func([]views.Record, error) bool) {
	for r.pos < r.until {
		goesOn := true
		end, done, err := r.read(ctx, func(batch []views.Record) bool {
			goesOn = yield(batch, nil)
			return goesOn
		})
		if err != nil && goesOn {
			yield(nil, err)
		}
		if done || err != nil || !goesOn {
			return
		}
		if !l.consume(ctx, r.pos, end, yield) {
			return
		}
		r.pos = end
	}
}

// consume reads through a consumer; false once that is over.
func (l *log) consume(ctx context.Context, after, until uint64, yield func([]views.Record, error) bool) bool {
	r := newReader(ctx, l, after, until)
	defer r.close()
	for {
		batch, err := r.next()
		if err != nil {
			yield(nil, err)
			return false
		}
		if len(batch) == 0 {
			return true
		}
		if !yield(batch, nil) {
			return false
		}
	}
}
