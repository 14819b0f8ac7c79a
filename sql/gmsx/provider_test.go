package gmsx

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	gms "github.com/dolthub/go-mysql-server/sql"
)

// testProvider is databases of tables that a test fills itself. The engine's
// own in-memory tables work only in the engine's own sessions.
type testProvider struct{ dbs []*testDB }

func (p *testProvider) Database(_ *gms.Context, name string) (gms.Database, error) {
	for _, db := range p.dbs {
		if strings.EqualFold(db.name, name) {
			return db, nil
		}
	}
	return nil, gms.ErrDatabaseNotFound.New(name)
}

func (p *testProvider) HasDatabase(ctx *gms.Context, name string) bool {
	_, err := p.Database(ctx, name)
	return err == nil
}

func (p *testProvider) AllDatabases(*gms.Context) []gms.Database {
	dbs := make([]gms.Database, len(p.dbs))
	for i, db := range p.dbs {
		dbs[i] = db
	}
	return dbs
}

type testDB struct {
	NoRoutines
	name string

	mu     sync.Mutex
	tables map[string]*testTable
	views  map[string]gms.ViewDefinition
}

func newTestDB(name string, tables ...*testTable) *testDB {
	db := &testDB{name: name, tables: map[string]*testTable{}, views: map[string]gms.ViewDefinition{}}
	for _, t := range tables {
		t.db = name
		for _, c := range t.schema {
			c.Source, c.DatabaseSource = t.name, name
		}
		db.tables[t.name] = t
	}
	return db
}

func (db *testDB) Name() string { return db.name }

func (db *testDB) GetTableInsensitive(_ *gms.Context, name string) (gms.Table, bool, error) {
	t, ok := db.tables[strings.ToLower(name)]
	if !ok {
		return nil, false, nil
	}
	return t, true, nil
}

func (db *testDB) GetTableNames(*gms.Context) ([]string, error) {
	var names []string
	for n := range db.tables {
		names = append(names, n)
	}
	return names, nil
}

func (db *testDB) CreateView(_ *gms.Context, name, selectStmt, createStmt string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.views[strings.ToLower(name)] = gms.ViewDefinition{Name: name, TextDefinition: selectStmt, CreateViewStatement: createStmt}
	return nil
}

func (db *testDB) DropView(_ *gms.Context, name string) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	delete(db.views, strings.ToLower(name))
	return nil
}

func (db *testDB) GetViewDefinition(_ *gms.Context, name string) (gms.ViewDefinition, bool, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	v, ok := db.views[strings.ToLower(name)]
	return v, ok, nil
}

func (db *testDB) AllViews(*gms.Context) ([]gms.ViewDefinition, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	var all []gms.ViewDefinition
	for _, v := range db.views {
		all = append(all, v)
	}
	return all, nil
}

// testTable has rows in memory, or as many as n says, made by row. Its first
// pk columns are an index, whose use read tells: it counts the rows that left
// the table.
type testTable struct {
	name, db string
	schema   gms.Schema
	pk       int
	rows     []gms.Row
	n        int
	row      func(i int) gms.Row
	read     *atomic.Int64

	projected []string
	lookup    *gms.IndexLookup
}

func newTestTable(name string, pk int, schema gms.Schema, rows ...gms.Row) *testTable {
	for i := range schema {
		schema[i].PrimaryKey = i < pk
	}
	return &testTable{name: name, schema: schema, pk: pk, rows: rows, read: &atomic.Int64{}}
}

var (
	_ gms.IndexAddressableTable = (*testTable)(nil)
	_ gms.IndexedTable          = (*testTable)(nil)
	_ gms.ProjectedTable        = (*testTable)(nil)
	_ gms.PrimaryKeyTable       = (*testTable)(nil)
	_ gms.ViewDatabase          = (*testDB)(nil)

	_ gms.TriggerDatabase         = (*testDB)(nil)
	_ gms.StoredProcedureDatabase = (*testDB)(nil)
	_ gms.EventDatabase           = (*testDB)(nil)
)

func (t *testTable) Name() string               { return t.name }
func (t *testTable) String() string             { return t.name }
func (t *testTable) Collation() gms.CollationID { return gms.Collation_Default }
func (t *testTable) PreciseMatch() bool         { return true }

func (t *testTable) Schema() gms.Schema {
	if t.projected == nil {
		return t.schema
	}
	s := gms.Schema{}
	for _, name := range t.projected {
		s = append(s, t.schema[t.schema.IndexOfColName(name)])
	}
	return s
}

func (t *testTable) PrimaryKeySchema() gms.PrimaryKeySchema {
	return gms.NewPrimaryKeySchema(t.schema)
}

func (t *testTable) WithProjections(cols []string) gms.Table {
	cp := *t
	cp.projected = append([]string{}, cols...)
	return &cp
}

func (t *testTable) Projections() []string { return t.projected }

func (t *testTable) IndexedAccess(_ *gms.Context, l gms.IndexLookup) gms.IndexedTable {
	cp := *t
	cp.lookup = &l
	return &cp
}

