package column

import (
	"strings"
)

// An Expr computes one value per row of a batch. Evaluation cannot fail: a row
// for which the expression has no value (a division by zero, an overflow, a
// conversion that cannot be made) is NULL. The vector returned belongs to the
// batch, or is one of its columns, and must not be changed.
//
// An Expr made of this package's kernels is safe for concurrent use.
type Expr interface {
	Type() Type
	Eval(b *Batch) *Vector
}

// Col is column Index of the batch.
type Col struct {
	Index int
	T     Type
}

// Type implements Expr.
func (e *Col) Type() Type { return e.T }

// Eval implements Expr.
func (e *Col) Eval(b *Batch) *Vector { return b.Cols[e.Index] }

// Const is the same value in every row.
type Const struct {
	V Value
	T Type
}

// Type implements Expr.
func (e *Const) Type() Type { return e.T }

// Eval implements Expr.
func (e *Const) Eval(b *Batch) *Vector {
	v := b.New(e.T.Kind)
	v.Scale = e.T.Scale
	switch {
	case e.V.IsNull():
		v.Null = make([]bool, b.Len)
		for i := range v.Null {
			v.Null[i] = true
		}
	case v.Kind == Float:
		fill(v.F, e.V.F)
	case v.Kind == BigDec:
		fill(v.D, e.V.D)
	case v.Kind.IsText():
		fill(v.S, e.V.S)
	default:
		fill(v.I, e.V.I)
	}
	return v
}

func fill[T any](s []T, x T) {
	for i := range s {
		s[i] = x
	}
}

// ToFloat is an integer or decimal as a DOUBLE.
type ToFloat struct{ X Expr }

// Type implements Expr.
func (e *ToFloat) Type() Type { return Double }

// Eval implements Expr.
func (e *ToFloat) Eval(b *Batch) *Vector {
	x := e.X.Eval(b)
	v := b.New(Float)
	v.Null = x.Null
	switch x.Kind {
	case Float:
		return x
	case Uint:
		for i, n := range x.I {
			v.F[i] = float64(uint64(n))
		}
	case Dec:
		div := float64(Pow10[x.Scale])
		for i, n := range x.I {
			v.F[i] = float64(n) / div
		}
	case BigDec:
		for i, d := range x.D {
			if !x.IsNull(i) {
				v.F[i] = d.InexactFloat64()
			}
		}
	default:
		for i, n := range x.I {
			v.F[i] = float64(n)
		}
	}
	return v
}

