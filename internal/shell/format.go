package shell

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Formats are the names of the forms that rows can have.
var Formats = []string{"table", "vertical", "tsv", "csv", "json", "ndjson", "markdown"}

// A column is one of a result.
type column struct {
	name    string
	numeric bool // a number, which stands on the right
	json    bool // a JSON document
}

// A cell is a value as MySQL writes it; nil is NULL.
type cell []byte

// A printer writes the rows of one result. Nothing is complete before end.
type printer interface {
	begin(cols []column) error
	row(cells []cell) error // which it does not keep
	end() error
}

// newPrinter returns one for a format of Formats. Names says whether columns
// are named where that can be left out.
func newPrinter(format string, w *bufio.Writer, names bool) printer {
	switch format {
	case "vertical":
		return &verticalPrinter{w: w}
	case "tsv":
		return &tsvPrinter{w: w, names: names}
	case "csv":
		return &csvPrinter{w: w, names: names}
	case "json":
		return &jsonPrinter{w: w, array: true}
	case "ndjson":
		return &jsonPrinter{w: w}
	case "markdown":
		return &markdownPrinter{w: w}
	}
	return &tablePrinter{w: w, names: names}
}

// cellOf returns a value of the driver as MySQL writes it.
func cellOf(v any) cell {
	switch v := v.(type) {
	case nil:
		return nil
	case []byte:
		if v == nil {
			return cell{}
		}
		return v
	case string:
		return cell(v)
	case int64:
		return strconv.AppendInt(cell{}, v, 10)
	case uint64:
		return strconv.AppendUint(cell{}, v, 10)
	case float32:
		return floatText(float64(v), 32)
	case float64:
		return floatText(v, 64)
	}
	return fmt.Append(cell{}, v)
}

// Doubles of less than floatLow or at least floatHigh have an exponent.
const floatLow, floatHigh = 1e-15, 1e15

func floatText(f float64, bits int) cell {
	if a := math.Abs(f); a == 0 || a >= floatLow && a < floatHigh {
		return strconv.AppendFloat(cell{}, f, 'f', -1, bits)
	}
	text := strconv.AppendFloat(nil, f, 'e', -1, bits) // 1e+20, 1e-07
	text = bytes.Replace(text, []byte("e+"), []byte("e"), 1)
	text = bytes.Replace(text, []byte("e0"), []byte("e"), 1)
	return bytes.Replace(text, []byte("e-0"), []byte("e-"), 1)
}

