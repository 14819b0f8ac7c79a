package e2e

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// knownForms are the expressions that are not asked, with the reason.
var knownForms = map[string]string{
	"INTERVAL(%n, 1, 10, 100)": "the parser does not know INTERVAL as a function",
}

// A kind of difference that we know and leave. Each is as narrow as can be, so
// that the test fails of any other.
type knownKind struct {
	why string
	is  func(q string, w, m reply, how difference) bool
}

// matches says that q matches a pattern.
func matches(q, pattern string) bool { return regexp.MustCompile(pattern).MatchString(q) }

var knownKinds = []knownKind{
	{"whether a value that nothing needs is calculated is the optimiser's to say", func(_ string, w, m reply, _ difference) bool {
		return w.number() == 1690 || m.number() == 1690
	}},
	{"MariaDB's JSON has a collation of its own", func(_ string, _, m reply, _ difference) bool {
		return m.number() == 1267 || m.number() == 1270 || m.number() == 1271
	}},
	{"MariaDB knows no functional dependence, nor expressions of GROUP BY within others", func(q string, w, m reply, _ difference) bool {
		return m.number() == 1055 && w.err == nil && strings.Contains(q, "GROUP BY")
	}},
	{"a zero of % is negative in MariaDB, and of no sign here", func(q string, w, m reply, how difference) bool {
		return how == textDiffers && matches(q, `%|MOD\(`) && alike(w, m, func(a, b string) bool { return strings.TrimPrefix(b, "-") == a && !matches(a, "[1-9]") })
	}},
	{"MariaDB writes ranks with ten digits", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, "PERCENT_RANK|CUME_DIST") && alike(w, m, func(a, b string) bool {
			x, err1 := strconv.ParseFloat(a, 64)
			y, err2 := strconv.ParseFloat(b, 64)
			return err1 == nil && err2 == nil && math.Abs(x-y) < 1e-9
		})
	}},
}

// alike says that two answers have the same rows, in the order of their
// cells, but for cells that are alike.
func alike(w, m reply, cell func(a, b string) bool) bool {
	if w.err != nil || m.err != nil || len(w.rows) != len(m.rows) || len(w.classes) != len(m.classes) {
		return false
	}
	doubles := make([]bool, len(w.classes))
	for i := range doubles {
		doubles[i] = w.classes[i] == "double" || m.classes[i] == "double"
	}
	wr, mr := sortedRows(w.rows, doubles), sortedRows(m.rows, doubles)
	for i := range wr {
		for c := range wr[i] {
			if cellsDiffer(wr[i][c], mr[i][c], doubles[c]) != same && !cell(wr[i][c], mr[i][c]) {
				return false
			}
		}
	}
	return true
}

// known says of a difference that it is one we know and leave.
func known(q string, w, m reply, how difference) bool {
	for _, k := range knownKinds {
		if k.is(q, w, m, how) {
			return true
		}
	}
	return false
}
