package views

import (
	"encoding/json"
	"math"
	"testing"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"weir/views/column"
)

// TestChangesAsJSON shows how values of each kind stand in a message.
func TestChangesAsJSON(t *testing.T) {
	kind := func(k column.Kind, sql string) column.Type { return column.Type{Kind: k, SQL: sql} }
	big := decimal.RequireFromString("12345678901234567890123456789.5")
	for _, test := range []struct {
		v    column.Value
		t    column.Type
		want string
	}{
		{column.Null, column.Bigint, `null`},
		{column.Value{Kind: column.Int, I: math.MinInt64}, column.Bigint, `-9223372036854775808`},
		{column.Value{Kind: column.Uint, I: -1}, column.Unsigned, `18446744073709551615`},
		{column.Value{Kind: column.Int, I: 1}, column.Boolean, `1`},
		{column.Value{Kind: column.Float, F: 0.1}, column.Double, `0.1`},
		{column.Value{Kind: column.Float, F: 1e300}, column.Double, `1e+300`},
		{column.Value{Kind: column.Float, F: float64(float32(0.1))}, kind(column.Float, "float"), `0.1`},
		{column.Value{Kind: column.Float, F: math.NaN()}, column.Double, `null`},
		{column.Value{Kind: column.Dec, I: -1250, Scale: 2}, column.Decimal(10, 2), `-12.50`},
		{column.Value{Kind: column.BigDec, D: big}, column.Decimal(40, 3), `12345678901234567890123456789.500`},
		{column.Value{Kind: column.BigDec, D: decimal.New(5, 3)}, column.Decimal(40, 0), `5000`},
		{column.Value{Kind: column.Time, I: 1_767_261_600_000_000}, column.Datetime, `"2026-01-01T10:00:00Z"`},
		{column.Value{Kind: column.Time, I: 1_767_261_600_120_000}, column.Datetime, `"2026-01-01T10:00:00.12Z"`},
		{column.Value{Kind: column.Time, I: 1_767_225_600_000_000}, column.Type{Kind: column.Time, SQL: "date", Date: true}, `"2026-01-01"`},
		{column.Value{Kind: column.Int, I: -(25*3600*1e6 + 61e6 + 7)}, kind(column.Int, "time(6)"), `"-25:01:01.000007"`},
		{column.Value{Kind: column.String, S: "Käse \"x\" \\ \n\r\t\x01\x7f <&> 한글"}, column.Text, `"Käse \"x\" \\ \n\r\t\u0001` + "\x7f" + ` <&> 한글"`},
		{column.Value{Kind: column.String, S: "a\xffb\xe2\x82"}, column.Text, `"a�b��"`},
		{column.Value{Kind: column.Bytes, S: "\x00\xff"}, column.Blob, `"AP8="`},
		{column.Value{Kind: column.JSON, S: "{\"a\": [1,\n 2]}"}, kind(column.JSON, "json"), `{"a":[1,2]}`},
		{column.Value{Kind: column.JSON, S: "{"}, kind(column.JSON, "json"), `"{"`},
	} {
		got := string(appendJSON([]byte("x"), test.v, test.t))[1:]
		if got != test.want {
			t.Errorf("%v of type %s is %s, want %s", test.v, test.t, got, test.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s is no JSON", got)
		}
	}
}

func FuzzJSONText(f *testing.F) {
	f.Add("plain")
	f.Add("\"\\\x00\u2028\xff\xe2\x82")
	f.Fuzz(func(t *testing.T, s string) {
		raw := appendJSONText(nil, s)
		var back string
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if utf8.ValidString(s) && back != s {
			t.Errorf("%q reads back as %q", s, back)
		}
	})
}

// TestTakesSubject compares with what NATS does.
func TestTakesSubject(t *testing.T) {
	for _, test := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"a.*", "a.b.c", false},
		{"*.b", "a.b", true},
		{"a.>", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{">", "a", true},
		{"a.*.c", "a.b.d", false},
	} {
		if got := takesSubject(test.pattern, test.subject); got != test.want {
			t.Errorf("%s takes %s: %v, want %v", test.pattern, test.subject, got, test.want)
		}
	}
}
