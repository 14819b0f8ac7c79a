package main

import (
	"bytes"
	"context"
	gosql "database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/rogpeppe/go-internal/testscript"

	"weir/internal/fault"
	"weir/jetstream/publisher"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/script")

// patience bounds whatever a script waits for. It is long, since machines can
// be slow, and never waited out where all is well.
const patience = 30 * time.Second

// TestScript tells the stories in testdata/script to the real program. See the
// README there for the commands that scripts may use.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			w := &weir{}
			env.Values[weir{}] = w
			env.Defer(w.kill)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":    cmdStart,
			"shutdown": cmdShutdown,
			"crash":    cmdCrash,
			"publish":  cmdPublish,
			"sql":      cmdSQL,
			"sqlfile":  cmdSQLFile,
			"session":  cmdSession,
			"prepared": cmdPrepared,
			"defined":  cmdDefined,
		},
	})
}

// A weir is the process that a script has started, with one connection to it.
type weir struct {
	cmd  *exec.Cmd
	done chan error // gets what cmd.Wait returns
	ends struct{ MySQL, NATS string }
	db   *gosql.DB
}

// running returns the script's weir, which must have been started.
func running(ts *testscript.TestScript) *weir {
	w := ts.Value(weir{}).(*weir)
	if w.cmd == nil {
		ts.Fatalf("weir is not running: start it first")
	}
	return w
}

// cmdStart is «start [flag…]». Every start in a script is on the same data directory.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value(weir{}).(*weir)
	if w.cmd != nil {
		ts.Fatalf("weir is running already")
	}
	endpoints := ts.MkAbs("data/endpoints.json")
	_ = os.Remove(endpoints) // what a crash has left
	w.launch(ts, args)
	err := w.awaitReady(endpoints)
	switch {
	case err == nil && neg:
		ts.Fatalf("start %q succeeded, want an error", args)
	case err != nil && !neg:
		ts.Fatalf("start %q: %v\n%s", args, err, readFile(ts.MkAbs("weir.log")))
	case err != nil:
		fmt.Fprint(ts.Stderr(), readFile(ts.MkAbs("weir.log")))
		w.kill()
	default:
		ts.Setenv("WEIR_NATS", w.ends.NATS) // for exec weir publish
		w.db, err = connect(w.ends.MySQL, "root", ts.Getenv("ROOT_PASSWORD"))
		ts.Check(err)
	}
}

// launch starts the process, which writes its log to weir.log.
func (w *weir) launch(ts *testscript.TestScript, args []string) {
	args = append([]string{"serve", "--data=data", "--mysql=127.0.0.1:0", "--nats=127.0.0.1:0", "--http=127.0.0.1:0"}, args...)
	cmd := exec.Command("weir", args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), fault.Variable+"="+ts.Getenv(fault.Variable))
	log, err := os.Create(ts.MkAbs("weir.log"))
	ts.Check(err)
	defer log.Close() // the process has its own
	cmd.Stderr = log
	ts.Check(cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	w.cmd, w.done = cmd, done
}

