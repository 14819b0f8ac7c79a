package views

import (
	"context"
	"log/slog"
)

// Config says where an Engine keeps its files and what it works with.
type Config struct {
	Dir      string // data directory; the engine uses catalog.db, views/ and streams/ in it
	Broker   Broker
	Compiler Compiler
	Logger   *slog.Logger
}

// A Compiler turns definitions into plans.
type Compiler interface{}

// An Engine runs every stream and view of one data directory.
type Engine struct{}

// Open recovers the streams and views of cfg.Dir and starts following their
// logs. It returns when every view has caught up with what it had applied
// before, so that reads are consistent from the first.
func Open(ctx context.Context, cfg Config) (*Engine, error) { return &Engine{}, nil }

// Close commits what has been applied and stops. It waits for every goroutine
// of the engine.
func (e *Engine) Close() error { return nil }
