// Package peer runs weir and what a user would otherwise take: each started on
// loopback with data of its own, set up as its users do, and stopped.
package peer

import (
	"bytes"
	"context"
	gosql "database/sql"
	"errors"
	"fmt"
	"strings"

	"weir/bench/work"
)

// ErrMissing says that a contender is not installed; the text says what to do.
var ErrMissing = errors.New("not here")

// A Database is a server with tables, and views that it keeps in one way or
// another.
type Database interface {
	Name() string
	Version() string
	Dialect() work.Dialect
	PID() int
	Data() string // the directory of its files

	// Ways are those in which it keeps additive views fresh.
	Ways() []Way
	// Setup makes the empty tables of a workload, whose views are kept in a way.
	Setup(ctx context.Context, w *work.Workload, way Way) (Writer, error)
	// Load fills the table of the events, which is made, from a file.
	Load(ctx context.Context, in *work.Input, dir string) error
	// Recompute fills the table of a view, which is made, from the events.
	Recompute(ctx context.Context, w *work.Workload, v *work.View) error
	// Exec runs statements in turn.
	Exec(ctx context.Context, statements ...string) error
	// Fill puts rows into a table in bulk.
	Fill(ctx context.Context, table string, columns []string, rows [][]any) error
	// Open returns up to so many connections for queries.
	Open(ctx context.Context, clients int, prepared bool) (Querier, error)
	Stop() error
}

// A Way is how a view is kept fresh.
type Way struct {
	Name     string // in words: the mechanism and the rows of a commit
	Batch    int    // events of a commit
	Trigger  bool   // the database does it; else the client adds up and upserts
	Durable  bool   // a commit is on the disk when it returns
	Promised string // what a commit promises, in words
}

// A Writer writes events such that the views have them when Write returns.
type Writer interface {
	Write(ctx context.Context, rows [][]work.Value) error
	Close() error
}

// A Querier sends queries; each, if any, is called with the texts of each
// row, which are its own only until it returns. ? stands for an argument.
type Querier interface {
	Query(ctx context.Context, text string, args []any, each func(row []gosql.RawBytes) error) error
	Close() error
}

// Check compares a view with what it has to hold.
func Check(ctx context.Context, q Querier, d work.Dialect, in *work.Input, v *work.View, answer *work.Answer) error {
	var row []string
	err := q.Query(ctx, v.Read(in.Workload, d), nil, func(raw []gosql.RawBytes) error {
		row = row[:0]
		for _, text := range raw {
			row = append(row, string(text))
		}
		return answer.Check(row)
	})
	return errors.Join(err, answer.Done())
}

// A pool is a Querier of database/sql.
type pool struct {
	db         *gosql.DB
	rewrite    func(string) string
	prepared   bool
	statements map[string]*gosql.Stmt // filled by Query, so for one client or after Prepare
}

func (p *pool) Query(ctx context.Context, text string, args []any, each func([]gosql.RawBytes) error) error {
	if p.rewrite != nil {
		text = p.rewrite(text)
	}
	var rows *gosql.Rows
	var err error
	if p.prepared {
		stmt, ok := p.statements[text]
		if !ok {
			if stmt, err = p.db.PrepareContext(ctx, text); err != nil {
				return err
			}
			p.statements[text] = stmt
		}
		rows, err = stmt.QueryContext(ctx, args...)
	} else {
		rows, err = p.db.QueryContext(ctx, text, args...)
	}
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	return errors.Join(scan(rows, each), rows.Err())
}

// scan reads all rows, so that all of them were sent, whether someone looks at
// them or not.
func scan(rows *gosql.Rows, each func([]gosql.RawBytes) error) error {
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	raw, at := make([]gosql.RawBytes, len(columns)), make([]any, len(columns))
	for i := range raw {
		at[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(at...); err != nil {
			return err
		}
		if each == nil {
			continue
		}
		if err := each(raw); err != nil {
			return err
		}
	}
	return nil
}

func (p *pool) Close() error {
	for _, s := range p.statements {
		_ = s.Close()
	}
	return p.db.Close()
}

// newPool keeps its connections for as long as it is open.
func newPool(driver, source string, clients int, prepared bool, rewrite func(string) string) (*pool, error) {
	db, err := gosql.Open(driver, source)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(clients)
	db.SetMaxIdleConns(clients)
	return &pool{db: db, rewrite: rewrite, prepared: prepared, statements: map[string]*gosql.Stmt{}}, nil
}

// values returns (?, …), … for so many rows.
func values(rows, columns int) string {
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	return strings.TrimSuffix(strings.Repeat(row+",", rows), ",")
}

// arguments appends the events of a batch as drivers take them.
func arguments(w *work.Workload, args []any, row []work.Value) []any {
	for i, c := range w.Columns {
		args = append(args, c.Arg(row[i]))
	}
	return args
}

// tabbed writes rows as lines of fields with tabs between.
func tabbed(rows [][]any) *bytes.Buffer {
	var text bytes.Buffer
	for _, row := range rows {
		for i, value := range row {
			if i > 0 {
				text.WriteByte('\t')
			}
			fmt.Fprint(&text, value)
		}
		text.WriteByte('\n')
	}
	return &text
}

// batched names the size of a batch.
func batched(rows int) string {
	if rows == 1 {
		return "1 row a commit"
	}
	return fmt.Sprintf("%s rows a commit", work.Thousands(int64(rows)))
}
