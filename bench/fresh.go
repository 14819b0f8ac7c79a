package main

import (
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/bench/peer"
	"weir/bench/result"
	"weir/bench/work"
)

// How long a publisher sends at one rate.
const (
	freshFor      = 5 * time.Second
	freshForBrief = 2 * time.Second
)

// replayed is the view that is replayed beside the others.
const replayed = "CREATE MATERIALIZED VIEW replayed WITH (mode = 'kappa', keep_previous = '0') AS SELECT user_id, COUNT(*) AS n FROM access GROUP BY user_id"

// shown is what a dashboard asks: its sum is the number of events that count.
const shown = "SELECT SUM(requests) FROM per_status"

// A load is what goes on while freshness is measured.
type load struct {
	name   string
	beside func(b *bench, ctx context.Context, w *peer.Weir) error // until ctx is done; may be nil
}

var loads = []load{
	{"alone", nil},
	{"batch runs one after the other", func(_ *bench, ctx context.Context, w *peer.Weir) error {
		return again(ctx, w, "REFRESH MATERIALIZED VIEW per_minute")
	}},
	{"replays one after the other", func(_ *bench, ctx context.Context, w *peer.Weir) error {
		return again(ctx, w, "REFRESH MATERIALIZED VIEW replayed")
	}},
}

// fresh measures how long it takes from a publisher's acknowledgement until a
// SELECT shows the event, with three views, at shares of the rate that the
// same views took just before.
//
// The publisher keeps to its rate whatever the server does, so a server that
// falls behind is charged with the queue.
func (b *bench) fresh(ctx context.Context, f *result.File) error {
	in, path, err := b.three()
	if err != nil {
		return err
	}
	var create []string
	for _, v := range in.Views {
		create = append(create, v.Create(in.Workload, ""))
	}
	for range b.Rounds {
		var most speed
		if err := b.quietly(func() (err error) {
			most, err = b.weirSpeed(ctx, b.Program[0], in, path, create, in.Events)
			return err
		}); err != nil {
			return err
		}
		most.add(f, result.Figure{Workload: in.Name, Contender: "weir", How: "as fast as it goes", Durability: soonSynced})
		if err := b.freshRound(ctx, f, in, path, append(slices.Clone(create), replayed), most.rate); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) freshRound(ctx context.Context, f *result.File, in *work.Input, path string, create []string, most float64) (err error) {
	data := filepath.Join(b.Dir, "fresh")
	defer func() { _ = os.RemoveAll(data) }()
	w, err := b.weir(ctx, "fresh")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	if err := w.Exec(ctx, append([]string{in.CreateStream()}, create...)...); err != nil {
		return err
	}
	// A log for the replays to read.
	if _, _, err := publishAll(ctx, publishFlags{URL: w.NATS, Subject: in.Stream, File: path, Count: in.Events}); err != nil {
		return err
	}
	if err := w.Wait(ctx, in.Stream, in.Events); err != nil {
		return err
	}
	shares, took := b.Shares, freshFor
	if b.brief {
		shares, took = []int{50}, freshForBrief
	}
	for _, share := range shares {
		rate := int64(most * float64(share) / 100)
		for _, l := range loads {
			if !strings.Contains(l.name, b.Only) {
				continue
			}
			var c freshCell
			if err := b.quietly(func() (err error) {
				c, err = l.measure(ctx, b, w, publishFlags{URL: w.NATS, Subject: in.Stream, File: path, Count: int64(took.Seconds() * float64(rate)), Rate: rate})
				return err
			}); err != nil {
				return fmt.Errorf("%s at %d %%: %w", l.name, share, err)
			}
			fig := result.Figure{
				Workload: in.Name, Contender: "weir", How: fmt.Sprintf("%s, at %d %%", l.name, share), Durability: soonSynced, Unit: "ms",
				Note: fmt.Sprintf("%s events/s, %d samples", work.Thousands(rate), len(c.waits)),
			}
			for _, m := range []struct {
				name   string
				values []float64
				at     float64
			}{{"ack to SELECT p50", c.waits, 0.5}, {"ack to SELECT p99", c.waits, 0.99}, {"publish to ack p50", c.acks, 0.5}, {"publish to ack p99", c.acks, 0.99}} {
				fig.Measure = m.name
				add(f, fig, result.Quantile(m.values, m.at))
			}
			for _, p := range []float64{0.5, 0.99} {
				fig.Measure = fmt.Sprintf("log to readers p%.0f", 100*p)
				add(f, fig, c.shown.Quantile(p)*1000)
			}
			if p99 := c.commits.Quantile(0.99); p99 > 0 {
				fig.Measure = "commit p99"
				add(f, fig, p99*1000)
			}
			if c.replayed > 0 {
				fig.Measure, fig.Unit = "replays", "events/s"
				add(f, fig, c.replayed)
			}
		}
	}
	return nil
}

// A freshCell is what was measured under one load at one rate.
type freshCell struct {
	waits, acks    []float64        // as follow returns them
	shown, commits result.Histogram // seconds, as the server measured them
	replayed       float64          // events/s
}

func (l load) measure(ctx context.Context, b *bench, w *peer.Weir, o publishFlags) (c freshCell, err error) {
	before, err := newest(ctx, w)
	if err != nil {
		return c, err
	}
	shown, commits, err := measured(ctx, w)
	if err != nil {
		return c, err
	}
	begin := time.Now()
	beside, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		if l.beside == nil {
			ended <- nil
			return
		}
		ended <- l.beside(b, beside, w)
	}()
	c.waits, c.acks, err = follow(ctx, w, o)
	during, failed := replayedSince(ctx, w, before)
	c.replayed = during / time.Since(begin).Seconds()
	stop()
	if err := errors.Join(err, failed, <-ended); err != nil {
		return c, err
	}
	c.shown, c.commits, err = measured(ctx, w)
	c.shown, c.commits = c.shown.Since(shown), c.commits.Since(commits)
	return c, err
}

