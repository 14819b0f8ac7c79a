package jetstream

import (
	"crypto/subtle"
	"maps"
	"net"
	"regexp"
	"slices"
	"sync"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// An Account is who has logged in at the NATS listener.
type Account interface {
	// Root says that it may do everything.
	Root() bool
	// Rights returns what the account may do now, and false once it may not
	// be connected any longer. It may wait until that is known.
	Rights() (Rights, bool)
}

// Rights are what an account other than root may do. What it may not is denied.
type Rights struct {
	Publish []string // subjects, also with wildcards
	Hear    []string // subjects of which it gets what is published from now on
	Read    []string // names of logs that it may read by consumers and direct gets
	Marks   bool     // it may keep marks, as weir publish does
}

func (r Rights) equal(o Rights) bool {
	return slices.Equal(r.Publish, o.Publish) && slices.Equal(r.Hear, o.Hear) && slices.Equal(r.Read, o.Read) && r.Marks == o.Marks
}

// A Login finds the account of a client by what it says of itself. host is the
// client's IP address. A client that gives neither a user nor a password is root
// where that has none.
type Login func(user, password, host string, overTLS bool) (Account, bool)

// inboxUser are the names that a subject can have: an account of another name
// cannot use NATS.
var inboxUser = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// InboxPrefix begins the subjects on which an account gets answers. Its own are
// closed to other accounts, which the usual ones of NATS are not.
func InboxPrefix(user string) string { return "_INBOX." + user }

// access lets clients in. It knows who is connected, so that those whose rights
// have changed can be disconnected: they connect again, with what they have then.
type access struct {
	server *Server

	mu      sync.Mutex
	clients map[uint64]admitted
}

type admitted struct {
	account Account
	rights  Rights
}

var _ natsserver.Authentication = (*access)(nil)

// Check is called by the server for each client.
func (a *access) Check(c natsserver.ClientAuthentication) bool {
	o := c.GetOpts()
	host := "" // of a connection within the process
	if addr := c.RemoteAddress(); addr != nil {
		if h, _, err := net.SplitHostPort(addr.String()); err == nil {
			host = h
		}
	}
	if host == "" || o.Username == internalUser {
		ours := host == "" && o.Username == internalUser && subtle.ConstantTimeCompare([]byte(o.Password), []byte(a.server.password)) == 1
		if ours {
			c.RegisterUser(&natsserver.User{Username: internalUser})
		}
		return ours
	}
	user := o.Username
	if user == "" {
		user = externalUser
	}
	account, ok := a.server.cfg.Login(user, o.Password, host, c.GetTLSConnectionState() != nil)
	if !ok {
		time.Sleep(loginPause)
		return false
	}
	if account.Root() {
		c.RegisterUser(&natsserver.User{Username: user, Permissions: rootPermissions()})
		a.remember(c.GetID(), admitted{account: account})
		return true
	}
	if !inboxUser.MatchString(user) {
		a.server.logger.Warn("an account cannot use NATS: its name is to be of letters, digits, _ and -", "user", user)
		return false
	}
	rights, ok := account.Rights()
	if !ok {
		return false
	}
	c.RegisterUser(&natsserver.User{Username: user, Permissions: permissions(user, rights)})
	a.remember(c.GetID(), admitted{account, rights})
	return true
}

// loginPause slows down who tries passwords.
const loginPause = 50 * time.Millisecond

func (a *access) remember(id uint64, c admitted) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// Clients that have gone say so to nobody: now and then it is looked who has.
	if len(a.clients) >= 64 && len(a.clients)&(len(a.clients)-1) == 0 {
		a.forget()
	}
	if a.clients == nil {
		a.clients = map[uint64]admitted{}
	}
	a.clients[id] = c
}

// forget drops the clients that are not connected any more. mu is held.
func (a *access) forget() {
	ns := a.server.ns.Load()
	if ns == nil {
		return
	}
	for id := range a.clients {
		if ns.GetClient(id) == nil {
			delete(a.clients, id)
		}
	}
}

// review disconnects the clients whose rights are not what they were.
func (a *access) review() {
	ns := a.server.ns.Load()
	a.mu.Lock()
	a.forget()
	clients := maps.Clone(a.clients)
	a.mu.Unlock()
	for id, c := range clients {
		rights, ok := c.account.Rights()
		if ok && (c.account.Root() || rights.equal(c.rights)) {
			continue
		}
		a.mu.Lock()
		delete(a.clients, id)
		a.mu.Unlock()
		if err := ns.DisconnectClientByID(id); err != nil {
			a.server.logger.Debug("a client had gone", "error", err)
		}
	}
}

// Review disconnects the clients whose account may do something else now than
// when they connected; the others notice nothing. It must be called after each
// change of accounts, and of the streams that they have rights for.
func (s *Server) Review() {
	if s.access != nil {
		s.access.review()
	}
}

func rootPermissions() *natsserver.Permissions {
	return &natsserver.Permissions{
		Publish:   &natsserver.SubjectPermission{Deny: deniedPublish},
		Subscribe: &natsserver.SubjectPermission{Deny: []string{internalInbox + ".>"}},
	}
}

// permissions are those of an account that is not root. The lists are never
// empty, as an empty one allows everything.
func permissions(user string, r Rights) *natsserver.Permissions {
	publish := append([]string{"$JS.API.INFO"}, r.Publish...)
	hear := append([]string{InboxPrefix(user) + ".>"}, r.Hear...)
	for _, log := range r.Read {
		publish = append(publish, readSubjects(log)...)
	}
	if r.Marks {
		publish = append(publish, readSubjects(bucketPrefix+marksBucket)...)
		publish = append(publish, "$KV."+marksBucket+".>", "$JS.API.STREAM.NAMES")
	}
	return &natsserver.Permissions{
		Publish:   &natsserver.SubjectPermission{Allow: publish},
		Subscribe: &natsserver.SubjectPermission{Allow: hear},
	}
}

// readSubjects are what clients ask for to read a log.
func readSubjects(log string) []string {
	return []string{
		"$JS.API.STREAM.INFO." + log,
		"$JS.API.STREAM.MSG.GET." + log,
		"$JS.API.DIRECT.GET." + log,
		"$JS.API.DIRECT.GET." + log + ".>",
		"$JS.API.CONSUMER.CREATE." + log,
		"$JS.API.CONSUMER.CREATE." + log + ".>",
		"$JS.API.CONSUMER.DURABLE.CREATE." + log + ".>",
		"$JS.API.CONSUMER.INFO." + log + ".>",
		"$JS.API.CONSUMER.NAMES." + log,
		"$JS.API.CONSUMER.LIST." + log,
		"$JS.API.CONSUMER.DELETE." + log + ".>",
		"$JS.API.CONSUMER.MSG.NEXT." + log + ".>",
		"$JS.ACK." + log + ".>",
		"$JS.FC." + log + ".>",
	}
}
