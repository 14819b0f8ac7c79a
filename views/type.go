package views

import (
	"fmt"

	"github.com/shopspring/decimal"
)

// A Kind is the physical form of a value in a [Vector], a group key or a
// partial state. Many SQL types share one.
type Kind uint8

// The kinds. Integers of every width, booleans and YEAR are Int; unsigned
// BIGINT alone is Uint.
const (
	Invalid Kind = iota
	Int          // int64
	Uint         // uint64, as its bit pattern in an int64
	Float        // float64
	Dec          // fixed-point decimal
	Time         // microseconds since the Unix epoch, UTC: DATETIME, TIMESTAMP, DATE
	String       // UTF-8 text
	Bytes        // raw bytes: BLOB, VARBINARY
	JSON         // JSON text
)

var kindNames = [...]string{"invalid", "int", "uint", "float", "decimal", "time", "string", "bytes", "json"}

func (k Kind) String() string { return kindNames[k] }

// A Type is a SQL type as this package needs to know it: the physical kind,
// and the name in SQL from which package sql makes the engine's own type.
type Type struct {
	Kind  Kind
	SQL   string // as SQL writes it, lower case: "varchar(45)", "decimal(18,4)"
	Scale uint8  // Dec: digits after the point

	// Min and Max bound an Int or Uint column (Max as a bit pattern); both
	// zero means the full range of the kind.
	Min int64
	Max uint64
	// Length bounds a String or Bytes column, in characters and bytes; 0 means no bound.
	Length int
	// Date marks a Time without a time of day.
	Date bool
}

func (t Type) String() string { return t.SQL }

// A Value is one value of any kind, or NULL when Kind is Invalid. Which field
// holds it follows from the kind: I for Int, Uint (bit pattern) and Time, F
// for Float, D for Dec, S for String, Bytes and JSON.
type Value struct {
	Kind Kind
	I    int64
	F    float64
	S    string
	D    decimal.Decimal
}

// Null is the NULL value.
var Null = Value{}

// IsNull reports whether v is NULL.
func (v Value) IsNull() bool { return v.Kind == Invalid }

func (v Value) String() string {
	switch v.Kind {
	case Invalid:
		return "NULL"
	case Int, Time:
		return fmt.Sprint(v.I)
	case Uint:
		return fmt.Sprint(uint64(v.I))
	case Float:
		return fmt.Sprint(v.F)
	case Dec:
		return v.D.String()
	default:
		return v.S
	}
}
