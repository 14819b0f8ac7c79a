package views

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"weir/internal/fault"
	"weir/views/column"
	"weir/views/partial"
)

const (
	// changesChunk and changesBytes bound what is sent at once: the rows are
	// read in one transaction of the view's file, which is to be short.
	changesChunk = 1000
	changesBytes = 4 << 20

	// changeMax bounds a row as JSON. A broker takes messages twice as long;
	// one that it refuses would hold up all others.
	changeMax = 4 << 20

	// changesWaitMin and changesWaitMax bound the pause after a failure.
	changesWaitMin = 100 * time.Millisecond
	changesWaitMax = 5 * time.Second

	// changesPatience bounds what the last changes add to a stop. What is not
	// sent by then is sent after the next start.
	changesPatience = 2 * time.Second
)

// changesKeep is how many keys of changed rows wait in memory, at some 60 bytes
// each. When there are more they are forgotten, and found again in the log.
var changesKeep = 1 << 20

// changesStep is how many events are looked at at once when keys are found in
// the log.
var changesStep uint64 = 100_000

// changes sends the rows of a view that its commits have changed to a subject,
// each at least once.
//
// A commit only notes the keys of the rows that it has changed. The goroutine
// of changes reads the rows from the view's file, at the sequence that it holds
// then, and sends them; while that takes long or fails, keys gather, and the
// rows are read when they can be sent. So the view never waits, and the last
// message for a key is the row as it is.
//
// The file knows up to which sequence the changes of all events were sent. What
// is between that and what the view has applied, as after a crash, is found by
// computing these events once more, for the keys alone.
type changes struct {
	view    *View
	subject string
	name    string // of the view, in messages
	fields  [][]byte

	news  chan struct{} // wakes run
	abort context.CancelFunc
	done  chan struct{} // closed when run has ended

	// sent is the sequence up to which the changes of all events were sent.
	sent atomic.Uint64

	mu      sync.Mutex
	pending changed
	ending  bool // run ends when nothing is pending
}

// changed has the keys of the rows that the events in (from, to] have changed.
type changed struct {
	from, to uint64
	keys     *partial.Table // without aggregates
}

func newChanges(v *View, sent, applied uint64) *changes {
	def := v.Def()
	c := &changes{
		view: v, subject: def.PublishChanges, name: logName(def.Database, def.Name),
		news: make(chan struct{}, 1), done: make(chan struct{}),
		pending: changed{from: applied, to: applied, keys: partial.NewTable(nil)},
	}
	c.sent.Store(sent)
	for i, o := range v.plan.Outputs {
		name := append(appendJSONText([]byte{'{'}, o.Name), ':')
		if i > 0 {
			name[0] = ','
		}
		c.fields = append(c.fields, name)
	}
	return c
}

// offer notes the rows that committed runs have changed. A nil c has no use for
// them.
func (c *changes) offer(runs []*run) {
	if c == nil {
		return
	}
	c.mu.Lock()
	p := &c.pending
	for _, r := range runs {
		switch {
		case r.to <= p.to: // an earlier commit had it
			continue
		case r.from > p.to || p.keys.Len() > 0 && p.keys.Len()+r.table.Len() > changesKeep:
			*p = changed{from: r.to, to: r.to, keys: partial.NewTable(nil)}
			continue
		}
		for i := range r.table.Len() {
			p.keys.Group(r.table.Key(i))
		}
		p.to = r.to
	}
	c.mu.Unlock()
	c.wake()
}

func (c *changes) wake() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// run sends changes until ctx is done, the view has failed, or end was asked
// for and all are sent.
func (c *changes) run(ctx context.Context) {
	defer close(c.done)
	for {
		b, ok := c.take(ctx)
		if !ok || c.publish(ctx, b) != nil {
			return
		}
		c.sent.Store(b.to)
	}
}

// take waits for changes, and takes all that there are.
func (c *changes) take(ctx context.Context) (b changed, ok bool) {
	for ctx.Err() == nil {
		c.mu.Lock()
		b = c.pending
		due, ending := b.to > c.sent.Load(), c.ending
		if due {
			c.pending = changed{from: b.to, to: b.to, keys: partial.NewTable(nil)}
		}
		c.mu.Unlock()
		if due || ending {
			return b, due
		}
		select {
		case <-c.news:
		case <-ctx.Done():
		}
	}
	return b, false
}

