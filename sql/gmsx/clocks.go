package gmsx

import (
	"regexp"
	"strconv"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/shopspring/decimal"
)

// clockText is a text that is a time of day, or a longer span, with no date.
var clockText = regexp.MustCompile(`^\s*(-?)(\d{1,3}):(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?)?\s*$`)

// spanOf is the part of a value within its day, in microseconds, or the value
// itself if it is a TIME; false with a warning if it is no time.
func spanOf(ctx *gms.Context, v any) (int64, bool) {
	if s, ok := v.(types.Timespan); ok {
		return s.AsMicroseconds(), true
	}
	if s, ok := textOf(v); ok {
		if m := clockText.FindStringSubmatch(s); m != nil {
			n := func(i int) int64 { x, _ := strconv.ParseInt(m[i], 10, 64); return x }
			if n(3) > 59 || n(4) > 59 {
				warn(ctx, 1292, "Truncated incorrect time value: '%s'", firstChars(s, warnedShown))
				return 0, false
			}
			frac, _ := strconv.ParseInt((m[5] + "000000")[:6], 10, 64)
			us := ((n(2)*60+n(3))*60+n(4))*1e6 + frac
			if m[1] != "" {
				us = -us
			}
			return us, true
		}
	}
	t, ok := toTime(ctx, v)
	if !ok {
		return 0, false
	}
	return int64(t.Hour()*3600+t.Minute()*60+t.Second())*1e6 + int64(t.Nanosecond()/1000), true
}

// clockFunctions are those of the time of day, of which the engine fails of
// texts without date, and loses fractions.
func clockFunctions() []gms.Function {
	part := func(name string, of func(us int64) int64) gms.Function {
		return gms.Function1{Name: name, Fn: func(e gms.Expression) gms.Expression {
			return newTyped(name, []gms.Expression{e}, func([]gms.Expression) gms.Type { return types.Int32 }, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
				us, ok := spanOf(ctx, vals[0])
				if !ok {
					return nil, nil
				}
				return int32(of(max(us, -us))), nil
			})
		}}
	}
	return []gms.Function{
		part("hour", func(us int64) int64 { return us / 3600e6 }),
		part("minute", func(us int64) int64 { return us / 60e6 % 60 }),
		part("second", func(us int64) int64 { return us / 1e6 % 60 }),
		part("microsecond", func(us int64) int64 { return us % 1e6 }),
		gms.Function1{Name: "time_to_sec", Fn: func(e gms.Expression) gms.Expression {
			return newTyped("time_to_sec", []gms.Expression{e}, func([]gms.Expression) gms.Type { return types.Int64 }, func(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
				us, ok := spanOf(ctx, vals[0])
				if !ok {
					return nil, nil
				}
				return us / 1e6, nil
			})
		}},
		gms.FunctionN{Name: "from_unixtime", Fn: newFromUnixtime},
	}
}

// newFromUnixtime is FROM_UNIXTIME(x) with the fraction that x has, or
// FROM_UNIXTIME(x, format).
func newFromUnixtime(args ...gms.Expression) (gms.Expression, error) {
	switch len(args) {
	case 1:
		return fromUnixtime(args[0]), nil
	case 2:
		return function.NewDateFormat(fromUnixtime(args[0]), args[1]), nil
	}
	return nil, gms.ErrInvalidArgumentNumber.New("from_unixtime", "1 or 2", len(args))
}

// unixtimeMost is the last second of FROM_UNIXTIME, the end of the year 3000.
const unixtimeMost = 32536771199

func fromUnixtime(e gms.Expression) gms.Expression {
	typeOf := func(args []gms.Expression) gms.Type {
		p := 6
		switch t := numberType(args[0].Type()); {
		case types.IsInteger(t):
			p = 0
		case types.IsDecimal(t):
			if d, ok := t.(gms.DecimalType); ok {
				p = min(6, int(d.Scale()))
			}
		}
		return types.MustCreateDatetimeType(querypb.Type_DATETIME, p)
	}
	return newTyped("from_unixtime", []gms.Expression{e}, typeOf, func(ctx *gms.Context, t gms.Type, _ []gms.Expression, vals []any) (any, error) {
		n, err := toNumber(ctx, vals[0])
		if err != nil {
			return nil, err
		}
		d := toDecimal(n).Round(6)
		if d.Sign() < 0 || d.GreaterThanOrEqual(decimal.NewFromInt(unixtimeMost+1)) {
			return nil, nil
		}
		seconds, err := function.NewFromUnixtime(expression.NewLiteral(d.IntPart(), types.Int64)) // in the session's zone
		if err != nil {
			return nil, err
		}
		v, err := seconds.Eval(ctx, nil)
		at, ok := v.(time.Time)
		if err != nil || !ok {
			return nil, err
		}
		return at.Add(time.Duration(d.Sub(d.Truncate(0)).Shift(6).IntPart()) * time.Microsecond), nil
	})
}
