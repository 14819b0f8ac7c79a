package load

import (
	"bytes"
	"compress/gzip"
	"context"
	gosql "database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver that stories open

	"weir/jetstream/publisher"
	"weir/server"
)

// ends are where the server of all tests answers.
var ends server.Endpoints

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-load-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	i, err := server.Start(context.Background(), server.Config{
		Dir: dir, MySQL: "127.0.0.1:0", NATS: "127.0.0.1:0", HTTP: "127.0.0.1:0",
		Sync: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	ends = i.Endpoints()
	status := m.Run()
	if err := i.Stop(); err != nil {
		panic(err)
	}
	return status
}

// A story is a stream and what is published to it.
type story struct {
	t      *testing.T
	stream string
	dir    string
	db     *gosql.DB
	client *publisher.Publisher
}

// shortWindow is the shortest that the log takes.
const shortWindow = "100ms"

// newStory makes a stream that forgets IDs at once.
func newStory(t *testing.T) *story {
	t.Helper()
	db, err := gosql.Open("mysql", "root@tcp("+ends.MySQL+")/analytics")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	client, err := publisher.Dial(publisher.Config{URL: ends.NATS})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	name := strings.ReplaceAll(strings.ToLower(t.Name()), "/", "_")
	s := &story{t: t, stream: name, dir: t.TempDir(), db: db, client: client}
	s.exec(fmt.Sprintf("CREATE STREAM %s (line TEXT) WITH (subjects = '%[1]s.*, %[1]s', format = 'regex', "+
		"pattern = '^(?P<line>.*)$', duplicate_window = '%s')", name, shortWindow))
	t.Cleanup(func() {
		if _, err := db.ExecContext(context.Background(), "DROP STREAM IF EXISTS "+name); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *story) exec(query string) {
	s.t.Helper()
	if _, err := s.db.ExecContext(s.t.Context(), query); err != nil {
		s.t.Fatalf("%v\n%s", err, query)
	}
}

// write makes a file of the folder hold a text.
func (s *story) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// forget returns when the log has forgotten every ID that it has now.
func (s *story) forget() {
	s.t.Helper()
	duplicate := false
	client, err := publisher.Dial(publisher.Config{URL: ends.NATS, OnAck: func(a publisher.Ack) { duplicate = a.Duplicate }})
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	// A duplicate does not renew its ID.
	probe := publisher.Event{Subject: s.stream + ".probe", ID: token(), Payload: []byte("probe")}
	for n := 0; n == 0 || duplicate; n++ {
		if err := client.Publish(s.t.Context(), probe); err != nil {
			s.t.Fatal(err)
		}
		if err := client.Flush(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// A result is what a run said.
type result struct {
	published, already, duplicates, skipped, lastSeq string
	notes                                            string
}

var summary = regexp.MustCompile(`: (\S+) published, (\S+) there already, (\S+) duplicates, (\S+) skipped, in \S+ s \(\S+/s\); last sequence (\d+)\n$`)

func (s *story) run(ctx context.Context, cfg Config) (result, error) {
	s.t.Helper()
	var out, notes bytes.Buffer
	cfg.URL, cfg.Stream, cfg.Out, cfg.Err = ends.NATS, s.stream, &out, &notes
	if cfg.quiet == 0 {
		cfg.quiet = 10 * time.Millisecond
	}
	err := Run(ctx, cfg)
	m := summary.FindStringSubmatch(out.String())
	if m == nil {
		if err == nil {
			s.t.Fatalf("the run ended with %q", &out)
		}
		return result{notes: notes.String()}, err
	}
	return result{m[1], m[2], m[3], m[4], m[5], notes.String()}, err
}

// publish publishes files and expects so many to be new and so many not.
func (s *story) publish(published, already string, files ...string) result {
	s.t.Helper()
	r, err := s.run(s.t.Context(), Config{Files: files})
	if err != nil || r.published != published || r.already != already || r.duplicates != "0" {
		s.t.Fatalf("got %+v, error %v; want %s published and %s there already", r, err, published, already)
	}
	return r
}

// holds fails the test unless the log holds exactly these lines, in any order.
func (s *story) holds(text string) {
	s.t.Helper()
	rows, err := s.db.QueryContext(s.t.Context(), "SELECT _payload FROM "+s.stream+" WHERE _payload <> 'probe'")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	count := map[string]int{}
	for rows.Next() {
		var payload string
		if err := rows.Scan(&payload); err != nil {
			s.t.Fatal(err)
		}
		count[payload]++
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	for one := range strings.Lines(text) {
		count[strings.TrimRight(one, "\r\n")]--
	}
	for one, n := range count {
		if n != 0 {
			s.t.Errorf("the log has %q %d times more than it should", one, n)
		}
	}
}

// numbered returns so many different lines, beginning with one that is named.
func numbered(name string, from, to int) string {
	var b strings.Builder
	for n := from; n <= to; n++ {
		fmt.Fprintf(&b, "%s %d\n", name, n)
	}
	return b.String()
}

func TestTheSameFileIsPublishedOnce(t *testing.T) {
	s := newStory(t)
	text := numbered("line", 1, 3000)
	path := s.write("log", text)
	r := s.publish("3,000", "0", path)
	if r.lastSeq != "3000" {
		t.Errorf("the last sequence is %s", r.lastSeq)
	}
	s.publish("0", "3,000", path)
	s.forget()
	s.publish("0", "3,000", path)
	s.publish("0", "6,000", path, path)

	more := text + numbered("line", 3001, 3500)
	s.write("log", more)
	s.publish("500", "3,000", path)
	moved := filepath.Join(s.dir, "moved")
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	s.publish("0", "3,500", moved)

	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(more + numbered("line", 3501, 3600)))
	_ = z.Close()
	s.publish("100", "3,500", s.write("log.gz", zipped.String()))
	s.publish("100", "3,600", s.write("log", numbered("new", 1, 100)), filepath.Join(s.dir, "log.gz"))
	s.holds(more + numbered("line", 3501, 3600) + numbered("new", 1, 100))

	s.exec("DROP STREAM " + s.stream)
	again := newStory(t)
	again.publish("3,500", "0", moved) // the marks of the stream that is gone are no matter
}

func TestFilesThatBeginAlike(t *testing.T) {
	s := newStory(t)
	title := numbered("title", 1, 600) // more than a block
	a, b := title+numbered("a", 1, 700), title+numbered("b", 1, 700)
	s.publish("1,300", "0", s.write("a", a))
	s.publish("1,300", "0", s.write("b", b))
	s.forget()
	s.publish("0", "2,600", s.write("a", a), s.write("b", b))
	s.publish("1", "1,300", s.write("a", a+"end\n"))
	s.holds(a + b + "end\n")

	_, err := s.run(t.Context(), Config{Files: []string{s.write("short", title)}})
	if err == nil || !strings.Contains(err.Error(), "--as") {
		t.Errorf("a file that is the beginning of another: got error %v", err)
	}
	r, err := s.run(t.Context(), Config{Files: []string{s.write("short", title)}, As: "short"})
	if err != nil || r.published != "600" {
		t.Errorf("under a name: got %+v, %v", r, err)
	}
	s.holds(a + b + "end\n" + title)

	// A title of one line is no reason to take files for one another.
	s.publish("1", "0", s.write("monday", "date,path\n"))
	s.publish("3", "1", s.write("monday", "date,path\nmonday,/1\nmonday,/2\nmonday,/3\n"))
	s.publish("2", "0", s.write("tuesday", "date,path\ntuesday,/1\n"))
	s.forget()
	s.publish("0", "6", filepath.Join(s.dir, "monday"), filepath.Join(s.dir, "tuesday"))
}

func TestLineEnds(t *testing.T) {
	s := newStory(t)
	s.publish("4", "0", s.write("dos", "one\r\ntwo\r\n\r\n  \r\nthree\r\nfour"))
	s.publish("0", "4", s.write("dos", "one\r\ntwo\r\n\r\n  \r\nthree\r\nfour"))
	s.forget()
	// The last line is only ended, then another begun, and that one continued.
	s.publish("0", "4", s.write("dos", "one\r\ntwo\r\n\r\n  \r\nthree\r\nfour\r\n"))
	s.publish("1", "4", s.write("dos", "one\r\ntwo\r\n\r\n  \r\nthree\r\nfour\r\nfi"))
	s.forget()
	r := s.publish("1", "4", s.write("dos", "one\r\ntwo\r\n\r\n  \r\nthree\r\nfour\r\nfive"))
	if !strings.Contains(r.notes, "dos:7: ") {
		t.Errorf("the notes are %q", r.notes)
	}
	s.publish("0", "5", s.write("dos", "one\r\ntwo\r\n\r\n  \r\nthree\r\nfour\r\nfive\r\n"))
	s.holds("one\ntwo\nthree\nfour\nfi\nfive\n")
	s.publish("0", "0", s.write("empty", ""))
}

func TestALineThatIsTooLongIsSkipped(t *testing.T) {
	s := newStory(t)
	most := s.client.MaxPayload() - idBytes
	fits := strings.Repeat("x", most)
	path := s.write("log", "one\n"+fits+"\n"+fits+"y\n"+"two\n")
	r, err := s.run(t.Context(), Config{Files: []string{path}})
	if err != nil || r.published != "3" || r.skipped != "1" || !strings.Contains(r.notes, path+":3: ") {
		t.Fatalf("got %+v, error %v", r, err)
	}
	s.publish("0", "3", path)
	if _, err := s.run(t.Context(), Config{Files: []string{path}, As: "strict", Strict: true}); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("with --strict: got error %v", err)
	}
}

func TestStandardInput(t *testing.T) {
	s := newStory(t)
	text := numbered("line", 1, 2000)
	in := func(as, text string) (result, error) {
		return s.run(t.Context(), Config{Files: []string{"-"}, As: as, Stdin: strings.NewReader(text)})
	}
	for _, test := range []struct{ as, text, published, already string }{
		{"", text, "2,000", "0"},
		{"", text, "2,000", "0"},
		{"web1", text, "2,000", "0"},
		{"web1", text, "0", "2,000"},
		{"web1", text + "more", "1", "2,000"},
		{"web2", text, "2,000", "0"},
	} {
		if r, err := in(test.as, test.text); err != nil || r.published != test.published || r.already != test.already {
			t.Errorf("%q: got %+v, error %v", test.as, r, err)
		}
		s.forget()
	}
	for _, text := range []string{"other\n", numbered("other", 1, 4000)} {
		if _, err := in("web1", text); err == nil || !strings.Contains(err.Error(), "web1") {
			t.Errorf("another text under the name: got error %v", err)
		}
	}
	s.holds(strings.Repeat(text, 4) + "more\n")
}

// TestInterrupted breaks off while standard input has nothing, and in the
// middle of a file.
func TestInterrupted(t *testing.T) {
	s := newStory(t)
	text := numbered("line", 1, 20_000)
	path := s.write("log", text)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			s.await(ctx, s.last()+1000)
		}()
		_, err := s.run(ctx, Config{Files: []string{path}, Rate: 20_000})
		if err == nil || !strings.Contains(err.Error(), "the same command goes on") {
			t.Fatalf("an interrupted run ended with error %v", err)
		}
		s.forget()
	}
	if r, err := s.run(t.Context(), Config{Files: []string{path}}); err != nil || r.published == "0" || strings.Contains(r.notes, "in order") {
		t.Fatalf("got %+v, error %v", r, err)
	}
	s.holds(text)

	out, in := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	last := s.last()
	go func() {
		defer cancel()
		_, _ = in.Write([]byte("a\nb"))
		s.await(ctx, last+1)
	}()
	if r, err := s.run(ctx, Config{Files: []string{"-"}, As: "pipe", Stdin: out}); err == nil || r.published != "1" {
		t.Errorf("got %+v, error %v", r, err)
	}
	_ = in.Close()
}

func (s *story) last() uint64 {
	log, err := s.client.Log(s.t.Context(), s.stream)
	if err != nil {
		s.t.Error(err)
	}
	return log.Last
}

// await returns when the log has a sequence, or ctx is done.
func (s *story) await(ctx context.Context, seq uint64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil && !s.t.Failed() && s.last() < seq {
		<-tick.C
	}
}

// change sets the file's mark to what do makes of it, as another run would.
func (s *story) change(path string, do func(*mark)) {
	s.t.Helper()
	block, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	marks, err := s.client.Marks(s.t.Context(), identify(s.stream, "", block[:min(len(block), blockSize)]).pattern())
	if err != nil || len(marks) != 1 {
		s.t.Fatalf("found marks %v, error %v", marks, err)
	}
	var m mark
	if err := json.Unmarshal(marks[0].Value, &m); err != nil {
		s.t.Fatal(err)
	}
	do(&m)
	value, err := json.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.client.SetMark(s.t.Context(), marks[0].Key, value, marks[0].Revision); err != nil {
		s.t.Fatal(err)
	}
}

// TestCrashed goes on after runs whose last mark is older than what they have
// published.
func TestCrashed(t *testing.T) {
	s := newStory(t)
	text := numbered("line", 1, 5000)
	path := s.write("log", text)
	s.publish("5,000", "0", path)
	s.forget()
	s.change(path, func(m *mark) { // the first mark of a run
		m.Offset, m.Lines, m.Events, m.Tail, m.TailLen, m.Seq, m.From, m.Run = 0, 0, 0, digest(nil), 0, 0, 0, "dead"
	})
	r := s.publish("1,000", "5,000", s.write("log", text+numbered("line", 5001, 6000)))
	if !strings.Contains(r.notes, "did not end in order") {
		t.Errorf("the notes are %q", r.notes)
	}
	whole := text + numbered("line", 5001, 6000)
	const done = 2000 // lines before a mark in the middle
	offset := len(numbered("line", 1, done))
	s.change(path, func(m *mark) {
		m.Offset, m.Lines, m.Events, m.Run = int64(offset), done, done, "dead"
		tail := last([]byte(whole[:offset]), tailSize)
		m.Tail, m.TailLen, m.Seq, m.From = digest(tail), len(tail), done, done
	})
	s.forget()
	s.publish("0", "6,000", path)
	s.holds(whole)
	// What lies between the mark and the events that are looked for is no matter.
	s.change(path, func(m *mark) { m.Run = "dead" })
	s.publish("0", "6,000", path)
	s.holds(whole)
}

// TestAnInterruptedRunAfterACrash is broken off in order while lines behind its
// mark, of the run before, are in the log: the next run must not forget them.
func TestAnInterruptedRunAfterACrash(t *testing.T) {
	s := newStory(t)
	text := numbered("line", 1, 3000)
	first := len("line 1\n")
	path := s.write("log", text[:first])
	s.publish("1", "0", path)
	s.change(path, func(m *mark) { m.Run = "dead" })
	marks, err := s.client.Marks(t.Context(), s.stream+".*.*")
	if err != nil || len(marks) != 1 {
		t.Fatalf("found marks %v, error %v", marks, err)
	}
	file := (&found{key: marks[0].Key}).id()
	for _, one := range readLines(t, text, 100)[2000:] {
		event := publisher.Event{Subject: s.stream, ID: eventID(file, one.end), Payload: one.text}
		if err := s.client.Publish(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.forget()
	s.write("log", text)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		s.await(ctx, s.last()+100)
	}()
	if r, err := s.run(ctx, Config{Files: []string{path}, Rate: 1000}); err == nil || r.already != "1" {
		t.Fatalf("the run was not interrupted before the lines that are known: %+v, error %v", r, err)
	}
	s.forget()
	if r, err := s.run(t.Context(), Config{Files: []string{path}}); err != nil || r.published == "0" {
		t.Fatalf("got %+v, error %v", r, err)
	}
	s.holds(text)
}

// TestTheLogHasLostItsEnd goes on where a mark speaks of events that are gone.
func TestTheLogHasLostItsEnd(t *testing.T) {
	for _, gone := range []string{"shorter", "overwritten"} {
		t.Run(gone, func(t *testing.T) {
			s := newStory(t)
			text := numbered("line", 1, 1000)
			path := s.write("log", text+numbered("lost", 1, 100))
			s.write("log", text)
			s.publish("1,000", "0", path)
			s.forget() // which leaves an event behind
			s.write("log", text+numbered("lost", 1, 100))
			s.change(path, func(m *mark) {
				whole := []byte(text + numbered("lost", 1, 100))
				m.Offset, m.Lines, m.Events = int64(len(whole)), 1100, 1100
				m.Tail, m.TailLen = digest(last(whole, tailSize)), tailSize
				m.Seq, m.From = 1001, 1001
				if gone == "shorter" {
					m.Seq, m.From = 1100, 1100
				}
			})
			r := s.publish("100", "1,000", path)
			if !strings.Contains(r.notes, "has lost") {
				t.Errorf("the notes are %q", r.notes)
			}
			s.holds(text + numbered("lost", 1, 100))
			s.publish("0", "1,100", path)
		})
	}
}

// TestTwoRunsOfAFile runs the same file twice at the same time.
func TestTwoRunsOfAFile(t *testing.T) {
	s := newStory(t)
	text := numbered("line", 1, 20_000)
	path := s.write("log", text)
	first := make(chan error, 1)
	go func() {
		_, err := s.run(t.Context(), Config{Files: []string{path}, Rate: 10_000})
		first <- err
	}()
	s.await(t.Context(), 1000)
	_, err := s.run(t.Context(), Config{Files: []string{path}, quiet: quietTime})
	if !errors.Is(err, errBusy) {
		t.Errorf("the second run ended with error %v", err)
	}
	if err := <-first; err != nil {
		t.Errorf("the first run ended with error %v", err)
	}
	s.holds(text)
}

func TestManyRunsAtOnce(t *testing.T) {
	s := newStory(t)
	text := numbered("line", 1, 3000)
	path := s.write("log", text)
	var runs sync.WaitGroup
	for range 4 {
		runs.Go(func() {
			_, _ = s.run(t.Context(), Config{Files: []string{path}, quiet: quietTime})
		})
	}
	runs.Wait()
	s.holds(text)
	s.publish("0", "3,000", path)
}

// TestARunThatWasTakenOver ends when it finds its mark changed.
func TestARunThatWasTakenOver(t *testing.T) {
	s := newStory(t)
	path := s.write("log", numbered("line", 1, 20_000))
	ended := make(chan error, 1)
	go func() {
		_, err := s.run(t.Context(), Config{Files: []string{path}, Rate: 5000})
		ended <- err
	}()
	s.await(t.Context(), 100)
	s.change(path, func(m *mark) { m.Run = "other" })
	if err := <-ended; !errors.Is(err, errBusy) {
		t.Errorf("the run ended with error %v", err)
	}
}

func TestDamagedFiles(t *testing.T) {
	s := newStory(t)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(numbered("line", 1, 20_000)))
	_ = z.Close()
	path := s.write("log.gz", zipped.String()[:zipped.Len()/2])
	r, err := s.run(t.Context(), Config{Files: []string{path}})
	if err == nil || !strings.Contains(err.Error(), "ends early") || r.published == "0" {
		t.Errorf("half a file: got %+v, error %v", r, err)
	}
	s.write("log.gz", zipped.String())
	if _, err := s.run(t.Context(), Config{Files: []string{path}}); err != nil {
		t.Errorf("the whole file: %v", err)
	}
	s.holds(numbered("line", 1, 20_000))
	s.write("log.gz", "\x1f\x8bnot gzip")
	if _, err := s.run(t.Context(), Config{Files: []string{path}}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("no gzip file: %v", err)
	}
}

func TestErrorsSayTheWayOut(t *testing.T) {
	s := newStory(t)
	s.exec("CREATE STREAM wild (line TEXT) WITH (subjects = 'wild.*')")
	defer s.exec("DROP STREAM wild")
	path := s.write("log", "one\n")
	for _, test := range []struct {
		cfg  Config
		want string
	}{
		{Config{Stream: "errorssaythewayout", Files: []string{path}}, "does not exist"},
		{Config{Stream: "wlid", Files: []string{path}}, "did you mean wild?"},
		{Config{Stream: "wild", Files: []string{path}}, "--subject"},
		{Config{Stream: "wild", Subject: "wild.>", Files: []string{path}}, "one subject"},
		{Config{Stream: "wild", Subject: "tame.a", Files: []string{path}}, "wild.*"},
		{Config{Stream: "wild", Files: []string{path + ".no"}}, "no such file"},
		{Config{Stream: "wild", Files: []string{s.dir}}, "is a directory"},
		{Config{Stream: "wild", URL: "127.0.0.1:1", Files: []string{path}}, "--nats"},
	} {
		var out bytes.Buffer
		test.cfg.Out, test.cfg.Err = &out, &out
		if test.cfg.URL == "" {
			test.cfg.URL = ends.NATS
		}
		if err := Run(t.Context(), test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got error %v, want %s", test.cfg, err, test.want)
		}
	}
	var out bytes.Buffer
	err := Run(t.Context(), Config{URL: ends.NATS, Stream: "ANALYTICS.Wild", Subject: "wild.a", Files: []string{path}, Out: &out, Err: &out})
	if err != nil || !strings.Contains(out.String(), ": 1 published") {
		t.Errorf("got %q, error %v", &out, err)
	}
}

func TestProgress(t *testing.T) {
	d := &display{name: "/var/log/nginx/access.log", l: &loader{client: newStory(t).client}, live: true, total: 200e6}
	d.read.Store(50e6)
	d.passed.Store(40e6)
	got := d.progress(10 * time.Second)
	if want := "…og/nginx/access.log [#####---------------]  25% 50.0 MB 0/s 2m30s left"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	d.live, d.total = false, 0
	if got, want := d.progress(time.Second), "…og/nginx/access.log 50.0 MB 0/s"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
