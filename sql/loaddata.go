package sql

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"

	"weir/sql/gmsx"
)

// loadData reads the client's file of LOAD DATA LOCAL INFILE as rows: the
// engine's own reader splits fields within quotes, and ends at empty ones.
func loadData(ctx *gms.Context, n *plan.LoadData) (gms.RowIter, error) {
	if !n.Local {
		return nil, gmsx.Error(1235, "42000", "LOAD DATA INFILE of a file of the server is not supported: LOAD DATA LOCAL INFILE sends one of the client's")
	}
	switch strings.ToLower(n.Charset) {
	case "", "utf8", "utf8mb3", "utf8mb4", "ascii", "binary":
	default:
		return nil, gmsx.Error(1115, "42000", "LOAD DATA does not convert files in '%s': convert it to utf8mb4 before", n.Charset)
	}
	if n.FieldsTerminatedBy == "" || n.LinesTerminatedBy == "" {
		return nil, gmsx.Error(1235, "42000", "LOAD DATA of fields or lines of fixed length is not supported: say what ends them")
	}
	file, err := ctx.LoadInfile(n.File)
	if err != nil {
		return nil, err
	}
	it := &loadedRows{n: n, file: file, lines: newLineReader(file, n), skip: n.IgnoreNum}
	schema := n.Schema()
	names := n.ColNames
	if len(names) == 0 {
		for _, c := range schema {
			names = append(names, c.Name)
		}
	}
	for field, col := 0, 0; field < len(n.UserVars); field++ {
		if n.UserVars[field] != nil {
			it.column = append(it.column, -1)
		} else if col < len(names) {
			it.column = append(it.column, schema.IndexOfColName(names[col]))
			col++
		}
	}
	return it, nil
}

// loadedRows are the rows of a file, in the order of the statement's columns.
type loadedRows struct {
	n      *plan.LoadData
	file   io.Closer
	lines  *lineReader
	skip   int64
	column []int // of each field, the column that it goes to; -1 is a variable
	count  int64
}

// Next implements gms.RowIter.
func (it *loadedRows) Next(ctx *gms.Context) (gms.Row, error) {
	for ; it.skip > 0; it.skip-- {
		if err := it.lines.pass(); err != nil {
			return nil, err
		}
	}
	if it.count++; it.count%256 == 0 && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	fields, err := it.lines.read()
	if err != nil {
		return nil, err
	}
	schema := it.n.Schema()
	row := make(gms.Row, len(schema))
	whole := make(gms.Row, len(fields))
	for i, f := range fields {
		whole[i] = f.value()
	}
	at := 0
	for i := range it.column {
		var v any
		if i < len(whole) {
			v = whole[i]
		}
		if it.column[i] < 0 {
			if set, ok := it.n.UserVars[i].(*expression.SetField); ok {
				if name, ok := set.LeftChild.(*expression.UserVar); ok {
					if err := ctx.SetUserVariable(ctx, name.Name, v, types.LongText); err != nil {
						return nil, err
					}
				}
			}
			continue
		}
		if at < len(row) {
			if i < len(whole) {
				row[at] = v
			} else if row[at], err = it.missing(ctx, schema[it.column[i]], row); err != nil {
				return nil, err
			}
			at++
		}
	}
	switch {
	case len(fields) < len(it.column):
		ctx.Warn(1261, "Row %d doesn't contain data for all columns", it.count)
	case len(fields) > len(it.column):
		ctx.Warn(1262, "Row %d was truncated; it contained more data than there were input columns", it.count)
	}
	return row, it.set(ctx, row, whole)
}

// missing is the value of a column that a line has no field for.
func (it *loadedRows) missing(ctx *gms.Context, c *gms.Column, row gms.Row) (any, error) {
	switch {
	case c.Default != nil:
		return c.Default.Eval(ctx, row)
	case c.Nullable || c.AutoIncrement:
		return nil, nil
	}
	return c.Type.Zero(), nil
}

// set applies the SET of the statement.
func (it *loadedRows) set(ctx *gms.Context, row, whole gms.Row) error {
	for field, at := 0, 0; len(it.n.SetExprs) > 0 && field < len(it.column) && at < len(row); field++ {
		col := it.column[field]
		if col < 0 {
			continue
		}
		if e := it.n.SetExprs[col]; e != nil {
			v, err := e.Eval(ctx, whole)
			if err != nil {
				return err
			}
			row[at] = v
		}
		at++
	}
	return nil
}

// Close implements gms.RowIter.
func (it *loadedRows) Close(*gms.Context) error { return it.file.Close() }

// A field is one of a line.
type field struct {
	text     []byte
	enclosed bool
	null     bool // \N
}

