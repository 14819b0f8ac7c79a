package sql

import (
	"fmt"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/gmsx"
	"weir/views"
)

// explain is EXPLAIN of a SELECT, an UPDATE or a DELETE: as MySQL's table, with a row for each table
// that is read, or with FORMAT=TREE (EXPLAIN PLAN) as the plan. The serving
// view shows as what it is: both of its layers, merged.
type explain struct {
	server *Server
	query  string // the statement, which is planned and not run
	tree   bool
}

var _ gmsx.Statement = (*explain)(nil)

// parseExplain recognises EXPLAIN and its synonyms before a SELECT, an UPDATE or
// a DELETE; nil for
// anything else, EXPLAIN ANALYZE among it, which the engine does.
func (s *Server) parseExplain(query string) gmsx.Statement {
	word, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "explain", "describe", "desc":
	default:
		return nil
	}
	stmt, err := ast.Parse(query)
	if err != nil {
		return nil
	}
	e, ok := stmt.(*ast.Explain)
	if !ok || e.Analyze || e.ExplainFormat != "" && !strings.EqualFold(e.ExplainFormat, ast.TreeStr) {
		return nil
	}
	words := []string{"select", "with"}
	switch e.Statement.(type) {
	case ast.SelectStatement:
	case *ast.Update:
		words = []string{"update"}
	case *ast.Delete:
		words = []string{"delete"}
	default:
		return nil
	}
	at := -1
	for _, w := range words {
		if i := strings.Index(strings.ToLower(query), w); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	return &explain{server: s, query: query[at:], tree: e.Plan || e.ExplainFormat != ""}
}

// Schema implements gmsx.Statement.
func (e *explain) Schema() gms.Schema {
	if e.tree {
		return textSchema("plan")
	}
	s := make(gms.Schema, len(plan.DescribeSchema))
	for i, c := range plan.DescribeSchema {
		cp := *c
		cp.Nullable = true
		s[i] = &cp
	}
	return s
}

// ReadOnly implements gmsx.Statement.
func (e *explain) ReadOnly() bool { return true }

// Access implements gmsx.Statement: planning the SELECT asks for the rights it needs.
func (e *explain) Access() gmsx.Access { return gmsx.Access{} }

// RowIter implements gmsx.Statement.
func (e *explain) RowIter(ctx *gms.Context) (gms.RowIter, error) {
	read := gmsx.Explaining(ctx)
	n, err := e.server.engine.Engine().AnalyzeQuery(ctx, e.query)
	if err != nil {
		return nil, err
	}
	if !e.tree {
		return gms.RowsToRowIter(explainTable(ctx, n, read())...), nil
	}
	text, err := planText(ctx, n)
	if err != nil {
		return nil, err
	}
	for _, r := range read() {
		query, err := planText(ctx, r.Query)
		if err != nil {
			return nil, err
		}
		pr := gms.NewTreePrinter()
		_ = pr.WriteNode("ReadFirst")
		_ = pr.WriteChildren(fmt.Sprintf("values: %d", r.Values), query)
		text += "\n" + strings.TrimRight(pr.String(), "\n")
	}
	var rows []gms.Row
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		line = strings.TrimRight(line, "\n")
		if runes := []rune(line); len(runes) > lineShown {
			line = string(runes[:lineShown]) + "…"
		}
		rows = append(rows, gms.Row{line})
	}
	return gms.RowsToRowIter(rows...), nil
}

// lineShown is how much of a line of a plan is shown: there may be thousands of
// ranges in it.
const lineShown = 500

// planText prints a plan.
func planText(ctx *gms.Context, n gms.Node) (string, error) {
	n, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		switch t := n.(type) {
		case *aggregate:
			t.access.rows, t.access.kept = t.access.rowsRead(ctx), t.access.isKept(ctx, t.pass(true))
			return n, transform.SameTree, nil
		case *topRows:
			t.access.rows, t.access.kept = t.access.rowsRead(ctx), t.access.isKept(ctx, t.pass(true))
			return n, transform.SameTree, nil
		}
		if a, ok := accessNode(n); ok {
			return &shownAccess{Node: n, rows: a.rowsRead(ctx)}, transform.NewTree, nil
		}
		return n, transform.SameTree, nil
	})
	if err != nil {
		return "", err
	}
	return strings.TrimRight(n.String(), "\n"), nil
}

