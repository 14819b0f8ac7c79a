package views

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/views/column"
)

// scanColumns are columns of every kind that a scan takes, some of one field.
func scanColumns() (cols []ColumnDef) {
	for i, typ := range []column.Type{
		column.Bigint, column.Unsigned, column.Double, column.Decimal(6, 2), column.Decimal(30, 6), column.Text, typeShort, typeBinary, column.Datetime, typeDate, column.Boolean,
		column.Text, column.Text, column.Text,
	} {
		cols = append(cols, ColumnDef{Name: fmt.Sprintf("c%d", i), Type: typ, Path: pickPath(i)})
	}
	return cols
}

func pickPath(i int) string {
	return []string{"$.x", "$.y", `$."a key"`, "$.x.y", "$.y[1]", "$.x.y[0].z", `$.x."1"`}[i%7]
}

// bothWays decodes a payload with the scan and without it.
func bothWays(t testing.TB, scan, parse *decoder, payload string) {
	t.Helper()
	got, gotDead := decodeOne(t, scan, payload)
	want, wantDead := decodeOne(t, parse, payload)
	if gotDead != wantDead {
		t.Fatalf("%q is a dead letter for %q, the parser says %q", payload, gotDead, wantDead)
	}
	for i := range want {
		if got[i].String() != want[i].String() || got[i].Kind != want[i].Kind {
			t.Fatalf("%q: column %d is %v, the parser has %v", payload, i, got[i], want[i])
		}
	}
}

func scanAndParser(t testing.TB) (scan, parse *decoder) {
	t.Helper()
	def := func() *StreamDef {
		cols := append(scanColumns(), ColumnDef{Name: "at", Type: column.Datetime, Path: "$.x"})
		return &StreamDef{Format: FormatJSON, Columns: cols, EventTime: "at", TimeFormat: "unix"}
	}
	scan, parse = testDecoder(t, def()), testDecoder(t, def())
	if scan.format.(*jsonFormat).scan == nil {
		t.Fatal("there is no scan for plain fields")
	}
	parse.format.(*jsonFormat).scan = nil
	return scan, parse
}

var scanSeeds = []string{
	`{"x":1,"y":"a","a key":2.5}`, ` { "x" : 1 , "y" : [1, {"x": 2}, "]"] } `, `{"x":1,"x":2}`, `{}`, `{"x":-}`, `{"x":+1}`, `{"x":1-2}`, `{"x":nan,"y":inf}`,
	`{"x":"\u0041"}`, `{"x":true,"y":false,"a key":null}`, `{"x":tru}`, `{"x":1}x`, `{"x":1,}`, `{,}`, `{"x"}`, `{"x":}`, `[1]`, `"x"`, ``, ` `, `{"x":"` + "\n\x00" + `"}`,
	`{"y":"2024-02-29T12:30:45Z","x":"12"}`, `{"x":{"a":[]},"y":{}}`, `{"x":[1,]}`, `{"x":[1 2]}`, `{"x":{"a" 1}}`, "{\"x\":1}\x00", "\xef\xbb\xbf{}", `{"x":1e400}`, `{"x": 1 "y": 2}`,
	`{"x":{"y":1,"1":"b"},"y":[0,"c",2]}`, `{"x":{"y":[{"z":1},{"z":2}]}}`, `{"x":[5,{"y":1}],"y":[[1],[2]]}`, `{"x":{"z":1},"x":{"y":2}}`, `{"x":{"y":1,"y":2},"y":[]}`,
	`{"x":{"y":{"0":{"z":3}}},"y":{"1":4}}`, `{"x":"y","y":"[1]"}`, `{"x":{"y":[ ]},"y":[1 , [2,{}] ]}`, `{"x":{"y":[{"z":{"a":1}}]}}`, `{"x":{"y":[{"z":}]}}`, `{"y":[1,+1]}`, `{"x":{"y":1,}}`,
	`{"x":-0,"y":-0.0,"a key":007}`, `{"x":1.,"y":.5,"a key":-.5}`, `{"x":9007199254740993,"y":-9007199254740991.5,"a key":0.30000000000000004}`, `{"x":999999999999999999,"y":1234567890123456789,"a key":-9223372036854775808}`,
	`{"x":128,"y":-129,"a key":127.0}`, `{"x":1e2,"y":1.5E-3,"a key":12.345678901234567}`, `{"x":9999.994,"y":9999.995,"a key":12.345}`, `{"x":1.2.3,"y":1-,"a key":--1}`, `{"x":253402300800,"y":-62167219201,"a key":1700000040.25}`,
	`{"x":` + strings.Repeat(`{"y":`, 99) + "1" + strings.Repeat("}", 99) + "}",
	`{"x":` + strings.Repeat(`{"y":`, 101) + "1" + strings.Repeat("}", 101) + "}",
	`{"x":{"y":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `}}`,
	`{"z":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `,"x":1}`, `{"z":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `,"x":1}`,
}

// What the scan takes, the parser takes too, with the same values.
func TestScanEqualsTheParser(t *testing.T) {
	scan, parse := scanAndParser(t)
	for _, s := range scanSeeds {
		bothWays(t, scan, parse, s)
		for i := range min(len(s), 60) { // each with a byte less, or another
			bothWays(t, scan, parse, s[:i]+s[i+1:])
			for _, c := range []byte(`"{}[]:,1-e. x`) {
				bothWays(t, scan, parse, s[:i]+string(c)+s[i+1:])
			}
		}
	}
	var wide strings.Builder // more keys than are remembered
	for i := range 3 * guessMax {
		fmt.Fprintf(&wide, `"k%d":%d,`, i, i)
	}
	bothWays(t, scan, parse, "{"+wide.String()+`"x":1}`)
	bothWays(t, scan, parse, "{"+wide.String()+`"y":1,"x":2}`)
}

