package views

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"weir/views/partial"
)

// storeFormat is the version of the files of views.
const storeFormat = 2

// mapSize is how much address space the file of a view maps at first. A writer
// that must map more waits for every reader, so it is far more than most files
// become; it is not memory.
const mapSize = 16 << 30

// An epoch is a range of consecutive sequences in the speed layer.
type epoch struct {
	ID      uint64
	Rowset  uint64 // number of the bucket that holds its rows
	From    uint64 // first sequence
	To      uint64 // last; 0 while the epoch is open
	Rows    uint64
	Span    span
	Retired time.Time // when batch covered it; zero while it serves
}

// storeMeta is what a view's file says of itself. It is written in the
// transaction that makes it true.
type storeMeta struct {
	Format     int
	Definition string
	Version    uint64
	Mode       Mode

	// Which log, up to which sequence its events are in the rows, and when the
	// log received the last of them.
	LogCreated  int64 // Unix nanoseconds
	Applied     uint64
	AppliedTime int64
	// The checkpoint: the sequence from which a start goes on. It is Applied
	// but between the two transactions of a commit that is not exactly once.
	Resume     uint64
	ResumeTime int64

	Watermark int64
	Gaps      uint64 // sequences the log did not have
	Whole     uint64 // of a build: the first sequence from which on it had them all
	// Floor is the start of the last window that retention has dropped, in
	// microseconds; no row of a window up to there comes back.
	Floor int64

	Cut       uint64 // the batch layer is f(events ≤ Cut)
	Batch     uint64 // number of the bucket of its rows; 0 while there is none
	BatchRows uint64
	BatchSpan span
	LastBatch time.Time // when the last batch run began, from which the interval counts
	Retry     uint64    // the batch run that failed and is to be tried again, or 0

	Epochs     []epoch // that serve, oldest first; the last is open
	Retired    []epoch // that batch has covered and v_speed still shows, oldest first
	NextEpoch  uint64
	NextRowset uint64
}

func (m *storeMeta) open() *epoch { return &m.Epochs[len(m.Epochs)-1] }

// openEpoch closes the open epoch, if any, at the applied sequence, and opens
// the next one behind it.
func (m *storeMeta) openEpoch() {
	if n := len(m.Epochs); n > 0 {
		m.Epochs[n-1].To = m.Applied
	}
	m.NextEpoch++
	m.Epochs = append(m.Epochs, epoch{ID: m.NextEpoch, Rowset: m.newRowset(), From: m.Applied + 1, Span: noSpan})
}

// checkpoint makes the next start go on from what is applied.
func (m *storeMeta) checkpoint() { m.Resume, m.ResumeTime = m.Applied, m.AppliedTime }

// newRowset returns the number of a bucket that is not there yet.
func (m *storeMeta) newRowset() uint64 {
	m.NextRowset++
	return m.NextRowset
}

// rowsets are the buckets that hold rows: of the batch layer and of all epochs.
func (m *storeMeta) rowsets() (list []*rowset) {
	if m.Batch != 0 {
		list = append(list, &rowset{m.Batch, &m.BatchRows})
	}
	for _, epochs := range [][]epoch{m.Epochs, m.Retired} {
		for i := range epochs {
			list = append(list, &rowset{epochs[i].Rowset, &epochs[i].Rows})
		}
	}
	return list
}

// A rowset is a bucket that holds rows, and where their number is kept.
type rowset struct {
	number uint64
	rows   *uint64
}

var (
	bucketMeta = []byte("meta")
	bucketRuns = []byte("runs") // batch runs by id
	keyMeta    = []byte("meta")
)

// rowsBucket names a bucket that holds rows: stored states by stored key.
func rowsBucket(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte("rows"), n) }

// A store is the file of one version of a view.
type store struct {
	db    *bolt.DB
	specs []partial.Spec
	// cached is the last meta that was read, with its bytes: reading it again
	// is comparing them.
	cached atomic.Pointer[cachedMeta]
}

type cachedMeta struct {
	raw  []byte
	meta storeMeta
}

// errNoMeta says that a file is not that of a finished view.
var errNoMeta = errors.New("the file holds no view")

func openStore(path string, specs []partial.Spec) (*store, error) {
	db, err := openBolt(path, &bolt.Options{
		Timeout: time.Second, InitialMmapSize: mapSize, FreelistType: bolt.FreelistMapType, NoStatistics: true,
	})
	if err != nil {
		return nil, err
	}
	return &store{db: db, specs: specs}, nil
}

// openBolt opens a bbolt file that may be damaged: bbolt panics on pages that
// make no sense, and reading beyond the end of a file that was cut faults.
func openBolt(path string, opts *bolt.Options) (db *bolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("open %s: the file is damaged: %v", path, p)
		}
	}()
	if db, err = bolt.Open(path, 0o600, opts); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		info, err := os.Stat(path)
		if err == nil && info.Size() < tx.Size() {
			err = fmt.Errorf("open %s: the file is cut short: %d bytes of %d", path, info.Size(), tx.Size())
		}
		return err
	})
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// errDamaged says that a file holds what weir did not write.
var errDamaged = errors.New("the file is damaged")

