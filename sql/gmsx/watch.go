package gmsx

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// watchEvery is how often a long statement looks whether its client is still
// there. Short ones never look.
const watchEvery = time.Second

// watch ends the statement of ctx when its client goes away. The caller must
// call the function returned.
func watch(ctx context.Context, c net.Conn) func() {
	lc := limited(c)
	if lc == nil {
		return func() {}
	}
	sc, ok := lc.Conn.(syscall.Conn)
	if !ok {
		return func() {}
	}
	w := &watcher{ctx: ctx, conn: sc, ready: make(chan struct{})}
	w.timer = time.AfterFunc(watchEvery, w.look)
	close(w.ready)
	return func() {
		w.done.Store(true)
		w.timer.Stop()
	}
}

type watcher struct {
	ctx   context.Context
	conn  syscall.Conn
	ready chan struct{} // closed once timer is set
	timer *time.Timer
	done  atomic.Bool
}

func (w *watcher) look() {
	<-w.ready
	if w.done.Load() {
		return
	}
	if hungUp(w.conn) {
		stop(w.ctx, errClientGone)
		return
	}
	w.timer.Reset(watchEvery)
}
