package views

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"weir/views/column"
)

var (
	typeInt    = column.Type{Kind: column.Int, SQL: "int", Min: math.MinInt32, Max: math.MaxInt32}
	typeTiny   = column.Type{Kind: column.Int, SQL: "tinyint", Min: -128, Max: 127}
	typeShort  = column.Type{Kind: column.String, SQL: "varchar(5)", Length: 5}
	typeBinary = column.Type{Kind: column.Bytes, SQL: "varbinary(4)", Length: 4}
	typeDate   = column.Type{Kind: column.Time, SQL: "date", Date: true}
	typeJSON   = column.Type{Kind: column.JSON, SQL: "json"}
)

// testDecoder decodes all columns of a stream.
func testDecoder(t testing.TB, def *StreamDef) *decoder {
	t.Helper()
	all := make([]int, len(def.AllColumns()))
	for i := range all {
		all[i] = i
	}
	d, err := newDecoder(&StreamPlan{Def: def}, all)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// decodeOne returns the columns of one event, or why it is a dead letter.
func decodeOne(t testing.TB, d *decoder, payload string) (row []column.Value, dead string) {
	t.Helper()
	b := &column.Batch{}
	letters := d.decode([]Record{{Seq: 7, Time: 1_700_000_000_123_456_789, Subject: "s.x", Payload: []byte(payload)}}, b)
	if len(letters) > 0 {
		if b.Sel == nil || len(b.Sel) > 0 || letters[0].Seq != 7 || string(letters[0].Payload) != payload {
			t.Errorf("dead letter %+v, rows %v", letters[0], b.Sel)
		}
		return nil, letters[0].Error
	}
	for _, v := range b.Cols {
		row = append(row, v.Value(0).Clone())
	}
	return row, ""
}

// TestJSONValues is what each type makes of each JSON value.
func TestJSONValues(t *testing.T) {
	day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		typ  column.Type
		json string
		want string // "" is NULL
	}{
		{column.Bigint, `42`, "42"},
		{column.Bigint, `"42"`, "42"},
		{column.Bigint, `42.0`, "42"},
		{column.Bigint, `4.2e1`, "42"},
		{column.Bigint, `42.5`, ""},
		{column.Bigint, `"forty"`, ""},
		{column.Bigint, `""`, ""},
		{column.Bigint, `null`, ""},
		{column.Bigint, `{}`, ""},
		{column.Bigint, `[1]`, ""},
		{column.Bigint, `true`, "1"},
		{column.Bigint, `false`, "0"},
		{column.Bigint, `9223372036854775807`, "9223372036854775807"},
		{column.Bigint, `-9223372036854775808`, "-9223372036854775808"},
		{column.Bigint, `9223372036854775808`, ""},
		{column.Bigint, `9007199254740993`, "9007199254740993"}, // not through a DOUBLE
		{column.Bigint, `1e400`, ""},
		{typeInt, `2147483647`, "2147483647"},
		{typeInt, `2147483648`, ""},
		{typeTiny, `-128`, "-128"},
		{typeTiny, `128`, ""},
		{column.Unsigned, `18446744073709551615`, "18446744073709551615"},
		{column.Unsigned, `18446744073709551616`, ""},
		{column.Unsigned, `-1`, ""},
		{column.Unsigned, `1e3`, "1000"},
		{column.Double, `1.5`, "1.5"},
		{column.Double, `"1.5"`, "1.5"},
		{column.Double, `1e400`, ""},
		{column.Double, `"NaN"`, ""},
		{column.Double, `"inf"`, ""},
		{column.Double, `true`, ""},
		{column.Decimal(6, 2), `12.34`, "12.34"},
		{column.Decimal(6, 2), `"12.34"`, "12.34"},
		{column.Decimal(6, 2), `12.345`, "12.35"},
		{column.Decimal(6, 2), `-12.345`, "-12.35"},
		{column.Decimal(6, 2), `9999.99`, "9999.99"},
		{column.Decimal(6, 2), `9999.994`, "9999.99"},
		{column.Decimal(6, 2), `9999.995`, ""},
		{column.Decimal(6, 2), `10000`, ""},
		{column.Decimal(6, 2), `1e3`, "1000.00"},
		{column.Decimal(6, 2), `1e999999999`, ""},
		{column.Decimal(6, 2), `"1e-999999999"`, ""},
		{column.Decimal(6, 2), `"abc"`, ""},
		{column.Decimal(6, 2), `"."`, ""},
		{column.Decimal(6, 2), `"-"`, ""},
		{column.Decimal(6, 2), `"0x10"`, ""},
		{column.Decimal(30, 6), `123456789012345678901234.123456`, "123456789012345678901234.123456"},
		{column.Decimal(30, 6), `1234567890123456789012345`, ""},
		{column.Text, `"a"`, "a"},
		{column.Text, `""`, "<empty>"},
		{column.Text, `"\u65e5\u672c\ud83d\ude00"`, "日本😀"},
		{column.Text, `"a\u0000b"`, "a\x00b"},
		{column.Text, "\"a\xffb\"", "a\uFFFDb"},
		{column.Text, `12.50`, "12.50"},
		{column.Text, `12345678901234567890`, "12345678901234567890"},
		{column.Text, `true`, "true"},
		{column.Text, `null`, ""},
		{column.Text, `{"a":1}`, ""},
		{typeShort, `"日本日本日"`, "日本日本日"},
		{typeShort, `"123456"`, ""},
		{typeBinary, `"日"`, "日"},
		{typeBinary, `"日本"`, ""},
		{column.Datetime, `"2024-02-29T00:00:00Z"`, fmt.Sprint(day.UnixMicro())},
		{column.Datetime, `"2024-02-29 01:00:00+01:00"`, fmt.Sprint(day.UnixMicro())},
		{column.Datetime, `"2024-02-29"`, fmt.Sprint(day.UnixMicro())},
		{column.Datetime, `"2024-02-29T00:00:00.000001Z"`, fmt.Sprint(day.UnixMicro() + 1)},
		{column.Datetime, `"2023-02-29"`, ""},
		{column.Datetime, `1700000000`, ""},
		{column.Datetime, `"yesterday"`, ""},
		{typeDate, `"2024-02-29T23:59:59Z"`, fmt.Sprint(day.UnixMicro())},
		{typeJSON, `{"b": [1, 2.50, "x"], "a": null}`, `{"b":[1,2.50,"x"],"a":null}`},
		{typeJSON, `"x"`, `"x"`},
		{typeJSON, `1`, "1"},
		{typeJSON, `true`, "true"},
		{typeJSON, `null`, "null"},
	} {
		d := testDecoder(t, &StreamDef{Format: FormatJSON, Columns: []ColumnDef{{Name: "x", Type: c.typ}}})
		row, dead := decodeOne(t, d, `{"x":`+c.json+`}`)
		if dead != "" {
			t.Errorf("%s: %s", c.json, dead)
			continue
		}
		got := row[0]
		switch {
		case got.IsNull() && c.want == "":
		case got.Kind != c.typ.Kind || got.String() != strings.Replace(c.want, "<empty>", "", 1):
			t.Errorf("%s as %s is %q (%v), want %q", c.json, c.typ, got, got.Kind, c.want)
		}
	}
}