func FuzzScanEqualsTheParser(f *testing.F) {
	for _, s := range scanSeeds {
		f.Add(s)
	}
	scan, parse := scanAndParser(f)
	f.Fuzz(func(t *testing.T, payload string) { bothWays(t, scan, parse, payload) })
}

// BenchmarkDecode is what an event of 150 bytes takes to become four columns,
// with the scan and with the parser alone, and with the fields in objects.
func BenchmarkDecode(b *testing.B) {
	cols := []ColumnDef{
		{Name: "ts", Type: column.Datetime},
		{Name: "campaign", Type: column.Text},
		{Name: "user", Type: column.Bigint},
		{Name: "kind", Type: column.Text},
		{Name: "price", Type: column.Decimal(10, 2)},
		{Name: "latency", Type: column.Double},
	}
	flat, nested := make([]Record, 4096), make([]Record, 4096)
	for i := range flat {
		flat[i].Seq, nested[i].Seq = uint64(i+1), uint64(i+1)
		ts := fmt.Sprintf("2026-03-01T12:%02d:%02d.%03dZ", i/60%60, i%60, i%1000)
		flat[i].Payload = fmt.Appendf(nil, `{"ts":"%s","campaign":"c%d","user":%d,"kind":"view","price":%d.%02d,"latency":%d.5}`,
			ts, i%100, i*7919%100000, i%100, i%100, i%300)
		nested[i].Payload = fmt.Appendf(nil, `{"ts":"%s","ad":{"campaign":"c%d","kind":"view"},"user":{"id":%d},"sale":{"price":%d.%02d,"latency":%d.5}}`,
			ts, i%100, i*7919%100000, i%100, i%100, i%300)
	}
	inner := slices.Clone(cols)
	for i, path := range []string{"", "$.ad.campaign", "$.user.id", "$.ad.kind", "$.sale.price", "$.sale.latency"} {
		inner[i].Path = path
	}
	for _, test := range []struct {
		name string
		cols []ColumnDef
		recs []Record
		scan bool
	}{{"scan", cols, flat, true}, {"parser", cols, flat, false}, {"nested/scan", inner, nested, true}, {"nested/parser", inner, nested, false}} {
		b.Run(test.name, func(b *testing.B) {
			d, err := newDecoder(&StreamPlan{Def: &StreamDef{Format: FormatJSON, Columns: test.cols}}, []int{0, 1, 3, 4})
			if err != nil {
				b.Fatal(err)
			}
			if !test.scan {
				d.format.(*jsonFormat).scan = nil
			}
			batch := &column.Batch{}
			for b.Loop() {
				d.decode(test.recs, batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(test.recs)), "ns/event")
		})
	}
}
