package gmsx

import (
	"regexp"
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// plainCasts makes CAST of a text that begins with a number that number, as
// MySQL does. The engine makes 0 of '12abc'.
func plainCasts(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeExprsWithOpaque(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
		c, ok := e.(*expression.Convert)
		if !ok || !types.IsText(c.Child.Type()) || types.IsBinaryType(c.Child.Type()) {
			return e, transform.SameTree, nil
		}
		if call, ok := c.Child.(*Call); ok && call.name == numberPrefix {
			return e, transform.SameTree, nil
		}
		form := numberForm
		switch c.Type() {
		case types.Int64, types.Uint64:
			form = integerForm
		default:
			if !types.IsNumber(c.Type()) {
				return e, transform.SameTree, nil
			}
		}
		prefix := NewCall(numberPrefix, c.Child.Type(), []gms.Expression{c.Child}, func(_ *gms.Context, args []any) (any, error) {
			s, ok := args[0].(string)
			if !ok {
				return args[0], nil
			}
			return castPrefix(s, form), nil
		})
		cast, err := c.WithChildren(prefix)
		return cast, transform.NewTree, err
	})
	return out, err
}

// numberPrefix is the name of the call in plans.
const numberPrefix = "number_at_the_start_of"

var (
	numberForm  = regexp.MustCompile(`^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?`)
	integerForm = regexp.MustCompile(`^[+-]?\d+`)
)

// castPrefix is the number with which a text begins, or 0. A text that is
// a number as a whole stays.
func castPrefix(s string, form *regexp.Regexp) string {
	s = strings.TrimSpace(s)
	number := numberForm.FindString(s)
	if len(number) == len(s) && number != "" {
		return s
	}
	if number = form.FindString(s); number != "" {
		return number
	}
	return "0"
}
