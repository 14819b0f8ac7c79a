package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// realDataLimit bounds the test of one data set, under the race detector too.
const realDataLimit = 3 * time.Minute

// TestRealData publishes each data set, runs the batch layer while events
// flow, and reads what every other program that computed it has found.
func TestRealData(t *testing.T) {
	dataDir(t)
	for _, d := range datasets {
		t.Run(d.name, func(t *testing.T) {
			if raceEnabled && d.large {
				t.Skip("too many events for the race detector, which slows the server tenfold; the other sets have every kind")
			}
			if testing.Short() && d != &apache {
				t.Skip("-short: one data set")
			}
			ctx, cancel := context.WithTimeout(t.Context(), realDataLimit)
			defer cancel()
			realData(ctx, t, d)
		})
	}
}

func realData(ctx context.Context, t *testing.T, d *dataset) {
	s := newServer(ctx, t)
	c := newClient(t, s)
	c.exec(ctx, d.create())
	for _, v := range d.views {
		c.exec(ctx, v.lambda(""))
		c.exec(ctx, v.kappa())
	}
	events := d.events(t)
	publishAround(ctx, t, s, d, events, func() {
		for _, v := range d.views {
			c.exec(ctx, "REFRESH MATERIALIZED VIEW "+v.name)
			c.exec(ctx, "REFRESH MATERIALIZED VIEW "+v.name+kappa)
		}
	})
	c.wait(ctx, d.stream, uint64(len(events)))
	all(ctx, t, c, d)
	for _, v := range d.views {
		layers(ctx, t, c, d, &v, uint64(len(events)))
	}
	deadLetters(ctx, t, c, d, events)

	s.stop()
	s.start(ctx)
	all(ctx, t, c, d)
	for _, v := range d.views[:2] {
		c.exec(ctx, "REFRESH MATERIALIZED VIEW "+v.name+" FULL")
	}
	all(ctx, t, c, d)
}

