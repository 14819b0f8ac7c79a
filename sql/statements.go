package sql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"weir/sql/ddl"
	"weir/sql/gmsx"
	"weir/views"
	"weir/views/column"
)

// parse is the front parser: it takes the statements that MySQL's grammar lacks.
func (s *Server) parse(ctx context.Context, query string) (gmsx.Statement, bool, error) {
	stmt, err := ddl.Parse(query)
	if err != nil {
		return nil, true, gmsx.Error(1064, "42000", "%s", err)
	}
	if stmt == nil {
		own := s.parseShowView(query, gmsx.CurrentDatabase(ctx))
		if own == nil {
			own = s.parseExplain(query)
		}
		return own, own != nil, nil
	}
	st := &statement{server: s, text: query, parsed: stmt, database: gmsx.CurrentDatabase(ctx)}
	switch stmt.(type) {
	case *ddl.ShowStreams:
		st.schema = textSchema("Stream", "Subjects", "Format", "Events", "Views")
	case *ddl.ShowCreateStream:
		st.schema = textSchema("Stream", "Create Stream")
	case *ddl.ShowViews:
		st.schema = textSchema("View", "Stream", "Mode", "State", "Rows", "Definition")
	case *ddl.ShowCreateView:
		st.schema = textSchema("View", "Create Materialized View")
	case *ddl.AuditView:
		st.schema = auditSchema
	}
	return st, true, nil
}

// A statement is one of weir's own.
type statement struct {
	server   *Server
	text     string
	parsed   ddl.Statement
	schema   gms.Schema
	database string // the session's current one, "" if it has none
}

var _ gmsx.Statement = (*statement)(nil)

func textSchema(names ...string) (s gms.Schema) {
	for _, n := range names {
		s = append(s, &gms.Column{Name: n, Type: types.LongText})
	}
	return s
}

// Schema implements gmsx.Statement.
func (st *statement) Schema() gms.Schema { return st.schema }

// ReadOnly implements gmsx.Statement.
func (st *statement) ReadOnly() bool { return st.schema != nil }

// Access implements gmsx.Statement.
func (st *statement) Access() gmsx.Access {
	name := func(p gmsx.Privilege, n ddl.Name) gmsx.Access {
		db := cmp.Or(n.Database, st.database, views.DefaultDatabase)
		return gmsx.Access{Privilege: p, Database: db, Table: n.Name}
	}
	switch p := st.parsed.(type) {
	case *ddl.CreateStream:
		return name(gmsx.PrivilegeCreate, p.Name)
	case *ddl.DropStream:
		return name(gmsx.PrivilegeDrop, p.Name)
	case *ddl.CreateView: // and SELECT on the stream, when that is known
		if p.OrReplace {
			return name(gmsx.PrivilegeCreate+","+gmsx.PrivilegeDrop, p.Name)
		}
		return name(gmsx.PrivilegeCreate, p.Name)
	case *ddl.DropView:
		return name(gmsx.PrivilegeDrop, p.Name)
	case *ddl.RefreshView:
		return name(gmsx.PrivilegeAlter, p.Name)
	case *ddl.AlterView:
		return name(gmsx.PrivilegeAlter, p.Name)
	case *ddl.AuditView: // which is as much work as a REFRESH
		return name(gmsx.PrivilegeAlter, p.Name)
	case *ddl.ShowCreateStream:
		return name(gmsx.PrivilegeSelect, p.Name)
	case *ddl.ShowCreateView:
		return name(gmsx.PrivilegeSelect, p.Name)
	default:
		return gmsx.Access{}
	}
}

// RowIter implements gmsx.Statement: it runs the statement.
func (st *statement) RowIter(ctx *gms.Context) (gms.RowIter, error) {
	rows, err := st.do(ctx)
	switch st.parsed.(type) {
	case *ddl.CreateStream, *ddl.DropStream, *ddl.CreateView, *ddl.DropView, *ddl.AlterView:
		if f := st.server.cfg.Defined; f != nil {
			f()
		}
	}
	return rows, err
}

