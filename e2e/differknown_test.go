package e2e

import (
	"math"
	"regexp"
	"slices"
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
	{"JSON_TYPE is of JSON's collation, as in MySQL", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `JSON_TYPE\([^()]*\) (<|<=|>|>=|=|<>) '|REGEXP_REPLACE\(JSON_TYPE`) && w.err == nil && m.err == nil
	}},
	{"MariaDB groups the negative zero of % by itself", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `MOD\(|%`) && matches(q, `GROUP BY`) && len(w.rows) < len(m.rows)
	}},
	{"MariaDB keeps nine digits of a quotient that a condition compares", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `\([^()]* / [^()]*\) (>=|<=|<|>|=) (0|CAST)|IN \(\([^()]* / `) && w.err == nil && m.err == nil
	}},
	{"MariaDB cuts a quotient of DIV to an INT in a GROUP BY", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, ` DIV .*GROUP BY`) && len(w.rows) == len(m.rows)
	}},
	{"a quotient of UNION keeps its digits in MariaDB", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `SELECT \([^()]* / [^()]*\) AS`) && matches(q, `UNION`) && w.err == nil && m.err == nil
	}},
	{"MariaDB knows no functional dependence, nor expressions of GROUP BY within others", func(q string, w, m reply, _ difference) bool {
		return m.number() == 1055 && w.err == nil && strings.Contains(q, "GROUP BY")
	}},
	{"a zero of % is negative in MariaDB, and of no sign here", func(q string, w, m reply, how difference) bool {
		return (how == textDiffers || how == rowsDiffer) && matches(q, `%|MOD\(`) && alike(w, m, func(a, b string) bool { return strings.TrimPrefix(b, "-") == a && !matches(a, "[1-9]") })
	}},
	{"the negative zero of % is below the zero of a DECIMAL in MariaDB", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `% -?\d+\) (NOT )?BETWEEN `) && w.err == nil && m.err == nil
	}},
	{"the type of an expression of NULL alone", func(q string, w, m reply, how difference) bool {
		return (how == typesDiffer || how == textDiffers) && strings.Contains(q, "NULL") && classes(w, m, numeric...) && !classes(w, m)
	}},
	{"ranks are unsigned, as in MySQL", func(q string, w, m reply, how difference) bool {
		return how == typesDiffer && matches(q, `RANK\(|NTILE\(`) && classes(w, m, "uint int", "uint decimal", "decimal int")
	}},
	{"the type of a literal", func(q string, w, m reply, how difference) bool {
		return how == typesDiffer && matches(q, `\b(255|18446744073709551615)\b`) && classes(w, m, numeric...)
	}},
	{"CRC32 is of 32 bits", func(q string, w, m reply, how difference) bool {
		return how == typesDiffer && strings.Contains(q, "CRC32") && classes(w, m, numeric...)
	}},
	{"whole numbers of a DECIMAL are of its digits", func(q string, w, m reply, how difference) bool {
		return how == typesDiffer && matches(q, `FLOOR|CEIL|ROUND|TRUNCATE|UNIX_TIMESTAMP`) && classes(w, m, "decimal int", "int decimal", "decimal uint")
	}},
	{"a sum of quotients keeps their digits", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `SUM\(\(?[^()]* / `) && alike(w, m, func(a, b string) bool {
			x, err1 := strconv.ParseFloat(a, 64)
			y, err2 := strconv.ParseFloat(b, 64)
			return err1 == nil && err2 == nil && math.Abs(x-y) < 1e-3
		})
	}},
	{"a quotient within an aggregate keeps its digits", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `(MAX|MIN|AVG)\(.* / `) && alike(w, m, func(a, b string) bool {
			x, err1 := strconv.ParseFloat(a, 64)
			y, err2 := strconv.ParseFloat(b, 64)
			return err1 == nil && err2 == nil && math.Abs(x-y) < 1e-4
		})
	}},
	{"MAX and MIN of bits lose their sign in MariaDB", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `(MAX|MIN)\(.*( [&|^] |<<|>>|~|BIT_)`) && strings.Contains(q, " - ")
	}},
	{"a quotient of rounded doubles has four digits in MariaDB", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `(ROUND|TRUNCATE|FLOOR|CEIL)\(.* / `) && alike(w, m, func(a, b string) bool {
			x, err1 := strconv.ParseFloat(a, 64)
			y, err2 := strconv.ParseFloat(b, 64)
			return err1 == nil && err2 == nil && math.Abs(x-y) < 1e-4
		})
	}},
	{"MariaDB compares a DOUBLE with a BIGINT UNSIGNED as a BIGINT where that is the outer column of EXISTS", func(q string, _, _ reply, how difference) bool {
		return how == rowsDiffer && matches(q, `EXISTS \(.*\b(z\.mf = x\.(bo|xu|u)|z\.(bo|xu|u) = x\.mf|z\.f = x\.(bo|xu|u))\b`)
	}},
	{"and where that is an operation on bits before IN", func(q string, _, _ reply, how difference) bool {
		return how == rowsDiffer && matches(q, `\([^()]* [|&^] [^()]*\) (NOT )?IN \(SELECT m?f FROM`)
	}},
	{"MariaDB finds no DATETIME in a text of one", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `LOCATE\(CAST\(.*DATETIME`) && alike(w, m, func(a, b string) bool { return b == "0" })
	}},
	{"MariaDB takes the difference of an unsigned and a double in a group for another", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `MAX\((18446744073709551615|CAST\(.* AS UNSIGNED\))\) - MIN\(`)
	}},
	{"a large number rounded to tens is a DECIMAL in MariaDB's windows", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `(LEAD|LAG)\(ROUND\([xyz]\.mi, -1\)`)
	}},
	{"an average of large numbers has ten digits in MariaDB", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `AVG\(`) && alike(w, m, func(a, b string) bool {
			return a == b || len(a) > 20 && len(a) == len(b) && a[:len(a)-2] == b[:len(b)-2]
		})
	}},
	{"EXP and POW are Go's, and may differ in the last digits", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `(EXP|POW)\(`) && (matches(q, `MOD\(EXP`) || alike(w, m, func(a, b string) bool {
			x, err1 := strconv.ParseFloat(a, 64)
			y, err2 := strconv.ParseFloat(b, 64)
			return err1 == nil && err2 == nil && math.Abs(x-y) <= 1e-14*math.Abs(x)
		}))
	}},
	{"CEIL and FLOOR of a large DOUBLE in a text have its exact digits", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `CONCAT.*(CEIL|FLOOR)\([xyz]\.m?f\)`) && w.err == nil && m.err == nil
	}},
	{"DATE_FORMAT writes %y and %X of early years without a zero in front", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `DATE_FORMAT\(.*%[yX]`) && alike(w, m, func(a, b string) bool {
			return strings.TrimSuffix(a, "0") == strings.TrimSuffix(b, "00")
		})
	}},
	{"MariaDB joins NULLs where = stands beside <=>", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && strings.Contains(q, "<=>") && strings.Contains(q, "JOIN") && len(without(w.rows, m.rows)) == 0
	}},
	{"MariaDB compares the texts of GREATEST and LEAST as numbers where a number is asked for", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `GREATEST\(|LEAST\(`)
	}},
	{"MariaDB finds no 0 for the -0 of % in IN", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `%|MOD\(`) && strings.Contains(q, "IN (SELECT")
	}},
	{"MariaDB groups large doubles by 17 digits", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `(ROUND|TRUNCATE|FLOOR|CEIL)\(`) && alike(w, m, func(a, b string) bool {
			x, err := strconv.ParseFloat(a, 64)
			return err == nil && math.Abs(x) > 1e15
		})
	}},
	{"MariaDB cuts a DECIMAL off in a UNION", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `UNION|EXCEPT|INTERSECT`) && matches(q, `(TRUNCATE|BIT_COUNT|ABS)\(`) && alike(w, m, func(_, b string) bool { return matches(b, `^-?9+\.9+$`) })
	}},
	{"MariaDB looks for a BIGINT UNSIGNED among the doubles of IN (SELECT …) as a BIGINT", func(q string, _, _ reply, how difference) bool {
		return how == rowsDiffer && matches(q, `(\b18446744073709551615|\b[xyz]\.(u|xu|bo)) (NOT )?IN \(SELECT (f|mf) FROM`)
	}},
	{"MariaDB counts rows, not partitions, where another window's partition is a constant", func(q string, _, _ reply, how difference) bool {
		windows := partition.FindAllStringSubmatch(q, -1)
		return how == rowsDiffer && len(windows) > 1 && slices.ContainsFunc(windows, func(w []string) bool { return !matches(w[1], `\b[xyze]\.`) })
	}},
	{"MariaDB joins the rows of an outer join inside where a condition is IN (…) IS NOT NULL", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, ` (LEFT|RIGHT) JOIN .*\) IN \(\(.*IS NOT NULL`) && len(without(m.rows, w.rows)) == 0
	}},
	{"BETWEEN compares whole numbers exactly, though the other bound is a DOUBLE", func(q string, _, _ reply, how difference) bool {
		return how == rowsDiffer && matches(q, `\b(18446744073709551615|9007199254740993|[xyz]\.(i|u|xu|bo|si|mi)) (NOT )?BETWEEN `) && matches(q, `\de0|\b[xyz]\.(f|mf)\b`)
	}},
	{"ROUND of whole numbers is one", func(q string, w, m reply, how difference) bool {
		return how == typesDiffer && matches(q, `ROUND\(.*, -1\)`) && classes(w, m, "uint decimal", "int decimal")
	}},
	{"the text of a DATETIME(6) without a fraction has none", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `CAST\([xyz]\.(dt|w|xd) AS CHAR\)`) && matches(q, `\b(SHA2|MD5|CRC32|TO_BASE64|HEX|LENGTH|REVERSE|RIGHT|RPAD|LPAD|SUBSTRING|INSERT)\(|CAST\(CAST`)
	}},
	{"MariaDB holds the -0 of % for less than 0", func(q string, _, _ reply, how difference) bool {
		return how == rowsDiffer && matches(q, `(MOD\([^()]*\)|\([^()]* % [^()]*\)) (=|<>|<|>=|<=>) |(=|<>|<|>=|<=>) (MOD\([^()]*\)|\([^()]* % [^()]*\))`)
	}},
	{"MariaDB groups by the sign of a zero of %", func(q string, w, m reply, how difference) bool {
		seen := map[string]bool{}
		for _, row := range w.rows {
			seen[strings.Join(row, "\x00")] = true
		}
		for _, row := range m.rows {
			unsigned := slices.Clone(row)
			for i := range unsigned {
				if matches(unsigned[i], `^-0(\.0+)?$`) {
					unsigned[i] = unsigned[i][1:]
				}
			}
			if !seen[strings.Join(unsigned, "\x00")] {
				return false
			}
		}
		return how == rowsDiffer && matches(q, `%|MOD\(`) && matches(q, `GROUP BY|DISTINCT|UNION`) && len(m.rows) > len(w.rows)
	}},
	{"doubles that nearly cancel out add up to what their order gives", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `(SUM|AVG)\(`) && alike(w, m, func(a, b string) bool {
			x, err1 := strconv.ParseFloat(a, 64)
			y, err2 := strconv.ParseFloat(b, 64)
			return err1 == nil && err2 == nil && math.Abs(x-y) <= 4096 && matches(q, `(SUM|AVG)\((DISTINCT )?(CAST\([xyz]\.(i|si|mi) AS DOUBLE\)|.*\b[xyz]\.(i|si|mi)\b.*e0)`)
		})
	}},
	{"the digits of a DOUBLE that was rounded are not kept", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `(ROUND|TRUNCATE|FLOOR|CEIL)\(`) && matches(q, `\b[xyz]\.(f|mf)\b|e0|DOUBLE|POW|SQRT|EXP`) && classes(w, m) && alike(w, m, func(a, b string) bool {
			x, err1 := strconv.ParseFloat(a, 64)
			y, err2 := strconv.ParseFloat(b, 64)
			return err1 == nil && err2 == nil && x == y || matches(a, `e-?\d+$`) && matches(b, `\d{15}$`)
		})
	}},
	{"MariaDB cuts the average of a constant's function off in a window", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, `AVG\((YEARWEEK|TO_DAYS|EXTRACT)\(.* OVER `) && alike(w, m, func(_, b string) bool { return matches(b, `^-?9+\.9+$`) })
	}},
	{"MariaDB writes ranks with ten digits", func(q string, w, m reply, how difference) bool {
		return how == rowsDiffer && matches(q, "PERCENT_RANK|CUME_DIST") && alike(w, m, func(a, b string) bool {
			x, err1 := strconv.ParseFloat(a, 64)
			y, err2 := strconv.ParseFloat(b, 64)
			return err1 == nil && err2 == nil && math.Abs(x-y) < 1e-9
		})
	}},
}

