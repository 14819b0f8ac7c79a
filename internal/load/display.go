package load

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/terminal"
)

const (
	// liveInterval is how often a terminal shows progress, and lineInterval how
	// often there is a line of it elsewhere.
	liveInterval, lineInterval = 200 * time.Millisecond, 5 * time.Second
	// barWidth and nameWidth keep what a terminal shows within 80 columns.
	barWidth, nameWidth = 20, 20
	// clearLine returns to the beginning of the line and clears it.
	clearLine = "\r\x1b[K"
)

// A display shows how far a run is: in place on a terminal, else in lines.
type display struct {
	l     *loader
	out   io.Writer
	live  bool
	begun time.Time
	stop  chan struct{}
	ended sync.WaitGroup

	mu   sync.Mutex // of out, and what follows
	name string     // of the source

	total  int64        // bytes of all sources; 0 where nobody knows
	done   atomic.Int64 // bytes of those that are finished
	read   atomic.Int64 // bytes of the one that is not
	passed atomic.Int64 // bytes of both that were there before
}

func newDisplay(l *loader, sources []*source) *display {
	d := &display{l: l, out: l.cfg.Err, live: terminal.Is(l.cfg.Err), begun: time.Now(), stop: make(chan struct{})}
	for _, s := range sources {
		if !s.again {
			d.total = 0
			return d
		}
		d.total += s.size
	}
	return d
}

// start shows progress until end is called.
func (d *display) start() {
	interval := lineInterval
	if d.live {
		interval = liveInterval
	}
	d.ended.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-d.stop:
				return
			case <-tick.C:
				d.draw()
			}
		}
	})
}

// begin goes on to a source.
func (d *display) begin(s *source) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.name = s.name
}

// resumed says that what has been read of the source was published before.
func (d *display) resumed() { d.passed.Add(d.read.Load()) }

// finish says that the source is published.
func (d *display) finish(s *source) {
	d.read.Store(0)
	d.done.Add(s.size)
}

// draw shows how far the run is.
func (d *display) draw() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live {
		fmt.Fprint(d.out, clearLine+d.progress(time.Since(d.begun)))
	} else {
		fmt.Fprintln(d.out, d.progress(time.Since(d.begun)))
	}
}

// progress says it in a line.
func (d *display) progress(took time.Duration) string {
	events := d.l.client.Progress().Acked
	read := d.done.Load() + d.read.Load()
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s", nameWidth, shorten(d.name, nameWidth))
	if d.total > 0 {
		share := min(1, float64(read)/float64(d.total))
		if d.live {
			n := int(share * barWidth)
			fmt.Fprintf(&b, " [%s%s]", strings.Repeat("#", n), strings.Repeat("-", barWidth-n))
		}
		fmt.Fprintf(&b, " %3.0f%%", 100*share)
	}
	fmt.Fprintf(&b, " %.1f MB %s/s", float64(read)/1e6, terminal.Group(float64(events)/took.Seconds()))
	if left := d.left(read, took); left > 0 {
		fmt.Fprintf(&b, " %v left", left)
	}
	return b.String()
}

// left is how much longer it will take, or 0 where nobody knows.
func (d *display) left(read int64, took time.Duration) time.Duration {
	worked := read - d.passed.Load()
	if d.total <= read || worked <= 0 {
		return 0
	}
	return time.Duration(float64(took) * float64(d.total-read) / float64(worked)).Round(time.Second)
}

// shorten keeps the end of a name, which tells more.
func shorten(name string, width int) string {
	if r := []rune(name); len(r) > width {
		return "…" + string(r[len(r)-width+1:])
	}
	return name
}

// note says something on a line of its own.
func (d *display) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live {
		fmt.Fprint(d.out, clearLine)
	}
	fmt.Fprintf(d.out, format+"\n", args...)
}

// end says what was done.
func (d *display) end() {
	close(d.stop)
	d.ended.Wait()
	if d.live {
		fmt.Fprint(d.out, clearLine)
	}
	took := time.Since(d.begun)
	p := d.l.client.Progress()
	fmt.Fprintf(d.l.cfg.Out, "%s: %s published, %s there already, %s duplicates, %s skipped, in %.1f s (%s/s); last sequence %d\n",
		d.l.cfg.Stream, terminal.Group(p.Acked-p.Duplicates), terminal.Group(d.l.already.Load()), terminal.Group(p.Duplicates),
		terminal.Group(d.l.skipped.Load()), took.Seconds(), terminal.Group(float64(p.Acked)/took.Seconds()), d.l.lastSeq)
}

// A pace keeps to a rate.
type pace struct {
	every time.Duration // 0 for no limit
	due   time.Time
}

// burst is how far a run that was held up may catch up at full speed.
const burst = 100 * time.Millisecond

func newPace(rate int) pace {
	if rate <= 0 {
		return pace{}
	}
	return pace{every: time.Second / time.Duration(rate), due: time.Now()}
}

// wait returns when the next event is due.
func (p *pace) wait(ctx context.Context) error {
	if p.every == 0 {
		return nil
	}
	now := time.Now()
	if least := now.Add(-burst); p.due.Before(least) {
		p.due = least
	}
	p.due = p.due.Add(p.every)
	ahead := p.due.Sub(now)
	if ahead < time.Millisecond { // timers are no finer
		return nil
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
