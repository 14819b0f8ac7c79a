// Package result is what the benchmark writes: figures, with every round and
// all that is needed to take them again.
package result

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A File is one run of one suite.
type File struct {
	Suite    string
	Started  time.Time
	Took     float64 // seconds
	Command  string  // what was called
	Seed     uint64
	Events   int64
	Rounds   int
	Machine  Machine
	Versions map[string]string // of every contender, and of what was linked
	Skipped  []string          `json:",omitempty"` // who could not take part, and why
	Others   []float64         `json:",omitempty"` // processors that other programs took, by measurement, where that was watched
	Figures  []*Figure
}

// A Figure is one measure of one contender under one workload.
type Figure struct {
	Workload   string
	Contender  string
	How        string // how it is done: the writer, the statement, the load beside it
	Durability string `json:",omitempty"` // what an acknowledgement promised, in words
	Measure    string // what was measured
	Unit       string
	Rounds     []float64 // in the order they were taken
	Median     float64
	Least      float64
	Most       float64
	Note       string `json:",omitempty"`
}

// Add adds a round to the figure of the same names, or makes it.
func (f *File) Add(fig Figure, value float64) {
	at := slices.IndexFunc(f.Figures, func(o *Figure) bool {
		return o.Workload == fig.Workload && o.Contender == fig.Contender && o.How == fig.How && o.Durability == fig.Durability && o.Measure == fig.Measure
	})
	if at < 0 {
		at = len(f.Figures)
		f.Figures = append(f.Figures, &fig)
	}
	own := f.Figures[at]
	own.Rounds = append(own.Rounds, value)
	own.Note = fig.Note
	own.Median, own.Least, own.Most = Median(own.Rounds), slices.Min(own.Rounds), slices.Max(own.Rounds)
}

// Find returns the median of a figure, and whether there is one.
func (f *File) Find(workload, contender, how, measure string) (*Figure, bool) {
	for _, o := range f.Figures {
		if o.Workload == workload && o.Contender == contender && o.How == how && o.Measure == measure {
			return o, true
		}
	}
	return nil, false
}

// Median returns that of some values: the mean of the two in the middle of an
// even number; 0 of none.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	switch n := len(sorted); {
	case n == 0:
		return 0
	case n%2 == 0:
		return (sorted[n/2-1] + sorted[n/2]) / 2
	default:
		return sorted[n/2]
	}
}

// Quantile returns the value that a share p of the values does not exceed; 0
// of none.
func Quantile(values []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

// Write writes the file into dir, under the name of its suite.
func (f *File) Write(dir string) (path string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, f.Suite+".json")
	return path, os.WriteFile(path, append(text, '\n'), 0o644)
}

// Read returns the file of a suite in dir; nil where there is none.
func Read(dir, suite string) (*File, error) {
	text, err := os.ReadFile(filepath.Join(dir, suite+".json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f := new(File)
	return f, json.Unmarshal(text, f)
}
