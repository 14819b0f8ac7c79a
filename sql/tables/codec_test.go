package tables

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"
)

// everything is a definition with a column of each kind of type.
func everything(t testing.TB) *Def {
	t.Helper()
	d := &Def{Database: "d", Name: "t", Key: []int{0}}
	for i, sql := range []string{
		"tinyint", "smallint unsigned", "mediumint", "int unsigned", "bigint", "bigint unsigned", "float", "double", "decimal(20,5)",
		"date", "datetime(6)", "timestamp(6)", "time(6)", "year", "varchar(20)", "varchar(20) COLLATE utf8mb4_0900_ai_ci", "text", "varbinary(20)", "blob",
		"json", "enum('a','b')", "set('a','b','c')", "bit(9)",
	} {
		d.Columns = append(d.Columns, ColumnDef{Name: fmt.Sprint("c", i), Type: sql, Null: true})
	}
	if err := d.prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

// randomValue is a value of a type as the engine has it.
func randomValue(r *rand.Rand, k *kind) any {
	text := func() string {
		letters := []rune{'a', 'A', 'b', 0, 1, 'ä', 'ż', '日', '😀', ' ', 0xff}
		out := make([]rune, r.IntN(6))
		for i := range out {
			out[i] = letters[r.IntN(len(letters))]
		}
		return string(out)
	}
	small := func(n int64) int64 { return r.Int64N(2*n) - n }
	switch k.class {
	case classInt:
		switch k.make(0).(type) {
		case int8:
			return int8(small(128))
		case int16:
			return int16(1901 + r.IntN(200))
		case int32:
			return int32(small(1 << 22))
		case types.Timespan:
			return types.Timespan(small(3_000_000_000_000))
		}
		return int64(r.Uint64())
	case classUint:
		n := r.Int64N(2)
		switch k.make(0).(type) {
		case uint16:
			return uint16(n + 1)
		case uint32:
			return uint32(r.Uint64())
		}
		if k.typ.String() == "bigint unsigned" {
			return r.Uint64()
		}
		return uint64(r.IntN(8))
	case classFloat:
		f := []float64{0, 1.5, -2.25, math.MaxFloat32, -math.MaxFloat32, float64(small(1000))}[r.IntN(6)]
		if k.typ == types.Float32 {
			return float32(f)
		}
		return f
	case classDecimal:
		return decimal.New(small(1e12), -5)
	case classTime:
		at := time.UnixMicro(small(4e15)).UTC()
		if k.typ == types.Date {
			at = at.Truncate(24 * time.Hour)
		}
		return at
	case classBytes:
		return []byte(text())
	case classJSON:
		j, _, _ := types.JSON.Convert(gms.NewEmptyContext(), fmt.Sprintf(`{"a": [%d, null, "ä"]}`, r.IntN(9)))
		return j
	}
	return text()
}

// TestRowsComeBack: what is stored of a row is the row, and the same row is
// stored the same.
func TestRowsComeBack(t *testing.T) {
	d, ctx := everything(t), gms.NewEmptyContext()
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		row := make(gms.Row, len(d.kinds))
		for i := range row {
			if r.IntN(5) > 0 {
				row[i] = randomValue(r, &d.kinds[i])
			}
		}
		rec, err := d.appendRow(ctx, nil, row)
		if err != nil {
			t.Fatalf("%v: %v", row, err)
		}
		back, err := d.readRow(ctx, rec, nil)
		if err != nil {
			t.Fatalf("%v: %v", row, err)
		}
		for i := range row {
			if (row[i] == nil) != (back[i] == nil) {
				t.Fatalf("column %s: %v came back as %v", d.Columns[i].Type, row[i], back[i])
			}
			if c, err := d.kinds[i].typ.Compare(ctx, row[i], back[i]); err != nil || c != 0 || row[i] != nil && fmt.Sprintf("%T", row[i]) != fmt.Sprintf("%T", back[i]) {
				t.Fatalf("column %s: %v (%T) came back as %v (%T): %v", d.Columns[i].Type, row[i], row[i], back[i], back[i], err)
			}
		}
		again, err := d.appendRow(ctx, nil, back)
		if err != nil || !bytes.Equal(rec, again) {
			t.Fatalf("%v is stored as %x, and as %x (%v) when it has come back", row, rec, again, err)
		}
		some, err := d.readRow(ctx, rec, []int{7, 2, 2})
		if err != nil || len(some) != 3 || fmt.Sprint(some) != fmt.Sprint(gms.Row{back[7], back[2], back[2]}) {
			t.Fatalf("columns 7, 2, 2 of %v: %v, %v", back, some, err)
		}
	}
}

// TestKeysSortAsValues: keys compare as the engine compares values, NULL first.
func TestKeysSortAsValues(t *testing.T) {
	d, ctx := everything(t), gms.NewEmptyContext()
	r := rand.New(rand.NewPCG(3, 4))
	for i := range d.kinds {
		k := &d.kinds[i]
		if k.class == classJSON {
			continue
		}
		for range 500 {
			a, b := randomValue(r, k), randomValue(r, k)
			ka, err := k.appendKey(ctx, nil, a, 0)
			if err != nil {
				t.Fatal(err)
			}
			kb, err := k.appendKey(ctx, nil, b, 0)
			if err != nil {
				t.Fatal(err)
			}
			want, err := k.typ.Compare(ctx, a, b)
			if err != nil {
				t.Fatal(err)
			}
			if got := bytes.Compare(ka, kb); got != want {
				t.Fatalf("%s: %v and %v compare as %d, their keys as %d", d.Columns[i].Type, a, b, want, got)
			}
			null, _ := k.appendKey(ctx, nil, nil, 0)
			if bytes.Compare(null, ka) >= 0 {
				t.Fatalf("%s: NULL is not before %v", d.Columns[i].Type, a)
			}
		}
	}
}

// FuzzRow reads bytes that may not be a row.
func FuzzRow(f *testing.F) {
	d, ctx := everything(f), gms.NewEmptyContext()
	r := rand.New(rand.NewPCG(5, 6))
	for range 4 {
		row := make(gms.Row, len(d.kinds))
		for i := range row {
			row[i] = randomValue(r, &d.kinds[i])
		}
		rec, err := d.appendRow(ctx, nil, row)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(rec)
	}
	f.Fuzz(func(t *testing.T, rec []byte) {
		row, err := d.readRow(ctx, rec, nil)
		if err != nil {
			return
		}
		if len(row) != len(d.kinds) {
			t.Fatalf("a row of %d values", len(row))
		}
	})
}

// FuzzSeal: a record that has changed is found out.
func FuzzSeal(f *testing.F) {
	f.Add(uint64(1), []byte("key"), []byte("record"), uint(3))
	f.Fuzz(func(t *testing.T, bucket uint64, key, rec []byte, at uint) {
		value := seal(bucket, key, bytes.Clone(rec))
		back, err := unseal(bucket, key, value)
		if err != nil || !bytes.Equal(back, rec) {
			t.Fatalf("%x came back as %x, %v", rec, back, err)
		}
		value[at%uint(len(value))] ^= 1 << (at % 8)
		if _, err := unseal(bucket, key, value); err == nil {
			t.Fatalf("a bit of %x has changed, and nothing says so", value)
		}
	})
}
