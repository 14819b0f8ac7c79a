// Package pages checks that the pages of a bbolt file are a tree.
//
// bbolt follows the pages of a file without a look at where it has been: a
// page that leads back to one above it, as a flipped bit or a write that went
// astray can make it, has it descend until the stack or the memory is at its
// end, and with it the process. That cannot be recovered from, so it must be
// found before anything is read.
package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The layout of pages, as bbolt's internal/common has it.
const (
	headerSize  = 16 // id uint64, flags uint16, count uint16, overflow uint32
	elementSize = 16 // of a branch: pos, ksize uint32, page uint64; of a leaf: flags, pos, ksize, vsize uint32
	bucketSize  = 16 // root, sequence uint64

	branchFlag = 1
	leafFlag   = 2

	bucketFlag = 1 // of the element of a leaf

	deepest = 64 // more than any tree is
)

// ErrNoTree says that pages do not make a tree.
var ErrNoTree = errors.New("its pages are not a tree")

// A File is a bbolt file as one transaction sees it. All its buckets are in the
// outermost one.
type File struct {
	io.ReaderAt
	PageSize int
	Size     int64  // in bytes
	Root     uint64 // page of the outermost bucket
	// Leaves has every leaf looked at, too, which reads something of each page.
	// Without, what stands where leaves do is taken for one, unless the way to
	// it leads there.
	Leaves bool
}

// Check returns ErrNoTree where a page is reached twice, lies outside the file
// or is of a kind that it cannot be, and any error of reading.
func (f File) Check() error {
	c := checker{File: f, seen: make([]uint64, f.Size/int64(f.PageSize)/64+1)}
	return c.tree(f.Root, true)
}

type checker struct {
	File
	seen []uint64 // a bit for each page
}

// A page is what a page begins with.
type page struct {
	id       uint64
	flags    uint16
	count    int
	overflow int64
}

// tree checks the pages of a bucket; outer says that it is the outermost.
func (c *checker) tree(root uint64, outer bool) error {
	depth := 1
	for id := root; ; depth++ {
		p, err := c.read(id)
		if err != nil {
			return err
		}
		if p.flags == leafFlag {
			break
		}
		if depth == deepest {
			return fmt.Errorf("%w: page %d has no leaf below it", ErrNoTree, root)
		}
		elements, err := c.content(p)
		if err != nil {
			return err
		}
		id = child(elements, 0)
	}
	return c.below(root, depth, outer)
}

// below checks a page and what is below it; all leaves of a bucket are equally
// deep, and this one has depth-1 pages between itself and each of them.
func (c *checker) below(id uint64, depth int, outer bool) error {
	if id >= uint64(c.Size)/uint64(c.PageSize) {
		return fmt.Errorf("%w: page %d is outside the file", ErrNoTree, id)
	}
	if c.seen[id/64]&(1<<(id%64)) != 0 {
		return fmt.Errorf("%w: there are two ways to page %d", ErrNoTree, id)
	}
	c.seen[id/64] |= 1 << (id % 64)
	if depth == 1 && !outer && !c.Leaves {
		return nil
	}
	p, err := c.read(id)
	if err != nil {
		return err
	}
	if (depth == 1) != (p.flags == leafFlag) {
		return fmt.Errorf("%w: page %d is not as deep as others", ErrNoTree, id)
	}
	if depth == 1 && !outer {
		return nil
	}
	elements, err := c.content(p)
	if err != nil {
		return err
	}
	for i := range p.count {
		if depth > 1 {
			err = c.below(child(elements, i), depth-1, outer)
		} else {
			err = c.bucket(p, elements, i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read reads the beginning of a page.
func (c *checker) read(id uint64) (page, error) {
	if id >= uint64(c.Size)/uint64(c.PageSize) {
		return page{}, fmt.Errorf("%w: page %d is outside the file", ErrNoTree, id)
	}
	var b [headerSize]byte
	if _, err := c.ReadAt(b[:], int64(id)*int64(c.PageSize)); err != nil {
		return page{}, fmt.Errorf("read page %d: %w", id, err)
	}
	p := page{id, binary.NativeEndian.Uint16(b[8:]), int(binary.NativeEndian.Uint16(b[10:])), int64(binary.NativeEndian.Uint32(b[12:]))}
	size := (p.overflow + 1) * int64(c.PageSize)
	switch {
	case binary.NativeEndian.Uint64(b[:]) != id:
		return p, fmt.Errorf("%w: page %d is that of another place", ErrNoTree, id)
	case p.flags != branchFlag && p.flags != leafFlag:
		return p, fmt.Errorf("%w: page %d is neither branch nor leaf", ErrNoTree, id)
	case p.flags == branchFlag && p.count == 0, headerSize+int64(p.count)*elementSize > size, int64(id)*int64(c.PageSize)+size > c.Size:
		return p, fmt.Errorf("%w: page %d cannot have %d elements and %d pages behind it", ErrNoTree, id, p.count, p.overflow)
	}
	return p, nil
}

// content reads what follows the beginning of a page.
func (c *checker) content(p page) ([]byte, error) {
	b := make([]byte, (p.overflow+1)*int64(c.PageSize)-headerSize)
	if _, err := c.ReadAt(b, int64(p.id)*int64(c.PageSize)+headerSize); err != nil {
		return nil, fmt.Errorf("read page %d: %w", p.id, err)
	}
	return b, nil
}

// child is the page that the element of a branch leads to.
func child(elements []byte, i int) uint64 {
	return binary.NativeEndian.Uint64(elements[i*elementSize+8:])
}

// bucket checks the bucket that the element of a leaf is, if it is one.
func (c *checker) bucket(p page, elements []byte, i int) error {
	e := elements[i*elementSize:]
	flags, pos := binary.NativeEndian.Uint32(e), int64(binary.NativeEndian.Uint32(e[4:]))
	key, value := int64(binary.NativeEndian.Uint32(e[8:])), int64(binary.NativeEndian.Uint32(e[12:]))
	if flags&bucketFlag == 0 {
		return nil
	}
	if value < bucketSize || pos+key+value > int64(len(e)) {
		return fmt.Errorf("%w: page %d ends within its element %d", ErrNoTree, p.id, i)
	}
	v := e[pos+key:][:value]
	if root := binary.NativeEndian.Uint64(v); root != 0 {
		return c.tree(root, false)
	}
	// A small bucket is in its element, as a leaf.
	if v = v[bucketSize:]; len(v) < headerSize || binary.NativeEndian.Uint16(v[8:]) != leafFlag {
		return fmt.Errorf("%w: the bucket in element %d of page %d is no leaf", ErrNoTree, i, p.id)
	}
	return nil
}
