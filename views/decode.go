package views

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/valyala/fastjson"

	"weir/views/column"
)

// A DeadLetter is an event that could not be decoded.
type DeadLetter struct {
	Seq     uint64
	Time    int64 // nanoseconds, as Record.Time
	Subject string
	Error   string
	Payload []byte
}

// A decoder turns records into columns. It decodes only the columns it was
// made for, those that are NOT NULL, and what generated columns among them
// need; which events are dead letters depends on none of this.
//
// A decoder belongs to one goroutine.
type decoder struct {
	plan   *StreamPlan
	cols   []ColumnDef
	needed []bool // by index, the extras included
	event  int    // column of event time, or -1 for _time
	format format
	order  []int // generated columns, each after those it reads
	must   []int // columns that are read and may not be NULL

	// arena holds the text of the batch being decoded that is not part of a
	// payload. Its memory is used again for the next batch.
	arena []byte
}

// A format finds the fields of one event.
type format interface {
	// row decodes a payload into row i of the batch's columns. It returns
	// false, and the reason, where the payload does not parse at all.
	row(d *decoder, b *column.Batch, i int, payload []byte) (reason string, ok bool)
}

// newDecoder returns a decoder of the stream for the given columns.
func newDecoder(plan *StreamPlan, columns []int) (*decoder, error) {
	d := &decoder{plan: plan, cols: plan.Def.AllColumns(), event: -1}
	d.needed = make([]bool, len(d.cols))
	for i := range plan.Def.Columns {
		c := &plan.Def.Columns[i]
		if c.NotNull {
			d.need(i)
			if c.Generated == "" {
				d.must = append(d.must, i)
			}
		}
		if strings.EqualFold(c.Name, plan.Def.EventTime) {
			d.event = i
			d.need(i)
		}
	}
	for _, c := range columns {
		d.need(c)
	}
	var err error
	d.format, err = newFormat(d)
	return d, err
}

func (d *decoder) need(i int) {
	if d.needed[i] {
		return
	}
	d.needed[i] = true
	if d.plan.Generated[i] == nil {
		return
	}
	for _, c := range d.plan.Reads[i] {
		d.need(c)
	}
	d.order = append(d.order, i)
}

