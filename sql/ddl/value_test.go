package ddl

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "500ms": 500 * time.Millisecond, "3h": 3 * time.Hour, "90d": 90 * day, "2w": 14 * day,
		"1h30m": 90 * time.Minute, "1h 30m": 90 * time.Minute, " 1 day ": day, "2 Weeks": 14 * day, "1d12h": 36 * time.Hour,
		"1.5h": 90 * time.Minute, "0.1s": 100 * time.Millisecond, "10 minutes": 10 * time.Minute, "5MIN": 5 * time.Minute,
		"1us": time.Microsecond, "1µs": time.Microsecond, "7ns": 7, "3H": 3 * time.Hour, "1.0000000000000000000000001s": time.Second,
		"9223372036854775807ns": math.MaxInt64,
	} {
		if got, err := ParseDuration(s); got != want || err != nil {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"": "empty", "30": "lacks a unit", "h": "is not a duration", "-5s": "is not a duration", "1x": `unknown unit "x"`,
		"3M": "small m", "1 month": "use days", "1y": "use days", "1.h": "is not a duration", ".5h": "is not a duration",
		"9223372036854775808ns": "too long", "300y": "use days", "120000d": "too long", "99999999999999999999d": "too long",
		"106751d 25h": "too long", "1h,2m": "unknown unit", "forever": "is not a duration",
	} {
		if got, err := ParseDuration(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseDuration(%q) = %v, %v, want %s", s, got, err, want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 90 * time.Minute: "1h30m", 14 * day: "14d", 36 * time.Hour: "1d12h", 1500 * time.Microsecond: "1ms500us", 1: "1ns",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "4096": 4096, "1B": 1, "1 kb": 1024, "1KiB": 1024, "1k": 1024, "10GB": 10 << 30, "10GiB": 10 << 30, "1.5TB": 3 << 39,
		"500MB": 500 << 20, "2P": 2 << 50, "7EB": 7 << 60, "9223372036854775807": math.MaxInt64, "0.5": 0,
	} {
		if got, err := ParseBytes(s); got != want || err != nil {
			t.Errorf("ParseBytes(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"": "is not a size", "x": "is not a size", "-1": "is not a size", "1XB": "for its unit", "1GBB": "for its unit", "1BB": "for its unit",
		"1GB2": "for its unit", "8EB": "too large", "9223372036854775808": "too large", "1BiB": "for its unit",
	} {
		if got, err := ParseBytes(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseBytes(%q) = %v, %v, want %s", s, got, err, want)
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"1h30m", "10GB", "1.5 days", "0", "a.b, c.>", "99999999999999999999d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDuration(s); err == nil {
			if again, err := ParseDuration(FormatDuration(d)); again != d || err != nil || d < 0 {
				t.Errorf("%q is %d, and %s is %d, %v", s, d, FormatDuration(d), again, err)
			}
		}
		if n, err := ParseBytes(s); err == nil {
			if again, err := ParseBytes(strconv.FormatInt(n, 10)); again != n || err != nil || n < 0 {
				t.Errorf("%q is %d, which is %d, %v", s, n, again, err)
			}
		}
		if list, err := ParseSubjects(s); err == nil {
			if again, err := ParseSubjects(strings.Join(list, ",")); err != nil || !reflect.DeepEqual(list, again) {
				t.Errorf("%q is %q, and that is %q, %v", s, list, again, err)
			}
		}
	})
}

func TestParseSubjects(t *testing.T) {
	for s, want := range map[string][]string{
		"a":                          {"a"},
		"logs.access, logs.access.>": {"logs.access", "logs.access.>"},
		" a.* ,b.>,c":                {"a.*", "b.>", "c"},
		"*.orders":                   {"*.orders"},
		"한글.>":                       {"한글.>"},
		"a.*.c,a.b.d":                {"a.*.c", "a.b.d"},
	} {
		if got, err := ParseSubjects(s); !reflect.DeepEqual(got, want) || err != nil {
			t.Errorf("ParseSubjects(%q) = %q, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"": "a subject is empty", "a,": "a subject is empty", "a,,b": "a subject is empty",
		"a b": "contains space", "a..b": "empty token", ".a": "empty token", "a.": "empty token",
		"a.>.b": "comes last", "a*": "within a token", "a.b>": "within a token", "a\x01": "control character",
		">": "would take the messages of weir", "*": "would take", "*.>": "would take",
		"$JS.API.>": "begins with $", "_weir.x": "begins with _weir", "_INBOX.>": "begins with _INBOX",
		"a,a": "overlap", "a.>,a.b": "overlap", "a.*,a.b": "overlap", "a.*.c,a.b.*": "overlap",
	} {
		if got, err := ParseSubjects(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSubjects(%q) = %q, %v, want %s", s, got, err, want)
		}
	}
}
