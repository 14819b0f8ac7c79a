// Package shell is a client of MySQL's protocol: what weir sql is.
//
//	lines ─► splitter ─► statements and commands ─► session ─► printer ─► output
//
// The [Run] function decides how lines come in: from the command line, from a
// file or a pipe, or from an editor on a terminal, with history and completion.
// A splitter cuts lines into statements and the shell's own commands, as the
// mysql client does. The session runs one statement at a time on one
// connection, and a printer writes its rows as they come: memory does not grow
// with the result.
//
// What a user meets is that of the mysql client where there is such a thing:
// commands, prompts, the forms of output, and errors. What it does not have is
// another output when nobody reads along: formats for programs, and --watch.
//
// An interrupt ends the statement, with KILL QUERY on a second connection, and
// a second one the connection.
package shell
