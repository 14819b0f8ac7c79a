package views

import (
	"bytes"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"weir/views/partial"
)

// A source yields rows in order of their keys.
type source interface {
	// seek goes to the first row with a key ≥ key, or, in reverse, the last
	// with a key < key; nil is the end.
	seek(key []byte, reverse bool)
	step(reverse bool)
	key() []byte // of the row it is at; nil when there is none
	// into combines the row's states of the first n aggregates into group i of t.
	into(t *partial.Table, i, n int) error
	// of is the epoch that the rows belong to, nil for the batch layer, and id
	// its number.
	of() *epoch
	id() uint64
}

// origin is where the rows of a source come from.
type origin struct{ epoch *epoch }

func (o origin) of() *epoch { return o.epoch }

func (o origin) id() uint64 {
	if o.epoch == nil {
		return 0
	}
	return o.epoch.ID
}

// sources returns what the layer's rows are made of.
func (s *Snapshot) sources(l Layer) (list []source) {
	if err := guard("read view", func() error {
		list = s.find(l)
		return nil
	}); err != nil {
		s.damage = err
	}
	return list
}

func (s *Snapshot) find(l Layer) (list []source) {
	add := func(r *rowset, e *epoch) {
		if *r.rows == 0 {
			return
		}
		if b := s.tx.Bucket(rowsBucket(r.number)); b != nil {
			list = append(list, &bucketSource{origin: origin{e}, c: b.Cursor(), rows: r, damage: &s.damage})
		} else {
			s.damage = r.complete(0, 0)
		}
	}
	if l != Speed && s.meta.Batch != 0 {
		add(s.meta.batch(), nil)
	}
	if l == Batch {
		return list
	}
	if l == Speed {
		for i := range s.meta.Retired {
			add(s.meta.Retired[i].rowset(), &s.meta.Retired[i])
		}
	}
	for i := range s.meta.Epochs {
		add(s.meta.Epochs[i].rowset(), &s.meta.Epochs[i])
	}
	for _, r := range s.runs {
		if r.table.Len() > 0 {
			list = append(list, &tableSource{origin: origin{s.meta.open()}, t: r.table, order: r.table.Sorted()})
		}
	}
	return list
}

// bucketSource is a bucket of a view's file. It is never at a row that is not
// as it was written: it puts what is wrong into damage, and ends there.
type bucketSource struct {
	origin
	c      *bolt.Cursor
	rows   *rowset
	damage *error
	k, v   []byte
	states []byte
	seen   uint64 // rows since the beginning (in reverse, the end) of the bucket
	sum    uint64 // of their checksums
	whole  bool   // seen began there
	last   []byte // the row before, where it was stepped from
	floor  []byte // otherwise, the key that was sought
	ahead  bool   // it goes forwards: no row is between last, or floor, and k
}

// nearBy is how many rows a source steps on to one that is sought: keys that are
// looked up one after the other are often neighbours.
const nearBy = 8

func (b *bucketSource) seek(key []byte, reverse bool) {
	if !reverse && key != nil && b.near(key) {
		return
	}
	b.floor, b.ahead = append(b.floor[:0], key...), !reverse
	b.seen, b.sum, b.whole, b.last = 0, 0, key == nil, nil
	var err error
	switch {
	case key == nil && reverse:
		b.k, b.v = b.c.Last()
	case key == nil:
		b.k, b.v = b.c.First()
	default:
		if b.k, b.v, err = b.rows.seek(b.c, key); err == nil && reverse {
			if b.k == nil {
				b.k, b.v = b.c.Last()
			} else {
				b.k, b.v = b.c.Prev()
			}
		}
	}
	b.arrive(reverse, err)
}

// near goes to the first row with a key ≥ key if that is the row it is at, or
// one of the next.
func (b *bucketSource) near(key []byte) bool {
	if !b.ahead || b.last != nil && bytes.Compare(b.last, key) >= 0 || b.last == nil && bytes.Compare(b.floor, key) > 0 {
		return false
	}
	for range nearBy {
		if b.k == nil || bytes.Compare(b.k, key) >= 0 {
			return true
		}
		b.step(false)
	}
	return false
}

func (b *bucketSource) step(reverse bool) {
	if b.k == nil {
		return
	}
	b.last = b.k
	if reverse {
		b.k, b.v = b.c.Prev()
	} else {
		b.k, b.v = b.c.Next()
	}
	b.arrive(reverse, nil)
}

// arrive verifies the row that the cursor has come to.
func (b *bucketSource) arrive(reverse bool, err error) {
	switch {
	case err != nil:
	case b.k == nil:
		if b.whole {
			err = b.rows.complete(b.seen, b.sum)
		}
		b.whole = false
	default:
		var check uint32
		b.states, check, err = openRow(b.rows.number, b.k, b.v)
		b.seen, b.sum = b.seen+1, b.sum+uint64(check)
		if err == nil && b.last != nil && !inOrder(b.last, b.k, reverse) {
			err = fmt.Errorf("%w: row %x is out of order", errDamaged, b.k)
		}
	}
	if err != nil {
		*b.damage, b.k = err, nil
	}
}

func inOrder(first, second []byte, reverse bool) bool {
	if reverse {
		first, second = second, first
	}
	return bytes.Compare(first, second) < 0
}

func (b *bucketSource) key() []byte { return b.k }

func (b *bucketSource) into(t *partial.Table, i, n int) error {
	return t.DecodeSome(i, n, b.states)
}

// tableSource is a run in memory.
type tableSource struct {
	origin
	t     *partial.Table
	order []uint32
	at    int // position in order; -1 or len(order) is none
}

func (s *tableSource) seek(key []byte, reverse bool) {
	n := len(s.order)
	at := n
	if key != nil {
		at, _ = slices.BinarySearchFunc(s.order, key, func(i uint32, key []byte) int {
			return bytes.Compare(s.t.Key(int(i)), key)
		})
	} else if !reverse {
		at = 0
	}
	if reverse {
		at--
	}
	s.at = at
}

func (s *tableSource) step(reverse bool) {
	if reverse {
		s.at--
	} else {
		s.at++
	}
}

func (s *tableSource) key() []byte {
	if s.at < 0 || s.at >= len(s.order) {
		return nil
	}
	return s.t.Key(int(s.order[s.at]))
}

func (s *tableSource) into(t *partial.Table, i, n int) error {
	for k := range n {
		t.States(k).Merge(i, s.t.States(k), int(s.order[s.at]))
	}
	return nil
}
