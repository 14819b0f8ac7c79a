package main

import (
	"bufio"
	"bytes"
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"weir/jetstream/publisher"
)

// The facts of queries: one row for each minute and campaign, from at least
// one event each.
const (
	campaigns = 100
	firstTime = 1_700_000_040 // a full minute, in Unix seconds
	// late is one in how many rows the speed layer changes or adds.
	late = 50
)

var factViews = []string{
	`CREATE MATERIALIZED VIEW facts WITH (batch_interval = '1000h') AS SELECT TUMBLE(ts, INTERVAL 1 MINUTE) AS minute, campaign, COUNT(*) AS n, SUM(price) AS revenue, AVG(latency) AS mean, MAX(latency) AS most FROM ads GROUP BY minute, campaign`,
	`CREATE MATERIALIZED VIEW costs WITH (batch_interval = '1000h') AS SELECT TUMBLE(ts, INTERVAL 1 MINUTE) AS minute, campaign, SUM(user) AS cost, MIN(latency) AS least FROM ads GROUP BY minute, campaign`,
	`CREATE MATERIALIZED VIEW history WITH (batch_interval = '1000h') AS SELECT campaign, TUMBLE(ts, INTERVAL 1 MINUTE) AS minute, COUNT(*) AS n, SUM(price) AS revenue FROM ads GROUP BY campaign, minute`,
}

// factTables are the same for MariaDB. Text compares by byte, as weir's.
var factTables = []struct{ name, columns string }{
	{"facts", "minute DATETIME(6), campaign VARCHAR(20), n BIGINT, revenue DECIMAL(32,2), mean DOUBLE, most DOUBLE, PRIMARY KEY (minute, campaign)"},
	{"costs", "minute DATETIME(6), campaign VARCHAR(20), cost DECIMAL(41,0), least DOUBLE, PRIMARY KEY (minute, campaign)"},
	{"history", "campaign VARCHAR(20), minute DATETIME(6), n BIGINT, revenue DECIMAL(32,2), PRIMARY KEY (campaign, minute)"},
}

// A benchQuery is what is timed: SQL in which $ stands for the layer, and its
// arguments for so many minutes of facts.
type benchQuery struct {
	name, text string
	args       func(r *rand.Rand, minutes int) []any
}

func minuteAt(i int) string {
	return time.Unix(firstTime+int64(i)*60, 0).UTC().Format("2006-01-02 15:04:05")
}

// span returns arguments for a range of so many minutes.
func span(length int) func(r *rand.Rand, minutes int) []any {
	return func(r *rand.Rand, minutes int) []any {
		from := r.IntN(max(1, minutes-length))
		return []any{minuteAt(from), minuteAt(from + length)}
	}
}

func campaignArg(r *rand.Rand, _ int) []any { return []any{fmt.Sprintf("c%d", r.IntN(campaigns))} }

func noArgs(*rand.Rand, int) []any { return nil }

var benchQueries = []benchQuery{
	{"point lookup", "SELECT n, revenue, mean FROM facts$ WHERE minute = ? AND campaign = ?", func(r *rand.Rand, minutes int) []any {
		return []any{minuteAt(r.IntN(minutes)), fmt.Sprintf("c%d", r.IntN(campaigns))}
	}},
	{"range, 1000 rows", "SELECT minute, campaign, n, revenue FROM facts$ WHERE minute >= ? AND minute < ?", span(10)},
	{"newest 10 rows by key", "SELECT minute, campaign, n, revenue FROM facts$ ORDER BY minute DESC, campaign DESC LIMIT 10", noArgs},
	{"newest 20 windows of a key", "SELECT minute, n, revenue FROM history$ WHERE campaign = ? ORDER BY minute DESC LIMIT 20", campaignArg},
	{"the same, key behind the window", "SELECT minute, n, revenue FROM facts$ WHERE campaign = ? ORDER BY minute DESC LIMIT 20", campaignArg},
	{"top 10 rows by a sum", "SELECT minute, campaign, revenue FROM facts$ ORDER BY revenue DESC, minute, campaign LIMIT 10", noArgs},
	{"top 10 groups", "SELECT campaign, SUM(revenue) AS revenue FROM facts$ GROUP BY campaign ORDER BY revenue DESC LIMIT 10", noArgs},
	{"group by", "SELECT campaign, COUNT(*), SUM(n), SUM(revenue), MAX(most) FROM facts$ GROUP BY campaign ORDER BY campaign", noArgs},
	{"group by, filter", "SELECT campaign, SUM(n), AVG(revenue) FROM facts$ WHERE minute >= ? AND minute < ? AND n > 0 GROUP BY campaign HAVING SUM(n) > 3 ORDER BY campaign", span(300)},
	{"Grafana buckets", "SELECT UNIX_TIMESTAMP(minute) DIV 300 * 300 AS time, SUM(n) AS n FROM facts$ WHERE minute >= ? AND minute < ? GROUP BY time ORDER BY time", span(500)},
	{"join by key, 1000 rows", "SELECT f.minute, f.campaign, f.n, c.cost FROM facts$ f JOIN costs$ c ON c.minute = f.minute AND c.campaign = f.campaign WHERE f.minute >= ? AND f.minute < ?", span(10)},
	{"count(*)", "SELECT COUNT(*) FROM facts$", noArgs},
	{"min and max of the key", "SELECT MIN(minute), MAX(minute) FROM facts$", noArgs},
}

