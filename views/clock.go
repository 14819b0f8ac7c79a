package views

import (
	"slices"
	"sync"
	"time"
)

// A Clock tells the batch layer the time: when its intervals have passed, when
// a failed run is tried again, when a retired epoch has been kept long enough.
// What a view answers never depends on it.
type Clock interface {
	Now() time.Time
	// At returns a channel that is closed once the clock has reached t, and a
	// function that must be called when nobody waits for that any more.
	At(t time.Time) (reached <-chan struct{}, stop func())
}

// SystemClock is the time of day.
type SystemClock struct{}

var _ Clock = SystemClock{}

// Now implements Clock.
func (SystemClock) Now() time.Time { return time.Now().UTC() }

// At implements Clock.
func (SystemClock) At(t time.Time) (reached <-chan struct{}, stop func()) {
	c := make(chan struct{})
	timer := time.AfterFunc(time.Until(t), func() { close(c) })
	return c, func() { timer.Stop() }
}

// A ManualClock stands still until it is set: with it days of batch runs pass
// as fast as the work in them.
type ManualClock struct {
	mu      sync.Mutex
	now     time.Time
	waiting []*alarm
}

var _ Clock = (*ManualClock)(nil)

type alarm struct {
	at      time.Time
	reached chan struct{}
}

// NewManualClock returns a clock that stands at t.
func NewManualClock(t time.Time) *ManualClock { return &ManualClock{now: t.UTC()} }

// Now implements Clock.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// At implements Clock.
func (c *ManualClock) At(t time.Time) (reached <-chan struct{}, stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{at: t, reached: make(chan struct{})}
	c.waiting = append(c.waiting, a)
	c.ring()
	return a.reached, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting = slices.DeleteFunc(c.waiting, func(w *alarm) bool { return w == a })
	}
}

// Set moves the clock to t, which wakes whoever waits for that; never back.
func (c *ManualClock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.now) {
		c.now = t.UTC()
	}
	c.ring()
}

// ring wakes those whose time has come. mu is held.
func (c *ManualClock) ring() {
	c.waiting = slices.DeleteFunc(c.waiting, func(a *alarm) bool {
		if a.at.After(c.now) {
			return false
		}
		close(a.reached)
		return true
	})
}
