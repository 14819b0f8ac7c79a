package sql

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/ddl"
	"weir/sql/gmsx"
	"weir/sql/tables"
	"weir/views"
)

// systemDatabase is where the system tables are.
const systemDatabase = "weir"

// A provider has the databases: that which is always there, those that users
// have made, and weir.
type provider struct {
	server *Server
	system gms.Database
}

var (
	_ gms.DatabaseProvider                = (*provider)(nil)
	_ gms.ExternalStoredProcedureProvider = (*provider)(nil)
)

func newProvider(s *Server) *provider {
	return &provider{server: s, system: newSystemDatabase(s)}
}

// databases are the names of the users' databases, in order.
func (s *Server) databases() []string {
	names := map[string]string{views.DefaultDatabase: views.DefaultDatabase}
	add := func(name string) {
		if key := strings.ToLower(name); names[key] == "" {
			names[key] = name
		}
	}
	for _, name := range s.tables.Databases() {
		add(name)
	}
	// Those of streams and views are there whatever has become of the file
	// with their names.
	for _, stream := range s.cfg.Engine.Streams() {
		add(stream.Def.Database)
	}
	list, building := s.cfg.Engine.Views()
	for _, v := range list {
		add(v.Def().Database)
	}
	for _, def := range building {
		add(def.Database)
	}
	return slices.Sorted(maps.Values(names))
}

// database returns the name of a users' database as it was made, "" for none.
func (s *Server) database(name string) string {
	if strings.EqualFold(name, views.DefaultDatabase) {
		return views.DefaultDatabase
	}
	for _, n := range s.databases() {
		if strings.EqualFold(n, name) {
			return n
		}
	}
	return ""
}

// Database implements gms.DatabaseProvider.
func (p *provider) Database(_ *gms.Context, name string) (gms.Database, error) {
	if strings.EqualFold(name, systemDatabase) {
		return p.system, nil
	}
	if name := p.server.database(name); name != "" {
		return &userDatabase{server: p.server, name: name}, nil
	}
	return nil, gms.ErrDatabaseNotFound.New(name)
}

// HasDatabase implements gms.DatabaseProvider.
func (p *provider) HasDatabase(ctx *gms.Context, name string) bool {
	_, err := p.Database(ctx, name)
	return err == nil
}

// AllDatabases implements gms.DatabaseProvider.
func (p *provider) AllDatabases(*gms.Context) (list []gms.Database) {
	for _, name := range p.server.databases() {
		list = append(list, &userDatabase{server: p.server, name: name})
	}
	return append(list, p.system)
}

// ExternalStoredProcedure implements gms.ExternalStoredProcedureProvider.
func (p *provider) ExternalStoredProcedure(ctx *gms.Context, name string, params int) (*gms.ExternalStoredProcedureDetails, error) {
	all, err := p.ExternalStoredProcedures(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		if near := ddl.Nearest(name, []string{"run", "rerun_batch", "cancel_job"}); near != "" {
			return nil, gmsx.Error(1305, "42000", "PROCEDURE %s does not exist: did you mean weir.%s?", name, near)
		}
		return nil, nil
	}
	if params != 1 {
		return nil, gmsx.Error(1318, "42000", "Incorrect number of arguments for PROCEDURE weir.%s; expected 1, got %d", strings.ToLower(name), params)
	}
	return &all[0], nil
}

// ExternalStoredProcedures implements gms.ExternalStoredProcedureProvider: what
// there is to CALL in database weir.
func (p *provider) ExternalStoredProcedures(_ *gms.Context, name string) ([]gms.ExternalStoredProcedureDetails, error) {
	procedures := map[string]any{
		"run":         p.run,
		"rerun_batch": p.rerunBatch,
		"cancel_job":  p.cancelJob,
	}
	f, ok := procedures[strings.ToLower(name)]
	if !ok {
		return nil, nil
	}
	return []gms.ExternalStoredProcedureDetails{{
		Name: strings.ToLower(name), Function: f,
		Schema: gms.Schema{&gms.Column{Name: "result", Type: types.LongText, Nullable: true}},
	}}, nil
}

