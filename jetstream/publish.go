package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

const (
	// One Publish has at most this much unacknowledged. A stream's inbound
	// queue holds 100,000 messages and 128 MiB and drops what is beyond, so
	// the windows of many callers at once must fit.
	windowMessages = 4096
	windowBytes    = 8 << 20

	// ackTimeout is how long a silent log is waited for. A server with a full
	// disk sends no acknowledgement and no error either.
	ackTimeout = 10 * time.Second
)

// Publish appends messages in order and returns the highest sequence once all
// are acknowledged. A message whose ID the log remembers is not stored again,
// and counts with the sequence of the first.
func (s *Server) Publish(ctx context.Context, name string, msgs []views.Message) (uint64, error) {
	if len(msgs) == 0 {
		return 0, nil
	}
	if err := s.cannotWrite(); err != nil {
		return 0, fmt.Errorf("publishing to log %s: %w", name, err)
	}
	l, err := s.known(ctx, name)
	if err != nil {
		return 0, err
	}
	if err := l.checkMessages(msgs); err != nil {
		return 0, fmt.Errorf("publishing to log %s: %w", name, err)
	}
	last, err := s.publish(ctx, l, msgs)
	if err != nil {
		s.logs.Delete(name) // it may have been deleted or changed
		return last, fmt.Errorf("publishing to log %s: %w", name, err)
	}
	return last, nil
}

// known returns the log from memory, or from the server the first time.
func (s *Server) known(ctx context.Context, name string) (*log, error) {
	if l, ok := s.logs.Load(name); ok {
		return l.(*log), nil
	}
	return s.open(ctx, name)
}

// checkMessages refuses all of msgs where the server would refuse one.
func (l *log) checkMessages(msgs []views.Message) error {
	checked := ""
	for i, m := range msgs {
		if err := checkMessage(m); err != nil {
			return fmt.Errorf("message %d: %w", i+1, err)
		}
		if m.Subject == checked && i > 0 {
			continue
		}
		if err := l.checkSubject(m.Subject); err != nil {
			return fmt.Errorf("message %d: %w", i+1, err)
		}
		checked = m.Subject
	}
	return nil
}

