package peer

import (
	"bufio"
	"bytes"
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"weir/bench/work"
)

// clickHouse is a ClickHouse server, spoken to over HTTP: Debian's 18.16
// (package clickhouse-server), which is of 2018, or whatever is in PATH.
type clickHouse struct {
	*process
	url     string
	http    *http.Client
	data    string
	version string
}

const clickHouseConfig = `<yandex>
<logger><level>warning</level><console>1</console></logger>
<http_port>%d</http_port><tcp_port>%d</tcp_port><listen_host>127.0.0.1</listen_host>
<path>%[3]s/</path><tmp_path>%[3]s/tmp/</tmp_path><format_schema_path>%[3]s/</format_schema_path>
<mark_cache_size>1073741824</mark_cache_size><timezone>UTC</timezone><max_connections>512</max_connections>
<users_config>%[3]s/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
</yandex>
`

const clickHouseUsers = `<yandex>
<profiles><default><max_memory_usage>10000000000</max_memory_usage></default></profiles>
<users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
<quotas><default></default></quotas>
</yandex>
`

// StartClickHouse starts one on data in dir.
func StartClickHouse(ctx context.Context, dir string) (Database, error) {
	server, err := program("clickhouse-server", "clickhouse-server")
	if err != nil {
		return nil, err
	}
	c := &clickHouse{
		data: filepath.Join(dir, "clickhouse"),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}},
	}
	port, err1 := freePort(ctx)
	native, err2 := freePort(ctx)
	config := filepath.Join(c.data, "config.xml")
	if err := errors.Join(err1, err2, os.MkdirAll(c.data, 0o700),
		os.WriteFile(config, fmt.Appendf(nil, clickHouseConfig, port, native, c.data), 0o600),
		os.WriteFile(filepath.Join(c.data, "users.xml"), []byte(clickHouseUsers), 0o600)); err != nil {
		return nil, err
	}
	c.url = fmt.Sprintf("http://127.0.0.1:%d/", port)
	cmd := exec.Command(server, "--config-file="+config) //nolint:noctx // Stop ends it, as its own shutdown does
	cmd.Dir = c.data
	c.process, err = launch(ctx, cmd, func() error {
		return c.Query(ctx, "SELECT version()", nil, func(row []gosql.RawBytes) error {
			c.version = string(row[0])
			return nil
		})
	})
	return c, err
}

func (c *clickHouse) Name() string          { return "ClickHouse" }
func (c *clickHouse) Version() string       { return c.version }
func (c *clickHouse) Dialect() work.Dialect { return work.ClickHouse }
func (c *clickHouse) PID() int              { return c.cmd.Process.Pid }
func (c *clickHouse) Data() string          { return c.data }

func (c *clickHouse) Stop() error {
	c.http.CloseIdleConnections()
	// It needs many seconds to stop by itself, and nothing here is kept.
	return c.stop(syscall.SIGKILL)
}

// Open returns the server itself: HTTP connections are kept by the client, and
// nothing is prepared.
func (c *clickHouse) Open(context.Context, int, bool) (Querier, error) { return c, nil }

// Close leaves the server be: Stop ends it.
func (c *clickHouse) Close() error { return nil }

// post sends a statement, and with it perhaps data to insert.
func (c *clickHouse) post(ctx context.Context, statement string, data io.Reader, each func([]gosql.RawBytes) error) (err error) {
	target := c.url
	if data == nil {
		data = strings.NewReader(statement)
	} else {
		target += "?query=" + url.QueryEscape(statement)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, data)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		return fmt.Errorf("%.300s: %s", statement, bytes.TrimSpace(text))
	}
	lines := bufio.NewScanner(resp.Body)
	var row []gosql.RawBytes
	for lines.Scan() {
		if each == nil {
			continue
		}
		row = row[:0]
		for field := range bytes.SplitSeq(lines.Bytes(), []byte{'\t'}) {
			row = append(row, field)
		}
		if err := each(row); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c *clickHouse) Query(ctx context.Context, text string, args []any, each func([]gosql.RawBytes) error) error {
	parts := strings.Split(text, "?")
	for i := 1; i < len(parts); i++ {
		parts[i] = literal(args[i-1]) + parts[i]
	}
	return c.post(ctx, strings.Join(parts, ""), nil, each)
}