// awaitReady waits until the process says where it listens, or has ended.
func (w *weir) awaitReady(endpoints string) error {
	var text []byte
	found, err := poll(func() (bool, error) {
		select {
		case err := <-w.done:
			w.done <- err // for kill
			return false, fmt.Errorf("weir ended: %w", err)
		default:
		}
		var err error
		text, err = os.ReadFile(endpoints)
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	if !found {
		return errors.New("weir was not ready in time")
	}
	return json.Unmarshal(text, &w.ends)
}

// poll asks f until it says true, gives an error, or patience is at its end.
func poll(f func() (bool, error)) (bool, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if ok, err := f(); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func readFile(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// connect opens one connection, so that a script is one session.
func connect(addr, user, password string) (*gosql.DB, error) {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = user, password, "tcp", addr, "analytics"
	cfg.Timeout, cfg.ReadTimeout = patience, patience
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	db := gosql.OpenDB(c)
	db.SetMaxOpenConns(1)
	return db, nil
}

// cmdShutdown is «shutdown»: it asks weir to stop, and expects a clean exit.
func cmdShutdown(ts *testscript.TestScript, _ bool, _ []string) {
	w := running(ts)
	_ = w.db.Close()
	ts.Check(w.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-w.done:
		ts.Check(err)
	case <-time.After(patience):
		ts.Fatalf("weir did not stop in time")
	}
	w.cmd = nil
}

// cmdCrash is «crash»: it kills weir where it stands.
func cmdCrash(ts *testscript.TestScript, _ bool, _ []string) { running(ts).kill() }

func (w *weir) kill() {
	if w.cmd == nil {
		return
	}
	if w.db != nil {
		_ = w.db.Close()
	}
	_ = w.cmd.Process.Kill()
	<-w.done //nolint:errcheck // that it was killed is no news
	w.cmd, w.db = nil, nil
}

// cmdPublish is «publish [-ids] subject file»: every line of file is an event,
// and is acknowledged when the command returns. With -ids the first word of a
// line is the event's id, and the rest its payload.
func cmdPublish(ts *testscript.TestScript, neg bool, args []string) {
	ids := len(args) > 0 && args[0] == "-ids"
	if ids {
		args = args[1:]
	}
	if len(args) != 2 {
		ts.Fatalf("usage: publish [-ids] subject file")
	}
	var events []publisher.Event
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		e := publisher.Event{Subject: args[0]}
		line = strings.TrimSuffix(line, "\n")
		if ids {
			e.ID, line, _ = strings.Cut(line, " ")
		}
		e.Payload = []byte(line)
		events = append(events, e)
	}
	err := publish(running(ts).ends.NATS, events)
	switch {
	case err == nil && neg:
		ts.Fatalf("publish succeeded, want an error")
	case err != nil && !neg:
		ts.Fatalf("publish: %v", err)
	case err != nil:
		fmt.Fprintln(ts.Stderr(), err)
	}
}

// refusal is how long an event that the log does not take is tried again.
const refusal = 200 * time.Millisecond

func publish(url string, events []publisher.Event) error {
	p, err := publisher.Dial(publisher.Config{URL: url, Patience: refusal})
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, e := range events {
		if err := p.Publish(ctx, e); err != nil {
			return err
		}
	}
	return p.Flush(ctx)
}

// cmdSQL is «sql [-column=name] [-until=pattern] [-within=duration] statement».
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	var opts struct {
		column, until string
		within        time.Duration
	}
	flags := flag.NewFlagSet("sql", flag.ContinueOnError)
	flags.StringVar(&opts.column, "column", "", "")
	flags.StringVar(&opts.until, "until", "", "")
	flags.DurationVar(&opts.within, "within", patience, "")
	ts.Check(flags.Parse(args))
	if flags.NArg() != 1 {
		ts.Fatalf("usage: sql [-column=name] [-until=pattern] [-within=duration] statement")
	}
	w := running(ts)
	ts.Check(w.awaitViews())
	var out bytes.Buffer
	ask := func() error {
		out.Reset()
		ctx, cancel := context.WithTimeout(context.Background(), opts.within)
		defer cancel()
		return w.query(ctx, &out, opts.column, flags.Arg(0))
	}
	err := ask()
	if opts.until != "" {
		want := regexp.MustCompile(opts.until)
		ok, _ := poll(func() (bool, error) {
			err = ask()
			return err == nil && want.Match(out.Bytes()), nil
		})
		if !ok {
			ts.Fatalf("sql: waited for %s in vain, the last answer was:\n%s", opts.until, &out)
		}
	}
	finish(ts, neg, &out, err)
}

// finish prints what a statement answered.
func finish(ts *testscript.TestScript, neg bool, out *bytes.Buffer, err error) {
	_, _ = out.WriteTo(ts.Stdout())
	switch {
	case err == nil && neg:
		ts.Fatalf("the statement succeeded, want an error")
	case err != nil && !neg:
		ts.Fatalf("%s", errorText(err))
	case err != nil:
		fmt.Fprintln(ts.Stderr(), errorText(err))
	}
}

// cmdPrepared is «prepared statement argument…»: it sends the statement with
// question marks and then the arguments, NULL among them.
func cmdPrepared(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: prepared statement argument…")
	}
	w := running(ts)
	ts.Check(w.awaitViews())
	values := make([]any, len(args)-1)
	for i, a := range args[1:] {
		if a != "NULL" {
			values[i] = a
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out bytes.Buffer
	stmt, err := w.db.PrepareContext(ctx, args[0])
	if err == nil {
		defer stmt.Close()
		var rows *gosql.Rows
		if rows, err = stmt.QueryContext(ctx, values...); err == nil {
			err = printRows(&out, rows, "")
		}
	}
	finish(ts, neg, &out, err)
}

// cmdDefined is «defined view tail»: it prints the rows of the SELECT that SHOW
// CREATE VIEW prints, with tail, such as ORDER BY 1, behind it.
func cmdDefined(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: defined view tail")
	}
	w := running(ts)
	ts.Check(w.awaitViews())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var text, out bytes.Buffer
	ts.Check(w.query(ctx, &text, "Create View", "SHOW CREATE VIEW "+args[0]))
	_, query, ok := strings.Cut(text.String(), " AS ")
	if !ok {
		ts.Fatalf("no definition in %s", &text)
	}
	err := w.query(ctx, &out, "", "SELECT * FROM ("+query+") AS defined "+args[1])
	finish(ts, neg, &out, err)
}

// cmdSQLFile is «sqlfile file»: it runs the statements of file, each of which
// ends a line with a semicolon, and prints their rows.
func cmdSQLFile(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: sqlfile file")
	}
	w := running(ts)
	var out bytes.Buffer
	var err error
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, stmt := range strings.SplitAfter(strings.TrimSpace(ts.ReadFile(args[0])), ";\n") {
		if err = w.awaitViews(); err == nil {
			err = w.query(ctx, &out, "", stmt)
		}
		if err != nil {
			break
		}
	}
	finish(ts, neg, &out, err)
}

// cmdSession is «session [-user=name:password] file»: it runs the statements in file, those lines
// that begin with >, and prints file with what each of them answers now. Lines
// that begin with # are kept, all others are answers of an earlier time.
func cmdSession(ts *testscript.TestScript, neg bool, args []string) {
	user := ""
	if len(args) > 0 {
		if u, ok := strings.CutPrefix(args[0], "-user="); ok {
			user, args = u, args[1:]
		}
	}
	if len(args) != 1 || neg {
		ts.Fatalf("usage: session [-user=name:password] file")
	}
	w := running(ts)
	db := w.db
	if user != "" {
		name, password, _ := strings.Cut(user, ":")
		var err error
		db, err = connect(w.ends.MySQL, name, password)
		ts.Check(err)
		defer db.Close()
	}
	var stmt []string
	first := true
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		line = strings.TrimSuffix(line, "\n")
		text, mine := strings.CutPrefix(line, "> ")
		comment := strings.HasPrefix(line, "#")
		if !mine && !comment {
			continue
		}
		if len(stmt) == 0 && !first {
			fmt.Fprintln(ts.Stdout())
		}
		first = comment // its statement follows without an empty line
		fmt.Fprintln(ts.Stdout(), line)
		if comment {
			continue
		}
		if stmt = append(stmt, text); strings.HasSuffix(text, ";") {
			if !asks.MatchString(stmt[0]) { // what it waits with would be the statement that it asks about
				ts.Check(w.awaitViews())
			}
			answer(ts.Stdout(), db, strings.TrimSuffix(strings.Join(stmt, "\n"), ";"))
			stmt = nil
		}
	}
	if stmt != nil {
		ts.Fatalf("session: %q has no semicolon", stmt)
	}
}

