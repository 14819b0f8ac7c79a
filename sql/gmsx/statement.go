package gmsx

import (
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// A Statement is one that the engine does not know. ParseHook makes it from
// text; it runs once its Access was granted.
type Statement interface {
	// Schema is of the rows; nil stands for a statement without rows.
	Schema() gms.Schema
	// RowIter runs the statement. Without a schema its rows are ignored, and
	// nil stands for none.
	RowIter(ctx *gms.Context) (gms.RowIter, error)
	// ReadOnly says that the statement may run in a READ ONLY transaction.
	ReadOnly() bool
	// Access is what the account needs.
	Access() Access
}

// An Access is a privilege on a database or a table. With only a privilege it
// is a global one; the zero Access is granted to everyone who is logged in.
type Access struct {
	Privilege Privilege
	Database  string
	Table     string // "" is the whole database
}

// A Privilege is one of those that GRANT knows.
type Privilege string

// Privileges for an Access.
const (
	PrivilegeSelect  Privilege = ast.AuthType_SELECT
	PrivilegeInsert  Privilege = ast.AuthType_INSERT
	PrivilegeUpdate  Privilege = ast.AuthType_UPDATE
	PrivilegeDelete  Privilege = ast.AuthType_DELETE
	PrivilegeCreate  Privilege = ast.AuthType_CREATE
	PrivilegeAlter   Privilege = ast.AuthType_ALTER
	PrivilegeDrop    Privilege = ast.AuthType_DROP
	PrivilegeProcess Privilege = ast.AuthType_PROCESS
	PrivilegeSuper   Privilege = ast.AuthType_SUPER

	PrivilegeCreateUser Privilege = ast.AuthType_CREATE_USER
)

func (a Access) auth() ast.AuthInformation {
	switch {
	case a.Privilege == "":
		return ast.AuthInformation{AuthType: ast.AuthType_IGNORE}
	case a.Database == "":
		return ast.AuthInformation{AuthType: string(a.Privilege), TargetType: ast.AuthTargetType_Global}
	case a.Table == "":
		return ast.AuthInformation{
			AuthType:    string(a.Privilege),
			TargetType:  ast.AuthTargetType_DatabaseIdentifiers,
			TargetNames: []string{a.Database},
		}
	}
	return ast.AuthInformation{
		AuthType:    string(a.Privilege),
		TargetType:  ast.AuthTargetType_SingleTableIdentifier,
		TargetNames: []string{a.Database, a.Table},
	}
}

// inject wraps a Statement for the engine's planner.
func inject(s Statement) ast.Statement {
	return ast.InjectedStatement{Statement: &statementNode{s: s}, Auth: s.Access().auth()}
}

// A statementNode is a Statement as a node of the plan.
type statementNode struct{ s Statement }

var (
	_ ast.Injectable    = (*statementNode)(nil)
	_ gms.ExecSourceRel = (*statementNode)(nil)
)

func (n *statementNode) WithResolvedChildren([]any) (any, error) { return n, nil }

func (n *statementNode) Resolved() bool       { return true }
func (n *statementNode) Children() []gms.Node { return nil }
func (n *statementNode) IsReadOnly() bool     { return n.s.ReadOnly() }
func (n *statementNode) String() string       { return "Statement" }

func (n *statementNode) WithChildren(children ...gms.Node) (gms.Node, error) {
	if len(children) != 0 {
		return nil, gms.ErrInvalidChildrenNumber.New(n, len(children), 0)
	}
	return n, nil
}

func (n *statementNode) Schema() gms.Schema {
	if s := n.s.Schema(); s != nil {
		return s
	}
	return types.OkResultSchema
}

func (n *statementNode) RowIter(ctx *gms.Context, _ gms.Row) (gms.RowIter, error) {
	iter, err := n.s.RowIter(ctx)
	if err != nil {
		return nil, err
	}
	if n.s.Schema() != nil {
		if iter == nil {
			iter = gms.RowsToRowIter()
		}
		return iter, nil
	}
	// The engine takes a statement without rows to have one, which says how
	// many rows it touched.
	ok := types.NewOkResult(0)
	if iter != nil {
		row, err := iter.Next(ctx)
		if err == nil && types.IsOkResult(row) {
			ok = types.GetOkResult(row)
		}
		if err := iter.Close(ctx); err != nil {
			return nil, err
		}
	}
	return gms.RowsToRowIter(gms.NewRow(ok)), nil
}

// OK are the rows of a statement that touched n rows and returns none.
func OK(n int) gms.RowIter {
	return gms.RowsToRowIter(gms.NewRow(types.NewOkResult(n)))
}
