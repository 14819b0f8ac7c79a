package sql

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"weir/sql/gmsx"
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

// Accounts are who may log in, by MySQL's protocol and any other.
type Accounts struct{ as *gmsx.Accounts }

// OpenAccounts loads the accounts of a data directory, and gives root a
// password; "" leaves root the one that was set, or none.
func OpenAccounts(dir, password string) (*Accounts, error) {
	as, err := gmsx.OpenAccounts(usersFile{dir}, password)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: restore it from a backup, or move it away to begin with root alone", filepath.Join(dir, usersName), err)
	}
	return &Accounts{as}, nil
}

// RootOpen says whether root needs no password.
func (a *Accounts) RootOpen() bool { return a.as.RootOpen() }

// OnChange has f called after each change of accounts and grants, one call at a
// time. f must not change any.
func (a *Accounts) OnChange(f func()) { a.as.OnChange(f) }

// Login returns the account of a user who comes from an address, if the
// password is its own and it may come from there.
func (a *Accounts) Login(user, password, address string, overTLS bool) (Account, bool) {
	id, ok := a.as.Login(user, password, address, overTLS)
	return Account{id}, ok
}

// An Account is who has logged in with a name and a password.
type Account struct{ id gmsx.Identity }

// User is the account's user, which accounts of several hosts may share.
func (a Account) User() string { return a.id.User() }

// Root says whether the account is root, which may do everything.
func (a Account) Root() bool { return a.id.Root() }

// Valid says whether the account could log in again as it did.
func (a Account) Valid() bool { return a.id.Valid() }

// MayRead says whether the account may read a stream or view now.
func (a Account) MayRead(database, name string) bool {
	return a.id.May(gmsx.Access{Privilege: gmsx.PrivilegeSelect, Database: database, Table: name})
}

// MayPublish says whether the account may add events to a stream now; "", ""
// are all streams.
func (a Account) MayPublish(database, name string) bool {
	return a.id.May(gmsx.Access{Privilege: gmsx.PrivilegeInsert, Database: database, Table: name})
}
