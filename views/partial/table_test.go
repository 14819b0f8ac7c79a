package partial

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/views/column"
)

var tableSpecs = []Spec{
	{Func: CountAll, Result: column.Bigint},
	{Func: Sum, Arg: column.Bigint, Result: SumType(column.Bigint)},
	{Func: Max, Arg: column.Text, Result: column.Text},
	{Func: CountDistinct, Arg: column.Bigint, Result: column.Bigint},
	{Func: ApproxPercentile, Arg: column.Double, Result: column.Double, Param: 0.5},
}

// tableRows adds n random rows to t and to count, which has them by key.
func tableRows(r *rand.Rand, t *Table, n, keys int, count map[string]int64) {
	b := column.Batch{Len: n}
	key, text, num, float := b.New(column.Int), b.New(column.String), b.New(column.Int), b.New(column.Float)
	name := b.New(column.String)
	var rows []uint32
	for i := range n {
		key.I[i], text.S[i], num.I[i], float.F[i] = int64(r.IntN(keys)), fmt.Sprint(r.IntN(9)), int64(r.IntN(100)), r.Float64()
		name.S[i] = fmt.Sprintf("n%d", key.I[i]%3)
		if r.IntN(20) == 0 {
			key.SetNull(i, n)
		}
		if r.IntN(3) > 0 { // the others are not among the rows to take
			rows = append(rows, uint32(i))
			count[string(AppendKey(AppendKey(nil, key.Value(i)), name.Value(i)))]++
		}
	}
	t.Add(rows, []*column.Vector{key, name}, [][]*column.Vector{nil, {num}, {text}, {num}, {float}})
}

func checkTable(t *testing.T, table *Table, want map[string]int64) {
	t.Helper()
	if table.Len() != len(want) {
		t.Fatalf("%d groups, want %d", table.Len(), len(want))
	}
	keys := slices.Sorted(maps.Keys(want))
	for n, i := range table.Sorted() {
		if string(table.Key(int(i))) != keys[n] {
			t.Fatalf("group %d in order is %x, want %x", n, table.Key(int(i)), keys[n])
		}
		if got := table.States(0).Value(int(i)).I; got != want[keys[n]] {
			t.Fatalf("group %x counts %d, want %d", keys[n], got, want[keys[n]])
		}
		if table.Lookup([]byte(keys[n])) != int(i) {
			t.Fatalf("Lookup does not find group %x", keys[n])
		}
	}
	if table.Lookup([]byte("no such key")) != -1 {
		t.Fatal("Lookup finds a key that was never put")
	}
}

func TestTable(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, keys := range []int{1, 10, 5000} {
		want := map[string]int64{}
		table := NewTable(tableSpecs)
		for range 5 {
			tableRows(r, table, 3000, keys, want)
		}
		checkTable(t, table, want)

		// Again in the same memory, nothing of it shows.
		table.Reset()
		if table.Len() != 0 || table.Lookup(AppendKey(nil, column.Null)) != -1 {
			t.Fatal("a table that was reset has groups")
		}
		again := map[string]int64{}
		tableRows(r, table, 2000, keys+7, again)
		checkTable(t, table, again)

		// Merged and stored tables add up.
		other := table.New()
		tableRows(r, other, 1500, keys, again)
		sum := table.New()
		sum.Merge(table)
		sum.Merge(other)
		checkTable(t, sum, again)
		table = sum
		stored := table.New()
		for i := range table.Len() {
			g := stored.Group(table.Key(i))
			if err := stored.Decode(g, table.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(stored.Append(nil, g), table.Append(nil, i)) {
				t.Fatalf("group %d is stored as %x, then as %x", i, table.Append(nil, i), stored.Append(nil, g))
			}
		}
		checkTable(t, stored, again)
	}
}

// Keys whose hashes fall into one slot, or are equal, stay different groups.
func TestTableCollisions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := NewTable(tableSpecs[:1])
		groups := map[string]uint32{}
		keys := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 3), 1, 200).Draw(t, "keys")
		hash := rapid.SampledFrom([]uint64{0, 63, 1<<64 - 1}).Draw(t, "hash")
		for _, k := range keys {
			g := table.group(k, hash)
			if old, ok := groups[string(k)]; ok && old != g {
				t.Fatalf("key %x is group %d, then %d", k, old, g)
			}
			groups[string(k)] = g
		}
		if table.Len() != len(groups) {
			t.Fatalf("%d groups of %d keys", table.Len(), len(groups))
		}
		for k, g := range groups {
			if string(table.Key(int(g))) != k {
				t.Fatalf("group %d has the key %x, want %x", g, table.Key(int(g)), k)
			}
		}
	})
}

// A view without group key has one group, whose key is a key like any other.
// TestTableOneKey groups by one column in the ways that make no keys: by the
// codes of texts, of two dictionaries and none, and by whole numbers.
func TestTableOneKey(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, kind := range []column.Kind{column.String, column.Int, column.Uint, column.Time} {
		table := NewTable([]Spec{{Func: CountAll, Result: column.Bigint}})
		table.KeepKeys()
		count := map[string]int64{}
		for round := range 6 {
			const n = 2000
			b := column.Batch{Len: n}
			v := b.New(kind)
			if kind == column.String && round%3 < 2 {
				v.Codes = make([]uint32, n)
				for k := range 50 {
					v.Dict = append(v.Dict, fmt.Sprintf("t%d", (k+round)%70)) // another dictionary each time
				}
			}
			var rows []uint32
			for i := range n {
				x := r.IntN(50)
				switch {
				case v.Codes != nil:
					v.Codes[i], v.S[i] = uint32(x), v.Dict[x]
				case kind == column.String:
					v.S[i] = fmt.Sprintf("t%d", x)
				default:
					v.I[i] = int64(x*x*x)<<(10*round) - 3
				}
				if r.IntN(20) == 0 {
					v.SetNull(i, n)
				}
				if r.IntN(3) > 0 {
					rows = append(rows, uint32(i))
					count[string(AppendKey(nil, v.Value(i)))]++
				}
			}
			if round == 3 {
				table.Reset()
				clear(count)
				for _, i := range rows {
					count[string(AppendKey(nil, v.Value(int(i))))]++
				}
			}
			table.Add(rows, []*column.Vector{v}, [][]*column.Vector{nil})
		}
		checkTable(t, table, count)
	}
}

func TestTableWithoutKey(t *testing.T) {
	table := NewTable(tableSpecs[:1])
	table.Add([]uint32{0, 1, 2}, nil, [][]*column.Vector{nil})
	if table.Len() != 1 || table.Lookup(EmptyKey()) != 0 || table.States(0).Value(0).I != 3 {
		t.Errorf("%d groups, the empty key is %d", table.Len(), table.Lookup(EmptyKey()))
	}
}
