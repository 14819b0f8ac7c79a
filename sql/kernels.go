package sql

import (
	"errors"
	"strings"
	"sync"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"weir/sql/gmsx"
	"weir/views/column"
)

// A kernelCompiler turns the engine's expressions over one table into vector
// expressions: kernels where package column has them and they mean the same,
// and for every other subtree the engine's own evaluation, row by row.
type kernelCompiler struct {
	cols   []column.Type // of the table's columns
	types  []gms.Type
	newCtx func() *gms.Context // for row-by-row evaluation
	ctx    *gms.Context        // for constants, once one was met

	// query is for expressions of a query, not of a definition: without the
	// kernels that give NULL where a query fails. What has no kernel is
	// evaluated once for each value of its column, if it has one and plain
	// says so; all else, sub-queries and functions of the session among it,
	// only the engine can evaluate.
	query  bool
	noMemo bool        // whoever evaluates has no place for values that are kept
	memos  []*memoExpr // those that were made
	utc    bool        // the session's time zone is UTC
}

// compile returns the vector expression for e.
func (k *kernelCompiler) compile(e gms.Expression) (column.Expr, error) {
	if x := k.kernel(e); x != nil {
		return x, nil
	}
	return k.fallback(e)
}

// part is compile for a part of a kernel; nil where e has no type of ours. What
// the engine calculates may be beyond the type that it announces, which shows
// only when it leaves the engine: what is made of such a value stays there.
func (k *kernelCompiler) part(e gms.Expression) column.Expr {
	x, err := k.compile(e)
	if err != nil {
		return nil
	}
	switch x.(type) {
	case *rowExpr, *memoExpr:
		t := x.Type()
		exact := t.Kind == column.Dec || t.Kind == column.BigDec
		if exact || t.SQL != column.Double.SQL && calculates(e) {
			return nil
		}
	}
	return x
}

// calculates says whether e has arithmetic in it, or a choice among values that
// may be of several types.
func calculates(e gms.Expression) (found bool) {
	gms.Inspect(e, func(e gms.Expression) bool {
		switch e.(type) {
		case *expression.Arithmetic, *expression.UnaryMinus, *expression.Div, *expression.IntDiv, *expression.Mod, *expression.BitOp,
			*gmsx.Operation, *expression.Case, *function.If, *function.IfNull, *function.Coalesce:
			found = true
		}
		return !found
	})
	return found
}

// kernel returns the kernel for e, or nil.
func (k *kernelCompiler) kernel(e gms.Expression) column.Expr {
	switch e := e.(type) {
	case *expression.Alias:
		return k.kernel(e.Child)
	case *expression.GetField:
		if i := e.Index(); i < len(k.cols) {
			return &column.Col{Index: i, T: k.cols[i]}
		}
	case *expression.Literal:
		return k.literal(e)
	case *expression.Equals:
		return k.compare(column.Eq, e.Left(), e.Right())
	case *expression.NullSafeEquals:
		return k.compare(column.NullSafeEq, e.Left(), e.Right())
	case *expression.LessThan:
		return k.compare(column.Lt, e.Left(), e.Right())
	case *expression.LessThanOrEqual:
		return k.compare(column.Le, e.Left(), e.Right())
	case *expression.GreaterThan:
		return k.compare(column.Gt, e.Left(), e.Right())
	case *expression.GreaterThanOrEqual:
		return k.compare(column.Ge, e.Left(), e.Right())
	case *expression.Between:
		return k.between(e)
	case *expression.And:
		if l, r := k.truth(e.LeftChild), k.truth(e.RightChild); l != nil && r != nil {
			return &column.And{L: l, R: r}
		}
	case *expression.Or:
		if l, r := k.truth(e.LeftChild), k.truth(e.RightChild); l != nil && r != nil {
			return &column.Or{L: l, R: r}
		}
	case *expression.Not:
		if x := k.truth(e.Child); x != nil {
			return &column.Not{X: x}
		}
	case *expression.IsNull:
		if x := k.part(e.Child); x != nil {
			return &column.IsNull{X: x}
		}
	case *expression.InTuple:
		return k.in(e.Left(), e.Right())
	case *expression.HashInTuple:
		return k.in(e.Left(), e.Right())
	case *expression.Like:
		return k.like(e.LeftChild, e.RightChild, e.Escape)
	case *expression.Arithmetic:
		if !k.query {
			return k.arithmetic(e)
		}
		return k.bucket(e)
	case *expression.IntDiv, *gmsx.Operation:
		if k.query {
			return k.bucket(e)
		}
	case *expression.Div:
		if !k.query {
			return k.divide(e)
		}
	case *expression.UnaryMinus:
		if k.query || calculates(e.Child) {
			return nil // the engine negates values of other types than it announces
		}
		if x := k.part(e.Child); x != nil && (x.Type().Kind == column.Float || x.Type().Kind == column.Int && e.Type() == types.Int64) {
			return &column.Neg{X: x}
		}
	case *expression.Case:
		return k.caseWhen(e)
	case *function.If:
		return k.choose([]gms.Expression{e.Children()[0]}, []gms.Expression{e.Children()[1]}, e.Children()[2], e.Type())
	case *function.Coalesce:
		return k.coalesce(e.Children(), e.Type())
	case *function.IfNull:
		return k.coalesce(e.Children(), e.Type())
	case *gmsx.Call:
		return k.call(e)
	}
	return nil
}

