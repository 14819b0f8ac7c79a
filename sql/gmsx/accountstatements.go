package gmsx

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

// Statements about accounts: how they are read, and those that make, change,
// name and show accounts. What accounts may do is grantstatements.go. The
// engine's own change accounts in place before they are stored, take hosts for
// names, and lack several forms.

// An accountStatement is one of them.
type accountStatement struct {
	e      *Engine
	schema gms.Schema // of SHOW; nil for the others
	run    func(ctx *gms.Context) ([]gms.Row, error)
}

var _ Statement = (*accountStatement)(nil)

func (s *accountStatement) Schema() gms.Schema { return s.schema }
func (s *accountStatement) ReadOnly() bool     { return s.schema != nil }

// Access is none, as the statement asks for itself: what it needs depends on
// whose account it is about.
func (s *accountStatement) Access() Access { return Access{} }

func (s *accountStatement) RowIter(ctx *gms.Context) (gms.RowIter, error) {
	rows, err := s.run(ctx)
	if err != nil || s.schema == nil {
		return nil, err
	}
	return gms.RowsToRowIter(rows...), nil
}

var (
	alterUser   = phrase(`ALTER USER(?: IF EXISTS)?\b(.*)`)
	ifExists    = phrase(`ALTER USER IF EXISTS\b.*`)
	unlocked    = regexp.MustCompile(`(?is)\bACCOUNT\s+UNLOCK\b`)
	noTLS       = regexp.MustCompile(`(?is)\bREQUIRE\s+NONE\b`)
	literals    = regexp.MustCompile(literalForm)
	setPassword = phrase(`SET PASSWORD(?: FOR (.+?))?~=~(?:PASSWORD~\(~` + literalForm + `~\)|` + literalForm + `)`)
	currentUser = regexp.MustCompile(`(?is)^\s*(?:CURRENT_USER|USER|SESSION_USER)(?:\s*\(\s*\))?(\s|$)`)
	ofCurrent   = phrase(`CURRENT_USER(?:~\(~\))?`)

	// secrets are statements that contain a password.
	secrets = regexp.MustCompile(`(?is)^\s*(?:(CREATE|ALTER)\s+USER|(SET)\s+PASSWORD|(GRANT)\b.*\bIDENTIFIED)\b`)
)

// literalForm is a text in quotes.
const literalForm = `('(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")`

// accountPhrase reads the statements about accounts that the engine's parser
// does not, or not as a whole: ALTER USER and SET PASSWORD, which say with
// other words what CREATE USER says of an account.
func (p *parser) accountPhrase(ctx gms.Session, query string) (Statement, bool, error) {
	var rest string
	optional := false
	switch firstWord(query) {
	case "alter":
		m := alterUser.FindStringSubmatch(query)
		if m == nil {
			return nil, false, nil
		}
		rest, optional = m[1], ifExists.MatchString(query)
	case "set":
		m := setPassword.FindStringSubmatch(query)
		if m == nil {
			return nil, false, nil
		}
		name := m[1]
		if name == "" {
			name = "CURRENT_USER()"
		}
		rest = " " + name + " IDENTIFIED BY " + m[2] + m[3]
	default:
		return nil, false, nil
	}
	if ctx != nil {
		c := ctx.Client()
		rest = currentUser.ReplaceAllString(rest, " '"+quoteText(c.User)+"'@'"+quoteText(c.Address)+"'$1")
	}
	stmt, err := ast.Parse("CREATE USER " + rest)
	if err != nil {
		return nil, true, Error(1064, "42000", mysqlSyntaxError+"%s", strings.TrimSpace(strings.ReplaceAll(err.Error(), "\n", " ")))
	}
	n, ok := stmt.(*ast.CreateUser)
	if !ok {
		return nil, false, nil
	}
	words := literals.ReplaceAllString(rest, "''")
	return &accountStatement{e: p.e, run: func(ctx *gms.Context) ([]gms.Row, error) {
		return nil, p.e.alterUsers(ctx, n, optional, n.Locked, unlocked.MatchString(words), noTLS.MatchString(words))
	}}, true, nil
}

// quoteText writes a text between single quotes.
func quoteText(s string) string { return strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) }

