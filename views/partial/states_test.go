package partial

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"weir/views/column"
)

// vectorOf returns a vector with the values.
func vectorOf(typ column.Type, values ...column.Value) *column.Vector {
	b := column.Batch{Len: len(values)}
	v := b.New(typ.Kind)
	v.Scale = typ.Scale
	for i, x := range values {
		v.Set(i, len(values), x)
	}
	return v
}

// everySpec has each aggregate of each type that it takes, but Only.
var everySpec = func() (specs []Spec) {
	specs = append(specs, Spec{Func: CountAll, Result: column.Bigint})
	for _, t := range everyType {
		specs = append(specs,
			Spec{Func: Count, Arg: t, Result: column.Bigint},
			Spec{Func: Min, Arg: t, Result: t},
			Spec{Func: Max, Arg: t, Result: t},
			Spec{Func: CountDistinct, Arg: t, Result: column.Bigint},
			Spec{Func: ApproxDistinct, Arg: t, Result: column.Bigint})
		switch t.Kind {
		case column.Int, column.Uint, column.Dec, column.BigDec, column.Float:
			specs = append(specs, Spec{Func: Sum, Arg: t, Result: SumType(t)}, Spec{Func: Avg, Arg: t, Result: AvgType(t)})
		}
	}
	for _, p := range []float64{0, 0.5, 0.95, 1} {
		specs = append(specs, Spec{Func: ApproxPercentile, Arg: column.Double, Result: column.Double, Param: p})
	}
	for i, t := range everyType {
		specs = append(specs,
			Spec{Func: First, Arg: t, Result: t, Param: float64(i)},
			Spec{Func: Last, Arg: t, Result: t, Param: float64(len(everyType) - 1 - i)},
			Spec{Func: AnyValue, Arg: t, Result: t},
			Spec{Func: ApproxTopK, Arg: t, Result: column.Text, Param: 3})
		switch t.Kind {
		case column.Int, column.Uint, column.Dec, column.BigDec, column.Float:
			for _, f := range []Func{BitAnd, BitOr, BitXor} {
				specs = append(specs, Spec{Func: f, Arg: t, Result: column.Unsigned})
			}
		}
	}
	for _, f := range []Func{VarPop, VarSamp, StddevPop, StddevSamp} {
		specs = append(specs, Spec{Func: f, Arg: column.Double, Result: column.Double})
	}
	return specs
}()

// An event has the arguments of an aggregate.
type event struct {
	column.Value // x
	by           column.Value
	seq          int64
}

// byType is the type of by. Specs of FIRST and LAST have no use for Param, so
// here it chooses the type.
func (s Spec) byType() column.Type { return everyType[int(s.Param)] }

// eventsOf gives values the sequences of their order.
func eventsOf(values ...column.Value) []event {
	events := make([]event, len(values))
	for i, v := range values {
		events[i] = event{Value: v, seq: int64(i + 1)}
	}
	return events
}

func (s Spec) String() string { return fmt.Sprintf("aggregate %d of %v (%g)", s.Func, s.Arg, s.Param) }

// forEach runs a property for each aggregate.
func forEach(t *testing.T, property func(t *rapid.T, spec Spec)) {
	t.Helper()
	for i, spec := range everySpec {
		t.Run(fmt.Sprintf("%d %s", i, strings.ReplaceAll(spec.Arg.SQL, "/", "")), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { property(t, spec) })
		})
	}
}

// drawEvents draws arguments of an aggregate.
func drawEvents(t *rapid.T, spec Spec) []event {
	typ := spec.Arg
	if spec.Func == CountAll {
		typ = column.Bigint
	}
	events := eventsOf(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) column.Value {
		v := drawValue(t, typ)
		if v.Kind == column.Float && addsUp(spec) {
			v.F = math.Mod(v.F, 1e12) // a sum beyond the range of DOUBLE is another matter
		}
		if v.Kind == column.Float && spec.Func == ApproxPercentile {
			v.F = math.Mod(v.F, 1e100)
		}
		return v
	}), 0, 12).Draw(t, "events")...)
	if spec.Func == First || spec.Func == Last {
		for i := range events {
			events[i].by = drawValue(t, spec.byType())
			if i > 0 && rapid.IntRange(0, 2).Draw(t, "tie") == 0 {
				events[i].by = events[i-1].by
			}
		}
	}
	return events
}

