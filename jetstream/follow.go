package jetstream

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"weir/views"
)

// To follow a log through a consumer costs its publishers much of their rate:
// the server delivers one record at a time, in a goroutine that takes turns
// with the one that stores. To look into the newest block now and then costs
// next to nothing for each record, but something for each look. So a log is
// followed through a consumer while little comes, which then is seen at once,
// and from its blocks while much comes, when there is no consumer at all.
const (
	// So many records within busyTime are much, as are those of the server's
	// blocksMin that are still to be delivered.
	busyRecords = 1000
	busyTime    = 250 * time.Millisecond

	// Fewer within quietTime are little. To change the way takes some requests to
	// the server, which a load that comes and goes is spared.
	quietRecords = 500
	quietTime    = time.Second

	// tailPoll is the time between two looks into a block that had no more.
	tailPoll = 2 * time.Millisecond

	// tailTries is how often the next record of a block is read again before
	// its damage is believed: it may have been looked at while it was written.
	tailTries = 5

	// Waits after blocks that did not tell, before they are tried again.
	doubtMin = time.Second
	doubtMax = time.Minute
)

// A follower hands over what comes to a log.
//
// INVARIANT: every record after the first and up to pos that the log held has
// been handed over once, in order, and none after pos has; whichever way it is
// read in turn, that goes on after pos.
type follower struct {
	log     *log
	created time.Time // of the log as it was first; zero before it was looked at
	pos     uint64

	since time.Time // the beginning of the time that records are counted in
	count int

	doubt time.Duration // after the last blocks; 0 if they told all there was
	after time.Time     // when blocks are tried again

	closing sync.WaitGroup // of readers that are done with
}

func (l *log) follow(ctx context.Context, after uint64, yield func([]views.Record, error) bool) {
	f := &follower{log: l, pos: after}
	defer f.closing.Wait()
	for f.consume(ctx, yield) && f.tail(ctx, yield) {
	}
}

// consume reads through a consumer until much comes; false once it is over.
func (f *follower) consume(ctx context.Context, yield func([]views.Record, error) bool) bool {
	r := newReader(ctx, f.log, f.pos, 0)
	r.created = f.created
	defer f.closing.Go(r.close) // which asks the server to
	f.since, f.count = time.Now(), 0
	for {
		batch, err := r.next()
		if err != nil {
			yield(nil, err)
			return false
		}
		if !yield(batch, nil) {
			return false
		}
		f.pos, f.created = r.pos, r.created
		if f.busy(len(batch), r.got.pending) {
			return true
		}
	}
}

// busy says whether the blocks are the better way after n more records, with so
// many to come.
func (f *follower) busy(n int, pending uint64) bool {
	now, s := time.Now(), f.log.server
	if now.Sub(f.since) > busyTime {
		f.since, f.count = now, 0
	}
	f.count += n
	much := uint64(f.count) >= min(busyRecords, s.blocksMin) || pending >= s.blocksMin
	// Where each record is synced before it is acknowledged, it is in the block
	// before that, and what is seen of it too early.
	return much && blocksKnown() && s.cfg.Sync > 0 && !now.Before(f.after)
}

// tail reads from the log's blocks until little comes, or they do not tell what
// does; false once it is over.
func (f *follower) tail(ctx context.Context, yield func([]views.Record, error) bool) bool {
	t := newTail(f)
	defer t.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	begun, since, count := f.pos, time.Now(), 0
	err := t.open(ctx)
	for err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		read := time.Now()
		var more bool
		if more, err = t.read(ctx); len(t.records) > 0 {
			f.pos, f.created = t.pos, time.Unix(0, t.created)
			count += len(t.records)
			f.log.server.fromBlocks.Add(uint64(len(t.records)))
			if !yield(t.records, nil) {
				return false
			}
		}
		if more || err != nil {
			continue
		}
		if now := time.Now(); now.Sub(since) > quietTime {
			if count < quietRecords {
				break
			}
			since, count = now, 0
		}
		timer.Reset(time.Until(read.Add(tailPoll)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return false
		case <-f.log.server.closed:
			yield(nil, f.log.stopped(f.pos, errClosed))
			return false
		}
	}
	if err := t.fault(ctx, err); err != nil {
		yield(nil, err)
		return false
	}
	f.judge(err != nil || t.torn, f.pos > begun)
	return true
}

