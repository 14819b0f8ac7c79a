package shell

import (
	"context"
	gosql "database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

// connectTimeout bounds what is quick or fails: connecting, and what the shell
// asks for itself.
const connectTimeout = 10 * time.Second

// A session is one connection to the server, which statements run on one after
// the other, and what the shell needs beside it.
type session struct {
	cfg *mysql.Config
	db  *gosql.DB // of the connections beside

	conn     *gosql.Conn // nil while there is none
	id       uint64      // of conn
	database string      // the current one, "" for none
	version  string
}

// open connects, or returns why that does not work.
func open(ctx context.Context, cfg *mysql.Config) (*session, error) {
	cfg = cfg.Clone()
	cfg.Logger = log.New(io.Discard, "", 0) // what it tells is in the errors
	if cfg.Timeout == 0 {
		cfg.Timeout = connectTimeout
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	s := &session{cfg: cfg, db: gosql.OpenDB(connector), database: cfg.DBName}
	if err := s.connect(ctx); err != nil {
		_ = s.db.Close()
		return nil, err
	}
	return s, nil
}

// connect gives the session a connection in the place of one that was lost.
// What belonged to that, such as variables, is gone; its database is kept.
func (s *session) connect(ctx context.Context) error {
	s.disconnect()
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	var database gosql.NullString
	err = conn.QueryRowContext(ctx, "SELECT CONNECTION_ID(), DATABASE(), VERSION()").Scan(&s.id, &database, &s.version)
	if err == nil && s.database != "" && !strings.EqualFold(database.String, s.database) {
		_, err = conn.ExecContext(ctx, "USE "+quoteName(s.database))
		database.String = s.database
	}
	if err != nil {
		_ = conn.Close()
		return err
	}
	s.conn, s.database = conn, database.String
	return nil
}

// disconnect gives the connection up.
func (s *session) disconnect() {
	if s.conn == nil {
		return
	}
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that nobody uses it again
	_ = s.conn.Close()
	s.conn = nil
}

func (s *session) close() {
	s.disconnect()
	_ = s.db.Close()
}

// kill ends the statement that runs.
func (s *session) kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	_, err := s.db.ExecContext(ctx, fmt.Sprintf("KILL QUERY %d", s.id))
	return err
}

// An answer is what a statement has said, apart from its rows.
type answer struct {
	rows     int64 // returned, or touched
	returned bool  // there were columns
	elapsed  time.Duration
}

// touching are the statements that say how many rows they touched, which a
// client must ask the driver for instead of rows.
var touching = []string{"INSERT", "REPLACE", "UPDATE", "DELETE"}

// firstWord returns the first word of a statement, in capitals.
func firstWord(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if end < 0 {
		end = len(text)
	}
	return strings.ToUpper(text[:end])
}

// run runs a statement and gives p its rows as they come.
func (s *session) run(ctx context.Context, text string, p printer) (answer, error) {
	begun := time.Now()
	if slices.Contains(touching, firstWord(text)) {
		res, err := s.conn.ExecContext(ctx, text)
		if err != nil {
			return answer{}, err
		}
		n, err := res.RowsAffected()
		return answer{rows: n, elapsed: time.Since(begun)}, err
	}
	rows, err := s.conn.QueryContext(ctx, text)
	if err != nil {
		return answer{}, err
	}
	defer rows.Close()
	a := answer{}
	for {
		if err := s.print(rows, p, &a); err != nil {
			return a, err
		}
		if !rows.NextResultSet() {
			break
		}
	}
	a.elapsed = time.Since(begun)
	return a, rows.Err()
}

// print gives p one result.
func (s *session) print(rows *gosql.Rows, p printer, a *answer) error {
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	if len(types) == 0 {
		return nil
	}
	a.returned = true
	cols := make([]column, len(types))
	targets := make([]any, len(types))
	values := make([]any, len(types))
	raw := make([]gosql.RawBytes, len(types))
	for i, t := range types {
		cols[i] = columnOf(t)
		targets[i] = &raw[i]
		if cols[i].numeric { // these the driver has parsed, and would be printed otherwise
			targets[i] = &values[i]
		}
	}
	if err := p.begin(cols); err != nil {
		return &outputError{err}
	}
	cells := make([]cell, len(types))
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for i := range cells {
			if cols[i].numeric {
				cells[i] = cellOf(values[i])
			} else {
				cells[i] = cell(raw[i])
			}
		}
		if err := p.row(cells); err != nil {
			return &outputError{err}
		}
		a.rows++
	}
	if err := rows.Err(); err != nil {
		_ = p.end()
		return err
	}
	if err := p.end(); err != nil {
		return &outputError{err}
	}
	return nil
}

// An outputError says that rows could not be written, and not that they could
// not be read.
type outputError struct{ err error }

func (e *outputError) Error() string { return "write: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

func columnOf(t *gosql.ColumnType) column {
	c := column{name: t.Name()}
	switch kind := strings.TrimPrefix(t.DatabaseTypeName(), "UNSIGNED "); kind {
	case "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "DECIMAL", "FLOAT", "DOUBLE", "YEAR":
		c.numeric = true
	case "JSON":
		c.json = true
	}
	return c
}

// A warning is a row of SHOW WARNINGS.
type warning struct {
	level, message string
	code           int
}

// warnings are those of the statement before.
func (s *session) warnings(ctx context.Context) ([]warning, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	rows, err := s.conn.QueryContext(ctx, "SHOW WARNINGS")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []warning
	for rows.Next() {
		var w warning
		if err := rows.Scan(&w.level, &w.code, &w.message); err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, rows.Err()
}

// use makes a database the current one.
func (s *session) use(ctx context.Context, database string) error {
	if _, err := s.conn.ExecContext(ctx, "USE "+quoteName(database)); err != nil {
		return err
	}
	return s.currentDatabase(ctx)
}

// currentDatabase asks the server, since a statement may have changed it.
func (s *session) currentDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var database gosql.NullString
	if err := s.conn.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&database); err != nil {
		return err
	}
	s.database = database.String
	return nil
}

func quoteName(name string) string {
	if n := len(name); n > 1 && name[0] == '`' && name[n-1] == '`' {
		return name
	}
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// lost reports whether err says that the connection is gone.
func lost(err error) bool {
	var netErr *net.OpError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, gosql.ErrConnDone) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &netErr)
}

// interruptible runs f, and ends the statement in it when an interrupt comes,
// and the connection when another one does. It says whether there was one.
func (s *session) interruptible(ctx context.Context, interrupts <-chan os.Signal, f func(context.Context) error) (interrupted bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-interrupts:
			}
			if interrupted {
				cancel()
				return
			}
			interrupted = true
			if s.kill(ctx) != nil {
				cancel()
				return
			}
		}
	})
	err = f(ctx)
	close(done)
	watching.Wait()
	return interrupted, err
}