func (st *statement) do(ctx *gms.Context) (gms.RowIter, error) {
	switch p := st.parsed.(type) {
	case *ddl.CreateStream:
		return nil, st.createStream(ctx, p)
	case *ddl.DropStream:
		db, name := qualified(ctx, p.Name)
		err := st.server.cfg.Engine.DropStream(ctx, db, name)
		if p.IfExists && errors.Is(err, views.ErrUnknown) {
			noted(ctx, 1051, err)
			return nil, nil
		}
		return nil, st.unknown(err, db, name)
	case *ddl.ShowStreams:
		return st.showStreams(ctx, p)
	case *ddl.ShowCreateStream:
		return st.showCreateStream(ctx, p)
	case *ddl.CreateView:
		return nil, st.createView(ctx, p)
	case *ddl.DropView:
		db, name := qualified(ctx, p.Name)
		err := st.server.cfg.Engine.DropView(ctx, db, name)
		if p.IfExists && errors.Is(err, views.ErrUnknown) {
			noted(ctx, 1051, err)
			return nil, nil
		}
		return nil, st.unknown(err, db, name)
	case *ddl.ShowViews:
		return st.showViews(ctx, p)
	case *ddl.ShowCreateView:
		return st.showCreateView(ctx, p)
	case *ddl.RefreshView:
		return st.refreshView(ctx, p)
	case *ddl.AlterView:
		return nil, st.alterView(ctx, p)
	case *ddl.AuditView:
		return st.auditView(ctx, p)
	default:
		return nil, fmt.Errorf("no way to run %T", st.parsed)
	}
}

func (st *statement) refreshView(ctx *gms.Context, p *ddl.RefreshView) (gms.RowIter, error) {
	db, name := qualified(ctx, p.Name)
	v, err := st.server.cfg.Engine.View(db, name)
	if err != nil {
		return nil, st.unknown(err, db, name)
	}
	note, err := st.server.cfg.Engine.Refresh(ctx, v, p.Full)
	if err != nil {
		cancelKilled(ctx, err)
		return nil, sqlError(err)
	}
	return doneWithNote(ctx, note), nil
}

// cancelKilled cancels the build that a statement has left because of KILL. One
// that was left because the client is gone goes on.
func cancelKilled(ctx *gms.Context, err error) {
	var left *views.LeftError
	if errors.As(err, &left) && gmsx.Killed(ctx) {
		left.Cancel()
	}
}

// doneWithNote is the result of a statement without rows that was done, with a
// note on how: a warning, as MySQL has them, and the text of the result.
func doneWithNote(ctx *gms.Context, note string) gms.RowIter {
	if note == "" {
		return nil
	}
	ctx.Warn(1105, "%s", note)
	return gms.RowsToRowIter(gms.NewRow(types.OkResult{Info: info(note)}))
}

// info is the text of a result without rows.
type info string

func (i info) String() string { return string(i) }

var auditSchema = gms.Schema{
	{Name: "view", Type: types.LongText},
	{Name: "seq", Type: types.Uint64},
	{Name: "rows_compared", Type: types.Uint64},
	{Name: "rows_different", Type: types.Uint64},
	{Name: "first_difference", Type: types.LongText, Nullable: true},
	{Name: "seconds", Type: types.Float64},
	{Name: "rows_kept", Type: types.Uint64},
}

func (st *statement) auditView(ctx *gms.Context, p *ddl.AuditView) (gms.RowIter, error) {
	db, name := qualified(ctx, p.Name)
	v, err := st.server.cfg.Engine.View(db, name)
	if err != nil {
		return nil, st.unknown(err, db, name)
	}
	a, err := st.server.cfg.Engine.Audit(ctx, v)
	if err != nil {
		return nil, sqlError(err)
	}
	seconds := math.Round(a.Took.Seconds()*1000) / 1000
	return gms.RowsToRowIter(gms.Row{v.Def().Name, a.Seq, a.Compared, a.Different, orNull(a.First), seconds, a.Kept}), nil
}

