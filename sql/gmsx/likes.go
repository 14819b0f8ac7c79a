package gmsx

import (
	"unicode/utf8"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// safeLikes keeps LIKE from the engine's optimiser, and gives it an index
// range that is right. The engine turns
//
//	s LIKE 'ab%'   into   s >= 'ab' AND s <= 'abÿ'
//
// and so loses every row whose next character is above U+00FF. Our range ends
// before the next prefix, and stands for the LIKE only where the collation
// orders characters by their numbers.
func safeLikes(ctx *gms.Context, n gms.Node) (gms.Node, error) {
	return inConditions(n, func(e gms.Expression) (gms.Expression, bool, error) {
		l, ok := e.(*expression.Like)
		if !ok {
			return e, false, nil
		}
		own := &like{Like: l}
		col, ok := l.LeftChild.(*expression.GetField)
		lit, ok2 := l.RightChild.(*expression.Literal)
		if !ok || !ok2 || l.Escape != nil || !types.IsText(col.Type()) || !byNumber(ctx, l) {
			return own, true, nil
		}
		pattern, ok := lit.Value().(string)
		if !ok {
			return own, true, nil
		}
		prefix, rest := likePrefix(pattern)
		if prefix == "" {
			return own, true, nil
		}
		literal := func(s string) gms.Expression { return expression.NewLiteral(s, types.LongText) }
		if rest == "" {
			return expression.NewEquals(col, literal(prefix)), true, nil
		}
		var within gms.Expression = expression.NewGreaterThanOrEqual(col, literal(prefix))
		if end, ok := nextPrefix(prefix); ok {
			within = expression.NewAnd(within, expression.NewLessThan(col, literal(end)))
		}
		if rest == "%" {
			return within, true, nil
		}
		return expression.NewAnd(within, own), true, nil
	})
}

// byNumber says whether LIKE compares, and an index orders, by the numbers of
// characters.
func byNumber(ctx *gms.Context, l *expression.Like) bool {
	collation, _ := l.CollationCoercibility(ctx)
	return collation == gms.Collation_utf8mb4_0900_bin || collation == gms.Collation_utf8mb4_bin
}

// likePrefix is what every match of a pattern begins with, and the rest of
// the pattern from its first wildcard on.
func likePrefix(pattern string) (prefix, rest string) {
	var p []byte
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '%', '_':
			return string(p), pattern[i:]
		case '\\':
			if i+1 < len(pattern) {
				i++
			}
			p = append(p, pattern[i])
		default:
			p = append(p, c)
		}
	}
	return string(p), ""
}

// nextPrefix is the least string above all that begin with prefix; ok is
// false if there is none.
func nextPrefix(prefix string) (next string, ok bool) {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		if r == utf8.RuneError {
			return "", false
		}
		if r++; r == 0xD800 { // the surrogates are no characters
			r = 0xE000
		}
		if r <= utf8.MaxRune {
			return prefix + string(r), true
		}
	}
	return "", false
}

// A like is the engine's under a type that its optimiser does not know.
type like struct{ *expression.Like }

func (l *like) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	e, err := l.Like.WithChildren(children...)
	if err != nil {
		return nil, err
	}
	return &like{Like: e.(*expression.Like)}, nil
}
