package gmsx

import (
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// readFirstMost is how many different values of a sub-query become ranges of an
// index at most. Beyond, the rows are looked up among the values.
const readFirstMost = 4096

// worthReading is how many values are worth to be ranges of a table: the engine
// looks whether any two of n ranges overlap, which takes n² · 45 ns, and reading a
// row takes about a microsecond.
func worthReading(rows uint64) int {
	return int(min(max(math.Sqrt(float64(rows)*20), 512), readFirstMost))
}

// A ReadFirst is a sub-query whose values stand in the plan of its statement.
type ReadFirst struct {
	Query  gms.Node // as it was executed
	Text   string
	Values int // different ones, without NULL
}

type readFirstKey struct{}

// readFirstState is what the plans of one statement share.
type readFirstState struct {
	writes  gms.Node // the statement, if it writes
	defines bool     // what is run another time
	assigns bool     // to variables of the session, while it runs
	explain bool     // is not going to run
	done    []ReadFirst
}

func readFirstOf(ctx *gms.Context) *readFirstState {
	s := SessionOf(ctx)
	if s == nil {
		return nil
	}
	v, _ := s.Statement().LoadOrStore(readFirstKey{}, func() (any, func(), error) { return &readFirstState{}, nil, nil })
	return v.(*readFirstState)
}

// Explaining says that the statement of ctx only plans another one, and returns
// a function that gives the sub-queries that the plan has the values of.
func Explaining(ctx *gms.Context) func() []ReadFirst {
	st := readFirstOf(ctx)
	if st == nil {
		return func() []ReadFirst { return nil }
	}
	*st = readFirstState{explain: true}
	return func() []ReadFirst { return st.done }
}

// readFirst runs sub-queries that do not depend on the rows of their statement
// when the statement is planned, and puts their values in their place:
//
//	WHERE k IN (SELECT …)     becomes  k IN (1, 2, 3)
//	WHERE k = (SELECT MAX(…)  becomes  k = 3
//
// where k is a column that an index may find rows by. From then on the values
// are what literals are. This is so only where a value of the sub-query compares
// as the same value in the statement does, and only in conditions for which NULL
// is as good as false: the values of IN are those that are not NULL.
//
// What goes wrong in a sub-query is left to the rows to tell, of which there may
// be none, except that it has more rows than one where it must not. A plan is executed once: prepared statements are planned each time.
func (e *Engine) readFirst(ctx *gms.Context, n gms.Node) (gms.Node, error) {
	st := readFirstOf(ctx)
	if st == nil {
		return n, nil
	}
	switch n.(type) {
	case *plan.InsertInto, *plan.Update, *plan.DeleteFrom:
		st.writes = n
	case *plan.CreateTable, *plan.CreateView, *plan.TableCopier, *plan.Block:
		st.defines = true
	}
	if st.defines {
		return n, nil
	}
	inspectDeep(n, func(x gms.Expression) {
		if f, ok := x.(*expression.SetField); ok {
			_, variable := f.LeftChild.(*expression.UserVar)
			st.assigns = st.assigns || variable
		}
	})
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		switch n.(type) {
		case *plan.Filter, *plan.JoinNode:
		default:
			return n, transform.SameTree, nil
		}
		conds := n.(gms.Expressioner).Expressions()
		changed := false
		for i, c := range conds {
			r := &firstReader{e: e, ctx: ctx, st: st, over: n}
			out, ok, err := r.condition(c)
			if err != nil {
				return n, transform.SameTree, err
			}
			if ok {
				conds[i], changed = out, true
			}
		}
		if !changed {
			return n, transform.SameTree, nil
		}
		out, err := n.(gms.Expressioner).WithExpressions(conds...)
		return out, transform.NewTree, err
	})
	return out, err
}

// A firstReader looks at the conditions of one node.
type firstReader struct {
	e    *Engine
	ctx  *gms.Context
	st   *readFirstState
	over gms.Node
	rows uint64 // of the table that keyed has found last
}

// condition is c with values in the place of sub-queries; false if there are none.
func (r *firstReader) condition(c gms.Expression) (gms.Expression, bool, error) {
	switch c := c.(type) {
	case *expression.And, *expression.Or:
		children := slices.Clone(c.Children())
		changed := false
		for i, child := range children {
			out, ok, err := r.condition(child)
			if err != nil {
				return c, false, err
			}
			if ok {
				children[i], changed = out, true
			}
		}
		if !changed {
			return c, false, nil
		}
		out, err := c.WithChildren(children...)
		return out, true, err
	case *plan.InSubquery:
		return r.in(c)
	case *expression.Between:
		col, ok := c.Val.(*expression.GetField)
		if !ok || !r.keyed(col) {
			return c, false, nil
		}
		lo, ok1, err := r.values(col, c.Lower)
		if err != nil {
			return c, false, err
		}
		hi, ok2, err := r.values(col, c.Upper)
		if err != nil || !ok1 && !ok2 {
			return c, false, err
		}
		return expression.NewBetween(col, lo, hi), true, nil
	}
	cmp, ok := comparisonOf(c)
	if !ok || cmp.in || !r.keyed(cmp.col) {
		return c, false, nil
	}
	v, ok, err := r.values(cmp.col, cmp.values[0])
	if err != nil || !ok {
		return c, false, err
	}
	return cmp.op.make(cmp.col, v), true, nil
}

