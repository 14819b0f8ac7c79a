package views

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sort"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"weir/internal/fault"
	"weir/views/column"
)

// A dedup finds the events of a stream that a publisher has sent again: the
// repeats, which no view counts.
//
// An event is a repeat if the log holds one with its id that came before it,
// less than the stream's dedup_window earlier, and is not a repeat itself. The
// times are those of a clock that never goes back: the latest at which the log
// has received an event so far. Where more than dedupIDsMax ids came within the
// window, the oldest are forgotten early.
//
// So the repeats up to a sequence are a function of the log up to there. The
// stream's follower judges each event once, in the order of the log, and the
// stream's file has, written in one transaction, the ids that are remembered,
// the repeats, and the sequence up to which they were found. After a crash the
// follower goes on from that sequence and finds what it found before; without
// the file it begins with the log. Whoever else computes from the log leaves
// out the repeats on the list, once the follower has seen what they read: see
// Stream.judged.
//
// Where the log no longer has an event that another repeats, and the file is
// lost as well, the other is taken for the first. A group that counts the lost
// one is kept by a rebuild, see history.go, and others count the event once.
type dedup struct {
	db     *bolt.DB
	window int64

	mu      sync.RWMutex
	ids     idRing
	repeats repeatList
	dedupState

	// What the file has. They belong to the committer.
	savedIDs    uint64 // the ids with numbers below
	savedSeen   uint64
	savedChunks int // of repeats, but for the last of these, which may have grown
	savedAt     time.Time
	gone        [][]byte // keys of chunks of repeats that it still has, and should not

	// When the log was asked last where it begins, and what it said.
	askedAt time.Time
	begins  uint64
}

// A dedupState says how far events were judged.
type dedupState struct {
	Seen     uint64 // sequence of the last event that was
	SeenTime int64  // when the log received it
	Clock    int64  // the latest time of those up to there
	// Short is the latest time up to which ids may be forgotten that lie within
	// the window: there were too many, or the log had lost their events.
	Short int64
}

// dedupMeta is what the file says of itself.
type dedupMeta struct {
	dedupState
	LogCreated int64
	Head, Next uint64 // numbers of the ids: those in [Head, Next) are remembered
	Repeats    uint64
	Chunks     int // of the repeats that the file has
}

// dedupIDsMax bounds the ids that a stream remembers. That many take 160 MiB.
var dedupIDsMax = 4 << 20

// dedupSaveInterval is how often a stream's file is written while events flow:
// what came since is judged again after a crash, and looked at by the views,
// which takes far less time than it has taken to come.
const dedupSaveInterval = time.Second

// forgetInterval is how long after the log has dropped repeats they are
// forgotten: longer than whoever reads the log for a view holds what it has
// read before it leaves out the repeats.
const forgetInterval = time.Hour

// idChunk is how many ids are one value in the file: three pages with what
// bbolt adds. The last of them is written again with each commit.
const idChunk = 510

var (
	bucketDedup   = []byte("dedup")   // dedupMeta
	bucketIDs     = []byte("ids")     // number of the chunk → number of its first id, then ids
	bucketRepeats = []byte("repeats") // first sequence → repeatChunk
)

// openDedup reads what the stream's file has of it. A file that is damaged, or
// of another log than the stream's, begins again.
func (e *Engine) openDedup(ctx context.Context, s *Stream) error {
	if s.Def.DedupWindow == 0 {
		return nil
	}
	s.dedup = &dedup{db: s.dead.db, window: int64(s.Def.DedupWindow)}
	err := guard("read ids", func() error { return s.dedup.load(ctx, s.log, s.id) })
	if err != nil && passing(ctx, err) {
		return errors.Join(err, s.dead.db.Close())
	}
	if err != nil {
		e.log.Error("the message ids of a stream are not to be trusted; its events are judged again from the log", "stream", s.Def.Name, "reason", err)
		if err := s.renewFile(e.deadPath(s.Def)); err != nil {
			return err
		}
		s.dedup = &dedup{db: s.dead.db, window: int64(s.Def.DedupWindow)}
		if err := s.dedup.load(ctx, s.log, s.id); err != nil {
			return errors.Join(err, s.dead.db.Close())
		}
	}
	if lost := s.dedup.Seen + 1; lost < s.id.First {
		e.log.Warn("the log of a stream has dropped events whose message ids were not looked at: one of them that is sent again is counted",
			"stream", s.Def.Name, "from_seq", lost, "to_seq", s.id.First-1)
	}
	return nil
}

