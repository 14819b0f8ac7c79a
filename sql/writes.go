package sql

import (
	"strings"

	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/gmsx"
	"weir/views"
)

// checkWrite refuses statements that would write or change what is not a table
// of a user's, with errors that tell what does. database is the current one.
func (s *Server) checkWrite(stmt ast.Statement, database string) error {
	w := writes{s, database}
	switch n := stmt.(type) {
	case *ast.Insert:
		switch kind, name := w.kindOf(n.Table); kind {
		case aView:
			return gmsx.Error(1471, "HY000", "The target table %s of the %s is not insertable-into: rows of a materialized view come from the events of its stream", name, strings.ToUpper(n.Action))
		case aSystemTable:
			return gmsx.Error(1471, "HY000", "The target table %s of the %s is not insertable-into: system tables are only read", name, strings.ToUpper(n.Action))
		case anOrdinaryView:
			return gmsx.Error(1471, "HY000", "The target table %s of the %s is not insertable-into: it is a view; write to the table that it reads", name, strings.ToUpper(n.Action))
		}
		return w.nameInsertColumns(n)
	case *ast.Load:
		switch kind, name := w.kindOf(n.Table); kind {
		case aStream:
			return gmsx.Error(1235, "42000", "LOAD DATA is not possible into stream %s: weir publish sends the lines of a file as its events", name)
		case aView, aSystemTable, anOrdinaryView:
			return gmsx.Error(1471, "HY000", "The target table %s of the LOAD is not insertable-into: only tables are", name)
		}
	case *ast.Update:
		return w.checkUpdate(n)
	case *ast.Delete:
		if len(n.Targets) > 0 {
			return w.checkNamed(n.TableExprs, n.Targets, "DELETE")
		}
		return w.checkTargets(n.TableExprs, "DELETE")
	case *ast.AlterTable:
		for _, d := range n.Statements {
			if err := checkSpec(d.TableSpec); err != nil {
				return err
			}
		}
		return w.checkChange(n.Table, "")
	case *ast.DDL:
		return w.checkDDL(n)
	case *ast.DBDDL:
		return checkDBDDL(n)
	}
	return nil
}

// checkDBDDL refuses what cannot be done to databases.
func checkDBDDL(n *ast.DBDDL) error {
	own := strings.EqualFold(n.DBName, systemDatabase)
	switch strings.ToLower(n.Action) {
	case ast.DropStr:
		if strings.EqualFold(n.DBName, views.DefaultDatabase) {
			return gmsx.Error(1044, "42000", "database %s cannot be dropped: it is the default of every connection; drop what is in it", views.DefaultDatabase)
		}
		if own {
			return gmsx.Error(1044, "42000", "database %s is weir's own and cannot be dropped", systemDatabase)
		}
		if name := strings.ToLower(n.DBName); name == "information_schema" || name == "mysql" || name == "performance_schema" {
			return gmsx.Error(1044, "42000", "Access denied to database '%s': it is the server's own and cannot be dropped", name)
		}
	case ast.CreateStr:
		switch name := strings.ToLower(n.DBName); {
		case own, name == "information_schema", name == "mysql", name == "performance_schema", name == "sys":
			if !n.IfNotExists {
				return gmsx.Error(1007, "HY000", "Can't create database '%s'; database exists", n.DBName)
			}
		case name == "" || len(name) > 64 || strings.ContainsAny(name, "/\\\x00"):
			return gmsx.Error(1102, "42000", "Incorrect database name '%s'", n.DBName)
		}
	default:
		return gmsx.Error(1235, "42000", "databases are not altered: a table has its own collation")
	}
	return nil
}

// writes checks what a statement writes to.
type writes struct {
	*Server
	database string // the current one
}

