package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/internal/fault"
)

const (
	changesEvents = 20_000
	changesKeys   = 500
)

// A changedRow is a message of view v's changes.
type changedRow struct {
	K, N    int
	seq     int
	version string
}

func readChange(t *testing.T, header nats.Header, payload []byte) (r changedRow) {
	t.Helper()
	if err := json.Unmarshal(payload, &r); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	var err error
	if r.seq, err = strconv.Atoi(header.Get("Weir-Seq")); err != nil || header.Get("Weir-View") != "v" {
		t.Fatalf("the headers are %v", header)
	}
	r.version = header.Get("Weir-Version")
	return r
}

// changesEvent is event number i, whose sequence is i+1.
func changesEvent(i int) event {
	return event{id: strconv.Itoa(i), payload: fmt.Appendf(nil, `{"k":%d}`, changesKey(i))}
}

func changesKey(i int) int { return i * i % 7919 % changesKeys }

// TestChanges kills the server while a view sends its changes to a subject that
// a stream takes. What the stream holds in the end has each row as it was at the
// sequence it says, once, and last as it is. A subscriber sees the same, but for
// what was sent while it had no connection.
func TestChanges(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := newServer(ctx, t)
	c := newClient(t, s)
	c.exec(ctx, "CREATE STREAM e (k INT)")
	c.exec(ctx, "CREATE STREAM changes (k INT, n BIGINT) WITH (subjects = 'views.v', duplicate_window = '10m')")
	c.exec(ctx, "CREATE MATERIALIZED VIEW v WITH (batch_events = 3000, publish_changes = 'views.v') AS SELECT k, COUNT(*) AS n FROM e GROUP BY k")
	c.exec(ctx, "CREATE MATERIALIZED VIEW latest WITH (mode = 'kappa') AS SELECT k, LAST(n, _seq) AS n, MAX(n) AS most FROM changes GROUP BY k")
	p := newPublisher(t, s, "e", 256, ackLimitCrash)
	heard := make(chan *nats.Msg, changesEvents)
	if _, err := p.conn.ChanSubscribe("views.v", heard); err != nil {
		t.Fatal(err)
	}
	choose := random(t, 0)
	var events []event
	for i := range changesEvents {
		events = append(events, changesEvent(i))
	}
	p.pause = 50 * time.Microsecond
	done := make(chan error, 1)
	go func() { done <- p.publish(ctx, events) }()
	// By the fourth, a commit has noted what was sent: the next start finds the
	// rest in the log.
	for _, at := range []string{"changes.read=crash:4", "changes.sent=crash:4", "changes.found=crash:1"} {
		dieAt(ctx, t, s, at)
	}
	for range *crashes {
		select {
		case <-time.After(time.Duration(choose.Int64N(int64(600 * time.Millisecond)))):
		case <-ctx.Done():
		}
		if !s.kill() {
			t.Fatal("no kill")
		}
		s.start(ctx)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c.wait(ctx, "e", changesEvents)
	want := c.rows(ctx, "SELECT k, n FROM v ORDER BY k")
	for !sameRows(c.rows(ctx, "SELECT k, n FROM latest ORDER BY k"), want) {
		if ctx.Err() != nil {
			t.Fatal("the last messages are not the rows of the view")
		}
	}
	if got := c.value(ctx, "SELECT COUNT(*) FROM latest WHERE n <> most"); got != "0" {
		t.Errorf("of %s rows a later message is an earlier state", got)
	}
	counts := countsAt(ctx, t, c)
	for range len(heard) {
		m := <-heard
		if r := readChange(t, m.Header, m.Data); counts(r.K, r.seq) != r.N {
			t.Fatalf("a subscriber got %d events of key %d at sequence %d, want %d", r.N, r.K, r.seq, counts(r.K, r.seq))
		}
	}
	checkChanges(ctx, t, p, counts)
}

// dieAt has the server end at a crash point that it comes to by itself, and
// starts it again.
func dieAt(ctx context.Context, t *testing.T, s *server, env string) {
	t.Helper()
	s.kill()
	if s.launch(ctx, fault.Variable+"="+env) {
		p, err := s.running(ctx)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.logDone:
		case <-ctx.Done():
			t.Fatalf("the server does not come to %s", env)
		}
	}
	s.kill()
	s.start(ctx)
}

func sameRows(a, b [][]string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if strings.Join(a[i], " ") != strings.Join(b[i], " ") {
			return false
		}
	}
	return true
}

// countsAt returns what tells how many events with a key there are up to a
// sequence, as the log has them: events that were sent again stand elsewhere.
func countsAt(ctx context.Context, t *testing.T, c *client) func(k, seq int) int {
	t.Helper()
	at := map[string][]int{}
	for _, row := range c.rows(ctx, "SELECT k, _seq FROM e ORDER BY _seq") {
		seq, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatal(err)
		}
		at[row[0]] = append(at[row[0]], seq)
	}
	return func(k, seq int) int {
		n, _ := slices.BinarySearch(at[strconv.Itoa(k)], seq+1)
		return n
	}
}