// load reads the file. An error is that of a file that cannot be trusted.
func (d *dedup) load(ctx context.Context, log Log, id LogState) error {
	created := id.Created.UnixNano()
	err := d.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketDedup, bucketIDs, bucketRepeats} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		b := tx.Bucket(bucketDedup)
		m := dedupMeta{LogCreated: id.Created.UnixNano()}
		if b.Get(keyMeta) == nil {
			return putRecord(b, keyMeta, m)
		}
		if err := getRecord(b, keyMeta, &m); err != nil {
			return err
		}
		created = m.LogCreated
		d.dedupState, d.savedSeen = m.dedupState, m.Seen
		if err := d.loadIDs(tx.Bucket(bucketIDs), m); err != nil {
			return err
		}
		return d.loadRepeats(tx, m, id.First)
	})
	if err != nil {
		return err
	}
	return id.hasPlace(ctx, log, place{created, d.Seen, d.SeenTime}, "its events were judged up to")
}

var errIDs = errors.New("ids are missing in the file")

func (d *dedup) loadIDs(b *bolt.Bucket, m dedupMeta) error {
	if n := m.Next - m.Head; n > math.MaxInt32 {
		return errIDs
	} else if n > 0 {
		size := idRingLeast
		for size < int(n) {
			size *= 2
		}
		d.ids.resize(size)
	}
	d.ids.head, d.ids.next, d.savedIDs = m.Head, m.Head, m.Next
	for number := m.Head; number < m.Next; number = d.ids.next {
		key := key64(number / idChunk)
		raw, err := unseal(key, b.Get(key))
		if err != nil {
			return err
		}
		if len(raw) < 8 || len(raw)%8 != 0 {
			return errIDs
		}
		first := binary.BigEndian.Uint64(raw)
		raw = raw[8:]
		end := min(first+uint64(len(raw)/idEntrySize), m.Next)
		if first > number || end <= number {
			return errIDs
		}
		for ; number < end; number++ {
			e := raw[(number-first)*idEntrySize:]
			d.ids.add(idEntry{idHash{binary.BigEndian.Uint64(e), binary.BigEndian.Uint64(e[8:])}, int64(binary.BigEndian.Uint64(e[16:]))})
		}
	}
	return nil
}

// loadRepeats reads the repeats that the log still has, and deletes the others.
func (d *dedup) loadRepeats(tx *bolt.Tx, m dedupMeta, first uint64) error {
	b := tx.Bucket(bucketRepeats)
	d.repeats.count = m.Repeats
	var gone [][]byte
	err := b.ForEach(func(k, value []byte) error {
		raw, err := unseal(k, value)
		if err != nil {
			return err
		}
		if len(k) != 8 {
			return errRepeats
		}
		c, err := readRepeatChunk(binary.BigEndian.Uint64(k), slices.Clone(raw))
		if err != nil {
			return err
		}
		if c.to < first {
			gone = append(gone, slices.Clone(k))
			return nil
		}
		d.repeats.chunks = append(d.repeats.chunks, c)
		return nil
	})
	if err == nil && len(gone)+len(d.repeats.chunks) != m.Chunks {
		err = errRepeats
	}
	for i := 0; i < len(gone) && err == nil; i++ {
		err = b.Delete(gone[i])
	}
	if d.savedChunks = len(d.repeats.chunks); err != nil || len(gone) == 0 {
		return err
	}
	m.Chunks = d.savedChunks
	return putRecord(tx.Bucket(bucketDedup), keyMeta, m)
}

// take judges those of the follower's records that are new, and takes the
// repeats out of the rows of b that matter.
func (d *dedup) take(recs []Record, b *column.Batch) {
	if d == nil {
		return
	}
	d.mu.Lock()
	for i := range recs {
		if recs[i].Seq > d.Seen {
			d.judge(&recs[i])
		}
	}
	d.mu.Unlock()
	d.skip(recs, b)
}

// judge finds out whether the record behind the last is a repeat. d.mu is held.
func (d *dedup) judge(r *Record) {
	d.Clock = max(d.Clock, r.Time)
	if r.Seq != d.Seen+1 {
		d.Short = d.Clock // the ids of the events between are not known
	}
	d.Seen, d.SeenTime = r.Seq, r.Time
	if r.ID == "" {
		return
	}
	for d.ids.len() > 0 && d.Clock-d.ids.at(d.ids.head).time >= d.window {
		d.ids.drop()
	}
	h := hashID(r.ID)
	if d.ids.has(h) {
		d.repeats.add(r.Seq)
		return
	}
	for d.ids.len() >= dedupIDsMax {
		d.Short = max(d.Short, d.ids.at(d.ids.head).time)
		d.ids.drop()
	}
	d.ids.add(idEntry{h, d.Clock})
}