// partition is what a window has for its partition.
var partition = regexp.MustCompile(`OVER \(PARTITION BY (.*?)(?: ORDER BY|\) AS c\d)`)

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
	wr, mr := sortedRows(without(w.rows, m.rows), doubles), sortedRows(without(m.rows, w.rows), doubles)
	if len(wr) != len(mr) {
		return false
	}
	for i := range wr {
		for c := range wr[i] {
			if cellsDiffer(wr[i][c], mr[i][c], doubles[c]) != same && !cell(wr[i][c], mr[i][c]) {
				return false
			}
		}
	}
	return true
}

// without are the rows that others lack.
func without(rows, others [][]string) (left [][]string) {
	count := map[string]int{}
	for _, row := range others {
		count[strings.Join(row, "\x00")]++
	}
	for _, row := range rows {
		if key := strings.Join(row, "\x00"); count[key] > 0 {
			count[key]--
		} else {
			left = append(left, row)
		}
	}
	return left
}

// known says why a difference is one that we know and leave, "" if it is not.
func known(q string, w, m reply, how difference) string {
	for _, k := range knownKinds {
		if k.is(q, w, m, how) {
			return k.why
		}
	}
	return ""
}

// classes says that answers differ in the types of columns alone, in these ways.
func classes(w, m reply, pairs ...string) bool {
	for i := range w.classes {
		a, b := w.classes[i], m.classes[i]
		if a != b && a != "null" && b != "null" && !slices.Contains(pairs, a+" "+b) {
			return false
		}
	}
	return len(w.classes) == len(m.classes)
}

// numeric are the ways in which types of numbers differ.
var numeric = []string{
	"int uint", "uint int", "int decimal", "decimal int", "uint decimal", "decimal uint", "int double", "double int", "uint double", "double uint",
	"decimal double", "double decimal",
}
