package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"weir/bench/peer"
	"weir/bench/result"
	"weir/bench/work"
)

// What weir's and the log's acknowledgements promise.
const (
	soonSynced   = "written to the system, synced within 100 ms (--durability 100ms)"
	alwaysSynced = "synced before each acknowledgement (--durability always)"
)

// synced is how many events a run takes whose every event is synced: a rate
// that the disk alone decides needs no more.
func synced(events int64) int64 { return min(events/20, 20_000) }

// live measures events/s from the first publish until the views have the last
// event, and for peers from the first insert until the last commit, after which
// their views have it too.
func (b *bench) live(ctx context.Context, f *result.File) error {
	for range b.Rounds {
		if b.with("weir") {
			for _, w := range b.workloads() {
				if err := b.liveWeir(ctx, f, b.input(w)); err != nil {
					return err
				}
			}
		}
		if err := b.peers(ctx, f, "peers", func(db peer.Database) error {
			for _, w := range b.workloads() {
				if !w.Additive() {
					b.leave(db.Name()+", live, "+w.Name, fmt.Errorf("an upsert cannot keep a mean, a percentile or distinct values"))
					continue
				}
				for _, way := range db.Ways() {
					if b.brief && (way.Durable || way.Batch > 10_000) {
						continue
					}
					if err := b.livePeer(ctx, f, db, b.input(w), way); err != nil {
						return fmt.Errorf("%s, %s, %s: %w", w.Name, way.Name, way.Promised, err)
					}
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// quietly measures, and again, ten times at most, while other programs take
// more of the processors than --quiet lets them.
func (b *bench) quietly(measure func() error) error {
	for try := 1; ; try++ {
		others := result.WatchOthers()
		if err := measure(); err != nil {
			return err
		}
		took := others.Processors()
		b.others = append(b.others, took)
		if b.Quiet == 0 || took <= b.Quiet || try == 10 {
			return nil
		}
		b.others = b.others[:len(b.others)-1]
		fmt.Printf("  other programs took %.2f processors: once more\n", took)
	}
}

// A speed is what a live run took.
type speed struct {
	rate float64       // events/s
	cpu  time.Duration // that the server took of the processors for each event
}

func speedOf(events int64, took, cpu time.Duration) speed {
	return speed{float64(events) / took.Seconds(), cpu / time.Duration(events)}
}

// add notes both figures. The second hardly varies with what else the machine
// does, and so is the one to trust where the first scatters.
func (s speed) add(f *result.File, fig result.Figure) {
	fig.Measure, fig.Unit = "rate", "events/s"
	add(f, fig, s.rate)
	fig.Measure, fig.Unit = "processor", "µs an event"
	add(f, fig, float64(s.cpu.Nanoseconds())/1000)
}

// liveWeir measures the log alone, weir without a view, and with its views.
func (b *bench) liveWeir(ctx context.Context, f *result.File, in *work.Input) error {
	path, err := b.file(in, work.NDJSON)
	if err != nil {
		return err
	}
	var took speed
	if err := b.quietly(func() (err error) {
		took, err = b.bareSpeed(ctx, in, path)
		return err
	}); err != nil {
		return err
	}
	took.add(f, result.Figure{Workload: in.Name, Contender: alone, How: "nobody reads", Durability: soonSynced})
	var create []string
	for _, v := range in.Views {
		create = append(create, v.Create(in.Workload, ""))
	}
	for _, program := range b.Program {
		name := "weir"
		if len(b.Program) > 1 {
			name = filepath.Base(program)
		}
		for _, step := range []struct {
			how, promised, env string
			create             []string
			events             int64
		}{
			{"no view", soonSynced, "100ms", nil, in.Events},
			{viewsFresh(in.Workload), soonSynced, "100ms", create, in.Events},
			{viewsFresh(in.Workload), alwaysSynced, "always", create, synced(in.Events)},
		} {
			if b.brief && step.promised == alwaysSynced || !strings.Contains(step.how+", "+step.promised, b.Only) {
				continue
			}
			if err := b.quietly(func() (err error) {
				took, err = b.weirSpeed(ctx, program, in, path, step.create, step.events, "WEIR_DURABILITY="+step.env)
				return err
			}); err != nil {
				return fmt.Errorf("%s, %s: %w", name, step.how, err)
			}
			took.add(f, result.Figure{Workload: in.Name, Contender: name, How: step.how, Durability: step.promised})
		}
	}
	return nil
}

// alone is the contender that is the ceiling.
const alone = "JetStream alone"

func viewsFresh(w *work.Workload) string {
	if len(w.Views) == 1 {
		return "1 view fresh"
	}
	return fmt.Sprint(len(w.Views), " views fresh")
}

// bareSpeed is the ceiling: what the same JetStream takes with nobody reading.
func (b *bench) bareSpeed(ctx context.Context, in *work.Input, path string) (speed, error) {
	data := filepath.Join(b.Dir, "alone")
	defer func() { _ = os.RemoveAll(data) }()
	cmd := exec.CommandContext(ctx, b.bare, "serve", data, in.Stream)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return speed{}, err
	}
	if err := cmd.Start(); err != nil {
		return speed{}, err
	}
	defer func() { _ = cmd.Process.Kill() }()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return speed{}, fmt.Errorf("the log alone: %w", err)
	}
	begin, end, err := publishAll(ctx, publishFlags{URL: strings.TrimSpace(url), Subject: in.Stream, File: path, Count: in.Events})
	if err != nil {
		return speed{}, err
	}
	took := speedOf(in.Events, end.Sub(begin), result.CPU(cmd.Process.Pid))
	_ = cmd.Process.Signal(os.Interrupt)
	return took, cmd.Wait()
}

// weirSpeed is that of a new weir with the views that are created; their
// answers are checked. Without views it is that of acknowledgements.
func (b *bench) weirSpeed(ctx context.Context, program string, in *work.Input, path string, create []string, events int64, env ...string) (took speed, err error) {
	data := filepath.Join(b.Dir, "live")
	defer func() { _ = os.RemoveAll(data) }()
	w, err := peer.StartWeir(ctx, program, data, env...)
	if err != nil {
		return took, err
	}
	defer func() {
		if stopped := w.Stop(); err == nil {
			err = stopped
		}
	}()
	if err := w.Exec(ctx, append([]string{in.CreateStream()}, create...)...); err != nil {
		return took, err
	}
	before := result.CPU(w.PID())
	begin, end, err := publishAll(ctx, publishFlags{URL: w.NATS, Subject: in.Stream, File: path, Count: events})
	if err != nil {
		return took, err
	}
	if len(create) > 0 {
		if err := w.Wait(ctx, in.Stream, events); err != nil {
			return took, err
		}
		end = time.Now()
	}
	took = speedOf(events, end.Sub(begin), result.CPU(w.PID())-before)
	if len(create) > 0 {
		err = w.Check(ctx, answers(in, events), in)
	}
	return took, err
}

// answers computes what the views hold after so many events.
func answers(in *work.Input, events int64) map[string]*work.Answer {
	list := map[string]*work.Answer{}
	for _, v := range in.Views {
		list[v.Name] = in.Answer(&v, events)
	}
	return list
}

// livePeer writes batches for as long as it may, and checks the views.
func (b *bench) livePeer(ctx context.Context, f *result.File, db peer.Database, in *work.Input, way peer.Way) error {
	writer, err := db.Setup(ctx, in.Workload, way)
	if err != nil {
		return err
	}
	defer func() { _ = writer.Close() }()
	rows := make([][]work.Value, way.Batch)
	for i := range rows {
		rows[i] = make([]work.Value, len(in.Columns))
	}
	var written int64
	var commits []float64
	begin, before := time.Now(), result.CPU(db.PID())
	for written < in.Events && time.Since(begin) < b.Limit {
		n := min(int64(way.Batch), in.Events-written)
		for i := range n {
			in.Row(written+i, rows[i])
		}
		sent := time.Now()
		if err := writer.Write(ctx, rows[:n]); err != nil {
			return err
		}
		commits = append(commits, float64(time.Since(sent).Nanoseconds())/1e6)
		written += n
	}
	took := speedOf(written, time.Since(begin), result.CPU(db.PID())-before)
	q, err := db.Open(ctx, 1, false)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	for _, v := range in.Views {
		if err := peer.Check(ctx, q, db.Dialect(), in, &v, in.Answer(&v, written)); err != nil {
			return err
		}
	}
	fig := result.Figure{Workload: in.Name, Contender: db.Name(), How: way.Name, Durability: way.Promised}
	took.add(f, fig)
	fig.Unit = "ms"
	for _, p := range []struct {
		name string
		at   float64
	}{{"commit p50", 0.5}, {"commit p99", 0.99}} {
		fig.Measure = p.name
		f.Add(fig, result.Quantile(commits, p.at))
	}
	return nil
}
