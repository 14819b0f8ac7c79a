package gmsx

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"
)

// watchEvery is how often the server looks whether the clients of its long
// statements are still there. Short statements are never looked at.
const watchEvery = time.Second

// A watcher ends statements whose client has gone away. The protocol reads
// nothing from a connection whose statement runs, so that nobody else notices.
type watcher struct {
	mu      sync.Mutex
	round   uint64
	running map[*watched]struct{}
}

type watched struct {
	ctx   context.Context
	conn  syscall.Conn
	round uint64 // in which it began
}

func newWatcher() *watcher { return &watcher{running: map[*watched]struct{}{}} }

// add watches the statement of ctx until the function returned is called.
func (w *watcher) add(ctx context.Context, c net.Conn) func() {
	lc := limited(c)
	if lc == nil {
		return func() {}
	}
	sc, ok := lc.Conn.(syscall.Conn)
	if !ok {
		return func() {}
	}
	st := &watched{ctx: ctx, conn: sc}
	w.mu.Lock()
	st.round = w.round
	w.running[st] = struct{}{}
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		delete(w.running, st)
		w.mu.Unlock()
	}
}

// run looks until ctx is done.
func (w *watcher) run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look()
		}
	}
}

func (w *watcher) look() {
	w.mu.Lock()
	w.round++
	var long []*watched
	for st := range w.running {
		if st.round+1 < w.round {
			long = append(long, st)
		}
	}
	w.mu.Unlock()
	for _, st := range long {
		if hungUp(st.conn) {
			stop(st.ctx, errClientGone)
		}
	}
}