// accountStatement takes the statements about accounts from the engine.
func (e *Engine) accountStatement(session gms.Session, stmt ast.Statement) (Statement, error) {
	do := func(f func(ctx *gms.Context) error) (Statement, error) {
		return &accountStatement{e: e, run: func(ctx *gms.Context) ([]gms.Row, error) { return nil, f(ctx) }}, nil
	}
	switch n := stmt.(type) {
	case *ast.CreateUser:
		return do(func(ctx *gms.Context) error { return e.createUsers(ctx, n) })
	case *ast.DropUser:
		return do(func(ctx *gms.Context) error { return e.dropUsers(ctx, n) })
	case *ast.RenameUser:
		return do(func(ctx *gms.Context) error { return e.renameUsers(ctx, n) })
	case *ast.GrantPrivilege:
		return do(func(ctx *gms.Context) error { return e.grant(ctx, n) })
	case *ast.RevokePrivilege:
		return do(func(ctx *gms.Context) error { return e.revoke(ctx, n) })
	case *ast.RevokeAllPrivileges:
		return do(func(ctx *gms.Context) error { return e.revokeAll(ctx, n) })
	case *ast.ShowGrants:
		return e.showGrants(session, n)
	case *ast.CreateRole, *ast.DropRole, *ast.GrantRole, *ast.RevokeRole:
		return nil, Error(1235, "42000", "there are no roles: grant the privileges to each account")
	case *ast.GrantProxy, *ast.RevokeProxy:
		return nil, Error(1235, "42000", "there are no proxy accounts")
	}
	return nil, nil
}

// accountNamed is the account that a statement names.
func accountNamed(n ast.AccountName) (accountKey, error) {
	k := accountKey{n.Name, strings.ToLower(n.Host)}
	if k.host == "" {
		k.host = anyHost
	}
	if ip, err := netip.ParseAddr(k.host); err == nil && ip.Unmap().IsLoopback() {
		k.host = localhost
	}
	switch {
	case k.user == "":
		return k, Error(1396, "HY000", "an account needs a name: there are no anonymous ones")
	case len([]rune(k.user)) > 32:
		return k, Error(1470, "HY000", "String '%s' is too long for user name (should be no longer than 32)", k.user)
	case len(k.host) > 255:
		return k, Error(1470, "HY000", "String '%s' is too long for host name (should be no longer than 255)", k.host)
	case strings.ContainsAny(k.user, "\x00\r\n") || strings.ContainsAny(k.host, "\x00\r\n '"):
		return k, Error(1396, "HY000", "the name of an account has no line breaks, and its host no blanks: %q", k.String())
	}
	return k, nil
}

// administrator is the account of ctx, which must be one that may make others.
func (e *Engine) administrator(ctx *gms.Context) (*account, error) {
	if err := e.Authorize(ctx, Access{Privilege: PrivilegeCreateUser}); err != nil {
		return nil, err
	}
	return e.accountOf(ctx)
}

// changeNamed calls change for each account that a statement names, with its
// place among them. Where change fails, nothing is changed. Where it says false
// of accounts, nothing is either, and the error is that of refused for them all.
func (e *Engine) changeNamed(names []ast.AccountName, refused refusal,
	change func(all map[accountKey]*account, k accountKey, i int) (ok bool, err error),
) error {
	return e.accounts.update(func(all map[accountKey]*account) error {
		var wrong []string
		for i, name := range names {
			k, err := accountNamed(name)
			if err != nil {
				return err
			}
			ok, err := change(all, k, i)
			if err != nil {
				return err
			}
			if !ok {
				wrong = append(wrong, k.String())
			}
		}
		if len(wrong) > 0 {
			return refused(strings.Join(wrong, ","))
		}
		return nil
	})
}

// A refusal is the error of a statement that some accounts do not allow.
type refusal func(names string) error

// failed is the refusal of most operations.
func failed(operation string) refusal {
	return func(names string) error {
		return Error(1396, "HY000", "Operation %s failed for %s", operation, names)
	}
}

// checkOptions refuses what accounts do not have here.
func checkOptions(n *ast.CreateUser) error {
	no := func(what string) error {
		return Error(1235, "42000", "accounts have no %s", what)
	}
	for _, u := range n.Users {
		switch {
		case u.Auth2 != nil, u.Auth3 != nil, u.AuthInitial != nil:
			return no("second factors")
		case u.Auth1 != nil && u.Auth1.RandomPassword:
			return no("random passwords: choose one")
		}
	}
	switch t := n.TLSOptions; {
	case len(n.DefaultRoles) > 0:
		return no("roles")
	case t != nil && (t.X509 || t.Cipher != "" || t.Issuer != "" || t.Subject != ""):
		return no("client certificates: REQUIRE SSL asks for TLS")
	case n.AccountLimits != nil && (n.AccountLimits.MaxQueriesPerHour != nil || n.AccountLimits.MaxUpdatesPerHour != nil ||
		n.AccountLimits.MaxConnectionsPerHour != nil || n.AccountLimits.MaxUserConnections != nil):
		return no("limits")
	case n.PasswordOptions != nil && (n.PasswordOptions.RequireCurrentOptional || n.PasswordOptions.ExpirationTime != nil ||
		n.PasswordOptions.History != nil || n.PasswordOptions.ReuseInterval != nil ||
		string(n.PasswordOptions.FailedAttempts.Val) != "0" || n.PasswordOptions.LockTime == nil || string(n.PasswordOptions.LockTime.Val) != "0"):
		return no("password options: passwords do not expire")
	case n.Attribute != "":
		return no("comments and attributes")
	}
	return nil
}