// qualified returns the database and name that a statement means.
func qualified(ctx *gms.Context, n ddl.Name) (database, name string) {
	if n.Database != "" {
		return n.Database, n.Name
	}
	if db := ctx.GetCurrentDatabase(); db != "" {
		return db, n.Name
	}
	return views.DefaultDatabase, n.Name
}

// checkDatabase returns an error for a database that holds no streams and views.
func (s *Server) checkDatabase(database string) error {
	if s.database(database) != "" {
		return nil
	}
	if strings.EqualFold(database, systemDatabase) || strings.EqualFold(database, "information_schema") {
		return gmsx.Error(1044, "42000", "database %s is weir's own: create streams and views in %s", database, views.DefaultDatabase)
	}
	return gmsx.Error(1049, "42000", "Unknown database '%s'", database)
}

// checkUnused returns an error where a table or an ordinary view has one of the
// names. Streams and materialized views the engine itself keeps apart.
func (s *Server) checkUnused(database string, names ...string) error {
	for _, name := range names {
		switch table, view := s.tables.Has(database, name); {
		case table:
			return gmsx.Error(1050, "42S01", "Table '%s' already exists", name)
		case view:
			return gmsx.Error(1050, "42S01", "Table '%s' already exists: it is a view", name)
		}
	}
	return nil
}

// errNotYet is what an option is that later versions take.
var errNotYet = errors.New("is not in this version")

// unknown is sqlError. To what is not known it adds what was meant.
func (st *statement) unknown(err error, database, name string) error {
	if !errors.Is(err, views.ErrUnknown) {
		return sqlError(err)
	}
	if dbErr := st.server.checkDatabase(database); dbErr != nil {
		return dbErr
	}
	engine := st.server.cfg.Engine
	if v, layer, _ := findLayer(engine, database, name); v != nil {
		if layer != views.Serving {
			return gmsx.Error(1347, "HY000", "%s is a layer of the materialized view %s: name that", name, v.Def().Name)
		}
		return gmsx.Error(1347, "HY000", "%s is a materialized view%s", name, st.other())
	}
	if _, ok := engine.Stream(database, name); ok {
		return gmsx.Error(1347, "HY000", "%s is a stream%s", name, st.other())
	}
	switch table, view := st.server.tables.Has(database, name); {
	case table:
		return gmsx.Error(1347, "HY000", "%s is a table", name)
	case view:
		return gmsx.Error(1347, "HY000", "%s is an ordinary view", name)
	}
	var names []string
	list, _ := engine.Views()
	for _, v := range list {
		if strings.EqualFold(v.Def().Database, database) {
			names = append(names, v.Def().Name)
		}
	}
	for _, s := range engine.Streams() {
		if strings.EqualFold(s.Def.Database, database) {
			names = append(names, s.Def.Name)
		}
	}
	if near := ddl.Nearest(name, names); near != "" {
		return gmsx.Error(1146, "42S02", "%s: did you mean %s?", err, near)
	}
	return sqlError(err)
}

// other names the statement that does with a view what this one does with a
// stream, or the other way round, where there is one.
func (st *statement) other() string {
	switch p := st.parsed.(type) {
	case *ddl.DropStream:
		return ": use DROP MATERIALIZED VIEW " + ddl.QuoteName(p.Name.Name)
	case *ddl.DropView:
		return ": use DROP STREAM " + ddl.QuoteName(p.Name.Name)
	case *ddl.ShowCreateStream:
		return ": use SHOW CREATE MATERIALIZED VIEW " + ddl.QuoteName(p.Name.Name)
	case *ddl.ShowCreateView:
		return ": use SHOW CREATE STREAM " + ddl.QuoteName(p.Name.Name)
	}
	return ", not a materialized view"
}

