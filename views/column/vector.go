package column

import "github.com/shopspring/decimal"

// A Vector is one column of a batch. Only the slice of its kind is set: I for
// Int, Uint, Dec and Time, F for Float, D for BigDec, S for the text kinds.
type Vector struct {
	Kind  Kind
	Scale uint8 // Dec: of every value
	I     []int64
	F     []float64
	S     []string
	D     []decimal.Decimal
	Null  []bool // nil when no value is NULL

	// Codes, if there are any, say of which value of Dict each text of S is one.
	// That of NULL says nothing. Neither is ever changed.
	Codes []uint32
	Dict  []string
}

// IsNull reports whether row i is NULL.
func (v *Vector) IsNull(i int) bool { return v.Null != nil && v.Null[i] }

// SetNull makes row i of n NULL.
func (v *Vector) SetNull(i, n int) {
	if v.Null == nil {
		v.Null = make([]bool, n)
	}
	v.Null[i] = true
}

// Value returns row i. Its text is that of the vector.
func (v *Vector) Value(i int) Value {
	if v.IsNull(i) {
		return Null
	}
	switch v.Kind {
	case Int, Uint, Time:
		return Value{Kind: v.Kind, I: v.I[i]}
	case Dec:
		return Value{Kind: Dec, I: v.I[i], Scale: v.Scale}
	case Float:
		return Value{Kind: Float, F: v.F[i]}
	case BigDec:
		return Value{Kind: BigDec, D: v.D[i]}
	case Invalid:
		return Null
	default:
		return Value{Kind: v.Kind, S: v.S[i]}
	}
}

// Set makes row i of n the value x, which is NULL or of the vector's kind.
func (v *Vector) Set(i, n int, x Value) {
	switch {
	case x.IsNull():
		v.SetNull(i, n)
	case v.Kind == Float:
		v.F[i] = x.F
	case v.Kind == BigDec:
		v.D[i] = x.D
	case v.Kind.IsText():
		v.S[i] = x.S
	default:
		v.I[i] = x.I
	}
}

// Slice returns rows from to before to, which share the vector's memory.
func (v *Vector) Slice(from, to int) *Vector {
	of := &Vector{Kind: v.Kind, Scale: v.Scale}
	if v.Null != nil {
		of.Null = v.Null[from:to]
	}
	switch {
	case v.Kind == Float:
		of.F = v.F[from:to]
	case v.Kind == BigDec:
		of.D = v.D[from:to]
	case v.Kind.IsText():
		of.S = v.S[from:to]
	default:
		of.I = v.I[from:to]
	}
	return of
}

// A Batch is a number of events as columns. Vectors made for it with New are
// taken back by Reset, so a batch that is used again allocates nothing.
type Batch struct {
	Len  int
	Cols []*Vector // by the column's index in the stream; nil where nothing needs it

	// Sel lists the rows that matter to the expression being evaluated, nil
	// for all. Kernels may compute the others as well; what is costly should not.
	Sel []uint32

	// Context is for expressions that need more than the vectors.
	Context any

	free, used [kinds][]*Vector
}

const kinds = int(JSON) + 1

// Reset makes the batch ready for n rows and takes back all its vectors.
func (b *Batch) Reset(n int) {
	b.Len, b.Sel = n, nil
	clear(b.Cols)
	for k := range b.used {
		b.free[k] = append(b.free[k], b.used[k]...)
		b.used[k] = b.used[k][:0]
	}
}

// New returns a vector of the kind with b.Len values, none of them NULL, whose
// contents are otherwise arbitrary. It lives until Reset.
func (b *Batch) New(k Kind) *Vector {
	var v *Vector
	if f := b.free[k]; len(f) > 0 {
		v = f[len(f)-1]
		b.free[k] = f[:len(f)-1]
	} else {
		v = &Vector{Kind: k}
	}
	b.used[k] = append(b.used[k], v)
	v.Null = nil
	switch {
	case k == Float:
		v.F = resize(v.F, b.Len)
	case k == BigDec:
		v.D = resize(v.D, b.Len)
	case k.IsText():
		v.S = resize(v.S, b.Len)
	default:
		v.I = resize(v.I, b.Len)
	}
	return v
}

// resize returns s with length n. It grows with room to spare, since batches
// vary in size.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}

// Keep leaves of Sel, in place, the rows for which cond is true: neither false
// nor NULL. Sel must list rows.
func (b *Batch) Keep(cond Expr) {
	v := cond.Eval(b)
	kept := b.Sel[:0]
	for _, i := range b.Sel {
		if v.I[i] != 0 && !v.IsNull(int(i)) {
			kept = append(kept, i)
		}
	}
	b.Sel = kept
}

// Rows calls f for each row that matters: those of Sel, or all.
func (b *Batch) Rows(f func(i int)) {
	if b.Sel == nil {
		for i := range b.Len {
			f(i)
		}
		return
	}
	for _, i := range b.Sel {
		f(int(i))
	}
}