// addsUp says whether the result for DOUBLEs has errors of rounding.
func addsUp(spec Spec) bool {
	switch spec.Func {
	case Sum, Avg, VarPop, VarSamp, StddevPop, StddevSamp:
		return true
	}
	return false
}

// fold takes events into state 0 of fresh states.
func fold(spec Spec, events ...event) States {
	s := NewStates(spec)
	s.Grow(1)
	add(s, spec, 0, events)
	return s
}

func add(s States, spec Spec, group uint32, events []event) {
	if len(events) == 0 {
		return
	}
	groups, rows := make([]uint32, len(events)), make([]uint32, len(events))
	var x, by, seq []column.Value
	for i, e := range events {
		groups[i], rows[i] = group, uint32(i)
		x, by, seq = append(x, e.Value), append(by, e.by), append(seq, column.Value{Kind: column.Uint, I: e.seq})
	}
	var args []*column.Vector
	if spec.Func != CountAll {
		args = append(args, vectorOf(spec.Arg, x...))
	}
	if spec.Func == First || spec.Func == Last {
		args = append(args, vectorOf(spec.byType(), by...))
	}
	if spec.Func == First || spec.Func == Last || spec.Func == AnyValue {
		args = append(args, vectorOf(column.Unsigned, seq...))
	}
	s.Add(groups, rows, args)
}

func sameResult(spec Spec, a, b column.Value) bool {
	if spec.Arg.Kind == column.Float && addsUp(spec) && !a.IsNull() && !b.IsNull() {
		return math.Abs(a.F-b.F) <= 1e-9*max(1, math.Abs(a.F), math.Abs(b.F))
	}
	return a.Kind == b.Kind && compareValues(a, b) == 0
}

// However events are divided, ordered, merged and stored on the way, the
// result is that of taking them one after the other.
func TestDivisionDoesNotShow(t *testing.T) {
	forEach(t, func(t *rapid.T, spec Spec) {
		events := drawEvents(t, spec)
		want := fold(spec, events...).Value(0)

		shuffled := rapid.Permutation(events).Draw(t, "order")
		total := NewStates(spec)
		total.Grow(1)
		for len(shuffled) > 0 {
			n := rapid.IntRange(1, len(shuffled)).Draw(t, "part")
			part := fold(spec, shuffled[:n]...)
			shuffled = shuffled[n:]
			switch rapid.IntRange(0, 2).Draw(t, "way") {
			case 0:
				total.Merge(0, part, 0)
			case 1:
				decode(t, total, part.Append(nil, 0))
			default:
				// The part is the one that is added to.
				decode(t, part, total.Append(nil, 0))
				total = part
			}
		}
		if got := total.Value(0); !sameResult(spec, got, want) {
			t.Fatalf("%v: %v, want %v", spec, got, want)
		}
		switch spec.Func {
		case First, Last, AnyValue, BitAnd, BitOr, BitXor, CountDistinct, ApproxDistinct, ApproxPercentile, ApproxTopK:
			if got, want := total.Append(nil, 0), fold(spec, events...).Append(nil, 0); !bytes.Equal(got, want) {
				t.Fatalf("%v: stored as %x, want %x", spec, got, want)
			}
		}
	})
}

func decode(t *rapid.T, s States, stored []byte) {
	t.Helper()
	src := append(slices.Clone(stored), "rest"...)
	rest, err := s.Decode(0, src)
	if err != nil {
		t.Fatal(err)
	}
	if string(rest) != "rest" {
		t.Fatalf("Decode leaves %q", rest)
	}
	for i := range src {
		src[i] = '!' // Decode keeps no reference to it
	}
}

