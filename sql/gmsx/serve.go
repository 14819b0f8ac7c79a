package gmsx

import (
	"context"
	"net"

	sqle "github.com/dolthub/go-mysql-server"
	gmsserver "github.com/dolthub/go-mysql-server/server"
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
)

// Serve answers connections on ln until ctx is done. Then it closes ln, ends
// every statement and connection, and returns nil once all are gone. An engine
// serves one listener at a time, as connections are numbered by listener.
func (e *Engine) Serve(ctx context.Context, ln net.Listener) error {
	// Statements end because of the shutdown, and say so.
	statements, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(errShutdown)
	defer context.AfterFunc(ctx, func() { cancel(errShutdown) })()

	l := newListener(ln, &e.opts)
	watch := newWatcher()
	srv, err := gmsserver.NewServer(gmsserver.Config{
		Protocol:  ln.Addr().Network(),
		Address:   ln.Addr().String(),
		Listener:  l,
		Version:   e.opts.ServerVersion,
		TLSConfig: e.opts.TLS,
		Options: []gmsserver.Option{func(engine *sqle.Engine, sm *gmsserver.SessionManager, h mysql.Handler) (*sqle.Engine, *gmsserver.SessionManager, mysql.Handler) {
			return engine, sm, &handler{Handler: h, e: e, sm: sm, ctx: statements, gone: l.gone, watch: watch}
		}},
		ProtocolListenerFactory: func(cfg gmsserver.Config, lc mysql.ListenerConfig, sel gmsserver.ServerEventListener) (gmsserver.ProtocolListener, error) {
			lc.AuthServer = newAuthServer(e)
			return gmsserver.MySQLProtocolListenerFactory(cfg, lc, sel)
		},
	}, e.engine, e.newContext, e.buildSession, nil)
	if err != nil {
		return err
	}

	watching, accepting := make(chan struct{}), make(chan struct{})
	go func() {
		watch.run(statements)
		close(watching)
	}()
	go func() {
		srv.Listener.Accept()
		close(accepting)
	}()
	select {
	case <-ctx.Done():
	case <-accepting:
	}
	cancel(errShutdown)
	srv.Listener.Close()
	l.closeConns()
	<-accepting
	<-watching
	l.wait()
	if ctx.Err() == nil {
		return l.failure()
	}
	return nil
}

// newContext makes the context of a command.
func (e *Engine) newContext(ctx context.Context, opts ...gms.ContextOption) *gms.Context {
	c := gms.NewContext(ctx, opts...)
	c.ProcessList = e.visible(c)
	return c
}

// visible are the processes that the session of a context may see.
func (e *Engine) visible(c *gms.Context) gms.ProcessList {
	return &visibleProcesses{ProcessList: c.ProcessList, user: c.Client().User, acc: func() (*account, error) { return e.accountOf(c) }}
}

// buildSession makes the session of a connection at its first command.
func (e *Engine) buildSession(ctx context.Context, c *mysql.Conn, addr string) (gms.Session, error) {
	base, err := gms.BaseSessionFromConnection(ctx, c, addr)
	if err != nil {
		return nil, err
	}
	s := newSession(base)
	s.SetCurrentDatabase(e.opts.DefaultDatabase)
	if err := s.SetSessionVariable(gms.NewEmptyContext(), "max_execution_time", e.opts.StatementTimeout.Milliseconds()); err != nil {
		return nil, err
	}
	if lc := limited(c.Conn); lc != nil {
		s.plainJSON = lc.mariadb
	}
	c.ClientData = s
	e.procs.ConnectionReady(s)
	return s, nil
}
