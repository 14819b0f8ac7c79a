// Command late-events shows what late events do to a system that joins batch
// and live data at a point in time, and what weir answers, which joins them at a
// point in the log.
//
// It starts a weir in a temporary directory, publishes a morning's orders to it
// over the network, 3 % of them late, runs a batch now and then, and compares
// three answers with the truth, hour by hour. It fails if weir's is another.
package main

import (
	"context"
	gosql "database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"weir/jetstream/publisher"
	"weir/server"
)

const (
	// ordersMade is enough for every hour to have some that are hours late.
	ordersMade = 30_000
	// overlap is how far live data reaches back behind the cut, for late orders,
	// where a system keeps some.
	overlap = 30 * time.Minute
	// waitSeconds bounds the wait for the view to take in what was published.
	waitSeconds = 30
)

// batches are when batch runs begin, by the clock of the log. The last one is
// where the other systems cut.
var batches = []time.Duration{2 * time.Hour, 4 * time.Hour}

//go:embed schema.sql
var schema string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, ordersMade)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "late-events:", err)
		os.Exit(1)
	}
}

// run shows n orders. It returns an error if weir's answer is not the truth.
func run(ctx context.Context, out io.Writer, n int) (err error) {
	dir, err := os.MkdirTemp("", "weir-late-events-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	i, err := server.Start(ctx, server.Config{
		Dir:    filepath.Join(dir, "data"),
		MySQL:  "127.0.0.1:0",
		NATS:   "127.0.0.1:0",
		HTTP:   "127.0.0.1:0",
		Schema: []server.Script{{Name: "examples/late-events/schema.sql", Text: schema}},
		Sync:   100 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Stop()) }()
	s, err := openShop(i.Endpoints())
	if err != nil {
		return err
	}
	defer s.close()
	return s.show(ctx, out, makeOrders(n))
}

// A shop publishes orders, and asks for sums as any MySQL client does.
type shop struct {
	log *publisher.Publisher
	db  *gosql.DB
}

func openShop(ends server.Endpoints) (*shop, error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.DBName = "tcp", ends.MySQL, "root", "analytics"
	cfg.InterpolateParams, cfg.ParseTime = true, true
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	log, err := publisher.Dial(publisher.Config{URL: ends.NATS})
	if err != nil {
		return nil, err
	}
	return &shop{log, gosql.OpenDB(connector)}, nil
}

func (s *shop) close() {
	s.log.Close()
	_ = s.db.Close()
}

// show publishes the orders as they arrive, with a batch run at each of its
// times, and prints the answers. weir must be right before and after each run too.
func (s *shop) show(ctx context.Context, out io.Writer, all []order) error {
	published := 0
	for _, at := range batches {
		until := arrivedBy(all, at)
		if err := s.publish(ctx, all[published:until]); err != nil {
			return err
		}
		published = until
		if err := s.check(ctx, all[:published]); err != nil {
			return err
		}
		if _, err := s.db.ExecContext(ctx, "REFRESH MATERIALIZED VIEW orders_by_hour"); err != nil {
			return err
		}
		if err := s.check(ctx, all[:published]); err != nil {
			return err
		}
	}
	if err := s.publish(ctx, all[published:]); err != nil {
		return err
	}
	weir, err := s.read(ctx)
	if err != nil {
		return err
	}
	printTable(out, all, weir)
	return compare(weir.merged, truth(all))
}

// publish returns when the log has acknowledged the orders and the view has
// taken them in.
func (s *shop) publish(ctx context.Context, some []order) error {
	for _, o := range some {
		if err := s.log.Publish(ctx, publisher.Event{Subject: "orders", Payload: o.payload()}); err != nil {
			return err
		}
	}
	if err := s.log.Flush(ctx); err != nil {
		return err
	}
	var reached bool
	err := s.db.QueryRowContext(ctx, "SELECT WAIT_FOR_SEQ('orders', ?, ?)", s.log.Progress().LastSeq, waitSeconds).Scan(&reached)
	if err == nil && !reached {
		err = fmt.Errorf("the view has not taken in the orders within %d s", waitSeconds)
	}
	return err
}

