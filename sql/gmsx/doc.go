// Package gmsx makes go-mysql-server fit for a server that strangers may
// reach and whose sums must be right. It knows nothing of streams and views.
//
// # Use
//
//	e, err := gmsx.New(gmsx.Options{
//		Provider:        provider,     // gms.DatabaseProvider
//		DefaultDatabase: "analytics",
//		Password:        password,     // of root@localhost and root@%
//		ParseHook:       parse,        // statements the engine does not know
//		RewriteHook:     rewrite,      // changes to those it does
//		Functions:       functions,    // scalar, win over built-in ones
//		Aggregates:      aggregates,   // by lower-case name
//	})
//	err = e.Serve(ctx, listener)       // until ctx is done; nil then
//
// In process, as root:
//
//	c, end := e.NewContext(ctx, "analytics")
//	defer end()
//	schema, rows, err := e.Query(c, "SELECT …")  // rows.Close ends the statement
//
// # Statements
//
// ParseHook gets the text of one statement, without comments in front and
// without its ';'. It returns a [Statement], whose Schema is nil for one that
// returns no rows, and whose Access is checked before RowIter runs it. Such
// statements work in text, alone and among others, and prepared, except within
// TLS, where the protocol parses what is prepared by itself. RewriteHook
// applies to all, and to the definitions of stored views when they are read.
//
// What clients send and the engine's parser does not know is said in other
// words, or answered, before it is refused; what the hooks make of the other
// words counts.
//
// A statement is stopped by KILL, by the end of its client or of Serve, and, if
// it is a SELECT, SHOW or EXPLAIN, by max_execution_time: its context ends.
// Errors reach the client as [Error] made them; all others get the number that
// MySQL has for them, or 1105.
//
// # Sessions
//
//	st := gmsx.SessionOf(ctx).Statement()
//	snap, err := st.LoadOrStore(snapKey{}, func() (any, func(), error) {
//		s, err := open()
//		return s, s.Close, err   // closed when the statement has ended
//	})
//
// [Session.OnStatementEnd] registers a function alone. Statements that run
// within others, through Query with the same context, share the outer one's
// state. Transactions and savepoints are accepted and do nothing.
//
// # Aggregates
//
// An [AggregateFactory] gets the arguments of a call and says its type and how
// to make the state of a group. SUM, AVG and DISTINCT are ours as well: rules
// that push aggregates down find *[Aggregation] in a plan.GroupBy, with Name,
// Args and Distinct, and the engine's own types only for the others (Count,
// Min, Max, …). Calls with OVER are the engine's.
//
// # Rules and execution
//
// [Options].Rules see each plan twice: early ones after ours, which type
// literals, hide from indexes what is compared with no value of its column's
// type, make LIKE, joins and NOT EXISTS right, and push conditions to tables,
// and before the engine's; others after it has optimised, with index ranges chosen and columns
// pruned. Options.Build may execute any node of a plan. A database embeds
// [NoRoutines] unless it has triggers, procedures and events.
//
// # Limits
//
// A connection is closed when it takes too long to log in, is idle too long,
// leaves its rows unread, or sends more than MaxPacket at once; before it has
// logged in, 64 KiB. Connections above MaxConnections, and above 64 that have
// not logged in, are told so. Results stream and hold about 64 KiB; what must
// be held, groups and distinct rows and sorts, fails at MemoryLimit. Files of
// the server and the client are out of reach. Failed logins look all alike.
//
// An account may see and KILL its own statements, and see its own grants.
// [Options].Users keeps accounts made by CREATE USER; root exists always.
package gmsx
