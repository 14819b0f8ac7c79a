package gmsx

import (
	"bytes"
	"cmp"
	"crypto/sha1" //nolint:gosec // what mysql_native_password is made of
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/vitess/go/mysql"
)

// rootUser is the account that exists always and may do everything.
const rootUser = "root"

// rootHosts are the hosts of root. Every loopback address is localhost, and
// '%' is any other.
var rootHosts = []string{localhost, anyHost}

const (
	localhost = "localhost"
	anyHost   = "%"
)

// Ways to prove that one knows a password.
const (
	nativePlugin = string(mysql.MysqlNativePassword)
	sha2Plugin   = string(mysql.CachingSha2Password)
)

// An accountKey is the name of an account.
type accountKey struct{ user, host string }

func (k accountKey) String() string { return "'" + k.user + "'@'" + k.host + "'" }

// An account is who may log in, and what it may do then. It is never changed:
// a statement makes another one in its place.
type account struct {
	accountKey
	plugin  string // by which it logs in first
	native  string // '*' and the hash in hex; "" if it has none
	sha2    string // as in MySQL's authentication_string; "" if it has none
	locked  bool
	tls     bool // it must use TLS
	changed time.Time
	grants  grants
}

// open says that the account has no password.
func (a *account) open() bool { return a.native == "" && a.sha2 == "" }

func (a *account) root() bool { return a.user == rootUser }

// A scope is what a privilege is for: one table, a database, or with neither
// everything. Names are in lower case.
type scope struct{ database, table string }

func scopeOf(database, table string) scope {
	return scope{strings.ToLower(database), strings.ToLower(table)}
}

// String is the scope as in GRANT.
func (s scope) String() string {
	if s.database == "" {
		return "*.*"
	}
	if s.table == "" {
		return gms.QuoteIdentifier(s.database) + ".*"
	}
	return gms.QuoteIdentifier(s.database) + "." + gms.QuoteIdentifier(s.table)
}

// rights are a set of privileges.
type rights uint64

func right(p gms.PrivilegeType) rights { return 1 << p }

func rightsOf(list ...gms.PrivilegeType) (r rights) {
	for _, p := range list {
		r |= right(p)
	}
	return r
}

func (r rights) list() (list []gms.PrivilegeType) {
	for p := gms.PrivilegeType_Select; p <= gms.PrivilegeType_DropRole; p++ {
		if r&right(p) != 0 {
			list = append(list, p)
		}
	}
	return list
}

// grantOption is no privilege of its own: it lets its holder grant the others.
const grantOption = rights(1) << gms.PrivilegeType_GrantOption

// Which privileges there are for a table, a database and for everything. ALL
// PRIVILEGES is each of them.
var (
	tableRights = rightsOf(gms.PrivilegeType_Select, gms.PrivilegeType_Insert, gms.PrivilegeType_Update, gms.PrivilegeType_Delete,
		gms.PrivilegeType_Create, gms.PrivilegeType_Drop, gms.PrivilegeType_References, gms.PrivilegeType_Index, gms.PrivilegeType_Alter,
		gms.PrivilegeType_CreateView, gms.PrivilegeType_ShowView, gms.PrivilegeType_Trigger)
	databaseRights = tableRights | rightsOf(gms.PrivilegeType_CreateTempTable, gms.PrivilegeType_LockTables, gms.PrivilegeType_Execute,
		gms.PrivilegeType_CreateRoutine, gms.PrivilegeType_AlterRoutine, gms.PrivilegeType_Event)
	globalRights = (rights(1)<<(gms.PrivilegeType_DropRole+1) - 1) &^ grantOption
)

func (s scope) all() rights {
	switch {
	case s.database == "":
		return globalRights
	case s.table == "":
		return databaseRights
	}
	return tableRights
}

// grants are the privileges of an account by what they are for.
type grants map[scope]rights