func TestJSONPaths(t *testing.T) {
	def := &StreamDef{Format: FormatJSON, Columns: []ColumnDef{
		{Name: "plain", Type: column.Text},
		{Name: "nested", Type: column.Text, Path: "$.a.b"},
		{Name: "index", Type: column.Text, Path: "$.list[1].x"},
		{Name: "quoted", Type: column.Text, Path: `$."a key"."b.c"`},
		{Name: "whole", Type: typeJSON, Path: "$.a"},
	}}
	d := testDecoder(t, def)
	row, dead := decodeOne(t, d, `{"plain":"p","a":{"b":"n"},"list":[{"x":"0"},{"x":"1"}],"a key":{"b.c":"q"},"extra":1}`)
	if dead != "" {
		t.Fatal(dead)
	}
	for i, want := range []string{"p", "n", "1", "q", `{"b":"n"}`} {
		if got := row[i].String(); got != want {
			t.Errorf("column %s is %q, want %q", def.Columns[i].Name, got, want)
		}
	}
	row, dead = decodeOne(t, d, `{"a":[],"list":{"1":{"y":1}},"a key":"text"}`)
	if dead != "" {
		t.Fatal(dead)
	}
	for i, want := range []string{"NULL", "NULL", "NULL", "NULL", "[]"} {
		if got := row[i].String(); got != want {
			t.Errorf("column %s is %q, want %q", def.Columns[i].Name, got, want)
		}
	}
	for _, path := range []string{"", "a", "$", "$.", "$..a", "$.a.", "$[x]", "$.a b", "$.*", `$."`, "$a"} {
		if keys, err := ParsePath(path); err == nil {
			t.Errorf("path %q is taken for %q", path, keys)
		}
	}
}