// checkMessage refuses what the server would refuse whatever the subject.
func checkMessage(m views.Message) error {
	if strings.ContainsAny(m.ID, "\r\n") || m.ID != strings.TrimSpace(m.ID) {
		return fmt.Errorf("ID %q: an ID may not hold line breaks, or begin or end with a space", m.ID)
	}
	size := len(m.Payload) + len(m.ID)
	for name, values := range m.Header {
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	if size > payloadMax-128 {
		return fmt.Errorf("%d bytes are more than the %d that an event may have", size, payloadMax-128)
	}
	return nil
}

func (l *log) checkSubject(subject string) error {
	if subject == "" {
		if first := l.subjects[0]; !natsserver.IsValidLiteralSubject(first) {
			return fmt.Errorf("name a subject: the log's first, %s, stands for many", first)
		}
		return nil
	}
	if err := checkLiteral(subject); err != nil {
		return err
	}
	for _, pattern := range l.subjects {
		if natsserver.SubjectMatchesFilter(subject, pattern) {
			return nil
		}
	}
	return fmt.Errorf("subject %s is not the log's: it takes %s", subject, strings.Join(l.subjects, ", "))
}

func checkLiteral(subject string) error {
	if !natsserver.IsValidLiteralSubject(subject) || strings.ContainsAny(subject, " \t\r\n") {
		return fmt.Errorf("subject %q is not valid: use words joined by dots", subject)
	}
	return nil
}

// publish keeps a window of messages under way. All acknowledgements of the
// call come to one subject and are only counted: the call succeeds when there
// are as many as messages.
func (s *Server) publish(ctx context.Context, l *log, msgs []views.Message) (uint64, error) {
	inbox := s.nc.NewInbox()
	acks := make(chan *nats.Msg, min(windowMessages, len(msgs)))
	sub, err := s.nc.ChanSubscribe(inbox, acks)
	if err != nil {
		return 0, err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is gone

	w := ackWindow{server: s, ctx: ctx, acks: acks, reconnected: s.reconnected()}
	for sent, m := range msgs {
		size := len(m.Payload)
		for w.full(sent, size) {
			if err := w.receive(msgs); err != nil {
				return w.last, err
			}
		}
		if err := s.send(l, inbox, m); err != nil {
			return w.last, err
		}
		w.bytes += size
	}
	for w.count < len(msgs) {
		if err := w.receive(msgs); err != nil {
			return w.last, err
		}
	}
	return w.last, nil
}

func (s *Server) send(l *log, inbox string, m views.Message) error {
	msg := nats.Msg{Subject: m.Subject, Reply: inbox, Data: m.Payload}
	if m.Subject == "" {
		msg.Subject = l.subjects[0]
	}
	msg.Header = header(m)
	return s.nc.PublishMsg(&msg)
}

// header is that of the message with its ID.
func header(m views.Message) nats.Header {
	if m.ID == "" {
		return nats.Header(m.Header)
	}
	h := nats.Header{natsjs.MsgIDHeader: []string{m.ID}}
	maps.Copy(h, m.Header)
	return h
}

// An ackWindow counts the acknowledgements of one Publish.
type ackWindow struct {
	server      *Server
	ctx         context.Context
	acks        <-chan *nats.Msg
	reconnected <-chan struct{}
	timer       *time.Timer

	count int    // acknowledgements so far
	bytes int    // payload under way
	last  uint64 // highest sequence acknowledged
}

// full reports whether a message of size bytes must wait.
func (w *ackWindow) full(sent, size int) bool {
	flying := sent - w.count
	return flying == windowMessages || flying > 0 && w.bytes+size > windowBytes
}

// receive takes one acknowledgement, that of the oldest message under way: a
// log acknowledges one connection's messages in order.
func (w *ackWindow) receive(msgs []views.Message) error {
	ack, err := w.wait()
	if err != nil {
		return err
	}
	seq, err := parseAck(ack)
	switch {
	case errors.Is(err, views.ErrNoLog):
		return err
	case err != nil:
		w.server.noteWrite(err)
		return err
	}
	w.server.noteWrite(nil)
	w.bytes -= len(msgs[w.count].Payload)
	w.count++
	w.last = max(w.last, seq)
	return nil
}

func (w *ackWindow) wait() (*nats.Msg, error) {
	select {
	case ack := <-w.acks:
		return ack, nil
	default:
	}
	if w.timer == nil {
		w.timer = time.NewTimer(ackTimeout)
	} else {
		w.timer.Reset(ackTimeout)
	}
	defer w.timer.Stop()
	select {
	case ack := <-w.acks:
		return ack, nil
	case <-w.ctx.Done():
		return nil, w.ctx.Err()
	case <-w.reconnected:
		return nil, errors.New("the connection to the nats server broke; some messages may not be stored")
	case <-w.server.closed:
		return nil, errors.New("the nats server has stopped; some messages may not be stored")
	case <-w.timer.C:
		err := fmt.Errorf("no acknowledgement for %v; is the disk full?", ackTimeout)
		w.server.noteWrite(err)
		return nil, err
	}
}

// noteWrite remembers for Healthy whether the server could store the last event.
func (s *Server) noteWrite(err error) {
	if err != nil {
		s.writeFault.Store(&writeFault{err, time.Now()})
	} else if s.writeFault.Load() != nil {
		s.writeFault.Store(nil)
	}
}

var ackSeq = []byte(`"seq":`)

// parseAck returns the sequence that an acknowledgement names. The usual one,
// {"stream":"…","seq":7}, is read without a JSON parser.
func parseAck(m *nats.Msg) (uint64, error) {
	if m.Header.Get("Status") == "503" {
		return 0, views.ErrNoLog // nothing takes the subject any more
	}
	if !bytes.Contains(m.Data, []byte(`"error"`)) {
		if i := bytes.Index(m.Data, ackSeq); i >= 0 {
			if seq, _, ok := parseUint(m.Data, i+len(ackSeq)); ok {
				return seq, nil
			}
		}
	}
	var ack natsserver.JSPubAckResponse
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("reading the log's acknowledgement %q: %w", m.Data, err)
	}
	if api := ack.Error; api != nil {
		if natsserver.ErrorIdentifier(api.ErrCode) == natsserver.JSInsufficientResourcesErr {
			return 0, fmt.Errorf("the logs have filled their disk: free some space, or give a log a retention or a size limit: %w", api)
		}
		return 0, api
	}
	if ack.PubAck == nil {
		return 0, fmt.Errorf("the log's acknowledgement %q names no sequence", m.Data)
	}
	return ack.Sequence, nil
}