// rerunBatch is CALL weir.rerun_batch(id).
func (p *provider) rerunBatch(ctx *gms.Context, id uint64) (gms.RowIter, error) {
	unknown := gmsx.Error(1210, "HY000", "batch run %d does not exist: weir.batch_runs has them", id)
	runs, err := p.server.cfg.Engine.BatchRuns()
	if err != nil {
		return nil, sqlError(err)
	}
	at := slices.IndexFunc(runs, func(r views.BatchRun) bool { return r.ID == id })
	if at < 0 || !p.server.sees(ctx, runs[at].Database, runs[at].View) {
		return nil, unknown
	}
	if err := p.server.mayAlter(ctx, runs[at].Database, runs[at].View); err != nil {
		return nil, err
	}
	note, err := p.server.cfg.Engine.RerunBatch(ctx, id)
	if errors.Is(err, views.ErrUnknown) {
		return nil, unknown
	}
	if err != nil {
		return nil, sqlError(err)
	}
	if note == "" {
		note = "ok"
	}
	return gms.RowsToRowIter(gms.Row{note}), nil
}

// cancelJob is CALL weir.cancel_job(id).
func (p *provider) cancelJob(ctx *gms.Context, id uint64) (gms.RowIter, error) {
	for _, j := range p.server.cfg.Engine.Jobs() {
		if j.ID != id {
			continue
		}
		if !p.server.sees(ctx, j.Database, j.View) {
			return nil, gmsx.Error(1094, "HY000", "job %d %s: weir.jobs has them", id, views.ErrUnknown)
		}
		if err := p.server.mayAlter(ctx, j.Database, j.View); err != nil {
			return nil, err
		}
	}
	err := p.server.cfg.Engine.CancelJob(id)
	if errors.Is(err, views.ErrUnknown) {
		return nil, gmsx.Error(1094, "HY000", "%s: weir.jobs has them", err)
	}
	if err != nil {
		return nil, sqlError(err)
	}
	return gms.RowsToRowIter(gms.Row{"ok"}), nil
}

// run is CALL weir.run('statement').
func (p *provider) run(ctx *gms.Context, query string) (gms.RowIter, error) {
	st, ok, err := p.server.parse(ctx, query)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, gmsx.Error(1064, "42000", "weir.run takes one of weir's own statements, such as CREATE MATERIALIZED VIEW; send this one as it is: %s", query)
	}
	if err := p.server.engine.Authorize(ctx, st.Access()); err != nil {
		return nil, err
	}
	rows, err := st.RowIter(ctx)
	if err != nil {
		return nil, err
	}
	if rows == nil || st.Schema() == nil {
		return gms.RowsToRowIter(gms.Row{"ok"}), nil
	}
	list, err := gms.RowIterToRows(ctx, rows)
	if err != nil {
		return nil, err
	}
	out := make([]gms.Row, len(list))
	for i, r := range list {
		cells := make([]string, len(r))
		for k, c := range r {
			cells[k] = "NULL"
			if c != nil {
				cells[k] = fmt.Sprint(c)
			}
		}
		out[i] = gms.Row{strings.Join(cells, "\t")}
	}
	return gms.RowsToRowIter(out...), nil
}

// A userDatabase holds streams, materialized views with their layers, tables
// and ordinary views. It takes no two with one name.
type userDatabase struct {
	server *Server
	name   string
	gmsx.NoRoutines
}

var (
	_ gms.TriggerDatabase         = (*userDatabase)(nil)
	_ gms.StoredProcedureDatabase = (*userDatabase)(nil)
	_ gms.EventDatabase           = (*userDatabase)(nil)
	_ gms.ViewDatabase            = (*userDatabase)(nil)
	_ gms.TableCreator            = (*userDatabase)(nil)
	_ gms.TableDropper            = (*userDatabase)(nil)
	_ gms.TableRenamer            = (*userDatabase)(nil)
)

// Name implements gms.Database.
func (d *userDatabase) Name() string { return d.name }

// GetTableInsensitive implements gms.Database.
func (d *userDatabase) GetTableInsensitive(ctx *gms.Context, name string) (gms.Table, bool, error) {
	engine := d.server.cfg.Engine
	if t := d.server.tables.Table(ctx, d.name, name); t != nil {
		return t, true, nil
	}
	if s, ok := engine.Stream(d.name, name); ok {
		t, err := newStreamTable(engine, s)
		return t, err == nil, err
	}
	v, layer, err := findLayer(engine, d.name, name)
	if err != nil || v == nil {
		return nil, false, err
	}
	readSet(ctx).Note(v)
	t, err := newViewTable(v, layer, name)
	return t, err == nil, err
}

