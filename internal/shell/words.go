package shell

import (
	"context"
	gosql "database/sql"
	"slices"
	"strings"
	"sync"
	"time"
)

// A relation is a table or a view, with the names of its columns.
type relation struct {
	database, name string
	columns        []string
}

// names are those that the server has.
type names struct {
	databases []string
	relations []relation
	streams   []string
	views     []string // materialized ones
}

// Words learns the names of a server beside the statements, on a connection of
// their own, so that nobody waits for them.
type words struct {
	db   *gosql.DB
	ctx  context.Context
	stop context.CancelFunc

	running sync.WaitGroup
	mu      sync.Mutex // of what follows
	now     names
	busy    chan struct{} // closed when who learns is done; nil while nobody does
	again   bool          // what he learns may be old
}

func newWords(ctx context.Context, db *gosql.DB) *words {
	w := &words{db: db}
	w.ctx, w.stop = context.WithCancel(ctx)
	w.refresh()
	return w
}

func (w *words) close() {
	w.stop()
	w.running.Wait()
}

// refresh learns the names anew, and does not wait for it.
func (w *words) refresh() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy != nil {
		w.again = true
		return
	}
	w.busy = make(chan struct{})
	w.running.Go(w.learn)
}

func (w *words) learn() {
	for {
		now, err := w.ask()
		w.mu.Lock()
		if err == nil {
			w.now = now
		}
		more := w.again && w.ctx.Err() == nil
		if w.again = false; !more {
			close(w.busy)
			w.busy = nil
		}
		w.mu.Unlock()
		if !more {
			return
		}
	}
}

// get returns what is known. While it is being learnt it waits for a moment.
func (w *words) get() names {
	const moment = 300 * time.Millisecond
	w.mu.Lock()
	busy := w.busy
	w.mu.Unlock()
	if busy != nil {
		select {
		case <-busy:
		case <-time.After(moment):
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// ask gets the names from the server.
func (w *words) ask() (n names, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, connectTimeout)
	defer cancel()
	if n.databases, err = w.list(ctx, "SHOW DATABASES"); err != nil {
		return n, err
	}
	rows, err := w.db.QueryContext(ctx, `SELECT table_schema, table_name, column_name FROM information_schema.columns
WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys') ORDER BY table_schema, table_name, ordinal_position`)
	if err != nil {
		return n, err
	}
	defer rows.Close()
	for rows.Next() {
		var database, name, column string
		if err := rows.Scan(&database, &name, &column); err != nil {
			return n, err
		}
		if last := len(n.relations) - 1; last < 0 || n.relations[last].name != name || n.relations[last].database != database {
			n.relations = append(n.relations, relation{database: database, name: name})
		}
		last := &n.relations[len(n.relations)-1]
		last.columns = append(last.columns, column)
	}
	if err := rows.Err(); err != nil {
		return n, err
	}
	// Another server than a weir has none of these.
	n.streams, _ = w.list(ctx, "SELECT name FROM weir.streams")
	n.views, _ = w.list(ctx, "SELECT name FROM weir.views")
	return n, nil
}

func (w *words) list(ctx context.Context, query string) ([]string, error) {
	rows, err := w.db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		list = append(list, name)
	}
	return list, rows.Err()
}

// tables are the relations of a database.
func (n *names) tables(database string) []string {
	var list []string
	for _, r := range n.relations {
		if strings.EqualFold(r.database, database) {
			list = append(list, r.name)
		}
	}
	return list
}

// columns are those of the relations of that name.
func (n *names) columns(database, name string) []string {
	var list []string
	for _, r := range n.relations {
		if strings.EqualFold(r.name, name) && (database == "" || strings.EqualFold(r.database, database)) {
			list = append(list, r.columns...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