func TestDeadLetters(t *testing.T) {
	d := testDecoder(t, &StreamDef{Format: FormatJSON, Columns: []ColumnDef{
		{Name: "id", Type: column.Bigint, NotNull: true}, {Name: "s", Type: column.Text, Path: "$.deep.s", NotNull: true},
	}})
	for payload, reason := range map[string]string{
		``:                          "empty",
		`{"id":1`:                   "not JSON",
		`{"id":1} {}`:               "not JSON",
		`[1]`:                       "array",
		`"text"`:                    "string",
		`null`:                      "null",
		`{"deep":{"s":"x"}}`:        "column id",
		`{"id":"x","deep":{"s":1}}`: "column id",
		`{"id":1,"deep":{}}`:        "$.deep.s",
		`{"id":1,"deep":{"s":[]}}`:  "column s",
	} {
		if _, dead := decodeOne(t, d, payload); !strings.Contains(dead, reason) {
			t.Errorf("%s: %q, want %q in it", payload, dead, reason)
		}
	}
}

// Which rows of a batch decode, and to what, does not depend on the others, nor
// on which columns are asked for.
func TestBatchesDecodeAsTheirEvents(t *testing.T) {
	def := &StreamDef{Format: FormatJSON, EventTime: "ts", Columns: []ColumnDef{
		{Name: "id", Type: column.Bigint, NotNull: true}, {Name: "s", Type: column.Text}, {Name: "ts", Type: column.Datetime},
	}}
	payloads := []string{
		`{"id":1,"s":"one","ts":"2024-01-01"}`, `{"id":2,"s":null}`, `oops`, `{"s":"no id"}`, `{"id":3,"s":"three\u0000"}`, `{"id":4,"s":12.50}`, `{"id":5,"s":{}}`, `{}`,
	}
	all, some := testDecoder(t, def), func() *decoder {
		d, err := newDecoder(&StreamPlan{Def: def}, []int{1})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}()
	b, c := &column.Batch{}, &column.Batch{}
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(rapid.SampledFrom(payloads), 1, 20).Draw(t, "events")
		var recs []Record
		var want []uint32
		for i, p := range events {
			recs = append(recs, Record{Seq: uint64(i + 1), Time: int64(i) * 1000, Payload: []byte(p)})
			if strings.Contains(p, `"id"`) {
				want = append(want, uint32(i))
			}
		}
		dead, alsoDead := all.decode(recs, b), some.decode(recs, c)
		if len(dead) != len(events)-len(want) || len(alsoDead) != len(dead) {
			t.Fatalf("%d and %d dead letters, want %d", len(dead), len(alsoDead), len(events)-len(want))
		}
		var rows []uint32
		b.Rows(func(i int) { rows = append(rows, uint32(i)) })
		if !slices.Equal(rows, want) {
			t.Fatalf("rows %v, want %v", rows, want)
		}
		for _, i := range rows {
			single := testDecoder2(def)
			one := &column.Batch{}
			single.decode(recs[i:i+1], one)
			for col := range def.Columns {
				if got, want := b.Cols[col].Value(int(i)), one.Cols[col].Value(0); got.String() != want.String() || got.Kind != want.Kind {
					t.Fatalf("row %d, column %d is %v, alone %v", i, col, got, want)
				}
			}
			if got, want := c.Cols[1].Value(int(i)), b.Cols[1].Value(int(i)); got.String() != want.String() || got.Kind != want.Kind {
				t.Fatalf("row %d is %v where only that column is asked for, else %v", i, got, want)
			}
		}
	})
}

func testDecoder2(def *StreamDef) *decoder {
	d, err := newDecoder(&StreamPlan{Def: def}, []int{0, 1, 2})
	if err != nil {
		panic(err)
	}
	return d
}

func TestExtras(t *testing.T) {
	d := testDecoder(t, &StreamDef{Format: FormatJSON})
	row, dead := decodeOne(t, d, `{}`)
	if dead != "" {
		t.Fatal(dead)
	}
	for i, want := range []string{"7", "1700000000123456", "s.x", "NULL", "{}"} {
		if row[i].String() != want {
			t.Errorf("%s is %v, want %s", Extras[i].Name, row[i], want)
		}
	}
}

