package gmsx

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// What the engine says of names without saying where they stand.
var (
	bareColumn    = regexp.MustCompile(`^Unknown column '([^']*)'(?: in '([^']*)')?$`)
	bareTable     = regexp.MustCompile(`^Table '(?:[^'.]*\.)?([^'.]*)' doesn't exist$`)
	bareAmbiguous = regexp.MustCompile(`^Column '([^']*)' is ambiguous: (.*)$`)
	bareProcedure = regexp.MustCompile(`^PROCEDURE ([^.]*) does not exist$`)
)

// asWritten gives an error what the engine leaves out: the clause that a name
// stands in, the database of a table, the row of a list of values. It reads the
// statement again, which only errors pay for.
func (e *Engine) asWritten(ctx *gms.Context, query string, own *mysql.SQLError) *mysql.SQLError {
	form := map[int]*regexp.Regexp{1054: bareColumn, 1146: bareTable, 1052: bareAmbiguous, 1305: bareProcedure}[own.Num]
	var m []string
	switch own.Num {
	case 1136, 1243, 1105:
	default:
		if form == nil {
			return own
		}
		if m = form.FindStringSubmatch(own.Message); m == nil {
			return own
		}
	}
	first, _ := splitStatement(query)
	stmt, err := ast.Parse(first)
	if err != nil {
		return own
	}
	if x, ok := stmt.(*ast.Explain); ok {
		stmt = x.Statement
	}
	out := *own
	again := func(number int, state, format string, args ...any) *mysql.SQLError {
		return &mysql.SQLError{Num: number, State: state, Message: fmt.Sprintf(format, args...)}
	}
	switch own.Num {
	case 1054:
		switch n := stmt.(type) {
		case *ast.Set:
			for _, x := range n.Exprs {
				if x.Name.Name.EqualString(m[1]) {
					return again(1193, "HY000", "Unknown system variable '%s'", m[1])
				}
			}
		case *ast.AlterTable:
			for _, d := range n.Statements {
				if d.ColumnAction == ast.DropStr && d.Column.EqualString(m[1]) {
					return again(1091, "42000", "Can't DROP '%s'; check that column/key exists", m[1])
				}
			}
			return own
		case *ast.DDL:
			return own
		}
		if name, clause := whereWritten(stmt, m[1]); clause != "" {
			out.Message = fmt.Sprintf("Unknown column '%s' in '%s'", name, clause)
		}
	case 1052:
		if _, clause := whereWritten(stmt, m[1]); clause != "" {
			out.Message = fmt.Sprintf("Column '%s' in %s is ambiguous: %s", m[1], clause, m[2])
		}
	case 1146:
		return e.missingTable(ctx, stmt, own, m[1])
	case 1305:
		if c, ok := stmt.(*ast.Call); ok && c.ProcName.Name.EqualString(m[1]) {
			db := c.ProcName.Qualifier.String()
			if db == "" {
				db = ctx.GetCurrentDatabase()
			}
			if db != "" {
				out.Message = fmt.Sprintf("PROCEDURE %s.%s does not exist", db, m[1])
			}
		}
	case 1136:
		if in, ok := stmt.(*ast.Insert); ok && !strings.Contains(own.Message, "at row") {
			out.Message = fmt.Sprintf("Column count doesn't match value count at row %d", e.shortRow(ctx, in))
		}
	case 1243:
		if _, ok := stmt.(*ast.Deallocate); ok {
			out.Message = strings.Replace(own.Message, "given to EXECUTE", "given to DEALLOCATE PREPARE", 1)
		}
	case 1105:
		if set, ok := stmt.(*ast.Set); ok && len(set.Exprs) == 1 && strings.HasSuffix(own.Message, "was not found in the set") {
			value := ast.String(set.Exprs[0].Expr)
			return again(1231, "42000", "Variable '%s' can't be set to the value of '%s'", strings.TrimLeft(set.Exprs[0].Name.Name.String(), "@"), strings.Trim(value, "'"))
		}
	}
	return &out
}

