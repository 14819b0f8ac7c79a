package gmsx

import (
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// STR_TO_DATE as in MySQL. The engine's reads as many digits as there are, so
// that formats without separators find nothing, and takes .5 for 5 µs.
var strToDate = gms.FunctionN{Name: "str_to_date", Fn: func(args ...gms.Expression) (gms.Expression, error) {
	if len(args) != 2 {
		return nil, gms.ErrInvalidArgumentNumber.New("str_to_date", 2, len(args))
	}
	var typ gms.Type = types.DatetimeMaxPrecision // whatever the format turns out to be
	if lit, ok := args[1].(*expression.Literal); ok {
		if format, ok := lit.Value().(string); ok {
			typ = formatType(format)
		}
	}
	return NewCall("str_to_date", typ, args, func(ctx *gms.Context, args []any) (any, error) {
		text, err := asText(ctx, args[0])
		if err != nil {
			return nil, err
		}
		format, err := asText(ctx, args[1])
		if err != nil {
			return nil, err
		}
		var p dateParts
		if !p.read(text, format) {
			return nil, nil
		}
		return p.value(typ), nil
	}), nil
}}

// formatType is DATE, TIME or DATETIME, by what a format reads.
func formatType(format string) gms.Type {
	date, clock, micros := false, false, false
	for i := 0; i+1 < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		i++
		switch format[i] {
		case 'f':
			clock, micros = true, true
		case 'H', 'h', 'I', 'i', 'k', 'l', 'p', 'r', 'S', 's', 'T':
			clock = true
		case '%', '.', '@', '#':
		default:
			date = true
		}
	}
	switch {
	case clock && !date:
		return types.Time
	case micros:
		return types.DatetimeMaxPrecision
	case clock:
		return types.MustCreateDatetimeType(types.Datetime.Type(), 0)
	}
	return types.Date
}

// dateParts are the parts of a date and time that were read.
type dateParts struct {
	year, month, day, hour, minute, second, micros int

	afternoon, twelve bool // of a 12-hour clock
	yearDay           int  // 0 is none
	weekDay           int  // 1 is Monday; 0 is none
	week              int  // -1 is none
	sundays           bool // weeks begin on Sundays
	weekYear          int  // -1 is none
}

// read reads text by format, and says whether it could. What is left of either
// at the end of the other does not matter.
func (p *dateParts) read(text, format string) bool {
	p.week, p.weekYear = -1, -1
	if _, ok := p.readPart(text, format); !ok {
		return false
	}
	if p.twelve {
		if p.hour < 1 || p.hour > 12 {
			return false
		}
		p.hour %= 12
		if p.afternoon {
			p.hour += 12
		}
	}
	switch {
	case p.yearDay > 0:
		p.setDate(time.Date(p.year, 1, p.yearDay, 0, 0, 0, 0, time.UTC))
	case p.week >= 0 && p.weekDay > 0:
		p.setWeek()
	}
	return p.month <= 12 && p.day <= 31 && p.hour <= 23 && p.minute <= 59 && p.second <= 59
}

func (p *dateParts) setDate(t time.Time) { p.year, p.month, p.day = t.Year(), int(t.Month()), t.Day() }

// setWeek makes a date of a week's number and a day of it.
func (p *dateParts) setWeek() {
	year := p.year
	if p.weekYear >= 0 {
		year = p.weekYear
	}
	first := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	if p.sundays { // week 1 begins on the year's first Sunday
		skip := (7 - int(first.Weekday())) % 7
		p.setDate(first.AddDate(0, 0, skip+(p.week-1)*7+p.weekDay%7))
		return
	}
	monday := (int(first.Weekday()) + 6) % 7 // days since Monday
	skip := -monday
	if monday > 3 { // the week with the year's fourth day is the first
		skip += 7
	}
	p.setDate(first.AddDate(0, 0, skip+(p.week-1)*7+p.weekDay-1))
}

var (
	monthNames = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}
	dayNames   = []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
)

func (p *dateParts) readPart(text, format string) (rest string, ok bool) {
	for i := 0; i < len(format); i++ {
		text = strings.TrimLeft(text, " \t\r\n\v\f")
		if text == "" {
			return "", true
		}
		c := format[i]
		if c != '%' || i+1 == len(format) {
			if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
				continue
			}
			if text[0] != c {
				return "", false
			}
			text = text[1:]
			continue
		}
		i++
		if text, ok = p.readField(text, format[i]); !ok {
			return "", false
		}
	}
	return text, true
}