// Pow10 holds the powers of ten that fit an int64.
var Pow10 = func() (p [19]int64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

// orNulls returns a Null slice for a row that is NULL when x or y is. It may
// share storage with either.
func orNulls(x, y *Vector) []bool {
	switch {
	case x.Null == nil:
		return y.Null
	case y.Null == nil:
		return x.Null
	}
	n := make([]bool, len(x.Null))
	for i := range n {
		n[i] = x.Null[i] || y.Null[i]
	}
	return n
}

// And is L AND R in SQL's three-valued logic over truth values (Int, where zero
// is false): NULL AND false is false.
type And struct{ L, R Expr }

// Or is L OR R: NULL OR true is true.
type Or struct{ L, R Expr }

// Not is NOT X: NULL stays NULL.
type Not struct{ X Expr }

// Type implements Expr.
func (e *And) Type() Type { return Boolean }

// Type implements Expr.
func (e *Or) Type() Type { return Boolean }

// Type implements Expr.
func (e *Not) Type() Type { return Boolean }

// Eval implements Expr.
func (e *And) Eval(b *Batch) *Vector { return logic(b, e.L, e.R, false) }

// Eval implements Expr.
func (e *Or) Eval(b *Batch) *Vector { return logic(b, e.L, e.R, true) }

// logic is AND (absorbing false) or OR (absorbing true): the absorbing value
// on either side decides, else NULL on either side, else the other value.
func logic(b *Batch, l, r Expr, absorbing bool) *Vector {
	x, y := l.Eval(b), r.Eval(b)
	v := b.New(Int)
	for i := range b.Len {
		xn, yn := x.IsNull(i), y.IsNull(i)
		switch {
		case !xn && (x.I[i] != 0) == absorbing, !yn && (y.I[i] != 0) == absorbing:
			v.I[i] = boolInt(absorbing)
		case xn || yn:
			v.SetNull(i, b.Len)
		default:
			v.I[i] = boolInt(!absorbing)
		}
	}
	return v
}

// Eval implements Expr.
func (e *Not) Eval(b *Batch) *Vector {
	x := e.X.Eval(b)
	v := b.New(Int)
	v.Null = x.Null
	for i, n := range x.I {
		v.I[i] = boolInt(n == 0)
	}
	return v
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Truth is whether a number is other than zero, as WHERE and AND take it.
type Truth struct{ X Expr }

// Type implements Expr.
func (e *Truth) Type() Type { return Boolean }

// Eval implements Expr.
func (e *Truth) Eval(b *Batch) *Vector {
	x := e.X.Eval(b)
	v := b.New(Int)
	v.Null = x.Null
	switch x.Kind {
	case Float:
		for i, f := range x.F {
			v.I[i] = boolInt(f != 0)
		}
	case BigDec:
		for i, d := range x.D {
			v.I[i] = boolInt(!x.IsNull(i) && !d.IsZero())
		}
	default:
		for i, n := range x.I {
			v.I[i] = boolInt(n != 0)
		}
	}
	return v
}

// IsNull is X IS NULL.
type IsNull struct{ X Expr }

// Type implements Expr.
func (e *IsNull) Type() Type { return Boolean }

// Eval implements Expr.
func (e *IsNull) Eval(b *Batch) *Vector {
	x := e.X.Eval(b)
	v := b.New(Int)
	for i := range v.I {
		v.I[i] = boolInt(x.IsNull(i))
	}
	return v
}

// In is X IN (values…), none of them NULL and all of X's kind. Neg is NOT IN.
type In struct {
	X       Expr
	Neg     bool
	ints    map[int64]struct{}
	strings map[string]struct{}
}

// NewIn returns X IN (values…) for an X of kind Int, Uint, Dec, Time or text.
// Dec values must have X's scale.
func NewIn(x Expr, values []Value) *In {
	e := &In{X: x}
	if x.Type().Kind.IsText() {
		e.strings = make(map[string]struct{}, len(values))
		for _, v := range values {
			e.strings[v.S] = struct{}{}
		}
		return e
	}
	e.ints = make(map[int64]struct{}, len(values))
	for _, v := range values {
		e.ints[v.I] = struct{}{}
	}
	return e
}

// Type implements Expr.
func (e *In) Type() Type { return Boolean }

// Eval implements Expr.
func (e *In) Eval(b *Batch) *Vector {
	x := e.X.Eval(b)
	v := b.New(Int)
	v.Null = x.Null
	if e.strings != nil {
		for i, s := range x.S {
			_, ok := e.strings[s]
			v.I[i] = boolInt(ok != e.Neg)
		}
		return v
	}
	for i, n := range x.I {
		_, ok := e.ints[n]
		v.I[i] = boolInt(ok != e.Neg)
	}
	return v
}

// LikeKind says which simple pattern a Like is.
type LikeKind uint8

// The patterns of LIKE that need no matching engine.
const (
	LikePrefix   LikeKind = iota // 'text%'
	LikeSuffix                   // '%text'
	LikeContains                 // '%text%'
)

// Like is X LIKE a pattern whose only wildcards are % at the ends, compared
// byte for byte.
type Like struct {
	X    Expr
	Kind LikeKind
	Text string
	Neg  bool
}

// Type implements Expr.
func (e *Like) Type() Type { return Boolean }

// Eval implements Expr.
func (e *Like) Eval(b *Batch) *Vector {
	x := e.X.Eval(b)
	v := b.New(Int)
	v.Null = x.Null
	match := strings.HasPrefix
	switch e.Kind {
	case LikeSuffix:
		match = strings.HasSuffix
	case LikeContains:
		match = strings.Contains
	}
	for i, s := range x.S {
		v.I[i] = boolInt(match(s, e.Text) != e.Neg)
	}
	return v
}

// Case is CASE WHEN cond THEN value … ELSE value END, and with one branch IF.
// All values have the type T; the conditions are truth values.
type Case struct {
	When, Then []Expr
	Else       Expr // nil is NULL
	T          Type
}

// Type implements Expr.
func (e *Case) Type() Type { return e.T }

// Eval implements Expr.
func (e *Case) Eval(b *Batch) *Vector {
	v := b.New(e.T.Kind)
	v.Scale = e.T.Scale
	conds, thens := make([]*Vector, len(e.When)), make([]*Vector, len(e.When))
	for k := range e.When {
		conds[k], thens[k] = e.When[k].Eval(b), e.Then[k].Eval(b)
	}
	var other *Vector
	if e.Else != nil {
		other = e.Else.Eval(b)
	}
	for i := range b.Len {
		from := other
		for k, c := range conds {
			if !c.IsNull(i) && c.I[i] != 0 {
				from = thens[k]
				break
			}
		}
		if from == nil {
			v.SetNull(i, b.Len)
			continue
		}
		v.Set(i, b.Len, from.Value(i))
	}
	return v
}

// Coalesce is the first of Xs that is not NULL. All have the type T.
type Coalesce struct {
	Xs []Expr
	T  Type
}

// Type implements Expr.
func (e *Coalesce) Type() Type { return e.T }

// Eval implements Expr.
func (e *Coalesce) Eval(b *Batch) *Vector {
	x := e.Xs[0].Eval(b)
	for _, next := range e.Xs[1:] {
		if x.Null == nil {
			break
		}
		y := next.Eval(b)
		v := b.New(e.T.Kind)
		v.Scale = e.T.Scale
		for i := range b.Len {
			if x.Null[i] {
				v.Set(i, b.Len, y.Value(i))
			} else {
				v.Set(i, b.Len, x.Value(i))
			}
		}
		x = v
	}
	return x
}
