package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/ddl"
	"weir/sql/gmsx"
	"weir/views"
	"weir/views/column"
)

// A Compiler turns the SQL of definitions into plans. Names and types are
// resolved by the engine, over a table that has the columns and no rows; what
// the engine makes of each expression then becomes a vector expression.
type Compiler struct {
	engine *gmsx.Engine
	tables *scratchTables
}

var _ views.Compiler = (*Compiler)(nil)

// NewCompiler returns the compiler of definitions that views.Open needs.
func NewCompiler() (*Compiler, error) {
	tables := &scratchTables{tables: map[string]gms.Table{}}
	e, err := gmsx.New(gmsx.Options{
		Provider: scratchProvider{scratchTables: tables}, DefaultDatabase: scratchDatabase,
		Functions: append(scalarFunctions(), hopInDefinitions()), RewriteHook: func(stmt ast.Statement, _ string) (ast.Statement, error) { return rewriteStatement(stmt) },
		BitOperators: true,
	})
	if err != nil {
		return nil, err
	}
	return &Compiler{engine: e, tables: tables}, nil
}

// rewriteStatement is what both engines do to every statement they parse.
func rewriteStatement(stmt ast.Statement) (ast.Statement, error) {
	err := ast.Walk(func(node ast.SQLNode) (bool, error) {
		if f, ok := node.(*ast.FuncExpr); ok {
			return true, rewriteWindow(f)
		}
		return true, nil
	}, stmt)
	return stmt, err
}

// newContext returns a context for evaluating expressions: with a session in
// UTC that nobody else uses.
func (c *Compiler) newContext() *gms.Context {
	ctx, _ := c.engine.NewContext(context.Background(), scratchDatabase)
	return ctx
}

// resolve has the engine resolve expressions over a table with the given
// columns, known as alias, and returns them bound to the columns' indexes.
func (c *Compiler) resolve(alias string, schema gms.Schema, exprs []ast.Expr) ([]gms.Expression, error) {
	name, drop := c.tables.add(schema)
	defer drop()
	sel := &ast.Select{From: ast.TableExprs{&ast.AliasedTableExpr{
		Expr: ast.TableName{Name: ast.NewTableIdent(name)}, As: ast.NewTableIdent(alias),
	}}}
	for i, e := range exprs {
		sel.SelectExprs = append(sel.SelectExprs, &ast.AliasedExpr{Expr: e, As: ast.NewColIdent(fmt.Sprintf("__e%d", i))})
	}
	ctx, end := c.engine.NewContext(context.Background(), scratchDatabase)
	defer end()
	n, err := c.engine.Engine().AnalyzeQuery(ctx, ast.String(sel))
	if err != nil {
		return nil, missingFunction(err)
	}
	var out []gms.Expression
	transformInspect(n, func(n gms.Node) bool {
		if p, ok := n.(*plan.Project); ok && out == nil {
			out = p.Projections
		}
		return out == nil
	})
	if len(out) != len(exprs) {
		return nil, fmt.Errorf("cannot resolve the expressions of %s", ast.String(sel))
	}
	return out, nil
}

// transformInspect walks a plan, into the nodes that wrap others, while f
// returns true.
func transformInspect(n gms.Node, f func(gms.Node) bool) {
	if n == nil || !f(n) {
		return
	}
	for _, c := range n.Children() {
		transformInspect(c, f)
	}
}

// kernels returns a compiler of expressions over the columns.
func (c *Compiler) kernels(cols []column.Type) (*kernelCompiler, error) {
	k := &kernelCompiler{cols: cols, newCtx: c.newContext}
	for _, t := range cols {
		et, err := engineType(t)
		if err != nil {
			return nil, err
		}
		k.types = append(k.types, et)
	}
	return k, nil
}

// streamSchema is a stream as a table: its columns and the extras.
func streamSchema(def *views.StreamDef, table string) (gms.Schema, error) {
	var s gms.Schema
	for _, c := range def.AllColumns() {
		t, err := engineType(c.Type)
		if err != nil {
			return nil, err
		}
		s = append(s, &gms.Column{
			Name: c.Name, Type: t, Nullable: !c.NotNull, Source: table, DatabaseSource: def.Database, Comment: c.Comment,
			PrimaryKey: c.Name == views.Extras[views.ExtraSeq].Name,
		})
	}
	return s, nil
}

func columnTypes(cols []views.ColumnDef) []column.Type {
	types := make([]column.Type, len(cols))
	for i := range cols {
		types[i] = cols[i].Type
	}
	return types
}

// CompileStream implements views.Compiler.
func (c *Compiler) CompileStream(def *views.StreamDef) (*views.StreamPlan, error) {
	p := &views.StreamPlan{Def: def, Generated: map[int]column.Expr{}, Reads: map[int][]int{}}
	cols := def.AllColumns()
	schema, err := streamSchema(def, def.Name)
	if err != nil {
		return nil, err
	}
	k, err := c.kernels(columnTypes(cols))
	if err != nil {
		return nil, err
	}
	for i := range def.Columns {
		col := &def.Columns[i]
		if col.Generated == "" {
			continue
		}
		e, err := c.resolveText(def, schema, col.Generated)
		if err != nil {
			return nil, &views.DefinitionError{Column: col.Name, Err: err}
		}
		x, err := k.compile(e)
		if err != nil {
			return nil, &views.DefinitionError{Column: col.Name, Err: err}
		}
		p.Generated[i] = views.Cast(x, col)
		p.Reads[i] = fieldsOf(e)
	}
	return p, checkGenerated(p)
}

