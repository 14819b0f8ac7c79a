// Package tables keeps the ordinary tables of users, the text of their views,
// and the names of their databases, in one bbolt file. Streams and materialized
// views come from the log; what is here is primary, and nothing else has it.
//
//	store, err := tables.Open(path)
//	t, ok := store.Table(ctx, "analytics", "campaigns") // a gms.Table with all that engine writes through
//	rows, err := store.Atomic(ctx, node, build)          // a statement that writes
//
// # Statements
//
// A statement that writes has one [Tx], which [Store.Atomic] begins before
// anything is read and commits when the last row is done: its changes are in
// the file together or not at all, whatever ends it. One statement writes at a
// time, as in SQLite; the others wait. The changes are collected in memory and
// written in the order of their keys, which bbolt takes many times faster than
// as they come.
//
// Readers have a snapshot, a read transaction of bbolt, from the first row that
// the statement reads to its end. They wait for nobody and nobody waits for
// them. A statement that writes reads what was there before it.
//
// # File
//
//	meta       format → version of the file, a byte
//	databases  name → nothing
//	views      database NUL name → ViewDef, sealed JSON
//	tables     id → Def, sealed JSON
//	state      id → counters of the table, sealed
//	rows.N     key → row, of a table or of an index
//
// A record is sealed with a CRC32C of it, its key and its bucket, so that
// damage is found when it is read. The buckets of rows have numbers that never
// come again: what rewrites a table makes new buckets, so that a statement whose
// snapshot does not have the bucket that it was planned with knows that the
// definition has changed.
package tables
