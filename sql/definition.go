package sql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/ddl"
	"weir/views"
	"weir/views/column"
	"weir/views/partial"
)

// A definition is the SELECT of a materialized view on its way to a plan.
type definition struct {
	c      *Compiler
	stream *views.StreamDef
	alias  string // of the stream
	items  []item
	keys   []ast.Expr // of GROUP BY, aliases and positions resolved
	names  []string   // of the keys: their columns
	aggs   []*ast.FuncExpr
	plan   *views.ViewPlan
}

// An item is a column of the SELECT.
type item struct {
	name string
	expr ast.Expr
}

// StreamName returns the database and name of the stream that a definition
// reads; the database is "" where the definition names none.
func (c *Compiler) StreamName(query string) (database, name string, err error) {
	sel, err := c.parseSelect(query)
	if err != nil {
		return "", "", err
	}
	t, _, err := streamOf(sel)
	return t.DbQualifier.String(), t.Name.String(), err
}

func (c *Compiler) parseSelect(query string) (*ast.Select, error) {
	stmt, err := parseText(query)
	if err != nil {
		return nil, err
	}
	if p, ok := stmt.(*ast.ParenSelect); ok {
		stmt = p.Select
	}
	switch sel := stmt.(type) {
	case *ast.Select:
		return sel, refuseClauses(sel)
	case *ast.SetOp:
		return nil, refused("UNION is not possible in a materialized view: make one view for each SELECT, and put UNION ALL between them when reading")
	default:
		return nil, coded(1064, "42000", "a materialized view is defined by a SELECT")
	}
}

// CompileView implements views.Compiler.
func (c *Compiler) CompileView(def *views.ViewDef, stream *views.StreamDef) (*views.ViewPlan, error) {
	sel, err := c.parseSelect(def.Query)
	if err != nil {
		return nil, err
	}
	d := &definition{c: c, stream: stream, plan: &views.ViewPlan{Window: -1}}
	if _, d.alias, err = streamOf(sel); err != nil {
		return nil, err
	}
	if err := d.readItems(sel); err != nil {
		return nil, err
	}
	if err := d.readKeys(sel.GroupBy); err != nil {
		return nil, err
	}
	for _, it := range d.items {
		for _, call := range aggregatesIn(it.expr) {
			d.aggregate(call)
		}
	}
	d.plan.Projection = len(d.keys) == 0 && len(d.aggs) == 0
	if d.plan.Projection {
		if err := d.project(); err != nil {
			return nil, err
		}
	}
	var where ast.Expr
	if sel.Where != nil {
		where = sel.Where.Expr
	}
	if err := d.compileEvents(where); err != nil {
		return nil, err
	}
	return d.plan, d.compileOutputs()
}

// readItems expands * and names the columns.
func (d *definition) readItems(sel *ast.Select) error {
	for _, se := range sel.SelectExprs {
		switch e := se.(type) {
		case *ast.StarExpr:
			for _, c := range d.stream.Columns {
				d.items = append(d.items, item{name: c.Name, expr: &ast.ColName{Name: ast.NewColIdent(c.Name)}})
			}
		case *ast.AliasedExpr:
			if err := refuseInItem(e.Expr); err != nil {
				return err
			}
			d.items = append(d.items, item{name: itemName(e), expr: e.Expr})
		default:
			return refused("%s is not possible in a materialized view", ast.String(se))
		}
	}
	seen := map[string]bool{}
	for _, it := range d.items {
		key := strings.ToLower(it.name)
		switch {
		case seen[key]:
			return coded(1060, "42S21", "two columns are named %s: give one another name with AS", it.name)
		case strings.HasPrefix(it.name, "__"):
			return coded(1166, "42000", "the column name %s begins with __, which is kept for partial states: choose another with AS", it.name)
		}
		seen[key] = true
	}
	return nil
}

func itemName(e *ast.AliasedExpr) string {
	if !e.As.IsEmpty() {
		return e.As.String()
	}
	if c, ok := e.Expr.(*ast.ColName); ok {
		return c.Name.String()
	}
	if e.InputExpression != "" {
		return e.InputExpression
	}
	return ast.String(e.Expr)
}