// measured returns what the server has measured of itself: how long events take
// from the log to readers, and commits.
func measured(ctx context.Context, w *peer.Weir) (shown, commits result.Histogram, err error) {
	if shown, err = w.Histogram(ctx, "weir_event_shown_delay_seconds"); err == nil {
		commits, err = w.Histogram(ctx, "weir_commit_seconds")
	}
	return shown, commits, err
}

// newest returns the number of the newest job.
func newest(ctx context.Context, w *peer.Weir) (id int64, err error) {
	err = w.DB.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), 0) FROM weir.jobs").Scan(&id)
	return id, err
}

// replayedSince returns how many events the replays after a job have been
// through.
func replayedSince(ctx context.Context, w *peer.Weir, id int64) (events float64, err error) {
	err = w.DB.QueryRowContext(ctx, "SELECT COALESCE(SUM(events_done), 0) FROM weir.jobs WHERE kind = 'replay' AND id > ?", id).Scan(&events)
	return events, err
}

// again runs a statement until ctx is done, to the end of the one that runs
// then.
func again(ctx context.Context, w *peer.Weir, statement string) error {
	for ctx.Err() == nil {
		if err := w.Exec(context.WithoutCancel(ctx), statement); err != nil {
			return err
		}
	}
	return nil
}

// follow lets a publisher send, and asks what the views show for as long as
// there are acknowledged events that they have not shown. It returns, in
// milliseconds, for each of the publisher's marks, from the acknowledgement to
// the end of the SELECT that showed it, and from sending to the
// acknowledgement.
func follow(ctx context.Context, w *peer.Weir, o publishFlags) (waits, acks []float64, err error) {
	q, err := w.Open(1, true)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = q.Close() }()
	cmd := publisher(ctx, o)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	marks := make(chan ack, 1<<16)
	go readAcks(out, marks)
	var waiting []ack
	for open := true; open || len(waiting) > 0; {
		if len(waiting) == 0 {
			m, ok := <-marks
			if open = ok; ok {
				waiting = append(waiting, m)
			}
			continue
		}
		for more := true; more; {
			select {
			case m, ok := <-marks:
				if more = ok; ok {
					waiting = append(waiting, m)
				} else {
					open, marks = false, nil
				}
			default:
				more = false
			}
		}
		count, err := countShown(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		now := time.Now()
		for len(waiting) > 0 && waiting[0].seq <= count {
			m := waiting[0]
			waits = append(waits, float64(now.Sub(m.acked).Nanoseconds())/1e6)
			acks = append(acks, float64(m.acked.Sub(m.sent).Nanoseconds())/1e6)
			waiting = waiting[1:]
		}
	}
	if len(waits) == 0 {
		err = errors.New("no sample")
	}
	return waits, acks, errors.Join(err, cmd.Wait())
}

func countShown(ctx context.Context, q peer.Querier) (n int64, err error) {
	err = q.Query(ctx, shown, nil, func(row []gosql.RawBytes) error {
		n, err = strconv.ParseInt(string(row[0]), 10, 64)
		return err
	})
	return n, err
}
