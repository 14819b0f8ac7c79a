package logtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"weir/views"
)

const (
	defaultBatchMax        = 1000
	defaultDuplicateWindow = 30 * time.Second

	// recordOverhead is what a record counts towards MaxBytes beside its data.
	recordOverhead = 32
)

// A Memory is a broker whose logs live in memory. The zero value is ready.
type Memory struct {
	// BatchMax bounds the batches that Read yields; 0 means 1000. Set it
	// before the first Read.
	BatchMax int

	mu      sync.Mutex
	clock   func() time.Time
	created time.Time // of the youngest log: no two have the same
	logs    map[string]*memoryLog
	subs    []*Subscription
}

var _ views.Broker = (*Memory)(nil)

// A memoryLog is guarded by its broker's mu.
type memoryLog struct {
	cfg     views.LogConfig
	created time.Time
	records []views.Record // ascending, with gaps where some were dropped
	bytes   uint64
	last    uint64
	ids     map[string]idEntry
	changed chan struct{} // closed and replaced at each change
	deleted bool
}

type idEntry struct {
	seq  uint64
	time time.Time
}

// A memoryHandle is a log by name, as it is at each call.
type memoryHandle struct {
	broker *Memory
	name   string
}

var _ views.Log = (*memoryHandle)(nil)

// CreateLog makes a log, or changes the configuration of an existing one.
func (m *Memory) CreateLog(ctx context.Context, cfg views.LogConfig) (views.Log, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if cfg.Name == "" || strings.ContainsAny(cfg.Name, ". *>\t\r\n/\\") {
		return nil, fmt.Errorf("log name %q: use letters, digits, _ and -", cfg.Name)
	}
	if len(cfg.Subjects) == 0 {
		return nil, fmt.Errorf("log %s: give at least one subject that publishers send to", cfg.Name)
	}
	for name, other := range m.logs {
		for _, theirs := range other.cfg.Subjects {
			for _, ours := range cfg.Subjects {
				if name != cfg.Name && collide(ours, theirs) {
					return nil, fmt.Errorf("creating log %s: subject %s is taken by log %s (%s): choose another subject", cfg.Name, ours, name, theirs)
				}
			}
		}
	}
	if cfg.DuplicateWindow == 0 {
		cfg.DuplicateWindow = defaultDuplicateWindow
	}
	cfg.Subjects = slices.Clone(cfg.Subjects)
	if l := m.logs[cfg.Name]; l != nil {
		l.cfg = cfg
		l.expire(m.now())
	} else {
		m.make(cfg)
	}
	return &memoryHandle{m, cfg.Name}, nil
}

func (m *Memory) make(cfg views.LogConfig) {
	if m.logs == nil {
		m.logs = map[string]*memoryLog{}
	}
	created := m.now()
	if !created.After(m.created) {
		created = m.created.Add(1)
	}
	m.created = created
	m.logs[cfg.Name] = &memoryLog{
		cfg:     cfg,
		created: created,
		ids:     map[string]idEntry{},
		changed: make(chan struct{}),
	}
}

// OpenLog returns an existing log, or views.ErrNoLog.
func (m *Memory) OpenLog(ctx context.Context, name string) (views.Log, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.log(ctx, name); err != nil {
		return nil, fmt.Errorf("opening log %s: %w", name, err)
	}
	return &memoryHandle{m, name}, nil
}

// DeleteLog removes a log; its readers end with views.ErrNoLog.
func (m *Memory) DeleteLog(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(ctx, name)
	if err != nil {
		return fmt.Errorf("deleting log %s: %w", name, err)
	}
	m.remove(l)
	return nil
}

func (m *Memory) remove(l *memoryLog) {
	delete(m.logs, l.cfg.Name)
	l.deleted = true
	l.change()
}

// log returns a log with its expired records gone. REQUIRES: m.mu is held.
func (m *Memory) log(ctx context.Context, name string) (*memoryLog, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l := m.logs[name]
	if l == nil {
		return nil, views.ErrNoLog
	}
	l.expire(m.now())
	return l, nil
}

func (m *Memory) now() time.Time {
	if m.clock != nil {
		return m.clock()
	}
	return time.Now()
}

// Publish appends messages in order.
func (m *Memory) Publish(ctx context.Context, name string, msgs []views.Message) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("publishing to log %s: %w", name, err)
	}
	for _, msg := range msgs {
		if err := l.check(msg); err != nil {
			return 0, fmt.Errorf("publishing to log %s: %w", name, err)
		}
	}
	var last uint64
	for _, msg := range msgs {
		last = max(last, l.append(msg, m.now()))
	}
	l.expire(m.now())
	l.change()
	return last, nil
}

// A Subscription is what a subscriber has got of Send.
type Subscription struct {
	broker  *Memory
	pattern string
	msgs    []views.Message // guarded by broker.mu
}

// Subscribe begins to gather the messages that are sent to a subject, or to
// those of a pattern.
func (m *Memory) Subscribe(pattern string) *Subscription {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &Subscription{broker: m, pattern: pattern}
	m.subs = append(m.subs, s)
	return s
}

