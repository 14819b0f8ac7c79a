package gmsx

import (
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// refuseFiles refuses what reads or writes files of the server or of the
// client. The engine lets everyone with any SELECT use it.
func refuseFiles(n ast.SQLNode) error {
	switch n := n.(type) {
	case *ast.Load:
		if !n.Local {
			return Error(1235, "42000", "LOAD DATA INFILE of a file of the server is not supported: LOAD DATA LOCAL INFILE sends one of the client's")
		}
	case ast.SelectStatement:
		if into := n.GetInto(); into != nil && (into.Outfile != "" || into.Dumpfile != "") {
			return Error(1235, "42000", "SELECT … INTO OUTFILE and INTO DUMPFILE are not supported")
		}
	}
	return nil
}

// loadFile refuses LOAD_FILE, which the engine grants to everyone.
var loadFile = gms.Function1{Name: "load_file", Fn: func(gms.Expression) gms.Expression { return refused{} }}

// refused is an expression that fails.
type refused struct{}

func (refused) Resolved() bool             { return true }
func (refused) String() string             { return "LOAD_FILE" }
func (refused) Type() gms.Type             { return types.LongText }
func (refused) IsNullable() bool           { return true }
func (refused) Children() []gms.Expression { return nil }

func (refused) Eval(*gms.Context, gms.Row) (any, error) {
	return nil, Error(1235, "42000", "LOAD_FILE is not supported")
}

func (r refused) WithChildren(...gms.Expression) (gms.Expression, error) { return r, nil }

// ownProcesses replaces SHOW PROCESSLIST and KILL, which the engine allows
// only to PROCESS and SUPER: an account may see and end its own statements.
func (e *Engine) ownProcesses(stmt ast.Statement) Statement {
	switch s := stmt.(type) {
	case *ast.Show:
		if strings.EqualFold(s.Type, "processlist") {
			return &showProcesses{e: e, full: s.Full}
		}
	case *ast.Kill:
		if id, ok := literalInt(s.ConnID); ok {
			return &kill{e: e, id: uint32(id), connection: s.Connection}
		}
	}
	return nil
}

// processInfoMax is how much of a statement SHOW PROCESSLIST shows without FULL.
const processInfoMax = 100

type showProcesses struct {
	e    *Engine
	full bool
}

func (s *showProcesses) Schema() gms.Schema {
	return gms.Schema{
		{Name: "Id", Type: types.Uint64},
		{Name: "User", Type: types.LongText},
		{Name: "Host", Type: types.LongText},
		{Name: "db", Type: types.LongText, Nullable: true},
		{Name: "Command", Type: types.LongText},
		{Name: "Time", Type: types.Int64},
		{Name: "State", Type: types.LongText, Nullable: true},
		{Name: "Info", Type: types.LongText, Nullable: true},
	}
}

func (s *showProcesses) ReadOnly() bool { return true }
func (s *showProcesses) Access() Access { return Access{} }

func (s *showProcesses) RowIter(ctx *gms.Context) (gms.RowIter, error) {
	all := s.e.Authorize(ctx, Access{Privilege: PrivilegeProcess}) == nil
	var rows []gms.Row
	for _, p := range s.e.procs.Processes() {
		if !all && p.User != ctx.Client().User {
			continue
		}
		var db, info any
		state := ""
		if p.Database != "" {
			db = p.Database
		}
		if p.Command == gms.ProcessCommandQuery {
			state = "executing"
			query := withoutSecrets(p.Query)
			if r := []rune(query); !s.full && len(r) > processInfoMax {
				query = string(r[:processInfoMax])
			}
			info = query
		}
		rows = append(rows, gms.Row{uint64(p.Connection), p.User, p.Host, db, string(p.Command), int64(p.Seconds()), state, info})
	}
	return gms.RowsToRowIter(rows...), nil
}

// withoutSecrets is the text of a statement for others to see.
func withoutSecrets(query string) string {
	if m := secrets.FindStringSubmatch(query); m != nil {
		return strings.ToUpper(m[1]+m[2]+m[3]) + " … <secret>"
	}
	return query
}

type kill struct {
	e          *Engine
	id         uint32
	connection bool
}

func (k *kill) Schema() gms.Schema { return nil }
func (k *kill) ReadOnly() bool     { return true }
func (k *kill) Access() Access     { return Access{} }

func (k *kill) RowIter(ctx *gms.Context) (gms.RowIter, error) {
	for _, p := range k.e.procs.Processes() {
		if p.Connection != k.id {
			continue
		}
		if p.User != ctx.Client().User && k.e.Authorize(ctx, Access{Privilege: PrivilegeSuper}) != nil {
			return nil, Error(1095, "HY000", "You are not owner of thread %d", k.id)
		}
		k.e.procs.Kill(k.id)
		if k.connection {
			if err := ctx.KillConnection(k.id); err != nil {
				return nil, err
			}
		}
		return OK(0), nil
	}
	return nil, Error(1094, "HY000", "Unknown thread id: %d", k.id)
}

func literalInt(e ast.Expr) (uint64, bool) {
	v, ok := e.(*ast.SQLVal)
	if !ok || v.Type != ast.IntVal {
		return 0, false
	}
	var n uint64
	for _, c := range v.Val {
		if c < '0' || c > '9' || n > 1<<32 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}
