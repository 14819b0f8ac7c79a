package demo

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"weir/internal/terminal"
	"weir/jetstream/publisher"
	"weir/server"
)

const (
	// minutesShown and itemsShown keep the table within 24 lines.
	minutesShown, itemsShown = 2, 7
	// liveInterval is how often the table refreshes, and lineInterval how
	// often there is a line.
	liveInterval, lineInterval = 250 * time.Millisecond, time.Second
)

// Terminal control sequences.
const (
	cursorHome = "\x1b[H"
	clearRight = "\x1b[K"
	clearBelow = "\x1b[J"
	clearAll   = "\x1b[2J"
)

// A display shows snapshots: in place on a terminal, else a line each.
type display struct {
	out  io.Writer
	live bool
	ends server.Endpoints
	dir  string

	begun time.Time // of the first snapshot
	at    time.Time // of the snapshot before
	acked uint64    // in the snapshot before
	rate  float64   // events a second between the last two
}

func (d *display) interval() time.Duration {
	if d.live {
		return liveInterval
	}
	return lineInterval
}

// show shows the demo on its way.
func (d *display) show(s snapshot, p publisher.Progress) {
	first := d.begun.IsZero()
	d.measure(p)
	switch {
	case d.live && first:
		fmt.Fprint(d.out, clearAll)
		d.draw(s, p)
	case d.live:
		d.draw(s, p)
	case first:
		d.printHint(d.out)
	default:
		d.printLine(s, p)
	}
}

// last shows how it ended.
func (d *display) last(s snapshot, p publisher.Progress) {
	if d.live {
		d.draw(s, p)
	} else {
		fmt.Fprintln(d.out)
		d.printTable(d.out, s, p)
	}
	fmt.Fprintf(d.out, "\nEnded after %s acknowledged events, all of them in the views.\n", terminal.Group(p.Acked))
}

// draw puts the table where the one before was.
func (d *display) draw(s snapshot, p publisher.Progress) {
	var table bytes.Buffer
	d.printTable(&table, s, p)
	fmt.Fprintln(&table)
	d.printHint(&table)
	fmt.Fprint(d.out, cursorHome+strings.ReplaceAll(table.String(), "\n", clearRight+"\n")+clearBelow)
}

// measure works out the rate since the snapshot before.
func (d *display) measure(p publisher.Progress) {
	now := time.Now()
	if d.begun.IsZero() {
		d.begun = now
	} else if passed := now.Sub(d.at); passed >= liveInterval/2 {
		d.rate = float64(p.Acked-d.acked) / passed.Seconds()
	}
	d.at, d.acked = now, p.Acked
}

func (d *display) printTable(w io.Writer, s snapshot, p publisher.Progress) {
	fmt.Fprintf(w, "weir demo: %s events, %s/s; batch runs: %d, up to event %s\n\n",
		terminal.Group(p.Acked), terminal.Group(d.rate), s.runs, terminal.Group(s.cut))
	fmt.Fprintf(w, "%-12s %26s  %26s  %8s\n", "", "-------- requests --------", "----- visitors, about ----", "average")
	printTitle(w, "minute")
	for _, r := range s.minutes[:min(minutesShown, len(s.minutes))] {
		r.key = clock(r.key)
		r.print(w)
	}
	fmt.Fprintln(w)
	printTitle(w, "item")
	for _, r := range s.items[:min(itemsShown, len(s.items))] {
		r.print(w)
	}
	n := s.items.total()
	fmt.Fprintf(w, "%-12s %8s %8s %8s\n\n", fmt.Sprintf("all %d items", len(s.items)), terminal.Group(n.batch), terminal.Group(n.speed), terminal.Group(n.merged))
	fmt.Fprintln(w, "In every row, batch + speed = merged: a SELECT sees one moment of the log.")
}

// tableLine lays out a key, two layered numbers and an average.
const tableLine = "%-12s %8s %8s %8s  %8s %8s %8s  %8s\n"

func printTitle(w io.Writer, key string) {
	fmt.Fprintf(w, tableLine, key, "batch", "speed", "merged", "batch", "speed", "merged", "minprice")
}

func (r row) print(w io.Writer) {
	fmt.Fprintf(w, tableLine, r.key, terminal.Group(r.requests.batch), terminal.Group(r.requests.speed), terminal.Group(r.requests.merged),
		terminal.Group(r.visitors.batch), terminal.Group(r.visitors.speed), terminal.Group(r.visitors.merged), strconv.FormatFloat(r.price, 'f', 2, 64))
}

// clock is the time of day, to the minute, in a DATETIME as MySQL writes it.
func clock(datetime string) string {
	const start, end = len("2006-01-02 "), len("2006-01-02 15:04")
	if len(datetime) < end {
		return datetime
	}
	return datetime[start:end]
}

// printLine says in short what the table says.
func (d *display) printLine(s snapshot, p publisher.Progress) {
	n := s.minutes.total()
	fmt.Fprintf(d.out, "%3.0fs  %s events, %s/s: batch %s + speed %s = merged %s\n", time.Since(d.begun).Seconds(),
		terminal.Group(p.Acked), terminal.Group(d.rate), terminal.Group(n.batch), terminal.Group(n.speed), terminal.Group(n.merged))
}

// printHint says what to try.
func (d *display) printHint(w io.Writer) {
	host, port, _ := net.SplitHostPort(d.ends.MySQL)
	fmt.Fprintf(w, "Try it:    mysql -h%s -P%s -uroot analytics\n", host, port)
	fmt.Fprintln(w, "           SELECT * FROM purchases_by_item ORDER BY requests DESC LIMIT 5;")
	fmt.Fprintf(w, "Publish:   with any NATS client, to %s at %s\n", subject, d.ends.NATS)
	fmt.Fprintf(w, "Ctrl-C ends the demo and removes %s.\n", d.dir)
}