// on returns what an account may do with a table; without one, with a whole
// database, and without that, with everything.
func (g grants) on(database, table string) rights {
	s := scopeOf(database, table)
	r := g[scope{}]
	if s.database != "" {
		r |= g[scope{database: s.database}]
	}
	if s.table != "" {
		r |= g[s]
	}
	return r
}

// aData is what shows that a database or table is there: SUPER, PROCESS and
// their like have nothing to do with it.
var aData = databaseRights | right(gms.PrivilegeType_ShowDB)

// sees says whether a table, or with "" a database, is there for an account.
func (g grants) sees(database, table string) bool {
	if g.on(database, table)&aData != 0 {
		return true
	}
	if table != "" {
		return false
	}
	database = strings.ToLower(database)
	for s, r := range g {
		if s.database == database && r != 0 {
			return true
		}
	}
	return false
}

// covers says whether g has all that other has.
func (g grants) covers(other grants) bool {
	for s, r := range other {
		if g.on(s.database, s.table)&r != r {
			return false
		}
	}
	return true
}

// scopes are those that something was granted for, in order.
func (g grants) scopes() []scope {
	list := slices.Collect(maps.Keys(g))
	slices.SortFunc(list, func(a, b scope) int {
		return cmp.Or(cmp.Compare(a.database, b.database), cmp.Compare(a.table, b.table))
	})
	return list
}

// Accounts are all there are. Who reads them takes a snapshot and no lock; a
// statement that changes them makes the next, which counts once it is stored.
type Accounts struct {
	store UserStore
	now   atomic.Pointer[map[accountKey]*account]

	change  sync.Mutex        // held by who makes the next
	engine  *mysql_db.MySQLDb // shows them as tables of mysql and information_schema; nil before there is one
	changed []func()          // called with it held, after each change
}

// all is a snapshot, which must not be changed.
func (as *Accounts) all() map[accountKey]*account { return *as.now.Load() }

func (as *Accounts) get(k accountKey) *account { return as.all()[k] }

// OpenAccounts loads the accounts of a store, which may be nil, and makes root
// with a password; "" leaves root the one that is stored, or none.
func OpenAccounts(store UserStore, password string) (*Accounts, error) {
	as := &Accounts{store: store}
	all := map[accountKey]*account{}
	if as.store != nil {
		data, err := as.store.Load()
		if err != nil {
			return nil, fmt.Errorf("load accounts: %w", err)
		}
		if all, err = decodeAccounts(data); err != nil {
			return nil, fmt.Errorf("load accounts: %w", err)
		}
	}
	for _, host := range rootHosts {
		k := accountKey{rootUser, host}
		root := all[k]
		if root == nil {
			root = &account{accountKey: k, plugin: nativePlugin, changed: time.Now().UTC()}
		}
		cp := *root
		cp.locked, cp.grants = false, grants{{}: globalRights | grantOption}
		if password != "" {
			if err := cp.identify("", password); err != nil {
				return nil, err
			}
		}
		all[k] = &cp
	}
	as.publish(all)
	return as, nil
}

// attach has an engine show the accounts.
func (as *Accounts) attach(engine *mysql_db.MySQLDb) {
	// FLUSH PRIVILEGES has the engine keep its tables, which are only a picture.
	engine.SetPersister(noPersister{})
	engine.SetEnabled(true)
	as.change.Lock()
	defer as.change.Unlock()
	as.engine = engine
	as.publish(as.all())
}

// RootOpen says whether root needs no password.
func (as *Accounts) RootOpen() bool {
	for _, host := range rootHosts {
		if as.get(accountKey{rootUser, host}).open() {
			return true
		}
	}
	return false
}

type noPersister struct{}

func (noPersister) Persist(*gms.Context, []byte) error { return nil }

