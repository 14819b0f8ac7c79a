package views_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"weir/views"
	"weir/views/column"
	"weir/views/logtest"
)

// A resender publishes events with ids to a stream with a dedup_window of an
// hour, whose log forgets them after 30 seconds.
type resender struct {
	t      *testing.T
	dir    string
	broker *logtest.Memory
	now    time.Time
	engine *views.Engine
}

func newResender(t *testing.T) *resender {
	s := &resender{t: t, dir: t.TempDir(), broker: &logtest.Memory{}, now: time.Now().Add(-3 * time.Hour)}
	s.pass(0)
	s.engine = reopen(t, s.dir, s.broker)
	def := &views.StreamDef{
		Database: views.DefaultDatabase, Name: "s", Format: views.FormatJSON, Subjects: []string{"s"},
		Columns: []views.ColumnDef{{Name: "k", Type: column.Bigint}}, DedupWindow: time.Hour,
	}
	if err := s.engine.CreateStream(t.Context(), def); err != nil {
		t.Fatal(err)
	}
	s.createView("v")
	return s
}

func (s *resender) createView(name string) {
	s.t.Helper()
	def := &views.ViewDef{Database: views.DefaultDatabase, Name: name, Stream: "s", Mode: views.Lambda, BatchInterval: time.Hour, Delivery: views.ExactlyOnce}
	if err := s.engine.CreateView(s.t.Context(), def, false); err != nil {
		s.t.Fatal(err)
	}
}

// pass moves the log's clock.
func (s *resender) pass(d time.Duration) {
	s.now = s.now.Add(d)
	now := s.now
	s.broker.SetTime(func() time.Time { return now })
}

// send publishes the events from to to, whose ids are their numbers.
func (s *resender) send(from, to int) {
	s.t.Helper()
	var msgs []views.Message
	for i := from; i <= to; i++ {
		msgs = append(msgs, views.Message{ID: fmt.Sprint(i), Payload: fmt.Appendf(nil, `{"k":%d}`, i)})
	}
	if _, err := s.broker.Publish(s.t.Context(), "s", msgs); err != nil {
		s.t.Fatal(err)
	}
}

// expect checks that the views count so many events, in rows of their own, and
// that an audit and a recompute do, and a view that is made now.
func (s *resender) expect(events, repeats uint64) {
	s.t.Helper()
	for _, name := range []string{"v", "v", fmt.Sprint("v", s.now.UnixNano())} {
		v, err := s.engine.View(views.DefaultDatabase, name)
		for errors.Is(err, views.ErrBuilding) && s.t.Context().Err() == nil {
			time.Sleep(time.Millisecond) // again, since its file or log is not what it was
			v, err = s.engine.View(views.DefaultDatabase, name)
		}
		if err != nil {
			s.createView(name)
			if v, err = s.engine.View(views.DefaultDatabase, name); err != nil {
				s.t.Fatal(err)
			}
		}
		a, err := s.engine.Audit(s.t.Context(), v)
		if err != nil {
			s.t.Fatal(err)
		}
		if a.Compared != events || a.Different != 0 {
			s.t.Errorf("view %s has %d rows, want %d; %d differ: %s", name, a.Compared, events, a.Different, a.First)
		}
		if _, err := s.engine.Refresh(s.t.Context(), v, true); err != nil {
			s.t.Fatal(err)
		}
	}
	st, _ := s.engine.Stream(views.DefaultDatabase, "s")
	if n, _ := st.Repeats(); n != repeats {
		s.t.Errorf("the stream has %d repeats, want %d", n, repeats)
	}
}

// stop closes weir, lets do happen, and starts it again.
func (s *resender) stop(do func()) {
	s.t.Helper()
	if err := s.engine.Close(); err != nil {
		s.t.Fatal(err)
	}
	do()
	s.engine = reopen(s.t, s.dir, s.broker)
	countWhenBuilt(s.t, s.engine)
}

func (s *resender) file() string { return filepath.Join(s.dir, "streams", "s.db") }

