package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"weir/internal/terminal"
	"weir/jetstream/publisher"
)

const (
	// saveEvery is how old the mark may be when a line is published, and so how
	// much of the log the next run must look through after a crash.
	saveEvery = time.Second
	// saveLimit is how long the server may be away before a run ends, as it is
	// for the acknowledgement of an event.
	saveLimit = time.Minute
	// saveRetry is the pause between two attempts to set a mark.
	saveRetry = 100 * time.Millisecond
	// endLimit bounds what a run still does that is interrupted.
	endLimit = 10 * time.Second
	// flightBytes bounds what is published and not acknowledged; the client
	// bounds how many events that is. The server's queue for a log holds 128 MiB.
	flightBytes = 32 << 20
	// idBytes bounds an event's ID.
	idBytes = 64
)

// A feed publishes the lines of one source.
//
// INVARIANT: queue[head:] holds the lines behind position that were read, in
// their order. The first of them, if there is one, waits for its
// acknowledgement.
type feed struct {
	l      *loader
	src    *source
	text   *text
	unread bool      // text is at its beginning
	reader io.Reader // of the lines from position on

	file     string // its part of the IDs
	mark     found  // as it was found; no key where there is none
	revision uint64 // of the mark as this run has set it last
	saved    time.Time
	rescan   bool // all of the log is to be read for the file's IDs

	seen     []int64 // ends of lines behind the mark that are in the log, sorted
	seenAt   int     // those before are passed
	redo     int64   // a line that ends up to here was published when it had no end
	position position
	queue    []queued
	head     int
	flight   int // bytes of the events in queue
}

// A position is a place between two lines.
type position struct {
	offset int64
	lines  int64  // before it
	events int64  // of these
	cut    int64  // length of the last line if it is an event and had no end
	tail   []byte // what stands before; at most a few times tailSize
	seq    uint64 // highest of the events
}

// A queued is a line that was read.
type queued struct {
	line
	from  uint64 // mark.From as long as this is the first in queue
	event bool   // the log has it, or will have
	done  bool   // it needs no acknowledgement
}

func newFeed(l *loader, s *source, t *text) *feed {
	return &feed{l: l, src: s, text: t, unread: true, reader: t}
}

// rewind puts the text at its beginning.
func (f *feed) rewind(ctx context.Context) (err error) {
	if f.unread {
		return nil
	}
	if !f.src.again {
		return errors.New("it cannot be read again from its beginning: run this again")
	}
	f.text.close()
	f.text, err = f.src.open(ctx, &f.l.show.read)
	f.unread, f.reader = err == nil, f.text
	return err
}

// begin goes on from a mark.
func (f *feed) begin(m found, rest io.Reader, tail []byte) {
	f.file, f.mark, f.revision, f.reader, f.redo, f.rescan = m.id(), m, m.revision, rest, m.Offset, false
	f.position = position{offset: m.Offset - m.Cut, lines: m.Lines, events: m.Events, tail: tail, seq: m.Seq}
	if m.Cut > 0 {
		f.position.lines--
		f.position.events--
	}
}

// beginAgain begins at the beginning, of the text and of the log.
func (f *feed) beginAgain(m found) {
	f.file, f.mark, f.revision, f.redo, f.rescan = m.id(), m, m.revision, 0, true
	f.mark.From = 0
	f.position = position{}
}

// lookBack reads from the log which lines behind the mark it has. The mark must
// be this run's, so that there will be no more of them.
func (f *feed) lookBack(ctx context.Context) error {
	if f.rescan {
		f.l.show.note("%s: the log has lost what was published last; looking through all of it", f.src.name)
	} else if f.mark.Run == "" {
		return nil // the last run has seen all its acknowledgements
	}
	until := f.mark.at.Add(lastWords)
	for stored, err := range f.l.client.Stored(ctx, f.l.log.Name, f.mark.From) {
		if err != nil {
			return err
		}
		if !f.rescan && stored.Time.After(until) {
			break
		}
		if end, ok := lineEnd(f.file, stored.ID); ok {
			f.seen = append(f.seen, end)
			f.position.seq = max(f.position.seq, stored.Seq)
		}
	}
	slices.Sort(f.seen)
	return nil
}