// literal returns a constant; nil for what has no type of ours.
func (k *kernelCompiler) literal(e *expression.Literal) column.Expr {
	t, err := columnType(e.Type())
	if err != nil {
		return nil
	}
	if k.ctx == nil {
		k.ctx = k.newCtx()
	}
	v := fromEngine(k.ctx, e.Value(), e.Type(), t)
	if v.IsNull() && e.Value() != nil {
		return nil
	}
	return &column.Const{V: v, T: t}
}

// compare returns the comparison of l and r where both have, or can be given
// without loss, one kind.
func (k *kernelCompiler) compare(op column.Op, l, r gms.Expression) column.Expr {
	x, y := k.part(l), k.part(r)
	if x == nil || y == nil {
		return nil
	}
	if x, y = unify(x, y); x == nil || y == nil {
		return nil
	}
	return &column.Cmp{Op: op, L: x, R: y}
}

// unify returns x and y as expressions of one kind that compare as MySQL
// compares the originals; one of them is nil where package column cannot.
func unify(x, y column.Expr) (column.Expr, column.Expr) {
	a, b := x.Type().Kind, y.Type().Kind
	switch {
	case a == column.JSON || b == column.JSON || isNullConst(x) || isNullConst(y):
		return nil, nil
	case a == column.Dec && b == column.Dec && x.Type().Scale == y.Type().Scale:
		return x, y
	case a == column.Dec && b != column.Float:
		return x, rescale(y, x.Type())
	case b == column.Dec && a != column.Float:
		return rescale(x, y.Type()), y
	case a == b && a != column.Dec:
		return x, y
	case a == column.Float && isNumber(b):
		return x, besideFloat(x, y)
	case b == column.Float && isNumber(a):
		return besideFloat(y, x), y
	case a == column.Uint && b == column.Int:
		return x, nonNegative(y)
	case b == column.Uint && a == column.Int:
		return nonNegative(x), y
	case a == column.Time && b == column.String:
		return x, timeConst(y)
	case b == column.Time && a == column.String:
		return timeConst(x), y
	}
	return nil, nil
}

func isNumber(k column.Kind) bool {
	return k == column.Int || k == column.Uint || k == column.Dec || k == column.BigDec
}

func isNullConst(e column.Expr) bool {
	c, ok := e.(*column.Const)
	return ok && c.V.IsNull()
}

// doubleDigits is how many digits of a decimal a DOUBLE always keeps apart.
const doubleDigits = 15

// besideFloat returns the number n as a DOUBLE to be compared with f, or nil.
// The engine compares a DOUBLE with a decimal as decimals, and a FLOAT as the
// shortest decimal that is read as it.
func besideFloat(f, n column.Expr) column.Expr {
	if kind := n.Type().Kind; kind == column.Dec || kind == column.BigDec {
		c, ok := n.(*column.Const)
		if !ok || f.Type().SQL == floatSQL || c.V.Decimal().NumDigits() > doubleDigits {
			return nil
		}
	}
	return &column.ToFloat{X: n}
}

// rescale returns a constant number as a decimal of type t, or nil where that
// would change its value.
func rescale(e column.Expr, t column.Type) column.Expr {
	c, ok := e.(*column.Const)
	if !ok || !isNumber(c.T.Kind) {
		return nil
	}
	d := c.V.Decimal().Shift(int32(t.Scale))
	if !d.IsInteger() || !d.BigInt().IsInt64() {
		return nil
	}
	return &column.Const{V: column.Value{Kind: column.Dec, Scale: t.Scale, I: d.IntPart()}, T: t}
}

