// Command ab-test is the worked example of the Lambda architecture: a shop has
// run an A/B test for three days and is to decide today. The batch layer takes
// in the access log every 3 hours, the speed layer keeps a day. So the result
// is the batch layer (2 days and 21 hours) and the speed layer (3 hours).
//
// It starts a weir in a temporary directory, publishes the three days to it
// over the network, and drives the clock of the batch layer along, so that they
// pass in seconds. Then it shows what each layer has, and the result of the
// test. It fails if that is not what it has counted itself.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"weir/internal/fault"
	"weir/jetstream/publisher"
	"weir/server"
	"weir/views"
)

const (
	// eventsDefault is enough to tell the variants apart.
	eventsDefault = 100_000
	// eventsMin gives every batch run something to do.
	eventsMin = 10_000
	// seedDefault is that of the output in README.md.
	seedDefault = 1
)

//go:embed schema.sql
var schema string

// An options is what the command line says.
type options struct {
	events int
	seed   uint64
}

func (o *options) flags() *flag.FlagSet {
	f := flag.NewFlagSet("ab-test", flag.ExitOnError)
	f.IntVar(&o.events, "events", eventsDefault, fmt.Sprintf("how many requests the three days have, at least %d", eventsMin))
	f.Uint64Var(&o.seed, "seed", seedDefault, "of the generated requests")
	return f
}

func main() {
	var o options
	_ = o.flags().Parse(os.Args[1:]) // it exits by itself
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ab-test:", err)
		os.Exit(1)
	}
}

// run shows the test. It returns an error if what weir answers is not what the
// generator has made.
func run(ctx context.Context, out io.Writer, o options) (err error) {
	if o.events < eventsMin {
		return fmt.Errorf("-events must be at least %d", eventsMin)
	}
	dir, err := os.MkdirTemp("", "weir-ab-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	defer fault.Reset()
	clock := views.NewManualClock(begin)
	i, err := server.Start(ctx, server.Config{
		Dir:    filepath.Join(dir, "data"),
		MySQL:  "127.0.0.1:0",
		NATS:   "127.0.0.1:0",
		HTTP:   "127.0.0.1:0",
		Schema: []server.Script{{Name: "examples/ab-test/schema.sql", Text: schema}},
		Sync:   100 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler), // it would tell of the batch run that fails on purpose
		Clock:  clock,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Stop()) }()
	c, err := connect(i.Endpoints().MySQL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	p, err := publisher.Dial(publisher.Config{URL: i.Endpoints().NATS})
	if err != nil {
		return err
	}
	defer p.Close()

	t := newTrial(out, c, p, clock, o)
	if err := t.pass(ctx); err != nil {
		return err
	}
	return t.report(ctx)
}