// readKeys resolves GROUP BY: a position or an alias stands for its item, but
// a column of the stream comes before an alias of its name, as in MySQL.
func (d *definition) readKeys(groupBy ast.GroupBy) error {
	for _, e := range groupBy {
		if err := refuseInItem(e); err != nil {
			return err
		}
		at, err := d.keyItem(e)
		if err != nil {
			return err
		}
		it := d.items[at]
		if len(aggregatesIn(it.expr)) > 0 {
			return coded(1056, "42000", "GROUP BY %s is an aggregate: group by what events have", it.name)
		}
		if slices.Contains(d.names, it.name) {
			continue
		}
		d.keys = append(d.keys, it.expr)
		d.names = append(d.names, it.name)
	}
	return d.checkHops()
}

// keyItem returns the item that an expression of GROUP BY is.
func (d *definition) keyItem(e ast.Expr) (int, error) {
	if v, ok := e.(*ast.SQLVal); ok && v.Type == ast.IntVal {
		n, err := strconv.Atoi(string(v.Val))
		if err != nil || n < 1 || n > len(d.items) {
			return 0, misnamed("GROUP BY %s: the SELECT has %d columns", v.Val, len(d.items))
		}
		return n - 1, nil
	}
	col, isCol := e.(*ast.ColName)
	if !isCol || d.isColumn(col) {
		for i, it := range d.items {
			if sameExpr(it.expr, e) {
				return i, nil
			}
		}
	}
	if isCol && !d.isColumn(col) {
		for i, it := range d.items {
			if strings.EqualFold(it.name, col.Name.String()) {
				return i, nil
			}
		}
		return 0, d.unknownColumn(col.Name.String())
	}
	if isCol {
		for i, it := range d.items {
			if strings.EqualFold(it.name, col.Name.String()) {
				return 0, refused("GROUP BY %s means the column of the stream, not %s: give that another name with AS, or write GROUP BY %d", it.name, ast.String(it.expr), i+1)
			}
		}
	}
	return 0, refused("GROUP BY %s is not a column of the SELECT: select it too, since the group key is the view's primary key", ast.String(e))
}

func (d *definition) isColumn(c *ast.ColName) bool {
	return slices.ContainsFunc(d.stream.AllColumns(), func(s views.ColumnDef) bool {
		return strings.EqualFold(s.Name, c.Name.String())
	})
}

// columnsNamed is how many columns an error lists.
const columnsNamed = 20

// unknownColumn names the nearest column, or those there are.
func (d *definition) unknownColumn(name string) error {
	var names []string
	for _, c := range d.stream.AllColumns() {
		names = append(names, c.Name)
	}
	if near := ddl.Nearest(name, names); near != "" {
		return misnamed("stream %s has no column %s: did you mean %s?", d.stream.Name, name, near)
	}
	if list := d.stream.Columns; len(list) > 0 && len(list) <= columnsNamed {
		return misnamed("stream %s has no column %s: it has %s", d.stream.Name, name, strings.Join(names[:len(list)], ", "))
	}
	return misnamed("stream %s has no column %s", d.stream.Name, name)
}

// sameExpr says whether two expressions are the same but for the case of names
// and the table in front of columns.
func sameExpr(a, b ast.Expr) bool { return canonical(a) == canonical(b) }

func canonical(e ast.Expr) string {
	buf := ast.NewTrackedBuffer(func(buf *ast.TrackedBuffer, node ast.SQLNode) {
		if c, ok := node.(*ast.ColName); ok {
			buf.Myprintf("%s", "`"+strings.ToLower(c.Name.String())+"`")
			return
		}
		node.Format(buf)
	})
	buf.Myprintf("%v", e)
	return buf.String()
}

// aggregate returns the number of an aggregate call, adding it if it is new.
func (d *definition) aggregate(call *ast.FuncExpr) int {
	for i, a := range d.aggs {
		if sameExpr(a, call) {
			return i
		}
	}
	d.aggs = append(d.aggs, call)
	return len(d.aggs) - 1
}

// project makes a view without aggregates and group key one that is keyed by
// the sequence of its events.
func (d *definition) project() error {
	seq := &ast.ColName{Name: ast.NewColIdent(views.Extras[views.ExtraSeq].Name)}
	for _, it := range d.items {
		if strings.EqualFold(it.name, seq.Name.String()) && !sameExpr(it.expr, seq) {
			return coded(1166, "42000", "the column name %s is kept for the key of a view without GROUP BY: choose another with AS", it.name)
		}
	}
	if !slices.ContainsFunc(d.items, func(it item) bool { return sameExpr(it.expr, seq) }) {
		d.items = append(d.items, item{name: views.Extras[views.ExtraSeq].Name, expr: seq})
	}
	d.keys = []ast.Expr{seq}
	for _, it := range d.items {
		if sameExpr(it.expr, seq) {
			d.names = []string{it.name}
			break
		}
	}
	return nil
}

