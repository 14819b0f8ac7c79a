package views

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/itchyny/timefmt-go"
	"github.com/shopspring/decimal"

	"weir/views/column"
)

// text returns b as a string without copying it. The string is good for as
// long as b does not change.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// A setter puts what an event says into a column, where the column's type can
// hold it: its methods return false where it cannot, which makes it NULL.
//
// A type holds a number or text that means one of its values exactly: an INT
// holds "42" and 42.0, but not 42.5, "forty" or 99999999999. Decimals round to
// their scale, as MySQL rounds them.
type setter struct {
	t     column.Type
	clock func(string) (int64, bool) // Time: microseconds from text
	unit  int64                      // Time: microseconds in a unit of a number; 0 takes no numbers
	nanos bool                       // Time: numbers are nanoseconds
}

func newSetter(c *ColumnDef, timeFormat string) (setter, error) {
	s := setter{t: c.Type}
	if c.Type.Kind != column.Time {
		if timeFormat != "" {
			return s, fmt.Errorf("event_time = '%s' with a time_format needs a DATETIME column, not %s", c.Name, c.Type)
		}
		return s, nil
	}
	s.clock = parseISO
	switch timeFormat {
	case "":
	case "unix", "unix_s":
		s.unit = 1_000_000
	case "unix_ms":
		s.unit = 1000
	case "unix_us":
		s.unit = 1
	case "unix_ns":
		s.unit, s.nanos = 1, true
	default:
		s.clock = layoutClock(timeFormat)
		return s, checkLayout(timeFormat, s.clock)
	}
	return s, nil
}

// layoutClock returns a parser of times in a strftime-like format, where there
// is a %, or in Go's.
func layoutClock(layout string) func(string) (int64, bool) {
	return func(v string) (int64, bool) {
		var t time.Time
		var err error
		if strings.Contains(layout, "%") {
			t, err = timefmt.Parse(v, layout)
		} else {
			t, err = time.Parse(layout, v)
		}
		return t.UnixMicro(), err == nil
	}
}

// checkLayout refuses a layout that does not say what day it is.
func checkLayout(layout string, clock func(string) (int64, bool)) error {
	day := time.Date(2026, 11, 23, 17, 48, 59, 0, time.UTC)
	t, ok := clock(FormatTime(day, layout))
	if ok && time.UnixMicro(t).UTC().Format(time.DateOnly) == day.Format(time.DateOnly) {
		return nil
	}
	return &DefinitionError{Option: "time_format", Err: fmt.Errorf("'%s' does not say year, month and day: use unix, unix_ms, unix_us, unix_ns, "+
		"a strftime format such as '%%d/%%b/%%Y:%%H:%%M:%%S %%z', or one of Go such as '2006-01-02 15:04:05'", layout)}
}

// text puts a text into row i.
func (s *setter) text(v *column.Vector, i int, x string) bool {
	switch v.Kind {
	case column.String, column.Bytes, column.JSON:
		return s.raw(v, i, x)
	case column.Time:
		if s.unit != 0 {
			return s.number(v, i, x)
		}
		t, ok := s.clock(x)
		v.I[i] = s.day(t)
		return ok
	default:
		return x != "" && s.number(v, i, x)
	}
}

// day cuts the time of day off for a DATE.
func (s *setter) day(t int64) int64 {
	if s.t.Date {
		return column.WindowStart(t, 86_400_000_000, 0)
	}
	return t
}

// raw puts a text into a text column.
func (s *setter) raw(v *column.Vector, i int, x string) bool {
	if v.Kind == column.String && !utf8.ValidString(x) {
		x = strings.ToValidUTF8(x, "\uFFFD")
	}
	if n := s.t.Length; n > 0 && len(x) > n && (v.Kind != column.String || utf8.RuneCountInString(x) > n) {
		return false
	}
	v.S[i] = x
	return true
}

// truth puts a boolean into row i.
func (s *setter) truth(v *column.Vector, i int, x bool) bool {
	switch {
	case v.Kind == column.Int:
		v.I[i] = 0
		if x {
			v.I[i] = 1
		}
		return true
	case v.Kind == column.String:
		return s.raw(v, i, strconv.FormatBool(x))
	default:
		return false
	}
}