// A target is a server, and a layer there, that queries are timed on.
type target struct {
	name, layer    string
	text, prepared *gosql.DB
}

// The least time that one cell of the table is measured in each round.
const cellTime = 150 * time.Millisecond

// runQueries is queries for each of several numbers of rows.
func runQueries(ctx context.Context, dir, rows, only string, rounds int) error {
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "weir-bench-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
	}
	bin, err := build(ctx, dir)
	if err != nil {
		return err
	}
	for text := range strings.SplitSeq(rows, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return fmt.Errorf("-rows: %w", err)
		}
		if err := queries(ctx, bin, filepath.Join(dir, text), only, n, rounds); err != nil {
			return err
		}
	}
	return nil
}

// queries prints what queries cost on a view of so many rows, on its batch
// layer alone, and on a table of MariaDB that holds the view's rows.
func queries(ctx context.Context, bin, dir, only string, rows, rounds int) (err error) {
	minutes := rows / campaigns
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	w, err := loadFacts(ctx, bin, filepath.Join(dir, "weir"), rows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	m, err := startMariaDB(ctx, filepath.Join(dir, "mariadb"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.stop()) }()
	if err := m.copyFrom(w); err != nil {
		return err
	}
	targets := []target{{name: "mariadb"}, {name: "v"}, {name: "v_batch", layer: "_batch"}}
	for i := range targets {
		addr, user := w.mysql, "root"
		if i == 0 {
			addr, user = m.addr, "bench"
		}
		for _, o := range []struct {
			db     **gosql.DB
			params string
		}{{&targets[i].text, "?interpolateParams=true"}, {&targets[i].prepared, ""}} {
			if *o.db, err = gosql.Open("mysql", user+"@tcp("+addr+")/analytics"+o.params); err != nil {
				return err
			}
			(*o.db).SetMaxOpenConns(1)
		}
	}
	fmt.Printf("%d rows, median of %d rounds; µs with the statement as text / prepared\n\n", rows, rounds)
	fmt.Printf("%-32s %17s %17s %17s %12s %10s\n", "", "mariadb", "v", "v_batch", "v/mariadb", "v/v_batch")
	for _, q := range benchQueries {
		if !strings.Contains(q.name, only) {
			continue
		}
		if err := sameAnswers(ctx, q, targets, minutes); err != nil {
			return err
		}
		cells := make([][2]float64, len(targets))
		samples := make([][2][]float64, len(targets))
		for round := range rounds {
			for i, t := range targets {
				for mode, db := range []*gosql.DB{t.text, t.prepared} {
					took, err := timeQuery(ctx, db, mode == 1, q, t.layer, minutes, uint64(round))
					if err != nil {
						return fmt.Errorf("%s on %s: %w", q.name, t.name, err)
					}
					samples[i][mode] = append(samples[i][mode], took)
				}
			}
		}
		for i := range cells {
			for mode := range cells[i] {
				cells[i][mode] = median(samples[i][mode])
			}
		}
		cell := func(i int) string { return fmt.Sprintf("%.0f / %.0f", cells[i][0], cells[i][1]) }
		fmt.Printf("%-32s %17s %17s %17s %12s %10s\n", q.name, cell(0), cell(1), cell(2),
			fmt.Sprintf("%.2f / %.2f", cells[1][0]/cells[0][0], cells[1][1]/cells[0][1]),
			fmt.Sprintf("%.2f / %.2f", cells[1][0]/cells[2][0], cells[1][1]/cells[2][1]))
	}
	fmt.Println()
	return nil
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// timeQuery returns the median time of q in microseconds.
func timeQuery(ctx context.Context, db *gosql.DB, prepare bool, q benchQuery, layer string, minutes int, seed uint64) (float64, error) {
	text := strings.ReplaceAll(q.text, "$", layer)
	run := db.QueryContext
	if prepare {
		stmt, err := db.PrepareContext(ctx, text)
		if err != nil {
			return 0, err
		}
		defer func() { _ = stmt.Close() }()
		run = func(ctx context.Context, _ string, args ...any) (*gosql.Rows, error) {
			return stmt.QueryContext(ctx, args...)
		}
	}
	r := rand.New(rand.NewPCG(seed, 1)) // the same arguments for each target
	var times []float64
	for end := time.Now().Add(cellTime); len(times) < 3 || time.Now().Before(end); {
		args := q.args(r, minutes)
		begin := time.Now()
		rows, err := run(ctx, text, args...)
		if err != nil {
			return 0, err
		}
		if err := drain(rows, nil); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(begin).Nanoseconds())/1000)
	}
	return median(times), nil
}

