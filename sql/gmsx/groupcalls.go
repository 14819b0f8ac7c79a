package gmsx

import (
	"reflect"
	"strconv"

	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// checkGroupCalls refuses aggregates where there are no groups yet: in WHERE
// and in GROUP BY. The engine fails of them later, without saying why.
func (p *parser) checkGroupCalls(s *ast.Select) error {
	if s.Where != nil && p.aggregateIn(s.Where.Expr) {
		return Error(1111, "HY000", "Invalid use of group function: WHERE chooses rows before they are grouped; use HAVING")
	}
	if p.nestedAggregate(s.SelectExprs) || p.nestedAggregate(s.OrderBy) || s.Having != nil && p.nestedAggregate(s.Having.Expr) {
		return Error(1111, "HY000", "Invalid use of group function: an aggregate of an aggregate needs a derived table between them")
	}
	for _, e := range s.GroupBy {
		if p.aggregateIn(e) {
			return Error(1111, "HY000", "Invalid use of group function: GROUP BY makes the groups that an aggregate is of")
		}
		var of *ast.AliasedExpr
		switch e := e.(type) {
		case *ast.SQLVal:
			at, err := strconv.Atoi(string(e.Val))
			if e.Type != ast.IntVal || err != nil || hasStar(s.SelectExprs) {
				continue
			}
			if at < 1 || at > len(s.SelectExprs) {
				return Error(1054, "42S22", "Unknown column '%s' in 'group statement'", e.Val)
			}
			of, _ = s.SelectExprs[at-1].(*ast.AliasedExpr)
		case *ast.ColName:
			if !e.Qualifier.IsEmpty() {
				continue
			}
			for _, x := range s.SelectExprs {
				if a, ok := x.(*ast.AliasedExpr); ok && a.As.Equal(e.Name) {
					of = a
				}
			}
			if of != nil && len(s.From) > 0 && !p.aggregateIn(of.Expr) {
				continue
			}
			if of != nil && namesColumn(of.Expr, e.Name) {
				continue // MAX(x) AS x … GROUP BY x may be the column
			}
		}
		if of != nil && p.aggregateIn(of.Expr) {
			name := of.As.String()
			if name == "" {
				name = columnName(of)
			}
			return Error(1056, "42000", "Can't group on '%s'", name)
		}
	}
	return nil
}

// nameInHaving makes an alias in HAVING the aggregate that it stands for: of
// SUM(n) AS n … HAVING n > 1, the engine takes n for the column, and the value
// of one row. A column of GROUP BY comes first.
func (p *parser) nameInHaving(s *ast.Select) {
	if s.Having == nil {
		return
	}
	grouped := map[string]bool{}
	for _, e := range s.GroupBy {
		if c, ok := e.(*ast.ColName); ok {
			grouped[c.Name.Lowered()] = true
		}
	}
	aliases := map[string]ast.Expr{}
	for _, e := range s.SelectExprs {
		if a, ok := e.(*ast.AliasedExpr); ok && !a.As.IsEmpty() && !grouped[a.As.Lowered()] && p.aggregateIn(a.Expr) {
			aliases[a.As.Lowered()] = a.Expr
		}
	}
	if len(aliases) == 0 {
		return
	}
	within := map[*ast.ColName]bool{} // arguments of aggregates, and sub-queries: there, names are columns
	_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
		_, own := n.(*ast.Subquery)
		if f, ok := n.(*ast.FuncExpr); ok {
			own = p.aggregate(f)
		}
		if _, ok := n.(*ast.GroupConcatExpr); ok {
			own = true
		}
		if own {
			_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
				if c, ok := n.(*ast.ColName); ok {
					within[c] = true
				}
				return true, nil
			}, n)
		}
		return !own, nil
	}, s.Having.Expr)
	replaceExprs(reflect.ValueOf(s.Having), func(e ast.Expr) ast.Expr {
		if c, ok := e.(*ast.ColName); ok && c.Qualifier.IsEmpty() && !within[c] {
			if of, ok := aliases[c.Name.Lowered()]; ok {
				return of
			}
		}
		return e
	})
}

func hasStar(exprs ast.SelectExprs) bool {
	for _, e := range exprs {
		if _, ok := e.(*ast.StarExpr); ok {
			return true
		}
	}
	return false
}

// namesColumn says whether a column of this name is in e.
func namesColumn(e ast.Expr, name ast.ColIdent) bool {
	found := false
	_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
		if c, ok := n.(*ast.ColName); ok && c.Name.Equal(name) {
			found = true
		}
		return !found, nil
	}, e)
	return found
}

// aggregateIn says whether e has an aggregate of its own query.
func (p *parser) aggregateIn(e ast.Expr) bool {
	found := false
	_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
		switch n := n.(type) {
		case *ast.Subquery:
			return false, nil
		case *ast.GroupConcatExpr:
			found = true
		case *ast.FuncExpr:
			found = found || n.Over == nil && p.aggregate(n)
		}
		return !found, nil
	}, e)
	return found
}

// countIn says whether e, which is of no sub-query, has an aggregate of no column,
// as COUNT(*), which is no outer query's.
func (p *parser) countIn(e ast.Expr) (found bool) {
	_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
		switch n := n.(type) {
		case *ast.Subquery:
			return false, nil
		case *ast.FuncExpr:
			if n.Over != nil || !p.aggregate(n) {
				break
			}
			columns := false
			_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
				switch n.(type) {
				case *ast.ColName, *ast.Subquery:
					columns = true
				}
				return !columns, nil
			}, n.Exprs)
			found = found || !columns
		}
		return !found, nil
	}, e)
	return found
}

// nestedAggregate says whether an aggregate in n, which is of no sub-query, is of
// an aggregate. Windows may be of aggregates.
func (p *parser) nestedAggregate(n ast.SQLNode) (found bool) {
	_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
		switch n := n.(type) {
		case *ast.Subquery:
			return false, nil
		case *ast.FuncExpr:
			if n.Over == nil && p.aggregate(n) {
				for _, x := range n.Exprs {
					if a, ok := x.(*ast.AliasedExpr); ok {
						found = found || p.aggregateIn(a.Expr)
					}
				}
			}
		}
		return !found, nil
	}, n)
	return found
}

// aggregate says whether f is the call of an aggregate.
func (p *parser) aggregate(f *ast.FuncExpr) bool {
	name := f.Name.Lowered()
	return p.names[name] || engineAggregates[name]
}

// engineAggregates are those that are not ours.
var engineAggregates = map[string]bool{
	"any_value": true, "bit_and": true, "bit_or": true, "bit_xor": true, "count": true, "group_concat": true, "json_arrayagg": true, "json_objectagg": true,
	"max": true, "min": true, "std": true, "stddev": true, "stddev_pop": true, "stddev_samp": true, "var_pop": true, "var_samp": true, "variance": true,
}