// publish publishes the lines behind the position, and returns when they are
// acknowledged and the mark says so. When ctx is done it does so with those
// under way.
func (f *feed) publish(ctx context.Context) error {
	f.l.feed = f
	f.l.already.Add(uint64(f.position.events))
	err := f.publishLines(ctx)
	interrupted := ctx.Err() != nil
	if interrupted {
		err = nil // broken off, by whatever noticed first
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), endLimit)
		defer cancel()
	}
	if flushed := f.l.client.Flush(ctx); err == nil {
		err = flushed
	}
	atRest := f.head == len(f.queue) && f.passed()
	if saved := f.save(ctx, atRest); err == nil {
		err = saved
	}
	if err != nil || !interrupted {
		return err
	}
	how := "the same command goes on from there"
	if f.mark.key == "" {
		how = "the next run will publish all of it again, since it has no name (see --as)"
	}
	return fmt.Errorf("interrupted after line %s; %s", terminal.Group(f.position.lines), how)
}

// publishLines publishes until the source ends.
func (f *feed) publishLines(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan []line, batchesAhead)
	ended := make(chan error, 1)
	reader := lineReader{
		r: bufio.NewReaderSize(f.reader, readSize), max: f.l.client.MaxPayload() - idBytes,
		at: f.position.offset, n: f.position.lines,
	}
	go func() {
		defer close(batches)
		ended <- reader.batches(ctx, batches)
	}()
	err := f.consume(ctx, batches)
	cancel()
	for range batches { // until it has ended
		continue
	}
	if readErr := <-ended; err == nil && !errors.Is(readErr, context.Canceled) {
		err = readError(readErr)
	}
	return err
}

