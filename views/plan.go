package views

import (
	"time"

	"weir/views/column"
	"weir/views/partial"
)

// A ColumnDef is a column of a stream.
type ColumnDef struct {
	Name      string
	Type      column.Type
	NotNull   bool
	Path      string // where the value is in the event; "" means the column's name
	Generated string // SQL of a generated column, over the others; "" for one that is read
	Comment   string
}

// Source is the JSON path or the field that the column is read from.
func (c *ColumnDef) Source() string {
	if c.Path != "" {
		return c.Path
	}
	return c.Name
}

// The formats of events.
const (
	FormatJSON     = "json"
	FormatRegex    = "regex"
	FormatCombined = "combined"
)

// A StreamDef is what CREATE STREAM said.
type StreamDef struct {
	Database, Name  string
	Columns         []ColumnDef
	Subjects        []string
	Format          string
	Pattern         string // FormatRegex
	EventTime       string // column; "" is the time the log received the event
	TimeFormat      string // of the EventTime column, where it is not ISO 8601
	Retention       time.Duration
	MaxBytes        int64
	DuplicateWindow time.Duration
	DedupWindow     time.Duration // how long an event sent again with its ID is a repeat, which no view counts; 0 is not at all
	Replicas        int
	Text            string // canonical CREATE STREAM
}

// The columns that every stream has beside its own, which follow those.
const (
	ExtraSeq = iota
	ExtraTime
	ExtraSubject
	ExtraID
	ExtraPayload
	extras
)

// Extras are the columns that every stream has beside its own, in order.
var Extras = [extras]ColumnDef{
	{Name: "_seq", Type: column.Unsigned, NotNull: true, Comment: "sequence of the event in the log"},
	{Name: "_time", Type: column.Datetime, NotNull: true, Comment: "when the log received the event"},
	{Name: "_subject", Type: column.Type{Kind: column.String, SQL: "text"}, NotNull: true, Comment: "the subject it was published to"},
	{Name: "_id", Type: column.Type{Kind: column.String, SQL: "text"}, Comment: "Nats-Msg-Id, where the publisher gave one"},
	{Name: "_payload", Type: column.Blob, NotNull: true, Comment: "the event as it was published"},
}

// AllColumns returns the stream's own columns and the extras: the index space
// of batches and plans.
func (d *StreamDef) AllColumns() []ColumnDef {
	return append(append([]ColumnDef(nil), d.Columns...), Extras[:]...)
}

// A StreamPlan is a stream as it is decoded.
type StreamPlan struct {
	Def *StreamDef
	// Generated has the expression of each generated column by its index, and
	// Reads the columns that the expression needs.
	Generated map[int]column.Expr
	Reads     map[int][]int
}

// A Mode is how a view is computed.
type Mode string

// The modes: Lambda has a batch and a speed layer, Kappa a speed layer alone.
const (
	Lambda Mode = "lambda"
	Kappa  Mode = "kappa"
)

// A Delivery says what a crash does to the events that were on their way into
// a view's rows.
type Delivery string

// The guarantees. They are nothing but the order in which rows and checkpoint
// are committed: together, the rows first, or the checkpoint first.
const (
	ExactlyOnce Delivery = "exactly_once"
	AtLeastOnce Delivery = "at_least_once"
	AtMostOnce  Delivery = "at_most_once"
)

// A ViewDef is what CREATE MATERIALIZED VIEW said.
type ViewDef struct {
	Database, Name string
	Stream         string // in the same database
	Query          string // the SELECT
	Mode           Mode
	BatchInterval  time.Duration
	BatchEvents    uint64        // 0 means that only the interval counts
	SpeedRetention time.Duration // how long v_speed shows epochs that batch has covered; 0 is not at all
	Retention      time.Duration // windows that ended this long before the watermark are dropped; 0 keeps all
	KeepPrevious   time.Duration // how long the version that is replaced is kept for ROLLBACK; 0 is not at all
	ReplayRate     uint64        // events a second that a build, replay, recompute or audit reads at most; 0 is no bound
	Delivery       Delivery
	PublishChanges string // subject that changed rows are sent to; "" sends none
	Text           string // canonical CREATE MATERIALIZED VIEW
}

// An Agg is one aggregate of a view: its states, and the expressions that are
// their arguments, as partial.Spec has them.
type Agg struct {
	Name string // of the column of its state in the layers: "" where an output shows it
	// Hidden marks one of weir's own, which no relation shows.
	Hidden bool
	Spec   partial.Spec
	Args   []column.Expr
}

// A Key is one part of a view's group key.
type Key struct {
	Name string
	Expr column.Expr
}

// An Output is one column of a view: a part of the key, an aggregate, or an
// expression over both.
type Output struct {
	Name string
	Type column.Type
	Null bool // may be NULL
	Key  int  // index of the key, or -1
	Agg  int  // index of the aggregate, or -1
	// Post computes the column from the values of all keys and then all
	// aggregates; nil where Key or Agg says it.
	Post func(values []column.Value) column.Value
	// PostSQL is Post as SQL over the names of keys and aggregates' states.
	PostSQL string
	Uses    []int // what Post reads: indexes into its values
}

// A ViewPlan is a view as it is computed.
type ViewPlan struct {
	Reads   []int       // columns of the stream
	Filter  column.Expr // a truth value; nil takes every event
	Keys    []Key
	Aggs    []Agg
	Outputs []Output
	// Projection marks a view without aggregates and group key: its key is _seq.
	Projection bool
	// Window is the index of the key that is a window of event time, or -1,
	// and WindowSize its length in microseconds.
	Window     int
	WindowSize int64
	// Hop is the expression of the key Window where an event may be in several
	// windows, and is then counted in each; else nil.
	Hop *column.Hop
}

// Specs returns the aggregates as package partial wants them.
func (p *ViewPlan) Specs() []partial.Spec {
	specs := make([]partial.Spec, len(p.Aggs))
	for i := range p.Aggs {
		specs[i] = p.Aggs[i].Spec
	}
	return specs
}

// A Compiler turns definitions into plans. Its errors are for the user.
type Compiler interface {
	CompileStream(def *StreamDef) (*StreamPlan, error)
	CompileView(def *ViewDef, stream *StreamDef) (*ViewPlan, error)
}

// A DefinitionError is what is wrong with a stream, in an option or a column.
type DefinitionError struct {
	Option string // "" where it is a column
	Column string
	Err    error
}

func (e *DefinitionError) Error() string {
	if e.Option != "" {
		return e.Option + ": " + e.Err.Error()
	}
	return "column " + e.Column + ": " + e.Err.Error()
}

func (e *DefinitionError) Unwrap() error { return e.Err }
