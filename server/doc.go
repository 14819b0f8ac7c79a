// Package server is the program: it starts the parts of weir in order, tells
// the world where they are, and stops them in the reverse order.
//
//	lock ─► http ─► jetstream ─► views ─► sql ─► schema ─► endpoints.json, "ready"
//
// HTTP comes first and goes last, so that /healthz and /readyz answer during a
// long start and a long stop. It is the one package that knows all the others;
// they know only package views.
//
// # Invariants
//
//   - Nothing in the data directory is touched before its lock is held.
//   - endpoints.json exists only while every address in it answers.
//   - An instance that Start could not finish leaves nothing running.
package server
