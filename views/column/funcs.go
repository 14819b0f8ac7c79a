package column

import (
	"iter"
	"net/url"
	"strings"
	"time"
)

// Tumble is the start of the window of Size microseconds that holds X:
// windows are [start, end), aligned to the Unix epoch in UTC plus Offset.
type Tumble struct {
	X            Expr
	Size, Offset int64 // microseconds; Size > 0
}

// Type implements Expr.
func (e *Tumble) Type() Type { return Datetime }

// Eval implements Expr.
func (e *Tumble) Eval(b *Batch) *Vector {
	return windowStarts(b, e.X.Eval(b), e.Size, e.Offset)
}

// windowStarts returns the WindowStart of each x, in a vector of its own. One
// that is before TimeMin is NULL.
func windowStarts(b *Batch, x *Vector, size, offset int64) *Vector {
	v := b.New(Time)
	v.Null = x.Null
	own := false
	for i, t := range x.I {
		v.I[i] = WindowStart(t, size, offset)
		if v.I[i] < TimeMin {
			v.ownNull(&own)
			v.SetNull(i, b.Len)
		}
	}
	return v
}

// TimeMin is the first moment that a DATETIME holds, in microseconds. Windows
// that hold it may begin before.
var TimeMin = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// WindowStart returns the start of the window of the given size and offset
// that holds t, all in microseconds.
func WindowStart(t, size, offset int64) int64 {
	d := (t - offset) % size
	if d < 0 {
		d += size
	}
	return t - d
}

// Hop is windows of Size microseconds that begin every Slide microseconds, and
// so may overlap: they are [start, end), aligned to the Unix epoch in UTC plus
// Offset. A row is in every window that holds X, which Windows lists: in several
// where Size is more than Slide, in one or none where it is less.
type Hop struct {
	X                   Expr
	Slide, Size, Offset int64 // microseconds; Slide and Size > 0
}

// Type implements Expr.
func (e *Hop) Type() Type { return Datetime }

// Eval implements Expr: the start of the latest window that began by X.
func (e *Hop) Eval(b *Batch) *Vector {
	return windowStarts(b, e.X.Eval(b), e.Slide, e.Offset)
}

// Count is the most windows that one time is in.
func (e *Hop) Count() int64 { return (e.Size-1)/e.Slide + 1 }

// Windows yields the windows of the rows of b.Sel: the latest one of each row,
// then the one before it, and so on. With the starts come the rows that are in
// those windows; a row whose latest start is NULL is in the window NULL alone.
// Both hold until the next are asked for. b.Sel must list rows, and is used up.
func (e *Hop) Windows(b *Batch) iter.Seq2[*Vector, []uint32] {
	return func(yield func(*Vector, []uint32) bool) {
		x := e.X.Eval(b)
		starts, ages := windowStarts(b, x, e.Slide, e.Offset), b.New(Time)
		rows := b.Sel[:0]
		for _, r := range b.Sel {
			ages.I[r] = x.I[r] - starts.I[r] // how far into its window the row is
			if starts.IsNull(int(r)) || ages.I[r] < e.Size {
				rows = append(rows, r)
			}
		}
		for len(rows) > 0 && yield(starts, rows) {
			next := rows[:0]
			for _, r := range rows {
				// The window before must hold the row, and DATETIME its start.
				if !starts.IsNull(int(r)) && ages.I[r] < e.Size-e.Slide && starts.I[r] >= TimeMin+e.Slide {
					starts.I[r] -= e.Slide
					ages.I[r] += e.Slide
					next = append(next, r)
				}
			}
			rows = next
		}
		b.Sel = rows
	}
}

// URLPath is the path of a URL or request target: what stands before the first
// ? or #, without scheme and host, as it was sent (not unescaped).
type URLPath struct{ X Expr }

// Type implements Expr.
func (e *URLPath) Type() Type { return Text }

// Eval implements Expr.
func (e *URLPath) Eval(b *Batch) *Vector {
	x := e.X.Eval(b)
	v := b.New(String)
	v.Null = x.Null
	for i, s := range x.S {
		v.S[i] = PathOf(s)
	}
	return v
}

// PathOf returns the path of a URL; see URLPath.
func PathOf(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || strings.ContainsRune(scheme, '/') {
		return s
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return "/"
}

// URLParam is the first value of the query parameter Name in a URL, unescaped;
// NULL where the URL does not have it.
type URLParam struct {
	X    Expr
	Name string
}

// Type implements Expr.
func (e *URLParam) Type() Type { return Text }

// Eval implements Expr.
func (e *URLParam) Eval(b *Batch) *Vector {
	x := e.X.Eval(b)
	v := b.New(String)
	v.Null = x.Null
	own := false
	for i, s := range x.S {
		if x.IsNull(i) {
			continue
		}
		p, ok := ParamOf(s, e.Name)
		if !ok {
			v.ownNull(&own)
			v.SetNull(i, b.Len)
			continue
		}
		v.S[i] = p
	}
	return v
}

// ParamOf returns the first value of a query parameter of a URL, unescaped,
// and whether the URL has it. A value that is not well escaped is returned as
// it stands.
func ParamOf(s, name string) (string, bool) {
	s, _, _ = strings.Cut(s, "#")
	_, query, ok := strings.Cut(s, "?")
	for ok {
		var pair string
		pair, query, ok = strings.Cut(query, "&")
		key, value, _ := strings.Cut(pair, "=")
		if key == name || strings.ContainsAny(key, "%+") && unescape(key) == name {
			return unescape(value), true
		}
	}
	return "", false
}

func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if u, err := url.QueryUnescape(s); err == nil {
		return strings.ToValidUTF8(u, "\uFFFD")
	}
	return s
}
