package views

import (
	"context"
	"sync/atomic"
	"time"
)

// A governor tells work that can wait (builds, replays, recomputes, audits)
// whether work that cannot is held up: the live layer, and statements.
//
// It looks at two delays. One is how long the live layer takes from the log's
// receipt of an event to its being applied. The other is how late a sleep ends,
// which is what anything that becomes ready has to wait for a processor, a
// statement among it.
type governor struct {
	lag  delay // of the live layer
	wake delay // of whoever sleeps
}

// A delay is a moving average of measured delays, in nanoseconds, and when the
// last was measured.
type delay struct{ average, at atomic.Int64 }

// observe takes a measured delay into the average.
func (d *delay) observe(by time.Duration) {
	old := d.average.Load()
	d.average.Store(old + (int64(by)-old)/4)
	d.at.Store(time.Now().UnixNano())
}

// recent is the average, unless the last measurement says nothing any more.
func (d *delay) recent(now time.Time) time.Duration {
	if now.UnixNano()-d.at.Load() > int64(delayMemory) {
		return 0
	}
	return time.Duration(d.average.Load())
}

// What the governor allows. The live layer alone has some milliseconds of lag
// under load, most of it the log's.
const (
	lagAllowed  = 4 * time.Millisecond
	wakeAllowed = 2 * time.Millisecond
	delayMemory = 200 * time.Millisecond
)

// paceEvents is how many events a job takes at most before it looks whether it
// hurts: some milliseconds' worth.
const paceEvents = 1024

func (g *governor) pressed(now time.Time) bool {
	return g.lag.recent(now) > lagAllowed || g.wake.recent(now) > wakeAllowed
}

// busy says whether the live layer has had events of late.
func (g *governor) busy(now time.Time) bool {
	return now.UnixNano()-g.lag.at.Load() < int64(delayMemory)
}

// A pacer slows one job down: by what the governor says, and to a rate.
//
// It controls the share of the time that the job works, as TCP controls its
// window: a little more after each batch that hurt nobody, a good deal less
// after one that did.
type pacer struct {
	g     *governor
	rate  uint64 // events a second at most; 0 is no bound
	share float64
	since time.Time // the end of the last wait
	begun time.Time
	seen  uint64
}

const (
	// shareMin keeps a job going whatever happens: a replay must end.
	shareMin = 0.05
	// shareBeside bounds a job's share while there is live work: that which
	// finds out by hurting that there is no more to be had must not hurt much.
	shareBeside = 0.5
)

// waitMax bounds one wait, so that a job feels soon that it may work again.
const waitMax = 100 * time.Millisecond

func (e *Engine) newPacer(rate uint64) *pacer {
	now := time.Now()
	return &pacer{g: &e.governor, rate: rate, share: 1, since: now, begun: now}
}

// wait is called after each batch of the job, of so many events.
func (p *pacer) wait(ctx context.Context, events int) {
	now := time.Now()
	most := 1.0
	if p.g.busy(now) {
		most = shareBeside
	}
	if p.g.pressed(now) {
		p.share = max(shareMin, p.share*0.8)
	} else {
		p.share = min(most, p.share+0.005)
	}
	pause := time.Duration(float64(now.Sub(p.since)) * (1/p.share - 1))
	pause = min(pause, waitMax)
	if p.seen += uint64(events); p.rate > 0 {
		due := p.begun.Add(time.Duration(float64(p.seen) / float64(p.rate) * float64(time.Second)))
		pause = max(pause, due.Sub(now))
	}
	if pause > 0 {
		sleep(ctx, pause)
		if pause < waitMax {
			p.g.wake.observe(max(0, time.Since(now)-pause))
		}
	}
	p.since = time.Now()
}
