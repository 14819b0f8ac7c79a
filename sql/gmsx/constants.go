package gmsx

import (
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// alignConstants gives the columns of a UNION of constants the same type in
// each branch, where all are integers or all are texts. Drivers send such lists
// of what types there are, and the engine takes time exponential in the number
// of branches, to the base of the columns, where types differ.
func alignConstants(s *ast.SetOp) {
	if !isUnion(s.Type) {
		return
	}
	branches := unionBranches(s)
	if len(branches) < balanceFrom {
		return
	}
	rows := make([][]*ast.AliasedExpr, len(branches))
	for i, b := range branches {
		if rows[i] = constants(b); rows[i] == nil || len(rows[i]) != len(rows[0]) {
			return
		}
	}
	for col := range rows[0] {
		kind := ""
		for _, r := range rows {
			switch k := constantKind(r[col].Expr); {
			case k == "":
				return
			case k == "null" || k == kind:
			case kind == "":
				kind = k
			default:
				kind = "mixed"
			}
		}
		to := map[string]string{"int": "SIGNED", "text": "CHAR"}[kind]
		if to == "" {
			continue
		}
		for _, r := range rows {
			if r[col].As.IsEmpty() {
				r[col].As = ast.NewColIdent(r[col].InputExpression)
			}
			r[col].Expr = &ast.ConvertExpr{Name: "CAST", Expr: r[col].Expr, Type: &ast.ConvertType{Type: to}}
		}
	}
}

// constants are the columns of a SELECT that reads no table; nil for others.
func constants(b ast.SelectStatement) []*ast.AliasedExpr {
	sel, ok := b.(*ast.Select)
	if !ok || sel.Where != nil || sel.GroupBy != nil || sel.OrderBy != nil || sel.Limit != nil || sel.With != nil {
		return nil
	}
	for _, from := range sel.From {
		t, ok := from.(*ast.AliasedTableExpr)
		if !ok {
			return nil
		}
		if name, ok := t.Expr.(ast.TableName); !ok || name.Name.String() != "dual" {
			return nil
		}
	}
	columns := make([]*ast.AliasedExpr, len(sel.SelectExprs))
	for i, e := range sel.SelectExprs {
		if columns[i], ok = e.(*ast.AliasedExpr); !ok {
			return nil
		}
	}
	return columns
}

// constantKind is int, text, null or other for a constant, and "" for what is
// none.
func constantKind(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.NullVal:
		return "null"
	case *ast.SQLVal:
		switch e.Type {
		case ast.IntVal:
			if len(e.Val) > 18 {
				return "other"
			}
			return "int"
		case ast.StrVal:
			return "text"
		case ast.ValArg:
			return ""
		}
		return "other"
	case *ast.UnaryExpr:
		if e.Operator == ast.UMinusStr || e.Operator == ast.UPlusStr {
			if constantKind(e.Expr) == "int" {
				return "int"
			}
		}
		return "other"
	case *ast.ParenExpr:
		return constantKind(e.Expr)
	}
	return ""
}