// shown is a value for people: a text without control characters, which could
// do anything to a terminal, and raw bytes as a hexadecimal number.
func shown(c cell) string {
	if c == nil {
		return "NULL"
	}
	plain := true
	for _, b := range c {
		if b < ' ' || b >= 0x7F {
			plain = false
			break
		}
	}
	if plain {
		return string(c)
	}
	if !utf8.Valid(c) {
		return "0x" + strings.ToUpper(hex.EncodeToString(c))
	}
	text := strings.ReplaceAll(string(c), "\r\n", "\n")
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case hidden(r):
			fmt.Fprintf(&b, "\\x%02X", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// title is the name of a column for people, on one line: that of an expression
// is its text.
func title(name string) string { return strings.Join(strings.Fields(shown(cell(name))), " ") }

// hidden reports whether a terminal would do something else than show r. The
// marks that turn text around are among them.
func hidden(r rune) bool {
	return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
}

// A verticalPrinter has a line for each value.
type verticalPrinter struct {
	w     *bufio.Writer
	names []string // right-aligned
	n     int
}

func (p *verticalPrinter) begin(cols []column) error {
	longest := 0
	for _, c := range cols {
		longest = max(longest, width(title(c.name)))
	}
	for _, c := range cols {
		name := title(c.name)
		p.names = append(p.names, strings.Repeat(" ", longest-width(name))+name)
	}
	return nil
}

func (p *verticalPrinter) row(cells []cell) error {
	p.n++
	stars := strings.Repeat("*", 27)
	fmt.Fprintf(p.w, "%s %d. row %s\n", stars, p.n, stars)
	for i, c := range cells {
		if _, err := fmt.Fprintf(p.w, "%s: %s\n", p.names[i], shown(c)); err != nil {
			return err
		}
	}
	return nil
}

func (p *verticalPrinter) end() error { return nil }

// header is a row of the names of columns.
func header(cols []column) []cell {
	cells := make([]cell, len(cols))
	for i, c := range cols {
		cells[i] = cell(c.name)
	}
	return cells
}

// A tsvPrinter separates with tabs, as the mysql client does in a pipe.
type tsvPrinter struct {
	w     *bufio.Writer
	names bool
}

func (p *tsvPrinter) begin(cols []column) error {
	if !p.names {
		return nil
	}
	return p.row(header(cols))
}

func (p *tsvPrinter) row(cells []cell) error {
	for i, c := range cells {
		if i > 0 {
			_ = p.w.WriteByte('\t')
		}
		if c == nil {
			_, _ = p.w.WriteString("NULL")
			continue
		}
		if !bytes.ContainsAny(c, "\t\n\\\x00") {
			_, _ = p.w.Write(c)
			continue
		}
		for _, b := range c {
			switch b {
			case '\t':
				_, _ = p.w.WriteString(`\t`)
			case '\n':
				_, _ = p.w.WriteString(`\n`)
			case 0:
				_, _ = p.w.WriteString(`\0`)
			case '\\':
				_, _ = p.w.WriteString(`\\`)
			default:
				_ = p.w.WriteByte(b)
			}
		}
	}
	return p.w.WriteByte('\n')
}

func (p *tsvPrinter) end() error { return nil }

// A csvPrinter writes what RFC 4180 describes, with line feeds. NULL is nothing
// at all and the empty text a pair of quotes: encoding/csv cannot tell them
// apart.
type csvPrinter struct {
	w     *bufio.Writer
	names bool
}

func (p *csvPrinter) begin(cols []column) error {
	if !p.names {
		return nil
	}
	return p.row(header(cols))
}

func (p *csvPrinter) row(cells []cell) error {
	for i, c := range cells {
		if i > 0 {
			_ = p.w.WriteByte(',')
		}
		if c == nil || len(c) > 0 && !bytes.ContainsAny(c, ",\"\r\n") && c[0] != ' ' && c[0] != '\t' {
			_, _ = p.w.Write(c)
			continue
		}
		_ = p.w.WriteByte('"')
		_, _ = p.w.Write(bytes.ReplaceAll(c, []byte(`"`), []byte(`""`)))
		_ = p.w.WriteByte('"')
	}
	return p.w.WriteByte('\n')
}

func (p *csvPrinter) end() error { return nil }

// A jsonPrinter writes an object for each row: in an array, or one in each
// line. Numbers are numbers with all of their digits, JSON documents are as
// they are, and raw bytes are hexadecimal numbers as text.
type jsonPrinter struct {
	w     *bufio.Writer
	array bool
	cols  []column
	keys  [][]byte
	n     int
}

func (p *jsonPrinter) begin(cols []column) error {
	p.cols = cols
	for _, name := range unique(cols) {
		p.keys = append(p.keys, append(jsonText(name), ':'))
	}
	if p.array {
		return p.w.WriteByte('[')
	}
	return nil
}

func (p *jsonPrinter) row(cells []cell) error {
	if p.n++; p.array {
		if p.n > 1 {
			_ = p.w.WriteByte(',')
		}
		_, _ = p.w.WriteString("\n  ")
	}
	_ = p.w.WriteByte('{')
	for i, c := range cells {
		if i > 0 {
			_ = p.w.WriteByte(',')
		}
		_, _ = p.w.Write(p.keys[i])
		_, _ = p.w.Write(jsonValue(&p.cols[i], c))
	}
	_ = p.w.WriteByte('}')
	if !p.array {
		return p.w.WriteByte('\n')
	}
	return nil
}

func (p *jsonPrinter) end() error {
	if !p.array {
		return nil
	}
	if p.n > 0 {
		_ = p.w.WriteByte('\n')
	}
	_, err := p.w.WriteString("]\n")
	return err
}

func jsonValue(col *column, c cell) []byte {
	switch {
	case c == nil:
		return []byte("null")
	case (col.numeric || col.json) && json.Valid(c):
		var line bytes.Buffer // without line breaks
		if json.Compact(&line, c) == nil {
			return line.Bytes()
		}
	case !utf8.Valid(c):
		return jsonText("0x" + strings.ToUpper(hex.EncodeToString(c)))
	}
	return jsonText(string(c))
}

// jsonText is a JSON string that keeps <, > and &.
func jsonText(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always has a form
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// unique returns the names of columns, with a number behind those that come
// again: an object has each key once.
func unique(cols []column) []string {
	names := make([]string, 0, len(cols))
	for _, c := range cols {
		name := c.name
		for n := 2; slices.Contains(names, name); n++ {
			name = c.name + "_" + strconv.Itoa(n)
		}
		names = append(names, name)
	}
	return names
}

// A markdownPrinter writes a table of GitHub's Markdown.
type markdownPrinter struct{ w *bufio.Writer }

func (p *markdownPrinter) begin(cols []column) error {
	cells := make([]cell, len(cols))
	for i, c := range cols {
		cells[i] = cell(title(c.name))
	}
	if err := p.row(cells); err != nil {
		return err
	}
	for _, c := range cols {
		rule := "| --- "
		if c.numeric {
			rule = "| ---: "
		}
		_, _ = p.w.WriteString(rule)
	}
	_, err := p.w.WriteString("|\n")
	return err
}

// markdownText keeps a cell a cell.
var markdownText = strings.NewReplacer("\\", "\\\\", "|", "\\|", "\n", "<br>", "<", "&lt;", "*", "\\*", "_", "\\_", "`", "\\`")

func (p *markdownPrinter) row(cells []cell) error {
	for _, c := range cells {
		_, _ = io.WriteString(p.w, "| "+markdownText.Replace(shown(c))+" ")
	}
	_, err := p.w.WriteString("|\n")
	return err
}

func (p *markdownPrinter) end() error { return nil }
