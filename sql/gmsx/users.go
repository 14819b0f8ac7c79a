package gmsx

import (
	"fmt"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
)

// rootUser is the account that exists always and may do everything.
const rootUser = "root"

// rootHosts are the hosts of root. The engine takes every loopback address
// for localhost, and '%' for any other.
var rootHosts = []string{"localhost", "%"}

// setUsers loads the accounts and makes root. It always enables them: without
// accounts the engine leaves parts of information_schema empty, and everyone
// may do everything.
func (e *Engine) setUsers() error {
	db := e.engine.Analyzer.Catalog.MySQLDb
	db.SetPersister(&persister{store: e.opts.Users})
	var data []byte
	if e.opts.Users != nil {
		var err error
		if data, err = e.opts.Users.Load(); err != nil {
			return fmt.Errorf("load accounts: %w", err)
		}
	}
	if err := db.LoadData(gms.NewEmptyContext(), data); err != nil {
		return fmt.Errorf("load accounts: %w", err)
	}

	ed := db.Editor()
	defer ed.Close()
	for _, host := range rootHosts {
		key := mysql_db.UserPrimaryKey{Host: host, User: rootUser}
		stored, ok := ed.GetUser(key)
		// Root is made anew, as the engine forgets on loading that it is a
		// superuser. A stored password stands unless Options sets one.
		ed.RemoveUser(key)
		db.AddSuperUser(ed, rootUser, host, e.opts.Password)
		if ok && e.opts.Password == "" {
			root, _ := ed.GetUser(key)
			root.AuthString, root.Plugin = stored.AuthString, stored.Plugin
			ed.PutUser(root)
		}
	}
	return nil
}

// A persister hands the accounts to the UserStore. The engine panics in
// CREATE USER when it has none.
type persister struct{ store UserStore }

func (p *persister) Persist(_ *gms.Context, data []byte) error {
	if p.store == nil {
		return nil
	}
	return p.store.Save(data)
}

// may says whether the account of ctx has a global privilege.
func (e *Engine) may(ctx *gms.Context, p gms.PrivilegeType) bool {
	return e.engine.Analyzer.Catalog.MySQLDb.UserHasPrivileges(ctx,
		gms.NewPrivilegedOperation(gms.PrivilegeCheckSubject{}, p))
}
