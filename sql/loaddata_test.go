package sql

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql/plan"
)

func readFields(n *plan.LoadData, text string) (lines []string, err error) {
	l := newLineReader(strings.NewReader(text), n)
	for {
		fields, err := l.read()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		var out []string
		for i := range fields {
			if v := fields[i].value(); v == nil {
				out = append(out, "NULL")
			} else {
				out = append(out, fmt.Sprintf("%q", v))
			}
		}
		lines = append(lines, strings.Join(out, " "))
	}
}

// TestLinesOfFiles reads files as MySQL does.
func TestLinesOfFiles(t *testing.T) {
	plain := plan.LoadData{FieldsTerminatedBy: "\t", LinesTerminatedBy: "\n", FieldsEscapedBy: "\\"}
	csv := plan.LoadData{FieldsTerminatedBy: ",", LinesTerminatedBy: "\n", FieldsEnclosedBy: `"`, FieldsEscapedBy: "\\"}
	crlf := plan.LoadData{FieldsTerminatedBy: ";", LinesTerminatedBy: "\r\n", FieldsEnclosedBy: `"`}
	marked := plan.LoadData{FieldsTerminatedBy: ",", LinesTerminatedBy: "\n", LinesStartingBy: "xxx"}
	for _, c := range []struct {
		n    plan.LoadData
		text string
		want []string
	}{
		{plain, "", nil},
		{plain, "1\ta\n2\tb\n", []string{`"1" "a"`, `"2" "b"`}},
		{plain, "1\ta\n\n\t\n3", []string{`"1" "a"`, `""`, `"" ""`, `"3"`}},
		{plain, `\N` + "\t" + `a\tb\\c\'` + "\t" + `x\N` + "\t" + `a\` + "\nb\n", []string{`NULL "a\tb\\c'" "xN" "a\nb"`}},
		{plain, `a\`, []string{`"a\\"`}},
		{csv, `1,"th,ree","a ""quoted"" one",""` + "\n", []string{`"1" "th,ree" "a \"quoted\" one" ""`}},
		{csv, "\"two\nlines\",NULL,\"NULL\"\n,\n", []string{`"two\nlines" NULL "NULL"`, `"" ""`}},
		{csv, `"never ends, it`, []string{`"never ends, it"`}},
		{csv, `"a"b",c` + "\n", []string{`"a\"b" "c"`}},
		{csv, `a"b,"c"`, []string{`"a\"b" "c"`}},
		{crlf, "a;\"b\r\nc\"\r\nd;e\r\n", []string{`"a" "b\r\nc"`, `"d" "e"`}},
		{crlf, `a\n;b`, []string{`"a\\n" "b"`}},
		{marked, "xxx1,2\nskipped\nyyyxxx3,4\nno\n", []string{`"1" "2"`, `"3" "4"`}},
	} {
		got, err := readFields(&c.n, c.text)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%q: got %q, %v; want %q", c.text, got, err, c.want)
		}
	}
}

// FuzzLinesOfFiles reads whatever a client sends, and comes to its end.
func FuzzLinesOfFiles(f *testing.F) {
	f.Add("1,\"a\"\n", ",", "\n", `"`, `\`)
	f.Add("\\", "ab", "b", "a", "b")
	f.Fuzz(func(t *testing.T, text, fieldEnd, lineEnd, enclose, escape string) {
		if fieldEnd == "" || lineEnd == "" {
			return
		}
		n := &plan.LoadData{FieldsTerminatedBy: fieldEnd, LinesTerminatedBy: lineEnd, FieldsEnclosedBy: enclose, FieldsEscapedBy: escape}
		lines, err := readFields(n, text)
		if err != nil || len(lines) > len(text)+1 {
			t.Fatalf("%d lines, %v", len(lines), err)
		}
	})
}
