package ddl

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// durationUnits are the units of ParseDuration, with the names that FormatDuration
// uses first, largest unit first. Weeks have no fixed place in dates, so 14 days
// stay 14d.
var durationUnits = []struct {
	size  time.Duration
	names []string
}{
	{day, []string{"d", "day", "days"}},
	{time.Hour, []string{"h", "hr", "hrs", "hour", "hours"}},
	{time.Minute, []string{"m", "min", "mins", "minute", "minutes"}},
	{time.Second, []string{"s", "sec", "secs", "second", "seconds"}},
	{time.Millisecond, []string{"ms", "millisecond", "milliseconds"}},
	{time.Microsecond, []string{"us", "µs", "μs", "microsecond", "microseconds"}}, // the micro sign, and the letter mu
	{time.Nanosecond, []string{"ns", "nanosecond", "nanoseconds"}},
	{7 * day, []string{"w", "week", "weeks"}},
}

const durationForms = "a duration is written like '500ms', '30s', '15m', '3h', '1h30m', '90d' or '2w', and 0 is none"

// ParseDuration parses a duration such as '1h30m', '90d' or '2 weeks': numbers,
// perhaps with a fraction, and units from ns to w. A plain 0 is none. Months
// and years are refused, as they differ in length.
func ParseDuration(s string) (time.Duration, error) {
	rest := strings.TrimSpace(s)
	if rest == "0" {
		return 0, nil
	}
	if rest == "" {
		return 0, errors.New("the duration is empty: " + durationForms)
	}
	var total time.Duration
	for rest != "" {
		n, after, ok := cutQuantity(rest)
		if !ok {
			return 0, fmt.Errorf("%q is not a duration: %s", s, durationForms)
		}
		unit, after := cutUnit(after)
		size, err := durationUnit(s, unit)
		if err != nil {
			return 0, err
		}
		d, ok := n.times(int64(size))
		if !ok || time.Duration(d) > math.MaxInt64-total {
			return 0, fmt.Errorf("the duration %q is too long: the longest is about 292 years", s)
		}
		total += time.Duration(d)
		rest = after
	}
	return total, nil
}

// durationUnit finds the unit of s, in small letters or capitals; but a large M
// is a month to many.
func durationUnit(s, unit string) (time.Duration, error) {
	for _, u := range durationUnits {
		for _, name := range u.names {
			if unit != "M" && asciiLower(unit) == name {
				return u.size, nil
			}
		}
	}
	switch asciiLower(unit) {
	case "":
		return 0, fmt.Errorf("the duration %q lacks a unit: %s", s, durationForms)
	case "m", "mo", "month", "months", "y", "year", "years":
		return 0, fmt.Errorf("the duration %q is in %s, and months and years differ in length: use days, as in '90d' (minutes are a small m)", s, unit)
	}
	return 0, fmt.Errorf("the duration %q has an unknown unit %q: %s", s, unit, durationForms)
}

// FormatDuration writes a duration so that ParseDuration reads it back:
// 90 minutes are "1h30m".
func FormatDuration(d time.Duration) string {
	if d <= 0 {
		return "0" // there are no negative durations here
	}
	var b strings.Builder
	for _, u := range durationUnits {
		if n := d / u.size; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.names[0])
			d %= u.size
		}
	}
	return b.String()
}

const byteForms = "a size is written like '500MB', '10GB', '1.5TB' or in plain bytes, and 1 KB is 1,024 bytes"

// byteUnits in steps of 1,024: the users of databases and brokers mean that,
// and who writes GiB means nothing else.
const byteUnits = "BKMGTPE"

// ParseBytes parses a size such as '10GB', '1.5 TiB' or '4096'. KB and KiB are
// both 1,024 bytes, and so on.
func ParseBytes(s string) (int64, error) {
	n, rest, ok := cutQuantity(strings.TrimSpace(s))
	if !ok {
		return 0, fmt.Errorf("%q is not a size: %s", s, byteForms)
	}
	unit, rest := cutUnit(rest)
	power := bytePower(asciiUpper(unit))
	if power < 0 || rest != "" {
		return 0, fmt.Errorf("%q is not a size, for its unit: %s", s, byteForms)
	}
	size, ok := n.times(1 << (10 * power))
	if !ok {
		return 0, fmt.Errorf("the size %q is too large: the largest is below 8 EB", s)
	}
	return size, nil
}

// bytePower is the power of 1,024 that a unit in capitals stands for, or -1.
func bytePower(unit string) int {
	if unit == "" {
		return 0
	}
	power := strings.IndexByte(byteUnits, unit[0])
	switch unit[1:] {
	case "":
		return power
	case "B", "IB":
		if power > 0 {
			return power
		}
	}
	return -1
}

// A quantity is a number without sign: whole + part/scale.
type quantity struct{ whole, part, scale uint64 }

// cutQuantity cuts the number at the beginning of s from the rest. Digits
// beyond the eighteenth behind the point change nothing and are dropped.
func cutQuantity(s string) (n quantity, rest string, ok bool) {
	digits, rest := cutDigits(s)
	fraction := ""
	if strings.HasPrefix(rest, ".") {
		fraction, rest = cutDigits(rest[1:])
		fraction = fraction[:min(len(fraction), 18)]
		if fraction == "" {
			return n, rest, false
		}
	}
	n.scale = 1
	for range len(fraction) {
		n.scale *= 10
	}
	whole, err := strconv.ParseUint(digits, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		whole, err = math.MaxUint64, nil // times says that it is too much
	}
	if fraction != "" {
		n.part, _ = strconv.ParseUint(fraction, 10, 64)
	}
	n.whole = whole
	return n, rest, err == nil
}

func cutDigits(s string) (digits, rest string) {
	rest = strings.TrimLeft(s, "0123456789")
	return s[:len(s)-len(rest)], rest
}

// cutUnit cuts the word at the beginning of s from the rest, without the space
// around either.
func cutUnit(s string) (unit, rest string) {
	s = strings.TrimLeft(s, " \t")
	i := strings.IndexAny(s, "0123456789. \t")
	if i < 0 {
		i = len(s)
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

// times is n of unit, rounded down, or false when that is more than an int64 holds.
func (n quantity) times(unit int64) (int64, bool) {
	high, low := bits.Mul64(n.whole, uint64(unit))
	h, l := bits.Mul64(n.part, uint64(unit))
	part, _ := bits.Div64(h, l, n.scale) // part < scale, so the quotient is below unit
	sum, carry := bits.Add64(low, part, 0)
	return int64(sum), high == 0 && carry == 0 && sum <= math.MaxInt64
}
