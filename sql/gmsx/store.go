package gmsx

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"
	"github.com/shopspring/decimal"
)

// A storing puts the values of one statement into columns as MySQL does: what a
// column does not hold is an error that names the column and the row, or, with
// IGNORE, in LOAD DATA and without strict mode, a warning beside the nearest
// value that it does hold. The engine's own conversion knows neither column nor
// row, and cuts values of UPDATE without a word.
type storing struct {
	table   string
	lenient bool
	ignore  bool // the statement says IGNORE, or is LOAD DATA
	load    bool
	noZero  bool // a date is not 0000-00-00
	many    bool // the statement is about more rows than one, or is UPDATE
	row     int  // of the statement, from 1
}

func newStoring(ctx *gms.Context, table string, ignore, load bool) *storing {
	mode := gms.LoadSqlMode(ctx)
	strict := mode.ModeEnabled("STRICT_TRANS_TABLES") || mode.ModeEnabled("STRICT_ALL_TABLES") || mode.ModeEnabled("TRADITIONAL")
	return &storing{table: table, ignore: ignore || load, load: load, lenient: ignore || load || !strict, noZero: mode.ModeEnabled("NO_ZERO_DATE")}
}

// problem is an error, or nil with a warning.
func (st *storing) problem(ctx *gms.Context, code int, state, message string, args ...any) error {
	message += " at row %d"
	args = append(args, st.row)
	if st.lenient {
		warn(ctx, code, message, args...)
		return nil
	}
	return Error(code, state, message, args...)
}

func (st *storing) outOfRange(ctx *gms.Context, c *gms.Column) error {
	return st.problem(ctx, 1264, "22003", "Out of range value for column '%s'", c.Name)
}

func (st *storing) truncated(ctx *gms.Context, c *gms.Column) error {
	return st.problem(ctx, 1265, "01000", "Data truncated for column '%s'", c.Name)
}

func (st *storing) incorrect(ctx *gms.Context, kind string, v any, c *gms.Column) error {
	return st.problem(ctx, 1366, "HY000", "Incorrect %s value: '%s' for column '%s'", kind, shownValue(v), c.Name)
}

func (st *storing) noteTruncated(ctx *gms.Context, c *gms.Column) {
	note(ctx, 1265, "Data truncated for column '%s' at row %d", c.Name, st.row)
}

// shownValue is a value as messages show it.
func shownValue(v any) string {
	if s, ok := textOf(v); ok {
		return shown(s)
	}
	if t, ok := v.(time.Time); ok {
		return t.Format("2006-01-02 15:04:05")
	}
	return shown(fmt.Sprint(v))
}

// null is what becomes of NULL in a column: an error is the engine's to give,
// which knows whether the statement named the column. Without strict mode, NULL
// is one all the same in an INSERT of a single row.
func (st *storing) null(ctx *gms.Context, c *gms.Column, named bool) any {
	if c.Nullable || c.AutoIncrement || !st.ignore && !(st.lenient && (st.many || !named)) {
		return nil
	}
	switch {
	case st.load:
		warn(ctx, 1263, "Column set to default value; NULL supplied to NOT NULL column '%s' at row %d", c.Name, st.row)
	case named:
		warn(ctx, 1048, "Column '%s' cannot be null", c.Name)
	default:
		warn(ctx, 1364, "Field '%s' doesn't have a default value", c.Name)
	}
	return implicitDefault(c.Type)
}

// implicitDefault is what a column that cannot be NULL has without a default.
func implicitDefault(t gms.Type) any {
	if types.IsEnum(t) {
		return uint16(1)
	}
	return t.Zero()
}

// A source says where a value comes from, which the value itself does not.
type source struct {
	typ     gms.Type // nil if it is not known
	literal bool     // it stands in the statement as X'41' or b'11'
	rounded int      // the decimals of a DOUBLE that ROUND has made, -1 for others
}

