package jetstream

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

// connect connects as a publisher does.
func connect(t *testing.T, s *Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("nats://"+s.Addr(), append(opts, nats.NoReconnect())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func mustCreate(t *testing.T, s *Server, name string) *log {
	t.Helper()
	l, err := s.CreateLog(t.Context(), views.LogConfig{Name: name, Subjects: []string{name, name + ".>"}})
	if err != nil {
		t.Fatal(err)
	}
	return l.(*log)
}

func mustPublish(t *testing.T, s *Server, name string, n int) uint64 {
	t.Helper()
	seq, err := s.Publish(t.Context(), name, events(n))
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// count reads a log to its end and returns how many records it has.
func count(t *testing.T, l views.Log) int {
	t.Helper()
	st, err := l.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for batch, err := range l.Read(t.Context(), 0, st.Last) {
		if err != nil {
			t.Fatal(err)
		}
		n += len(batch)
	}
	return n
}

func TestLogsOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, Sync: time.Second})
	created, err := mustCreate(t, s, "a").State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "a", 5000)
	if _, err := s.Publish(t.Context(), "a", []views.Message{{ID: "once"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil { // the second has nothing to do
			t.Fatal(err)
		}
	}
	if err := s.Healthy(); err == nil {
		t.Error("a closed server is healthy")
	}

	s = open(t, Config{Dir: dir, Sync: time.Second})
	if names, err := s.Logs(t.Context()); err != nil || len(names) != 1 || names[0] != "a" {
		t.Fatalf("the logs are %v, %v", names, err)
	}
	if seq, err := s.Publish(t.Context(), "a", []views.Message{{ID: "once"}}); err != nil || seq != 5001 {
		t.Errorf("an event published again after a restart has sequence %d, %v; want 5001", seq, err)
	}
	l, err := s.OpenLog(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	st, err := l.State(t.Context())
	if err != nil || !st.Created.Equal(created.Created) || st.Last != 5001 || count(t, l) != 5001 {
		t.Errorf("after a restart the log is %+v, %v; it was made %v", st, err, created.Created)
	}
}

// A process that is killed leaves its files as they are at that moment.
func TestLogsOutliveAKill(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, Sync: time.Minute})
	mustCreate(t, s, "a")
	mustPublish(t, s, "a", 5000)
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: copied, Sync: time.Minute})
	l, err := s.OpenLog(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, l); n != 5000 {
		t.Errorf("%d of 5000 acknowledged events are left", n)
	}
}

func TestStartErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, dir, addr, want string }{
		{"port in use", t.TempDir(), taken.Addr().String(), "nats listener " + taken.Addr().String() + ": address already in use"},
		{"no port", t.TempDir(), "127.0.0.1", "must be host:port"},
		{"bad port", t.TempDir(), "127.0.0.1:nats", `port "nats" is not a number`},
		{"directory is a file", file, "127.0.0.1:0", file},
	} {
		t.Run(test.name, func(t *testing.T) {
			var lines syncBuffer
			_, err := Open(t.Context(), Config{Dir: test.dir, Addr: test.addr, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, test.want)
			}
			if lines.String() != "" {
				t.Errorf("a start that fails is reported by its error alone, and logs\n%s", lines.String())
			}
		})
	}
}

type rootAccount struct{}

func (rootAccount) Root() bool             { return true }
func (rootAccount) Rights() (Rights, bool) { return Rights{}, true }

func TestPassword(t *testing.T) {
	s := open(t, Config{Login: func(user, password, _ string, _ bool) (Account, bool) {
		return rootAccount{}, user == "root" && password == "secret"
	}})
	mustCreate(t, s, "a")
	for _, test := range []struct {
		name string
		opt  nats.Option
		ok   bool
	}{
		{"root", nats.UserInfo("root", "secret"), true},
		{"root with another password", nats.UserInfo("root", "guess"), false},
		{"root without a password", nats.UserInfo("root", ""), false},
		{"nobody", nats.Name("nobody"), false},
		{"weir itself from outside", nats.UserInfo(internalUser, s.password), false},
	} {
		nc, err := nats.Connect("nats://"+s.Addr(), test.opt, nats.NoReconnect())
		if err == nil {
			nc.Close()
		}
		if ok := err == nil; ok != test.ok {
			t.Errorf("%s: connected %t (%v), want %t", test.name, ok, err, test.ok)
		}
	}
}