// decode fills b with the records. b.Sel lists the rows that decoded, nil when
// all did; the others are returned as dead letters, whose payloads are copies.
func (d *decoder) decode(recs []Record, b *column.Batch) []DeadLetter {
	d.arena = d.arena[:0]
	b.Cols = slices.Grow(b.Cols[:0], len(d.cols))[:len(d.cols)]
	b.Reset(len(recs))
	for i, need := range d.needed {
		if need && d.plan.Generated[i] == nil {
			b.Cols[i] = b.New(d.cols[i].Type.Kind)
			b.Cols[i].Scale = d.cols[i].Type.Scale
		}
	}
	d.extras(recs, b)
	var dead []DeadLetter
	reject := func(i int, reason string) {
		if b.Sel == nil {
			b.Sel = make([]uint32, 0, len(recs))
			for k := range i {
				b.Sel = append(b.Sel, uint32(k))
			}
		}
		dead = append(dead, newDeadLetter(&recs[i], reason))
	}
	for i := 0; i < len(recs); {
		i = d.rows(recs, b, i, reject)
	}
	for _, i := range d.order {
		b.Cols[i] = d.generate(i, b)
	}
	if more := d.generatedNotNull(recs, b); len(more) > 0 {
		dead = append(dead, more...)
		slices.SortFunc(dead, func(a, b DeadLetter) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	return dead
}

// generate computes a generated column; where that panics, every value is NULL.
func (d *decoder) generate(i int, b *column.Batch) (v *column.Vector) {
	defer func() {
		if recover() != nil {
			v = (&column.Const{T: d.cols[i].Type}).Eval(b)
		}
	}()
	return d.plan.Generated[i].Eval(b)
}

// rows decodes events from number i on and returns up to which. A payload that
// makes the decoder panic is a dead letter too, behind which decode goes on: it
// would come again with every start.
func (d *decoder) rows(recs []Record, b *column.Batch, i int, reject func(i int, reason string)) (next int) {
	defer func() {
		if p := recover(); p != nil {
			reject(i, fmt.Sprintf("internal error of the decoder: %v", p))
			next = i + 1
		}
	}()
	for ; i < len(recs); i++ {
		reason, ok := d.format.row(d, b, i, recs[i].Payload)
		if ok && len(d.must) > 0 {
			reason, ok = d.notNull(b, i)
		}
		if !ok {
			reject(i, reason)
		} else if b.Sel != nil {
			b.Sel = append(b.Sel, uint32(i))
		}
	}
	return i
}

func newDeadLetter(r *Record, reason string) DeadLetter {
	return DeadLetter{Seq: r.Seq, Time: r.Time, Subject: r.Subject, Error: reason, Payload: slices.Clone(r.Payload)}
}

// extras fills the columns that come from the record itself.
func (d *decoder) extras(recs []Record, b *column.Batch) {
	first := len(d.plan.Def.Columns)
	for e := range extras {
		v := b.Cols[first+e]
		if v == nil {
			continue
		}
		for i := range recs {
			switch r := &recs[i]; e {
			case ExtraSeq:
				v.I[i] = int64(r.Seq)
			case ExtraTime:
				v.I[i] = r.Time / 1000
			case ExtraSubject:
				v.S[i] = r.Subject
			case ExtraID:
				v.S[i] = r.ID
				if r.ID == "" {
					v.SetNull(i, b.Len)
				}
			case ExtraPayload:
				v.S[i] = text(r.Payload)
			}
		}
	}
}

// notNull checks row i for columns that are read and may not be NULL.
func (d *decoder) notNull(b *column.Batch, i int) (reason string, ok bool) {
	for _, k := range d.must {
		if b.Cols[k].IsNull(i) {
			c := &d.plan.Def.Columns[k]
			return fmt.Sprintf("column %s is NOT NULL, but the event has no %s for it (at %s)", c.Name, c.Type, c.Source()), false
		}
	}
	return "", true
}

// generatedNotNull drops the rows whose generated columns may not be NULL but are.
func (d *decoder) generatedNotNull(recs []Record, b *column.Batch) (dead []DeadLetter) {
	for k := range d.plan.Def.Columns {
		c := &d.plan.Def.Columns[k]
		if !c.NotNull || c.Generated == "" || b.Cols[k].Null == nil {
			continue
		}
		var keep []uint32
		b.Rows(func(i int) {
			if !b.Cols[k].Null[i] {
				keep = append(keep, uint32(i))
				return
			}
			dead = append(dead, newDeadLetter(&recs[i], fmt.Sprintf("column %s is NOT NULL, but %s is NULL", c.Name, c.Generated)))
		})
		if keep == nil {
			keep = []uint32{}
		}
		b.Sel = keep
	}
	return dead
}

// eventTime returns the event time of row i in microseconds, and whether it has one.
func (d *decoder) eventTime(recs []Record, b *column.Batch, i int) (int64, bool) {
	if d.event < 0 {
		return recs[i].Time / 1000, true
	}
	v := b.Cols[d.event]
	return v.I[i], !v.IsNull(i)
}

func newFormat(d *decoder) (format, error) {
	switch d.plan.Def.Format {
	case FormatJSON:
		return newJSONFormat(d)
	case FormatRegex:
		return newRegexFormat(d)
	case FormatCombined:
		return newCombinedFormat(d)
	default:
		return nil, fmt.Errorf("format %q is not known; use json, regex or combined", d.plan.Def.Format)
	}
}

// jsonFormat reads fields of a JSON object by path.
type jsonFormat struct {
	parser fastjson.Parser
	scan   *jsonScan // nil where every event needs the parser
	fields []jsonField
	buf    []byte
}

type jsonField struct {
	col  int
	path []string
	set  setter
}

func newJSONFormat(d *decoder) (*jsonFormat, error) {
	f := &jsonFormat{}
	var kinds []column.Kind
	for i := range d.plan.Def.Columns {
		c := &d.plan.Def.Columns[i]
		path := []string{c.Name}
		if c.Path != "" {
			var err error
			if path, err = ParsePath(c.Path); err != nil {
				return nil, &DefinitionError{Column: c.Name, Err: err}
			}
		}
		set, err := newSetter(c, d.timeFormat(i))
		if err != nil {
			return nil, err
		}
		if d.needed[i] && c.Generated == "" {
			f.fields = append(f.fields, jsonField{col: i, path: path, set: set})
			kinds = append(kinds, c.Type.Kind)
		}
	}
	f.scan = newJSONScan(f.fields, kinds)
	return f, nil
}

// timeFormat is the time_format that applies to a column.
func (d *decoder) timeFormat(col int) string {
	if col == d.event {
		return d.plan.Def.TimeFormat
	}
	return ""
}

// keep copies x into the arena.
func (d *decoder) keep(x []byte) string {
	n := len(d.arena)
	d.arena = append(d.arena, x...)
	return text(d.arena[n:])
}

func (f *jsonFormat) row(d *decoder, b *column.Batch, i int, payload []byte) (string, bool) {
	if f.scan != nil && f.scan.scan(payload) {
		f.fill(b, i, payload)
		return "", true
	}
	doc, err := f.parser.ParseBytes(payload)
	if err != nil {
		if len(bytes.TrimSpace(payload)) == 0 {
			return "the event is empty", false
		}
		return "the event is not JSON: " + strings.TrimPrefix(err.Error(), "cannot parse JSON: "), false
	}
	if doc.Type() != fastjson.TypeObject {
		return fmt.Sprintf("the event is a JSON %s, not an object", doc.Type()), false
	}
	for k := range f.fields {
		field := &f.fields[k]
		v := b.Cols[field.col]
		if !f.set(d, doc.Get(field.path...), field, v, i) {
			v.SetNull(i, b.Len)
		}
	}
	return "", true
}

// set puts a JSON value into row i and says whether the column can hold it.
func (f *jsonFormat) set(d *decoder, j *fastjson.Value, field *jsonField, v *column.Vector, i int) bool {
	if j == nil {
		return false
	}
	switch j.Type() {
	case fastjson.TypeNull:
		return v.Kind == column.JSON && field.set.raw(v, i, "null")
	case fastjson.TypeString:
		if v.Kind == column.JSON {
			break
		}
		s := j.GetStringBytes()
		// The parser's memory is used again for the next event.
		if v.Kind.IsText() {
			return field.set.text(v, i, d.keep(s))
		}
		return field.set.text(v, i, text(s))
	case fastjson.TypeTrue, fastjson.TypeFalse:
		if v.Kind != column.JSON {
			return field.set.truth(v, i, j.Type() == fastjson.TypeTrue)
		}
	case fastjson.TypeNumber:
		f.buf = j.MarshalTo(f.buf[:0])
		if v.Kind == column.JSON || v.Kind.IsText() {
			return field.set.raw(v, i, d.keep(f.buf))
		}
		return field.set.number(v, i, text(f.buf))
	}
	if v.Kind != column.JSON {
		return false // an object or array
	}
	f.buf = j.MarshalTo(f.buf[:0])
	return field.set.raw(v, i, d.keep(f.buf))
}

// ParsePath splits a JSON path such as $.request.target, $.tags[0] or
// $."a key" into the keys and indexes it goes through.
func ParsePath(path string) ([]string, error) {
	rest, ok := strings.CutPrefix(path, "$")
	if !ok {
		return nil, fmt.Errorf("path '%s' must begin with $, as in '$.request.target'", path)
	}
	var keys []string
	for rest != "" {
		key, after, ok := pathStep(rest)
		if !ok {
			return nil, fmt.Errorf("path '%s' is not understood at '%s'; write '$.key', '$.key.inner', '$.list[0]' or '$.\"a key\"'", path, rest)
		}
		keys, rest = append(keys, key), after
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("path '%s' names no field; write '$.key'", path)
	}
	return keys, nil
}

var (
	pathKey    = regexp.MustCompile(`^\.([^."\[\]\s*]+)`)
	pathQuoted = regexp.MustCompile(`^\.?(?:"([^"]+)"|\["([^"]+)"\])`)
	pathIndex  = regexp.MustCompile(`^\[(\d+)\]`)
)

func pathStep(s string) (key, rest string, ok bool) {
	for _, re := range []*regexp.Regexp{pathKey, pathIndex, pathQuoted} {
		if m := re.FindStringSubmatch(s); m != nil {
			return strings.Join(m[1:], ""), s[len(m[0]):], true
		}
	}
	return "", "", false
}
