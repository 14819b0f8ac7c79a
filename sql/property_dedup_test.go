package sql

import (
	"fmt"
	"math"
	"time"

	"weir/views"
)

// In some worlds the stream has a dedup_window, and time passes: ids come again
// when the log itself has forgotten them.

// repeated is the value of k that only those events have which no view counts.
const repeated = "again"

// logWindow is the log's own window where a stream says nothing.
const logWindow = 30 * time.Second

// sends is what the test knows of the ids that were published.
type sends struct {
	window  time.Duration
	now     time.Time
	logged  map[string]time.Time // by id: when the log last took it
	counted map[string]time.Time // when it last was an event of its own
}

// dedupOption decides on a dedup_window, and returns the option.
func (w *world) dedupOption() string {
	if w.r.IntN(3) > 0 {
		// The log's own window must not pass, however slow the machine is.
		now := time.Now()
		w.broker.SetTime(func() time.Time { return now })
		return ""
	}
	w.sends = &sends{
		window: pick(w.r, 45*time.Second, 10*time.Minute, time.Hour), now: time.Now(),
		logged: map[string]time.Time{}, counted: map[string]time.Time{},
	}
	w.passTime()
	return fmt.Sprintf(", dedup_window = '%ds'", int(w.sends.window.Seconds()))
}

// passTime moves the log's clock. Nobody publishes meanwhile.
func (w *world) passTime() {
	if w.sends == nil {
		return
	}
	now := w.sends.now.Add(pick(w.r, 0, 5*time.Second, logWindow, w.sends.window/2, w.sends.window))
	w.sends.now = now
	w.broker.SetTime(func() time.Time { return now })
}

// sendAgain returns the next event, or one with an id that was there before:
// within the log's window it is no event, within the stream's it is one that
// counts nowhere, and after that it is another.
func (w *world) sendAgain() views.Message {
	s, m := w.sends, views.Message{}
	switch n := w.r.IntN(10); {
	case n < 4 && len(w.ids) > 0:
		m.ID = w.ids[max(0, len(w.ids)-1-w.r.IntN(1+w.r.IntN(len(w.ids))))]
	case n < 8:
		m.ID = fmt.Sprintf("id%d", len(w.events))
		w.ids = append(w.ids, m.ID)
	}
	m.Payload = []byte(pick(w.r, `{"req":1,"k":"`+repeated+`","n":1000000}`, `[1,2]`))
	if m.ID != "" && s.since(s.logged, m.ID) < logWindow {
		return m
	}
	s.logged[m.ID] = s.now
	if m.ID != "" && s.since(s.counted, m.ID) < s.window {
		w.events = append(w.events, plainEvent{repeat: true})
		return m
	}
	s.counted[m.ID] = s.now
	var e plainEvent
	m.Payload, e = w.payload()
	w.events = append(w.events, e)
	return m
}

func (s *sends) since(of map[string]time.Time, id string) time.Duration {
	if at, ok := of[id]; ok {
		return s.now.Sub(at)
	}
	return math.MaxInt64
}

// checkRepeats compares how many events count nowhere.
func (w *world) checkRepeats() {
	w.t.Helper()
	want := int64(0)
	for _, e := range w.events {
		if e.repeat {
			want++
		}
	}
	_, rows, _ := w.query("SELECT repeats, (dedup_window IS NULL) = (dedup_horizon IS NULL) FROM weir.streams WHERE name = 'ev'", nil)
	if compareCells(rows[0][0], want) != 0 || compareCells(rows[0][1], int64(1)) != 0 {
		w.t.Errorf("weir.streams counts %v repeats, want %d", rows[0], want)
	}
}
