package gmsx

import (
	gms "github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
)

// A Rule changes a plan. It is applied to the whole statement and, on its own,
// to what is within each sub-query, derived table, view and side of a UNION;
// it may meet its own result again.
type Rule struct {
	// Early rules run after ours and before the engine's; others run after the
	// engine has optimised, with index ranges chosen and columns pruned.
	Early bool
	Apply func(ctx *gms.Context, n gms.Node) (gms.Node, error)
}

// ruleBase is above the numbers of the engine's own rules.
const ruleBase = 10000

// addRules gives the analyzer our rules and then the user's.
func addRules(e *Engine, b *analyzer.Builder, o Options) {
	// It looks only where nothing stands over a GROUP BY, and knows no
	// dependence: fullGroups is in its place.
	b.RemoveValidationRule(engineRule("validateGroupBy"))
	all := []Rule{
		{Early: true, Apply: outerJoined},
		{Early: true, Apply: refuseOuterAggregates},
		{Early: true, Apply: distinctColumns},
		{Early: true, Apply: fullGroups},
		{Early: true, Apply: groupOuterColumns},
		{Early: true, Apply: e.readFirst},
		{Early: true, Apply: singleRows},
		{Early: true, Apply: existsForIn},
		{Early: true, Apply: plainCasts},
		{Early: true, Apply: plainDecimals},
		{Early: true, Apply: typeLiterals},
		{Early: true, Apply: safeLikes},
		{Early: true, Apply: exactKeys},
	}
	within := []func(*gms.Context, gms.Node) (gms.Node, error){e.readFirst, singleRows, existsForIn, plainCasts, plainDecimals, typeLiterals, safeLikes, exactKeys}
	if o.Operators {
		within = append(within, exactComparisons)
	}
	all = append(all, Rule{Early: true, Apply: withinSubqueries(within)})
	if o.Operators {
		all = append(all, Rule{Early: true, Apply: exactExists})
	}
	all = append(all, Rule{Early: true, Apply: exactJoins}, Rule{Early: true, Apply: notExists})
	if o.Operators {
		all = append(all,
			Rule{Early: true, Apply: exactSubqueries},
			Rule{Early: true, Apply: exactComparisons},
			Rule{Early: true, Apply: exactUnions},
		)
	}
	all = append(all, Rule{Early: true, Apply: holdOuterConditions}, Rule{Early: true, Apply: extremeRows}, Rule{Apply: padWindows})
	all = append(all, Rule{Early: true, Apply: mapViews}, Rule{Early: true, Apply: pushFilters})
	all = append(all, o.Rules...)
	for i, r := range all {
		apply := func(ctx *gms.Context, _ *analyzer.Analyzer, n gms.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *gms.QueryFlags) (gms.Node, transform.TreeIdentity, error) {
			out, err := r.Apply(ctx, n)
			if err != nil {
				return n, transform.SameTree, err
			}
			return out, transform.NewTree, nil
		}
		if r.Early {
			b.AddPreAnalyzeRule(analyzer.RuleId(ruleBase+i), apply)
		} else {
			b.AddPostAnalyzeRule(analyzer.RuleId(ruleBase+i), apply)
		}
	}
}

// inConditions applies f to the expressions of every condition in n, bottom up.
func inConditions(n gms.Node, f func(e gms.Expression) (gms.Expression, bool, error)) (gms.Node, error) {
	out, _, err := transform.NodeWithOpaque(n, func(n gms.Node) (gms.Node, transform.TreeIdentity, error) {
		switch n.(type) {
		case *plan.Filter, *plan.Having, *plan.JoinNode:
			return transform.OneNodeExpressions(n, func(e gms.Expression) (gms.Expression, transform.TreeIdentity, error) {
				e, changed, err := f(e)
				return e, transform.TreeIdentity(!changed), err
			})
		}
		return n, transform.SameTree, nil
	})
	return out, err
}

// withinSubqueries applies what makes conditions right to the sub-queries of
// EXISTS and IN, which the engine makes joins of before it comes to them.
func withinSubqueries(rules []func(*gms.Context, gms.Node) (gms.Node, error)) func(*gms.Context, gms.Node) (gms.Node, error) {
	var apply func(ctx *gms.Context, n gms.Node) (gms.Node, error)
	within := func(ctx *gms.Context, s *plan.Subquery) (*plan.Subquery, error) {
		q := s.Query
		for _, rule := range rules {
			var err error
			if q, err = rule(ctx, q); err != nil {
				return nil, err
			}
		}
		q, err := apply(ctx, q)
		if err != nil {
			return nil, err
		}
		return s.WithQuery(q), nil
	}
	apply = func(ctx *gms.Context, n gms.Node) (gms.Node, error) {
		return inConditions(n, func(e gms.Expression) (gms.Expression, bool, error) {
			switch e := e.(type) {
			case *plan.ExistsSubquery:
				s, err := within(ctx, e.Query)
				if err != nil {
					return nil, false, err
				}
				return plan.NewExistsSubquery(s), true, nil
			case *plan.InSubquery:
				s, ok := e.Right().(*plan.Subquery)
				if !ok {
					return e, false, nil
				}
				s, err := within(ctx, s)
				if err != nil {
					return nil, false, err
				}
				return plan.NewInSubquery(e.Left(), s), true, nil
			}
			return e, false, nil
		})
	}
	return apply
}

// movable says whether e may be evaluated elsewhere in the plan, and more or
// less often, without another result.
func movable(e gms.Expression) bool {
	ok := true
	gms.Inspect(e, func(e gms.Expression) bool {
		switch e := e.(type) {
		case *plan.Subquery, *plan.InSubquery, *plan.ExistsSubquery, *expression.UserVar, gms.Aggregation:
			ok = false
		case gms.NonDeterministicExpression:
			ok = ok && !e.IsNonDeterministic()
		}
		return ok
	})
	return ok
}
