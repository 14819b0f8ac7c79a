// Command bench measures weir beside its ceilings, in one run on one machine:
//
//	go run ./bench [-events N] [-weir FILE] [-live ROUNDS] [-freshness RATE] [-deliveries ROUNDS] [-queries ROUNDS [-rows N,…] [-dir DIR] [-only TEXT]]
//
// It starts the server as users run it, publishes from a process of its own
// over TCP with acknowledgements, and prints
//
//   - live: events/s from a publisher to fresh views, beside what the same
//     JetStream takes with nobody reading, which is the ceiling;
//   - freshness: from a publisher's acknowledgement to a SELECT that shows the
//     event, at half the rate of the live run;
//   - replay: the same freshness with replays beside it, and their rate;
//   - recompute: REFRESH … FULL of one view in events/s, and queries on the
//     stream, beside bare loops that read the same log: as live work
//     follows it, in bulk, and in bulk with three fields decoded.
//
// With -read it prints the last alone.
//
// With -live it prints the live rates alone, as the medians of so many rounds,
// and what the server's process takes of the processors for each event: the
// figure to trust where others use the machine too.
//
// With -weir it measures that program, and not the one that is built from here;
// with -live it may be several, which take turns.
//
// With -freshness it prints the freshness alone, at that rate.
//
// With -deliveries it prints the live rate with each delivery of views, and with
// a log that is synced before each acknowledgement, instead.
//
// With -queries it prints what reading a view costs, on the view, on its batch
// layer alone, and on a table of Debian's MariaDB (package mariadb-server) with
// the same rows and the same primary key; answers are compared before time is
// taken. With -dir the data stays there for the next run, and -only times the
// queries whose names have the text.
//
// Figures vary with what else the machine does; compare them within a run.
package main

import (
	"bufio"
	"context"
	gosql "database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/valyala/fastjson"

	"weir/jetstream"
	"weir/jetstream/publisher"
	"weir/views"
)