// compileEvents compiles what is computed from each event: the filter, the
// group key and the arguments of the aggregates.
func (d *definition) compileEvents(where ast.Expr) error {
	schema, err := streamSchema(d.stream, d.stream.Name)
	if err != nil {
		return err
	}
	k, err := d.c.kernels(columnTypes(d.stream.AllColumns()))
	if err != nil {
		return err
	}
	exprs := slices.Clone(d.keys)
	args := make([][2]int, len(d.aggs)) // where the arguments of each aggregate are in exprs
	for i, call := range d.aggs {
		list, err := aggregateArgs(call)
		if err != nil {
			return err
		}
		args[i] = [2]int{len(exprs), len(exprs) + len(list)}
		exprs = append(exprs, list...)
	}
	only := len(exprs)
	if d.plan.Projection {
		for _, it := range d.items {
			exprs = append(exprs, it.expr)
		}
	}
	filter := len(exprs)
	if where != nil {
		if err := refuseIn(where, "a materialized view"); err != nil {
			return err
		}
		if len(aggregatesIn(where)) > 0 {
			return coded(1111, "HY000", "an aggregate is not possible in WHERE: filter the rows of the view when reading it")
		}
		exprs = append(exprs, where)
	}
	resolved, err := d.c.resolveAll(d, schema, exprs)
	if err != nil {
		return err
	}
	d.reads(resolved)
	for i := range d.keys {
		if err := d.compileKey(k, i, resolved[i]); err != nil {
			return fmt.Errorf("column %s: %w", d.names[i], err)
		}
	}
	if err := d.checkKeyTexts(); err != nil {
		return err
	}
	for i, call := range d.aggs {
		agg, err := compileAggregate(k, call, resolved[args[i][0]:args[i][1]])
		if err != nil {
			return err
		}
		agg.Name = fmt.Sprintf("__agg%d", i+1)
		d.plan.Aggs = append(d.plan.Aggs, agg)
	}
	for i := only; i < filter; i++ {
		if err := d.only(k, i-only, resolved[i]); err != nil {
			return err
		}
	}
	if where != nil {
		x, err := k.compile(resolved[filter])
		if err != nil {
			return fmt.Errorf("WHERE: %w", err)
		}
		if d.plan.Filter = truthOf(x); d.plan.Filter == nil {
			return refused("WHERE %s is not a condition: compare it with something", ast.String(where))
		}
	}
	return nil
}

// compileKey compiles part i of the group key. The window of the view is its
// HOP, or else its first TUMBLE.
func (d *definition) compileKey(k *kernelCompiler, i int, e gms.Expression) error {
	hop, err := compileHop(k, e)
	if err != nil {
		return err
	}
	if hop != nil {
		d.plan.Keys = append(d.plan.Keys, views.Key{Name: d.names[i], Expr: hop})
		d.plan.Window, d.plan.WindowSize, d.plan.Hop = i, hop.Size, hop
		return nil
	}
	x, err := k.compile(e)
	if err != nil {
		return err
	}
	d.plan.Keys = append(d.plan.Keys, views.Key{Name: d.names[i], Expr: x})
	if t, ok := x.(*column.Tumble); ok && d.plan.Window < 0 {
		d.plan.Window, d.plan.WindowSize = i, t.Size
	}
	return nil
}

// checkKeyTexts refuses more texts in the group key than the store's keys hold.
func (d *definition) checkKeyTexts() error {
	texts := 0
	for _, k := range d.plan.Keys {
		if k.Expr.Type().Kind.IsText() {
			texts++
		}
	}
	if texts > partial.TextsMax {
		return fmt.Errorf("GROUP BY has %d texts: at most %d are possible in a materialized view; join some with CONCAT_WS", texts, partial.TextsMax)
	}
	return nil
}