// resolveText resolves the SQL of a generated column.
func (c *Compiler) resolveText(def *views.StreamDef, schema gms.Schema, text string) (gms.Expression, error) {
	const before = "SELECT "
	stmt, err := parseText(before + text)
	var syntax *selectError
	if errors.As(err, &syntax) {
		return nil, &selectError{text, max(0, syntax.pos-len(before))}
	}
	if err != nil {
		return nil, err
	}
	sel, ok := stmt.(*ast.Select)
	if !ok || len(sel.SelectExprs) != 1 || len(sel.From) > 1 {
		return nil, fmt.Errorf("%s is not an expression", text)
	}
	a, ok := sel.SelectExprs[0].(*ast.AliasedExpr)
	if !ok {
		return nil, fmt.Errorf("%s is not an expression", text)
	}
	if err := refuseIn(a.Expr, "a generated column"); err != nil {
		return nil, err
	}
	if len(aggregatesIn(a.Expr)) > 0 {
		return nil, coded(1111, "HY000", "%s is an aggregate: a generated column is computed from one event", text)
	}
	d := &definition{c: c, stream: def, alias: def.Name}
	if err := d.checkColumns(a.Expr); err != nil {
		return nil, err
	}
	exprs, err := c.resolve(def.Name, schema, []ast.Expr{a.Expr})
	if err != nil {
		return nil, err
	}
	return exprs[0], refuseVolatile(exprs[0])
}

// parseText parses one statement of a definition. The engine's own parser would
// already have given aggregates the names they travel under.
func parseText(text string) (ast.Statement, error) {
	stmt, rest, err := ast.ParseOne(context.Background(), text)
	if err != nil {
		return nil, newSelectError(text, err)
	}
	if rest > 0 && strings.Trim(text[rest:], "; \t\r\n") != "" {
		return nil, coded(1064, "42000", "unexpected text behind the statement: %s", text[rest:])
	}
	return rewriteStatement(stmt)
}

// checkGenerated refuses generated columns that need themselves.
func checkGenerated(p *views.StreamPlan) error {
	const visiting, done = 1, 2
	state := map[int]int{}
	var visit func(i int) error
	visit = func(i int) error {
		if state[i] == visiting {
			return &views.DefinitionError{Column: p.Def.Columns[i].Name, Err: errors.New("it is computed from itself: generated columns may not go in circles")}
		}
		if state[i] == done || p.Generated[i] == nil {
			return nil
		}
		state[i] = visiting
		for _, r := range p.Reads[i] {
			if err := visit(r); err != nil {
				return err
			}
		}
		state[i] = done
		return nil
	}
	for i := range p.Def.Columns {
		if err := visit(i); err != nil {
			return err
		}
	}
	return nil
}

// scratchDatabase is the only database of the compiler's engine.
const scratchDatabase = "definition"

// scratchTables are the tables that definitions are resolved over, each for as
// long as one resolution takes.
type scratchTables struct {
	mu     sync.Mutex
	next   int
	tables map[string]gms.Table
}

func (s *scratchTables) add(schema gms.Schema) (name string, drop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	name = fmt.Sprintf("definition%d", s.next)
	own := make(gms.Schema, len(schema))
	for i, c := range schema {
		cp := *c
		cp.Source, cp.DatabaseSource = name, scratchDatabase
		own[i] = &cp
	}
	s.tables[name] = &scratchTable{name: name, schema: own}
	return name, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.tables, name)
	}
}

// A scratchTable has columns and no rows.
type scratchTable struct {
	name   string
	schema gms.Schema
}

var errNoRows = errors.New("a definition has no rows")

func (t *scratchTable) Name() string               { return t.name }
func (t *scratchTable) String() string             { return t.name }
func (t *scratchTable) Schema() gms.Schema         { return t.schema }
func (t *scratchTable) Collation() gms.CollationID { return gms.Collation_Default }
func (t *scratchTable) Partitions(*gms.Context) (gms.PartitionIter, error) {
	return nil, errNoRows
}

func (t *scratchTable) PartitionRows(*gms.Context, gms.Partition) (gms.RowIter, error) {
	return nil, errNoRows
}

type scratchProvider struct {
	*scratchTables
	emptyDatabase
}

func (p scratchProvider) Database(_ *gms.Context, name string) (gms.Database, error) {
	if !strings.EqualFold(name, scratchDatabase) {
		return nil, gms.ErrDatabaseNotFound.New(name)
	}
	return p, nil
}

func (p scratchProvider) HasDatabase(_ *gms.Context, name string) bool {
	return strings.EqualFold(name, scratchDatabase)
}

func (p scratchProvider) AllDatabases(*gms.Context) []gms.Database { return []gms.Database{p} }
func (p scratchProvider) Name() string                             { return scratchDatabase }

func (p scratchProvider) GetTableInsensitive(_ *gms.Context, name string) (gms.Table, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.tables[strings.ToLower(name)]
	return t, ok, nil
}

func (p scratchProvider) GetTableNames(*gms.Context) ([]string, error) { return nil, nil }

// quote is ddl.QuoteName.
func quote(name string) string { return ddl.QuoteName(name) }
