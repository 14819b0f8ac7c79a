package sql

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
	"github.com/dolthub/vitess/go/vt/sqlparser"
	"github.com/shopspring/decimal"

	"weir/sql/gmsx"
	"weir/views/column"
)

// typeCache has the engine's type for the SQL of a column.Type.
var typeCache sync.Map

// engineType returns the engine's type for a type of ours.
func engineType(t column.Type) (gms.Type, error) {
	if c, ok := typeCache.Load(t.SQL); ok {
		return c.(gms.Type), nil
	}
	stmt, err := sqlparser.Parse("CREATE TABLE t (c " + t.SQL + ")")
	if err != nil {
		return nil, fmt.Errorf("type %s: %w", t.SQL, err)
	}
	cols := stmt.(*sqlparser.DDL).TableSpec.Columns
	et, err := types.ColumnTypeToType(&cols[0].Type)
	if err != nil {
		return nil, fmt.Errorf("type %s: %w", t.SQL, err)
	}
	// The engine leaves it to the table to say the collation; text without one
	// is LIKE nothing.
	if c, ok := et.(gms.TypeWithCollation); ok && c.Collation() == gms.Collation_Unspecified {
		if et, err = c.WithNewCollation(gms.Collation_Default); err != nil {
			return nil, fmt.Errorf("type %s: %w", t.SQL, err)
		}
	}
	typeCache.Store(t.SQL, et)
	return et, nil
}

// mustEngineType is engineType for types that were checked when they came in.
func mustEngineType(t column.Type) gms.Type {
	et, err := engineType(t)
	if err != nil {
		panic(err)
	}
	return et
}

// parseType returns our type for the SQL of a column.
func parseType(sql string) (column.Type, error) {
	et, err := engineType(column.Type{SQL: sql})
	if err != nil {
		return column.Type{}, err
	}
	t, err := columnType(et)
	t.SQL = sql
	return t, err
}

// columnType returns our type for the engine's.
func columnType(t gms.Type) (column.Type, error) {
	c := column.Type{SQL: sqlOf(t)}
	switch b := t.Type(); {
	case types.IsDecimal(t):
		d := t.(gms.DecimalType)
		out := column.Decimal(int(d.Precision()), int(d.Scale()))
		return out, nil
	case b == sqltypes.Uint64 || types.IsBit(t):
		c.Kind = column.Uint
	case types.IsInteger(t) || types.IsYear(t):
		c.Kind = column.Int
		c.Min, c.Max = intBounds(t)
	case types.IsFloat(t):
		c.Kind = column.Float
	case types.IsTimespan(t):
		c.Kind, c.SQL = column.Int, "time(6)"
	case types.IsDateType(t):
		c.Kind, c.Date = column.Time, true
	case types.IsTime(t):
		c.Kind, c.SQL = column.Time, strings.Replace(c.SQL, "timestamp", "datetime", 1)
	case types.IsJSON(t):
		c.Kind = column.JSON
	case types.IsTextBlob(t) && types.IsBinaryType(t) || types.IsBinaryType(t):
		c.Kind = column.Bytes
		c.Length = textLength(t)
	case types.IsText(t) || types.IsEnum(t) || types.IsSet(t):
		c.Kind = column.String
		c.Length = textLength(t)
	case t == types.Null:
		c.Kind, c.SQL = column.String, "longtext"
	default:
		return c, fmt.Errorf("values of type %s cannot be kept; convert them with CAST", t)
	}
	return c, nil
}

// sqlOf is a type in SQL, without the collation, which is the same everywhere.
func sqlOf(t gms.Type) string {
	s := strings.ToLower(t.String())
	s, _, _ = strings.Cut(s, " collate")
	s, _, _ = strings.Cut(s, " character set")
	return s
}

func textLength(t gms.Type) int {
	if s, ok := t.(gms.StringType); ok && s.MaxCharacterLength() < math.MaxUint16/4+1 {
		return int(s.MaxCharacterLength())
	}
	return 0
}

func intBounds(t gms.Type) (lo, hi int64) {
	switch t.Type() {
	case sqltypes.Int8:
		return math.MinInt8, math.MaxInt8
	case sqltypes.Uint8:
		return 0, math.MaxUint8
	case sqltypes.Int16:
		return math.MinInt16, math.MaxInt16
	case sqltypes.Uint16:
		return 0, math.MaxUint16
	case sqltypes.Int24:
		return -1 << 23, 1<<23 - 1
	case sqltypes.Uint24:
		return 0, 1<<24 - 1
	case sqltypes.Int32:
		return math.MinInt32, math.MaxInt32
	case sqltypes.Uint32:
		return 0, math.MaxUint32
	default:
		return 0, 0
	}
}

// A valueMaker makes the engine's values of one type from ours.
type valueMaker func(column.Value) any

