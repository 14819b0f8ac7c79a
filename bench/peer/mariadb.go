package peer

import (
	"context"
	gosql "database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"weir/bench/work"
)

// mariaDB is Debian's MariaDB (package mariadb-server), with room in memory for
// all tables.
type mariaDB struct {
	*process
	db      *gosql.DB
	addr    string
	data    string
	version string
}

// StartMariaDB starts one on data in dir, which is made where there is none.
func StartMariaDB(ctx context.Context, dir string) (Database, error) {
	server, err := program("mariadbd", "mariadb-server")
	if err != nil {
		return nil, err
	}
	install, err := program("mariadb-install-db", "mariadb-server")
	if err != nil {
		return nil, err
	}
	m := &mariaDB{data: filepath.Join(dir, "mariadb")}
	account := []string{"--no-defaults", "--datadir=" + m.data}
	if os.Geteuid() == 0 {
		account = append(account, "--user=root")
	}
	if _, err := os.Stat(m.data); err != nil {
		if err := finish(exec.CommandContext(ctx, install, append(account, "--auth-root-authentication-method=normal", "--skip-test-db")...)); err != nil {
			return nil, err
		}
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "mariadb.sock")
	root, err := gosql.Open("mysql", "root@unix("+socket+")/")
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	_ = mysql.SetLogger(silent{})                                                         // of the attempts until it is ready
	m.process, err = launch(ctx, exec.Command(server, append(account, "--socket="+socket, //nolint:noctx // Stop ends it, as its own shutdown does
		"--bind-address=127.0.0.1", fmt.Sprint("--port=", port), "--innodb-buffer-pool-size=4G", "--innodb-log-file-size=2G", "--skip-log-bin",
		"--max-allowed-packet=64M", "--tmp-table-size=1G", "--max-heap-table-size=1G", "--sort-buffer-size=64M", "--innodb-io-capacity=2000",
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin", "--local-infile=1", "--default-time-zone=+00:00", "--skip-name-resolve")...),
		func() error { return root.PingContext(ctx) })
	if err != nil {
		return nil, err
	}
	for _, s := range []string{"CREATE DATABASE IF NOT EXISTS analytics", "CREATE USER IF NOT EXISTS bench@'%'", "GRANT ALL ON *.* TO bench@'%'"} {
		if _, err := root.ExecContext(ctx, s); err != nil {
			return nil, err
		}
	}
	m.addr = fmt.Sprint("127.0.0.1:", port)
	if m.db, err = gosql.Open("mysql", m.source(false)); err != nil {
		return nil, err
	}
	return m, m.db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&m.version)
}

type silent struct{}

func (silent) Print(...any) {}

func (m *mariaDB) source(prepared bool) string { return mysqlSource("bench", m.addr, prepared) }

// mysqlSource is the same for MariaDB and weir, so that only servers differ.
func mysqlSource(user, addr string, prepared bool) string {
	s := user + "@tcp(" + addr + ")/analytics?maxAllowedPacket=67108864"
	if !prepared {
		s += "&interpolateParams=true"
	}
	return s
}

func (m *mariaDB) Name() string          { return "MariaDB" }
func (m *mariaDB) Version() string       { return m.version }
func (m *mariaDB) Dialect() work.Dialect { return work.MariaDB }
func (m *mariaDB) PID() int              { return m.cmd.Process.Pid }
func (m *mariaDB) Data() string          { return m.data }

func (m *mariaDB) Stop() error {
	_ = m.db.Close()
	return m.stop(syscall.SIGTERM)
}

func (m *mariaDB) Open(_ context.Context, clients int, prepared bool) (Querier, error) {
	return newPool("mysql", m.source(prepared), clients, prepared, nil)
}

func (m *mariaDB) Exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := m.db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (m *mariaDB) Ways() []Way {
	var ways []Way
	for _, promise := range []Way{
		{Durable: false, Promised: "written to the system at each commit, synced each second (innodb_flush_log_at_trx_commit = 2)"},
		{Durable: true, Promised: "synced at each commit (innodb_flush_log_at_trx_commit = 1)"},
	} {
		for _, rows := range []int{1, 1000} {
			ways = append(ways,
				Way{"row trigger, " + batched(rows), rows, true, promise.Durable, promise.Promised},
				Way{"upsert, " + batched(rows), rows, false, promise.Durable, promise.Promised})
		}
	}
	return ways
}

func (m *mariaDB) makeEvents(ctx context.Context, w *work.Workload) error {
	return m.Exec(ctx, "DROP TABLE IF EXISTS "+w.Stream,
		"CREATE TABLE "+w.Stream+" ("+w.ColumnList(work.MariaDB)+", PRIMARY KEY (ts, seq)) CHARACTER SET latin1 COLLATE latin1_bin")
}

func (m *mariaDB) makeView(ctx context.Context, w *work.Workload, v *work.View) error {
	return m.Exec(ctx, "DROP TABLE IF EXISTS "+v.Name,
		"CREATE TABLE "+v.Name+" ("+v.TableColumns(w, work.MariaDB)+", PRIMARY KEY ("+v.KeyNames()+")) CHARACTER SET latin1 COLLATE latin1_bin")
}

func (m *mariaDB) Setup(ctx context.Context, w *work.Workload, way Way) (Writer, error) {
	if err := m.makeEvents(ctx, w); err != nil {
		return nil, err
	}
	for _, v := range w.Views {
		if err := m.makeView(ctx, w, &v); err != nil {
			return nil, err
		}
		if way.Trigger {
			if err := m.Exec(ctx, trigger(w, &v)); err != nil {
				return nil, err
			}
		}
	}
	level := "2"
	if way.Durable {
		level = "1"
	}
	if err := m.Exec(ctx, "SET GLOBAL innodb_flush_log_at_trx_commit = "+level); err != nil {
		return nil, err
	}
	db, err := gosql.Open("mysql", m.source(way.Batch == 1))
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &mariaWriter{db: db, conn: conn, work: w, way: way, prepared: map[string]*gosql.Stmt{}}, nil
}

// trigger keeps a view with each event, as it is written.
func trigger(w *work.Workload, v *work.View) string {
	var list []string
	for _, k := range v.Keys {
		list = append(list, k.KeyOf(work.MariaDB, "NEW."))
	}
	for _, a := range v.Aggs {
		list = append(list, a.Delta(work.MariaDB, "NEW."))
	}
	insert := upsert(w, v) + "VALUES (" + strings.Join(list, ", ") + ") " + onDuplicate(v)
	if v.Where != nil {
		insert = "IF NEW." + v.Where.SQL + " THEN " + insert + "; END IF"
	}
	return "CREATE TRIGGER " + v.Name + "_kept AFTER INSERT ON " + w.Stream + " FOR EACH ROW " + insert
}

func upsert(w *work.Workload, v *work.View) string {
	return "INSERT INTO " + v.Name + " (" + strings.Join(v.AllNames(w), ", ") + ") "
}

func onDuplicate(v *work.View) string {
	sets := make([]string, len(v.Aggs))
	for i, a := range v.Aggs {
		sets[i] = a.Name + " = " + a.Name + " + VALUES(" + a.Name + ")"
	}
	return "ON DUPLICATE KEY UPDATE " + strings.Join(sets, ", ")
}

// A mariaWriter is one connection that writes batches, each in a transaction.
type mariaWriter struct {
	db       *gosql.DB
	conn     *gosql.Conn
	work     *work.Workload
	way      Way
	prepared map[string]*gosql.Stmt
	args     []any
}

func (w *mariaWriter) Close() error {
	_ = w.conn.Close()
	return w.db.Close()
}

func (w *mariaWriter) Write(ctx context.Context, rows [][]work.Value) error {
	w.args = w.args[:0]
	for _, row := range rows {
		w.args = arguments(w.work, w.args, row)
	}
	insert := "INSERT INTO " + w.work.Stream + " (" + w.work.Names() + ") VALUES " + values(len(rows), len(w.work.Columns))
	if w.way.Trigger {
		return w.exec(ctx, insert, w.args)
	}
	if _, err := w.conn.ExecContext(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	if err := w.exec(ctx, insert, w.args); err != nil {
		return err
	}
	for _, v := range w.work.Views {
		groups := v.Group(w.work, rows)
		if len(groups) == 0 {
			continue
		}
		var args []any
		for _, g := range groups {
			args = append(args, v.Args(w.work, g)...)
		}
		text := upsert(w.work, &v) + "VALUES " + values(len(groups), len(v.Keys)+len(v.Aggs)) + " " + onDuplicate(&v)
		if err := w.exec(ctx, text, args); err != nil {
			return err
		}
	}
	_, err := w.conn.ExecContext(ctx, "COMMIT")
	return err
}

// exec prepares what is sent again and again, and writes large batches as text,
// which is faster.
func (w *mariaWriter) exec(ctx context.Context, text string, args []any) error {
	if w.way.Batch > 1 {
		_, err := w.conn.ExecContext(ctx, text, args...)
		return err
	}
	stmt, ok := w.prepared[text]
	if !ok {
		var err error
		if stmt, err = w.conn.PrepareContext(ctx, text); err != nil {
			return err
		}
		w.prepared[text] = stmt
	}
	_, err := stmt.ExecContext(ctx, args...)
	return err
}

func (m *mariaDB) Load(ctx context.Context, in *work.Input, dir string) error {
	if err := m.makeEvents(ctx, in.Workload); err != nil {
		return err
	}
	path, err := in.File(dir, work.TSV)
	if err != nil {
		return err
	}
	mysql.RegisterLocalFile(path)
	defer mysql.DeregisterLocalFile(path)
	return m.Exec(ctx, "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
		"LOAD DATA LOCAL INFILE '"+path+"' INTO TABLE "+in.Stream+" CHARACTER SET latin1 ("+in.Names()+")", "ANALYZE TABLE "+in.Stream)
}

func (m *mariaDB) Recompute(ctx context.Context, w *work.Workload, v *work.View) error {
	if err := m.makeView(ctx, w, v); err != nil {
		return err
	}
	return m.Exec(ctx, upsert(w, v)+v.Select(w, work.MariaDB, w.Stream))
}

func (m *mariaDB) Fill(ctx context.Context, table string, columns []string, rows [][]any) error {
	mysql.RegisterReaderHandler(table, func() io.Reader { return tabbed(rows) })
	defer mysql.DeregisterReaderHandler(table)
	return m.Exec(ctx, "LOAD DATA LOCAL INFILE 'Reader::"+table+"' INTO TABLE "+table+" ("+strings.Join(columns, ", ")+")", "ANALYZE TABLE "+table)
}
