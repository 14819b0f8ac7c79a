package gmsx

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// clientFunctions are functions of MySQL that the engine lacks, or has wrong,
// and that drivers and tools send.
func clientFunctions() []gms.Function {
	text := types.LongText
	return []gms.Function{
		strToDate,
		utcFunction("utc_timestamp", types.MustCreateDatetimeType(types.Datetime.Type(), 0), types.DatetimeMaxPrecision, func(t time.Time) any { return t }),
		utcFunction("utc_time", types.Time, types.Time, func(t time.Time) any {
			return types.Timespan(t.Sub(t.Truncate(24 * time.Hour)).Microseconds())
		}),
		scalar("current_role", text, 0, func(*gms.Context, []any) (any, error) { return "NONE", nil }),
		benchmark,
		scalar("maketime", types.Time, 3, makeTime),
		scalar("addtime", nil, 2, func(ctx *gms.Context, args []any) (any, error) { return addTime(ctx, args, 1) }),
		scalar("subtime", nil, 2, func(ctx *gms.Context, args []any) (any, error) { return addTime(ctx, args, -1) }),
		scalar("to_seconds", types.Int64, 1, toSeconds),
		scalar("oct", text, 1, func(ctx *gms.Context, args []any) (any, error) {
			n, err := toInt(ctx, args[0])
			return octal(uint64(n)), err
		}),
		variadic("make_set", text, 2, makeSet),
		variadic("export_set", text, 3, exportSet),
		scalar("uuid_short", types.Uint64, 0, func(*gms.Context, []any) (any, error) { return nextUUIDShort(), nil }),
	}
}

// variadic makes a function of least arguments and more.
func variadic(name string, typ gms.Type, least int, eval func(ctx *gms.Context, args []any) (any, error)) gms.Function {
	return gms.FunctionN{Name: name, Fn: func(args ...gms.Expression) (gms.Expression, error) {
		if len(args) < least {
			return nil, gms.ErrInvalidArgumentNumber.New(name, least, len(args))
		}
		return NewCall(name, typ, args, eval), nil
	}}
}

// utcFunction makes a function of the present time in UTC, with an optional
// number of digits behind the second.
func utcFunction(name string, whole, precise gms.Type, value func(time.Time) any) gms.Function {
	return gms.FunctionN{Name: name, Fn: func(args ...gms.Expression) (gms.Expression, error) {
		if len(args) > 1 {
			return nil, gms.ErrInvalidArgumentNumber.New(name, "0 or 1", len(args))
		}
		typ := whole
		if len(args) == 1 {
			// The parser writes a 0 where there is none.
			if lit, ok := args[0].(*expression.Literal); !ok || fmt.Sprint(lit.Value()) != "0" {
				typ = precise
			}
		}
		return NewCall(name, typ, args, func(ctx *gms.Context, args []any) (any, error) {
			digits := int64(0)
			if len(args) == 1 {
				var err error
				if digits, err = toInt(ctx, args[0]); err != nil {
					return nil, err
				}
				if digits < 0 || digits > 6 {
					return nil, Error(1426, "42000", "Too-big precision %d specified for '%s'. Maximum is 6.", digits, name)
				}
			}
			unit := time.Second
			for range digits {
				unit /= 10
			}
			return value(ctx.QueryTime().UTC().Truncate(unit)), nil
		}), nil
	}}
}

// benchmark evaluates nothing: what it takes here says nothing of what it
// takes elsewhere.
var benchmark = gms.FunctionN{Name: "benchmark", Fn: func(args ...gms.Expression) (gms.Expression, error) {
	if len(args) != 2 {
		return nil, gms.ErrInvalidArgumentNumber.New("benchmark", 2, len(args))
	}
	return NewCall("benchmark", types.Int32, args[:1], func(*gms.Context, []any) (any, error) { return int32(0), nil }), nil
}}

var uuidShort atomic.Uint64

// nextUUIDShort is another number each time, also after a restart.
func nextUUIDShort() uint64 {
	return uint64(started.Unix())<<24 + uuidShort.Add(1)
}

const timespanMost = (838*3600 + 59*60 + 59) * 1_000_000

