package partial

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"

	"github.com/shopspring/decimal"

	"weir/views/column"
)

// ErrWide is returned for a decimal that a vector of Dec has no room for.
var ErrWide = errors.New("partial: a decimal is beyond 63 bits")

// A Reader reads the stored states of single groups, each of which is all that
// there is of its group: those of common aggregates go right into vectors,
// those that nobody asks for are passed over.
type Reader struct {
	ops    []readOp // by aggregate, up to the last that is wanted
	states []States // of one group each, where an aggregate has no shorter way
	specs  []Spec
}

type readOp uint8

const (
	opSkip   readOp = iota
	opDirect        // into its vector
	opState         // into its state
)

// A Want says what a reader shall make of an aggregate.
type Want uint8

// What may be wanted: nothing, the value in a vector, the state itself.
const (
	WantNothing Want = iota
	WantValue
	WantState
)

// Direct says whether values of the aggregate can go right into vectors.
func Direct(s Spec) bool {
	switch s.Func {
	case CountAll, Count, Min, Max, Only:
		return true
	case Sum:
		switch s.Arg.Kind {
		case column.Float:
			return true
		case column.BigDec:
			return false
		}
		return s.Result.Kind == column.BigDec && s.Result.Scale == s.Arg.Scale
	}
	return false
}

// Narrow says whether values of the aggregate, whose kind is BigDec, are mostly
// small enough for a vector of Dec.
func Narrow(s Spec) bool { return s.Func == Sum && s.Result.Kind == column.BigDec && Direct(s) }

// NewReader returns a reader of what is wanted of each aggregate. A value that
// cannot go right into a vector is wanted as a state.
func NewReader(specs []Spec, wants []Want) *Reader {
	last := -1
	for k, w := range wants {
		if w != WantNothing {
			last = k
		}
	}
	r := &Reader{ops: make([]readOp, last+1), states: make([]States, last+1), specs: specs}
	for k := range r.ops {
		switch {
		case wants[k] == WantValue && Direct(specs[k]):
			r.ops[k] = opDirect
		case wants[k] == WantNothing && skips(specs[k]):
			r.ops[k] = opSkip
		default:
			r.ops[k] = opState
			r.states[k] = NewStates(specs[k])
			r.states[k].Grow(1)
		}
	}
	return r
}

// States returns the states of aggregate k, wanted as such, of the group read last.
func (r *Reader) States(k int) States { return r.states[k] }

