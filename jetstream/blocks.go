package jetstream

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/minio/highwayhash"
	natsserver "github.com/nats-io/nats-server/v2/server"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
)

// The embedded server keeps a log as message blocks: files of at most 8 MiB in
// which one record follows the other, each with a checksum. To hand records to
// a consumer the server takes ten times as long as to read them, so that
// whoever reads much of a log reads the blocks, and the consumer only what a
// block does not say for certain.
//
// A record of a block is
//
//	length    4 bytes, of all of it; the highest bit says that there are headers
//	sequence  8 bytes; the highest bits mark records that stand for a deletion
//	time      8 bytes, nanoseconds since the epoch
//	n         2 bytes
//	subject   n bytes
//	m         4 bytes, with headers
//	headers   m bytes, with headers
//	payload
//	checksum  8 bytes: HighwayHash of all but the lengths, keyed by log and block
//
// with integers little endian.
const (
	recordHead     = 22
	recordChecksum = 8
	recordMin      = recordHead + recordChecksum
	recordMax      = 2 * payloadMax
	recordHeaders  = 1 << 31
	tombstone      = 1 << 62
	seqMarks       = 3 << 62 // erased, and tombstone

	// blocksMin is how many records are worth a look at the blocks: a consumer
	// has the first of a few sooner.
	blocksMin = 4096

	// blockRead is how much of a block is read at a time, and the size of a
	// batch but for large records.
	blockRead = 512 << 10

	// deletedMax bounds the deleted sequences that a reader of blocks keeps.
	deletedMax = 1 << 20

	// tombstonesMax bounds the records that are skipped to learn where a block
	// begins.
	tombstonesMax = 1024
)

// blocksVersion is the server whose blocks are understood; the blocks of
// another are left to its consumers. TestBlocksAreRead holds it to the server
// that weir is built with.
const blocksVersion = "2.15."

// A blockReader hands over the records of a log's blocks.
//
// INVARIANT: every record in (after, pos] that the log held has been handed
// over once, in order, and none after pos has. A record is handed over only if
// its checksum is right, it is not deleted, and it follows the one before: any
// sequence between them is known to be deleted.
type blockReader struct {
	log     *log
	dir     string
	pos     uint64
	until   uint64
	bounded bool // until must be in the log

	created int64 // of the log as it was first, UnixNano
	first   uint64
	deleted []uint64 // within the log, ascending

	records  []views.Record
	buf      []byte
	head     []byte // scratch of intact
	subjects map[string]string
	subject  string
}

// errBlocks says that the blocks cannot be read any further.
var errBlocks = errors.New("the log's blocks do not tell")

// blocks returns a reader of blocks, or nil where there is nothing to gain.
func (l *log) blocks(after, until uint64) *blockReader {
	if until < after+l.server.blocksMin || !blocksKnown() {
		return nil
	}
	r := l.newBlockReader(after, until)
	r.bounded = true
	return r
}

func blocksKnown() bool { return strings.HasPrefix(natsserver.VERSION, blocksVersion) }

func (l *log) newBlockReader(after, until uint64) *blockReader {
	return &blockReader{
		log: l, pos: after, until: until, subjects: map[string]string{},
		dir: filepath.Join(l.server.cfg.Dir, "jetstream", "$G", "streams", l.name, "msgs"),
	}
}

// look asks the server what the log is and what is deleted in it.
func (r *blockReader) look(ctx context.Context) error {
	stream, err := r.log.server.js.Stream(ctx, r.log.name)
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	cfg := &info.Config
	created := info.Created.UnixNano()
	switch {
	case r.created == 0:
		r.created = created
	case r.created != created:
		return errReplaced
	}
	if cfg.Storage != natsjs.FileStorage || cfg.Replicas > 1 || cfg.Compression != natsjs.NoCompression || cfg.PersistMode != natsjs.DefaultPersistMode ||
		info.State.NumDeleted > deletedMax || r.bounded && info.State.LastSeq < r.until {
		return errBlocks
	}
	if info.State.NumDeleted == len(r.deleted) && info.State.FirstSeq == r.first {
		return nil // none is ever undeleted
	}
	r.first = info.State.FirstSeq
	if info.State.NumDeleted == 0 {
		r.deleted = nil
		return nil
	}
	if info, err = stream.Info(ctx, natsjs.WithDeletedDetails(true)); err != nil {
		return err
	}
	r.deleted = info.State.Deleted
	slices.Sort(r.deleted)
	return nil
}

