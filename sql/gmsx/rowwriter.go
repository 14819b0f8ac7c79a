package gmsx

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/shopspring/decimal"
)

// A RowWriter takes rows for a client: for each, Row, then the values of the
// columns of the schema in their order. Its methods are the short ways of Value
// for the types that they name.
//
// Text goes to the protocol underneath as it is. For a prepared statement that
// would parse the text again, so that values are made binary here: the bytes of
// columns side by side are one value, of a type that is copied as it is, and
// the columns behind the first of them are empty ones.
type RowWriter struct {
	e      *encoder
	values []sqltypes.Value // of the present row
	col    int              // that comes next

	binary bool
	first  int // column of the bytes that are not yet a value, or -1
	from   int // of the chunk: where they begin
}

func (e *encoder) writer() *RowWriter { return &RowWriter{e: e, binary: e.binary, first: -1} }

// asItIs is a type whose values the protocol copies.
const asItIs = querypb.Type_EXPRESSION

// Row begins a row; the one before must have all its values.
func (w *RowWriter) Row() {
	w.end()
	e, width := w.e, len(w.e.schema)
	from := len(e.values)
	if cap(e.values)-from < width {
		// Rows already added keep the old array.
		e.values, from = make([]sqltypes.Value, 0, max(width, min(4*cap(e.values), batchRows*width))), 0
	}
	e.values = e.values[:from+width]
	w.values, w.col = e.values[from:from+width:from+width], 0
	e.rows = append(e.rows, w.values)
}

// end makes a value of the bytes that are not yet one.
func (w *RowWriter) end() {
	if w.first >= 0 {
		b := w.e.chunk[w.from:len(w.e.chunk):len(w.e.chunk)]
		w.e.bytes += len(b)
		w.values[w.first] = sqltypes.MakeTrusted(asItIs, b)
		w.first = -1
	}
}

// room returns memory for so many bytes.
func (w *RowWriter) room(n int) []byte {
	if e := w.e; cap(e.chunk)-len(e.chunk) < n {
		w.end()
		size := chunkBytes
		if cap(e.chunk) == 0 && !e.reuse {
			size = 512 // most prepared statements return a row
		}
		e.chunk = make([]byte, 0, max(size, n))
	}
	return w.e.chunk[len(w.e.chunk):]
}

// take takes what was written to room for the next column.
func (w *RowWriter) take(t querypb.Type, b []byte) {
	e := w.e
	from := len(e.chunk)
	e.chunk = e.chunk[:from+len(b)]
	switch {
	case !w.binary:
		e.bytes += len(b)
		w.values[w.col] = sqltypes.MakeTrusted(t, b[:len(b):len(b)])
	case w.first < 0:
		w.first, w.from = w.col, from
	default:
		w.values[w.col] = empty
	}
	w.col++
}

var empty = sqltypes.MakeTrusted(asItIs, []byte{})

// Null writes NULL.
func (w *RowWriter) Null() {
	w.values[w.col] = sqltypes.NULL
	w.col++
}

// Value writes a value of the engine's.
func (w *RowWriter) Value(ctx *gms.Context, v any) (err error) {
	w.end()
	w.values[w.col], err = w.e.value(ctx, w.e.schema[w.col].Type, v)
	w.col++
	return err
}

// Int writes an integer of a type, unsigned ones as their bits.
func (w *RowWriter) Int(t querypb.Type, v int64) {
	b := w.room(numberBytes)
	switch {
	case !w.binary && sqltypes.IsUnsigned(t):
		b = strconv.AppendUint(b, uint64(v), 10)
	case !w.binary:
		b = strconv.AppendInt(b, v, 10)
	default:
		switch t {
		case querypb.Type_INT8, querypb.Type_UINT8:
			b = append(b, byte(v))
		case querypb.Type_INT16, querypb.Type_UINT16:
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		case querypb.Type_INT24, querypb.Type_UINT24, querypb.Type_INT32, querypb.Type_UINT32:
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		default:
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		}
	}
	w.take(t, b)
}