// guard runs f and returns a panic of it, as of bbolt on a damaged page, as an
// error.
func guard(what string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %w: %v", what, errDamaged, p)
		}
	}()
	return f()
}

// create makes a new file with the given meta and no rows.
func createStore(path string, specs []partial.Spec, meta storeMeta) (*store, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	s, err := openStore(path, specs)
	if err != nil {
		return nil, err
	}
	meta.Format = storeFormat
	err = s.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketRuns} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return putMeta(tx, &meta)
	})
	if err != nil {
		_ = s.db.Close()
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	return s, nil
}

func putMeta(tx *bolt.Tx, meta *storeMeta) error {
	raw, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketMeta).Put(keyMeta, raw)
}

// meta returns what tx sees. The epochs must not be changed; see update.
func (s *store) meta(tx *bolt.Tx) (*storeMeta, error) {
	b := tx.Bucket(bucketMeta)
	if b == nil {
		return nil, errNoMeta
	}
	raw := b.Get(keyMeta)
	if raw == nil {
		return nil, errNoMeta
	}
	if c := s.cached.Load(); c != nil && bytes.Equal(c.raw, raw) {
		return &c.meta, nil
	}
	c := &cachedMeta{raw: bytes.Clone(raw)}
	if err := json.Unmarshal(raw, &c.meta); err != nil {
		return nil, fmt.Errorf("read meta: %w", err)
	}
	if c.meta.Format != storeFormat {
		return nil, fmt.Errorf("the file has format %d, this weir writes %d", c.meta.Format, storeFormat)
	}
	s.cached.Store(c)
	return &c.meta, nil
}

// view reads meta in a transaction of its own.
func (s *store) view() (m *storeMeta, err error) {
	err = s.read(func(_ *bolt.Tx, now *storeMeta) error {
		m = now
		return nil
	})
	return m, err
}

// read runs f in a read transaction.
func (s *store) read(f func(tx *bolt.Tx, m *storeMeta) error) error {
	return guard("read view", func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			m, err := s.meta(tx)
			if err != nil {
				return err
			}
			return f(tx, m)
		})
	})
}

// update runs f in a write transaction with a copy of meta, which is written
// back with whatever f made of it.
func (s *store) update(f func(tx *bolt.Tx, m *storeMeta) error) error {
	return guard("write view", func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			m, err := s.meta(tx)
			if err != nil {
				return err
			}
			next := *m
			next.Epochs, next.Retired = slices.Clone(m.Epochs), slices.Clone(m.Retired)
			if err := f(tx, &next); err != nil {
				return err
			}
			return putMeta(tx, &next)
		})
	})
}

// combine puts the groups of t that keep takes into the bucket with the number,
// combined with what is there, in key order, and returns how many are new. A
// nil keep takes them all.
func (s *store) combine(tx *bolt.Tx, rowset uint64, t *partial.Table, keep func(key []byte) bool) (added uint64, err error) {
	b, err := tx.CreateBucketIfNotExists(rowsBucket(rowset))
	if err != nil {
		return 0, err
	}
	first, _ := b.Cursor().First()
	empty := first == nil
	if empty {
		b.FillPercent = 0.9 // keys arrive in order: no need for room between them
	}
	scratch := partial.NewTable(s.specs)
	one := scratch.Group(partial.EmptyKey())
	for _, i := range t.Sorted() {
		key := t.Key(int(i))
		if keep != nil && !keep(key) {
			continue
		}
		var old []byte
		if !empty {
			old = b.Get(key)
		}
		var value []byte // bbolt keeps it until the commit, so it is fresh each time
		if old == nil {
			added++
			value = t.Append(nil, int(i))
		} else {
			if err := scratch.Decode(one, old); err != nil {
				return added, fmt.Errorf("row %x: %w", key, err)
			}
			scratch.MergeInto(one, t, int(i))
			value = scratch.Append(nil, one)
			scratch.ClearStates(1)
		}
		if err := b.Put(key, value); err != nil {
			return added, err
		}
	}
	return added, nil
}

// into combines all rows of a bucket into t.
func (s *store) into(tx *bolt.Tx, rowset uint64, t *partial.Table) error {
	b := tx.Bucket(rowsBucket(rowset))
	if b == nil {
		return nil
	}
	return b.ForEach(func(key, states []byte) error {
		if err := t.Decode(t.Group(key), states); err != nil {
			return fmt.Errorf("row %x: %w", key, err)
		}
		return nil
	})
}

// dropRows deletes a bucket of rows if it exists.
func dropRows(tx *bolt.Tx, rowset uint64) error {
	name := rowsBucket(rowset)
	if tx.Bucket(name) == nil {
		return nil
	}
	return tx.DeleteBucket(name)
}
