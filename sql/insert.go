package sql

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/gmsx"
	"weir/views"
	"weir/views/column"
)

// insertBatch bounds the events that INSERT publishes at a time.
const insertBatch = 1000

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
// else a JSON object of its columns.
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
	if p := text(views.ExtraPayload); p != "" {
		msg.Payload = []byte(p)
		return msg, nil
	}
	if t.stream.Def.Format != views.FormatJSON {
		return msg, gmsx.Error(1235, "42000", "the events of stream %s are in format %s: insert the whole text as _payload", t.Name(), t.stream.Def.Format)
	}
	event := map[string]any{}
	for i := range t.stream.Def.Columns {
		c := &t.stream.Def.Columns[i]
		if c.Generated != "" || row[i] == nil {
			continue
		}
		v := fromEngine(ctx, row[i], t.schema[i].Type, c.Type)
		if err := putPath(event, c, t.jsonValue(c, v)); err != nil {
			return msg, err
		}
	}
	var err error
	msg.Payload, err = marshal(event)
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

// putPath puts a value where a column's path says.
func putPath(event map[string]any, c *views.ColumnDef, v any) error {
	path := []string{c.Name}
	if c.Path != "" {
		var err error
		if path, err = views.ParsePath(c.Path); err != nil {
			return err
		}
	}
	for _, key := range path[:len(path)-1] {
		next, ok := event[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			event[key] = next
		}
		event = next
	}
	event[path[len(path)-1]] = v
	return nil
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
func (s *Server) rewrite(stmt ast.Statement) (ast.Statement, error) {
	if in, ok := stmt.(*ast.Insert); ok {
		s.nameInsertColumns(in)
	}
	return rewriteStatement(stmt)
}

// nameInsertColumns gives an INSERT into a stream without a list of columns
// the stream's own columns that are not generated: those that an event has.
func (s *Server) nameInsertColumns(in *ast.Insert) {
	db := in.Table.DbQualifier.String()
	if db == "" {
		db = views.DefaultDatabase
	}
	stream, ok := s.cfg.Engine.Stream(db, in.Table.Name.String())
	if !ok || len(in.Columns) > 0 {
		return
	}
	for _, c := range stream.Def.Columns {
		if c.Generated == "" {
			in.Columns = append(in.Columns, ast.NewColIdent(c.Name))
		}
	}
}