// No events, as a state or stored, change nothing they are combined with.
func TestNoEventsAreTheIdentity(t *testing.T) {
	forEach(t, func(t *rapid.T, spec Spec) {
		s := fold(spec, drawEvents(t, spec)...)
		stored := s.Append(nil, 0)
		none := fold(spec)
		s.Merge(0, none, 0)
		decode(t, s, none.Append(nil, 0))
		if got := s.Append(nil, 0); !bytes.Equal(got, stored) {
			t.Fatalf("%v: %x became %x", spec, stored, got)
		}
	})
}

// A state is the same again after it was stored, to the byte but for floating
// sums, whose two parts may be divided otherwise.
func TestStoredFormsAreStable(t *testing.T) {
	forEach(t, func(t *rapid.T, spec Spec) {
		s := fold(spec, drawEvents(t, spec)...)
		again := NewStates(spec)
		again.Grow(1)
		decode(t, again, s.Append(nil, 0))
		if got, want := again.Value(0), s.Value(0); !sameResult(spec, got, want) {
			t.Fatalf("%v: %v, want %v", spec, got, want)
		}
		floatSum := spec.Arg.Kind == column.Float && (spec.Func == Sum || spec.Func == Avg)
		if a, b := again.Append(nil, 0), s.Append(nil, 0); !bytes.Equal(a, b) && !floatSum {
			t.Fatalf("%v: stored as %x, then as %x", spec, b, a)
		}
	})
}

// Clear forgets, and leaves nothing behind in states that share memory.
func TestClear(t *testing.T) {
	forEach(t, func(t *rapid.T, spec Spec) {
		first, second := drawEvents(t, spec), drawEvents(t, spec)
		s := NewStates(spec)
		s.Grow(3)
		for g := range uint32(3) {
			add(s, spec, g, first)
		}
		kept := s.Append(nil, 2)
		s.Clear(2)
		if got, want := s.Append(nil, 1), fold(spec).Append(nil, 0); !bytes.Equal(got, want) {
			t.Fatalf("%v: a cleared state is stored as %x, want %x", spec, got, want)
		}
		add(s, spec, 0, second)
		if got, want := s.Value(0), fold(spec, second...).Value(0); !sameResult(spec, got, want) {
			t.Fatalf("%v: %v, want %v", spec, got, want)
		}
		if got := s.Append(nil, 2); !bytes.Equal(got, kept) {
			t.Fatalf("%v: the state that was not cleared is now %x, was %x", spec, got, kept)
		}
	})
}

// Merging does not tie states to each other.
func TestMergeCopies(t *testing.T) {
	forEach(t, func(t *rapid.T, spec Spec) {
		from := fold(spec, drawEvents(t, spec)...)
		stored := from.Append(nil, 0)
		to := fold(spec)
		to.Merge(0, from, 0)
		add(to, spec, 0, drawEvents(t, spec))
		if got := from.Append(nil, 0); !bytes.Equal(got, stored) {
			t.Fatalf("%v: adding to the copy made %x of %x", spec, got, stored)
		}
	})
}

