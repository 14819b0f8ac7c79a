package sql

import (
	"errors"
	"io"
	"sync/atomic"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"weir/views"
	"weir/views/partial"
)

// buildJoin executes the joins that look up rows of a view by its key. The engine
// makes a range, a partition and an iterator of tables for each row of the
// outer side; here one scan goes from key to key. It declines with nil, nil.
func (s *Server) buildJoin(ctx *gms.Context, n gms.Node, row gms.Row) (gms.RowIter, error) {
	j, ok := n.(*plan.JoinNode)
	// Within a correlated sub-query rows begin with those of the outer query.
	if !ok || len(row) > 0 || j.ScopeLen > 0 || j.Op != plan.JoinTypeLookup && j.Op != plan.JoinTypeLeftOuterLookup {
		return nil, nil
	}
	right := j.Right()
	var filters []gms.Expression // over rows of the inner side
	for {
		if f, ok := right.(*plan.Filter); ok {
			filters, right = append(filters, f.Expression), f.Child
		} else if a, ok := right.(*plan.TableAlias); ok {
			right = a.Child
		} else {
			break
		}
	}
	access, ok := right.(*plan.IndexedTableAccess)
	if !ok || access.IsStatic() {
		return nil, nil
	}
	t, ok := access.Table.(*viewTable)
	if !ok || len(access.Expressions()) == 0 || len(access.Expressions()) > len(t.types) {
		return nil, nil
	}
	left, err := s.engine.Engine().Analyzer.ExecBuilder.Build(ctx, j.Left(), row)
	if err != nil {
		return nil, err
	}
	own := *t
	own.spare = &atomic.Pointer[viewRows]{}
	return &lookupRows{
		left: left, access: access, t: &own, keys: access.Expressions(), cond: j.Filter, filters: filters,
		outer: j.Op == plan.JoinTypeLeftOuterLookup, width: len(j.Right().Schema()),
	}, nil
}

// lookupRows are the rows of a join that looks up the inner side by key.
type lookupRows struct {
	left    gms.RowIter
	access  *plan.IndexedTableAccess
	t       *viewTable
	keys    []gms.Expression // over rows of the outer side
	cond    gms.Expression
	filters []gms.Expression // over rows of the inner side
	outer   bool             // rows of the outer side without a match are kept
	width   int              // columns of the inner side

	key     []byte
	row     gms.Row     // of the outer side
	inner   gms.RowIter // its matches
	matched bool
}

// Next implements gms.RowIter.
func (it *lookupRows) Next(ctx *gms.Context) (gms.Row, error) {
	for {
		if it.inner == nil {
			if err := it.next(ctx); err != nil {
				return nil, err
			}
		}
		found, err := it.inner.Next(ctx)
		if errors.Is(err, io.EOF) {
			err := it.inner.Close(ctx)
			if it.inner = nil; err != nil {
				return nil, err
			}
			if it.outer && !it.matched {
				return append(it.row[:len(it.row):len(it.row)], make(gms.Row, it.width)...), nil
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if ok, err := hold(ctx, it.filters, found); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		row := make(gms.Row, 0, len(it.row)+len(found))
		row = append(append(row, it.row...), found...)
		if it.cond != nil {
			if ok, err := hold(ctx, []gms.Expression{it.cond}, row); err != nil {
				return nil, err
			} else if !ok {
				continue
			}
		}
		it.matched = true
		return row, nil
	}
}

// hold says whether all conditions are true of a row.
func hold(ctx *gms.Context, conds []gms.Expression, row gms.Row) (bool, error) {
	for _, c := range conds {
		ok, err := gms.EvaluateCondition(ctx, c, row)
		if err != nil || !gms.IsTrue(ok) {
			return false, err
		}
	}
	return true, nil
}

// next takes the next row of the outer side and looks up its matches.
func (it *lookupRows) next(ctx *gms.Context) (err error) {
	if it.row, err = it.left.Next(ctx); err != nil {
		return err
	}
	it.matched = false
	it.key = it.key[:0]
	for i, e := range it.keys {
		x, err := e.Eval(ctx, it.row)
		if err != nil {
			return err
		}
		v := keyValue(ctx, x, it.t.types[i])
		if v.IsNull() {
			if x == nil {
				if nulls, err := it.nullSafe(ctx, i); err != nil {
					return err
				} else if nulls {
					it.key = partial.AppendKey(it.key, v)
					continue
				}
			}
			it.inner = gms.RowsToRowIter() // NULL, and what the key does not hold, equals nothing
			return nil
		}
		it.key = partial.AppendKey(it.key, v)
	}
	// The range must outlive the key of the next row.
	lo := append([]byte(nil), it.key...)
	it.inner, err = it.t.scan(ctx, within([]views.Range{{Lo: lo, Hi: partial.PrefixEnd(lo)}}, it.t.hint), false)
	return err
}

// nullSafe says whether part i of the key is compared with <=>, so that NULL
// equals NULL. The engine, which knows, says so in the range that it makes of a
// NULL, though it then takes the range for empty.
func (it *lookupRows) nullSafe(ctx *gms.Context, i int) (bool, error) {
	lookup, err := it.access.GetLookup(ctx, it.row)
	if err != nil {
		return false, err
	}
	list, ok := lookup.Ranges.(gms.MySQLRangeCollection)
	if !ok || len(list) != 1 || i >= len(list[0]) {
		return false, nil
	}
	_, below := list[0][i].LowerBound.(gms.BelowNull)
	_, above := list[0][i].UpperBound.(gms.AboveNull)
	return below && above, nil
}

// Close implements gms.RowIter.
func (it *lookupRows) Close(ctx *gms.Context) error {
	err := it.left.Close(ctx)
	if it.inner != nil {
		err = errors.Join(err, it.inner.Close(ctx))
		it.inner = nil
	}
	return err
}
