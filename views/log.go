package views

import (
	"context"
	"errors"
	"iter"
	"time"
)

// A Record is one event as the log holds it, before it is decoded.
type Record struct {
	Seq     uint64 // place in the log; the first is 1, zero stands before it
	Time    int64  // when the log received it, nanoseconds since the Unix epoch
	Subject string
	ID      string // Nats-Msg-Id, or "" where the publisher gave none
	Payload []byte
}

// A LogState says which log this is and what it holds.
type LogState struct {
	Created   time.Time // when the log was made: another time means another log
	First     uint64    // lowest sequence still kept; Last+1 when the log is empty
	Last      uint64    // highest sequence ever given out
	FirstTime time.Time // zero when the log is empty
	LastTime  time.Time
	Messages  uint64
	Bytes     uint64
}

// A Log is the durable, totally ordered sequence of events that views are
// computed from. Implementations are safe for concurrent use and are held to
// package logtest.
type Log interface {
	// State returns the log's identity and extent. Every record whose publish
	// was acknowledged before the call is within it.
	State(ctx context.Context) (LogState, error)

	// Read yields the records with sequences in (after, until], in order, in
	// batches that are never empty. With until zero it follows the log: it
	// waits for new records until ctx is done, and a batch is yielded as soon
	// as there is one. Otherwise it ends after the record until, or, where
	// until is not in the log any more, after the last one below it; until may
	// be at most State().Last.
	//
	// Sequences may be missing where the log has dropped records (retention)
	// or lost them (damage); Read yields what there is, and the caller counts.
	//
	// A batch and what its records refer to are valid only until the next
	// iteration. An error ends the iteration; that of a done ctx is ctx.Err().
	Read(ctx context.Context, after, until uint64) iter.Seq2[[]Record, error]

	// SeqAt returns the sequence after which the records begin that the log
	// received at the time t, in nanoseconds since the epoch, or later; Last
	// where there are none. It relies on the log's clock not going back.
	SeqAt(ctx context.Context, t int64) (uint64, error)
}

// A LogConfig says how a log is kept.
type LogConfig struct {
	Name            string
	Subjects        []string          // what publishers send to
	MaxAge          time.Duration     // drop records older than this; 0 keeps them
	MaxBytes        int64             // drop the oldest records beyond this; 0 keeps them
	DuplicateWindow time.Duration     // how long an ID is remembered; 0 means the broker's default
	Replicas        int               // 0 means 1
	Metadata        map[string]string // kept with the log
}

// A Message is an event to be published.
type Message struct {
	Subject string // "" means the log's first subject
	ID      string // same non-empty ID within the duplicate window: the same event
	Payload []byte
	// Header is for subscribers: logs keep it, and records do not show it.
	Header map[string][]string
}

// ErrNoLog is returned by Broker for a log that does not exist.
var ErrNoLog = errors.New("no such log")

// A Broker keeps the logs.
type Broker interface {
	// CreateLog makes a log, or brings the configuration of an existing one of
	// that name in line. A subject that another log takes is an error that
	// names the other log.
	CreateLog(ctx context.Context, cfg LogConfig) (Log, error)
	// OpenLog returns an existing log, or ErrNoLog.
	OpenLog(ctx context.Context, name string) (Log, error)
	// DeleteLog removes a log and all its records. ErrNoLog if there is none.
	DeleteLog(ctx context.Context, name string) error
	// Publish appends messages in order and returns the highest sequence once
	// the log has acknowledged all of them. On an error some may have been
	// stored.
	Publish(ctx context.Context, name string, msgs []Message) (uint64, error)
	// Send gives messages, each with a subject, in order to whoever takes
	// messages of that subject. A log has acknowledged what it takes when Send
	// returns; subscribers get it at most once. Where nobody takes a message
	// it is gone. On an error some may have been taken.
	Send(ctx context.Context, msgs []Message) error
	// Heard says whether anybody takes messages of the subject now.
	Heard(subject string) bool
	// Durability is what an acknowledgement is worth, for weir.streams:
	// "always", or the interval between fsyncs, as "100ms".
	Durability() string
}
