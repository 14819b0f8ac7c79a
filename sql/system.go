package sql

import (
	"errors"
	"math"
	"strings"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"weir/sql/ddl"
	"weir/sql/gmsx"
	"weir/views"
)

// The system database holds tables that say what goes on. Their rows are made
// when they are read.
type systemTablesDB struct {
	emptyDatabase
	server *Server
	tables []*systemTable
}

var _ gms.Database = (*systemTablesDB)(nil)

func newSystemDatabase(s *Server) *systemTablesDB {
	return &systemTablesDB{server: s, tables: systemTables(s)}
}

// Name implements gms.Database.
func (d *systemTablesDB) Name() string { return systemDatabase }

// GetTableInsensitive implements gms.Database.
func (d *systemTablesDB) GetTableInsensitive(_ *gms.Context, name string) (gms.Table, bool, error) {
	for _, t := range d.tables {
		if strings.EqualFold(t.name, name) {
			return t, true, nil
		}
	}
	return nil, false, nil
}

// GetTableNames implements gms.Database.
func (d *systemTablesDB) GetTableNames(ctx *gms.Context) (names []string, err error) {
	for _, t := range d.tables {
		if !d.server.sees(ctx, systemDatabase, t.name) {
			continue
		}
		names = append(names, t.name)
	}
	return names, nil
}

// A systemTable is a table whose rows are made when it is read.
type systemTable struct {
	name    string
	comment string
	schema  gms.Schema
	rows    func(ctx *gms.Context) ([]gms.Row, error)
}

var (
	_ gms.Table          = (*systemTable)(nil)
	_ gms.CommentedTable = (*systemTable)(nil)
)

func (t *systemTable) Name() string               { return t.name }
func (t *systemTable) String() string             { return t.name }
func (t *systemTable) Schema() gms.Schema         { return t.schema }
func (t *systemTable) Collation() gms.CollationID { return gms.Collation_Default }
func (t *systemTable) Comment() string            { return t.comment }

// Partitions implements gms.Table.
func (t *systemTable) Partitions(*gms.Context) (gms.PartitionIter, error) {
	return gms.PartitionsToPartitionIter(wholeTable{}), nil
}

// PartitionRows implements gms.Table.
func (t *systemTable) PartitionRows(ctx *gms.Context, _ gms.Partition) (gms.RowIter, error) {
	rows, err := t.rows(ctx)
	if err != nil {
		return nil, err
	}
	return gms.RowsToRowIter(rows...), nil
}

// newSystemTable makes a table with columns given as "name type".
func newSystemTable(name, comment string, cols []string, rows func(ctx *gms.Context) ([]gms.Row, error)) *systemTable {
	t := &systemTable{name: name, comment: comment, rows: rows}
	for _, c := range cols {
		n, kind, _ := strings.Cut(c, " ")
		typ := map[string]gms.Type{
			"text": types.LongText, "bytes": types.LongBlob, "uint": types.Uint64, "int": types.Int64, "double": types.Float64, "bool": types.Int8, "time": datetime6,
		}[kind]
		t.schema = append(t.schema, &gms.Column{Name: n, Type: typ, Nullable: true, Source: name, DatabaseSource: systemDatabase})
	}
	return t
}

// at is a time as a cell: NULL where there is none.
func at(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Truncate(time.Microsecond)
}

// orNull is a text as a cell: NULL where it is empty.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// sees says whether a stream or view is there for the account of ctx.
func (s *Server) sees(ctx *gms.Context, database, name string) bool {
	return s.engine.Sees(ctx, database, name)
}

// systemTables make their rows of what the account that reads them may see.
func systemTables(server *Server) []*systemTable {
	e := server.cfg.Engine
	return []*systemTable{
		newSystemTable("streams", "the streams and their logs",
			[]string{"name text", "subjects text", "format text", "first_seq uint", "last_seq uint", "messages uint", "bytes uint", "first_time time", "last_time time", "dead_letters uint", "durability text", "dedup_window text", "dedup_horizon time", "repeats uint", "db text"},
			func(ctx *gms.Context) ([]gms.Row, error) { return server.streamRows(ctx, e) }),
		newSystemTable("views", "the materialized views",
			[]string{"name text", "stream text", "mode text", "delivery text", "version uint", "state text", "applied_seq uint", "head_seq uint", "lag_events uint", "lag_ms double", "watermark time", "batch_seq uint", "row_count uint", "bytes uint", "definition text", "error text", "gaps uint", "db text"},
			func(ctx *gms.Context) ([]gms.Row, error) { return server.viewRows(ctx, e) }),
		newSystemTable("layers", "the batch layer and the speed epochs of each view",
			[]string{"view text", "layer text", "epoch uint", "from_seq uint", "to_seq uint", "row_count uint", "min_event_time time", "max_event_time time", "serving bool", "db text"},
			func(ctx *gms.Context) ([]gms.Row, error) { return server.layerRows(ctx, e) }),
		newSystemTable("batch_runs", "the runs of the batch layer, each over a fixed range of the log",
			[]string{"id uint", "view text", "kind text", "from_seq uint", "to_seq uint", "state text", "attempt int", "events uint", "row_count uint", "started_at time", "finished_at time", "error text", "note text", "db text"},
			func(ctx *gms.Context) ([]gms.Row, error) { return server.runRows(ctx, e) }),
		newSystemTable("jobs", "work that takes its time, and the last that is done",
			[]string{"id uint", "kind text", "view text", "state text", "events_done uint", "events_total uint", "percent double", "events_per_second double", "eta_seconds double", "started_at time", "db text"},
			func(ctx *gms.Context) ([]gms.Row, error) { return server.jobRows(ctx, e), nil }),
		newSystemTable("dead_letters", "events that could not be decoded",
			[]string{"stream text", "seq uint", "time time", "subject text", "error text", "payload bytes", "db text"},
			func(ctx *gms.Context) ([]gms.Row, error) { return server.deadRows(ctx, e) }),
	}
}

