package gmsx

import (
	"strconv"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
	"github.com/shopspring/decimal"
)

// primaryKeyOption is the KeyOpt of a column that is declared PRIMARY KEY; the
// parser does not export its name.
const primaryKeyOption = ast.ColumnKeyOption(1)

// checkDefinitions refuses tables that cannot be as a statement defines them,
// with MySQL's errors: the engine takes some of them, and has words of its own
// for others.
func checkDefinitions(stmt ast.Statement) error {
	switch n := stmt.(type) {
	case *ast.DDL:
		if n.TableSpec == nil {
			return nil
		}
		if n.Action == ast.CreateStr {
			if name := n.Table.Name.String(); strings.TrimRight(name, " ") != name || name == "" {
				return Error(1103, "42000", "Incorrect table name '%s'", name)
			}
			return checkTable(n.TableSpec)
		}
		return checkColumns(n.TableSpec.Columns)
	case *ast.AlterTable:
		for _, d := range n.Statements {
			if d.TableSpec != nil {
				if err := checkColumns(d.TableSpec.Columns); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkTable checks what CREATE TABLE has in parentheses.
func checkTable(spec *ast.TableSpec) error {
	if len(spec.Columns) == 0 {
		return Error(1113, "42000", "A table must have at least 1 column")
	}
	if err := checkColumns(spec.Columns); err != nil {
		return err
	}
	primary := 0
	columns := map[string]bool{}
	for _, c := range spec.Columns {
		columns[c.Name.Lowered()] = true
		if c.Type.KeyOpt == primaryKeyOption {
			primary++
		}
	}
	names := map[string]bool{}
	for _, ix := range spec.Indexes {
		name := ix.Info.Name
		switch {
		case ix.Info.Primary:
			primary++
		case name.EqualString("PRIMARY"):
			return Error(1280, "42000", "Incorrect index name '%s'", name)
		case !name.IsEmpty() && names[name.Lowered()]:
			return Error(1061, "42000", "Duplicate key name '%s'", name)
		}
		names[name.Lowered()] = true
		parts := map[string]bool{}
		for _, c := range ix.Columns {
			switch {
			case c.Column.IsEmpty(): // it is an expression
			case !columns[c.Column.Lowered()]:
				return Error(1072, "42000", "Key column '%s' doesn't exist in table", c.Column)
			case parts[c.Column.Lowered()]:
				return Error(1060, "42S21", "Duplicate column name '%s'", c.Column)
			}
			parts[c.Column.Lowered()] = true
		}
	}
	if primary > 1 {
		return Error(1068, "42000", "Multiple primary key defined")
	}
	return nil
}

// checkColumns checks the types of columns.
func checkColumns(columns []*ast.ColumnDefinition) error {
	for _, c := range columns {
		if name := c.Name.String(); name == "" || strings.TrimRight(name, " ") != name {
			return Error(1166, "42000", "Incorrect column name '%s'", name)
		}
		if err := checkType(c.Name.String(), &c.Type); err != nil {
			return err
		}
		if err := checkDefault(c.Name.String(), &c.Type); err != nil {
			return err
		}
	}
	return nil
}

// The greatest lengths of columns.
const (
	decimalDigits   = 65
	decimalScale    = 30
	charMost        = 255
	varcharMost     = 16383 // characters of four bytes
	varbinaryMost   = 65535
	bitMost         = 64
	fractionsMost   = 6
	floatDigitsMost = 255
)

func checkType(name string, t *ast.ColumnType) error {
	length, hasLength := number(t.Length)
	scale, hasScale := number(t.Scale)
	tooBig := func(most int) error {
		if length > most {
			return Error(1426, "42000", "Too big precision %d specified for '%s'. Maximum is %d.", length, name, most)
		}
		return nil
	}
	tooLong := func(most int) error {
		if length > most {
			return Error(1074, "42000", "Column length too big for column '%s' (max = %d); use BLOB or TEXT instead", name, most)
		}
		return nil
	}
	kind := strings.ToLower(t.Type)
	if bool(t.Autoincrement) && !strings.HasSuffix(kind, "int") && kind != "integer" && kind != "float" && kind != "double" && kind != "serial" && kind != "bool" && kind != "boolean" {
		return Error(1063, "42000", "Incorrect column specifier for column '%s'", name)
	}
	switch kind {
	case "decimal", "numeric", "dec", "fixed":
		switch {
		case hasScale && scale > decimalScale:
			return Error(1425, "42000", "Too big scale %d specified for column '%s'. Maximum is %d.", scale, name, decimalScale)
		case hasScale && scale > length:
			return Error(1427, "42000", "For float(M,D), double(M,D) or decimal(M,D), M must be >= D (column '%s').", name)
		}
		return tooBig(decimalDigits)
	case "float", "double", "real", "double precision":
		switch {
		case hasScale && scale > decimalScale:
			return Error(1425, "42000", "Too big scale %d specified for column '%s'. Maximum is %d.", scale, name, decimalScale)
		case hasScale && scale > length:
			return Error(1427, "42000", "For float(M,D), double(M,D) or decimal(M,D), M must be >= D (column '%s').", name)
		case hasLength && length > floatDigitsMost:
			return Error(1439, "42000", "Display width out of range for column '%s' (max = %d)", name, floatDigitsMost)
		}
	case "char", "binary", "nchar":
		return tooLong(charMost)
	case "varchar", "nvarchar":
		return tooLong(varcharMost)
	case "varbinary":
		return tooLong(varbinaryMost)
	case "bit":
		if length > bitMost {
			return Error(1439, "42000", "Display width out of range for column '%s' (max = %d)", name, bitMost)
		}
	case "datetime", "timestamp", "time":
		return tooBig(fractionsMost)
	case "enum", "set":
		seen := map[string]bool{}
		for _, v := range t.EnumValues {
			v = strings.TrimRight(v, " ")
			if seen[v] {
				return Error(1291, "HY000", "Column '%s' has duplicated value '%s' in %s", name, v, strings.ToUpper(t.Type))
			}
			seen[v] = true
		}
	}
	return nil
}

// number is that of a literal.
func number(v *ast.SQLVal) (n int, ok bool) {
	if v == nil {
		return 0, false
	}
	n, err := strconv.Atoi(string(v.Val))
	return n, err == nil
}

// distinctColumns refuses derived tables, CTEs and views in which two columns
// have one name: nobody could name the second.
func distinctColumns(_ *gms.Context, n gms.Node) (gms.Node, error) {
	var err error
	transform.Inspect(n, func(n gms.Node) bool {
		if err != nil {
			return false
		}
		switch n := n.(type) {
		case *plan.CreateView:
			err = distinctNames(viewColumns(n))
		case *plan.SubqueryAlias:
			if len(n.ColumnNames) > 0 {
				err = distinctNames(n.ColumnNames)
			} else {
				err = distinctNames(schemaNames(n.Schema()))
			}
		}
		return true
	})
	return n, err
}

func viewColumns(n *plan.CreateView) []string {
	if len(n.Definition.ColumnNames) > 0 {
		return n.Definition.ColumnNames
	}
	return schemaNames(n.Definition.Schema())
}

func schemaNames(schema gms.Schema) (names []string) {
	for _, c := range schema {
		names = append(names, c.Name)
	}
	return names
}

func distinctNames(names []string) error {
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		lower := strings.ToLower(name)
		if seen[lower] {
			return Error(1060, "42S21", "Duplicate column name '%s'", name)
		}
		seen[lower] = true
	}
	return nil
}

// distinctQueries refuses two CTEs of one name.
func distinctQueries(w *ast.With) error {
	if w == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, c := range w.Ctes {
		name := c.As.String()
		if seen[strings.ToLower(name)] {
			return Error(1066, "42000", "Not unique table/alias: '%s'", name)
		}
		seen[strings.ToLower(name)] = true
	}
	return nil
}

// checkDefault refuses a literal as the default of a column that does not hold it.
func checkDefault(name string, t *ast.ColumnType) error {
	e := t.Default
	for {
		p, ok := e.(*ast.ParenExpr)
		if !ok {
			break
		}
		e = p.Expr
	}
	negative := false
	if u, ok := e.(*ast.UnaryExpr); ok && u.Operator == ast.UMinusStr {
		e, negative = u.Expr, true
	}
	var v any
	switch lit := e.(type) {
	case *ast.NullVal:
		if bool(t.NotNull) || t.KeyOpt == primaryKeyOption {
			return Error(1067, "42000", "Invalid default value for '%s'", name)
		}
		return nil
	case *ast.SQLVal:
		switch lit.Type {
		case ast.StrVal:
			v = string(lit.Val)
		case ast.IntVal, ast.FloatVal:
			d, beyond := exactIn(string(lit.Val))
			if beyond {
				return nil
			}
			if negative {
				d = d.Neg()
			}
			v = d
		default:
			return nil
		}
	default:
		return nil
	}
	typ, err := types.ColumnTypeToType(t)
	if err != nil {
		return nil //nolint:nilerr // the engine says it
	}
	if d, ok := v.(decimal.Decimal); ok && !types.IsNumber(typ) {
		v = d.String()
	}
	if _, err := (&storing{row: 1}).store(gms.NewEmptyContext(), &gms.Column{Name: name, Type: typ}, source{rounded: -1}, v); err != nil {
		return Error(1067, "42000", "Invalid default value for '%s'", name)
	}
	return nil
}
