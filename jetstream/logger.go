package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// A bridge hands the server's log lines to slog. Notices are the server's
// running commentary and go to debug; a fatal line is the only way that the
// server reports a failed start, so the first one is kept.
type bridge struct {
	logger *slog.Logger

	mu    sync.Mutex
	first error // the first fatal line
}

var _ natsserver.Logger = (*bridge)(nil)

func newBridge(logger *slog.Logger) *bridge {
	return &bridge{logger: logger.With("component", "nats")}
}

// expectedWarnings are lines about choices that are right for an embedded
// server: its passwords live only in memory.
var expectedWarnings = []string{
	"Plaintext passwords detected",
}

func (b *bridge) Noticef(format string, v ...any) { b.logger.Debug(line(format, v)) }
func (b *bridge) Debugf(format string, v ...any)  { b.logger.Debug(line(format, v)) }
func (b *bridge) Tracef(format string, v ...any)  { b.logger.Debug(line(format, v)) }
func (b *bridge) Errorf(format string, v ...any)  { b.logger.Error(line(format, v)) }

func (b *bridge) Warnf(format string, v ...any) {
	for _, prefix := range expectedWarnings {
		if strings.HasPrefix(format, prefix) {
			b.logger.Debug(line(format, v))
			return
		}
	}
	b.logger.Warn(line(format, v))
}

// Fatalf records the line. The caller of Start reports it, once, so it is not
// logged as an error here.
func (b *bridge) Fatalf(format string, v ...any) {
	err := errors.New(line(format, v))
	for _, arg := range v {
		if cause, ok := arg.(error); ok {
			err = &fatalError{text: err.Error(), cause: cause}
		}
	}
	b.logger.Debug(err.Error())
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == nil {
		b.first = err
	}
}

func (b *bridge) fatal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first
}

func line(format string, v []any) string { return strings.TrimSpace(fmt.Sprintf(format, v...)) }

// A fatalError is the server's own line, which quotes its cause as text.
type fatalError struct {
	text  string
	cause error
}

func (e *fatalError) Error() string { return e.text }
func (e *fatalError) Unwrap() error { return e.cause }
