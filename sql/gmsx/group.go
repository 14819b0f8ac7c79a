package gmsx

import (
	"errors"
	"io"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// A groupIter executes GROUP BY with the keys themselves, where the engine has
// their hashes only. Groups come in the order of their first rows.
type groupIter struct {
	n      *plan.GroupBy
	child  gms.RowIter
	groups []group
	next   int
	built  bool
}

// A group has a buffer for each aggregate that is selected, and for any other
// expression its value for the group's first row. The engine hardly enforces
// ONLY_FULL_GROUP_BY, so that this may be a value on which rows disagree.
type group struct {
	buffers []gms.AggregationBuffer // nil where there is a value
	values  gms.Row
}

func newGroupIter(n *plan.GroupBy, child gms.RowIter) *groupIter {
	return &groupIter{n: n, child: child}
}

func (g *groupIter) Next(ctx *gms.Context) (gms.Row, error) {
	if !g.built {
		if err := g.build(ctx); err != nil {
			return nil, err
		}
		g.built = true
	}
	if g.next >= len(g.groups) {
		return nil, io.EOF
	}
	gr := &g.groups[g.next]
	g.next++
	row := make(gms.Row, len(gr.buffers))
	for i, b := range gr.buffers {
		if b == nil {
			row[i] = gr.values[i]
			continue
		}
		var err error
		if row[i], err = b.Eval(ctx); err != nil {
			return nil, err
		}
		b.Dispose()
	}
	*gr = group{}
	return row, nil
}

func (g *groupIter) build(ctx *gms.Context) error {
	index := map[string]int{}
	var key []byte
	for rows := 0; ; rows++ {
		row, err := g.child.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if rows%checkRows == checkRows-1 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		key = key[:0]
		for _, e := range g.n.GroupByExprs {
			v, err := e.Eval(ctx, row)
			if err != nil {
				return err
			}
			if key, err = appendKey(ctx, key, e.Type(), v); err != nil {
				return err
			}
		}
		i, ok := index[string(key)]
		if !ok {
			if err := mayGrow(ctx, len(g.groups)); err != nil {
				return err
			}
			i = len(g.groups)
			if err := g.add(ctx, row); err != nil {
				return err
			}
			index[string(key)] = i
		}
		for _, b := range g.groups[i].buffers {
			if b == nil {
				continue
			}
			if err := b.Update(ctx, row); err != nil {
				return err
			}
		}
	}
	if len(g.n.GroupByExprs) == 0 && len(g.groups) == 0 {
		return g.add(ctx, nil) // one group of no rows
	}
	return nil
}

// checkRows is after how many rows a loop looks whether its statement goes on.
const checkRows = 1024

// add makes a group whose first row is row; nil is of none.
func (g *groupIter) add(ctx *gms.Context, row gms.Row) error {
	gr := group{buffers: make([]gms.AggregationBuffer, len(g.n.SelectedExprs)), values: make(gms.Row, len(g.n.SelectedExprs))}
	for i, e := range g.n.SelectedExprs {
		var err error
		if a, ok := e.(gms.Aggregation); ok {
			gr.buffers[i], err = a.NewBuffer()
		} else if row != nil {
			gr.values[i], err = e.Eval(ctx, row)
		}
		if err != nil {
			return err
		}
	}
	g.groups = append(g.groups, gr)
	return nil
}

func (g *groupIter) Close(ctx *gms.Context) error {
	for _, gr := range g.groups[min(g.next, len(g.groups)):] {
		for _, b := range gr.buffers {
			if b != nil {
				b.Dispose()
			}
		}
	}
	g.groups = nil
	return g.child.Close(ctx)
}
