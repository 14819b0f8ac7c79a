package jetstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"weir/views"
	"weir/views/logtest"
)

// openBlocks starts a server that reads blocks, however few records are asked for.
func openBlocks(t testing.TB, cfg Config) *Server {
	t.Helper()
	s := open(t, cfg)
	s.blocksMin = 1
	return s
}

func TestContractOfBlocks(t *testing.T) {
	logtest.Run(t, func(t *testing.T) views.Broker { return openBlocks(t, Config{Sync: 100 * time.Millisecond}) })
}

// fill publishes n records of all kinds: with IDs and without, of several
// subjects, empty and large.
func fill(t *testing.T, s *Server, r *rand.Rand, n int) {
	t.Helper()
	for n > 0 {
		msgs := make([]views.Message, min(n, 500))
		for i := range msgs {
			msgs[i] = views.Message{Subject: fmt.Sprint("a.", r.IntN(5)), Payload: bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(400))}
			switch r.IntN(4) {
			case 0:
				msgs[i].ID = fmt.Sprint("id ", r.Uint64())
			case 1:
				msgs[i].Header = map[string][]string{"K": {"v"}}
			}
		}
		if r.IntN(30) == 0 {
			msgs[0].Payload = make([]byte, 1<<20)
		}
		if _, err := s.Publish(t.Context(), "a", msgs); err != nil {
			t.Fatal(err)
		}
		n -= len(msgs)
	}
}