func (w writes) checkDDL(n *ast.DDL) error {
	var err error
	switch {
	case n.Action == ast.TruncateStr:
		return w.checkTargets(ast.TableExprs{&ast.AliasedTableExpr{Expr: n.Table}}, "TRUNCATE")
	case n.Action == ast.CreateStr && n.ViewSpec != nil:
		err = w.checkViewName(n.ViewSpec.ViewName)
	case n.Action == ast.CreateStr && (n.TableSpec != nil || n.OptLike != nil || n.OptSelect != nil):
		if n.Temporary {
			return gmsx.Error(1235, "42000", "temporary tables are not kept: make a table, and drop it")
		}
		if err = w.checkSystem(n.Table); err == nil {
			err = checkSpec(n.TableSpec)
		}
	case n.Action == ast.DropStr:
		for _, t := range n.FromTables {
			if err == nil {
				err = w.checkChange(t, "DROP")
			}
			if kind, name := w.kindOf(t); err == nil && kind == anOrdinaryView {
				err = gmsx.Error(1347, "HY000", "'%s' is a view: use DROP VIEW %s", name, quote(name))
			}
		}
		for _, t := range n.FromViews {
			if err == nil {
				err = w.checkChange(t, "DROP")
			}
			if kind, name := w.kindOf(t); err == nil && kind == anOrdinaryTable {
				err = gmsx.Error(1347, "HY000", "'%s' is not VIEW: use DROP TABLE %s", name, quote(name))
			}
		}
	case n.Action == ast.RenameStr:
		for _, t := range n.FromTables {
			if err == nil {
				err = w.checkChange(t, "")
			}
		}
		for i, t := range n.ToTables {
			if err == nil && i < len(n.FromTables) && !strings.EqualFold(w.of(t), w.of(n.FromTables[i])) {
				err = gmsx.Error(1235, "42000", "a table stays in its database: make it in %s with CREATE TABLE … AS SELECT, and drop it here", w.of(t))
			}
		}
	case n.TriggerSpec == nil && n.ProcedureSpec == nil && n.EventSpec == nil:
		if err = w.checkChange(n.Table, ""); err == nil {
			err = checkSpec(n.TableSpec)
		}
	}
	return err
}

// checkSystem refuses to make something in the system database.
func (w writes) checkSystem(t ast.TableName) error {
	if strings.EqualFold(w.of(t), systemDatabase) {
		return gmsx.Error(1044, "42000", "database %s is weir's own: nothing can be made in it", systemDatabase)
	}
	return nil
}

// checkViewName refuses a name for an ordinary view that something else has.
func (w writes) checkViewName(t ast.TableName) error {
	switch kind, name := w.kindOf(t); kind {
	case aStream:
		return gmsx.Error(1050, "42S01", "Table '%s' already exists: it is a stream", name)
	case aView:
		return gmsx.Error(1050, "42S01", "Table '%s' already exists: it belongs to a materialized view", name)
	case anOrdinaryTable:
		return gmsx.Error(1050, "42S01", "Table '%s' already exists", name)
	}
	return w.checkSystem(t)
}

// checkSpec refuses what tables do not have.
func checkSpec(spec *ast.TableSpec) error {
	if spec == nil {
		return nil
	}
	for _, c := range spec.Constraints {
		if _, ok := c.Details.(*ast.ForeignKeyDefinition); ok {
			return errForeignKey()
		}
	}
	for _, c := range spec.Columns {
		if c.Type.ForeignKeyDef != nil {
			return errForeignKey()
		}
	}
	return nil
}

func errForeignKey() error {
	return gmsx.Error(1235, "42000", "foreign keys are not kept: leave the FOREIGN KEY out; a KEY on its columns makes joins fast")
}

// What a name can be.
const (
	aTable  = iota // not one of ours
	aStream        // also one that is read through an alias
	aView          // or one of its layers
	aSystemTable
	anOrdinaryTable
	anOrdinaryView
)

// of is the database that a name is in.
func (w writes) of(t ast.TableName) string {
	switch {
	case !t.DbQualifier.IsEmpty():
		return t.DbQualifier.String()
	case w.database != "":
		return w.database
	}
	return views.DefaultDatabase
}

// kindOf returns what a table is, and its name for errors.
func (w writes) kindOf(t ast.TableName) (kind int, name string) {
	return w.Server.kindOf(w.of(t), t.Name.String())
}

