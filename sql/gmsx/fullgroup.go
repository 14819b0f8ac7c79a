package gmsx

import (
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// engineRule finds a rule of the engine's that is not exported by its name. An
// engine without it is another than the one that this package mends: nothing
// would tell that its own rule stands beside ours, so it fails at once.
func engineRule(name string) analyzer.RuleId {
	for id := range analyzer.RuleId(ruleBase) {
		if id.String() == name {
			return id
		}
	}
	panic("gmsx: the engine has no rule " + name)
}

// fullGroups says what of an aggregated query has no one value in a group:
// under ONLY_FULL_GROUP_BY what is selected and sorted by must follow from the
// columns of GROUP BY; HAVING may name nothing else in any mode.
func fullGroups(ctx *gms.Context, n gms.Node) (gms.Node, error) {
	full := gms.LoadSqlMode(ctx).ModeEnabled(gms.OnlyFullGroupBy)
	return n, checkGroups(n, nil, full)
}

// checkGroups checks each GROUP BY in n. above is what stands over n in the
// same query, the outermost first.
func checkGroups(n gms.Node, above []gms.Node, full bool) error {
	switch g := n.(type) {
	case *plan.Project, *plan.Having, *plan.Sort, *plan.TopN, *plan.Distinct, *plan.Limit, *plan.Offset, *plan.Window:
		above = append(above, n)
	case *plan.GroupBy:
		if err := newGroupCheck(g, above).check(above, full); err != nil {
			return err
		}
		above = nil
	default:
		above = nil
	}
	for _, c := range n.Children() {
		if err := checkGroups(c, above, full); err != nil {
			return err
		}
	}
	return nil
}

// A groupCheck knows what has one value in each group of a GROUP BY.
type groupCheck struct {
	group   *plan.GroupBy
	tables  tables
	keys    map[string]bool // the expressions of GROUP BY
	aliases map[gms.ColumnId]gms.Expression
	ids     gms.ColSet // of columns that follow from the keys; made when asked for
	made    bool
}

func newGroupCheck(g *plan.GroupBy, above []gms.Node) *groupCheck {
	c := &groupCheck{group: g, tables: tablesBelow(g), keys: map[string]bool{}, aliases: map[gms.ColumnId]gms.Expression{}}
	for _, e := range g.GroupByExprs {
		c.keys[strings.ToLower(unalias(e).String())] = true
	}
	for _, n := range above {
		if p, ok := n.(*plan.Project); ok {
			for _, e := range p.Projections {
				if a, ok := e.(*expression.Alias); ok {
					c.aliases[a.Id()] = a.Child
				}
			}
		}
	}
	return c
}

func (c *groupCheck) check(above []gms.Node, full bool) error {
	selected := false
	var names map[gms.ColumnId]bool // of the columns that are selected as they are
	for _, n := range above {
		switch n := n.(type) {
		case *plan.Project:
			if selected {
				continue // what the outermost is made from
			}
			selected = true
			names = map[gms.ColumnId]bool{}
			for i, e := range n.Projections {
				if gf, ok := unalias(e).(*expression.GetField); ok {
					names[gf.Id()] = true
				}
				if gf := c.loose(e); gf != nil && full {
					return c.error("SELECT list", i, gf)
				}
			}
		case *plan.Sort:
			for i, f := range n.SortFields {
				if gf := c.loose(f.Column); gf != nil && full {
					return c.error("ORDER BY clause", i, gf)
				}
			}
		case *plan.Having:
			gf := c.loose(n.Cond)
			switch {
			case gf == nil:
			case !names[gf.Id()]:
				return Error(1054, "42S22", "Unknown column '%s' in 'having clause'", gf)
			case full:
				return Error(1463, "42000", "Non-grouping field '%s' is used in HAVING clause", gf)
			}
		}
	}
	return nil
}

func (c *groupCheck) error(clause string, at int, gf *expression.GetField) error {
	name := gf.String()
	if gf.Database() != "" {
		name = gf.Database() + "." + name
	}
	if len(c.group.GroupByExprs) == 0 {
		return Error(1140, "42000", "In aggregated query without GROUP BY, expression #%d of %s contains nonaggregated column '%s'; this is incompatible with sql_mode=only_full_group_by", at+1, clause, name)
	}
	return Error(1055, "42000", "Expression #%d of %s is not in GROUP BY clause and contains nonaggregated column '%s' which is not functionally dependent on columns in GROUP BY clause; this is incompatible with sql_mode=only_full_group_by", at+1, clause, name)
}

// loose is a column in e on which the rows of a group may differ; nil if there
// is none.
func (c *groupCheck) loose(e gms.Expression) *expression.GetField {
	e = unalias(e)
	if c.keys[strings.ToLower(e.String())] {
		return nil
	}
	switch e := e.(type) {
	case gms.Aggregation:
		return nil
	case *expression.GetField:
		if child, ok := c.aliases[e.Id()]; ok && child != nil {
			delete(c.aliases, e.Id()) // once is enough, and an alias may name itself
			gf := c.loose(child)
			if gf != nil {
				c.aliases[e.Id()] = child
			}
			return gf
		}
		if !c.tables.has(e) || c.dependent().Contains(e.Id()) {
			return nil
		}
		return e
	case *plan.Subquery:
		return c.looseIn(e)
	case *plan.ExistsSubquery:
		return c.looseIn(e.Query)
	}
	for _, child := range e.Children() {
		if gf := c.loose(child); gf != nil {
			return gf
		}
	}
	return nil
}

// looseIn looks at the columns of the outer query in a sub-query.
func (c *groupCheck) looseIn(s *plan.Subquery) *expression.GetField {
	var found *expression.GetField
	s.Correlated().ForEach(func(id gms.ColumnId) {
		if found == nil && !c.dependent().Contains(id) {
			found = outerColumn(s.Query, id, c.tables)
		}
	})
	return found
}

// dependent are the columns that follow from the keys.
func (c *groupCheck) dependent() gms.ColSet {
	if c.made {
		return c.ids
	}
	c.made = true
	for _, e := range c.group.GroupByExprs {
		if gf, ok := unalias(e).(*expression.GetField); ok {
			c.ids.Add(gf.Id())
		}
	}
	all := dependences(c.group.Child, c.tables)
	for grew := true; grew; {
		grew = false
		for _, d := range all {
			if d.from.SubsetOf(c.ids) && !d.to.SubsetOf(c.ids) {
				c.ids, grew = c.ids.Union(d.to), true
			}
		}
	}
	return c.ids
}

// A dependence says that rows with the same values of some columns have the
// same of others.
type dependence struct{ from, to gms.ColSet }

// dependences are those that hold for the rows of n: from keys, from conditions
// and from what is calculated.
func dependences(n gms.Node, t tables) (all []dependence) {
	set := func(ids ...gms.ColumnId) gms.ColSet { return gms.NewColSet(ids...) }
	equal := func(a, b gms.ColumnId) {
		all = append(all, dependence{set(a), set(b)}, dependence{set(b), set(a)})
	}
	outputs := func(exprs []gms.Expression) {
		for _, e := range exprs {
			a, ok := e.(*expression.Alias)
			if !ok || !movable(a.Child) {
				continue
			}
			all = append(all, dependence{idsIn(a.Child), set(a.Id())})
			if gf, ok := a.Child.(*expression.GetField); ok {
				equal(gf.Id(), a.Id())
			}
		}
	}
	conditions := func(e gms.Expression) {
		for _, cond := range expression.SplitConjunction(e) {
			eq, ok := cond.(*expression.Equals)
			if !ok {
				continue
			}
			for _, sides := range [][2]gms.Expression{{eq.Left(), eq.Right()}, {eq.Right(), eq.Left()}} {
				gf, ok := sides[0].(*expression.GetField)
				if !ok || !t.has(gf) || !movable(sides[1]) {
					continue
				}
				var from gms.ColSet
				gms.Inspect(sides[1], func(e gms.Expression) bool {
					if c, ok := e.(*expression.GetField); ok && t.has(c) {
						from.Add(c.Id())
					}
					return true
				})
				all = append(all, dependence{from, set(gf.Id())})
			}
		}
	}
	switch n := n.(type) {
	case *plan.Filter:
		conditions(n.Expression)
		return append(all, dependences(n.Child, t)...)
	case *plan.JoinNode:
		left, right := n.Left(), n.Right()
		switch {
		case n.Op.IsFullOuter():
			return append(keysIn(left), keysIn(right)...)
		case n.Op.IsLeftOuter():
			return append(dependences(left, t), keysIn(right)...)
		case n.Op.IsRightOuter():
			return append(keysIn(left), dependences(right, t)...)
		}
		if n.Filter != nil {
			conditions(n.Filter)
		}
		return append(append(all, dependences(left, t)...), dependences(right, t)...)
	case *plan.Project:
		outputs(n.Projections)
	case *plan.GroupBy:
		outputs(n.SelectedExprs)
		var from, to gms.ColSet
		plain := true
		for _, e := range n.GroupByExprs {
			ie, ok := e.(gms.IdExpression)
			plain = plain && ok
			if ok {
				from.Add(ie.Id())
			}
		}
		for _, e := range n.SelectedExprs {
			if ie, ok := e.(gms.IdExpression); ok {
				to.Add(ie.Id())
			}
		}
		if plain {
			all = append(all, dependence{from, to})
		}
	case *plan.SubqueryAlias:
		inner, ok := outputIDs(n.Child)
		if !ok || len(inner) != n.Columns().Len() {
			return nil
		}
		i := 0
		n.Columns().ForEach(func(id gms.ColumnId) {
			equal(inner[i], id)
			i++
		})
		return append(all, dependences(n.Child, tablesBelow(n))...)
	case plan.TableIdNode:
		return keysIn(n)
	}
	for _, c := range n.Children() {
		all = append(all, dependences(c, t)...)
	}
	return all
}

// keysIn are the dependences of the columns of tables in n on their keys, which
// hold for rows without a partner in an outer join too.
func keysIn(n gms.Node) (all []dependence) {
	t, ok := n.(plan.TableIdNode)
	if !ok {
		for _, c := range n.Children() {
			all = append(all, keysIn(c)...)
		}
		return all
	}
	if _, ok := n.(*plan.SubqueryAlias); ok {
		return nil
	}
	schema := t.Schema()
	cols := t.Columns()
	if cols.Len() != len(schema) {
		return nil
	}
	var key gms.ColSet
	i := 0
	cols.ForEach(func(id gms.ColumnId) {
		if schema[i].PrimaryKey {
			key.Add(id)
		}
		i++
	})
	if key.Len() == 0 {
		return nil
	}
	return []dependence{{key, cols}}
}

// idsIn are the columns in e.
func idsIn(e gms.Expression) (ids gms.ColSet) {
	gms.Inspect(e, func(e gms.Expression) bool {
		if gf, ok := e.(*expression.GetField); ok {
			ids.Add(gf.Id())
		}
		return true
	})
	return ids
}

// outerColumn is the column with this id in a sub-query, if it is of one of the
// tables.
func outerColumn(n gms.Node, id gms.ColumnId, t tables) (found *expression.GetField) {
	inspectDeep(n, func(e gms.Expression) {
		if gf, ok := e.(*expression.GetField); ok && gf.Id() == id && t.has(gf) {
			found = gf
		}
	})
	return found
}

// inspectDeep calls f for all expressions in n, those of sub-queries too.
func inspectDeep(n gms.Node, f func(gms.Expression)) {
	if e, ok := n.(gms.Expressioner); ok {
		for _, e := range e.Expressions() {
			gms.Inspect(e, func(e gms.Expression) bool {
				if e == nil {
					return false
				}
				f(e)
				switch s := e.(type) {
				case *plan.Subquery:
					inspectDeep(s.Query, f)
				case *plan.ExistsSubquery:
					inspectDeep(s.Query.Query, f)
				}
				return true
			})
		}
	}
	for _, c := range n.Children() {
		inspectDeep(c, f)
	}
}
