package ddl

import "strings"

// slipLengthMax bounds the words that are compared for slips: none of ours is longer.
const slipLengthMax = 32

// isSlip reports whether typed looks like want mistyped. A third of the letters
// may be wrong, which tells STREAM from SCHEMA and SERVER. Words of fewer than
// three letters have too many neighbours to guess.
func isSlip(typed, want string) bool {
	if len(typed) > slipLengthMax || len(want) < 3 {
		return false
	}
	return distance(asciiUpper(typed), asciiUpper(want)) <= (len(want)+1)/3
}

// isShortSlip is isSlip for names of one and two letters, which columns have and
// keywords have not: one letter of two may be wrong, too many or missing.
func isShortSlip(typed, want string) bool {
	return len(want) < 3 && max(len(typed), len(want)) == 2 && distance(asciiUpper(typed), asciiUpper(want)) == 1 ||
		len(want) == 2 && len(typed) == 3 && distance(asciiUpper(typed), asciiUpper(want)) == 1
}

// Nearest returns the candidate that typed is most likely a slip of, or "".
func Nearest(typed string, candidates []string) string {
	best, least := "", slipLengthMax
	for _, c := range candidates {
		if !isSlip(typed, c) && !isShortSlip(typed, c) {
			continue
		}
		if d := distance(asciiUpper(typed), asciiUpper(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// didYouMean is a question to put behind a message, or "".
func didYouMean(typed string, candidates []string) string {
	if c := Nearest(typed, candidates); c != "" {
		return ", did you mean " + c + "?"
	}
	return ""
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to get from a to b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+differ(a[i], b[j]))
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}

// join lists words for a message: "a, b or c".
func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
