package sql

import (
	"fmt"
	"math"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/gmsx"
	"weir/views/column"
)

// bucketMost bounds the seconds of a bucket: the engine's quotients have digits
// enough to tell the last microsecond of a shorter one from the next.
const bucketMost = 10_000

// bucket returns the kernel for the time buckets of dashboards, or nil:
//
//	UNIX_TIMESTAMP(t) DIV 300 [* 300]
//	FLOOR(UNIX_TIMESTAMP(t) / 300) * 300
func (k *kernelCompiler) bucket(e gms.Expression) column.Expr {
	if !k.utc || e.Type() != types.Int64 {
		return nil
	}
	times := int64(1)
	if op, l, r := operands(e); op == ast.MultStr {
		n, ok := intLiteral(r)
		if !ok || n <= 0 || n > bucketMost {
			return nil
		}
		e, times = l, n
	}
	op, of, by := operands(e)
	if isFunction(e, "floor") {
		op, of, by = operands(e.Children()[0])
		if op != ast.DivStr {
			return nil
		}
	} else if op != ast.IntDivStr {
		return nil
	}
	u, ok := of, isFunction(of, "unix_timestamp")
	size, ok2 := intLiteral(by)
	if !ok || !ok2 || size <= 0 || size > bucketMost || len(u.Children()) != 1 {
		return nil
	}
	f, ok := u.Children()[0].(*expression.GetField)
	if !ok || f.Index() >= len(k.cols) || k.cols[f.Index()].Kind != column.Time {
		return nil
	}
	return &column.Bucket{X: &column.Col{Index: f.Index(), T: k.cols[f.Index()]}, Size: size, Times: times}
}

// operands takes an operation on two numbers apart. The operator is "" for
// everything else.
func operands(e gms.Expression) (op string, l, r gms.Expression) {
	switch e := e.(type) {
	case *expression.Arithmetic:
		return e.Op, e.LeftChild, e.RightChild
	case *expression.IntDiv:
		return ast.IntDivStr, e.LeftChild, e.RightChild
	case *expression.Div:
		return ast.DivStr, e.LeftChild, e.RightChild
	case *gmsx.Operation:
		if args := e.Children(); len(args) == 2 {
			return e.Op(), args[0], args[1]
		}
	}
	return "", nil, nil
}

func isFunction(e gms.Expression, name string) bool {
	f, ok := e.(gms.FunctionExpression)
	return ok && f.FunctionName() == name && len(e.Children()) > 0
}

// plainFunctions are those that give the same for the same arguments, and do
// nothing else.
var plainFunctions = map[string]bool{
	"date": true, "date_format": true, "year": true, "quarter": true, "month": true, "monthname": true, "week": true, "weekofyear": true,
	"yearweek": true, "weekday": true, "day": true, "dayname": true, "dayofmonth": true, "dayofweek": true, "dayofyear": true, "hour": true,
	"minute": true, "second": true, "microsecond": true, "last_day": true, "extract": true, "time_format": true, "date_add": true,
	"date_sub": true, "adddate": true, "subdate": true, "timestampdiff": true, "datediff": true, "to_days": true, "from_days": true,
	"makedate": true, "unix_timestamp": true, "from_unixtime": true,
	"lower": true, "lcase": true, "upper": true, "ucase": true, "left": true, "right": true, "substring": true, "substr": true, "mid": true,
	"substring_index": true, "concat": true, "concat_ws": true, "trim": true, "ltrim": true, "rtrim": true, "replace": true, "reverse": true,
	"floor": true, "ceil": true, "ceiling": true, "round": true, "truncate": true, "abs": true, "mod": true,
	"length": true, "char_length": true, "character_length": true, "lpad": true, "rpad": true, "instr": true, "locate": true,
	"url_path": true, "url_param": true, "tumble": true, "md5": true, "sha1": true, "sha2": true, "crc32": true,
}

// plain says whether e gives the same wherever and however often it is
// evaluated, and which column it is over: exactly one.
func plain(e gms.Expression) (field *expression.GetField, ok bool) {
	ok = true
	gms.Inspect(e, func(e gms.Expression) bool {
		if !ok {
			return false
		}
		switch e := e.(type) {
		case nil, *expression.Literal, *expression.Interval, *expression.Alias, *expression.Convert, *expression.Case, *expression.Arithmetic,
			*expression.Div, *expression.IntDiv, *expression.Mod, *expression.UnaryMinus, *function.If, *function.IfNull, *function.Coalesce,
			*expression.Equals, *expression.GreaterThan, *expression.GreaterThanOrEqual, *expression.LessThan, *expression.LessThanOrEqual,
			*expression.And, *expression.Or, *expression.Not, *expression.IsNull, *expression.Between, *expression.InTuple, expression.Tuple:
		case *expression.GetField:
			if field != nil && field.Index() != e.Index() {
				ok = false
			}
			field = e
		case gms.FunctionExpression:
			ok = plainFunctions[e.FunctionName()]
			if n, is := e.(gms.NonDeterministicExpression); is && n.IsNonDeterministic() {
				ok = false
			}
		default:
			ok = gmsx.Plain(e)
		}
		return ok
	})
	return field, ok && field != nil
}