// publish sends the rows of b, after those before it that are not sent yet.
func (c *changes) publish(ctx context.Context, b changed) error {
	if err := c.catchUp(ctx, c.sent.Load(), b.from); err != nil {
		return err
	}
	return c.sendKeys(ctx, b.keys)
}

// catchUp sends the rows that the events in (at, to] have changed.
func (c *changes) catchUp(ctx context.Context, at, to uint64) error {
	for at < to && c.heard() {
		if at == 0 {
			return c.send(ctx, All) // every row comes of an event after that
		}
		next := min(at+changesStep, to)
		var r *run
		err := c.retry(ctx, func() (err error) {
			r, err = c.view.compute(ctx, at, next, c.view.eng.newPacer(0), func(uint64, uint64) {})
			return err
		})
		if err != nil {
			return err
		}
		if r.gaps > 0 {
			return c.send(ctx, All) // which rows the lost events have changed is not known
		}
		fault.Crash("changes.found")
		if err := c.sendKeys(ctx, r.table); err != nil {
			return err
		}
		at = next
		c.sent.Store(at)
	}
	return nil
}

func (c *changes) heard() bool { return c.view.eng.broker.Heard(c.subject) }

// sendKeys sends the rows with the keys of t, in their order.
func (c *changes) sendKeys(ctx context.Context, t *partial.Table) error {
	if !c.heard() {
		return nil
	}
	order := t.Sorted()
	for len(order) > 0 {
		n := min(len(order), changesChunk)
		ranges := make([]Range, n)
		for i, at := range order[:n] {
			key := t.Key(int(at))
			hi := append(make([]byte, 0, len(key)+1), key...)
			ranges[i] = Range{Lo: key, Hi: append(hi, 0)}
		}
		if err := c.send(ctx, ranges); err != nil {
			return err
		}
		order = order[n:]
	}
	return nil
}

// send sends the rows in the ranges, as they are when it comes to them.
func (c *changes) send(ctx context.Context, ranges []Range) error {
	for len(ranges) > 0 && c.heard() {
		var rest []Range
		err := c.retry(ctx, func() error {
			msgs, after, err := c.read(ranges)
			rest = after
			if err != nil || len(msgs) == 0 {
				return err
			}
			fault.Crash("changes.read")
			if err := c.view.eng.broker.Send(ctx, msgs); err != nil {
				return err
			}
			fault.Crash("changes.sent")
			return nil
		})
		if err != nil {
			return err
		}
		ranges = rest
	}
	return nil
}