// newValueMaker returns what makes values of the engine's type t.
func newValueMaker(t gms.Type) valueMaker {
	switch t.Type() {
	case sqltypes.Int8:
		return func(v column.Value) any { return int8(v.I) }
	case sqltypes.Uint8:
		return func(v column.Value) any { return uint8(v.I) }
	case sqltypes.Int16, sqltypes.Year:
		return func(v column.Value) any { return int16(v.I) }
	case sqltypes.Uint16:
		return func(v column.Value) any { return uint16(v.I) }
	case sqltypes.Int24, sqltypes.Int32:
		return func(v column.Value) any { return int32(v.I) }
	case sqltypes.Uint24, sqltypes.Uint32:
		return func(v column.Value) any { return uint32(v.I) }
	case sqltypes.Int64:
		return func(v column.Value) any { return v.I }
	case sqltypes.Uint64, sqltypes.Bit:
		return func(v column.Value) any { return uint64(v.I) }
	case sqltypes.Float32:
		return func(v column.Value) any { return float32(v.F) }
	case sqltypes.Float64:
		return func(v column.Value) any { return v.F }
	case sqltypes.Decimal:
		return func(v column.Value) any { return v.Decimal() }
	case sqltypes.Datetime, sqltypes.Timestamp, sqltypes.Date:
		return func(v column.Value) any { return time.UnixMicro(v.I).UTC() }
	case sqltypes.Time:
		return func(v column.Value) any { return types.Timespan(v.I) }
	case sqltypes.TypeJSON:
		return func(v column.Value) any {
			j, _, err := types.JSON.Convert(context.Background(), v.S)
			if err != nil {
				return nil
			}
			return j
		}
	case sqltypes.Blob, sqltypes.Binary, sqltypes.VarBinary:
		return func(v column.Value) any { return []byte(v.S) }
	default:
		return func(v column.Value) any { return v.S }
	}
}

// make returns v for the engine; nil for NULL.
func (m valueMaker) make(v column.Value) any {
	if v.IsNull() {
		return nil
	}
	return m(v)
}

// fromEngine returns the engine's value x, of its type et, as one of type t;
// NULL where it has no place there.
func fromEngine(ctx *gms.Context, x any, et gms.Type, t column.Type) column.Value {
	if x == nil {
		return column.Null
	}
	if w, ok := x.(gms.AnyWrapper); ok {
		u, err := w.UnwrapAny(ctx)
		if err != nil {
			return column.Null
		}
		x = u
	}
	if v, ok := plainValue(x, t); ok {
		return v
	}
	c, inRange, err := et.Convert(ctx, x)
	if err != nil || c == nil || inRange == gms.OutOfRange {
		return column.Null
	}
	return toValue(c, t)
}

// plainValue returns x as a value of type t where it needs no conversion, which
// is most of what joins look up.
func plainValue(x any, t column.Type) (column.Value, bool) {
	switch x := x.(type) {
	case int64:
		return column.Value{Kind: column.Int, I: x}, t.Kind == column.Int && t.SQL == column.Bigint.SQL
	case string:
		return column.Value{Kind: column.String, S: x}, t.Kind == column.String && t.Length > 0 && len(x) <= t.Length && strings.HasPrefix(t.SQL, "varchar(")
	case time.Time:
		micros := x.UnixMicro()
		return column.Value{Kind: column.Time, I: micros}, t.Kind == column.Time && t.SQL == column.Datetime.SQL &&
			x.Nanosecond()%1000 == 0 && micros >= 0 && x.Location() == time.UTC
	}
	return column.Value{}, false
}

func toValue(x any, t column.Type) column.Value {
	v := column.Value{Kind: t.Kind, Scale: t.Scale}
	ok := true
	switch t.Kind {
	case column.Int, column.Uint:
		v.I, ok = gmsx.Integer(x)
	case column.Float:
		switch f := x.(type) {
		case float64:
			v.F = f
		case float32:
			v.F = float64(f)
		default:
			ok = false
		}
		ok = ok && !math.IsNaN(v.F) && !math.IsInf(v.F, 0)
	case column.Dec, column.BigDec:
		d, isDecimal := x.(decimal.Decimal)
		if ok = isDecimal; ok && t.Kind == column.Dec {
			v.I = d.Shift(int32(t.Scale)).Round(0).IntPart()
		} else {
			v.D = d
		}
	case column.Time:
		at, isTime := x.(time.Time)
		if ok = isTime; ok {
			v.I = at.UnixMicro()
		}
	default:
		v.S, ok = toText(x)
	}
	if !ok {
		return column.Null
	}
	return v
}

func toText(x any) (string, bool) {
	switch s := x.(type) {
	case string:
		return s, true
	case []byte:
		return string(s), true
	case gms.JSONWrapper:
		text, err := types.JsonToMySqlString(s)
		return text, err == nil
	default:
		return "", false
	}
}