func (s *Server) streamRows(ctx *gms.Context, e *views.Engine) (rows []gms.Row, err error) {
	for _, st := range e.Streams() {
		if !s.sees(ctx, st.Def.Database, st.Def.Name) {
			continue
		}
		state, err := st.Log().State(ctx)
		if err != nil {
			return nil, err
		}
		repeats, horizon := st.Repeats()
		var window any
		if st.Def.DedupWindow > 0 {
			window = ddl.FormatDuration(st.Def.DedupWindow)
		}
		rows = append(rows, gms.Row{
			st.Def.Name, strings.Join(st.Def.Subjects, ", "), st.Def.Format, state.First, state.Last, state.Messages, state.Bytes,
			at(state.FirstTime), at(state.LastTime), st.DeadCount(), e.Durability(), window, at(horizon), repeats, st.Def.Database,
		})
	}
	return rows, nil
}

func (s *Server) viewRows(ctx *gms.Context, e *views.Engine) (rows []gms.Row, err error) {
	infos, err := e.ViewInfos(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range infos {
		if !s.sees(ctx, v.Def.Database, v.Def.Name) {
			continue
		}
		lag := uint64(0)
		if v.Head > v.Applied {
			lag = v.Head - v.Applied
		}
		rows = append(rows, gms.Row{
			v.Def.Name, v.Def.Stream, string(v.Def.Mode), string(v.Def.Delivery), v.Version, v.State, v.Applied, v.Head, lag,
			float64(v.Lag.Microseconds()) / 1000, at(v.Watermark), v.Batch, v.Rows, v.Bytes, v.Def.Query, orNull(v.Error), v.Gaps, v.Def.Database,
		})
	}
	return rows, nil
}

func (s *Server) layerRows(ctx *gms.Context, e *views.Engine) (rows []gms.Row, err error) {
	infos, err := e.Layers()
	if err != nil {
		return nil, err
	}
	for _, l := range infos {
		if !s.sees(ctx, l.Database, l.View) {
			continue
		}
		var epoch, to any
		if l.To >= l.From {
			to = l.To
		}
		if l.Layer == views.Speed {
			epoch = l.Epoch
		}
		serving := int8(0)
		if l.Serving {
			serving = 1
		}
		rows = append(rows, gms.Row{l.View, l.Layer.String(), epoch, l.From, to, l.Rows, at(l.Min), at(l.Max), serving, l.Database})
	}
	return rows, nil
}

func (s *Server) runRows(ctx *gms.Context, e *views.Engine) (rows []gms.Row, err error) {
	runs, err := e.BatchRuns()
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		if !s.sees(ctx, r.Database, r.View) {
			continue
		}
		rows = append(rows, gms.Row{
			r.ID, r.View, r.Kind, r.From, r.To, r.State, int64(r.Attempt), r.Events, r.Rows, at(r.Started), at(r.Finished), orNull(r.Error), orNull(r.Note), r.Database,
		})
	}
	return rows, nil
}

func (s *Server) jobRows(ctx *gms.Context, e *views.Engine) (rows []gms.Row) {
	for _, j := range e.Jobs() {
		if !s.sees(ctx, j.Database, j.View) {
			continue
		}
		rate := j.Rate()
		var eta any
		if j.State == views.StateRunning && rate > 0 && j.EventsIn >= j.EventsDone {
			eta = math.Round(float64(j.EventsIn-j.EventsDone)/rate*10) / 10
		}
		rows = append(rows, gms.Row{j.ID, j.Kind, j.View, j.State, j.EventsDone, j.EventsIn, j.Percent(), math.Round(rate), eta, at(j.Started), j.Database})
	}
	return rows
}

func (s *Server) deadRows(ctx *gms.Context, e *views.Engine) (rows []gms.Row, err error) {
	for _, stream := range e.Streams() {
		if s.engine.Authorize(ctx, gmsx.Access{Privilege: gmsx.PrivilegeSelect, Database: stream.Def.Database, Table: stream.Def.Name}) != nil {
			continue // its events are for who may read them
		}
		letters, err := stream.DeadLetters()
		if err != nil {
			return nil, err
		}
		for _, d := range letters {
			rows = append(rows, gms.Row{stream.Def.Name, d.Seq, at(time.Unix(0, d.Time)), d.Subject, d.Error, d.Payload, stream.Def.Database})
		}
	}
	return rows, nil
}

func isBuilding(err error) bool { return errors.Is(err, views.ErrBuilding) }
