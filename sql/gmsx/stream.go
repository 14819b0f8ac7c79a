package gmsx

import (
	"errors"
	"io"
	"math"
	"strconv"
	"sync"
	"time"

	gmsserver "github.com/dolthub/go-mysql-server/server"
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/shopspring/decimal"
)

const (
	batchRows  = 128      // rows of one batch
	batchBytes = 64 << 10 // and about their bytes: what a result holds in memory
	chunkBytes = 16 << 10 // of an encoder's memory
)

// encoders keeps the memory of results in text between statements.
var encoders = sync.Pool{New: func() any { return &encoder{} }}

// stream reads rows and hands them on in batches, at least one of them.
//
// The memory of a batch may be used again after send has returned, if reuse is
// set. With a cursor it must not be: send returns while the client has not
// fetched the rows yet. prepared says that the rows are of a prepared statement.
func stream(ctx *gms.Context, schema gms.Schema, rows *onceClosed, prepared, reuse bool, send func(*sqltypes.Result) error) error {
	enc := &encoder{}
	if reuse {
		enc = encoders.Get().(*encoder)
		defer enc.release()
	}
	fields := fieldsOf(ctx, schema)
	iter, projections := gmsserver.GetDeferredProjections(rows.RowIter)
	rows.RowIter = iter
	enc.begin(ctx, schema, projections, reuse)
	enc.binary = prepared
	direct, _ := iter.(*directIter)

	batch := func() *sqltypes.Result {
		return &sqltypes.Result{Fields: fields, Rows: enc.rows, RowsAffected: uint64(len(enc.rows))}
	}
	for sent := false; ; {
		if direct != nil {
			last, err := enc.writeRows(ctx, direct)
			if err != nil {
				return err
			}
			if last && sent && len(enc.rows) == 0 {
				return nil
			}
			if err := send(batch()); err != nil || last {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			sent = true
			enc.next()
			continue
		}
		row, err := iter.Next(ctx)
		if errors.Is(err, io.EOF) {
			if sent && len(enc.rows) == 0 {
				return nil
			}
			return send(batch())
		}
		if err != nil {
			return err
		}
		if types.IsOkResult(row) { // of a procedure
			ok := types.GetOkResult(row)
			return send(&sqltypes.Result{RowsAffected: ok.RowsAffected, InsertID: ok.InsertID})
		}
		if err := enc.add(ctx, row); err != nil {
			return err
		}
		if !enc.full() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := send(batch()); err != nil {
			return err
		}
		sent = true
		enc.next()
	}
}

// An encoder turns rows into the protocol's text, in batches. Values point
// into its chunk, which is filled from the front and replaced when it is full.
type encoder struct {
	schema      gms.Schema
	projections []gms.Expression
	reuse       bool
	utf8        bool // the client gets text as it is
	binary      bool // the rows are of a prepared statement

	rows   [][]sqltypes.Value
	values []sqltypes.Value // of which rows are slices
	chunk  []byte
	bytes  int
}

func (e *encoder) begin(ctx *gms.Context, schema gms.Schema, projections []gms.Expression, reuse bool) {
	e.schema, e.projections, e.reuse = schema, projections, reuse
	switch ctx.GetCharacterSetResults() {
	case gms.CharacterSet_Unspecified, gms.CharacterSet_binary, gms.CharacterSet_utf8mb4:
		e.utf8 = true
	default:
		e.utf8 = false
	}
	e.next()
}

// next begins a batch.
func (e *encoder) next() {
	e.bytes = 0
	if e.reuse {
		e.rows, e.values, e.chunk = e.rows[:0], e.values[:0], e.chunk[:0]
		return
	}
	e.rows, e.values, e.chunk = nil, nil, nil
}

// release gives the memory back, without what values point to outside it.
func (e *encoder) release() {
	clear(e.rows[:cap(e.rows)])
	clear(e.values[:cap(e.values)])
	e.schema, e.projections = nil, nil
	encoders.Put(e)
}

func (e *encoder) full() bool { return len(e.rows) >= batchRows || e.bytes >= batchBytes }

func (e *encoder) add(ctx *gms.Context, row gms.Row) error {
	from, n := len(e.values), len(e.schema)
	if cap(e.values)-from < n {
		// Rows already added keep the old array.
		e.values, from = make([]sqltypes.Value, 0, max(n, min(4*cap(e.values), batchRows*n))), 0
	}
	e.values = e.values[:from+n]
	out := e.values[from : from+n : from+n]
	for i, col := range e.schema {
		var v any
		if e.projections != nil {
			var err error
			if v, err = e.projections[i].Eval(ctx, row); err != nil {
				return err
			}
		} else {
			v = row[i]
		}
		var err error
		if out[i], err = e.value(ctx, col.Type, v); err != nil {
			return err
		}
	}
	e.rows = append(e.rows, out)
	return nil
}

func (e *encoder) value(ctx *gms.Context, t gms.Type, v any) (sqltypes.Value, error) {
	if v == nil {
		return sqltypes.NULL, nil
	}
	if len(e.chunk) == cap(e.chunk) {
		size := chunkBytes
		if cap(e.chunk) == 0 && !e.reuse {
			size = 512 // most prepared statements return a row
		}
		e.chunk = make([]byte, 0, size)
	}
	free := e.chunk[len(e.chunk):]
	var val sqltypes.Value
	switch qt := t.Type(); qt {
	case querypb.Type_FLOAT64, querypb.Type_FLOAT32:
		if v == "NULL" {
			return sqltypes.NULL, nil // as in a tabular EXPLAIN
		}
		f, _, err := t.Convert(ctx, v)
		if err != nil {
			return sqltypes.NULL, err
		}
		if d, ok := double(f); ok && (math.IsInf(d, 0) || math.IsNaN(d)) {
			return sqltypes.NULL, errDoubleRange
		}
		switch f := f.(type) {
		case float64:
			val = sqltypes.MakeTrusted(qt, appendDouble(free, f, 64))
		case float32:
			val = sqltypes.MakeTrusted(qt, appendDouble(free, float64(f), 32))
		default:
			return sqltypes.NULL, nil
		}
	default:
		if v == "NULL" && types.IsNumber(t) {
			return sqltypes.NULL, nil
		}
		if d, ok := v.(decimal.Decimal); ok && qt == querypb.Type_DECIMAL {
			// All values of a column have its scale; that of a quotient has more
			// decimals until here. Where the engine knows no scale it says the
			// greatest, which nothing is to be filled up to.
			dt, ok := t.(gms.DecimalType)
			if ok {
				if units, fits := unitsOf(d, int32(dt.Scale())); fits {
					val = sqltypes.MakeTrusted(qt, appendUnits(free, units, int(dt.Scale())))
					break
				}
			}
			if ok && -d.Exponent() != int32(dt.Scale()) && dt.Scale() < types.DecimalTypeMaxScale {
				val = sqltypes.MakeTrusted(qt, append(free, d.StringFixed(int32(dt.Scale()))...))
				break
			}
		}
		dt, isTime := t.(gms.DatetimeType)
		if at, ok := v.(time.Time); ok && isTime && at.Nanosecond()%1000 == 0 && at.Location() == time.UTC {
			c, ok := civilTime(at.UnixMicro())
			if digits := dt.Precision(); ok && digits >= 0 && digits <= 6 && c.micro%fractions[digits] == 0 {
				val = sqltypes.MakeTrusted(qt, c.text(free, qt == querypb.Type_DATE, digits))
				break
			}
		}
		var err error
		if val, err = t.SQL(ctx, free, v); err != nil {
			return sqltypes.NULL, err
		}
		if isTime && dt.Precision() > 0 {
			val = wholeFraction(val, dt.Precision())
		}
	}
	n := val.Len()
	e.bytes += n
	if n <= cap(e.chunk)-len(e.chunk) {
		e.chunk = e.chunk[:len(e.chunk)+n]
	} else {
		e.chunk = e.chunk[:cap(e.chunk)]
	}
	return val, nil
}

// wholeFraction gives a fraction of a second all the digits of its column: the
// engine leaves zeros at the end out. A whole second stays without a fraction,
// since the engine takes what has none, FROM_UNIXTIME for instance, for a
// DATETIME(6).
func wholeFraction(v sqltypes.Value, digits int) sqltypes.Value {
	const seconds = len("2006-01-02 15:04:05")
	text := v.ToBytes()
	if len(text) <= seconds || text[seconds] != '.' || len(text) >= seconds+1+digits {
		return v
	}
	for len(text) < seconds+1+digits {
		text = append(text, '0')
	}
	return sqltypes.MakeTrusted(v.Type(), text)
}

// appendDouble writes a DOUBLE as MySQL does: the fewest digits that read back
// as the same number, with an exponent only below 1e-15 and from 1e15 on. The
// engine writes 1e+06 for a million, which no client reads as an integer.
func appendDouble(b []byte, f float64, bits int) []byte {
	if f == 0 {
		return append(b, '0')
	}
	var tmp [32]byte
	e := strconv.AppendFloat(tmp[:0], f, 'e', -1, bits)
	mark := len(e) - 1
	for mark >= 0 && e[mark] != 'e' {
		mark--
	}
	exp, err := strconv.Atoi(string(e[mark+1:]))
	if err != nil { // NaN or infinite, which MySQL has not
		return append(b, e...)
	}
	if exp >= -15 && exp < 15 {
		return strconv.AppendFloat(b, f, 'f', -1, bits)
	}
	b = append(b, e[:mark+1]...)
	return strconv.AppendInt(b, int64(exp), 10)
}

// fieldsOf describes columns to a client.
func fieldsOf(ctx *gms.Context, schema gms.Schema) []*querypb.Field {
	results := ctx.GetCharacterSetResults()
	session := SessionOf(ctx)
	plainJSON := session != nil && session.plainJSON
	fields := make([]*querypb.Field, len(schema))
	for i, c := range schema {
		f := &querypb.Field{
			Name: c.Name, OrgName: c.Name,
			Table: c.Source, OrgTable: c.Source,
			Database:     c.DatabaseSource,
			Type:         c.Type.Type(),
			Charset:      uint32(gms.Collation_Default.CharacterSet()),
			ColumnLength: c.Type.MaxTextResponseByteLength(ctx),
		}
		if t, ok := c.Type.(gms.TypeWithCollation); ok {
			f.Charset = uint32(t.Collation().CharacterSet())
		}
		switch {
		case types.IsBinaryType(c.Type):
			f.Charset = uint32(gms.Collation_binary)
		case results != gms.CharacterSet_Unspecified:
			f.Charset = uint32(results)
		}
		if plainJSON && f.Type == querypb.Type_JSON {
			f.Type = querypb.Type_TEXT
		}
		var flags querypb.MySqlFlag
		if !c.Nullable {
			flags |= querypb.MySqlFlag_NOT_NULL_FLAG
		}
		if c.PrimaryKey {
			flags |= querypb.MySqlFlag_PRI_KEY_FLAG
		}
		if c.AutoIncrement {
			flags |= querypb.MySqlFlag_AUTO_INCREMENT_FLAG
		}
		if types.IsUnsigned(c.Type) {
			flags |= querypb.MySqlFlag_UNSIGNED_FLAG
		}
		f.Flags = uint32(flags)
		switch t := c.Type.(type) {
		case gms.DecimalType:
			f.Decimals = uint32(t.Scale())
		case gms.DatetimeType:
			f.Decimals = uint32(t.Precision())
		}
		fields[i] = f
	}
	return fields
}
