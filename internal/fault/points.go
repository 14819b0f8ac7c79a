package fault

// CrashPoints names every point at which Crash is called: the places where the
// end of the process could leave something half done. The crash tests visit
// each of them.
var CrashPoints = []string{
	// A commit of a view: around the transaction with the rows, and, where the
	// delivery is not exactly once, between that and the one with the sequence.
	"commit.before", "commit.between", "commit.after",
	// The dead letters of a stream, and its message ids.
	"dead.before", "dead.after", "dedup.before", "dedup.after",

	// Changed rows: they are read, and sent; or what a stop has left of them is
	// found in the log.
	"changes.read", "changes.sent", "changes.found",

	// A batch run: its epoch is closed and its range written down; its rows are
	// computed; they are written and the cut is moved. Or it has failed.
	"batch.begun", "batch.computed", "batch.written", "batch.failing", "batch.failed",
	"retired.dropped",

	// A build, replay or OR REPLACE, and what is left when it fails.
	"build.noted", "replay.closed", "build.opened", "build.inherited", "build.taken_over", "build.caught_up",
	"forget.removed", "forget.done",
	// The swap of two versions, also by ROLLBACK, and the end of the old one.
	"swap.attached", "swap.named", "swap.served", "previous.ended", "discard.closed", "discard.removed",

	// Statements of several steps.
	"alter.named", "alter.written",
	"drop.begun", "drop.named",
	"create.noted", "create.logged", "create.running", "create.done",
	"dropstream.halted", "dropstream.noted", "dropstream.dead", "dropstream.log", "dropstream.done",

	// A statement that writes tables: its changes are collected; they are in the
	// transaction of the file; that is committed.
	"tables.before", "tables.written", "tables.after",

	// A start.
	"recover.created", "recover.strays", "recover.settled", "recover.caught_up",
}
