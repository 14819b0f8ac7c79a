// Command bench measures weir beside its ceilings and beside what a user would
// otherwise take, in one run on one machine:
//
//	go -C bench run . quick            every suite, small: under three minutes
//	go -C bench run . all              every suite, with a million events
//	go -C bench run . docs             every suite, as docs/performance.md has them: 40 minutes
//	go -C bench run . live|fresh|batch|queries|growth|deliveries
//	go -C bench run . report           write the tables and pictures of the docs again
//
// It builds weir, starts it as users run it, starts MariaDB, PostgreSQL and
// ClickHouse where they are installed, on loopback and with data of their own,
// and takes turns: every contender in every round. Events are made by seed and
// come from a process of their own, over TCP and acknowledged. Answers are
// compared with those computed by hand before a figure counts; who answers
// otherwise stops the run. Figures go to the terminal, and with every round
// into a JSON file for each suite.
//
// It is a module of its own, so that the drivers of other databases are no
// dependencies of weir. What it knows of weir is the program and its protocols;
// weir's internal/bare is the log alone, and loops over it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"weir/bench/peer"
	"weir/bench/result"
	"weir/bench/work"
)

// A bench is a run: its flags, and the programs and files that it works with.
type bench struct {
	Events    int64         `default:"1000000" help:"Events of a run."`
	Rounds    int           `default:"3" help:"How many times each contender has its turn."`
	Seed      uint64        `default:"1" help:"What the events are made of."`
	Workloads []string      `default:"ads,access,three,rich,keys" help:"Which: ads, access, three, rich, keys."`
	With      []string      `default:"weir,mariadb,postgres,clickhouse,duckdb" help:"Which contenders; chdb is another, half a GB of npm. Those that are not installed are left out, and named."`
	Limit     time.Duration `default:"4s" help:"The longest that a peer writes in one turn; its rate is that of what it wrote by then."`
	Dir       string        `help:"Keep input and data here; the default is a directory that is removed."`
	Out       string        `default:"out" help:"Where the JSON files go."`
	Rows      []int         `default:"100000,1000000" help:"queries: rows of the view, several in turn."`
	Clients   []int         `default:"1,8,64" help:"queries: how many clients ask at once, several in turn."`
	Quiet     float64       `default:"0" help:"live, fresh: measure again, ten times at most, what other programs took more than so many processors beside; 0 is never."`
	Only      string        `help:"queries, live, fresh: those with this in their names."`
	Shares    []int         `default:"25,50,80" help:"fresh: at how many percent of the most that the views take."`
	Program   []string      `help:"The weir to measure; the default is built from the tree. live measures several, in turn; the others the first."`

	brief bool // take a few of the ways and loads alone
	bare  string
	own   bool // Dir is ours to remove
	skip  []string

	others []float64 // processors that other programs took, by measurement
}

var cli struct {
	bench `embed:""`

	All        struct{}      `cmd:"" help:"Every suite in turn."`
	Docs       struct{}      `cmd:"" help:"Every suite, each as large as tells something: under 40 minutes."`
	Quick      struct{}      `cmd:"" help:"Every suite, small: under three minutes, for the ratios."`
	Live       struct{}      `cmd:"" help:"From publishers to fresh views, beside the log alone and peers that keep views."`
	Fresh      struct{}      `cmd:"" help:"From an acknowledgement to a SELECT that shows the event, by load."`
	Batch      struct{}      `cmd:"" help:"Recomputing a view from all events."`
	Queries    struct{}      `cmd:"" help:"Reading a view, beside the same rows in peers."`
	Growth     struct{}      `cmd:"" help:"Memory, disk and restarts with ten times the events."`
	Deliveries struct{}      `cmd:"" help:"What each delivery and durability costs."`
	Report     reportCommand `cmd:"" help:"Write the tables and pictures of docs/performance.md from JSON files."`
	Publish    publishFlags  `cmd:"" hidden:"" help:"Be the publisher."`
}

// A suite is measured by a function that adds figures to a file.
type suite struct {
	name string
	run  func(*bench, context.Context, *result.File) error
}

