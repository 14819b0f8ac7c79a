package views

import (
	"bytes"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// SetComputeWorkers makes n goroutines compute a range of the log.
func SetComputeWorkers(t *testing.T, n int) {
	old := computeWorkers
	computeWorkers = n
	t.Cleanup(func() { computeWorkers = old })
}

// Detach is what becomes of a snapshot that is read for long.
func (s *Snapshot) Detach() { s.detach() }

// SetLogCheckInterval makes engines that are opened now look at their logs so often.
func SetLogCheckInterval(t *testing.T, d time.Duration) {
	old := logCheckInterval
	logCheckInterval = d
	t.Cleanup(func() { logCheckInterval = old })
}

// SetBuildChunk makes builds commit after n events.
func SetBuildChunk(t *testing.T, n uint64) {
	old := buildChunk
	buildChunk = n
	t.Cleanup(func() { buildChunk = old })
}

// SetChangesKeep bounds the keys of changed rows that wait in memory.
func SetChangesKeep(t *testing.T, n int) {
	old := changesKeep
	changesKeep = n
	t.Cleanup(func() { changesKeep = old })
}

// SetChangesStep makes changes be found in the log n events at a time.
func SetChangesStep(t *testing.T, n uint64) {
	old := changesStep
	changesStep = n
	t.Cleanup(func() { changesStep = old })
}

// Committed is the sequence that the view's file has reached.
func (v *View) Committed() (uint64, error) {
	m, err := v.store.view()
	if err != nil {
		return 0, err
	}
	return m.Applied, nil
}

// Sent is the sequence up to which changes were sent.
func (v *View) Sent() uint64 { return v.changes.Load().sent.Load() }

// ChangeRow changes the states of a row of the batch layer, or with nil deletes
// it, as a weir with a bug might: everything that checks the file is content.
func (v *View) ChangeRow(key []byte, change func(states []byte) []byte) error {
	return v.store.update(func(tx *bolt.Tx, m *storeMeta) error {
		r := m.batch()
		b := tx.Bucket(rowsBucket(r.number))
		value, states, err := r.get(b.Cursor(), key)
		if err != nil {
			return err
		}
		if states = change(bytes.Clone(states)); states != nil {
			return r.put(b, key, bytes.Clone(value), states)
		}
		_, check, err := openRow(r.number, key, value)
		if err != nil {
			return err
		}
		return r.delete(b, key, check)
	})
}

// HoldCommits keeps the view's commits waiting, as a slow disk does, until
// release is called.
func HoldCommits(t *testing.T, v *View) (release func()) {
	t.Helper()
	tx, err := v.store.db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = tx.Rollback() }
}

// RoomFor says for which of several views there is room while all of them are
// read, of which each takes so many bytes.
func RoomFor(most int64, views ...int64) (ok []bool) {
	k := newKeptColumns(1, most)
	for _, n := range views {
		r := &keptRows{view: &View{}}
		k.list[r] = struct{}{}
		ok = append(ok, k.room(r, n/2) && k.room(r, n))
	}
	return ok
}

// Runs is how many runs of the view are in memory.
func (v *View) Runs() int { return len(v.stream.state.Load().views[v].runs) }

// KeptStates is how many states of aggregates are kept with the keys of rows that
// have changed.
func (v *View) KeptStates() (runs, states int) {
	k := v.eng.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range v.kept.recent {
		states += len(r.table.Specs())
	}
	return len(v.kept.recent), states
}