// read hands records to yield until pos is until, yield returns false, or the
// blocks do not tell what comes next: then it returns false and the sequence up
// to which something else must read.
func (r *blockReader) read(ctx context.Context, yield func([]views.Record) bool) (end uint64, ok bool, err error) {
	if err := r.look(ctx); err != nil {
		return r.until, false, r.fault(ctx, err)
	}
	r.pos = max(r.pos, min(r.first-1, r.until))
	list, err := blockList(r.dir)
	if err != nil {
		return r.until, false, nil //nolint:nilerr // the consumer finds out
	}
	at, ok := r.locate(list)
	if !ok {
		return r.until, false, nil
	}
	for ; r.pos < r.until; at++ {
		if at >= len(list) {
			return r.until, false, nil
		}
		next, more, err := r.readBlock(ctx, list[at], yield)
		switch {
		case err == nil && !more:
			return 0, true, nil
		case err == nil:
		case errors.Is(err, errBlocks) || errors.Is(err, os.ErrNotExist):
			if next == 0 {
				next = r.endOf(list[at+1:])
			}
			return min(next, r.until), false, nil
		default:
			return r.until, false, r.fault(ctx, err)
		}
	}
	return 0, true, nil
}

// fault returns the errors that a reader ends with; others are the consumer's
// to find out about.
func (r *blockReader) fault(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errReplaced):
		return r.log.stopped(r.pos, err)
	}
	return nil
}

// blockList returns the indexes of the log's blocks, in their order.
func blockList(dir string) ([]uint32, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	var list []uint32
	for _, name := range names {
		number, ok := strings.CutSuffix(name, ".blk")
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(number, 10, 32); err == nil {
			list = append(list, uint32(n))
		}
	}
	slices.Sort(list)
	return list, nil
}

func (r *blockReader) path(index uint32) string {
	return filepath.Join(r.dir, strconv.FormatUint(uint64(index), 10)+".blk")
}

// locate returns the place in list of the block that may hold the sequence
// after pos.
func (r *blockReader) locate(list []uint32) (at int, ok bool) {
	ok = true
	n := sort.Search(len(list), func(i int) bool {
		first, known := r.firstOf(list[i])
		ok = ok && known
		return first > r.pos+1
	})
	return n - 1, ok && n > 0
}

// firstOf returns the sequence of a block's first record; the highest there is
// for a block without any.
func (r *blockReader) firstOf(index uint32) (seq uint64, known bool) {
	f, err := os.Open(r.path(index))
	if err != nil {
		// Retention removes blocks from the beginning.
		return 0, errors.Is(err, os.ErrNotExist)
	}
	defer func() { _ = f.Close() }()
	var head [recordHead]byte
	for at, n := int64(0), 0; n < tombstonesMax; n++ {
		if _, err := f.ReadAt(head[:], at); err != nil {
			return math.MaxUint64, errors.Is(err, io.EOF)
		}
		size := binary.LittleEndian.Uint32(head[:]) &^ recordHeaders
		if size < recordMin || size > recordMax {
			return 0, false
		}
		if seq := binary.LittleEndian.Uint64(head[4:]); seq&seqMarks == 0 && seq != 0 {
			return seq, true
		}
		at += int64(size)
	}
	return 0, false
}

// endOf returns the sequence before the first of the blocks that tells where it
// begins; until if none does.
func (r *blockReader) endOf(list []uint32) uint64 {
	for _, index := range list {
		if first, known := r.firstOf(index); known && first > r.pos+1 && first < math.MaxUint64 {
			return first - 1
		}
	}
	return r.until
}

// A block is one that is open.
type block struct {
	index uint32
	file  *os.File          // nil when it is closed
	key   [sha256.Size]byte // of the records' checksums
}

func (r *blockReader) openBlock(index uint32) (b block, err error) {
	b.index = index
	b.key = sha256.Sum256([]byte(r.log.name + "-" + strconv.FormatUint(uint64(index), 10)))
	b.file, err = os.Open(r.path(index))
	return b, err
}

func (b *block) close() {
	if b.file != nil {
		_ = b.file.Close()
		b.file = nil
	}
}

// readBlock hands over the records of a block after pos; false once yield or
// until says that it is enough. With errBlocks, next is the sequence before
// which the block goes on, 0 if that is not known.
func (r *blockReader) readBlock(ctx context.Context, index uint32, yield func([]views.Record) bool) (next uint64, more bool, err error) {
	b, err := r.openBlock(index)
	if err != nil {
		return 0, false, err
	}
	defer b.close()
	// The file was that of the log, if the log is the same now.
	if err := r.look(ctx); err != nil {
		return 0, false, err
	}
	have := 0 // bytes of buf that are not parsed yet
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		r.grow(have)
		n, err := b.file.ReadAt(r.buf[have:], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, false, errBlocks
		}
		at += int64(n)
		have += n
		used, next, bad := r.parse(b.key[:], r.buf[:have])
		if len(r.records) > 0 {
			r.pos = r.records[len(r.records)-1].Seq
			r.log.server.fromBlocks.Add(uint64(len(r.records)))
			if !yield(r.records) {
				return 0, false, nil
			}
		}
		switch {
		case r.pos >= r.until:
			return 0, false, nil
		case bad:
			return next, false, errBlocks
		case n == 0 && used < have:
			return 0, false, errBlocks // a record without its end
		case n == 0:
			return 0, true, nil
		}
		have = copy(r.buf, r.buf[used:have])
	}
}

