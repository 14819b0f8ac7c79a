package column

import (
	"net/url"
	"strings"
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
	x := e.X.Eval(b)
	v := b.New(Time)
	v.Null = x.Null
	for i, t := range x.I {
		v.I[i] = WindowStart(t, e.Size, e.Offset)
	}
	return v
}

// WindowStart returns the start of the window of the given size and offset
// that holds t, all in microseconds.
func WindowStart(t, size, offset int64) int64 {
	d := (t - offset) % size
	if d < 0 {
		d += size
	}
	return t - d
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
