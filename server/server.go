package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/jetstream"
	"weir/sql"
	"weir/views"
)

// stopTimeout bounds a stop. What is durable is so before the stop begins, so
// giving up on a part that hangs loses nothing.
const stopTimeout = 9 * time.Second

// Run serves until ctx is done and returns nil once everything has stopped, or
// returns what kept it from starting or running.
func Run(ctx context.Context, cfg Config) error {
	i, err := Start(ctx, cfg)
	if err == nil {
		return i.Wait()
	}
	if ctx.Err() != nil {
		err = nil // asked to stop before it was ready: what that broke off is no news
	}
	return err
}

// An Instance is a running weir.
type Instance struct {
	cfg    Config
	log    *slog.Logger
	status status
	ends   Endpoints
	tls    *tls.Config // nil is none

	defined func() // called after streams and views were made, altered or dropped

	stop    context.CancelFunc
	group   *errgroup.Group
	parts   []part        // in order of start
	stopped chan struct{} // closed when every part has
	err     error         // why; set before stopped is closed
}

// A part is what must be stopped, in the reverse order of its start.
type part struct {
	name string
	stop func(ctx context.Context) error
}

// Start returns once every listener answers and the schema is applied. The
// instance then runs until ctx is done, Stop is called or a part fails.
func Start(ctx context.Context, cfg Config) (*Instance, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	group, ended := errgroup.WithContext(ctx)
	i := &Instance{cfg: cfg, log: cfg.Logger, stop: stop, group: group, stopped: make(chan struct{})}
	i.status.wait("starting")
	said, started := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(said)
		i.sayWhatTakesLong(started)
	}()
	err := i.start(ended)
	close(started)
	<-said
	if err != nil {
		stop()
	}
	go i.end(ended, err)
	if err != nil {
		return nil, i.Wait()
	}
	return i, nil
}

// slowStart is how long a start takes before it says what it is at, and how
// often it does.
const slowStart = 10 * time.Second

// sayWhatTakesLong logs what a start is at that is not done at once.
func (i *Instance) sayWhatTakesLong(started <-chan struct{}) {
	tick := time.NewTicker(slowStart)
	defer tick.Stop()
	for begun := time.Now(); ; {
		select {
		case <-started:
			return
		case <-tick.C:
			i.log.Warn("not ready yet", "at", *i.status.unready.Load(), "seconds", int(time.Since(begun).Seconds()))
		}
	}
}

// Endpoints are where the instance answers.
func (i *Instance) Endpoints() Endpoints { return i.ends }

// Stop ends the instance and returns what Wait returns.
func (i *Instance) Stop() error {
	i.stop()
	return i.Wait()
}

// Wait returns when the instance has stopped: nil if it was asked to, or what
// made it stop.
func (i *Instance) Wait() error {
	<-i.stopped
	return i.err
}

// start brings up the parts, each of which is pushed as soon as it must be
// stopped again.
func (i *Instance) start(ctx context.Context) error {
	if err := i.openDir(); err != nil {
		return err
	}
	accounts, err := i.startAccounts(ctx)
	if err != nil {
		return err
	}
	for _, l := range i.cfg.listeners() {
		if err := l.probe(ctx); err != nil {
			return err
		}
	}
	if i.tls, err = tlsConfig(i.cfg.TLSCert, i.cfg.TLSKey, i.log); err != nil {
		return err
	}
	if err := i.startHTTP(ctx); err != nil {
		return err
	}
	compiler, err := sql.NewCompiler()
	if err != nil {
		return err
	}
	engine, err := i.startEngine(ctx, compiler, accounts)
	if err != nil {
		return err
	}
	mysql, err := i.startMySQL(ctx, engine, compiler, accounts)
	if err != nil {
		return err
	}
	if err := i.applySchema(ctx, mysql); err != nil {
		return err
	}
	return i.announce()
}

func (i *Instance) push(name string, stop func(context.Context) error) {
	i.parts = append(i.parts, part{name, stop})
}

// openDir takes the data directory, and removes what a crash left in it.
func (i *Instance) openDir() error {
	lock, err := lockDir(i.cfg.Dir)
	if err != nil {
		return err
	}
	i.push("lock", func(context.Context) error { return lock.Close() })
	return removeEndpoints(i.cfg.Dir)
}

// probe finds out whether l can be had, before anything slow is done.
func (l listener) probe(ctx context.Context) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", l.addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s %s: the port is in use: stop what uses it, or give another (0 picks a free one)", l.flag, l.addr)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s %s: no permission to listen there: give a port above 1023", l.flag, l.addr)
	case err != nil:
		return fmt.Errorf("%s %s: %w", l.flag, l.addr, err)
	}
	return ln.Close()
}

func (i *Instance) startHTTP(ctx context.Context) error {
	srv, ln, err := listenHTTP(ctx, i.cfg.HTTP, i.tls.Clone(), &i.status, i.cfg.Version, i.log)
	if err != nil {
		return err
	}
	i.ends.HTTP = scheme("http", "https", i.tls) + reachable(ln.Addr().String())
	i.group.Go(func() error { return serveHTTP(srv, ln) })
	i.push("http", func(ctx context.Context) error { return stopHTTP(ctx, srv) })
	return nil
}

// scheme begins the address of a listener.
func scheme(plain, secure string, config *tls.Config) string {
	if config == nil {
		return plain + "://"
	}
	return secure + "://"
}

