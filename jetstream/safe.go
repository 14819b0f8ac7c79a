package jetstream

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"
)

// When the server loads a block it looks at no checksum, and notes each sequence
// that a record leaves out. One flipped bit high in a record's sequence is a gap
// of billions: the server then takes all memory there is. With one low in it the
// server loads the whole block again for each record, which takes minutes. So
// before it loads blocks, as it does at its start and for consumers, their
// sequences are looked at, and put back where the checksum tells which was meant.

// gapMax is a gap that the server can well note.
const gapMax = 1 << 22

// The server loads at its start a log's newest block, and those of the log's
// duplicate window for their message ids. So many are looked at before, if they
// are as recent; to look at all takes too long.
const (
	recentBlocks = 32
	recentTime   = time.Hour
)

// errUnsafe says that the server must not load a block.
var errUnsafe = errors.New("the server must not load it")

// walked is how far the blocks of logs were looked at: nothing is twice.
type walked struct {
	sync.Mutex
	logs map[string]*walkedLog
}

type walkedLog struct {
	created int64
	blocks  map[uint32]place
}

// A place is one in a block.
type place struct {
	at  int64  // bytes from the beginning, where a record begins
	seq uint64 // of the record before; 0 if there is none
}

// of returns a copy of what was looked at of a log, made at some time.
func (w *walked) of(name string, created int64) map[uint32]place {
	w.Lock()
	defer w.Unlock()
	done := map[uint32]place{}
	if l := w.logs[name]; l != nil && l.created == created {
		for index, p := range l.blocks {
			done[index] = p
		}
	}
	return done
}

// note takes up what was looked at now.
func (w *walked) note(name string, created int64, blocks map[uint32]place) {
	w.Lock()
	defer w.Unlock()
	if w.logs == nil {
		w.logs = map[string]*walkedLog{}
	}
	w.logs[name] = &walkedLog{created, blocks}
}

// safe returns errUnsafe where a consumer of the records in (after, until], or
// of all after, would make the server load a block that it cannot.
func (l *log) safe(stream natsjs.Stream, after, until uint64) error {
	info := stream.CachedInfo()
	if info.Config.Storage != natsjs.FileStorage || info.Config.Compression != natsjs.NoCompression || !blocksKnown() {
		return nil
	}
	r := l.newBlockReader(after, 0)
	list, err := blockList(r.dir)
	if err != nil {
		return nil //nolint:nilerr // the consumer finds out
	}
	at, ok := r.locate(list)
	if !ok {
		at = 0
	}
	w, created := &l.server.walked, info.Created.UnixNano()
	done := w.of(l.name, created)
	blocks := make(map[uint32]place, len(list)) // forgets those that are gone
	for i, index := range list {
		if p, ok := done[index]; ok {
			blocks[index] = p
		}
		if i < at {
			continue
		}
		if blocks[index], err = r.walk(l.server.logger, index, done[index]); err != nil {
			return err
		}
		// The server looks into the next one for whether there is more.
		if first, known := r.firstOf(index); until != 0 && known && first > until && first <= info.State.LastSeq {
			break
		}
	}
	w.note(l.name, created, blocks)
	return nil
}