// layers are what weir has in the view and its two layers.
type layers struct{ batch, speed, merged sums }

// layersQuery is one statement, so that all three are read at one sequence. Of
// the speed layer it has what no batch run has covered.
const layersQuery = `SELECT 'batch' AS layer, hour, orders, cents FROM orders_by_hour_batch
UNION ALL SELECT 'speed', hour, SUM(orders), SUM(cents) FROM orders_by_hour_speed WHERE __serving GROUP BY hour
UNION ALL SELECT 'merged', hour, orders, cents FROM orders_by_hour`

func (s *shop) read(ctx context.Context) (l layers, err error) {
	rows, err := s.db.QueryContext(ctx, layersQuery)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	of := map[string]*sums{"batch": &l.batch, "speed": &l.speed, "merged": &l.merged}
	for rows.Next() {
		var layer string
		var hour time.Time
		var orders, cents int
		if err := rows.Scan(&layer, &hour, &orders, &cents); err != nil {
			return l, err
		}
		h := int(hour.Sub(midnight) / time.Hour)
		if h < 0 || h >= hours || !hour.Equal(midnight.Add(time.Duration(h)*time.Hour)) {
			return l, fmt.Errorf("weir has a row for %s, when no hour began", hour)
		}
		of[layer].orders[h], of[layer].cents[h] = orders, cents
	}
	return l, rows.Err()
}

// check returns an error if weir's answer is not the truth of what has arrived.
func (s *shop) check(ctx context.Context, arrived []order) error {
	l, err := s.read(ctx)
	if err != nil {
		return err
	}
	return compare(l.merged, truth(arrived))
}

// compare returns an error if weir's answer is not the truth.
func compare(weir, truth sums) error {
	for h := range hours {
		if weir.orders[h] != truth.orders[h] || weir.cents[h] != truth.cents[h] {
			return fmt.Errorf("at %s weir counts %d orders of %d cents together, but there were %d of %d cents",
				clock(time.Duration(h)*time.Hour), weir.orders[h], weir.cents[h], truth.orders[h], truth.cents[h])
		}
	}
	return nil
}

// printTable prints the answers to how many orders each hour had.
func printTable(out io.Writer, all []order, weir layers) {
	cut := batches[len(batches)-1]
	exact := truth(all)
	plain, overlapping := joinedInTime(all, cut, 0), joinedInTime(all, cut, overlap)
	fmt.Fprintf(out, "Orders by hour. The last batch ran at %s; -n orders are lost, +n are counted twice.\n\n", clock(cut))
	fmt.Fprintf(out, "hour    truth   cut in time       with an overlap         weir = batch + speed\n")
	line := func(name string, of func([hours]int) int) {
		fmt.Fprintf(out, "%-6s %6d  %6d %-8s  %6d %-13s %6d  %6d  %6d\n", name, of(exact.orders),
			of(plain.orders), marks(of(plain.lost), of(plain.twice)),
			of(overlapping.orders), marks(of(overlapping.lost), of(overlapping.twice)),
			of(weir.merged.orders), of(weir.batch.orders), of(weir.speed.orders))
	}
	for h := range hours {
		line(clock(time.Duration(h)*time.Hour), func(all [hours]int) int { return all[h] })
	}
	line("all", total)
	fmt.Fprintf(out, "\nA cut in time loses %d orders. With an overlap of %v minutes it loses %d and counts %d twice.\n",
		total(plain.lost), overlap.Minutes(), total(overlapping.lost), total(overlapping.twice))
	if weir.merged == exact {
		fmt.Fprintf(out, "weir has every order of every hour once, and the sums are right to the cent.\n")
	}
}

// marks shows what an answer has lost and counted twice.
func marks(lost, twice int) string {
	var parts []string
	if lost > 0 {
		parts = append(parts, fmt.Sprintf("-%d", lost))
	}
	if twice > 0 {
		parts = append(parts, fmt.Sprintf("+%d", twice))
	}
	return strings.Join(parts, " ")
}

func clock(t time.Duration) string { return midnight.Add(t).Format("15:04") }
