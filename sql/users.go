package sql

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"weir/sql/gmsx"
	"weir/views"
)

// A usersFile keeps the accounts in a directory, in a file that people can read
// and that has passwords as hashes alone.
type usersFile struct{ dir string }

var _ gmsx.UserStore = usersFile{}

const usersName = "users.json"

// Load implements gmsx.UserStore.
func (u usersFile) Load() ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(u.dir, usersName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save implements gmsx.UserStore: after a crash the file is the old one or the
// new one, and after Save the new one.
func (u usersFile) Save(data []byte) (err error) {
	path := filepath.Join(u.dir, usersName)
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	return syncDir(u.dir)
}

// syncDir makes the names in a directory durable, where the system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, fs.ErrPermission) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// RootHasPassword says whether the accounts of a data directory have a password
// for root.
func RootHasPassword(dir string) (bool, error) {
	data, err := usersFile{dir}.Load()
	if err != nil {
		return false, err
	}
	has, err := gmsx.RootHasPassword(data)
	if err != nil {
		return false, fmt.Errorf("%s: %w: restore it from a backup, or move it away to begin with root alone", filepath.Join(dir, usersName), err)
	}
	return has, nil
}

// An Account is who has logged in with a name and a password.
type Account struct{ id gmsx.Identity }

// Login returns the account of a user who comes from an address, if the
// password is its own and it may come from there.
func (s *Server) Login(user, password, address string, overTLS bool) (Account, bool) {
	id, ok := s.engine.Login(user, password, address, overTLS)
	return Account{id}, ok
}

// OnAccountsChange has f called after each change of accounts and grants, one
// call at a time. It must be called before Serve.
func (s *Server) OnAccountsChange(f func()) { s.engine.OnAccountsChange(f) }

// Root says whether the account is root, which may do everything.
func (a Account) Root() bool { return a.id.Root() }

// MayRead says whether the account may read the events of a stream now.
func (a Account) MayRead(s *views.StreamDef) bool {
	return a.id.May(gmsx.Access{Privilege: gmsx.PrivilegeSelect, Database: s.Database, Table: s.Name})
}

// MayPublish says whether the account may add events to a stream now.
func (a Account) MayPublish(s *views.StreamDef) bool {
	return a.id.May(gmsx.Access{Privilege: gmsx.PrivilegeInsert, Database: s.Database, Table: s.Name})
}
