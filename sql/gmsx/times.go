package gmsx

import (
	"math"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"
)

// A flaw is what is wrong with a text or a number that is read as a time.
type flaw byte

const (
	flawless   flaw = iota
	cutTime         // there is something behind the time
	zeroTime        // the date is 0000-00-00
	noTimeAt        // it is no time
	noCalendar      // the calendar, or the range of the type, has no such time
)

// readTime reads a date, and a time of day after it, in the ways that MySQL
// reads: any punctuation between the parts, which may have less digits than
// usual, or none, with two digits or four for the year. t is a time where the
// flaw is none or cutTime.
func readTime(s string) (t time.Time, bad flaw) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	digits := 0
	for digits < len(s) && (isDigit(s[digits]) || s[digits] == 'T') {
		digits++
	}
	if digits == 0 || s[0] == 'T' {
		return t, noTimeAt
	}
	packed := digits == len(s) || s[digits] == '.' // YYYYMMDD…: the fields have fixed widths
	width := 2
	if digits == 4 || digits == 8 || digits >= 14 {
		width = 4
	}
	yearWidth, nonZero := width, false
	var parts [7]int
	at, n := 0, 0
	for n < 7 && at < len(s) && isDigit(s[at]) {
		from := at
		for at < len(s) && isDigit(s[at]) && (at-from < width || !packed && n < 6) {
			if parts[n] = parts[n]*10 + int(s[at]-'0'); parts[n] > 999999 {
				return t, noTimeAt
			}
			at++
		}
		nonZero = nonZero || parts[n] != 0
		if n == 0 && !packed {
			yearWidth = at - from
		}
		if n == 6 {
			for i := at - from; i < 6; i++ {
				parts[6] *= 10
			}
		}
		width = 2
		n++
		end := at
		switch {
		case at == len(s) || n == 7:
			continue
		case n == 3 && s[at] == 'T':
			at++
			continue
		case n == 6:
			if s[at] != '.' {
				n, at = 7, end // what is behind it does not count
				continue
			}
			at, width = at+1, 6
			continue
		}
		for at < len(s) && (isPunctuation(s[at]) || isSpace(s[at])) {
			if isSpace(s[at]) && n != 3 {
				return t, noTimeAt
			}
			at++
		}
		if at == len(s) || !isDigit(s[at]) {
			at = end
			break
		}
	}
	n = min(n, 7)
	switch {
	case n < 3 && !nonZero && strings.TrimSpace(s[at:]) == "":
		return t, zeroTime
	case n < 3 || parts[1] > 12 || parts[2] > 31 || parts[3] > 23 || parts[4] > 59 || parts[5] > 59:
		return t, noTimeAt
	case !nonZero:
		return t, zeroTime
	}
	year := parts[0]
	if yearWidth == 2 {
		if year < 70 {
			year += 2000
		} else {
			year += 1900
		}
	}
	nanos := parts[6] * 1000
	if n == 7 && at < len(s) && isDigit(s[at]) && s[at] >= '5' {
		nanos += 1000 // the seventh digit rounds
	}
	for n == 7 && at < len(s) && isDigit(s[at]) {
		at++
	}
	t = time.Date(year, time.Month(parts[1]), parts[2], parts[3], parts[4], parts[5], nanos, time.UTC)
	switch {
	case year > 9999 || parts[1] == 0 || parts[2] == 0 || parts[2] != time.Date(year, time.Month(parts[1]), parts[2], 0, 0, 0, 0, time.UTC).Day():
		return t, noCalendar
	case strings.TrimRight(s[at:], " \t\n\v\f\r") != "":
		return t, cutTime
	}
	return t, flawless
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isPunctuation(c byte) bool {
	return c > ' ' && c < 0x7f && !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z')
}