// noted tells of what IF EXISTS or IF NOT EXISTS has passed over: a note, as
// MySQL gives.
func noted(ctx *gms.Context, number int, err error) {
	ctx.Session.Warn(&gms.Warning{Level: "Note", Code: number, Message: err.Error()})
}

// optionError points at the value of an option, or at its name.
func (st *statement) optionError(o ddl.Option, err error) error {
	if errors.Is(err, errNotYet) {
		return st.errorAt(1235, "42000", o.Pos, fmt.Errorf("the option %s %w", o.Name, err))
	}
	return st.errorAt(1231, "42000", o.ValuePos, fmt.Errorf("%s: %w", o.Name, err))
}

func (st *statement) createStream(ctx *gms.Context, p *ddl.CreateStream) error {
	def := &views.StreamDef{Format: views.FormatJSON}
	def.Database, def.Name = qualified(ctx, p.Name)
	if err := st.server.checkDatabase(def.Database); err != nil {
		return err
	}
	def.Database = st.server.database(def.Database)
	release, err := st.server.claim(ctx, def.Database, def.Name)
	if err != nil {
		return err
	}
	defer release()
	if err := st.server.checkUnused(def.Database, def.Name); err != nil {
		return err
	}
	for _, c := range p.Columns {
		t, err := parseType(c.Type)
		if err != nil {
			return gmsx.Error(1064, "42000", "%s", ddl.NewError(st.text, c.Pos, err.Error()))
		}
		def.Columns = append(def.Columns, views.ColumnDef{
			Name: c.Name, Type: t, NotNull: c.NotNull, Path: c.Path, Generated: c.Generated, Comment: c.Comment,
		})
	}
	def.Subjects = []string{strings.ToLower(def.Name)}
	if def.Database != views.DefaultDatabase {
		def.Subjects[0] = strings.ToLower(def.Database) + "." + def.Subjects[0]
	}
	for _, o := range p.Options {
		if err := streamOption(def, o); err != nil {
			return st.optionError(o, err)
		}
	}
	plain := *p
	plain.IfNotExists = false
	plain.Name = ddl.Name{Name: def.Name}
	def.Text = plain.String()
	if o, given := p.Options.Get("pattern"); given && def.Format != views.FormatRegex {
		return st.optionError(o, errors.New("it is for format = 'regex' alone"))
	}
	if def.DedupWindow > 0 && def.DedupWindow <= def.DuplicateWindow {
		o, _ := p.Options.Get("dedup_window")
		return st.optionError(o, fmt.Errorf("the log itself knows an event again for the duplicate_window of %s: make it longer than that, or leave it out",
			ddl.FormatDuration(def.DuplicateWindow)))
	}
	if name, err := checkEventTime(def); err != nil {
		o, _ := p.Options.Get(name)
		return st.optionError(o, err)
	}
	err = st.server.cfg.Engine.CreateStream(ctx, def)
	if p.IfNotExists && errors.Is(err, views.ErrExists) {
		noted(ctx, 1050, err)
		return nil
	}
	return st.streamError(p, err)
}

// streamError is sqlError, and points at the option or column that is wrong.
func (st *statement) streamError(p *ddl.CreateStream, err error) error {
	var def *views.DefinitionError
	if !errors.As(err, &def) {
		return sqlError(err)
	}
	if o, ok := p.Options.Get(def.Option); ok {
		return st.optionError(o, def.Err)
	}
	pos := p.Name.Pos
	for _, c := range p.Columns {
		if c.Name == def.Column {
			pos = c.Pos
		}
	}
	return st.errorAt(1064, "42000", pos, def)
}

// errorAt points at a place of the statement. An error with a number of its
// own keeps it.
func (st *statement) errorAt(number int, state string, pos int, err error) error {
	var own *codedError
	if errors.As(err, &own) {
		number, state = own.number, own.state
	}
	return gmsx.Error(number, state, "%s", strings.TrimPrefix(ddl.NewError(st.text, pos, err.Error()).Error(), "syntax "))
}

