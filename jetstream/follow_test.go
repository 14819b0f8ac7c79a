package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

// following reads a log beside the test, which gets the batches as copies.
func following(t *testing.T, l views.Log, after uint64) <-chan []views.Record {
	t.Helper()
	batches := make(chan []views.Record, 1<<16)
	go func() {
		defer close(batches)
		for batch, err := range l.Read(t.Context(), after, 0) {
			if err != nil {
				if t.Context().Err() == nil {
					t.Errorf("following ended: %v", err)
				}
				return
			}
			batches <- appendCopies(nil, batch)
		}
	}()
	return batches
}

// until takes batches until the record last has come.
func until(t *testing.T, batches <-chan []views.Record, last uint64) (all []views.Record) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case batch, ok := <-batches:
			if !ok {
				t.Fatal("following is over")
			}
			if all = append(all, batch...); all[len(all)-1].Seq >= last {
				return all
			}
		case <-timeout:
			t.Fatalf("record %d does not come", last)
		}
	}
}

// awaitConsumers waits until the log has so many.
func awaitConsumers(t *testing.T, s *Server, log string, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(consumers(t, s, log)) != n; {
		if time.Now().After(deadline) {
			t.Fatalf("log %s has %d consumers, not %d", log, len(consumers(t, s, log)), n)
		}
	}
}

// While much comes, a follower reads blocks, and publishers have no consumer to
// wait for; while little comes, it has one.
func TestFollowTakesTurns(t *testing.T) {
	s := open(t, Config{Sync: time.Second})
	l := mustCreate(t, s, "a")
	batches := following(t, l, 0)
	var last uint64
	for round := range 3 {
		awaitConsumers(t, s, "a", 1)
		before := s.fromBlocks.Load()
		last++
		mustPublish(t, s, "a", 1)
		if got := until(t, batches, last); len(got) != 1 || got[0].Seq != last {
			t.Fatalf("round %d: got %d records instead of record %d", round, len(got), last)
		}
		if s.fromBlocks.Load() != before {
			t.Error("a single record came from a block")
		}
		for s.fromBlocks.Load() == before {
			last += 2 * busyRecords
			mustPublish(t, s, "a", 2*busyRecords)
			for i, r := range until(t, batches, last) {
				if want := last - 2*busyRecords + 1 + uint64(i); r.Seq != want {
					t.Fatalf("got record %d, want %d", r.Seq, want)
				}
			}
		}
		awaitConsumers(t, s, "a", 0)
	}
}

// A log that is synced before each acknowledgement is not read before that.
func TestFollowWaitsForTheSync(t *testing.T) {
	s := open(t, Config{Sync: 0})
	l := mustCreate(t, s, "a")
	batches := following(t, l, 0)
	mustPublish(t, s, "a", 3*busyRecords)
	until(t, batches, 3*busyRecords)
	if n := s.fromBlocks.Load(); n != 0 {
		t.Errorf("%d records came from blocks", n)
	}
}

// Following ends with its context, however much there is still to read.
func TestFollowEndsWithItsContext(t *testing.T) {
	s := open(t, Config{Sync: time.Second})
	s.blocksMin = 1
	l := mustCreate(t, s, "a")
	mustPublish(t, s, "a", 3*pullMessages)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range l.Read(ctx, 0, 0) {
		switch {
		case errors.Is(err, context.Canceled):
			return
		case err != nil:
			t.Fatal(err)
		case ctx.Err() != nil:
			t.Fatal("records came after the end")
		}
		if s.fromBlocks.Load() > 0 {
			cancel()
		}
	}
}

// Whatever happens to the log while it is followed, its records come once and in
// order.
func TestFollowEqualsTheLog(t *testing.T) {
	for _, test := range []struct {
		name string
		at   func(t *testing.T, s *Server, r *rand.Rand, last uint64)
	}{
		{"nothing happens", func(*testing.T, *Server, *rand.Rand, uint64) {}},
		{"records are deleted", func(t *testing.T, s *Server, r *rand.Rand, last uint64) {
			stream, err := s.js.Stream(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				seq := 1 + r.Uint64N(last)
				del := stream.DeleteMsg
				if r.IntN(2) == 0 {
					del = stream.SecureDeleteMsg
				}
				_ = del(t.Context(), seq) // it may be gone
			}
		}},
		{"the head is removed", func(t *testing.T, s *Server, r *rand.Rand, last uint64) {
			purge(t, s, natsjs.WithPurgeKeep(1+r.Uint64N(100)))
		}},
		{"the server is started again", func(t *testing.T, s *Server, r *rand.Rand, _ uint64) {
			if r.IntN(10) > 0 {
				return
			}
			if err := s.restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 7))
			s := open(t, Config{Sync: time.Second})
			s.blocksMin = 1
			s.unwatch() // who starts the server again, too
			<-s.watched
			logOf(t, s)
			l, err := s.OpenLog(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			batches := following(t, l, 0)
			var last uint64
			var got []views.Record
			for last < 22_000 { // two blocks
				n := 1 + r.IntN(1+r.IntN(2000))
				last += uint64(n)
				fill(t, s, r, n)
				if r.IntN(3) == 0 {
					got = append(got, until(t, batches, last)...)
				}
				test.at(t, s, r, last)
			}
			last++ // for what was published last may have been removed unseen
			fill(t, s, r, 1)
			got = append(got, until(t, batches, last)...)
			for i := 1; i < len(got); i++ {
				if got[i].Seq <= got[i-1].Seq {
					t.Fatalf("record %d comes after %d", got[i].Seq, got[i-1].Seq)
				}
			}
			var want []views.Record
			l.(*log).consume(t.Context(), 0, last, func(batch []views.Record, err error) bool {
				if err != nil {
					t.Fatal(err)
				}
				want = appendCopies(want, batch)
				return true
			})
			there := map[uint64]bool{}
			for _, rec := range want {
				there[rec.Seq] = true
			}
			// What was removed since may have been handed over before.
			got = slices.DeleteFunc(got, func(rec views.Record) bool { return !there[rec.Seq] })
			equalRecords(t, fmt.Sprintf("following to %d", last), got, want)
			if s.fromBlocks.Load() == 0 {
				t.Error("nothing came from blocks")
			}
		})
	}
}