// consume publishes the lines of batches until there are no more. While there
// are none for the time being, it keeps the mark up to date.
func (f *feed) consume(ctx context.Context, batches <-chan []line) error {
	idle := time.NewTicker(saveEvery)
	defer idle.Stop()
	for {
		select {
		case batch, ok := <-batches:
			if !ok {
				return nil
			}
			for _, one := range batch {
				if err := f.take(ctx, one); err != nil {
					return err
				}
			}
			idle.Reset(saveEvery)
		case <-idle.C:
			if err := f.l.client.Flush(ctx); err != nil {
				return err
			}
			if err := f.save(ctx, false); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take publishes a line, or finds out why not to.
func (f *feed) take(ctx context.Context, one line) error {
	switch {
	case one.long:
		f.l.skipped.Add(1)
		size := terminal.Group(one.end - one.start)
		f.l.show.note("%s:%d: the line has %s bytes, more than an event may have; skipped", f.src.name, one.number, size)
		if f.l.cfg.Strict {
			return fmt.Errorf("line %d is too long for an event, and --strict was asked for", one.number)
		}
		return f.pass(one, false)
	case one.blank():
		return f.pass(one, false)
	case one.end <= f.redo, f.has(one.end):
		f.l.already.Add(1)
		return f.pass(one, true)
	case one.start < f.redo:
		f.l.show.note("%s:%d: the line was longer than when it was published last; published again", f.src.name, one.number)
	}
	if err := f.l.pace.wait(ctx); err != nil {
		return err
	}
	if time.Since(f.saved) >= saveEvery {
		if err := f.save(ctx, false); err != nil {
			return err
		}
	}
	return f.send(ctx, one)
}

// pass takes a line that is not to be published.
func (f *feed) pass(one line, event bool) error {
	f.queue = append(f.queue, queued{line: one, event: event, done: true})
	f.advance()
	return nil
}

// send publishes a line.
func (f *feed) send(ctx context.Context, one line) error {
	if f.flight > flightBytes {
		if err := f.l.client.Flush(ctx); err != nil {
			return err
		}
	}
	f.queue = append(f.queue, queued{line: one, event: true, from: f.from()})
	f.flight += len(one.text)
	err := f.l.client.Publish(ctx, publisher.Event{Subject: f.l.subject, ID: eventID(f.file, one.end), Payload: one.text})
	if err != nil { // it was not sent
		f.queue = f.queue[:len(f.queue)-1]
		f.flight -= len(one.text)
	}
	return err
}

// acknowledged takes the log's acknowledgement of the first line in queue.
func (f *feed) acknowledged(ack publisher.Ack) {
	first := &f.queue[f.head]
	first.done = true
	f.flight -= len(first.text)
	f.position.seq = max(f.position.seq, ack.Seq)
	f.advance()
}

// advance moves the position over the lines that are done.
func (f *feed) advance() {
	for f.head < len(f.queue) && f.queue[f.head].done {
		one := &f.queue[f.head]
		p := &f.position
		p.offset, p.lines, p.cut = one.next, one.number, 0
		if one.event {
			p.events++
		}
		if one.event && one.cut {
			p.cut = one.next - one.start
		}
		if one.long {
			p.tail = p.tail[:0]
		}
		if p.tail = append(p.tail, one.raw...); len(p.tail) > 16*tailSize {
			p.tail = append(p.tail[:0], last(p.tail, tailSize)...)
		}
		*one = queued{}
		f.head++
	}
	if f.head == len(f.queue) {
		f.queue, f.head = f.queue[:0], 0
	} else if f.head > len(f.queue)/2 {
		n := copy(f.queue, f.queue[f.head:])
		clear(f.queue[n:])
		f.queue, f.head = f.queue[:n], 0
	}
}

// has reports whether the log was found to have the line that ends at an
// offset. It is asked in the order of the lines.
func (f *feed) has(end int64) bool {
	for f.seenAt < len(f.seen) && f.seen[f.seenAt] < end {
		f.seenAt++
	}
	if f.seenAt == len(f.seen) || f.seen[f.seenAt] != end {
		return false
	}
	f.seenAt++
	return true
}

// passed reports whether no more lines are to come that the log was found to
// have.
func (f *feed) passed() bool { return f.seenAt == len(f.seen) }

// from is a sequence that a line which is sent now will stand behind, and all
// lines after it.
func (f *feed) from() uint64 {
	if !f.passed() {
		return f.mark.From
	}
	return max(f.mark.From, f.position.seq)
}

// save sets the mark to the position. After a run that is at rest the next one
// need not look back.
func (f *feed) save(ctx context.Context, atRest bool) error {
	if f.mark.key == "" {
		return nil
	}
	value, err := json.Marshal(f.now(atRest))
	if err != nil {
		return err
	}
	begun := time.Now()
	for {
		at := time.Now()
		revision, err := f.l.client.SetMark(ctx, f.mark.key, value, f.revision)
		if errors.Is(err, publisher.ErrMarkChanged) {
			if revision, err = f.adopt(ctx, value); err == nil && revision == 0 {
				continue // an attempt that seemed to fail had set it
			}
		}
		if err == nil {
			f.revision, f.saved = revision, at
			return nil
		}
		if ctx.Err() != nil || time.Since(begun) > saveLimit || errors.Is(err, errAgain) || errors.Is(err, errBusy) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(saveRetry):
		}
	}
}

// now is the mark at the position.
func (f *feed) now(atRest bool) mark {
	p, m := &f.position, f.mark.mark
	tail := last(p.tail, tailSize)
	m.Source, m.By, m.Run = f.src.name, here(), f.l.run
	m.Tail, m.TailLen = digest(tail), len(tail)
	m.Offset, m.Lines, m.Events, m.Cut, m.Seq = p.offset, p.lines, p.events, p.cut, p.seq
	m.From = f.from()
	if f.head < len(f.queue) {
		m.From = f.queue[f.head].from
	}
	if atRest {
		m.Run = ""
	}
	return m
}

// adopt looks at a mark that is not as this run has set it last. If an attempt
// has succeeded whose answer was lost, it returns the mark's revision if the
// attempt was of value, and else 0 after taking it over. Otherwise the mark is
// another run's, which is an error.
func (f *feed) adopt(ctx context.Context, value []byte) (uint64, error) {
	now, err := f.l.client.Mark(ctx, f.mark.key)
	if err != nil {
		return 0, err
	}
	if bytes.Equal(now.Value, value) {
		return now.Revision, nil
	}
	var m mark
	if err := json.Unmarshal(now.Value, &m); err == nil && m.Run == f.l.run {
		f.revision = now.Revision
		return 0, nil
	}
	return 0, taken(now)
}

// errBusy says that another run is at work on a source.
var errBusy = errors.New("another run is publishing it")

// taken is what it means that another run has set the mark.
func taken(now publisher.Mark) error {
	var m mark
	if err := json.Unmarshal(now.Value, &m); err == nil && m.Run == "" {
		return errAgain
	}
	return fmt.Errorf("%w (%s): let that one end", errBusy, m.By)
}