// checkChanges reads the stream of changes as any client can.
func checkChanges(ctx context.Context, t *testing.T, p *publisher, counts func(k, seq int) int) {
	t.Helper()
	consumer, err := p.js.OrderedConsumer(ctx, "changes", natsjs.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := p.js.Stream(ctx, "changes")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for n := info.CachedInfo().State.Msgs; n > 0; {
		batch, err := consumer.Fetch(int(min(n, 1000)))
		if err != nil {
			t.Fatal(err)
		}
		for m := range batch.Messages() {
			n--
			r := readChange(t, m.Headers(), m.Data())
			if want := counts(r.K, r.seq); r.N != want {
				t.Fatalf("key %d at sequence %d has %d, want %d", r.K, r.seq, r.N, want)
			}
			id := m.Headers().Get(natsjs.MsgIDHeader)
			if ids[id] || !strings.HasPrefix(id, fmt.Sprintf("v:%s:%d:", r.version, r.seq)) {
				t.Fatalf("ID %s is there twice, or wrong", id)
			}
			ids[id] = true
		}
		if batch.Error() != nil {
			t.Fatal(batch.Error())
		}
	}
	t.Logf("%d messages for %d events", len(ids), changesEvents)
	for id := range maps.Keys(ids) { // and again: the stream knows them
		ack, err := p.js.PublishMsg(ctx, &nats.Msg{Subject: "views.v", Header: nats.Header{natsjs.MsgIDHeader: {id}}})
		if err != nil || !ack.Duplicate {
			t.Fatalf("a repeat of %s: %+v, %v", id, ack, err)
		}
		break
	}
}

// TestOtherClients shows what docs/consumers.md says: its programs run, and a
// durable consumer is there after a restart.
func TestOtherClients(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := newServer(ctx, t)
	c := newClient(t, s)
	page, err := os.ReadFile("../docs/consumers.md")
	if err != nil {
		t.Fatal(err)
	}
	proc, err := s.running(ctx)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(page), "nats://127.0.0.1:4222", "nats://"+proc.nats)
	blocks := func(lang string) (list []string) {
		for _, part := range strings.Split(text, "```"+lang+"\n")[1:] {
			block, _, _ := strings.Cut(part, "```")
			list = append(list, block)
		}
		return list
	}
	for _, stmt := range strings.SplitAfter(blocks("sql")[0], ";\n") {
		if strings.TrimSpace(stmt) != "" {
			c.exec(ctx, strings.TrimSuffix(strings.TrimSpace(stmt), ";"))
		}
	}
	programs := blocks("go")
	insert := "INSERT INTO access_log (path, status) VALUES ('/', 200), ('/cart', 500)"
	c.exec(ctx, insert)
	runProgram(ctx, t, programs[0], []string{"1 access_log {\"path\":\"/\",\"status\":200}", "2 access_log {\"path\":\"/cart\",\"status\":500}"}, nil)
	runProgram(ctx, t, programs[1], []string{`{"path":"/","requests":`, `{"path":"/cart","requests":`}, func() { c.exec(ctx, insert) })

	js := newPublisher(t, s, "access_log", 1, ackLimit).js
	durable, err := js.CreateOrUpdateConsumer(ctx, "access_log", natsjs.ConsumerConfig{Durable: "billing", AckPolicy: natsjs.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	m, err := durable.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.DoubleAck(ctx); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s.start(ctx)
	js = newPublisher(t, s, "access_log", 1, ackLimit).js
	if durable, err = js.Consumer(ctx, "access_log", "billing"); err != nil {
		t.Fatal(err)
	}
	if m, err = durable.Next(); err != nil {
		t.Fatal(err)
	}
	if meta, err := m.Metadata(); err != nil || meta.Sequence.Stream != 2 {
		t.Errorf("after a restart the durable consumer goes on with %+v, %v, want sequence 2", meta, err)
	}
}

// runProgram runs a Go program until it has printed lines that hold the texts.
func runProgram(ctx context.Context, t *testing.T, source string, texts []string, meanwhile func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "main.go")
	binary := filepath.Join(t.TempDir(), "main")
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, path).CombinedOutput(); err != nil {
		t.Fatalf("the program does not build: %v\n%s\n%s", err, out, source)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary)
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all := func() bool {
		for _, text := range texts {
			if !strings.Contains(out.String(), text) {
				return false
			}
		}
		return true
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !all() && ctx.Err() == nil {
		if meanwhile != nil {
			meanwhile()
		}
		<-tick.C
	}
	if !all() {
		t.Errorf("the program has not printed %q but:\n%s", texts, out.String())
	}
	cancel()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) && !errors.Is(err, context.Canceled) {
		t.Errorf("the program: %v", err)
	}
}

// A lockedBuffer is what a process prints, read while it runs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
