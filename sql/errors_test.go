package sql

import (
	"errors"
	"testing"
)

// TestWhereADefinitionCannotBeRead checks the place that errors point at: the
// rest of the text from there on.
func TestWhereADefinitionCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT größe FROM hits":                 "öße FROM hits", // such names are quoted
		"SELECT page,, bytes FROM hits":          ", bytes FROM hits",
		"SELECT page FROM hits WHERE (bytes > 1": "",
		"SELECT p + ":                            "",
		"SELECT a FROM x WHERE":                  "",
		"SELECT (p + 1)) FROM x":                 ") FROM x",
		"SELECT page FORM hits":                  "hits",
		"SELECT a b c FROM hits":                 "c FROM hits",
		"SELECT COUNT(* FROM x":                  "FROM x",
		"SELECT a FROM x WHERE a > 'it' 5":       "5",
		"SELECT a FROM x WHERE a = 5 'it'":       "'it'",
		"SELECT page FROM hits\nGROUP page":      "page",
		"SELECT page AS order FROM hits":         "order FROM hits",
		"SELECT `größe`,, b FROM hits":           ", b FROM hits",
	} {
		_, err := parseText(text)
		var syntax *selectError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: got %v", text, err)
		} else if got := text[syntax.pos:]; got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
