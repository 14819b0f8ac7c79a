package views

import (
	"context"
	"testing"
	"time"
)

// TestPacer shows what a job may do beside live work, beside none, and when it
// must end.
func TestPacer(t *testing.T) {
	e := &Engine{}
	hurt := func() {
		e.governor.lag.average.Store(int64(time.Second))
		e.governor.lag.at.Store(time.Now().UnixNano())
	}
	p := e.newPacer(0)
	for range 40 {
		hurt()
		p.since = time.Now() // it has worked no time, and so waits for none
		p.wait(context.Background(), 1)
	}
	if p.share != shareMin {
		t.Errorf("a job that hurts has a share of %v", p.share)
	}
	p.urge()
	for range 40 {
		hurt()
		p.since = time.Now()
		p.wait(context.Background(), 1)
	}
	if p.share < shareBeside/2 {
		t.Errorf("a job that must end has a share of %v", p.share)
	}
	e.governor = governor{}
	p = e.newPacer(0)
	p.share = shareMin
	e.governor.wake.average.Store(int64(time.Second)) // the machine is busy with what is not ours
	e.governor.wake.at.Store(time.Now().UnixNano())
	for range 10 {
		p.since = time.Now()
		p.wait(context.Background(), 1)
	}
	if p.share != 1 {
		t.Errorf("a job that hurts nobody has a share of %v", p.share)
	}
}

// TestPaces shows which work replay_rate is for, and that batch runs keep up.
func TestPaces(t *testing.T) {
	v := &View{eng: &Engine{}}
	v.def.Store(&ViewDef{ReplayRate: 1000})
	for kind, rate := range map[string]uint64{RunFull: 1000, RunRerun: 1000, RunInterval: 0, RunEvents: 0, RunRefresh: 0} {
		p := v.batchPace(kind)
		if p.rate != rate || (rate == 0) != (p.least == shareBeside) {
			t.Errorf("%s: %d events/s, a share of %v at least", kind, p.rate, p.least)
		}
	}
	p := v.replayPace()
	p.urge()
	if p.rate != 2000 {
		t.Errorf("a replay that does not gain has %d events/s", p.rate)
	}
}