func TestRegex(t *testing.T) {
	def := &StreamDef{Format: FormatRegex, Pattern: `^(?P<ip>\S+) (?P<path>\S+)(?: (?P<ms>\d+))?$`, Columns: []ColumnDef{
		{Name: "ip", Type: column.Text}, {Name: "p", Type: column.Text, Path: "$.path"}, {Name: "ms", Type: typeTiny},
	}}
	d := testDecoder(t, def)
	for _, c := range []struct {
		line string
		want []string
	}{
		{"1.2.3.4 /a 12", []string{"1.2.3.4", "/a", "12"}},
		{"1.2.3.4 /a", []string{"1.2.3.4", "/a", "NULL"}},
		{"1.2.3.4 /a 999\r\n", []string{"1.2.3.4", "/a", "NULL"}},
		{"1.2.3.4 /日\xff", []string{"1.2.3.4", "/日\uFFFD", "NULL"}},
		{"nothing", nil},
	} {
		row, dead := decodeOne(t, d, c.line)
		if (dead != "") != (c.want == nil) {
			t.Errorf("%q: dead letter %q", c.line, dead)
			continue
		}
		for i, want := range c.want {
			if row[i].String() != want {
				t.Errorf("%q: %s is %v, want %s", c.line, def.Columns[i].Name, row[i], want)
			}
		}
	}
	for pattern, reason := range map[string]string{"": "needs a pattern", "(": "pattern", "(?P<ip>x)": "no group"} {
		def := *def
		def.Pattern = pattern
		if _, err := newDecoder(&StreamPlan{Def: &def}, nil); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("pattern %q: %v, want %q in it", pattern, err, reason)
		}
	}
}

func TestCombined(t *testing.T) {
	def := &StreamDef{Format: FormatCombined, EventTime: "ts", Columns: []ColumnDef{
		{Name: "ip", Type: column.Text},
		{Name: "user", Type: column.Text},
		{Name: "ts", Type: column.Datetime},
		{Name: "method", Type: column.Text},
		{Name: "target", Type: column.Text},
		{Name: "proto", Type: column.Text, Path: "$.protocol"},
		{Name: "status", Type: typeInt},
		{Name: "bytes", Type: column.Bigint},
		{Name: "referer", Type: column.Text},
		{Name: "agent", Type: column.Text},
	}}
	d := testDecoder(t, def)
	at := fmt.Sprint(time.Date(2024, 2, 29, 11, 30, 0, 0, time.UTC).UnixMicro())
	for _, c := range []struct {
		line string
		want []string
	}{
		{
			`1.2.3.4 - bob [29/Feb/2024:12:30:00 +0100] "GET /a?x=1 HTTP/1.1" 200 123 "http://r/" "Agent \"x\" 1.0"`,
			[]string{"1.2.3.4", "bob", at, "GET", "/a?x=1", "HTTP/1.1", "200", "123", "http://r/", `Agent \"x\" 1.0`},
		},
		{
			`::1 - - [29/Feb/2024:12:30:00 +0100] "-" 400 - "-" "-"` + "\n",
			[]string{"::1", "NULL", at, "NULL", "NULL", "NULL", "400", "NULL", "NULL", "NULL"},
		},
		{
			`h - - [nonsense] "GET" 200 0 "" ""`,
			[]string{"h", "NULL", "NULL", "GET", "NULL", "NULL", "200", "0", "", ""},
		},
		{`h - - [29/Feb/2024:12:30:00 +0100] "GET / HTTP/1.1" 200 1`, nil},
		{`h - - [29/Feb/2024:12:30:00 +0100] "GET / HTTP/1.1" 2x0 1 "" ""`, nil},
		{`h - - [29/Feb/2024:12:30:00 +0100] "GET / HTTP/1.1" 200 1k "" ""`, nil},
		{`h - - [29/Feb/2024:12:30:00 +0100] "GET / HTTP/1.1" 200 1 "" "" more`, nil},
		{`h - - 29/Feb/2024 "GET / HTTP/1.1" 200 1 "" ""`, nil},
		{`h - - [29/Feb/2024:12:30:00 +0100] "unterminated`, nil},
		{``, nil},
	} {
		row, dead := decodeOne(t, d, c.line)
		if (dead != "") != (c.want == nil) {
			t.Errorf("%q: dead letter %q", c.line, dead)
			continue
		}
		for i, want := range c.want {
			if row[i].String() != want {
				t.Errorf("%q: %s is %v, want %s", c.line, def.Columns[i].Name, row[i], want)
			}
		}
	}
}

