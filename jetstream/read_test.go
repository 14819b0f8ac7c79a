package jetstream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

// consumers returns the names of what reads a log now.
func consumers(t *testing.T, s *Server, log string) []string {
	t.Helper()
	stream, err := s.js.Stream(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	lister := stream.ConsumerNames(t.Context())
	for name := range lister.Name() {
		names = append(names, name)
	}
	if err := lister.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

// However a reader's consumer is lost, it goes on where it was.
func TestReaderOutlivesItsConsumer(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault func(t *testing.T, s *Server, r *reader)
	}{
		{"deleted", func(t *testing.T, s *Server, r *reader) {
			if err := s.js.DeleteConsumer(t.Context(), "a", r.consumer); err != nil {
				t.Error(err)
			}
		}},
		{"connection broken", func(t *testing.T, s *Server, r *reader) { r.wire.conn.Close() }},
		{"closed by the server", func(t *testing.T, s *Server, r *reader) {
			_ = r.wire.write([]byte("NONSENSE\r\n"))
		}},
		{"messages taken by another", func(t *testing.T, s *Server, r *reader) {
			consumer, err := s.js.Consumer(t.Context(), "a", r.consumer)
			if err != nil {
				t.Error(err)
				return
			}
			go func() { // while the reader's own pull is under way, they take turns
				_, _ = consumer.Fetch(10, natsjs.FetchMaxWait(50*time.Millisecond))
			}()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, Config{Sync: time.Second})
			l := mustCreate(t, s, "a")
			const total = 40_000
			published := make(chan error, 1)
			go func() {
				for range total / 1000 {
					if _, err := s.Publish(t.Context(), "a", events(1000)); err != nil {
						published <- err
						return
					}
				}
				published <- nil
			}()
			r := newReader(t.Context(), l, 0, 0)
			defer r.close()
			var next, breakAt uint64 = 1, 1
			for next <= total {
				batch, err := r.next()
				if err != nil {
					t.Fatal(err)
				}
				for _, record := range batch {
					if record.Seq != next {
						t.Fatalf("got sequence %d, want %d", record.Seq, next)
					}
					next++
				}
				if next > breakAt && r.wire != nil {
					test.fault(t, s, r)
					breakAt = next + 5000
				}
			}
			if err := <-published; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Reading leaves no consumer on the server, however it ends.
func TestReadersLeaveNothing(t *testing.T) {
	s := open(t, Config{Sync: time.Second})
	l := mustCreate(t, s, "a")
	mustPublish(t, s, "a", 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range l.Read(ctx, 0, 0) {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(consumers(t, s, "a")) != 1 {
			t.Error("a reader has no consumer")
		}
		cancel()
	}
	for _, err := range l.Read(t.Context(), 0, 10_000) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if n := count(t, l); n != 10_000 {
		t.Errorf("read %d of 10000", n)
	}
	if left := consumers(t, s, "a"); len(left) != 0 {
		t.Errorf("consumers %v are left", left)
	}
}

func TestReadEndsWithTheServer(t *testing.T) {
	s := open(t, Config{})
	l := mustCreate(t, s, "a")
	mustPublish(t, s, "a", 10)
	ended := make(chan error)
	started := make(chan struct{}, 100)
	go func() {
		var last error
		for _, err := range l.Read(context.Background(), 0, 0) {
			last = err
			started <- struct{}{}
		}
		ended <- last
	}()
	<-started
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "reading log a after 10") {
		t.Errorf("the reader of a stopped server ended with %v", err)
	}
	if _, err := s.Publish(t.Context(), "a", events(1)); err == nil {
		t.Error("a stopped server took an event")
	}
}

// A server is the far end of a wire, that a test plays.
func testWire(t *testing.T) (*wire, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	w := &wire{
		conn:      near,
		inbox:     "_WEIR.x",
		ackPrefix: "$JS.ACK.log.consumer.",
		ready:     make(chan struct{}, 1),
		ponged:    make(chan struct{}),
		subjects:  map[string]string{},
		pull:      pull{name: "_WEIR.x.1", left: 1 << 30, bytes: 1 << 30},
	}
	w.goroutines.Go(w.receive)
	t.Cleanup(func() {
		far.Close()
		w.close()
	})
	return w, far
}

// wireMessage is a delivery as the server writes it.
func wireMessage(seq int, subject, id, payload string) string {
	reply := fmt.Sprintf("$JS.ACK.log.consumer.1.%d.%d.%d.%d", seq, seq, seq*10, 1)
	if id == "" {
		return fmt.Sprintf("MSG %s 1 %s %d\r\n%s\r\n", subject, reply, len(payload), payload)
	}
	header := "NATS/1.0\r\nOther: x\r\nNats-Msg-Id: " + id + "\r\nLast: Nats-Msg-Id: no\r\n\r\n"
	return fmt.Sprintf("HMSG %s 1 %s %d %d\r\n%s%s\r\n", subject, reply, len(header), len(header)+len(payload), header, payload)
}

// However the bytes are cut into reads, the records are the same.
func TestWireTakesAnyCut(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var stream strings.Builder
		var want []views.Record
		for seq := 1; seq <= 300; seq++ {
			payload := strings.Repeat("x\r\nMSG ", rng.IntN(1+rng.IntN(200)))
			if rng.IntN(100) == 0 {
				payload = strings.Repeat("y", rng.IntN(3*arenaSize))
			}
			r := views.Record{Seq: uint64(seq), Time: int64(seq * 10), Subject: fmt.Sprint("s.", rng.IntN(5)), Payload: []byte(payload)}
			if rng.IntN(3) == 0 {
				r.ID = fmt.Sprintf("id %d: é", seq)
			}
			want = append(want, r)
			stream.WriteString(wireMessage(seq, r.Subject, r.ID, payload))
			if rng.IntN(10) == 0 {
				stream.WriteString("+OK\r\nINFO {}\r\n")
			}
		}
		w, far := testWire(t)
		go func() {
			for rest := stream.String(); rest != ""; {
				n := min(len(rest), 1+rng.IntN(1+rng.IntN(1<<uint(rng.IntN(18)))))
				if _, err := far.Write([]byte(rest[:n])); err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
		}()
		var got arrivals
		for len(want) > 0 {
			<-w.ready
			if _, lost := w.take(&got); lost != nil {
				t.Fatal(lost)
			}
			for _, r := range got.records {
				if x := want[0]; r.Seq != x.Seq || r.Time != x.Time || r.Subject != x.Subject || r.ID != x.ID || string(r.Payload) != string(x.Payload) {
					t.Fatalf("seed %d: record %d is %d %q %q with %d bytes, want %q %q with %d", seed, x.Seq, r.Seq, r.Subject, r.ID, len(r.Payload), x.Subject, x.ID, len(x.Payload))
				}
				want = want[1:]
			}
		}
	}
}

// What a wire cannot trust ends it, and what came before stays.
func TestWireLoses(t *testing.T) {
	status := func(subject, text string) string {
		return fmt.Sprintf("HMSG %s 1 %d %d\r\n%s\r\n", subject, len(text), len(text), text)
	}
	first := wireMessage(1, "s", "", "first")
	for _, test := range []struct{ name, bytes, want string }{
		{"a gap", wireMessage(3, "s", "", "third"), "missing"},
		{"a repetition", wireMessage(1, "s", "", "first"), "missing"},
		{"another consumer", "MSG s 1 $JS.ACK.log.other.1.2.2.2.0 0\r\n\r\n", "missing"},
		{"a tail that is lost", status("_WEIR.x.1", "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 2\r\n\r\n"), "has delivered 2, and 1 came"},
		{"consumer deleted", status("_WEIR.x.1", "NATS/1.0 409 Consumer Deleted\r\n\r\n"), "409 Consumer Deleted"},
		{"no consumer", status("_WEIR.x.1", "NATS/1.0 503\r\n\r\n"), "503"},
		{"an error", "-ERR 'Stale Connection'\r\n", "Stale Connection"},
		{"no message", "MSG s\r\n", "sent"},
		{"no size", "MSG s 1 r x\r\n", "sent"},
		{"an endless line", "MSG " + strings.Repeat("x", 2*lineMax), "without an end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, far := testWire(t)
			go func() { _, _ = far.Write([]byte(first + test.bytes)) }()
			var got arrivals
			var lost error
			records := 0
			for lost == nil {
				select {
				case <-w.ready:
				case <-time.After(time.Minute):
					t.Fatalf("the wire goes on, with %d records", records)
				}
				_, lost = w.take(&got)
				records += len(got.records)
			}
			if !strings.Contains(lost.Error(), test.want) || records != 1 {
				t.Errorf("lost %q after %d records, want %q after 1", lost, records, test.want)
			}
		})
	}
}

// A pull is over when it has brought its messages or its bytes, or the server
// says so; what the server says of an older one does not matter.
func TestWirePulls(t *testing.T) {
	end := func(name, text string) string {
		header := "NATS/1.0 " + text + "\r\nNats-Pending-Messages: 1\r\nNats-Pending-Bytes: 0\r\n\r\n"
		return fmt.Sprintf("HMSG %s 1 %d %d\r\n%s\r\n", name, len(header), len(header), header)
	}
	size := len("s") + len("$JS.ACK.log.consumer.1.1.1.10.1") + len("first")
	for _, test := range []struct {
		name  string
		pull  pull
		bytes string
		idle  bool
	}{
		{"messages left", pull{"p", 2, 1000}, "", false},
		{"messages used", pull{"p", 1, 1000}, "", true},
		{"bytes left", pull{"p", 2, size + 1}, "", false},
		{"bytes used", pull{"p", 2, size}, "", true},
		{"timeout", pull{"p", 2, 1000}, end("p", "408 Request Timeout"), true},
		{"bytes would not do", pull{"p", 2, 1000}, end("p", "409 Message Size Exceeds MaxBytes"), true},
		{"an older one", pull{"p", 2, 1000}, end("o", "409 Batch Completed"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, far := testWire(t)
			w.mu.Lock()
			w.pull = test.pull
			w.mu.Unlock()
			if _, err := far.Write([]byte(wireMessage(1, "s", "", "first") + test.bytes + "PING\r\n")); err != nil {
				t.Fatal(err)
			}
			pong := make([]byte, 6) // comes after all that was written is parsed
			if _, err := far.Read(pong); err != nil || string(pong) != "PONG\r\n" {
				t.Fatalf("PING is answered with %q, %v", pong, err)
			}
			var got arrivals
			if idle, lost := w.take(&got); idle != test.idle || lost != nil || len(got.records) != 1 {
				t.Errorf("over is %t, want %t; %d records, lost %v", idle, test.idle, len(got.records), lost)
			}
		})
	}
}