// Read reads the stored states of one group. Values go into row i of n of the
// vectors in out, which has one for each aggregate whose value is wanted.
func (r *Reader) Read(stored []byte, out []*column.Vector, i, n int) (err error) {
	for k, op := range r.ops {
		switch op {
		case opDirect:
			stored, err = readInto(&r.specs[k], stored, out[k], i, n)
		case opSkip:
			stored, err = skip(&r.specs[k], stored)
		default:
			r.states[k].Clear(1)
			stored, err = r.states[k].Decode(0, stored)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readInto puts the value of a stored state into row i of n of v.
func readInto(s *Spec, src []byte, v *column.Vector, i, n int) ([]byte, error) {
	switch s.Func {
	case CountAll, Count:
		x, rest, err := uvarint(src)
		v.I[i] = int64(x)
		return rest, err
	case Sum:
		count, rest, err := uvarint(src)
		if err != nil || count == 0 {
			v.SetNull(i, n)
			return rest, err
		}
		if s.Arg.Kind == column.Float {
			return readFloatSum(rest, v, i, n)
		}
		return readIntSum(s, rest, v, i)
	}
	// MIN, MAX, and the value itself.
	if len(src) == 0 {
		return nil, errCorrupt
	}
	t := s.Arg
	if s.Func == Only {
		t = s.Result
	}
	switch {
	case src[0] == 0:
		v.SetNull(i, n)
		return src[1:], nil
	case t.Kind == column.Float:
		if len(src) < 9 {
			return nil, errCorrupt
		}
		v.F[i] = math.Float64frombits(binary.BigEndian.Uint64(src[1:]))
		return src[9:], nil
	case t.Kind.IsText(), t.Kind == column.BigDec:
		x, rest, err := readValue(src[1:], t)
		if err == nil {
			v.Set(i, n, x)
		}
		return rest, err
	}
	x, w := binary.Varint(src[1:])
	if w <= 0 {
		return nil, errCorrupt
	}
	v.I[i] = x
	return src[1+w:], nil
}

// readFloatSum reads what follows the count of a floatSums. It is Decode into
// an empty state, and Value.
func readFloatSum(src []byte, v *column.Vector, i, n int) ([]byte, error) {
	if len(src) < 16 {
		return nil, errCorrupt
	}
	one := floatSums{sum: []float64{0}, c: []float64{0}}
	one.plus(0, math.Float64frombits(binary.BigEndian.Uint64(src)))
	one.plus(0, math.Float64frombits(binary.BigEndian.Uint64(src[8:])))
	f := one.sum[0] + one.c[0]
	if math.IsNaN(f) || math.IsInf(f, 0) {
		v.SetNull(i, n)
	} else {
		v.F[i] = f
	}
	return src[16:], nil
}

// readIntSum reads what follows the count of an intSums.
func readIntSum(s *Spec, src []byte, v *column.Vector, i int) ([]byte, error) {
	if len(src) == 0 {
		return nil, errCorrupt
	}
	if src[0] == 0 {
		x, w := binary.Varint(src[1:])
		if w <= 0 {
			return nil, errCorrupt
		}
		if v.Kind == column.Dec {
			v.I[i] = x
		} else {
			v.D[i] = decimal.New(x, -int32(s.Arg.Scale))
		}
		return src[1+w:], nil
	}
	if len(src) < 17 {
		return nil, errCorrupt
	}
	if v.Kind == column.Dec {
		return nil, ErrWide
	}
	one := intSums{argScale: s.Arg.Scale, hi: []int64{int64(binary.BigEndian.Uint64(src[1:]))}, lo: []uint64{binary.BigEndian.Uint64(src[9:])}}
	v.D[i] = one.sum(0)
	return src[17:], nil
}

// skips says whether skip knows the aggregate.
func skips(s Spec) bool {
	switch s.Func {
	case CountAll, Count, Sum, Avg, Min, Max, Only, ApproxDistinct, BitAnd, BitOr, BitXor, VarPop, VarSamp, StddevPop, StddevSamp:
		return true
	case CountDistinct:
		return s.Arg.Kind.IsText()
	}
	return false
}

// skip returns what follows a stored state.
func skip(s *Spec, src []byte) ([]byte, error) {
	switch s.Func {
	case CountAll, Count, BitAnd, BitOr, BitXor:
		_, rest, err := uvarint(src)
		return rest, err
	case Sum, Avg:
		n, rest, err := uvarint(src)
		if err != nil || n == 0 {
			return rest, err
		}
		switch s.Arg.Kind {
		case column.Float:
			return after(rest, 16)
		case column.BigDec:
			_, rest, err = readBytes(rest)
			return rest, err
		}
		if len(rest) == 0 {
			return nil, errCorrupt
		}
		if rest[0] != 0 {
			return after(rest, 17)
		}
		_, w := binary.Varint(rest[1:])
		if w <= 0 {
			return nil, errCorrupt
		}
		return rest[1+w:], nil
	case VarPop, VarSamp, StddevPop, StddevSamp:
		n, rest, err := uvarint(src)
		if err != nil || n == 0 {
			return rest, err
		}
		return after(rest, 32)
	case ApproxDistinct:
		n, rest, err := uvarint(src)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			_, rest, err = readBytes(rest)
			return rest, err
		}
		if n--; n > hashesMax {
			return nil, errCorrupt
		}
		return after(rest, int(8*n))
	case CountDistinct:
		n, rest, err := uvarint(src)
		for ; err == nil && n > 0; n-- {
			_, rest, err = readBytes(rest)
		}
		return rest, err
	}
	// MIN, MAX, and the value itself.
	if len(src) == 0 {
		return nil, errCorrupt
	}
	t := s.Arg
	if s.Func == Only {
		t = s.Result
	}
	switch {
	case src[0] == 0:
		return src[1:], nil
	case t.Kind == column.Float:
		return after(src, 9)
	case t.Kind.IsText(), t.Kind == column.BigDec:
		_, rest, err := readBytes(src[1:])
		return rest, err
	}
	_, w := binary.Varint(src[1:])
	if w <= 0 {
		return nil, errCorrupt
	}
	return src[1+w:], nil
}

func after(src []byte, n int) ([]byte, error) {
	if len(src) < n {
		return nil, errCorrupt
	}
	return src[n:], nil
}

// internMax bounds the texts that an Interner keeps.
const internMax = 4096

// An Interner keeps texts that are met again and again, so that each is made
// once. It gives up where they are not.
type Interner struct {
	last  string
	texts map[string]string
	over  bool
}

func (in *Interner) text(b []byte) string {
	if in.last == string(b) {
		return in.last
	}
	if in.over {
		return string(b)
	}
	s, ok := in.texts[string(b)]
	if !ok {
		if in.texts == nil {
			in.texts = map[string]string{}
		}
		if len(in.texts) >= internMax {
			in.over, in.texts = true, nil
			return string(b)
		}
		s = string(b)
		in.texts[s] = s
	}
	in.last = s
	return s
}

// ReadKeyInto puts the first value of a stored key, of the type it was appended
// with, into row i of n of v, and returns the rest of the key.
func ReadKeyInto(key []byte, t column.Type, v *column.Vector, i, n int, in *Interner) (rest []byte, err error) {
	if len(key) == 0 {
		return nil, errCorrupt
	}
	if key[0] == tagNull {
		v.SetNull(i, n)
		return key[1:], nil
	}
	switch {
	case t.Kind.IsText():
		at := bytes.IndexByte(key[1:], 0) + 1
		if at == 0 || at+1 >= len(key) || key[at+1] != 0 { // there is a zero byte within
			v.S[i], rest, err = readTextKey(key[1:])
			return rest, err
		}
		v.S[i] = in.text(key[1:at])
		return key[at+2:], nil
	case t.Kind == column.BigDec:
		v.D[i], rest, err = readDecimalKey(key[1:])
		return rest, err
	case len(key) < 9:
		return nil, errCorrupt
	}
	bits := binary.BigEndian.Uint64(key[1:])
	switch t.Kind {
	case column.Float:
		v.F[i] = bitsFloat(bits)
	case column.Uint:
		v.I[i] = int64(bits)
	default:
		v.I[i] = int64(bits ^ 1<<63)
	}
	return key[9:], nil
}
