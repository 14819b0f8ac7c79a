package column

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// columns makes a batch of the vectors, all of one length.
func columns(n int, vs ...*Vector) *Batch { return &Batch{Len: n, Cols: vs} }

func ints(values ...any) *Vector {
	v := &Vector{Kind: Int, I: make([]int64, len(values))}
	for i, x := range values {
		if x == nil {
			v.SetNull(i, len(values))
		} else {
			v.I[i] = int64(x.(int))
		}
	}
	return v
}

var (
	colA = &Col{Index: 0, T: Bigint}
	colB = &Col{Index: 1, T: Bigint}
)

// TestLogic is the truth table of SQL's three values.
func TestLogic(t *testing.T) {
	a := ints(0, 0, 0, 1, 1, 1, nil, nil, nil)
	b := ints(0, 1, nil, 0, 1, nil, 0, 1, nil)
	for name, c := range map[string]struct {
		e    Expr
		want *Vector
	}{
		"AND":    {&And{colA, colB}, ints(0, 0, 0, 0, 1, nil, 0, nil, nil)},
		"OR":     {&Or{colA, colB}, ints(0, 1, nil, 1, 1, 1, nil, 1, nil)},
		"NOT":    {&Not{colA}, ints(1, 1, 1, 0, 0, 0, nil, nil, nil)},
		"=":      {&Cmp{Eq, colA, colB}, ints(1, 0, nil, 0, 1, nil, nil, nil, nil)},
		"<=>":    {&Cmp{NullSafeEq, colA, colB}, ints(1, 0, 0, 0, 1, 0, 0, 0, 1)},
		"<":      {&Cmp{Lt, colA, colB}, ints(0, 1, nil, 0, 0, nil, nil, nil, nil)},
		"ISNULL": {&IsNull{colA}, ints(0, 0, 0, 0, 0, 0, 1, 1, 1)},
		"IN":     {NewIn(colA, []Value{{Kind: Int, I: 1}}), ints(0, 0, 0, 1, 1, 1, nil, nil, nil)},
		"CASE":   {&Case{When: []Expr{colA}, Then: []Expr{colB}, T: Bigint}, ints(nil, nil, nil, 0, 1, nil, nil, nil, nil)},
		"ELSE":   {&Case{When: []Expr{colA}, Then: []Expr{colB}, Else: colA, T: Bigint}, ints(0, 0, 0, 0, 1, nil, nil, nil, nil)},
		"FIRST":  {&Coalesce{Xs: []Expr{colA, colB}, T: Bigint}, ints(0, 0, 0, 1, 1, 1, 0, 1, nil)},
	} {
		got := c.e.Eval(columns(9, a, b))
		for i := range 9 {
			if g, w := got.Value(i), c.want.Value(i); g != w {
				t.Errorf("%s of %v and %v is %v, want %v", name, a.Value(i), b.Value(i), g, w)
			}
		}
	}
}

// Kernels leave the vectors that they read as they were.
func TestOperandsAreUnchanged(t *testing.T) {
	a, b := ints(math.MaxInt64, 1, nil, math.MinInt64), ints(math.MaxInt64, nil, 2, -1)
	batch := columns(4, a, b)
	for _, e := range []Expr{
		&Arith{Add, colA, colB}, &Arith{Sub, colA, colB}, &Arith{Mul, colA, colB}, &Neg{colA}, &And{colA, colB}, &Not{colA},
		&Coalesce{Xs: []Expr{colA, colB}, T: Bigint}, &Cmp{Lt, colA, colB}, &ToFloat{colA}, &Truth{colA},
		&Arith{Div, &ToFloat{colA}, &ToFloat{colB}},
	} {
		e.Eval(batch)
		e.Eval(batch)
	}
	wantA, wantB := ints(math.MaxInt64, 1, nil, math.MinInt64), ints(math.MaxInt64, nil, 2, -1)
	for i := range 4 {
		if a.Value(i) != wantA.Value(i) || b.Value(i) != wantB.Value(i) {
			t.Errorf("row %d is now %v, %v; it was %v, %v", i, a.Value(i), b.Value(i), wantA.Value(i), wantB.Value(i))
		}
	}
}