// in is col IN (SELECT …).
func (r *firstReader) in(in *plan.InSubquery) (gms.Expression, bool, error) {
	col, ok := in.LeftChild.(*expression.GetField)
	sub, ok2 := in.RightChild.(*plan.Subquery)
	if !ok || !ok2 || !r.keyed(col) || !r.runnable(sub) {
		return in, false, nil
	}
	schema := sub.Query.Schema()
	if len(schema) != 1 || !comparesAsLiteral(col.Type(), schema[0].Type) {
		return in, false, nil
	}
	list, ok, err := r.run(sub, worthReading(r.rows), true)
	if err != nil || !ok {
		return in, false, err
	}
	tuple := make(expression.Tuple, 0, len(list))
	for _, v := range list {
		if v != nil {
			tuple = append(tuple, expression.NewLiteral(v, schema[0].Type))
		}
	}
	switch len(tuple) {
	case 0:
		return expression.NewLiteral(false, types.Boolean), true, nil
	case 1:
		return expression.NewEquals(col, tuple[0]), true, nil
	}
	return expression.NewInTuple(col, tuple), true, nil
}

// values is an expression that col is compared with, with values in the place of
// its sub-queries; false if it has none, or is not to be computed before.
func (r *firstReader) values(col *expression.GetField, x gms.Expression) (gms.Expression, bool, error) {
	found, ok := false, true
	gms.Inspect(x, func(x gms.Expression) bool {
		switch x := x.(type) {
		case *plan.Subquery:
			found = true
			ok = ok && r.runnable(x) && len(x.Query.Schema()) == 1
			return false
		case *expression.GetField, *expression.BindVar, *expression.ProcedureParam, *plan.InSubquery, *plan.ExistsSubquery, gms.Aggregation:
			ok = false
		case gms.NonDeterministicExpression:
			ok = ok && settled(x)
		}
		return ok
	})
	if !found || !ok || !comparesAsLiteral(col.Type(), x.Type()) {
		return x, false, nil
	}
	out, _, err := transform.Expr(x, func(x gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		s, is := x.(*plan.Subquery)
		if !is || !ok {
			return x, transform.SameTree, nil
		}
		list, done, err := r.run(s, 1, false)
		if err != nil || !done {
			ok = false
			return x, transform.SameTree, err
		}
		t := s.Query.Schema()[0].Type
		if len(list) == 0 || list[0] == nil {
			return expression.NewLiteral(nil, t), transform.NewTree, nil
		}
		return expression.NewLiteral(list[0], t), transform.NewTree, nil
	})
	if err != nil || !ok {
		return x, false, err
	}
	return out, true, nil
}

// singleRows keeps comparisons with a sub-query of one value from the engine,
// which makes joins of them, in which a sub-query may have any number of rows.
func singleRows(_ *gms.Context, n gms.Node) (gms.Node, error) {
	return inConditions(n, func(e gms.Expression) (gms.Expression, bool, error) {
		if _, ok := e.(expression.Comparer); !ok {
			return e, false, nil
		}
		switch e.(type) {
		case *expression.InTuple, *expression.HashInTuple, *plan.InSubquery:
			return e, false, nil
		}
		children := slices.Clone(e.Children())
		if len(children) != 2 {
			return e, false, nil
		}
		s, ok := children[1].(*plan.Subquery)
		if !ok {
			return e, false, nil
		}
		children[1] = &held{expression.UnaryExpression{Child: s}}
		out, err := e.WithChildren(children...)
		return out, true, err
	})
}

// comparesAsLiteral says whether a column compares with values of a type that
// are in rows as it does with the same values in a statement: texts that are
// compared with numbers or times do not.
func comparesAsLiteral(col, t gms.Type) bool {
	plain := func(t gms.Type) bool { return types.IsInteger(t) || types.IsDecimal(t) }
	switch {
	case plain(col) && plain(t), types.IsFloat(col) && types.IsFloat(t):
		return true
	case types.IsTextOnly(col) && types.IsTextOnly(t):
		return true
	case isTime(col) && isTime(t):
		return true
	}
	return false
}