// answer runs a statement and prints its rows or its error.
func answer(to io.Writer, db *gosql.DB, stmt string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if writes.MatchString(stmt) {
		var res gosql.Result
		if res, err = db.ExecContext(ctx, stmt); err == nil {
			n, _ := res.RowsAffected()
			fmt.Fprintf(to, "OK, %d rows\n", n)
		}
	} else {
		var out bytes.Buffer
		var rows *gosql.Rows
		if rows, err = db.QueryContext(ctx, stmt); err == nil {
			err = printRows(&out, rows, "")
		}
		if err == nil && out.Len() == 0 {
			fmt.Fprintln(&out, "OK")
		}
		_, _ = out.WriteTo(to)
	}
	if err != nil {
		fmt.Fprintln(to, errorText(err))
	}
}

// asks matches statements about the one before.
var asks = regexp.MustCompile(`(?i)^\s*show\s+(count|errors|warnings)\b`)

// writes matches statements that say how many rows they touched.
var writes = regexp.MustCompile(`(?i)^\s*(insert|replace|update|delete)\b`)

// awaitViews waits until the views have applied all that the logs hold.
func (w *weir) awaitViews() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	rows, err := w.db.QueryContext(ctx, "SELECT WAIT_FOR_SEQ(CONCAT(db, '.', name), last_seq, ?) FROM weir.streams", patience.Seconds())
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := printRows(&out, rows, "*"); err != nil {
		return err
	}
	if slices.Contains(strings.Fields(out.String()), "0") {
		return errors.New("the views did not apply all events in time")
	}
	return nil
}

func (w *weir) query(ctx context.Context, to io.Writer, column, stmt string) error {
	rows, err := w.db.QueryContext(ctx, stmt)
	if err != nil {
		return err
	}
	return printRows(to, rows, column)
}

// printRows prints rows under the names of their columns, or the values of one
// column alone and as they are; * stands for the first.
func printRows(to io.Writer, rows *gosql.Rows, column string) error {
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	only := slices.Index(names, column)
	switch {
	case column == "*":
		only = 0
	case column != "" && only < 0:
		return fmt.Errorf("no column %s, only %s", column, strings.Join(names, ", "))
	case column == "" && len(names) > 0:
		fmt.Fprintln(to, strings.Join(names, "\t"))
	}
	values := make([]gosql.NullString, len(names))
	targets := make([]any, len(names))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		if only >= 0 {
			fmt.Fprintln(to, values[only].String)
		} else {
			fmt.Fprintln(to, strings.Join(cells(values), "\t"))
		}
	}
	return rows.Err()
}

// cellText keeps a row on its line, as the mysql client does.
var cellText = strings.NewReplacer("\\", "\\\\", "\t", "\\t", "\n", "\\n", "\x00", "\\0")

func cells(values []gosql.NullString) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = "NULL"
		if v.Valid {
			texts[i] = cellText.Replace(v.String)
		}
	}
	return texts
}

// errorText is an error as the mysql client shows it.
func errorText(err error) string {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return fmt.Sprintf("ERROR %d (%s): %s", e.Number, e.SQLState[:], e.Message)
	}
	return "ERROR: " + err.Error()
}
