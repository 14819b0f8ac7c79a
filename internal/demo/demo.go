// Package demo shows weir at work: a whole server in a temporary directory,
// made-up traffic published over the network, and a table of what the batch
// layer, the speed layer and the merged view say about it.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	accesslog "weir/examples/access-log"
	"weir/internal/terminal"
	"weir/internal/traffic"
	"weir/jetstream/publisher"
	"weir/server"
)

const (
	// items is how many items the shop has, and visitors how many people look.
	items, visitors = 40, 20_000
	// publishEvery is the pause between two bursts of events.
	publishEvery = 10 * time.Millisecond
	// endTimeout bounds the work after the traffic has stopped.
	endTimeout = 10 * time.Second
	// subject is where the log of the example takes its events from.
	subject = "access_log"
)

// A Config says what to show, and where.
type Config struct {
	Duration time.Duration // 0 means until ctx is done
	Rate     int           // events a second
	Version  string
	Out      io.Writer // a table that refreshes if this is a terminal, else lines
	Logger   *slog.Logger
}

// Run shows the demo until its time is over or ctx is done, then checks that
// the views account for every event that was acknowledged.
func Run(ctx context.Context, cfg Config) (err error) {
	if cfg.Rate < 1 {
		return errors.New("--rate must be at least 1")
	}
	dir, err := os.MkdirTemp("", "weir-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	i, err := start(ctx, cfg, filepath.Join(dir, "data"))
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, i.Stop()) }()
	return show(ctx, cfg, i.Endpoints(), dir)
}

// start starts a server that outlives ctx, so that there is something to show
// at the end; only the start itself ends with ctx.
func start(ctx context.Context, cfg Config, dir string) (*server.Instance, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, end)
	defer unhook()
	return server.Start(life, server.Config{
		Dir:     dir,
		MySQL:   "127.0.0.1:0",
		NATS:    "127.0.0.1:0",
		HTTP:    "127.0.0.1:0",
		Schema:  []server.Script{{Name: "examples/access-log/schema.sql", Text: accesslog.Schema}},
		Sync:    100 * time.Millisecond,
		Version: cfg.Version,
		Logger:  cfg.Logger,
	})
}

// show publishes and displays side by side.
func show(ctx context.Context, cfg Config, ends server.Endpoints, dir string) error {
	p, err := publisher.Dial(publisher.Config{URL: ends.NATS})
	if err != nil {
		return err
	}
	defer p.Close()
	r, err := openReader(ends.MySQL)
	if err != nil {
		return err
	}
	defer r.Close()
	d := &display{out: cfg.Out, live: terminal.Is(cfg.Out), ends: ends, dir: dir}

	work, stop := context.WithCancel(ctx)
	if cfg.Duration > 0 {
		work, stop = context.WithTimeout(ctx, cfg.Duration)
	}
	defer stop()
	g, work := errgroup.WithContext(work)
	g.Go(func() error { return publish(work, p, cfg.Rate) })
	g.Go(func() error { return refresh(work, d, r, p) })
	if err := g.Wait(); err != nil {
		return err
	}
	return finish(context.WithoutCancel(ctx), d, r, p)
}

// publish sends traffic at the rate given until ctx is done.
func publish(ctx context.Context, p *publisher.Publisher, rate int) error {
	g := traffic.New(1, items, visitors)
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	begun := time.Now()
	for n := 0; ; {
		due := int(time.Since(begun).Seconds() * float64(rate))
		for ; n < due && ctx.Err() == nil; n++ {
			event := publisher.Event{Subject: subject, ID: strconv.Itoa(n), Payload: g.Append(nil)}
			if err := p.Publish(ctx, event); err != nil && ctx.Err() == nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// refresh displays what the views say until ctx is done.
func refresh(ctx context.Context, d *display, r *reader, p *publisher.Publisher) error {
	tick := time.NewTicker(d.interval())
	defer tick.Stop()
	for {
		s, err := r.read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = s.check()
		}
		if err != nil {
			return err
		}
		d.show(s, p.Progress())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// finish shows the views once more when they have taken everything in, and
// returns an error if they do not account for it.
func finish(ctx context.Context, d *display, r *reader, p *publisher.Publisher) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if err := p.Flush(ctx); err != nil {
		return err
	}
	done := p.Progress()
	if err := r.await(ctx, done.LastSeq); err != nil {
		return err
	}
	s, err := r.read(ctx)
	if err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	if total := s.minutes.total(); total.merged != int64(done.Acked) {
		return fmt.Errorf("the views count %d events, but the log acknowledged %d", total.merged, done.Acked)
	}
	d.last(s, done)
	return nil
}
