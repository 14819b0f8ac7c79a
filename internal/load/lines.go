package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
)

const (
	// readSize is a buffer of lines. A line that is longer costs a copy.
	readSize = 64 << 10
	// slabSize is the memory that lines are cut from. It is freed when the last
	// of them is acknowledged.
	slabSize = 256 << 10
	// batchLines and batchBytes bound what is read at once, and batchesAhead how
	// much before it is needed.
	batchLines, batchBytes, batchesAhead = 512, 1 << 20, 4
)

// A line is one line of a source, with offsets in its uncompressed text.
type line struct {
	number int64  // from 1
	start  int64  // of the line
	end    int64  // behind its text, which is before its line break
	next   int64  // of the line after it
	text   []byte // without its line break; nil where long
	raw    []byte // the text and its line break; where long only the end of them
	long   bool   // more than a reader's max
	cut    bool   // the source ended before the line did
}

func (l *line) blank() bool { return !l.long && len(bytes.TrimSpace(l.text)) == 0 }

// A lineReader takes a source apart. What it returns stays valid.
type lineReader struct {
	r    *bufio.Reader
	max  int // bytes of text
	at   int64
	n    int64 // lines before at
	slab []byte
}

// next returns the next line. After the last one it returns io.EOF; what comes
// before any other error and is not a whole line is not returned.
func (l *lineReader) next() (line, error) {
	raw, size, err := l.upToBreak()
	if err != nil && (!errors.Is(err, io.EOF) || size == 0) {
		return line{}, err
	}
	l.n++
	text := bytes.TrimSuffix(raw, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	out := line{
		number: l.n, start: l.at, next: l.at + size, end: l.at + size - int64(len(raw)-len(text)),
		cut: err != nil, long: size-int64(len(raw)-len(text)) > int64(l.max),
	}
	l.at = out.next
	if out.long {
		out.raw = bytes.Clone(last(raw, tailSize))
		return out, nil
	}
	out.raw = l.keep(raw)
	out.text = out.raw[:len(text):len(text)]
	return out, nil
}

// ready reports whether the next line can be had without waiting.
func (l *lineReader) ready() bool {
	b, err := l.r.Peek(l.r.Buffered())
	return err == nil && bytes.IndexByte(b, '\n') >= 0
}

// batches sends all lines, those together that can be had without waiting.
func (l *lineReader) batches(ctx context.Context, to chan<- []line) error {
	for {
		batch := make([]line, 0, batchLines)
		size := 0
		var err error
		for len(batch) < batchLines && size < batchBytes && (len(batch) == 0 || l.ready()) {
			var one line
			if one, err = l.next(); err != nil {
				break
			}
			batch = append(batch, one)
			size += len(one.raw)
		}
		select {
		case to <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// upToBreak reads up to a line break and returns the line, or the end of one
// that is surely too long, and its size. What it returns is valid until it is
// called again.
func (l *lineReader) upToBreak() (raw []byte, size int64, err error) {
	raw, err = l.r.ReadSlice('\n')
	size = int64(len(raw))
	if !errors.Is(err, bufio.ErrBufferFull) {
		return raw, size, err
	}
	whole := bytes.Clone(raw)
	for errors.Is(err, bufio.ErrBufferFull) {
		raw, err = l.r.ReadSlice('\n')
		size += int64(len(raw))
		if whole = append(whole, raw...); size > int64(l.max)+2 {
			whole = append(whole[:0], last(whole, tailSize)...)
		}
	}
	return whole, size, err
}

// keep copies b to memory that is not used again.
func (l *lineReader) keep(b []byte) []byte {
	if len(b) > slabSize/8 {
		return bytes.Clone(b)
	}
	if len(b) > cap(l.slab)-len(l.slab) {
		l.slab = make([]byte, 0, slabSize)
	}
	from := len(l.slab)
	l.slab = append(l.slab, b...)
	return l.slab[from:len(l.slab):len(l.slab)]
}

// last returns the end of b, at most n bytes.
func last(b []byte, n int) []byte { return b[max(0, len(b)-n):] }
