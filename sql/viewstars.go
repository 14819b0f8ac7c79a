package sql

import (
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/gmsx"
)

// frozenSelect is the SELECT of a view with the columns in the place of each *,
// as MySQL has it when a view is made: what its tables get later is not in it.
// query is its syntax, which becomes that too.
func (s *Server) frozenSelect(ctx *gms.Context, query ast.SelectStatement, text string) (string, error) {
	schema, err := s.boundSchema(ctx, text)
	if err != nil {
		return text, nil //nolint:nilerr // a new view was planned before; one that is renamed may be broken, and has no * left
	}
	names := make([]string, len(schema))
	for i, c := range schema {
		names[i] = c.Name
	}
	x := &starNamer{s: s, ctx: ctx}
	if err := x.statement(query, nil); err != nil || !x.found {
		return text, err
	}
	frozen := ast.String(query)
	if schema, err = s.boundSchema(ctx, frozen); err != nil || !slices.EqualFunc(schema, names, func(c *gms.Column, name string) bool { return c.Name == name }) {
		return "", gmsx.Error(1235, "42000", "weir cannot tell what * stands for in this view: write the columns instead")
	}
	return frozen, nil
}

// boundSchema are the columns of a SELECT.
func (s *Server) boundSchema(ctx *gms.Context, query string) (gms.Schema, error) {
	e := s.engine.Engine()
	n, _, _, _, err := planbuilder.New(ctx, e.Analyzer.Catalog, nil, e.Parser).Parse(query, nil, false)
	if err != nil {
		return nil, err
	}
	return n.Schema(), nil
}

type starNamer struct {
	s     *Server
	ctx   *gms.Context
	found bool
}

// statement names the stars of a SELECT or UNION. with are the common table
// expressions around it.
func (x *starNamer) statement(n ast.SelectStatement, with []*ast.With) error {
	switch n := n.(type) {
	case *ast.ParenSelect:
		return x.statement(n.Select, with)
	case *ast.SetOp:
		with, err := x.with(n.With, with)
		if err != nil {
			return err
		}
		if err := x.statement(n.Left, with); err != nil {
			return err
		}
		return x.statement(n.Right, with)
	case *ast.Select:
		with, err := x.with(n.With, with)
		if err != nil {
			return err
		}
		if err := x.from(n.From, with); err != nil {
			return err
		}
		return x.list(n, with)
	}
	return nil
}

// with names the stars of common table expressions, and adds these to those around.
func (x *starNamer) with(own *ast.With, around []*ast.With) ([]*ast.With, error) {
	if own == nil {
		return around, nil
	}
	for i, c := range own.Ctes {
		sub, ok := c.Expr.(*ast.Subquery)
		if !ok {
			continue
		}
		before := around
		if own.Recursive {
			before = append(before[:len(before):len(before)], own)
		} else if i > 0 {
			before = append(before[:len(before):len(before)], &ast.With{Ctes: own.Ctes[:i]})
		}
		if err := x.statement(sub.Select, before); err != nil {
			return nil, err
		}
	}
	return append(around[:len(around):len(around)], own), nil
}

// from names the stars of derived tables.
func (x *starNamer) from(list ast.TableExprs, with []*ast.With) error {
	for _, t := range list {
		var err error
		switch t := t.(type) {
		case *ast.AliasedTableExpr:
			if sub, ok := t.Expr.(*ast.Subquery); ok {
				err = x.statement(sub.Select, with)
			}
		case *ast.JoinTableExpr:
			err = x.from(ast.TableExprs{t.LeftExpr, t.RightExpr}, with)
		case *ast.ParenTableExpr:
			err = x.from(t.Exprs, with)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// list names the stars of a select list by asking for them alone.
func (x *starNamer) list(n *ast.Select, with []*ast.With) error {
	var out ast.SelectExprs
	for _, e := range n.SelectExprs {
		star, ok := e.(*ast.StarExpr)
		if !ok {
			// What has no name has its text for one, which is about to change.
			if a, ok := e.(*ast.AliasedExpr); ok && a.As.IsEmpty() && a.InputExpression != "" {
				if _, plain := a.Expr.(*ast.ColName); !plain {
					a.As = ast.NewColIdent(a.InputExpression)
				}
			}
			out = append(out, e)
			continue
		}
		x.found = true
		columns, err := x.columns(star, n.From, with)
		if err != nil {
			return err
		}
		out = append(out, columns...)
	}
	n.SelectExprs = out
	return nil
}

// columns are those that a star stands for, each under its own name.
func (x *starNamer) columns(star *ast.StarExpr, from ast.TableExprs, with []*ast.With) (ast.SelectExprs, error) {
	all := &ast.With{}
	for _, w := range with {
		all.Recursive = all.Recursive || w.Recursive
		for _, c := range w.Ctes { // an inner one hides an outer one of its name
			all.Ctes = slices.DeleteFunc(all.Ctes, func(o *ast.CommonTableExpr) bool { return strings.EqualFold(o.As.String(), c.As.String()) })
			all.Ctes = append(all.Ctes, c)
		}
	}
	alone := &ast.Select{SelectExprs: ast.SelectExprs{star}, From: from, Limit: &ast.Limit{Rowcount: ast.NewIntVal([]byte("0"))}}
	if len(all.Ctes) > 0 {
		alone.With = all
	}
	schema, err := x.s.boundSchema(x.ctx, ast.String(alone))
	if err != nil {
		return nil, err
	}
	var out ast.SelectExprs
	for _, c := range schema {
		name := &ast.ColName{Name: ast.NewColIdent(c.Name)}
		if c.Source != "" {
			name.Qualifier = ast.TableName{Name: ast.NewTableIdent(c.Source)}
		}
		out = append(out, &ast.AliasedExpr{Expr: name, As: ast.NewColIdent(c.Name)})
	}
	return out, nil
}
