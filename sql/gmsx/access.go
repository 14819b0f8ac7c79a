package gmsx

import (
	"regexp"
	"slices"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/rowexec"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// Databases of the engine itself. Everybody may read what information_schema
// and performance_schema show, which is no more than they may see elsewhere;
// mysql has the accounts, and is for those who administer them.
const (
	infoSchema  = "information_schema"
	mysqlSchema = "mysql"
)

// Authorize returns nil if the account of ctx has a privilege now, or MySQL's
// error: 1044, 1142 or 1227. It is what every statement asks before it does
// anything, whichever way it is run; it takes no lock and reads no file.
func (e *Engine) Authorize(ctx *gms.Context, a Access) error {
	acc, err := e.accountOf(ctx)
	if err != nil {
		return err
	}
	if a.Privilege == "" {
		return nil
	}
	if a.Database == "" && a.Table != "" {
		a.Database = ctx.GetCurrentDatabase()
	}
	if m := missingFor(acc, a); m != 0 {
		return denied(acc, m, a.Database, a.Table)
	}
	return nil
}

// Sees says whether a table, or with "" a database, is there for the account
// of ctx: whether it has any privilege for it.
func (e *Engine) Sees(ctx *gms.Context, database, table string) bool {
	acc, err := e.accountOf(ctx)
	return err == nil && sees(acc, database, table)
}

func sees(acc *account, database, table string) bool {
	switch strings.ToLower(database) {
	case infoSchema, perfSchema:
		return true
	case mysqlSchema:
		return administers(acc)
	}
	return acc.grants.sees(database, table)
}

// administers says whether an account may see the others.
func administers(acc *account) bool {
	return acc.grants[scope{}]&rightsOf(gms.PrivilegeType_CreateUser, gms.PrivilegeType_Super) != 0
}

// accountOf is the account of a session, or the error of one that is gone.
func (e *Engine) accountOf(ctx *gms.Context) (*account, error) {
	client := ctx.Session.Client()
	acc := e.accounts.find(client.User, client.Address)
	if acc == nil || acc.locked {
		return nil, Error(1045, "28000", "Access denied for user '%s'@'%s': the account was dropped or locked", client.User, client.Address)
	}
	return acc, nil
}

// missingFor are those privileges of an Access that an account has not.
func missingFor(acc *account, a Access) rights {
	need := rights(0)
	for name := range strings.SplitSeq(string(a.Privilege), ",") {
		r, ok := authRights[name]
		if !ok {
			return globalRights // what nobody has given a meaning is for nobody but root
		}
		need |= r
	}
	return missing(acc, need, a.Database, a.Table)
}

func missing(acc *account, need rights, database, table string) rights {
	if acc.root() && !strings.EqualFold(database, mysqlSchema) {
		return 0
	}
	switch strings.ToLower(database) {
	case infoSchema, perfSchema:
		return need &^ right(gms.PrivilegeType_Select)
	case mysqlSchema:
		// Accounts are changed by statements for accounts alone.
		if administers(acc) {
			return need &^ rightsOf(gms.PrivilegeType_Select, gms.PrivilegeType_ShowView)
		}
		return need
	}
	return need &^ acc.grants.on(database, table)
}

// denied is the error of an account that lacks a privilege.
func denied(acc *account, m rights, database, table string) error {
	names := make([]string, 0, 1)
	for _, p := range m.list() {
		names = append(names, p.String())
	}
	if len(names) == 0 {
		names = []string{"SUPER"}
	}
	switch {
	case database == "":
		return Error(1227, "42000", "Access denied; you need (at least one of) the %s privilege(s) for this operation", strings.Join(names, ", "))
	case table == "":
		return Error(1044, "42000", "Access denied for user %s to database '%s'", acc.accountKey, database)
	}
	return Error(1142, "42000", "%s command denied to user %s for table '%s'", names[0], acc.accountKey, table)
}

// authRights are the privileges behind the engine's names for what statements do.
var authRights = map[string]rights{
	ast.AuthType_ALTER:              right(gms.PrivilegeType_Alter),
	ast.AuthType_ALTER_ROUTINE:      right(gms.PrivilegeType_AlterRoutine),
	ast.AuthType_CALL:               right(gms.PrivilegeType_Execute),
	ast.AuthType_CREATE:             right(gms.PrivilegeType_Create),
	ast.AuthType_CREATE_ROUTINE:     right(gms.PrivilegeType_CreateRoutine),
	ast.AuthType_CREATE_TEMP:        right(gms.PrivilegeType_CreateTempTable),
	ast.AuthType_CREATE_USER:        right(gms.PrivilegeType_CreateUser),
	ast.AuthType_CREATE_VIEW:        right(gms.PrivilegeType_CreateView),
	ast.AuthType_DELETE:             right(gms.PrivilegeType_Delete),
	ast.AuthType_DROP:               right(gms.PrivilegeType_Drop),
	ast.AuthType_EVENT:              right(gms.PrivilegeType_Event),
	ast.AuthType_FILE:               right(gms.PrivilegeType_File),
	ast.AuthType_FOREIGN_KEY:        right(gms.PrivilegeType_References),
	ast.AuthType_INDEX:              right(gms.PrivilegeType_Index),
	ast.AuthType_INSERT:             right(gms.PrivilegeType_Insert),
	ast.AuthType_LOCK:               rightsOf(gms.PrivilegeType_Select, gms.PrivilegeType_LockTables),
	ast.AuthType_PROCESS:            right(gms.PrivilegeType_Process),
	ast.AuthType_RELOAD:             right(gms.PrivilegeType_Reload),
	ast.AuthType_REPLACE:            rightsOf(gms.PrivilegeType_Insert, gms.PrivilegeType_Delete),
	ast.AuthType_REPLICATION:        right(gms.PrivilegeType_ReplicationSlave),
	ast.AuthType_REPLICATION_CLIENT: right(gms.PrivilegeType_ReplicationClient),
	ast.AuthType_SELECT:             right(gms.PrivilegeType_Select),
	ast.AuthType_SUPER:              right(gms.PrivilegeType_Super),
	ast.AuthType_TRIGGER:            right(gms.PrivilegeType_Trigger),
	ast.AuthType_UPDATE:             right(gms.PrivilegeType_Update),
}

// An authorizer is what the engine asks while it plans a statement. The
// engine's own lets SUPER and every global privilege do and see everything.
type authorizer struct{ e *Engine }

var _ gms.AuthorizationHandler = authorizer{}

// A queryState is the account that a statement is planned for.
type queryState struct {
	acc *account
	err error
}

func (q queryState) Error() error                 { return q.err }
func (q queryState) AuthorizationQueryStateImpl() {}

func (z authorizer) NewQueryState(ctx *gms.Context) gms.AuthorizationQueryState {
	acc, err := z.e.accountOf(ctx)
	return queryState{acc, err}
}

func (z authorizer) state(ctx *gms.Context, s gms.AuthorizationQueryState) queryState {
	if q, ok := s.(queryState); ok {
		return q
	}
	return z.NewQueryState(ctx).(queryState)
}

// HandleAuth answers for a part of a statement what the engine's parser says
// that it needs.
func (z authorizer) HandleAuth(ctx *gms.Context, s gms.AuthorizationQueryState, auth ast.AuthInformation) error {
	q := z.state(ctx, s)
	if q.err != nil {
		return q.err
	}
	current := func(db string) string {
		if db == "" {
			return ctx.GetCurrentDatabase()
		}
		return db
	}
	check := func(database, table string) error {
		a := Access{Privilege: Privilege(auth.AuthType), Database: database, Table: table}
		if m := missingFor(q.acc, a); m != 0 {
			return denied(q.acc, m, database, table)
		}
		return nil
	}
	names := auth.TargetNames
	switch auth.AuthType {
	case ast.AuthType_IGNORE, ast.AuthType_SHOW:
		return nil // asked elsewhere, or what it reads is
	case ast.AuthType_VISIBLE:
		for _, db := range names {
			if !sees(q.acc, current(db), "") {
				return denied(q.acc, 0, current(db), "")
			}
		}
		return nil
	case ast.AuthType_CALL:
		if m := missing(q.acc, right(gms.PrivilegeType_Execute), current(names[0]), ""); m != 0 {
			return Error(1370, "42000", "execute command denied to user %s for routine '%s.%s'", q.acc.accountKey, current(names[0]), names[1])
		}
		return nil
	case ast.AuthType_RELOAD:
		return check("", "")
	case ast.AuthType_RENAME:
		for i := 0; i+3 < len(names); i += 4 {
			if m := missing(q.acc, rightsOf(gms.PrivilegeType_Alter, gms.PrivilegeType_Drop), current(names[i]), names[i+1]); m != 0 {
				return denied(q.acc, m, current(names[i]), names[i+1])
			}
			if m := missing(q.acc, rightsOf(gms.PrivilegeType_Create, gms.PrivilegeType_Insert), current(names[i+2]), names[i+3]); m != 0 {
				return denied(q.acc, m, current(names[i+2]), names[i+3])
			}
		}
		return nil
	case ast.AuthType_SHOW_CREATE_PROCEDURE:
		auth.AuthType = ast.AuthType_CALL
		return check(current(names[0]), "")
	}
	switch auth.TargetType {
	case ast.AuthTargetType_Global:
		return check("", "")
	case ast.AuthTargetType_DatabaseIdentifiers:
		for _, db := range names {
			if err := check(current(db), ""); err != nil {
				return err
			}
		}
		return nil
	case ast.AuthTargetType_SingleTableIdentifier, ast.AuthTargetType_MultipleTableIdentifiers:
		for i := 0; i+1 < len(names); i += 2 {
			if err := check(current(names[i]), names[i+1]); err != nil {
				return err
			}
		}
		return nil
	case ast.AuthTargetType_TableColumn:
		return check(current(names[0]), names[1])
	}
	// Whatever comes without a target is for root.
	return check("", "")
}

// HandleAuthNode refuses nodes that ask for themselves, of which there are none.
func (z authorizer) HandleAuthNode(ctx *gms.Context, s gms.AuthorizationQueryState, _ gms.AuthorizationCheckerNode) error {
	return z.HandleAuth(ctx, s, ast.AuthInformation{AuthType: ast.AuthType_SUPER, TargetType: ast.AuthTargetType_Global})
}

// CheckDatabase says whether a database is there for the account.
func (z authorizer) CheckDatabase(ctx *gms.Context, s gms.AuthorizationQueryState, db string) error {
	return z.HandleAuth(ctx, s, ast.AuthInformation{AuthType: ast.AuthType_VISIBLE, TargetNames: []string{db}})
}

// CheckSchema is CheckDatabase: MySQL has no schemas within databases.
func (z authorizer) CheckSchema(ctx *gms.Context, s gms.AuthorizationQueryState, db, _ string) error {
	return z.CheckDatabase(ctx, s, db)
}

// CheckTable says whether a table is there for the account.
func (z authorizer) CheckTable(ctx *gms.Context, s gms.AuthorizationQueryState, db, _, table string) error {
	q := z.state(ctx, s)
	if q.err != nil {
		return q.err
	}
	if db == "" {
		db = ctx.GetCurrentDatabase()
	}
	if table == "" || !sees(q.acc, db, table) {
		return denied(q.acc, right(gms.PrivilegeType_Select), db, table)
	}
	return nil
}

// setAuth corrects what the engine's parser says that a statement needs.
func setAuth(stmt ast.Statement, database string) {
	named := func(t ast.TableName) []string {
		db := t.DbQualifier.String()
		if db == "" {
			db = database
		}
		return []string{db, t.Name.String()}
	}
	switch n := stmt.(type) {
	case *ast.Load:
		// A file of the client's needs no FILE; one of the server's is refused.
		n.Auth = ast.AuthInformation{AuthType: ast.AuthType_INSERT, TargetType: ast.AuthTargetType_SingleTableIdentifier, TargetNames: named(n.Table)}
	case *ast.Insert:
		if len(n.OnDup) > 0 && n.Auth.AuthType == ast.AuthType_INSERT {
			n.Auth.AuthType += "," + ast.AuthType_UPDATE
		}
	case *ast.DBDDL:
		if n.DBName != "" {
			n.Auth.TargetType, n.Auth.TargetNames = ast.AuthTargetType_DatabaseIdentifiers, []string{n.DBName}
		}
	case *ast.DDL:
		tables := n.FromViews
		if n.Action == ast.CreateStr && n.ViewSpec != nil {
			tables = ast.TableNames{n.ViewSpec.ViewName}
		}
		if n.Action == ast.CreateStr && n.Auth.AuthType == ast.AuthType_CREATE && !n.Table.IsEmpty() {
			tables = ast.TableNames{n.Table}
		}
		if len(tables) > 0 && n.Auth.TargetType == ast.AuthTargetType_DatabaseIdentifiers {
			n.Auth.TargetType, n.Auth.TargetNames = ast.AuthTargetType_MultipleTableIdentifiers, nil
			for _, t := range tables {
				n.Auth.TargetNames = append(n.Auth.TargetNames, named(t)...)
			}
			if n.OrReplace {
				n.Auth.AuthType += "," + ast.AuthType_DROP
			}
		}
	}
}

// authorizeWrite asks for a statement that changes something what the planner
// would ask later.
func (e *Engine) authorizeWrite(ctx *gms.Context, stmt ast.Statement) error {
	z := authorizer{e}
	var list []ast.AuthInformation
	switch n := stmt.(type) {
	case *ast.Insert:
		list = append(list, n.Auth)
	case *ast.Load:
		list = append(list, n.Auth)
	case *ast.DDL:
		list = append(list, n.Auth)
	case *ast.DBDDL:
		list = append(list, n.Auth)
	case *ast.AlterTable:
		for _, d := range n.Statements {
			list = append(list, d.Auth)
		}
	case *ast.Update, *ast.Delete:
		_ = ast.Walk(func(node ast.SQLNode) (bool, error) {
			if t, ok := node.(*ast.AliasedTableExpr); ok && (t.Auth.AuthType == ast.AuthType_UPDATE || t.Auth.AuthType == ast.AuthType_DELETE) {
				list = append(list, t.Auth)
			}
			return true, nil
		}, stmt)
	}
	for _, auth := range list {
		if auth.AuthType == "" || auth.AuthType == ast.AuthType_RENAME && len(auth.TargetNames)%4 != 0 {
			continue
		}
		if err := z.HandleAuth(ctx, nil, auth); err != nil {
			return err
		}
	}
	return nil
}

// checkSet refuses to set what is for all connections to who may not.
func (e *Engine) checkSet(ctx *gms.Context, n *plan.Set) error {
	for _, x := range n.Exprs {
		f, ok := x.(*expression.SetField)
		if !ok {
			continue
		}
		if v, ok := f.LeftChild.(*expression.SystemVar); ok && v.Scope != nil && !v.Scope.IsSessionOnly() {
			return e.Authorize(ctx, Access{Privilege: PrivilegeSuper})
		}
		if v, ok := f.LeftChild.(*expression.SystemVar); ok && strings.EqualFold(v.Name, "time_zone") {
			if l, ok := f.RightChild.(*expression.Literal); ok {
				if zone, ok := textOf(l.Value()); ok && !knownZone(zone) {
					return Error(1298, "HY000", "Unknown or incorrect time zone: '%s'", shown(zone))
				}
			}
		}
	}
	return nil
}

var zoneOffset = regexp.MustCompile(`^[+-](0?\d|1[0-4]):[0-5]\d$`)

func knownZone(name string) bool {
	if strings.EqualFold(name, "SYSTEM") || zoneOffset.MatchString(name) {
		return true
	}
	_, err := time.LoadLocation(name)
	return err == nil && name != "" && !strings.EqualFold(name, "local")
}

// showDatabases leaves those out that are not there for the account.
func (e *Engine) showDatabases(ctx *gms.Context, n *plan.ShowDatabases) (gms.RowIter, error) {
	iter, err := rowexec.DefaultBuilder.Build(ctx, n, nil)
	if err != nil {
		return nil, err
	}
	rows, err := gms.RowIterToRows(ctx, iter)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r gms.Row) bool {
		name, _ := r[0].(string)
		return !e.Sees(ctx, name, "")
	})
	return gms.RowsToRowIter(rows...), nil
}

