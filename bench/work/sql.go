package work

import (
	"fmt"
	"strings"
)

// A Dialect is a contender's SQL.
type Dialect uint8

// The dialects.
const (
	Weir Dialect = iota
	MariaDB
	Postgres
	ClickHouse
	DuckDB
)

var types = [...][4]string{ // of Int, Float, Text and Millis
	Weir:       {"BIGINT", "DOUBLE", "VARCHAR(64)", "DATETIME(3)"},
	MariaDB:    {"BIGINT", "DOUBLE", "VARCHAR(64)", "BIGINT"},
	Postgres:   {"BIGINT", "DOUBLE PRECISION", "TEXT", "BIGINT"},
	ClickHouse: {"Int64", "Float64", "String", "Int64"},
	DuckDB:     {"BIGINT", "DOUBLE", "VARCHAR", "BIGINT"},
}

// Type returns the type of a column.
func (d Dialect) Type(k Kind) string { return types[d][k] }

// ColumnList returns the columns as a CREATE TABLE or CREATE STREAM has them.
func (w *Workload) ColumnList(d Dialect) string {
	list := make([]string, len(w.Columns))
	for i, c := range w.Columns {
		list[i] = c.Name + " " + d.Type(c.Kind)
		if c.Kind == Millis && d != ClickHouse {
			list[i] += " NOT NULL"
		}
	}
	return strings.Join(list, ", ")
}

// Names returns the names of the columns of the stream, joined.
func (w *Workload) Names() string {
	list := make([]string, len(w.Columns))
	for i, c := range w.Columns {
		list[i] = c.Name
	}
	return strings.Join(list, ", ")
}

// Stream returns weir's statement that makes the stream.
func (w *Workload) CreateStream() string {
	return "CREATE STREAM " + w.Stream + " (" + w.ColumnList(Weir) + ") WITH (event_time = 'ts', time_format = 'unix_ms')"
}

// Create returns weir's statement that makes the view; options go into its
// WITH, and may be empty.
func (v *View) Create(w *Workload, options string) string {
	if options != "" {
		options = " WITH (" + options + ")"
	}
	return "CREATE MATERIALIZED VIEW " + v.Name + options + " AS " + v.Select(w, Weir, w.Stream)
}

// Select returns the view as a query over a table. A window is its number
// since the epoch, and in weir the time at which it begins.
func (v *View) Select(w *Workload, d Dialect, table string) string {
	var list, group []string
	for _, k := range v.Keys {
		list = append(list, k.sql(d, "")+" AS "+k.Name)
		group = append(group, k.Name)
	}
	for _, a := range v.Aggs {
		list = append(list, a.sql(d)+" AS "+a.Name)
	}
	q := "SELECT " + strings.Join(list, ", ") + " FROM " + table
	if v.Where != nil {
		q += " WHERE " + v.Where.SQL
	}
	if d == Postgres || d == ClickHouse { // an alias may also be a column's name
		for i, k := range v.Keys {
			group[i] = k.sql(d, "")
		}
	}
	return q + " GROUP BY " + strings.Join(group, ", ")
}

func (k Key) sql(d Dialect, prefix string) string {
	column := prefix + k.Column
	switch {
	case k.Window == 0:
		return column
	case d == Weir:
		return fmt.Sprintf("TUMBLE(%s, INTERVAL %d SECOND)", column, k.Window/1000)
	case d == MariaDB:
		return fmt.Sprintf("%s DIV %d", column, k.Window)
	case d == Postgres:
		return fmt.Sprintf("%s / %d", column, k.Window)
	case d == ClickHouse:
		return fmt.Sprintf("intDiv(%s, %d)", column, k.Window)
	default:
		return fmt.Sprintf("%s // %d", column, k.Window)
	}
}

