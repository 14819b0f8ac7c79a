package regex

import (
	"context"
	"errors"
	"testing"
)

func newRegex(t *testing.T, pattern, text string, flags RegexFlags) Regex {
	t.Helper()
	r := CreateRegex(0)
	if err := r.SetRegexString(context.Background(), pattern, flags); err != nil {
		t.Fatal(err)
	}
	if err := r.SetMatchString(context.Background(), text); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPositionsAreCharacters(t *testing.T) {
	ctx := context.Background()
	r := newRegex(t, "ł+", "żółł zł", RegexFlags_None)
	for _, c := range []struct {
		start, occurrence int
		end               bool
		want              int
	}{{1, 1, false, 3}, {1, 1, true, 5}, {1, 2, false, 7}, {5, 1, false, 7}, {1, 3, false, 0}, {99, 1, false, 0}} {
		got, err := r.IndexOf(ctx, c.start, c.occurrence, c.end)
		if err != nil || got != c.want {
			t.Errorf("IndexOf(%d, %d, %v) = %d, %v, want %d", c.start, c.occurrence, c.end, got, err, c.want)
		}
	}
	if s, ok, err := r.Substring(ctx, 1, 2); s != "ł" || !ok || err != nil {
		t.Errorf("Substring = %q, %v, %v", s, ok, err)
	}
}

func TestReplace(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		pattern, text, with string
		pos, occurrence     int
		want                string
	}{
		{"[0-9]+", "a1b22c333", "#", 1, 0, "a#b#c#"},
		{"[0-9]+", "a1b22c333", "#", 1, 2, "a1b#c333"},
		{"[0-9]+", "a1b22c333", "#", 3, 1, "a1b#c333"},
		{"(a)(b)", "ab", "$2$1", 1, 0, "ba"},
		{"(a)", "a", `\$1`, 1, 0, "$1"},
		{"(a)", "a", "$10", 1, 0, "a0"},
		{"x", "abc", "y", 1, 0, "abc"},
	} {
		got, err := newRegex(t, c.pattern, c.text, RegexFlags_None).Replace(ctx, c.with, c.pos, c.occurrence)
		if err != nil || got != c.want {
			t.Errorf("Replace(%q, %q, %q, %d, %d) = %q, %v, want %q", c.pattern, c.text, c.with, c.pos, c.occurrence, got, err, c.want)
		}
	}
}

func TestFlags(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		pattern, text string
		flags         RegexFlags
		want          bool
	}{
		{"ABC", "xabc", RegexFlags_Case_Insensitive, true},
		{"ABC", "xabc", RegexFlags_None, false},
		{"^b", "a\nb", RegexFlags_Multiline, true},
		{"^b", "a\nb", RegexFlags_None, false},
		{"a.b", "a\nb", RegexFlags_Dot_All, true},
		{"a.b", "a\nb", RegexFlags_None, false},
		{"a.b", "axb", RegexFlags_Literal, false},
	} {
		got, err := newRegex(t, c.pattern, c.text, c.flags).Matches(ctx, 0, 0)
		if err != nil || got != c.want {
			t.Errorf("Matches(%q, %q, %d) = %v, %v, want %v", c.pattern, c.text, c.flags, got, err, c.want)
		}
	}
}

func TestInvalidPattern(t *testing.T) {
	err := CreateRegex(0).SetRegexString(context.Background(), "(?=x)", RegexFlags_None)
	if !errors.Is(err, ErrInvalidRegex) {
		t.Errorf("look-ahead: %v, want ErrInvalidRegex", err)
	}
}
