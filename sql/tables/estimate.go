package tables

import (
	"bytes"
	"errors"
	"io"
	"slices"

	gms "github.com/dolthub/go-mysql-server/sql"
	bolt "go.etcd.io/bbolt"
)

// CountLookup returns about how many rows a lookup comes to, counting at most
// so many; exact says that the count came to its end. Conditions on later parts
// of a key are not looked at.
func (t *Table) CountLookup(ctx *gms.Context, l gms.IndexLookup, most uint64) (n uint64, exact bool, err error) {
	parts, err := t.LookupPartitions(ctx, l)
	if err != nil {
		return 0, false, err
	}
	part, err := parts.Next(ctx)
	if err != nil {
		return 0, false, err
	}
	look, ok := part.(lookup)
	if !ok {
		return 0, false, nil
	}
	exact = true
	err = t.scanKeys(look.index, func(c *bolt.Cursor) error {
		for _, r := range look.ranges {
			if r.none {
				continue
			}
			exact = exact && r.checks == nil
			for k, _ := c.Seek(r.lo); k != nil && (r.hi == nil || bytes.Compare(k, r.hi) < 0); k, _ = c.Next() {
				if n++; n >= most {
					exact = false
					return nil
				}
			}
		}
		return nil
	})
	return n, exact, err
}

// scanKeys calls f with a cursor over the entries of an index, nil being the
// primary key, as they are stored now: a statement that writes must not open
// its snapshot before it is its turn to write.
func (t *Table) scanKeys(ix *IndexDef, f func(*bolt.Cursor) error) error {
	bucket := t.def.Rows
	if ix != nil {
		bucket = ix.Rows
	}
	return t.store.guard(func() error {
		return t.store.db.View(func(tx *bolt.Tx) error {
			b := tx.Bucket(bucketName(bucket))
			if b == nil {
				return errChanged()
			}
			return f(b.Cursor())
		})
	})
}

// The rows and the places that Distinct looks at.
const (
	distinctRows  = 2048
	distinctSeeks = 128
)

// Distinct returns about how many different values the first column of an index
// has, the first two have, and so on. It looks at a bounded number of rows: the
// numbers are exact where there are few, and else what those at the front make
// likely.
func (t *Table) Distinct(ctx *gms.Context, x gms.Index) ([]uint64, error) {
	own, ok := x.(*Index)
	if !ok {
		return nil, nil
	}
	cols := own.columns()
	counts := make([]uint64, len(cols))
	total, _, err := t.RowCount(ctx)
	if err != nil {
		return nil, err
	}
	keys := func(from []byte, most uint64, f func(parts [][]byte) bool) (ended bool, err error) {
		it, err := t.PartitionRows(ctx, lookup{index: own.ix, ranges: []keyRange{{lo: from}}})
		if err != nil {
			return false, err
		}
		defer it.Close(ctx)
		for range most {
			row, err := it.Next(ctx)
			if errors.Is(err, io.EOF) {
				return true, nil
			}
			if err != nil {
				return false, err
			}
			parts := make([][]byte, len(cols))
			for i, c := range cols {
				cut := uint16(0)
				if own.ix != nil && i < len(own.ix.Prefix) {
					cut = own.ix.Prefix[i]
				}
				if parts[i], err = t.def.kinds[c].appendKey(ctx, nil, row[c], cut); err != nil {
					return false, err
				}
			}
			if !f(parts) {
				return false, nil
			}
		}
		return false, nil
	}
	all := *t
	all.proj, all.schema = nil, t.all
	t = &all
	var last [][]byte
	seen := uint64(0)
	ended, err := keys(nil, distinctRows, func(parts [][]byte) bool {
		same := 0
		for last != nil && same < len(parts) && bytes.Equal(last[same], parts[same]) {
			same++
		}
		for k := same; k < len(parts); k++ {
			counts[k]++
		}
		last = parts
		seen++
		return true
	})
	if err != nil || ended || seen == 0 {
		return counts, err
	}
	for k := range counts {
		if counts[k] > distinctSeeks {
			counts[k] = max(counts[k], uint64(float64(total)/float64(seen)*float64(counts[k])))
			continue
		}
		n, from, ended := uint64(0), []byte(nil), false
		for n < distinctSeeks && !ended {
			if ended, err = keys(from, 1, func(parts [][]byte) bool {
				n++
				from = end(slices.Concat(parts[:k+1]...))
				return true
			}); err != nil {
				return nil, err
			}
			ended = ended || from == nil
		}
		if !ended {
			n = max(n, total/(seen/counts[k]))
		}
		counts[k] = n
	}
	return counts, nil
}
