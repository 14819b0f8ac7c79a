package gmsx

import (
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/shopspring/decimal"
)

// commonType is the type of an expression that has the value of one of several:
// the least that holds the values of all.
func commonType(exprs []gms.Expression) gms.Type {
	ts := make([]gms.Type, len(exprs))
	for i, e := range exprs {
		ts[i] = e.Type()
		if l, ok := e.(*expression.Literal); ok && l.Value() == nil {
			ts[i] = types.Null
		}
	}
	return commonTypeOf(ts)
}

func commonTypeOf(ts []gms.Type) gms.Type {
	var common gms.Type = types.Null
	for _, t := range ts {
		if types.IsDeferredType(t) {
			return t
		}
		common = commonOfTwo(common, t)
	}
	return common
}

func commonOfTwo(a, b gms.Type) gms.Type {
	number := func(t gms.Type) bool {
		return types.IsInteger(t) || types.IsDecimal(t) || types.IsFloat(t) || types.IsYear(t) || types.IsBit(t)
	}
	switch {
	case a == types.Null || a.Equals(b):
		return b
	case b == types.Null:
		return a
	case number(a) && number(b):
		return commonNumber(a, b)
	case isTime(a) && isTime(b):
		if types.IsDateType(a) && types.IsDateType(b) {
			return types.Date
		}
		return types.MustCreateDatetimeType(querypb.Type_DATETIME, max(a.(gms.DatetimeType).Precision(), b.(gms.DatetimeType).Precision()))
	case types.IsTimespan(a) && types.IsTimespan(b):
		return types.Time
	case types.IsJSON(a) && types.IsJSON(b):
		return types.JSON
	case types.IsBinaryType(a) && !types.IsJSON(a) || types.IsBinaryType(b) && !types.IsJSON(b):
		return types.LongBlob
	case types.IsTextOnly(a) && types.IsTextOnly(b):
		if sa, ok := a.(gms.StringType); ok {
			if sb, ok := b.(gms.StringType); ok && sa.Collation() == sb.Collation() {
				if sa.MaxCharacterLength() >= sb.MaxCharacterLength() {
					return a
				}
				return b
			}
		}
	}
	return types.LongText
}

func commonNumber(a, b gms.Type) gms.Type {
	switch {
	case types.IsFloat(a) || types.IsFloat(b):
		return types.Float64
	case types.IsDecimal(numberType(a)) || types.IsDecimal(numberType(b)), types.IsUnsigned(a) != types.IsUnsigned(b) && (a == types.Uint64 || b == types.Uint64):
		p1, s1, ok1 := digitsOf(numberType(a))
		p2, s2, ok2 := digitsOf(numberType(b))
		if !ok1 || !ok2 {
			return types.Float64
		}
		scale := max(s1, s2)
		return decimalType(max(p1-s1, p2-s2)+scale, scale)
	case types.IsUnsigned(a) && types.IsUnsigned(b):
		return types.Uint64
	}
	return types.Int64
}

// asType is a value of type from as one of the common type t, NULL if it is
// none.
func asType(ctx *gms.Context, t, from gms.Type, v any) (any, error) {
	switch {
	case types.IsTextOnly(t):
		return toText(ctx, from, v)
	case types.IsNumber(t):
		n, err := toNumber(ctx, v)
		if err != nil {
			return nil, err
		}
		if d, ok := t.(gms.DecimalType); ok && d.Scale() < types.DecimalTypeMaxScale {
			return toDecimal(n).Add(decimal.New(0, -int32(d.Scale()))), nil // with all digits of the scale
		}
		return ofType(t, n), nil
	case isTime(t):
		at, ok := toTime(ctx, v)
		if !ok {
			return nil, nil
		}
		return at, nil
	}
	out, _, err := t.Convert(ctx, v)
	return out, err
}