// startReviews has clients of NATS get what rights they have now when accounts
// or streams change.
func (i *Instance) startReviews(ctx context.Context, broker *jetstream.Server, accounts *natsAccounts) {
	again := make(chan struct{}, 1)
	review := func() {
		select {
		case again <- struct{}{}:
		default: // one is due that sees this change too
		}
	}
	accounts.accounts.OnChange(review)
	i.defined = review
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(ended)
		for {
			select {
			case <-again:
				broker.Review()
			case <-ctx.Done():
				return
			}
		}
	}()
	i.push("rights", func(context.Context) error {
		cancel()
		<-ended
		return nil
	})
}

// startEngine opens the log and the views over it.
func (i *Instance) startEngine(ctx context.Context, compiler *sql.Compiler, accounts *natsAccounts) (*views.Engine, error) {
	i.status.wait("starting: opening the log")
	broker, err := jetstream.Open(ctx, jetstream.Config{
		Dir:    filepath.Join(i.cfg.Dir, "log"),
		Addr:   i.cfg.NATS,
		Sync:   i.cfg.Sync,
		Login:  accounts.login,
		TLS:    i.tls.Clone(),
		Logger: i.log,
	})
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	i.push("log", func(context.Context) error { return broker.Close() })
	i.status.watch(broker.Healthy)
	i.ends.NATS = scheme("nats", "tls", i.tls) + reachable(broker.Addr())

	i.status.wait("starting: recovering the views")
	engine, err := views.Open(ctx, views.Config{
		Dir:      i.cfg.Dir,
		Broker:   broker,
		Compiler: compiler,
		Logger:   i.log,
		Clock:    i.cfg.Clock,
	})
	if err != nil {
		return nil, fmt.Errorf("open views: %w", err)
	}
	i.push("views", func(context.Context) error { return engine.Close() })
	accounts.open(engine)
	i.status.accounts.Store(accounts)
	i.startReviews(ctx, broker, accounts)
	return engine, nil
}

// startMySQL answers MySQL clients from here on, so that a schema that takes
// long to apply can be watched in weir.jobs.
func (i *Instance) startMySQL(ctx context.Context, engine *views.Engine, compiler *sql.Compiler, accounts *natsAccounts) (*sql.Server, error) {
	mysql, err := sql.Listen(sql.Config{
		Addr:     i.cfg.MySQL,
		Dir:      i.cfg.Dir,
		Accounts: accounts.accounts,
		TLS:      i.tls.Clone(),
		Defined:  i.defined,
		Engine:   engine,
		Compiler: compiler,
		Version:  i.cfg.Version,
		Logger:   i.log,
	})
	if err != nil {
		return nil, err
	}
	i.ends.MySQL = reachable(mysql.Addr())
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // stopped in its turn, not with the rest
	closed := make(chan struct{})
	i.group.Go(func() error {
		defer close(closed)
		if err := mysql.Serve(ctx); err != nil {
			return fmt.Errorf("serve mysql: %w", err)
		}
		return nil
	})
	i.push("mysql", func(context.Context) error {
		cancel()
		<-closed
		return nil
	})
	return mysql, nil
}

func (i *Instance) applySchema(ctx context.Context, mysql *sql.Server) error {
	for _, s := range i.cfg.Schema {
		i.status.wait("starting: applying " + s.Name)
		if err := mysql.Exec(ctx, s.Name, s.Text); err != nil {
			return err
		}
	}
	return nil
}

// announce makes the instance known as ready.
func (i *Instance) announce() error {
	i.push("endpoints", func(context.Context) error { return removeEndpoints(i.cfg.Dir) })
	if err := i.ends.write(i.cfg.Dir); err != nil {
		return err
	}
	i.status.ready(i.ends)
	i.log.Info("ready", "mysql", i.ends.MySQL, "nats", i.ends.NATS, "http", i.ends.HTTP,
		"data", i.cfg.Dir, "version", i.cfg.Version)
	return nil
}

// end waits until ctx is done, because a part has failed or the instance is to
// stop. Then it stops the parts and sets err: what kept the instance from
// starting, or made a part fail, or kept a part from stopping.
func (i *Instance) end(ctx context.Context, started error) {
	defer close(i.stopped)
	defer i.stop()
	<-ctx.Done()
	i.status.wait("stopping")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	i.err = i.stopParts(ctx)
	if ctx.Err() == nil { // else a part still runs, and so may what it serves
		if err := i.group.Wait(); err != nil {
			i.err = err
		}
	}
	if started != nil {
		i.err = started
	}
	if i.err == nil {
		i.log.Info("stopped")
	}
}

// stopParts stops the parts in the reverse order of their start, each even if
// the one before it gave an error, and returns the first error. It returns
// early when ctx is done while a part is still stopping.
func (i *Instance) stopParts(ctx context.Context) error {
	var first error
	for n := len(i.parts) - 1; n >= 0; n-- {
		p := i.parts[n]
		done := make(chan error, 1)
		go func() { done <- p.stop(ctx) }()
		select {
		case err := <-done:
			if err != nil && first == nil {
				first = fmt.Errorf("stop %s: %w", p.name, err)
			}
		case <-ctx.Done():
			return fmt.Errorf("stop %s: not done after %v, leaving it", p.name, stopTimeout)
		}
		i.log.Debug("stopped part", "part", p.name)
	}
	return first
}
