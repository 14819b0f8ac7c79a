package sql

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/gmsx"
	"weir/views"
	"weir/views/partial"
)

// servingSQL is the definition of v as SQL that runs: the UNION ALL of its
// layers, aggregated again by the group key.
func servingSQL(v *views.View) string {
	p := v.Plan()
	name := v.Def().Name
	if p.Projection {
		var cols []string
		for _, o := range p.Outputs {
			cols = append(cols, quote(o.Name))
		}
		list := strings.Join(cols, ", ")
		return unionSQL(name, list)
	}
	var inner, outer []string
	post := false
	for _, o := range p.Outputs {
		post = post || o.Post != nil
	}
	merged := map[int]string{} // how the inner SELECT calls each aggregate
	for _, o := range p.Outputs {
		switch {
		case o.Key >= 0:
			inner = append(inner, quote(o.Name))
			outer = append(outer, quote(o.Name))
		case o.Agg >= 0:
			inner = append(inner, mergeSQL(p, o.Agg)+" AS "+quote(o.Name))
			outer = append(outer, quote(o.Name))
			merged[o.Agg] = o.Name
		default:
			outer = append(outer, o.PostSQL+" AS "+quote(o.Name))
		}
	}
	if post {
		for a := range p.Aggs {
			if !p.Aggs[a].Hidden {
				inner = append(inner, mergeSQL(p, a)+" AS "+quote(aggColumn(a)))
			}
		}
	}
	var layers []string
	for _, c := range p.Columns(views.Batch) {
		layers = append(layers, quote(c.Name))
	}
	text := fmt.Sprintf("SELECT %s FROM (%s) AS layers", strings.Join(inner, ", "), unionSQL(name, strings.Join(layers, ", ")))
	if len(p.Keys) > 0 {
		var keys []string
		for _, k := range p.Keys {
			keys = append(keys, quote(k.Name))
		}
		text += " GROUP BY " + strings.Join(keys, ", ")
	}
	if post {
		text = fmt.Sprintf("SELECT %s FROM (%s) AS merged", strings.Join(outer, ", "), text)
	}
	return text
}

// unionSQL selects columns from the layers of a view: of the speed layer, what
// batch has not covered.
func unionSQL(name, columns string) string {
	return fmt.Sprintf("SELECT %s FROM %s UNION ALL SELECT %s FROM %s WHERE %s = 1",
		columns, quote(name+"_batch"), columns, quote(name+"_speed"), quote(views.ServingColumn))
}

// mergeSQL is how aggregate a is combined from the columns of the layers.
func mergeSQL(p *views.ViewPlan, a int) string {
	// The columns that show it: its value, and the parts of its state.
	var whole string
	parts := map[views.Part]string{}
	for _, c := range p.Columns(views.Batch) {
		if c.Agg != a {
			continue
		}
		if c.Part == views.Whole {
			if whole == "" {
				whole = quote(c.Name)
			}
		} else {
			parts[c.Part] = quote(c.Name)
		}
	}
	spec := p.Aggs[a].Spec
	switch spec.Func {
	case partial.CountAll, partial.Count:
		return "CAST(SUM(" + whole + ") AS SIGNED)"
	case partial.Min:
		return "MIN(" + whole + ")"
	case partial.Max:
		return "MAX(" + whole + ")"
	case partial.Avg:
		return "MERGE_AVG(" + parts[views.PartSum] + ", " + parts[views.PartCount] + ")"
	case partial.BitAnd:
		return "BIT_AND(" + whole + ")"
	case partial.BitOr:
		return "BIT_OR(" + whole + ")"
	case partial.BitXor:
		return "BIT_XOR(" + whole + ")"
	default:
		for name, m := range mergeFuncs {
			if m.f == spec.Func {
				return m.call(name, parts[views.PartStored], strconv.FormatFloat(spec.Param, 'f', -1, 64), spec.Arg.SQL)
			}
		}
		return "SUM(" + whole + ")"
	}
}

// showServing is SHOW CREATE VIEW of a materialized view.
type showServing struct{ view *views.View }

var _ gmsx.Statement = (*showServing)(nil)

// Schema implements gmsx.Statement: as MySQL has it.
func (s *showServing) Schema() gms.Schema {
	return textSchema("View", "Create View", "character_set_client", "collation_connection")
}

// ReadOnly implements gmsx.Statement.
func (s *showServing) ReadOnly() bool { return true }

// Access implements gmsx.Statement.
func (s *showServing) Access() gmsx.Access {
	return gmsx.Access{Privilege: gmsx.PrivilegeSelect, Database: s.view.Def().Database, Table: s.view.Def().Name}
}

// RowIter implements gmsx.Statement.
func (s *showServing) RowIter(*gms.Context) (gms.RowIter, error) {
	text := "CREATE VIEW " + quote(s.view.Def().Name) + " AS " + servingSQL(s.view)
	return gms.RowsToRowIter(gms.Row{s.view.Def().Name, text, "utf8mb4", "utf8mb4_0900_bin"}), nil
}

// parseShowView recognises SHOW CREATE VIEW of a materialized view, which the
// engine takes for a table.
func (s *Server) parseShowView(query, database string) gmsx.Statement {
	if len(query) < len("show") || !strings.EqualFold(query[:len("show")], "show") {
		return nil
	}
	stmt, err := ast.Parse(query)
	if err != nil {
		return nil
	}
	show, ok := stmt.(*ast.Show)
	if !ok || !strings.EqualFold(show.Type, "create view") {
		return nil
	}
	db := cmp.Or(show.Table.DbQualifier.String(), database, views.DefaultDatabase)
	v, err := s.cfg.Engine.View(db, show.Table.Name.String())
	if err != nil {
		return nil
	}
	return &showServing{view: v}
}