// readAll returns copies of what the log hands over, from blocks or not.
func readAll(t *testing.T, s *Server, blocks bool, after, until uint64) (all []views.Record) {
	t.Helper()
	l, err := s.OpenLog(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	s.blocksMin = 1 << 62
	if blocks {
		s.blocksMin = 1
	}
	for batch, err := range l.Read(t.Context(), after, until) {
		if err != nil {
			t.Fatal(err)
		}
		all = appendCopies(all, batch)
	}
	return all
}

func appendCopies(all, batch []views.Record) []views.Record {
	for _, rec := range batch {
		rec.Payload = bytes.Clone(rec.Payload)
		rec.ID, rec.Subject = strings.Clone(rec.ID), strings.Clone(rec.Subject)
		all = append(all, rec)
	}
	return all
}

// followTo returns copies of what a reader that follows the log hands over after
// a record, up to another.
func followTo(t *testing.T, s *Server, after, last uint64) (all []views.Record) {
	t.Helper()
	if last <= after {
		return nil
	}
	l, err := s.OpenLog(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for batch, err := range l.Read(t.Context(), after, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if all = appendCopies(all, batch); all[len(all)-1].Seq >= last {
			break
		}
	}
	return all
}

func equalRecords(t *testing.T, what string, got, want []views.Record) {
	t.Helper()
	for k := range min(len(got), len(want)) {
		a, b := got[k], want[k]
		if a.Seq != b.Seq || a.Time != b.Time || a.Subject != b.Subject || a.ID != b.ID || !bytes.Equal(a.Payload, b.Payload) {
			t.Fatalf("%s, record %d: %d %q %q, and %d %q %q of the consumer", what, k, a.Seq, a.Subject, a.ID, b.Seq, b.Subject, b.ID)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d records, and %d of the consumer", what, len(got), len(want))
	}
}

// same holds the records of blocks to those of a consumer, for the whole log
// and for random ranges of it. It returns how many of the whole log came from
// blocks.
func same(t *testing.T, s *Server, r *rand.Rand) (fromBlocks uint64) {
	t.Helper()
	l, err := s.OpenLog(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	st, err := l.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Last == 0 {
		return 0 // zero would follow the log
	}
	for i := range 4 {
		after, until := uint64(0), st.Last
		if i > 0 {
			after = r.Uint64N(st.Last)
			until = after + 1 + r.Uint64N(st.Last-after)
		}
		before := s.fromBlocks.Load()
		got := readAll(t, s, true, after, until) // first: the consumer notices damage
		if i == 0 {
			fromBlocks = s.fromBlocks.Load() - before
		}
		want := readAll(t, s, false, after, until)
		equalRecords(t, fmt.Sprintf("blocks (%d, %d]", after, until), got, want)
		if n := len(want); n > 0 && i < 2 {
			s.blocksMin = 1
			equalRecords(t, fmt.Sprintf("following (%d, %d]", after, until), followTo(t, s, after, want[n-1].Seq)[:n], want)
		}
	}
	return fromBlocks
}

// logOf makes log a as another program might: weir's own refuse deletes. Where a
// log is bounded, its blocks are smaller.
func logOf(t *testing.T, s *Server) {
	t.Helper()
	if _, err := s.js.CreateStream(t.Context(), natsjs.StreamConfig{Name: "a", Subjects: []string{"a.>"}, AllowAtomicPublish: true, MaxBytes: 16 << 20}); err != nil {
		t.Fatal(err)
	}
}

func blocksOf(t *testing.T, dir string) (paths []string) {
	t.Helper()
	list, err := blockList(filepath.Join(dir, "jetstream", "$G", "streams", "a", "msgs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		paths = append(paths, filepath.Join(dir, "jetstream", "$G", "streams", "a", "msgs", fmt.Sprint(n, ".blk")))
	}
	return paths
}

// The server that weir is built with keeps its blocks as they are understood
// here: a new version must be looked at.
func TestBlocksAreRead(t *testing.T) {
	s := openBlocks(t, Config{})
	logOf(t, s)
	fill(t, s, rand.New(rand.NewPCG(1, 1)), 100)
	if got := readAll(t, s, true, 0, 100); len(got) != 100 {
		t.Fatalf("read %d records, want 100", len(got))
	}
	if n := s.fromBlocks.Load(); n != 100 {
		t.Errorf("%d of 100 records came from blocks", n)
	}
}

func TestBlocksEqualTheConsumer(t *testing.T) {
	const records = 20_000 // two blocks
	remove := func(seq uint64, erase bool) func(*testing.T, *Server) {
		return func(t *testing.T, s *Server) {
			stream, err := s.js.Stream(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			del := stream.DeleteMsg
			if erase {
				del = stream.SecureDeleteMsg
			}
			if err := del(t.Context(), seq); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(paths []string, block int, at float64) error {
		raw, err := os.ReadFile(paths[block])
		if err != nil {
			return err
		}
		i := int(float64(len(raw)) * at)
		// Not high in a sequence: see TestUnsafeBlocks.
		if start := recordAt(raw, i); i >= start+7 && i < start+12 {
			i = start + 12
		}
		raw[i] ^= 0x10
		return os.WriteFile(paths[block], raw, 0o600)
	}
	flipField := func(path string, field int, mask byte) error {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		raw[recordAt(raw, len(raw)/3)+field] ^= mask
		return os.WriteFile(path, raw, 0o600)
	}
	for _, test := range []struct {
		name    string
		running func(t *testing.T, s *Server)
		stopped func(t *testing.T, dir string, paths []string) error
		few     bool // of the records come from blocks
	}{
		{name: "as it was written"},
		{name: "a record is deleted", running: remove(1000, false)},
		{name: "a record is erased", running: remove(7000, true)},
		{name: "many are deleted", running: func(t *testing.T, s *Server) {
			for seq := uint64(500); seq < 600; seq++ {
				remove(seq, seq%2 == 0)(t, s)
			}
			for seq := uint64(records - 10); seq <= records; seq++ {
				remove(seq, true)(t, s)
			}
		}},
		{name: "the head is gone", running: func(t *testing.T, s *Server) {
			purge(t, s, natsjs.WithPurgeSequence(2000))
		}},
		{name: "all but a few are gone, and others come", few: true, running: func(t *testing.T, s *Server) {
			purge(t, s, natsjs.WithPurgeKeep(3))
			fill(t, s, rand.New(rand.NewPCG(5, 5)), 1000)
		}},
		{name: "all are gone, and others come", few: true, running: func(t *testing.T, s *Server) {
			purge(t, s)
			fill(t, s, rand.New(rand.NewPCG(6, 6)), 1000)
		}},
		{name: "no index", stopped: func(_ *testing.T, dir string, paths []string) error {
			return os.Remove(filepath.Join(filepath.Dir(paths[0]), "index.db"))
		}},
		{name: "a bit of a block is wrong", stopped: func(_ *testing.T, _ string, paths []string) error { return flip(paths, 0, 0.3) }},
		{name: "a bit of the last block is wrong", stopped: func(_ *testing.T, _ string, paths []string) error { return flip(paths, len(paths)-1, 0.5) }},
		{name: "a length is wrong", stopped: func(_ *testing.T, _ string, paths []string) error { return flipField(paths[0], 0, 0x10) }},
		{name: "a sequence is wrong by little", stopped: func(_ *testing.T, _ string, paths []string) error { return flipField(paths[0], 4, 0x01) }},
		{name: "a sequence is wrong by some", stopped: func(_ *testing.T, _ string, paths []string) error { return flipField(paths[0], 5, 0x10) }},
		{name: "a block and the index are gone", few: true, stopped: func(_ *testing.T, _ string, paths []string) error {
			if err := os.Remove(filepath.Join(filepath.Dir(paths[0]), "index.db")); err != nil {
				return err
			}
			return os.Remove(paths[0])
		}},
		{name: "the tail is cut", stopped: func(_ *testing.T, _ string, paths []string) error {
			st, err := os.Stat(paths[len(paths)-1])
			if err != nil {
				return err
			}
			return os.Truncate(paths[len(paths)-1], st.Size()-5000)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 2))
			dir := t.TempDir()
			s := openBlocks(t, Config{Dir: dir, Sync: time.Second})
			logOf(t, s)
			fill(t, s, r, records)
			if test.running != nil {
				test.running(t, s)
				same(t, s, r)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			// Damage costs at most the records of the block it is in.
			least := recordsBeside(t, blocksOf(t, dir))
			if test.stopped != nil {
				if err := test.stopped(t, dir, blocksOf(t, dir)); err != nil {
					t.Fatal(err)
				}
			}
			s = openBlocks(t, Config{Dir: dir, Sync: time.Second})
			n := same(t, s, r)
			t.Logf("%d records from blocks", n)
			if !test.few && n < least {
				t.Errorf("%d records came from blocks, of at least %d", n, least)
			}
			if n := len(blocksOf(t, dir)); n < 2 && !test.few {
				t.Errorf("the log has %d block", n)
			}
			fill(t, s, r, 1000)
			same(t, s, r)
		})
	}
}

// recordsBeside counts the records of all blocks but the one that has the most.
func recordsBeside(t *testing.T, paths []string) (n uint64) {
	t.Helper()
	var most uint64
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var here uint64
		for len(raw) > 0 {
			if binary.LittleEndian.Uint64(raw[4:])&seqMarks == 0 { // neither erased nor a mark of a deletion
				here++
			}
			raw = raw[binary.LittleEndian.Uint32(raw)&^recordHeaders:]
		}
		n, most = n+here, max(most, here)
	}
	return n - most
}

// recordAt returns where in a block the record begins that has byte i.
func recordAt(raw []byte, i int) int {
	start := 0
	for {
		next := start + int(binary.LittleEndian.Uint32(raw[start:])&^recordHeaders)
		if next > i {
			return start
		}
		start = next
	}
}

// TestUnsafeBlocks shows that a block which would make the server take all memory
// is not loaded: that the sequence of a record is put back where its checksum
// says which it was, and that otherwise the error says where the damage is,
// however the log is read, until a start without what is lost.
func TestUnsafeBlocks(t *testing.T) {
	const records = 12_000
	for _, bit := range []int{0, 12, 35, 47, 61} {
		dir := t.TempDir()
		s := openBlocks(t, Config{Dir: dir, Sync: time.Second})
		logOf(t, s)
		r := rand.New(rand.NewPCG(7, 7))
		fill(t, s, r, records)
		path := blocksOf(t, dir)[0]
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		start := recordAt(whole, len(whole)/2)
		damage := func(more ...int) {
			raw := slices.Clone(whole)
			raw[start+4+bit/8] ^= 1 << (bit % 8)
			for _, i := range more {
				raw[start+i] ^= 1
			}
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		again := func(between func()) {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			between()
			s = openBlocks(t, Config{Dir: dir, Sync: time.Second})
		}
		mended := func(when string) {
			t.Helper()
			if n := same(t, s, r); n == 0 {
				t.Errorf("bit %d, %s: no record came from blocks", bit, when)
			}
			if got := readAll(t, s, false, 0, records); len(got) != records {
				t.Errorf("bit %d, %s: %d records are left of %d", bit, when, len(got), records)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) {
				t.Errorf("bit %d, %s: the block is not as it was: %v", bit, when, err)
			}
		}
		damage()
		mended("while it runs")
		again(func() { damage() })
		mended("at the start")

		if bit < 32 {
			continue // which the server can load as it is
		}
		again(func() {})
		damage(21 + recordChecksum)
		for _, read := range []struct {
			name         string
			min          uint64
			after, until uint64
		}{
			{"from blocks", 1, 0, records},
			{"by a consumer", 1 << 62, 0, records},
			{"by a consumer before it", 1 << 62, 10, 20},
			{"following", 1, 0, 0},
			{"following by a consumer", 1 << 62, records - 100, 0},
		} {
			s.blocksMin = read.min
			l := &log{server: s, name: "a"}
			var last error
			for _, err := range l.Read(t.Context(), read.after, read.until) {
				last = err
			}
			want := fmt.Sprintf("block %s is damaged at byte %d", path, start)
			if !errors.Is(last, errUnsafe) || !strings.Contains(last.Error(), want) {
				t.Errorf("bit %d, %s: %v, want: %s", bit, read.name, last, want)
			}
		}
		again(func() {})
		if n := len(readAll(t, s, false, 0, records)); n == 0 || n >= records {
			t.Errorf("bit %d: %d records are left of %d", bit, n, records)
		}
		fill(t, s, r, 10)
		same(t, s, r)
	}
}

func purge(t *testing.T, s *Server, opts ...natsjs.StreamPurgeOpt) {
	t.Helper()
	stream, err := s.js.Stream(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), opts...); err != nil {
		t.Fatal(err)
	}
}

// A record whose checksum is wrong is never handed over from a block, whatever
// bit it is that is wrong, and neither is one behind a gap that nobody knows of.
func TestDamagedBlocksTellNothing(t *testing.T) {
	dir := t.TempDir()
	s := openBlocks(t, Config{Dir: dir, Sync: time.Second})
	logOf(t, s)
	r := rand.New(rand.NewPCG(3, 3))
	fill(t, s, r, 300)
	want := readAll(t, s, false, 0, 300)
	path := blocksOf(t, dir)[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l := &log{server: s, name: "a"}
	for i := range 400 {
		raw := slices.Clone(whole)
		switch i % 4 {
		case 0: // a record is missing
			at := r.IntN(200)
			start := 0
			for range at {
				start += int(binary.LittleEndian.Uint32(raw[start:]) &^ recordHeaders)
			}
			raw = slices.Delete(raw, start, start+int(binary.LittleEndian.Uint32(raw[start:])&^recordHeaders))
		case 1:
			raw = raw[:r.IntN(len(raw))]
		default:
			at := r.IntN(min(len(raw), 60_000))
			raw[at] ^= 1 << r.IntN(8)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s.blocksMin = 1
		b := l.blocks(0, 300)
		n := 0
		_, _, err := b.read(context.Background(), func(batch []views.Record) bool {
			for _, rec := range batch {
				w := want[n]
				subject := rec.Subject == w.Subject && bytes.Equal(rec.Payload, w.Payload)
				// The checksum does not cover where the subject ends.
				moved := rec.Subject+string(rec.Payload) == w.Subject+string(w.Payload)
				if rec.Seq != w.Seq || rec.Time != w.Time || !subject && !moved {
					t.Fatalf("damage %d: record %d is %d %q, want %d %q", i, n, rec.Seq, rec.Subject, w.Seq, w.Subject)
				}
				n++
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%4 < 2 && n == 300 {
			t.Fatalf("damage %d does not show", i)
		}
	}
}

// A reader of blocks keeps its records while others are published and retention
// removes what it reads.
func TestBlocksUnderRetention(t *testing.T) {
	s := openBlocks(t, Config{Sync: time.Second})
	if _, err := s.CreateLog(t.Context(), views.LogConfig{Name: "a", Subjects: []string{"a.>"}, MaxBytes: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(4, 4))
	fill(t, s, r, 5000)
	l := &log{server: s, name: "a"}
	for range 10 {
		st, err := l.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last := uint64(0)
		for batch, err := range l.Read(t.Context(), 0, st.Last) {
			if err != nil {
				t.Fatal(err)
			}
			for _, rec := range batch {
				if last != 0 && rec.Seq != last+1 && rec.Seq < st.First {
					t.Fatalf("record %d after %d, and the log begins at %d", rec.Seq, last, st.First)
				}
				last = rec.Seq
			}
			fill(t, s, r, 300)
		}
		if last != st.Last {
			now, err := l.State(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if now.First <= st.Last {
				t.Fatalf("read up to %d of %d, and the log begins at %d", last, st.Last, now.First)
			}
		}
	}
	if s.fromBlocks.Load() == 0 {
		t.Error("nothing was read from blocks")
	}
}
