package sql

import (
	"bytes"
	"errors"
	"io"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"weir/views"
	"weir/views/column"
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
	snap, err := readSet(ctx).Snapshot(t.view)
	if err != nil {
		return nil, errors.Join(err, left.Close(ctx))
	}
	it := &lookupRows{
		left: left, access: access, t: t, snap: snap, keys: access.Expressions(), cond: j.Filter, filters: filters,
		outer: j.Op == plan.JoinTypeLeftOuterLookup, most: 1,
	}
	it.layout, it.makers = t.rowsMadeOf()
	return it, nil
}

// The rows of the outer side that are looked up together are bounded, and about
// their bytes.
const (
	aheadMost  = 256
	aheadBytes = 1 << 20
)

// lookupRows are the rows of a join that looks up the inner side by key. It
// takes rows of the outer side together while their keys ascend, as they do
// where both sides are in the order of one key: then one scan of the inner side
// goes from key to key. Rows come in the order of the outer side.
type lookupRows struct {
	left    gms.RowIter
	access  *plan.IndexedTableAccess
	t       *viewTable
	snap    *views.Snapshot
	layout  *views.Layout
	makers  []valueMaker     // of the inner side's columns
	keys    []gms.Expression // over rows of the outer side
	cond    gms.Expression
	filters []gms.Expression // over rows of the inner side
	outer   bool             // rows of the outer side without a match are kept

	// The rows of the outer side that are looked up together, at is the one
	// whose turn it is. put is the one that did not fit behind them.
	ahead   []lookedUp
	at      int
	most    int
	put     *lookedUp
	ended   bool // there are no more
	matched bool // the row whose turn it is has a match

	cursor *views.Cursor // nil before the first lookup
	batch  column.Batch  // of the inner side
	n, in  int           // its rows, and which is next
	limit  int
	done   bool // the scan has no more
	cells  []any
}

// lookedUp is a row of the outer side and the key that it has on the inner one,
// nil where it cannot have a match.
type lookedUp struct {
	row gms.Row
	key []byte
}

// Next implements gms.RowIter.
func (it *lookupRows) Next(ctx *gms.Context) (gms.Row, error) {
	for {
		if it.at == len(it.ahead) {
			if err := it.lookAhead(ctx); err != nil {
				return nil, err
			}
		}
		l := &it.ahead[it.at]
		found, err := it.match(ctx, l.key)
		if err != nil {
			return nil, err
		}
		if !found {
			alone := it.outer && !it.matched
			it.at, it.matched = it.at+1, false
			if alone {
				return it.joined(l.row), nil
			}
			continue
		}
		row := it.joined(l.row)
		inner := row[len(l.row):]
		for k := range inner {
			inner[k] = it.makers[k].make(it.batch.Cols[k].Value(it.in))
		}
		it.in++
		if ok, err := hold(ctx, it.filters, inner); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
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

// joined is a row of the outer side with NULL for the inner one.
func (it *lookupRows) joined(outer gms.Row) gms.Row {
	width := len(outer) + len(it.makers)
	if len(it.cells) < width {
		it.cells = make([]any, width*min(max(len(it.ahead)-it.at, 1), rowsMade))
	}
	row := gms.Row(it.cells[:width:width])
	it.cells = it.cells[width:]
	copy(row, outer)
	return row
}

// match says whether the next row of the inner side has the key, and makes
// it.in that row.
func (it *lookupRows) match(ctx *gms.Context, key []byte) (bool, error) {
	if key == nil {
		return false, nil
	}
	if it.in == it.n && !it.done {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		var err error
		if it.n, err = it.cursor.Fill(&it.batch, it.limit); err != nil {
			return false, err
		}
		it.done = !it.cursor.More()
		it.in, it.limit = 0, min(4*it.limit, mostFill)
	}
	return it.in < it.n && bytes.HasPrefix(it.cursor.Key(it.in), key), nil
}

// lookAhead takes the next rows of the outer side, and begins to look them up.
func (it *lookupRows) lookAhead(ctx *gms.Context) error {
	it.ahead, it.at = it.ahead[:0], 0
	var last []byte
	var ranges []views.Range
	for size := 0; len(it.ahead) < it.most && size < aheadBytes; {
		l, err := it.next(ctx)
		if err != nil {
			return err
		}
		if l == nil {
			break
		}
		if l.key != nil {
			if last != nil && bytes.Compare(l.key, last) <= 0 {
				it.put = l
				break
			}
			last = l.key
			ranges = append(ranges, views.Range{Lo: l.key, Hi: partial.PrefixEnd(l.key)})
		}
		it.ahead = append(it.ahead, *l)
		for _, x := range l.row {
			switch x := x.(type) {
			case string:
				size += len(x)
			case []byte:
				size += len(x)
			}
		}
	}
	if len(it.ahead) == 0 {
		return io.EOF
	}
	it.most = min(4*it.most, aheadMost) // a LIMIT above may want few
	it.n, it.in, it.done, it.limit = 0, 0, len(ranges) == 0, max(len(ranges), firstFill)
	switch ranges = within(ranges, it.t.hint); {
	case len(ranges) == 0:
	case it.cursor == nil:
		it.cursor = it.snap.ScanLayout(it.layout, ranges, false)
		it.cursor.NoteKeys()
		it.cursor.Heed(ctx)
		it.cursor.Bound(fillBytes)
	default:
		it.cursor.Restart(ranges, false)
	}
	return nil
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

// next takes the next row of the outer side, nil where there is none.
func (it *lookupRows) next(ctx *gms.Context) (l *lookedUp, err error) {
	if l = it.put; l != nil {
		it.put = nil
		return l, nil
	}
	if it.ended {
		return nil, nil
	}
	l = &lookedUp{}
	if l.row, err = it.left.Next(ctx); errors.Is(err, io.EOF) {
		it.ended = true
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	key := make([]byte, 0, 32)
	for i, e := range it.keys {
		x, err := e.Eval(ctx, l.row)
		if err != nil {
			return nil, err
		}
		v := keyValue(ctx, x, it.t.types[i])
		if v.IsNull() {
			if x != nil {
				return l, nil // what the key does not hold equals nothing
			}
			if nulls, err := it.nullSafe(ctx, i, l.row); err != nil || !nulls {
				return l, err
			}
		}
		key = partial.AppendKey(key, v)
	}
	l.key = key
	return l, nil
}

// nullSafe says whether part i of the key is compared with <=>, so that NULL
// equals NULL. The engine, which knows, says so in the range that it makes of a
// NULL, though it then takes the range for empty.
func (it *lookupRows) nullSafe(ctx *gms.Context, i int, row gms.Row) (bool, error) {
	lookup, err := it.access.GetLookup(ctx, row)
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

// Close implements gms.RowIter. The snapshot is the statement's.
func (it *lookupRows) Close(ctx *gms.Context) error { return it.left.Close(ctx) }
