// Package column holds batches of events as typed vectors, and evaluates
// expressions over whole vectors.
//
// A [Vector] is one column of a [Batch]; an [Expr] makes a Vector from the
// vectors of a batch. Expressions that have a kernel here run as tight loops;
// all others are supplied by package sql, which evaluates them row by row with
// the SQL engine's own code behind the same interface.
package column

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// A Kind is the physical form of a value in a [Vector], a group key or a
// partial state. Many SQL types share one.
type Kind uint8

// The kinds. Integers of every width, booleans and YEAR are Int; unsigned
// BIGINT alone is Uint. Kinds are part of the stored formats: append only.
const (
	Invalid Kind = iota
	Int          // int64
	Uint         // uint64, as its bit pattern in an int64
	Float        // float64
	Dec          // decimal of at most 18 digits, as an int64 in units of 10^-Scale
	BigDec       // any other decimal
	Time         // microseconds since the Unix epoch, UTC: DATETIME, TIMESTAMP, DATE
	String       // UTF-8 text
	Bytes        // raw bytes: BLOB, VARBINARY
	JSON         // JSON text
)

var kindNames = [...]string{"null", "int", "uint", "float", "decimal", "bigdecimal", "time", "string", "bytes", "json"}

func (k Kind) String() string { return kindNames[k] }

// IsText reports whether values of the kind are in Value.S.
func (k Kind) IsText() bool { return k == String || k == Bytes || k == JSON }

// dec64Digits is the largest precision that always fits an int64.
const dec64Digits = 18

// A Type is a SQL type as this package needs to know it: the physical kind,
// the bounds of a column, and the name from which package sql makes the
// engine's own type.
type Type struct {
	Kind  Kind
	SQL   string // as SQL writes it, lower case: "varchar(45)", "decimal(18,4)"
	Scale uint8  // Dec, BigDec: digits after the point
	// Digits bounds a Dec or BigDec: digits in all.
	Digits uint8
	// Min and Max bound an Int; both zero means the full range.
	Min, Max int64
	// Length bounds a String in characters or Bytes in bytes; 0 means no bound.
	Length int
	// Date marks a Time without a time of day.
	Date bool
}

func (t Type) String() string { return t.SQL }

// Decimal returns the type DECIMAL(digits, scale).
func Decimal(digits, scale int) Type {
	digits = min(digits, 65)
	t := Type{Kind: BigDec, SQL: fmt.Sprintf("decimal(%d,%d)", digits, scale), Scale: uint8(scale), Digits: uint8(digits)}
	if digits <= dec64Digits {
		t.Kind = Dec
	}
	return t
}

// The types that are not parameterised.
var (
	Bigint   = Type{Kind: Int, SQL: "bigint"}
	Unsigned = Type{Kind: Uint, SQL: "bigint unsigned"}
	Boolean  = Type{Kind: Int, SQL: "tinyint(1)", Min: -128, Max: 127}
	Double   = Type{Kind: Float, SQL: "double"}
	Datetime = Type{Kind: Time, SQL: "datetime(6)"}
	Text     = Type{Kind: String, SQL: "longtext"}
	Blob     = Type{Kind: Bytes, SQL: "longblob"}
)

// A Value is one value of any kind, or NULL when Kind is Invalid. Which field
// holds it follows from the kind: I for Int, Uint (bit pattern), Dec (with
// Scale) and Time, F for Float, D for BigDec, S for String, Bytes and JSON.
type Value struct {
	Kind  Kind
	Scale uint8
	I     int64
	F     float64
	S     string
	D     decimal.Decimal
}

// Null is the NULL value.
var Null = Value{}

// IsNull reports whether v is NULL.
func (v Value) IsNull() bool { return v.Kind == Invalid }

// Decimal returns a Dec, BigDec, Int or Uint as a decimal.
func (v Value) Decimal() decimal.Decimal {
	switch v.Kind {
	case BigDec:
		return v.D
	case Dec:
		return decimal.New(v.I, -int32(v.Scale))
	case Uint:
		return decimal.NewFromBigInt(new(big.Int).SetUint64(uint64(v.I)), 0)
	default:
		return decimal.New(v.I, 0)
	}
}

func (v Value) String() string {
	switch v.Kind {
	case Invalid:
		return "NULL"
	case Int, Time:
		return strconv.FormatInt(v.I, 10)
	case Uint:
		return strconv.FormatUint(uint64(v.I), 10)
	case Float:
		return strconv.FormatFloat(v.F, 'g', -1, 64)
	case Dec, BigDec:
		return v.Decimal().StringFixed(max(0, -v.Decimal().Exponent()))
	default:
		return v.S
	}
}

// Clone returns v with text of its own, so that it outlives its batch.
func (v Value) Clone() Value {
	if v.Kind.IsText() {
		v.S = strings.Clone(v.S)
	}
	return v
}