var suites = []suite{
	{"live", (*bench).live},
	{"fresh", (*bench).fresh},
	{"batch", (*bench).batch},
	{"queries", (*bench).queries},
	{"growth", (*bench).growth},
	{"deliveries", (*bench).deliveries},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := kong.Parse(&cli, kong.Name("bench"), kong.Description("weir beside its ceilings and its peers"))
	if err := run(ctx, command.Command()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string) (err error) {
	b := &cli.bench
	switch command {
	case "publish":
		return publish(ctx, cli.Publish)
	case "report":
		return cli.Report.run()
	case "quick":
		b.brief, b.Events, b.Rounds, b.Limit = true, min(b.Events, 100_000), min(b.Rounds, 1), time.Second
		b.Workloads, b.Rows, b.Clients = []string{"ads", "access"}, []int{20_000}, []int{1, 8}
	}
	if b.Events < 10_000 || b.Rounds < 1 {
		return errors.New("--events must be 10,000 or more, and --rounds 1 or more")
	}
	for _, name := range b.Workloads {
		if _, err := work.Named(name); err != nil {
			return err
		}
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer func() {
		if b.own {
			err = errors.Join(err, os.RemoveAll(b.Dir))
		}
	}()
	for _, s := range suites {
		if command != s.name && command != "all" && command != "quick" && command != "docs" {
			continue
		}
		own := *b
		if command == "docs" {
			own.asDocs(s.name)
		}
		if err := own.suite(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// asDocs makes a suite as large as docs/performance.md has it, given that all
// of them together are to take less than 40 minutes of two processors. growth
// has the ten million events.
func (b *bench) asDocs(suite string) {
	b.Limit = 2 * time.Second
	b.With = append(slices.Clone(b.With), "chdb")
	switch suite {
	case "live", "fresh", "deliveries":
		b.Events, b.Rounds = 300_000, 3
	case "batch", "queries":
		b.Events, b.Rounds = 1_000_000, 2
	case "growth":
		b.Events, b.Rounds = 1_000_000, 1
	}
}

// prepare makes the directory and builds what is measured.
func (b *bench) prepare(ctx context.Context) error {
	if b.Dir == "" {
		dir, err := os.MkdirTemp("", "weir-bench-")
		if err != nil {
			return err
		}
		b.Dir, b.own = dir, true
	}
	var err error
	if b.Dir, err = filepath.Abs(b.Dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(b.Dir, "input"), 0o755); err != nil {
		return err
	}
	b.bare = filepath.Join(b.Dir, "bare")
	builds := [][2]string{{b.bare, "./internal/bare"}}
	if len(b.Program) == 0 {
		b.Program = []string{filepath.Join(b.Dir, "weir")}
		builds = append(builds, [2]string{b.Program[0], "."})
	}
	for i, program := range b.Program {
		if b.Program[i], err = filepath.Abs(program); err != nil {
			return err
		}
	}
	for _, build := range builds {
		cmd := exec.CommandContext(ctx, "go", "-C", "..", "build", "-trimpath", "-o", build[0], build[1])
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s (bench runs in its own folder: go -C bench run . …): %w\n%s", build[1], err, out)
		}
	}
	return nil
}

// suite runs one and writes its file, as far as it came.
func (b *bench) suite(ctx context.Context, s suite) error {
	f := &result.File{
		Suite: s.name, Started: time.Now().UTC(), Command: strings.Join(os.Args[1:], " "), Seed: b.Seed, Events: b.Events, Rounds: b.Rounds,
		Machine: result.Here(b.Dir), Versions: versions(ctx, b.Program),
	}
	fmt.Printf("== %s: %s events, seed %d, %d rounds, %d cores, load %.1f before it began\n",
		s.name, work.Thousands(b.Events), b.Seed, b.Rounds, f.Machine.Cores, f.Machine.Load)
	b.skip, b.others = nil, nil
	err := s.run(b, ctx, f)
	f.Took, f.Skipped = time.Since(f.Started).Seconds(), b.skip
	f.Others = b.others
	if len(f.Figures) == 0 {
		return err
	}
	path, failed := f.Write(b.Out)
	if err == nil && failed == nil {
		fmt.Print("\n", render(f), "\n", path, "\n\n")
	}
	return errors.Join(err, failed)
}

// linked are the clients that figures depend on.
var linked = map[string]string{"github.com/nats-io/nats.go": "nats.go", "github.com/go-sql-driver/mysql": "go-sql-driver/mysql", "github.com/jackc/pgx/v5": "pgx"}

// versions are those of weir and of what bench itself is linked with.
func versions(ctx context.Context, programs []string) map[string]string {
	list := map[string]string{}
	for _, p := range programs {
		if out, err := exec.CommandContext(ctx, p, "version").Output(); err == nil {
			list[filepath.Base(p)] = strings.TrimSpace(string(out))
		}
	}
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		list["weir's tree"] = strings.TrimSpace(string(out))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if name, ok := linked[m.Path]; ok {
				list[name] = m.Version
			}
		}
	}
	return list
}

// workloads are those that were asked for.
func (b *bench) workloads() (list []*work.Workload) {
	for _, w := range work.Workloads {
		if slices.Contains(b.Workloads, w.Name) {
			list = append(list, w)
		}
	}
	return list
}

func (b *bench) with(name string) bool { return slices.Contains(b.With, name) }

// input returns that of a workload with the events of the run.
func (b *bench) input(w *work.Workload) *work.Input { return work.New(w, b.Seed, b.Events) }

// file returns the path of an input as a file.
func (b *bench) file(in *work.Input, format work.Format) (string, error) {
	return in.File(filepath.Join(b.Dir, "input"), format)
}

// three returns the input of three views of one stream, and its file: what
// suites take that are about weir alone.
func (b *bench) three() (in *work.Input, path string, err error) {
	w, err := work.Named("three")
	if err != nil {
		return nil, "", err
	}
	in = b.input(w)
	path, err = b.file(in, work.NDJSON)
	return in, path, err
}

// databases are the peers, as they are started for each turn.
var databases = []struct {
	flag  string
	start func(ctx context.Context, dir string) (peer.Database, error)
}{
	{"mariadb", peer.StartMariaDB},
	{"postgres", peer.StartPostgres},
	{"clickhouse", peer.StartClickHouse},
}

// peers calls do with each peer that was asked for and is there, one after the
// other, each started before and stopped after; dir is below the run's.
func (b *bench) peers(ctx context.Context, f *result.File, dir string, do func(peer.Database) error) error {
	dir = filepath.Join(b.Dir, dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(b.Dir, 0o711); err != nil { // PostgreSQL's user passes through
		return err
	}
	for _, d := range databases {
		if !b.with(d.flag) {
			continue
		}
		db, err := d.start(ctx, dir)
		if errors.Is(err, peer.ErrMissing) {
			b.leave(d.flag, err)
			continue
		}
		if err != nil {
			return err
		}
		f.Versions[db.Name()] = db.Version()
		if err := errors.Join(do(db), db.Stop()); err != nil {
			return fmt.Errorf("%s: %w", db.Name(), err)
		}
	}
	return nil
}

// leave notes, once, that someone or something takes no part.
func (b *bench) leave(what string, why error) {
	note := what + ": " + why.Error()
	if !slices.Contains(b.skip, note) {
		b.skip = append(b.skip, note)
		fmt.Println("left out:", note)
	}
}

// weir starts the server that is measured.
func (b *bench) weir(ctx context.Context, data string) (*peer.Weir, error) {
	return peer.StartWeir(ctx, b.Program[0], filepath.Join(b.Dir, data))
}

// says prints a figure as it is taken.
func says(fig result.Figure, value float64) {
	fmt.Printf("  %-8s %-18s %-46s %-16s %14s %s\n", fig.Workload, fig.Contender, fig.How, fig.Measure, number(value), fig.Unit)
}

// add notes a figure and prints it.
func add(f *result.File, fig result.Figure, value float64) {
	f.Add(fig, value)
	says(fig, value)
}

// number writes a value with about three digits.
func number(v float64) string {
	switch {
	case v >= 100:
		return work.Thousands(int64(v + 0.5))
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
