package main

import (
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	// patience bounds whatever is waited for. It is never waited out where all
	// is well.
	patience = time.Minute
	// askAgain is the pause between two looks at weir.batch_runs.
	askAgain = 2 * time.Millisecond
)

// A client asks the server as any MySQL client does.
type client struct{ db *gosql.DB }

func connect(addr string) (*client, error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.DBName = "tcp", addr, "root", "analytics"
	cfg.InterpolateParams = true
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return &client{gosql.OpenDB(connector)}, nil
}

// Close ends the connections.
func (c *client) Close() error { return c.db.Close() }

// await returns once the views of the access log have taken in the event seq.
func (c *client) await(ctx context.Context, seq uint64) error {
	var reached bool
	err := c.db.QueryRowContext(ctx, "SELECT WAIT_FOR_SEQ('access_log', ?, ?)", seq, patience.Seconds()).Scan(&reached)
	if err == nil && !reached {
		err = errors.New("they are too far behind")
	}
	if err != nil {
		return fmt.Errorf("wait for the views to reach event %d: %w", seq, err)
	}
	return nil
}

// awaitRuns returns once n batch runs over the events from one to another are
// in a state.
func (c *client) awaitRuns(ctx context.Context, n int, state string, from, to uint64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	for {
		var have int
		err := c.db.QueryRowContext(ctx,
			"SELECT COUNT(*) FROM weir.batch_runs WHERE from_seq = ? AND to_seq = ? AND state = ?", from, to, state).Scan(&have)
		if err == nil && have >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d batch runs over events %d to %d to be %s: %w", n, from, to, state, ctx.Err())
		case <-tick.C:
		}
	}
}

// rerun feeds the batch run of the view ab_test that ends at an event its range
// again.
func (c *client) rerun(ctx context.Context, to uint64) error {
	const find = "SELECT id FROM weir.batch_runs WHERE view = 'ab_test' AND to_seq = ?"
	var id uint64
	if err := c.db.QueryRowContext(ctx, find, to).Scan(&id); err != nil {
		return fmt.Errorf("find the batch run up to event %d: %w", to, err)
	}
	if _, err := c.db.ExecContext(ctx, "CALL weir.rerun_batch(?)", id); err != nil {
		return fmt.Errorf("feed batch run %d its events again: %w", id, err)
	}
	return nil
}

// rows reads a query that gives a key, requests, visitors and conversions.
func (c *client) rows(ctx context.Context, query string) (_ map[string]row, err error) {
	result, err := c.db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	all := map[string]row{}
	for result.Next() {
		var key string
		var r row
		if err := result.Scan(&key, &r.requests, &r.visitors, &r.conversions); err != nil {
			return nil, fmt.Errorf("%s: %w", query, err)
		}
		all[key] = r
	}
	return all, result.Err()
}

// show writes a query and its result as a session in a terminal has them.
func (c *client) show(ctx context.Context, out io.Writer, query string) (err error) {
	fmt.Fprintf(out, "> %s;\n", strings.ReplaceAll(query, "\n", "\n  "))
	result, err := c.db.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	names, err := result.Columns()
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(names, "\t"))
	cells, into := make([]gosql.NullString, len(names)), make([]any, len(names))
	for i := range cells {
		into[i] = &cells[i]
	}
	for result.Next() {
		if err := result.Scan(into...); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		line := make([]string, len(cells))
		for i, cell := range cells {
			line[i] = cell.String
			if !cell.Valid {
				line[i] = "NULL"
			}
		}
		fmt.Fprintln(table, strings.Join(line, "\t"))
	}
	if err := result.Err(); err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out)
	return err
}
