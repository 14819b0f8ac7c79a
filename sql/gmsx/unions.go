package gmsx

import (
	"slices"

	ast "github.com/dolthub/vitess/go/vt/sqlparser"
)

const (
	// balanceFrom is from how many branches on a UNION is balanced.
	balanceFrom = 5
	// unionDepthMax is how deep what cannot be balanced may be.
	unionDepthMax = 14
)

// balanceUnion turns a chain a ∪ b ∪ c ∪ d into (a ∪ b) ∪ (c ∪ d). The engine
// takes time exponential in the depth of a UNION whose branches have different
// types, during which nothing stops it: twenty branches took half a minute.
// The two sides of a recursive one mean something and stay.
func balanceUnion(s *ast.SetOp, recursive bool) error {
	if branches := unionBranches(s); !recursive && isUnion(s.Type) && len(branches) >= balanceFrom {
		mid := len(branches) / 2
		s.Left, s.Right = balanced(branches[:mid], s.Type), balanced(branches[mid:], s.Type)
	}
	if unionDepth(s) > unionDepthMax {
		return Error(1235, "42000", "This statement has too many UNIONs of different kinds")
	}
	return nil
}

func isUnion(t string) bool {
	return t == ast.UnionStr || t == ast.UnionAllStr || t == ast.UnionDistinctStr
}

// unionBranches are the branches of a chain of one kind. A UNION within that
// has an order or a limit of its own is one branch.
func unionBranches(s *ast.SetOp) []ast.SelectStatement {
	var right []ast.SelectStatement // from the last on
	for {
		right = append(right, s.Right)
		left, ok := s.Left.(*ast.SetOp)
		if !ok || left.Type != s.Type || left.OrderBy != nil || left.Limit != nil || left.With != nil || left.Into != nil || left.Lock != "" {
			right = append(right, s.Left)
			break
		}
		s = left
	}
	slices.Reverse(right)
	return right
}

func balanced(branches []ast.SelectStatement, kind string) ast.SelectStatement {
	if len(branches) == 1 {
		return branches[0]
	}
	mid := len(branches) / 2
	return &ast.SetOp{Type: kind, Left: balanced(branches[:mid], kind), Right: balanced(branches[mid:], kind)}
}

func unionDepth(s ast.SelectStatement) int {
	switch s := s.(type) {
	case *ast.SetOp:
		return 1 + max(unionDepth(s.Left), unionDepth(s.Right))
	case *ast.ParenSelect:
		return unionDepth(s.Select)
	}
	return 0
}