// Messages returns what has come so far.
func (s *Subscription) Messages() []views.Message {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	return slices.Clone(s.msgs)
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	s.broker.subs = slices.DeleteFunc(s.broker.subs, func(other *Subscription) bool { return other == s })
}

// Send gives messages to the logs and subscribers that take their subjects.
func (m *Memory) Send(ctx context.Context, msgs []views.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, msg := range msgs {
		if msg.Subject == "" || strings.ContainsAny(msg.Subject, "*> \t\r\n") || strings.Contains(msg.Subject, "..") {
			return fmt.Errorf("subject %q is not valid: use words joined by dots", msg.Subject)
		}
	}
	for _, msg := range msgs {
		msg.Payload = slices.Clone(msg.Payload)
		for _, s := range m.subs {
			if collide(msg.Subject, s.pattern) {
				s.msgs = append(s.msgs, msg)
			}
		}
		if l := m.taker(msg.Subject); l != nil {
			l.append(msg, m.now())
			l.expire(m.now())
			l.change()
		}
	}
	return nil
}

// taker returns the log that takes a subject. REQUIRES: m.mu is held.
func (m *Memory) taker(subject string) *memoryLog {
	for _, l := range m.logs {
		if l.check(views.Message{Subject: subject}) == nil {
			return l
		}
	}
	return nil
}

// Heard says whether a log or a subscriber takes messages of the subject.
func (m *Memory) Heard(subject string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taker(subject) != nil || slices.ContainsFunc(m.subs, func(s *Subscription) bool { return collide(subject, s.pattern) })
}

func (l *memoryLog) check(msg views.Message) error {
	if msg.Subject == "" {
		if strings.ContainsAny(l.cfg.Subjects[0], "*>") {
			return fmt.Errorf("name a subject: the log's first, %s, stands for many", l.cfg.Subjects[0])
		}
		return nil
	}
	if strings.ContainsAny(msg.Subject, "*> \t\r\n") {
		return fmt.Errorf("subject %q is not valid: use words joined by dots", msg.Subject)
	}
	for _, pattern := range l.cfg.Subjects {
		if collide(msg.Subject, pattern) {
			return nil
		}
	}
	return fmt.Errorf("subject %s is not the log's: it takes %s", msg.Subject, strings.Join(l.cfg.Subjects, ", "))
}

func (l *memoryLog) append(msg views.Message, now time.Time) uint64 {
	if msg.ID != "" {
		if e, ok := l.ids[msg.ID]; ok && now.Sub(e.time) < l.cfg.DuplicateWindow {
			return e.seq
		}
		l.ids[msg.ID] = idEntry{l.last + 1, now}
	}
	l.last++
	r := views.Record{Seq: l.last, Time: now.UnixNano(), Subject: msg.Subject, ID: msg.ID, Payload: slices.Clone(msg.Payload)}
	if r.Subject == "" {
		r.Subject = l.cfg.Subjects[0]
	}
	l.records = append(l.records, r)
	l.bytes += size(r)
	return l.last
}

func size(r views.Record) uint64 {
	return uint64(len(r.Payload) + len(r.Subject) + len(r.ID) + recordOverhead)
}

// expire drops the oldest records that are beyond the log's limits.
func (l *memoryLog) expire(now time.Time) {
	n, bytes := 0, l.bytes
	for _, r := range l.records {
		tooMuch := l.cfg.MaxBytes > 0 && bytes > uint64(l.cfg.MaxBytes)
		tooOld := l.cfg.MaxAge > 0 && now.UnixNano()-r.Time >= int64(l.cfg.MaxAge)
		if !tooMuch && !tooOld {
			break
		}
		bytes -= size(r)
		n++
	}
	if n > 0 {
		l.setRecords(l.records[n:])
	}
}

func (l *memoryLog) setRecords(records []views.Record) {
	l.records, l.bytes = records, 0
	for _, r := range records {
		l.bytes += size(r)
	}
}

func (l *memoryLog) change() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// after returns the index of the first record with a sequence above seq.
func (l *memoryLog) after(seq uint64) int {
	return sort.Search(len(l.records), func(i int) bool { return l.records[i].Seq > seq })
}

// Durability is "memory": nothing is durable here.
func (m *Memory) Durability() string { return "memory" }

// State returns the log's identity and extent.
func (h *memoryHandle) State(ctx context.Context) (views.LogState, error) {
	h.broker.mu.Lock()
	defer h.broker.mu.Unlock()
	l, err := h.broker.log(ctx, h.name)
	if err != nil {
		return views.LogState{}, fmt.Errorf("reading the state of log %s: %w", h.name, err)
	}
	st := views.LogState{Created: l.created, First: l.last + 1, Last: l.last, Messages: uint64(len(l.records)), Bytes: l.bytes}
	if n := len(l.records); n > 0 {
		st.First = l.records[0].Seq
		st.FirstTime = time.Unix(0, l.records[0].Time)
		st.LastTime = time.Unix(0, l.records[n-1].Time)
	}
	return st, nil
}

