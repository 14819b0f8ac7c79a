package demo

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"weir/jetstream/publisher"
	"weir/server"
)

// full is a snapshot with more rows than are shown.
func full() snapshot {
	var s snapshot
	for range 50 {
		r := row{key: "2026-01-01 10:01:00.000000", price: 54.321}
		r.requests = layered{1_000_000, 234_567, 1_234_567}
		r.visitors = layered{1000, 20, 1010}
		s.minutes = append(s.minutes, r)
		r.key = "101"
		s.items = append(s.items, r)
	}
	return s
}

func TestTableFitsATerminal(t *testing.T) {
	var out bytes.Buffer
	d := display{out: &out, live: true, ends: server.Endpoints{MySQL: "127.0.0.1:40000", NATS: "nats://127.0.0.1:40001"}, dir: "/tmp/weir-demo-1234567890"}
	d.show(full(), publisher.Progress{Acked: 1_234_567})
	text := out.String()
	for _, code := range []string{cursorHome, clearRight, clearBelow, clearAll} {
		text = strings.ReplaceAll(text, code, "")
	}
	lines := strings.Split(text, "\n")
	if len(lines) > 24 {
		t.Errorf("%d lines, want at most 24", len(lines))
	}
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("%d columns, want at most 80: %s", len(line), line)
		}
	}
	for _, want := range []string{"10:01        1,000,000  234,567 1,234,567", "54.32", "mysql -h127.0.0.1 -P40000 -uroot"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
}

func TestCheckFindsWhatDoesNotAddUp(t *testing.T) {
	s := full()
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	s.items[3].requests.speed--
	if err := s.check(); err == nil {
		t.Error("a row that does not add up passed")
	}
}

// TestDemo runs the whole demo, on a server of its own.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var out bytes.Buffer
	err := Run(t.Context(), Config{
		Duration: 2 * time.Second, Rate: 500, Out: &out, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{"batch + speed = merged", " items ", "acknowledged events"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &out)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind: %v", left, err)
	}
}
