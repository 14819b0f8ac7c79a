package gmsx

import (
	"math"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"
)

func roundType(args []gms.Expression) gms.Type {
	t := operationType("plus", args[:1])
	d, ok := t.(gms.DecimalType)
	if !ok {
		return t
	}
	whole, scale := int(d.Precision()-d.Scale()), 0
	if len(args) > 1 {
		scale = int(d.Scale())
		if l, ok := args[1].(*expression.Literal); ok {
			if neg, n, ok := integer(l.Value()); ok && !neg {
				scale = int(min(n, types.DecimalTypeMaxScale))
			} else if neg {
				scale = 0
			}
		} else if _, ok := args[1].(*expression.UnaryMinus); ok {
			scale = 0
		}
	}
	return decimalType(whole+1+scale, scale)
}

func rounder(double func(float64) float64, dec func(decimal.Decimal) decimal.Decimal) func(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error) {
	return func(ctx *gms.Context, t gms.Type, _ []gms.Expression, vals []any) (any, error) {
		n, err := toNumber(ctx, vals[0])
		if err != nil {
			return nil, err
		}
		switch n := n.(type) {
		case float64:
			return double(n), nil
		case decimal.Decimal:
			d := dec(n)
			if types.IsDecimal(t) {
				return d, nil
			}
			return ofType(t, d), nil
		}
		return ofType(t, n), nil
	}
}

// ofType is a number as a value of a numeric type, cut off at its bounds.
func ofType(t gms.Type, n any) any {
	switch {
	case types.IsFloat(t):
		f, _ := double(n)
		return f
	case types.IsDecimal(t):
		return toDecimal(n)
	}
	b := toBig(n)
	switch {
	case types.IsUnsigned(t) && b.IsUint64():
		return b.Uint64()
	case types.IsUnsigned(t) && b.Sign() < 0:
		return uint64(0)
	case types.IsUnsigned(t):
		return uint64(math.MaxUint64)
	case b.IsInt64():
		return b.Int64()
	case b.Sign() < 0:
		return int64(math.MinInt64)
	}
	return int64(math.MaxInt64)
}

// places is the second argument of ROUND and TRUNCATE.
func places(ctx *gms.Context, vals []any) (int32, error) {
	if len(vals) < 2 {
		return 0, nil
	}
	n, err := toNumber(ctx, vals[1])
	if err != nil {
		return 0, err
	}
	return int32(max(-80, min(30, toBig(n).Int64()))), nil
}

// numberAndPlaces are the arguments of ROUND and TRUNCATE.
func numberAndPlaces(ctx *gms.Context, vals []any) (n any, p int32, err error) {
	if p, err = places(ctx, vals); err == nil {
		n, err = toNumber(ctx, vals[0])
	}
	return n, p, err
}

func round(ctx *gms.Context, t gms.Type, _ []gms.Expression, vals []any) (any, error) {
	n, p, err := numberAndPlaces(ctx, vals)
	if err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case float64:
		return scaled(n, p, math.RoundToEven), nil
	case decimal.Decimal:
		d := n.Round(p)
		if dt, ok := t.(gms.DecimalType); ok && -d.Exponent() > int32(dt.Scale()) {
			d = d.Round(int32(dt.Scale()))
		}
		return d, nil
	}
	if p >= 0 {
		return ofType(t, n), nil
	}
	d := toDecimal(n).Round(p)
	if b := d.BigInt(); types.IsUnsigned(t) && !b.IsUint64() || !types.IsUnsigned(t) && !b.IsInt64() {
		return nil, Error(1690, "22003", "%s value is out of range in 'round(%s,%d)'", map[bool]string{true: "BIGINT UNSIGNED", false: "BIGINT"}[types.IsUnsigned(t)], toDecimal(n), p)
	}
	return ofType(t, d), nil
}

// scaled applies f to the number of 10^-p in x.
func scaled(x float64, p int32, f func(float64) float64) float64 {
	unit := math.Pow(10, math.Abs(float64(p)))
	switch {
	case p < 0 && math.IsInf(unit, 0):
		return 0
	case p < 0:
		return f(x/unit) * unit
	case math.IsInf(x*unit, 0):
		return x
	}
	return f(x*unit) / unit
}

func cutOff(ctx *gms.Context, t gms.Type, _ []gms.Expression, vals []any) (any, error) {
	n, p, err := numberAndPlaces(ctx, vals)
	if err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case float64:
		return scaled(n, p, math.Trunc), nil
	case decimal.Decimal:
		return cut(n, int64(p)), nil
	}
	if p >= 0 {
		return ofType(t, n), nil
	}
	return ofType(t, cut(toDecimal(n), int64(p))), nil
}

func absolute(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error) {
	n, err := toNumber(ctx, vals[0])
	if err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case float64:
		return math.Abs(n), nil
	case decimal.Decimal:
		return n.Abs(), nil
	case int64:
		if n == math.MinInt64 {
			return nil, Error(1690, "22003", "BIGINT value is out of range in 'abs(%s)'", args[0])
		}
		if n < 0 {
			n = -n
		}
		return ofType(t, n), nil
	}
	return n, nil
}

// formatNumber is FORMAT(x, decimals): rounded, with commas at the thousands.
func formatNumber(ctx *gms.Context, _ gms.Type, _ []gms.Expression, vals []any) (any, error) {
	n, err := toNumber(ctx, vals[0])
	if err != nil {
		return nil, err
	}
	p, err := places(ctx, vals)
	if err != nil {
		return nil, err
	}
	p = max(0, p)
	d := toDecimal(n)
	if f, ok := n.(float64); ok {
		d = toDecimal(scaled(f, p, math.RoundToEven))
	}
	whole, frac, _ := strings.Cut(d.StringFixed(p), ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	var b strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	if frac != "" {
		b.WriteString("." + frac)
	}
	return sign + b.String(), nil
}
