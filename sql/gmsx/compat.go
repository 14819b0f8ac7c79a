package gmsx

import (
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/rowexec"
)

// What clients look for that the engine leaves empty.

// showColumns fills in the Privileges of SHOW FULL COLUMNS. Adminer shows no
// table on which it sees none.
func showColumns(ctx *gms.Context, n *plan.ShowColumns, row gms.Row) (gms.RowIter, error) {
	iter, err := rowexec.DefaultBuilder.Build(ctx, n, row)
	if err != nil {
		return nil, err
	}
	schema := n.Schema()
	return &columnsIter{RowIter: iter, defaults: schema.IndexOfColName("Default"), privileges: schema.IndexOfColName("Privileges")}, nil
}

type columnsIter struct {
	gms.RowIter
	defaults, privileges int // the places of columns, -1 for none
}

func (p *columnsIter) Next(ctx *gms.Context) (gms.Row, error) {
	row, err := p.RowIter.Next(ctx)
	if err != nil {
		return nil, err
	}
	row = row.Copy()
	if p.privileges >= 0 && row[p.privileges] == "" {
		row[p.privileges] = "select"
	}
	if p.defaults >= 0 {
		if s, ok := row[p.defaults].(string); ok {
			row[p.defaults] = plainDefault(s)
		}
	}
	return row, nil
}

// plainDefault is a default as DESCRIBE shows it: a value without quotes, and an
// expression in one pair of parentheses.
func plainDefault(s string) string {
	switch last := len(s) - 1; {
	case last < 1:
	case s[0] == '\'' && s[last] == '\'':
		return strings.NewReplacer("''", "'", `\\`, `\`, `\'`, "'").Replace(s[1:last])
	case strings.HasPrefix(s, "((") && strings.HasSuffix(s, "))"):
		return s[1:last]
	}
	return s
}

// showTableStatus fills in the Comment of SHOW TABLE STATUS.
func showTableStatus(ctx *gms.Context, n *plan.ShowTableStatus, row gms.Row) (gms.RowIter, error) {
	iter, err := rowexec.DefaultBuilder.Build(ctx, n, row)
	if err != nil {
		return nil, err
	}
	return &commentsIter{RowIter: iter, db: n.Database(), at: n.Schema().IndexOfColName("Comment")}, nil
}

type commentsIter struct {
	gms.RowIter
	db gms.Database
	at int
}

func (c *commentsIter) Next(ctx *gms.Context) (gms.Row, error) {
	row, err := c.RowIter.Next(ctx)
	if err != nil || c.at < 0 || c.at >= len(row) || row[c.at] != nil && row[c.at] != "" {
		return row, err
	}
	name, _ := row[0].(string)
	t, ok, err := c.db.GetTableInsensitive(ctx, name)
	if err != nil || !ok {
		return row, nil //nolint:nilerr // a table without a comment, or gone meanwhile
	}
	if w, ok := t.(gms.TableWrapper); ok {
		t = w.Underlying()
	}
	if ct, ok := t.(gms.CommentedTable); ok {
		row = row.Copy()
		row[c.at] = ct.Comment()
	}
	return row, nil
}

// started is about when the process began.
var started = time.Now()

// showStatus keeps the status variable Uptime, by which phpMyAdmin divides.
func showStatus() {
	_ = gms.StatusVariables.SetGlobal("Uptime", uint64(1+time.Since(started)/time.Second))
}

// NoRoutines makes a database one without triggers, procedures and events.
// With accounts, the engine claims them for every database, and statements
// that list them fail for one that has not said so.
type NoRoutines struct{}

func (NoRoutines) GetTriggers(*gms.Context) ([]gms.TriggerDefinition, error) { return nil, nil }

func (NoRoutines) CreateTrigger(*gms.Context, gms.TriggerDefinition) error {
	return Error(1235, "42000", "This server does not support triggers")
}

func (NoRoutines) DropTrigger(_ *gms.Context, name string) error {
	return Error(1360, "HY000", "Trigger '%s' does not exist", name)
}

func (NoRoutines) GetStoredProcedure(*gms.Context, string) (gms.StoredProcedureDetails, bool, error) {
	return gms.StoredProcedureDetails{}, false, nil
}

func (NoRoutines) GetStoredProcedures(*gms.Context) ([]gms.StoredProcedureDetails, error) {
	return nil, nil
}

func (NoRoutines) SaveStoredProcedure(*gms.Context, gms.StoredProcedureDetails) error {
	return Error(1235, "42000", "This server does not support stored procedures")
}

func (NoRoutines) DropStoredProcedure(_ *gms.Context, name string) error {
	return gms.ErrStoredProcedureDoesNotExist.New(name)
}

func (NoRoutines) GetEvent(*gms.Context, string) (gms.EventDefinition, bool, error) {
	return gms.EventDefinition{}, false, nil
}

func (NoRoutines) GetEvents(*gms.Context) ([]gms.EventDefinition, interface{}, error) {
	return nil, nil, nil
}

func (NoRoutines) SaveEvent(*gms.Context, gms.EventDefinition) (bool, error) {
	return false, Error(1235, "42000", "This server does not support events")
}

func (NoRoutines) DropEvent(_ *gms.Context, name string) error {
	return Error(1539, "HY000", "Unknown event '%s'", name)
}

func (NoRoutines) UpdateEvent(_ *gms.Context, name string, _ gms.EventDefinition) (bool, error) {
	return false, Error(1539, "HY000", "Unknown event '%s'", name)
}

func (NoRoutines) UpdateLastExecuted(*gms.Context, string, time.Time) error { return nil }

func (NoRoutines) NeedsToReloadEvents(*gms.Context, interface{}) (bool, error) { return false, nil }
