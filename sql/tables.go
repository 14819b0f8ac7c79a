package sql

import (
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"weir/sql/tables"
)

// build executes the statements that write tables: each as a whole or not at
// all. It is asked for every node of a plan, from the top.
func (s *Server) build(ctx *gms.Context, n gms.Node, row gms.Row) (gms.RowIter, error) {
	lazily := false
	switch n := n.(type) {
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
	return s.tables.Atomic(ctx, lazily, func() (gms.RowIter, error) {
		return s.engine.Engine().Analyzer.ExecBuilder.Build(ctx, n, row)
	})
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