// missingTable is the error of a table that is not there, by its whole name. It
// is another one where the statement drops it, and where it is the qualifier of
// a column.
func (e *Engine) missingTable(ctx *gms.Context, stmt ast.Statement, own *mysql.SQLError, name string) *mysql.SQLError {
	whole := func(t ast.TableName) string {
		db := t.DbQualifier.String()
		if db == "" {
			db = ctx.GetCurrentDatabase()
		}
		if db == "" {
			return t.Name.String()
		}
		return db + "." + t.Name.String()
	}
	out := *own
	if d, ok := stmt.(*ast.DDL); ok && d.Action == ast.DropStr && len(d.FromTables)+len(d.FromViews) > 0 {
		var missing []string
		for _, t := range append(d.FromTables, d.FromViews...) {
			if db, ok := e.databaseOf(ctx, t); ok {
				if _, there, err := db.GetTableInsensitive(ctx, t.Name.String()); err != nil || there {
					continue
				}
				if v, ok := db.(gms.ViewDatabase); ok {
					if _, there, err := v.GetViewDefinition(ctx, t.Name.String()); err != nil || there {
						continue
					}
				}
			}
			missing = append(missing, whole(t))
		}
		if len(missing) > 0 {
			return &mysql.SQLError{Num: 1051, State: "42S02", Message: "Unknown table '" + strings.Join(missing, ",") + "'"}
		}
		return own
	}
	var table *ast.TableName
	var column, star string
	_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
		switch n := n.(type) {
		case *ast.AliasedTableExpr:
			if t, ok := n.Expr.(ast.TableName); ok && t.Name.String() == name {
				table = &t
			}
			return true, nil
		case *ast.ColName:
			if column == "" && strings.EqualFold(n.Qualifier.Name.String(), name) {
				column = ast.String(n)
			}
			return false, nil
		case *ast.StarExpr:
			if strings.EqualFold(n.TableName.Name.String(), name) {
				star = name
			}
			return false, nil
		}
		return true, nil
	}, stmt)
	switch n := stmt.(type) {
	case *ast.Insert:
		if n.Table.Name.String() == name {
			table = &n.Table
		}
	case *ast.Delete:
		for _, t := range n.Targets {
			if t.Name.String() == name && table == nil {
				return &mysql.SQLError{Num: 1109, State: "42S02", Message: "Unknown table '" + name + "' in MULTI DELETE"}
			}
		}
	}
	switch {
	case table != nil:
		out.Message = fmt.Sprintf("Table '%s' doesn't exist", whole(*table))
	case column != "":
		if _, clause := whereWritten(stmt, column); clause != "" {
			column = strings.ReplaceAll(column, "`", "")
			return &mysql.SQLError{Num: 1054, State: "42S22", Message: fmt.Sprintf("Unknown column '%s' in '%s'", column, clause)}
		}
	case star != "":
		return &mysql.SQLError{Num: 1051, State: "42S02", Message: "Unknown table '" + name + "'"}
	case !strings.Contains(name, "."):
		for _, t := range tablesIn(stmt) {
			if t.Name.String() == name {
				out.Message = fmt.Sprintf("Table '%s' doesn't exist", whole(t))
			}
		}
	}
	return &out
}

// shortRow is the first row of values that has not as many as there are columns.
func (e *Engine) shortRow(ctx *gms.Context, in *ast.Insert) int {
	columns := len(in.Columns)
	if columns == 0 {
		if db, ok := e.databaseOf(ctx, in.Table); ok {
			if t, ok, err := db.GetTableInsensitive(ctx, in.Table.Name.String()); err == nil && ok {
				columns = len(t.Schema())
			}
		}
	}
	if rows, ok := in.Rows.(*ast.AliasedValues); ok {
		for i, row := range rows.Values {
			if len(row) != columns {
				return i + 1
			}
		}
	}
	return 1
}

// whereWritten finds the column that a statement names, as it is written there,
// and MySQL's name of the clause: "" if it is not found.
func whereWritten(stmt ast.SQLNode, name string) (written, clause string) {
	name = strings.ReplaceAll(name, "`", "")
	if written, clause = findWritten(stmt, name, true); written == "" {
		written, clause = findWritten(stmt, name, false)
	}
	return written, clause
}

