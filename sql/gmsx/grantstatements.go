package gmsx

import (
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// GRANT, REVOKE and SHOW GRANTS: what accounts may do.

// privilegeTypes are the parser's privileges that there are here too.
var privilegeTypes = map[ast.PrivilegeType]gms.PrivilegeType{
	ast.PrivilegeType_Alter:                 gms.PrivilegeType_Alter,
	ast.PrivilegeType_AlterRoutine:          gms.PrivilegeType_AlterRoutine,
	ast.PrivilegeType_Create:                gms.PrivilegeType_Create,
	ast.PrivilegeType_CreateRole:            gms.PrivilegeType_CreateRole,
	ast.PrivilegeType_CreateRoutine:         gms.PrivilegeType_CreateRoutine,
	ast.PrivilegeType_CreateTablespace:      gms.PrivilegeType_CreateTablespace,
	ast.PrivilegeType_CreateTemporaryTables: gms.PrivilegeType_CreateTempTable,
	ast.PrivilegeType_CreateUser:            gms.PrivilegeType_CreateUser,
	ast.PrivilegeType_CreateView:            gms.PrivilegeType_CreateView,
	ast.PrivilegeType_Delete:                gms.PrivilegeType_Delete,
	ast.PrivilegeType_Drop:                  gms.PrivilegeType_Drop,
	ast.PrivilegeType_DropRole:              gms.PrivilegeType_DropRole,
	ast.PrivilegeType_Event:                 gms.PrivilegeType_Event,
	ast.PrivilegeType_Execute:               gms.PrivilegeType_Execute,
	ast.PrivilegeType_File:                  gms.PrivilegeType_File,
	ast.PrivilegeType_GrantOption:           gms.PrivilegeType_GrantOption,
	ast.PrivilegeType_Index:                 gms.PrivilegeType_Index,
	ast.PrivilegeType_Insert:                gms.PrivilegeType_Insert,
	ast.PrivilegeType_LockTables:            gms.PrivilegeType_LockTables,
	ast.PrivilegeType_Process:               gms.PrivilegeType_Process,
	ast.PrivilegeType_References:            gms.PrivilegeType_References,
	ast.PrivilegeType_Reload:                gms.PrivilegeType_Reload,
	ast.PrivilegeType_ReplicationClient:     gms.PrivilegeType_ReplicationClient,
	ast.PrivilegeType_ReplicationSlave:      gms.PrivilegeType_ReplicationSlave,
	ast.PrivilegeType_Select:                gms.PrivilegeType_Select,
	ast.PrivilegeType_ShowDatabases:         gms.PrivilegeType_ShowDB,
	ast.PrivilegeType_ShowView:              gms.PrivilegeType_ShowView,
	ast.PrivilegeType_Shutdown:              gms.PrivilegeType_Shutdown,
	ast.PrivilegeType_Super:                 gms.PrivilegeType_Super,
	ast.PrivilegeType_Trigger:               gms.PrivilegeType_Trigger,
	ast.PrivilegeType_Update:                gms.PrivilegeType_Update,
}

// privilegesOf are those that a statement lists, for a scope.
func privilegesOf(list []ast.Privilege, s scope) (r rights, err error) {
	for _, p := range list {
		if len(p.Columns) > 0 {
			return 0, Error(1235, "42000", "privileges are for whole tables, not for columns: make a view of the columns, and grant that")
		}
		switch p.Type {
		case ast.PrivilegeType_All:
			r |= s.all()
			continue
		case ast.PrivilegeType_Usage:
			continue
		case ast.PrivilegeType_Dynamic:
			return 0, Error(3929, "HY000", "Dynamic privilege '%s' is not registered with the server.", strings.ToUpper(p.DynamicName))
		}
		t, ok := privilegeTypes[p.Type]
		if !ok {
			return 0, errIllegalGrant
		}
		if right(t)&^grantOption&^s.all() != 0 {
			if s.table == "" {
				return 0, Error(1221, "HY000", "Incorrect usage of DB GRANT and GLOBAL PRIVILEGES")
			}
			return 0, errIllegalGrant
		}
		r |= right(t)
	}
	return r, nil
}

var errIllegalGrant = Error(1144, "42000", "Illegal GRANT/REVOKE command; please consult the manual to see which privileges can be used")

// scopeNamed is what a statement grants privileges for.
func (e *Engine) scopeNamed(ctx *gms.Context, kind ast.GrantObjectType, l ast.PrivilegeLevel) (scope, error) {
	if kind != ast.GrantObjectType_Any && kind != ast.GrantObjectType_Table {
		return scope{}, Error(1235, "42000", "there are no grants for procedures and functions: CALL weir.… needs the privileges of what it does")
	}
	if l.Database == "*" {
		if l.TableRoutine != "*" {
			return scope{}, errIllegalGrant
		}
		return scope{}, nil
	}
	// A wildcard in a database's name is one that nobody expects; clients write
	// it with a backslash where they mean the character.
	db := strings.NewReplacer(`\_`, "_", `\%`, "%").Replace(l.Database)
	if db == l.Database && strings.Contains(db, "%") {
		return scope{}, Error(1235, "42000", "a grant names one database, and no pattern of names: %s", db)
	}
	if db == "" {
		if db = ctx.GetCurrentDatabase(); db == "" {
			return scope{}, Error(1046, "3D000", "No database selected")
		}
	}
	switch strings.ToLower(db) {
	case infoSchema, perfSchema, mysqlSchema:
		return scope{}, Error(1044, "42000", "Access denied for user '%s'@'%s' to database '%s'", ctx.Client().User, ctx.Client().Address, db)
	}
	if l.TableRoutine == "*" {
		return scopeOf(db, ""), nil
	}
	return scopeOf(db, l.TableRoutine), nil
}

// mayGrant says whether an account may give privileges to others, or take them.
func mayGrant(me *account, s scope, r rights) error {
	if me.root() {
		return nil
	}
	if m := (r | grantOption) &^ me.grants.on(s.database, s.table); m != 0 {
		switch {
		case s.database == "":
			return Error(1045, "28000", "Access denied for user %s: to grant privileges, hold them WITH GRANT OPTION", me.accountKey)
		case s.table == "":
			return Error(1044, "42000", "Access denied for user %s to database '%s'", me.accountKey, s.database)
		}
		return Error(1142, "42000", "GRANT command denied to user %s for table '%s'", me.accountKey, s.table)
	}
	return nil
}

// thereIs says whether a table has a name.
func (e *Engine) thereIs(ctx *gms.Context, database, table string) bool {
	db, err := e.opts.Provider.Database(ctx, database)
	if err != nil {
		return false
	}
	_, ok, err := db.GetTableInsensitive(ctx, table)
	if ok || err != nil { // a view that is being built is there
		return true
	}
	if v, is := db.(gms.ViewDatabase); is {
		_, ok, _ = v.GetViewDefinition(ctx, table)
	}
	return ok
}

// granting is what GRANT and REVOKE begin with: whose statement it is, and which
// privileges it names, for what.
func (e *Engine) granting(ctx *gms.Context, kind ast.GrantObjectType, level ast.PrivilegeLevel, list []ast.Privilege) (me *account, s scope, r rights, err error) {
	if me, err = e.accountOf(ctx); err != nil {
		return nil, s, 0, err
	}
	if s, err = e.scopeNamed(ctx, kind, level); err != nil {
		return nil, s, 0, err
	}
	r, err = privilegesOf(list, s)
	return me, s, r, err
}

func (e *Engine) grant(ctx *gms.Context, n *ast.GrantPrivilege) error {
	if n.As != nil {
		return Error(1235, "42000", "GRANT … AS is not supported")
	}
	me, s, r, err := e.granting(ctx, n.ObjectType, n.PrivilegeLevel, n.Privileges)
	if err != nil {
		return err
	}
	if n.WithGrantOption {
		r |= grantOption
	}
	if err := mayGrant(me, s, r); err != nil {
		return err
	}
	if s.table != "" && r&right(gms.PrivilegeType_Create) == 0 && !e.thereIs(ctx, s.database, s.table) {
		return Error(1146, "42S02", "Table '%s.%s' doesn't exist", s.database, s.table)
	}
	return e.changeNamed(n.To, failed("GRANT"), func(all map[accountKey]*account, k accountKey, _ int) (bool, error) {
		a := all[k]
		if a == nil {
			return false, Error(1410, "42000", "You are not allowed to create a user with GRANT: CREATE USER makes %s", k)
		}
		if a.root() {
			return true, nil // which has all there is
		}
		return true, alter(all, a, func(a *account) error {
			if r != 0 {
				a.grants[s] |= r
			}
			return nil
		})
	})
}

func (e *Engine) revoke(ctx *gms.Context, n *ast.RevokePrivilege) error {
	me, s, r, err := e.granting(ctx, n.ObjectType, n.PrivilegeLevel, n.Privileges)
	if err != nil {
		return err
	}
	if err := mayGrant(me, s, r&^grantOption); err != nil {
		return err
	}
	return e.changeNamed(n.From, failed("REVOKE"), func(all map[accountKey]*account, k accountKey, _ int) (bool, error) {
		a := all[k]
		switch {
		case a == nil:
			return false, noGrants(k)
		case a.root():
			return false, Error(1396, "HY000", "Operation REVOKE failed for %s: root keeps all its privileges", k)
		case a.grants[s] == 0 && s.table != "":
			return false, Error(1147, "42000", "There is no such grant defined for user '%s' on host '%s' on table '%s'", k.user, k.host, s.table)
		case a.grants[s] == 0 && s.database != "":
			return false, noGrants(k)
		}
		return true, alter(all, a, func(a *account) error {
			if a.grants[s] &^= r; a.grants[s] == 0 {
				delete(a.grants, s)
			}
			return nil
		})
	})
}

func (e *Engine) revokeAll(ctx *gms.Context, n *ast.RevokeAllPrivileges) error {
	me, err := e.administrator(ctx)
	if err != nil {
		return err
	}
	refused := func(names string) error {
		return Error(1269, "HY000", "Can't revoke all privileges for one or more of the requested users: %s", names)
	}
	return e.changeNamed(n.From, refused, func(all map[accountKey]*account, k accountKey, _ int) (bool, error) {
		a := all[k]
		if a == nil || a.root() {
			return false, nil
		}
		if err := mayChange(me, a); err != nil {
			return false, err
		}
		return true, alter(all, a, func(a *account) error {
			clear(a.grants)
			return nil
		})
	})
}

// showGrants is SHOW GRANTS: everybody may see their own.
func (e *Engine) showGrants(session gms.Session, n *ast.ShowGrants) (Statement, error) {
	if len(n.Using) > 0 {
		return nil, Error(1235, "42000", "there are no roles: leave USING out")
	}
	var k accountKey
	own := n.For == nil || n.CurrentUser
	if session != nil {
		k = accountKey{session.Client().User, session.Client().Address}
	}
	if !own {
		var err error
		if k, err = accountNamed(*n.For); err != nil {
			return nil, err
		}
	}
	schema := gms.Schema{{Name: "Grants for " + k.user + "@" + k.host, Type: types.LongText}}
	return &accountStatement{e: e, schema: schema, run: func(ctx *gms.Context) ([]gms.Row, error) {
		a, err := e.shown(ctx, k, own)
		if err != nil {
			return nil, err
		}
		to := " TO " + gms.QuoteIdentifier(a.user) + "@" + gms.QuoteIdentifier(a.host)
		var rows []gms.Row
		if a.grants[scope{}] == 0 {
			rows = append(rows, gms.Row{"GRANT USAGE ON *.*" + to})
		}
		for _, s := range a.grants.scopes() {
			r := a.grants[s]
			names := make([]string, 0, 4)
			for _, p := range (r &^ grantOption).list() {
				names = append(names, p.String())
			}
			what := strings.Join(names, ", ")
			switch r &^ grantOption {
			case 0:
				what = "USAGE"
			case s.all():
				what = "ALL PRIVILEGES"
			}
			text := "GRANT " + what + " ON " + s.String() + to
			if r&grantOption != 0 {
				text += " WITH GRANT OPTION"
			}
			rows = append(rows, gms.Row{text})
		}
		return rows, nil
	}}, nil
}

func noGrants(k accountKey) error {
	return Error(1141, "42000", "There is no such grant defined for user '%s' on host '%s'", k.user, k.host)
}
