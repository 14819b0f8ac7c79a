package tables

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/gmsx"
)

// A Def is the definition of a table, as the file has it. It is immutable.
type Def struct {
	ID             uint64
	Database, Name string
	Comment        string `json:",omitempty"`
	Collation      string
	Columns        []ColumnDef
	Key            []int      `json:",omitempty"` // the primary key, as indexes of Columns
	Indexes        []IndexDef `json:",omitempty"`
	Checks         []CheckDef `json:",omitempty"`
	Rows           uint64     // the bucket of the rows
	Hashes         uint64     `json:",omitempty"` // without primary key: the bucket that finds equal rows

	kinds []kind
}

// A ColumnDef is a column of a table. Types and expressions are SQL.
type ColumnDef struct {
	Name, Type         string
	Null               bool    `json:",omitempty"`
	Auto               bool    `json:",omitempty"`
	Default, Generated *string `json:",omitempty"`
	OnUpdate           *string `json:",omitempty"`
	Comment            string  `json:",omitempty"`
	Extra              string  `json:",omitempty"`
}

// An IndexDef is a secondary index of a table.
type IndexDef struct {
	Name    string
	Columns []int
	Prefix  []uint16 `json:",omitempty"` // characters of each column; 0 is all
	Unique  bool     `json:",omitempty"`
	Comment string   `json:",omitempty"`
	Rows    uint64   // the bucket of its entries
}

// A CheckDef is a CHECK of a table.
type CheckDef struct {
	Name, Expression string
	Enforced         bool
}

// A ViewDef is an ordinary view. The texts are those of the statement that made it.
type ViewDef struct {
	Database, Name string
	Select, Create string
	SQLMode        string
}

// tableKey is how names are compared: without case.
func tableKey(database, name string) string {
	return strings.ToLower(database) + "\x00" + strings.ToLower(name)
}

// typeCache has the engine's type for the SQL of one.
var typeCache sync.Map

// typeOf returns the engine's type for its SQL.
func typeOf(sql string) (gms.Type, error) {
	if t, ok := typeCache.Load(sql); ok {
		return t.(gms.Type), nil
	}
	stmt, err := ast.Parse("CREATE TABLE t (c " + sql + ")")
	if err != nil {
		return nil, fmt.Errorf("type %s: %w", sql, err)
	}
	ddl, ok := stmt.(*ast.DDL)
	if !ok || ddl.TableSpec == nil || len(ddl.TableSpec.Columns) != 1 {
		return nil, fmt.Errorf("type %s: it is none", sql)
	}
	t, err := types.ColumnTypeToType(&ddl.TableSpec.Columns[0].Type)
	if err != nil {
		return nil, fmt.Errorf("type %s: %w", sql, err)
	}
	if c, ok := t.(gms.TypeWithCollation); ok && c.Collation() == gms.Collation_Unspecified {
		if t, err = c.WithNewCollation(gms.Collation_Default); err != nil {
			return nil, fmt.Errorf("type %s: %w", sql, err)
		}
	}
	typeCache.Store(sql, t)
	return t, nil
}

// typeText is the SQL of a type, which typeOf reads back.
func typeText(t gms.Type) string {
	s := t.String()
	if c, ok := t.(gms.TypeWithCollation); ok && !strings.Contains(strings.ToUpper(s), "COLLATE") && !types.IsBinaryType(t) &&
		c.Collation() != gms.Collation_Unspecified && c.Collation() != gms.Collation_binary {
		s += " CHARACTER SET " + c.Collation().CharacterSet().Name() + " COLLATE " + c.Collation().Name()
	}
	return s
}

// columnDef is a column of the engine's as the file has it.
func columnDef(c *gms.Column) (ColumnDef, error) {
	text := func(d *gms.ColumnDefaultValue) *string {
		if d == nil {
			return nil
		}
		s := d.String()
		if literal, ok := literalText(c.Type, d); ok {
			s = literal
		}
		return &s
	}
	// The value of a generated column is stored in any case: it is the same.
	d := ColumnDef{
		Name: c.Name, Type: typeText(c.Type), Null: c.Nullable && !c.PrimaryKey, Auto: c.AutoIncrement,
		Default: text(c.Default), Generated: text(c.Generated), OnUpdate: text(c.OnUpdate), Comment: c.Comment, Extra: c.Extra,
	}
	k, err := kindOf(c.Type)
	if err != nil {
		return d, gmsx.Error(1235, "42000", "column %s: %s", c.Name, err)
	}
	back, err := typeOf(d.Type)
	if err != nil {
		return d, fmt.Errorf("column %s: %w", c.Name, err)
	}
	if bk, err := kindOf(back); err != nil || bk.class != k.class {
		return d, gmsx.Error(1235, "42000", "column %s: values of type %s cannot be kept", c.Name, c.Type)
	}
	return d, nil
}