// retry calls f until it succeeds, ctx is done, or the view has failed.
func (c *changes) retry(ctx context.Context, f func() error) error {
	for wait := changesWaitMin; ; wait = min(2*wait, changesWaitMax) {
		err := f()
		switch {
		case err == nil:
			if wait > changesWaitMin {
				c.view.log().Info("the changes of the view are sent again", "subject", c.subject)
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case c.view.failure() != nil:
			return c.view.failure()
		case wait == changesWaitMin:
			c.view.log().Warn("cannot send the changes of the view; they wait, and the view goes on", "subject", c.subject, "error", err)
		}
		sleep(ctx, wait)
	}
}

// read returns the first rows in the ranges as messages, and the ranges that
// are left. A row that has been dropped since has none.
func (c *changes) read(ranges []Range) (msgs []Message, rest []Range, err error) {
	snap, err := c.view.committed()
	if err != nil {
		return nil, nil, err
	}
	defer snap.close()
	cols := make([]int, len(c.fields))
	for i := range cols {
		cols[i] = i
	}
	seq := strconv.FormatUint(snap.Seq, 10)
	version := strconv.FormatUint(c.view.Version, 10)
	id := c.name + ":" + version + ":" + seq + ":"
	header := map[string][]string{HeaderView: {c.name}, HeaderVersion: {version}, HeaderSeq: {seq}}
	cur := snap.Scan(Serving, ranges, false, cols)
	var b column.Batch
	size := 0
	for n := 0; n < changesChunk && size < changesBytes; n++ {
		some, err := cur.Fill(&b, 1)
		if err != nil || some == 0 {
			return msgs, nil, err
		}
		key := cur.current
		if len(key) == 0 {
			key = partial.EmptyKey() // the row that there is in any case
		}
		rest = rangesAfter(ranges, key)
		row := c.row(&b)
		if len(row) > changeMax {
			c.view.log().Error("a changed row is too long to be sent", "subject", c.subject, "bytes", len(row), "max", changeMax)
			continue
		}
		size += len(row)
		msgs = append(msgs, Message{Subject: c.subject, ID: id + keyID(key), Payload: row, Header: header})
	}
	return msgs, rest, nil
}

// rangesAfter returns what of the ranges is behind key.
func rangesAfter(ranges []Range, key []byte) []Range {
	next := append(bytes.Clone(key), 0)
	for len(ranges) > 0 && ranges[0].Hi != nil && bytes.Compare(ranges[0].Hi, next) <= 0 {
		ranges = ranges[1:]
	}
	if len(ranges) > 0 && bytes.Compare(ranges[0].Lo, next) < 0 {
		ranges = slices.Clone(ranges)
		ranges[0].Lo = next
	}
	return ranges
}

// The headers of a message that is a changed row.
const (
	HeaderView    = "Weir-View"    // the view
	HeaderVersion = "Weir-Version" // and which version of it
	HeaderSeq     = "Weir-Seq"     // the row is that of the events up to here
)

// keyID tells the rows of one sequence apart, as short as is safe: two keys
// share one of 96 bits less often than disks err.
func keyID(key []byte) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// row returns the first row of b as a JSON object.
func (c *changes) row(b *column.Batch) []byte {
	row := make([]byte, 0, 32*len(c.fields))
	for i := range c.fields {
		row = append(row, c.fields[i]...)
		row = appendJSON(row, b.Cols[i].Value(0), c.view.plan.Outputs[i].Type)
	}
	return append(row, '}')
}

// committed returns a snapshot of what the view's file holds, without the runs
// in memory: of the sequence that the last commit has reached.
func (v *View) committed() (*Snapshot, error) {
	tx, err := v.store.db.Begin(false)
	if err != nil {
		return nil, fmt.Errorf("read view %s: %w", v.Def().Name, err)
	}
	snap := &Snapshot{View: v, tx: tx}
	err = guard("read view "+v.Def().Name, func() (err error) {
		snap.meta, err = v.store.meta(tx)
		return err
	})
	if err != nil {
		snap.close()
		return nil, err
	}
	snap.Seq = snap.meta.Applied
	snap.drop = v.windows(v.floor(snap.meta, snap.meta.Watermark))
	return snap, nil
}

// startChanges begins to send the view's changes where its definition says so,
// with those that its file does not know to be sent.
func (v *View) startChanges() {
	v.changesMu.Lock()
	defer v.changesMu.Unlock()
	if v.changesOver || v.changes.Load() != nil || v.Def().PublishChanges == "" || v.store == nil || v.failure() != nil {
		return
	}
	v.commitMu.Lock() // the first commit from now on is offered
	defer v.commitMu.Unlock()
	m, err := v.store.view()
	if err != nil {
		v.log().Error("the changes of the view are not sent", "error", err)
		return
	}
	c := newChanges(v, m.Published, m.Applied)
	var ctx context.Context
	ctx, c.abort = context.WithCancel(context.WithoutCancel(v.eng.ctx)) // Close has the last ones sent
	v.changes.Store(c)
	go c.run(ctx)
}

// stopChanges ends what startChanges began. over says that it does not begin
// again. Changes that are not sent by the time that ctx is done stay unsent.
func (v *View) stopChanges(ctx context.Context, over bool) {
	v.changesMu.Lock()
	defer v.changesMu.Unlock()
	v.changesOver = v.changesOver || over
	c := v.changes.Load()
	if c == nil {
		return
	}
	c.mu.Lock()
	c.ending = true
	c.mu.Unlock()
	c.wake()
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	c.abort()
	<-c.done
	v.changes.Store(nil)
	if v.failure() != nil {
		return
	}
	err := v.store.update(func(_ *bolt.Tx, m *storeMeta) error {
		c.note(m)
		return nil
	})
	if err != nil {
		v.log().Warn("what was sent of the view's changes is sent again after the next start", "error", err)
	}
}

// endChanges has the last changes of the views sent, if that does not take long.
func (e *Engine) endChanges(views []*View) {
	ctx, cancel := context.WithTimeout(context.Background(), changesPatience)
	defer cancel()
	for _, v := range views {
		v.stopChanges(ctx, true)
	}
}

// atOnce is done already.
var atOnce = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// note writes down what was sent, if anything is.
func (c *changes) note(m *storeMeta) {
	if c != nil && m.Changes != "" {
		m.Published = max(m.Published, c.sent.Load())
	}
}

// settleChanges brings the file in line with the definition def. A view whose
// definition did not send changes until now begins with those of the next event.
func (v *View) settleChanges(m *storeMeta, def *ViewDef) {
	if v.Def().PublishChanges == "" {
		m.Published = m.Applied
	}
	m.Changes = def.PublishChanges
}

// alterChanges makes the sending of changes follow an ALTER.
func (v *View) alterChanges() {
	if c := v.changes.Load(); c != nil && c.subject == v.Def().PublishChanges {
		return
	}
	v.stopChanges(atOnce, false)
	v.startChanges()
}

// inheritChanges makes v, which is to take the place of old, go on sending
// changes where old is: rows that are the same are not sent again, and none
// that an event changes is left out. REQUIRES: v is attached to its stream.
func (v *View) inheritChanges(old *View) error {
	if v.Def().PublishChanges == "" {
		return nil
	}
	from, err := v.changesFrom(old)
	if err != nil {
		return err
	}
	return v.commit(func(_ *bolt.Tx, m *storeMeta) error {
		m.Changes, m.Published = v.Def().PublishChanges, min(from, m.Applied)
		return nil
	})
}

// fromNow is a sequence that no view has reached.
const fromNow = 1<<64 - 1

// changesFrom returns the sequence from which on v, which takes the place of
// old, sends changes.
func (v *View) changesFrom(old *View) (uint64, error) {
	switch {
	case old == nil:
		entry, err := v.eng.catalog.view(nameKey(v.Def().Database, v.Def().Name))
		if err == nil && entry.Lost {
			return 0, nil // what was sent may have been of events that are gone
		}
		return fromNow, err
	case old.stream != v.stream || old.Def().PublishChanges == "":
		return fromNow, nil
	}
	if c := old.changes.Load(); c != nil {
		return c.sent.Load(), nil
	}
	return 0, nil // it has failed, and how far it was is not known
}

// view returns the entry of a view.
func (c *catalog) view(key string) (entry viewEntry, err error) {
	err = c.db.View(func(tx *bolt.Tx) error {
		raw := tx.Bucket(bucketViews).Get([]byte(key))
		if raw == nil {
			return errDroppedMeanwhile
		}
		raw, err := unsealEntry(key, raw)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &entry)
	})
	return entry, err
}

