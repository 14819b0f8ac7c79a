package shell

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"weir/sql/ddl"
)

// feed cuts a text as the shell does with its lines.
func feed(text string) (items []item) {
	s := newSplitter()
	for line := range strings.SplitSeq(text, "\n") {
		items = append(items, s.feed(line)...)
	}
	if it, ok := s.rest(); ok {
		items = append(items, it)
	}
	return items
}

func TestSplitter(t *testing.T) {
	for _, test := range []struct {
		text string
		want []item
	}{
		{"select 1; select 2 \\G select 3\\g", []item{{text: "select 1", line: 1}, {text: "select 2", vertical: true, line: 1}, {text: "select 3", line: 1}}},
		{"select\n  1", []item{{text: "select\n  1", line: 1}}},
		{"-- no ; here\n\nselect 1;", []item{{text: "select 1", line: 3}}},
		{"select 'a;\\'b', \"c\"\";\", `d``;`;", []item{{text: "select 'a;\\'b', \"c\"\";\", `d``;`", line: 1}}},
		{"select 5--1; # rest; of the line", []item{{text: "select 5--1", line: 1}}},
		{"/* ; */ select /*! 1; */ + /* \n; */ 2;", []item{{text: "select /*! 1; */ + /* \n; */ 2", line: 1}}},
		{"/*! select 1 */;", []item{{text: "/*! select 1 */", line: 1}}},
		{"delimiter //\nselect 1; select 2//\ndelimiter ;\nselect 3;", []item{
			{command: "delimiter", text: "//", line: 1},
			{text: "select 1; select 2", line: 2},
			{command: "delimiter", text: ";", line: 3},
			{text: "select 3", line: 4},
		}},
		{"select 1 \\c select 2;", []item{{command: "clear", line: 1}, {text: "select 2", line: 1}}},
		{"select '\\c', 1 \\u db", []item{{command: "use", text: "db", line: 1}, {text: "select '\\c', 1", line: 1}}},
		{"USE a; use b;use `c`", []item{{command: "use", text: "a", line: 1}, {command: "use", text: "b", line: 1}, {command: "use", text: "`c`", line: 1}}},
		{"exit;", []item{{command: "quit", line: 1}}},
		{"help create stream;", []item{{command: "help", text: "create stream", line: 1}}},
		{"print me;", []item{{text: "print me", line: 1}}},
		{"select\nuse\n;", []item{{text: "select\nuse", line: 1}}},
		{";", []item{{line: 1}}},
		{"select 1 \\watch 2s", []item{{command: "watch", text: "2s", line: 1}, {text: "select 1", line: 1}}},
		{"   \n\t", nil},
	} {
		if got := feed(test.text); !slices.Equal(got, test.want) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", test.text, got, test.want)
		}
	}
}

// TestSplitterIsOneWithSchemaFiles holds the splitter to the one that reads
// --schema, on whatever both understand.
func TestSplitterIsOneWithSchemaFiles(t *testing.T) {
	pieces := rapid.SampledFrom([]string{
		"select", "x1", " ", "\n", ";", "'a;b'", "'it''s'", "\"q\\\";\"", "`n;``a`", "/* c; */", "/*! h; */", "-- rest; '\n", "# rest; \"\n",
		"(", "1.5", "+", "'two\nlines'", "/*\n*/", "é",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(pieces, 0, 20).Draw(t, "pieces"), "")
		parts, err := ddl.Split(text)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []item
		for _, it := range feed(text) {
			if it.text != "" || it.command != "" {
				got = append(got, item{text: tail(it.text), line: it.line})
			}
		}
		for _, p := range parts {
			want = append(want, item{text: tail(p.Text), line: p.Line})
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q:\ngot  %+v\nwant %+v", text, got, want)
		}
	})
}

// tail leaves out the comments at the end, which one splitter keeps.
func tail(text string) string {
	parts, err := ddl.Split(text)
	if err != nil || len(parts) != 1 {
		return text
	}
	return parts[0].Text
}

