package tables

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	gms "github.com/dolthub/go-mysql-server/sql"
	bolt "go.etcd.io/bbolt"

	"weir/internal/fault"
	"weir/sql/gmsx"
)

// A Tx is what one statement changes. It is in memory until commit. One
// goroutine uses it, that of the statement.
type Tx struct {
	store *Store
	hold  *held
	cat   *catalog // with the statement's changes
	saved *catalog // without
	edits map[uint64]*edits
	next  uint64 // the last number of a bucket or table that was given out
	drops []uint64
	done  bool
	count int // changes since memory was last asked for
	// again says that the statement is to be planned again, and goes on with
	// this Tx: the lock is held, so that nothing changes any more.
	again bool
}

// edits are the changes of the rows of one table.
type edits struct {
	def    *Def
	counts counters
	rows   map[uint64]*bucketEdits // by bucket
}

// bucketEdits are the changes of one bucket.
type bucketEdits struct {
	fresh   bool              // the statement has made the bucket: all of it is here
	touched bool              // the counters of the table have changed
	entries map[string][]byte // nil is deleted
	// Of a unique index: the key of the row with these values, "" if none.
	unique map[string]string
}

// begin begins to write in the statement of ctx; outer says that it was not
// doing so already.
func (s *Store) begin(ctx *gms.Context) (tx *Tx, outer bool, err error) {
	h := s.hold(ctx)
	h.mu.Lock()
	tx = h.tx
	h.mu.Unlock()
	if tx != nil {
		again := tx.again
		tx.again = false
		return tx, again, nil
	}
	if err := s.acquire(ctx); err != nil {
		return nil, false, err
	}
	// What was read before the lock was held may have changed since.
	h.closeSnapshot()
	cat := s.cat.Load()
	tx = &Tx{store: s, hold: h, cat: cat, saved: cat, edits: map[uint64]*edits{}}
	h.mu.Lock()
	h.tx = tx
	h.mu.Unlock()
	return tx, true, nil
}

// end gives the lock back.
func (tx *Tx) end() {
	if tx.done {
		return
	}
	tx.done = true
	tx.hold.mu.Lock()
	if tx.hold.tx == tx {
		tx.hold.tx = nil
	}
	tx.hold.mu.Unlock()
	<-tx.store.lock
}

func (tx *Tx) rollback() { tx.end() }

