package gmsx

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	"github.com/dolthub/vitess/go/mysql"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// The errors of names that are not there, whose message ends with the name.
var (
	noDatabase = regexp.MustCompile(`^Unknown database '([^']+)'$`)
	noTable    = regexp.MustCompile(`^Table '([^']+)' doesn't exist$`)
	noFunction = regexp.MustCompile(`^FUNCTION (\w+) does not exist$`)
	noColumn   = regexp.MustCompile(`^Unknown column '([^']+)'(?: in '[^']*')?$`)
)

// hint adds to the error of a name that is not there the one that was probably
// meant, among those that the account may see.
func (e *Engine) hint(ctx *gms.Context, query string, err error) error {
	own := (*mysql.SQLError)(nil)
	if !errors.As(err, &own) {
		return err
	}
	if own.Num == 1054 {
		if broken := e.brokenView(ctx, query); broken != nil {
			return broken
		}
	}
	own = e.asWritten(ctx, query, own)
	err = own
	if e.opts.Nearest == nil {
		return err
	}
	var form *regexp.Regexp
	var names func(ctx *gms.Context, query string) []string
	switch own.Num {
	case 1049:
		form, names = noDatabase, e.databaseNames
	case 1146:
		form, names = noTable, e.tableNames
	case 1305:
		form, names = noFunction, e.functionNames
	case 1054:
		form, names = noColumn, e.columnNames
	default:
		return err
	}
	m := form.FindStringSubmatch(own.Message)
	if m == nil {
		return err
	}
	name := m[1][strings.LastIndexByte(m[1], '.')+1:]
	near := e.opts.Nearest(name, names(ctx, query))
	if near == "" || strings.EqualFold(near, name) {
		return err
	}
	return Error(own.Num, own.State, "%s: did you mean %s?", own.Message, near)
}

// brokenView is the error of a view that a statement names and whose definition
// has a column that is gone, nil if there is none. The engine says so itself of
// names without the table's.
func (e *Engine) brokenView(ctx *gms.Context, query string) (broken error) {
	for _, t := range tablesRead(query) {
		db, ok := e.databaseOf(ctx, t)
		if !ok {
			continue
		}
		vdb, ok := db.(gms.ViewDatabase)
		if !ok {
			continue
		}
		if _, is, err := vdb.GetViewDefinition(ctx, t.Name.String()); err != nil || !is {
			continue
		}
		text := "SELECT 1 FROM " + gms.QuoteIdentifier(db.Name()) + "." + gms.QuoteIdentifier(t.Name.String())
		stmt, _, _, err := e.parser.Parse(ctx, text, false)
		if err != nil {
			continue
		}
		_, _, err = planbuilder.New(ctx, e.engine.Analyzer.Catalog, nil, e.parser).BindOnly(stmt, text, nil)
		own := (*mysql.SQLError)(nil)
		if errors.As(mapError(ctx, err), &own) && own.Num == 1054 {
			return Error(1356, "HY000", "%s", gms.ErrInvalidRefInView.New(db.Name(), t.Name.String()))
		}
	}
	return nil
}

func (e *Engine) databaseNames(ctx *gms.Context, _ string) (names []string) {
	for _, db := range e.engine.Analyzer.Catalog.AllDatabases(ctx) {
		names = append(names, db.Name())
	}
	return names
}

// tablesRead are the tables that a statement names.
func tablesRead(query string) ast.TableNames {
	first, _ := splitStatement(query)
	stmt, err := ast.Parse(first)
	if err != nil {
		return nil
	}
	return tablesIn(stmt)
}

// databaseOf is that of a table's name.
func (e *Engine) databaseOf(ctx *gms.Context, t ast.TableName) (gms.Database, bool) {
	name := t.DbQualifier.String()
	if name == "" {
		name = ctx.GetCurrentDatabase()
	}
	db, err := e.engine.Analyzer.Catalog.Database(ctx, name)
	return db, err == nil
}

func (e *Engine) tableNames(ctx *gms.Context, query string) (names []string) {
	for _, t := range tablesRead(query) {
		db, ok := e.databaseOf(ctx, t)
		if !ok {
			continue
		}
		list, err := db.GetTableNames(ctx)
		if err != nil {
			continue
		}
		names = append(names, list...)
		if v, ok := db.(gms.ViewDatabase); ok {
			views, _ := v.AllViews(ctx)
			for _, view := range views {
				names = append(names, view.Name)
			}
		}
	}
	return names
}

func (e *Engine) columnNames(ctx *gms.Context, query string) (names []string) {
	for _, t := range tablesRead(query) {
		db, ok := e.databaseOf(ctx, t)
		if !ok {
			continue
		}
		table, ok, err := db.GetTableInsensitive(ctx, t.Name.String())
		if err != nil || !ok {
			continue
		}
		for _, c := range table.Schema() {
			if !strings.HasPrefix(c.Name, "__") {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

func (e *Engine) functionNames(*gms.Context, string) []string {
	var names []string
	for _, f := range e.opts.Functions {
		names = append(names, f.FunctionName())
	}
	for name := range e.opts.Aggregates {
		names = append(names, name)
	}
	for _, f := range function.BuiltIns {
		names = append(names, f.FunctionName())
	}
	slices.Sort(names)
	return names
}