// nonNegative returns a constant that is not negative as a Uint, or nil.
func nonNegative(e column.Expr) column.Expr {
	c, ok := e.(*column.Const)
	if !ok || c.V.I < 0 {
		return nil
	}
	return &column.Const{V: column.Value{Kind: column.Uint, I: c.V.I}, T: column.Unsigned}
}

// timeConst returns a constant text as the time it names, or nil.
func timeConst(e column.Expr) column.Expr {
	c, ok := e.(*column.Const)
	if !ok {
		return nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05.999999", "2006-01-02"} {
		if t, err := time.Parse(layout, c.V.S); err == nil {
			return &column.Const{V: column.Value{Kind: column.Time, I: t.UnixMicro()}, T: column.Datetime}
		}
	}
	return nil
}

func (k *kernelCompiler) between(e *expression.Between) column.Expr {
	lo := k.compare(column.Ge, e.Val, e.Lower)
	hi := k.compare(column.Le, e.Val, e.Upper)
	if lo == nil || hi == nil {
		return nil
	}
	return &column.And{L: lo, R: hi}
}

// truth returns e as a truth value, or nil.
func (k *kernelCompiler) truth(e gms.Expression) column.Expr {
	x := k.part(e)
	if x == nil {
		return nil
	}
	return truthOf(x)
}

// truthOf returns a number as a truth value; nil for what is no number.
func truthOf(x column.Expr) column.Expr {
	switch x.(type) {
	case *column.Cmp, *column.And, *column.Or, *column.Not, *column.IsNull, *column.In, *column.Like, *column.Truth:
		return x
	}
	if kind := x.Type().Kind; isNumber(kind) || kind == column.Float {
		return &column.Truth{X: x}
	}
	return nil
}

// in returns IN over a list of constants of the kind of l.
func (k *kernelCompiler) in(l, r gms.Expression) column.Expr {
	x := k.part(l)
	list, ok := r.(expression.Tuple)
	if x == nil || !ok {
		return nil
	}
	kind := x.Type().Kind
	if kind == column.Float || kind == column.BigDec || kind == column.JSON || kind == column.Invalid {
		return nil
	}
	values := make([]column.Value, len(list))
	for i, e := range list {
		y := k.part(e)
		if y == nil {
			return nil
		}
		_, y = unify(x, y)
		c, ok := y.(*column.Const)
		if !ok || c == nil || c.V.IsNull() || c.V.Kind != kind {
			return nil
		}
		values[i] = c.V
	}
	return column.NewIn(x, values)
}