// number puts a number, as text, into row i. It keeps no reference to x.
func (s *setter) number(v *column.Vector, i int, x string) bool {
	switch v.Kind {
	case column.Int:
		n, ok := parseInt(x)
		if !ok || (s.t.Min != 0 || s.t.Max != 0) && (n < s.t.Min || n > s.t.Max) {
			return false
		}
		v.I[i] = n
		return true
	case column.Uint:
		n, err := strconv.ParseUint(x, 10, 64)
		if err != nil {
			m, ok := parseInt(x)
			if !ok || m < 0 {
				return false
			}
			n = uint64(m)
		}
		v.I[i] = int64(n)
		return true
	case column.Float:
		f, err := strconv.ParseFloat(x, 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return false
		}
		v.F[i] = f
		return true
	case column.Dec, column.BigDec:
		return s.decimal(v, i, x)
	case column.Time:
		return s.instant(v, i, x)
	default:
		return false
	}
}

// plain puts a number that is also given as its text x into row i, as number and
// raw do, but for what is commonest does not read the text again.
func (s *setter) plain(v *column.Vector, i int, p *plainNumber, x string) bool {
	n := int64(p.digits)
	if p.neg {
		n = -n
	}
	switch {
	case v.Kind == column.Float && p.digits < 1<<53: // then both are exact, and their quotient is rounded once
		f := float64(p.digits)
		if p.neg {
			f = -f
		}
		v.F[i] = f / float64(column.Pow10[p.frac])
		return true
	case v.Kind == column.Int && p.frac == 0:
		v.I[i] = n
		return s.t.Min == 0 && s.t.Max == 0 || n >= s.t.Min && n <= s.t.Max
	case v.Kind == column.Time && p.frac == 0 && s.unit != 0:
		return s.units(v, i, n)
	case v.Kind == column.Uint && p.frac == 0 && !p.neg:
		v.I[i] = n
		return true
	case v.Kind.IsText():
		return s.raw(v, i, x)
	default:
		return s.number(v, i, x)
	}
}

