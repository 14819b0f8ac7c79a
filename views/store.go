package views

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"weir/internal/pages"
	"weir/views/partial"
)

// storeFormat is the version of the files of views.
const storeFormat = 3

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
	Sum     uint64 // of their checksums
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
	ResumeGaps uint64 // Gaps as they were there

	Watermark int64
	Gaps      uint64 // sequences the log did not have
	Whole     uint64 // of a build: the first sequence from which on it had them all
	// What retention has dropped, as the start of the last window, in
	// microseconds. No row of a window up to Floor is written, none up to Shown
	// is shown, and those up to Deleted are gone from the file. A FULL lowers
	// Floor when it begins, so that what comes meanwhile is not lacking from
	// the windows that are back when it is done, and Shown when it is.
	Floor, Shown, Deleted int64

	Cut       uint64 // the batch layer is f(events ≤ Cut)
	Batch     uint64 // number of the bucket of its rows; 0 while there is none
	BatchRows uint64
	BatchSum  uint64 // of their checksums
	BatchSpan span
	CutGaps   uint64    // Gaps as they were at the cut
	LastBatch time.Time // when the last batch run began, from which the interval counts
	Retry     uint64    // the batch run that failed and is to be tried again, or 0
	Built     uint64    `json:",omitempty"` // the batch run that the build of this version was, or 0

	Epochs     []epoch // that serve, oldest first; the last is open
	Retired    []epoch // that batch has covered and v_speed still shows, oldest first
	NextEpoch  uint64
	NextRowset uint64

	// Changes is the subject that changed rows are sent to, "" where none are,
	// and Published the sequence up to which those of all events were sent.
	Changes   string `json:",omitempty"`
	Published uint64 `json:",omitempty"`
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
func (m *storeMeta) checkpoint() {
	m.Resume, m.ResumeTime, m.ResumeGaps = m.Applied, m.AppliedTime, m.Gaps
}

// newRowset returns the number of a bucket that is not there yet.
func (m *storeMeta) newRowset() uint64 {
	m.NextRowset++
	return m.NextRowset
}

var (
	bucketMeta = []byte("meta")
	bucketRuns = []byte("runs") // batch runs by id
	keyMeta    = []byte("meta")
)

// A store is the file of one version of a view.
type store struct {
	db    *bolt.DB
	specs []partial.Spec
	// damaged is told, before an error that says so is returned, that the file
	// is not what was written; nil while nobody reads it.
	damaged func(error)
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
			db, err = nil, fmt.Errorf("open %s: %w: %v", path, errDamaged, p)
		}
	}()
	if db, err = bolt.Open(path, 0o600, opts); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		info, err := os.Stat(path)
		if err == nil && info.Size() < tx.Size() {
			err = fmt.Errorf("open %s: %w: it is cut short: %d bytes of %d", path, errDamaged, info.Size(), tx.Size())
		}
		if err == nil {
			err = checkPages(tx)
		}
		return err
	})
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// checkPages returns errDamaged where following the pages that tx sees would not
// come to an end.
func checkPages(tx *bolt.Tx) error {
	f, err := os.Open(tx.DB().Path())
	if err != nil {
		return err
	}
	defer f.Close()
	err = pages.File{
		ReaderAt: f, PageSize: tx.DB().Info().PageSize, Size: tx.Size(), Root: uint64(tx.Cursor().Bucket().Root()), Leaves: true,
	}.Check()
	if errors.Is(err, pages.ErrNoTree) {
		return fmt.Errorf("open %s: %w: %w", tx.DB().Path(), errDamaged, err)
	}
	return err
}

// errDamaged says that a file does not hold what weir has written to it.
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
	return tx.Bucket(bucketMeta).Put(keyMeta, seal(keyMeta, raw))
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
	record, err := unseal(keyMeta, c.raw)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(record, &c.meta); err != nil {
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
	return s.notice(guard("read view", func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			m, err := s.meta(tx)
			if err != nil {
				return err
			}
			return f(tx, m)
		})
	}))
}

// update runs f in a write transaction with a copy of meta, which is written
// back with whatever f made of it.
func (s *store) update(f func(tx *bolt.Tx, m *storeMeta) error) error {
	return s.notice(guard("write view", func() error {
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
	}))
}

// notice returns err, and tells of it where it is errDamaged.
func (s *store) notice(err error) error {
	if s.damaged != nil && errors.Is(err, errDamaged) {
		s.damaged(err)
	}
	return err
}