// number returns a number that no bucket and no table has had.
func (tx *Tx) number() (uint64, error) {
	if tx.next == 0 {
		err := tx.store.db.View(func(b *bolt.Tx) error {
			tx.next = b.Bucket(bucketTables).Sequence()
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	tx.next++
	return tx.next, nil
}

// change makes the catalog the statement's own.
func (tx *Tx) change() *catalog {
	if tx.cat == tx.saved {
		tx.cat = tx.saved.clone()
	}
	return tx.cat
}

// put puts a table into the catalog, in the place of what had its id.
func (tx *Tx) put(d *Def) error {
	if err := d.prepare(); err != nil {
		return err
	}
	cat := tx.change()
	if old := cat.byID(d.ID); old != nil {
		delete(cat.tables, tableKey(old.Database, old.Name))
		for _, n := range old.buckets() {
			if !slices.Contains(d.buckets(), n) {
				tx.dropBucket(n)
			}
		}
	}
	cat.tables[tableKey(d.Database, d.Name)] = d
	if e := tx.edits[d.ID]; e != nil {
		e.def = d
	}
	return nil
}

func (tx *Tx) dropBucket(n uint64) {
	for _, e := range tx.edits {
		if b := e.rows[n]; b != nil {
			delete(e.rows, n)
			if b.fresh {
				return // the file never had it
			}
		}
	}
	tx.drops = append(tx.drops, n)
}

// remove takes a table out of the catalog.
func (tx *Tx) remove(d *Def) {
	delete(tx.change().tables, tableKey(d.Database, d.Name))
	for _, n := range d.buckets() {
		tx.dropBucket(n)
	}
	delete(tx.edits, d.ID)
}

// table returns the changes of a table's rows, which begin empty.
func (tx *Tx) table(ctx *gms.Context, d *Def) (*edits, error) {
	if e := tx.edits[d.ID]; e != nil {
		return e, nil
	}
	e := &edits{def: d, rows: map[uint64]*bucketEdits{}, counts: counters{Auto: 1}}
	if tx.saved.byID(d.ID) != nil {
		snap, err := tx.store.snapshot(ctx)
		if err != nil {
			return nil, err
		}
		snap.mu.Lock()
		e.counts, err = readCounters(snap.tx, d.ID)
		snap.mu.Unlock()
		if err != nil {
			return nil, gmsx.Error(1194, "HY000", "%s: restore %s from a backup", err, tx.store.path)
		}
	}
	tx.edits[d.ID] = e
	return e, nil
}

// bucket returns the changes of a bucket.
func (e *edits) bucket(n uint64) *bucketEdits {
	b := e.rows[n]
	if b == nil {
		b = &bucketEdits{entries: map[string][]byte{}, unique: map[string]string{}}
		e.rows[n] = b
	}
	return b
}

// fresh makes a bucket that the file does not have.
func (e *edits) fresh(n uint64) {
	e.rows[n] = &bucketEdits{fresh: true, entries: map[string][]byte{}, unique: map[string]string{}}
}

// grow fails where the statement has collected more than there is memory for.
func (tx *Tx) grow(ctx *gms.Context) error {
	tx.count++
	if tx.count%1024 != 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if ctx.Memory != nil && !ctx.Memory.HasAvailable() {
		ctx.Memory.Free()
		if !ctx.Memory.HasAvailable() {
			return gmsx.Error(1041, "HY000", "the statement changes more rows than there is memory for: do it in parts")
		}
	}
	return nil
}

// get returns the record of a key in a bucket as the statement sees it, nil
// where there is none.
func (tx *Tx) get(ctx *gms.Context, e *edits, bucket uint64, key []byte) ([]byte, error) {
	b := e.bucket(bucket)
	if v, ok := b.entries[string(key)]; ok {
		if v == nil {
			return nil, nil
		}
		return unseal(bucket, key, v)
	}
	if b.fresh {
		return nil, nil
	}
	var rec []byte
	err := tx.read(ctx, bucket, func(fb *bolt.Bucket) error {
		v := fb.Get(key)
		if v == nil {
			return nil
		}
		var err error
		if rec, err = unseal(bucket, key, v); err != nil {
			return tx.store.damaged(e.def, key)
		}
		return nil
	})
	return rec, err
}

// read calls f with a bucket as it was when the statement began.
func (tx *Tx) read(ctx *gms.Context, bucket uint64, f func(*bolt.Bucket) error) error {
	snap, err := tx.store.snapshot(ctx)
	if err != nil {
		return err
	}
	b, err := snap.bucket(bucket)
	if err != nil {
		return err
	}
	return tx.store.guard(func() error { return f(b) })
}

// each calls f with every record of a bucket, in order: those that the
// statement has put into a bucket that it has made, else those of the file.
func (tx *Tx) each(ctx *gms.Context, e *edits, bucket uint64, f func(key, rec []byte) error) error {
	if b := e.rows[bucket]; b != nil && b.fresh {
		for _, key := range slices.Sorted(maps.Keys(b.entries)) {
			if b.entries[key] == nil {
				continue
			}
			rec, err := unseal(bucket, []byte(key), b.entries[key])
			if err == nil {
				err = f([]byte(key), rec)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return tx.read(ctx, bucket, func(fb *bolt.Bucket) error {
		c := fb.Cursor()
		n := 0
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if n++; n%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			rec, err := unseal(bucket, k, v)
			if err != nil {
				return tx.store.damaged(e.def, k)
			}
			if err := f(k, rec); err != nil {
				return err
			}
		}
		return nil
	})
}

// commit writes the changes in one transaction of the file and publishes them.
func (tx *Tx) commit() error {
	if tx.done {
		return nil
	}
	defer tx.end()
	if tx.cat == tx.saved && !tx.dirty() && len(tx.drops) == 0 {
		return nil
	}
	// Should the file need a larger map, the writer waits for every reader,
	// and this statement's own would be one of them.
	tx.hold.closeSnapshot()
	fault.Crash("tables.before")
	if err := fault.Point("tables.commit", ""); err != nil {
		return err
	}
	err := tx.store.guard(func() error { return tx.store.db.Update(tx.write) })
	if err != nil {
		return fmt.Errorf("the statement was undone: write %s: %w", tx.store.path, err)
	}
	tx.store.cat.Store(tx.cat)
	fault.Crash("tables.after")
	return nil
}

func (tx *Tx) dirty() bool {
	for _, e := range tx.edits {
		for _, b := range e.rows {
			if b.fresh || b.touched || len(b.entries) > 0 {
				return true
			}
		}
	}
	return false
}

func (tx *Tx) write(b *bolt.Tx) error {
	if err := tx.writeCatalog(b); err != nil {
		return err
	}
	for _, n := range tx.drops {
		if b.Bucket(bucketName(n)) == nil {
			continue
		}
		if err := b.DeleteBucket(bucketName(n)); err != nil {
			return err
		}
	}
	for id, e := range tx.edits {
		for n, be := range e.rows {
			if err := be.write(b, n); err != nil {
				return err
			}
		}
		key := idKey(id)
		if err := b.Bucket(bucketState).Put(key, seal(0, key, e.counts.encode())); err != nil {
			return err
		}
	}
	fault.Crash("tables.written")
	return nil
}

// write applies the changes of a bucket in the order of its keys.
func (be *bucketEdits) write(b *bolt.Tx, n uint64) error {
	if !be.fresh && len(be.entries) == 0 {
		return nil
	}
	fb, err := b.CreateBucketIfNotExists(bucketName(n))
	if err != nil {
		return err
	}
	if be.fresh {
		fb.FillPercent = 0.9 // keys come in order: no need for room between them
	}
	for _, key := range slices.Sorted(maps.Keys(be.entries)) {
		v := be.entries[key]
		if v == nil {
			err = fb.Delete([]byte(key))
		} else {
			err = fb.Put([]byte(key), v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) writeCatalog(b *bolt.Tx) error {
	if tx.cat == tx.saved {
		return nil
	}
	tables := b.Bucket(bucketTables)
	if tx.next > 0 {
		if err := tables.SetSequence(tx.next); err != nil {
			return err
		}
	}
	put := func(bucket, key []byte, v any) error {
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return b.Bucket(bucket).Put(key, seal(0, key, raw))
	}
	for _, d := range tx.saved.tables {
		if tx.cat.byID(d.ID) == nil {
			if err := tables.Delete(idKey(d.ID)); err != nil {
				return err
			}
			if err := b.Bucket(bucketState).Delete(idKey(d.ID)); err != nil {
				return err
			}
		}
	}
	for _, d := range tx.cat.tables {
		if tx.saved.byID(d.ID) == d {
			continue
		}
		if err := put(bucketTables, idKey(d.ID), d); err != nil {
			return err
		}
	}
	for key := range tx.saved.views {
		if tx.cat.views[key] == nil {
			if err := b.Bucket(bucketViews).Delete([]byte(key)); err != nil {
				return err
			}
		}
	}
	for key, v := range tx.cat.views {
		if tx.saved.views[key] == v {
			continue
		}
		if err := put(bucketViews, []byte(key), v); err != nil {
			return err
		}
	}
	for key, name := range tx.saved.databases {
		if _, ok := tx.cat.databases[key]; !ok {
			if err := b.Bucket(bucketDatabases).Delete([]byte(name)); err != nil {
				return err
			}
		}
	}
	for _, name := range tx.cat.databases {
		if err := b.Bucket(bucketDatabases).Put([]byte(name), []byte{1}); err != nil {
			return err
		}
	}
	return nil
}

// rowKey is the key of a row in the bucket of rows; without a primary key, the
// row has a number.
func (d *Def) rowKey(ctx *gms.Context, row gms.Row) (key []byte, err error) {
	for _, c := range d.Key {
		if key, err = d.kinds[c].appendKey(ctx, key, row[c], 0); err != nil {
			return nil, fmt.Errorf("column %s: %w", d.Columns[c].Name, err)
		}
	}
	return key, nil
}

// indexKey is the part of an index's key that the row's values make, and
// whether one of them is NULL.
func (d *Def) indexKey(ctx *gms.Context, ix *IndexDef, row gms.Row) (key []byte, null bool, err error) {
	for i, c := range ix.Columns {
		prefix := uint16(0)
		if i < len(ix.Prefix) {
			prefix = ix.Prefix[i]
		}
		null = null || row[c] == nil
		if key, err = d.kinds[c].appendKey(ctx, key, row[c], prefix); err != nil {
			return nil, false, fmt.Errorf("column %s: %w", d.Columns[c].Name, err)
		}
	}
	return key, null, nil
}

// numberKey is the key of a row without primary key.
func numberKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
