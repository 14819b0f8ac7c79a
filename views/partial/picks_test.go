package partial

import (
	"bytes"
	"cmp"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"weir/views/column"
)

// The oracle of FIRST, LAST and ANY_VALUE orders all events.
func TestPicks(t *testing.T) {
	for i, by := range everyType {
		t.Run(by.SQL, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				x := drawType(t)
				events := drawEvents(t, Spec{Func: First, Arg: x, Param: float64(i)})
				var first, last, any *event
				for j := range events {
					e := &events[j]
					if !e.IsNull() && any == nil {
						any = e
					}
					if e.by.IsNull() {
						continue
					}
					if first == nil || compareValues(e.by, first.by) < 0 {
						first = e
					}
					if last == nil || compareValues(e.by, last.by) >= 0 {
						last = e
					}
				}
				for _, c := range []struct {
					f    Func
					want *event
				}{{First, first}, {Last, last}, {AnyValue, any}} {
					spec := Spec{Func: c.f, Arg: x, Result: x, Param: float64(i)}
					want := column.Null
					if c.want != nil {
						want = c.want.Value
					}
					if got := fold(spec, rapid.Permutation(events).Draw(t, "order")...).Value(0); got.Kind != want.Kind || compareValues(got, want) != 0 {
						t.Fatalf("%v is %v, want %v", spec, got, want)
					}
				}
			})
		})
	}
}

// Events of different logs that differ in nothing but x have an order too.
func TestPicksOfDifferentLogs(t *testing.T) {
	for _, f := range []Func{First, Last, AnyValue} {
		spec := Spec{Func: f, Arg: column.Text, Result: column.Text}
		a := fold(spec, event{Value: column.Value{Kind: column.String, S: "a"}, by: column.Value{Kind: column.Int}, seq: 7})
		b := fold(spec, event{Value: column.Value{Kind: column.String, S: "b"}, by: column.Value{Kind: column.Int}, seq: 7})
		ab, ba := fold(spec), fold(spec)
		ab.Merge(0, a, 0)
		ab.Merge(0, b, 0)
		ba.Merge(0, b, 0)
		ba.Merge(0, a, 0)
		if x, y := ab.Append(nil, 0), ba.Append(nil, 0); !bytes.Equal(x, y) {
			t.Errorf("%v: %v one way, %v the other", spec, ab.Value(0), ba.Value(0))
		}
	}
}

// A text that is picked does not change with the batch that it was in.
func TestPicksOutliveTheBatch(t *testing.T) {
	spec := Spec{Func: Last, Arg: column.Text, Result: column.Text, Param: 6}
	s := fold(spec, event{Value: column.Value{Kind: column.String, S: "long enough"}, by: column.Value{Kind: column.String, S: "b"}, seq: 1})
	v := s.Value(0)
	add(s, spec, 0, []event{{Value: column.Value{Kind: column.String, S: strings.Repeat("x", 11)}, by: column.Value{Kind: column.String, S: "c"}, seq: 2}})
	if v.S != "long enough" || s.Value(0).S != strings.Repeat("x", 11) {
		t.Errorf("%q, then %q", v.S, s.Value(0).S)
	}
}

func TestBitwise(t *testing.T) {
	for _, c := range []struct {
		typ    column.Type
		values []column.Value
		and    uint64
		or     uint64
		xor    uint64
	}{
		{column.Bigint, nil, math.MaxUint64, 0, 0},
		{column.Bigint, []column.Value{column.Null}, math.MaxUint64, 0, 0},
		{column.Bigint, []column.Value{{I: 6}, {I: 3}, column.Null}, 2, 7, 5},
		{column.Bigint, []column.Value{{I: -1}, {I: 5}}, 5, math.MaxUint64, math.MaxUint64 - 5},
		{column.Unsigned, []column.Value{{I: -1}}, math.MaxUint64, math.MaxUint64, math.MaxUint64},
		{narrow, []column.Value{{I: 149}}, 1, 1, 1},
		{narrow, []column.Value{{I: 150}}, 2, 2, 2},
		{narrow, []column.Value{{I: -150}}, math.MaxUint64 - 1, math.MaxUint64 - 1, math.MaxUint64 - 1},
		{wideDecimal, []column.Value{{D: decimal.RequireFromString("2.5")}}, 3, 3, 3},
		{wideDecimal, []column.Value{{D: decimal.RequireFromString("1e25")}}, math.MaxInt64, math.MaxInt64, math.MaxInt64},
		{wideDecimal, []column.Value{{D: decimal.RequireFromString("-1e25")}}, 1 << 63, 1 << 63, 1 << 63},
		{column.Double, []column.Value{{F: 2.5}}, 2, 2, 2},
		{column.Double, []column.Value{{F: 3.5}}, 4, 4, 4},
		{column.Double, []column.Value{{F: 1e300}}, math.MaxInt64, math.MaxInt64, math.MaxInt64},
		{column.Double, []column.Value{{F: -1e300}}, 1 << 63, 1 << 63, 1 << 63},
	} {
		for i, v := range c.values {
			if v != column.Null {
				c.values[i].Kind, c.values[i].Scale = c.typ.Kind, c.typ.Scale
			}
		}
		for f, want := range map[Func]uint64{BitAnd: c.and, BitOr: c.or, BitXor: c.xor} {
			spec := Spec{Func: f, Arg: c.typ, Result: column.Unsigned}
			if got := fold(spec, eventsOf(c.values...)...).Value(0); uint64(got.I) != want || got.Kind != column.Uint {
				t.Errorf("%v of %v is %v, want %d", spec, c.values, got, want)
			}
		}
	}
}

