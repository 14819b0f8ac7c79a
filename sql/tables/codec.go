package tables

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
	"github.com/shopspring/decimal"

	"weir/sql/gmsx"
	"weir/views/column"
	"weir/views/partial"
)

// errDamaged says that the file does not hold what was written to it.
var errDamaged = errors.New("is damaged")

// A class is how values are stored.
type class byte

const (
	classInt class = iota + 1
	classUint
	classFloat
	classDecimal
	classTime // microseconds since 1970
	classText
	classBytes
	classJSON
)

// A kind is a type with how its values are stored.
type kind struct {
	typ   gms.Type
	class class
	scale int32
	make  func(int64) any // of classInt and classUint: the engine's own integer
	// weigh makes the bytes of a text that compare as its collation does; nil
	// where those of the text do.
	weigh func(string) string
}

// kindOf returns how values of a type are stored, or an error for one that
// cannot be.
func kindOf(t gms.Type) (kind, error) {
	k := kind{typ: t}
	switch t.Type() {
	case sqltypes.Int8:
		k.class, k.make = classInt, func(i int64) any { return int8(i) }
	case sqltypes.Int16, sqltypes.Year:
		k.class, k.make = classInt, func(i int64) any { return int16(i) }
	case sqltypes.Int24, sqltypes.Int32:
		k.class, k.make = classInt, func(i int64) any { return int32(i) }
	case sqltypes.Int64:
		k.class, k.make = classInt, func(i int64) any { return i }
	case sqltypes.Time:
		k.class, k.make = classInt, func(i int64) any { return types.Timespan(i) }
	case sqltypes.Uint8:
		k.class, k.make = classUint, func(i int64) any { return uint8(i) }
	case sqltypes.Uint16, sqltypes.Enum:
		k.class, k.make = classUint, func(i int64) any { return uint16(i) }
	case sqltypes.Uint24, sqltypes.Uint32:
		k.class, k.make = classUint, func(i int64) any { return uint32(i) }
	case sqltypes.Uint64, sqltypes.Bit, sqltypes.Set:
		k.class, k.make = classUint, func(i int64) any { return uint64(i) }
	case sqltypes.Float32, sqltypes.Float64:
		k.class = classFloat
	case sqltypes.Decimal:
		d, ok := t.(gms.DecimalType)
		if !ok {
			return k, fmt.Errorf("values of type %s cannot be kept", t)
		}
		k.class, k.scale = classDecimal, int32(d.Scale())
	case sqltypes.Datetime, sqltypes.Timestamp, sqltypes.Date:
		k.class = classTime
	case sqltypes.TypeJSON:
		k.class = classJSON
	case sqltypes.Blob, sqltypes.Binary, sqltypes.VarBinary:
		k.class = classBytes
	case sqltypes.Char, sqltypes.VarChar, sqltypes.Text:
		k.class = classText
		if c, ok := t.(gms.TypeWithCollation); ok {
			k.weigh = weigher(c.Collation())
		}
	default:
		return k, fmt.Errorf("values of type %s cannot be kept", t)
	}
	return k, nil
}

// weigher returns what makes weights of texts; nil where a collation compares
// by bytes.
func weigher(c gms.CollationID) func(string) string {
	switch c {
	case gms.Collation_Default, gms.Collation_binary, gms.Collation_utf8mb4_bin, gms.Collation_utf8mb3_bin, gms.Collation_Unspecified:
		return nil
	}
	weight := c.Sorter()
	return func(s string) string {
		out := make([]byte, 0, 4*len(s))
		for _, r := range s {
			out = binary.BigEndian.AppendUint32(out, uint32(weight(r))^1<<31)
		}
		return string(out)
	}
}

// unwrap returns a value that the engine keeps elsewhere.
func unwrap(ctx context.Context, x any) (any, error) {
	if w, ok := x.(gms.AnyWrapper); ok {
		return w.UnwrapAny(ctx)
	}
	return x, nil
}

// value returns the engine's value x of the kind, which is not NULL.
func (k *kind) value(ctx context.Context, x any) (v column.Value, err error) {
	if x, err = unwrap(ctx, x); err != nil {
		return v, err
	}
	ok := true
	switch k.class {
	case classInt:
		v.Kind = column.Int
		v.I, ok = gmsx.Integer(x)
	case classUint:
		v.Kind = column.Uint
		v.I, ok = gmsx.Integer(x)
	case classFloat:
		v.Kind = column.Float
		switch f := x.(type) {
		case float64:
			v.F = f
		case float32:
			v.F = float64(f)
		default:
			ok = false
		}
	case classDecimal:
		v.Kind = column.BigDec
		v.D, ok = x.(decimal.Decimal)
	case classTime:
		v.Kind = column.Time
		var at time.Time
		if at, ok = x.(time.Time); ok {
			v.I = at.UnixMicro()
		}
	case classText, classBytes:
		v.Kind = column.String
		switch s := x.(type) {
		case string:
			v.S = s
		case []byte:
			v.S = string(s)
		default:
			ok = false
		}
	case classJSON:
		v.Kind = column.String
		switch s := x.(type) {
		case gms.JSONWrapper:
			v.S, err = types.JsonToMySqlString(s)
		case string:
			v.S = s
		default:
			ok = false
		}
	}
	if err == nil && !ok {
		err = fmt.Errorf("a value of type %T is no %s", x, k.typ)
	}
	return v, err
}

