package sql

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/gmsx"
	"weir/views"
	"weir/views/column"
)

// insertBatch bounds the events that INSERT publishes at a time.
const insertBatch = 1000

// IsTemporary implements gms.TemporaryTable: the engine asks every table in a
// transaction that is READ ONLY.
func (t *streamTable) IsTemporary() bool { return false }

// Inserter implements gms.InsertableTable: INSERT publishes.
func (t *streamTable) Inserter(*gms.Context) gms.RowInserter { return &inserter{t: t} }

// An inserter turns rows into events. The statement returns once the log has
// acknowledged them; events of a statement that fails may stay, as with any
// publisher.
type inserter struct {
	t    *streamTable
	msgs []views.Message
}

// StatementBegin implements gms.RowInserter.
func (in *inserter) StatementBegin(*gms.Context) {}

// DiscardChanges implements gms.RowInserter.
func (in *inserter) DiscardChanges(*gms.Context, error) error {
	in.msgs = nil
	return nil
}

// StatementComplete implements gms.RowInserter.
func (in *inserter) StatementComplete(ctx *gms.Context) error { return in.publish(ctx) }

// Close implements gms.RowInserter.
func (in *inserter) Close(ctx *gms.Context) error { return in.publish(ctx) }

func (in *inserter) publish(ctx *gms.Context) error {
	if len(in.msgs) == 0 {
		return nil
	}
	_, err := in.t.engine.Publish(ctx, in.t.stream, in.msgs)
	in.msgs = nil
	return err
}

// Insert implements gms.RowInserter.
func (in *inserter) Insert(ctx *gms.Context, row gms.Row) error {
	msg, err := in.t.message(ctx, row)
	if err != nil {
		return err
	}
	if in.msgs = append(in.msgs, msg); len(in.msgs) >= insertBatch {
		return in.publish(ctx)
	}
	return nil
}

// message is a row as an event: its _payload where the statement gave one,
// else a JSON object of its columns. What the statement left out is NULL, see
// openInserts.
func (t *streamTable) message(ctx *gms.Context, row gms.Row) (views.Message, error) {
	text := func(extra int) string {
		s, _ := toText(row[t.extra(extra)])
		return s
	}
	msg := views.Message{Subject: text(views.ExtraSubject), ID: text(views.ExtraID)}
	if msg.Subject != "" && !t.takes(msg.Subject) {
		return msg, gmsx.Error(1366, "HY000", "stream %s does not take the subject '%s': it takes %s", t.Name(), msg.Subject, strings.Join(t.stream.Def.Subjects, ", "))
	}
	if msg.Subject == "" && strings.ContainsAny(t.stream.Def.Subjects[0], "*>") {
		return msg, gmsx.Error(1364, "HY000", "the subject of stream %s is %s: say which one with the column _subject", t.Name(), t.stream.Def.Subjects[0])
	}
	if row[t.extra(views.ExtraPayload)] != nil {
		msg.Payload = []byte(text(views.ExtraPayload))
		return msg, nil
	}
	if t.stream.Def.Format != views.FormatJSON {
		return msg, gmsx.Error(1235, "42000", "the events of stream %s are in format %s: insert the whole text as _payload", t.Name(), t.stream.Def.Format)
	}
	var event object
	for i := range t.stream.Def.Columns {
		c := &t.stream.Def.Columns[i]
		if c.Generated != "" {
			continue
		}
		if row[i] == nil {
			if c.NotNull {
				return msg, gmsx.Error(1048, "23000", "Column '%s' cannot be null", c.Name)
			}
			continue
		}
		v := fromEngine(ctx, row[i], t.schema[i].Type, c.Type)
		if err := event.putPath(c, t.jsonValue(c, v)); err != nil {
			return msg, err
		}
	}
	var err error
	msg.Payload, err = marshal(&event)
	return msg, err
}

// marshal is JSON without escapes for HTML.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(buf.Bytes()), err
}

// takes says whether one of the stream's subjects matches.
func (t *streamTable) takes(subject string) bool {
	for _, s := range t.stream.Def.Subjects {
		if subjectMatches(strings.Split(s, "."), strings.Split(subject, ".")) {
			return true
		}
	}
	return false
}