func literal(value any) string {
	if text, ok := value.(string); ok {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	return fmt.Sprint(value)
}

func (c *clickHouse) Exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if err := c.post(ctx, s, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *clickHouse) Ways() []Way {
	const promised = "written to the system, synced when that likes"
	var ways []Way
	for _, rows := range []int{1000, 10_000, 100_000} {
		ways = append(ways, Way{"materialized view, " + batched(rows), rows, true, false, promised})
	}
	return ways
}

// makeEvents makes the table of the events, which no view reads yet.
func (c *clickHouse) makeEvents(ctx context.Context, w *work.Workload) error {
	for _, other := range work.Workloads {
		for _, v := range other.Views {
			if err := c.Exec(ctx, "DROP TABLE IF EXISTS "+v.Name+"_kept"); err != nil {
				return err
			}
		}
	}
	return c.Exec(ctx, "DROP TABLE IF EXISTS "+w.Stream,
		"CREATE TABLE "+w.Stream+" ("+w.ColumnList(work.ClickHouse)+") ENGINE = MergeTree PARTITION BY intDiv(ts, 86400000) ORDER BY ts")
}

// makeView makes a table that adds up the rows of a key when its parts merge,
// where adding up is all there is to do.
func (c *clickHouse) makeView(ctx context.Context, w *work.Workload, v *work.View) error {
	engine := "MergeTree"
	if v.Additive() {
		engine = "SummingMergeTree"
	}
	return c.Exec(ctx, "DROP TABLE IF EXISTS "+v.Name,
		"CREATE TABLE "+v.Name+" ("+v.TableColumns(w, work.ClickHouse)+") ENGINE = "+engine+" ORDER BY ("+v.KeyNames()+")")
}

func (c *clickHouse) Setup(ctx context.Context, w *work.Workload, way Way) (Writer, error) {
	if err := c.makeEvents(ctx, w); err != nil {
		return nil, err
	}
	for _, v := range w.Views {
		if err := c.makeView(ctx, w, &v); err != nil {
			return nil, err
		}
		if err := c.Exec(ctx, "CREATE MATERIALIZED VIEW "+v.Name+"_kept TO "+v.Name+" AS "+v.Select(w, work.ClickHouse, w.Stream)); err != nil {
			return nil, err
		}
	}
	return &clickHouseWriter{c, w, nil}, nil
}

type clickHouseWriter struct {
	server *clickHouse
	work   *work.Workload
	text   []byte
}

func (w *clickHouseWriter) Close() error { return nil }

func (w *clickHouseWriter) Write(ctx context.Context, rows [][]work.Value) error {
	w.text = w.text[:0]
	for _, row := range rows {
		w.text = append(w.work.AppendJSON(w.text, row), '\n')
	}
	return w.server.post(ctx, "INSERT INTO "+w.work.Stream+" FORMAT JSONEachRow", bytes.NewReader(w.text), nil)
}

func (c *clickHouse) Load(ctx context.Context, in *work.Input, dir string) error {
	if err := c.makeEvents(ctx, in.Workload); err != nil {
		return err
	}
	f, err := in.Open(dir, work.TSV)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return c.post(ctx, "INSERT INTO "+in.Stream+" FORMAT TabSeparated", f, nil)
}

func (c *clickHouse) Recompute(ctx context.Context, w *work.Workload, v *work.View) error {
	if err := c.makeView(ctx, w, v); err != nil {
		return err
	}
	return c.Exec(ctx, "INSERT INTO "+v.Name+" "+v.Select(w, work.ClickHouse, w.Stream))
}

func (c *clickHouse) Fill(ctx context.Context, table string, columns []string, rows [][]any) error {
	return c.post(ctx, "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") FORMAT TabSeparated", tabbed(rows), nil)
}
