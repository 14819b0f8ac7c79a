package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

// A taker is the log that takes a subject.
type taker struct {
	name    string // "" where there is none
	changed uint64 // Server.changed when that was asked
}

// Send publishes messages in order. Those of a subject that a log takes are
// acknowledged by it when Send returns, the others have left for whoever
// subscribes.
func (s *Server) Send(ctx context.Context, msgs []views.Message) error {
	for i, m := range msgs {
		err := checkLiteral(m.Subject)
		if err == nil {
			err = checkMessage(m)
		}
		if err != nil {
			return fmt.Errorf("sending message %d: %w", i+1, err)
		}
	}
	for len(msgs) > 0 {
		n := 1
		for n < len(msgs) && msgs[n].Subject == msgs[0].Subject {
			n++
		}
		if err := s.sendTo(ctx, msgs[0].Subject, msgs[:n]); err != nil {
			return err
		}
		msgs = msgs[n:]
	}
	return ctx.Err()
}

// sendTo is Send of messages of one subject.
func (s *Server) sendTo(ctx context.Context, subject string, msgs []views.Message) error {
	name, err := s.taker(ctx, subject)
	if err != nil {
		return fmt.Errorf("sending to %s: %w", subject, err)
	}
	if name != "" {
		_, err := s.Publish(ctx, name, msgs)
		return err
	}
	for _, m := range msgs {
		if err := s.nc.PublishMsg(&nats.Msg{Subject: subject, Data: m.Payload, Header: header(m)}); err != nil {
			return fmt.Errorf("sending to %s: %w", subject, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := s.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("sending to %s: %w", subject, err)
	}
	return nil
}

// taker returns the name of the log that takes the subject, "" where there is none.
func (s *Server) taker(ctx context.Context, subject string) (string, error) {
	changed := s.changed.Load() // before the question, so that a change under it shows
	if t, ok := s.takers.Load(subject); ok && t.(taker).changed == changed {
		return t.(taker).name, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	name, err := s.js.StreamNameBySubject(ctx, subject)
	if err != nil && !errors.Is(err, natsjs.ErrStreamNotFound) {
		return "", err
	}
	s.takers.Store(subject, taker{name, changed})
	return name, nil
}

// Heard says whether a log or a subscriber takes messages of the subject. What
// cannot be known while the server is down is taken to be so.
func (s *Server) Heard(subject string) bool {
	if t, ok := s.takers.Load(subject); ok && t.(taker).name != "" {
		return true // also while the server starts again, and its logs are not there yet
	}
	ns := s.ns.Load()
	return !ns.Running() || !ns.JetStreamEnabled() || ns.GlobalAccount().SubscriptionInterest(subject)
}