// Double writes a finite DOUBLE.
func (w *RowWriter) Double(v float64) {
	b := w.room(numberBytes)
	switch {
	case !w.binary:
		b = appendDouble(b, v, 64)
	case v == 0: // and -0, as in text
		b = binary.LittleEndian.AppendUint64(b, 0)
	default:
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	w.take(querypb.Type_FLOAT64, b)
}

// Decimal writes a DECIMAL in units of 10^-scale, scale <= 30, with all its digits.
func (w *RowWriter) Decimal(units int64, scale int) {
	b := w.room(numberBytes)
	if !w.binary {
		w.take(querypb.Type_DECIMAL, appendUnits(b, units, scale))
		return
	}
	text := appendUnits(b[1:1], units, scale)
	b = append(b, byte(len(text)))
	w.take(querypb.Type_DECIMAL, b[:1+len(text)])
}

// BigDecimal writes a DECIMAL of a scale, and says whether it can.
func (w *RowWriter) BigDecimal(d decimal.Decimal, scale int) bool {
	units, ok := unitsOf(d, int32(scale))
	if ok {
		w.Decimal(units, scale)
	}
	return ok
}

// Time writes a DATE or a DATETIME of so many digits, in microseconds since the
// Unix epoch, and says whether it can.
func (w *RowWriter) Time(t querypb.Type, micros int64, digits int) bool {
	c, ok := civilTime(micros)
	if !ok || digits < 0 || digits > 6 || c.micro%fractions[digits] != 0 {
		return false
	}
	b := w.room(numberBytes)
	if w.binary {
		b = c.binary(b, t == querypb.Type_DATE)
	} else {
		b = c.text(b, t == querypb.Type_DATE, digits)
	}
	w.take(t, b)
	return true
}

// Text writes text in UTF-8, and says whether it can: the client may want
// another encoding.
func (w *RowWriter) Text(t querypb.Type, v string) bool {
	if !w.e.utf8 || !utf8.ValidString(v) {
		return false
	}
	b := w.room(len(v) + lengthBytes)
	if w.binary {
		b = appendLength(b, len(v))
	}
	w.take(t, append(b, v...))
	return true
}

// lengthBytes is the most that the length of a text takes.
const lengthBytes = 9

// appendLength writes the length of a text in the protocol's way.
func appendLength(b []byte, n int) []byte {
	switch {
	case n < 251:
		return append(b, byte(n))
	case n < 1<<16:
		return append(b, 0xfc, byte(n), byte(n>>8))
	case n < 1<<24:
		return append(b, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	}
	return binary.LittleEndian.AppendUint64(append(b, 0xfe), uint64(n))
}

// numberBytes is more than any number or time needs.
const numberBytes = 64

// appendUnits writes an integer in units of 10^-scale, scale <= 30.
func appendUnits(b []byte, units int64, scale int) []byte {
	n := uint64(units)
	if units < 0 {
		b, n = append(b, '-'), -n
	}
	var tmp [numberBytes]byte
	at := len(tmp)
	for i := 0; n > 0 || i <= scale; i++ {
		if i == scale && scale > 0 {
			at--
			tmp[at] = '.'
		}
		at--
		tmp[at] = byte('0' + n%10)
		n /= 10
	}
	return append(b, tmp[at:]...)
}

// unitsOf returns a decimal as an integer in units of 10^-scale, where it is
// written with that scale and fits.
func unitsOf(d decimal.Decimal, scale int32) (int64, bool) {
	if d.Exponent() != -scale || scale > 30 || d.NumDigits() > 18 {
		return 0, false
	}
	return d.CoefficientInt64(), true
}

// A civilMoment is a moment by the calendar and the clock, in UTC.
type civilMoment struct{ year, month, day, hour, minute, second, micro int64 }

// civilTime is the moment so many microseconds after the Unix epoch; false for
// years other than 1 to 9999.
func civilTime(micros int64) (c civilMoment, ok bool) {
	const day = 24 * 60 * 60 * 1e6
	days := micros / day
	micros %= day
	if micros < 0 {
		days, micros = days-1, micros+day
	}
	c.year, c.month, c.day = civil(days)
	s := micros / 1e6
	c.hour, c.minute, c.second, c.micro = s/3600, s/60%60, s%60, micros%1e6
	return c, c.year >= 1 && c.year <= 9999
}

// fractions are the microseconds of the last of so many digits.
var fractions = [...]int64{1e6, 1e5, 1e4, 1e3, 1e2, 10, 1}

// text writes the date, or the time with a fraction of so many digits, unless
// that is 0.
func (c *civilMoment) text(b []byte, date bool, digits int) []byte {
	b = append(b, byte('0'+c.year/1000), byte('0'+c.year/100%10), byte('0'+c.year/10%10), byte('0'+c.year%10), '-',
		byte('0'+c.month/10), byte('0'+c.month%10), '-', byte('0'+c.day/10), byte('0'+c.day%10))
	if date {
		return b
	}
	b = append(b, ' ', byte('0'+c.hour/10), byte('0'+c.hour%10), ':', byte('0'+c.minute/10), byte('0'+c.minute%10), ':', byte('0'+c.second/10), byte('0'+c.second%10))
	if c.micro == 0 {
		return b
	}
	f := c.micro
	b = append(b, '.', byte('0'+f/100000), byte('0'+f/10000%10), byte('0'+f/1000%10), byte('0'+f/100%10), byte('0'+f/10%10), byte('0'+f%10))
	return b[:len(b)-6+digits]
}

// binary writes the date or the time as prepared statements return it.
func (c *civilMoment) binary(b []byte, date bool) []byte {
	switch {
	case date:
		return append(b, 4, byte(c.year), byte(c.year>>8), byte(c.month), byte(c.day))
	case c.micro == 0:
		return append(b, 7, byte(c.year), byte(c.year>>8), byte(c.month), byte(c.day), byte(c.hour), byte(c.minute), byte(c.second))
	}
	b = append(b, 11, byte(c.year), byte(c.year>>8), byte(c.month), byte(c.day), byte(c.hour), byte(c.minute), byte(c.second))
	return binary.LittleEndian.AppendUint32(b, uint32(c.micro))
}

// civil is the date so many days after 1970-01-01, in the Gregorian calendar.
// It counts from a 1 March, so that a leap day is the last of its year.
func civil(days int64) (year, month, day int64) {
	const (
		toMarch = 719468 // from 0000-03-01 to 1970-01-01
		century = 146097 // days of 400 years
	)
	days += toMarch
	era := days / century
	if days < 0 {
		era = (days - century + 1) / century
	}
	d := days - era*century
	y := (d - d/1460 + d/36524 - d/146096) / 365
	d -= 365*y + y/4 - y/100
	m := (5*d + 2) / 153
	day = d - (153*m+2)/5 + 1
	year, month = y+era*400, m+3
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, day
}