func (a Agg) sql(d Dialect) string {
	switch a.Func {
	case Count:
		if d == ClickHouse {
			return "toInt64(count())"
		}
		return "COUNT(*)"
	case CountIf:
		switch d {
		case Postgres, DuckDB:
			return "COUNT(*) FILTER (WHERE " + a.If.SQL + ")"
		case ClickHouse:
			return "toInt64(countIf(" + a.If.SQL + "))"
		}
		return "SUM(" + a.If.SQL + ")"
	case Sum:
		if d == Postgres {
			return "SUM(" + a.Column + ")" + "::" + "DOUBLE PRECISION"
		}
		return "SUM(" + a.Column + ")"
	case Avg:
		return "AVG(" + a.Column + ")"
	case Distinct:
		switch d {
		case Weir:
			return "APPROX_COUNT_DISTINCT(" + a.Column + ")"
		case ClickHouse:
			return "uniqExact(" + a.Column + ")"
		}
		return "COUNT(DISTINCT " + a.Column + ")"
	default: // P95
		switch d {
		case Weir:
			return "APPROX_PERCENTILE(" + a.Column + ", 0.95)"
		case ClickHouse:
			return "quantileExact(0.95)(" + a.Column + ")"
		case DuckDB:
			return "quantile_cont(" + a.Column + ", 0.95)"
		}
		return "percentile_cont(0.95) WITHIN GROUP (ORDER BY " + a.Column + ")"
	}
}

// Delta returns what one event adds to an additive aggregate: prefix is what
// names the event's columns.
func (a Agg) Delta(d Dialect, prefix string) string {
	switch a.Func {
	case Count:
		return "1"
	case CountIf:
		if d == Postgres {
			return "(CASE WHEN " + prefix + a.If.SQL + " THEN 1 ELSE 0 END)"
		}
		return "(" + prefix + a.If.SQL + ")"
	default:
		return prefix + a.Column
	}
}

// KeyOf returns what an event's key is: prefix is what names its columns.
func (k Key) KeyOf(d Dialect, prefix string) string { return k.sql(d, prefix) }

// kinds returns those of the columns of a view's table in a peer.
func (v *View) kinds(w *Workload) (names []string, kinds []Kind) {
	for _, k := range v.Keys {
		kind := w.Columns[w.Index(k.Column)].Kind
		names, kinds = append(names, k.Name), append(kinds, kind)
	}
	for _, a := range v.Aggs {
		kind := Int
		if a.Func == Avg || a.Func == P95 || a.Func == Sum && w.Columns[w.Index(a.Column)].Kind == Float {
			kind = Float
		}
		names, kinds = append(names, a.Name), append(kinds, kind)
	}
	return names, kinds
}

// TableColumns returns the columns of a view's table in a peer, without a key.
func (v *View) TableColumns(w *Workload, d Dialect) string {
	names, kinds := v.kinds(w)
	for i := range names {
		names[i] += " " + d.Type(kinds[i])
	}
	return strings.Join(names, ", ")
}

// KeyNames returns the names of the view's keys, joined.
func (v *View) KeyNames() string {
	list := make([]string, len(v.Keys))
	for i, k := range v.Keys {
		list[i] = k.Name
	}
	return strings.Join(list, ", ")
}

// AllNames returns the names of all of the view's columns.
func (v *View) AllNames(w *Workload) []string {
	names, _ := v.kinds(w)
	return names
}

// Read returns the query whose rows are compared: keys, windows as their
// number since the epoch, and aggregates.
func (v *View) Read(w *Workload, d Dialect) string {
	var list []string
	for _, k := range v.Keys {
		if d == Weir && k.Window > 0 {
			list = append(list, fmt.Sprintf("UNIX_TIMESTAMP(%s) DIV %d AS %s", k.Name, k.Window/1000, k.Name))
			continue
		}
		list = append(list, k.Name)
	}
	for _, a := range v.Aggs {
		if d == ClickHouse { // the parts of a SummingMergeTree may not be merged yet
			list = append(list, "sum("+a.Name+") AS "+a.Name+"_sum")
			continue
		}
		list = append(list, a.Name)
	}
	q := "SELECT " + strings.Join(list, ", ") + " FROM " + v.Name
	if d == ClickHouse {
		q += " GROUP BY " + v.KeyNames()
	}
	return q
}