// temporal is a date or a time that goes to a column of numbers or texts: there
// it is the number that its digits make, or these. Nothing but the type of where
// it comes from tells a date from its midnight.
func temporal(ctx *gms.Context, c *gms.Column, from source, v any) (any, error) {
	whole := types.IsInteger(c.Type) // the fraction of a second rounds before its digits are a number
	switch x := v.(type) {
	case time.Time:
		date := from.typ != nil && types.IsDateType(from.typ)
		switch {
		case types.IsNumber(c.Type) && date:
			return int64(x.Year())*10000 + int64(x.Month())*100 + int64(x.Day()), nil
		case types.IsNumber(c.Type) && whole:
			return toNumber(ctx, x.Round(time.Second))
		case types.IsNumber(c.Type):
			return toNumber(ctx, x)
		case types.IsText(c.Type) && date:
			return x.Format(time.DateOnly), nil
		}
	case types.Timespan:
		switch {
		case types.IsNumber(c.Type) && whole:
			return toNumber(ctx, wholeSeconds(x))
		case types.IsNumber(c.Type):
			return toNumber(ctx, x)
		case types.IsText(c.Type):
			return x.String(), nil
		}
	}
	return v, nil
}

// wholeSeconds rounds a span, half a second away from 0.
func wholeSeconds(x types.Timespan) types.Timespan {
	const second = types.Timespan(1000000)
	half := second / 2
	if x < 0 {
		half = -half
	}
	return (x + half) / second * second
}

// clock is a value as a date or time of column c: a note where it loses its
// other half, and an error or a warning where it is none. ok is false for values
// that the type converts itself.
func (st *storing) clock(ctx *gms.Context, c *gms.Column, v any) (out any, ok bool, err error) {
	text, isText := textOf(v)
	if types.IsTimespan(c.Type) {
		var span types.Timespan
		var date bool
		var bad flaw
		switch x := v.(type) {
		case types.Timespan:
			span = x
		case time.Time:
			span, date = clockOf(x), true
		default:
			if isText {
				span, date, bad = readSpan(text)
				break
			}
			n, err := toNumber(ctx, v)
			if err != nil {
				return nil, true, err
			}
			if f, is := n.(float64); is && math.Abs(f) > 1e15 {
				n = math.Copysign(1e15, f)
			}
			span, date, bad = numberSpan(toDecimal(n))
		}
		span = wholeSeconds(span) // a TIME of weir has no more
		switch {
		case bad != flawless:
			return span, true, st.time(ctx, c, v, bad)
		case date:
			st.noteTruncated(ctx, c)
		}
		return span, true, nil
	}
	var t time.Time
	var bad flaw
	switch {
	case isText:
		if t, bad = readTime(text); bad != flawless {
			if converted, inRange, err := c.Type.Convert(ctx, v); err == nil && bool(inRange) && bad != zeroTime {
				return converted, true, nil
			}
		}
	default:
		switch v.(type) {
		case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64, decimal.Decimal, bool:
			n, err := toNumber(ctx, v)
			if err != nil {
				return nil, true, err
			}
			if f, is := n.(float64); is && math.Abs(f) > 1e15 {
				n = math.Copysign(1e15, f)
			}
			t, bad = numberTime(toDecimal(n))
		default:
			return nil, false, nil
		}
	}
	switch {
	case bad == zeroTime && st.noZero:
		return c.Type.Zero(), true, st.time(ctx, c, v, noCalendar)
	case bad == zeroTime:
		return c.Type.Zero(), true, nil
	case bad != flawless:
		if err := st.time(ctx, c, v, bad); err != nil || bad != cutTime {
			return c.Type.Zero(), true, err
		}
	}
	if types.IsDateType(c.Type) && t.Hour()+t.Minute()+t.Second()+t.Nanosecond() != 0 {
		st.noteTruncated(ctx, c)
		t = t.Truncate(24 * time.Hour)
	}
	out, inRange, err := c.Type.Convert(ctx, t)
	if err != nil || !bool(inRange) {
		return c.Type.Zero(), true, st.time(ctx, c, v, noCalendar)
	}
	return out, true, nil
}

