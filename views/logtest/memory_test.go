package logtest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"weir/views"
	"weir/views/logtest"
)

func TestMemory(t *testing.T) {
	for _, batchMax := range []int{0, 1, 7} {
		logtest.Run(t, func(t *testing.T) views.Broker { return &logtest.Memory{BatchMax: batchMax} })
	}
}

// seqs returns the sequences that a log holds, as "1 2 5".
func seqs(t *testing.T, l views.Log) string {
	t.Helper()
	st, err := l.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for batch, err := range l.Read(t.Context(), 0, st.Last) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range batch {
			b.WriteString(string(rune('0'+r.Seq)) + string(r.Payload) + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

func newLog(t *testing.T, m *logtest.Memory) views.Log {
	t.Helper()
	l, err := m.CreateLog(t.Context(), views.LogConfig{Name: "a", Subjects: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, m, "abcde")
	return l
}

func publish(t *testing.T, m *logtest.Memory, payloads string) {
	t.Helper()
	for _, p := range payloads {
		if _, err := m.Publish(t.Context(), "a", []views.Message{{ID: string(p), Payload: []byte(string(p))}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamage(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(m *logtest.Memory)
		want   string
	}{
		{"trim", func(m *logtest.Memory) { m.Trim("a", 4) }, "4d 5e 6f 7g"},
		{"trim everything", func(m *logtest.Memory) { m.Trim("a", 100) }, "6f 7g"},
		{"truncate", func(m *logtest.Memory) { m.Truncate("a", 3) }, "1a 2b 3c 4f 5g"},
		{"truncate forgets IDs", func(m *logtest.Memory) { m.Truncate("a", 3); publish(t, m, "da") }, "1a 2b 3c 4d 5f 6g"},
		{"drop", func(m *logtest.Memory) { m.Drop("a", 2) }, "1a 3c 4d 5e 6f 7g"},
		{"drop the last", func(m *logtest.Memory) { m.Drop("a", 5) }, "1a 2b 3c 4d 6f 7g"},
		{"replace", func(m *logtest.Memory) { m.Replace("a") }, "1f 2g"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := &logtest.Memory{}
			l := newLog(t, m)
			test.damage(m)
			publish(t, m, "fg")
			if got := seqs(t, l); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestClock(t *testing.T) {
	m := &logtest.Memory{}
	now := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	m.SetTime(func() time.Time { return now })
	l := newLog(t, m)
	before, _ := l.State(t.Context())
	if !before.Created.Equal(now) || !before.LastTime.Equal(now) {
		t.Errorf("state is %+v, want times of %v", before, now)
	}
	m.Replace("a")
	after, _ := l.State(t.Context())
	if after.Created.Equal(before.Created) {
		t.Error("a replaced log has the creation time of the old one")
	}
	now = now.Add(time.Minute)
	publish(t, m, "aa")
	now = now.Add(time.Minute) // beyond the duplicate window
	publish(t, m, "a")
	if got := seqs(t, l); got != "1a 2a" {
		t.Errorf("got %s, want 1a 2a", got)
	}
}

func TestPoison(t *testing.T) {
	m := &logtest.Memory{BatchMax: 2}
	l := newLog(t, m)
	var kept []views.Record
	for batch, err := range l.Read(t.Context(), 0, 5) {
		if err != nil {
			t.Fatal(err)
		}
		if kept == nil {
			kept = batch
		}
	}
	if string(kept[0].Payload) == "a" || kept[0].Seq == 1 {
		t.Error("a record kept beyond its batch still looks right")
	}
}

func TestReplacedUnderReader(t *testing.T) {
	m := &logtest.Memory{}
	l := newLog(t, m)
	var last error
	for _, err := range l.Read(t.Context(), 0, 0) {
		if last = err; err == nil {
			m.Replace("a")
		}
	}
	if last == nil || errors.Is(last, views.ErrNoLog) {
		t.Errorf("the reader of a replaced log ended with %v", last)
	}
}
