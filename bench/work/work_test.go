package work

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestInput holds the events to their seed: what is in a file today is what
// was measured yesterday.
func TestInput(t *testing.T) {
	for _, w := range Workloads {
		in := New(w, 1, 1000)
		a, b := make([]Value, len(w.Columns)), make([]Value, len(w.Columns))
		in.Row(7, a)
		New(w, 1, 1000).Row(7, b)
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%s: event 7 is %v and %v", w.Name, a, b)
		}
		New(w, 2, 1000).Row(7, b)
		if fmt.Sprint(a) == fmt.Sprint(b) {
			t.Errorf("%s: event 7 does not depend on the seed", w.Name)
		}
		path, err := in.File(t.TempDir(), NDJSON)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if len(lines) != 1000 || lines[7] != string(w.AppendJSON(nil, a)) {
			t.Errorf("%s: line 7 of %d is %s", w.Name, len(lines), lines[7])
		}
	}
	row := make([]Value, len(access.Columns))
	New(access, 1, 1000).Row(7, row)
	if got, want := string(access.AppendJSON(nil, row)), `{"seq":7,"ts":1700000250000,`; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s…", got, want)
	}
}

// TestCheck tells answers that are right from others.
func TestCheck(t *testing.T) {
	for _, w := range Workloads {
		if !w.Additive() {
			continue
		}
		in := New(w, 1, 5000)
		rows := make([][]Value, in.Events)
		for i := range rows {
			rows[i] = make([]Value, len(w.Columns))
			in.Row(int64(i), rows[i])
		}
		for _, v := range w.Views {
			answer := in.Answer(&v, in.Events)
			groups := v.Group(w, rows)
			check := func(change func([]string)) (err error) {
				for i, g := range groups {
					var row []string
					for _, arg := range v.Args(w, g) {
						row = append(row, fmt.Sprint(arg))
					}
					if i == 3%len(groups) {
						change(row)
					}
					if err := answer.Check(row); err != nil {
						answer.seen = 0
						return err
					}
				}
				return answer.Done()
			}
			if err := check(func([]string) {}); err != nil {
				t.Errorf("%s: %v", v.Name, err)
			}
			last := len(v.Keys) + len(v.Aggs) - 1
			if check(func(row []string) { row[last] += "1" }) == nil {
				t.Errorf("%s: a wrong sum passes", v.Name)
			}
			if check(func(row []string) { row[0] = "no such key" }) == nil {
				t.Errorf("%s: a wrong key passes", v.Name)
			}
			groups = groups[1:]
			if check(func([]string) {}) == nil {
				t.Errorf("%s: a group is missing, and it passes", v.Name)
			}
		}
	}
}
