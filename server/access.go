package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"weir/jetstream"
	"weir/sql"
	"weir/views"
)

// natsAccounts lets the accounts of SQL use NATS: INSERT on a stream is
// publishing to its subjects, SELECT is hearing them.
type natsAccounts struct {
	accounts *sql.Accounts
	engine   atomic.Pointer[views.Engine]
	ready    chan struct{} // closed when there is an engine
	stopped  <-chan struct{}
}

// open tells of the engine that has the streams, and the clients that wait for
// it. It must be called once.
func (n *natsAccounts) open(engine *views.Engine) {
	n.engine.Store(engine)
	close(n.ready)
}

func (n *natsAccounts) login(user, password, host string, overTLS bool) (jetstream.Account, bool) {
	a, ok := n.accounts.Login(user, password, host, overTLS)
	return natsAccount{n, a}, ok
}

type natsAccount struct {
	*natsAccounts
	sql.Account
}

// Rights implements jetstream.Account. An account that connects while the views
// are recovered waits, since a refusal would be taken for one that stays.
func (a natsAccount) Rights() (r jetstream.Rights, ok bool) {
	if !a.Valid() {
		return r, false
	}
	if a.Root() {
		return r, true
	}
	select {
	case <-a.ready:
	case <-a.stopped:
		return r, false
	}
	engine := a.engine.Load()
	// NATS asks nobody to which subject an answer goes, so that whoever may
	// have events delivered can have them delivered into any stream.
	everywhere := a.MayPublish("", "")
	for _, s := range engine.Streams() {
		db, name := s.Def.Database, s.Def.Name
		if a.MayPublish(db, name) {
			r.Publish = append(r.Publish, s.Def.Subjects...)
		}
		if a.MayRead(db, name) {
			r.Hear = append(r.Hear, s.Def.Subjects...)
			if everywhere {
				r.Read = append(r.Read, views.LogName(db, name))
			}
		}
	}
	list, _ := engine.Views()
	for _, v := range list {
		if def := v.Def(); def.PublishChanges != "" && a.MayRead(def.Database, def.Name) {
			r.Hear = append(r.Hear, def.PublishChanges)
		}
	}
	r.Marks = everywhere && len(r.Read) > 0
	return r, true
}

// checkOpen refuses addresses that others can reach while root has no password.
func (i *Instance) checkOpen(accounts *sql.Accounts) error {
	if !accounts.RootOpen() {
		return nil
	}
	var errs []error
	for _, l := range i.cfg.listeners() {
		if !l.local() {
			errs = append(errs, fmt.Errorf("%s %s can be reached from other machines: set a password for user root "+
				"with WEIR_PASSWORD or --password, or listen on 127.0.0.1", l.flag, l.addr))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

// startAccounts loads who may log in.
func (i *Instance) startAccounts(ctx context.Context) (*natsAccounts, error) {
	accounts, err := sql.OpenAccounts(i.cfg.Dir, i.cfg.Password)
	if err != nil {
		return nil, err
	}
	if err := i.checkOpen(accounts); err != nil {
		return nil, err
	}
	return &natsAccounts{accounts: accounts, ready: make(chan struct{}), stopped: ctx.Done()}, nil
}

var errTLSFiles = errors.New("--tls-cert and --tls-key go together: give both")