func TestOneLineMeansTheSame(t *testing.T) {
	for text, want := range map[string]string{
		"select 1\n  from t;":             "select 1 from t;",
		"select 'a\nb', \"c\nd\", `e\nf`": `select 'a\nb', "c\nd", ` + "`e f`",
		"select 1 -- one\n+ 2;":           "select 1 /* one */ + 2;",
		"select 1 # */ one\n+ 2;":         "select 1 /* * / one */ + 2;",
		"select /* a\nb */ 1 -- end":      "select /* a b */ 1 -- end",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// render prints rows of texts, of which "NULL" is none.
func render(format string, cols []column, rows ...[]string) string {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	p := newPrinter(format, w, true)
	_ = p.begin(cols)
	for _, row := range rows {
		cells := make([]cell, len(row))
		for i, text := range row {
			if cells[i] = cell(text); text == "NULL" {
				cells[i] = nil
			}
		}
		_ = p.row(cells)
	}
	_ = p.end()
	_ = w.Flush()
	return b.String()
}

func TestTerminalsAreSafeFromValues(t *testing.T) {
	cols := []column{{name: "evil\x1b[2J"}}
	for _, format := range []string{"table", "vertical", "markdown"} {
		out := render(format, cols, []string{"\x1b]0;owned\a"}, []string{"\u202edrow"}, []string{"\xff\x1b"}, []string{"\u009b2J"})
		if strings.ContainsAny(out, "\x1b\a\u202e\u009b") || !utf8.ValidString(out) {
			t.Errorf("%s shows what a terminal would obey: %q", format, out)
		}
	}
}

func TestATableHasWideCharactersAndLines(t *testing.T) {
	got := render("table", []column{{name: "名"}, {name: "n", numeric: true}}, []string{"東京\nx", "7"}, []string{"👍🏽", "NULL"})
	want := `+------+------+
| 名   | n    |
+------+------+
| 東京 |    7 |
| x    |      |
| 👍🏽   | NULL |
+------+------+
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestATableDoesNotKeepItsRows holds the memory of a large result down, and
// shows what a late, wide value does.
func TestATableDoesNotKeepItsRows(t *testing.T) {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	p := newPrinter("table", w, true).(*tablePrinter)
	_ = p.begin([]column{{name: "n", numeric: true}})
	for n := range 3 * tableRows {
		_ = p.row([]cell{cell(fmt.Sprint(n))})
	}
	if len(p.first) != 0 {
		t.Errorf("%d rows are kept", len(p.first))
	}
	_ = p.row([]cell{cell("1234567890")})
	_ = p.end()
	_ = w.Flush()
	if lines := strings.Split(b.String(), "\n"); len(lines) != 3+3*tableRows+1+1+1 || lines[len(lines)-3] != "| 1234567890 |" || lines[3] != "|   0 |" {
		t.Errorf("got %d lines, the first row %q, the last %q", len(lines), lines[3], lines[len(lines)-3])
	}
}

func TestCSVReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.StringOf(rapid.RuneFrom([]rune("ab ,\"\n\t'é;"))), 2, 5).Draw(t, "values")
		cols := make([]column, len(want))
		r := csv.NewReader(strings.NewReader(render("csv", cols, want)))
		all, err := r.ReadAll()
		if err != nil || len(all) != 2 || !slices.Equal(all[1], want) {
			t.Fatalf("got %q, want %q (%v)", all, want, err)
		}
	})
}

func TestNumbersAreThoseOfMySQL(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 1e20: "1e20", 0.1: "0.1", 1e-7: "0.0000001", 1.5e-20: "1.5e-20", -1e15: "-1e15", 999999999999999: "999999999999999"} {
		if got := string(cellOf(f)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := string(cellOf(float32(0.1))); got != "0.1" {
		t.Errorf("got %s, want 0.1", got)
	}
}

func TestCompletions(t *testing.T) {
	n := &names{
		databases: []string{"analytics", "weir"},
		relations: []relation{
			{"analytics", "access_log", []string{"_seq", "ip", "status", "target"}},
			{"analytics", "requests", []string{"minute", "path", "requests", "__c0"}},
			{"weir", "views", []string{"name", "state"}},
		},
		streams: []string{"access_log"},
		views:   []string{"requests"},
	}
	for text, want := range map[string]string{
		"ref":                              "refresh ",
		"REFRESH ":                         "MATERIALIZED ",
		"REFRESH MATERIALIZED VIEW ":       "requests",
		"refresh materialized view r":      "requests",
		"DROP STREAM ":                     "IF |access_log",
		"use ":                             "analytics|weir",
		"SELECT * FROM a":                  "analytics|access_log",
		"SELECT * FROM weir.":              "views",
		"SELECT * FROM weir.views WHERE n": "name|natural |not |nullif(|ntile(|null |now(",
		"SELECT sta":                       "status",
		"SELECT APPROX_":                   "APPROX_COUNT_DISTINCT(|APPROX_PERCENTILE(|APPROX_TOP_K(",
		"SELECT r.pa":                      "",
		"SELECT requests.":                 "minute|path|requests",
		"SELECT * FROM requests r JOIN access_log AS l ON l.": "_seq|ip|status|target",
		"SELECT * FROM requests r WHERE r.m":                  "minute",
		"SELECT __":                                           "__c0",
		"CREATE STREAM s (a INT) WITH (format = 'json', even": "event_time = ",
		"CREATE STREAM s (a INT) WITH (format = ":             "'combined'|'json'|'regex'",
		"CREATE MATERIALIZED VIEW v WITH (mode = ":            "'kappa'|'lambda'",
		"CREATE MATERIALIZED VIEW v WITH (":                   strings.Join(sorted(ddl.ViewOptions, " = "), "|"),
		"ALTER MATERIALIZED VIEW requests SET (repl":          "replay_rate = ",
		"SELECT 'FROM ":                                       "",
		"SELECT 1 -- FROM ":                                   "",
		"SELECT `":                                            "",
		"CREATE STREAM s (a VARC":                             "VARCHAR ",
		"CALL w":                                              "weir.cancel_job(|weir.rerun_batch(|weir.run(",
	} {
		list, _ := completions(text, "analytics", n)
		wanted := strings.Split(want, "|")
		slices.Sort(wanted)
		if got := strings.Join(list, "|"); got != strings.Join(wanted, "|") {
			t.Errorf("%q: got %s, want %s", text, got, strings.Join(wanted, "|"))
		}
	}
}

func sorted(list []string, suffix string) []string {
	var out []string
	for _, s := range list {
		out = append(out, s+suffix)
	}
	slices.Sort(out)
	return out
}

func TestNoTextBreaksCompletion(t *testing.T) {
	n := &names{relations: []relation{{"analytics", "t", []string{"a"}}}}
	pieces := rapid.SampledFrom([]string{"select ", ".", "t", "(", ")", "=", ",", "with", " ", "alter ", "create stream ", "'", "`", "/*", "as ", "\n", "set", "é"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(pieces, 0, 12).Draw(t, "pieces"), "")
		list, typed := completions(text, "analytics", n)
		for _, c := range list {
			if !strings.HasSuffix(text, typed) || len(c) <= len(typed) {
				t.Fatalf("%q: %q cannot become %q", text, typed, c)
			}
		}
	})
}