// GetTableNames implements gms.Database, for the account of ctx:
// information_schema.tables asks past the engine's own check.
func (d *userDatabase) GetTableNames(ctx *gms.Context) (names []string, err error) {
	for _, s := range d.server.cfg.Engine.Streams() {
		if strings.EqualFold(s.Def.Database, d.name) {
			names = append(names, s.Def.Name)
		}
	}
	list, _ := d.server.cfg.Engine.Views()
	for _, v := range list {
		if def := v.Def(); strings.EqualFold(def.Database, d.name) {
			names = append(names, def.Name, def.Name+"_batch", def.Name+"_speed")
		}
	}
	names = append(names, d.server.tables.Names(ctx, d.name)...)
	return slices.DeleteFunc(names, func(name string) bool { return !d.server.sees(ctx, d.name, name) }), nil
}

// claim keeps a name for a statement that makes something of it, and returns
// an error where it is taken. What the statement makes is there for others once
// it is committed: the name is kept until the statement ends, whatever release does.
func (d *userDatabase) claim(ctx *gms.Context, name string) (release func(), err error) {
	session := gmsx.SessionOf(ctx)
	if session == nil {
		if release, err = d.server.claim(ctx, d.name, name); err != nil {
			return nil, err
		}
	} else {
		type claimed [2]string
		_, err = session.Statement().LoadOrStore(claimed(claimKey(d.name, name)), func() (any, func(), error) {
			release, err := d.server.claim(ctx, d.name, name)
			return true, release, err
		})
		if err != nil {
			return nil, err
		}
		release = func() {}
	}
	if err := d.checkFree(name); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// checkFree returns an error where a stream or a materialized view has the name.
func (d *userDatabase) checkFree(name string) error {
	switch kind, name := d.server.kindOf(d.name, name); kind {
	case aStream:
		return gmsx.Error(1050, "42S01", "Table '%s' already exists: it is a stream", name)
	case aView:
		return gmsx.Error(1050, "42S01", "Table '%s' already exists: it belongs to a materialized view", name)
	}
	return nil
}

// CreateTable implements gms.TableCreator.
func (d *userDatabase) CreateTable(ctx *gms.Context, name string, schema gms.PrimaryKeySchema, collation gms.CollationID, comment string) error {
	release, err := d.claim(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	return d.server.tables.CreateTable(ctx, d.name, name, schema, collation, comment)
}

// DropTable implements gms.TableDropper.
func (d *userDatabase) DropTable(ctx *gms.Context, name string) error {
	return d.server.tables.DropTable(ctx, d.name, name)
}

// RenameTable implements gms.TableRenamer.
func (d *userDatabase) RenameTable(ctx *gms.Context, from, to string) error {
	release, err := d.claim(ctx, to)
	if err != nil {
		return err
	}
	defer release()
	return d.server.tables.RenameTable(ctx, d.name, from, to)
}

// CreateView implements gms.ViewDatabase.
func (d *userDatabase) CreateView(ctx *gms.Context, name, selectText, createText string) error {
	release, err := d.claim(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	if gmsx.ReadsView(ctx, d.name, name) {
		return gmsx.Error(1462, "HY000", "`%s`.`%s` contains view recursion: what it selects from reads the view itself, perhaps through other views", d.name, name)
	}
	create, selectText, err := d.server.viewText(ctx, d.name, name, selectText, createText)
	if err != nil {
		return err
	}
	return d.server.tables.CreateView(ctx, &tables.ViewDef{
		Database: d.name, Name: name, Select: selectText, Create: create, SQLMode: gms.LoadSqlMode(ctx).String(),
	})
}

// viewText is the statement that makes a view, under the name that it has now,
// and its SELECT. What the SELECT reads without saying of which database is in
// the current one, as in MySQL, and stays there; * is what it is now.
func (s *Server) viewText(ctx *gms.Context, database, name, selectText, createText string) (create, query string, err error) {
	current := ctx.GetCurrentDatabase()
	stmt, err := ast.Parse(createText)
	if err != nil {
		return "", "", gmsx.Error(1064, "42000", "%s", err)
	}
	text := "CREATE VIEW " + gms.QuoteIdentifier(database) + "." + gms.QuoteIdentifier(name)
	ddl, ok := stmt.(*ast.DDL)
	if !ok || ddl.ViewSpec == nil {
		return text + " AS " + selectText, selectText, nil
	}
	if selectText, err = s.frozenSelect(ctx, ddl.ViewSpec.ViewExpr, selectText); err != nil {
		return "", "", err
	}
	if len(ddl.ViewSpec.Columns) > 0 {
		var cols []string
		for _, c := range ddl.ViewSpec.Columns {
			cols = append(cols, gms.QuoteIdentifier(c.String()))
		}
		text += " (" + strings.Join(cols, ", ") + ")"
	}
	if q := ddl.ViewSpec.ViewName.DbQualifier; !q.IsEmpty() && !strings.EqualFold(q.String(), current) && current != "" {
		qualify(ddl.ViewSpec.ViewExpr, current)
		selectText = ast.String(ddl.ViewSpec.ViewExpr)
	}
	return text + " AS " + selectText, selectText, nil
}

// qualify gives the tables of a SELECT that name no database this one.
func qualify(query ast.SQLNode, database string) {
	named := map[string]bool{} // by WITH
	_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
		if cte, ok := n.(*ast.CommonTableExpr); ok {
			named[strings.ToLower(cte.As.String())] = true
		}
		return true, nil
	}, query)
	_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
		e, ok := n.(*ast.AliasedTableExpr)
		if !ok {
			return true, nil
		}
		t, ok := e.Expr.(ast.TableName)
		if ok && t.DbQualifier.IsEmpty() && !named[strings.ToLower(t.Name.String())] {
			t.DbQualifier = ast.NewTableIdent(database)
			e.Expr = t
		}
		return true, nil
	}, query)
}