// resolveAll resolves expressions over the stream, with errors that help.
func (c *Compiler) resolveAll(d *definition, schema gms.Schema, exprs []ast.Expr) ([]gms.Expression, error) {
	for _, e := range exprs {
		if err := d.checkColumns(e); err != nil {
			return nil, err
		}
	}
	if len(exprs) == 0 {
		return nil, nil
	}
	resolved, err := c.resolve(d.alias, schema, exprs)
	if err != nil {
		return nil, err
	}
	for _, e := range resolved {
		if err := refuseVolatile(e); err != nil {
			return nil, err
		}
	}
	return resolved, nil
}

// checkColumns returns an error that helps if e reads what the stream has not.
func (d *definition) checkColumns(e ast.Expr) error {
	return ast.Walk(func(node ast.SQLNode) (bool, error) {
		if col, ok := node.(*ast.ColName); ok {
			return false, d.checkColumn(col)
		}
		return true, nil
	}, e)
}

// checkColumn is checkColumns for one column.
func (d *definition) checkColumn(c *ast.ColName) error {
	if q := c.Qualifier.Name.String(); q != "" && !strings.EqualFold(q, d.alias) {
		return misnamed("there is no %s in FROM: write %s, or the column's name alone", ast.String(c), d.alias+"."+c.Name.String())
	}
	if !d.isColumn(c) {
		return d.unknownColumn(c.Name.String())
	}
	return nil
}

// reads notes the columns of the stream that the view needs.
func (d *definition) reads(exprs []gms.Expression) {
	for _, e := range exprs {
		d.plan.Reads = append(d.plan.Reads, fieldsOf(e)...)
	}
	slices.Sort(d.plan.Reads)
	d.plan.Reads = slices.Compact(d.plan.Reads)
}

// only adds item i of a projection as a state that is the value itself.
func (d *definition) only(k *kernelCompiler, i int, e gms.Expression) error {
	if d.names[0] == d.items[i].name {
		return nil // the key
	}
	x, err := k.compile(e)
	if err != nil {
		return fmt.Errorf("column %s: %w", d.items[i].name, err)
	}
	d.plan.Aggs = append(d.plan.Aggs, views.Agg{
		Name: "__" + d.items[i].name, Args: []column.Expr{x}, Spec: partial.Spec{Func: partial.Only, Arg: x.Type(), Result: x.Type()},
	})
	return nil
}

// compileOutputs compiles the columns: parts of the key, aggregates, and
// expressions over both.
func (d *definition) compileOutputs() error {
	if len(d.keys) > 0 && len(d.aggs) == 0 && !d.plan.Projection {
		// SELECT k FROM s GROUP BY k: the rows are the keys alone.
		d.plan.Aggs = nil
	}
	only := 0
	for _, it := range d.items {
		o := views.Output{Name: it.name, Key: -1, Agg: -1, Null: true}
		switch key := slices.IndexFunc(d.keys, func(e ast.Expr) bool { return sameExpr(e, it.expr) }); {
		case key >= 0:
			o.Key, o.Type = key, d.plan.Keys[key].Expr.Type()
			o.Null = !d.plan.Projection
		case d.plan.Projection:
			o.Agg, o.Type = only, d.plan.Aggs[only].Spec.Result
			only++
		default:
			if err := d.compilePost(&o, it); err != nil {
				return err
			}
		}
		d.plan.Outputs = append(d.plan.Outputs, o)
	}
	return nil
}

// compilePost compiles an item that is an aggregate, or an expression over
// aggregates and the group key.
func (d *definition) compilePost(o *views.Output, it item) error {
	if call, ok := it.expr.(*ast.FuncExpr); ok {
		if _, isAgg := aggregateFuncs[call.Name.Lowered()]; isAgg {
			o.Agg = d.aggregate(call)
			spec := d.plan.Aggs[o.Agg].Spec
			o.Type = spec.Result
			o.Null = !neverNull(spec.Func)
			return nil
		}
	}
	schema, cols, err := d.rowSchema()
	if err != nil {
		return err
	}
	expr, err := d.overRow(it)
	if err != nil {
		return err
	}
	resolved, err := d.c.resolve("r", schema, []ast.Expr{expr})
	if err != nil {
		return fmt.Errorf("column %s: %w", it.name, err)
	}
	if err := refuseVolatile(resolved[0]); err != nil {
		return err
	}
	k, err := d.c.kernels(cols)
	if err != nil {
		return err
	}
	x, err := k.fallback(resolved[0])
	if err != nil {
		return fmt.Errorf("column %s: %w", it.name, err)
	}
	row := x.(*rowExpr)
	o.Type, o.Uses, o.Post = x.Type(), row.fields, row.post
	o.PostSQL = d.postSQL(it.expr)
	return nil
}

