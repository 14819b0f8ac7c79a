package gmsx

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"
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

// toTime is a value as a time, false with a warning if it is none.
func toTime(ctx *gms.Context, v any) (time.Time, bool) {
	switch x := v.(type) {
	case time.Time:
		return x, true
	case types.Timespan:
		now := ctx.QueryTime().UTC().Truncate(24 * time.Hour)
		return now.Add(x.AsTimeDuration()), true
	case string:
		if t, ok := parseTime(x); ok {
			return t, true
		}
	case []byte:
		return toTime(ctx, string(x))
	default:
		if n, err := toNumber(ctx, v); err == nil {
			if t, ok := numberTime(toDecimal(n)); ok {
				return t, true
			}
		}
	}
	s, err := toText(ctx, types.LongText, v)
	if err == nil {
		warn(ctx, 1292, "Incorrect datetime value: '%s'", firstChars(s, warnedShown))
	}
	return time.Time{}, false
}

// numberTime is the time that a number YYYYMMDD or YYYYMMDDhhmmss stands for.
func numberTime(d decimal.Decimal) (time.Time, bool) {
	if d.Sign() <= 0 {
		return time.Time{}, false
	}
	text := d.Truncate(0).String()
	if len(text) == 6 || len(text) == 12 {
		century := "20"
		if text >= "7" {
			century = "19"
		}
		text = century + text
	}
	layout := map[int]string{8: "20060102", 14: "20060102150405"}[len(text)]
	t, err := time.Parse(layout, text)
	if layout == "" || err != nil {
		return time.Time{}, false
	}
	return t.Add(time.Duration(d.Sub(d.Truncate(0)).Shift(9).IntPart())), true
}

// roundTime rounds to so many decimals of a second.
func roundTime(t time.Time, decimals int) (any, error) {
	unit := time.Second
	for range decimals {
		unit /= 10
	}
	r := t.Round(unit)
	if r.Year() > 9999 {
		return nil, nil
	}
	return r, nil
}
