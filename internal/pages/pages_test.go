package pages_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"weir/internal/pages"
)

const pageSize = 4096

// A file is a bbolt file, and where the tree of its large bucket is.
type file struct {
	path       string
	content    []byte
	outer      uint64
	root       uint64 // a branch
	branch     uint64 // below it
	leaf       uint64 // below that
	beyondSize uint64
}

func newFile(t *testing.T) *file {
	t.Helper()
	f := &file{path: filepath.Join(t.TempDir(), "file.db")}
	db, err := bolt.Open(f.path, 0o600, &bolt.Options{PageSize: pageSize})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket([]byte("empty")); err != nil {
			return err
		}
		b, err := tx.CreateBucket([]byte("rows"))
		for i := 0; i < 40_000 && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "key %08d", i), make([]byte, 30+i%50))
		}
		if err == nil {
			err = b.Put([]byte("long"), make([]byte, 5*pageSize))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		f.outer, f.root, f.beyondSize = uint64(tx.Cursor().Bucket().Root()), uint64(tx.Bucket([]byte("rows")).Root()), uint64(tx.Size()/pageSize)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if f.content, err = os.ReadFile(f.path); err != nil {
		t.Fatal(err)
	}
	f.branch = f.child(f.root, 1)
	f.leaf = f.child(f.branch, 1)
	return f
}

// child is the page that an element of a branch leads to.
func (f *file) child(id uint64, i int) uint64 {
	return binary.NativeEndian.Uint64(f.content[id*pageSize+16+uint64(i)*16+8:])
}

func (f *file) lead(id uint64, i int, to uint64) {
	binary.NativeEndian.PutUint64(f.content[id*pageSize+16+uint64(i)*16+8:], to)
}

func (f *file) check(t *testing.T, leaves bool) error {
	t.Helper()
	if err := os.WriteFile(f.path, f.content, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.Open(f.path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	done := make(chan error, 1)
	go func() {
		done <- pages.File{ReaderAt: r, PageSize: pageSize, Size: int64(f.beyondSize) * pageSize, Root: f.outer, Leaves: leaves}.Check()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute):
		t.Fatal("it does not come to an end")
		return nil
	}
}

// TestCheck damages a file so that bbolt would go round in it, or go astray.
func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(f *file)
		leaves bool // what only a look at the leaves finds
	}{
		"a page leads to itself":           {damage: func(f *file) { f.lead(f.branch, 0, f.branch) }},
		"a page leads to the one above it": {damage: func(f *file) { f.lead(f.branch, 2, f.root) }},
		"the first way has no end":         {damage: func(f *file) { f.lead(f.root, 0, f.root) }},
		"two ways lead to a page":          {damage: func(f *file) { f.lead(f.branch, 0, f.leaf) }},
		"a page outside the file":          {damage: func(f *file) { f.lead(f.branch, 1, f.beyondSize) }},
		"a page of zeros":                  {damage: func(f *file) { clear(f.content[f.branch*pageSize:][:pageSize]) }},
		"a page of another place":          {damage: func(f *file) { copy(f.content[f.branch*pageSize:], f.content[f.leaf*pageSize:][:pageSize]) }},
		"a branch without elements":        {damage: func(f *file) { clear(f.content[f.branch*pageSize+10:][:2]) }},
		"more elements than a page has":    {damage: func(f *file) { f.content[f.branch*pageSize+11] = 0xff }},
		"a leaf that has become a branch":  {damage: func(f *file) { f.content[f.leaf*pageSize+8] = 1 }, leaves: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFile(t)
			for _, leaves := range []bool{false, true} {
				if err := f.check(t, leaves); err != nil {
					t.Fatalf("undamaged: %v", err)
				}
			}
			test.damage(f)
			if err := f.check(t, true); !errors.Is(err, pages.ErrNoTree) {
				t.Errorf("with a look at the leaves: %v", err)
			}
			if err := f.check(t, false); errors.Is(err, pages.ErrNoTree) == test.leaves {
				t.Errorf("without: %v", err)
			}
		})
	}
}
