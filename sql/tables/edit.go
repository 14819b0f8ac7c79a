package tables

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	bolt "go.etcd.io/bbolt"

	"weir/sql/gmsx"
)

// An editor changes the rows of a table within the statement's Tx, which is
// what begins, commits and discards: the engine's own calls for that come for
// each row where it goes on after errors.
type editor struct {
	store *Store
	def   *Def
}

var (
	_ gms.TableEditor         = (*editor)(nil)
	_ gms.AutoIncrementSetter = (*editor)(nil)
)

func (ed *editor) StatementBegin(*gms.Context)                 {}
func (ed *editor) DiscardChanges(*gms.Context, error) error    { return nil }
func (ed *editor) StatementComplete(*gms.Context) error        { return nil }
func (ed *editor) Close(*gms.Context) error                    { return nil }
func (ed *editor) edits(ctx *gms.Context) (*Tx, *edits, error) { return ed.store.editing(ctx, ed.def) }

// editing returns what the statement changes of a table. The table must still
// be what the statement was planned with.
func (s *Store) editing(ctx *gms.Context, d *Def) (*Tx, *edits, error) {
	tx := txOf(ctx, s)
	if tx == nil {
		return nil, nil, fmt.Errorf("table %s is written outside of a statement", d.Name)
	}
	now := tx.cat.byID(d.ID)
	if now == nil || now.Rows != d.Rows || len(now.Indexes) != len(d.Indexes) {
		return nil, nil, errChanged()
	}
	e, err := tx.table(ctx, now)
	return tx, e, err
}

// Insert implements gms.RowInserter.
func (ed *editor) Insert(ctx *gms.Context, row gms.Row) error {
	tx, e, err := ed.edits(ctx)
	if err != nil {
		return err
	}
	return tx.insert(ctx, e, row)
}

// Delete implements gms.RowDeleter. A row that is gone already is no error: a
// join may name it twice.
func (ed *editor) Delete(ctx *gms.Context, row gms.Row) error {
	tx, e, err := ed.edits(ctx)
	if err != nil {
		return err
	}
	key, rec, err := tx.find(ctx, e, row)
	if err != nil || rec == nil {
		return err
	}
	stored, err := e.def.readRow(ctx, rec, nil)
	if err != nil {
		return tx.store.damaged(e.def, key)
	}
	return tx.delete(ctx, e, key, stored)
}

// Update implements gms.RowUpdater. Nothing is changed where it fails.
func (ed *editor) Update(ctx *gms.Context, old, row gms.Row) error {
	tx, e, err := ed.edits(ctx)
	if err != nil {
		return err
	}
	key, rec, err := tx.find(ctx, e, old)
	if err != nil {
		return err
	}
	if rec == nil {
		return gmsx.Error(1032, "HY000", "Can't find record in '%s'", e.def.Name)
	}
	stored, err := e.def.readRow(ctx, rec, nil)
	if err != nil {
		return tx.store.damaged(e.def, key)
	}
	if err := convert(ctx, e.def, row); err != nil {
		return err
	}
	if err := tx.checkUnique(ctx, e, row, key); err != nil {
		return err
	}
	if err := tx.delete(ctx, e, key, stored); err != nil {
		return err
	}
	if len(e.def.Key) > 0 {
		key = nil // made of the row
	}
	return tx.place(ctx, e, row, key)
}

// convert makes the values of a row those of their columns.
func convert(ctx *gms.Context, d *Def, row gms.Row) error {
	for i := range row {
		if row[i] == nil {
			continue
		}
		v, inRange, err := d.kinds[i].typ.Convert(ctx, row[i])
		if err == nil && inRange == gms.OutOfRange {
			err = gms.ErrValueOutOfRange.New(row[i], d.kinds[i].typ)
		}
		if err != nil {
			if types.ErrLengthBeyondLimit.Is(err) {
				return types.ErrLengthBeyondLimit.New(row[i], d.Columns[i].Name)
			}
			return err
		}
		row[i] = v
	}
	return nil
}

// insert puts a new row into the table.
func (tx *Tx) insert(ctx *gms.Context, e *edits, row gms.Row) error {
	if err := tx.checkUnique(ctx, e, row, nil); err != nil {
		return err
	}
	if err := tx.place(ctx, e, row, nil); err != nil {
		return err
	}
	auto := e.def.auto()
	if auto < 0 || row[auto] == nil {
		return nil
	}
	v, err := e.def.kinds[auto].value(ctx, row[auto])
	if err != nil {
		return err
	}
	if e.def.kinds[auto].class == classFloat {
		v.I = int64(v.F)
	}
	if n := uint64(v.I); (e.def.kinds[auto].class == classUint || v.I > 0) && n >= e.counts.Auto {
		e.counts.Auto = n + 1
	}
	return nil
}