func TestSumsAreExact(t *testing.T) {
	for _, typ := range []column.Type{column.Bigint, column.Unsigned, narrow, wideDecimal} {
		t.Run(typ.SQL, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				spec := Spec{Func: Sum, Arg: typ, Result: SumType(typ)}
				events := drawEvents(t, spec)
				sum, n := new(big.Rat), int64(0)
				for _, v := range events {
					if !v.IsNull() {
						sum.Add(sum, v.Decimal().Rat())
						n++
					}
				}
				got := fold(spec, events...).Value(0)
				if got.IsNull() != (n == 0) || n > 0 && got.Decimal().Rat().Cmp(sum) != 0 {
					t.Fatalf("SUM is %v, want %v", got, sum.FloatString(10))
				}
				avg := Spec{Func: Avg, Arg: typ, Result: AvgType(typ)}
				a := fold(avg, events...)
				if n == 0 {
					if !a.Value(0).IsNull() {
						t.Fatalf("AVG of nothing is %v", a.Value(0))
					}
					return
				}
				want := new(big.Rat).Quo(sum, new(big.Rat).SetInt64(n)).FloatString(int(avg.Result.Scale))
				if got := a.Value(0).Decimal(); !got.Equal(decimal.RequireFromString(want)) {
					t.Fatalf("AVG is %s, want %s", got, want)
				}
				if s := a.(Average); s.Count(0) != n || s.Sum(0).Decimal().Rat().Cmp(sum) != 0 {
					t.Fatalf("an average of %v by %d, want %v by %d", s.Sum(0), s.Count(0), sum, n)
				}
			})
		})
	}
}

// Sums pass 64 bits both ways.
func TestSumsBeyondInt64(t *testing.T) {
	for _, x := range []int64{math.MaxInt64, math.MinInt64} {
		spec := Spec{Func: Sum, Arg: column.Bigint, Result: SumType(column.Bigint)}
		values := slices.Repeat([]column.Value{{Kind: column.Int, I: x}}, 5)
		s := fold(spec, eventsOf(values...)...)
		again := fold(spec)
		if _, err := again.Decode(0, s.Append(nil, 0)); err != nil {
			t.Fatal(err)
		}
		want := decimal.NewFromInt(x).Mul(decimal.NewFromInt(5))
		if got := again.Value(0).Decimal(); !got.Equal(want) {
			t.Errorf("5 times %d is %s, want %s", x, got, want)
		}
	}
}

// SUM of DOUBLE keeps small values beside large ones that cancel.
func TestFloatSumsCompensate(t *testing.T) {
	spec := Spec{Func: Sum, Arg: column.Double, Result: column.Double}
	var values []column.Value
	for _, f := range []float64{1e16, 1, 1, -1e16, 0.5} {
		values = append(values, column.Value{Kind: column.Float, F: f})
	}
	if got := fold(spec, eventsOf(values...)...).Value(0).F; got != 2.5 {
		t.Errorf("the sum is %v, want 2.5", got)
	}
}

func TestExtremesAndDistinct(t *testing.T) {
	for _, typ := range everyType {
		t.Run(typ.SQL, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				events := drawEvents(t, Spec{Func: Min, Arg: typ})
				var lo, hi column.Value
				var seen []column.Value
				n := int64(0)
				for _, e := range events {
					v := e.Value
					if v.IsNull() {
						continue
					}
					n++
					if lo.IsNull() || compareValues(v, lo) < 0 {
						lo = v
					}
					if hi.IsNull() || compareValues(v, hi) > 0 {
						hi = v
					}
					if !slices.ContainsFunc(seen, func(s column.Value) bool { return compareValues(s, v) == 0 }) {
						seen = append(seen, v)
					}
				}
				distinct := column.Value{Kind: column.Int, I: int64(len(seen))}
				for _, c := range []struct {
					f    Func
					want column.Value
				}{{Min, lo}, {Max, hi}, {Count, column.Value{Kind: column.Int, I: n}}, {CountDistinct, distinct}, {ApproxDistinct, distinct}} {
					spec := Spec{Func: c.f, Arg: typ, Result: typ}
					if got := fold(spec, events...).Value(0); got.Kind != c.want.Kind || compareValues(got, c.want) != 0 {
						t.Fatalf("%v is %v, want %v", spec, got, c.want)
					}
				}
			})
		})
	}
}