func TestOpenDoorIsNotWeirs(t *testing.T) {
	s := open(t, Config{})
	if _, err := nats.Connect("nats://"+s.Addr(), nats.UserInfo(internalUser, s.password), nats.NoReconnect()); err == nil {
		t.Error("weir's own user can log in from outside")
	}
}

// Others may publish, look and read.
func TestOutsideMay(t *testing.T) {
	s := open(t, Config{})
	l := mustCreate(t, s, "a")
	js, err := natsjs.New(connect(t, s))
	if err != nil {
		t.Fatal(err)
	}
	ack, err := js.Publish(t.Context(), "a.b", []byte("hello"), natsjs.WithMsgID("x"))
	if err != nil || ack.Sequence != 1 {
		t.Fatalf("publishing: %+v, %v", ack, err)
	}
	stream, err := js.Stream(t.Context(), "a")
	if err != nil {
		t.Fatalf("looking: %v", err)
	}
	for _, cfg := range []natsjs.ConsumerConfig{{}, {Durable: "mine"}} {
		consumer, err := stream.CreateOrUpdateConsumer(t.Context(), cfg)
		if err != nil {
			t.Fatalf("making a consumer: %v", err)
		}
		msg, err := consumer.Next()
		if err != nil || string(msg.Data()) != "hello" {
			t.Fatalf("consuming: %v", err)
		}
		if err := msg.DoubleAck(t.Context()); err != nil {
			t.Fatalf("acknowledging: %v", err)
		}
	}
	if err := stream.DeleteConsumer(t.Context(), "mine"); err != nil {
		t.Errorf("deleting a consumer: %v", err)
	}
	for batch, err := range l.Read(t.Context(), 0, 1) {
		if err != nil || batch[0].ID != "x" || batch[0].Subject != "a.b" {
			t.Errorf("read %+v, %v", batch, err)
		}
	}
	batchPublish(t, connect(t, s), "a")
}

// batchPublish sends an atomic batch of two, as the protocol has it.
func batchPublish(t *testing.T, nc *nats.Conn, subject string) {
	t.Helper()
	send := func(seq, commit string) *nats.Msg {
		m := nats.NewMsg(subject)
		m.Header.Set("Nats-Batch-Id", "batch")
		m.Header.Set("Nats-Batch-Sequence", seq)
		if commit != "" {
			m.Header.Set("Nats-Batch-Commit", commit)
		}
		reply, err := nc.RequestMsg(m, time.Minute)
		if err != nil {
			t.Fatalf("atomic batch: %v", err)
		}
		return reply
	}
	send("1", "")
	if reply := send("2", "1"); !bytes.Contains(reply.Data, []byte(`"count":2`)) {
		t.Errorf("atomic batch: %s", reply.Data)
	}
}

// Others may not make, change, empty or delete a log.
func TestOutsideMayNot(t *testing.T) {
	s := open(t, Config{})
	l := mustCreate(t, s, "a")
	mustPublish(t, s, "a", 10)
	denied := make(chan error, 100)
	nc := connect(t, s, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))
	for _, subject := range []string{
		"$JS.API.STREAM.CREATE.b",
		"$JS.API.STREAM.UPDATE.a",
		"$JS.API.STREAM.DELETE.a",
		"$JS.API.STREAM.PURGE.a",
		"$JS.API.STREAM.RESTORE.b",
		"$JS.API.STREAM.MSG.DELETE.a",
		"$JS.API.ACCOUNT.PURGE.$G",
		"$JS.API.CONSUMER.PAUSE.a.b",
		"_WEIR.anything",
	} {
		if err := nc.Publish(subject, []byte(`{"name":"b","seq":1}`)); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := <-denied; !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("publishing to %s: %v", subject, err)
		}
	}
	rollup := nats.NewMsg("a")
	rollup.Header.Set("Nats-Rollup", "all")
	reply, err := nc.RequestMsg(rollup, time.Minute)
	if err != nil || !bytes.Contains(reply.Data, []byte("error")) {
		t.Errorf("an event that would replace all others is answered with %s, %v", reply.Data, err)
	}
	if names, err := s.Logs(t.Context()); err != nil || len(names) != 1 || count(t, l) != 10 {
		t.Errorf("the logs are %v, %v, and a holds %d events of 10", names, err, count(t, l))
	}
}