// parseInt reads an integer, also one written as 42.0 or 4.2e1.
func parseInt(x string) (int64, bool) {
	if n, err := strconv.ParseInt(x, 10, 64); err == nil {
		return n, true
	}
	if !strings.ContainsAny(x, ".eE") || len(x) > 64 {
		return 0, false
	}
	f, err := strconv.ParseFloat(x, 64)
	if err != nil || math.Abs(f) >= 1<<63 || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

func (s *setter) decimal(v *column.Vector, i int, x string) bool {
	if v.Kind == column.Dec {
		if n, ok := parseDec(x, int(s.t.Scale)); ok {
			v.I[i] = n
			return abs(n) < column.Pow10[s.t.Digits]
		}
	}
	if len(x) > 128 || !isPlain(x) {
		return false // also keeps an exponent from asking for a billion digits
	}
	d, err := decimal.NewFromString(x)
	if err != nil || d.Exponent() > 65 || d.Exponent() < -400 {
		return false
	}
	d = d.Round(int32(s.t.Scale))
	if len(d.Abs().Truncate(0).String()) > int(s.t.Digits-s.t.Scale) && !d.Abs().LessThan(decimal.New(1, int32(s.t.Digits-s.t.Scale))) {
		return false
	}
	if v.Kind == column.Dec {
		v.I[i] = d.Shift(int32(s.t.Scale)).IntPart()
		return true
	}
	v.D[i] = d
	return true
}

func isPlain(x string) bool {
	_, err := strconv.ParseFloat(x, 64)
	return err == nil && x[len(x)-1] != 'y' && x[len(x)-1] != 'f' && x[len(x)-1] != 'N' && !strings.ContainsAny(x, "xXpP_")
}

// parseDec reads a plain decimal with at most scale digits after the point as
// a multiple of 10^-scale.
func parseDec(x string, scale int) (int64, bool) {
	digits := x
	neg := strings.HasPrefix(x, "-")
	if neg {
		digits = x[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	n, point := int64(0), -1
	for i := range len(digits) {
		c := digits[i]
		switch {
		case c == '.' && point < 0:
			point = i
		case c < '0' || c > '9':
			return 0, false
		default:
			n = n*10 + int64(c-'0')
		}
	}
	after := 0
	if point >= 0 {
		after = len(digits) - 1 - point
	}
	if after > scale || len(digits)+scale-after > 18 || len(digits) == 1 && point == 0 {
		return 0, false
	}
	n *= column.Pow10[scale-after]
	if neg {
		n = -n
	}
	return n, true
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

// instant puts a number of units since the Unix epoch into row i.
func (s *setter) instant(v *column.Vector, i int, x string) bool {
	if s.unit == 0 {
		return false
	}
	t, err := strconv.ParseInt(x, 10, 64)
	if err == nil {
		return s.units(v, i, t)
	}
	f, err := strconv.ParseFloat(x, 64)
	if err != nil || s.nanos || math.Abs(f) > 1e15 || math.IsNaN(f) {
		return false
	}
	t = int64(math.Round(f * float64(s.unit)))
	v.I[i] = s.day(t)
	return inRange(t)
}

// units puts t units since the Unix epoch into row i.
func (s *setter) units(v *column.Vector, i int, t int64) bool {
	switch {
	case s.nanos:
		t = column.WindowStart(t, 1000, 0) / 1000
	case abs(t) > math.MaxInt64/s.unit || t == math.MinInt64:
		return false
	default:
		t *= s.unit
	}
	v.I[i] = s.day(t)
	return inRange(t)
}

// The years that DATETIME holds, in microseconds.
var (
	firstTime = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC).UnixMicro()
)

func inRange(t int64) bool { return t >= firstTime && t <= lastTime }

// parseISO reads 2006-01-02, 2006-01-02T15:04, 2006-01-02 15:04:05.999999 and
// so on, with Z, +hh:mm, +hhmm or no zone, which is UTC, as microseconds.
func parseISO(x string) (int64, bool) {
	if len(x) < 10 || x[4] != '-' || x[7] != '-' {
		return 0, false
	}
	year, ok1 := number(x[0:4])
	month, ok2 := number(x[5:7])
	day, ok3 := number(x[8:10])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	t := daysSinceEpoch(year, month, day) * 86_400_000_000
	if len(x) == 10 {
		return t, true
	}
	if x[10] != 'T' && x[10] != ' ' && x[10] != 't' {
		return 0, false
	}
	clock, zone, ok := parseClock(x[11:])
	if !ok {
		return 0, false
	}
	offset, ok := parseZone(zone)
	t += clock - offset
	return t, ok && inRange(t)
}

// parseClock reads 15:04, 15:04:05 and 15:04:05.999999999 and returns the rest.
func parseClock(x string) (micros int64, rest string, ok bool) {
	if len(x) < 5 || x[2] != ':' {
		return 0, "", false
	}
	h, ok1 := number(x[0:2])
	m, ok2 := number(x[3:5])
	if !ok1 || !ok2 || h > 23 || m > 59 {
		return 0, "", false
	}
	micros = (h*3600 + m*60) * 1_000_000
	x = x[5:]
	if len(x) < 3 || x[0] != ':' {
		return micros, x, true
	}
	s, ok := number(x[1:3])
	if !ok || s > 59 {
		return 0, "", false
	}
	micros += s * 1_000_000
	x = x[3:]
	if len(x) < 2 || x[0] != '.' && x[0] != ',' {
		return micros, x, true
	}
	i, unit := 1, int64(100_000)
	for ; i < len(x) && x[i] >= '0' && x[i] <= '9'; i++ {
		micros += int64(x[i]-'0') * unit
		unit /= 10
	}
	return micros, x[i:], i > 1
}

// parseZone reads Z, +hh:mm, +hhmm, +hh or nothing as microseconds east of UTC.
func parseZone(x string) (int64, bool) {
	if x == "" || x == "Z" || x == "z" {
		return 0, true
	}
	if x[0] != '+' && x[0] != '-' || len(x) < 3 {
		return 0, false
	}
	h, ok := number(x[1:3])
	rest, m := strings.TrimPrefix(x[3:], ":"), int64(0)
	if rest != "" {
		var ok2 bool
		m, ok2 = number(rest)
		ok = ok && ok2 && len(rest) == 2
	}
	offset := (h*3600 + m*60) * 1_000_000
	if x[0] == '-' {
		offset = -offset
	}
	return offset, ok && h <= 14 && m <= 59
}

func number(x string) (int64, bool) {
	n := int64(0)
	for i := range len(x) {
		if x[i] < '0' || x[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(x[i]-'0')
	}
	return n, x != ""
}

func daysIn(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	default:
		return 31
	}
}

// daysSinceEpoch counts days from 1970-01-01 in the proleptic Gregorian
// calendar (H. Hinnant, days_from_civil).
func daysSinceEpoch(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	era := column.WindowStart(year, 400, 0) / 400
	yoe := year - era*400
	doy := (153*((month+9)%12)+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}

// FormatTime writes a time in a stream's time_format, as its decoder reads it;
// the formats that are numbers are not among them.
func FormatTime(t time.Time, layout string) string {
	switch {
	case layout == "":
		return t.Format("2006-01-02T15:04:05.999999Z")
	case strings.Contains(layout, "%"):
		return timefmt.Format(t, layout)
	default:
		return t.Format(layout)
	}
}
