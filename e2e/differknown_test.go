package e2e

// knownForms are the expressions that are not asked, with the reason.
var knownForms = map[string]string{}

// known says of a difference that it is one we know and leave.
func known(q string, w, m reply, how difference) bool {
	return how == typesDiffer || how == numbers
}
