package gmsx

import (
	"strings"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// padMax is the longest text that LPAD and RPAD make, max_allowed_packet of
// MySQL.
const padMax = 64 << 20

func pad(left bool) func(ctx *gms.Context, t gms.Type, args []gms.Expression, vals []any) (any, error) {
	return func(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
		s, err := toText(ctx, args[0].Type(), vals[0])
		if err != nil {
			return nil, err
		}
		with, err := toText(ctx, args[2].Type(), vals[2])
		if err != nil {
			return nil, err
		}
		num, err := toNumber(ctx, vals[1])
		if err != nil {
			return nil, err
		}
		n := toBig(num).Int64()
		have := int64(len([]rune(s)))
		switch {
		case n < 0 || n > padMax:
			return nil, nil
		case n <= have:
			return firstChars(s, int(n)), nil
		case with == "":
			return nil, nil
		}
		fill := []rune(with)
		var b strings.Builder
		for i := range n - have {
			b.WriteRune(fill[i%int64(len(fill))])
		}
		if left {
			return b.String() + s, nil
		}
		return s + b.String(), nil
	}
}

func insertText(ctx *gms.Context, _ gms.Type, args []gms.Expression, vals []any) (any, error) {
	s, err := toText(ctx, args[0].Type(), vals[0])
	if err != nil {
		return nil, err
	}
	with, err := toText(ctx, args[3].Type(), vals[3])
	if err != nil {
		return nil, err
	}
	var at [2]int64
	for i := range at {
		n, err := toNumber(ctx, vals[1+i])
		if err != nil {
			return nil, err
		}
		at[i] = toBig(n).Int64()
	}
	chars := []rune(s)
	if at[0] < 1 || at[0] > int64(len(chars)) {
		return s, nil
	}
	end := int64(len(chars))
	if at[1] >= 0 && at[1] < end-at[0]+1 {
		end = at[0] - 1 + at[1]
	}
	return string(chars[:at[0]-1]) + with + string(chars[end:]), nil
}

// A quote is QUOTE(x), which has a value for NULL.
type quote struct{ expression.UnaryExpression }

func (q *quote) Type() gms.Type   { return types.LongText }
func (q *quote) IsNullable() bool { return false }
func (q *quote) String() string   { return "quote(" + q.Child.String() + ")" }

// CollationCoercibility implements gms.CollationCoercible.
func (q *quote) CollationCoercibility(*gms.Context) (gms.CollationID, byte) {
	return gms.Collation_Default, 4
}

func (q *quote) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(q, len(children), 1)
	}
	return &quote{expression.UnaryExpression{Child: children[0]}}, nil
}

func (q *quote) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	v, err := q.Child.Eval(ctx, row)
	if err != nil || v == nil {
		return "NULL", err
	}
	s, err := toText(ctx, q.Child.Type(), v)
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`, "\x1a", `\Z`).Replace(s) + "'", err
}