// Integer arithmetic is exact or NULL.
func TestIntegerArithmetic(t *testing.T) {
	edge := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 3), rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64, math.MaxInt64 - 1, 1 << 32, -(1 << 31)}))
	rapid.Check(t, func(t *rapid.T) {
		x, y := edge.Draw(t, "x"), edge.Draw(t, "y")
		b := columns(1, &Vector{Kind: Int, I: []int64{x}}, &Vector{Kind: Int, I: []int64{y}})
		for _, c := range []struct {
			e    Expr
			want *big.Int
		}{
			{&Arith{Add, colA, colB}, new(big.Int).Add(big.NewInt(x), big.NewInt(y))},
			{&Arith{Sub, colA, colB}, new(big.Int).Sub(big.NewInt(x), big.NewInt(y))},
			{&Arith{Mul, colA, colB}, new(big.Int).Mul(big.NewInt(x), big.NewInt(y))},
			{&Neg{colA}, new(big.Int).Neg(big.NewInt(x))},
		} {
			got := c.e.Eval(b).Value(0)
			if c.want.IsInt64() != !got.IsNull() || !got.IsNull() && got.I != c.want.Int64() {
				t.Fatalf("%T %+v of %d and %d is %v, want %v", c.e, c.e, x, y, got, c.want)
			}
		}
	})
}

func TestWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.Int64Range(-1<<57, 1<<57).Draw(t, "time")
		size := rapid.Int64Range(1, 1<<42).Draw(t, "size")
		offset := rapid.Int64Range(-1<<42, 1<<42).Draw(t, "offset")
		start := WindowStart(at, size, offset)
		if start > at || at >= start+size {
			t.Fatalf("the window [%d, %d) does not hold %d", start, start+size, at)
		}
		if (start-offset)%size != 0 {
			t.Fatalf("the window begins at %d, which is not a multiple of %d from %d", start, size, offset)
		}
	})
	at := time.Date(1969, 12, 31, 23, 59, 30, 0, time.UTC)
	want := time.Date(1969, 12, 31, 23, 59, 0, 0, time.UTC)
	if got := time.UnixMicro(WindowStart(at.UnixMicro(), 60e6, 0)).UTC(); !got.Equal(want) {
		t.Errorf("the minute of %s begins at %s", at, got)
	}
}

func TestURLs(t *testing.T) {
	for _, c := range []struct{ url, path string }{
		{"/a/b?x=1", "/a/b"},
		{"/a#top", "/a"},
		{"/a", "/a"},
		{"", ""},
		{"?x=1", ""},
		{"http://host/a/b?x=/c", "/a/b"},
		{"https://host", "/"},
		{"https://host?x=1", "/"},
		{"/redirect?to=http://host/x", "/redirect"},
		{"/a://b", "/a://b"},
		{"*", "*"},
		{"/%7Eme", "/%7Eme"},
	} {
		if got := PathOf(c.url); got != c.path {
			t.Errorf("the path of %q is %q, want %q", c.url, got, c.path)
		}
	}
	for _, c := range []struct {
		url, name, value string
		ok               bool
	}{
		{"/list?itembox=1&minprice=20&since=20220830-123542", "minprice", "20", true},
		{"/list?minprice=20&minprice=30", "minprice", "20", true},
		{"/list?a=1", "b", "", false},
		{"/list", "a", "", false},
		{"/list?", "", "", true},
		{"/list?a", "a", "", true},
		{"/list?a=", "a", "", true},
		{"/list?q=a+b%20c%2Bd", "q", "a b c+d", true},
		{"/list?%71=1", "q", "1", true},
		{"/list?q=%zz", "q", "%zz", true},
		{"/list?q=%ff", "q", "\uFFFD", true},
		{"/list?q=1#q=2", "q", "1", true},
		{"/list#?q=2", "q", "", false},
		{"/list?q=a=b", "q", "a=b", true},
		{"/list?Q=1", "q", "", false},
	} {
		if got, ok := ParamOf(c.url, c.name); got != c.value || ok != c.ok {
			t.Errorf("parameter %q of %q is %q (%v), want %q (%v)", c.name, c.url, got, ok, c.value, c.ok)
		}
	}
}

// A batch that is used again shows nothing of what it held.
func TestBatchReset(t *testing.T) {
	b := &Batch{Cols: make([]*Vector, 1)}
	b.Reset(3)
	v := b.New(String)
	v.SetNull(1, 3)
	b.Cols[0], b.Sel = v, []uint32{1}
	b.Reset(2)
	if b.Cols[0] != nil || b.Sel != nil || b.Len != 2 {
		t.Errorf("after Reset: %+v", b)
	}
	w := b.New(String)
	if w != v || w.Null != nil || len(w.S) != 2 {
		t.Errorf("a vector that is used again: %+v", w)
	}
	if again := b.New(String); again == w {
		t.Error("one vector was given out twice")
	}
}