// TestOnly is of the states of projections, where each group has one event.
func TestOnly(t *testing.T) {
	for _, typ := range everyType {
		t.Run(typ.SQL, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				spec := Spec{Func: Only, Arg: typ, Result: typ}
				v := drawValue(t, typ)
				s := fold(spec, event{Value: v})
				merged, decoded := fold(spec), fold(spec)
				merged.Merge(0, s, 0)
				merged.Merge(0, fold(spec), 0)
				decode(t, decoded, s.Append(nil, 0))
				for _, got := range []column.Value{s.Value(0), merged.Value(0), decoded.Value(0)} {
					if got.Kind != v.Kind || compareValues(got, v) != 0 {
						t.Fatalf("%v, want %v", got, v)
					}
				}
			})
		})
	}
}

// Events of values that were there before cost no memory, but for decimals of
// any size.
func TestAddAllocatesNothing(t *testing.T) {
	const n = 64
	for _, spec := range everySpec {
		if spec.Arg.Kind == column.BigDec || (spec.Func == First || spec.Func == Last) && spec.byType().Kind == column.BigDec {
			continue
		}
		groups, rows := make([]uint32, n), make([]uint32, n)
		var x, by, seq []column.Value
		for i := range n {
			groups[i], rows[i] = uint32(i%4), uint32(i)
			x = append(x, column.Value{Kind: spec.Arg.Kind, I: int64(i % 9), F: float64(i % 9), S: strings.Repeat("x", i%9)})
			seq = append(seq, column.Value{Kind: column.Uint, I: int64(i)})
			if spec.Func == First || spec.Func == Last {
				by = append(by, column.Value{Kind: spec.byType().Kind, I: int64(i), F: float64(i), S: strings.Repeat("y", i)})
			}
		}
		var args []*column.Vector
		if spec.Func != CountAll {
			args = append(args, vectorOf(spec.Arg, x...))
		}
		if by != nil {
			args = append(args, vectorOf(spec.byType(), by...))
		}
		if by != nil || spec.Func == AnyValue {
			args = append(args, vectorOf(column.Unsigned, seq...))
		}
		s := NewStates(spec)
		s.Grow(4)
		add := func() {
			if spec.Func == Last {
				for i := range n {
					args[2].I[i] += n // so that it is ahead again where by is the same
				}
			}
			s.Add(groups, rows, args)
		}
		add()
		if got := testing.AllocsPerRun(10, add); got > 0 {
			t.Errorf("%v: %v allocations for %d events", spec, got, n)
		}
	}
}

// Stored states come from files, which may be damaged.
func FuzzDecode(f *testing.F) {
	for i, spec := range everySpec {
		s := fold(spec)
		f.Add(uint8(i), s.Append(nil, 0))
		if spec.Arg.Kind.IsText() {
			add(s, spec, 0, []event{{Value: column.Value{Kind: spec.Arg.Kind, S: "abc"}, by: column.Null, seq: 1}})
		}
		f.Add(uint8(i), s.Append(nil, 0))
	}
	f.Add(uint8(22), []byte{1, 8, 0x7f, 0xff, 0xff, 0xff, 2, 1, 1, 1}) // a decimal with a billion digits
	f.Fuzz(func(t *testing.T, i uint8, stored []byte) {
		for _, spec := range []Spec{everySpec[int(i)%len(everySpec)], {Func: Only, Arg: everyType[int(i)%len(everyType)], Result: everyType[int(i)%len(everyType)]}} {
			s := NewStates(spec)
			s.Grow(1)
			if _, err := s.Decode(0, stored); err != nil {
				continue
			}
			_ = s.Value(0).String()
			again := NewStates(spec)
			again.Grow(1)
			if _, err := again.Decode(0, s.Append(nil, 0)); err != nil {
				t.Errorf("%v: what was read as %v cannot be read again: %v", spec, s.Value(0), err)
			}
			switch spec.Func {
			case First, Last, AnyValue, BitAnd, BitOr, BitXor, VarPop, VarSamp, StddevPop, StddevSamp, ApproxTopK:
				if got, want := again.Append(nil, 0), s.Append(nil, 0); !bytes.Equal(got, want) {
					t.Errorf("%v: stored as %x, then as %x", spec, want, got)
				}
			}
		}
	})
}
