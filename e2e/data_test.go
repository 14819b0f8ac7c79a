package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// dataDir returns the folder of the data sets. Without it the test is skipped,
// loudly, and fails in CI.
func dataDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("WEIR_TEST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	if _, err := os.Stat(dir); err != nil {
		msg := fmt.Sprintf("the data sets are missing (set WEIR_TEST_DATA): %v", err)
		if os.Getenv("CI") == "true" {
			t.Fatal(msg)
		}
		fmt.Fprintf(os.Stderr, "!!! SKIPPED %s: %s\n", t.Name(), msg)
		t.Skip(msg)
	}
	return dir
}

// read returns the content of a compressed file of a data set.
func read(t testing.TB, set, file string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(dataDir(t), set, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return raw
}

// eventsOf gives payloads their ids.
func eventsOf(set string, payloads [][]byte) []event {
	events := make([]event, len(payloads))
	for i, p := range payloads {
		events[i] = event{id: set + "-" + strconv.Itoa(i+1), payload: p}
	}
	return events
}

// lines returns the lines of a file, as they are.
func lines(raw []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
}

// csvObjects returns the rows of a CSV file as JSON objects whose values are
// strings, empty ones null. The columns in numbers are numbers.
func csvObjects(t testing.TB, raw []byte, numbers ...string) [][]byte {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	objects := make([][]byte, 0, len(rows)-1)
	for _, row := range rows[1:] {
		o := make(map[string]any, len(row))
		for i, name := range rows[0] {
			switch {
			case row[i] == "":
				o[name] = nil
			case slices.Contains(numbers, name):
				o[name] = json.Number(row[i])
			default:
				o[name] = row[i]
			}
		}
		raw, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, raw)
	}
	return objects
}

// features returns the objects of a GeoJSON file, as they are.
func features(t testing.TB, raw []byte) [][]byte {
	t.Helper()
	var file struct{ Features []json.RawMessage }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	payloads := make([][]byte, len(file.Features))
	for i, f := range file.Features {
		payloads[i] = f
	}
	return payloads
}

// A table is the rows of a reference answer.
type table struct {
	columns []string
	rows    [][]string
}

// answers reads a reference answer.
func answers(t testing.TB, set, name string) table {
	t.Helper()
	f, err := os.Open(filepath.Join(dataDir(t), set, "answers", name+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return table{columns: rows[0], rows: rows[1:]}
}

// where returns the rows in which a column has (or, with !=, has not) a value:
// "part!=batch+speed". With "" it returns all.
func (a table) where(t testing.TB, condition string) table {
	t.Helper()
	if condition == "" {
		return a
	}
	name, value, not := strings.Cut(condition, "!=")
	if !not {
		name, value, _ = strings.Cut(condition, "=")
	}
	c := a.column(t, name)
	some := table{columns: a.columns}
	for _, row := range a.rows {
		if (row[c] == value) != not {
			some.rows = append(some.rows, row)
		}
	}
	return some
}

// only returns the columns with the names; with none it returns all.
func (a table) only(t testing.TB, names []string) table {
	t.Helper()
	if names == nil {
		return a
	}
	some := table{columns: names, rows: make([][]string, len(a.rows))}
	for _, name := range names {
		c := a.column(t, name)
		for i, row := range a.rows {
			some.rows[i] = append(some.rows[i], row[c])
		}
	}
	return some
}

func (a table) column(t testing.TB, name string) int {
	t.Helper()
	c := slices.Index(a.columns, name)
	if c < 0 {
		t.Fatalf("the answer has no column %s, but %v", name, a.columns)
	}
	return c
}
