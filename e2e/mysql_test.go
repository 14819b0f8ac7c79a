package e2e

import (
	"bytes"
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// null is NULL as a cell, in the reference answers and in ours.
const null = `\N`

// A client reads with go-sql-driver, whichever process of the server runs.
type client struct {
	t  testing.TB
	s  *server
	db *gosql.DB
}

var clients atomic.Int64

func newClient(t testing.TB, s *server) *client {
	t.Helper()
	name := fmt.Sprintf("weir%d", clients.Add(1))
	mysql.RegisterDialContext(name, func(ctx context.Context, _ string) (net.Conn, error) {
		return s.dial(ctx, func(p *process) string { return p.mysql })
	})
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", name, "weir"
	cfg.Logger = &mysql.NopLogger{} // connections do break here
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, s: s, db: gosql.OpenDB(connector)}
	t.Cleanup(func() {
		_ = c.db.Close()
		mysql.DeregisterDialContext(name)
	})
	return c
}

// exec runs a statement.
func (c *client) exec(ctx context.Context, query string) {
	c.t.Helper()
	if _, err := c.db.ExecContext(ctx, query); err != nil {
		c.t.Fatalf("%v\n%s", err, query)
	}
}

// rows returns the rows of a query as text.
func (c *client) rows(ctx context.Context, query string, args ...any) [][]string {
	c.t.Helper()
	rows, err := c.query(ctx, query, args...)
	if err != nil {
		c.t.Fatalf("%v\n%s", err, query)
	}
	return rows
}

func (c *client) query(ctx context.Context, query string, args ...any) ([][]string, error) {
	rows, err := c.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	cells := make([]gosql.NullString, len(names))
	into := make([]any, len(names))
	for i := range cells {
		into[i] = &cells[i]
	}
	var all [][]string
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(names))
		for i, c := range cells {
			row[i] = null
			if c.Valid {
				row[i] = c.String
			}
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// value returns the one cell of a query.
func (c *client) value(ctx context.Context, query string, args ...any) string {
	c.t.Helper()
	rows := c.rows(ctx, query, args...)
	if len(rows) != 1 || len(rows[0]) != 1 {
		c.t.Fatalf("got %d rows, want one cell\n%s", len(rows), query)
	}
	return rows[0][0]
}

// wait returns once every view of the stream has applied the event seq.
func (c *client) wait(ctx context.Context, stream string, seq uint64) {
	c.t.Helper()
	query := fmt.Sprintf("SELECT WAIT_FOR_SEQ('%s', %d, 60)", stream, seq)
	if c.value(ctx, query) != "1" {
		c.t.Fatalf("the views of %s have not applied event %d after a minute:\n%v", stream, seq,
			c.rows(ctx, "SELECT name, state, applied_seq, head_seq, error FROM weir.views"))
	}
}

// answer is the error that the server answered with, or nil where err says
// only that it was gone before it could.
func answer(err error) *mysql.MySQLError {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// commandLine returns the rows of a query as the mariadb command line client
// reads them; ok is false where that is not installed.
func (c *client) commandLine(ctx context.Context, query string) (rows [][]string, ok bool) {
	c.t.Helper()
	path, err := exec.LookPath("mariadb")
	if err != nil {
		return nil, false
	}
	p, err := c.s.running(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(p.mysql)
	if err != nil {
		c.t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "--no-defaults", "--protocol=tcp", "-h"+host, "-P"+port, "-uroot",
		"--default-character-set=utf8mb4", "--batch", "--skip-column-names", "--execute", query, "analytics")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("mariadb: %v: %s\n%s", err, &stderr, query)
	}
	for line := range strings.Lines(string(out)) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for i, cell := range row {
			row[i] = unescape.Replace(cell)
			if cell == "NULL" {
				row[i] = null
			}
		}
		rows = append(rows, row)
	}
	return rows, true
}

// unescape undoes what the command line client does to texts.
var unescape = strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\0`, "\x00")
