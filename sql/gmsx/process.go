package gmsx

import (
	"context"
	"errors"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
)

// A processList adds what ends a statement early, and why, to the engine's.
// The engine's own cancels without a cause, so that a client could not tell a
// KILL from a timeout.
type processList struct{ gms.ProcessList }

// stopKey finds the stop function in a statement's context.
type stopKey struct{}

// BeginQuery returns a context that ends when stop is called on it, on KILL,
// and in EndQuery.
func (p *processList) BeginQuery(ctx *gms.Context, query string) (*gms.Context, error) {
	ctx, err := p.ProcessList.BeginQuery(ctx, query)
	if err != nil || ctx.IsInterpreted() {
		return ctx, err
	}
	// The engine's context is the parent, so that its end releases this one.
	c, cancel := context.WithCancelCause(ctx.Context)
	return ctx.WithContext(context.WithValue(c, stopKey{}, cancel)), nil
}

// stop ends the statement of ctx with err.
func stop(ctx context.Context, err error) {
	if cancel, ok := ctx.Value(stopKey{}).(context.CancelCauseFunc); ok {
		cancel(err)
	}
}

// limit ends the statement of ctx after d, if d is positive. The caller must
// call the function returned.
func limit(ctx *gms.Context, d time.Duration) func() {
	if d <= 0 {
		return func() {}
	}
	t := time.AfterFunc(d, func() { stop(ctx, errTimeout) })
	return func() { t.Stop() }
}

// Killed says whether the statement of ctx was ended by KILL, and not because
// it took too long, its client is gone or the server stops.
func Killed(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), context.Canceled)
}
