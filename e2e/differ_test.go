package e2e

import (
	"context"
	gosql "database/sql"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

var (
	differStatements = flag.Int("differ", 1000, "how many SELECTs TestDiffer compares")
	differSeed       = flag.Int64("differ-seed", -1, "seed of the SELECTs of TestDiffer; 0 takes a new one, and -1 those of every run")
	differFile       = flag.String("differ-file", "", "compare the SELECTs of this file, one a line, and show all answers")
	differStores     = flag.Int("differ-stores", 1500, "how many values TestDifferStores stores; 0 is all there are")
	differAll        = flag.Bool("differ-all", false, "compare what is known to differ too")
)

// A differ asks weir and MariaDB the same over the same rows.
type differ struct {
	t           testing.TB
	weir, maria *session
	relations   []relation
}

// A session is one connection.
type session struct {
	t     testing.TB
	db    *gosql.DB
	setup []string
	conn  *gosql.Conn
}

func newSession(ctx context.Context, t testing.TB, db *gosql.DB, setup ...string) *session {
	t.Helper()
	s := &session{t: t, db: db, setup: setup}
	s.open(ctx)
	t.Cleanup(func() { _ = s.conn.Close() })
	return s
}

// open connects. An error among the rows of a result ends a connection.
func (s *session) open(ctx context.Context) {
	s.t.Helper()
	var err error
	if s.conn, err = s.db.Conn(ctx); err != nil {
		s.t.Fatal(err)
	}
	for _, q := range s.setup {
		s.must(ctx, q)
	}
}

func (s *session) must(ctx context.Context, q string) {
	s.t.Helper()
	if a := s.ask(ctx, q); a.err != nil {
		s.t.Fatalf("%v\n%s", a.err, q)
	}
}

// An reply is the rows of a statement, or its error.
type reply struct {
	rows    [][]string
	classes []string // of the columns' types
	err     error
}

// number is that of the error, 0 where there is none.
func (a reply) number() int {
	var e *mysql.MySQLError
	switch {
	case a.err == nil:
		return 0
	case errors.As(a.err, &e):
		return int(e.Number)
	}
	return -1
}

func (a reply) String() string {
	if a.err != nil {
		return "error: " + a.err.Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d rows of (%s)", len(a.rows), strings.Join(a.classes, ", "))
	for i, row := range a.rows {
		if i == 6 {
			b.WriteString(" …")
			break
		}
		fmt.Fprintf(&b, " %q", row)
	}
	return b.String()
}

func (s *session) ask(ctx context.Context, q string, args ...any) (a reply) {
	defer func() {
		if a.number() < 0 {
			_ = s.conn.Close()
			s.open(ctx)
		}
	}()
	limited, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	rows, err := s.conn.QueryContext(limited, q, args...)
	if err != nil {
		return reply{err: err}
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return reply{err: err}
	}
	for _, t := range types {
		a.classes = append(a.classes, typeClass(t.DatabaseTypeName()))
	}
	cells := make([]gosql.NullString, len(types))
	into := make([]any, len(types))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return reply{err: err}
		}
		row := make([]string, len(cells))
		for i, c := range cells {
			row[i] = null
			if c.Valid {
				row[i] = withoutZeros(c.String)
			}
		}
		a.rows = append(a.rows, row)
	}
	if err := rows.Err(); err != nil {
		return reply{err: err}
	}
	return a
}

// secondFraction is the fraction of a second, with the digits of a year that
// may follow on it.
var secondFraction = regexp.MustCompile(`(\d\d:\d\d:\d\d)\.(\d+)(-\d\d)?`)

// withoutZeros leaves out those at the end of the fractions of seconds, as weir does.
func withoutZeros(s string) string {
	return secondFraction.ReplaceAllStringFunc(s, func(found string) string {
		m := secondFraction.FindStringSubmatch(found)
		fraction, year := m[2], ""
		if m[3] != "" && len(fraction) > 4 {
			at := len(fraction) - 4
			fraction, year = fraction[:at], fraction[at:]
		}
		if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
			fraction = "." + fraction
		}
		return m[1] + fraction + year + m[3]
	})
}

// typeClass is what of a type matters to a program that reads its values. The
// two servers write JSON as different types, and so do versions of each.
func typeClass(name string) string {
	switch name {
	case "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "YEAR":
		return "int"
	case "UNSIGNED TINYINT", "UNSIGNED SMALLINT", "UNSIGNED MEDIUMINT", "UNSIGNED INT", "UNSIGNED BIGINT":
		return "uint"
	case "FLOAT", "DOUBLE":
		return "double"
	case "DECIMAL":
		return "decimal"
	case "DATETIME", "TIMESTAMP":
		return "datetime"
	case "DATE", "TIME", "NULL":
		return strings.ToLower(name)
	}
	return "text"
}

// A difference says how two answers differ, if they do.
type difference string

