package gmsx

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// timeText is a date, and a time after it, in the ways that MySQL reads: any
// punctuation between the parts, which may have less digits than usual.
var timeText = regexp.MustCompile(`^\s*(\d{1,4})[^\w\s](\d{1,2})[^\w\s](\d{1,2})(?:(?:T|\s+)(\d{1,2})(?:[^\w\s](\d{1,2})(?:[^\w\s](\d{1,2})(?:\.(\d*))?)?)?)?\s*`)

// digitText is the same without punctuation.
var digitText = regexp.MustCompile(`^\s*(\d{4}|\d{2})(\d{2})(\d{2})(?:T?(\d{2})(\d{2})(\d{2})(?:\.(\d*))?)?\s*$`)

// parseTime reads a time. What is behind it does not count, as in MySQL.
func parseTime(s string) (time.Time, bool) {
	m := timeText.FindStringSubmatch(s)
	if m == nil {
		if m = digitText.FindStringSubmatch(s); m == nil {
			return time.Time{}, false
		}
	}
	part := func(i int) int {
		n, _ := strconv.Atoi(m[i])
		return n
	}
	year, month, day, hour, minute, second := part(1), part(2), part(3), part(4), part(5), part(6)
	if len(m[1]) <= 2 {
		if year < 70 {
			year += 2000
		} else {
			year += 1900
		}
	}
	if month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	frac := m[7]
	if len(frac) > 9 {
		frac = frac[:9]
	}
	nanos, _ := strconv.Atoi(frac + strings.Repeat("0", 9-len(frac)))
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	if t.Day() != day {
		return time.Time{}, false
	}
	return t.Round(time.Microsecond), true
}
