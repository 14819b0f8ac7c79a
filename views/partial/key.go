// Package partial holds partial states: what an aggregate remembers of the
// events it has seen, in a form that combines with the states of other events.
//
// A [Table] groups events by key and holds one state per group and aggregate.
// Keys and states have stored forms: keys sort as bytes in the order SQL sorts
// their values, states combine without being decoded into anything larger.
//
// Combining is associative and commutative, so a result does not depend on how
// the events were divided.
package partial

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"strings"

	"github.com/shopspring/decimal"

	"weir/views/column"
)

// errCorrupt is returned for stored bytes that cannot have been written here.
var errCorrupt = errors.New("partial: stored bytes are damaged")

const (
	tagNull  = 0x00 // NULL sorts before every value
	tagValue = 0x01

	// emptyKey is the key of the one group of a view without group key; the
	// store takes no empty keys.
	emptyKey = 0x02
)

// textMax bounds the bytes of one text in a key, and TextsMax the texts, since
// the store takes keys of at most 32 KiB. Escaping may double a text of zero
// bytes, which this leaves room for in five of them. Longer texts are cut and
// carry a digest of the whole, so that different ones stay different groups.
const (
	textMax  = 3000
	TextsMax = 10
)

// AppendKey appends the stored form of v to key. Appended values compare as
// bytes in the order of the values: NULL first, numbers by size, text by byte.
func AppendKey(key []byte, v column.Value) []byte {
	switch v.Kind {
	case column.Invalid:
		return append(key, tagNull)
	case column.Float:
		return appendFloatKey(key, v.F)
	case column.Uint:
		return binary.BigEndian.AppendUint64(append(key, tagValue), uint64(v.I))
	case column.BigDec:
		return appendDecimalKey(append(key, tagValue), v.D)
	case column.String, column.Bytes, column.JSON:
		return appendTextKey(append(key, tagValue), v.S, textMax)
	default:
		return binary.BigEndian.AppendUint64(append(key, tagValue), uint64(v.I)^1<<63)
	}
}

func appendFloatKey(key []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(key, tagValue), floatBits(f))
}

// floatBits returns bits that sort as the number; -0 and 0 have the same.
func floatBits(f float64) uint64 {
	bits := math.Float64bits(f)
	if f == 0 {
		bits = 0
	}
	if bits>>63 == 0 {
		return bits | 1<<63
	}
	return ^bits
}

// bitsFloat is the inverse of floatBits.
func bitsFloat(bits uint64) float64 {
	if bits>>63 == 1 {
		return math.Float64frombits(bits &^ (1 << 63))
	}
	return math.Float64frombits(^bits)
}

// appendTextKey escapes zero bytes and ends with two of them, so that a text
// sorts before every longer one that it begins.
func appendTextKey(key []byte, s string, limit int) []byte {
	if len(s) > limit {
		sum := sha256.Sum256([]byte(s))
		s = strings.ToValidUTF8(s[:limit-2*len(sum)], "") + hex.EncodeToString(sum[:])
	}
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			return append(append(key, s...), 0, 0)
		}
		key = append(append(key, s[:i]...), 0, 0xff)
		s = s[i+1:]
	}
}

// appendDecimalKey writes the sign, the exponent of the first digit, and the
// digits, all complemented for a negative number.
func appendDecimalKey(key []byte, d decimal.Decimal) []byte {
	sign := d.Sign()
	if sign == 0 {
		return append(key, 1)
	}
	text := new(big.Int).Abs(d.Coefficient()).String()
	exp := int32(len(text)) + d.Exponent()
	text = strings.TrimRight(text, "0")
	start := len(key) + 1
	key = append(key, byte(1+sign))
	key = binary.BigEndian.AppendUint32(key, uint32(exp)^1<<31)
	key = append(append(key, text...), 0)
	if sign < 0 {
		for i := start; i < len(key); i++ {
			key[i] = ^key[i]
		}
	}
	return key
}