// findWritten is whereWritten of a name that is written so exactly, or with
// another qualifier.
func findWritten(stmt ast.SQLNode, name string, exactly bool) (written, clause string) {
	last := name[strings.LastIndexByte(name, '.')+1:]
	within := func(in string, nodes ...ast.SQLNode) bool {
		for _, n := range nodes {
			if n == nil {
				continue
			}
			_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
				if written != "" {
					return false, nil
				}
				switch n := n.(type) {
				case *ast.Subquery:
					written, clause = findWritten(n.Select, name, exactly)
					return false, nil
				case *ast.Order:
					if v, ok := n.Expr.(*ast.SQLVal); ok && v.Type == ast.IntVal && string(v.Val) == name {
						written, clause = name, in
					}
				case *ast.ColName:
					full := strings.ReplaceAll(ast.String(n), "`", "")
					if n.Name.EqualString(last) && (strings.EqualFold(full, name) || !exactly && (last == name || strings.HasSuffix(strings.ToLower(name), "."+strings.ToLower(full)))) {
						written, clause = full, in
					}
					return false, nil
				}
				return true, nil
			}, n)
			if written != "" {
				return true
			}
		}
		return false
	}
	where := func(w *ast.Where) ast.SQLNode {
		if w == nil {
			return nil
		}
		return w.Expr
	}
	switch n := stmt.(type) {
	case *ast.ParenSelect:
		return findWritten(n.Select, name, exactly)
	case *ast.SetOp:
		if written, clause = findWritten(n.Left, name, exactly); written == "" {
			if written, clause = findWritten(n.Right, name, exactly); written == "" {
				within("order clause", n.OrderBy)
			}
		}
	case *ast.Select:
		if n.With != nil {
			for _, c := range n.With.Ctes {
				if within("field list", c.AliasedTableExpr) {
					return written, clause
				}
			}
		}
		_ = within("on clause", n.From) || within("field list", n.SelectExprs) || within("where clause", where(n.Where)) ||
			within("group statement", n.GroupBy) || within("having clause", where(n.Having)) || within("order clause", n.OrderBy)
	case *ast.Insert:
		for _, c := range n.Columns {
			if c.EqualString(last) {
				return last, "field list"
			}
		}
		if rows, ok := n.Rows.(ast.SelectStatement); ok {
			if written, clause = findWritten(rows, name, exactly); written != "" {
				return written, clause
			}
		} else if within("field list", n.Rows) {
			return written, clause
		}
		within("field list", ast.AssignmentExprs(n.OnDup))
	case *ast.Update:
		_ = within("on clause", n.TableExprs) || within("field list", n.Exprs) || within("where clause", where(n.Where)) || within("order clause", n.OrderBy)
	case *ast.Delete:
		_ = within("on clause", n.TableExprs) || within("where clause", where(n.Where)) || within("order clause", n.OrderBy)
	}
	return written, clause
}

// tablesIn are the tables that a statement names.
func tablesIn(stmt ast.Statement) (list ast.TableNames) {
	_ = ast.Walk(func(n ast.SQLNode) (bool, error) {
		if t, ok := n.(ast.TableName); ok && !t.IsEmpty() {
			list = append(list, t)
		}
		return true, nil
	}, stmt)
	switch n := stmt.(type) {
	case *ast.Explain:
		return tablesIn(n.Statement)
	case *ast.DDL:
		list = append(append(list, n.Table), n.FromTables...)
	case *ast.AlterTable:
		list = append(list, n.Table)
	case *ast.Show:
		list = append(list, n.Table)
	case *ast.Insert:
		list = append(list, n.Table)
	}
	return list
}

// nearSyntaxError says where in a statement the engine's parser gave up: it has
// read one byte behind the token that it could not use, and names that, or the
// last one with letters.
func nearSyntaxError(query string, message string) (string, bool) {
	at := func(err string) (int, string, bool) {
		m := syntaxPlace.FindStringSubmatch(err)
		if m == nil {
			return 0, "", false
		}
		n, err2 := strconv.Atoi(m[1])
		return n, m[2], err2 == nil
	}
	n, near, ok := at(message)
	if !ok {
		return "", false
	}
	text, _ := splitStatement(query)
	text = strings.TrimRight(text, " \t\r\n;")
	if n > len(text) {
		// It is the last token, or the end. With more text behind, it gives up at
		// the same place only if it is the token.
		_, more := ast.Parse(text + " ,")
		m := n
		if more != nil {
			m, _, _ = at(more.Error())
		}
		if more == nil || m > n {
			return nearText(text, len(text)), true
		}
	}
	end := min(max(n-1, 0), len(text))
	if cut := strings.TrimRight(text[:end], " \t\r\n"); cut != "" {
		end = len(cut)
	}
	start := end - 1
	lower := strings.ToLower(text[:end])
	for _, quote := range []string{"", "'", `"`, "`"} {
		if word := quote + strings.ToLower(near) + quote; near != "" && strings.HasSuffix(lower, word) {
			start = end - len(word)
		}
	}
	return nearText(text, max(start, 0)), true
}

var syntaxPlace = regexp.MustCompile(`at position (\d+)(?: near '((?s:.*))')?`)

// nearMost is how much of a statement an error shows.
const nearMost = 80

// nearText is what MySQL says of a statement that it cannot read from a byte on.
func nearText(text string, from int) string {
	rest := text[from:]
	if len(rest) > nearMost {
		rest = strings.ToValidUTF8(rest[:nearMost], "")
	}
	return fmt.Sprintf("near '%s' at line %d", rest, 1+strings.Count(text[:from], "\n"))
}

// noColumns matches CREATE TABLE without any.
var noColumns = regexp.MustCompile(`(?is)^\s*create\s+(?:temporary\s+)?table\s+(?:if\s+not\s+exists\s+)?[^\s(]+\s*(?:\(\s*\)\s*)?;?\s*$`)