func TestTimeFormats(t *testing.T) {
	at := time.Date(2024, 2, 29, 12, 30, 45, 123_456_000, time.UTC)
	for _, c := range []struct {
		format, json string
		want         time.Time // zero is NULL
	}{
		{"", `"2024-02-29T12:30:45.123456Z"`, at},
		{"unix", `1709209845`, at.Truncate(time.Second)},
		{"unix", `1709209845.123456`, at},
		{"unix_s", `"1709209845"`, at.Truncate(time.Second)},
		{"unix_ms", `1709209845123`, at.Truncate(time.Millisecond)},
		{"unix_us", `1709209845123456`, at},
		{"unix_ns", `1709209845123456789`, at},
		{"unix_ns", `-1`, time.Unix(0, -1000)},
		{"unix_ms", `9223372036854775807`, time.Time{}},
		{"unix_ms", `"soon"`, time.Time{}},
		{"unix_ms", `true`, time.Time{}},
		{"02/Jan/2006:15:04:05 -0700", `"29/Feb/2024:13:30:45 +0100"`, at.Truncate(time.Second)},
		{"%d/%b/%Y:%H:%M:%S %z", `"29/Feb/2024:13:30:45 +0100"`, at.Truncate(time.Second)},
		{"%Y-%m-%d %H:%M:%S", `"2024-02-29 12:30:45"`, at.Truncate(time.Second)},
		{"%Y-%m-%d", `"29.2.2024"`, time.Time{}},
	} {
		d := testDecoder(t, &StreamDef{Format: FormatJSON, EventTime: "ts", TimeFormat: c.format, Columns: []ColumnDef{{Name: "ts", Type: column.Datetime}}})
		row, dead := decodeOne(t, d, `{"ts":`+c.json+`}`)
		if dead != "" {
			t.Fatal(dead)
		}
		if row[0].IsNull() != c.want.IsZero() || !row[0].IsNull() && row[0].I != c.want.UnixMicro() {
			t.Errorf("%s in the format %q is %v, want %d", c.json, c.format, row[0], c.want.UnixMicro())
		}
	}
}

func TestParseISO(t *testing.T) {
	for text, want := range map[string]string{
		"2024-02-29":                          "2024-02-29T00:00:00Z",
		"2024-02-29T12:30":                    "2024-02-29T12:30:00Z",
		"2024-02-29 12:30:45":                 "2024-02-29T12:30:45Z",
		"2024-02-29T12:30:45.5":               "2024-02-29T12:30:45.5Z",
		"2024-02-29T12:30:45,123456789+01:00": "2024-02-29T11:30:45.123456Z",
		"2024-02-29T12:30:45-0730":            "2024-02-29T20:00:45Z",
		"2024-02-29T12:30:45+14":              "2024-02-28T22:30:45Z",
		"1969-12-31t23:59:59.999999z":         "1969-12-31T23:59:59.999999Z",
		"9999-12-31T23:59:59Z":                "9999-12-31T23:59:59Z",
	} {
		at, err := time.Parse(time.RFC3339Nano, want)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := parseISO(text); !ok || got != at.UnixMicro() {
			t.Errorf("%s is %s (%v), want %s", text, time.UnixMicro(got).UTC().Format(time.RFC3339Nano), ok, want)
		}
	}
	for _, text := range []string{
		"", "2024", "2024-13-01", "2024-00-01", "2024-01-32", "2024-01-00", "2023-02-29", "1900-02-29", "2024-01-01T24:00", "2024-01-01T12:60", "2024-01-01T12:00:60", "2024-01-01T",
		"2024-01-01T12", "2024-01-01T12:30:45.", "2024-01-01T12:30+15:00", "2024-01-01T12:30x", "2024-1-1", "2024-01-01x12:30", "-024-01-01", "9999-12-31T23:59:59-01:00", "2024-01-01T12:30:45+1", "2024-01-01T+2:30",
	} {
		if got, ok := parseISO(text); ok {
			t.Errorf("%q is taken for %s", text, time.UnixMicro(got).UTC())
		}
	}
}