// viewText is the text of a view that the statement reads, see StoredView.
type viewText string

// StoredView notes that the statement of ctx has read the text of a view, which
// the engine is about to parse: it needs no right to make one.
func StoredView(ctx *gms.Context, create string) {
	if s := SessionOf(ctx); s != nil {
		s.Statement().SetValue(viewText(create), true)
	}
}

// storedView says whether a text is that of a view that was noted.
func storedView(ctx *gms.Context, create string) bool {
	s := SessionOf(ctx)
	return s != nil && s.Statement().Value(viewText(create)) != nil
}

// viewRead is the name of a view that the statement reads.
type viewRead [2]string

func noteView(ctx *gms.Context, name ast.TableName) {
	s := SessionOf(ctx)
	s.Statement().SetValue(viewRead{strings.ToLower(name.DbQualifier.String()), strings.ToLower(name.Name.String())}, true)
}

// ReadsView says whether the statement of ctx reads an ordinary view, itself or
// through other views.
func ReadsView(ctx *gms.Context, database, name string) bool {
	s := SessionOf(ctx)
	return s != nil && s.Statement().Value(viewRead{strings.ToLower(database), strings.ToLower(name)}) != nil
}

// visibleProcesses are the statements that the account of a session may see.
type visibleProcesses struct {
	gms.ProcessList
	user string
	acc  func() (*account, error)
}

// Processes are the account's own, and all for who may see them.
func (v *visibleProcesses) Processes() []gms.Process {
	all := v.ProcessList.Processes()
	acc, err := v.acc()
	if err == nil && missing(acc, right(gms.PrivilegeType_Process), "", "") == 0 {
		return all
	}
	own := all[:0:0]
	for _, p := range all {
		if p.User == v.user {
			own = append(own, p)
		}
	}
	return own
}
