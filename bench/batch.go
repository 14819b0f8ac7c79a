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
			for _, l := range []library{duckdb, chdb} {
				if !b.with(strings.ToLower(l.name)) {
					continue
				}
				if err := b.batchLibrary(ctx, f, l, in, want); err != nil {
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

// A library is a database without a server. It runs in a process of its own,
// over the file of JSON lines, and over a table of its own file.
type library struct {
	name  string
	build func(b *bench, ctx context.Context) (*exec.Cmd, error) // what runs a script
	sql   func(in *work.Input, v *work.View, path string) (statements []string, read string)
}

// A libraryScript is what a library's program reads, and libraryAnswer what it
// prints.
type libraryScript struct {
	File       string   // of the database
	Statements []string // run in turn: two that set it up, and those that are timed
	Read       string   // whose rows are printed
}

type libraryAnswer struct {
	Version string
	Seconds []float64 // of each statement
	Rows    [][]string
}

// timed are the last of a library's statements.
var timed = []string{"load a table from NDJSON", "GROUP BY over the NDJSON file", "GROUP BY over the loaded table"}

var duckdb = library{"DuckDB", (*bench).duck, func(in *work.Input, v *work.View, path string) ([]string, string) {
	var columns []string
	for _, c := range in.Columns {
		columns = append(columns, c.Name+": '"+work.DuckDB.Type(c.Kind)+"'")
	}
	file := "read_json('" + path + "', format = 'newline_delimited', columns = {" + strings.Join(columns, ", ") + "})"
	return []string{
		"SET threads = 2", "SET memory_limit = '8GB'",
		"CREATE OR REPLACE TABLE events AS SELECT * FROM " + file,
		"CREATE OR REPLACE TABLE " + v.Name + " AS " + v.Select(in.Workload, work.DuckDB, file),
		"CREATE OR REPLACE TABLE " + v.Name + " AS " + v.Select(in.Workload, work.DuckDB, "events"),
	}, v.Read(in.Workload, work.DuckDB)
}}

var chdb = library{"chDB", (*bench).chdb, func(in *work.Input, v *work.View, path string) ([]string, string) {
	file := "file('" + path + "', 'JSONEachRow', '" + in.ColumnList(work.ClickHouse) + "')"
	table := func(name string) string {
		return "CREATE OR REPLACE TABLE d." + name + " ENGINE = MergeTree ORDER BY tuple() AS "
	}
	return []string{
		"CREATE DATABASE IF NOT EXISTS d", "SET max_threads = 2, max_insert_threads = 2",
		table("events") + "SELECT * FROM " + file,
		table(v.Name) + v.Select(in.Workload, work.ClickHouse, file),
		table(v.Name) + v.Select(in.Workload, work.ClickHouse, "d.events"),
	}, strings.ReplaceAll(v.Read(in.Workload, work.ClickHouse), "FROM ", "FROM d.")
}}

// batchLibrary lets a library compute a view.
func (b *bench) batchLibrary(ctx context.Context, f *result.File, l library, in *work.Input, want *work.Answer) error {
	cmd, err := l.build(b, ctx)
	if err != nil {
		b.leave(l.name, err)
		return nil
	}
	path, err := b.file(in, work.NDJSON)
	if err != nil {
		return err
	}
	script := libraryScript{File: filepath.Join(b.Dir, "batch", l.name+".db")}
	if err := os.MkdirAll(filepath.Dir(script.File), 0o755); err != nil {
		return err
	}
	script.Statements, script.Read = l.sql(in, &in.Views[0], path)
	text, err := json.Marshal(script)
	if err != nil {
		return err
	}
	cmd.Stdin = bytes.NewReader(text)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", l.name, err, &failure)
	}
	var said libraryAnswer
	if err := json.Unmarshal(out, &said); err != nil {
		return fmt.Errorf("%s: %w: %s", l.name, err, out)
	}
	f.Versions[l.name] = said.Version
	for _, row := range said.Rows {
		if err := want.Check(row); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	if err := want.Done(); err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	for i, how := range timed {
		add(f, result.Figure{Workload: in.Name, Contender: l.name, How: how, Measure: "rate", Unit: "events/s", Note: "a library: no server"}, float64(in.Events)/said.Seconds[2+i])
	}
	return nil
}

// chdb installs chDB, which takes npm, and half a GB on disk.
func (b *bench) chdb(ctx context.Context) (*exec.Cmd, error) {
	home := filepath.Join(b.Dir, "chdb")
	if _, err := os.Stat(filepath.Join(home, "node_modules", "chdb")); err != nil {
		if err := os.MkdirAll(home, 0o755); err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", home, "--no-audit", "--no-fund", "--ignore-scripts", "chdb@3.4.0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: npm does not install it: %w %s", peer.ErrMissing, err, bytes.TrimSpace(out))
		}
	}
	cmd := exec.CommandContext(ctx, "node", filepath.Join("chdb", "main.js"))
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(home, "node_modules"))
	return cmd, nil
}

// duck builds bench/duck, which needs cgo and a download of 60 MB.
func (b *bench) duck(ctx context.Context) (*exec.Cmd, error) {
	path := filepath.Join(b.Dir, "duck")
	if _, err := os.Stat(path); err == nil {
		return exec.CommandContext(ctx, path), nil
	}
	cmd := exec.CommandContext(ctx, "go", "-C", "duck", "build", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: bench/duck does not build: %s", peer.ErrMissing, bytes.TrimSpace(out))
	}
	return exec.CommandContext(ctx, path), nil
}
