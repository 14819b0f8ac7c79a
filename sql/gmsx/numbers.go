package gmsx

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"
)

// toBits are the 64 bits of a number, rounded and cut off as MySQL does.
func toBits(v any) uint64 {
	_, n, ok := integer(v)
	if ok {
		return n
	}
	b := toDecimal(v).Round(0).BigInt()
	neg := b.Sign() < 0
	switch {
	case b.IsUint64():
		return b.Uint64()
	case b.IsInt64():
		return uint64(b.Int64())
	case neg:
		return 1 << 63
	}
	if _, f := v.(float64); f {
		return math.MaxInt64
	}
	return math.MaxUint64
}

func toBig(v any) *big.Int {
	neg, n, ok := integer(v)
	switch {
	case !ok:
		return toDecimal(v).Round(0).BigInt()
	case neg:
		return big.NewInt(int64(n))
	}
	return new(big.Int).SetUint64(n)
}

// toDecimal is a number as a decimal.
func toDecimal(v any) decimal.Decimal {
	switch v := v.(type) {
	case decimal.Decimal:
		return v
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return decimal.Zero
		}
		return decimal.NewFromFloat(v)
	}
	d, _ := exactDecimal(v)
	return d
}

// toNumber is a value as what numeric operators take it for: an int64, uint64,
// decimal or float64.
func toNumber(ctx *gms.Context, v any) (any, error) {
	switch v := v.(type) {
	case int64, uint64, float64, decimal.Decimal:
		return v, nil
	case float32:
		return float64(v), nil
	case []byte:
		return toNumber(ctx, string(v))
	case string:
		return textNumber(ctx, v), nil
	case time.Time:
		return timeNumber(v), nil
	case types.Timespan:
		us := v.AsMicroseconds()
		sign := int64(1)
		if us < 0 {
			sign, us = -1, -us
		}
		s := us / 1e6
		d := decimal.New(sign*((s/3600*100+s/60%60)*100+s%60), 0)
		if us%1e6 != 0 {
			return d.Add(decimal.New(sign*(us%1e6), -6)), nil
		}
		return d.IntPart(), nil
	case gms.JSONWrapper:
		val, err := v.ToInterface()
		if err != nil {
			return nil, err
		}
		switch val := val.(type) {
		case map[string]any, []any, nil:
			return float64(0), nil
		default:
			return toNumber(ctx, val)
		}
	case gms.AnyWrapper:
		val, err := v.UnwrapAny(ctx)
		if err != nil {
			return nil, err
		}
		return toNumber(ctx, val)
	}
	if neg, n, ok := integer(v); ok {
		if neg {
			return int64(n), nil
		}
		if n <= math.MaxInt64 {
			return int64(n), nil
		}
		return n, nil
	}
	f, err := convertFloat(ctx, v)
	return f, err
}

// timeNumber is a time as YYYYMMDDhhmmss with its fraction.
func timeNumber(t time.Time) any {
	n := int64(t.Year())*1e10 + int64(t.Month())*1e8 + int64(t.Day())*1e6 + int64(t.Hour())*1e4 + int64(t.Minute())*100 + int64(t.Second())
	if us := t.Nanosecond() / 1000; us != 0 {
		return decimal.New(n, 0).Add(decimal.New(int64(us), -6))
	}
	return n
}

// textNumber is the number at the beginning of a text, with a warning for what
// is behind it.
func textNumber(ctx *gms.Context, s string) float64 {
	m := leadingNumber.FindStringSubmatch(s)
	if m == nil {
		warnTruncated(ctx, "DOUBLE", s)
		return 0
	}
	if strings.TrimRight(s[len(m[0]):], " \t\n\v\f\r") != "" {
		warnTruncated(ctx, "DOUBLE", s)
	}
	f, _ := strconv.ParseFloat(m[1], 64)
	if math.IsInf(f, 0) {
		return math.Copysign(math.MaxFloat64, f)
	}
	return f
}

// Integer returns a value of one of the engine's types that are kept as an
// integer: those of numbers, BOOLEAN, and TIME in microseconds. A BIGINT UNSIGNED
// beyond 1<<63 is negative. ok is false for all others.
func Integer(x any) (n int64, ok bool) {
	switch x := x.(type) {
	case int64:
		return x, true
	case int32:
		return int64(x), true
	case int16:
		return int64(x), true
	case int8:
		return int64(x), true
	case int:
		return int64(x), true
	case uint64:
		return int64(x), true
	case uint32:
		return int64(x), true
	case uint16:
		return int64(x), true
	case uint8:
		return int64(x), true
	case uint:
		return int64(x), true
	case types.Timespan:
		return int64(x), true
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}
