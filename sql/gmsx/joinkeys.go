package gmsx

import (
	"encoding/hex"
	"fmt"
	"strconv"

	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// exactJoins makes joins of columns of different types right. For a lookup the
// engine converts one side into the type of the other, which rounds or clamps,
// and drops the condition. Where that finds rows too many, the condition is
// repeated as one that stays; where it, or a hash, would find too few, the
// condition is no key at all.
func exactJoins(_ *gms.Context, n gms.Node) (gms.Node, error) {
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		switch n := n.(type) {
		case *plan.Filter:
			if cond, changed := exactJoin(n.Expression); changed {
				return plan.NewFilter(cond, n.Child), transform.NewTree, nil
			}
		case *plan.JoinNode:
			if n.Filter == nil {
				break
			}
			if cond, changed := exactJoin(n.Filter); changed {
				out, err := n.WithExpressions(cond)
				return out, transform.NewTree, err
			}
		}
		return n, transform.SameTree, nil
	})
	return out, err
}

func exactJoin(cond gms.Expression) (gms.Expression, bool) {
	conds := expression.SplitConjunction(cond)
	have := map[string]bool{}
	for _, c := range conds {
		have[exprKey(c)] = true
	}
	var out []gms.Expression
	changed := false
	for _, e := range conds {
		c, ok := comparisonOf(e)
		if !ok || c.in || c.op != opEqual && c.op != opNullSafe {
			out = append(out, e)
			continue
		}
		other, ok := c.values[0].(*expression.GetField)
		if !ok || other.TableId() == c.col.TableId() {
			out = append(out, e)
			continue
		}
		keep, again := keyCondition(c, other)
		if again == nil || have[exprKey(again)] && keep {
			out = append(out, e)
			continue
		}
		if keep {
			out = append(out, e)
		}
		out, changed = append(out, again), true
	}
	return expression.JoinAnd(out...), changed
}

// exprKey tells our expressions from the engine's that read alike.
func exprKey(e gms.Expression) string { return fmt.Sprintf("%T %s", e, e) }

// keyCondition is the condition that must hold beside the equality of two
// columns, nil if none, and whether the equality itself may be a key.
func keyCondition(c comparison, other *expression.GetField) (keep bool, again gms.Expression) {
	a, b := c.col.Type(), other.Type()
	kind := kindOfKeys(a, b)
	if kind == keyNone && asTimes(a, b) {
		kind = keyMoment
	}
	if c.op == opNullSafe {
		// A lookup, or a hash, of the engine's finds no NULL.
		if kind == keyNone {
			return false, newHidden(c)
		}
		return false, expression.NewEquals(newJoinKey(c.col, kind, " n"), newJoinKey(other, kind, " n"))
	}
	switch {
	case a.Equals(b) && !types.IsDecimal(a):
		return true, nil
	case kind == keyNone && isTime(a) == isTime(b):
		return true, nil
	case kind == keyNone:
		return false, newHidden(c)
	}
	decimals := types.IsUnsigned(a) != types.IsUnsigned(b) && kind == keyDouble || types.IsDecimal(a) || types.IsDecimal(b) || types.IsTextOnly(a) || types.IsTextOnly(b)
	return !decimals, expression.NewEquals(newJoinKey(c.col, kind, ""), newJoinKey(other, kind, ""))
}

// A keyKind is as what values are equal.
type keyKind int

const (
	keyNone   keyKind = iota
	keySame           // values of one type
	keyExact          // integers and decimals
	keyDouble         // numbers, and texts beside them
	keyMoment
)

func kindOfKeys(a, b gms.Type) keyKind {
	exact := func(t gms.Type) bool { return types.IsInteger(t) || types.IsDecimal(t) }
	switch {
	case a.Equals(b) && !types.IsDecimal(a): // 1.5 and 1.50 have different hashes
		return keySame
	case exact(a) && exact(b):
		return keyExact
	case asNumbers(a, b):
		return keyDouble
	case isTime(a) && isTime(b):
		return keyMoment
	}
	return keyNone
}

// A joinKey is a value as text that is the same for equal values of the other
// side, whatever their types. The engine hashes it as any other.
type joinKey struct {
	expression.UnaryExpression
	kind keyKind
	null string // for NULL, if not empty
}

func newJoinKey(e gms.Expression, kind keyKind, null string) *joinKey {
	return &joinKey{UnaryExpression: expression.UnaryExpression{Child: e}, kind: kind, null: null}
}

// Type implements gms.Expression.
func (k *joinKey) Type() gms.Type { return types.LongText }

// IsNullable implements gms.Expression.
func (k *joinKey) IsNullable() bool { return k.null == "" && k.Child.IsNullable() }

func (k *joinKey) String() string { return fmt.Sprintf("key%s(%s)", k.null, k.Child) }

// WithChildren implements gms.Expression.
func (k *joinKey) WithChildren(children ...gms.Expression) (gms.Expression, error) {
	if len(children) != 1 {
		return nil, gms.ErrInvalidChildrenNumber.New(k, len(children), 1)
	}
	return newJoinKey(children[0], k.kind, k.null), nil
}

// CollationCoercibility implements gms.CollationCoercible.
func (k *joinKey) CollationCoercibility(*gms.Context) (gms.CollationID, byte) {
	return gms.Collation_Default, 4
}

// Eval implements gms.Expression.
func (k *joinKey) Eval(ctx *gms.Context, row gms.Row) (any, error) {
	v, err := k.Child.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	if v == nil {
		if k.null != "" {
			return k.null, nil
		}
		return nil, nil
	}
	return keyOf(ctx, k.kind, k.Child.Type(), v)
}

// keyOf is a value of type t, not NULL, as a key.
func keyOf(ctx *gms.Context, kind keyKind, t gms.Type, v any) (string, error) {
	switch kind {
	case keyExact:
		if d, ok := exactDecimal(v); ok {
			return d.String(), nil
		}
	case keyDouble:
		if n, err := toNumber(ctx, v); err == nil {
			f, _ := double(n)
			return strconv.FormatFloat(f+0, 'g', -1, 64), nil // -0 + 0 is 0
		}
	case keyMoment:
		if at, ok := toTime(ctx, v); ok {
			return strconv.FormatInt(at.UnixMicro(), 10), nil
		}
	}
	b, err := appendKey(ctx, nil, t, v)
	return hex.EncodeToString(b), err
}

// The optimiser makes a left join, and a hash, of an anti join only if its
// condition has no other functions than equalities. A joinKey passes for one
// that represents none.
var _ expression.Equality = (*joinKey)(nil)

// Left implements expression.Equality.
func (k *joinKey) Left() gms.Expression { return k.Child }

// Right implements expression.Equality.
func (k *joinKey) Right() gms.Expression { return k.Child }

// RepresentsEquality implements expression.Equality.
func (k *joinKey) RepresentsEquality() bool { return false }

// SwapParameters implements expression.Equality.
func (k *joinKey) SwapParameters(*gms.Context) (expression.Equality, error) { return k, nil }

// ToComparer implements expression.Equality.
func (k *joinKey) ToComparer() (expression.Comparer, error) {
	return nil, fmt.Errorf("%s compares nothing", k)
}
