package gmsx

import (
	"math/big"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
)

// A shift is a time with an interval added, or subtracted.
type shift struct {
	name     string
	at       gms.Expression
	interval *expression.Interval // no child: the engine allows it below its own nodes only
	sign     int64
	typ      gms.Type
}

var _ gms.CollationCoercible = (*shift)(nil)

// dayUnits are the units of intervals that leave a DATE one.
var dayUnits = map[string]bool{"DAY": true, "WEEK": true, "MONTH": true, "QUARTER": true, "YEAR": true, "YEAR_MONTH": true}

func newShift(name string, at gms.Expression, i *expression.Interval, sign int64) gms.Expression {
	s := &shift{name: name, at: at, interval: i, sign: sign}
	decimals := 0
	if strings.HasSuffix(i.Unit, "MICROSECOND") {
		decimals = 6
	} else if i.Unit == "SECOND" {
		switch t := i.Child.Type(); {
		case types.IsDecimal(t):
			decimals = int(min(6, t.(gms.DecimalType).Scale()))
		case types.IsFloat(t):
			decimals = 6
		}
	}
	switch t := at.Type(); {
	case types.IsDeferredType(t):
		s.typ = t
	case types.IsTimespan(t):
		s.typ = types.Time
	case types.IsDateType(t) && dayUnits[i.Unit]:
		s.typ = types.Date
	case isTime(t) || types.IsDateType(t):
		s.typ = types.MustCreateDatetimeType(querypb.Type_DATETIME, max(decimals, t.(gms.DatetimeType).Precision()))
	default:
		s.typ = types.LongText
	}
	return s
}

func (s *shift) Resolved() bool             { return s.at.Resolved() && s.interval.Resolved() }
func (s *shift) Type() gms.Type             { return s.typ }
func (s *shift) IsNullable() bool           { return true }
func (s *shift) Children() []gms.Expression { return []gms.Expression{s.at, s.interval.Child} }

func (s *shift) String() string {
	op := "+"
	if s.sign < 0 {
		op = "-"
	}
	return "(" + s.at.String() + " " + op + " " + s.interval.String() + ")"
}

func (s *shift) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 2 {
		return nil, gms.ErrInvalidChildrenNumber.New(s, len(children), 2)
	}
	return newShift(s.name, children[0], expression.NewInterval(children[1], s.interval.Unit), s.sign), nil
}

// CollationCoercibility implements gms.CollationCoercible.
func (s *shift) CollationCoercibility(*gms.Context) (gms.CollationID, byte) {
	if types.IsTextOnly(s.typ) {
		return gms.Collation_Default, 4
	}
	return gms.Collation_binary, 5
}

// Eval is NULL for what is no time, and for times beyond year 9999.
func (s *shift) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	v, err := s.at.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	d, err := s.delta(ctx, row)
	if err != nil || d == nil {
		return nil, err
	}
	if span, ok := v.(types.Timespan); ok {
		return types.Timespan(span.AsMicroseconds() + s.sign*(((d.Days*24+d.Hours)*60+d.Minutes)*60e6+d.Seconds*1e6+d.Microseconds)), nil
	}
	t, ok := toTime(ctx, v)
	if !ok {
		return nil, nil
	}
	out, ok := moved(t, d, s.sign)
	if !ok {
		warn(ctx, 1441, "Datetime function: datetime field overflow")
		return nil, nil
	}
	if !types.IsTextOnly(s.typ) {
		return out, nil
	}
	// Of a text, the result is one too: a date of a date.
	text, _ := toText(ctx, s.at.Type(), v)
	switch {
	case dayUnits[s.interval.Unit] && !strings.ContainsAny(strings.TrimSpace(text), ": T") && len(strings.TrimSpace(text)) < 14:
		return out.Format(time.DateOnly), nil
	case out.Nanosecond() != 0:
		return out.Format("2006-01-02 15:04:05.000000"), nil
	}
	return out.Format(time.DateTime), nil
}

// delta is the interval, nil if it is NULL.
func (s *shift) delta(ctx *gms.Context, row gms.Row) (*expression.TimeDelta, error) {
	var unit int64 // microseconds
	switch s.interval.Unit {
	case "SECOND":
		v, err := s.interval.Child.Eval(ctx, row)
		if err != nil || v == nil {
			return nil, err
		}
		n, err := toNumber(ctx, v)
		if err != nil {
			return nil, err
		}
		us := toDecimal(n).Shift(6).Truncate(0).BigInt()
		if !us.IsInt64() {
			return &expression.TimeDelta{Years: 10000}, nil
		}
		return &expression.TimeDelta{Seconds: us.Int64() / 1e6, Microseconds: us.Int64() % 1e6}, nil
	case "MICROSECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR":
		unit = 1
	}
	if unit == 0 {
		return s.interval.EvalDelta(ctx, row)
	}
	v, err := s.interval.Child.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	n, err := toNumber(ctx, v)
	if err != nil {
		return nil, err
	}
	b := toBig(n)
	if text, ok := textOf(v); ok {
		b = big.NewInt((&cast{kind: "signed"}).textInteger(ctx, text).(int64))
	}
	if b.CmpAbs(big.NewInt(1e18)) > 0 {
		return &expression.TimeDelta{Years: 10000}, nil
	}
	i := b.Int64()
	switch s.interval.Unit {
	case "MICROSECOND":
		return &expression.TimeDelta{Microseconds: i}, nil
	case "MINUTE":
		return &expression.TimeDelta{Minutes: i}, nil
	case "HOUR":
		return &expression.TimeDelta{Hours: i}, nil
	case "DAY":
		return &expression.TimeDelta{Days: i}, nil
	case "WEEK":
		return &expression.TimeDelta{Days: i * 7}, nil
	case "MONTH":
		return &expression.TimeDelta{Months: i}, nil
	case "QUARTER":
		return &expression.TimeDelta{Months: i * 3}, nil
	}
	return &expression.TimeDelta{Years: i}, nil
}

// moved is t with d added sign times, false if that is beyond what a DATETIME
// holds.
func moved(t time.Time, d *expression.TimeDelta, sign int64) (time.Time, bool) {
	const beyond = 10000 * 366 * 86400 // seconds, more than all years have
	months := int64(t.Year())*12 + int64(t.Month()) - 1
	for _, n := range []int64{d.Years, d.Months, d.Days, d.Hours / 24} {
		if n > beyond || n < -beyond {
			return t, false
		}
	}
	months += sign * (d.Years*12 + d.Months)
	if months < 0 || months >= 10000*12 {
		return t, false
	}
	year, month := int(months/12), time.Month(months%12+1)
	day := t.Day()
	if last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day(); day > last {
		day = last
	}
	out := time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	seconds := new(big.Int).SetInt64(d.Days*24 + d.Hours)
	seconds.Mul(seconds, big.NewInt(60)).Add(seconds, big.NewInt(d.Minutes))
	seconds.Mul(seconds, big.NewInt(60)).Add(seconds, big.NewInt(d.Seconds))
	seconds.Add(seconds, big.NewInt(d.Microseconds/1e6))
	if !seconds.IsInt64() || seconds.CmpAbs(big.NewInt(beyond)) > 0 {
		return t, false
	}
	out = time.Unix(out.Unix()+sign*seconds.Int64(), int64(out.Nanosecond())).UTC()
	out = out.Add(time.Duration(sign*(d.Microseconds%1e6)) * time.Microsecond)
	return out, out.Year() >= 0 && out.Year() <= 9999
}