// store is a value as column c has it; v is not NULL.
func (st *storing) store(ctx *gms.Context, c *gms.Column, from source, v any) (any, error) {
	if types.IsTimespan(c.Type) || types.IsDateType(c.Type) || types.IsDatetimeType(c.Type) || types.IsTimestampType(c.Type) {
		if out, ok, err := st.clock(ctx, c, v); ok {
			if err != nil {
				return nil, err
			}
			return out, nil
		}
	}
	v, err := temporal(ctx, c, from, v)
	if err != nil {
		return nil, err
	}
	if j, ok := v.(gms.JSONWrapper); ok && types.IsNumber(c.Type) {
		if v, err = st.scalar(ctx, c, j); err != nil {
			return nil, err
		}
	}
	text, isText := textOf(v)
	if b, ok := v.([]byte); ok && from.literal && types.IsNumber(c.Type) && len(b) <= 8 {
		n := uint64(0)
		for _, x := range b {
			n = n<<8 | uint64(x)
		}
		v, isText = n, false
	}
	switch t := c.Type.(type) {
	case gms.NumberType:
		if types.IsFloat(t) {
			return st.float(ctx, c, v, text, isText)
		}
		return st.integer(ctx, c, v, text, isText)
	case gms.DecimalType:
		return st.decimal(ctx, c, t, v, text, isText)
	}
	if t, ok := c.Type.(gms.StringType); ok && types.IsText(c.Type) {
		if v, err = numberText(ctx, t, from, v); err != nil {
			return nil, err
		}
		text, isText = textOf(v)
	}
	out, inRange, err := c.Type.Convert(ctx, v)
	if err == nil && c.Type.Type() == querypb.Type_CHAR { // a CHAR has no blanks at its end
		if s, ok := out.(string); ok {
			out = strings.TrimRight(s, " ")
		}
	}
	if err == nil && bool(inRange) && !(st.noZero && out == c.Type.Zero() && types.IsTime(c.Type)) {
		if types.IsDateType(c.Type) && hasTime(v, text, isText) {
			st.noteTruncated(ctx, c)
		}
		return out, nil
	}
	zero := c.Type.Zero()
	switch t := c.Type; {
	case types.IsText(t):
		return st.text(ctx, c, t.(gms.StringType), v, err) //nolint:forcetypeassert // the texts are of this type
	case types.IsEnum(t):
		return zero, st.truncated(ctx, c)
	case types.IsSet(t):
		return st.members(ctx, t, text), st.truncated(ctx, c)
	case types.IsYear(t):
		if isText && leadingNumber.FindString(text) == "" {
			return zero, st.incorrect(ctx, "integer", v, c)
		}
		return zero, st.outOfRange(ctx, c)
	case types.IsBit(t):
		most := uint64(math.MaxUint64)
		if b, ok := t.(types.BitType); ok {
			most >>= 64 - b.NumberOfBits()
		}
		if st.lenient {
			return most, st.outOfRange(ctx, c)
		}
		return most, st.problem(ctx, 1406, "22001", "Data too long for column '%s'", c.Name)
	case types.IsDatetimeType(t), types.IsDateType(t), types.IsTimestampType(t), types.IsTimespan(t):
		return zero, st.time(ctx, c, v, noCalendar)
	case types.IsJSON(t):
		reason := "Invalid value."
		if err != nil {
			reason = strings.TrimPrefix(reword(err.Error()), "Invalid JSON text: ")
		}
		return nil, Error(3140, "22032", `Invalid JSON text: "%s" in value for column '%s.%s'.`, reason, st.table, c.Name)
	}
	if err == nil {
		err = st.outOfRange(ctx, c)
	}
	return out, err
}

// scalar is the number or text that a JSON value is, which goes to a column of
// numbers. Arrays, objects and null are none.
func (st *storing) scalar(ctx *gms.Context, c *gms.Column, j gms.JSONWrapper) (any, error) {
	v, err := j.ToInterface()
	if err != nil {
		return nil, err
	}
	switch v.(type) {
	case nil, []any, map[string]any:
		kind := "INTEGER"
		if types.IsFloat(c.Type) {
			kind = "DOUBLE"
		} else if types.IsDecimal(c.Type) {
			kind = "DECIMAL"
		}
		return int64(0), st.problem(ctx, 3156, "22018", "Invalid JSON value for CAST to %s from column %s", kind, c.Name)
	}
	return v, nil
}

// hasTime says whether a value that became a date had a time of day.
func hasTime(v any, text string, isText bool) bool {
	if t, ok := v.(time.Time); ok {
		return t.Hour()+t.Minute()+t.Second()+t.Nanosecond() != 0
	}
	return isText && timeOfDay.MatchString(text)
}

var timeOfDay = regexp.MustCompile(`[ T].*[1-9]`)

// time says what is wrong with a value of a column of times.
func (st *storing) time(ctx *gms.Context, c *gms.Column, v any, bad flaw) error {
	kind := "datetime"
	switch {
	case types.IsDateType(c.Type):
		kind = "date"
	case types.IsTimespan(c.Type):
		kind = "time"
	}
	switch {
	case !st.lenient:
		return Error(1292, "22007", "Incorrect %s value: '%s' for column '%s' at row %d", kind, shownValue(v), c.Name, st.row)
	case bad == noCalendar:
		return st.outOfRange(ctx, c)
	}
	return st.truncated(ctx, c)
}