// update makes the next state of the accounts: f changes its argument, which is
// a copy, and puts new accounts for those it changes. What f returns without an
// error is durable when update returns.
func (as *Accounts) update(f func(all map[accountKey]*account) error) error {
	as.change.Lock()
	defer as.change.Unlock()
	next := maps.Clone(as.all())
	if err := f(next); err != nil {
		return err
	}
	if as.store != nil {
		data, err := encodeAccounts(next)
		if err == nil {
			err = as.store.Save(data)
		}
		if err != nil {
			return Error(1030, "HY000", "the accounts could not be stored, and are as they were: %v", err)
		}
	}
	as.publish(next)
	for _, f := range as.changed {
		f()
	}
	return nil
}

// publish makes a state of the accounts the current one, also for the tables
// that the engine shows.
func (as *Accounts) publish(all map[accountKey]*account) {
	defer as.now.Store(&all)
	if as.engine == nil {
		return
	}
	ed := as.engine.Editor()
	defer ed.Close()
	var gone []mysql_db.UserPrimaryKey
	ed.VisitUsers(func(u *mysql_db.User) {
		gone = append(gone, mysql_db.UserPrimaryKey{User: u.User, Host: u.Host})
	})
	for _, k := range gone {
		ed.RemoveUser(k)
	}
	for _, a := range all {
		u := &mysql_db.User{
			User: a.user, Host: a.host, Plugin: a.plugin, AuthString: a.native, Locked: a.locked,
			PasswordLastChanged: a.changed, PrivilegeSet: mysql_db.NewPrivilegeSet(), IsSuperUser: a.root(),
		}
		if a.plugin == sha2Plugin {
			u.AuthString = a.sha2
		}
		for s, r := range a.grants {
			switch list := r.list(); {
			case s.database == "":
				u.PrivilegeSet.AddGlobalStatic(list...)
			case s.table == "":
				u.PrivilegeSet.AddDatabase(s.database, list...)
			default:
				u.PrivilegeSet.AddTable(s.database, s.table, list...)
			}
		}
		ed.PutUser(u)
	}
}

// find returns the account that a user has who comes from an address: of those
// of its name the one whose host says most, or nil.
func (as *Accounts) find(user, address string) *account {
	all := as.all()
	if loopbackHost(address) {
		address = localhost
	}
	if a := all[accountKey{user, address}]; a != nil {
		return a
	}
	var best *account
	for k, a := range all {
		if k.user == user && hostMatches(k.host, address) && (best == nil || specificity(k.host) > specificity(best.host)) {
			best = a
		}
	}
	return best
}