// checkEventTime returns the option that is wrong, and why.
func checkEventTime(def *views.StreamDef) (option string, err error) {
	if def.EventTime == "" {
		if def.TimeFormat != "" {
			return "time_format", errors.New("it is the format of the event_time column: name that with event_time = '…'")
		}
		return "", nil
	}
	var names []string
	for _, c := range def.Columns {
		if strings.EqualFold(c.Name, def.EventTime) {
			if c.Type.Kind != column.Time {
				return "event_time", fmt.Errorf("the column %s must be a DATETIME, not %s", c.Name, c.Type)
			}
			return "", nil
		}
		names = append(names, c.Name)
	}
	if near := ddl.Nearest(def.EventTime, names); near != "" {
		return "event_time", fmt.Errorf("the stream has no column %s: did you mean %s?", def.EventTime, near)
	}
	return "event_time", fmt.Errorf("the stream has no column %s", def.EventTime)
}

// retentionMin is what the log can do.
const retentionMin = 100 * time.Millisecond

func streamOption(def *views.StreamDef, o ddl.Option) (err error) {
	if o.Value == "" {
		return errors.New("it is empty: leave the option out")
	}
	switch o.Name {
	case "subjects":
		def.Subjects, err = ddl.ParseSubjects(o.Value)
	case "format":
		def.Format = strings.ToLower(o.Value)
		switch def.Format {
		case views.FormatJSON, views.FormatRegex, views.FormatCombined:
		default:
			err = fmt.Errorf("%q is not a format: use json, regex or combined", o.Value)
		}
	case "pattern":
		def.Pattern = o.Value
	case "event_time":
		def.EventTime = o.Value
	case "time_format":
		def.TimeFormat = o.Value
	case "retention":
		def.Retention, err = ddl.ParseDuration(o.Value)
		if err == nil && def.Retention > 0 && def.Retention < retentionMin {
			err = fmt.Errorf("the least retention is %s, and 0 keeps everything", ddl.FormatDuration(retentionMin))
		}
	case "max_bytes":
		def.MaxBytes, err = ddl.ParseBytes(o.Value)
	case "duplicate_window":
		def.DuplicateWindow, err = ddl.ParseDuration(o.Value)
	case "dedup_window":
		def.DedupWindow, err = ddl.ParseDuration(o.Value)
	case "replicas":
		if def.Replicas, err = strconv.Atoi(o.Value); err != nil || def.Replicas != 1 {
			err = errors.New("the embedded log keeps one replica: use 1")
		}
	default:
		err = errNotYet
	}
	return err
}

func (st *statement) createView(ctx *gms.Context, p *ddl.CreateView) error {
	database, name := qualified(ctx, p.Name)
	if err := st.server.checkDatabase(database); err != nil {
		return err
	}
	database = st.server.database(database)
	release, err := st.server.claimView(ctx, database, name)
	if err != nil {
		return err
	}
	defer release()
	if err := st.server.checkUnused(database, name, name+"_batch", name+"_speed"); err != nil {
		return err
	}
	engine := st.server.cfg.Engine
	if p.IfNotExists {
		if v, err := engine.View(database, name); err == nil {
			noted(ctx, 1050, fmt.Errorf("materialized view %s %w", v.Def().Name, views.ErrExists))
			return nil
		}
	}
	def, err := st.viewDef(database, name, p)
	if err != nil {
		return err
	}
	of, stream, err := st.server.compiler.StreamName(p.Query)
	if err != nil {
		return st.definitionError(p, err)
	}
	if of != "" && !strings.EqualFold(of, database) {
		return gmsx.Error(1235, "42000", "a view reads a stream of its own database, %s, not of %s", database, of)
	}
	if err := st.server.engine.Authorize(ctx, gmsx.Access{Privilege: gmsx.PrivilegeSelect, Database: database, Table: stream}); err != nil {
		return err
	}
	if def.Stream, err = st.streamName(database, stream); err != nil {
		return err
	}
	if err := st.server.mayPublish(ctx, def.PublishChanges); err != nil {
		return err
	}
	err = engine.CreateView(ctx, def, p.OrReplace)
	if p.IfNotExists && (errors.Is(err, views.ErrExists) || errors.Is(err, views.ErrBuilding)) {
		noted(ctx, 1050, err)
		return nil
	}
	cancelKilled(ctx, err)
	return st.definitionError(p, err)
}