// accessNode returns the access to a relation of a view that n itself is,
// also one whose ranges are known only when it runs.
func accessNode(n gms.Node) (*tableAccess, bool) {
	switch n := n.(type) {
	case *plan.ResolvedTable:
		a := accessOf(n)
		return a, a != nil
	case *plan.IndexedTableAccess:
		t, ok := n.UnderlyingTable().(*viewTable)
		return &tableAccess{table: t, node: n}, ok
	default:
		return nil, false
	}
}

// describe are the lines of a plan that say what is read, and of it what is taken.
func (a *tableAccess) describe() []string {
	var lines []string
	if len(a.filter) > 0 {
		lines = append(lines, "filter: "+strings.Join(a.shown, " AND "))
	}
	if a.kept {
		lines = append(lines, "reads: columns kept in memory, and the rows that changed since")
	}
	return append(lines, describeAccess(a.node, a.rows))
}

// isKept says whether a pass would be over columns that are kept in memory.
func (a *tableAccess) isKept(ctx *gms.Context, p *pass) bool {
	if a.stream != nil {
		return false
	}
	snap, err := readSet(ctx).Snapshot(a.table.view)
	if err != nil {
		return false
	}
	ranges, err := a.ranges(ctx)
	if err != nil {
		return false
	}
	p.open(ctx)
	return snap.Keeps(a.table.layout(p.cols, p.narrows), ranges)
}

// shownAccess prints an access to a relation of a view.
type shownAccess struct {
	gms.Node
	rows string
}

func (s *shownAccess) String() string { return describeAccess(s.Node, s.rows) }

// rowsExact bounds the rows that EXPLAIN counts.
const rowsExact = 10_000

// rowsRead says how many rows an access reads at most, or "" where that depends
// on the rows of another. A LIMIT above makes it fewer.
func (a *tableAccess) rowsRead(ctx *gms.Context) string {
	n, exact, ok := a.countRows(ctx)
	switch {
	case !ok:
		return ""
	case exact:
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("at most %d", n)
}

func (a *tableAccess) countRows(ctx *gms.Context) (n uint64, exact, ok bool) {
	if a.stream != nil {
		return 0, false, false
	}
	if ita, is := a.node.(*plan.IndexedTableAccess); is && a.lookup == nil {
		if !ita.IsStatic() {
			return 0, false, false
		}
		lookup, err := ita.GetLookup(ctx, nil)
		if err != nil {
			return 0, false, false
		}
		a.lookup = &lookup
	}
	snap, err := readSet(ctx).Snapshot(a.table.view)
	if err != nil {
		return 0, false, false
	}
	ranges, err := a.ranges(ctx)
	if err != nil {
		return 0, false, false
	}
	if n, err = snap.CountRanges(ctx, a.table.layer, ranges, rowsExact); err != nil {
		return 0, false, false
	}
	if n < rowsExact {
		return n, true, true
	}
	return max(n, snap.Estimate(a.table.layer)), false, true
}

// describeAccess prints an access to a relation of a view: to the serving view
// as the merge of accesses to both layers, each with the same condition.
func describeAccess(n gms.Node, rows string) string {
	a, ok := accessNode(n)
	text := strings.TrimRight(n.String(), "\n")
	if !ok {
		return text
	}
	var children []string
	name := "Layer"
	switch a.table.layer {
	case views.Serving:
		name = "Merge"
		children = []string{ofLayer(text, a.table.name, "_batch"), ofLayer(text, a.table.name, "_speed")}
	default:
		children = []string{text}
	}
	if a.table.hinted != "" {
		children = append([]string{"seeks: " + a.table.hinted}, children...)
	}
	if rows != "" {
		children = append([]string{"rows: " + rows}, children...)
	}
	pr := gms.NewTreePrinter()
	_ = pr.WriteNode("%s(%s)", name, a.table.name)
	_ = pr.WriteChildren(children...)
	return strings.TrimRight(pr.String(), "\n")
}

// ofLayer is the text of an access with the name of a layer's table.
func ofLayer(text, name, suffix string) string {
	text = strings.ReplaceAll(text, "("+name+")", "("+name+suffix+")")
	text = strings.ReplaceAll(text, "name: "+name, "name: "+name+suffix)
	text = strings.ReplaceAll(text, "["+name+".", "["+name+suffix+".")
	return strings.ReplaceAll(text, ","+name+".", ","+name+suffix+".")
}
