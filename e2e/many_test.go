package e2e

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The load of TestManyViews.
const (
	manyStreams = 20
	manyViews   = 50 // on the first stream; the others have one each
	manyEvents  = 1500
)

// TestManyViews has fifty views on one stream, and twenty streams, under load,
// while others are made, refreshed, altered and dropped beside them.
func TestManyViews(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := newServer(ctx, t)
	c := newClient(t, s)
	for i := range manyStreams {
		c.exec(ctx, fmt.Sprintf("CREATE STREAM s%d (k INT, n BIGINT)", i))
	}
	view := func(name string, stream, add int) string {
		mode := []string{"mode = 'lambda', batch_interval = '1h'", "mode = 'lambda', batch_events = 400", "mode = 'kappa'"}[add%3]
		return fmt.Sprintf("CREATE MATERIALIZED VIEW %s WITH (%s) AS SELECT k, COUNT(*) AS c, SUM(n + %d) AS s FROM s%d GROUP BY k", name, mode, add, stream)
	}
	for i := range manyViews / 2 {
		c.exec(ctx, view(fmt.Sprintf("v%d", i), 0, i))
	}
	for i := 1; i < manyStreams; i++ {
		c.exec(ctx, view(fmt.Sprintf("w%d", i), i, i))
	}
	var load sync.WaitGroup
	for i := range manyStreams {
		p := newPublisher(t, s, fmt.Sprintf("s%d", i), 256, ackLimit)
		load.Go(func() {
			if err := p.publish(ctx, manyEventsOf(i)); err != nil {
				t.Error(err)
			}
		})
	}
	load.Go(func() { churn(ctx, t, c, view) })
	for i := manyViews / 2; i < manyViews; i++ { // the second half comes under load
		c.exec(ctx, view(fmt.Sprintf("v%d", i), 0, i))
	}
	load.Wait()
	if t.Failed() {
		return
	}
	check := func() {
		for i := range manyStreams {
			c.wait(ctx, fmt.Sprintf("s%d", i), manyEvents)
		}
		for i := range manyViews {
			checkMany(ctx, c, fmt.Sprintf("v%d", i), i)
		}
		for i := 1; i < manyStreams; i++ {
			checkMany(ctx, c, fmt.Sprintf("w%d", i), i)
		}
	}
	check()
	if got, want := c.value(ctx, "SELECT COUNT(*) FROM weir.views WHERE state = 'live'"), strconv.Itoa(manyViews+manyStreams-1); got != want {
		t.Errorf("%s views are live, want %s", got, want)
	}
	if !s.kill() {
		t.Fatal("no kill")
	}
	s.start(ctx)
	check()
	for i := range manyViews {
		c.exec(ctx, fmt.Sprintf("DROP MATERIALIZED VIEW v%d", i))
	}
	c.exec(ctx, "DROP STREAM s0")
	s.stop()
	if left := s.files("views"); len(left) != manyStreams-1 {
		t.Errorf("%d files are left for %d views: %v", len(left), manyStreams-1, left)
	}
}

// manyEventsOf are the events of a stream: n from 0 on, in ten groups.
func manyEventsOf(stream int) []event {
	events := make([]event, manyEvents)
	for n := range events {
		events[n] = event{id: fmt.Sprintf("%d-%d", stream, n), payload: fmt.Appendf(nil, `{"k":%d,"n":%d}`, n%10, n)}
	}
	return events
}

// checkMany checks a view that adds a number to each n.
func checkMany(ctx context.Context, c *client, name string, add int) {
	c.t.Helper()
	got := c.rows(ctx, "SELECT COUNT(*), SUM(c), SUM(s) FROM "+name)[0]
	want := []string{"10", strconv.Itoa(manyEvents), strconv.Itoa(manyEvents*(manyEvents-1)/2 + manyEvents*add)}
	for i := range want {
		if got[i] != want[i] {
			c.t.Fatalf("%s has groups, events, total %v, want %v", name, got, want)
		}
	}
}

// churn makes, refreshes, alters and drops views and streams of its own.
func churn(ctx context.Context, t *testing.T, c *client, view func(name string, stream, add int) string) {
	for i := range 10 {
		stream, name := manyStreams+i, fmt.Sprintf("x%d", i)
		for _, text := range []string{
			fmt.Sprintf("CREATE STREAM s%d (k INT, n BIGINT)", stream),
			view(name, i%2*stream, i),
			fmt.Sprintf("REFRESH MATERIALIZED VIEW v%d", i),
			fmt.Sprintf("INSERT INTO s%d (k, n) VALUES (1, 1)", stream),
			fmt.Sprintf("ALTER MATERIALIZED VIEW v%d SET (mode = '%s')", i+10, []string{"kappa", "lambda"}[i%2]),
			fmt.Sprintf("REFRESH MATERIALIZED VIEW %s FULL", name),
			"AUDIT MATERIALIZED VIEW " + name,
			"DROP MATERIALIZED VIEW " + name,
			fmt.Sprintf("DROP STREAM s%d", stream),
		} {
			if _, err := c.db.ExecContext(ctx, text); err != nil {
				t.Errorf("%s: %v", text, err)
				return
			}
		}
	}
}
