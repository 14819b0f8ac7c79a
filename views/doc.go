// Package views computes materialized views from an event log and keeps them.
//
// The path of an event is the same in the batch layer, the speed layer and a
// replay:
//
//	Log ──► decode ──► columns ──► filter, keys, arguments ──► partial states ──► commit
//
// A read merges the partial states of both layers and finishes them into rows.
//
// The package knows nothing of NATS or of SQL text. A [Broker] supplies the
// logs (package jetstream), a [Compiler] turns the text of a definition into
// the plan that runs here (package sql).
//
// # Invariants
//
//   - Partial states and the sequence they reach are committed in one bbolt
//     transaction; consumption restarts from that sequence.
//   - The batch layer of a view is f(events ≤ cut), its serving speed epochs
//     are f(events > cut); a read sees both from one transaction.
//   - Combining is associative and commutative, so the rows of a view do not
//     depend on how the log was split into batches, epochs and runs.
package views