// checkUnique returns an error that has the row that is there already. The row
// with the key own does not count.
func (tx *Tx) checkUnique(ctx *gms.Context, e *edits, row gms.Row, own []byte) error {
	if len(e.def.Key) > 0 {
		key, err := e.def.rowKey(ctx, row)
		if err != nil {
			return err
		}
		if own == nil || !bytes.Equal(key, own) {
			rec, err := tx.get(ctx, e, e.def.Rows, key)
			if err != nil {
				return err
			}
			if rec != nil {
				return tx.duplicate(ctx, e, "PRIMARY", e.def.Key, row, key, rec)
			}
		}
	}
	for i := range e.def.Indexes {
		ix := &e.def.Indexes[i]
		if !ix.Unique {
			continue
		}
		part, null, err := e.def.indexKey(ctx, ix, row)
		if err != nil {
			return err
		}
		if null {
			continue
		}
		other, err := tx.holder(ctx, e, ix, part)
		if err != nil {
			return err
		}
		if other == nil || own != nil && bytes.Equal(other, own) {
			continue
		}
		rec, err := tx.get(ctx, e, e.def.Rows, other)
		if err != nil {
			return err
		}
		if rec == nil {
			return tx.store.damaged(e.def, other)
		}
		return tx.duplicate(ctx, e, ix.Name, ix.Columns, row, other, rec)
	}
	return nil
}

// duplicate is the error of a row whose key another one has.
func (tx *Tx) duplicate(ctx *gms.Context, e *edits, name string, cols []int, row gms.Row, key, rec []byte) error {
	existing, err := e.def.readRow(ctx, rec, nil)
	if err != nil {
		return tx.store.damaged(e.def, key)
	}
	values := make([]string, len(cols))
	for i, c := range cols {
		values[i] = "NULL"
		if v, err := e.def.kinds[c].typ.SQL(ctx, nil, row[c]); err == nil && !v.IsNull() {
			values[i] = v.ToString()
		}
	}
	text := fmt.Sprintf("Duplicate entry '%s' for key '%s.%s'", strings.Join(values, "-"), e.def.Name, name)
	return gms.NewUniqueKeyErr(text, name == "PRIMARY", existing)
}

// holder returns the key of the row that has the values of a unique index, nil
// if none has.
func (tx *Tx) holder(ctx *gms.Context, e *edits, ix *IndexDef, part []byte) (key []byte, err error) {
	b := e.bucket(ix.Rows)
	if k, ok := b.unique[string(part)]; ok {
		if k == "" {
			return nil, nil
		}
		return []byte(k), nil
	}
	if b.fresh {
		return nil, nil
	}
	err = tx.read(ctx, ix.Rows, func(fb *bolt.Bucket) error {
		k, v := fb.Cursor().Seek(part)
		if !prefixed(k, part) {
			return nil
		}
		if key, err = unseal(ix.Rows, k, v); err != nil {
			return tx.store.damaged(e.def, k)
		}
		key = bytes.Clone(key)
		return nil
	})
	return key, err
}

// place writes a row and its entries; a nil key is made.
func (tx *Tx) place(ctx *gms.Context, e *edits, row gms.Row, key []byte) (err error) {
	if err := tx.grow(ctx); err != nil {
		return err
	}
	d := e.def
	if key == nil {
		if len(d.Key) > 0 {
			key, err = d.rowKey(ctx, row)
		} else {
			e.counts.RowID++
			key = numberKey(e.counts.RowID)
		}
		if err != nil {
			return err
		}
	}
	rec, err := d.appendRow(ctx, make([]byte, 0, 64), row)
	if err != nil {
		return err
	}
	if d.Hashes != 0 {
		hash := hashKey(rec, key)
		e.bucket(d.Hashes).entries[string(hash)] = seal(d.Hashes, hash, nil)
	}
	e.bucket(d.Rows).entries[string(key)] = seal(d.Rows, key, rec)
	e.counts.Rows++
	for i := range d.Indexes {
		if err := e.placeEntry(ctx, &d.Indexes[i], row, key); err != nil {
			return err
		}
	}
	return nil
}

// placeEntry writes the entry of a row in an index.
func (e *edits) placeEntry(ctx *gms.Context, ix *IndexDef, row gms.Row, key []byte) error {
	part, null, err := e.def.indexKey(ctx, ix, row)
	if err != nil {
		return err
	}
	b := e.bucket(ix.Rows)
	if ix.Unique && !null {
		b.unique[string(part)] = string(key)
	}
	full := append(part, key...)
	b.entries[string(full)] = seal(ix.Rows, full, bytes.Clone(key))
	return nil
}