// Others may listen to everything, and still not hear answers meant for weir.
// (They do hear what consumers get, theirs or ours, as everywhere in NATS: it
// carries the events' own subjects.)
func TestOutsideDoesNotOverhear(t *testing.T) {
	s := open(t, Config{})
	l := mustCreate(t, s, "a")
	mustPublish(t, s, "a", 10)
	nc := connect(t, s)
	heard, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, l); n != 10 {
		t.Fatalf("read %d of 10 events", n)
	}
	if err := nc.Publish("end", nil); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := heard.NextMsg(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject == "end" {
			return
		}
		if strings.HasPrefix(m.Subject, internalInbox) {
			t.Fatalf("heard %s", m.Subject)
		}
	}
}

func TestDurability(t *testing.T) {
	for _, test := range []struct {
		sync time.Duration
		want string
	}{{0, "always"}, {100 * time.Millisecond, "100ms"}} {
		s := open(t, Config{Sync: test.sync})
		if got := s.Durability(); got != test.want {
			t.Errorf("durability is %s, want %s", got, test.want)
		}
		l := mustCreate(t, s, "a")
		mustPublish(t, s, "a", 100)
		if n := count(t, l); n != 100 {
			t.Errorf("durability %s: read %d of 100 events", test.want, n)
		}
		if err := s.Healthy(); err != nil {
			t.Errorf("durability %s: %v", test.want, err)
		}
	}
}

// A syncBuffer takes writes from several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestServerLogs(t *testing.T) {
	var quiet, verbose syncBuffer
	for _, test := range []struct {
		out   *syncBuffer
		level slog.Level
	}{{&quiet, slog.LevelInfo}, {&verbose, slog.LevelDebug}} {
		s := open(t, Config{Logger: slog.New(slog.NewTextHandler(test.out, &slog.HandlerOptions{Level: test.level}))})
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if quiet.String() != "" {
		t.Errorf("a start and a stop are no news, but log\n%s", quiet.String())
	}
	if !strings.Contains(verbose.String(), "component=nats") || !strings.Contains(verbose.String(), "Listening for client connections") {
		t.Errorf("debug does not show what the server says:\n%s", verbose.String())
	}

	var lines syncBuffer
	b := newBridge(slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelInfo})))
	b.Noticef("notice")
	b.Debugf("debug")
	b.Tracef("trace")
	b.Warnf("warn %d", 1)
	b.Errorf("error %d", 2)
	if b.fatal() != nil {
		t.Error("an error is not fatal")
	}
	cause := errors.New("cause")
	b.Fatalf("fatal: %v", cause)
	b.Fatalf("another")
	if err := b.fatal(); err == nil || err.Error() != "fatal: cause" || !errors.Is(err, cause) {
		t.Errorf("the first fatal line is %v", err)
	}
	got := lines.String()
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, `level=WARN msg="warn 1"`) || !strings.Contains(got, `level=ERROR msg="error 2"`) {
		t.Errorf("the bridge logs\n%s", got)
	}
}

func TestHealthRemembersALostEvent(t *testing.T) {
	s := open(t, Config{})
	mustCreate(t, s, "a")
	lost := errors.New("lost")
	s.noteWrite(lost)
	if err := s.Healthy(); !errors.Is(err, lost) {
		t.Errorf("after a lost event: %v", err)
	}
	mustPublish(t, s, "a", 1)
	if err := s.Healthy(); err != nil {
		t.Errorf("after a stored event: %v", err)
	}
	s.writeFault.Store(&writeFault{lost, time.Now().Add(-faultMemory)})
	if err := s.Healthy(); err != nil {
		t.Errorf("long after a lost event: %v", err)
	}
}

func TestOpenWithDoneContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Config{Dir: t.TempDir(), Addr: "127.0.0.1:0"}); !errors.Is(err, context.Canceled) {
		t.Errorf("opened with a done context: %v", err)
	}
}
