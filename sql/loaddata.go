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
	it := &loadedRows{n: n, file: file, lines: newLineReader(file, n), skip: n.IgnoreNum, targets: loadTargets(n)}
	it.order = columnsOf(n.Schema(), n.ColNames)
	if len(it.order) == 0 {
		for i := range n.Schema() {
			it.order = append(it.order, i)
		}
	}
	return it, nil
}

// A loadTarget is what a field of the file goes to.
type loadTarget struct {
	column   int    // -1 is a variable
	variable string // "" for none
}

// loadTargets are those of the fields that the statement lists. The plan has the
// columns and the variables of its list apart, behind the columns those that
// only SET assigns to, and for each of the latter one place more among the
// variables, of which there are no fewer than columns of the table.
func loadTargets(n *plan.LoadData) (targets []loadTarget) {
	schema := n.Schema()
	variables := 0
	for _, v := range n.UserVars {
		if v != nil {
			variables++
		}
	}
	names := columnsOf(schema, n.ColNames)
	switch extra := len(n.UserVars) - len(schema); {
	case len(names) == 0 && variables == 0: // no list
		for i := range schema {
			targets = append(targets, loadTarget{column: i})
		}
		return targets
	case len(names) == 0: // variables alone
	case len(n.UserVars) != variables+len(names): // the table is wider than the list
		names = names[:len(names)-extra]
	default:
		for len(names) > 0 && n.SetExprs != nil && n.SetExprs[names[len(names)-1]] != nil {
			names = names[:len(names)-1]
		}
	}
	for field := range variables + len(names) {
		if field < len(n.UserVars) && n.UserVars[field] != nil {
			t := loadTarget{column: -1}
			if set, ok := n.UserVars[field].(*expression.SetField); ok {
				if v, ok := set.LeftChild.(*expression.UserVar); ok {
					t.variable = v.Name
				}
			}
			targets = append(targets, t)
		} else if len(names) > 0 {
			targets, names = append(targets, loadTarget{column: names[0]}), names[1:]
		}
	}
	return targets
}

func columnsOf(schema gms.Schema, names []string) (columns []int) {
	for _, name := range names {
		columns = append(columns, schema.IndexOfColName(name))
	}
	return columns
}

// loadedRows are the rows of a file, in the order of the statement's columns.
type loadedRows struct {
	n       *plan.LoadData
	file    io.Closer
	lines   *lineReader
	skip    int64
	targets []loadTarget
	order   []int // the columns of a row
	count   int64
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
	values := make(gms.Row, len(schema)) // of all columns
	given := make([]bool, len(schema))
	for i, t := range it.targets {
		var v any
		if i < len(fields) {
			v = fields[i].value()
		} else {
			ctx.Warn(1261, "Row %d doesn't contain data for all columns", it.count)
		}
		switch {
		case t.column >= 0 && i < len(fields):
			values[t.column], given[t.column] = v, true
		case t.variable != "":
			if err := ctx.SetUserVariable(ctx, t.variable, v, types.LongText); err != nil {
				return nil, err
			}
		}
	}
	if len(fields) > len(it.targets) {
		ctx.Warn(1262, "Row %d was truncated; it contained more data than there were input columns", it.count)
	}
	for i, e := range it.n.SetExprs {
		if e == nil {
			continue
		}
		if values[i], err = e.Eval(ctx, values); err != nil {
			return nil, err
		}
		given[i] = true
	}
	row := make(gms.Row, len(schema))
	for at, i := range it.order {
		if row[at] = values[i]; given[i] {
			continue
		}
		if row[at], err = missing(ctx, schema[i], values); err != nil {
			return nil, err
		}
	}
	return row, nil
}

// missing is the value of a column that a line has no field for.
func missing(ctx *gms.Context, c *gms.Column, row gms.Row) (any, error) {
	switch {
	case c.Default != nil:
		return c.Default.Eval(ctx, row)
	case c.Nullable || c.AutoIncrement:
		return nil, nil
	}
	return c.Type.Zero(), nil
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
