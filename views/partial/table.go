package partial

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"math"
	"slices"
	"sync"

	"weir/views/column"
)

// A Table holds partial states by group key. It has one owner while it is
// filled; once filled it may be read by many.
type Table struct {
	specs  []Spec
	states []States
	room   int // of groups that the states have room for

	keys []byte   // all keys, one behind the other
	ends []uint32 // ends[i] is where key i ends; a table is kept far below 4 GiB of keys
	hash []uint64
	slot []uint32 // open addressing: group number + 1, or 0

	sortOnce sync.Once
	sorted   []uint32

	whole bool // keys are kept whole, however long

	groups    []uint32 // scratch of Add
	key, prev []byte
	rows      rowCache

	dict   []string   // of the codes that ofCode is for
	ofCode []uint32   // group + 1, or 0
	ofInt  []intGroup // by hash
}

// seed is that of all tables, so that a group that goes from one to another
// keeps its hash.
var seed = maphash.MakeSeed()

// NewTable returns an empty table for the aggregates of a view.
func NewTable(specs []Spec) *Table {
	t := &Table{specs: specs, slot: make([]uint32, 64)}
	t.states = make([]States, len(specs))
	for i, s := range specs {
		t.states[i] = NewStates(s)
	}
	return t
}

// New returns an empty table for the same aggregates.
func (t *Table) New() *Table { return NewTable(t.specs) }

// KeepKeys makes Add keep texts of any length whole, for a table that is not
// going to be stored.
func (t *Table) KeepKeys() { t.whole = true }

// WithoutStates returns a table of the same keys that has nothing else. Of it
// only Len and Key may be asked. t must not change any more.
func (t *Table) WithoutStates() *Table { return &Table{keys: t.keys, ends: t.ends} }

// Specs returns the aggregates that the table was made for.
func (t *Table) Specs() []Spec { return t.specs }

// Len returns the number of groups.
func (t *Table) Len() int { return len(t.ends) }

// Key returns the key of group i.
func (t *Table) Key(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = t.ends[i-1]
	}
	return t.keys[start:t.ends[i]]
}

// States returns the states of aggregate k.
func (t *Table) States(k int) States { return t.states[k] }

// Groups returns the groups of the rows that Add took last, in their order.
func (t *Table) Groups() []uint32 { return t.groups }

// Group returns the number of the group with the key, making it if need be.
func (t *Table) Group(key []byte) int { return int(t.group(key, maphash.Bytes(seed, key))) }

func (t *Table) group(key []byte, h uint64) uint32 {
	mask := uint64(len(t.slot) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		g := t.slot[at]
		if g == 0 {
			return t.insert(key, h, at)
		}
		if t.hash[g-1] == h && bytes.Equal(t.Key(int(g-1)), key) {
			return g - 1
		}
	}
}

func (t *Table) insert(key []byte, h, at uint64) uint32 {
	n := len(t.ends)
	t.keys = append(t.keys, key...)
	t.ends = append(t.ends, uint32(len(t.keys)))
	t.hash = append(t.hash, h)
	t.slot[at] = uint32(n + 1)
	if n >= t.room {
		t.room = max(n+1, 2*t.room)
		for _, s := range t.states {
			s.Grow(t.room)
		}
	}
	if 4*len(t.ends) > 3*len(t.slot) {
		t.rehash()
	}
	return uint32(n)
}

func (t *Table) rehash() {
	t.slot = make([]uint32, 2*len(t.slot))
	mask := uint64(len(t.slot) - 1)
	for g, h := range t.hash {
		at := h & mask
		for t.slot[at] != 0 {
			at = (at + 1) & mask
		}
		t.slot[at] = uint32(g + 1)
	}
}

// Lookup returns the number of the group with the key, or -1.
func (t *Table) Lookup(key []byte) int {
	h := maphash.Bytes(seed, key)
	mask := uint64(len(t.slot) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		g := t.slot[at]
		if g == 0 {
			return -1
		}
		if t.hash[g-1] == h && bytes.Equal(t.Key(int(g-1)), key) {
			return int(g - 1)
		}
	}
}

// Add takes the rows of a batch into their groups. keys are the columns of the
// group key, args the arguments of each aggregate.
func (t *Table) Add(rows []uint32, keys []*column.Vector, args [][]*column.Vector) {
	t.groups = t.groups[:0]
	switch {
	case len(keys) == 1 && t.addOne(rows, keys[0]), t.addRows(rows, keys):
		// There is no key to be made for most rows.
	default:
		t.addKeys(rows, keys)
	}
	for k, s := range t.states {
		s.Add(t.groups, rows, args[k])
	}
}

// addKeys finds the groups of rows.
func (t *Table) addKeys(rows []uint32, keys []*column.Vector) {
	limit := t.limit()
	var last uint32
	for n, r := range rows {
		t.key = appendRowKey(t.key[:0], keys, int(r), limit)
		// Neighbouring events often share their group: compare before hashing.
		if n == 0 || !bytes.Equal(t.key, t.prev) {
			last = uint32(t.Group(t.key))
			t.key, t.prev = t.prev, t.key
		}
		t.groups = append(t.groups, last)
	}
}

func (t *Table) limit() int {
	if t.whole {
		return math.MaxInt
	}
	return textMax
}

// addOne finds the groups of rows by a key of one column, if that can be done
// without their keys: of texts by their codes, and of whole numbers.
func (t *Table) addOne(rows []uint32, v *column.Vector) bool {
	switch {
	case v.Codes != nil && len(v.Dict) > 0:
		t.addCodes(rows, v)
	case len(rows) >= ofIntLeast && (v.Kind == column.Int || v.Kind == column.Time || v.Kind == column.Dec || v.Kind == column.Uint):
		t.addInts(rows, v)
	default:
		return false
	}
	return true
}