// DropView implements gms.ViewDatabase.
func (d *userDatabase) DropView(ctx *gms.Context, name string) error {
	return d.server.tables.DropView(ctx, d.name, name)
}

// AllViews implements gms.ViewDatabase.
func (d *userDatabase) AllViews(ctx *gms.Context) (list []gms.ViewDefinition, err error) {
	for _, v := range d.server.tables.Views(ctx, d.name) {
		if !d.server.sees(ctx, d.name, v.Name) {
			continue
		}
		list = append(list, viewDefinition(v))
	}
	return list, nil
}

// viewFrames is how deep the stack may be where the text of a view is asked for:
// the engine resolves views within views by calling itself, without end where
// statements that ran at once have made views that read each other.
const viewFrames = 4000

// GetViewDefinition implements gms.ViewDatabase.
func (d *userDatabase) GetViewDefinition(ctx *gms.Context, name string) (gms.ViewDefinition, bool, error) {
	v := d.server.tables.View(ctx, d.name, name)
	if v == nil {
		return gms.ViewDefinition{}, false, nil
	}
	if runtime.Callers(viewFrames, make([]uintptr, 1)) > 0 {
		return gms.ViewDefinition{}, false, gmsx.Error(1462, "HY000", "`%s`.`%s` contains view recursion: it reads itself, perhaps through other views; DROP VIEW it, or CREATE OR REPLACE it", d.name, v.Name)
	}
	gmsx.StoredView(ctx, v.Create)
	return viewDefinition(v), true, nil
}

func viewDefinition(v *tables.ViewDef) gms.ViewDefinition {
	return gms.ViewDefinition{Name: v.Name, TextDefinition: v.Select, CreateViewStatement: v.Create, SqlMode: v.SQLMode}
}

// findLayer returns the view and layer that a table name means: v, v_batch or
// v_speed. A view that is being built for the first time is an error.
func findLayer(e *views.Engine, database, name string) (*views.View, views.Layer, error) {
	lower := strings.ToLower(name)
	for _, c := range []struct {
		suffix string
		layer  views.Layer
	}{{"", views.Serving}, {"_batch", views.Batch}, {"_speed", views.Speed}} {
		base, ok := strings.CutSuffix(lower, c.suffix)
		if !ok {
			continue
		}
		v, err := e.View(database, base)
		if err == nil {
			return v, c.layer, nil
		}
		if isBuilding(err) {
			return nil, 0, sqlError(err)
		}
	}
	return nil, 0, nil
}

// emptyDatabase has what clients ask every database for and ours have none of.
// With accounts switched on the engine believes that every database has them.
type emptyDatabase struct{ gmsx.NoRoutines }

var errNotHere = gmsx.Error(1235, "42000", "database weir is weir's own: nothing can be made in it")

func (emptyDatabase) CreateView(*gms.Context, string, string, string) error { return errNotHere }
func (emptyDatabase) DropView(*gms.Context, string) error                   { return errNotHere }
func (emptyDatabase) AllViews(*gms.Context) ([]gms.ViewDefinition, error)   { return nil, nil }
func (emptyDatabase) GetViewDefinition(*gms.Context, string) (gms.ViewDefinition, bool, error) {
	return gms.ViewDefinition{}, false, nil
}
