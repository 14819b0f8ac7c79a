// Package work is the input of the benchmark and what it has to become:
// streams of events made by seed, the views over them, the same views as SQL of
// every contender, and the answers computed by hand.
package work

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// A Kind is what a column holds.
type Kind uint8

// The kinds. Millis is an event time in Unix milliseconds: a DATETIME in weir,
// which windows it, and a BIGINT in the peers, which are spared the parsing of
// dates.
const (
	Int Kind = iota
	Float
	Text
	Millis
)

// A Column of a stream.
type Column struct {
	Name string
	Kind Kind
}

// A Value is that of a column: N of Int and Millis, F of Float, S of Text.
type Value struct {
	N int64
	F float64
	S string
}

// A Workload is a stream of events and the views that have to be fresh. The
// first two columns are seq and the event time.
type Workload struct {
	Name    string
	Stream  string
	Says    string // what it is, in a sentence
	Columns []Column
	Views   []View
	fill    func(g *generator, i int64, row []Value)
}

// A View is a GROUP BY over the stream.
type View struct {
	Name  string
	Where *Condition
	Keys  []Key
	Aggs  []Agg
}

// A Key is a column that a view groups by, or a window of it.
type Key struct {
	Name, Column string
	Window       int64 // milliseconds; 0 for the column itself
}

// A Condition says which events count.
type Condition struct {
	SQL  string // the same in every dialect
	Hold func(w *Workload, row []Value) bool
}

// A Func is what an Agg computes.
type Func uint8

// The aggregates. Those after Sum cannot be kept by adding, so an upsert does
// not keep them. Distinct and P95 are sketches in weir and exact elsewhere.
const (
	Count Func = iota
	CountIf
	Sum
	Avg
	Distinct
	P95
)

// An Agg is an aggregate of a view: of a column, or of a condition.
type Agg struct {
	Name, Column string
	Func         Func
	If           *Condition
}

// Additive says whether an upsert can keep the view.
func (v *View) Additive() bool {
	return !slices.ContainsFunc(v.Aggs, func(a Agg) bool { return a.Func > Sum })
}

// Additive says whether an upsert can keep all views.
func (w *Workload) Additive() bool {
	return !slices.ContainsFunc(w.Views, func(v View) bool { return !v.Additive() })
}

// Index returns where a column is in a row; it panics without one, since only
// definitions of this package name columns.
func (w *Workload) Index(column string) int {
	i := slices.IndexFunc(w.Columns, func(c Column) bool { return c.Name == column })
	if i < 0 {
		panic("workload " + w.Name + " has no column " + column)
	}
	return i
}

// An Input is so many events of a workload. Event i depends on the seed, i and,
// where event time is spread over the whole, the number of events, and on
// nothing else.
type Input struct {
	*Workload
	Seed   uint64
	Events int64
	gen    *generator
}

// New returns the input of a workload.
func New(w *Workload, seed uint64, events int64) *Input {
	return &Input{w, seed, events, &generator{seed: seed, events: max(events, 1)}}
}

// Row fills row, which has a Value for each column, with event i.
func (in *Input) Row(i int64, row []Value) { in.fill(in.gen, i, row) }

// AppendJSON appends a row as a JSON object, without a newline.
func (w *Workload) AppendJSON(b []byte, row []Value) []byte {
	for i, c := range w.Columns {
		b = append(b, ",{"[b2i(i == 0)])
		b = append(append(append(b, '"'), c.Name...), '"', ':')
		if c.Kind == Text {
			b = append(append(append(b, '"'), row[i].S...), '"')
		} else {
			b = c.appendText(b, row[i])
		}
	}
	return append(b, '}')
}

// AppendTSV appends a row as tab-separated values, without a newline. No value
// of any workload needs an escape.
func (w *Workload) AppendTSV(b []byte, row []Value) []byte {
	for i, c := range w.Columns {
		if i > 0 {
			b = append(b, '\t')
		}
		b = c.appendText(b, row[i])
	}
	return b
}

func (c Column) appendText(b []byte, v Value) []byte {
	switch c.Kind {
	case Text:
		return append(b, v.S...)
	case Float:
		return strconv.AppendFloat(b, v.F, 'f', -1, 64)
	default:
		return strconv.AppendInt(b, v.N, 10)
	}
}

// Arg returns a value as drivers take it.
func (c Column) Arg(v Value) any {
	switch c.Kind {
	case Text:
		return v.S
	case Float:
		return v.F
	default:
		return v.N
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A Format is one of files.
type Format string

// The formats of files.
const (
	NDJSON Format = "ndjson"
	TSV    Format = "tsv"
)

// File returns the path of a file in dir that holds the input; it is written
// where it is not there yet.
func (in *Input) File(dir string, format Format) (string, error) {
	path := filepath.Join(dir, fmt.Sprintf("%s-%d-seed%d.%s", in.Stream, in.Events, in.Seed, format))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	f, err := os.Create(path + ".part")
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	out := bufio.NewWriterSize(f, 1<<20)
	row, line, add := make([]Value, len(in.Columns)), []byte(nil), in.AppendJSON
	if format == TSV {
		add = in.AppendTSV
	}
	for i := range in.Events {
		in.Row(i, row)
		line = append(add(line[:0], row), '\n')
		if _, err := out.Write(line); err != nil {
			return "", err
		}
	}
	if err := out.Flush(); err != nil {
		return "", err
	}
	return path, os.Rename(f.Name(), path)
}

// Open opens that file.
func (in *Input) Open(dir string, format Format) (*os.File, error) {
	path, err := in.File(dir, format)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// A generator has what the events of an input share.
type generator struct {
	seed   uint64
	events int64
}

// hash is splitmix64 of the seed, the event, and which of its values is meant.
func (g *generator) hash(i int64, salt uint64) uint64 {
	x := g.seed*0x9E3779B97F4A7C15 + uint64(i)*0xBF58476D1CE4E5B9 + salt*0x94D049BB133111EB
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}

// below returns a value from 0 to n-1, all as likely.
func (g *generator) below(i int64, salt, n uint64) int64 { return int64(g.hash(i, salt) % n) }

// A zipf draws from 0 to n-1, k with a weight of about 1/(k+1)^s: a table of
// the inverse of the distribution, between whose steps all are as likely.
type zipf []int64

const zipfSteps = 1 << 16

func newZipf(n int, s float64) zipf {
	sums, sum := make([]float64, n), 0.0
	for k := range sums {
		sum += math.Pow(float64(k+1), -s)
		sums[k] = sum
	}
	table, k := make(zipf, zipfSteps+1), 0
	for i := range table {
		for k < n-1 && sums[k] < sum*float64(i)/zipfSteps {
			k++
		}
		table[i] = int64(k)
	}
	return table
}

func (z zipf) draw(h uint64) int64 {
	i := h % zipfSteps
	return z[i] + int64(h>>32)%(z[i+1]-z[i]+1)
}

// Thousands writes a number with commas.
func Thousands(n int64) string {
	if n < 0 {
		return "-" + Thousands(-n)
	}
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