// parseTime reads a time. What is behind it does not count, as in MySQL.
func parseTime(s string) (time.Time, bool) {
	t, bad := readTime(s)
	return t, bad == flawless || bad == cutTime
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
		if t, bad := readTime(x); bad == flawless || bad == cutTime {
			if bad == cutTime {
				warnTruncated(ctx, "datetime", x)
			}
			return t, true
		}
	case []byte:
		return toTime(ctx, string(x))
	default:
		if n, err := toNumber(ctx, v); err == nil {
			if t, bad := numberTime(toDecimal(n)); bad == flawless {
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

// numberTime is the time that the digits of a number make: YYYYMMDD or
// YYYYMMDDhhmmss, without zeros in front and with two digits for the year too.
func numberTime(d decimal.Decimal) (time.Time, flaw) {
	whole := d.Truncate(0)
	if d.Sign() < 0 || whole.NumDigits()+int(whole.Exponent()) > 14 {
		return time.Time{}, noTimeAt
	}
	const seconds = 1000000
	n := whole.IntPart()
	switch {
	case n == 0:
		return time.Time{}, zeroTime
	case n >= 10000101*seconds: // all digits
	case n < 101:
		return time.Time{}, noTimeAt
	case n <= 691231:
		n = (n + 20000000) * seconds
	case n < 700101:
		return time.Time{}, noTimeAt
	case n <= 991231:
		n = (n + 19000000) * seconds
	case n < 10000101:
		return time.Time{}, noTimeAt
	case n <= 99991231:
		n *= seconds
	case n < 101*seconds:
		return time.Time{}, noTimeAt
	case n <= 691231235959:
		n += 20000000 * seconds
	case n < 700101*seconds:
		return time.Time{}, noTimeAt
	case n <= 991231235959:
		n += 19000000 * seconds
	default:
		return time.Time{}, noTimeAt
	}
	day, clock := n/seconds, n%seconds
	t := time.Date(int(day/10000), time.Month(day/100%100), int(day%100), 0, 0, 0, 0, time.UTC)
	h, m, s := clock/10000, clock/100%100, clock%100
	if t.Day() != int(day%100) || int64(t.Month()) != day/100%100 || h > 23 || m > 59 || s > 59 {
		return time.Time{}, noTimeAt
	}
	fraction := d.Sub(whole).Shift(6).Round(0).IntPart()
	return t.Add(time.Duration(h*3600+m*60+s)*time.Second + time.Duration(fraction)*time.Microsecond), flawless
}

// spanMax is the greatest TIME, in seconds.
const spanMax = 838*3600 + 59*60 + 59

// readSpan reads a time of day, or a span of time, in the ways that MySQL
// reads: [days ]h:m[:s], digits hmmss, or a date with a time behind it. A
// negative value is one before midnight. date says that there was one.
func readSpan(s string) (span types.Timespan, date bool, bad flaw) {
	text := strings.TrimLeft(s, " \t\n\v\f\r")
	if len(text) >= 12 && isDigit(text[0]) {
		if t, bad := readTime(text); bad == flawless || bad == cutTime {
			if hasClock(text) {
				return clockOf(t), true, bad
			}
		}
	}
	negative := strings.HasPrefix(text, "-")
	rest := strings.TrimPrefix(text, "-")
	number := func() (n int64, ok bool) {
		from := rest
		for rest != "" && isDigit(rest[0]) {
			if n < math.MaxInt32 {
				n = n*10 + int64(rest[0]-'0')
			}
			rest = rest[1:]
		}
		return n, len(rest) < len(from)
	}
	more := func(sep byte) bool { return len(rest) > 1 && rest[0] == sep && isDigit(rest[1]) }
	first, ok := number()
	if !ok {
		return 0, false, noTimeAt
	}
	var days, h, m, sec int64
	behind := strings.TrimLeft(rest, " \t\n\v\f\r")
	fields := func() {
		h, _ = number()
		if more(':') {
			rest = rest[1:]
			if m, _ = number(); more(':') {
				rest = rest[1:]
				sec, _ = number()
			}
		}
	}
	switch {
	case len(behind) < len(rest) && behind != "" && isDigit(behind[0]):
		days, rest = first, behind
		fields()
	case more(':'):
		rest = rest[1:]
		h = first
		if m, _ = number(); more(':') {
			rest = rest[1:]
			sec, _ = number()
		}
	default:
		h, m, sec = first/10000, first/100%100, first%100
	}
	micros := int64(0)
	if more('.') {
		fraction := rest[1:]
		digits := 0
		for digits < len(fraction) && isDigit(fraction[digits]) {
			if digits < 6 {
				micros = micros*10 + int64(fraction[digits]-'0')
			}
			digits++
		}
		for i := digits; i < 6; i++ {
			micros *= 10
		}
		if digits > 6 && fraction[6] >= '5' {
			micros++
		}
		rest = fraction[digits:]
	}
	if len(rest) > 1 && rest[0]|0x20 == 'e' && (isDigit(rest[1]) || len(rest) > 2 && (rest[1] == '-' || rest[1] == '+') && isDigit(rest[2])) {
		return 0, false, noTimeAt
	}
	if m > 59 || sec > 59 {
		return 0, false, noCalendar
	}
	span, bad = boundedSpan(negative, (days*24+h)*3600+m*60+sec, micros)
	if bad == flawless && strings.TrimRight(rest, " \t\n\v\f\r") != "" {
		bad = cutTime
	}
	return span, false, bad
}

// hasClock says whether a text that is a date has a time of day too.
func hasClock(s string) bool {
	s = strings.TrimSpace(s)
	digits := 0
	for digits < len(s) && isDigit(s[digits]) {
		digits++
	}
	return digits >= 12 || strings.ContainsAny(s, "T ")
}

// boundedSpan is a TIME, at the bounds where it is beyond them.
func boundedSpan(negative bool, seconds, micros int64) (types.Timespan, flaw) {
	bad := flawless
	if seconds > spanMax || seconds == spanMax && micros > 0 {
		seconds, micros, bad = spanMax, 0, noCalendar
	}
	n := seconds*1e6 + micros
	if negative {
		n = -n
	}
	return types.Timespan(n), bad
}

func clockOf(t time.Time) types.Timespan {
	return types.Timespan(int64(t.Hour()*3600+t.Minute()*60+t.Second())*1e6 + int64(t.Nanosecond()/1000))
}

// numberSpan is the TIME that the digits of a number make.
func numberSpan(d decimal.Decimal) (span types.Timespan, date bool, bad flaw) {
	abs := d.Abs()
	if abs.GreaterThan(decimal.NewFromInt(8385959)) {
		if d.Sign() > 0 && d.GreaterThanOrEqual(decimal.NewFromInt(10000000000)) {
			if t, bad := numberTime(d); bad == flawless {
				return clockOf(t), true, flawless
			}
		}
		span, bad = boundedSpan(d.Sign() < 0, spanMax+1, 0)
		return span, false, bad
	}
	n := abs.IntPart()
	if n%100 > 59 || n/100%100 > 59 {
		return 0, false, cutTime
	}
	span, bad = boundedSpan(d.Sign() < 0, n/10000*3600+n/100%100*60+n%100, abs.Sub(abs.Truncate(0)).Shift(6).Round(0).IntPart())
	return span, false, bad
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