// twoPass is the variance, without the division, in numbers of 300 bits.
func twoPass(values []float64) *big.Float {
	num := func(f float64) *big.Float { return new(big.Float).SetPrec(300).SetFloat64(f) }
	mean := num(0)
	for _, f := range values {
		mean.Add(mean, num(f))
	}
	mean.Quo(mean, num(float64(len(values))))
	m2 := num(0)
	for _, f := range values {
		d := num(f)
		d.Sub(d, mean)
		m2.Add(m2, d.Mul(d, d))
	}
	return m2
}

// However values are divided, their variance is that of two passes to 1e-9,
// also where the values are large and differ little.
func TestMoments(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for name, draw := range map[string]func() float64{
		"uniform":  r.Float64,
		"normal":   r.NormFloat64,
		"shifted":  func() float64 { return 1e9 + r.NormFloat64() },
		"far":      func() float64 { return -1e12 + r.Float64() },
		"noise":    func() float64 { return 1e9 + 1e-4*r.NormFloat64() },
		"wide":     func() float64 { return math.Exp(20 * r.NormFloat64()) },
		"integers": func() float64 { return float64(r.IntN(10)) },
		"same":     func() float64 { return 0.1 },
	} {
		for _, n := range []int{1, 2, 3, 100, 20_000} {
			var values []column.Value
			var plain []float64
			for range n {
				f := draw()
				plain = append(plain, f)
				values = append(values, column.Value{Kind: column.Float, F: f})
			}
			m2, _ := twoPass(plain).Float64()
			for f, want := range map[Func]float64{
				VarPop: m2 / float64(n), StddevPop: math.Sqrt(m2 / float64(n)),
				VarSamp: m2 / float64(n-1), StddevSamp: math.Sqrt(m2 / float64(n-1)),
			} {
				spec := Spec{Func: f, Arg: column.Double, Result: column.Double}
				for what, s := range map[string]States{"whole": fold(spec, eventsOf(values...)...), "divided": inParts(t, r, spec, values)} {
					got := s.Value(0)
					if n == 1 && (f == VarSamp || f == StddevSamp) {
						if !got.IsNull() {
							t.Errorf("%v of one value is %v, want NULL", spec, got)
						}
						continue
					}
					if !(math.Abs(got.F-want) <= 1e-14*want) {
						t.Errorf("%s, %d values, %s: %v is %v, want %g", name, n, what, spec, got, want)
					}
				}
			}
		}
	}
}

// What DOUBLE cannot hold is NULL, whichever part it is in.
func TestMomentsOverflow(t *testing.T) {
	spec := Spec{Func: VarPop, Arg: column.Double, Result: column.Double}
	values := []column.Value{{Kind: column.Float, F: math.MaxFloat64}, {Kind: column.Float, F: -math.MaxFloat64}, {Kind: column.Float, F: 1}}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {0, 2, 1}} {
		s := fold(spec)
		for _, i := range order {
			s.Merge(0, fold(spec, event{Value: values[i]}), 0)
		}
		if got := s.Value(0); !got.IsNull() {
			t.Errorf("order %v: %v, want NULL", order, got)
		}
	}
}

func TestSortBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom([]column.Type{column.Bigint, column.Unsigned, column.Double, narrow, column.Datetime}).Draw(t, "type")
		x, y := drawSome(t, typ), drawSome(t, typ)
		v := vectorOf(typ, x, y)
		if got, want := cmp.Compare(sortBits(v, 0), sortBits(v, 1)), compareValues(x, y); got != want {
			t.Fatalf("%v and %v compare as %d, want %d", x, y, got, want)
		}
		if typ.Kind == column.Float && bitsFloat(sortBits(v, 0)) != x.F {
			t.Fatalf("%v is read as %v", x.F, bitsFloat(sortBits(v, 0)))
		}
	})
}