// memo returns e as an expression that the engine evaluates once for each value
// of the column that e is over.
func (k *kernelCompiler) memo(e gms.Expression) (column.Expr, error) {
	f, ok := plain(e)
	if k.noMemo || !ok || f.Index() >= len(k.cols) || k.cols[f.Index()].Kind == column.JSON {
		return nil, errNoKernel
	}
	t, err := columnType(resultType(e))
	if err != nil {
		return nil, err
	}
	if t.Kind == column.JSON || k.cols[f.Index()].Kind == column.BigDec {
		return nil, errNoKernel
	}
	m := &memoExpr{e: e, et: resultType(e), t: t, col: f.Index(), make: newValueMaker(k.types[f.Index()]), width: len(k.cols)}
	k.memos = append(k.memos, m)
	return m, nil
}

// memoMost bounds the values whose results a memoExpr keeps.
const memoMost = 1 << 16

// A memoExpr is an expression over one column that the engine evaluates for
// each value of the column once. It serves one statement at a time: begin
// gives it the statement's context, and err says what failed.
type memoExpr struct {
	e     gms.Expression
	et    gms.Type
	t     column.Type
	col   int
	make  valueMaker
	width int
}

// A memoRun is what a memoExpr keeps while a statement runs. Plans are made for
// one statement each, but a plan's node may run more than once.
type memoRun struct {
	*memoExpr
	ctx     *gms.Context
	row     gms.Row
	numbers map[int64]column.Value
	texts   map[string]column.Value
	null    *column.Value
	err     error
}

// Type implements column.Expr.
func (m *memoExpr) Type() column.Type { return m.t }

// Eval implements column.Expr.
func (m *memoExpr) Eval(b *column.Batch) *column.Vector {
	run, _ := b.Context.(*memoRuns)
	if run == nil {
		panic("memoExpr: no statement") // fill sets it
	}
	return run.of(m).eval(b)
}

// memoRuns are those of one run of a node.
type memoRuns struct {
	ctx  *gms.Context
	runs map[*memoExpr]*memoRun
}

func (r *memoRuns) of(m *memoExpr) *memoRun {
	if r.runs == nil {
		r.runs = map[*memoExpr]*memoRun{}
	}
	run := r.runs[m]
	if run == nil {
		run = &memoRun{memoExpr: m, ctx: r.ctx, row: make(gms.Row, m.width), numbers: map[int64]column.Value{}, texts: map[string]column.Value{}}
		r.runs[m] = run
	}
	return run
}

// err is the first error of an evaluation, the statement's then.
func (r *memoRuns) err() error {
	for _, run := range r.runs {
		if run.err != nil {
			return run.err
		}
	}
	return nil
}

func (m *memoRun) eval(b *column.Batch) *column.Vector {
	x := b.Cols[m.col]
	v := b.New(m.t.Kind)
	v.Scale = m.t.Scale
	b.Rows(func(i int) {
		if m.err == nil {
			v.Set(i, b.Len, m.value(x, i))
		}
	})
	return v
}

func (m *memoRun) value(x *column.Vector, i int) (out column.Value) {
	switch {
	case x.IsNull(i):
		if m.null == nil {
			out = m.evaluate(column.Null)
			m.null = &out
		}
		return *m.null
	case x.Kind.IsText():
		out, ok := m.texts[x.S[i]]
		if !ok {
			out = m.evaluate(x.Value(i))
			if len(m.texts) < memoMost {
				m.texts[x.S[i]] = out
			}
		}
		return out
	}
	var n int64
	if x.Kind == column.Float {
		n = int64(math.Float64bits(x.F[i]))
	} else {
		n = x.I[i]
	}
	out, ok := m.numbers[n]
	if !ok {
		out = m.evaluate(x.Value(i))
		if len(m.numbers) < memoMost {
			m.numbers[n] = out
		}
	}
	return out
}

func (m *memoRun) evaluate(v column.Value) column.Value {
	m.row[m.col] = m.make.make(v)
	x, err := m.e.Eval(m.ctx, m.row)
	if err != nil {
		m.err = err
		return column.Null
	}
	out := fromEngine(m.ctx, x, m.et, m.t)
	if out.IsNull() && x != nil {
		m.err = fmt.Errorf("%s is %v, which its type %s does not hold", m.e, x, m.et)
	}
	return out
}