// viewDef returns the definition of a view but for its stream.
func (st *statement) viewDef(database, name string, p *ddl.CreateView) (*views.ViewDef, error) {
	def := &views.ViewDef{
		Database: database, Name: name, Query: p.Query, Mode: views.Lambda,
		BatchInterval: batchIntervalDefault, SpeedRetention: -1, KeepPrevious: keepPreviousDefault, Delivery: views.ExactlyOnce,
	}
	for _, o := range p.Options {
		if err := viewOption(def, o); err != nil {
			return nil, st.optionError(o, err)
		}
	}
	if def.SpeedRetention < 0 {
		def.SpeedRetention = def.BatchInterval
	}
	for _, name := range lambdaOptions {
		if o, given := p.Options.Get(name); given && def.Mode == views.Kappa {
			return nil, st.optionError(o, errors.New("a kappa view has no batch layer: leave the option out, or use mode = 'lambda'"))
		}
	}
	plain := *p
	plain.IfNotExists, plain.OrReplace = false, false
	plain.Name = ddl.Name{Name: name}
	def.Text = plain.String()
	return def, nil
}

// lambdaOptions are the options that only a view with a batch layer has.
var lambdaOptions = []string{"batch_interval", "batch_events", "speed_retention"}

// alterView gives a view the options of its definition with those of SET in
// their place.
func (st *statement) alterView(ctx *gms.Context, p *ddl.AlterView) error {
	db, name := qualified(ctx, p.Name)
	engine := st.server.cfg.Engine
	v, err := engine.View(db, name)
	if err != nil {
		return st.unknown(err, db, name)
	}
	if p.Rollback {
		return st.unknown(engine.Rollback(db, name), db, name)
	}
	if o, ok := p.Set.Get("publish_changes"); ok {
		if err := st.server.mayPublish(ctx, o.Value); err != nil {
			return err
		}
	}
	err = engine.AlterView(ctx, v, func(old *views.ViewDef) (*views.ViewDef, error) { return st.altered(old, p.Set) })
	var wrong *views.DefinitionError
	if errors.As(err, &wrong) {
		if o, ok := p.Set.Get(wrong.Option); ok {
			return st.optionError(o, wrong.Err)
		}
	}
	return sqlError(err)
}

// streamName returns the name of a stream as it was created, or an error that
// helps to find what was meant.
func (st *statement) streamName(database, name string) (string, error) {
	engine := st.server.cfg.Engine
	if s, ok := engine.Stream(database, name); ok {
		return s.Def.Name, nil
	}
	if v, _, err := findLayer(engine, database, name); v != nil || err != nil {
		return "", gmsx.Error(1347, "HY000", "%s is a materialized view, not a stream: a definition reads a stream; aggregate a view further when reading it", name)
	}
	var names []string
	for _, s := range engine.Streams() {
		if strings.EqualFold(s.Def.Database, database) {
			names = append(names, s.Def.Name)
		}
	}
	if near := ddl.Nearest(name, names); near != "" {
		return "", gmsx.Error(1146, "42S02", "stream %s does not exist: did you mean %s?", name, near)
	}
	return "", gmsx.Error(1146, "42S02", "stream %s does not exist: make it with CREATE STREAM", name)
}