func main() {
	events := flag.Int("events", 500_000, "events of each run")
	publish := flag.String("publish", "", "be the publisher to this URL")
	bare := flag.String("jetstream", "", "be a JetStream without weir, in this directory")
	rate := flag.Int("rate", 0, "publisher: events a second; 0 is as fast as it goes")
	lives := flag.Int("live", 0, "measure the live rates alone, in this many rounds")
	programs := flag.String("weir", "", "measure this weir program; with -live several in turn")
	rounds := flag.Int("deliveries", 0, "measure the deliveries instead, in this many rounds")
	reading := flag.Int("queries", 0, "measure queries instead, in this many rounds")
	rows := flag.String("rows", "100000,1000000", "queries: rows of the view, several in turn")
	kept := flag.String("dir", "", "queries: keep the data here")
	only := flag.String("only", "", "queries: those with this in their names")
	fresh := flag.Int("freshness", 0, "measure the freshness alone, at so many events a second")
	read := flag.Bool("read", false, "measure what reads the log, alone")
	flag.Parse()
	ctx := context.Background()
	var err error
	switch {
	case *publish != "":
		err = publishEvents(ctx, *publish, *events, *rate)
	case *bare != "":
		err = serveJetStream(ctx, *bare)
	case *reading > 0:
		err = runQueries(ctx, *kept, *rows, *only, *reading)
	case *lives > 0:
		err = runLive(ctx, *programs, *events, *lives)
	case *fresh > 0:
		err = runFreshness(ctx, *programs, *events, *fresh)
	default:
		err = run(ctx, *programs, *events, *rounds, *read)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const stream = `CREATE STREAM ads (ts DATETIME(6) NOT NULL, campaign VARCHAR(20), user INT, kind VARCHAR(10), price DECIMAL(10,2), latency DOUBLE) WITH (event_time = 'ts')`

// threeViews are what a dashboard over the events would have.
var threeViews = []string{
	`CREATE MATERIALIZED VIEW per_campaign AS SELECT TUMBLE(ts, INTERVAL 10 SECOND) AS w, campaign, COUNT(*) AS n, SUM(price) AS revenue FROM ads WHERE kind = 'view' GROUP BY w, campaign`,
	`CREATE MATERIALIZED VIEW per_kind AS SELECT kind, COUNT(*) AS n, AVG(latency) AS avg_latency, MAX(latency) AS max_latency FROM ads GROUP BY kind`,
	`CREATE MATERIALIZED VIEW per_minute AS SELECT TUMBLE(ts, INTERVAL 1 MINUTE) AS minute, COUNT(*) AS n, APPROX_COUNT_DISTINCT(user) AS users FROM ads GROUP BY minute`,
}

func run(ctx context.Context, program string, events, rounds int, read bool) error {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin := program
	if bin == "" {
		if bin, err = build(ctx, dir); err != nil {
			return err
		}
	}
	fmt.Printf("%d events a run, %d CPUs, %s\n\n", events, runtime.GOMAXPROCS(0), runtime.Version())
	if rounds > 0 {
		return deliveries(ctx, bin, dir, events, rounds)
	}
	if read {
		data := filepath.Join(dir, "views")
		if _, err := live(ctx, bin, data, events, threeViews[:1]); err != nil {
			return err
		}
		return recompute(ctx, bin, data, events)
	}
	bare, err := liveBare(ctx, filepath.Join(dir, "bare"), events)
	if err != nil {
		return err
	}
	fmt.Printf("live, JetStream alone %v (the ceiling)\n", bare)
	none, err := live(ctx, bin, filepath.Join(dir, "none"), events, nil)
	if err != nil {
		return err
	}
	fmt.Printf("live, no view         %v (%.0f %%)\n", none, 100*none.rate/bare.rate)
	data := filepath.Join(dir, "views")
	fresh, err := live(ctx, bin, data, events, threeViews)
	if err != nil {
		return err
	}
	fmt.Printf("live, three views     %v (%.0f %%)\n", fresh, 100*fresh.rate/bare.rate)
	if err := freshness(ctx, bin, filepath.Join(dir, "fresh"), int(fresh.rate/2), 0); err != nil {
		return err
	}
	if err := freshness(ctx, bin, filepath.Join(dir, "beside"), int(fresh.rate/2), events); err != nil {
		return err
	}
	return recompute(ctx, bin, data, events)
}

// runFreshness prints the freshness at a rate.
func runFreshness(ctx context.Context, program string, events, rate int) error {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if program == "" {
		if program, err = build(ctx, dir); err != nil {
			return err
		}
	}
	if err := freshness(ctx, program, filepath.Join(dir, "fresh"), rate, 0); err != nil {
		return err
	}
	return freshness(ctx, program, filepath.Join(dir, "beside"), rate, events)
}

// build returns the path of weir's program, made in dir.
func build(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "weir")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "weir").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build weir: %w\n%s", err, out)
	}
	return bin, nil
}

// A weir is a server that runs.
type weir struct {
	ctx  context.Context // of the run; a field, since every method is a step of one run
	cmd  *exec.Cmd
	db   *gosql.DB
	nats string

	mysql string // host:port
}