// members are those of a text that a SET has.
func (st *storing) members(ctx *gms.Context, t gms.Type, text string) any {
	var known []string
	for m := range strings.SplitSeq(text, ",") {
		if _, _, err := t.Convert(ctx, m); err == nil && m != "" {
			known = append(known, m)
		}
	}
	v, _, err := t.Convert(ctx, strings.Join(known, ","))
	if err != nil {
		return t.Zero()
	}
	return v
}

// numberText is a number as the text that a column of type t has of it: decimals
// with the digits of their type, and doubles with as many digits as fit.
func numberText(ctx *gms.Context, t gms.StringType, from source, v any) (any, error) {
	switch x := v.(type) {
	case decimal.Decimal:
		if from.typ != nil {
			return toText(ctx, from.typ, x)
		}
	case float64:
		if from.rounded >= 0 {
			return fixedDouble(x, from.rounded), nil
		}
		return doubleWithin(x, t.MaxCharacterLength()), nil
	}
	return v, nil
}

// fixedDouble is f with so many decimals.
func fixedDouble(f float64, decimals int) string {
	s := strconv.FormatFloat(f, 'f', decimals, 64)
	if decimal.RequireFromString(s).IsZero() {
		return strings.TrimPrefix(s, "-")
	}
	return s
}

// doubleWithin is f as a text, rounded so that it is no longer than most if
// that can be.
func doubleWithin(f float64, most int64) string {
	s := string(appendDouble(nil, f, 64))
	if int64(len(s)) <= most {
		return s
	}
	if math.Abs(f) < 1e15 {
		for decimals := 15; decimals >= 0; decimals-- {
			short := fixedDouble(f, decimals)
			if decimals > 0 {
				short = strings.TrimRight(strings.TrimRight(short, "0"), ".")
			}
			if int64(len(short)) <= most {
				return short
			}
		}
	}
	for decimals := 15; decimals >= 0; decimals-- {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', decimals, 64), "e")
		n, _ := strconv.Atoi(exponent)
		if strings.Contains(mantissa, ".") {
			mantissa = strings.TrimRight(strings.TrimRight(mantissa, "0"), ".")
		}
		if s = mantissa + "e" + strconv.Itoa(n); int64(len(s)) <= most {
			break
		}
	}
	return s
}

// text cuts a text that is too long, and one whose bytes are no characters.
func (st *storing) text(ctx *gms.Context, c *gms.Column, t gms.StringType, v any, err error) (any, error) {
	s, ok := textOf(v)
	if !ok {
		if s, ok = "", types.ErrLengthBeyondLimit.Is(err); !ok {
			return nil, err
		}
		s = shownValue(v)
	}
	binary := types.IsBinaryType(t)
	if !binary && !utf8.ValidString(s) {
		good := len(strings.ToValidUTF8(s, "\x00"))
		for i, r := range s {
			if _, size := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
				good = i
				break
			}
		}
		bad := strings.Builder{}
		for i := good; i < min(len(s), good+6); i++ {
			fmt.Fprintf(&bad, `\x%02X`, s[i])
		}
		if e := st.problem(ctx, 1366, "HY000", "Incorrect string value: '%s' for column '%s'", bad.String(), c.Name); e != nil {
			return nil, e
		}
		s = s[:good]
	}
	cut := cutText(s, t, binary)
	if len(cut) < len(s) {
		switch blank := strings.Trim(s[len(cut):], " ") == "" && !binary; {
		case blank && t.Type() == querypb.Type_CHAR: // it has no blanks at its end
		case blank:
			st.noteTruncated(ctx, c)
		case st.lenient:
			if e := st.truncated(ctx, c); e != nil {
				return nil, e
			}
		default:
			return nil, st.problem(ctx, 1406, "22001", "Data too long for column '%s'", c.Name)
		}
	}
	out, _, err := t.Convert(ctx, cut)
	return out, err
}

// cutText is as much of s as a column of type t holds.
func cutText(s string, t gms.StringType, binary bool) string {
	if binary || types.IsTextBlob(t) {
		if most := t.MaxByteLength(); int64(len(s)) > most {
			s = s[:most]
		}
		if !binary {
			s = strings.ToValidUTF8(s, "") // it may have lost the end of a character
		}
		return s
	}
	n := int64(0)
	for i := range s {
		if n == t.MaxCharacterLength() {
			return s[:i]
		}
		n++
	}
	return s
}