// literalText is the SQL of a default that is a literal: the engine prints the
// number of an ENUM's value, and no zeros behind a decimal point.
func literalText(t gms.Type, d *gms.ColumnDefaultValue) (string, bool) {
	if !d.Literal || t == nil {
		return "", false
	}
	ctx := gms.NewEmptyContext()
	v, err := d.Expr.Eval(ctx, nil)
	if err != nil {
		return "", false
	}
	if v == nil {
		return "NULL", true
	}
	if v, _, err = t.Convert(ctx, v); err != nil {
		return "", false
	}
	if types.IsBit(t) {
		return fmt.Sprintf("%d", v), true
	}
	s, err := t.SQL(ctx, nil, v)
	if err != nil {
		return "", false
	}
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(s.ToString()) + "'", true
}

// prepare fills what is derived.
func (d *Def) prepare() error {
	d.kinds = make([]kind, len(d.Columns))
	for i, c := range d.Columns {
		t, err := typeOf(c.Type)
		if err != nil {
			return fmt.Errorf("table %s.%s: column %s: %w", d.Database, d.Name, c.Name, err)
		}
		if d.kinds[i], err = kindOf(t); err != nil {
			return fmt.Errorf("table %s.%s: column %s: %w", d.Database, d.Name, c.Name, err)
		}
	}
	return nil
}

// clone is a copy that may be changed.
func (d *Def) clone() *Def {
	cp := *d
	cp.Columns, cp.Key = slices.Clone(d.Columns), slices.Clone(d.Key)
	cp.Checks = slices.Clone(d.Checks)
	cp.Indexes = slices.Clone(d.Indexes)
	for i := range cp.Indexes {
		cp.Indexes[i].Columns, cp.Indexes[i].Prefix = slices.Clone(d.Indexes[i].Columns), slices.Clone(d.Indexes[i].Prefix)
	}
	return &cp
}

// buckets are the numbers of all its buckets.
func (d *Def) buckets() []uint64 {
	list := []uint64{d.Rows}
	if d.Hashes != 0 {
		list = append(list, d.Hashes)
	}
	for _, ix := range d.Indexes {
		list = append(list, ix.Rows)
	}
	return list
}

// auto is the column that counts up, or -1.
func (d *Def) auto() int {
	return slices.IndexFunc(d.Columns, func(c ColumnDef) bool { return c.Auto })
}

// column is the index of the column with the name, or -1.
func (d *Def) column(name string) int {
	return slices.IndexFunc(d.Columns, func(c ColumnDef) bool { return strings.EqualFold(c.Name, name) })
}

// index is the place of the index with the name, or -1.
func (d *Def) index(name string) int {
	return slices.IndexFunc(d.Indexes, func(x IndexDef) bool { return strings.EqualFold(x.Name, name) })
}

// schema is the engine's, made anew each time: the engine changes it.
func (d *Def) schema() gms.Schema {
	s := make(gms.Schema, len(d.Columns))
	unresolved := func(text *string) *gms.ColumnDefaultValue {
		if text == nil {
			return nil
		}
		return gms.NewUnresolvedColumnDefaultValue(*text)
	}
	for i, c := range d.Columns {
		s[i] = &gms.Column{
			Name: c.Name, Type: d.kinds[i].typ, Nullable: c.Null, AutoIncrement: c.Auto, Source: d.Name, DatabaseSource: d.Database,
			PrimaryKey: slices.Contains(d.Key, i), Default: unresolved(c.Default), Generated: unresolved(c.Generated), OnUpdate: unresolved(c.OnUpdate),
			Comment: c.Comment, Extra: c.Extra,
		}
	}
	return s
}

