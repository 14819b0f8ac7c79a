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
	lag  delay        // of the live layer
	wake delay        // of whoever sleeps
	read atomic.Int64 // when a statement last began to read, nanoseconds
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

// A job looks whether it hurts, and whether it was cancelled, after each step: of
// as many events as take about stepTime, which may be one where each costs much,
// and stepMax at most.
const (
	stepTime = 2 * time.Millisecond
	stepMax  = 1024
)

func (g *governor) pressed(now time.Time) bool {
	return g.lag.recent(now) > lagAllowed || g.wake.recent(now) > wakeAllowed
}

// busy says whether there is anybody to hurt: whether the live layer has had
// events of late, or a statement has begun to read.
func (g *governor) busy(now time.Time) bool {
	return now.UnixNano()-max(g.lag.at.Load(), g.read.Load()) < int64(delayMemory)
}

// A pacer slows one job down: by what the governor says, and to a rate.
//
// It controls the share of the time that the job works, as TCP controls its
// window: a little more after each batch that hurt nobody, a good deal less
// after one that did.
type pacer struct {
	g     *governor
	rate  uint64  // events a second at most; 0 is no bound
	least float64 // share that the job has whatever it does to others
	step  int     // events between two looks
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
	return &pacer{g: &e.governor, rate: rate, least: shareMin, step: 1, share: 1, since: now, begun: now}
}

// replayPace is the pace of a build, replay, recompute or audit of the view.
func (v *View) replayPace() *pacer { return v.eng.newPacer(v.Def().ReplayRate) }

// batchPace is that of a batch run of the kind. What the batch layer does as
// events come is live work itself, and must keep up with it.
func (v *View) batchPace(kind string) *pacer {
	if kind == RunFull || kind == RunRerun {
		return v.replayPace()
	}
	p := v.eng.newPacer(0)
	p.least = shareBeside
	return p
}

// took says how long the last step was.
func (p *pacer) took(d time.Duration) {
	switch {
	case d < stepTime:
		p.step = min(2*p.step, stepMax)
	case d > 2*stepTime:
		p.step = max(p.step/2, 1)
	}
}

// urge makes the job faster, whatever it does to others.
func (p *pacer) urge() {
	p.least = min(1, max(2*p.least, shareBeside/2))
	if p.rate *= 2; p.rate > 0 {
		p.begun, p.seen = time.Now(), 0
	}
}

// wait is called after each batch of the job, of so many events.
func (p *pacer) wait(ctx context.Context, events int) {
	now := time.Now()
	switch {
	case !p.g.busy(now):
		p.share = min(1, 2*p.share)
	case p.g.pressed(now):
		p.share = max(p.least, p.share*0.8)
	default:
		p.share = min(max(p.least, shareBeside), p.share*1.02+0.001)
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
