package gmsx

import (
	"math"
	"math/big"
	"math/bits"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/shopspring/decimal"
)

// SUM and AVG of integers and decimals are exact and DECIMAL, as in MySQL; the
// engine adds everything up in a DOUBLE. The types are MySQL's too: a sum has
// 22 digits more than its argument, an average 4 decimals more.

func sumSpec(args []gms.Expression) (AggregateSpec, error) {
	if len(args) != 1 {
		return AggregateSpec{}, gms.ErrInvalidArgumentNumber.New("sum", 1, len(args))
	}
	digits, scale, exact := digitsOf(args[0].Type())
	if !exact {
		return AggregateSpec{Type: types.Float64, Nullable: true, New: func(args []gms.Expression) (gms.AggregationBuffer, error) {
			return &floatSum{arg: args[0]}, nil
		}}, nil
	}
	return AggregateSpec{Type: decimalType(digits+22, scale), Nullable: true, New: func(args []gms.Expression) (gms.AggregationBuffer, error) {
		return &exactSum{arg: args[0]}, nil
	}}, nil
}

func avgSpec(args []gms.Expression) (AggregateSpec, error) {
	if len(args) != 1 {
		return AggregateSpec{}, gms.ErrInvalidArgumentNumber.New("avg", 1, len(args))
	}
	digits, scale, exact := digitsOf(args[0].Type())
	if !exact {
		return AggregateSpec{Type: types.Float64, Nullable: true, New: func(args []gms.Expression) (gms.AggregationBuffer, error) {
			return &floatSum{arg: args[0], average: true}, nil
		}}, nil
	}
	t := decimalType(digits+4, scale+4)
	return AggregateSpec{Type: t, Nullable: true, New: func(args []gms.Expression) (gms.AggregationBuffer, error) {
		return &exactSum{arg: args[0], average: true, scale: int32(t.Scale())}, nil
	}}, nil
}

// digitsOf is how many digits a number of type t has, and how many of them
// are decimals; exact is false for what is added up as DOUBLE.
func digitsOf(t gms.Type) (digits, scale int, exact bool) {
	if d, ok := t.(gms.DecimalType); ok {
		return int(d.Precision()), int(d.Scale()), true
	}
	switch t {
	case types.Int8, types.Uint8, types.Boolean:
		return 3, 0, true
	case types.Int16, types.Uint16:
		return 5, 0, true
	case types.Int24:
		return 7, 0, true
	case types.Uint24:
		return 8, 0, true
	case types.Int32, types.Uint32:
		return 10, 0, true
	case types.Uint64:
		return 20, 0, true
	}
	if types.IsInteger(t) {
		return 19, 0, true
	}
	return 0, 0, false
}

func decimalType(digits, scale int) gms.DecimalType {
	scale = min(scale, types.DecimalTypeMaxScale)
	return types.MustCreateDecimalType(uint8(min(digits, types.DecimalTypeMaxPrecision)), uint8(scale))
}

// A sum adds up integers and decimals exactly. The state stays in two words
// while it can; integers beyond 128 bits would take 2^64 rows.
type exactSum struct {
	arg     gms.Expression
	average bool
	scale   int32

	n       int64
	hi, lo  uint64          // of the integers, in two's complement
	dec     decimal.Decimal // of the decimals
	decimal bool
}

func (s *exactSum) Update(ctx *gms.Context, row gms.Row) error {
	v, err := s.arg.Eval(ctx, row)
	if err != nil || v == nil {
		return err
	}
	s.n++
	switch v := v.(type) {
	case int64:
		s.addInt(v)
	case int32:
		s.addInt(int64(v))
	case int16:
		s.addInt(int64(v))
	case int8:
		s.addInt(int64(v))
	case int:
		s.addInt(int64(v))
	case uint64:
		s.addUint(v)
	case uint32:
		s.addUint(uint64(v))
	case uint16:
		s.addUint(uint64(v))
	case uint8:
		s.addUint(uint64(v))
	case uint:
		s.addUint(uint64(v))
	case bool:
		if v {
			s.addUint(1)
		}
	case decimal.Decimal:
		s.dec, s.decimal = s.dec.Add(v), true
	default:
		// Expressions are not always of the type that they announce.
		d, _, err := types.InternalDecimalType.Convert(ctx, v)
		// What does not convert, like a string that is no number, adds nothing.
		if d, ok := d.(decimal.Decimal); ok && err == nil {
			s.dec, s.decimal = s.dec.Add(d), true
		}
	}
	return nil
}

func (s *exactSum) addInt(v int64) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, uint64(v), 0)
	s.hi += uint64(v>>63) + carry
}

func (s *exactSum) addUint(v uint64) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, v, 0)
	s.hi += carry
}

func (s *exactSum) Eval(*gms.Context) (any, error) {
	if s.n == 0 {
		return nil, nil
	}
	sum := s.integers()
	if s.decimal {
		sum = sum.Add(s.dec)
	}
	if s.average {
		return sum.DivRound(decimal.NewFromInt(s.n), s.scale), nil
	}
	return sum, nil
}

func (s *exactSum) integers() decimal.Decimal {
	if hi := int64(s.hi); hi == 0 && s.lo <= math.MaxInt64 || hi == -1 && s.lo > math.MaxInt64 {
		return decimal.NewFromInt(int64(s.lo))
	}
	b := new(big.Int).SetInt64(int64(s.hi))
	b.Lsh(b, 64)
	return decimal.NewFromBigInt(b.Add(b, new(big.Int).SetUint64(s.lo)), 0)
}

func (s *exactSum) Dispose() {}

// A floatSum adds up doubles, and what MySQL adds up as doubles.
type floatSum struct {
	arg     gms.Expression
	average bool
	n       int64
	sum     float64
}

func (s *floatSum) Update(ctx *gms.Context, row gms.Row) error {
	v, err := s.arg.Eval(ctx, row)
	if err != nil || v == nil {
		return err
	}
	f, ok := v.(float64)
	if !ok {
		if d, err := convertFloat(ctx, v); err == nil {
			f = d
		} // else it is like a string that is no number: adds nothing
	}
	s.n++
	s.sum += f
	return nil
}

func convertFloat(ctx *gms.Context, v any) (float64, error) {
	f, _, err := types.Float64.Convert(ctx, v)
	if err != nil {
		return 0, err
	}
	d, _ := f.(float64)
	return d, nil
}

func (s *floatSum) Eval(*gms.Context) (any, error) {
	switch {
	case s.n == 0:
		return nil, nil
	case s.average:
		return s.sum / float64(s.n), nil
	}
	return s.sum, nil
}

func (s *floatSum) Dispose() {}
