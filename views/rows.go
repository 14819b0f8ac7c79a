package views

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"

	"weir/views/partial"
)

// bbolt has no checksums on the pages that hold rows: a bit that flips on disk,
// a write that went astray and a file that was copied while it changed can all
// read as rows. So every row carries a checksum of itself, of its key and of the
// bucket it is in, and meta knows, for each bucket, how many rows there are and
// the sum of their checksums. What has been lost, doubled or brought back from
// an earlier state shows in those two.

// A rowset is a bucket that holds rows, and where their number and the sum of
// their checksums are kept.
type rowset struct {
	number    uint64
	rows, sum *uint64
}

// batch is the rowset of the batch layer.
func (m *storeMeta) batch() *rowset { return &rowset{m.Batch, &m.BatchRows, &m.BatchSum} }

// rowset is the epoch's.
func (e *epoch) rowset() *rowset { return &rowset{e.Rowset, &e.Rows, &e.Sum} }

// rowsets are those of the batch layer and of all epochs.
func (m *storeMeta) rowsets() (list []*rowset) {
	if m.Batch != 0 {
		list = append(list, m.batch())
	}
	for _, epochs := range [][]epoch{m.Epochs, m.Retired} {
		for i := range epochs {
			list = append(list, epochs[i].rowset())
		}
	}
	return list
}

// rowsBucket names a bucket that holds rows: stored states by stored key.
func rowsBucket(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte("rows"), n) }

// checkSize is the length of a checksum: CRC-32C, which processors compute, and
// which finds every flip of up to three bits, and all of 32 in a row.
const checkSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkOf is the checksum of a row with the key and the stored states. The
// rowset is what it begins from, so that the same row elsewhere has another.
func checkOf(rowset uint64, key, states []byte) uint32 {
	return crc32.Update(crc32.Update(uint32(rowset), castagnoli, key), castagnoli, states)
}

// openRow returns the states of a row and their checksum, or errDamaged.
func openRow(rowset uint64, key, value []byte) (states []byte, check uint32, err error) {
	n := len(value) - checkSize
	if n >= 0 {
		states, check = value[:n:n], binary.LittleEndian.Uint32(value[n:])
		if checkOf(rowset, key, states) == check {
			return states, check, nil
		}
	}
	return nil, 0, fmt.Errorf("%w: the checksum of row %x does not hold", errDamaged, key)
}

// put writes the row with the key. old is what seek found for it, nil for none.
// bbolt keeps states until the commit; put appends to it.
func (r *rowset) put(b *bolt.Bucket, key []byte, old, states []byte) error {
	check := checkOf(r.number, key, states)
	if old == nil {
		*r.rows++
	} else {
		*r.sum -= uint64(binary.LittleEndian.Uint32(old[len(old)-checkSize:]))
	}
	*r.sum += uint64(check)
	return b.Put(key, binary.LittleEndian.AppendUint32(states, check))
}

// delete removes the row with the key, whose value is old.
func (r *rowset) delete(b *bolt.Bucket, key []byte, check uint32) error {
	*r.rows--
	*r.sum -= uint64(check)
	return b.Delete(key)
}

// get returns the value of the row with the key and its states, nil where there
// is none. A row that is there but is not found, for a key that has changed on
// the way to it or beside it, is errDamaged.
func (r *rowset) get(c *bolt.Cursor, key []byte) (value, states []byte, err error) {
	k, v, err := r.seek(c, key)
	if err != nil || !bytes.Equal(k, key) {
		return nil, nil, err
	}
	states, _, err = openRow(r.number, k, v)
	return v, states, err
}

// seek goes to the first row with a key ≥ key. The path there leads by keys
// that no checksum covers, but where one of them has changed, the row that is
// found or the one before it is on the wrong side, or is itself damaged.
func (r *rowset) seek(c *bolt.Cursor, key []byte) (k, v []byte, err error) {
	if k, v = c.Seek(key); bytes.Equal(k, key) {
		return k, v, nil
	}
	if k != nil {
		if _, _, err := openRow(r.number, k, v); err != nil {
			return nil, nil, err
		}
	}
	pk, pv := []byte(nil), []byte(nil)
	if k == nil {
		pk, pv = c.Last()
	} else {
		pk, pv = c.Prev()
	}
	if pk != nil {
		if _, _, err := openRow(r.number, pk, pv); err != nil {
			return nil, nil, err
		}
	}
	if k != nil && bytes.Compare(k, key) < 0 || pk != nil && bytes.Compare(pk, key) >= 0 {
		return nil, nil, fmt.Errorf("%w: the rows around %x are out of order", errDamaged, key)
	}
	switch {
	case pk == nil:
		k, v = c.First() // Prev has left the first row
	case k != nil:
		k, v = c.Next()
	default:
		c.Next() // behind the last
	}
	return k, v, nil
}

