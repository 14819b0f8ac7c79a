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

// SetBuildChunk makes builds commit after n events.
func SetBuildChunk(t *testing.T, n uint64) {
	old := buildChunk
	buildChunk = n
	t.Cleanup(func() { buildChunk = old })
}
