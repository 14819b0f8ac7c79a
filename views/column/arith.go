package column

import (
	"cmp"
	"math"
)

// An Op is a comparison or an arithmetic operation.
type Op uint8

// The operations.
const (
	Eq Op = iota
	Ne
	Lt
	Le
	Gt
	Ge
	NullSafeEq // <=>: NULL equals NULL, and the answer is never NULL
	Add
	Sub
	Mul
	Div // of DOUBLEs
)

// Cmp compares two expressions of one kind (Dec: and one scale). Text compares
// byte for byte.
type Cmp struct {
	Op   Op
	L, R Expr
}

// Type implements Expr.
func (e *Cmp) Type() Type { return Boolean }

// Eval implements Expr.
func (e *Cmp) Eval(b *Batch) *Vector {
	x, y := e.L.Eval(b), e.R.Eval(b)
	v := b.New(Int)
	switch {
	case x.Kind == Float:
		compare(v.I, x.F, y.F, e.Op)
	case x.Kind.IsText():
		compare(v.I, x.S, y.S, e.Op)
	case x.Kind == Uint:
		for i := range v.I {
			v.I[i] = holds(e.Op, cmp.Compare(uint64(x.I[i]), uint64(y.I[i])))
		}
	case x.Kind == BigDec:
		for i := range v.I {
			if !x.IsNull(i) && !y.IsNull(i) {
				v.I[i] = holds(e.Op, x.D[i].Cmp(y.D[i]))
			}
		}
	default:
		compare(v.I, x.I, y.I, e.Op)
	}
	if e.Op == NullSafeEq {
		for i := range v.I {
			if xn, yn := x.IsNull(i), y.IsNull(i); xn || yn {
				v.I[i] = boolInt(xn && yn)
			}
		}
		return v
	}
	v.Null = orNulls(x, y)
	return v
}

// compare has one loop per operation, so that each runs without a branch on it.
func compare[T cmp.Ordered](out []int64, x, y []T, op Op) {
	switch op {
	case Eq, NullSafeEq:
		for i := range out {
			out[i] = boolInt(x[i] == y[i])
		}
	case Ne:
		for i := range out {
			out[i] = boolInt(x[i] != y[i])
		}
	case Lt:
		for i := range out {
			out[i] = boolInt(x[i] < y[i])
		}
	case Le:
		for i := range out {
			out[i] = boolInt(x[i] <= y[i])
		}
	case Gt:
		for i := range out {
			out[i] = boolInt(x[i] > y[i])
		}
	default:
		for i := range out {
			out[i] = boolInt(x[i] >= y[i])
		}
	}
}

// holds says whether op is true of two values that compare as c.
func holds(op Op, c int) int64 {
	switch op {
	case Eq, NullSafeEq:
		return boolInt(c == 0)
	case Ne:
		return boolInt(c != 0)
	case Lt:
		return boolInt(c < 0)
	case Le:
		return boolInt(c <= 0)
	case Gt:
		return boolInt(c > 0)
	default:
		return boolInt(c >= 0)
	}
}

// Arith is Add, Sub or Mul of two Ints or two Floats, or Div of two Floats. An
// integer result that does not fit and a division by zero are NULL.
type Arith struct {
	Op   Op
	L, R Expr
}

// Type implements Expr.
func (e *Arith) Type() Type {
	if e.L.Type().Kind == Float {
		return Double
	}
	return Bigint
}

// Eval implements Expr.
func (e *Arith) Eval(b *Batch) *Vector {
	x, y := e.L.Eval(b), e.R.Eval(b)
	v := b.New(x.Kind)
	v.Null = orNulls(x, y)
	if x.Kind == Float {
		e.floats(b, v, x.F, y.F)
	} else {
		e.ints(b, v, x.I, y.I)
	}
	return v
}

func (e *Arith) floats(b *Batch, v *Vector, x, y []float64) {
	switch e.Op {
	case Add:
		for i := range v.F {
			v.F[i] = x[i] + y[i]
		}
	case Sub:
		for i := range v.F {
			v.F[i] = x[i] - y[i]
		}
	case Mul:
		for i := range v.F {
			v.F[i] = x[i] * y[i]
		}
	default:
		for i := range v.F {
			v.F[i] = x[i] / y[i]
		}
	}
	own := false
	for i, f := range v.F {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			v.ownNull(&own)
			v.SetNull(i, b.Len)
		}
	}
}

func (e *Arith) ints(b *Batch, v *Vector, x, y []int64) {
	own := false
	for i := range v.I {
		n, ok := intOp(e.Op, x[i], y[i])
		v.I[i] = n
		if !ok {
			v.ownNull(&own)
			v.SetNull(i, b.Len)
		}
	}
}

// ownNull makes sure, the first time, that v.Null is not shared with an operand.
func (v *Vector) ownNull(own *bool) {
	if !*own && v.Null != nil {
		v.Null = append([]bool(nil), v.Null...)
	}
	*own = true
}

// intOp returns x op y, and whether it fits.
func intOp(op Op, x, y int64) (int64, bool) {
	switch op {
	case Add:
		n := x + y
		return n, (n > x) == (y > 0)
	case Sub:
		n := x - y
		return n, (n < x) == (y > 0)
	default:
		if x == 0 || y == 0 {
			return 0, true
		}
		n := x * y
		return n, n/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64)
	}
}

// Neg is -X of an Int or a Float.
type Neg struct{ X Expr }

// Type implements Expr.
func (e *Neg) Type() Type { return e.X.Type() }

// Eval implements Expr.
func (e *Neg) Eval(b *Batch) *Vector {
	x := e.X.Eval(b)
	v := b.New(x.Kind)
	v.Null = x.Null
	if x.Kind == Float {
		for i, f := range x.F {
			v.F[i] = -f
		}
		return v
	}
	own := false
	for i, n := range x.I {
		v.I[i] = -n
		if n == math.MinInt64 {
			v.ownNull(&own)
			v.SetNull(i, b.Len)
		}
	}
	return v
}