// combine puts the groups of t that keep takes into the rowset, combined with
// what is there, in key order. A nil keep takes them all.
func (s *store) combine(tx *bolt.Tx, r *rowset, t *partial.Table, keep func(key []byte) bool) error {
	b, err := tx.CreateBucketIfNotExists(rowsBucket(r.number))
	if err != nil {
		return err
	}
	c := b.Cursor()
	first, _ := c.First()
	empty := first == nil
	if empty {
		if *r.rows > 0 {
			return fmt.Errorf("%w: %d rows are missing", errDamaged, *r.rows)
		}
		b.FillPercent = 0.9 // keys arrive in order: no need for room between them
	}
	scratch := partial.NewTable(s.specs)
	one := scratch.Group(partial.EmptyKey())
	values := arena{size: min(arenaSize, arenaLow*t.Len())}
	for _, i := range t.Sorted() {
		key := t.Key(int(i))
		if keep != nil && !keep(key) {
			continue
		}
		var old, states []byte
		if !empty {
			if old, states, err = r.get(c, key); err != nil {
				return err
			}
		}
		room := values.room()
		var value []byte
		if old == nil {
			value = t.Append(room, int(i))
		} else {
			if err := scratch.Decode(one, states); err != nil {
				return fmt.Errorf("%w: row %x: %w", errDamaged, key, err)
			}
			scratch.MergeInto(one, t, int(i))
			value = scratch.Append(room, one)
			scratch.ClearStates(1)
		}
		if err := r.put(b, key, old, value); err != nil {
			return err
		}
		values.took(len(value) + checkSize)
	}
	return nil
}

// An arena is memory for values, which bbolt keeps until the commit: each one
// fresh, but many of them allocated at once. A value that finds no room where it
// is put moves, as append has it.
type arena struct {
	free []byte
	size int
}

const (
	arenaSize = 64 << 10
	arenaLow  = 256 // most values are shorter
)

// room returns an empty slice with the capacity that there is.
func (a *arena) room() []byte {
	if cap(a.free) < min(arenaLow, a.size) {
		a.free = make([]byte, 0, a.size)
	}
	return a.free
}

// took says how many bytes of the room are in use now, or would be if they had
// found room.
func (a *arena) took(n int) {
	n = min(n, cap(a.free))
	a.free = a.free[n:n]
}

// into combines all rows of the rowset into t.
func (r *rowset) into(tx *bolt.Tx, t *partial.Table) error {
	return r.each(tx, func(key, states []byte) error {
		if err := t.Decode(t.Group(key), states); err != nil {
			return fmt.Errorf("%w: row %x: %w", errDamaged, key, err)
		}
		return nil
	})
}

// each calls f with every row, in order, and returns errDamaged where they are
// not those that were written, all of them and no others.
func (r *rowset) each(tx *bolt.Tx, f func(key, states []byte) error) error {
	b := tx.Bucket(rowsBucket(r.number))
	if b == nil {
		return r.complete(0, 0)
	}
	var rows, sum uint64
	var last []byte
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		states, check, err := openRow(r.number, k, v)
		if err != nil {
			return err
		}
		if rows > 0 && bytes.Compare(last, k) >= 0 {
			return fmt.Errorf("%w: row %x is out of order", errDamaged, k)
		}
		rows, sum, last = rows+1, sum+uint64(check), k
		if err := f(k, states); err != nil {
			return err
		}
	}
	return r.complete(rows, sum)
}

// complete compares what was found with what there should be.
func (r *rowset) complete(rows, sum uint64) error {
	if rows != *r.rows || sum != *r.sum {
		return fmt.Errorf("%w: of the %d rows that were written it holds %d, or earlier states of some", errDamaged, *r.rows, rows)
	}
	return nil
}

// verifyChunk is how many rows are verified between two looks at the context.
const verifyChunk = 10_000

// verify reads everything that the file says of the view, and returns errDamaged
// where it is not what was written.
func (s *store) verify(ctx context.Context) error {
	if err := s.notice(s.db.View(checkPages)); err != nil {
		return err
	}
	return s.read(func(tx *bolt.Tx, m *storeMeta) error {
		n := 0
		for _, r := range m.rowsets() {
			err := r.each(tx, func([]byte, []byte) error {
				if n++; n%verifyChunk == 0 {
					return ctx.Err()
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return eachRun(tx, func(*BatchRun) error { return nil })
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

// sealed begins a record of ours that ends with its checksum: no JSON does.
const sealed = 1

// seal returns a record with the checksum of it and its key.
func seal(key, record []byte) []byte {
	value := append(make([]byte, 0, 1+len(record)+checkSize), sealed)
	value = append(value, record...)
	return binary.LittleEndian.AppendUint32(value, checkOf(sealed, key, record))
}

// unseal returns the record, or errDamaged.
func unseal(key, value []byte) ([]byte, error) {
	if n := len(value) - checkSize; n >= 1 && value[0] == sealed &&
		checkOf(sealed, key, value[1:n]) == binary.LittleEndian.Uint32(value[n:]) {
		return value[1:n], nil
	}
	return nil, fmt.Errorf("%w: the checksum of record %q does not hold", errDamaged, key)
}

// putRecord writes a record as JSON, with its checksum.
func putRecord(b *bolt.Bucket, key []byte, record any) error {
	raw, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return b.Put(key, seal(key, raw))
}

// getRecord reads what putRecord has written, and leaves record as it is where
// there is none.
func getRecord(b *bolt.Bucket, key []byte, record any) error {
	value := b.Get(key)
	if value == nil {
		return nil
	}
	raw, err := unseal(key, value)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, record)
}