// delete removes a row and its entries.
func (tx *Tx) delete(ctx *gms.Context, e *edits, key []byte, row gms.Row) error {
	if err := tx.grow(ctx); err != nil {
		return err
	}
	d := e.def
	if d.Hashes != 0 {
		rec, err := d.appendRow(ctx, nil, row)
		if err != nil {
			return err
		}
		e.bucket(d.Hashes).remove(hashKey(rec, key))
	}
	e.bucket(d.Rows).remove(key)
	e.counts.Rows--
	for i := range d.Indexes {
		ix := &d.Indexes[i]
		part, null, err := d.indexKey(ctx, ix, row)
		if err != nil {
			return err
		}
		b := e.bucket(ix.Rows)
		if ix.Unique && !null {
			b.unique[string(part)] = ""
		}
		b.remove(append(part, key...))
	}
	return nil
}

func (b *bucketEdits) remove(key []byte) {
	if b.fresh {
		delete(b.entries, string(key))
		return
	}
	b.entries[string(key)] = nil
}

// hashSize is of the digest by which equal rows without primary key are found.
const hashSize = 16

func hashKey(rec, key []byte) []byte {
	sum := sha256.Sum256(rec)
	return append(sum[:hashSize:hashSize], key...)
}

// find returns the key and the record of a row that the engine has read, nil
// where it is not there. Of equal rows without primary key it is any.
func (tx *Tx) find(ctx *gms.Context, e *edits, row gms.Row) (key, rec []byte, err error) {
	d := e.def
	if len(d.Key) > 0 {
		for _, c := range d.Key {
			if row[c] == nil { // of the empty side of an outer join
				return nil, nil, nil
			}
		}
		if key, err = d.rowKey(ctx, row); err != nil {
			return nil, nil, err
		}
		rec, err = tx.get(ctx, e, d.Rows, key)
		return key, rec, err
	}
	want, err := d.appendRow(ctx, nil, row)
	if err != nil {
		return nil, nil, err
	}
	prefix := hashKey(want, nil)
	b := e.bucket(d.Hashes)
	if !b.fresh {
		err = tx.read(ctx, d.Hashes, func(fb *bolt.Bucket) error {
			c := fb.Cursor()
			for k, _ := c.Seek(prefix); prefixed(k, prefix); k, _ = c.Next() {
				if v, changed := b.entries[string(k)]; changed && v == nil {
					continue
				}
				key = bytes.Clone(k[hashSize:])
				return nil
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	if key == nil {
		return nil, nil, nil
	}
	rec, err = tx.get(ctx, e, d.Rows, key)
	return key, rec, err
}

// SetAutoIncrementValue implements gms.AutoIncrementSetter. As in MySQL the
// next value is above all that are there.
func (ed *editor) SetAutoIncrementValue(ctx *gms.Context, v uint64) error {
	tx, outer, err := ed.store.begin(ctx)
	if err != nil {
		return err
	}
	if outer {
		defer tx.rollback()
	}
	_, e, err := ed.edits(ctx)
	if err != nil {
		return err
	}
	auto := e.def.auto()
	if auto < 0 {
		return nil
	}
	if v < e.counts.Auto {
		err := tx.each(ctx, e, e.def.Rows, func(key, rec []byte) error {
			row, err := e.def.readRow(ctx, rec, []int{auto})
			if err != nil {
				return tx.store.damaged(e.def, key)
			}
			if n, ok := gmsx.Integer(row[0]); ok && n > 0 && uint64(n) >= v {
				v = uint64(n) + 1
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	e.counts.Auto = max(v, 1)
	e.touch()
	if outer {
		return tx.commit()
	}
	return nil
}

// touch makes the counters written though no row has changed.
func (e *edits) touch() { e.bucket(e.def.Rows).touched = true }

// AcquireAutoIncrementLock implements gms.AutoIncrementSetter: the statement
// holds the lock of all.
func (ed *editor) AcquireAutoIncrementLock(*gms.Context) (func(), error) { return func() {}, nil }

// truncate removes all rows.
func (tx *Tx) truncate(ctx *gms.Context, d *Def) (int, error) {
	_, e, err := tx.store.editing(ctx, d)
	if err != nil {
		return 0, err
	}
	removed := int(e.counts.Rows)
	cp := e.def.clone()
	if err := tx.renumber(cp); err != nil {
		return 0, err
	}
	auto := e.counts.Auto
	if err := tx.put(cp); err != nil {
		return 0, err
	}
	e.counts = counters{Auto: auto}
	e.freshAll()
	return removed, nil
}

// renumber gives a definition new buckets.
func (tx *Tx) renumber(d *Def) (err error) {
	next := func(n *uint64) {
		if err == nil {
			*n, err = tx.number()
		}
	}
	next(&d.Rows)
	d.Hashes = 0
	if len(d.Key) == 0 {
		next(&d.Hashes)
	}
	for i := range d.Indexes {
		next(&d.Indexes[i].Rows)
	}
	return err
}

// freshAll makes the buckets of the table, empty.
func (e *edits) freshAll() {
	for _, n := range e.def.buckets() {
		e.fresh(n)
	}
}
