// Package logtest holds implementations of [views.Broker] and [views.Log] to
// their contract, and has one in memory for the tests of views.
//
// [Run] is the contract as a test. Where the comments of the interfaces leave
// room, it is Run that says what is meant. A broker that passes it can be
// exchanged for any other that does:
//
//	func TestContract(t *testing.T) {
//		logtest.Run(t, func(t *testing.T) views.Broker { return openMine(t) })
//	}
//
// [Memory] passes it as well, and can do at a word what takes a real log a power
// cut: lose its tail, a record from its middle, or its identity. Its records are
// overwritten as soon as a reader asks for the next batch, so a caller that
// keeps one fails at once and not one day.
package logtest