// definitionError is sqlError, and finds where in the statement a SELECT is
// that did not parse.
func (st *statement) definitionError(p *ddl.CreateView, err error) error {
	var syntax *selectError
	if errors.Is(err, views.ErrBuilding) && !p.OrReplace {
		return gmsx.Error(1050, "42S01", "%s: drop it first, or use CREATE OR REPLACE once it is done", err)
	}
	var wrong *views.DefinitionError
	if errors.As(err, &wrong) {
		if o, ok := p.Options.Get(wrong.Option); ok {
			return st.optionError(o, wrong.Err)
		}
	}
	if !errors.As(err, &syntax) {
		return sqlError(err)
	}
	what := "the SELECT cannot be read from here on"
	if syntax.pos == len(syntax.text) {
		what = "the SELECT ends too early"
	}
	return gmsx.Error(1064, "42000", "%s", ddl.NewError(st.text, p.QueryPos+syntax.pos, what))
}

func viewOption(def *views.ViewDef, o ddl.Option) (err error) {
	switch o.Name {
	case "mode":
		switch def.Mode = views.Mode(strings.ToLower(o.Value)); def.Mode {
		case views.Lambda, views.Kappa:
		default:
			err = fmt.Errorf("%q is not a mode: use lambda (batch and speed layer) or kappa (speed layer alone)", o.Value)
		}
	case "batch_interval":
		var d time.Duration
		if d, err = ddl.ParseDuration(o.Value); err == nil && d < batchIntervalMin {
			err = fmt.Errorf("the least interval is %s", ddl.FormatDuration(batchIntervalMin))
		}
		def.BatchInterval = d
	case "speed_retention":
		def.SpeedRetention, err = ddl.ParseDuration(o.Value)
	case "retention":
		def.Retention, err = ddl.ParseDuration(o.Value)
	case "replay_rate":
		def.ReplayRate, err = strconv.ParseUint(o.Value, 10, 64)
		if err != nil {
			err = errors.New("the rate is a whole number of events a second, and 0 is no bound")
		}
	case "batch_events":
		def.BatchEvents, err = strconv.ParseUint(o.Value, 10, 64)
		if err != nil || def.BatchEvents == 0 {
			err = errors.New("the number of events is a whole one above 0")
		}
	case "keep_previous":
		def.KeepPrevious, err = ddl.ParseDuration(o.Value)
	case "publish_changes":
		switch def.PublishChanges = o.Value; o.Value {
		case "": // none
		case "true", "false":
			err = errors.New("it is the subject that changed rows are sent to, such as 'views.requests'; '' sends none")
		default:
			err = ddl.CheckLiteralSubject(o.Value)
		}
	case "delivery":
		switch def.Delivery = views.Delivery(strings.ToLower(o.Value)); def.Delivery {
		case views.ExactlyOnce, views.AtLeastOnce, views.AtMostOnce:
		default:
			err = fmt.Errorf("%q is not a guarantee: use exactly_once, at_least_once or at_most_once", o.Value)
		}
	default:
		err = errNotYet
	}
	return err
}

// altered returns a definition with the options of SET in the place of its own.
func (st *statement) altered(old *views.ViewDef, set ddl.Options) (*views.ViewDef, error) {
	parsed, err := ddl.Parse(old.Text)
	if err != nil {
		return nil, err
	}
	create, ok := parsed.(*ddl.CreateView)
	if !ok {
		return nil, fmt.Errorf("the definition of %s is no CREATE MATERIALIZED VIEW", old.Name)
	}
	if mode, given := set.Get("mode"); given && strings.EqualFold(mode.Value, string(views.Kappa)) {
		// What only lambda has goes with it, but for what SET itself says.
		for _, n := range lambdaOptions {
			create.Options = create.Options.Without(n)
		}
	}
	for _, o := range set {
		create.Options = create.Options.With(o)
	}
	def, err := st.viewDef(old.Database, old.Name, create)
	if err != nil {
		return nil, err
	}
	def.Stream = old.Stream
	return def, nil
}