// loopbackHost says whether a host is this machine.
func loopbackHost(host string) bool {
	if host == localhost || host == "" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// hostMatches says whether an address is one of those that the host of an
// account names: the address itself, a network as 10.0.0.0/8 or
// 10.0.0.0/255.0.0.0, or a pattern with % and _.
func hostMatches(host, address string) bool {
	if host == anyHost || strings.EqualFold(host, address) {
		return true
	}
	ip, err := netip.ParseAddr(address)
	if base, mask, ok := strings.Cut(host, "/"); ok {
		if err != nil {
			return false
		}
		if m := net.ParseIP(mask).To4(); m != nil {
			ones, _ := net.IPMask(m).Size()
			mask = fmt.Sprint(ones)
		}
		network, err := netip.ParsePrefix(base + "/" + mask)
		return err == nil && network.Contains(ip.Unmap())
	}
	return strings.ContainsAny(host, "%_") && likeHost(host, address)
}

// likeHost is LIKE without escapes.
func likeHost(pattern, s string) bool {
	for ; pattern != ""; pattern, s = pattern[1:], s[1:] {
		if pattern[0] == '%' {
			for i := 0; i <= len(s); i++ {
				if likeHost(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		}
		if s == "" || pattern[0] != '_' && pattern[0] != s[0] {
			return false
		}
	}
	return s == ""
}

// specificity orders hosts by how much they say: what comes before the first
// wildcard.
func specificity(host string) int {
	if i := strings.IndexAny(host, "%_/"); i >= 0 {
		return i
	}
	return len(host) + 1
}

// identify gives an account a password by way of a plugin; "" stands for both.
// "" as a password takes it away.
func (a *account) identify(plugin, password string) error {
	a.native, a.sha2, a.plugin, a.changed = "", "", cmp.Or(plugin, nativePlugin), time.Now().UTC()
	if password == "" {
		return nil
	}
	if plugin != sha2Plugin {
		a.native = nativeHash(password)
	}
	if plugin != nativePlugin {
		salt, err := mysql.NewSalt()
		if err != nil {
			return err
		}
		hash, err := mysql.SerializeCachingSha2PasswordAuthString(password, salt, sha2Iterations)
		if err != nil {
			return err
		}
		a.sha2 = string(hash)
	}
	return nil
}

// sha2Iterations are those of MySQL, in thousands.
const sha2Iterations = 5

// nativeHash is what mysql_native_password stores.
func nativeHash(password string) string {
	first := sha1.Sum([]byte(password)) //nolint:gosec // as the protocol has it
	second := sha1.Sum(first[:])        //nolint:gosec // as the protocol has it
	return "*" + strings.ToUpper(hex.EncodeToString(second[:]))
}

// identifyAs takes a hash as another server has it, or this one.
func (a *account) identifyAs(plugin, hash string) error {
	a.native, a.sha2, a.plugin, a.changed = "", "", cmp.Or(plugin, nativePlugin), time.Now().UTC()
	switch a.plugin {
	case nativePlugin:
		raw, err := hex.DecodeString(strings.TrimPrefix(hash, "*"))
		if err != nil || len(raw) != sha1.Size {
			return Error(1827, "HY000", "The password hash doesn't have the expected format.")
		}
		a.native = "*" + strings.ToUpper(hex.EncodeToString(raw))
	case sha2Plugin:
		kind, iterations, salt, _, err := mysql.DeserializeCachingSha2PasswordAuthString([]byte(hash))
		if err != nil || kind != "SHA256" || iterations <= 0 || len(salt) == 0 {
			return Error(1827, "HY000", "The password hash doesn't have the expected format.")
		}
		a.sha2 = hash
	}
	return nil
}

// knows says whether a password is the account's.
func (a *account) knows(password string) bool {
	if a.open() || password == "" {
		return a.open() && password == ""
	}
	if a.native != "" {
		return subtle.ConstantTimeCompare([]byte(a.native), []byte(nativeHash(password))) == 1
	}
	_, iterations, salt, _, err := mysql.DeserializeCachingSha2PasswordAuthString([]byte(a.sha2))
	if err != nil {
		return false
	}
	hash, err := mysql.SerializeCachingSha2PasswordAuthString(password, salt, iterations)
	return err == nil && subtle.ConstantTimeCompare([]byte(a.sha2), hash) == 1
}

// An Identity is who has proved to be an account, outside MySQL's protocol.
type Identity struct {
	as      *Accounts
	key     accountKey
	changed time.Time // when its password was, at login
}

// Login returns the account that a user has who comes from an address, if the
// password is its own. Without a password an account serves this machine alone.
func (as *Accounts) Login(user, password, address string, overTLS bool) (Identity, bool) {
	a := as.find(user, address)
	if !admits(a, address, overTLS) || !a.knows(password) {
		return Identity{}, false
	}
	return Identity{as, a.accountKey, a.changed}, true
}

// Root says whether the account is root.
func (i Identity) Root() bool { return i.key.user == rootUser }

// May says whether the account has a privilege now.
func (i Identity) May(a Access) bool {
	acc := i.as.get(i.key)
	return i.Valid() && missingFor(acc, a) == 0
}

// Valid says whether the account could log in again: it was not dropped or
// locked, and has the password that it had.
func (i Identity) Valid() bool {
	acc := i.as.get(i.key)
	return acc != nil && !acc.locked && acc.changed.Equal(i.changed)
}

// User is the account's user.
func (i Identity) User() string { return i.key.user }

// admits says whether an account may log in from an address at all.
func admits(a *account, address string, overTLS bool) bool {
	return a != nil && !a.locked && (!a.tls || overTLS) && (!a.open() || loopbackHost(address))
}

// OnChange has f called after each change of accounts or grants, one call at a
// time. f must not change any.
func (as *Accounts) OnChange(f func()) {
	as.change.Lock()
	defer as.change.Unlock()
	as.changed = append(as.changed, f)
}

// What is stored of the accounts.
type (
	storedAccounts struct {
		Version  int             `json:"version"`
		Accounts []storedAccount `json:"accounts"`
	}
	storedAccount struct {
		User    string        `json:"user"`
		Host    string        `json:"host"`
		Plugin  string        `json:"plugin"`
		Native  string        `json:"mysql_native_password,omitempty"`
		SHA2    string        `json:"caching_sha2_password,omitempty"`
		Locked  bool          `json:"locked,omitempty"`
		TLS     bool          `json:"require_ssl,omitempty"`
		Changed time.Time     `json:"password_changed"`
		Grants  []storedGrant `json:"grants,omitempty"`
	}
	storedGrant struct {
		Database   string   `json:"database,omitempty"`
		Table      string   `json:"table,omitempty"`
		Privileges []string `json:"privileges"`
	}
)

const accountsVersion = 1

func encodeAccounts(all map[accountKey]*account) ([]byte, error) {
	stored := storedAccounts{Version: accountsVersion}
	for _, a := range all {
		s := storedAccount{
			User: a.user, Host: a.host, Plugin: a.plugin, Native: a.native, SHA2: a.sha2, Locked: a.locked, TLS: a.tls, Changed: a.changed,
		}
		for _, on := range a.grants.scopes() {
			if a.root() {
				break // which has all, whatever a file says
			}
			g := storedGrant{Database: on.database, Table: on.table}
			for _, p := range a.grants[on].list() {
				g.Privileges = append(g.Privileges, p.String())
			}
			s.Grants = append(s.Grants, g)
		}
		stored.Accounts = append(stored.Accounts, s)
	}
	slices.SortFunc(stored.Accounts, func(a, b storedAccount) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Host, b.Host))
	})
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(stored)
	return b.Bytes(), err
}