// kindOf returns what has a name in a database, and its name for errors.
func (s *Server) kindOf(db, name string) (int, string) {
	if stream, ok := s.cfg.Engine.Stream(db, name); ok {
		return aStream, stream.Def.Name
	}
	if v, _, err := findLayer(s.cfg.Engine, db, name); v != nil || err != nil {
		return aView, name
	}
	if strings.EqualFold(db, systemDatabase) {
		return aSystemTable, name
	}
	switch table, view := s.tables.Has(db, name); {
	case table:
		return anOrdinaryTable, name
	case view:
		return anOrdinaryView, name
	}
	return aTable, name
}

// checkUpdate refuses to change rows of what is no table. Of a join, those
// count that SET names; where it names none, the engine knows.
func (w writes) checkUpdate(n *ast.Update) error {
	sources := 0
	_ = ast.Walk(func(node ast.SQLNode) (bool, error) {
		if _, ok := node.(ast.TableName); ok {
			sources++
		}
		return true, nil
	}, n.TableExprs)
	if sources <= 1 {
		return w.checkTargets(n.TableExprs, "UPDATE")
	}
	var targets ast.TableNames
	for _, e := range n.Exprs {
		if q := e.Name.Qualifier; !q.IsEmpty() {
			targets = append(targets, q)
		}
	}
	return w.checkNamed(n.TableExprs, targets, "UPDATE")
}

// checkNamed is checkTargets of those tables of a join that the names mean.
func (w writes) checkNamed(from ast.TableExprs, names ast.TableNames, verb string) error {
	return ast.Walk(func(node ast.SQLNode) (bool, error) {
		e, ok := node.(*ast.AliasedTableExpr)
		if !ok {
			return true, nil
		}
		t, ok := e.Expr.(ast.TableName)
		if !ok {
			return true, nil
		}
		for _, n := range names {
			if e.As.String() == "" && strings.EqualFold(n.Name.String(), t.Name.String()) || e.As.String() != "" && strings.EqualFold(n.Name.String(), e.As.String()) {
				return false, w.checkTargets(ast.TableExprs{e}, verb)
			}
		}
		return false, nil
	}, from)
}

// checkTargets refuses to change or remove rows of what is no table.
func (w writes) checkTargets(from ast.TableExprs, verb string) error {
	return ast.Walk(func(node ast.SQLNode) (bool, error) {
		t, ok := node.(ast.TableName)
		if !ok {
			return true, nil
		}
		switch kind, name := w.kindOf(t); kind {
		case aStream:
			return false, gmsx.Error(1288, "HY000", "The target table %s of the %s is not updatable: events are facts and stay as they are; for another one, use INSERT", name, verb)
		case aView:
			return false, gmsx.Error(1288, "HY000", "The target table %s of the %s is not updatable: rows of a materialized view come from the events of its stream", name, verb)
		case aSystemTable:
			return false, gmsx.Error(1288, "HY000", "The target table %s of the %s is not updatable: system tables are only read", name, verb)
		case anOrdinaryView:
			return false, gmsx.Error(1288, "HY000", "The target table %s of the %s is not updatable: it is a view; write to the table that it reads", name, verb)
		}
		return false, nil
	}, from)
}

// checkChange refuses statements for tables where ours has its own.
func (w writes) checkChange(t ast.TableName, verb string) error {
	kind, name := w.kindOf(t)
	switch {
	case kind == aStream && verb == "DROP":
		return gmsx.Error(1347, "HY000", "'%s' is a stream: use DROP STREAM %s", name, quote(name))
	case kind == aStream:
		return gmsx.Error(1347, "HY000", "'%s' is a stream, and cannot be altered: make another one, or drop it and create it anew", name)
	case kind == aView && verb == "DROP":
		return gmsx.Error(1347, "HY000", "'%s' is a materialized view: use DROP MATERIALIZED VIEW %s", name, quote(name))
	case kind == aView:
		return gmsx.Error(1347, "HY000", "'%s' is a materialized view, and cannot be altered as a table: use CREATE OR REPLACE MATERIALIZED VIEW", name)
	case kind == aSystemTable:
		return gmsx.Error(1044, "42000", "database %s is weir's own, and '%s' can only be read", systemDatabase, name)
	}
	return nil
}