// skip takes the repeats among the records, all of which the follower has seen,
// out of the rows of b that matter. It may run beside take, on other batches.
func (d *dedup) skip(recs []Record, b *column.Batch) {
	if d == nil {
		return
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.repeats.last() < recs[0].Seq {
		return
	}
	within := seqRange{recs[0].Seq, recs[len(recs)-1].Seq}
	s := rowSkipper{from: b.Sel, len: b.Len}
	row := 0
	for r := range d.repeats.among(within) {
		row += sort.Search(len(recs)-row, func(i int) bool { return recs[row+i].Seq >= r.from })
		first := row
		row += sort.Search(len(recs)-row, func(i int) bool { return recs[row+i].Seq > r.to })
		s.skip(first, row)
	}
	b.Sel = s.rest()
}

// A rowSkipper leaves ranges of rows, which come in order, out of a selection.
type rowSkipper struct {
	from []uint32 // nil for all rows below len
	len  int
	at   int // the next row, or with from the next index into it
	kept []uint32
	any  bool // something was left out
}

// skip leaves out the rows in [first, end).
func (s *rowSkipper) skip(first, end int) {
	if first == end {
		return
	}
	if !s.any {
		s.any, s.kept = true, make([]uint32, 0, s.len)
	}
	s.keep(first)
	if s.from == nil {
		s.at = end
		return
	}
	for s.at < len(s.from) && int(s.from[s.at]) < end {
		s.at++
	}
}

// keep takes the next rows below end.
func (s *rowSkipper) keep(end int) {
	if s.from == nil {
		for ; s.at < end; s.at++ {
			s.kept = append(s.kept, uint32(s.at))
		}
		return
	}
	for ; s.at < len(s.from) && int(s.from[s.at]) < end; s.at++ {
		s.kept = append(s.kept, s.from[s.at])
	}
}

// rest takes the rows that are left and returns the selection.
func (s *rowSkipper) rest() []uint32 {
	if !s.any {
		return s.from
	}
	s.keep(s.len)
	return s.kept
}

// first returns the dead letters without the repeats of others.
func (d *dedup) first(letters []DeadLetter) []DeadLetter {
	if d == nil || len(letters) == 0 {
		return letters
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.DeleteFunc(letters, func(l DeadLetter) bool { return d.repeats.has(l.Seq) })
}

// forget drops the repeats that the log no longer has, and has not had for
// forgetInterval. It belongs to the committer.
func (d *dedup) forget(ctx context.Context, log Log) error {
	if d == nil || time.Since(d.askedAt) < forgetInterval {
		return nil
	}
	d.askedAt = time.Now()
	st, err := log.State(ctx)
	if err != nil {
		return err
	}
	d.forgetBelow(d.begins)
	d.begins = st.First
	return nil
}

// forgetBelow drops chunks of repeats, all of which are below first. The next
// save takes them out of the file.
func (d *dedup) forgetBelow(first uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for n < d.savedChunks-1 && d.repeats.chunks[n].to < first { // the last may grow
		d.gone = append(d.gone, key64(d.repeats.chunks[n].from))
		n++
	}
	d.repeats.chunks = slices.Delete(d.repeats.chunks, 0, n)
	d.savedChunks -= n
}

// commit writes what was found since the last time, unless that is a moment ago.
func (d *dedup) commit() error {
	if d == nil {
		return nil
	}
	d.mu.RLock()
	news := d.ids.next != d.savedIDs || d.repeats.open.to != 0 || d.Seen >= d.savedSeen+seenLag
	d.mu.RUnlock()
	if !news || time.Since(d.savedAt) < dedupSaveInterval {
		return nil
	}
	return d.save()
}

// save writes what was found since the last time, and up to which sequence, in
// one transaction.
func (d *dedup) save() error {
	if d == nil {
		return nil
	}
	d.savedAt = time.Now()
	d.mu.Lock()
	if d.Seen == d.savedSeen {
		d.mu.Unlock()
		return nil
	}
	m := dedupMeta{dedupState: d.dedupState, Head: d.ids.head, Next: d.ids.next, Repeats: d.repeats.count}
	ids := d.newIDs()
	d.repeats.settle()
	known := max(d.savedChunks-1, 0)
	repeats := slices.Clone(d.repeats.chunks[known:])
	for i := range repeats {
		repeats[i].code = slices.Clone(repeats[i].code)
	}
	d.mu.Unlock()
	m.Chunks = known + len(repeats)
	fault.Crash("dedup.before")
	err := guard("write ids", func() error {
		return d.db.Update(func(tx *bolt.Tx) error {
			if err := putIDs(tx.Bucket(bucketIDs), m.Head, ids); err != nil {
				return err
			}
			b := tx.Bucket(bucketRepeats)
			for i := range repeats {
				key := key64(repeats[i].from)
				if err := b.Put(key, seal(key, repeats[i].code)); err != nil {
					return err
				}
			}
			for _, key := range d.gone {
				if err := b.Delete(key); err != nil {
					return err
				}
			}
			return putDedupMeta(tx, m)
		})
	})
	if err != nil {
		return err
	}
	fault.Crash("dedup.after")
	d.savedIDs, d.savedSeen, d.savedChunks, d.gone = m.Next, m.Seen, known+len(repeats), nil
	return nil
}

// putDedupMeta writes m, of the log that the file is of.
func putDedupMeta(tx *bolt.Tx, m dedupMeta) error {
	b := tx.Bucket(bucketDedup)
	var old dedupMeta
	if err := getRecord(b, keyMeta, &old); err != nil {
		return err
	}
	m.LogCreated = old.LogCreated
	return putRecord(b, keyMeta, m)
}

// idEntrySize is the size of an id in the file: its hash and its time.
const idEntrySize = 24

// newIDs returns the chunks of ids that the file lacks, or has a part of, in
// order. d.mu is held.
func (d *dedup) newIDs() (chunks [][]byte) {
	number := max(d.ids.head, d.savedIDs/idChunk*idChunk)
	for number < d.ids.next {
		end := min((number/idChunk+1)*idChunk, d.ids.next)
		raw := make([]byte, 0, 8+(end-number)*idEntrySize)
		raw = binary.BigEndian.AppendUint64(raw, number)
		for ; number < end; number++ {
			e := d.ids.at(number)
			raw = binary.BigEndian.AppendUint64(raw, e.hash.hi)
			raw = binary.BigEndian.AppendUint64(raw, e.hash.lo)
			raw = binary.BigEndian.AppendUint64(raw, uint64(e.time))
		}
		chunks = append(chunks, raw)
	}
	return chunks
}

// putIDs writes chunks of ids, and deletes those below the number head.
func putIDs(b *bolt.Bucket, head uint64, chunks [][]byte) error {
	b.FillPercent = 1 // they are added at the end, and never grow
	c := b.Cursor()
	for k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k) < head/idChunk; k, _ = c.First() {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	for _, raw := range chunks {
		key := key64(binary.BigEndian.Uint64(raw) / idChunk)
		if err := b.Put(key, seal(key, raw)); err != nil {
			return err
		}
	}
	return nil
}

func key64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// judged waits until the follower has judged the events up to the sequence, so
// that skip knows the repeats among them.
func (s *Stream) judged(ctx context.Context, seq uint64) error {
	if s.dedup == nil {
		return nil
	}
	return s.WaitApplied(ctx, seq)
}

// resumes is the sequence from which the stream's own file asks for events.
func (s *Stream) resumes() uint64 {
	if s.dedup == nil {
		return s.dead.Seen
	}
	return min(s.dead.Seen, s.dedup.Seen)
}

// closeFile writes what the stream's file lacks and closes it.
func (s *Stream) closeFile() error {
	return errors.Join(s.dedup.save(), s.dead.close())
}

// Repeats returns the number of events that no view counts since they had been
// sent before, and the time since when an event is known again by its id: ids
// that the log received earlier may be forgotten. It is zero for a stream
// without dedup_window.
func (s *Stream) Repeats() (n uint64, horizon time.Time) {
	d := s.dedup
	if d == nil {
		return 0, time.Time{}
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	from := max(time.Now().UnixNano(), d.Clock) - d.window
	if d.Short >= from {
		from = d.Short + int64(time.Microsecond) // what a DATETIME(6) can tell from it
	}
	return d.repeats.count, time.Unix(0, from).UTC()
}
