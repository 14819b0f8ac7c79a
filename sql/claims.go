package sql

import (
	"context"
	"strings"
	"sync"

	"weir/sql/gmsx"
	"weir/views"
)

// Streams, materialized views and tables are kept in different places, and no
// two of them may have one name. A statement that makes one claims the name
// before it looks whether that is taken, and until it is.
type claims struct {
	mu   sync.Mutex
	held map[[2]string]*claim
}

type claim struct {
	done  chan struct{} // closed when it is released
	views int           // statements that make a materialized view; 0 of a claim that soon ends
}

func claimKey(database, name string) [2]string {
	return [2]string{strings.ToLower(database), strings.ToLower(name)}
}

// claim waits until no other statement makes something of the name. One that
// makes a materialized view takes its time, and is not waited for.
func (s *Server) claim(ctx context.Context, database, name string) (release func(), err error) {
	c, key := &s.claims, claimKey(database, name)
	for {
		c.mu.Lock()
		other := c.held[key]
		if other == nil {
			break
		}
		making := other.views > 0
		c.mu.Unlock()
		if making {
			return nil, gmsx.Error(1050, "42S01", "Table '%s' already exists: a materialized view of that name is being made", name)
		}
		select {
		case <-other.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	defer c.mu.Unlock()
	own := &claim{done: make(chan struct{})}
	if c.held == nil {
		c.held = map[[2]string]*claim{}
	}
	c.held[key] = own
	return func() { c.release(key, own) }, nil
}

func (c *claims) release(key [2]string, own *claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if own.views--; own.views <= 0 {
		delete(c.held, key)
		close(own.done)
	}
}

// claimView claims the names of a materialized view and its layers. Between two
// statements that make views of one name the engine of views decides. It waits
// for a statement that makes a stream or a table of one of the names, until ctx ends.
func (s *Server) claimView(ctx context.Context, database, name string) (release func(), err error) {
	c := &s.claims
	var releases []func()
	release = func() {
		for _, r := range releases {
			r()
		}
	}
	for _, suffix := range []string{"", "_" + views.Batch.String(), "_" + views.Speed.String()} {
		key := claimKey(database, name+suffix)
		c.mu.Lock()
		for c.held[key] != nil && c.held[key].views == 0 {
			done := c.held[key].done
			c.mu.Unlock()
			select {
			case <-done:
			case <-ctx.Done():
				release()
				return nil, context.Cause(ctx)
			}
			c.mu.Lock()
		}
		own := c.held[key]
		if own == nil {
			own = &claim{done: make(chan struct{})}
			if c.held == nil {
				c.held = map[[2]string]*claim{}
			}
			c.held[key] = own
		}
		own.views++
		c.mu.Unlock()
		releases = append(releases, func() { c.release(key, own) })
	}
	return release, nil
}