// drain reads all rows as raw text and calls each, if any, with them.
func drain(rows *gosql.Rows, each func([]gosql.RawBytes)) error {
	defer func() { _ = rows.Close() }()
	cols, err := rows.Columns()
	if err != nil {
		return err
	}
	raw := make([]gosql.RawBytes, len(cols))
	at := make([]any, len(cols))
	for i := range raw {
		at[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(at...); err != nil {
			return err
		}
		if each != nil {
			each(raw)
		}
	}
	return rows.Err()
}

// sameAnswers fails where v answers a query otherwise than MariaDB.
func sameAnswers(ctx context.Context, q benchQuery, targets []target, minutes int) error {
	for seed := range uint64(3) {
		args := q.args(rand.New(rand.NewPCG(seed, 2)), minutes)
		var answers [][]string
		for _, db := range []*gosql.DB{targets[0].text, targets[1].text, targets[1].prepared} {
			rows, err := db.QueryContext(ctx, strings.ReplaceAll(q.text, "$", ""), args...)
			if err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			var answer []string
			if err := drain(rows, func(raw []gosql.RawBytes) {
				for _, v := range raw {
					answer = append(answer, strings.TrimSuffix(string(v), ".000000"))
				}
			}); err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			answers = append(answers, answer)
		}
		for _, a := range answers[1:] {
			if !slices.EqualFunc(answers[0], a, sameValue) {
				return fmt.Errorf("%s %v: MariaDB answers %.300q, weir %.300q", q.name, args, answers[0], a)
			}
		}
	}
	return nil
}

// sameValue says whether two texts are the same, or the same number as far as
// a sum of DOUBLEs has one.
func sameValue(a, b string) bool {
	if a == b {
		return true
	}
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err1 == nil && err2 == nil && math.Abs(x-y) <= 1e-9*math.Abs(x)
}

// loadFacts starts weir with so many rows of facts, all but the last of which
// are in the batch layer. It uses what an earlier run has left in data.
func loadFacts(ctx context.Context, bin, data string, rows int) (*weir, error) {
	_, err := os.Stat(data)
	fresh := errors.Is(err, os.ErrNotExist)
	w, err := start(ctx, bin, data)
	if err != nil || !fresh {
		return w, err
	}
	if err := w.exec(stream); err != nil {
		return nil, err
	}
	minutes := rows / campaigns
	if err := publishFacts(ctx, w.nats, func(yield func(minute, campaign, salt int) error) error {
		for i := range rows {
			if err := yield(i/campaigns, i%campaigns, 0); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if err := w.exec(factViews...); err != nil {
		return nil, err
	}
	if err := w.exec("REFRESH MATERIALIZED VIEW facts", "REFRESH MATERIALIZED VIEW costs", "REFRESH MATERIALIZED VIEW history"); err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(1, 1))
	if err := publishFacts(ctx, w.nats, func(yield func(minute, campaign, salt int) error) error {
		for i := range rows / late {
			minute := minutes + i/2/campaigns // a new row
			if i%2 == 1 {
				minute = r.IntN(minutes) // or one that batch has
			}
			if err := yield(minute, i/2%campaigns, 1+i); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var ok int
	if err := w.db.QueryRowContext(ctx, "SELECT WAIT_FOR_SEQ('ads', ?, 60)", rows+rows/late).Scan(&ok); err != nil || ok != 1 {
		return nil, fmt.Errorf("the views do not catch up: %w", err)
	}
	return w, nil
}

func publishFacts(ctx context.Context, url string, events func(yield func(minute, campaign, salt int) error) error) error {
	p, err := publisher.Dial(publisher.Config{URL: url})
	if err != nil {
		return err
	}
	defer p.Close()
	err = events(func(minute, campaign, salt int) error {
		h := uint32(minute*campaigns+campaign+salt*7) * 2654435761
		return p.Publish(ctx, publisher.Event{Subject: "ads", Payload: fmt.Appendf(nil,
			`{"ts":"%sZ","campaign":"c%d","user":%d,"kind":"view","price":%d.%02d,"latency":%d.5}`,
			strings.Replace(minuteAt(minute), " ", "T", 1), campaign, h>>4%50_000, h>>10%500, h>>3%100, h>>12%2000)})
	})
	return errors.Join(err, p.Flush(ctx))
}

// A mariaDB is a server that only this program knows.
type mariaDB struct {
	ctx    context.Context // of the run
	cmd    *exec.Cmd
	db     *gosql.DB
	addr   string
	loaded bool
}

// startMariaDB starts Debian's MariaDB, with room in memory for all tables, on
// data of its own. The package is mariadb-server.
func startMariaDB(ctx context.Context, data string) (*mariaDB, error) {
	_, err := os.Stat(data)
	m := &mariaDB{ctx: ctx, loaded: err == nil}
	if !m.loaded {
		out, err := exec.CommandContext(ctx, "mariadb-install-db", "--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db", "--datadir="+data).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
		}
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	m.addr = fmt.Sprint("127.0.0.1:", port)
	socket := filepath.Join(data, "bench.sock")
	m.cmd = exec.CommandContext(ctx, "mariadbd", "--no-defaults", "--user=root", "--datadir="+data, "--socket="+socket,
		"--bind-address=127.0.0.1", fmt.Sprint("--port=", port), "--innodb-buffer-pool-size=2G", "--innodb-flush-log-at-trx-commit=0",
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin", "--local-infile=1", "--default-time-zone=+00:00", "--skip-name-resolve")
	var log bytes.Buffer
	m.cmd.Stderr = &log
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	root, err := gosql.Open("mysql", "root@unix("+socket+")/")
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	for deadline := time.Now().Add(time.Minute); root.PingContext(ctx) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("MariaDB does not become ready:\n%s", log.String())
		}
	}
	for _, s := range []string{"CREATE DATABASE IF NOT EXISTS analytics", "CREATE USER IF NOT EXISTS bench@'%'", "GRANT ALL ON *.* TO bench@'%'"} {
		if _, err := root.ExecContext(ctx, s); err != nil {
			return nil, err
		}
	}
	m.db, err = gosql.Open("mysql", "bench@tcp("+m.addr+")/analytics")
	return m, err
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (m *mariaDB) stop() error {
	_ = m.db.Close()
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	return m.cmd.Wait()
}

// copyFrom makes tables of the rows of weir's views.
func (m *mariaDB) copyFrom(w *weir) error {
	if m.loaded {
		return nil
	}
	for _, t := range factTables {
		if _, err := m.db.ExecContext(m.ctx, "CREATE TABLE "+t.name+" ("+t.columns+")"); err != nil {
			return err
		}
		rows, err := w.db.QueryContext(m.ctx, "SELECT * FROM "+t.name) //nolint:rowserrcheck // drain returns it
		if err != nil {
			return err
		}
		r, pipe := io.Pipe()
		go func() {
			out := bufio.NewWriter(pipe)
			err := drain(rows, func(raw []gosql.RawBytes) {
				for i, v := range raw {
					if i > 0 {
						_ = out.WriteByte('\t')
					}
					_, _ = out.Write(v)
				}
				_ = out.WriteByte('\n') // errors are sticky
			})
			_ = pipe.CloseWithError(errors.Join(err, out.Flush()))
		}()
		mysql.RegisterReaderHandler(t.name, func() io.Reader { return r })
		_, err = m.db.ExecContext(m.ctx, "LOAD DATA LOCAL INFILE 'Reader::"+t.name+"' INTO TABLE "+t.name)
		mysql.DeregisterReaderHandler(t.name)
		if err != nil {
			return err
		}
		if _, err := m.db.ExecContext(m.ctx, "ANALYZE TABLE "+t.name); err != nil {
			return err
		}
	}
	return nil
}
