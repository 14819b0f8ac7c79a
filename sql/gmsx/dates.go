package gmsx

import (
	"math/big"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/shopspring/decimal"
)

func periodMonths(p int64) int64 {
	year := p / 100
	switch {
	case year < 70:
		year += 2000
	case year < 100:
		year += 1900
	}
	return year*12 + p%100 - 1
}

func unixTimestampType(args []gms.Expression) gms.Type {
	if len(args) == 0 {
		return types.Int64
	}
	decimals := 0
	switch t := args[0].Type(); {
	case types.IsDateType(t):
	case isTime(t):
		decimals = t.(gms.DatetimeType).Precision()
	case types.IsTextOnly(t):
		decimals = 6
		if l, ok := args[0].(*expression.Literal); ok {
			s, _ := textOf(l.Value())
			_, frac, _ := strings.Cut(s, ".")
			decimals = min(6, len(frac))
		}
	}
	if decimals == 0 {
		return types.Int64
	}
	return decimalType(11+decimals, decimals)
}

func unixTimestamp(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error) {
	if len(vals) == 0 {
		return ctx.QueryTime().Unix(), nil
	}
	if zone, err := ctx.GetSessionVariable(ctx, "time_zone"); err == nil && zone != "SYSTEM" && zone != "UTC" && zone != "+00:00" {
		e, err := function.NewUnixTimestamp(args...)
		if err != nil {
			return nil, err
		}
		v, err := e.Eval(ctx, nil)
		if err != nil || v == nil {
			return nil, err
		}
		return ofType(t, v), nil
	}
	at, ok := toTime(ctx, vals[0])
	if !ok {
		return ofType(t, int64(0)), nil
	}
	if at.Unix() < 0 || at.Unix() > function.MaxUnixTimeSecs {
		return ofType(t, int64(0)), nil
	}
	if types.IsDecimal(t) {
		return decimal.New(at.UnixMicro(), -6).Truncate(int32(t.(gms.DecimalType).Scale())), nil
	}
	return at.Unix(), nil
}

func timestampDiff(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
	unit, _ := vals[0].(string)
	a, ok1 := toTime(ctx, vals[1])
	b, ok2 := toTime(ctx, vals[2])
	if !ok1 || !ok2 {
		return nil, nil
	}
	sign := int64(1)
	if b.Before(a) {
		a, b, sign = b, a, -1
	}
	// A duration holds no more than 292 years.
	seconds, micros := b.Unix()-a.Unix(), int64(b.Nanosecond()-a.Nanosecond())/1000
	if micros < 0 {
		seconds, micros = seconds-1, micros+1e6
	}
	months := int64(b.Year()-a.Year())*12 + int64(b.Month()) - int64(a.Month())
	if within(b) < within(a) {
		months--
	}
	unit = strings.TrimPrefix(strings.ToUpper(unit), "SQL_TSI_")
	switch unit {
	case "MICROSECOND", "FRAC_SECOND":
		d := new(big.Int).Mul(big.NewInt(seconds), big.NewInt(1e6))
		if d.Add(d, big.NewInt(micros)); !d.IsInt64() {
			return nil, Error(1690, "22003", "BIGINT value is out of range in 'timestampdiff'")
		}
		return sign * d.Int64(), nil
	case "SECOND":
		return sign * seconds, nil
	case "MINUTE":
		return sign * (seconds / 60), nil
	case "HOUR":
		return sign * (seconds / 3600), nil
	case "DAY":
		return sign * (seconds / 86400), nil
	case "WEEK":
		return sign * (seconds / 604800), nil
	case "MONTH":
		return sign * months, nil
	case "QUARTER":
		return sign * (months / 3), nil
	case "YEAR":
		return sign * (months / 12), nil
	}
	return nil, Error(1064, "42000", mysqlSyntaxError+"%s is no unit of TIMESTAMPDIFF", unit)
}

// within is where in its month a time is.
func within(t time.Time) int64 {
	return int64(t.Day())*86400e6 + int64(t.Hour())*3600e6 + int64(t.Minute())*60e6 + int64(t.Second())*1e6 + int64(t.Nanosecond())/1000
}

func timestampType(args []gms.Expression) gms.Type {
	p := 6
	switch t := args[0].Type(); {
	case types.IsDateType(t):
		p = 0
	case isTime(t):
		p = t.(gms.DatetimeType).Precision()
	case types.IsTextOnly(t):
		if l, ok := args[0].(*expression.Literal); ok {
			s, _ := textOf(l.Value())
			_, frac, _ := strings.Cut(s, ".")
			p = min(6, len(frac))
		}
	}
	return types.MustCreateDatetimeType(querypb.Type_DATETIME, p)
}

// dayNumber counts days.
func dayNumber(t time.Time) int64 {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix() / 86400
}

// weekOf is the week of a time in one of MySQL's modes. Bits of mode: 1, weeks
// begin on Monday; 2, days before week 1 belong to the year before; 4, week 1 is
// the first that begins in the year, not the first with more than half its days.
func weekOf(ctx *gms.Context, vals []any, always int, result func(year, week int) int) (any, error) {
	t, ok := toTime(ctx, vals[0])
	if !ok {
		return nil, nil
	}
	mode := 0
	if len(vals) > 1 {
		n, err := toNumber(ctx, vals[1])
		if err != nil {
			return nil, err
		}
		mode = int(toBig(n).Int64() & 7)
	}
	monday := mode&1 != 0
	wholeYear := (mode|always)&2 != 0
	first := mode&4 != 0
	if !monday {
		first = !first // MySQL's modes of weeks from Sunday say it the other way round
	}
	weekday := func(t time.Time) int {
		if monday {
			return (int(t.Weekday()) + 6) % 7
		}
		return int(t.Weekday())
	}
	year := t.Year()
	start := func(year int) time.Time { // of week 1
		d := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		w := weekday(d)
		if first && w != 0 || !first && w >= 4 {
			return d.AddDate(0, 0, 7-w)
		}
		return d.AddDate(0, 0, -w)
	}
	day := dayNumber(t)
	if day < dayNumber(start(year)) {
		if !wholeYear {
			return int64(result(year, 0)), nil
		}
		year--
	} else if wholeYear && day >= dayNumber(start(year+1)) {
		year++
	}
	return int64(result(year, int(day-dayNumber(start(year)))/7+1)), nil
}

// convertZone leaves times alone that no TIMESTAMP holds, as MySQL does.
func convertZone(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
	t, ok := toTime(ctx, vals[0])
	if !ok {
		return nil, nil
	}
	e := function.NewConvertTz(expression.NewLiteral(t, types.DatetimeMaxPrecision), args[1], args[2])
	if t.Unix() < 0 || t.Unix() > function.MaxUnixTimeSecs {
		return t, nil
	}
	return e.Eval(ctx, nil)
}