// judge sets when blocks are tried again, after ones that left doubt or none.
func (f *follower) judge(doubt, told bool) {
	switch {
	case !doubt:
		f.doubt = 0
	case told:
		f.doubt = doubtMin
	default:
		f.doubt = min(max(2*f.doubt, doubtMin), doubtMax)
	}
	f.after = time.Now().Add(f.doubt)
}

// A tail reads the newest block of a log as it grows, and each that follows it.
type tail struct {
	*blockReader
	block
	home  *os.File // the directory of the log's blocks
	at    int64    // where the first record that was not read begins
	torn  bool     // there are bytes of a record at it, and not all
	tries int      // how often it was not as it should be
}

func newTail(f *follower) *tail {
	r := f.log.newBlockReader(f.pos, math.MaxUint64)
	if !f.created.IsZero() {
		r.created = f.created.UnixNano()
	}
	return &tail{blockReader: r}
}

func (t *tail) close() {
	t.block.close()
	if t.home != nil {
		_ = t.home.Close()
		t.home = nil
	}
}

// open opens the block that the next record is in, or will be.
func (t *tail) open(ctx context.Context) (err error) {
	if t.home, err = os.Open(t.dir); err != nil {
		return err
	}
	if err := t.look(ctx); err != nil {
		return err
	}
	t.pos = max(t.pos, t.first-1)
	list, err := blockList(t.dir)
	if err != nil {
		return err
	}
	at, ok := t.locate(list)
	if !ok {
		return errBlocks
	}
	return t.turn(list[at])
}

// turn goes on with another block.
func (t *tail) turn(index uint32) error {
	next, err := t.openBlock(index)
	if err != nil {
		return err
	}
	t.block.close()
	t.block, t.at, t.torn, t.tries = next, 0, false, 0
	// A log that was deleted, and made again, has another directory. It is
	// another for certain, since this one is still open.
	here, err := t.home.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Stat(t.dir); err != nil || !os.SameFile(here, there) {
		return errBlocks
	}
	return nil
}

// read puts the next records into t.records and says whether there may be more
// already.
func (t *tail) read(ctx context.Context) (more bool, err error) {
	t.records = t.records[:0]
	n, err := t.fetch()
	if err != nil {
		return false, err
	}
	used, next, bad := t.parse(t.key[:], t.buf[:n])
	t.at += int64(used)
	t.torn = used < n
	switch {
	case used > 0:
		if len(t.records) > 0 {
			t.pos = t.records[len(t.records)-1].Seq
		}
		t.tries = 0
		return n == len(t.buf) || bad, nil
	case !bad:
		return t.end(n)
	}
	if t.tries++; t.tries > tailTries {
		return false, errBlocks
	}
	if next > 0 { // what is missing may have been removed since
		err = t.look(ctx)
		t.pos = max(t.pos, t.first-1)
	}
	return false, err
}

// fetch reads what follows at, which may be nothing.
func (t *tail) fetch() (n int, err error) {
	for size := 0; ; size = len(t.buf) {
		if t.grow(n); len(t.buf) == size {
			return n, nil
		}
		if n, err = t.file.ReadAt(t.buf, t.at); err != nil && !errors.Is(err, io.EOF) {
			return 0, errBlocks
		}
	}
}

// end is called where the block has no whole record any more, but n bytes of
// one.
func (t *tail) end(n int) (more bool, err error) {
	if _, err := os.Stat(t.path(t.index + 1)); err == nil {
		// This one grows no more. It may have since it was read.
		now, err := t.file.Stat()
		switch {
		case err != nil:
			return false, errBlocks
		case now.Size() > t.at+int64(n):
			return true, nil
		case n > 0:
			return false, errBlocks
		}
		return true, t.turn(t.index + 1)
	}
	here, err := t.file.Stat()
	if err != nil {
		return false, errBlocks
	}
	// The server makes some blocks anew, with the same name.
	if there, err := os.Stat(t.path(t.index)); err != nil || !os.SameFile(here, there) {
		return false, errBlocks
	}
	return false, nil
}
