package tables

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"weir/internal/pages"
	"weir/sql/gmsx"
)

// format is the version of the file.
const format = 1

// mapSize is how much address space the file maps at first. A writer that must
// map more waits for every reader, so it is far more than most files become;
// it is not memory.
const mapSize = 16 << 30

// lockWait is how long a statement waits for another one that writes.
const lockWait = 50 * time.Second

var (
	bucketMeta      = []byte("meta")
	bucketDatabases = []byte("databases")
	bucketViews     = []byte("views")
	bucketTables    = []byte("tables")
	bucketState     = []byte("state")
	keyFormat       = []byte("format")
)

// A Store is the file with the tables.
type Store struct {
	path string
	db   *bolt.DB
	cat  atomic.Pointer[catalog]
	lock chan struct{} // held by the statement that writes
}

// A catalog is what there is at a moment. It is immutable.
type catalog struct {
	databases map[string]string // by lower-case name
	tables    map[string]*Def
	views     map[string]*ViewDef
}

func (c *catalog) clone() *catalog {
	return &catalog{databases: maps.Clone(c.databases), tables: maps.Clone(c.tables), views: maps.Clone(c.views)}
}

// byID returns the table with the id, nil if it is gone.
func (c *catalog) byID(id uint64) *Def {
	for _, d := range c.tables {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// Open opens the file, and makes it where there is none. What is wrong with a
// file that cannot be read is said with the way out: it holds what nothing
// else has, so it is never made anew by itself.
func Open(path string) (*Store, error) {
	s := &Store{path: path, lock: make(chan struct{}, 1)}
	if err := s.open(); err != nil {
		if s.db != nil {
			_ = s.db.Close()
		}
		if errors.Is(err, bolterrors.ErrTimeout) {
			return nil, fmt.Errorf("tables %s: another process has it open", path)
		}
		return nil, fmt.Errorf("tables %s: %w: restore it from a backup, or move it away to begin without tables, ordinary views and further databases", path, err)
	}
	return s, nil
}

// checkPages returns errDamaged where following the pages of the file would not
// come to an end. It looks at no leaf: there may be many, and rows have
// checksums.
func (s *Store) checkPages(tx *bolt.Tx) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = pages.File{ReaderAt: f, PageSize: s.db.Info().PageSize, Size: tx.Size(), Root: uint64(tx.Cursor().Bucket().Root())}.Check()
	if errors.Is(err, pages.ErrNoTree) {
		return fmt.Errorf("the file %w: %w", errDamaged, err)
	}
	return err
}

func (s *Store) open() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file %w: %v", errDamaged, p)
		}
	}()
	s.db, err = bolt.Open(s.path, 0o600, &bolt.Options{
		Timeout: time.Second, InitialMmapSize: mapSize, FreelistType: bolt.FreelistMapType, NoStatistics: true,
	})
	if err != nil {
		return err
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	cat := &catalog{databases: map[string]string{}, tables: map[string]*Def{}, views: map[string]*ViewDef{}}
	err = s.db.View(func(tx *bolt.Tx) error {
		if info.Size() < tx.Size() {
			return fmt.Errorf("the file %w: %d bytes of %d", errDamaged, info.Size(), tx.Size())
		}
		if err := s.checkPages(tx); err != nil {
			return err
		}
		return cat.load(tx)
	})
	if err != nil {
		return err
	}
	err = s.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketDatabases, bucketViews, bucketTables, bucketState} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyFormat, []byte{format})
	})
	s.cat.Store(cat)
	return err
}

// load reads the catalog.
func (c *catalog) load(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return nil // a new file
	}
	if v := meta.Get(keyFormat); len(v) != 1 || v[0] != format {
		return fmt.Errorf("the file has format %v, and this weir reads %d", v, format)
	}
	err := tx.Bucket(bucketDatabases).ForEach(func(k, _ []byte) error {
		c.databases[strings.ToLower(string(k))] = string(k)
		return nil
	})
	if err != nil {
		return err
	}
	err = eachSealed(tx, bucketViews, func(k, raw []byte) error {
		v := &ViewDef{}
		if err := json.Unmarshal(raw, v); err != nil {
			return fmt.Errorf("view %q %w", k, errDamaged)
		}
		c.views[tableKey(v.Database, v.Name)] = v
		return nil
	})
	if err != nil {
		return err
	}
	return eachSealed(tx, bucketTables, func(k, raw []byte) error {
		d := &Def{}
		if err := json.Unmarshal(raw, d); err != nil {
			return fmt.Errorf("table %x %w", k, errDamaged)
		}
		if err := d.prepare(); err != nil {
			return err
		}
		c.tables[tableKey(d.Database, d.Name)] = d
		return nil
	})
}

func eachSealed(tx *bolt.Tx, bucket []byte, f func(k, raw []byte) error) error {
	return tx.Bucket(bucket).ForEach(func(k, v []byte) error {
		raw, err := unseal(0, k, v)
		if err != nil {
			return fmt.Errorf("record %q of %s %w", k, bucket, err)
		}
		return f(k, raw)
	})
}

// Close closes the file. No statement may run.
func (s *Store) Close() error { return s.db.Close() }

// Databases are the names of the databases that were created, in order.
func (s *Store) Databases() []string {
	return slices.Sorted(maps.Values(s.cat.Load().databases))
}

// current is the catalog that a statement sees: with its own changes.
func (s *Store) current(ctx *gms.Context) *catalog {
	if tx := txOf(ctx, s); tx != nil {
		return tx.cat
	}
	return s.cat.Load()
}

