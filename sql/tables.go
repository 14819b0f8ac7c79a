package sql

import (
	"errors"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"weir/sql/gmsx"
	"weir/sql/tables"
	"weir/views"
)

// build executes joins by the key of a view, and the statements that write
// tables: each as a whole or not at all. It is asked for every node of a plan, from the top.
func (s *Server) build(ctx *gms.Context, n gms.Node, row gms.Row) (gms.RowIter, error) {
	lazily := false
	switch n := n.(type) {
	case *plan.JoinNode:
		return s.buildJoin(ctx, n, row)
	case *plan.ShowCreateTable:
		return showCreate(n)
	case *plan.ShowIndexes:
		return showIndexes(ctx, n)
	case *plan.LoadData:
		return loadData(ctx, n)
	case *plan.CreateDB:
		return s.createDatabase(ctx, n)
	case *plan.DropDB:
		return s.dropDatabase(ctx, n)
	case *plan.InsertInto:
		if !writesTable(n) {
			return nil, nil // a stream's events are published
		}
		lazily = true
	case *plan.Update, *plan.DeleteFrom, *plan.TableCopier:
		lazily = true
	case *plan.Block:
		if !alters(n) {
			return nil, nil
		}
	default:
		if !defines(n) {
			return nil, nil
		}
	}
	return s.tables.Atomic(ctx, n, lazily, func() (gms.RowIter, error) {
		return s.engine.Engine().Analyzer.ExecBuilder.Build(ctx, n, row)
	})
}

// createDatabase is CREATE DATABASE.
func (s *Server) createDatabase(ctx *gms.Context, n *plan.CreateDB) (gms.RowIter, error) {
	if s.database(n.DbName) != "" || s.checkDatabase(n.DbName) == nil {
		if !n.IfNotExists {
			return nil, gmsx.Error(1007, "HY000", "Can't create database '%s'; database exists", n.DbName)
		}
		ctx.Warn(1007, "Can't create database '%s'; database exists", n.DbName)
		return gmsx.OK(1), nil
	}
	if err := s.tables.CreateDatabase(ctx, n.DbName); err != nil {
		return nil, err
	}
	return gmsx.OK(1), nil
}

// dropDatabase is DROP DATABASE: with everything in it. The name goes last, so
// that one that was cut short is dropped again.
func (s *Server) dropDatabase(ctx *gms.Context, n *plan.DropDB) (gms.RowIter, error) {
	name := s.database(n.DbName)
	switch {
	case name == "" && n.IfExists:
		ctx.Warn(1008, "Can't drop database '%s'; database doesn't exist", n.DbName)
		return gmsx.OK(0), nil
	case name == "" && s.checkDatabase(n.DbName) != nil:
		return nil, gmsx.Error(1008, "HY000", "Can't drop database '%s'; database doesn't exist", n.DbName)
	}
	dropped := len(s.tables.Names(ctx, name)) + len(s.tables.Views(ctx, name))
	engine := s.cfg.Engine
	list, building := engine.Views()
	for _, v := range list {
		building = append(building, v.Def())
	}
	for _, def := range building {
		if !strings.EqualFold(def.Database, name) {
			continue
		}
		if err := engine.DropView(ctx, def.Database, def.Name); err != nil && !errors.Is(err, views.ErrUnknown) {
			return nil, sqlError(err)
		}
		dropped++
	}
	for _, stream := range engine.Streams() {
		if !strings.EqualFold(stream.Def.Database, name) {
			continue
		}
		if err := engine.DropStream(ctx, stream.Def.Database, stream.Def.Name); err != nil && !errors.Is(err, views.ErrUnknown) {
			return nil, sqlError(err)
		}
		dropped++
	}
	if err := s.tables.DropDatabase(ctx, name); err != nil {
		return nil, err
	}
	if strings.EqualFold(ctx.GetCurrentDatabase(), name) {
		ctx.SetCurrentDatabase(views.DefaultDatabase) // that of a connection that names none
	}
	return gmsx.OK(dropped), nil
}

// showCreate is SHOW CREATE TABLE of a table and SHOW CREATE VIEW of an
// ordinary view: the engine's own has the numbers of ENUMs for their defaults,
// and no names of a view's columns. It returns nil for others.
func showCreate(n *plan.ShowCreateTable) (gms.RowIter, error) {
	switch child := n.Child.(type) {
	case *plan.ResolvedTable:
		t, ok := gms.GetUnderlyingTable(child.Table).(*tables.Table)
		if !ok || n.IsView {
			return nil, nil
		}
		return gms.RowsToRowIter(gms.Row{t.Name(), t.CreateText()}), nil
	case *plan.SubqueryAlias:
		text := "CREATE VIEW " + gms.QuoteIdentifier(child.Name())
		if len(child.ColumnNames) > 0 {
			text += " (" + strings.Join(gms.QuoteIdentifiers(child.ColumnNames), ", ") + ")"
		}
		return gms.RowsToRowIter(gms.Row{child.Name(), text + " AS " + child.TextDefinition, "utf8mb4", "utf8mb4_0900_bin"}), nil
	}
	return nil, nil
}

// writing takes the lock of the tables for a statement that changes rows of one,
// before query, a part of it, is read.
func (s *Server) writing(ctx *gms.Context, statement, query gms.Node) error {
	if n, ok := statement.(*plan.InsertInto); ok && !writesTable(n) {
		return nil // a stream's events are published
	}
	return s.tables.Hold(ctx, query)
}

// writesTable says whether rows are inserted into a table of ours.
func writesTable(n *plan.InsertInto) bool {
	t, err := plan.GetInsertable(n.Destination)
	if err != nil {
		return false
	}
	_, ok := gms.GetUnderlyingTable(t).(*tables.Table)
	return ok
}

// alters says whether a block is of the parts of one ALTER TABLE.
func alters(n *plan.Block) bool {
	for _, c := range n.Children() {
		if !defines(c) {
			return false
		}
	}
	return n.Pref == nil && len(n.Children()) > 0
}

// defines says whether a node makes, changes or removes a table or a view.
func defines(n gms.Node) bool {
	switch n.(type) {
	case *plan.CreateTable, *plan.DropTable, *plan.RenameTable, *plan.Truncate,
		*plan.AddColumn, *plan.DropColumn, *plan.ModifyColumn, *plan.RenameColumn,
		*plan.AlterPK, *plan.AlterIndex, *plan.AlterAutoIncrement, *plan.AlterDefaultSet, *plan.AlterDefaultDrop,
		*plan.CreateCheck, *plan.DropCheck, *plan.AlterTableCollation,
		*plan.CreateView, *plan.DropView:
		return true
	}
	return false
}
