package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"weir/internal/fault"
	"weir/jetstream/publisher"
	"weir/views"
)

const (
	// batchEvery, speedKept and viewCount are what schema.sql says.
	batchEvery = 3 * time.Hour
	speedKept  = 24 * time.Hour
	viewCount  = 2
	// retryAfter is how long weir waits before it tries a batch run again that
	// has failed once.
	retryAfter = time.Second
)

// lastBatch is when the last batch run begins: 2 days and 21 hours.
var lastBatch = end.Add(-batchEvery)

// A trial is the A/B test while it runs.
type trial struct {
	out   io.Writer
	sql   *client
	log   *publisher.Publisher
	clock *views.ManualClock
	seed  uint64

	all   []request  // in the order of the log: that with sequence s is all[s-1]
	lines *rand.Rand // for what does not matter in them
	cut   int        // those up to all[cut-1] are in the batch layer
	sent  int        // those up to all[sent-1] are published

	failure bytes.Buffer // what was seen of the batch run that failed
}

func newTrial(out io.Writer, c *client, p *publisher.Publisher, clock *views.ManualClock, o options) *trial {
	return &trial{
		out: out, sql: c, log: p, clock: clock, seed: o.seed,
		all: makeRequests(o.events, o.seed), lines: rand.New(rand.NewPCG(o.seed, 2)),
	}
}

// pass lets the three days pass, hour by hour.
func (t *trial) pass(ctx context.Context) error {
	fmt.Fprintf(t.out, "A/B test of %d days from %s: %s requests (seed %d)\n",
		testDays, begin.Format(time.DateOnly), group(len(t.all)), t.seed)
	fmt.Fprintf(t.out, "a batch run every %.0f h, the speed layer keeps a day\n\n", batchEvery.Hours())
	for now := begin.Add(time.Hour); now.Before(end); now = now.Add(time.Hour) {
		if err := t.publishUntil(ctx, now); err != nil {
			return err
		}
		if now.Equal(lastBatch) {
			fault.Set("batch.compute:ab_test", 1)
		}
		t.clock.Set(now)
		if now.Sub(begin)%batchEvery != 0 {
			continue
		}
		if err := t.awaitBatch(ctx, now); err != nil {
			return err
		}
	}
	if err := t.publishUntil(ctx, end); err != nil {
		return err
	}
	// At the end the next batch run would begin.
	t.clock.Set(end.Add(-time.Second))
	return nil
}

// publishUntil publishes what arrives before now, and returns when the views
// have taken it in.
func (t *trial) publishUntil(ctx context.Context, now time.Time) error {
	for ; t.sent < len(t.all) && t.all[t.sent].arrives.Before(now); t.sent++ {
		event := publisher.Event{
			Subject: "access_log", ID: strconv.Itoa(t.sent),
			Payload: t.all[t.sent].appendLine(nil, t.lines),
		}
		if err := t.log.Publish(ctx, event); err != nil {
			return err
		}
	}
	if err := t.log.Flush(ctx); err != nil {
		return err
	}
	if last := t.log.Progress().LastSeq; last != uint64(t.sent) {
		return fmt.Errorf("published %d requests, but the log's last sequence is %d", t.sent, last)
	}
	return t.sql.await(ctx, uint64(t.sent))
}

// awaitBatch returns when the batch runs of the time now are done, and the
// events published before it are in the batch layer.
func (t *trial) awaitBatch(ctx context.Context, now time.Time) error {
	from, to := uint64(t.cut+1), uint64(t.sent)
	if now.Equal(lastBatch) {
		if err := t.sql.awaitRuns(ctx, 1, views.StateFailed, from, to); err != nil {
			return err
		}
		if err := t.seeFailure(ctx); err != nil {
			return err
		}
		t.clock.Set(now.Add(retryAfter))
	}
	if err := t.sql.awaitRuns(ctx, viewCount, views.StateDone, from, to); err != nil {
		return err
	}
	t.cut = t.sent
	return nil
}
