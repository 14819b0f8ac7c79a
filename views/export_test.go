package views

// Detach is what becomes of a snapshot that is read for long.
func (s *Snapshot) Detach() { s.detach() }