func timespan(micros int64) types.Timespan {
	return types.Timespan(max(-timespanMost, min(timespanMost, micros)))
}

func makeTime(ctx *gms.Context, args []any) (any, error) {
	h, err := toInt(ctx, args[0])
	if err != nil {
		return nil, err
	}
	m, err := toInt(ctx, args[1])
	if err != nil {
		return nil, err
	}
	s, err := convertFloat(ctx, args[2])
	if err != nil || m < 0 || m > 59 || s < 0 || s >= 60 {
		return nil, err
	}
	h = max(-839, min(839, h))
	micros := m*60_000_000 + int64(s*1e6+0.5)
	if h < 0 {
		micros = -micros
	}
	return timespan(h*3_600_000_000 + micros), nil
}

// addTime adds a time to a time, or to a date and time: NULL where one is no
// such thing.
func addTime(ctx *gms.Context, args []any, sign int64) (any, error) {
	d, err := types.Time.ConvertToTimespan(args[1])
	if err != nil {
		return nil, nil //nolint:nilerr // NULL, as in MySQL
	}
	micros := sign * d.AsMicroseconds()
	switch v := args[0].(type) {
	case time.Time:
		return v.Add(time.Duration(micros) * time.Microsecond), nil
	case types.Timespan:
		return timespan(v.AsMicroseconds() + micros), nil
	case string:
		if strings.ContainsRune(strings.TrimPrefix(v, "-"), '-') {
			t, _, err := types.DatetimeMaxPrecision.Convert(ctx, v)
			at, ok := t.(time.Time)
			if err != nil || !ok {
				return nil, nil //nolint:nilerr // NULL, as in MySQL
			}
			return at.Add(time.Duration(micros) * time.Microsecond).Format("2006-01-02 15:04:05.999999"), nil
		}
	}
	t, err := types.Time.ConvertToTimespan(args[0])
	if err != nil {
		return nil, nil //nolint:nilerr // NULL, as in MySQL
	}
	sum := timespan(t.AsMicroseconds() + micros)
	if _, ok := args[0].(string); ok {
		return sum.String(), nil
	}
	return sum, nil
}

// toSeconds is the number of seconds since the year 0.
func toSeconds(ctx *gms.Context, args []any) (any, error) {
	v, _, err := types.DatetimeMaxPrecision.Convert(ctx, args[0])
	t, ok := v.(time.Time)
	if err != nil || !ok {
		return nil, nil //nolint:nilerr // NULL, as in MySQL
	}
	const epoch = 719_528 * 86_400 // seconds from year 0 to 1970
	return t.Unix() + epoch, nil
}

func octal(n uint64) string {
	var b [24]byte
	i := len(b)
	for {
		i--
		b[i] = '0' + byte(n&7)
		if n >>= 3; n == 0 {
			return string(b[i:])
		}
	}
}

func asText(ctx *gms.Context, v any) (string, error) {
	t, _, err := types.LongText.Convert(ctx, v)
	if err != nil {
		return "", err
	}
	s, _ := t.(string)
	return s, nil
}

func makeSet(ctx *gms.Context, args []any) (any, error) {
	bits, err := toInt(ctx, args[0])
	if err != nil {
		return nil, err
	}
	var set []string
	for i, a := range args[1:] {
		if i < 64 && uint64(bits)>>i&1 == 1 {
			t, err := asText(ctx, a)
			if err != nil {
				return nil, err
			}
			set = append(set, t)
		}
	}
	return strings.Join(set, ","), nil
}

func exportSet(ctx *gms.Context, args []any) (any, error) {
	bits, err := toInt(ctx, args[0])
	if err != nil {
		return nil, err
	}
	words := []string{"", "", ","}
	for i := range min(3, len(args)-1) {
		if words[i], err = asText(ctx, args[i+1]); err != nil {
			return nil, err
		}
	}
	count := int64(64)
	if len(args) > 4 {
		if count, err = toInt(ctx, args[4]); err != nil {
			return nil, err
		}
	}
	var set []string
	for i := range max(0, min(64, count)) {
		set = append(set, words[1-uint64(bits)>>i&1])
	}
	return strings.Join(set, words[2]), nil
}