// A bad number is what text holds beside one.
const (
	wholeNumber = iota
	cutNumber   // there is something behind it
	noNumber
)

// numberIn is the number that a text begins with.
func numberIn(s string) (number string, bad int) {
	m := leadingNumber.FindStringSubmatch(s)
	switch {
	case m == nil:
		return "0", noNumber
	case strings.TrimRight(s[len(m[0]):], " \t\n\v\f\r") != "":
		return m[1], cutNumber
	}
	return m[1], wholeNumber
}

// exponentMax bounds the numbers that are calculated exactly: beyond it they
// are out of the range of every exact type.
const exponentMax = 400

// exactIn is a number as a decimal; beyond says that it has the sign of d, and
// is greater than any column holds.
func exactIn(number string) (d decimal.Decimal, beyond bool) {
	f, _ := strconv.ParseFloat(number, 64)
	switch {
	case math.Abs(f) > 1e100:
		return decimal.NewFromInt(int64(math.Copysign(1, f))), true
	case math.Abs(f) < 1e-100:
		return decimal.Zero, false
	}
	d, err := decimal.NewFromString(number)
	if err != nil || d.Exponent() < -exponentMax*10 {
		d = decimal.NewFromFloat(f)
	}
	return d, false
}

// exact is the exact number of a value, and what is wrong with its text.
func exact(ctx *gms.Context, v any, text string, isText bool) (d decimal.Decimal, beyond bool, bad int, err error) {
	if isText {
		number, bad := numberIn(text)
		d, beyond = exactIn(number)
		return d, beyond, bad, nil
	}
	n, err := toNumber(ctx, v)
	if err != nil {
		return d, false, 0, err
	}
	if f, ok := n.(float64); ok {
		if math.IsInf(f, 0) || math.Abs(f) > 1e100 {
			return decimal.NewFromInt(int64(math.Copysign(1, f))), true, 0, nil
		}
	}
	return toDecimal(n), false, 0, nil
}

// integerBounds are the least and the greatest number of a type.
func integerBounds(t gms.Type) (least, most *big.Int) {
	bits := map[querypb.Type]uint{
		querypb.Type_INT8: 8, querypb.Type_UINT8: 8, querypb.Type_INT16: 16, querypb.Type_UINT16: 16, querypb.Type_INT24: 24, querypb.Type_UINT24: 24,
		querypb.Type_INT32: 32, querypb.Type_UINT32: 32,
	}[t.Type()]
	if bits == 0 {
		bits = 64
	}
	one := big.NewInt(1)
	if types.IsUnsigned(t) {
		most = new(big.Int).Lsh(one, bits)
		return new(big.Int), most.Sub(most, one)
	}
	most = new(big.Int).Lsh(one, bits-1)
	least = new(big.Int).Neg(most)
	return least, most.Sub(most, one)
}

