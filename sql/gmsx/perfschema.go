package gmsx

import (
	"fmt"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/rowexec"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// perfSchema is the name of the database in which tools that know MySQL 8
// look for variables and status. It is found by its name and listed nowhere.
const perfSchema = "performance_schema"

type perfDatabase struct {
	NoRoutines
	e *Engine
}

var (
	_ gms.Database     = (*perfDatabase)(nil)
	_ gms.ViewDatabase = (*perfDatabase)(nil)
)

// perfTables are the tables, and what their rows are of.
var perfTables = map[string]func() gms.Node{
	"session_variables": func() gms.Node { return plan.NewShowVariables(nil, false) },
	"global_variables":  func() gms.Node { return plan.NewShowVariables(nil, true) },
	"session_status":    func() gms.Node { return plan.NewShowStatus(false) },
	"global_status":     func() gms.Node { return plan.NewShowStatus(true) },
}

func (d *perfDatabase) Name() string { return perfSchema }

func (d *perfDatabase) GetTableInsensitive(_ *gms.Context, name string) (gms.Table, bool, error) {
	name = strings.ToLower(name)
	rows, ok := perfTables[name]
	if !ok {
		return nil, false, nil
	}
	return &perfTable{e: d.e, name: name, rows: rows}, true, nil
}

func (d *perfDatabase) GetTableNames(*gms.Context) (names []string, _ error) {
	for name := range perfTables {
		names = append(names, name)
	}
	return names, nil
}

func (d *perfDatabase) CreateView(*gms.Context, string, string, string) error {
	return gms.ErrDatabaseAccessDeniedForUser.New("everybody", perfSchema)
}

func (d *perfDatabase) DropView(_ *gms.Context, name string) error {
	return gms.ErrViewDoesNotExist.New(perfSchema, name)
}

func (d *perfDatabase) AllViews(*gms.Context) ([]gms.ViewDefinition, error) { return nil, nil }

func (d *perfDatabase) GetViewDefinition(*gms.Context, string) (gms.ViewDefinition, bool, error) {
	return gms.ViewDefinition{}, false, nil
}

// A perfTable has the rows of a SHOW.
type perfTable struct {
	e    *Engine
	name string
	rows func() gms.Node // of SHOW
}

func (t *perfTable) Name() string               { return t.name }
func (t *perfTable) String() string             { return t.name }
func (t *perfTable) Collation() gms.CollationID { return gms.Collation_Default }

func (t *perfTable) Schema() gms.Schema {
	return gms.Schema{
		{Name: "VARIABLE_NAME", Type: types.LongText, Source: t.name, DatabaseSource: perfSchema},
		{Name: "VARIABLE_VALUE", Type: types.LongText, Nullable: true, Source: t.name, DatabaseSource: perfSchema},
	}
}

type wholePartition struct{}

func (wholePartition) Key() []byte { return []byte{0} }

func (t *perfTable) Partitions(*gms.Context) (gms.PartitionIter, error) {
	return gms.PartitionsToPartitionIter(wholePartition{}), nil
}

func (t *perfTable) PartitionRows(ctx *gms.Context, _ gms.Partition) (gms.RowIter, error) {
	iter, err := t.e.engine.Analyzer.ExecBuilder.Build(ctx, t.rows(), nil)
	if err != nil {
		return nil, err
	}
	return &textIter{iter}, nil
}

// textIter makes texts of a row's values.
type textIter struct{ gms.RowIter }

func (t *textIter) Next(ctx *gms.Context) (gms.Row, error) {
	row, err := t.RowIter.Next(ctx)
	if err != nil {
		return nil, err
	}
	out := make(gms.Row, len(row))
	for i, v := range row {
		out[i] = fmt.Sprint(v)
	}
	return out, nil
}

// showVariables says ON and OFF of switches, as MySQL does. The engine says 1
// and 0, as SELECT @@name must.
func showVariables(ctx *gms.Context, n *plan.ShowVariables, row gms.Row) (gms.RowIter, error) {
	iter, err := rowexec.DefaultBuilder.Build(ctx, n, row)
	if err != nil {
		return nil, err
	}
	return &switchesIter{iter}, nil
}

type switchesIter struct{ gms.RowIter }

func (s *switchesIter) Next(ctx *gms.Context) (gms.Row, error) {
	row, err := s.RowIter.Next(ctx)
	if err != nil || len(row) != 2 {
		return row, err
	}
	on, ok := row[1].(int8)
	name, _ := row[0].(string)
	v, _, known := gms.SystemVariables.GetGlobal(name)
	if !ok || !known {
		return row, nil
	}
	if _, isSwitch := v.GetType().(types.SystemBoolType); !isSwitch {
		return row, nil
	}
	text := "OFF"
	if on != 0 {
		text = "ON"
	}
	return gms.NewRow(name, text), nil
}