// What time.Parse reads of ISO 8601, parseISO reads as the same time.
func FuzzParseISO(f *testing.F) {
	f.Add("2024-02-29T12:30:45.123456789+01:00")
	f.Add("0000-01-01T00:00:00Z")
	f.Add("1600-02-29 00:00:00")
	f.Add("9999-12-31T23:59:59.999999-14:00")
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseISO(text)
		if len(text) > 10 && (len(text) < 14 || text[13] != ':') {
			return // time.Parse takes hours of one digit too
		}
		for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02"} {
			at, err := time.Parse(layout, text)
			if err != nil {
				continue
			}
			_, offset := at.Zone()
			want := at.UnixMicro()
			switch {
			case !inRange(want) || offset > 15*3600-60 || offset < -15*3600+60:
				// Out of DATETIME's range, or a zone that no place has.
			case !ok || got != want:
				t.Errorf("%q is %d (%v), time.Parse has %d", text, got, ok, want)
			}
			return
		}
	})
}

// FuzzDecodeJSON: decoding never panics, and what it returns can be kept.
func FuzzDecodeJSON(f *testing.F) {
	var cols []ColumnDef
	for i, typ := range []column.Type{column.Bigint, typeTiny, column.Unsigned, column.Double, column.Decimal(6, 2), column.Decimal(30, 6), column.Text, typeShort, typeBinary, column.Datetime, typeDate, typeJSON} {
		cols = append(cols, ColumnDef{Name: fmt.Sprintf("c%d", i), Type: typ, Path: "$.x"})
	}
	d := testDecoder(f, &StreamDef{Format: FormatJSON, Columns: cols})
	for _, s := range []string{`1`, `"2024-02-29T12:30:45Z"`, `-1.5e300`, `"日本"`, `{"a":[1]}`, `true`, `1e-5`, `123456789012345678901234.123456`, `0.0000000000000000000000000001`} {
		f.Add(`{"x":` + s + `}`)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		row, dead := decodeOne(t, d, payload)
		if dead != "" {
			return
		}
		for i, v := range row[:len(cols)] {
			typ := cols[i].Type
			if v.IsNull() {
				continue
			}
			switch {
			case v.Kind != typ.Kind:
				t.Errorf("%s: a %v in a column of %s", payload, v.Kind, typ)
			case v.Kind == column.String && !utf8.ValidString(v.S):
				t.Errorf("%s: text that is not UTF-8: %q", payload, v.S)
			case typ.Length > 0 && v.Kind == column.String && utf8.RuneCountInString(v.S) > typ.Length:
				t.Errorf("%s: %q in a column of %s", payload, v.S, typ)
			case v.Kind == column.Int && (typ.Min != 0 || typ.Max != 0) && (v.I < typ.Min || v.I > typ.Max):
				t.Errorf("%s: %d in a column of %s", payload, v.I, typ)
			case v.Kind == column.Dec && abs(v.I) >= column.Pow10[typ.Digits]:
				t.Errorf("%s: %v in a column of %s", payload, v, typ)
			case v.Kind == column.BigDec && (-v.D.Exponent() > int32(typ.Scale) || len(v.D.Abs().Truncate(0).String()) > int(typ.Digits-typ.Scale)):
				t.Errorf("%s: %v in a column of %s", payload, v, typ)
			case v.Kind == column.Time && !inRange(v.I):
				t.Errorf("%s: %d in a column of %s", payload, v.I, typ)
			case v.Kind == column.Float && (math.IsNaN(v.F) || math.IsInf(v.F, 0)):
				t.Errorf("%s: %v in a column of %s", payload, v.F, typ)
			}
		}
	})
}

func FuzzDecodeCombined(f *testing.F) {
	var cols []ColumnDef
	for part, names := range combinedNames {
		typ := column.Text
		if part == partTime {
			typ = column.Datetime
		}
		cols = append(cols, ColumnDef{Name: names[0], Type: typ})
	}
	d := testDecoder(f, &StreamDef{Format: FormatCombined, Columns: cols})
	f.Add(`1.2.3.4 - bob [29/Feb/2024:12:30:00 +0100] "GET /a?x=1 HTTP/1.1" 200 123 "http://r/" "Agent \"x\" 1.0"`)
	f.Add(`h - - [] "" 200 - "\" "`)
	f.Fuzz(func(t *testing.T, line string) {
		row, dead := decodeOne(t, d, line)
		if dead == "" && row[partStatus].IsNull() {
			t.Errorf("%q has no status", line)
		}
	})
}
