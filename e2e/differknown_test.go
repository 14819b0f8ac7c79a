package e2e

// knownForms are the expressions that are not asked, with the reason.
var knownForms = map[string]string{
	"INTERVAL(%n, 1, 10, 100)": "the parser does not know INTERVAL as a function",
}

// known says of a difference that it is one we know and leave.
func known(q string, w, m reply, how difference) bool {
	if m.number() == 1064 || m.number() == 1055 {
		return true
	}
	return how == typesDiffer || how == numbers
}