// rowGroup finds the group of one row.
func (t *Table) rowGroup(v *column.Vector, r uint32) uint32 {
	t.key = appendVectorKey(t.key[:0], v, int(r), t.limit())
	return uint32(t.Group(t.key))
}

func (t *Table) addCodes(rows []uint32, v *column.Vector) {
	if len(t.dict) != len(v.Dict) || &t.dict[0] != &v.Dict[0] {
		t.dict = v.Dict
		t.ofCode = make([]uint32, len(v.Dict))
	}
	for _, r := range rows {
		if v.Null != nil && v.Null[r] {
			t.groups = append(t.groups, t.rowGroup(v, r))
			continue
		}
		g := t.ofCode[v.Codes[r]]
		if g == 0 {
			g = t.rowGroup(v, r) + 1
			t.ofCode[v.Codes[r]] = g
		}
		t.groups = append(t.groups, g-1)
	}
}

const (
	ofIntBits = 10 // of how many numbers a table remembers the groups, as a power of two
	// ofIntLeast is for how many rows at once that is worth its memory.
	ofIntLeast = 256
)

// An intGroup is the group of a number, plus one.
type intGroup struct {
	x int64
	g uint32
}

func (t *Table) addInts(rows []uint32, v *column.Vector) {
	if t.ofInt == nil {
		t.ofInt = make([]intGroup, 1<<ofIntBits)
	}
	for _, r := range rows {
		if v.Null != nil && v.Null[r] {
			t.groups = append(t.groups, t.rowGroup(v, r))
			continue
		}
		x := v.I[r]
		at := &t.ofInt[uint64(x)*0x9e3779b97f4a7c15>>(64-ofIntBits)]
		if at.g == 0 || at.x != x {
			*at = intGroup{x, t.rowGroup(v, r) + 1}
		}
		t.groups = append(t.groups, at.g-1)
	}
}

// appendRowKey appends the group key of a row.
func appendRowKey(key []byte, keys []*column.Vector, row, limit int) []byte {
	if len(keys) == 0 {
		return append(key, emptyKey)
	}
	for _, v := range keys {
		key = appendVectorKey(key, v, row, limit)
	}
	return key
}

// EmptyKey is the key of the only group of a view without group key.
func EmptyKey() []byte { return []byte{emptyKey} }

// Merge combines every group of from, which has the same aggregates, into t.
func (t *Table) Merge(from *Table) {
	for j, h := range from.hash {
		t.MergeInto(int(t.group(from.Key(j), h)), from, j)
	}
}

// MergeGroup combines group j of from into t.
func (t *Table) MergeGroup(from *Table, j int) {
	t.MergeInto(int(t.group(from.Key(j), from.hash[j])), from, j)
}

// MergeInto combines group j of from into group i of t, whatever their keys.
func (t *Table) MergeInto(i int, from *Table, j int) {
	for k, s := range t.states {
		s.Merge(i, from.states[k], j)
	}
}

// ClearStates makes the states of the first n groups those of no events.
func (t *Table) ClearStates(n int) {
	for _, s := range t.states {
		s.Clear(n)
	}
}

// Decode combines the stored states of a group into group i.
func (t *Table) Decode(i int, stored []byte) error {
	var err error
	for _, s := range t.states {
		if stored, err = s.Decode(i, stored); err != nil {
			return err
		}
	}
	return nil
}

// DecodeSome is Decode of the first n aggregates; it passes over the others.
func (t *Table) DecodeSome(i, n int, stored []byte) error {
	var err error
	for _, s := range t.states[:n] {
		if stored, err = s.Decode(i, stored); err != nil {
			return err
		}
	}
	return nil
}

// Append appends the stored states of group i.
func (t *Table) Append(dst []byte, i int) []byte {
	for _, s := range t.states {
		dst = s.Append(dst, i)
	}
	return dst
}

// Sorted returns the numbers of the groups in the order of their keys. The
// table must not change any more.
func (t *Table) Sorted() []uint32 {
	t.sortOnce.Do(func() {
		heads, skip := t.heads()
		slices.SortFunc(heads, func(a, b head) int {
			if a.bytes != b.bytes {
				return cmp.Compare(a.bytes, b.bytes)
			}
			return bytes.Compare(t.Key(int(a.group))[skip:], t.Key(int(b.group))[skip:])
		})
		t.sorted = make([]uint32, len(heads))
		for i := range heads {
			t.sorted[i] = heads[i].group
		}
	})
	return t.sorted
}

// A head is the first bytes in which the keys of a table differ, which tell most
// of them apart without a look at the keys themselves.
type head struct {
	bytes uint64 // the first is the highest; zeros behind a key that is shorter
	group uint32
}

// heads returns those of all keys, and how many bytes are the same in all.
func (t *Table) heads() (heads []head, skip int) {
	heads = make([]head, t.Len())
	for i := range heads {
		key := t.Key(i)
		if i == 0 {
			skip = len(key)
		}
		first := t.Key(0)
		skip = min(skip, len(key))
		for n := range skip {
			if key[n] != first[n] {
				skip = n
				break
			}
		}
	}
	for i := range heads {
		var b [8]byte
		copy(b[:], t.Key(i)[skip:])
		heads[i] = head{binary.BigEndian.Uint64(b[:]), uint32(i)}
	}
	return heads, skip
}

// Reset empties the table, keeping its memory.
func (t *Table) Reset() {
	n := t.Len()
	for _, s := range t.states {
		s.Clear(n)
	}
	t.keys, t.ends, t.hash = t.keys[:0], t.ends[:0], t.hash[:0]
	clear(t.slot)
	clear(t.ofCode)
	clear(t.ofInt)
	t.sortOnce, t.sorted = sync.Once{}, nil
}