// Names are the names of the tables of a database, in order.
func (s *Store) Names(ctx *gms.Context, database string) (names []string) {
	for _, d := range s.current(ctx).tables {
		if strings.EqualFold(d.Database, database) {
			names = append(names, d.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Has says what has the name: a table, a view, or nothing.
func (s *Store) Has(database, name string) (table, view bool) {
	cat, key := s.cat.Load(), tableKey(database, name)
	return cat.tables[key] != nil, cat.views[key] != nil
}

// Table returns the table with the name, nil if there is none.
func (s *Store) Table(ctx *gms.Context, database, name string) *Table {
	d := s.current(ctx).tables[tableKey(database, name)]
	if d == nil {
		return nil
	}
	return newTable(s, d)
}

// View returns the view with the name, nil if there is none.
func (s *Store) View(ctx *gms.Context, database, name string) *ViewDef {
	return s.current(ctx).views[tableKey(database, name)]
}

// Views returns the views of a database, in order of their names.
func (s *Store) Views(ctx *gms.Context, database string) (list []*ViewDef) {
	for _, v := range s.current(ctx).views {
		if strings.EqualFold(v.Database, database) {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b *ViewDef) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func bucketName(n uint64) []byte { return fmt.Appendf(nil, "rows.%d", n) }

func idKey(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// counters are what changes with the rows of a table.
type counters struct {
	Rows  uint64 // how many there are
	Auto  uint64 // the next value of the column that counts up
	RowID uint64 // the last row's number, without primary key
}

func (c *counters) encode() []byte {
	b := binary.AppendUvarint(nil, c.Rows)
	return binary.AppendUvarint(binary.AppendUvarint(b, c.Auto), c.RowID)
}

func readCounters(tx *bolt.Tx, id uint64) (c counters, err error) {
	key := idKey(id)
	raw := tx.Bucket(bucketState).Get(key)
	if raw == nil {
		return counters{Auto: 1}, nil
	}
	if raw, err = unseal(0, key, raw); err != nil {
		return c, fmt.Errorf("the state of table %d %w", id, err)
	}
	for _, n := range []*uint64{&c.Rows, &c.Auto, &c.RowID} {
		u, size := binary.Uvarint(raw)
		if size <= 0 {
			return c, fmt.Errorf("the state of table %d %w", id, errDamaged)
		}
		*n, raw = u, raw[size:]
	}
	return c, nil
}

// damaged is the error of a table that does not hold what was written.
func (s *Store) damaged(d *Def, key []byte) error {
	return gmsx.Error(1194, "HY000", "Table '%s' is damaged at %x and cannot be read there: restore %s from a backup", d.Name, key, s.path)
}

// errChanged is for a statement whose tables were altered since it was planned.
func errChanged() error {
	return gmsx.Error(1412, "HY000", "Table definition has changed, please retry transaction")
}

// A snapshot is one moment of the file, for a statement.
type snapshot struct {
	mu sync.Mutex
	tx *bolt.Tx // nil once it is closed
}

func (p *snapshot) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tx != nil {
		_ = p.tx.Rollback()
		p.tx = nil
	}
}

// bucket returns a bucket of rows; errChanged where the moment has none.
func (p *snapshot) bucket(n uint64) (*bolt.Bucket, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tx == nil {
		return nil, errChanged()
	}
	b := p.tx.Bucket(bucketName(n))
	if b == nil {
		return nil, errChanged()
	}
	return b, nil
}

// A held is what a statement has opened here.
type held struct {
	mu   sync.Mutex
	snap *snapshot
	tx   *Tx
}

type heldKey struct{ s *Store }

// hold returns what the statement of ctx has opened here.
func (s *Store) hold(ctx *gms.Context) *held {
	session := gmsx.SessionOf(ctx)
	if session == nil {
		return &held{}
	}
	v, _ := session.Statement().LoadOrStore(heldKey{s}, func() (any, func(), error) {
		h := &held{}
		return h, h.end, nil
	})
	return v.(*held)
}

func (h *held) end() {
	h.mu.Lock()
	tx, snap := h.tx, h.snap
	h.tx, h.snap = nil, nil
	h.mu.Unlock()
	if tx != nil {
		tx.rollback()
	}
	if snap != nil {
		snap.close()
	}
}

// snapshot returns the statement's snapshot, and opens it the first time.
func (s *Store) snapshot(ctx *gms.Context) (*snapshot, error) {
	h := s.hold(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.snap == nil {
		tx, err := s.db.Begin(false)
		if err != nil {
			return nil, err
		}
		h.snap = &snapshot{tx: tx}
	}
	return h.snap, nil
}

// closeSnapshot ends the statement's snapshot: what it still reads comes of a later one.
func (h *held) closeSnapshot() {
	h.mu.Lock()
	snap := h.snap
	h.snap = nil
	h.mu.Unlock()
	if snap != nil {
		snap.close()
	}
}

// txOf returns what the statement of ctx writes here, nil if it does not.
func txOf(ctx *gms.Context, s *Store) *Tx {
	session := gmsx.SessionOf(ctx)
	if session == nil {
		return nil
	}
	h, _ := session.Statement().Value(heldKey{s}).(*held)
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tx
}

// acquire takes the lock of statements that write.
func (s *Store) acquire(ctx context.Context) error {
	select {
	case s.lock <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(lockWait)
	defer t.Stop()
	select {
	case s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return gmsx.Error(1205, "HY000", "Lock wait timeout exceeded; try restarting transaction: another statement has been writing tables for %s; SHOW PROCESSLIST has it", lockWait)
	}
}

// guard runs f and returns a panic of it, as of bbolt on a damaged page, as an error.
func (s *Store) guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = gmsx.Error(1194, "HY000", "the tables are damaged (%v): restore %s from a backup", p, s.path)
		}
	}()
	return f()
}

// prefixed says whether key begins with prefix.
func prefixed(key, prefix []byte) bool { return key != nil && bytes.HasPrefix(key, prefix) }