func (st *statement) showStreams(ctx *gms.Context, p *ddl.ShowStreams) (gms.RowIter, error) {
	if err := st.server.checkShown(p.Database); err != nil {
		return nil, err
	}
	var rows []gms.Row
	list, _ := st.server.cfg.Engine.Views()
	for _, s := range st.server.cfg.Engine.Streams() {
		if !matches(p.Like, s.Def.Name) || !inDatabase(ctx, p.Database, s.Def.Database) || !st.server.sees(ctx, s.Def.Database, s.Def.Name) {
			continue
		}
		state, err := s.Log().State(ctx)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, v := range list {
			if v.Stream() == s && st.server.sees(ctx, v.Def().Database, v.Def().Name) {
				names = append(names, v.Def().Name)
			}
		}
		rows = append(rows, gms.Row{
			s.Def.Name, strings.Join(s.Def.Subjects, ", "), s.Def.Format, strconv.FormatUint(state.Messages, 10), strings.Join(names, ", "),
		})
	}
	return gms.RowsToRowIter(rows...), nil
}

// checkShown returns an error for a database that is not there; "" is the
// current one.
func (s *Server) checkShown(database string) error {
	if database == "" || strings.EqualFold(database, systemDatabase) {
		return nil
	}
	return s.checkDatabase(database)
}

func inDatabase(ctx *gms.Context, asked, has string) bool {
	db, _ := qualified(ctx, ddl.Name{Database: asked})
	return strings.EqualFold(db, has)
}

func (st *statement) showCreateStream(ctx *gms.Context, p *ddl.ShowCreateStream) (gms.RowIter, error) {
	db, name := qualified(ctx, p.Name)
	s, ok := st.server.cfg.Engine.Stream(db, name)
	if !ok {
		return nil, st.unknown(fmt.Errorf("stream %s %w", name, views.ErrUnknown), db, name)
	}
	return gms.RowsToRowIter(gms.Row{s.Def.Name, s.Def.Text}), nil
}

func (st *statement) showViews(ctx *gms.Context, p *ddl.ShowViews) (gms.RowIter, error) {
	if err := st.server.checkShown(p.Database); err != nil {
		return nil, err
	}
	infos, err := st.server.cfg.Engine.ViewInfos(ctx)
	if err != nil {
		return nil, err
	}
	var rows []gms.Row
	for _, v := range infos {
		if matches(p.Like, v.Def.Name) && inDatabase(ctx, p.Database, v.Def.Database) && st.server.sees(ctx, v.Def.Database, v.Def.Name) {
			rows = append(rows, gms.Row{v.Def.Name, v.Def.Stream, string(v.Def.Mode), v.State, strconv.FormatUint(v.Rows, 10), v.Def.Query})
		}
	}
	return gms.RowsToRowIter(rows...), nil
}

func (st *statement) showCreateView(ctx *gms.Context, p *ddl.ShowCreateView) (gms.RowIter, error) {
	db, name := qualified(ctx, p.Name)
	infos, err := st.server.cfg.Engine.ViewInfos(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range infos {
		if strings.EqualFold(v.Def.Name, name) && strings.EqualFold(v.Def.Database, db) {
			return gms.RowsToRowIter(gms.Row{v.Def.Name, v.Def.Text}), nil
		}
	}
	return nil, st.unknown(fmt.Errorf("materialized view %s %w", name, views.ErrUnknown), db, name)
}

// matches says whether a name is like a pattern of LIKE, without case.
func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	return likeMatch([]rune(strings.ToLower(pattern)), []rune(strings.ToLower(name)))
}

func likeMatch(p, s []rune) bool {
	for len(p) > 0 {
		switch p[0] {
		case '%':
			for i := 0; i <= len(s); i++ {
				if likeMatch(p[1:], s[i:]) {
					return true
				}
			}
			return false
		case '\\':
			if len(p) > 1 {
				p = p[1:]
			}
			fallthrough
		default:
			if len(s) == 0 || p[0] != s[0] && p[0] != '_' {
				return false
			}
		}
		p, s = p[1:], s[1:]
	}
	return len(s) == 0
}