const (
	same        difference = ""
	rowsDiffer  difference = "rows"
	textDiffers difference = "text" // of values that are equal
	oneFails    difference = "one fails"
	numbers     difference = "error numbers"
	typesDiffer difference = "types"
)

// compareAnswers compares weir's reply with MariaDB's.
func compareAnswers(w, m reply, ordered bool) difference {
	if w.err != nil || m.err != nil {
		switch {
		case w.err == nil || m.err == nil:
			return oneFails
		case w.number() != m.number():
			return numbers
		}
		return same
	}
	if len(w.rows) != len(m.rows) || len(w.classes) != len(m.classes) {
		return rowsDiffer
	}
	doubles := make([]bool, len(w.classes))
	worst := same
	for i := range w.classes {
		doubles[i] = w.classes[i] == "double" || m.classes[i] == "double"
	}
	wr, mr := w.rows, m.rows
	if !ordered {
		wr, mr = sortedRows(wr, doubles), sortedRows(mr, doubles)
	}
	for i := range wr {
		for c := range wr[i] {
			switch cellsDiffer(wr[i][c], mr[i][c], doubles[c]) {
			case rowsDiffer:
				return rowsDiffer
			case textDiffers:
				worst = textDiffers
			}
		}
	}
	if worst != same {
		return worst
	}
	for i := range w.classes {
		if w.classes[i] != m.classes[i] && !slices.Contains([]string{w.classes[i], m.classes[i]}, "null") {
			return typesDiffer
		}
	}
	return same
}

// show writes both replies, and of rows only those that the other lacks.
func show(w, m reply) string {
	if w.err != nil || m.err != nil {
		return fmt.Sprintf("weir    %v\nMariaDB %v", w, m)
	}
	count := map[string]int{}
	for _, row := range w.rows {
		count[fmt.Sprintf("%q", row)]++
	}
	for _, row := range m.rows {
		count[fmt.Sprintf("%q", row)]--
	}
	list := func(r reply, sign int) string {
		out := fmt.Sprintf("%d rows of (%s)", len(r.rows), strings.Join(r.classes, ", "))
		shown := 0
		for _, row := range r.rows {
			if key := fmt.Sprintf("%q", row); count[key]*sign > 0 && shown < 3 {
				out, shown = out+" "+key, shown+1
			}
		}
		return out
	}
	return "weir    " + list(w, 1) + "\nMariaDB " + list(m, -1)
}

// sortedRows orders rows; doubles, which may differ in their last digits, by the
// first ones.
func sortedRows(rows [][]string, doubles []bool) [][]string {
	key := func(row []string) string {
		k := slices.Clone(row)
		for i := range k {
			if f, err := strconv.ParseFloat(k[i], 64); err == nil && doubles[i] {
				k[i] = strconv.FormatFloat(f, 'e', 6, 64)
			} else if err == nil {
				k[i] = strconv.FormatFloat(f, 'e', -1, 64) + "|" + k[i]
			}
		}
		return strings.Join(k, "\x00") + "\x00" + strings.Join(row, "\x00")
	}
	return slices.SortedFunc(slices.Values(rows), func(a, b []string) int { return strings.Compare(key(a), key(b)) })
}

func cellsDiffer(w, m string, double bool) difference {
	if w == m {
		return same
	}
	if w == null || m == null {
		return rowsDiffer
	}
	a, err1 := strconv.ParseFloat(w, 64)
	b, err2 := strconv.ParseFloat(m, 64)
	switch {
	case err1 != nil || err2 != nil:
		return rowsDiffer
	case double && a != b && math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b)):
		return same
	case a == b && (double || len(w) < 16 && len(m) < 16):
		return textDiffers
	}
	return rowsDiffer
}

// ask compares the answers to one statement.
func (d *differ) ask(ctx context.Context, q string, ordered bool, args ...any) (w, m reply, how difference) {
	m = d.maria.ask(ctx, q, args...)
	w = d.weir.ask(ctx, q, args...)
	return w, m, compareAnswers(w, m, ordered)
}

// reduce makes a statement that differs as small as it can, so that it still
// differs in the same way.
func (d *differ) reduce(ctx context.Context, n *node, how difference) *node {
	for tries := 0; ; {
		better := false
		var all []*node
		n.walk(func(x *node) { all = append(all, x) })
	search:
		for _, x := range all {
			for _, s := range x.smaller() {
				if tries++; tries > 400 {
					return n
				}
				c := n.replaced(x, s)
				if c == nil || len(c.String()) >= len(n.String()) {
					continue
				}
				if _, _, again := d.ask(ctx, c.String(), c.ordered, c.params()...); again == how {
					n, better = c, true
					break search
				}
			}
		}
		if !better {
			return n
		}
	}
}

