// Command duck runs statements in DuckDB, which is a library and needs cgo, so
// it is a program and a module of its own. It reads a script as JSON from its
// input, and prints how long each statement took and the rows of the last.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
)

type script struct {
	File       string   // of the database
	Statements []string // run in turn
	Read       string   // whose rows are printed
}

type answer struct {
	Version string
	Seconds []float64 // of each statement
	Rows    [][]string
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "duck:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var s script
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	db, err := sql.Open("duckdb", s.File)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // settings are of a connection
	var a answer
	if err := db.QueryRowContext(ctx, "SELECT version()").Scan(&a.Version); err != nil {
		return err
	}
	for _, text := range s.Statements {
		begin := time.Now()
		if _, err := db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		a.Seconds = append(a.Seconds, time.Since(begin).Seconds())
	}
	rows, err := db.QueryContext(ctx, s.Read)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, at := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		at[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(at...); err != nil {
			return err
		}
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = fmt.Sprint(v)
		}
		a.Rows = append(a.Rows, row)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(a)
}
