package e2e

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// percentileError is how far APPROX_PERCENTILE may be from the nearest rank,
// as a share of it.
const percentileError = 0.01

// differences bounds what one comparison reports.
const differences = 5

// compare fails the test where rows are not those of the answer: the same, in
// the same order, except for columns in approx, which may be off by
// percentileError. It says whether they are the same.
func compare(t testing.TB, what string, want table, got [][]string, approx []string) bool {
	t.Helper()
	if len(want.rows) == 0 {
		t.Errorf("%s: the reference answer is empty, which shows nothing", what)
		return false
	}
	var wrong []string
	for i := range max(len(want.rows), len(got)) {
		switch {
		case i >= len(got):
			wrong = append(wrong, fmt.Sprintf("row %d is missing: %q", i+1, want.rows[i]))
		case i >= len(want.rows):
			wrong = append(wrong, fmt.Sprintf("row %d is too many: %q", i+1, got[i]))
		case !sameRow(want.columns, want.rows[i], got[i], approx):
			wrong = append(wrong, fmt.Sprintf("row %d: got %q, want %q", i+1, got[i], want.rows[i]))
		}
	}
	if len(wrong) == 0 {
		return true
	}
	t.Errorf("%s: %d of %d rows are wrong:\n\t%s", what, len(wrong), len(want.rows),
		strings.Join(wrong[:min(len(wrong), differences)], "\n\t"))
	return false
}

func sameRow(columns, want, got, approx []string) bool {
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if !sameCell(want[i], got[i], slices.Contains(approx, columns[i])) {
			return false
		}
	}
	return true
}

// sameCell compares values, not spellings: 6.30 is 6.300, and 2015-05-17 is
// 2015-05-17 00:00:00.000000. Numbers are compared exactly unless approx.
func sameCell(want, got string, approx bool) bool {
	if want == got {
		return true
	}
	if want == null || got == null {
		return false
	}
	if approx {
		w, err1 := strconv.ParseFloat(want, 64)
		g, err2 := strconv.ParseFloat(got, 64)
		return err1 == nil && err2 == nil && math.Abs(g-w) <= percentileError*math.Abs(w)
	}
	if w, ok := parseTime(want); ok {
		g, ok := parseTime(got)
		return ok && w.Equal(g)
	}
	w, ok1 := new(big.Rat).SetString(want)
	g, ok2 := new(big.Rat).SetString(got)
	return ok1 && ok2 && w.Cmp(g) == 0
}

func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, time.DateTime, "2006-01-02T15:04:05Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// sorted returns rows as text in an order of its own, for relations that have none.
func sorted(rows [][]string) []string {
	all := make([]string, len(rows))
	for i, row := range rows {
		all[i] = strings.Join(row, "\t")
	}
	slices.Sort(all)
	return all
}

func TestComparisonTellsDifferences(t *testing.T) {
	for _, test := range []struct {
		want, got    string
		approx, same bool
	}{
		{"6.30", "6.300", false, true},
		{"119124.97", "119124.98", false, false},
		{"9007199254740993", "9007199254740992", false, false},
		{"2015-05-17", "2015-05-17 00:00:00.000000", false, true},
		{"2015-05-17", "2015-05-17 00:00:00.000001", false, false},
		{"2015-09-08T00:47:08.770Z", "2015-09-08 00:47:08.770", false, true},
		{null, "", false, false},
		{"", null, false, false},
		{"0", null, false, false},
		{"100", "101", true, true},
		{"100", "101.1", true, false},
		{"100", "101", false, false},
		{"0", "0", true, true},
		{"-0.3", "-0.3", true, true},
		{"a", "A", false, false},
	} {
		if got := sameCell(test.want, test.got, test.approx); got != test.same {
			t.Errorf("%q and %q (approximate: %v) are the same: %v, want %v", test.want, test.got, test.approx, got, test.same)
		}
	}
}
