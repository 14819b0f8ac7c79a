package views

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"weir/views/column"
	"weir/views/partial"
)

// benchStore is a file with n rows of a key of 16 bytes and three aggregates.
func benchStore(b *testing.B, n int) (*store, *partial.Table) {
	b.Helper()
	specs := []partial.Spec{
		{Func: partial.CountAll, Result: column.Bigint},
		{Func: partial.Min, Arg: column.Bigint, Result: column.Bigint},
		{Func: partial.Max, Arg: column.Bigint, Result: column.Bigint},
	}
	meta := storeMeta{}
	meta.openEpoch()
	s, err := createStore(filepath.Join(b.TempDir(), "v.db"), specs, meta)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.db.Close() })
	t := partial.NewTable(specs)
	for i := range n {
		t.Group(partial.AppendKey(nil, column.Value{Kind: column.String, S: fmt.Sprintf("key-%010d", i)}))
	}
	write(b, s, t)
	return s, t
}

func write(b *testing.B, s *store, t *partial.Table) {
	b.Helper()
	if err := s.update(func(tx *bolt.Tx, m *storeMeta) error { return s.combine(tx, m.open().rowset(), t, nil) }); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkVerify is what the verification at start takes for 100,000 rows.
func BenchmarkVerify(b *testing.B) {
	s, _ := benchStore(b, 100_000)
	for b.Loop() {
		if err := s.verify(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWalk is the same without checksums.
func BenchmarkWalk(b *testing.B) {
	s, _ := benchStore(b, 100_000)
	for b.Loop() {
		n := 0
		err := s.db.View(func(tx *bolt.Tx) error {
			return tx.Bucket(rowsBucket(1)).ForEach(func(_, _ []byte) error { n++; return nil })
		})
		if err != nil || n != 100_000 {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkCombine is a commit of 10,000 of 100,000 rows.
func BenchmarkCombine(b *testing.B) {
	s, all := benchStore(b, 100_000)
	t := all.New()
	for i := 0; i < all.Len(); i += 10 {
		t.MergeGroup(all, i)
	}
	t.Sorted()
	for b.Loop() {
		write(b, s, t)
	}
}

// BenchmarkCheckOf is the checksum of one row.
func BenchmarkCheckOf(b *testing.B) {
	key, states := make([]byte, 16), make([]byte, 40)
	for b.Loop() {
		checkOf(7, key, states)
	}
}

// BenchmarkAppendRun is what it takes to keep the runs between two commits
// few: 50 batches of some 80 groups, of 400 that there are.
func BenchmarkAppendRun(b *testing.B) {
	specs := []partial.Spec{{Func: partial.CountAll, Result: column.Bigint}, {Func: partial.Max, Arg: column.Bigint, Result: column.Bigint}}
	r := rand.New(rand.NewPCG(1, 2))
	var batches []*run
	for n := range uint64(50) {
		t := partial.NewTable(specs)
		for range 90 {
			t.Group(partial.AppendKey(nil, column.Value{Kind: column.String, S: fmt.Sprintf("2026-11-23 20:00 /section/page%03d", r.IntN(400))}))
		}
		batches = append(batches, &run{from: n, to: n + 1, span: noSpan, table: t})
	}
	b.ReportAllocs()
	for b.Loop() {
		var runs []*run
		for _, batch := range batches {
			runs = appendRun(runs, batch, 0)
		}
	}
}