func (f *field) value() any {
	if f.null {
		return nil
	}
	return string(f.text)
}

// A lineReader reads lines as LOAD DATA describes them.
type lineReader struct {
	r                 *bufio.Reader
	fieldEnd, lineEnd []byte
	starting          []byte
	enclose, escape   byte
	encloses, escapes bool
	nullWord          bool // the word NULL, not enclosed, is NULL
}

func newLineReader(r io.Reader, n *plan.LoadData) *lineReader {
	l := &lineReader{
		r: bufio.NewReaderSize(r, 1<<16), fieldEnd: []byte(n.FieldsTerminatedBy), lineEnd: []byte(n.LinesTerminatedBy), starting: []byte(n.LinesStartingBy),
	}
	if n.FieldsEnclosedBy != "" {
		l.enclose, l.encloses = n.FieldsEnclosedBy[0], true
		l.nullWord = true
	}
	if n.FieldsEscapedBy != "" {
		l.escape, l.escapes = n.FieldsEscapedBy[0], true
	}
	return l
}

// next says whether what comes next is s, and takes it.
func (l *lineReader) next(s []byte) bool {
	b, _ := l.r.Peek(len(s))
	if len(s) == 0 || !bytes.Equal(b, s) {
		return false
	}
	_, _ = l.r.Discard(len(s))
	return true
}

// pass skips a line; io.EOF at the end of the file.
func (l *lineReader) pass() error {
	for {
		if l.next(l.lineEnd) {
			return nil
		}
		if _, err := l.r.ReadByte(); err != nil {
			return err
		}
	}
}

// read returns the fields of the next line; io.EOF at the end of the file.
func (l *lineReader) read() ([]field, error) {
	if err := l.begin(); err != nil {
		return nil, err
	}
	var fields []field
	for {
		f, last, err := l.field()
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
		if last {
			return fields, nil
		}
	}
}

// begin goes to where the next line has its fields.
func (l *lineReader) begin() error {
	if _, err := l.r.Peek(1); err != nil {
		return err
	}
	if len(l.starting) == 0 {
		return nil
	}
	for !l.next(l.starting) {
		if _, err := l.r.ReadByte(); err != nil {
			return err
		}
	}
	return nil
}

// field reads a field and what ends it; last says that that was the line's end.
func (l *lineReader) field() (f field, last bool, err error) {
	if b, _ := l.r.Peek(1); l.encloses && len(b) == 1 && b[0] == l.enclose {
		_, _ = l.r.Discard(1)
		f.enclosed = true
	}
	escaped := false
	for {
		if !f.enclosed {
			if last, ok := l.end(); ok {
				f.null = f.null && len(f.text) == 0 || l.nullWord && !escaped && string(f.text) == "NULL"
				return f, last, nil
			}
		}
		c, err := l.r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			f.null = f.null && len(f.text) == 0
			return f, true, nil
		case err != nil:
			return f, false, err
		case f.enclosed && c == l.enclose:
			if l.next([]byte{l.enclose}) {
				f.text = append(f.text, l.enclose)
				continue
			}
			if last, ok := l.end(); ok {
				return f, last, nil
			}
			if next, _ := l.r.Peek(1); len(next) == 0 {
				return f, true, nil
			}
			f.text = append(f.text, c) // it ends nothing
		case l.escapes && c == l.escape:
			escaped = true
			if err := l.escapedByte(&f); err != nil {
				return f, false, err
			}
		default:
			f.text = append(f.text, c)
		}
		if len(f.text) > loadFieldMax {
			return f, false, gmsx.Error(1153, "08S01", "a field of the file is longer than %d bytes: do FIELDS and LINES TERMINATED BY say what ends them?", loadFieldMax)
		}
	}
}

// loadFieldMax bounds the bytes of one field.
const loadFieldMax = 64 << 20

// end takes the end of a field or a line, if it comes next.
func (l *lineReader) end() (last, ok bool) {
	if l.next(l.fieldEnd) {
		return false, true
	}
	if l.next(l.lineEnd) {
		return true, true
	}
	return false, false
}

// escapedByte reads what the escape character stands before.
func (l *lineReader) escapedByte(f *field) error {
	c, err := l.r.ReadByte()
	if errors.Is(err, io.EOF) {
		f.text = append(f.text, l.escape)
		return nil
	}
	if err != nil {
		return err
	}
	switch c {
	case '0':
		c = 0
	case 'b':
		c = '\b'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'Z':
		c = 26
	case 'N':
		if len(f.text) == 0 && !f.enclosed {
			f.null = true
			return nil
		}
	}
	f.text = append(f.text, c)
	return nil
}
