package views

// LogName is the name of the log of a stream. Names that differ only in case
// are the same.
func LogName(database, name string) string { return logName(database, name) }
