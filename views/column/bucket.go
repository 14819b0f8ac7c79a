package column

// Bucket is UNIX_TIMESTAMP(X) DIV Size * Times: seconds since the epoch in
// buckets, as dashboards have them. X is a Time, in UTC.
type Bucket struct {
	X           Expr
	Size, Times int64 // both positive, their product below 2^31
}

// Type implements Expr.
func (e *Bucket) Type() Type { return Bigint }

// unixMost is the last time, in microseconds, for which UNIX_TIMESTAMP is not 0.
const unixMost = 32536771199999999

// Eval implements Expr.
func (e *Bucket) Eval(b *Batch) *Vector {
	x := e.X.Eval(b)
	v := b.New(Int)
	v.Null = x.Null
	for i, t := range x.I {
		if t < 1e6 || t > unixMost {
			v.I[i] = 0
		} else {
			v.I[i] = t / 1e6 / e.Size * e.Times
		}
	}
	return v
}