func subjectMatches(pattern, subject []string) bool {
	for i, p := range pattern {
		if p == ">" {
			return len(subject) > i
		}
		if i >= len(subject) || p != "*" && p != subject[i] {
			return false
		}
	}
	return len(pattern) == len(subject)
}

// An object is a JSON object with its keys in the order they came.
type object struct {
	keys   []string
	values map[string]any
}

func (o *object) put(key string, v any) {
	if _, has := o.values[key]; !has {
		o.keys = append(o.keys, key)
	}
	if o.values == nil {
		o.values = map[string]any{}
	}
	o.values[key] = v
}

// putPath puts a value where a column's path says.
func (o *object) putPath(c *views.ColumnDef, v any) error {
	path := []string{c.Name}
	if c.Path != "" {
		var err error
		if path, err = views.ParsePath(c.Path); err != nil {
			return err
		}
	}
	last := len(path) - 1
	for _, key := range path[:last] {
		next, ok := o.values[key].(*object)
		if !ok {
			next = &object{}
			o.put(key, next)
		}
		o = next
	}
	o.put(path[last], v)
	return nil
}

// MarshalJSON implements json.Marshaler.
func (o *object) MarshalJSON() ([]byte, error) {
	buf := []byte{'{'}
	for i, key := range o.keys {
		if i > 0 {
			buf = append(buf, ',')
		}
		for _, part := range []any{key, o.values[key]} {
			text, err := marshal(part)
			if err != nil {
				return nil, err
			}
			buf = append(append(buf, text...), ':')
		}
		buf = buf[:len(buf)-1] // the second colon
	}
	return append(buf, '}'), nil
}

// jsonValue is a value as the stream's decoder reads it back.
func (t *streamTable) jsonValue(c *views.ColumnDef, v column.Value) any {
	switch v.Kind {
	case column.Invalid:
		return nil
	case column.Time:
		return t.jsonTime(c, time.UnixMicro(v.I).UTC())
	case column.String, column.Bytes:
		return v.S
	case column.JSON:
		return json.RawMessage(v.S)
	default:
		return json.Number(v.String())
	}
}

func (t *streamTable) jsonTime(c *views.ColumnDef, at time.Time) any {
	if c.Type.Date {
		return at.Format(time.DateOnly)
	}
	format := ""
	if strings.EqualFold(c.Name, t.stream.Def.EventTime) {
		format = t.stream.Def.TimeFormat
	}
	switch format {
	case "unix", "unix_s":
		return json.Number(fmt.Sprintf("%d.%06d", at.Unix(), at.Nanosecond()/1000))
	case "unix_ms":
		return json.Number(strconv.FormatInt(at.UnixMilli(), 10))
	case "unix_us":
		return json.Number(strconv.FormatInt(at.UnixMicro(), 10))
	case "unix_ns":
		return json.Number(strconv.FormatInt(at.UnixNano(), 10))
	default:
		return views.FormatTime(at, format)
	}
}

// rewrite is what the server does to every statement that the engine parses.
func (s *Server) rewrite(stmt ast.Statement, database string) (ast.Statement, error) {
	if err := s.checkWrite(stmt, database); err != nil {
		return nil, err
	}
	stmt, err := rewriteStatement(stmt)
	return stmt, sqlError(err)
}

// nameInsertColumns gives an INSERT into a stream without a list of columns
// the stream's own columns that are not generated: those that an event has. Of
// a list it returns what is wrong with it.
func (w writes) nameInsertColumns(in *ast.Insert) error {
	stream, ok := w.cfg.Engine.Stream(w.of(in.Table), in.Table.Name.String())
	if !ok {
		return nil
	}
	switch {
	case in.Action == ast.ReplaceStr:
		return gmsx.Error(1235, "42000", "REPLACE is not possible in stream %s: events are facts and stay as they are; use INSERT", stream.Def.Name)
	case len(in.OnDup) > 0:
		return gmsx.Error(1235, "42000", "ON DUPLICATE KEY UPDATE is not possible in stream %s: events are facts and stay as they are; events with the same _id are taken once", stream.Def.Name)
	case len(in.Columns) > 0:
		if err := checkInsertColumns(stream.Def, in.Columns); err != nil {
			return err
		}
	default:
		for _, c := range stream.Def.Columns {
			if c.Generated == "" {
				in.Columns = append(in.Columns, ast.NewColIdent(c.Name))
			}
		}
	}
	if rows, ok := in.Rows.(*ast.AliasedValues); ok {
		return openRows(stream.Def, in.Columns, rows.Values)
	}
	return nil
}

