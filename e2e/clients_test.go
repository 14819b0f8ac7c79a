package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// clientSchema is what the statements in testdata/clients ask about.
var clientSchema = []string{
	`CREATE STREAM access_log (ts DATETIME(6) NOT NULL, ip VARCHAR(45), path VARCHAR(255), status INT COMMENT 'of HTTP', latency DOUBLE) WITH (event_time = 'ts')`,
	`CREATE MATERIALIZED VIEW requests_by_minute AS SELECT TUMBLE(ts, INTERVAL 1 MINUTE) AS minute, status, COUNT(*) AS requests, AVG(latency) AS latency FROM access_log GROUP BY minute, status`,
	`INSERT INTO access_log (ts, ip, path, status, latency) VALUES ('2026-01-01 10:00:00.1', '::1', '/', 200, 0.5), ('2026-01-01 10:00:01', '::1', '/é', 200, 1), ('2026-01-01 10:00:02', '::1', '/nowhere', 404, NULL)`,
}

// newClientServer starts a server that has something to show.
func newClientServer(ctx context.Context, t *testing.T) *client {
	t.Helper()
	c := newClient(t, newServer(ctx, t))
	for _, q := range clientSchema {
		c.exec(ctx, q)
	}
	c.wait(ctx, "access_log", 3)
	return c
}

// address is where the server of c listens.
func (c *client) address(ctx context.Context) (host, port string) {
	c.t.Helper()
	p, err := c.s.running(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	if host, port, err = net.SplitHostPort(p.mysql); err != nil {
		c.t.Fatal(err)
	}
	return host, port
}

// traffic is one statement of testdata/clients.
type traffic struct {
	line     int
	text     string
	prepared bool
	number   uint16 // of the error that it must give
}

func readTraffic(t *testing.T, file string) (list []traffic) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var next traffic
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "-- prepared":
			next.prepared = true
			continue
		case strings.HasPrefix(line, "-- error "):
			n, err := strconv.ParseUint(strings.TrimPrefix(line, "-- error "), 10, 16)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, i+1, err)
			}
			next.number = uint16(n)
			continue
		case next.text == "":
			next.line = i + 1
		}
		next.text += line + "\n"
		if strings.HasSuffix(line, ";") {
			next.text = strings.TrimSuffix(next.text, ";\n")
			list = append(list, next)
			next = traffic{}
		}
	}
	if len(list) == 0 || strings.TrimSpace(next.text) != "" {
		t.Fatalf("%s: no statements, or %q without an end", file, next.text)
	}
	return list
}

// What drivers and tools send is answered.
func TestClientTraffic(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := newClientServer(ctx, t)
	files, err := filepath.Glob("../testdata/clients/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no statements: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			conn, err := c.db.Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for _, s := range readTraffic(t, file) {
				var err error
				if s.prepared {
					err = func() error {
						st, err := conn.PrepareContext(ctx, s.text)
						if err != nil {
							return err
						}
						defer st.Close()
						rows, err := st.QueryContext(ctx)
						if err != nil {
							return err
						}
						defer rows.Close()
						for rows.Next() {
						}
						return rows.Err()
					}()
				} else {
					rows, qerr := conn.QueryContext(ctx, s.text)
					if err = qerr; err == nil {
						for rows.Next() {
						}
						err = rows.Err()
						_ = rows.Close()
					}
				}
				var e *mysql.MySQLError
				switch {
				case err == nil && s.number == 0:
				case errors.As(err, &e) && e.Number == s.number:
				case s.number == 0:
					t.Errorf("%s:%d: %v\n%s", file, s.line, err, s.text)
				default:
					t.Errorf("%s:%d: %v, want error %d\n%s", file, s.line, err, s.number, s.text)
				}
			}
		})
	}
}

// missing skips a test for want of a program, and says so where it is seen.
func missing(t *testing.T, what string) {
	t.Helper()
	fmt.Fprintf(os.Stderr, "!!! %s is SKIPPED: %s is not installed\n", t.Name(), what)
	t.Skipf("%s is not installed", what)
}