// prove sets what a statement says of how an account proves to be itself.
func prove(a *account, auth *ast.Authentication) error {
	if auth == nil {
		return nil
	}
	switch strings.ToLower(auth.Plugin) {
	case "", nativePlugin, sha2Plugin:
	default:
		return Error(1524, "HY000", "Plugin '%s' is not loaded", auth.Plugin)
	}
	plugin := strings.ToLower(auth.Plugin)
	if auth.Identity != "" {
		return a.identifyAs(plugin, auth.Identity)
	}
	return a.identify(plugin, auth.Password)
}

// usersNamed are the accounts that CREATE USER or ALTER USER names.
func usersNamed(n *ast.CreateUser) []ast.AccountName {
	names := make([]ast.AccountName, len(n.Users))
	for i, u := range n.Users {
		names[i] = u.AccountName
	}
	return names
}

func (e *Engine) createUsers(ctx *gms.Context, n *ast.CreateUser) error {
	if err := e.Authorize(ctx, Access{Privilege: PrivilegeCreateUser}); err != nil {
		return err
	}
	if err := checkOptions(n); err != nil {
		return err
	}
	return e.changeNamed(usersNamed(n), failed("CREATE USER"), func(all map[accountKey]*account, k accountKey, i int) (bool, error) {
		if all[k] != nil {
			if n.IfNotExists {
				ctx.Session.Warn(&gms.Warning{Level: "Note", Code: 3163, Message: fmt.Sprintf("Authorization ID %s already exists.", k)})
			}
			return n.IfNotExists, nil
		}
		a := &account{accountKey: k, locked: n.Locked, tls: n.TLSOptions != nil && n.TLSOptions.SSL, grants: grants{}}
		if err := a.identify("", ""); err != nil {
			return false, err
		}
		if err := prove(a, n.Users[i].Auth1); err != nil {
			return false, err
		}
		if a.open() && a.user != rootUser {
			ctx.Session.Warn(&gms.Warning{Level: "Note", Code: 1105, Message: fmt.Sprintf("%s has no password, and can log in from this machine alone", k)})
		}
		all[k] = a
		return true, nil
	})
}

// alter puts a copy of an account in its place, for root at all its hosts.
func alter(all map[accountKey]*account, a *account, f func(a *account) error) error {
	keys := []accountKey{a.accountKey}
	if a.root() {
		keys = keys[:0]
		for k := range all {
			if k.user == rootUser {
				keys = append(keys, k)
			}
		}
	}
	for _, k := range keys {
		cp := *all[k]
		cp.grants = maps.Clone(cp.grants)
		if err := f(&cp); err != nil {
			return err
		}
		all[k] = &cp
	}
	return nil
}

// mayChange says whether one account may change another: itself, and with
// CREATE USER those that may do no more than itself.
func mayChange(me, other *account) error {
	if me.root() {
		return nil
	}
	if me.grants[scope{}]&right(gms.PrivilegeType_CreateUser) == 0 {
		return denied(me, right(gms.PrivilegeType_CreateUser), "", "")
	}
	if other.root() || !me.grants.covers(other.grants) {
		return Error(1227, "42000", "Access denied; you need each privilege that %s has for this operation", other.accountKey)
	}
	return nil
}

func (e *Engine) alterUsers(ctx *gms.Context, n *ast.CreateUser, optional, lock, unlock, noTLS bool) error {
	me, err := e.accountOf(ctx)
	if err != nil {
		return err
	}
	if err := checkOptions(n); err != nil {
		return err
	}
	return e.changeNamed(usersNamed(n), failed("ALTER USER"), func(all map[accountKey]*account, k accountKey, i int) (bool, error) {
		a := all[k]
		// Its password everybody may change, and nothing else.
		own := a != nil && a.accountKey == me.accountKey && !lock && !unlock && !noTLS && n.TLSOptions == nil
		if !own {
			other := a
			if other == nil {
				other = &account{}
			}
			if err := mayChange(me, other); err != nil {
				return false, err
			}
		}
		if a == nil {
			return absent(ctx, k, optional), nil
		}
		if a.root() && lock {
			return false, Error(1396, "HY000", "Operation ALTER USER failed for %s: root cannot be locked", k)
		}
		return true, alter(all, a, func(a *account) error {
			a.locked = a.locked && !unlock || lock
			if noTLS {
				a.tls = false
			}
			if n.TLSOptions != nil && n.TLSOptions.SSL {
				a.tls = true
			}
			return prove(a, n.Users[i].Auth1)
		})
	})
}

