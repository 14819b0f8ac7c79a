package publisher

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// ErrNoLog says that the server has no log of a name.
var ErrNoLog = errors.New("no such log")

const (
	// requestTimeout bounds one request to the server.
	requestTimeout = 10 * time.Second
	// silenceMax is how long a log that has more is waited for.
	silenceMax = 30 * time.Second
	// bucketPrefix begins the names of key-value buckets, which are no logs.
	bucketPrefix = "KV_"
)

// A Log is one log of the server, as it was when it was asked for.
type Log struct {
	Name     string
	Subjects []string  // what it takes; may hold wildcards
	Created  time.Time // tells it from an earlier log of the name
	First    uint64    // first sequence it holds; Last+1 when it is empty
	Last     uint64    // last sequence it gave
}

// Log returns a log, or ErrNoLog.
func (p *Publisher) Log(ctx context.Context, name string) (Log, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := p.js.Stream(ctx, name)
	if errors.Is(err, natsjs.ErrStreamNotFound) {
		return Log{}, ErrNoLog
	}
	if err != nil {
		return Log{}, fmt.Errorf("look for log %s: %w", name, err)
	}
	info := stream.CachedInfo()
	l := Log{
		Name: name, Subjects: info.Config.Subjects, Created: info.Created,
		First: info.State.FirstSeq, Last: info.State.LastSeq,
	}
	if info.State.Msgs == 0 {
		l.First = l.Last + 1
	}
	return l, nil
}

// Logs returns the names of the logs, sorted.
func (p *Publisher) Logs(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	lister := p.js.StreamNames(ctx)
	var names []string
	for name := range lister.Name() {
		if !strings.HasPrefix(name, bucketPrefix) {
			names = append(names, name)
		}
	}
	if err := lister.Err(); err != nil {
		return nil, fmt.Errorf("list the logs: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

// LogOf returns the name of the log that takes events of a subject, or ErrNoLog.
func (p *Publisher) LogOf(ctx context.Context, subject string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	name, err := p.js.StreamNameBySubject(ctx, subject)
	if errors.Is(err, natsjs.ErrStreamNotFound) {
		return "", ErrNoLog
	}
	if err != nil {
		return "", fmt.Errorf("look for the log of subject %s: %w", subject, err)
	}
	return name, nil
}

// Stored is what a log says of an event that it holds, without the payload.
type Stored struct {
	Seq  uint64
	Time time.Time // when the log received it
	ID   string    // may be empty
}

// At returns the event with a sequence; false where the log does not hold it.
func (p *Publisher) At(ctx context.Context, log string, seq uint64) (Stored, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := p.js.Stream(ctx, log)
	if err != nil {
		return Stored{}, false, fmt.Errorf("read log %s: %w", log, err)
	}
	msg, err := stream.GetMsg(ctx, seq)
	if errors.Is(err, natsjs.ErrMsgNotFound) {
		return Stored{}, false, nil
	}
	if err != nil {
		return Stored{}, false, fmt.Errorf("read event %d of log %s: %w", seq, log, err)
	}
	return Stored{Seq: msg.Sequence, Time: msg.Time, ID: msg.Header.Get(natsjs.MsgIDHeader)}, true, nil
}

// Stored yields, in order, the events after a sequence that the log holds when
// it is called; later ones may follow. An error ends it.
func (p *Publisher) Stored(ctx context.Context, log string, after uint64) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		if err := p.stored(ctx, log, after, func(s Stored) bool { return yield(s, nil) }); err != nil {
			yield(Stored{}, fmt.Errorf("read log %s after event %d: %w", log, after, err))
		}
	}
}

func (p *Publisher) stored(ctx context.Context, log string, after uint64, yield func(Stored) bool) error {
	consumer, err := p.js.OrderedConsumer(ctx, log, natsjs.OrderedConsumerConfig{
		DeliverPolicy: natsjs.DeliverByStartSequencePolicy,
		OptStartSeq:   after + 1,
		HeadersOnly:   true,
	})
	if err != nil {
		return err
	}
	info, err := consumer.Info(ctx)
	if err != nil || info.NumPending == 0 && info.Delivered.Consumer == 0 {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		wait, cancel := context.WithTimeout(ctx, silenceMax)
		msg, err := messages.Next(natsjs.NextContext(wait))
		cancel()
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		s := Stored{Seq: meta.Sequence.Stream, Time: meta.Timestamp, ID: msg.Headers().Get(natsjs.MsgIDHeader)}
		if !yield(s) || meta.NumPending == 0 {
			return nil
		}
	}
}
