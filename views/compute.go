package views

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"weir/views/column"
	"weir/views/partial"
)

// computeWorkers is how many goroutines turn records into partial states when
// a range of the log is computed. Reading it in bulk takes little beside that.
var computeWorkers = min(runtime.GOMAXPROCS(0), 8)

// copiesAhead is how many batches wait for each worker that gets copies.
const copiesAhead = 2

// compute runs the events in (after, until] through the view's pipeline into a
// table of its own. progress is told how far it is. What the log does not hold
// is counted as gaps. It goes at the pacer's speed; nil does not wait.
func (v *View) compute(ctx context.Context, after, until uint64, pace *pacer, progress func(seq, gaps uint64)) (*run, error) {
	r := &run{from: after, to: until, span: noSpan, watermark: noSpan.Max, whole: after + 1, table: partial.NewTable(v.plan.Specs())}
	if after >= until {
		return r, nil
	}
	if err := v.stream.judged(ctx, until); err != nil {
		return nil, err
	}
	workers := make([]*worker, computeWorkers)
	for i := range workers {
		var err error
		if workers[i], err = v.newWorker(); err != nil {
			return nil, err
		}
	}
	err := v.feed(ctx, r, workers, pace, progress)
	if err != nil {
		return nil, err
	}
	if r.gaps += until - r.seen; r.seen < until {
		r.whole = until + 1
	}
	r.table = workers[0].table
	for i, w := range workers {
		r.span.union(w.span)
		r.watermark = max(r.watermark, w.watermark)
		if i > 0 {
			r.table.Merge(w.table)
		}
	}
	return r, ctx.Err()
}

// feed reads the records of r's range from the log and gives them to the
// workers, as fast as pace allows. The first is called as they come, by whoever
// reads; the others have copies, as many as they keep up with. Beside live work
// there is the first alone, so that the pace is that of all the work.
func (v *View) feed(ctx context.Context, r *run, workers []*worker, pace *pacer, progress func(seq, gaps uint64)) error {
	r.seen = r.from
	group, ctx := errgroup.WithContext(ctx)
	batches := make(chan *recordCopy, copiesAhead*(len(workers)-1))
	free := make(chan *recordCopy, cap(batches)+len(workers)) // as many as there ever are
	for _, w := range workers[1:] {
		group.Go(func() error { return w.run(ctx, batches, free) })
	}
	take := func(recs []Record) error {
		if beside := pace != nil && pace.g.busy(time.Now()); !beside && len(batches) < cap(batches) {
			var c *recordCopy
			select {
			case c = <-free:
			default:
				c = &recordCopy{}
			}
			c.copyOf(recs)
			batches <- c // nobody else sends
			return ctx.Err()
		}
		if pace == nil {
			return workers[0].take(recs)
		}
		begun := time.Now()
		err := workers[0].take(recs)
		pace.took(time.Since(begun)) // what a copy takes says nothing
		return err
	}
	err := v.read(ctx, r, func(recs []Record) error {
		for len(recs) > 0 {
			if pace == nil {
				return take(recs)
			}
			n := min(len(recs), pace.step)
			if err := take(recs[:n:n]); err != nil {
				return err
			}
			recs = recs[n:]
			if pace.wait(ctx, n); ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	}, progress)
	close(batches)
	if e := group.Wait(); e != nil {
		return e
	}
	return err
}

// read gives the batches of records of r's range to take, and counts gaps.
func (v *View) read(ctx context.Context, r *run, take func([]Record) error, progress func(seq, gaps uint64)) error {
	for recs, err := range v.stream.log.Read(ctx, r.from, r.to) {
		if err != nil {
			return fmt.Errorf("read the log after sequence %d: %w", r.seen, err)
		}
		before := r.seen
		for i := range recs {
			if recs[i].Seq != before+1 {
				r.whole = recs[i].Seq
			}
			before = recs[i].Seq
		}
		last := &recs[len(recs)-1]
		r.gaps += last.Seq - r.seen - uint64(len(recs))
		r.seen, r.time = last.Seq, last.Time
		if err := take(recs); err != nil {
			return err
		}
		progress(r.seen, r.gaps)
	}
	return ctx.Err()
}

// A worker turns records into partial states.
type worker struct {
	view      *View
	decoder   *decoder
	pipe      *pipeline
	batch     column.Batch
	table     *partial.Table
	span      span
	watermark int64
}

func (v *View) newWorker() (*worker, error) {
	d, err := newDecoder(v.stream.plan, v.plan.Reads)
	if err != nil {
		return nil, err
	}
	return &worker{
		view: v, decoder: d, pipe: newPipeline(v.plan), table: partial.NewTable(v.plan.Specs()),
		span: noSpan, watermark: math.MinInt64,
	}, nil
}

// run takes batches until there are no more, or ctx is done. They go to free.
func (w *worker) run(ctx context.Context, batches <-chan *recordCopy, free chan<- *recordCopy) error {
	for c := range batches {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := w.take(c.recs); err != nil {
			return err
		}
		free <- c
	}
	return nil
}

func (w *worker) take(recs []Record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.view.log().Error("computing a view failed", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error while computing view %s: %v", w.view.Def().Name, p)
		}
	}()
	w.decoder.decode(recs, &w.batch)
	w.view.stream.dedup.skip(recs, &w.batch)
	w.pipe.add(w.table, &w.batch, 0)
	span, watermark := w.decoder.times(recs, &w.batch, 0)
	w.span.union(span)
	w.watermark = max(w.watermark, watermark)
	return nil
}

// A recordCopy is records that stay as they are when those of the log do not.
type recordCopy struct {
	recs []Record
	buf  []byte
}

// copyOf makes c that of recs, in the memory that it has.
func (c *recordCopy) copyOf(recs []Record) {
	size := 0
	for i := range recs {
		size += len(recs[i].Subject) + len(recs[i].ID) + len(recs[i].Payload)
	}
	buf := slices.Grow(c.buf[:0], size)
	var subject, own string // of neighbours it is mostly the same
	text := func(s string) string {
		if s == "" {
			return ""
		}
		at := len(buf)
		buf = append(buf, s...)
		return unsafe.String(&buf[at], len(s)) // buf is not written again there while it is in use
	}
	c.recs = slices.Grow(c.recs[:0], len(recs))[:len(recs)]
	for i := range recs {
		r, to := &recs[i], &c.recs[i]
		if i == 0 || r.Subject != subject {
			subject, own = r.Subject, text(r.Subject)
		}
		to.Seq, to.Time, to.Subject, to.ID = r.Seq, r.Time, own, text(r.ID)
		at := len(buf)
		buf = append(buf, r.Payload...)
		to.Payload = buf[at:len(buf):len(buf)]
	}
	c.buf = buf
}