// absent says whether a statement passes over an account that is not there: with
// IF EXISTS it does, and leaves a note.
func absent(ctx *gms.Context, k accountKey, ifExists bool) bool {
	if ifExists {
		ctx.Session.Warn(&gms.Warning{Level: "Note", Code: 3162, Message: fmt.Sprintf("Authorization ID %s does not exist.", k)})
	}
	return ifExists
}

func (e *Engine) dropUsers(ctx *gms.Context, n *ast.DropUser) error {
	me, err := e.administrator(ctx)
	if err != nil {
		return err
	}
	return e.changeNamed(n.AccountNames, failed("DROP USER"), func(all map[accountKey]*account, k accountKey, _ int) (bool, error) {
		a := all[k]
		if a == nil {
			return absent(ctx, k, n.IfExists), nil
		}
		if a.root() {
			return false, Error(1396, "HY000", "Operation DROP USER failed for %s: root is always there", k)
		}
		if err := mayChange(me, a); err != nil {
			return false, err
		}
		delete(all, k)
		return true, nil
	})
}

func (e *Engine) renameUsers(ctx *gms.Context, n *ast.RenameUser) error {
	me, err := e.administrator(ctx)
	if err != nil {
		return err
	}
	names := make([]ast.AccountName, len(n.Accounts))
	for i, r := range n.Accounts {
		names[i] = r.From
	}
	return e.changeNamed(names, failed("RENAME USER"), func(all map[accountKey]*account, from accountKey, i int) (bool, error) {
		to, err := accountNamed(n.Accounts[i].To)
		if err != nil {
			return false, err
		}
		a := all[from]
		if a == nil || all[to] != nil || a.root() || to.user == rootUser {
			return false, nil
		}
		if err := mayChange(me, a); err != nil {
			return false, err
		}
		cp := *a
		cp.accountKey = to
		delete(all, from)
		all[to] = &cp
		return true, nil
	})
}

// shown is an account whose grants or definition the account of ctx may see.
func (e *Engine) shown(ctx *gms.Context, k accountKey, own bool) (*account, error) {
	me, err := e.accountOf(ctx)
	if err != nil {
		return nil, err
	}
	if own || k == me.accountKey {
		return me, nil
	}
	if !administers(me) {
		return nil, denied(me, right(gms.PrivilegeType_Select), mysqlSchema, "")
	}
	if a := e.accounts.get(k); a != nil {
		return a, nil
	}
	return nil, noGrants(k)
}

// showCreateUser is SHOW CREATE USER: with the hashes, so that an account can
// be made again on another server.
func showCreateUser(e *Engine, ctx *gms.Context, m []string) ([]gms.Row, error) {
	own := strings.TrimSpace(m[1]) == "" || ofCurrent.MatchString(strings.TrimSpace(m[1]))
	var k accountKey
	if !own {
		stmt, err := ast.Parse("CREATE USER " + m[1])
		n, ok := stmt.(*ast.CreateUser)
		if err != nil || !ok || len(n.Users) != 1 {
			return nil, Error(1064, "42000", mysqlSyntaxError+"SHOW CREATE USER takes one account")
		}
		if k, err = accountNamed(n.Users[0].AccountName); err != nil {
			return nil, err
		}
	}
	a, err := e.shown(ctx, k, own)
	if err != nil {
		return nil, err
	}
	text := "CREATE USER " + gms.QuoteIdentifier(a.user) + "@" + gms.QuoteIdentifier(a.host)
	switch {
	case a.plugin == sha2Plugin && a.sha2 != "":
		text += " IDENTIFIED WITH '" + sha2Plugin + "' AS '" + quoteText(a.sha2) + "'"
	case a.native != "":
		text += " IDENTIFIED WITH '" + nativePlugin + "' AS '" + a.native + "'"
	}
	if a.tls {
		text += " REQUIRE SSL"
	}
	if a.locked {
		text += " ACCOUNT LOCK"
	}
	return []gms.Row{{text}}, nil
}