func TestNoTextBreaksTheShell(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.RuneFrom([]rune(" \n\\;'\"`/*-#!Gguwatchdelimiter")))).Draw(t, "text")
		statements := 0
		for _, it := range feed(text) {
			if strings.TrimSpace(it.text) != it.text {
				t.Fatalf("%q has space around it", it.text)
			}
			statements += len(it.text)
		}
		if statements > len(text) {
			t.Fatalf("%d bytes of statements in %d of text", statements, len(text))
		}
		_, _ = completions(text, "analytics", new(names))
		if line := oneLine(text); strings.Contains(line, "\n") {
			t.Fatalf("%q has more than one line", line)
		}
	})
}

func answerOf(cols string, rows ...string) *snapshot {
	s := new(snapshot)
	for name := range strings.FieldsSeq(cols) {
		s.cols = append(s.cols, column{name: strings.TrimPrefix(name, "#"), numeric: strings.HasPrefix(name, "#")})
	}
	for _, row := range rows {
		var cells []cell
		for value := range strings.FieldsSeq(row) {
			if value == "NULL" {
				cells = append(cells, nil)
			} else {
				cells = append(cells, cell(value))
			}
		}
		s.rows = append(s.rows, cells)
	}
	s.total = len(s.rows)
	return s
}

func TestCompareFindsRowsByWhatNamesThem(t *testing.T) {
	// A count stands before the name, and rows change places.
	d := compare(answerOf("#n path", "9 /a", "7 /b", "3 /c"), answerOf("#n path", "10 /b", "9 /a", "1 /d"))
	if d.changed != 1 || d.added != 1 || d.gone != 1 || d.rows[0].cells[0] != up || d.rows[1].cells != nil || !d.rows[2].added {
		t.Errorf("got %+v", d)
	}
	// Groups are named by numbers alone.
	d = compare(answerOf("#id #n", "1 5", "2 5"), answerOf("#id #n", "1 4", "2 5", "3 1"))
	if d.changed != 1 || d.added != 1 || d.rows[0].cells[1] != down {
		t.Errorf("got %+v", d)
	}
	// One row is the same row, whatever is in it.
	d = compare(answerOf("at #n", "noon 5"), answerOf("at #n", "night NULL"))
	if d.changed != 1 || d.rows[0].cells[0] != other || d.rows[0].cells[1] != other {
		t.Errorf("got %+v", d)
	}
	// Where nothing tells rows apart, none is taken for another.
	d = compare(answerOf("a", "x", "x"), answerOf("a", "x", "x", "y"))
	if d.added > 2 || d.changed != 0 {
		t.Errorf("got %+v", d)
	}
	if d := compare(nil, answerOf("a", "x")); d.added+d.changed+d.gone != 0 {
		t.Errorf("the first answer has changes: %+v", d)
	}
}
