package partial

import (
	"bytes"
	"cmp"
	"math"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"weir/views/column"
)

var (
	wideDecimal = column.Decimal(40, 10)
	narrow      = column.Decimal(12, 2)
	jsonType    = column.Type{Kind: column.JSON, SQL: "json"}
)

// everyType has each kind.
var everyType = []column.Type{
	column.Bigint, column.Unsigned, column.Double, narrow, wideDecimal, column.Datetime, column.Text, column.Blob, jsonType,
}

// drawValue draws a value of a type, seldom NULL.
func drawValue(t *rapid.T, typ column.Type) column.Value {
	if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
		return column.Null
	}
	return drawSome(t, typ)
}

// drawSome draws a value that is not NULL.
func drawSome(t *rapid.T, typ column.Type) column.Value {
	v := column.Value{Kind: typ.Kind, Scale: typ.Scale}
	switch typ.Kind {
	case column.Int, column.Uint, column.Time:
		v.I = rapid.OneOf(rapid.Int64(), rapid.Int64Range(-3, 3), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64})).Draw(t, "int")
	case column.Dec:
		v.I = rapid.Int64Range(-999_999_999_999, 999_999_999_999).Draw(t, "dec")
	case column.Float:
		v.F = rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -1, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64})).Draw(t, "float")
	case column.BigDec:
		v.D = decimal.New(rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000)).Draw(t, "coefficient"), rapid.Int32Range(-10, 12).Draw(t, "exponent"))
	case column.String:
		v.S = rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.SampledFrom([]rune{0, 1, 'a', 0xff, '日'}), 0, 6, -1)).Draw(t, "text")
	default:
		v.S = string(rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 12), rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0xfe, 0xff}), 0, 6)).Draw(t, "bytes"))
	}
	return v
}

// compareValues is the order of SQL: NULL first.
func compareValues(a, b column.Value) int {
	switch {
	case a.IsNull() || b.IsNull():
		return cmp.Compare(boolInt(!a.IsNull()), boolInt(!b.IsNull()))
	case a.Kind == column.Float:
		return cmp.Compare(a.F, b.F)
	case a.Kind == column.Uint:
		return cmp.Compare(uint64(a.I), uint64(b.I))
	case a.Kind == column.BigDec:
		return a.D.Cmp(b.D)
	case a.Kind.IsText():
		return strings.Compare(a.S, b.S)
	default:
		return cmp.Compare(a.I, b.I)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func drawType(t *rapid.T) column.Type { return rapid.SampledFrom(everyType).Draw(t, "type") }

func TestKeysSortAsTheirValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		types := rapid.SliceOfN(rapid.Custom(drawType), 1, 3).Draw(t, "types")
		var a, b []byte
		want := 0
		for _, typ := range types {
			x, y := drawValue(t, typ), drawValue(t, typ)
			if rapid.Bool().Draw(t, "same") {
				y = x
			}
			a, b = AppendKey(a, x), AppendKey(b, y)
			if want == 0 {
				want = compareValues(x, y)
			}
		}
		if got := bytes.Compare(a, b); got != want {
			t.Fatalf("keys compare as %d, values as %d\n%x\n%x", got, want, a, b)
		}
	})
}

func TestKeysAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		types := rapid.SliceOfN(rapid.Custom(drawType), 1, 4).Draw(t, "types")
		var key []byte
		var values []column.Value
		for _, typ := range types {
			values = append(values, drawValue(t, typ))
			key = AppendKey(key, values[len(values)-1])
		}
		rest := key
		for i, typ := range types {
			skipped, err := SkipKey(rest, typ)
			if err != nil {
				t.Fatal(err)
			}
			var v column.Value
			if v, rest, err = ReadKey(rest, typ); err != nil {
				t.Fatal(err)
			}
			if compareValues(v, values[i]) != 0 || v.Kind != values[i].Kind || !v.IsNull() && v.Scale != typ.Scale {
				t.Fatalf("read %v, want %v", v, values[i])
			}
			if !bytes.Equal(rest, skipped) {
				t.Fatalf("SkipKey leaves %x, ReadKey %x", skipped, rest)
			}
		}
		if len(rest) > 0 {
			t.Fatalf("left over: %x", rest)
		}
	})
}

// A row's key from vectors is that from values.
func TestVectorKeysAreValueKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t)
		v := drawValue(t, typ)
		got := appendVectorKey(nil, vectorOf(typ, v), 0, textMax)
		if want := AppendKey(nil, v); !bytes.Equal(got, want) {
			t.Fatalf("%x, want %x", got, want)
		}
	})
}

func TestEqualDecimalsAreOneKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawSome(t, wideDecimal).D
		same := d.Add(decimal.New(0, -rapid.Int32Range(0, 20).Draw(t, "zeros"))) // 1.5 and 1.500
		if a, b := AppendKey(nil, decimalValue(d)), AppendKey(nil, decimalValue(same)); !bytes.Equal(a, b) {
			t.Fatalf("%s is %x, %s is %x", d, a, same, b)
		}
	})
}

func decimalValue(d decimal.Decimal) column.Value { return column.Value{Kind: column.BigDec, D: d} }

func TestLongTextKeys(t *testing.T) {
	long := strings.Repeat("日", textMax)
	for _, texts := range [][2]string{
		{long + "a", long + "b"},
		{long, long + long},
		{strings.Repeat("\x00", textMax), strings.Repeat("\x00", textMax+1)},
	} {
		a, b := AppendKey(nil, column.Value{Kind: column.String, S: texts[0]}), AppendKey(nil, column.Value{Kind: column.String, S: texts[1]})
		if bytes.Equal(a, b) {
			t.Error("different texts are one key")
		}
		if len(a) > 2*textMax+3 || len(b) > 2*textMax+3 {
			t.Errorf("keys of %d and %d bytes", len(a), len(b))
		}
		if _, rest, err := ReadKey(a, column.Text); err != nil || len(rest) > 0 {
			t.Errorf("read a cut key: %v, %d left", err, len(rest))
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) []byte {
			return rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0xfe, 0xff}), 0, 4).Draw(t, name)
		}
		prefix, key := draw("prefix"), draw("key")
		end := PrefixEnd(prefix)
		within := bytes.Compare(key, prefix) >= 0 && (end == nil || bytes.Compare(key, end) < 0)
		if within != bytes.HasPrefix(key, prefix) {
			t.Fatalf("prefix %x ends before %x; %x within: %v", prefix, end, key, within)
		}
	})
}

func TestAfterNull(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t)
		v := drawValue(t, typ)
		if after := bytes.Compare(AppendKey(nil, v), AfterNull(nil)) >= 0; after == v.IsNull() {
			t.Fatalf("%v is after NULL: %v", v, after)
		}
	})
}

// Keys come from files, which may be damaged.
func FuzzReadKey(f *testing.F) {
	f.Add([]byte{1, 0, 0})
	f.Add(AppendKey(nil, decimalValue(decimal.RequireFromString("-12.5"))))
	f.Add([]byte{1, 2, 0xff, 0xff, 0xff, 0xff, '1', 0})
	f.Fuzz(func(t *testing.T, key []byte) {
		for _, typ := range everyType {
			v, rest, err := ReadKey(key, typ)
			skipped, errSkip := SkipKey(key, typ)
			if err != nil {
				continue
			}
			if errSkip != nil || !bytes.Equal(rest, skipped) {
				t.Errorf("%v: SkipKey leaves %x (%v), ReadKey %x", typ, skipped, errSkip, rest)
			}
			_ = v.String()
		}
	})
}
