package ddl

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	tests := []struct {
		script string
		want   []Part
	}{
		{"", nil},
		{" ;; -- nothing\n;/* at all */", nil},
		{"SELECT 1", []Part{{"SELECT 1", 1, 0}}},
		{"SELECT 1;\nSELECT 2;\n", []Part{{"SELECT 1", 1, 0}, {"SELECT 2", 2, 10}}},
		{
			"-- first\n\nSELECT ';' -- ;\n , \";\", `;` /* ; */ # ;\n;SELECT 2",
			[]Part{{"SELECT ';' -- ;\n , \";\", `;`", 3, 10}, {"SELECT 2", 5, 51}},
		},
		{"SELECT 'it''s', 'a\\';'; SELECT 2", []Part{{"SELECT 'it''s', 'a\\';'", 1, 0}, {"SELECT 2", 1, 24}}},
		{"/*!40101 SET NAMES utf8 */; SELECT 1", []Part{{"/*!40101 SET NAMES utf8 */", 1, 0}, {"SELECT 1", 1, 28}}},
		{"\uFEFFSELECT 1", []Part{{"SELECT 1", 1, 3}}},
		{"SELECT 1\r\n;\r\nSELECT 2", []Part{{"SELECT 1", 1, 0}, {"SELECT 2", 3, 13}}},
	}
	for _, tt := range tests {
		got, err := Split(tt.script)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Split(%q)\n got %+v, %v\nwant %+v", tt.script, got, err, tt.want)
		}
	}
}

// In each script, ¦ stands where the error must point.
func TestSplitErrors(t *testing.T) {
	for _, script := range []string{"SELECT 1;\nSELECT ¦'it; SELECT 2", "SELECT ¦`x", "SELECT ¦\"x\\\"", "SELECT 1; ¦/* x", "¦/*! x"} {
		pos := strings.Index(script, "¦")
		parts, err := Split(strings.Replace(script, "¦", "", 1))
		var e *Error
		if !errors.As(err, &e) || e.Pos != pos || parts != nil || !strings.Contains(e.Msg, "never closed") {
			t.Errorf("Split(%q) = %v, %v", script, parts, err)
		}
	}
}

func TestCaret(t *testing.T) {
	tests := []struct {
		src  string
		pos  int
		want string
	}{
		{"a b", 2, "a b\n  ^"},
		{"a\n\tb c\r\nd", 5, "\tb c\n\t  ^"},
		{"'한' x", 6, "'한' x\n     ^"},
		{"", 0, "\n^"},
		{"ab", 9, "ab\n  ^"},
		{
			strings.Repeat("a", 100) + "b" + strings.Repeat("c", 100), 100,
			"…" + strings.Repeat("a", 60) + "b" + strings.Repeat("c", 39) + "…\n" + strings.Repeat(" ", 61) + "^",
		},
	}
	for _, tt := range tests {
		if got := NewError(tt.src, tt.pos, "").Caret(); got != tt.want {
			t.Errorf("%q at %d\n got %q\nwant %q", tt.src, tt.pos, got, tt.want)
		}
	}
}

func TestNear(t *testing.T) {
	long := strings.Repeat("x", 50)
	for src, want := range map[string]string{
		"": "at the end", "  ": "at the end", "a b": "near 'a'", "'a\nb'": "near ''a…'", long: "near '" + long[:40] + "…'",
	} {
		if got := NewError(src, 0, "m").Error(); got != "syntax error at line 1, column 1 "+want+": m" {
			t.Errorf("%q: %s", src, got)
		}
	}
}

func TestQuoteName(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a", "A_1": "A_1", "_seq": "_seq", "stream": "stream", "status": "status",
		"group": "`group`", "KEY": "`KEY`", "plan": "`plan`", "1a": "`1a`", "a b": "`a b`", "a`b": "`a``b`", "a$": "`a$`", "é": "`é`", "": "``",
	} {
		if got := QuoteName(name); got != want {
			t.Errorf("QuoteName(%q) = %s, want %s", name, got, want)
		}
	}
}

func TestQuoteString(t *testing.T) {
	for text, want := range map[string]string{
		"a": `'a'`, "it's": `'it''s'`, `\d`: `'\\d'`, "a\nb\r\x00\x1a": `'a\nb\r\0\Z'`, "a\tb": "'a\tb'", `"`: `'"'`,
	} {
		got := QuoteString(text)
		if got != want {
			t.Errorf("QuoteString(%q) = %s, want %s", text, got, want)
		}
		if back := unquote(got); back != text {
			t.Errorf("%s is %q, want %q", got, back, text)
		}
	}
	if got := unquote(`"a""b\"\x\b\t\%\_"`); got != "a\"b\"x\b\t\\%\\_" {
		t.Errorf("%q", got)
	}
}