// safeStart makes sure of the blocks that the server loads when it starts. Where
// there is one that it cannot, the log's index is removed: then the server reads
// each block against its checksums, and drops what they do not fit.
func (s *Server) safeStart() error {
	if !blocksKnown() {
		return nil
	}
	streams := filepath.Join(s.cfg.Dir, "jetstream", "$G", "streams")
	names, err := os.ReadDir(streams)
	if err != nil {
		return nil //nolint:nilerr // there are no logs yet, or the server finds out
	}
	for _, name := range names {
		r := (&log{server: s, name: name.Name()}).newBlockReader(0, 0)
		list, err := blockList(r.dir)
		if err != nil {
			continue // the server finds out
		}
		list = list[max(0, len(list)-recentBlocks):]
		for i, index := range list {
			st, err := os.Stat(r.path(index))
			if err != nil || i < len(list)-1 && time.Since(st.ModTime()) > recentTime {
				continue
			}
			if _, err := r.walk(s.logger, index, place{}); err != nil {
				s.logger.Error("a block of a log is damaged; the log is read anew, without what is lost", "log", name.Name(), "error", err)
				if err := os.Remove(r.indexPath()); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// indexPath is the file in which the server notes what the blocks hold.
func (r *blockReader) indexPath() string { return filepath.Join(r.dir, "index.db") }

// walk looks at the records of a block from a place on, and returns the one
// where they end. A block that is cut short, or makes no sense, is one that the
// server finds out about by itself.
func (r *blockReader) walk(logger *slog.Logger, index uint32, from place) (place, error) {
	b, err := r.openBlock(index)
	if err != nil {
		return place{}, nil // retention has removed it
	}
	defer b.close()
	if st, err := b.file.Stat(); err != nil || st.Size() < from.at {
		from = place{} // it was compacted
	}
	p := from
	in := bufio.NewReaderSize(io.NewSectionReader(b.file, p.at, math.MaxInt64-p.at), 64<<10)
	for {
		head, err := in.Peek(recordHead)
		if err != nil {
			return p, nil // the end
		}
		size := int(binary.LittleEndian.Uint32(head) &^ recordHeaders)
		says := binary.LittleEndian.Uint64(head[4:])
		if size < recordMin || size > recordMax {
			return p, nil
		}
		if says&tombstone == 0 {
			seq := says &^ seqMarks
			if seq != p.seq+1 {
				meant, ok := r.meant(&b, p, size)
				switch {
				case !ok && from.at > 0: // where it was compacted, and has grown again
					return r.walk(logger, index, place{})
				case !ok && p.seq != 0 && seq > p.seq && seq-p.seq > gapMax:
					return place{}, fmt.Errorf("block %s is damaged at byte %d, where a record claims sequence %d after %d: %w. Stop weir, remove %s, and start weir again: the log is then read anew, without what is lost",
						r.path(index), p.at, seq, p.seq, errUnsafe, r.indexPath())
				case ok && meant != says:
					if err := putBack(r.path(index), p.at, meant); err != nil {
						return place{}, fmt.Errorf("block %s is damaged at byte %d, and cannot be mended: %w: %w", r.path(index), p.at, err, errUnsafe)
					}
					logger.Warn("a block of a log was damaged in the sequence of a record, which is put back as its checksum says", "block", r.path(index), "byte", p.at, "sequence", meant)
					seq = meant &^ seqMarks
				}
			}
			p.seq = max(p.seq, seq)
		}
		if _, err := in.Discard(size); err != nil {
			return p, nil // it is being written
		}
		p.at += int64(size)
	}
}

// meant returns the sequence, with its marks, that the record at p has the
// checksum of: the one it says, the one after p's, or one that differs in a bit.
func (r *blockReader) meant(b *block, p place, size int) (seq uint64, ok bool) {
	rec := make([]byte, size)
	if _, err := b.file.ReadAt(rec, p.at); err != nil {
		return 0, false
	}
	subject := recordHead + int(binary.LittleEndian.Uint16(rec[20:]))
	rest := subject
	if binary.LittleEndian.Uint32(rec)&recordHeaders != 0 {
		rest += 4
	}
	if rest+recordChecksum > size {
		return 0, false
	}
	says := binary.LittleEndian.Uint64(rec[4:])
	is := func(seq uint64) bool {
		binary.LittleEndian.PutUint64(rec[4:], seq)
		return r.intact(b.key[:], rec, subject, rest)
	}
	if is(says) {
		return says, true
	}
	if is(p.seq + 1) {
		return p.seq + 1, true
	}
	for bit := range 64 {
		if is(says ^ 1<<bit) {
			return says ^ 1<<bit, true
		}
	}
	return 0, false
}

// putBack writes the sequence of the record at a byte of a block.
func putBack(path string, at int64, seq uint64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(binary.LittleEndian.AppendUint64(nil, seq), at+4)
	return errors.Join(err, f.Sync(), f.Close())
}