// openRows makes DEFAULT what it stands for. It puts literals in parentheses,
// since the engine plans rows of bare literals without our rules, see openInserts.
func openRows(def *views.StreamDef, cols ast.Columns, rows ast.Values) error {
	required := func(col ast.ColIdent) error {
		for _, c := range def.Columns {
			if c.NotNull && col.EqualString(c.Name) {
				return gmsx.Error(1364, "HY000", "Field '%s' doesn't have a default value", c.Name)
			}
		}
		return nil
	}
	for n, row := range rows {
		for i := range row {
			switch e := row[i].(type) {
			case *ast.Default:
				if i < len(cols) {
					if err := required(cols[i]); err != nil {
						return err
					}
				}
				row[i] = &ast.NullVal{}
			case *ast.SQLVal:
				row[i] = &ast.ParenExpr{Expr: e}
			}
		}
		if len(row) == 0 { // VALUES () is DEFAULT in every column
			for _, c := range cols {
				if err := required(c); err != nil {
					return err
				}
				rows[n] = append(rows[n], &ast.NullVal{})
			}
		} else if len(row) != len(cols) {
			return gmsx.Error(1136, "21S01", "Column count doesn't match value count at row %d", n+1)
		}
	}
	return nil
}

// checkInsertColumns refuses columns that nobody can write, and a list that
// lacks one that every event must have.
func checkInsertColumns(def *views.StreamDef, cols ast.Columns) error {
	given := func(name string) bool {
		return slices.ContainsFunc(cols, func(c ast.ColIdent) bool { return c.EqualString(name) })
	}
	for _, c := range cols {
		known := slices.ContainsFunc(def.Columns, func(d views.ColumnDef) bool { return c.EqualString(d.Name) })
		for i := range views.Extras {
			known = known || c.EqualString(views.Extras[i].Name)
		}
		if !known {
			return gmsx.Error(1054, "42S22", "Unknown column '%s' in 'field list'", c)
		}
	}
	for _, extra := range []int{views.ExtraSeq, views.ExtraTime} {
		if name := views.Extras[extra].Name; given(name) {
			return gmsx.Error(3105, "HY000", "The value specified for column '%s' in stream '%s' is not allowed: the log gives it", name, def.Name)
		}
	}
	payload := given(views.Extras[views.ExtraPayload].Name)
	for _, c := range def.Columns {
		switch {
		case c.Generated != "" && given(c.Name):
			return gmsx.Error(3105, "HY000", "The value specified for generated column '%s' in stream '%s' is not allowed", c.Name, def.Name)
		case payload && given(c.Name):
			return gmsx.Error(1110, "42000", "Column '%s' specified twice: _payload is the whole event, give it alone or with _subject and _id", c.Name)
		case c.NotNull && c.Generated == "" && !payload && !given(c.Name):
			return gmsx.Error(1364, "HY000", "Field '%s' doesn't have a default value", c.Name)
		}
	}
	return nil
}

// openInserts lets rows reach an inserter with NULL in any column: that of a
// NOT NULL column may be in the _payload, which only the inserter knows.
func openInserts(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.Node(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		in, ok := n.(*plan.InsertInto)
		if !ok {
			return n, transform.SameTree, nil
		}
		dest, ok := in.Destination.(*plan.InsertDestination)
		if !ok {
			return n, transform.SameTree, nil
		}
		table, err := plan.GetInsertable(dest)
		if err != nil {
			return n, transform.SameTree, err
		}
		if _, ours := table.(*streamTable); !ours {
			return n, transform.SameTree, nil
		}
		open := make(gms.Schema, len(dest.Sch))
		for i, c := range dest.Sch {
			cp := *c
			cp.Nullable = true
			open[i] = &cp
		}
		cp := *in
		cp.Destination = plan.NewInsertDestination(open, dest.Child)
		return &cp, transform.NewTree, nil
	})
	return out, err
}