// grow makes room behind what is not parsed yet: for a read, and for the rest
// of a record that is larger.
func (r *blockReader) grow(have int) {
	need := blockRead
	if have >= 4 {
		size := int(binary.LittleEndian.Uint32(r.buf) &^ recordHeaders)
		need = max(need, min(size, recordMax))
	}
	if len(r.buf) < need {
		r.buf = append(make([]byte, 0, need), r.buf[:have]...)[:need]
	}
}

// parse reads the records in buf into r.records, as far as it holds them in
// full, and returns how many bytes they are. It stops before what is not
// certain: a record that is damaged, or one, next being the sequence before it,
// that does not follow.
func (r *blockReader) parse(key, buf []byte) (used int, next uint64, bad bool) {
	r.records = r.records[:0]
	pos := r.pos
	for pos < r.until && len(buf)-used >= recordHead {
		b := buf[used:]
		size := binary.LittleEndian.Uint32(b)
		headers := size&recordHeaders != 0
		size &^= recordHeaders
		subject := recordHead + int(binary.LittleEndian.Uint16(b[20:]))
		rest := subject
		if headers {
			rest += 4
		}
		if size > recordMax || rest+recordChecksum > int(size) {
			return used, 0, true
		}
		if len(b) < int(size) {
			return used, 0, false
		}
		seq := binary.LittleEndian.Uint64(b[4:])
		if seq&^seqMarks <= pos || seq&seqMarks != 0 {
			used += int(size)
			continue // handed over before, or wanted by nobody
		}
		b = b[:size]
		if !r.intact(key, b, subject, rest) {
			return used, 0, true
		}
		if seq != pos+1 && !r.allDeleted(pos+1, seq-1) {
			return used, seq - 1, true
		}
		if seq > r.until {
			r.pos = r.until // what is between is deleted
			return used, 0, false
		}
		used += int(size)
		pos = seq
		if len(r.deleted) > 0 && r.allDeleted(seq, seq) {
			r.skip(pos)
			continue
		}
		end := len(b) - recordChecksum
		id := ""
		if headers {
			n := int(binary.LittleEndian.Uint32(b[subject:]))
			if n > end-rest {
				return used, 0, true
			}
			id = messageID(b[rest : rest+n])
			rest += n
		}
		r.records = append(r.records, views.Record{
			Seq:     seq,
			Time:    int64(binary.LittleEndian.Uint64(b[12:])),
			Subject: r.intern(b[recordHead:subject]),
			ID:      id,
			Payload: b[rest:end:end],
		})
	}
	return used, 0, false
}

// skip moves pos over a deleted record, if none before waits to be handed over.
func (r *blockReader) skip(pos uint64) {
	if len(r.records) == 0 {
		r.pos = pos
	}
}

// intact says whether a record is as it was written. What the checksum is of is
// put together within b for the time being, so that the hash is that of one piece
// and copies nothing.
func (r *blockReader) intact(key, b []byte, subject, rest int) bool {
	end := len(b) - recordChecksum
	r.head = append(r.head[:0], b[:rest]...)
	from := rest - (16 + subject - recordHead)
	if subject < rest { // headers follow
		copy(b[from+16:rest], r.head[recordHead:subject])
	}
	copy(b[from:], r.head[4:20])
	sum := highwayhash.Sum64(b[from:end], key)
	copy(b, r.head)
	return sum == binary.LittleEndian.Uint64(b[end:])
}

// allDeleted says whether the sequences from first to last are known to be
// deleted.
func (r *blockReader) allDeleted(first, last uint64) bool {
	i, _ := slices.BinarySearch(r.deleted, first)
	n := last - first + 1
	return uint64(len(r.deleted)-i) >= n && r.deleted[i] == first && r.deleted[i+int(n)-1] == last
}

func (r *blockReader) intern(subject []byte) string {
	if string(subject) == r.subject {
		return r.subject
	}
	s, ok := r.subjects[string(subject)]
	if !ok {
		if len(r.subjects) == internMax {
			clear(r.subjects)
		}
		s = string(subject)
		r.subjects[s] = s
	}
	r.subject = s
	return s
}
