package main

import (
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"weir/bench/peer"
	"weir/bench/result"
	"weir/bench/work"
)

// growth measures what grows with the events, with about the same groups: 1x
// and 10x. Memory and disk, the live rate, beside that of the log alone, what
// queries cost, how long a restart takes after kill -9, and a recomputation.
func (b *bench) growth(ctx context.Context, f *result.File) error {
	three, err := work.Named("three")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(filepath.Join(b.Dir, "growth")) }()
	for range b.Rounds {
		for _, times := range []int64{1, 10} {
			events := b.Events * times
			if b.brief {
				events /= 4
			}
			in := work.New(three, b.Seed, events)
			if err := b.growthOf(ctx, f, in); err != nil {
				return fmt.Errorf("%d events: %w", in.Events, err)
			}
		}
	}
	return nil
}

func (b *bench) growthOf(ctx context.Context, f *result.File, in *work.Input) (err error) {
	const data = "growth"
	if err := os.RemoveAll(filepath.Join(b.Dir, data)); err != nil {
		return err
	}
	path, err := b.file(in, work.NDJSON)
	if err != nil {
		return err
	}
	fig := result.Figure{Workload: in.Name, Contender: "weir", How: work.Thousands(in.Events) + " events"}
	put := func(measure, unit string, value float64) {
		fig.Measure, fig.Unit = measure, unit
		add(f, fig, value)
	}
	bare, err := b.bareSpeed(ctx, in, path)
	if err != nil {
		return err
	}
	w, err := b.weir(ctx, data)
	if err != nil {
		return err
	}
	now, _ := result.Memory(w.PID())
	put("memory, empty", "MB", float64(now)/1e6)
	create := []string{in.CreateStream()}
	for _, v := range in.Views {
		create = append(create, v.Create(in.Workload, ""))
	}
	if err := w.Exec(ctx, create...); err != nil {
		return errors.Join(err, w.Stop())
	}
	before := result.CPU(w.PID())
	begin, _, err := publishAll(ctx, publishFlags{URL: w.NATS, Subject: in.Stream, File: path, Count: in.Events})
	if err != nil {
		return errors.Join(err, w.Stop())
	}
	if err := w.Wait(ctx, in.Stream, in.Events); err != nil {
		return errors.Join(err, w.Stop())
	}
	took := speedOf(in.Events, time.Since(begin), result.CPU(w.PID())-before)
	put("live rate, 3 views fresh", "events/s", took.rate)
	put("the log alone", "events/s", bare.rate)
	put("processor, 3 views fresh", "µs an event", float64(took.cpu.Nanoseconds())/1000)
	put("processor, the log alone", "µs an event", float64(bare.cpu.Nanoseconds())/1000)
	now, most := result.Memory(w.PID())
	put("memory, after the last event", "MB", float64(now)/1e6)
	put("memory, the most", "MB", float64(most)/1e6)
	if err := w.Kill(); err != nil {
		return err
	}
	put("log on disk, an event", "bytes", float64(result.Disk(filepath.Join(b.Dir, data, "log")))/float64(in.Events))
	put("views on disk", "MB", float64(result.Disk(filepath.Join(b.Dir, data, "views")))/1e6)
	if w, err = b.weir(ctx, data); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	put("kill -9 to the first answer", "s", w.Ready.Seconds())
	if err := w.Wait(ctx, in.Stream, in.Events); err != nil {
		return err
	}
	put("kill -9 to views that have all", "s", time.Since(w.Started).Seconds())
	if err := w.Check(ctx, answers(in, in.Events), in); err != nil {
		return fmt.Errorf("after kill -9: %w", err)
	}
	if err := b.growthQueries(ctx, w, put); err != nil {
		return err
	}
	refresh := time.Now()
	if err := w.Exec(ctx, "REFRESH MATERIALIZED VIEW "+in.Views[0].Name+" FULL"); err != nil {
		return err
	}
	put("REFRESH … FULL", "events/s", float64(in.Events)/time.Since(refresh).Seconds())
	_, most = result.Memory(w.PID())
	put("memory, the most since the restart", "MB", float64(most)/1e6)
	if err := w.Check(ctx, answers(in, in.Events), in); err != nil {
		return fmt.Errorf("after REFRESH … FULL: %w", err)
	}
	return nil
}

// growthQueries are two of a dashboard's.
func (b *bench) growthQueries(ctx context.Context, w *peer.Weir, put func(measure, unit string, value float64)) error {
	q, err := w.Open(1, false)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	var minute string
	if err := q.Query(ctx, "SELECT MAX(minute) FROM per_minute", nil, func(row []gosql.RawBytes) error {
		minute = string(row[0])
		return nil
	}); err != nil {
		return err
	}
	for _, s := range []struct {
		name, text string
		args       []any
	}{
		{"point lookup", "SELECT requests, errors FROM per_minute WHERE minute = ? AND path = ? AND variant = 'A'", []any{minute, "/section0/page00"}},
		{"top 10 groups", "SELECT path, SUM(requests) AS n FROM per_minute GROUP BY path ORDER BY n DESC LIMIT 10", nil},
	} {
		var took []float64
		for end := time.Now().Add(cellTime); len(took) < 5 || time.Now().Before(end); {
			begin := time.Now()
			rows := 0
			if err := q.Query(ctx, s.text, s.args, func([]gosql.RawBytes) error { rows++; return nil }); err != nil {
				return err
			}
			took = append(took, float64(time.Since(begin).Nanoseconds())/1000)
			if rows == 0 {
				return fmt.Errorf("%s: no row", s.name)
			}
		}
		put(s.name, "µs", result.Quantile(took, 0.5))
	}
	return nil
}