// readField reads what stands for %c in a format.
func (p *dateParts) readField(text string, c byte) (rest string, ok bool) {
	number := func(digits int, into *int) (string, bool) {
		n, v := 0, 0
		for n < len(text) && n < digits && text[n] >= '0' && text[n] <= '9' {
			v = v*10 + int(text[n]-'0')
			n++
		}
		*into = v
		return text[n:], n > 0
	}
	twoYears := func(into *int) (string, bool) {
		rest, ok := number(2, into)
		if *into < 70 {
			*into += 2000
		} else {
			*into += 1900
		}
		return rest, ok
	}
	name := func(names []string, short bool, into *int) (string, bool) {
		for k, n := range names {
			if short {
				n = n[:3]
			}
			if len(text) >= len(n) && strings.EqualFold(text[:len(n)], n) {
				*into = k + 1
				return text[len(n):], true
			}
		}
		return "", false
	}
	skip := func(what func(byte) bool) (string, bool) {
		n := 0
		for n < len(text) && what(text[n]) {
			n++
		}
		return text[n:], true
	}
	switch c {
	case 'Y':
		rest, ok = number(4, &p.year)
		if len(text)-len(rest) <= 2 {
			return twoYears(&p.year)
		}
		return rest, ok
	case 'y':
		return twoYears(&p.year)
	case 'm', 'c':
		return number(2, &p.month)
	case 'M':
		return name(monthNames, false, &p.month)
	case 'b':
		return name(monthNames, true, &p.month)
	case 'd', 'e':
		return number(2, &p.day)
	case 'D':
		rest, ok = number(2, &p.day)
		return rest[min(2, len(rest)):], ok // st, nd, rd, th
	case 'h', 'I', 'l':
		p.twelve = true
		return number(2, &p.hour)
	case 'H', 'k':
		return number(2, &p.hour)
	case 'i':
		return number(2, &p.minute)
	case 's', 'S':
		return number(2, &p.second)
	case 'f':
		rest, ok = number(6, &p.micros)
		for n := len(text) - len(rest); n < 6; n++ {
			p.micros *= 10
		}
		return rest, ok
	case 'p':
		if len(text) < 2 {
			return "", false
		}
		switch strings.ToLower(text[:2]) {
		case "pm":
			p.afternoon = true
		case "am":
		default:
			return "", false
		}
		p.twelve = true
		return text[2:], true
	case 'W':
		return name(dayNames, false, &p.weekDay)
	case 'a':
		return name(dayNames, true, &p.weekDay)
	case 'w':
		rest, ok = number(1, &p.weekDay)
		if p.weekDay == 0 {
			p.weekDay = 7
		}
		return rest, ok && p.weekDay <= 7
	case 'j':
		rest, ok = number(3, &p.yearDay)
		return rest, ok && p.yearDay >= 1 && p.yearDay <= 366
	case 'U', 'V', 'u', 'v':
		p.sundays = c == 'U' || c == 'V'
		rest, ok = number(2, &p.week)
		return rest, ok && p.week <= 53
	case 'X', 'x':
		return number(4, &p.weekYear)
	case 'r':
		return p.readPart(text, "%I:%i:%S %p")
	case 'T':
		return p.readPart(text, "%H:%i:%S")
	case '.':
		return skip(func(b byte) bool { return strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", b) >= 0 })
	case '@':
		return skip(func(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' })
	case '#':
		return skip(func(b byte) bool { return b >= '0' && b <= '9' })
	case '%':
		return strings.TrimPrefix(text, "%"), strings.HasPrefix(text, "%")
	}
	return "", false
}

// value is what was read as a value of typ; a date that is not in the calendar
// is NULL.
func (p *dateParts) value(typ gms.Type) any {
	clock := time.Duration(p.hour)*time.Hour + time.Duration(p.minute)*time.Minute + time.Duration(p.second)*time.Second + time.Duration(p.micros)*time.Microsecond
	if typ == types.Time {
		return types.Timespan(clock.Microseconds())
	}
	t := time.Date(p.year, time.Month(p.month), p.day, 0, 0, 0, 0, time.UTC)
	if p.month == 0 || p.day == 0 || t.Day() != p.day {
		return nil
	}
	return t.Add(clock)
}