// publishAround publishes the events in their order and calls during once a
// half of them is acknowledged, while others flow. The last quarter comes when
// during has returned.
func publishAround(ctx context.Context, t *testing.T, s *server, d *dataset, events []event, during func()) {
	t.Helper()
	p := newPublisher(t, s, d.subject, 4096, ackLimit)
	half := make(chan struct{})
	p.onAck = func(acked uint64) {
		if acked == uint64(len(events)+1)/2 {
			close(half)
		}
	}
	most := len(events) * 3 / 4
	published := make(chan error, 1)
	go func() { published <- p.publish(ctx, events[:most]) }()
	select {
	case <-half:
		during()
	case <-ctx.Done():
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	if err := p.publish(ctx, events[most:]); err != nil {
		t.Fatal(err)
	}
	if acked, last := p.acked.Load(), p.lastSeq.Load(); acked != uint64(len(events)) || last != acked || p.retries.Load() != 0 {
		t.Fatalf("%d of %d events are acknowledged, %d sent again, the last sequence is %d", acked, len(events), p.retries.Load(), last)
	}
}

// all makes the checks of a data set in both modes, with both clients.
func all(ctx context.Context, t *testing.T, c *client, d *dataset) {
	t.Helper()
	for i := range d.checks {
		for _, ending := range []string{"", kappa} {
			d.run(t, &d.checks[i], ending, func(query string) [][]string {
				rows := c.rows(ctx, query)
				if cli, ok := c.commandLine(ctx, query); ok && !slices.EqualFunc(rows, cli, sameCells) {
					t.Errorf("go-sql-driver and mariadb read other rows: %q and %q\n%s", rows, cli, query)
				}
				return rows
			})
		}
	}
	if t.Failed() {
		t.FailNow() // what follows would only say so again
	}
}

func sameCells(a, b []string) bool {
	return slices.EqualFunc(a, b, func(x, y string) bool { return sameCell(x, y, false) })
}

// layers checks the layers of a view after one REFRESH, with events behind it.
func layers(ctx context.Context, t *testing.T, c *client, d *dataset, v *viewDef, last uint64) {
	t.Helper()
	cut := number(t, c.value(ctx, "SELECT batch_seq FROM weir.views WHERE name = ?", v.name))
	if cut == 0 || cut >= last {
		t.Errorf("%s: the cut is at %d of %d: one of the layers is empty, which shows nothing", v.name, cut, last)
	}
	if text := fmt.Sprint(ranges(ctx, c, v.name)); text != fmt.Sprintf("[{1 %d} {%d %d}]", cut, cut+1, last) {
		t.Errorf("%s: its layers hold %s, want those up to %d and those up to %d", v.name, text, cut, last)
	}
	if v.count != "" && !v.filtered() {
		batch := number(t, c.value(ctx, fmt.Sprintf("SELECT SUM(%s) FROM %s_batch", v.count, v.name)))
		if want := decoded(d, cut); batch != want {
			t.Errorf("%s: batch counts %d events of those up to %d, want %d", v.name, batch, cut, want)
		}
	}
	addUp(ctx, t, c, d, v, last)
}

// addUp checks that the layers of a view, in both modes, add up to it: each
// counts its part of the log, whose last sequence is last.
func addUp(ctx context.Context, t *testing.T, c *client, d *dataset, v *viewDef, last uint64) {
	t.Helper()
	for _, name := range []string{v.name, v.name + kappa} {
		at := uint64(0)
		parts := ranges(ctx, c, name)
		for _, r := range parts {
			if r.from != at+1 {
				t.Errorf("%s: the ranges of its layers do not follow one another: %v", name, parts)
			}
			at = r.to
		}
		if at != last {
			t.Errorf("%s: its layers hold %v, want the events up to %d", name, parts, last)
		}
		definition := c.rows(ctx, "SHOW CREATE VIEW "+name)[0][1]
		_, union, _ := strings.Cut(definition, " AS ")
		native, merged := sorted(c.rows(ctx, "SELECT * FROM "+name)), sorted(c.rows(ctx, union))
		if !slices.Equal(native, merged) || len(native) == 0 {
			t.Errorf("%s: its %d rows are not the %d rows of its definition, %s", name, len(native), len(merged), union)
		}
	}
	if v.count == "" {
		return
	}
	sum := func(layer string) uint64 {
		return number(t, c.value(ctx, fmt.Sprintf("SELECT COALESCE(SUM(%s), 0) FROM %s%s%s", v.count, v.name, layer, whatServes(layer))))
	}
	batch, speed, serving, asKappa := sum("_batch"), sum("_speed"), sum(""), sum(kappa+"_speed")
	if batch+speed != serving || asKappa != serving || sum(kappa+"_batch") != 0 {
		t.Errorf("%s: batch has %d events, speed %d, both %d; the kappa view %d", v.name, batch, speed, serving, asKappa)
	}
	if want := last - uint64(len(d.dead)); serving != want && !v.filtered() {
		t.Errorf("%s: it counts %d events, want %d", v.name, serving, want)
	}
}

// A span is a part of the log, by its first and last sequence.
type span struct{ from, to uint64 }

// ranges are the parts of the log that a view's serving layers hold; an open
// epoch without events is none.
func ranges(ctx context.Context, c *client, view string) (parts []span) {
	c.t.Helper()
	for _, r := range c.rows(ctx, "SELECT from_seq, to_seq FROM weir.layers WHERE view = ? AND serving = 1 AND to_seq IS NOT NULL ORDER BY from_seq", view) {
		if s := (span{number(c.t, r[0]), number(c.t, r[1])}); s.from <= s.to {
			parts = append(parts, s)
		}
	}
	return parts
}

// decoded is how many of the events up to seq, published in order, decode.
func decoded(d *dataset, seq uint64) uint64 {
	n := seq
	for _, line := range d.dead {
		if uint64(line) <= seq {
			n--
		}
	}
	return n
}

// deadLetters checks that what does not decode, and only that, is kept apart.
func deadLetters(ctx context.Context, t *testing.T, c *client, d *dataset, events []event) {
	t.Helper()
	rows := c.rows(ctx, "SELECT payload, error FROM weir.dead_letters WHERE stream = ? ORDER BY seq", d.stream)
	if len(rows) != len(d.dead) {
		t.Fatalf("%d dead letters, want %d: %q", len(rows), len(d.dead), rows)
	}
	for i, line := range d.dead {
		if payload := string(events[line-1].payload); rows[i][0] != payload || rows[i][1] == "" {
			t.Errorf("dead letter %d: got %q (%s), want line %d, %q", i+1, rows[i][0], rows[i][1], line, payload)
		}
	}
	if n := c.value(ctx, "SELECT dead_letters FROM weir.streams WHERE name = ?", d.stream); n != strconv.Itoa(len(d.dead)) {
		t.Errorf("weir.streams counts %s dead letters, want %d", n, len(d.dead))
	}
}

func number(t testing.TB, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%q is not a number: %v", s, err)
	}
	return n
}