// appendRow appends the stored form of a row.
func (d *Def) appendRow(ctx context.Context, b []byte, row gms.Row) ([]byte, error) {
	if len(row) != len(d.kinds) {
		return nil, fmt.Errorf("a row of %d values for the %d columns of %s", len(row), len(d.kinds), d.Name)
	}
	for i := range d.kinds {
		if row[i] == nil {
			b = append(b, 0)
			continue
		}
		k := &d.kinds[i]
		v, err := k.value(ctx, row[i])
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", d.Columns[i].Name, err)
		}
		b = append(b, 1)
		switch k.class {
		case classInt, classTime:
			b = binary.AppendVarint(b, v.I)
		case classUint:
			b = binary.AppendUvarint(b, uint64(v.I))
		case classFloat:
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(v.F))
		case classDecimal:
			n := v.D.Shift(k.scale).Round(0).BigInt()
			raw := n.Bytes()
			sign := uint64(0)
			if n.Sign() < 0 {
				sign = 1
			}
			b = append(binary.AppendUvarint(b, uint64(len(raw))<<1|sign), raw...)
		default:
			b = append(binary.AppendUvarint(b, uint64(len(v.S))), v.S...)
		}
	}
	return b, nil
}

// readRow returns the wanted columns of a stored row, all for nil. Texts are copied.
func (d *Def) readRow(ctx context.Context, b []byte, cols []int) (gms.Row, error) {
	n := len(d.kinds)
	if cols != nil {
		n = len(cols)
	}
	row := make(gms.Row, n)
	// The places that a column is wanted at: few, so they are looked for.
	for i := range d.kinds {
		k := &d.kinds[i]
		if len(b) == 0 {
			return nil, errDamaged
		}
		null := b[0] == 0
		b = b[1:]
		if null {
			continue
		}
		wanted := cols == nil
		for _, c := range cols {
			wanted = wanted || c == i
		}
		x, rest, err := k.read(ctx, b, wanted)
		if err != nil {
			return nil, err
		}
		b = rest
		if cols == nil {
			row[i] = x
			continue
		}
		for at, c := range cols {
			if c == i {
				row[at] = x
			}
		}
	}
	if len(b) > 0 {
		return nil, errDamaged
	}
	return row, nil
}

// read returns the value that b begins with, nil where it is not wanted, and
// the rest.
func (k *kind) read(ctx context.Context, b []byte, wanted bool) (any, []byte, error) {
	switch k.class {
	case classInt, classTime:
		i, n := binary.Varint(b)
		if n <= 0 {
			return nil, nil, errDamaged
		}
		if k.class == classTime {
			return time.UnixMicro(i).UTC(), b[n:], nil
		}
		return k.make(i), b[n:], nil
	case classUint:
		u, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, nil, errDamaged
		}
		return k.make(int64(u)), b[n:], nil
	case classFloat:
		if len(b) < 8 {
			return nil, nil, errDamaged
		}
		f := math.Float64frombits(binary.BigEndian.Uint64(b))
		if k.typ.Type() == sqltypes.Float32 {
			return float32(f), b[8:], nil
		}
		return f, b[8:], nil
	}
	u, n := binary.Uvarint(b)
	size := u
	if k.class == classDecimal {
		size = u >> 1
	}
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, errDamaged
	}
	raw, rest := b[n:n+int(size)], b[n+int(size):]
	if !wanted {
		return nil, rest, nil
	}
	switch k.class {
	case classDecimal:
		c := new(big.Int).SetBytes(raw)
		if u&1 == 1 {
			c.Neg(c)
		}
		return decimal.NewFromBigInt(c, -k.scale), rest, nil
	case classBytes:
		return append([]byte{}, raw...), rest, nil
	case classJSON:
		j, _, err := types.JSON.Convert(ctx, string(raw))
		if err != nil {
			return nil, nil, errDamaged
		}
		return j, rest, nil
	default:
		return string(raw), rest, nil
	}
}

// The tags of the parts of a key, as package partial has them.
const (
	tagNull  = 0
	tagValue = 1
)

// appendKey appends a value as a part of a key. Parts compare as bytes in the
// order of the values, NULL first. prefix is how many characters count; 0 is all.
func (k *kind) appendKey(ctx context.Context, key []byte, x any, prefix uint16) ([]byte, error) {
	if x == nil {
		return append(key, tagNull), nil
	}
	v, err := k.value(ctx, x)
	if err != nil {
		return nil, err
	}
	switch k.class {
	case classText, classBytes, classJSON:
	default:
		return partial.AppendKey(key, v), nil
	}
	s := v.S
	if prefix > 0 {
		s = k.cut(s, int(prefix))
	}
	if k.weigh != nil {
		s = k.weigh(s)
	}
	key = append(key, tagValue)
	// A zero byte is escaped and two end a text, so that it sorts before
	// every longer one that it begins.
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(append(key, s...), 0, 0), nil
		}
		key = append(append(key, s[:i]...), 0, 0xff)
		s = s[i+1:]
	}
}

// cut returns the first n characters.
func (k *kind) cut(s string, n int) string {
	if k.class == classBytes {
		return s[:min(n, len(s))]
	}
	at := 0
	for ; n > 0 && at < len(s); n-- {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return s[:at]
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const checkSize = 4

func checkOf(bucket uint64, key, record []byte) uint32 {
	return crc32.Update(crc32.Update(uint32(bucket), castagnoli, key), castagnoli, record)
}

// seal returns a record with its checksum.
func seal(bucket uint64, key, record []byte) []byte {
	return binary.LittleEndian.AppendUint32(record, checkOf(bucket, key, record))
}

// unseal returns the record, or errDamaged.
func unseal(bucket uint64, key, value []byte) ([]byte, error) {
	n := len(value) - checkSize
	if n < 0 || checkOf(bucket, key, value[:n]) != binary.LittleEndian.Uint32(value[n:]) {
		return nil, errDamaged
	}
	return value[:n:n], nil
}