// decodeAccounts reads what encodeAccounts has written; nothing is no accounts.
// What it does not know it refuses, rather than to forget it with the next change.
func decodeAccounts(data []byte) (map[accountKey]*account, error) {
	all := map[accountKey]*account{}
	if len(data) == 0 {
		return all, nil
	}
	var stored storedAccounts
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&stored); err != nil {
		return nil, err
	}
	if stored.Version != accountsVersion {
		return nil, fmt.Errorf("version %d of the file is not known", stored.Version)
	}
	for _, s := range stored.Accounts {
		a := &account{
			accountKey: accountKey{s.User, s.Host}, plugin: s.Plugin, native: s.Native, sha2: s.SHA2, locked: s.Locked, tls: s.TLS,
			changed: s.Changed, grants: grants{},
		}
		if s.User == "" || s.Host == "" || s.Plugin != nativePlugin && s.Plugin != sha2Plugin {
			return nil, fmt.Errorf("account %s is not whole", a.accountKey)
		}
		for _, g := range s.Grants {
			r := rights(0)
			for _, name := range g.Privileges {
				p, ok := privilegeNamed(name)
				if !ok {
					return nil, fmt.Errorf("account %s has the unknown privilege %q", a.accountKey, name)
				}
				r |= right(p)
			}
			if g.Database == "" && g.Table != "" {
				return nil, errors.New("a grant names a table without its database")
			}
			a.grants[scopeOf(g.Database, g.Table)] = r
		}
		all[a.accountKey] = a
	}
	return all, nil
}

func privilegeNamed(name string) (gms.PrivilegeType, bool) {
	for p := gms.PrivilegeType_Select; p <= gms.PrivilegeType_DropRole; p++ {
		if p.String() == name {
			return p, true
		}
	}
	return 0, false
}
