package gmsx

import (
	"math"
	"strconv"
	"unicode/utf8"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/shopspring/decimal"
)

// A RowWriter takes rows for a client, column by column, as the types of the
// schema have them. Its methods are the short ways of Value, for the types that
// they name.
type RowWriter struct {
	e    *encoder
	from int // of the values, where the rows begun last begin
}

// Begin begins n rows, of which every value must be written.
func (w *RowWriter) Begin(n int) {
	e, width := w.e, len(w.e.schema)
	if cap(e.values)-len(e.values) < n*width {
		// Rows already added keep the old array.
		e.values = make([]sqltypes.Value, 0, n*width)
	}
	w.from = len(e.values)
	e.values = e.values[:w.from+n*width]
	for i := range n {
		at := w.from + i*width
		e.rows = append(e.rows, e.values[at:at+width:at+width])
	}
}

// at is where the value of a row and a column goes.
func (w *RowWriter) at(row, col int) *sqltypes.Value {
	return &w.e.values[w.from+row*len(w.e.schema)+col]
}

// Null writes NULL.
func (w *RowWriter) Null(row, col int) { *w.at(row, col) = sqltypes.NULL }

// Value writes a value of the engine's.
func (w *RowWriter) Value(ctx *gms.Context, row, col int, v any) (err error) {
	*w.at(row, col), err = w.e.value(ctx, w.e.schema[col].Type, v)
	return err
}

// Int writes an integer.
func (w *RowWriter) Int(row, col int, t querypb.Type, v int64) {
	*w.at(row, col) = w.e.take(t, strconv.AppendInt(w.e.room(numberBytes), v, 10))
}

// Uint writes an unsigned integer.
func (w *RowWriter) Uint(row, col int, t querypb.Type, v uint64) {
	*w.at(row, col) = w.e.take(t, strconv.AppendUint(w.e.room(numberBytes), v, 10))
}

// Double writes a finite DOUBLE.
func (w *RowWriter) Double(row, col int, v float64) {
	*w.at(row, col) = w.e.take(querypb.Type_FLOAT64, appendDouble(w.e.room(numberBytes), v, 64))
}

// Decimal writes a DECIMAL in units of 10^-scale, with all its digits.
func (w *RowWriter) Decimal(row, col int, units int64, scale int) {
	*w.at(row, col) = w.e.take(querypb.Type_DECIMAL, appendUnits(w.e.room(numberBytes), units, scale))
}

// Time writes a DATE or a DATETIME of so many digits, in microseconds since the
// Unix epoch, and says whether it can.
func (w *RowWriter) Time(row, col int, t querypb.Type, micros int64, digits int) bool {
	b, ok := appendTime(w.e.room(numberBytes), micros, t == querypb.Type_DATE, digits)
	if ok {
		*w.at(row, col) = w.e.take(t, b)
	}
	return ok
}

// Text writes text in UTF-8, and says whether it can: the client may want
// another encoding.
func (w *RowWriter) Text(row, col int, t querypb.Type, v string) bool {
	if !w.e.utf8 || !utf8.ValidString(v) {
		return false
	}
	*w.at(row, col) = w.e.take(t, append(w.e.room(len(v)), v...))
	return true
}

// numberBytes is more than any number or time needs.
const numberBytes = 64

// room returns memory for so many bytes.
func (e *encoder) room(n int) []byte {
	if cap(e.chunk)-len(e.chunk) < n {
		size := chunkBytes
		if cap(e.chunk) == 0 && !e.reuse {
			size = 512 // most prepared statements return a row
		}
		e.chunk = make([]byte, 0, max(size, n))
	}
	return e.chunk[len(e.chunk):len(e.chunk)]
}

// take makes a value of what was written to room.
func (e *encoder) take(t querypb.Type, b []byte) sqltypes.Value {
	e.chunk = e.chunk[:len(e.chunk)+len(b)]
	e.bytes += len(b)
	return sqltypes.MakeTrusted(t, b[:len(b):len(b)])
}

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

// appendTime writes a date, or a time whose fraction, unless it is 0, has so
// many digits. It cannot write years other than 1 to 9999.
func appendTime(b []byte, micros int64, date bool, digits int) ([]byte, bool) {
	const day = 24 * 60 * 60 * 1e6
	days := micros / day
	micros %= day
	if micros < 0 {
		days, micros = days-1, micros+day
	}
	y, m, d := civil(days)
	if y < 1 || y > 9999 {
		return b, false
	}
	b = append(b, byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10), '-',
		byte('0'+m/10), byte('0'+m%10), '-', byte('0'+d/10), byte('0'+d%10))
	if date {
		return b, true
	}
	s, f := micros/1e6, micros%1e6
	b = append(b, ' ', byte('0'+s/36000), byte('0'+s/3600%10), ':', byte('0'+s/600%6), byte('0'+s/60%10), ':', byte('0'+s/10%6), byte('0'+s%10))
	if f == 0 {
		return b, true
	}
	b = append(b, '.', byte('0'+f/100000), byte('0'+f/10000%10), byte('0'+f/1000%10), byte('0'+f/100%10), byte('0'+f/10%10), byte('0'+f%10))
	if digits < 0 || digits > 6 || f%int64(math.Pow10(6-digits)) != 0 {
		return b, false
	}
	return b[:len(b)-6+digits], true
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
