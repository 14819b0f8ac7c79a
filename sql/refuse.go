package sql

import (
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// knownAggregates are names that are aggregates, but not of definitions, with
// the way out.
var knownAggregates = map[string]string{
	"json_arrayagg":  "it keeps every value, so it grows with the events; query the stream itself for it",
	"json_objectagg": "it keeps every value, so it grows with the events; query the stream itself for it",
	"group_concat":   "it keeps every value, so it grows with the events; query the stream itself for it",
}

// volatileFuncs are functions whose value depends on when, where or by whom
// they are called, beside those that the engine itself marks.
var volatileFuncs = map[string]bool{
	"now": true, "current_timestamp": true, "localtime": true, "localtimestamp": true, "sysdate": true,
	"curdate": true, "current_date": true, "curtime": true, "current_time": true, "utc_timestamp": true, "utc_date": true, "utc_time": true,
	"rand": true, "uuid": true, "uuid_short": true, "sleep": true, "connection_id": true, "user": true, "current_user": true,
	"session_user": true, "system_user": true, "database": true, "schema": true, "last_insert_id": true, "row_count": true,
	"found_rows": true, "get_lock": true, "release_lock": true, "is_free_lock": true, "is_used_lock": true, "release_all_locks": true,
	"load_file": true, "version": true, "benchmark": true, "random_bytes": true, "wait_for_seq": true, "current_role": true, "convert_tz": false,
}

// refuseIn returns an error for what no expression of a definition may contain.
// place is what the expression is of, for the error.
func refuseIn(e ast.Expr, place string) error {
	return ast.Walk(func(node ast.SQLNode) (bool, error) {
		switch n := node.(type) {
		case *ast.Subquery, *ast.ExistsExpr:
			return false, refused("a subquery is not possible in %s: it would need events of other times; make a view of its own and join when reading", place)
		case *ast.GroupConcatExpr:
			return false, refused("GROUP_CONCAT is not possible in %s: %s", place, knownAggregates["group_concat"])
		case *ast.Default, *ast.ValuesFuncExpr, *ast.MatchExpr:
			return false, refused("%s is not possible in %s", ast.String(n), place)
		case *ast.SQLVal:
			if n.Type == ast.ValArg {
				return false, refused("a parameter is not possible in %s: write the value out", place)
			}
		case *ast.ColName:
			if name := n.Name.String(); strings.HasPrefix(name, "@") {
				return false, refused("the variable %s is not possible in %s: its value may change; write the value out", name, place)
			}
		case *ast.FuncExpr:
			return true, refuseFunc(n, place)
		}
		return true, nil
	}, e)
}

func refuseFunc(n *ast.FuncExpr, place string) error {
	name := n.Name.Lowered()
	if n.Over != nil {
		return refused("a window function (%s … OVER) is not possible in %s: use it when reading the view", strings.ToUpper(name), place)
	}
	if volatileFuncs[name] || name == "unix_timestamp" && len(n.Exprs) == 0 {
		return volatileError(strings.ToUpper(name)+"()", place)
	}
	if name == hopName {
		return errHopPlace
	}
	if why, ok := knownAggregates[name]; ok {
		return refused("%s is not possible in %s: %s", strings.ToUpper(name), place, why)
	}
	return nil
}

func volatileError(name, place string) error {
	return refused("%s is not possible in %s: its value changes from one run to the next, and a rebuild would give other rows; use a column of the event, or _time, when the log received it", name, place)
}

// refuseVolatile returns an error where the engine says that an expression may
// have another value each time.
func refuseVolatile(e gms.Expression) (err error) {
	gms.Inspect(e, func(e gms.Expression) bool {
		if n, ok := e.(gms.NonDeterministicExpression); ok && n.IsNonDeterministic() {
			err = volatileError(e.String(), "a definition")
		}
		return err == nil
	})
	return err
}

// aggregatesIn returns the calls of aggregates in e, the outermost ones.
func aggregatesIn(e ast.Expr) (calls []*ast.FuncExpr) {
	_ = ast.Walk(func(node ast.SQLNode) (bool, error) {
		f, ok := node.(*ast.FuncExpr)
		if !ok {
			return true, nil
		}
		if _, ok := aggregateFuncs[f.Name.Lowered()]; ok {
			calls = append(calls, f)
			return false, nil
		}
		return true, nil
	}, e)
	return calls
}

// refuseClauses returns an error for what a definition's SELECT may not have.
func refuseClauses(sel *ast.Select) error {
	const read = "apply it when reading the view"
	switch {
	case sel.With != nil:
		return refused("WITH is not possible in a materialized view: a definition reads one stream")
	case sel.QueryOpts.Distinct:
		return refused("SELECT DISTINCT is not possible in a materialized view: GROUP BY the columns instead")
	case sel.Having != nil:
		return refused("HAVING is not possible in a materialized view: a group that fails it now may pass it after the next event; filter when reading: SELECT … FROM the view WHERE …")
	case len(sel.OrderBy) > 0:
		return refused("ORDER BY is not possible in a materialized view: its rows are kept in the order of the group key; %s", read)
	case sel.Limit != nil:
		return refused("LIMIT is not possible in a materialized view: %s", read)
	case len(sel.Window) > 0:
		return refused("WINDOW is not possible in a materialized view: %s", read)
	case sel.Into != nil:
		return refused("INTO is not possible in a materialized view")
	case sel.Lock != "":
		return refused("FOR UPDATE is not possible in a materialized view")
	}
	return nil
}

// streamOf returns the one stream that a definition reads, and the name under
// which its expressions know it.
func streamOf(sel *ast.Select) (name ast.TableName, alias string, err error) {
	if len(sel.From) != 1 {
		if len(sel.From) == 0 {
			return name, "", coded(1096, "HY000", "the definition needs FROM and the stream it reads")
		}
		return name, "", joinError()
	}
	t, ok := sel.From[0].(*ast.AliasedTableExpr)
	if !ok {
		if _, join := sel.From[0].(*ast.JoinTableExpr); join {
			return name, "", joinError()
		}
		return name, "", refused("a definition reads FROM one stream, not from %s", ast.String(sel.From[0]))
	}
	name, ok = t.Expr.(ast.TableName)
	if !ok {
		return name, "", refused("a subquery in FROM is not possible in a materialized view: a definition reads one stream")
	}
	if name.Name.String() == "dual" {
		return name, "", coded(1096, "HY000", "the definition needs FROM and the stream it reads")
	}
	if alias = t.As.String(); alias == "" {
		alias = name.Name.String()
	}
	return name, alias, nil
}

func joinError() error {
	return refused("a join is not possible in a materialized view: make one view for each stream and join them when reading")
}