func start(ctx context.Context, bin, data string) (*weir, error) {
	w := &weir{ctx: ctx, cmd: exec.CommandContext(ctx, bin, "serve", "--data", data, "--mysql", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--http", "127.0.0.1:0")}
	w.cmd.Stderr = os.Stderr
	w.cmd.Env = append(os.Environ(), "WEIR_LOG_LEVEL=warn")
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	var ends struct{ MySQL, NATS string }
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		raw, err := os.ReadFile(filepath.Join(data, "endpoints.json"))
		if err == nil && json.Unmarshal(raw, &ends) == nil {
			break
		}
		if time.Now().After(deadline) {
			return nil, errors.New("the server does not become ready")
		}
	}
	w.nats, w.mysql = ends.NATS, ends.MySQL
	var err error
	w.db, err = gosql.Open("mysql", "root@tcp("+ends.MySQL+")/analytics")
	return w, err
}

func (w *weir) stop() error {
	_ = w.db.Close()
	_ = w.cmd.Process.Signal(os.Interrupt)
	return w.cmd.Wait()
}

func (w *weir) exec(statements ...string) error {
	for _, s := range statements {
		if _, err := w.db.ExecContext(w.ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// publisherProcess starts this program again, as a publisher.
func publisherProcess(ctx context.Context, url string, events, rate int) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], "-publish", url, "-events", strconv.Itoa(events), "-rate", strconv.Itoa(rate))
	cmd.Stderr = os.Stderr
	return cmd
}

// runPublisher publishes as fast as it goes and returns when that began.
func runPublisher(ctx context.Context, url string, events int) (begin time.Time, err error) {
	out, err := publisherProcess(ctx, url, events, 0).Output()
	if err != nil {
		return begin, err
	}
	nanos, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return time.Unix(0, nanos), err
}

// A speed is what a live run took.
type speed struct {
	rate float64       // events/s
	cpu  time.Duration // of the server's process, for each event
}

func speedOf(events int, took time.Duration, server *os.ProcessState) speed {
	return speed{float64(events) / took.Seconds(), (server.UserTime() + server.SystemTime()) / time.Duration(events)}
}

func (s speed) String() string {
	return fmt.Sprintf("%8.0f events/s, %5.2f µs of processor each", s.rate, float64(s.cpu.Nanoseconds())/1000)
}

// liveBare returns the speed of a JetStream with nobody reading.
func liveBare(ctx context.Context, dir string, events int) (speed, error) {
	cmd := exec.CommandContext(ctx, os.Args[0], "-jetstream", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return speed{}, err
	}
	if err := cmd.Start(); err != nil {
		return speed{}, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return speed{}, err
	}
	begin, err := runPublisher(ctx, strings.TrimSpace(line), events)
	if err != nil {
		return speed{}, err
	}
	took := time.Since(begin)
	_ = cmd.Process.Signal(os.Interrupt)
	err = cmd.Wait()
	return speedOf(events, took, cmd.ProcessState), err
}

// serveJetStream is the embedded server by itself, with the log that the
// publisher sends to, until it is interrupted. It prints where it is.
func serveJetStream(ctx context.Context, dir string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	s, err := jetstream.Open(ctx, jetstream.Config{Dir: dir, Addr: "127.0.0.1:0", Sync: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if _, err := s.CreateLog(ctx, views.LogConfig{Name: "ads", Subjects: []string{"ads"}}); err != nil {
		return err
	}
	fmt.Println("nats://" + s.Addr())
	<-ctx.Done()
	return s.Close()
}

// live returns the speed from the first publish until the views have the last.
func live(ctx context.Context, bin, data string, events int, definitions []string) (speed, error) {
	w, err := start(ctx, bin, data)
	if err != nil {
		return speed{}, err
	}
	if err := w.exec(append([]string{stream}, definitions...)...); err != nil {
		return speed{}, err
	}
	begin, err := runPublisher(ctx, w.nats, events)
	if err != nil {
		return speed{}, err
	}
	if definitions != nil {
		var ok int
		if err := w.db.QueryRowContext(ctx, "SELECT WAIT_FOR_SEQ('ads', ?, 60)", events).Scan(&ok); err != nil || ok != 1 {
			return speed{}, fmt.Errorf("the views do not catch up: %w", err)
		}
	}
	took := time.Since(begin)
	err = w.stop()
	return speedOf(events, took, w.cmd.ProcessState), err
}

// replayed is the view that is replayed beside the others.
const replayed = `CREATE MATERIALIZED VIEW replayed WITH (mode = 'kappa', keep_previous = '0') AS SELECT campaign, user, COUNT(*) AS n FROM ads GROUP BY campaign, user`

// freshness polls a count while a publisher runs and compares what it shows
// with what the publisher says is acknowledged. With history it does so twice:
// as it is, with so many events in the log before, and with one replay after
// the other beside it.
func freshness(ctx context.Context, bin, data string, rate, history int) error {
	w, err := start(ctx, bin, data)
	if err != nil {
		return err
	}
	if err := w.exec(append([]string{stream}, threeViews...)...); err != nil {
		return err
	}
	if history == 0 {
		return errors.Join(w.measure("freshness", rate), w.stop())
	}
	if err := w.exec(replayed); err != nil {
		return err
	}
	if _, err := runPublisher(ctx, w.nats, history); err != nil {
		return err
	}
	if err := w.measure("  with a log behind it", rate); err != nil {
		return err
	}
	ended := make(chan error, 1)
	beside, stop := context.WithCancel(ctx)
	go func() { ended <- w.replays(beside) }()
	err = w.measure("  and replays beside", rate)
	stop()
	return errors.Join(err, <-ended, w.stop())
}

// replays refreshes the view that is replayed until ctx is done, and prints
// how fast that was.
func (w *weir) replays(ctx context.Context) error {
	db, err := w.db.Conn(w.ctx)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	begin := time.Now()
	done := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if _, err := db.ExecContext(w.ctx, "REFRESH MATERIALIZED VIEW replayed"); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	<-ctx.Done()
	var events float64
	var jobs int
	took := time.Since(begin)
	err = w.db.QueryRowContext(w.ctx, "SELECT SUM(events_done), COUNT(*) FROM weir.jobs WHERE kind = 'replay'").Scan(&events, &jobs)
	fmt.Printf("  the replays         %8.0f events/s\n", events/took.Seconds())
	return errors.Join(err, <-done)
}

// measure prints the freshness while a publisher sends for five seconds.
func (w *weir) measure(what string, rate int) error {
	cmd := publisherProcess(w.ctx, w.nats, rate*5, rate)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	waits, err := w.followAcks(out)
	if err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return err
	}
	slices.Sort(waits)
	at := func(p float64) time.Duration { return waits[min(int(p*float64(len(waits))), len(waits)-1)] }
	fmt.Printf("%-22s p50 %v, p99 %v from ack to SELECT, %d samples at %d events/s\n", what,
		at(0.5).Round(10*time.Microsecond), at(0.99).Round(10*time.Microsecond), len(waits), rate)
	return nil
}

// followAcks measures, for acknowledgements as the publisher prints them, how
// long it takes until a SELECT counts the event.
func (w *weir) followAcks(out io.Reader) (waits []time.Duration, err error) {
	count, err := w.db.PrepareContext(w.ctx, "SELECT SUM(n) FROM per_kind")
	if err != nil {
		return nil, err
	}
	defer func() { _ = count.Close() }()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		seq, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		for {
			var n gosql.NullInt64
			if err := count.QueryRowContext(w.ctx).Scan(&n); err != nil {
				return nil, err
			}
			if n.Int64 >= seq {
				break
			}
		}
		waits = append(waits, time.Since(begin))
	}
	return waits, lines.Err()
}

// recompute times REFRESH … FULL beside bare loops over the same log.
func recompute(ctx context.Context, bin, data string, events int) error {
	w, err := start(ctx, bin, data)
	if err != nil {
		return err
	}
	type figure struct {
		what string
		rate float64
	}
	var figures []figure
	for _, step := range []struct{ what, statement string }{
		{"REFRESH … FULL", "REFRESH MATERIALIZED VIEW per_campaign FULL"},
		{"GROUP BY on the stream", "SELECT campaign, COUNT(*), SUM(price), MAX(latency) FROM ads WHERE kind = 'view' GROUP BY campaign"},
		{"a filter on the stream", "SELECT ts, user FROM ads WHERE price > 99.98 AND latency > 98"},
	} {
		begin := time.Now()
		if err := w.exec(step.statement); err != nil {
			return err
		}
		figures = append(figures, figure{step.what, float64(events) / time.Since(begin).Seconds()})
	}
	if err := w.stop(); err != nil {
		return err
	}
	log, err := jetstream.Open(ctx, jetstream.Config{
		Dir: filepath.Join(data, "log"), Addr: "127.0.0.1:0", Sync: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	var ceiling float64
	for _, step := range []struct {
		what           string
		follow, decode bool
	}{{"bare read, following", true, false}, {"bare read", false, false}, {"bare read + decode", false, true}} {
		rate, err := loop(ctx, log, events, step.follow, step.decode)
		if err != nil {
			return err
		}
		ceiling = rate
		fmt.Printf("%-22s%9.0f events/s\n", step.what, rate)
	}
	for _, f := range figures {
		fmt.Printf("%-22s%9.0f events/s (%.0f %% of that)\n", f.what, f.rate, 100*f.rate/ceiling)
	}
	return log.Close()
}

// loop reads the whole log, perhaps as live work follows it, and, if asked,
// decodes three fields of each event.
func loop(ctx context.Context, broker *jetstream.Server, events int, follow, decode bool) (float64, error) {
	log, err := broker.OpenLog(ctx, "ads")
	if err != nil {
		return 0, err
	}
	var p fastjson.Parser
	begin, sum := time.Now(), 0.0
	until := uint64(events)
	if follow {
		until = 0
	}
	for recs, err := range log.Read(ctx, 0, until) {
		if err != nil {
			return 0, err
		}
		if follow && recs[len(recs)-1].Seq == uint64(events) {
			break
		}
		for i := range recs {
			if !decode {
				continue
			}
			v, err := p.ParseBytes(recs[i].Payload)
			if err != nil {
				return 0, err
			}
			sum += v.GetFloat64("latency") + float64(len(v.GetStringBytes("campaign"))+len(v.GetStringBytes("ts")))
		}
	}
	if decode && sum == 0 {
		return 0, errors.New("nothing was decoded")
	}
	return float64(events) / time.Since(begin).Seconds(), nil
}

// publishEvents is the publisher's process. With a rate it prints, about every
// 10 ms, the highest sequence that is acknowledged.
func publishEvents(ctx context.Context, url string, events, rate int) error {
	p, err := publisher.Dial(publisher.Config{URL: url})
	if err != nil {
		return err
	}
	defer p.Close()
	payloads := make([][]byte, min(events, 1<<18))
	for i := range payloads {
		payloads[i] = event(i)
	}
	begin := time.Now()
	if rate == 0 {
		fmt.Println(begin.UnixNano())
	}
	per := max(rate/100, 1)
	for i := range events {
		if err := p.Publish(ctx, publisher.Event{Subject: "ads", Payload: payloads[i%len(payloads)]}); err != nil {
			return err
		}
		if rate == 0 || (i+1)%per != 0 {
			continue
		}
		if err := p.Flush(ctx); err != nil {
			return err
		}
		fmt.Println(p.Progress().LastSeq)
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
	}
	return p.Flush(ctx)
}

// event is event i: about 150 bytes, 100 campaigns, ten seconds for 50,000.
func event(i int) []byte {
	kinds := [...]string{"view", "click", "purchase"}
	h := uint32(i) * 2654435761
	ts := time.UnixMilli(1_700_000_000_000 + int64(i)/5).UTC()
	b := append(make([]byte, 0, 160), `{"ts":"`...)
	b = ts.AppendFormat(b, "2006-01-02T15:04:05.000Z")
	return fmt.Appendf(b, `","campaign":"c%d","user":%d,"kind":"%s","price":%d.%02d,"latency":%d.5}`,
		h>>8%100, h>>4%50_000, kinds[h>>20%3], h>>10%50, h>>3%100, h>>12%2000)
}
