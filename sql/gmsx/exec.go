package gmsx

import (
	"errors"
	"io"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/iters"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// An execBuilder executes the nodes that the engine executes wrongly: those
// that compare whole rows do it by a hash of the values' text there.
type execBuilder struct {
	e    *Engine
	base gms.NodeExecBuilder // the engine's, which asks this one first
	user func(ctx *gms.Context, n gms.Node, row gms.Row) (gms.RowIter, error)
}

// Build returns nil, nil for a node that the engine shall execute.
func (x *execBuilder) Build(ctx *gms.Context, n gms.Node, row gms.Row) (gms.RowIter, error) {
	switch w := n.(type) {
	case *plan.InsertInto:
		if stores := storeInserted(ctx, w); stores != nil {
			return x.base.Build(ctx, stores, row)
		}
	case *plan.Update:
		stores, err := storeUpdated(ctx, w)
		if err != nil {
			return nil, err
		}
		if stores != nil {
			return x.base.Build(ctx, stores, row)
		}
	}
	if x.user != nil {
		if iter, err := x.user(ctx, n, row); iter != nil || err != nil {
			return iter, err
		}
	}
	switch n := n.(type) {
	case *plan.GroupBy:
		if !groups(n) {
			return nil, nil
		}
		child, err := x.base.Build(ctx, n.Child, row)
		if err != nil {
			return nil, err
		}
		return newGroupIter(n, child), nil
	case *plan.Distinct:
		child, err := x.base.Build(ctx, n.Child, row)
		if err != nil {
			return nil, err
		}
		return newDistinct(child, n.Child.Schema()), nil
	case *plan.OrderedDistinct:
		// The engine takes rows for sorted that are not.
		child, err := x.base.Build(ctx, n.Child, row)
		if err != nil {
			return nil, err
		}
		return newDistinct(child, n.Child.Schema()), nil
	case *plan.SetOp:
		return x.setOp(ctx, n, row)
	case *plan.Window:
		return x.window(ctx, n, row)
	case ownNode:
		return n.rows(ctx, x.base, row)
	case *plan.ShowColumns:
		return showColumns(ctx, n, row)
	case *plan.ShowVariables:
		return showVariables(ctx, n, row)
	case *plan.ShowTableStatus:
		return showTableStatus(ctx, n, row)
	case *plan.ShowStatus:
		showStatus()
	case *plan.ShowDatabases:
		return x.e.showDatabases(ctx, n)
	case *plan.Set:
		return nil, x.e.checkSet(ctx, n)
	}
	return nil, nil
}

// groups says whether a node makes groups at all: without keys and aggregates,
// or with ANY_VALUE alone, the engine takes it for a projection.
func groups(n *plan.GroupBy) bool {
	if len(n.GroupByExprs) > 0 {
		return true
	}
	for _, e := range n.SelectedExprs {
		if a, ok := e.(gms.Aggregation); ok {
			if _, ok := a.(*aggregation.AnyValue); !ok {
				return true
			}
		}
	}
	return false
}

// setOp executes UNION, INTERSECT and EXCEPT.
func (x *execBuilder) setOp(ctx *gms.Context, n *plan.SetOp, row gms.Row) (gms.RowIter, error) {
	left, err := x.base.Build(ctx, n.Left(), row)
	if err != nil {
		return nil, err
	}
	schema := n.Schema()
	var iter gms.RowIter
	if n.SetOpType == plan.UnionType {
		iter = &iters.UnionIter{Cur: left, NextIter: func(ctx *gms.Context) (gms.RowIter, error) {
			return x.base.Build(ctx, n.Right(), row)
		}}
	} else {
		right, err := x.base.Build(ctx, n.Right(), row)
		if err != nil {
			_ = left.Close(ctx)
			return nil, err
		}
		if n.Distinct && n.SetOpType == plan.ExceptType {
			// Each row of the right side takes one of the left away.
			left = newDistinct(left, schema)
		}
		iter = &memberIter{left: left, right: right, schema: schema, except: n.SetOpType == plan.ExceptType, all: !n.Distinct}
	}
	if n.Distinct && n.SetOpType != plan.ExceptType {
		iter = newDistinct(iter, schema)
	}
	return limitSorted(ctx, n, iter)
}

// limitSorted applies the ORDER BY, LIMIT and OFFSET of a UNION.
func limitSorted(ctx *gms.Context, n *plan.SetOp, iter gms.RowIter) (_ gms.RowIter, err error) {
	defer func() {
		if err != nil {
			_ = iter.Close(ctx)
		}
	}()
	if len(n.SortFields) > 0 {
		iter = iters.NewSortIter(n.SortFields, iter)
	}
	if n.Offset != nil {
		skip, err := iters.GetInt64Value(ctx, n.Offset)
		if err != nil {
			return nil, err
		}
		iter = &skipIter{RowIter: iter, skip: skip}
	}
	if n.Limit != nil {
		limit, err := iters.GetInt64Value(ctx, n.Limit)
		if err != nil {
			return nil, err
		}
		iter = &iters.LimitIter{Limit: limit, ChildIter: iter}
	}
	return iter, nil
}

type skipIter struct {
	gms.RowIter
	skip int64
}

func (s *skipIter) Next(ctx *gms.Context) (gms.Row, error) {
	for ; s.skip > 0; s.skip-- {
		if _, err := s.RowIter.Next(ctx); err != nil {
			return nil, err
		}
	}
	return s.RowIter.Next(ctx)
}

// rowKey makes keys of whole rows.
type rowKey struct {
	schema gms.Schema
	key    []byte
}

func (k *rowKey) of(ctx *gms.Context, row gms.Row) ([]byte, error) {
	k.key = k.key[:0]
	row = row[max(0, len(row)-len(k.schema)):] // in a sub-query, the outer row comes first
	for i, v := range row {
		var err error
		if k.key, err = appendKey(ctx, k.key, k.schema[i].Type, v); err != nil {
			return nil, err
		}
	}
	return k.key, nil
}

// distinctIter passes each row on once.
type distinctIter struct {
	gms.RowIter
	keys rowKey
	seen map[string]struct{}
}

func newDistinct(child gms.RowIter, schema gms.Schema) gms.RowIter {
	return &distinctIter{RowIter: child, keys: rowKey{schema: schema}, seen: map[string]struct{}{}}
}

func (d *distinctIter) Next(ctx *gms.Context) (gms.Row, error) {
	for {
		row, err := d.RowIter.Next(ctx)
		if err != nil {
			return nil, err
		}
		key, err := d.keys.of(ctx, row)
		if err != nil {
			return nil, err
		}
		if _, ok := d.seen[string(key)]; ok {
			continue
		}
		if err := mayGrow(ctx, len(d.seen)); err != nil {
			return nil, err
		}
		d.seen[string(key)] = struct{}{}
		return row, nil
	}
}

func (d *distinctIter) Close(ctx *gms.Context) error {
	d.seen = nil
	return d.RowIter.Close(ctx)
}

// memberIter passes the rows of left on that are in right, or are not.
type memberIter struct {
	left, right gms.RowIter
	schema      gms.Schema
	except      bool
	all         bool // equal rows are counted, not one

	keys  rowKey
	count map[string]int
}

func (m *memberIter) Next(ctx *gms.Context) (gms.Row, error) {
	if m.count == nil {
		if err := m.read(ctx); err != nil {
			return nil, err
		}
	}
	for {
		row, err := m.left.Next(ctx)
		if err != nil {
			return nil, err
		}
		key, err := m.keys.of(ctx, row)
		if err != nil {
			return nil, err
		}
		n := m.count[string(key)]
		if n > 0 && m.all {
			m.count[string(key)] = n - 1
		}
		if n > 0 != m.except {
			return row, nil
		}
	}
}

func (m *memberIter) read(ctx *gms.Context) error {
	m.count = map[string]int{}
	m.keys = rowKey{schema: m.schema}
	for {
		row, err := m.right.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		key, err := m.keys.of(ctx, row)
		if err != nil {
			return err
		}
		if err := mayGrow(ctx, len(m.count)); err != nil {
			return err
		}
		m.count[string(key)]++
	}
}

func (m *memberIter) Close(ctx *gms.Context) error {
	m.count = nil
	err := m.left.Close(ctx)
	if rerr := m.right.Close(ctx); err == nil {
		err = rerr
	}
	return err
}

// window executes a window over no rows, for which the engine gives one.
func (x *execBuilder) window(ctx *gms.Context, n *plan.Window, row gms.Row) (gms.RowIter, error) {
	if _, ok := n.Child.(*opened); ok {
		return nil, nil
	}
	child, err := x.base.Build(ctx, n.Child, row)
	if err != nil {
		return nil, err
	}
	first, err := child.Next(ctx)
	if errors.Is(err, io.EOF) {
		return gms.RowsToRowIter(), child.Close(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, child.Close(ctx))
	}
	w, err := n.WithChildren(&opened{Node: n.Child, first: first, rest: child})
	if err != nil {
		return nil, errors.Join(err, child.Close(ctx))
	}
	return x.base.Build(ctx, w, row)
}

// An opened is a node whose rows are being read.
type opened struct {
	gms.Node
	first gms.Row
	rest  gms.RowIter
}

var _ gms.ExecSourceRel = (*opened)(nil)

// Children are those of the node, which has begun to execute them.
func (o *opened) Children() []gms.Node { return nil }

// WithChildren implements gms.Node.
func (o *opened) WithChildren(...gms.Node) (gms.Node, error) { return o, nil }

// RowIter implements gms.ExecSourceRel.
func (o *opened) RowIter(*gms.Context, gms.Row) (gms.RowIter, error) { return o, nil }

// Next implements gms.RowIter.
func (o *opened) Next(ctx *gms.Context) (gms.Row, error) {
	if row := o.first; row != nil {
		o.first = nil
		return row, nil
	}
	return o.rest.Next(ctx)
}

// Close implements gms.RowIter.
func (o *opened) Close(ctx *gms.Context) error { return o.rest.Close(ctx) }