// SeqAt returns the sequence after which the records are of the time t or later.
func (h *memoryHandle) SeqAt(ctx context.Context, t int64) (uint64, error) {
	h.broker.mu.Lock()
	defer h.broker.mu.Unlock()
	l, err := h.broker.log(ctx, h.name)
	if err != nil {
		return 0, fmt.Errorf("looking for a time in log %s: %w", h.name, err)
	}
	i := sort.Search(len(l.records), func(i int) bool { return l.records[i].Time >= t })
	if i == len(l.records) {
		return l.last, nil
	}
	return l.records[i].Seq - 1, nil
}

// Read yields the records in (after, until], or follows the log where until is
// zero.
func (h *memoryHandle) Read(ctx context.Context, after, until uint64) iter.Seq2[[]views.Record, error] {
	return func(yield func([]views.Record, error) bool) {
		var b batch
		defer b.poison()
		var first *memoryLog
		for until == 0 || after < until {
			b.poison()
			l, changed, err := h.fill(ctx, &b, first, after, until)
			if err != nil {
				yield(nil, err)
				return
			}
			first = l
			switch n := len(b.records); {
			case n > 0:
				after = b.records[n-1].Seq
				if !yield(b.records, nil) {
					return
				}
			case until != 0:
				return
			default:
				select {
				case <-changed:
				case <-ctx.Done():
				}
			}
		}
	}
}

// fill copies the next records into b. It returns the log, which must be first
// unless that is nil, and a channel that is closed when the log changes.
func (h *memoryHandle) fill(ctx context.Context, b *batch, first *memoryLog, after, until uint64) (*memoryLog, <-chan struct{}, error) {
	m := h.broker
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	l, err := m.log(ctx, h.name)
	if err == nil && first != nil && first != l {
		err = errReplaced
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading log %s after %d: %w", h.name, after, err)
	}
	batchMax := m.BatchMax
	if batchMax == 0 {
		batchMax = defaultBatchMax
	}
	records := l.records[l.after(after):]
	if until != 0 {
		records = l.records[l.after(after):l.after(until)]
	}
	b.copy(records[:min(batchMax, len(records))])
	return l, l.changed, nil
}

var errReplaced = errors.New("the log was deleted and made again while it was read")

// A batch is what one iteration yields: copies, which poison destroys.
type batch struct {
	records []views.Record
	bytes   []byte // the payloads
}

func (b *batch) copy(records []views.Record) {
	n := 0
	for _, r := range records {
		n += len(r.Payload)
	}
	b.bytes = slices.Grow(b.bytes[:0], n)
	for _, r := range records {
		start := len(b.bytes)
		b.bytes = append(b.bytes, r.Payload...)
		r.Payload = b.bytes[start:len(b.bytes):len(b.bytes)]
		b.records = append(b.records, r)
	}
}

// poison makes sure that nobody can go on using a batch unnoticed.
func (b *batch) poison() {
	for i := range b.records {
		b.records[i] = views.Record{Seq: 1<<64 - 1, Time: -1, Subject: "(a record kept beyond its batch)"}
	}
	for i := range b.bytes {
		b.bytes[i] = '!'
	}
	b.records = b.records[:0]
}

// SetTime makes clock what records and logs take their times from; nil is the
// real time.
func (m *Memory) SetTime(clock func() time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock = clock
}

// Trim drops the records below first, as retention does.
func (m *Memory) Trim(log string, first uint64) {
	m.alter(log, func(l *memoryLog) {
		if first > 0 {
			l.setRecords(l.records[l.after(first-1):])
		}
	})
}

// Truncate loses the records above last and gives their sequences out again, as
// a power cut can.
func (m *Memory) Truncate(log string, last uint64) {
	m.alter(log, func(l *memoryLog) {
		l.setRecords(slices.Clone(l.records[:l.after(last)]))
		l.last = min(l.last, last)
		for id, e := range l.ids {
			if e.seq > last {
				delete(l.ids, id)
			}
		}
	})
}

// Drop loses one record from the middle, as a damaged block does.
func (m *Memory) Drop(log string, seq uint64) {
	m.alter(log, func(l *memoryLog) {
		l.setRecords(slices.DeleteFunc(slices.Clone(l.records), func(r views.Record) bool { return r.Seq == seq }))
	})
}

// Replace puts an empty log of the same configuration in the place of log.
func (m *Memory) Replace(log string) {
	m.alter(log, func(l *memoryLog) {
		m.remove(l)
		m.make(l.cfg)
	})
}

// alter panics for a log that does not exist: only a wrong test asks for it.
func (m *Memory) alter(log string, do func(*memoryLog)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.logs[log]
	if l == nil {
		panic("logtest: no log " + log)
	}
	do(l)
	l.change()
}

// collide reports whether some subject is matched by both patterns.
func collide(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		switch x, y := as[i], bs[i]; {
		case x == ">" || y == ">":
			return true
		case x != y && x != "*" && y != "*":
			return false
		}
	}
	return len(as) == len(bs)
}
