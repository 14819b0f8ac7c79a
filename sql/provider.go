package sql

import (
	"errors"
	"fmt"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"weir/sql/ddl"
	"weir/sql/gmsx"
	"weir/views"
)

// systemDatabase is where the system tables are.
const systemDatabase = "weir"

// A provider has the two databases: that of streams and views, and weir.
type provider struct {
	server    *Server
	databases []gms.Database
}

var (
	_ gms.DatabaseProvider                = (*provider)(nil)
	_ gms.ExternalStoredProcedureProvider = (*provider)(nil)
)

func newProvider(s *Server) *provider {
	return &provider{server: s, databases: []gms.Database{&userDatabase{server: s}, newSystemDatabase(s)}}
}

// Database implements gms.DatabaseProvider.
func (p *provider) Database(_ *gms.Context, name string) (gms.Database, error) {
	for _, db := range p.databases {
		if strings.EqualFold(db.Name(), name) {
			return db, nil
		}
	}
	return nil, gms.ErrDatabaseNotFound.New(name)
}

// HasDatabase implements gms.DatabaseProvider.
func (p *provider) HasDatabase(ctx *gms.Context, name string) bool {
	_, err := p.Database(ctx, name)
	return err == nil
}

// AllDatabases implements gms.DatabaseProvider.
func (p *provider) AllDatabases(*gms.Context) []gms.Database { return p.databases }

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
	note, err := p.server.cfg.Engine.RerunBatch(ctx, id)
	if errors.Is(err, views.ErrUnknown) {
		return nil, gmsx.Error(1105, "HY000", "%s", err)
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
func (p *provider) cancelJob(_ *gms.Context, id uint64) (gms.RowIter, error) {
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

// A userDatabase holds the streams and views as tables.
type userDatabase struct {
	server *Server
	emptyDatabase
}

var _ gms.Database = (*userDatabase)(nil)

// Name implements gms.Database.
func (d *userDatabase) Name() string { return views.DefaultDatabase }

// GetTableInsensitive implements gms.Database.
func (d *userDatabase) GetTableInsensitive(ctx *gms.Context, name string) (gms.Table, bool, error) {
	engine := d.server.cfg.Engine
	if s, ok := engine.Stream(d.Name(), name); ok {
		t, err := newStreamTable(engine, s)
		return t, err == nil, err
	}
	v, layer, err := findLayer(engine, d.Name(), name)
	if err != nil || v == nil {
		return nil, false, err
	}
	readSet(ctx).Note(v)
	t, err := newViewTable(v, layer, name)
	return t, err == nil, err
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

// GetTableNames implements gms.Database.
func (d *userDatabase) GetTableNames(*gms.Context) (names []string, err error) {
	for _, s := range d.server.cfg.Engine.Streams() {
		names = append(names, s.Def.Name)
	}
	list, _ := d.server.cfg.Engine.Views()
	for _, v := range list {
		names = append(names, v.Def().Name, v.Def().Name+"_batch", v.Def().Name+"_speed")
	}
	return names, nil
}

// emptyDatabase has what clients ask every database for and ours have none of.
// With accounts switched on the engine believes that every database has them.
type emptyDatabase struct{ gmsx.NoRoutines }

var (
	_ gms.TriggerDatabase         = (*userDatabase)(nil)
	_ gms.StoredProcedureDatabase = (*userDatabase)(nil)
	_ gms.EventDatabase           = (*userDatabase)(nil)
	_ gms.ViewDatabase            = (*userDatabase)(nil)
)

var errNotHere = gmsx.Error(1235, "42000", "weir keeps streams and materialized views: this object cannot be made here")

func (emptyDatabase) CreateView(*gms.Context, string, string, string) error { return errNotHere }
func (emptyDatabase) DropView(*gms.Context, string) error                   { return errNotHere }
func (emptyDatabase) AllViews(*gms.Context) ([]gms.ViewDefinition, error)   { return nil, nil }
func (emptyDatabase) GetViewDefinition(*gms.Context, string) (gms.ViewDefinition, bool, error) {
	return gms.ViewDefinition{}, false, nil
}
