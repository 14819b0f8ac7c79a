package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"weir/bench/work"
)

// postgres is Debian's PostgreSQL (package postgresql), set up for a machine of
// its own.
type postgres struct {
	*process
	conn    *pgx.Conn
	source  string
	data    string
	version string
}

// StartPostgres starts one on data in dir, which is made where there is none.
func StartPostgres(ctx context.Context, dir string) (Database, error) {
	const bins = "/usr/lib/postgresql/*/bin"
	server, err := program("postgres", "postgresql", bins)
	if err != nil {
		return nil, err
	}
	initdb, err := program("initdb", "postgresql", bins)
	if err != nil {
		return nil, err
	}
	p := &postgres{data: filepath.Join(dir, "postgres")}
	account, err := unprivileged(dir, p.data)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(p.data, "PG_VERSION")); err != nil {
		cmd := exec.CommandContext(ctx, initdb, "-D", p.data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
		cmd.Dir, cmd.SysProcAttr = "/", account
		if err := finish(cmd); err != nil {
			return nil, err
		}
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	p.source = fmt.Sprintf("host=127.0.0.1 port=%d user=bench dbname=postgres sslmode=disable", port)
	args := []string{"-D", p.data, "-p", strconv.Itoa(port), "-k", p.data}
	for _, s := range []string{
		"listen_addresses=127.0.0.1", "shared_buffers=4GB", "work_mem=512MB", "max_wal_size=8GB", "max_connections=200",
		"max_parallel_workers_per_gather=2", "timezone=UTC", "fsync=on",
	} {
		args = append(args, "-c", s)
	}
	cmd := exec.Command(server, args...) //nolint:noctx // Stop ends it, as its own shutdown does
	cmd.Dir, cmd.SysProcAttr = "/", account
	p.process, err = launch(ctx, cmd, func() (err error) {
		p.conn, err = pgx.Connect(ctx, p.source)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, p.conn.QueryRow(ctx, "SHOW server_version").Scan(&p.version)
}

// unprivileged returns how to run PostgreSQL, which refuses root: as user
// postgres, who then owns data and may pass through dir.
func unprivileged(dir, data string) (*syscall.SysProcAttr, error) {
	if err := os.MkdirAll(data, 0o700); err != nil || os.Geteuid() != 0 {
		return nil, err
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: PostgreSQL does not run as root, and there is no user postgres", ErrMissing)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2, os.Chmod(dir, 0o711), os.Chown(data, uid, gid)); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

func (p *postgres) Name() string          { return "PostgreSQL" }
func (p *postgres) Version() string       { return p.version }
func (p *postgres) Dialect() work.Dialect { return work.Postgres }
func (p *postgres) PID() int              { return p.cmd.Process.Pid }
func (p *postgres) Data() string          { return p.data }

func (p *postgres) Stop() error {
	_ = p.conn.Close(context.Background())
	return p.stop(os.Interrupt) // a fast shutdown
}

// Open uses the simple protocol for statements as text.
func (p *postgres) Open(_ context.Context, clients int, prepared bool) (Querier, error) {
	source := p.source
	if !prepared {
		source += " default_query_exec_mode=simple_protocol"
	}
	return newPool("pgx", source, clients, prepared, numbered)
}

// numbered writes each ? as $1, $2 and so on.
func numbered(text string) string {
	parts := strings.Split(text, "?")
	for i := 1; i < len(parts); i++ {
		parts[i] = "$" + strconv.Itoa(i) + parts[i]
	}
	return strings.Join(parts, "")
}

func (p *postgres) Exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := p.conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (p *postgres) Ways() []Way {
	var ways []Way
	for _, promise := range []Way{
		{Durable: false, Promised: "written and synced within 0.6 s of the commit (synchronous_commit = off)"},
		{Durable: true, Promised: "synced at each commit (synchronous_commit = on)"},
	} {
		for _, way := range []Way{
			{Name: "statement trigger, ", Batch: 1, Trigger: true},
			{Name: "statement trigger and COPY, ", Batch: 1000, Trigger: true},
			{Name: "statement trigger and COPY, ", Batch: 10_000, Trigger: true},
			{Name: "upsert, ", Batch: 1},
			{Name: "upsert and COPY, ", Batch: 1000},
		} {
			way.Name += batched(way.Batch)
			way.Durable, way.Promised = promise.Durable, promise.Promised
			ways = append(ways, way)
		}
	}
	return ways
}

func (p *postgres) makeEvents(ctx context.Context, w *work.Workload) error {
	return p.Exec(ctx, "DROP TABLE IF EXISTS "+w.Stream, "CREATE TABLE "+w.Stream+" ("+w.ColumnList(work.Postgres)+")",
		"CREATE INDEX ON "+w.Stream+" USING brin (ts)")
}

func (p *postgres) makeView(ctx context.Context, w *work.Workload, v *work.View) error {
	return p.Exec(ctx, "DROP TABLE IF EXISTS "+v.Name,
		"CREATE TABLE "+v.Name+" ("+v.TableColumns(w, work.Postgres)+", PRIMARY KEY ("+v.KeyNames()+"))")
}

func (p *postgres) Setup(ctx context.Context, w *work.Workload, way Way) (Writer, error) {
	if err := p.makeEvents(ctx, w); err != nil {
		return nil, err
	}
	for _, v := range w.Views {
		if err := p.makeView(ctx, w, &v); err != nil {
			return nil, err
		}
		if !way.Trigger {
			continue
		}
		// The transition table has all rows of a statement, so a batch is added
		// up once for each group.
		text := conflict(w, &v, v.Select(w, work.Postgres, "written"))
		if err := p.Exec(ctx, "CREATE OR REPLACE FUNCTION "+v.Name+"_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "+text+"; RETURN NULL; END $$",
			"CREATE TRIGGER "+v.Name+"_kept AFTER INSERT ON "+w.Stream+" REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION "+v.Name+"_keep()"); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.Connect(ctx, p.source)
	if err != nil {
		return nil, err
	}
	level := "off"
	if way.Durable {
		level = "on"
	}
	if _, err := conn.Exec(ctx, "SET synchronous_commit = "+level); err != nil {
		return nil, err
	}
	return &postgresWriter{conn, w, way}, nil
}

// conflict adds the rows of a query to a view.
func conflict(w *work.Workload, v *work.View, rows string) string {
	sets := make([]string, len(v.Aggs))
	for i, a := range v.Aggs {
		sets[i] = a.Name + " = " + v.Name + "." + a.Name + " + EXCLUDED." + a.Name
	}
	return "INSERT INTO " + v.Name + " (" + strings.Join(v.AllNames(w), ", ") + ") " + rows +
		" ON CONFLICT (" + v.KeyNames() + ") DO UPDATE SET " + strings.Join(sets, ", ")
}

type postgresWriter struct {
	conn *pgx.Conn
	work *work.Workload
	way  Way
}

func (w *postgresWriter) Close() error { return w.conn.Close(context.Background()) }

func (w *postgresWriter) Write(ctx context.Context, rows [][]work.Value) error {
	if w.way.Trigger {
		return w.insert(ctx, rows)
	}
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if err := w.insert(ctx, rows); err != nil {
		return err
	}
	for _, v := range w.work.Views {
		const most = 5000 // rows of a statement: a parameter's number has 16 bits
		for groups := v.Group(w.work, rows); len(groups) > 0; {
			n := min(most, len(groups))
			var args []any
			for _, g := range groups[:n] {
				args = append(args, v.Args(w.work, g)...)
			}
			if _, err := w.conn.Exec(ctx, conflict(w.work, &v, numbered("VALUES "+values(n, len(v.Keys)+len(v.Aggs)))), args...); err != nil {
				return err
			}
			groups = groups[n:]
		}
	}
	return tx.Commit(ctx)
}

func (w *postgresWriter) insert(ctx context.Context, rows [][]work.Value) error {
	if len(rows) == 1 {
		_, err := w.conn.Exec(ctx, numbered("INSERT INTO "+w.work.Stream+" ("+w.work.Names()+") VALUES "+values(1, len(w.work.Columns))), arguments(w.work, nil, rows[0])...)
		return err
	}
	_, err := w.conn.CopyFrom(ctx, pgx.Identifier{w.work.Stream}, strings.Split(w.work.Names(), ", "), pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		return arguments(w.work, nil, rows[i]), nil
	}))
	return err
}

func (p *postgres) Load(ctx context.Context, in *work.Input, dir string) error {
	if err := p.makeEvents(ctx, in.Workload); err != nil {
		return err
	}
	f, err := in.Open(dir, work.TSV)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := p.conn.PgConn().CopyFrom(ctx, f, "COPY "+in.Stream+" ("+in.Names()+") FROM STDIN"); err != nil {
		return err
	}
	return p.Exec(ctx, "VACUUM ANALYZE "+in.Stream)
}

// Recompute makes a table without a key and then the key, as REFRESH does with
// a materialized view and its index.
func (p *postgres) Recompute(ctx context.Context, w *work.Workload, v *work.View) error {
	return p.Exec(ctx, "DROP TABLE IF EXISTS "+v.Name, "CREATE TABLE "+v.Name+" AS "+v.Select(w, work.Postgres, w.Stream),
		"CREATE UNIQUE INDEX ON "+v.Name+" ("+v.KeyNames()+")")
}

func (p *postgres) Fill(ctx context.Context, table string, columns []string, rows [][]any) error {
	if _, err := p.conn.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	return p.Exec(ctx, "VACUUM ANALYZE "+table)
}