// MariaDB's command line programs do what they are made for.
func TestCommandLinePrograms(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := exec.LookPath("mariadb"); err != nil {
		missing(t, "mariadb-client")
	}
	c := newClientServer(ctx, t)
	host, port := c.address(ctx)
	run := func(program string, args ...string) (string, error) {
		t.Helper()
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program)
		}
		common := []string{"--no-defaults", "--protocol=tcp", "--host=" + host, "--port=" + port, "--user=root", "--default-character-set=utf8mb4"}
		if program == "mariadb-admin" {
			common = common[:len(common)-1]
		}
		cmd := exec.CommandContext(ctx, program, append(common, args...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		return string(out) + stderr.String(), err
	}
	for _, test := range []struct {
		program string
		args    []string
		want    []string // in what it prints
		fails   bool
	}{
		{"mariadb", []string{"analytics", "--batch", "-e", `SELECT 1 AS one; SELECT status, requests FROM requests_by_minute ORDER BY status; SELECT '한글 🚀' AS u`}, []string{"one\n1\n", "200\t2\n404\t1\n", "한글 🚀"}, false},
		{"mariadb", []string{"analytics", "-e", `status`}, []string{"Current database:\tanalytics", "8.0.33-weir", "Threads: "}, false},
		{"mariadb", []string{"analytics", "--batch", "-e", `DESC requests_by_minute status; SHOW FULL TABLES`}, []string{"status\tint", "requests_by_minute_batch\tBASE TABLE"}, false},
		{"mariadb", []string{"analytics", "-e", `CREATE MATERIALIZED VIEW totals AS SELECT COUNT(*) AS n FROM access_log; SELECT n FROM totals; DROP MATERIALIZED VIEW totals`}, []string{"3"}, false},
		{"mariadb", []string{"analytics", "-e", `SELEC 1`}, []string{"ERROR 1064 (42000)"}, true},
		{"mariadb", []string{"analytics", "-e", `SELECT * FROM nosuch`}, []string{"ERROR 1146 (42S02)"}, true},
		{"mariadb", []string{"nosuch", "-e", `SELECT 1`}, []string{"ERROR 1049 (42000)"}, true},
		{"mariadb-show", []string{"analytics"}, []string{"requests_by_minute", "access_log"}, false},
		{"mariadb-admin", []string{"ping"}, []string{"mysqld is alive"}, false},
		{"mariadb-admin", []string{"status"}, []string{"Uptime: "}, false},
		{"mariadb-admin", []string{"processlist"}, []string{"root"}, false},
		{"mariadb-check", []string{"analytics", "requests_by_minute"}, []string{"analytics.requests_by_minute", "OK"}, false},
		{"mariadb-dump", []string{"--single-transaction", "--compact", "--no-create-info", "analytics", "requests_by_minute"}, []string{"INSERT INTO `requests_by_minute` VALUES", "'2026-01-01 10:00:00',200,2,0.75"}, false},
	} {
		out, err := run(test.program, test.args...)
		if (err != nil) != test.fails {
			t.Errorf("%s %q: %v\n%s", test.program, test.args, err, out)
		}
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s %q has no %q:\n%s", test.program, test.args, want, out)
			}
		}
	}
}

// Python's drivers read what they ought to.
func TestPythonDrivers(t *testing.T) {
	python := "/usr/bin/python3" // that of the system, which has the drivers
	if _, err := exec.LookPath(python); err != nil {
		missing(t, "python3")
	}
	for driver, pack := range map[string]string{"pymysql": "python3-pymysql", "MySQLdb": "python3-mysqldb"} {
		t.Run(driver, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if exec.CommandContext(ctx, python, "-c", "import "+driver).Run() != nil {
				missing(t, pack)
			}
			c := newClientServer(ctx, t)
			host, port := c.address(ctx)
			out, err := exec.CommandContext(ctx, python, "../testdata/clients/check.py", driver, host, port).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "ok" {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
