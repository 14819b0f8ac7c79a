// Package sql serves streams and views as tables over the MySQL protocol.
//
// It stands on go-mysql-server, which package gmsx makes fit for the purpose:
//
//	client ──► gmsx ──► ddl ──► Statement          weir's own statements
//	                └─► go-mysql-server ──► tables
//
// Here are the tables ([Server]) and the compiler that turns the text of a
// definition into what package views runs ([Compiler]). Only this package and
// those below it import go-mysql-server.
package sql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"weir/sql/ddl"
	"weir/sql/gmsx"
	"weir/sql/tables"
	"weir/views"
)

// Config says what a Server serves and where.
type Config struct {
	Addr     string      // host:port; port 0 picks a free one
	Dir      string      // data directory; the server uses tables.db and users.json in it
	Accounts *Accounts   // nil are those of Dir
	Defined  func()      // called after streams and views were made, altered or dropped; may be nil
	TLS      *tls.Config // nil offers none; else who comes from another machine must use it
	Engine   *views.Engine
	Compiler *Compiler // the engine's own
	Version  string    // weir's own version
	Logger   *slog.Logger

	// MemoryLimit is the heap, in bytes, at which statements that still grow
	// fail. 0 stands for four fifths of GOMEMLIMIT or, without that, for half
	// of the machine's memory.
	MemoryLimit uint64
}

// A Server answers MySQL clients.
type Server struct {
	cfg      Config
	engine   *gmsx.Engine
	compiler *Compiler
	listener net.Listener
	provider *provider
	tables   *tables.Store
	claims   claims

	// plainStreams leaves conditions and aggregates over streams to the engine,
	// for tests that compare with it.
	plainStreams atomic.Bool

	// planned leaves every statement to the planner, for tests that compare
	// with it.
	planned  atomic.Bool
	directly atomic.Int64 // statements answered without it
}

// Listen opens the tables and the listener; Serve answers on it.
func Listen(cfg Config) (_ *Server, err error) {
	if cfg.Accounts == nil {
		if cfg.Accounts, err = OpenAccounts(cfg.Dir, ""); err != nil {
			return nil, err
		}
	}
	s := &Server{cfg: cfg, compiler: cfg.Compiler}
	if s.tables, err = tables.Open(filepath.Join(cfg.Dir, "tables.db")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.tables.Close()
		}
	}()
	s.provider = newProvider(s)
	s.engine, err = gmsx.New(gmsx.Options{
		Provider: s.provider, DefaultDatabase: views.DefaultDatabase, Accounts: cfg.Accounts.as,
		TLS: cfg.TLS, RemoteTLS: cfg.TLS != nil,
		ParseHook: s.parse, RewriteHook: s.rewrite, Build: s.build, Writing: s.writing, Direct: s.direct,
		Nearest:     ddl.Nearest,
		Functions:   append(scalarFunctions(), hopInQueries(), waitFunction(cfg.Engine, s.mayRead)),
		Aggregates:  ownAggregates(),
		Operators:   true,
		MemoryLimit: memoryLimit(cfg.MemoryLimit),
		Rules:       append(s.rules(), gmsx.Rule{Early: true, Apply: openInserts}), Logger: cfg.Logger, ServerVersion: "8.0.33-weir-" + strings.TrimPrefix(cfg.Version, "v"),
	})
	if err != nil {
		return nil, err
	}
	if s.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", cfg.Addr); err != nil {
		return nil, fmt.Errorf("--mysql %s: %w", cfg.Addr, err)
	}
	return s, nil
}

// Addr is where clients connect, as host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers clients until ctx is done, then ends every connection and
// returns nil once all are closed, and the tables with them.
func (s *Server) Serve(ctx context.Context) error {
	return errors.Join(s.engine.Serve(ctx, s.listener), s.tables.Close())
}

// Close releases what Listen opened, for a Server that Serve was not called on.
func (s *Server) Close() error { return errors.Join(s.listener.Close(), s.tables.Close()) }

// Exec runs the statements of a script in order as user root, stopping at the
// first error, which names the script and the statement's line. It works
// before and during Serve.
func (s *Server) Exec(ctx context.Context, name, script string) error {
	parts, err := ddl.Split(script)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	db := views.DefaultDatabase
	for _, part := range parts {
		if db, err = s.exec(ctx, db, part.Text); err != nil {
			text := err.Error()
			var numbered *mysql.SQLError
			if errors.As(err, &numbered) {
				text = numbered.Message
			}
			return fmt.Errorf("%s:%d: %s", name, part.Line, strings.Join(strings.Fields(text), " "))
		}
	}
	return nil
}

// exec runs a statement in a database and returns the one that is current then.
func (s *Server) exec(ctx context.Context, db, query string) (string, error) {
	c, end := s.engine.NewContext(ctx, db)
	defer end()
	_, rows, err := s.engine.Query(c, query)
	if err != nil {
		return db, err
	}
	for {
		if _, err = rows.Next(c); err != nil {
			break
		}
	}
	db = c.GetCurrentDatabase()
	if e := rows.Close(c); e != nil {
		return db, e
	}
	if !errors.Is(err, io.EOF) {
		return db, err
	}
	return db, nil
}

// readSet returns what the statement of ctx reads.
func readSet(ctx *gms.Context) *views.ReadSet {
	session := gmsx.SessionOf(ctx)
	if session == nil {
		return &views.ReadSet{}
	}
	type key struct{}
	v, _ := session.Statement().LoadOrStore(key{}, func() (any, func(), error) {
		r := &views.ReadSet{}
		return r, r.Close, nil
	})
	return v.(*views.ReadSet)
}

// The default and the least interval between batch runs.
const (
	batchIntervalDefault = time.Hour
	batchIntervalMin     = 100 * time.Millisecond
)

// keepPreviousDefault is how long a version that was replaced is kept.
const keepPreviousDefault = time.Hour
