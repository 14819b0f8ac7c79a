package gmsx

import (
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
)

// A provider serves the user's databases, and functions of which ours win
// over the user's provider and that over the engine's.
type provider struct {
	gms.DatabaseProvider
	functions map[string]gms.Function
	perf      *perfDatabase
	e         *Engine
}

var (
	_ gms.FunctionProvider                = (*provider)(nil)
	_ gms.TableFunctionProvider           = (*provider)(nil)
	_ gms.ExternalStoredProcedureProvider = (*provider)(nil)
)

func newProvider(e *Engine) *provider {
	p := &provider{DatabaseProvider: e.opts.Provider, functions: map[string]gms.Function{}, perf: &perfDatabase{e: e}, e: e}
	for _, f := range ownFunctions(e) {
		p.functions[f.FunctionName()] = f
	}
	for _, f := range e.opts.Functions {
		p.functions[strings.ToLower(f.FunctionName())] = f
	}
	p.functions[aggregateCarrier] = e.aggregates()
	p.functions[windowCarrier] = windows()
	return p
}

// AllDatabases are those that the account of ctx has a privilege for.
func (p *provider) AllDatabases(ctx *gms.Context) []gms.Database {
	all := p.DatabaseProvider.AllDatabases(ctx)
	if ctx == nil || ctx.Session == nil {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(db gms.Database) bool { return !p.e.Sees(ctx, db.Name(), "") })
}

// Database gives the user's databases, and one that is not among AllDatabases.
func (p *provider) Database(ctx *gms.Context, name string) (gms.Database, error) {
	db, err := p.DatabaseProvider.Database(ctx, name)
	if err != nil && strings.EqualFold(name, perfSchema) {
		return p.perf, nil
	}
	return db, err
}

func (p *provider) HasDatabase(ctx *gms.Context, name string) bool {
	return p.DatabaseProvider.HasDatabase(ctx, name) || strings.EqualFold(name, perfSchema)
}

func (p *provider) Function(ctx *gms.Context, name string) (gms.Function, bool) {
	if f, ok := p.functions[strings.ToLower(name)]; ok {
		return f, true
	}
	if fp, ok := p.DatabaseProvider.(gms.FunctionProvider); ok {
		return fp.Function(ctx, name)
	}
	return nil, false
}

func (p *provider) TableFunction(ctx *gms.Context, name string) (gms.TableFunction, bool) {
	if tp, ok := p.DatabaseProvider.(gms.TableFunctionProvider); ok {
		return tp.TableFunction(ctx, name)
	}
	return nil, false
}

func (p *provider) WithTableFunctions(fns ...gms.TableFunction) (gms.TableFunctionProvider, error) {
	tp, ok := p.DatabaseProvider.(gms.TableFunctionProvider)
	if !ok {
		return p, nil
	}
	tp, err := tp.WithTableFunctions(fns...)
	if err != nil {
		return nil, err
	}
	cp := *p
	cp.DatabaseProvider = tp.(gms.DatabaseProvider)
	return &cp, nil
}

func (p *provider) ExternalStoredProcedure(ctx *gms.Context, name string, params int) (*gms.ExternalStoredProcedureDetails, error) {
	if sp, ok := p.DatabaseProvider.(gms.ExternalStoredProcedureProvider); ok {
		return sp.ExternalStoredProcedure(ctx, name, params)
	}
	return nil, nil
}

func (p *provider) ExternalStoredProcedures(ctx *gms.Context, name string) ([]gms.ExternalStoredProcedureDetails, error) {
	if sp, ok := p.DatabaseProvider.(gms.ExternalStoredProcedureProvider); ok {
		return sp.ExternalStoredProcedures(ctx, name)
	}
	return nil, nil
}