// ReadKey returns the first value of a stored key, of the type it was appended
// with, and the rest of the key. Text that has no zero bytes is not copied.
func ReadKey(key []byte, t column.Type) (v column.Value, rest []byte, err error) {
	if len(key) == 0 {
		return v, nil, errCorrupt
	}
	tag, key := key[0], key[1:]
	if tag == tagNull {
		return column.Null, key, nil
	}
	v.Kind, v.Scale = t.Kind, t.Scale
	switch {
	case t.Kind.IsText():
		v.S, rest, err = readTextKey(key)
		return v, rest, err
	case t.Kind == column.BigDec:
		v.D, rest, err = readDecimalKey(key)
		return v, rest, err
	case len(key) < 8:
		return v, nil, errCorrupt
	}
	bits := binary.BigEndian.Uint64(key)
	switch t.Kind {
	case column.Float:
		v.F = bitsFloat(bits)
	case column.Uint:
		v.I = int64(bits)
	default:
		v.I = int64(bits ^ 1<<63)
	}
	return v, key[8:], nil
}

func readTextKey(key []byte) (string, []byte, error) {
	var escaped []byte
	for i := 0; i+1 < len(key); i++ {
		if key[i] != 0 {
			continue
		}
		if key[i+1] == 0 && escaped == nil {
			return string(key[:i]), key[i+2:], nil
		}
		if key[i+1] == 0 {
			return string(append(escaped, key[:i]...)), key[i+2:], nil
		}
		escaped = append(append(escaped, key[:i]...), 0)
		key, i = key[i+2:], -1
	}
	return "", nil, errCorrupt
}

func readDecimalKey(key []byte) (decimal.Decimal, []byte, error) {
	if len(key) == 0 {
		return decimal.Zero, nil, errCorrupt
	}
	sign, key := key[0], key[1:]
	if sign == 1 {
		return decimal.Zero, key, nil
	}
	flip := byte(0)
	if sign == 0 {
		flip = 0xff
	}
	if len(key) < 5 {
		return decimal.Zero, nil, errCorrupt
	}
	exp := int32((binary.BigEndian.Uint32(key) ^ (uint32(flip) * 0x01010101)) ^ 1<<31)
	var digits []byte
	for i, c := range key[4:] {
		if c ^= flip; c != 0 {
			digits = append(digits, c)
			continue
		}
		n, ok := new(big.Int).SetString(string(digits), 10)
		if !ok {
			return decimal.Zero, nil, errCorrupt
		}
		if !plausible(exp) {
			return decimal.Zero, nil, errCorrupt
		}
		if flip != 0 {
			n.Neg(n)
		}
		return decimal.NewFromBigInt(n, exp-int32(len(digits))), key[4+i+1:], nil
	}
	return decimal.Zero, nil, errCorrupt
}

// SkipKey returns what follows the first value of a stored key.
func SkipKey(key []byte, t column.Type) ([]byte, error) {
	if len(key) == 0 {
		return nil, errCorrupt
	}
	if key[0] == tagNull {
		return key[1:], nil
	}
	if t.Kind.IsText() {
		for i := 1; i+1 < len(key); i++ {
			if key[i] == 0 {
				if key[i+1] == 0 {
					return key[i+2:], nil
				}
				i++
			}
		}
		return nil, errCorrupt
	}
	if t.Kind == column.BigDec {
		_, rest, err := readDecimalKey(key[1:])
		return rest, err
	}
	if len(key) < 9 {
		return nil, errCorrupt
	}
	return key[9:], nil
}

// AfterNull returns the least key with the prefix whose next value is not NULL.
func AfterNull(prefix []byte) []byte { return append(prefix, tagValue) }

// PrefixEnd returns the least key greater than every key that begins with
// prefix, or nil when there is none.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// appendVectorKey appends row i of v to key; it is AppendKey without the Value.
func appendVectorKey(key []byte, v *column.Vector, i int, limit int) []byte {
	if v.IsNull(i) {
		return append(key, tagNull)
	}
	switch v.Kind {
	case column.Float:
		return appendFloatKey(key, v.F[i])
	case column.Uint:
		return binary.BigEndian.AppendUint64(append(key, tagValue), uint64(v.I[i]))
	case column.BigDec:
		return appendDecimalKey(append(key, tagValue), v.D[i])
	case column.String, column.Bytes, column.JSON:
		return appendTextKey(append(key, tagValue), v.S[i], limit)
	default:
		return binary.BigEndian.AppendUint64(append(key, tagValue), uint64(v.I[i])^1<<63)
	}
}