// rowSchema is a row of the view's keys and aggregates as a table.
func (d *definition) rowSchema() (schema gms.Schema, cols []column.Type, err error) {
	add := func(name string, t column.Type) error {
		et, err := engineType(t)
		if err != nil {
			return err
		}
		cols = append(cols, t)
		schema = append(schema, &gms.Column{Name: name, Type: et, Nullable: true})
		return nil
	}
	for i, k := range d.plan.Keys {
		if err := add(keyColumn(i), k.Expr.Type()); err != nil {
			return nil, nil, err
		}
	}
	for i, a := range d.plan.Aggs {
		if err := add(aggColumn(i), a.Spec.Result); err != nil {
			return nil, nil, err
		}
	}
	return schema, cols, nil
}

func keyColumn(i int) string { return fmt.Sprintf("__key%d", i+1) }
func aggColumn(i int) string { return fmt.Sprintf("__agg%d", i+1) }

// overRow returns an item with its aggregates and parts of the key replaced by
// columns of rowSchema.
func (d *definition) overRow(it item) (ast.Expr, error) {
	var stray error
	expr := d.replace(it.expr, func(e ast.Expr) ast.Expr {
		if key := slices.IndexFunc(d.keys, func(k ast.Expr) bool { return sameExpr(k, e) }); key >= 0 {
			return &ast.ColName{Name: ast.NewColIdent(keyColumn(key))}
		}
		switch e := e.(type) {
		case *ast.FuncExpr:
			if _, isAgg := aggregateFuncs[e.Name.Lowered()]; isAgg {
				return &ast.ColName{Name: ast.NewColIdent(aggColumn(d.aggregate(e)))}
			}
		case *ast.ColName:
			if !d.isColumn(e) {
				stray = d.unknownColumn(e.Name.String())
			} else if stray == nil {
				stray = coded(1055, "42000", "column %s is neither in GROUP BY nor inside an aggregate: add it to GROUP BY, or take its MIN or MAX", e.Name)
			}
			return e
		}
		return nil
	})
	return expr, stray
}

// replace returns e with subexpressions replaced: those for which f does not
// return nil. It works on a copy.
func (d *definition) replace(e ast.Expr, f func(ast.Expr) ast.Expr) ast.Expr {
	if r := f(e); r != nil {
		return r
	}
	// The parser makes the copy, so that the definition's own tree stays.
	stmt, err := parseText("SELECT " + ast.String(e))
	if err != nil {
		return e
	}
	root := stmt.(*ast.Select).SelectExprs[0].(*ast.AliasedExpr).Expr
	type pair struct{ from, to ast.Expr }
	var pairs []pair
	_ = ast.Walk(func(node ast.SQLNode) (bool, error) {
		from, ok := node.(ast.Expr)
		if !ok {
			return true, nil
		}
		to := f(from)
		if to != nil && to != from {
			pairs = append(pairs, pair{from, to})
		}
		return to == nil, nil
	}, root)
	for _, p := range pairs {
		root = ast.ReplaceExpr(root, p.from, p.to)
	}
	return root
}

// postSQL is an item as SQL over the names of the layers' state columns.
func (d *definition) postSQL(e ast.Expr) string {
	return ast.String(d.replace(e, func(e ast.Expr) ast.Expr {
		if key := slices.IndexFunc(d.keys, func(k ast.Expr) bool { return sameExpr(k, e) }); key >= 0 {
			return &ast.ColName{Name: ast.NewColIdent(d.names[key])}
		}
		if f, ok := e.(*ast.FuncExpr); ok {
			if _, isAgg := aggregateFuncs[f.Name.Lowered()]; isAgg {
				return &ast.ColName{Name: ast.NewColIdent(aggColumn(d.aggregate(f)))}
			}
		}
		return nil
	}))
}

// post evaluates the expression over the values of a row.
func (r *rowExpr) post(values []column.Value) column.Value {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, f := range r.fields {
		r.row[f] = r.makers[k].make(values[f])
	}
	return r.value(r.row)
}
