package sql

import (
	"strings"

	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/gmsx"
	"weir/views"
)

// checkWrite refuses statements that would write, change or make anything but
// events of a stream, with errors that tell what does.
func (s *Server) checkWrite(stmt ast.Statement) error {
	switch n := stmt.(type) {
	case *ast.Insert:
		switch kind, name := s.kindOf(n.Table); kind {
		case aView:
			return gmsx.Error(1471, "HY000", "The target table %s of the %s is not insertable-into: rows of a materialized view come from the events of its stream", name, strings.ToUpper(n.Action))
		case aSystemTable:
			return gmsx.Error(1471, "HY000", "The target table %s of the %s is not insertable-into: system tables are only read", name, strings.ToUpper(n.Action))
		}
		return s.nameInsertColumns(n)
	case *ast.Update:
		return s.checkTargets(n.TableExprs, "UPDATE")
	case *ast.Delete:
		return s.checkTargets(n.TableExprs, "DELETE")
	case *ast.AlterTable:
		return s.checkChange(n.Table, "")
	case *ast.DDL:
		return s.checkDDL(n)
	case *ast.CreateUser, *ast.DropUser, *ast.RenameUser, *ast.CreateRole, *ast.DropRole, *ast.GrantPrivilege, *ast.GrantRole,
		*ast.GrantProxy, *ast.RevokePrivilege, *ast.RevokeAllPrivileges, *ast.RevokeRole, *ast.RevokeProxy:
		// The engine would take them, and forget them with the process.
		return gmsx.Error(1235, "42000", "accounts beside root are not kept in this version: give root a password with --password")
	case *ast.DBDDL:
		return gmsx.Error(1235, "42000", "databases cannot be created, altered or dropped: streams and views are in %s", views.DefaultDatabase)
	}
	return nil
}

func (s *Server) checkDDL(n *ast.DDL) error {
	var err error
	switch {
	case n.Action == ast.TruncateStr:
		return s.checkTargets(ast.TableExprs{&ast.AliasedTableExpr{Expr: n.Table}}, "TRUNCATE")
	case n.Action == ast.CreateStr && n.ViewSpec != nil:
		err = gmsx.Error(1235, "42000", "views of SELECTs are not kept here: CREATE MATERIALIZED VIEW makes a view of a stream")
	case n.Action == ast.CreateStr && (n.TableSpec != nil || n.OptLike != nil || n.OptSelect != nil):
		err = gmsx.Error(1235, "42000", "tables are not kept here: CREATE STREAM makes a table of events, CREATE MATERIALIZED VIEW one that is computed from them")
	case n.Action == ast.DropStr:
		for _, t := range append(append(ast.TableNames{}, n.FromTables...), n.FromViews...) {
			if err == nil {
				err = s.checkChange(t, "DROP")
			}
		}
	case n.Action == ast.RenameStr:
		for _, t := range n.FromTables {
			if err == nil {
				err = s.checkChange(t, "")
			}
		}
	case n.TriggerSpec == nil && n.ProcedureSpec == nil && n.EventSpec == nil:
		err = s.checkChange(n.Table, "")
	}
	return err
}

// What a name can be.
const (
	aTable  = iota // not one of ours
	aStream        // also one that is read through an alias
	aView          // or one of its layers
	aSystemTable
)

// kindOf returns what a table is, and its name for errors.
func (s *Server) kindOf(t ast.TableName) (kind int, name string) {
	db := t.DbQualifier.String()
	if db == "" {
		db = views.DefaultDatabase
	}
	name = t.Name.String()
	if stream, ok := s.cfg.Engine.Stream(db, name); ok {
		return aStream, stream.Def.Name
	}
	if v, _, err := findLayer(s.cfg.Engine, db, name); v != nil || err != nil {
		return aView, name
	}
	if strings.EqualFold(db, systemDatabase) {
		return aSystemTable, name
	}
	return aTable, name
}

// checkTargets refuses to change or remove rows of our tables. A join counts as
// one of them all.
func (s *Server) checkTargets(from ast.TableExprs, verb string) error {
	return ast.Walk(func(node ast.SQLNode) (bool, error) {
		t, ok := node.(ast.TableName)
		if !ok {
			return true, nil
		}
		switch kind, name := s.kindOf(t); kind {
		case aStream:
			return false, gmsx.Error(1288, "HY000", "The target table %s of the %s is not updatable: events are facts and stay as they are; for another one, use INSERT", name, verb)
		case aView:
			return false, gmsx.Error(1288, "HY000", "The target table %s of the %s is not updatable: rows of a materialized view come from the events of its stream", name, verb)
		case aSystemTable:
			return false, gmsx.Error(1288, "HY000", "The target table %s of the %s is not updatable: system tables are only read", name, verb)
		}
		return false, nil
	}, from)
}

// checkChange refuses statements for tables where ours has its own.
func (s *Server) checkChange(t ast.TableName, verb string) error {
	kind, name := s.kindOf(t)
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
