package jetstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	// watchInterval is how often the server is asked whether it can write.
	watchInterval = time.Second

	// growInterval is how often the logs' limit is compared with the disk:
	// counting what they hold means looking at each of their files.
	growInterval = 10 * time.Second

	// restartMax bounds the wait between restarts that do not help: twice as
	// long each time.
	restartMax = time.Minute
)

// A JetStream that could not write, as on a full disk, writes no more until it
// is started again, not even when there is space; publishers get no answer
// then. So the server is watched, and started again in place once there is
// space. What is read through it waits meanwhile and goes on by itself, and
// publishers connect again to the same address.

// watch starts the server again when it cannot write and could, or when its
// logs are at a limit that the disk has outgrown, until ctx is done.
func (s *Server) watch(ctx context.Context) {
	defer close(s.watched)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	var next, grow time.Time // not before
	pause := watchInterval
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		why := s.unwritable()
		s.noteUnwritable(why)
		if why == nil && now.After(grow) {
			grow = now.Add(growInterval)
			why = s.outgrown()
		}
		if why == nil || now.Before(next) {
			continue
		}
		if !s.hasSpace() {
			continue
		}
		s.logger.Warn("the nats server is started again, so that the logs take events", "reason", why)
		if err := s.restart(ctx); err != nil {
			s.logger.Error("the nats server cannot be started again", "error", err)
		} else {
			s.logger.Info("the nats server runs again")
		}
		if now.Sub(next) > restartMax {
			pause = watchInterval
		}
		next, pause = time.Now().Add(pause), min(2*pause, restartMax)
	}
}

// unwritable returns why the server takes no events until it is started again,
// or nil.
func (s *Server) unwritable() error {
	ns := s.ns.Load()
	if !ns.Running() {
		return errors.New("it has stopped")
	}
	if !ns.JetStreamEnabled() {
		return errors.New("its logs were closed after an error")
	}
	if h := ns.Healthz(nil); strings.Contains(h.Error, "write error") {
		return errors.New(h.Error)
	}
	return nil
}

// noteUnwritable says so once, and lets Publish fail at once while it lasts.
func (s *Server) noteUnwritable(why error) {
	if why == nil {
		s.stuck.Store(nil)
		return
	}
	if s.stuck.Swap(&why) == nil {
		s.logger.Error("the logs take no events; they will again, by themselves, when there is space", "reason", why, "dir", s.cfg.Dir)
	}
}

// cannotWrite is unwritable as it was at the last look, in words for publishers.
func (s *Server) cannotWrite() error {
	if why := s.stuck.Load(); why != nil {
		return fmt.Errorf("the logs take no events until there is space on the disk of %s: %w", s.cfg.Dir, *why)
	}
	return nil
}

// hasSpace says whether there is enough for the logs to take events again. A
// disk that cannot be asked is tried.
func (s *Server) hasSpace() bool {
	free, total, err := diskFree(s.cfg.Dir)
	return err != nil || free >= reserve(total)
}

// outgrown returns an error where the logs are at their limit, and the disk now
// has room for a higher one.
func (s *Server) outgrown() error {
	used, err := dirSize(s.cfg.Dir)
	limit := s.storeMax.Load()
	if err != nil || used < limit-limit/100 {
		return nil //nolint:nilerr // files go while they are counted: there is a next time
	}
	free, total, err := diskFree(s.cfg.Dir)
	if err != nil {
		return nil //nolint:nilerr // likewise
	}
	if more := used + free - reserve(total); more > limit+limit/100 && free > 2*reserve(total) {
		return fmt.Errorf("the logs have reached their limit of %d bytes, and the disk has room for %d", limit, more)
	}
	return nil
}

// restart stops the server and starts it at the same address.
func (s *Server) restart(ctx context.Context) error {
	if addr := s.ns.Load().Addr(); addr != nil {
		s.cfg.Addr = addr.String()
	}
	// A server that stops, or has not read its logs yet, says of them that they
	// do not exist: nobody asks it.
	s.away.Store(true)
	back := s.reconnected()
	if err := s.nc.ForceReconnect(); err != nil {
		s.logger.Debug("leaving the nats server", "error", err)
	}
	s.stop()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, restartMax) {
		opts, err := s.options()
		if err == nil {
			if err = s.start(opts); err == nil {
				s.away.Store(false)
				select {
				case <-back:
				case <-ctx.Done():
				case <-time.After(requestTimeout): // it goes on trying
				}
				s.noteUnwritable(nil)
				s.noteWrite(nil)
				return nil
			}
		}
		s.logger.Error("the nats server does not start, trying again", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// InProcessConn connects to the server that runs now; see [nats.InProcessConnProvider].
func (s *Server) InProcessConn() (net.Conn, error) {
	if s.away.Load() {
		return nil, errors.New("the nats server is being started again")
	}
	conn, err := s.ns.Load().InProcessConn()
	if err != nil {
		return nil, fmt.Errorf("connecting to the nats server: %w", err)
	}
	return conn, nil
}