// collation is that of the table.
func (d *Def) collation() gms.CollationID {
	id, err := gms.ParseCollation("", d.Collation, false)
	if err != nil {
		return gms.Collation_Default
	}
	return id
}

// The most that a key may hold, in bytes.
const keyMax = 3000

// checkKey refuses what cannot be part of a key.
func (d *Def) checkKey(cols []int, prefix []uint16) error {
	if len(cols) > 16 {
		return gmsx.Error(1070, "42000", "Too many key parts specified; max 16 parts allowed")
	}
	total := int64(0)
	for i, c := range cols {
		k := d.kinds[c]
		name := d.Columns[c].Name
		length := int64(0)
		if i < len(prefix) {
			length = int64(prefix[i])
		}
		switch k.class {
		case classJSON:
			return gmsx.Error(3152, "42000", "JSON column '%s' supports indexing only via generated columns", name)
		case classText, classBytes:
			st, ok := k.typ.(gms.StringType)
			if !ok {
				break
			}
			if length == 0 && types.IsTextBlob(k.typ) {
				return gmsx.Error(1170, "42000", "BLOB/TEXT column '%s' used in key specification without a key length", name)
			}
			size := st.MaxByteLength()
			if length > 0 {
				size = length * max(1, st.Collation().CharacterSet().MaxLength())
			}
			total += size
		default:
			if length > 0 {
				return gmsx.Error(1089, "HY000", "Incorrect prefix key: column '%s' is no text", name)
			}
			total += 8
		}
	}
	if total > keyMax {
		return gmsx.Error(1071, "42000", "Specified key was too long; max key length is %d bytes", keyMax)
	}
	return nil
}

// CreateText is the statement that makes the table.
func (t *Table) CreateText() string {
	d := t.def
	collation := d.collation()
	var parts []string
	for i, c := range d.Columns {
		var value, update string
		if c.Default != nil {
			value = *c.Default
		}
		if c.OnUpdate != nil {
			update = *c.OnUpdate
		}
		col := *t.all[i]
		col.Default = nil
		if c.Generated != nil {
			col.Generated = &gms.ColumnDefaultValue{Expr: &gms.UnresolvedColumnDefault{ExprString: strings.TrimSuffix(strings.TrimPrefix(*c.Generated, "("), ")")}}
		}
		if c.Default == nil && c.Generated == nil && col.Nullable && !col.AutoIncrement && !types.IsTextBlob(col.Type) && !types.IsJSON(col.Type) {
			value = "NULL" // MySQL says so
		}
		if value != "" {
			col.Default = &gms.ColumnDefaultValue{Expr: &gms.UnresolvedColumnDefault{ExprString: value}}
		}
		text := gms.GenerateCreateTableColumnDefinition(&col, value, update, collation)
		if types.IsTimestampType(col.Type) && col.Nullable {
			text = strings.Replace(text, " DEFAULT ", " NULL DEFAULT ", 1) // without, some servers take it for NOT NULL
		}
		parts = append(parts, text)
	}
	if len(d.Key) > 0 {
		parts = append(parts, gms.GenerateCreateTablePrimaryKeyDefinition(d.names(d.Key)))
	}
	for _, ix := range d.Indexes {
		cols := gms.QuoteIdentifiers(d.names(ix.Columns))
		for i, n := range ix.Prefix {
			if n > 0 {
				cols[i] = fmt.Sprintf("%s(%d)", cols[i], n)
			}
		}
		if text, ok := gms.GenerateCreateTableIndexDefinition(ix.Unique, false, false, false, ix.Name, cols, ix.Comment); ok {
			parts = append(parts, text)
		}
	}
	for _, c := range d.Checks {
		parts = append(parts, gms.GenerateCreateTableCheckConstraintClause(c.Name, c.Expression, c.Enforced))
	}
	next := ""
	if d.auto() >= 0 {
		if n, err := t.PeekNextAutoIncrementValue(gms.NewEmptyContext()); err == nil && n > 1 {
			next = fmt.Sprint(n)
		}
	}
	return gms.GenerateCreateTableStatement(d.Name, parts, "", next, collation.CharacterSet().Name(), collation.Name(), d.Comment)
}

// names are those of columns.
func (d *Def) names(cols []int) []string {
	list := make([]string, len(cols))
	for i, c := range cols {
		list[i] = d.Columns[c].Name
	}
	return list
}
