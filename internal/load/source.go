package load

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// A source is a file, or standard input, by which it was asked for.
type source struct {
	name  string    // in messages
	path  string    // of a file; "" for standard input
	stdin io.Reader // of standard input
	again bool      // it can be read from its beginning more than once
	size  int64     // as it is stored, when the run began, where again
}

// stdinName is what stands for standard input on a command line.
const stdinName = "-"

// newSource returns a source that can be opened now.
func newSource(name string, stdin io.Reader) (*source, error) {
	if name == stdinName {
		return &source{name: "standard input", stdin: stdin}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	s := &source{name: name, path: name, again: info.Mode().IsRegular(), size: info.Size()}
	switch {
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory: name the files in it, as in %s/*.log", name, name)
	case !s.again: // to open a pipe and close it again would end its writer
		s.size = 0
		return s, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return s, f.Close()
}

// A text is an open source, uncompressed.
type text struct {
	*bufio.Reader
	file *os.File      // nil for standard input
	seek bool          // it can be read from anywhere
	read *atomic.Int64 // bytes as they are stored, up to where it was read
}

// gzipMagic begins gzip's files.
var gzipMagic = []byte{0x1f, 0x8b}

// open opens the source at its beginning. It counts in read.
func (s *source) open(ctx context.Context, read *atomic.Int64) (*text, error) {
	read.Store(0)
	t := &text{read: read}
	var raw io.Reader
	if s.path == "" {
		raw = interruptible(ctx, s.stdin)
	} else {
		f, err := os.Open(s.path)
		if err != nil {
			return nil, err
		}
		t.file, t.seek, raw = f, s.again, f
		context.AfterFunc(ctx, t.close)
	}
	t.Reader = bufio.NewReaderSize(counter{raw, read}, readSize)
	if magic, err := t.Peek(len(gzipMagic)); err == nil && bytes.Equal(magic, gzipMagic) {
		z, err := gzip.NewReader(t.Reader)
		if err != nil {
			t.close()
			return nil, err
		}
		t.seek = false
		t.Reader = bufio.NewReaderSize(z, readSize)
	}
	return t, nil
}

// close may be called more than once.
func (t *text) close() {
	if t.file != nil {
		_ = t.file.Close() // it was only read
	}
}

// block returns the beginning of the text, at most n bytes, without reading on.
// It must be called first.
func (t *text) block(n int) ([]byte, error) {
	b, err := t.Peek(n)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, readError(err)
	}
	return bytes.Clone(b), nil
}

// skip goes forward from the beginning to an offset. At a text that ends before
// it, the error is io.EOF.
func (t *text) skip(to int64) error {
	if !t.seek {
		_, err := io.CopyN(io.Discard, t, to)
		return err
	}
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < to {
		return io.EOF
	}
	if _, err := t.file.Seek(to, io.SeekStart); err != nil {
		return err
	}
	t.read.Store(to)
	t.Reset(counter{t.file, t.read})
	return nil
}

// readError says of damaged files what they are.
func readError(err error) error {
	switch {
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return fmt.Errorf("the compressed data is damaged: %w", err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the compressed data ends early: is it still being written? (%w)", err)
	}
	return err
}

// A counter counts what is read through it.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// interruptible returns a reader whose reads end with ctx. A read of r that is
// under way then cannot be broken off, and stays behind.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	go func() {
		_, err := io.Copy(in, r)
		_ = in.CloseWithError(err) // never fails
	}()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(context.Cause(ctx)) })
	return out
}
