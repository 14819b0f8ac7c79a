package e2e

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// loadLimit bounds a test that publishes files.
const loadLimit = 3 * time.Minute

// weirPublish returns the command that publishes to the running server.
func weirPublish(ctx context.Context, t *testing.T, s *server, args ...string) *exec.Cmd {
	t.Helper()
	p, err := s.running(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(ctx, binary, append([]string{"publish", "--nats", p.nats}, args...)...)
}

// published matches the last line of weir publish.
var published = regexp.MustCompile(`: (\S+) published, (\S+) there already, (\S+) duplicates, (\S+) skipped, .*; last sequence (\d+)\n$`)

// loadFile runs weir publish to its end and returns what it published, what was
// there already, and the last sequence.
func loadFile(ctx context.Context, t *testing.T, s *server, args ...string) (counts [2]int, last uint64) {
	t.Helper()
	var stderr strings.Builder
	cmd := weirPublish(ctx, t, s, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	m := published.FindStringSubmatch(string(out))
	if err != nil || m == nil {
		t.Fatalf("weir publish %q: %v: %s%s", args, err, out, &stderr)
	}
	for i := range counts {
		counts[i] = int(number(t, strings.ReplaceAll(m[i+1], ",", "")))
	}
	return counts, number(t, m[5])
}

// statements returns those of a file.
func statements(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSpace(string(text)), ";\n")
}

// TestRealLogs does what the README of examples/real-logs says.
func TestRealLogs(t *testing.T) {
	log := filepath.Join(dataDir(t), "apache_access", "access.log.gz")
	ctx, cancel := context.WithTimeout(t.Context(), loadLimit)
	defer cancel()
	s := newServer(ctx, t)
	c := newClient(t, s)
	example := filepath.Join("..", "examples", "real-logs")
	for range 2 { // as at a second start
		for _, stmt := range statements(t, filepath.Join(example, "schema.sql")) {
			c.exec(ctx, stmt)
		}
	}
	const lines = 10_000
	for _, want := range [][2]int{{lines, 0}, {0, lines}} {
		counts, last := loadFile(ctx, t, s, "access_log", log)
		if counts != want || last != lines {
			t.Fatalf("published %d, there already %d, last sequence %d; want %d", counts[0], counts[1], last, want)
		}
	}
	c.wait(ctx, "access_log", lines)
	checkRealLogs(ctx, t, c)
	c.exec(ctx, "REFRESH MATERIALIZED VIEW status_by_hour")
	c.exec(ctx, "REFRESH MATERIALIZED VIEW pages_by_day")
	s.stop()
	s.start(ctx)
	if counts, _ := loadFile(ctx, t, s, "access_log", log); counts != [2]int{0, lines} {
		t.Errorf("after a restart: published %d, there already %d", counts[0], counts[1])
	}
	checkRealLogs(ctx, t, c)
	for i, query := range statements(t, filepath.Join(example, "queries.sql")) {
		if rows := c.rows(ctx, query); len(rows) == 0 {
			t.Errorf("query %d has no rows:\n%s", i+1, query)
		}
	}
}

// checkRealLogs compares the example's views with the reference answers.
func checkRealLogs(ctx context.Context, t *testing.T, c *client) {
	t.Helper()
	const set = "apache_access"
	for _, test := range []struct {
		answer, where string
		columns       []string
		query         string
	}{
		{
			"q01_summary", "",
			[]string{"wellformed", "bytes_sum"},
			"SELECT SUM(requests), SUM(bytes) FROM traffic_by_minute",
		},
		{"q02_per_hour_status", "", nil, "SELECT hour, status, requests, bytes FROM status_by_hour ORDER BY hour, status"},
		{
			"q03_top10_paths", "", nil,
			"SELECT path, SUM(requests) AS hits FROM pages_by_day GROUP BY path ORDER BY hits DESC, path LIMIT 10",
		},
		{"q04_distinct_ips_per_day", "", []string{"day_utc", "requests"}, "SELECT day, requests FROM visitors_by_day ORDER BY day"},
		{
			"q04_distinct_ips_per_day", "",
			[]string{"day_utc", "requests", "ips"},
			"SELECT day, SUM(requests), COUNT(*) FROM clients_by_day GROUP BY day ORDER BY day",
		},
		{
			"q11_errors_top", "status=404",
			[]string{"path", "n"},
			"SELECT path, SUM(requests) AS n FROM broken_links GROUP BY path ORDER BY n DESC, path LIMIT 10",
		},
	} {
		compare(t, test.answer, answers(t, set, test.answer).where(t, test.where).only(t, test.columns), c.rows(ctx, test.query), nil)
	}
	visitors := c.rows(ctx, "SELECT visitors FROM visitors_by_day ORDER BY day")
	for i, row := range answers(t, set, "q04_distinct_ips_per_day").only(t, []string{"ips"}).rows {
		exact, _ := strconv.ParseFloat(row[0], 64)
		got, _ := strconv.ParseFloat(visitors[i][0], 64)
		if math.Abs(got-exact) > 0.03*exact { // three to four standard errors
			t.Errorf("day %d: about %v visitors, want %v", i+1, got, exact)
		}
	}
}

// TestPublishCrash kills weir publish, and the server under it, again and
// again, on a stream that forgets IDs at once: every line is published once.
func TestPublishCrash(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), loadLimit)
	defer cancel()
	s := newServer(ctx, t)
	c := newClient(t, s)
	c.exec(ctx, "CREATE STREAM numbers (n BIGINT) WITH (format = 'regex', pattern = '^(?P<n>[0-9]+)$', duplicate_window = '100ms')")
	c.exec(ctx, "CREATE MATERIALIZED VIEW total AS SELECT COUNT(*) AS n, COUNT(DISTINCT n) AS ns, SUM(n) AS sum_n FROM numbers")
	const lines = 60_000
	var text strings.Builder
	for n := range lines {
		fmt.Fprintln(&text, n)
	}
	path := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := random(t, 5)
	for n := range min(*crashes, 8) {
		cmd := weirPublish(ctx, t, s, "--rate", "20000", "numbers", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It publishes once the earlier run is known to be dead.
		more := stored(ctx, c) + uint64(1+r.IntN(6000))
		for tick := time.NewTicker(10 * time.Millisecond); stored(ctx, c) < more && ctx.Err() == nil; {
			<-tick.C
		}
		if n%2 == 1 {
			s.kill()
		}
		_ = cmd.Process.Signal(syscall.SIGKILL)
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Fatalf("weir publish ended before it was killed: %v", err)
		}
		if n%2 == 1 {
			s.start(ctx)
		}
	}
	counts, last := loadFile(ctx, t, s, "numbers", path)
	if counts[0]+counts[1] != lines || counts[1] == 0 {
		t.Errorf("the last run published %d lines and found %d", counts[0], counts[1])
	}
	c.wait(ctx, "numbers", last)
	rows := c.rows(ctx, "SELECT n, ns, sum_n FROM total")
	if want := fmt.Sprintf("[[%d %[1]d %d]]", lines, lines*(lines-1)/2); fmt.Sprint(rows) != want || last != lines {
		t.Errorf("the lines are counted as %v up to sequence %d, want %s", rows, last, want)
	}
}

// stored is how many events the log of the lines has.
func stored(ctx context.Context, c *client) uint64 {
	c.t.Helper()
	return number(c.t, c.value(ctx, "SELECT last_seq FROM weir.streams WHERE name = 'numbers'"))
}
