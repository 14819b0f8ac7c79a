package publisher

import (
	"context"
	"errors"
	"fmt"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// marksBucket is the key-value bucket that the server keeps for marks.
const marksBucket = "weir-publish"

// ErrMarkChanged says that a mark is no longer what the caller took it for.
var ErrMarkChanged = errors.New("another publisher has changed the mark")

// A Mark is a note that a publisher leaves with the server beside the logs, so
// that a later one goes on where it stopped, from whichever machine.
type Mark struct {
	Key      string // words joined by dots, of letters, digits, _ and -
	Value    []byte
	Revision uint64    // changes with every SetMark of the key
	At       time.Time // of the last SetMark, by the server's clock
}

// Marks returns the marks whose key matches a pattern, in which * stands for
// any one word.
func (p *Publisher) Marks(ctx context.Context, pattern string) ([]Mark, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	bucket, err := p.bucket(ctx)
	if err != nil {
		return nil, err
	}
	watcher, err := bucket.Watch(ctx, pattern, natsjs.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("read marks: %w", err)
	}
	defer func() { _ = watcher.Stop() }()
	var marks []Mark
	for {
		select {
		case entry := <-watcher.Updates():
			if entry == nil { // there are no more
				return marks, ctx.Err()
			}
			marks = append(marks, mark(entry))
		case <-ctx.Done():
			return nil, fmt.Errorf("read marks: %w", ctx.Err())
		}
	}
}

// Mark returns one mark; that of a key without one has revision 0.
func (p *Publisher) Mark(ctx context.Context, key string) (Mark, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	bucket, err := p.bucket(ctx)
	if err != nil {
		return Mark{}, err
	}
	entry, err := bucket.Get(ctx, key)
	if errors.Is(err, natsjs.ErrKeyNotFound) {
		return Mark{Key: key}, nil
	}
	if err != nil {
		return Mark{}, fmt.Errorf("read mark %s: %w", key, err)
	}
	return mark(entry), nil
}

// SetMark sets the value of a mark that still has the revision given, 0 for one
// that does not exist, and returns the new revision; else the error is
// ErrMarkChanged. After any other error the mark may have been set or not.
func (p *Publisher) SetMark(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	bucket, err := p.bucket(ctx)
	if err != nil {
		return 0, err
	}
	if revision == 0 {
		revision, err = bucket.Create(ctx, key, value)
	} else {
		revision, err = bucket.Update(ctx, key, value, revision)
	}
	if errors.Is(err, natsjs.ErrKeyRevisionMismatch) || errors.Is(err, natsjs.ErrKeyExists) {
		return 0, ErrMarkChanged
	}
	if err != nil {
		return 0, fmt.Errorf("set mark %s: %w", key, err)
	}
	return revision, nil
}

func (p *Publisher) bucket(ctx context.Context) (natsjs.KeyValue, error) {
	if p.marks != nil {
		return p.marks, nil
	}
	bucket, err := p.js.KeyValue(ctx, marksBucket)
	if err != nil {
		return nil, fmt.Errorf("open the bucket of marks, %s: %w", marksBucket, err)
	}
	p.marks = bucket
	return bucket, nil
}

func mark(e natsjs.KeyValueEntry) Mark {
	return Mark{Key: e.Key(), Value: e.Value(), Revision: e.Revision(), At: e.Created()}
}