func newDiffer(ctx context.Context, t *testing.T) *differ {
	t.Helper()
	mdb := newMariaDB(ctx, t)
	for _, q := range []string{"CREATE DATABASE analytics"} {
		if _, err := mdb.ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	d := &differ{t: t}
	d.maria = newSession(ctx, t, mdb, "USE analytics", "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin", "SET time_zone = '+00:00'", "SET group_concat_max_len = 1048576",
		"SET optimizer_switch = 'materialization=off,semijoin=off,subquery_cache=off'", // where NOT IN finds rows beside a NULL
		"SET sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_IN_DATE,NO_ZERO_DATE,ONLY_FULL_GROUP_BY,TIME_ROUND_FRACTIONAL'")
	c := newClient(t, newServer(ctx, t))
	d.weir = newSession(ctx, t, c.db, "USE analytics", "SET time_zone = '+00:00'", "SET group_concat_max_len = 1048576")
	d.fill(ctx, differValues(rand.New(rand.NewPCG(7, 7))))
	return d
}

// TestDiffer asks weir and MariaDB thousands of generated SELECTs over the same
// rows, and fails where the answers differ. What is known to differ is not
// asked, or is one of knownKinds, which say why; docs/sql.md tells users.
func TestDiffer(t *testing.T) {
	ctx := t.Context()
	d := newDiffer(ctx, t)
	if *differFile != "" {
		d.file(ctx, *differFile)
		return
	}
	for _, r := range d.relations {
		var names []string
		for _, c := range r.cols {
			names = append(names, c.name)
		}
		q := "SELECT " + strings.Join(names, ", ") + " FROM " + r.name
		if w, m, how := d.ask(ctx, q, false); how != same {
			t.Errorf("%s differ:\n%s\n%s", how, q, show(w, m))
		}
	}
	t.Run("cases", func(t *testing.T) { d.cases(ctx, t, filepath.Join("testdata", "differ.sql")) })
	seeds := differSeeds
	switch {
	case *differSeed > 0:
		seeds = []uint64{uint64(*differSeed)}
	case *differSeed == 0:
		seeds = []uint64{uint64(time.Now().UnixNano())}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { d.generated(ctx, t, seed, *differStatements/len(seeds)) })
	}
}

// differSeeds are those of every run; make differ takes new ones.
var differSeeds = []uint64{1, 2, 3, 4}

// generated compares n statements of a seed, and fails of each kind of
// difference once, with the smallest statement that shows it.
func (d *differ) generated(ctx context.Context, t *testing.T, seed uint64, n int) {
	g := newGenerator(seed, d.relations, func(f form) bool { return !*differAll && knownForms[f.text] != "" })
	begun, failed := time.Now(), 0
	kinds, left := map[string]int{}, map[string]int{}
	for range n {
		stmt := g.statement()
		w, m, how := d.ask(ctx, stmt.String(), stmt.ordered, stmt.params()...)
		if m.err != nil {
			failed++
		}
		if how == same {
			continue
		}
		if how != rowsDiffer && how != textDiffers { // those may hide others
			if why := known(stmt.String(), w, m, how); why != "" {
				left[why]++
				continue
			}
		}
		small := d.reduce(ctx, stmt, how)
		w, m, how = d.ask(ctx, small.String(), small.ordered, small.params()...)
		if how == same {
			continue
		}
		if why := known(small.String(), w, m, how); why != "" {
			left[why]++
			continue
		}
		sig := string(how) + " " + signature(small)
		if kinds[sig]++; kinds[sig] == 1 {
			t.Errorf("%s differ:\n%s %v\n%s", how, small, small.params(), show(w, m))
		}
	}
	t.Logf("%d statements in %v, %d of them errors in MariaDB; %d kinds of difference", n, time.Since(begun).Round(time.Second), failed, len(kinds))
	for _, why := range slices.Sorted(maps.Keys(left)) {
		t.Logf("known, %4d times: %s", left[why], why)
	}
}

// cases compares statements that went wrong once, one a line.
func (d *differ) cases(ctx context.Context, t *testing.T, name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for q := range strings.Lines(string(text)) {
		if q = strings.TrimSpace(q); q == "" || strings.HasPrefix(q, "--") {
			continue
		}
		if w, m, how := d.ask(ctx, q, false); how != same {
			t.Errorf("%s differ:\n%s\n%s", how, q, show(w, m))
		}
	}
}

// signature is a statement without its columns and literals.
func signature(n *node) string {
	var parts []string
	n.walk(func(x *node) {
		if strings.Contains(x.text, "§") && !strings.HasPrefix(x.text, "SELECT") && !strings.Contains(x.text, " AS c") {
			parts = append(parts, x.text)
		}
	})
	return strings.Join(parts, " ")
}

// file compares the statements of a file.
func (d *differ) file(ctx context.Context, name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		d.t.Fatal(err)
	}
	for q := range strings.Lines(string(text)) {
		if q = strings.TrimSpace(q); q == "" {
			continue
		}
		w, m, how := d.ask(ctx, q, false)
		if how == same {
			fmt.Printf("same    %s\n        %v\n", q, m)
			continue
		}
		fmt.Printf("%s %s\n%s\n", strings.ToUpper(string(how)), q, show(w, m))
	}
}
