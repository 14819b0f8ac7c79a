// Package e2e holds the tests of weir as its users meet it: the real binary as
// a process of its own, published to over TCP with a plain NATS client and read
// with real MySQL clients.
//
// The events are real data sets with reference answers that other programs
// computed from the same files. They are not part of this repository: the tests
// look for them in ../shared/data beside it, or where WEIR_TEST_DATA says, and
// skip without them, except in CI (CI=true), where a missing set is a failure.
//
// The tests whose names contain Crash kill the server with SIGKILL, again and
// again, at moments that follow from a seed which they print:
//
//	go test ./e2e -run Crash -crashes 12 -seed 7
//
// Two of them keep a ledger of what was acknowledged: TestCrashPoints also ends
// the server at each of fault.CrashPoints, and TestCrashDeliveries between the
// two transactions of a commit. They print what each delivery has lost and
// doubled:
//
//	go test ./e2e -run 'Crash(Points|Deliveries)' -v -visits 3 -kills 200
package e2e