func (st *storing) integer(ctx *gms.Context, c *gms.Column, v any, text string, isText bool) (any, error) {
	if !isText {
		switch v.(type) {
		case int8, int16, int32, int64, int, uint8, uint16, uint32, bool:
			if out, inRange, err := c.Type.Convert(ctx, v); err == nil && bool(inRange) && !types.IsUnsigned(c.Type) {
				return out, nil
			}
		}
		if b, ok := v.(bool); ok {
			v = int64(0)
			if b {
				v = int64(1)
			}
		}
	}
	d, beyond, bad, err := exact(ctx, v, text, isText)
	if err != nil {
		return nil, err
	}
	var n *big.Int
	if f, ok := v.(float64); ok && !beyond {
		n = decimal.NewFromFloat(math.RoundToEven(f)).BigInt()
	} else {
		n = d.Round(0).BigInt()
	}
	least, most := integerBounds(c.Type)
	_, exactly := v.(decimal.Decimal) // of which -0.4 is below 0, though it rounds to it
	switch low, high := n.Cmp(least) < 0 || exactly && least.Sign() == 0 && d.Sign() < 0, n.Cmp(most) > 0; {
	case low || beyond && d.Sign() < 0:
		n, err = least, st.outOfRange(ctx, c)
	case high || beyond:
		n, err = most, st.outOfRange(ctx, c)
	case bad == noNumber:
		err = st.incorrect(ctx, "integer", v, c)
	case bad == cutNumber:
		err = st.truncated(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	var whole any = n.Int64()
	if !n.IsInt64() {
		whole = n.Uint64()
	}
	out, _, err := c.Type.Convert(ctx, whole)
	return out, err
}

func (st *storing) float(ctx *gms.Context, c *gms.Column, v any, text string, isText bool) (any, error) {
	var f float64
	var err error
	bad := wholeNumber
	if isText {
		var number string
		number, bad = numberIn(text)
		f, _ = strconv.ParseFloat(number, 64)
	} else if f, err = convertFloat(ctx, v); err != nil {
		return nil, err
	}
	most := math.MaxFloat64
	if c.Type.Type() == querypb.Type_FLOAT32 {
		most = math.MaxFloat32
	}
	unsigned := types.IsUnsigned(c.Type)
	switch {
	case unsigned && f < 0:
		f, err = 0, st.outOfRange(ctx, c)
	case math.Abs(f) > most || math.IsNaN(f):
		f, err = math.Copysign(most, f), st.outOfRange(ctx, c)
	case bad != wholeNumber:
		err = st.truncated(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	out, _, err := c.Type.Convert(ctx, f)
	return out, err
}

func (st *storing) decimal(ctx *gms.Context, c *gms.Column, t gms.DecimalType, v any, text string, isText bool) (any, error) {
	d, beyond, bad, err := exact(ctx, v, text, isText)
	if err != nil {
		return nil, err
	}
	scale := int32(t.Scale())
	rounded := d.Round(scale)
	limit := decimal.New(1, int32(t.Precision())-scale)
	_, float := v.(float64)
	switch {
	case beyond || rounded.Abs().GreaterThanOrEqual(limit):
		rounded = limit.Sub(decimal.New(1, -scale)).Mul(decimal.NewFromInt(int64(d.Sign())))
		err = st.outOfRange(ctx, c)
	case bad == noNumber:
		err = st.incorrect(ctx, "decimal", v, c)
	case bad == cutNumber:
		err = st.truncated(ctx, c)
	case !float && !rounded.Equal(d):
		st.noteTruncated(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	out, _, err := t.Convert(ctx, rounded)
	return out, err
}

// storeInserted gives the rows of an INSERT the types of the columns that they
// go to, before the engine does; nil if that is done already.
func storeInserted(ctx *gms.Context, n *plan.InsertInto) *plan.InsertInto {
	if _, done := n.Source.(*storedSource); done {
		return nil
	}
	_, load := loadOf(n.Source)
	st := newStoring(ctx, tableName(n.Destination), n.Ignore && !load, load)
	v, values := valuesOf(n.Source)
	st.many = !values || len(v.ExpressionTuples) > 1
	cp := *n
	cp.Source = &storedSource{UnaryNode: plan.UnaryNode{Child: n.Source}, st: st, schema: n.Destination.Schema(), unnamed: &n.DeferredDefaults}
	cp.OnDupExprs, _ = st.assignments(n.OnDupExprs, n.Destination.Schema(), true)
	return &cp
}

// sourceOf is where the value of e comes from.
func sourceOf(e gms.Expression) source {
	s := source{typ: e.Type(), rounded: -1}
	switch e := e.(type) {
	case *expression.Literal:
		_, s.literal = e.Value().([]byte)
	case *typedCall:
		s.rounded = roundedTo(e)
	}
	return s
}

// roundedTo is how many decimals a DOUBLE has that ROUND or one like it has
// made, as MySQL writes it; -1 for others.
func roundedTo(e gms.Expression) int {
	call, ok := e.(*typedCall)
	if !ok || !types.IsFloat(call.typ) {
		return -1
	}
	switch call.name {
	case "floor", "ceil", "ceiling":
		return 0
	case "round", "truncate":
		if len(call.args) < 2 {
			return 0
		}
		if _, ok := call.args[1].(*expression.UnaryMinus); ok {
			return 0
		}
		if l, ok := call.args[1].(*expression.Literal); ok {
			if neg, n, ok := integer(l.Value()); ok && neg {
				return 0
			} else if ok && n < types.DecimalTypeMaxScale {
				return int(n)
			}
		}
	}
	return -1
}

func valuesOf(n gms.Node) (v *plan.Values, ok bool) {
	transform.Inspect(n, func(n gms.Node) bool {
		if found, is := n.(*plan.Values); is {
			v, ok = found, true
		}
		return !ok
	})
	return v, ok
}

func loadOf(n gms.Node) (load *plan.LoadData, ok bool) {
	transform.Inspect(n, func(n gms.Node) bool {
		if l, is := n.(*plan.LoadData); is {
			load, ok = l, true
		}
		return !ok
	})
	return load, ok
}

func tableName(n gms.Node) (name string) {
	transform.Inspect(n, func(n gms.Node) bool {
		if t, ok := n.(*plan.ResolvedTable); ok && name == "" {
			name = t.Name()
		}
		return name == ""
	})
	return name
}

// storeUpdated does the same for what UPDATE assigns; nil if nothing is to be
// done, or all is done.
func storeUpdated(ctx *gms.Context, n *plan.Update) (*plan.Update, error) {
	done, changed := false, false
	child, _, err := transform.NodeWithOpaque(n.Child, func(c gms.Node) (gms.Node, transform.TreeIdentity, error) {
		src, ok := c.(*plan.UpdateSource)
		if !ok || done {
			return c, transform.SameTree, nil
		}
		for _, e := range src.UpdateExprs {
			if s, ok := e.(*expression.SetField); ok {
				if _, done = s.RightChild.(*storedValue); done {
					return c, transform.SameTree, nil
				}
			}
		}
		schema, err := src.GetChildSchema()
		if err != nil {
			return nil, transform.SameTree, err
		}
		st := newStoring(ctx, tableName(src.Child), n.Ignore, false)
		cp := *src
		st.many = true
		cp.UpdateExprs, changed = st.assignments(src.UpdateExprs, schema, false)
		return &cp, transform.NewTree, nil
	})
	if err != nil || done || !changed {
		return nil, err
	}
	cp := *n
	cp.Child = child
	return &cp, nil
}

// assignments are SET expressions that store. Each evaluation of them all is of
// another row, unless they are those of ON DUPLICATE KEY UPDATE.
func (st *storing) assignments(exprs []gms.Expression, schema gms.Schema, duplicate bool) (out []gms.Expression, changed bool) {
	out = make([]gms.Expression, len(exprs))
	counts := !duplicate
	for i, e := range exprs {
		out[i] = e
		set, ok := e.(*expression.SetField)
		if !ok {
			continue
		}
		to, ok := set.LeftChild.(*expression.GetField)
		if !ok || to.Index() < 0 || to.Index() >= len(schema) || !strings.EqualFold(schema[to.Index()].Name, to.Name()) {
			continue
		}
		switch set.RightChild.(type) {
		case *gms.ColumnDefaultValue, *expression.Wrapper:
			continue // the engine knows defaults by their type
		}
		value := &storedValue{UnaryExpression: expression.UnaryExpression{Child: set.RightChild}, st: st, column: schema[to.Index()], counts: counts, duplicate: duplicate, from: sourceOf(set.RightChild)}
		counts = false
		out[i], changed = expression.NewSetField(set.LeftChild, value), true
	}
	return out, changed
}

// divided returns the error of a division by zero that came since the session
// had so many of them: strict mode is taken to have ERROR_FOR_DIVISION_BY_ZERO,
// as in MySQL by default.
func (st *storing) divided(ctx *gms.Context, before int) error {
	if s := SessionOf(ctx); !st.lenient && s != nil && s.conditions.divisions > before {
		s.conditions.forgetDivisions()
		return Error(1365, "22012", "Division by 0")
	}
	return nil
}

func divisions(ctx *gms.Context) int {
	if s := SessionOf(ctx); s != nil {
		return s.conditions.divisions
	}
	return 0
}

// A storedValue is what is assigned to a column.
type storedValue struct {
	expression.UnaryExpression
	st     *storing
	column *gms.Column
	from   source
	counts bool // it is the first of a row
	// duplicate is for ON DUPLICATE KEY UPDATE, of which the engine does not see
	// that NULL goes to a column that has none.
	duplicate bool
}

var _ gms.Expression = (*storedValue)(nil)

func (e *storedValue) Type() gms.Type   { return e.column.Type }
func (e *storedValue) String() string   { return e.Child.String() }
func (e *storedValue) IsNullable() bool { return e.Child.IsNullable() }

// Eval implements gms.Expression.
func (e *storedValue) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	if e.counts {
		e.st.row++
	}
	before := divisions(ctx)
	v, err := e.Child.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	if err := e.st.divided(ctx, before); err != nil {
		return nil, err
	}
	if v == nil && e.duplicate && !e.column.Nullable && !e.st.ignore {
		return nil, Error(1048, "23000", "Column '%s' cannot be null", e.column.Name)
	}
	if v == nil {
		return e.st.null(ctx, e.column, true), nil
	}
	return e.st.store(ctx, e.column, e.from, v)
}

// WithChildren implements gms.Expression.
func (e *storedValue) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(e, len(children), 1)
	}
	cp := *e
	cp.Child = children[0]
	return &cp, nil
}

// A storedSource is the source of an INSERT.
type storedSource struct {
	plan.UnaryNode
	st      *storing
	schema  gms.Schema
	unnamed *gms.FastIntSet // the columns that the statement gave nothing for
}

var _ ownNode = (*storedSource)(nil)

func (n *storedSource) Schema() gms.Schema { return n.Child.Schema() }
func (n *storedSource) String() string     { return n.Child.String() }
func (n *storedSource) IsReadOnly() bool   { return n.Child.IsReadOnly() }

// WithChildren implements gms.Node.
func (n *storedSource) WithChildren(children ...gms.Node) (gms.Node, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(n, len(children), 1)
	}
	cp := *n
	cp.Child = children[0]
	return &cp, nil
}

func (n *storedSource) rows(ctx *gms.Context, b gms.NodeExecBuilder, row gms.Row) (gms.RowIter, error) {
	before := divisions(ctx)
	iter, err := b.Build(ctx, n.Child, row)
	if err != nil {
		return nil, err
	}
	it := &storedRows{RowIter: iter, n: n, divisions: before, from: make([]source, len(n.schema)), at: make([]int, len(n.schema))}
	// The engine gives the values the types of the columns in a projection of its
	// own; what they are stands below it.
	if p, ok := n.Child.(*plan.Project); ok {
		given := p.Child.Schema()
		it.values, _ = p.Child.(*plan.Values)
		for i, e := range p.Projections {
			it.at[min(i, len(it.at)-1)] = -1
			if g, ok := e.(*expression.GetField); ok && i < len(it.from) && g.Index() >= 0 && g.Index() < len(given) {
				it.from[i], it.at[i] = source{typ: given[g.Index()].Type, rounded: -1}, g.Index()
			}
		}
	}
	return it, nil
}

type storedRows struct {
	gms.RowIter
	n         *storedSource
	divisions int // that were there before
	from      []source
	values    *plan.Values // nil if there is another source
	at        []int        // where in a row of it a column is, -1 for defaults
}

func (it *storedRows) Next(ctx *gms.Context) (gms.Row, error) {
	n, st := it.n, it.n.st
	st.row++
	row, err := it.RowIter.Next(ctx)
	if err != nil {
		return nil, err
	}
	if err := st.divided(ctx, it.divisions); err != nil {
		return nil, err
	}
	if len(row) > len(n.schema) { // those of an outer query stand before
		row = row[len(row)-len(n.schema):]
	}
	out := make(gms.Row, len(row))
	for i, v := range row {
		c := n.schema[i]
		switch {
		case v == nil:
			out[i] = st.null(ctx, c, !n.unnamed.Contains(i))
		default:
			from := it.from[i]
			if it.values != nil && st.row <= len(it.values.ExpressionTuples) && it.at[i] >= 0 {
				if tuple := it.values.ExpressionTuples[st.row-1]; it.at[i] < len(tuple) {
					from = sourceOf(tuple[it.at[i]])
				}
			}
			if out[i], err = st.store(ctx, c, from, v); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// storeBits makes bytes of b'101' where it is stored, as X'05' is: the engine
// makes a number of it, which a column of texts would have the digits of.
func storeBits(stmt ast.Statement) {
	bytesOf := func(e ast.Expr) ast.Expr {
		v, ok := e.(*ast.SQLVal)
		if !ok || v.Type != ast.BitVal {
			return e
		}
		n, ok := new(big.Int).SetString(string(v.Val), 2)
		if !ok {
			return e
		}
		return ast.NewHexVal([]byte(hex.EncodeToString(n.FillBytes(make([]byte, (len(v.Val)+7)/8)))))
	}
	assigned := func(exprs []*ast.AssignmentExpr) {
		for _, a := range exprs {
			a.Expr = bytesOf(a.Expr)
		}
	}
	switch s := stmt.(type) {
	case *ast.Insert:
		if rows, ok := s.Rows.(*ast.AliasedValues); ok {
			for _, row := range rows.Values {
				for i, e := range row {
					row[i] = bytesOf(e)
				}
			}
		}
		assigned(s.OnDup)
	case *ast.Update:
		assigned(s.Exprs)
	}
}
