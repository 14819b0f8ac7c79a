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

// slower is how many times fewer events a run takes whose every event is synced.
const slower = 20

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

// liveWeir measures the log alone, weir without a view, and with its views.
func (b *bench) liveWeir(ctx context.Context, f *result.File, in *work.Input) error {
	path, err := in.File(filepath.Join(b.Dir, "input"), work.NDJSON)
	if err != nil {
		return err
	}
	rate, err := b.bareRate(ctx, in, path)
	if err != nil {
		return err
	}
	fig := result.Figure{Workload: in.Name, Contender: "JetStream alone", How: "nobody reads", Durability: soonSynced, Measure: "rate", Unit: "events/s"}
	add(f, fig, rate)
	fig.Contender, fig.How = "weir", "no view"
	if rate, err = b.weirRate(ctx, in, path, nil, in.Events); err != nil {
		return err
	}
	add(f, fig, rate)
	fig.How = viewsFresh(in.Workload)
	var create []string
	for _, v := range in.Views {
		create = append(create, v.Create(in.Workload, ""))
	}
	if rate, err = b.weirRate(ctx, in, path, create, in.Events); err != nil {
		return err
	}
	add(f, fig, rate)
	if b.brief {
		return nil
	}
	fig.Durability = alwaysSynced
	if rate, err = b.weirRate(ctx, in, path, create, in.Events/slower, "WEIR_DURABILITY=always"); err != nil {
		return err
	}
	add(f, fig, rate)
	return nil
}

func viewsFresh(w *work.Workload) string {
	if len(w.Views) == 1 {
		return "1 view fresh"
	}
	return fmt.Sprint(len(w.Views), " views fresh")
}

// bareRate is the ceiling: what the same JetStream takes with nobody reading.
func (b *bench) bareRate(ctx context.Context, in *work.Input, path string) (float64, error) {
	data := filepath.Join(b.Dir, "alone")
	defer func() { _ = os.RemoveAll(data) }()
	cmd := exec.CommandContext(ctx, b.bare, "serve", data, in.Stream)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { _ = cmd.Process.Kill() }()
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the log alone: %w", err)
	}
	begin, end, err := publishAll(ctx, publishFlags{URL: strings.TrimSpace(url), Subject: in.Stream, File: path, Count: in.Events})
	if err != nil {
		return 0, err
	}
	_ = cmd.Process.Signal(os.Interrupt)
	return float64(in.Events) / end.Sub(begin).Seconds(), cmd.Wait()
}

// weirRate is that of a new weir with the views that are created; their answers
// are checked. Without views it is that of acknowledgements.
func (b *bench) weirRate(ctx context.Context, in *work.Input, path string, create []string, events int64, env ...string) (rate float64, err error) {
	data := filepath.Join(b.Dir, "live")
	defer func() { _ = os.RemoveAll(data) }()
	w, err := b.weir(ctx, "live", env...)
	if err != nil {
		return 0, err
	}
	defer func() {
		if stopped := w.Stop(); err == nil {
			err = stopped
		}
	}()
	if err := w.Exec(ctx, append([]string{in.CreateStream()}, create...)...); err != nil {
		return 0, err
	}
	begin, end, err := publishAll(ctx, publishFlags{URL: w.NATS, Subject: in.Stream, File: path, Count: events})
	if err != nil {
		return 0, err
	}
	if len(create) > 0 {
		if err := w.Wait(ctx, in.Stream, events); err != nil {
			return 0, err
		}
		end = time.Now()
		if err := w.Check(ctx, answers(in, events), in); err != nil {
			return 0, err
		}
	}
	return float64(events) / end.Sub(begin).Seconds(), nil
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
	begin := time.Now()
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
	took := time.Since(begin)
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
	fig := result.Figure{Workload: in.Name, Contender: db.Name(), How: way.Name, Durability: way.Promised, Measure: "rate", Unit: "events/s"}
	add(f, fig, float64(written)/took.Seconds())
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