// TestEventsSentAgainCountOnce shows it across restarts, damage to the file that
// has the ids, and to the log; an id that comes after the window is another event.
func TestEventsSentAgainCountOnce(t *testing.T) {
	stops := map[string]struct {
		do   func(s *resender)
		lost int // events that the log loses
	}{
		"restart":      {do: func(*resender) {}},
		"file gone":    {do: func(s *resender) { _ = os.Remove(s.file()) }},
		"file damaged": {do: func(s *resender) { s.damage() }},
		"log shorter":  {do: func(s *resender) { s.broker.Truncate("s", 80) }, lost: 20},
		"log shorter, and as long again": {do: func(s *resender) {
			s.broker.Truncate("s", 80)
			s.pass(time.Second)
			s.send(71, 90)
		}},
	}
	for seed := range uint64(8) {
		flipped := stops["restart"]
		flipped.do = func(s *resender) { s.flip(seed) }
		stops[fmt.Sprint("bits flipped, seed ", seed)] = flipped
	}
	for name, stop := range stops {
		t.Run(name, func(t *testing.T) {
			s := newResender(t)
			s.send(1, 50)
			s.pass(31 * time.Minute)
			s.send(1, 10) // repeats, by 31 minutes
			s.send(51, 90)
			s.expect(90, 10)
			s.stop(func() { stop.do(s) })
			s.expect(uint64(90-stop.lost), 10)
			s.pass(28 * time.Minute)
			s.send(1, 90) // by 59 and 28 minutes
			s.expect(90, uint64(100-stop.lost))
			s.pass(time.Minute)
			s.send(1, 1) // by an hour: another event, in the row of the first
			s.expect(90, uint64(100-stop.lost))
			s.pass(time.Minute)
			s.send(1, 1)
			s.expect(90, uint64(101-stop.lost))
		})
	}
}

// damage overwrites the file behind the pages that bbolt begins with.
func (s *resender) damage() {
	b, err := os.ReadFile(s.file())
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 2 * os.Getpagesize(); i < len(b); i++ {
		b[i] = byte(i * 7)
	}
	if err := os.WriteFile(s.file(), b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// flip changes some bits of what the file holds behind those pages.
func (s *resender) flip(seed uint64) {
	b, err := os.ReadFile(s.file())
	if err != nil {
		s.t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 7))
	for flipped := 0; flipped < 40; {
		if i := 2*os.Getpagesize() + r.IntN(len(b)-2*os.Getpagesize()); b[i] != 0 {
			b[i] ^= 1 << r.IntN(8)
			flipped++
		}
	}
	if err := os.WriteFile(s.file(), b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// BenchmarkFollow has a stream without views follow a log whose events all have
// ids, with and without a dedup_window.
func BenchmarkFollow(b *testing.B) {
	const events = 500_000
	broker := &logtest.Memory{}
	cfg := views.LogConfig{Name: "s", Subjects: []string{"s"}, DuplicateWindow: time.Nanosecond}
	if _, err := broker.CreateLog(b.Context(), cfg); err != nil {
		b.Fatal(err)
	}
	var msgs []views.Message
	for i := range events {
		msgs = append(msgs, views.Message{ID: fmt.Sprintf("0190a7c2-5b1e-7c3d-9f1a-%012x", i), Payload: fmt.Appendf(nil, `{"k":%d,"name":"somebody","price":12.5}`, i)})
	}
	if _, err := broker.Publish(b.Context(), "s", msgs); err != nil {
		b.Fatal(err)
	}
	for name, window := range map[string]time.Duration{"without": 0, "with": time.Hour} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				e, err := views.Open(b.Context(), views.Config{Dir: b.TempDir(), Broker: broker, Compiler: countByKey{}, Logger: discard()})
				if err != nil {
					b.Fatal(err)
				}
				def := &views.StreamDef{
					Database: views.DefaultDatabase, Name: "s", Format: views.FormatJSON, Subjects: []string{"s"}, DuplicateWindow: time.Nanosecond,
					Columns: []views.ColumnDef{{Name: "k", Type: column.Bigint, NotNull: true}}, DedupWindow: window,
				}
				b.StartTimer()
				if err := e.CreateStream(b.Context(), def); err != nil {
					b.Fatal(err)
				}
				s, _ := e.Stream(views.DefaultDatabase, "s")
				if err := s.WaitApplied(b.Context(), events); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := e.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
