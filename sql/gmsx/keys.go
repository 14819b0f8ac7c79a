package gmsx

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"
)

// The kinds of values in a key. Numbers of any integer type share one, so that
// equal numbers are equal keys.
const (
	keyNull = iota
	keyInt
	keyUint // above what a keyInt holds
	keyFloat
	keyDecimal
	keyTime
	keyString
	keyOther
)

// appendKey appends v to a key of which each part has its kind and its length:
// two keys are equal exactly if all their values are, by the rules of t.
//
// The engine groups by a hash of the values' text, without a look whether what
// has the same hash is the same: there NULL equals '<nil>', and so does
// whatever a client makes collide.
func appendKey(ctx *gms.Context, key []byte, t gms.Type, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(key, keyNull), nil
	case int64:
		return appendInt(key, v), nil
	case int32:
		return appendInt(key, int64(v)), nil
	case int16:
		return appendInt(key, int64(v)), nil
	case int8:
		return appendInt(key, int64(v)), nil
	case int:
		return appendInt(key, int64(v)), nil
	case uint64:
		if v > math.MaxInt64 {
			return binary.BigEndian.AppendUint64(append(key, keyUint), v), nil
		}
		return appendInt(key, int64(v)), nil
	case uint32:
		return appendInt(key, int64(v)), nil
	case uint16:
		return appendInt(key, int64(v)), nil
	case uint8:
		return appendInt(key, int64(v)), nil
	case bool:
		if v {
			return appendInt(key, 1), nil
		}
		return appendInt(key, 0), nil
	case types.Timespan:
		return appendInt(key, int64(v)), nil
	case float64:
		return appendFloat(key, v), nil
	case float32:
		return appendFloat(key, float64(v)), nil
	case decimal.Decimal:
		// A quotient has more decimals than its type, by which MySQL groups.
		if d, ok := t.(gms.DecimalType); ok && -v.Exponent() > int32(d.Scale()) && d.Scale() < types.DecimalTypeMaxScale {
			v = v.Round(int32(d.Scale()))
		}
		return appendDecimal(key, v), nil
	case time.Time:
		key = binary.BigEndian.AppendUint64(append(key, keyTime), uint64(v.Unix()))
		return binary.BigEndian.AppendUint32(key, uint32(v.Nanosecond())), nil
	case string:
		return appendString(key, t, v), nil
	case []byte:
		return appendBytes(append(key, keyString), v), nil
	}
	if _, ok := v.(gms.JSONWrapper); ok {
		// Documents are equal if their normal text is.
		if s, _, err := types.LongText.Convert(ctx, v); err == nil {
			if s, ok := s.(string); ok {
				return appendBytes(append(key, keyOther), []byte(s)), nil
			}
		}
	}
	if u, ok := v.(gms.AnyWrapper); ok {
		inner, err := u.UnwrapAny(ctx)
		if err != nil {
			return nil, err
		}
		return appendKey(ctx, key, t, inner)
	}
	return appendBytes(append(key, keyOther), fmt.Appendf(nil, "%T %v", v, v)), nil
}

func appendInt(key []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(append(key, keyInt), uint64(v))
}

func appendFloat(key []byte, f float64) []byte {
	if f == 0 {
		f = 0 // of -0 and 0, one
	}
	return binary.BigEndian.AppendUint64(append(key, keyFloat), math.Float64bits(f))
}

// appendDecimal writes a decimal without the zeros at its end: 1.50 is 1.5.
func appendDecimal(key []byte, d decimal.Decimal) []byte {
	exp := d.Exponent()
	s := d.Coefficient().Append(nil, 10)
	for len(s) > 1 && s[len(s)-1] == '0' {
		s, exp = s[:len(s)-1], exp+1
	}
	if len(s) == 1 && s[0] == '0' {
		exp = 0
	}
	key = binary.BigEndian.AppendUint32(append(key, keyDecimal), uint32(exp))
	return appendBytes(key, s)
}

func appendBytes(key, b []byte) []byte {
	return append(binary.AppendUvarint(key, uint64(len(b))), b...)
}

// appendString writes a string so that those which its collation holds equal
// are equal.
func appendString(key []byte, t gms.Type, s string) []byte {
	collation := gms.Collation_Default
	if ct, ok := t.(gms.TypeWithCollation); ok {
		collation = ct.Collation()
	}
	key = append(key, keyString)
	switch collation {
	case gms.Collation_Default, gms.Collation_binary, gms.Collation_utf8mb4_bin, gms.Collation_utf8mb3_bin, gms.Collation_Unspecified:
		return append(binary.AppendUvarint(key, uint64(len(s))), s...)
	}
	weight := collation.Sorter()
	runes := []rune(s)
	key = binary.AppendUvarint(key, uint64(len(runes)))
	for _, r := range runes {
		key = binary.BigEndian.AppendUint32(key, uint32(weight(r)))
	}
	return key
}

// growEvery is after how many new keys a query asks for memory.
const growEvery = 512

// mayGrow fails when there is no memory for the n-th key of a query.
func mayGrow(ctx *gms.Context, n int) error {
	if n%growEvery == growEvery-1 && !ctx.Memory.HasAvailable() {
		ctx.Memory.Free()
		if !ctx.Memory.HasAvailable() {
			return gms.ErrNoMemoryAvailable.New()
		}
	}
	return nil
}
