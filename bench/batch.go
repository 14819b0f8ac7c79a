package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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

// batch measures the recomputation of a view from all events: REFRESH … FULL
// from weir's log, which is JSON, beside the loops over the same log that
// anyone would write; and the same GROUP BY over the table of events that a
// peer has loaded before, which is a figure of its own.
func (b *bench) batch(ctx context.Context, f *result.File) error {
	defer func() { _ = os.RemoveAll(filepath.Join(b.Dir, "batch")) }()
	seen := map[string]bool{} // the loads and loops that a stream's workloads share
	for range b.Rounds {
		for _, w := range b.workloads() {
			if w.Name == "three" { // its first view is that of access, with the others beside
				continue
			}
			in := b.input(w)
			want := in.Answer(&in.Views[0], in.Events)
			if b.with("weir") {
				if err := b.batchWeir(ctx, f, in, want); err != nil {
					return err
				}
			}
			if err := b.peers(ctx, f, "batch/"+w.Stream, func(db peer.Database) error { return b.batchPeer(ctx, f, db, in, want, seen) }); err != nil {
				return err
			}
			if b.with("duckdb") {
				if err := b.batchDuck(ctx, f, in, want); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// batchWeir keeps its log from round to round.
func (b *bench) batchWeir(ctx context.Context, f *result.File, in *work.Input, want *work.Answer) (err error) {
	v := in.Views[0]
	data := filepath.Join("batch", in.Name, "weir")
	_, missing := os.Stat(filepath.Join(b.Dir, data))
	if err := os.MkdirAll(filepath.Join(b.Dir, data), 0o755); err != nil {
		return err
	}
	w, err := b.weir(ctx, data)
	if err != nil {
		return err
	}
	stopped := false
	defer func() {
		if !stopped {
			err = errors.Join(err, w.Stop())
		}
	}()
	if missing != nil {
		path, err := b.file(in, work.NDJSON)
		if err != nil {
			return err
		}
		if err := w.Exec(ctx, in.CreateStream(), v.Create(in.Workload, "batch_interval = '1000h'")); err != nil {
			return err
		}
		if _, _, err := publishAll(ctx, publishFlags{URL: w.NATS, Subject: in.Stream, File: path, Count: in.Events}); err != nil {
			return err
		}
	}
	if err := w.Wait(ctx, in.Stream, in.Events); err != nil {
		return err
	}
	fig := result.Figure{
		Workload: in.Name, Contender: "weir", Measure: "rate", Unit: "events/s",
		Note: fmt.Sprintf("%s groups", work.Thousands(int64(want.Groups()))),
	}
	statements := [][2]string{{"REFRESH … FULL, from the JSON log", "REFRESH MATERIALIZED VIEW " + v.Name + " FULL"}}
	if in.Name == "access" {
		statements = append(statements,
			[2]string{"a GROUP BY on the stream", "SELECT path, COUNT(*), SUM(bytes), MAX(latency_ms) FROM access GROUP BY path"},
			[2]string{"a filter on the stream", "SELECT ts, user_id FROM access WHERE latency_ms > 80 AND status = 404"})
	}
	q, err := w.Open(1, false)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	for i, s := range statements {
		begin := time.Now()
		if i == 0 {
			err = w.Exec(ctx, s[1])
		} else {
			err = q.Query(ctx, s[1], nil, nil)
		}
		if err != nil {
			return err
		}
		fig.How = s[0]
		add(f, fig, float64(in.Events)/time.Since(begin).Seconds())
	}
	if err := w.Check(ctx, map[string]*work.Answer{v.Name: want}, &work.Input{Workload: &work.Workload{Name: in.Name, Stream: in.Stream, Columns: in.Columns, Views: in.Views[:1]}}); err != nil {
		return err
	}
	stopped = true
	if err := w.Stop(); err != nil {
		return err
	}
	return b.bareLoops(ctx, f, in, filepath.Join(b.Dir, data, "log"))
}

// bareLoops are over the log that weir has just used.
func (b *bench) bareLoops(ctx context.Context, f *result.File, in *work.Input, log string) error {
	var fields []string
	for _, k := range in.Views[0].Keys {
		fields = append(fields, k.Column)
	}
	for _, a := range in.Views[0].Aggs {
		if a.Column != "" {
			fields = append(fields, a.Column)
		}
	}
	cmd := exec.CommandContext(ctx, b.bare, "-fields", strings.Join(fields, ","), "read", log, in.Stream)
	var lines, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &lines, &failure
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("bare loops: %w\n%s", err, &failure)
	}
	for dec := json.NewDecoder(&lines); dec.More(); {
		var l struct {
			Loop    string
			Events  int64
			Seconds float64
		}
		if err := dec.Decode(&l); err != nil {
			return err
		}
		if l.Events != in.Events {
			return fmt.Errorf("bare loop %q reads %d events", l.Loop, l.Events)
		}
		add(f, result.Figure{Workload: in.Name, Contender: "bare loop", How: "read the log: " + l.Loop, Measure: "rate", Unit: "events/s"}, float64(l.Events)/l.Seconds)
	}
	return nil
}

// batchPeer loads the events in the first round, and computes the view in all.
func (b *bench) batchPeer(ctx context.Context, f *result.File, db peer.Database, in *work.Input, want *work.Answer, seen map[string]bool) error {
	v := in.Views[0]
	if db.Dialect() == work.MariaDB && !in.Additive() {
		b.leave("MariaDB, batch, "+in.Name, errors.New("it has no aggregate for a percentile"))
		return nil
	}
	fig := result.Figure{Workload: in.Name, Contender: db.Name(), How: "load the table of events (TSV)", Measure: "rate", Unit: "events/s"}
	if key := db.Name() + in.Stream; db.Dialect() == work.ClickHouse || !seen[key] { // ClickHouse is killed, not stopped
		seen[key] = true
		if _, err := b.file(in, work.TSV); err != nil {
			return err
		}
		begin := time.Now()
		if err := db.Load(ctx, in, filepath.Join(b.Dir, "input")); err != nil {
			return err
		}
		add(f, fig, float64(in.Events)/time.Since(begin).Seconds())
	}
	begin := time.Now()
	if err := db.Recompute(ctx, in.Workload, &v); err != nil {
		return err
	}
	fig.How = "GROUP BY over the loaded table"
	add(f, fig, float64(in.Events)/time.Since(begin).Seconds())
	q, err := db.Open(ctx, 1, false)
	if err != nil {
		return err
	}
	defer func() { _ = q.Close() }()
	if err := peer.Check(ctx, q, db.Dialect(), in, &v, want); err != nil {
		return err
	}
	if db.Dialect() != work.ClickHouse {
		return nil
	}
	return db.Exec(ctx, "DROP TABLE "+in.Stream)
}

// batchDuck runs DuckDB, which is a library, in a process of its own: over the
// file of JSON lines, and over a table of its own file.
func (b *bench) batchDuck(ctx context.Context, f *result.File, in *work.Input, want *work.Answer) error {
	duck, err := b.duck(ctx)
	if err != nil {
		b.leave("DuckDB", err)
		return nil
	}
	v := in.Views[0]
	path, err := b.file(in, work.NDJSON)
	if err != nil {
		return err
	}
	var columns []string
	for _, c := range in.Columns {
		columns = append(columns, c.Name+": '"+work.DuckDB.Type(c.Kind)+"'")
	}
	file := "read_json('" + path + "', format = 'newline_delimited', columns = {" + strings.Join(columns, ", ") + "})"
	script := struct {
		File       string
		Statements []string
		Read       string
	}{
		File: filepath.Join(b.Dir, "batch", "duck.db"),
		Statements: []string{
			"SET threads = 2", "SET memory_limit = '8GB'",
			"CREATE OR REPLACE TABLE events AS SELECT * FROM " + file,
			"CREATE OR REPLACE TABLE " + v.Name + " AS " + v.Select(in.Workload, work.DuckDB, file),
			"CREATE OR REPLACE TABLE " + v.Name + " AS " + v.Select(in.Workload, work.DuckDB, "events"),
		},
		Read: v.Read(in.Workload, work.DuckDB),
	}
	if err := os.MkdirAll(filepath.Dir(script.File), 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(script)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, duck)
	cmd.Stdin = bytes.NewReader(text)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("DuckDB: %w\n%s", err, &failure)
	}
	var said struct {
		Version string
		Seconds []float64
		Rows    [][]string
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return err
	}
	f.Versions["DuckDB"] = said.Version
	for _, row := range said.Rows {
		if err := want.Check(row); err != nil {
			return fmt.Errorf("DuckDB: %w", err)
		}
	}
	if err := want.Done(); err != nil {
		return fmt.Errorf("DuckDB: %w", err)
	}
	for i, how := range []string{"load a table from NDJSON", "GROUP BY over the NDJSON file", "GROUP BY over the loaded table"} {
		add(f, result.Figure{Workload: in.Name, Contender: "DuckDB", How: how, Measure: "rate", Unit: "events/s", Note: "a library: no server"}, float64(in.Events)/said.Seconds[2+i])
	}
	return nil
}

// duck builds bench/duck, which needs cgo and a download of 60 MB.
func (b *bench) duck(ctx context.Context) (string, error) {
	path := filepath.Join(b.Dir, "duck")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, "go", "-C", "duck", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: bench/duck does not build: %s", peer.ErrMissing, bytes.TrimSpace(out))
	}
	return path, nil
}
