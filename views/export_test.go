package views

import "testing"

// SetComputeWorkers makes n goroutines compute a range of the log.
func SetComputeWorkers(t *testing.T, n int) {
	old := computeWorkers
	computeWorkers = n
	t.Cleanup(func() { computeWorkers = old })
}

// Detach is what becomes of a snapshot that is read for long.
func (s *Snapshot) Detach() { s.detach() }