// checkChanges returns an error where changes of the view would come back to
// the stream that it reads: each would be an event that makes the next.
func (e *Engine) checkChanges(def *ViewDef) error {
	if def.PublishChanges == "" {
		return nil
	}
	key := nameKey(def.Database, def.Name)
	e.mu.RLock()
	defer e.mu.RUnlock()
	defs := []*ViewDef{def}
	for k, v := range e.views {
		if k != key {
			defs = append(defs, v.Def())
		}
	}
	for k, b := range e.building {
		if k != key {
			defs = append(defs, b.def)
		}
	}
	by := e.changesLoop(def.PublishChanges, nameKey(def.Database, def.Stream), defs, map[string]bool{})
	if by == nil {
		return nil
	}
	why := fmt.Sprintf("the stream %s, which the view reads, takes the subject %s", def.Stream, def.PublishChanges)
	if len(by) > 0 {
		why = fmt.Sprintf("the changes come back to the stream %s, which the view reads, by way of %s", def.Stream, strings.Join(by, " and "))
	}
	return &DefinitionError{Option: "publish_changes", Err: errors.New(why + ": every change would make the next; choose a subject that does not lead there")}
}

// changesLoop returns the views by whose changes a message to the subject leads
// to the stream, outermost first; nil where it does not. mu is held.
func (e *Engine) changesLoop(subject, stream string, defs []*ViewDef, seen map[string]bool) []string {
	for key, s := range e.streams {
		if !slices.ContainsFunc(s.Def.Subjects, func(pattern string) bool { return takesSubject(pattern, subject) }) || seen[key] {
			continue
		}
		if key == stream {
			return []string{}
		}
		seen[key] = true
		for _, d := range defs {
			if d.PublishChanges == "" || nameKey(d.Database, d.Stream) != key {
				continue
			}
			if by := e.changesLoop(d.PublishChanges, stream, defs, seen); by != nil {
				return append([]string{d.Name}, by...)
			}
		}
	}
	return nil
}

// takesSubject says whether a subject, which has no wildcards, is one of those
// that the pattern stands for.
func takesSubject(pattern, subject string) bool {
	words := strings.Split(subject, ".")
	for i, p := range strings.Split(pattern, ".") {
		switch {
		case i >= len(words):
			return false
		case p == ">":
			return true
		case p != "*" && p != words[i]:
			return false
		}
	}
	return strings.Count(pattern, ".") == len(words)-1
}
