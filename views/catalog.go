package views

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The catalog is the file that says which streams and views there are. It
// holds their definitions; everything else can be computed again from the log.
type catalog struct{ db *bolt.DB }

var (
	bucketStreams = []byte("streams")
	bucketViews   = []byte("views")
	// bucketCreating has the streams whose log is being made, which a crash may
	// leave with or without it.
	bucketCreating = []byte("creating")
	// bucketDropped has the streams of which something is still to be deleted.
	bucketDropped = []byte("dropped")
)

// A viewEntry is a view in the catalog: its definition and which file is its.
type viewEntry struct {
	Def     *ViewDef
	Version uint64
	Built   bool // false while the first build of the view runs
	Lost    bool `json:",omitempty"` // that build is one anew: the view was built before, and its file lost
	// Building is the version that is to replace it, Previous the one that it
	// has replaced and that ROLLBACK puts back.
	Building, Previous *versionEntry `json:",omitempty"`
}

// A versionEntry is another version of a view.
type versionEntry struct {
	Def     *ViewDef
	Version uint64
	Until   time.Time // Previous: how long it is kept
	Replay  bool      // Building: of the same SELECT
}

func openCatalog(dir string) (*catalog, error) {
	path := filepath.Join(dir, "catalog.db")
	var db *bolt.DB
	err := guardCatalog(func() (err error) {
		db, err = openBolt(path, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType})
		return err
	})
	if err != nil {
		return nil, err
	}
	c := &catalog{db: db}
	err = c.update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketStreams, bucketViews, bucketCreating, bucketDropped, bucketMeta} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// update and read run a transaction. A damaged file is an error.
func (c *catalog) update(f func(tx *bolt.Tx) error) error {
	return guardCatalog(func() error { return c.db.Update(f) })
}

func (c *catalog) read(f func(tx *bolt.Tx) error) error {
	return guardCatalog(func() error { return c.db.View(f) })
}

func guardCatalog(f func() error) error {
	err := guard("catalog.db", f)
	if errors.Is(err, errDamaged) || errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) || errors.Is(err, bolterrors.ErrVersionMismatch) {
		err = fmt.Errorf("%w: restore it from a backup, or move the data directory away and begin again from the schema", err)
	}
	return err
}

// nextVersion returns a number that no version has had.
func (c *catalog) nextVersion() (version uint64, err error) {
	err = c.update(func(tx *bolt.Tx) (err error) {
		version, err = tx.Bucket(bucketViews).NextSequence()
		return err
	})
	return version, err
}

// beginView writes down that a view is being built, for the first time or
// because its file was lost.
func (c *catalog) beginView(key string, def *ViewDef, version uint64, lost bool) error {
	return c.putView(key, func(entry *viewEntry) *viewEntry {
		if entry == nil {
			entry = &viewEntry{}
		}
		entry.Lost = lost || entry.Lost || entry.Built
		entry.Def, entry.Version, entry.Built, entry.Building = def, version, false, nil
		return entry
	})
}

// endView deletes the entry of a view whose build has failed.
func (c *catalog) endView(key string, version uint64) error {
	return c.putView(key, func(entry *viewEntry) *viewEntry {
		if entry != nil && !entry.Built && entry.Version == version {
			return nil
		}
		return entry
	})
}

// changeView changes the entry of a view, if there is one.
func (c *catalog) changeView(key string, f func(entry *viewEntry)) error {
	return c.putView(key, func(entry *viewEntry) *viewEntry {
		if entry != nil {
			f(entry)
		}
		return entry
	})
}

// putView writes what f makes of a view's entry; nil is none.
func (c *catalog) putView(key string, f func(entry *viewEntry) *viewEntry) error {
	return c.update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketViews)
		var entry *viewEntry
		if raw := b.Get([]byte(key)); raw != nil {
			raw, err := unsealEntry(key, raw)
			if err != nil {
				return err
			}
			entry = &viewEntry{}
			if err := json.Unmarshal(raw, entry); err != nil {
				return err
			}
		}
		if entry = f(entry); entry == nil {
			return b.Delete([]byte(key))
		}
		raw, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		return b.Put([]byte(key), seal([]byte(key), raw))
	})
}

// put writes an entry; a nil value deletes it.
func (c *catalog) put(bucket []byte, key string, value any) error {
	return c.update(func(tx *bolt.Tx) error {
		if value == nil {
			return tx.Bucket(bucket).Delete([]byte(key))
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return err
		}
		return tx.Bucket(bucket).Put([]byte(key), seal([]byte(key), raw))
	})
}

// moveStream takes a stream from one bucket to another.
func (c *catalog) moveStream(to []byte, key string, def *StreamDef) error {
	raw, err := json.Marshal(def)
	if err != nil {
		return err
	}
	return c.update(func(tx *bolt.Tx) error {
		// Wherever else it still is, as after a CREATE whose end could not be
		// written, it is there no longer.
		for _, from := range [][]byte{bucketStreams, bucketCreating} {
			if err := tx.Bucket(from).Delete([]byte(key)); err != nil {
				return err
			}
		}
		return tx.Bucket(to).Put([]byte(key), seal([]byte(key), raw))
	})
}

// streamsIn returns the streams of a bucket.
func (c *catalog) streamsIn(bucket []byte) (defs []*StreamDef, err error) {
	err = c.each(bucket, func(key string, raw []byte) error {
		def := &StreamDef{}
		if err := json.Unmarshal(raw, def); err != nil {
			return fmt.Errorf("catalog: stream %s: %w", key, err)
		}
		defs = append(defs, def)
		return nil
	})
	return defs, err
}

// each calls f with every entry of a bucket, in order of their keys.
func (c *catalog) each(bucket []byte, f func(key string, raw []byte) error) error {
	return c.read(func(tx *bolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(k, raw []byte) error {
			raw, err := unsealEntry(string(k), raw)
			if err != nil {
				return err
			}
			return f(string(k), raw)
		})
	})
}

// unsealEntry is unseal of an entry of the catalog, of which earlier versions
// have written some without a checksum.
func unsealEntry(key string, value []byte) ([]byte, error) {
	if len(value) > 0 && value[0] == '{' {
		return value, nil
	}
	return unseal([]byte(key), value)
}

// nextRunID returns an id for a batch run, one that no run of any view had.
func (e *Engine) nextRunID() (id uint64, err error) {
	err = e.catalog.update(func(tx *bolt.Tx) error {
		id, err = tx.Bucket(bucketMeta).NextSequence()
		return err
	})
	return id, err
}
