// Package sql serves streams and views as tables over the MySQL protocol.
package sql

import (
	"context"
	"log/slog"

	"weir/views"
)

// Config says what a Server serves and where.
type Config struct {
	Addr     string // host:port; port 0 picks a free one
	Password string // of user root; "" lets root in without one
	Engine   *views.Engine
	Version  string // weir's own version
	Logger   *slog.Logger
}

// A Server answers MySQL clients.
type Server struct{}

// NewCompiler returns the compiler of definitions that views.Open needs.
func NewCompiler() views.Compiler { return nil }

// Listen makes the engine and opens the listener; Serve answers on it.
func Listen(cfg Config) (*Server, error) { return &Server{}, nil }

// Addr is where clients connect, as host:port.
func (s *Server) Addr() string { return "" }

// Serve answers clients until ctx is done, then ends every connection and
// returns nil once all are closed.
func (s *Server) Serve(ctx context.Context) error { <-ctx.Done(); return nil }

// Exec runs the statements of a script in order as user root, stopping at the
// first error, which names the statement's line. It works before and during Serve.
func (s *Server) Exec(ctx context.Context, name, script string) error { return nil }
