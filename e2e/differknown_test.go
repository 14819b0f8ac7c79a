package e2e

// knownForms are the expressions that are not asked, with the reason.
var knownForms = map[string]string{
	"INTERVAL(%n, 1, 10, 100)": "the parser does not know INTERVAL as a function",
}

// known says of a difference that it is one we know and leave.
func known(q string, w, m reply, how difference) bool {
	switch {
	case m.number() == 1064 || m.number() == 1055:
		return true
	case w.number() == 1690 || m.number() == 1690:
		return true // whether a value that nothing needs is calculated is the optimiser's to say
	case m.number() == 1270 || m.number() == 1271 || m.number() == 1267:
		return true // MariaDB's JSON has a collation of its own
	}
	return how == typesDiffer || how == numbers
}
