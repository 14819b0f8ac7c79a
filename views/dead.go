package views

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"weir/internal/fault"
)

// deadMax bounds the dead letters that are kept; beyond it the oldest go. All
// are counted.
const deadMax = 100_000

// A deadStore keeps the events of a stream that did not decode. A dead letter
// has its sequence as key, so that reading the log again finds the same ones
// and counts none twice.
type deadStore struct {
	db *bolt.DB

	mu      sync.Mutex
	pending []DeadLetter // not in the file yet
	deadMeta
	saved uint64 // deadMeta.Seen in the file
}

// deadMeta is what the file says of itself.
type deadMeta struct {
	LogCreated int64
	Seen       uint64 // every event up to here has been looked at
	SeenTime   int64  // when the log received that one
	Count      uint64 // of all dead letters, those pending included
}

var bucketDead = []byte("dead")

func openDead(path string) (*deadStore, error) {
	db, err := openBolt(path, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	return &deadStore{db: db}, nil
}

// load reads what the file says. An error that is errDamaged says that the dead
// letters are not to be trusted.
func (d *deadStore) load() error {
	err := guard("read dead letters", func() error {
		return d.db.Update(func(tx *bolt.Tx) error {
			for _, name := range [][]byte{bucketDead, bucketMeta} {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			if err := getRecord(tx.Bucket(bucketMeta), keyMeta, &d.deadMeta); err != nil {
				return err
			}
			return eachDead(tx, func(*DeadLetter) {})
		})
	})
	d.saved = d.Seen
	return err
}

// reset drops the dead letters, and nothing else that is in the file.
func (d *deadStore) reset() error {
	d.deadMeta, d.saved = deadMeta{}, 0
	return guard("drop dead letters", func() error {
		return d.db.Update(func(tx *bolt.Tx) error {
			for _, name := range [][]byte{bucketDead, bucketMeta} {
				if err := tx.DeleteBucket(name); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
					return err
				}
				if _, err := tx.CreateBucket(name); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// add takes the dead letters among the events up to the event seen, leaving out
// those it has.
func (d *deadStore) add(letters []DeadLetter, seen *Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range letters {
		if l.Seq > d.Seen {
			d.pending = append(d.pending, l)
			d.Count++
		}
	}
	if seen.Seq > d.Seen {
		d.Seen, d.SeenTime = seen.Seq, seen.Time
	}
	if n := len(d.pending) - deadMax; n > 0 {
		d.pending = slices.Delete(d.pending, 0, n)
	}
}

// seenLag bounds the events that are looked at again after a crash only to
// find that none of them is a dead letter.
const seenLag = 100_000

// commit writes the pending dead letters.
func (d *deadStore) commit() error {
	d.mu.Lock()
	pending, m := d.pending, d.deadMeta
	skip := len(pending) == 0 && m.Seen < d.saved+seenLag
	d.mu.Unlock()
	if skip {
		return nil
	}
	return d.save(pending, m)
}

func (d *deadStore) save(pending []DeadLetter, m deadMeta) error {
	fault.Crash("dead.before")
	err := guard("write dead letters", func() error {
		return d.db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket(bucketDead)
			for i := range pending {
				if err := putRecord(b, key64(pending[i].Seq), &pending[i]); err != nil {
					return err
				}
			}
			if err := trimDead(b, len(pending)); err != nil {
				return err
			}
			return putRecord(tx.Bucket(bucketMeta), keyMeta, m)
		})
	})
	if err != nil {
		return err
	}
	fault.Crash("dead.after")
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for n < len(d.pending) && d.pending[n].Seq <= m.Seen {
		n++
	}
	d.pending, d.saved = d.pending[n:], m.Seen
	return nil
}

// trimDead drops the oldest dead letters beyond deadMax. Sequence numbers count
// what was ever put, which bounds what is there.
func trimDead(b *bolt.Bucket, added int) error {
	kept := b.Sequence() + uint64(added)
	c := b.Cursor()
	for k, _ := c.First(); k != nil && kept > deadMax; k, _ = c.First() {
		if err := c.Delete(); err != nil {
			return err
		}
		kept--
	}
	return b.SetSequence(kept)
}

// list returns the dead letters that are kept, in order.
func (d *deadStore) list() (letters []DeadLetter, err error) {
	d.mu.Lock()
	pending := slices.Clone(d.pending)
	d.mu.Unlock()
	err = guard("read dead letters", func() error {
		return d.db.View(func(tx *bolt.Tx) error {
			return eachDead(tx, func(l *DeadLetter) { letters = append(letters, *l) })
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%w; start weir again, which finds them again in the log", err)
	}
	for _, l := range pending {
		if n := len(letters); n == 0 || letters[n-1].Seq < l.Seq {
			letters = append(letters, l)
		}
	}
	return letters, nil
}

// eachDead calls f with the dead letters in the file, in order.
func eachDead(tx *bolt.Tx, f func(*DeadLetter)) error {
	return tx.Bucket(bucketDead).ForEach(func(key, value []byte) error {
		raw, err := unseal(key, value)
		if err != nil {
			return err
		}
		var l DeadLetter
		if err := json.Unmarshal(raw, &l); err != nil {
			return err
		}
		f(&l)
		return nil
	})
}

func (d *deadStore) total() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.Count
}

// looked returns up to which sequence the events were looked at, and how many
// dead letters there were among them.
func (d *deadStore) looked() (seen, count uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.Seen, d.Count
}

// between returns how many dead letters have sequences from first to last; false
// where some of them may not be kept any more.
func (d *deadStore) between(first, last uint64) (n uint64, ok bool, err error) {
	_, count := d.looked()
	letters, err := d.list()
	if err != nil {
		return 0, false, err
	}
	// Those that the list has beyond count came since.
	if uint64(len(letters)) < count && (len(letters) == 0 || letters[0].Seq > first) {
		return 0, false, nil
	}
	for i := range letters {
		if first <= letters[i].Seq && letters[i].Seq <= last {
			n++
		}
	}
	return n, true, nil
}

// close writes what is pending and closes the file.
func (d *deadStore) close() error {
	d.mu.Lock()
	pending, m := d.pending, d.deadMeta
	dirty := m.Seen > d.saved
	d.mu.Unlock()
	var err error
	if dirty {
		err = d.save(pending, m)
	}
	if e := d.db.Close(); err == nil {
		err = e
	}
	return err
}