func (t *testTable) GetIndexes(*gms.Context) ([]gms.Index, error) {
	if t.pk == 0 {
		return nil, nil
	}
	return []gms.Index{&testIndex{t}}, nil
}

func (t *testTable) Partitions(*gms.Context) (gms.PartitionIter, error) {
	return gms.PartitionsToPartitionIter(testPartition{}), nil
}

func (t *testTable) LookupPartitions(_ *gms.Context, l gms.IndexLookup) (gms.PartitionIter, error) {
	return gms.PartitionsToPartitionIter(testPartition{lookup: &l}), nil
}

type testPartition struct{ lookup *gms.IndexLookup }

func (testPartition) Key() []byte { return []byte("all") }

func (t *testTable) PartitionRows(_ *gms.Context, p gms.Partition) (gms.RowIter, error) {
	it := &testIter{t: t, lookup: p.(testPartition).lookup}
	for _, name := range t.projected {
		it.cols = append(it.cols, t.schema.IndexOfColName(name))
	}
	return it, nil
}

type testIter struct {
	t      *testTable
	lookup *gms.IndexLookup
	cols   []int
	i      int
}

func (it *testIter) Next(ctx *gms.Context) (gms.Row, error) {
	for {
		var row gms.Row
		switch {
		case it.t.row != nil && it.i < it.t.n:
			row = it.t.row(it.i)
		case it.i < len(it.t.rows):
			row = it.t.rows[it.i]
		default:
			return nil, io.EOF
		}
		it.i++
		if it.lookup != nil {
			in, err := inRanges(ctx, it.lookup.Ranges.(gms.MySQLRangeCollection), row)
			if err != nil {
				return nil, err
			}
			if !in {
				continue
			}
		}
		it.t.read.Add(1)
		if it.t.projected == nil {
			return row, nil
		}
		out := make(gms.Row, len(it.cols))
		for i, c := range it.cols {
			out[i] = row[c]
		}
		return out, nil
	}
}

func (it *testIter) Close(*gms.Context) error { return nil }

// inRanges says whether the key of row lies in one of the ranges.
func inRanges(ctx *gms.Context, ranges gms.MySQLRangeCollection, row gms.Row) (bool, error) {
	for _, r := range ranges {
		in := true
		for i, col := range r {
			ok, err := inRange(ctx, col, row[i])
			if err != nil {
				return false, err
			}
			in = in && ok
		}
		if in {
			return true, nil
		}
	}
	return false, nil
}

func inRange(ctx *gms.Context, r gms.MySQLRangeColumnExpr, v any) (bool, error) {
	cmp := func(key any) int {
		c, err := r.Typ.Compare(ctx, v, key)
		if err != nil {
			panic(err)
		}
		return c
	}
	switch b := r.LowerBound.(type) {
	case gms.Below:
		if v == nil || cmp(b.Key) < 0 {
			return false, nil
		}
	case gms.Above:
		if v == nil || cmp(b.Key) <= 0 {
			return false, nil
		}
	case gms.AboveNull:
		if v == nil {
			return false, nil
		}
	case gms.BelowNull:
	case gms.AboveAll:
		return false, nil
	default:
		return false, fmt.Errorf("lower bound %T", b)
	}
	switch b := r.UpperBound.(type) {
	case gms.Below:
		return v != nil && cmp(b.Key) < 0, nil
	case gms.Above:
		return v != nil && cmp(b.Key) <= 0, nil
	case gms.AboveNull:
		return v == nil, nil
	case gms.AboveAll:
		return true, nil
	case gms.BelowNull:
		return false, nil
	default:
		return false, fmt.Errorf("upper bound %T", b)
	}
}

type testIndex struct{ t *testTable }

func (x *testIndex) ID() string       { return "PRIMARY" }
func (x *testIndex) Database() string { return x.t.db }
func (x *testIndex) Table() string    { return x.t.name }
func (x *testIndex) Expressions() []string {
	var e []string
	for _, c := range x.t.schema[:x.t.pk] {
		e = append(e, x.t.name+"."+c.Name)
	}
	return e
}

func (x *testIndex) ColumnExpressionTypes() []gms.ColumnExpressionType {
	var e []gms.ColumnExpressionType
	for _, c := range x.t.schema[:x.t.pk] {
		e = append(e, gms.ColumnExpressionType{Expression: x.t.name + "." + c.Name, Type: c.Type})
	}
	return e
}
func (x *testIndex) IsUnique() bool                             { return true }
func (x *testIndex) IsSpatial() bool                            { return false }
func (x *testIndex) IsFullText() bool                           { return false }
func (x *testIndex) IsVector() bool                             { return false }
func (x *testIndex) Comment() string                            { return "" }
func (x *testIndex) IndexType() string                          { return "BTREE" }
func (x *testIndex) IsGenerated() bool                          { return false }
func (x *testIndex) CanSupport(*gms.Context, ...gms.Range) bool { return true }
func (x *testIndex) CanSupportOrderBy(gms.Expression) bool      { return false }
func (x *testIndex) PrefixLengths() []uint16                    { return nil }