// like returns LIKE with a constant pattern whose wildcards are % at its ends.
func (k *kernelCompiler) like(l, r, escape gms.Expression) column.Expr {
	x, y := k.part(l), k.part(r)
	c, ok := y.(*column.Const)
	if x == nil || !ok || escape != nil || x.Type().Kind != column.String || c.V.Kind != column.String {
		return nil
	}
	p := c.V.S
	head, tail := strings.HasPrefix(p, "%"), strings.HasSuffix(p, "%")
	text := strings.TrimSuffix(strings.TrimPrefix(p, "%"), "%")
	if strings.ContainsAny(text, `%_\`) || p == "%" {
		return nil
	}
	switch {
	case head && tail:
		return &column.Like{X: x, Kind: column.LikeContains, Text: text}
	case head:
		return &column.Like{X: x, Kind: column.LikeSuffix, Text: text}
	case tail:
		return &column.Like{X: x, Kind: column.LikePrefix, Text: text}
	default:
		return &column.Cmp{Op: column.Eq, L: x, R: c}
	}
}

var errNoKernel = errors.New("there is no kernel for the expression")

func (k *kernelCompiler) arithmetic(e *expression.Arithmetic) column.Expr {
	op, ok := map[string]column.Op{ast.PlusStr: column.Add, ast.MinusStr: column.Sub, ast.MultStr: column.Mul}[e.Op]
	x, y := k.part(e.LeftChild), k.part(e.RightChild)
	if !ok || x == nil || y == nil || isNullConst(x) || isNullConst(y) {
		return nil
	}
	a, b := x.Type().Kind, y.Type().Kind
	switch {
	case a == column.Int && b == column.Int && e.Type() == types.Int64:
		return &column.Arith{Op: op, L: x, R: y}
	case e.Type() == types.Float64 && (a == column.Float || b == column.Float) && isFloatable(a) && isFloatable(b):
		return &column.Arith{Op: op, L: &column.ToFloat{X: x}, R: &column.ToFloat{X: y}}
	}
	return nil
}

func isFloatable(k column.Kind) bool { return k == column.Float || isNumber(k) }

func (k *kernelCompiler) divide(e *expression.Div) column.Expr {
	x, y := k.part(e.LeftChild), k.part(e.RightChild)
	if x == nil || y == nil || e.Type() != types.Float64 || x.Type().Kind != column.Float || y.Type().Kind != column.Float {
		return nil
	}
	if divides(e.LeftChild) || divides(e.RightChild) {
		return nil // the engine rounds the quotient of quotients
	}
	return &column.Arith{Op: column.Div, L: x, R: y}
}

func divides(e gms.Expression) (found bool) {
	gms.Inspect(e, func(e gms.Expression) bool {
		_, ok := e.(*expression.Div)
		found = found || ok
		return !found
	})
	return found
}

func (k *kernelCompiler) caseWhen(e *expression.Case) column.Expr {
	var conds, thens []gms.Expression
	for _, b := range e.Branches {
		cond := b.Cond
		if e.Expr != nil {
			cond = expression.NewEquals(e.Expr, cond)
		}
		conds, thens = append(conds, cond), append(thens, b.Value)
	}
	return k.choose(conds, thens, e.Else, e.Type())
}

// choose returns CASE with conditions and values, other being nil for NULL.
func (k *kernelCompiler) choose(conds, thens []gms.Expression, other gms.Expression, typ gms.Type) column.Expr {
	t, err := columnType(typ)
	if err != nil {
		return nil
	}
	c := &column.Case{T: t}
	for i := range conds {
		cond, then := k.truth(conds[i]), k.as(thens[i], t)
		if cond == nil || then == nil {
			return nil
		}
		c.When, c.Then = append(c.When, cond), append(c.Then, then)
	}
	if other != nil {
		if c.Else = k.as(other, t); c.Else == nil {
			return nil
		}
	}
	return c
}

// as returns e as an expression of type t, where it has its kind or is NULL.
func (k *kernelCompiler) as(e gms.Expression, t column.Type) column.Expr {
	x := k.part(e)
	switch {
	case x == nil || t.Kind == column.BigDec || t.Kind == column.JSON:
		return nil
	case isNullConst(x):
		return &column.Const{T: t}
	case x.Type().Kind == t.Kind && fits(x.Type(), t):
		return x
	case t.Kind == column.Float && t.SQL != floatSQL && isNumber(x.Type().Kind):
		return &column.ToFloat{X: x}
	default:
		return nil
	}
}

// floatSQL is the type FLOAT, whose values are shorter than their kind's.
const floatSQL = "float"

// fits says whether every value of type from is one of type to, of the same kind.
func fits(from, to column.Type) bool {
	switch to.Kind {
	case column.Int:
		return to.Min == 0 && to.Max == 0 || to.Min <= from.Min && from.Max <= to.Max && (from.Min != 0 || from.Max != 0)
	case column.Float:
		return to.SQL != floatSQL || from.SQL == floatSQL
	case column.Time:
		return to.SQL == column.Datetime.SQL || from.SQL == to.SQL
	case column.String, column.Bytes:
		return to.Length == 0 || from.Length > 0 && from.Length <= to.Length
	default:
		return from.Scale == to.Scale
	}
}

func (k *kernelCompiler) coalesce(args []gms.Expression, typ gms.Type) column.Expr {
	t, err := columnType(typ)
	if err != nil {
		return nil
	}
	c := &column.Coalesce{T: t}
	for _, a := range args {
		x := k.as(a, t)
		if x == nil {
			return nil
		}
		c.Xs = append(c.Xs, x)
	}
	return c
}

func (k *kernelCompiler) call(e *gmsx.Call) column.Expr {
	args := e.Children()
	if len(args) == 0 {
		return nil
	}
	x := k.part(args[0])
	if x == nil {
		return nil
	}
	switch e.Name() {
	case "tumble":
		size, ok1 := intLiteral(args[1])
		offset, ok2 := intLiteral(args[2])
		if ok1 && ok2 && size > 0 && x.Type().Kind == column.Time {
			return &column.Tumble{X: x, Size: size, Offset: offset}
		}
	case "url_path":
		if x.Type().Kind == column.String {
			return &column.URLPath{X: x}
		}
	case "url_param":
		if name, ok := args[1].(*expression.Literal); ok && x.Type().Kind == column.String {
			if s, ok := name.Value().(string); ok {
				return &column.URLParam{X: x, Name: s}
			}
		}
	}
	return nil
}

func intLiteral(e gms.Expression) (int64, bool) {
	l, ok := e.(*expression.Literal)
	if !ok {
		return 0, false
	}
	return gmsx.Integer(l.Value())
}

// rowExpr is an expression that the engine evaluates row by row.
type rowExpr struct {
	e      gms.Expression
	et     gms.Type
	t      column.Type
	fields []int // columns that e reads
	makers []valueMaker
	width  int // columns of a row

	// mu guards what the engine keeps in the expression's nodes and in the
	// context while it evaluates.
	mu  sync.Mutex
	ctx *gms.Context
	row gms.Row
}

func (k *kernelCompiler) fallback(e gms.Expression) (column.Expr, error) {
	if k.query {
		return k.memo(e)
	}
	et := resultType(e)
	t, err := columnType(et)
	if err != nil {
		return nil, err
	}
	r := &rowExpr{e: e, et: et, t: t, width: len(k.cols), ctx: k.newCtx(), row: make(gms.Row, len(k.cols))}
	for _, i := range fieldsOf(e) {
		r.fields = append(r.fields, i)
		r.makers = append(r.makers, newValueMaker(k.types[i]))
	}
	return r, nil
}

// resultType is a type that has room for every value of e. The engine gives
// products and quotients of DECIMALs the digits of one factor, and times that
// were calculated no fractions of a second.
func resultType(e gms.Expression) gms.Type {
	t := e.Type()
	if types.IsTime(t) && !types.IsDateType(t) && !types.IsTimespan(t) {
		return datetime6
	}
	if types.IsInteger(t) && t.Type() != sqltypes.Uint64 && chooses(e) {
		return types.Int64
	}
	d, ok := t.(gms.DecimalType)
	if !ok {
		return t
	}
	digits := int(d.Scale()) + 1
	gms.Inspect(e, func(e gms.Expression) bool {
		if e != nil && len(e.Children()) == 0 {
			digits += digitsOf(e.Type())
		}
		return true
	})
	wide, err := types.CreateDecimalType(uint8(min(max(digits, int(d.Precision())), types.DecimalTypeMaxPrecision)), d.Scale())
	if err != nil {
		return t
	}
	return wide
}

// chooses says whether e announces the type of one of the integers that it
// takes its value from, which another may not fit: -(-128), IFNULL(tiny, big).
func chooses(e gms.Expression) bool {
	switch e := e.(type) {
	case *expression.Alias:
		return chooses(e.Child)
	case *expression.UnaryMinus, *expression.Case, *function.If, *function.IfNull, *function.Coalesce:
		return true
	}
	return false
}

// digitsOf is how many digits a number of type t may have.
func digitsOf(t gms.Type) int {
	if d, ok := t.(gms.DecimalType); ok {
		return int(d.Precision())
	}
	return 20 // of a BIGINT and its sign
}

// fieldsOf returns the columns that e reads.
func fieldsOf(e gms.Expression) (fields []int) {
	seen := map[int]bool{}
	gms.Inspect(e, func(e gms.Expression) bool {
		if f, ok := e.(*expression.GetField); ok && !seen[f.Index()] {
			seen[f.Index()] = true
			fields = append(fields, f.Index())
		}
		return true
	})
	return fields
}

// Type implements column.Expr.
func (r *rowExpr) Type() column.Type { return r.t }

// Eval implements column.Expr. An error of the expression is NULL.
func (r *rowExpr) Eval(b *column.Batch) *column.Vector {
	v := b.New(r.t.Kind)
	v.Scale = r.t.Scale
	r.mu.Lock()
	defer r.mu.Unlock()
	b.Rows(func(i int) {
		for k, f := range r.fields {
			r.row[f] = r.makers[k].make(b.Cols[f].Value(i))
		}
		v.Set(i, b.Len, r.value(r.row))
	})
	return v
}

func (r *rowExpr) value(row gms.Row) (v column.Value) {
	defer func() {
		if recover() != nil {
			v = column.Null // the engine panics for some values of some functions
		}
	}()
	x, err := r.e.Eval(r.ctx, row)
	if err != nil {
		return column.Null
	}
	return fromEngine(r.ctx, x, r.et, r.t)
}