// keyed says whether rows may be found by a column: through an index of its
// table, or through a derived table or a view, to whose tables the condition goes.
func (r *firstReader) keyed(col *expression.GetField) (yes bool) {
	r.rows = 1 << 20 // where it is not known
	transform.Inspect(r.over, func(n gms.Node) bool {
		t, ok := n.(plan.TableIdNode)
		if !ok || yes {
			return !yes
		}
		if s, ok := n.(*plan.SubqueryAlias); ok {
			// The columns of a stored view have no id of their table.
			yes = t.Id() == col.TableId() || strings.EqualFold(s.Name(), col.Table())
			return false
		}
		if t.Id() != col.TableId() {
			return false
		}
		if a, ok := n.(*plan.TableAlias); ok {
			n = a.Child
		}
		rt, ok := n.(*plan.ResolvedTable)
		if !ok {
			return false
		}
		indexed, ok := rt.UnderlyingTable().(gms.IndexAddressable)
		if !ok {
			return false
		}
		if st, ok := indexed.(gms.StatisticsTable); ok {
			if rows, _, err := st.RowCount(r.ctx); err == nil {
				r.rows = rows
			}
		}
		list, err := indexed.GetIndexes(r.ctx)
		if err != nil {
			return false
		}
		name := "." + strings.ToLower(col.Name())
		for _, x := range list {
			for _, e := range x.Expressions() {
				yes = yes || strings.HasSuffix(strings.ToLower(e), name)
			}
		}
		return false
	})
	return yes
}

// settled says whether an expression that is not deterministic has one value
// for the statement.
func settled(e gms.NonDeterministicExpression) bool {
	switch e.(type) {
	case *function.Now:
		return true
	}
	return !e.IsNonDeterministic()
}

// runnable says whether a sub-query has the same rows whenever it is run within
// its statement, and can be run before it.
func (r *firstReader) runnable(s *plan.Subquery) bool {
	if !s.CanCacheResults() {
		return false
	}
	ok := true
	inspectDeep(s.Query, func(x gms.Expression) {
		switch x := x.(type) {
		case *expression.BindVar, *expression.ProcedureParam, *expression.SetField, *function.Sleep:
			ok = false
		case *expression.UserVar:
			ok = ok && !r.st.assigns
		case *plan.Subquery:
			ok = ok && !x.Volatile()
		case gms.NonDeterministicExpression:
			ok = ok && settled(x)
		}
	})
	var recursive func(n gms.Node)
	recursive = func(n gms.Node) {
		if _, is := n.(*plan.RecursiveTable); is {
			ok = false // within the one that it is of, that is executed alone
		}
		if _, is := n.(*plan.RecursiveCte); is {
			return
		}
		for _, c := range n.Children() {
			recursive(c)
		}
	}
	recursive(s.Query)
	return ok
}

// run executes a sub-query and returns its values, each once if distinct is set;
// false where there are more than most, or where it fails.
func (r *firstReader) run(s *plan.Subquery, most int, distinct bool) (list []any, ok bool, err error) {
	ctx := r.ctx
	// What fails is left to the rows; who ended the statement has ended all of it.
	if r.st.writes != nil && !r.st.explain && r.e.opts.Writing != nil {
		if err := r.e.opts.Writing(ctx, r.st.writes, s.Query); err != nil {
			return nil, false, err
		}
	}
	q, err := analyzer.DeepCopyNode(s.Query)
	if err != nil {
		return nil, false, ctx.Err()
	}
	if q, err = r.e.engine.Analyzer.Analyze(ctx, q, nil, nil); err != nil {
		if errors.Is(err, ErrReplan) { // of a sub-query within
			return nil, false, err
		}
		return nil, false, ctx.Err()
	}
	iter, err := r.e.engine.Analyzer.ExecBuilder.Build(ctx, q, nil)
	if err != nil {
		return nil, false, ctx.Err()
	}
	defer func() {
		if cerr := iter.Close(ctx); cerr != nil && err == nil {
			list, ok, err = nil, false, ctx.Err()
		}
	}()
	t := q.Schema()[0].Type
	seen := map[string]struct{}{}
	var key []byte
	values := 0
	for n := 0; ; n++ {
		if n%256 == 255 && ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		row, err := iter.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, false, ctx.Err()
		}
		v := row[0]
		if distinct {
			if v == nil {
				continue
			}
			if key, err = appendKey(ctx, key[:0], t, v); err != nil {
				return nil, false, ctx.Err()
			}
			if _, twice := seen[string(key)]; twice {
				continue
			}
			seen[string(key)] = struct{}{}
		}
		if list = append(list, v); len(list) > most {
			if !distinct {
				return nil, false, gms.ErrExpectedSingleRow.New()
			}
			return nil, false, nil
		}
		if v != nil {
			values++
		}
	}
	r.st.done = append(r.st.done, ReadFirst{Query: q, Text: s.QueryString, Values: values})
	return list, true, nil
}
