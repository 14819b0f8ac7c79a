// Package jetstream keeps the event logs in an embedded NATS JetStream server.
//
// A [Server] is the whole of it: the broker that publishers of any kind reach
// over NATS, and the [views.Broker] that the rest of weir publishes to and
// reads from. Each log is one JetStream stream of the same name; an event's
// stream sequence is its place in the log.
//
// # What an acknowledgement is worth
//
// JetStream acknowledges an event once it is written to the operating system,
// so killing the process loses nothing. A power cut loses what was not synced:
// at most Config.Sync worth of events, or none where Sync is 0, at the price of
// an fsync for every single event (an atomic batch pays one for all of it).
//
// # Reading
//
// [views.Log.Read] is a pull consumer that is never acknowledged: the reader
// alone knows how far it is, in the transaction that holds its results. The
// server keeps no position that could disagree, and so a consumer is cheap and
// disposable. Whatever goes wrong with one (it is deleted, its heartbeat stops,
// the connection breaks, a message is missing on the way) has the same cure: a
// new consumer that starts after the last record that was delivered.
//
// What the server sends to a reader does not pass through the NATS client
// library but through a wire, an in-process connection that is read straight
// into the memory that records refer to. The reader's share of a record is then
// a fifth of the whole; the rest is the server's, which delivers while it stores.
//
// So a consumer is for the few. Whoever reads many records of a range has them
// from the server's message blocks, and whoever follows a log has them from the
// newest block while much comes, looking into it each two milliseconds, and from
// a consumer while little comes. While it reads blocks there is no consumer, and
// publishers have the log to themselves. What the blocks do not tell for certain,
// a consumer does.
//
// # Who may do what
//
// Publishers and other readers share the logs but do not own them: from outside
// one can publish, look and consume, and not create, change, purge or delete a
// stream. The one thing that they may change is a key-value bucket beside the
// logs, in which publishers of files mark how far they are. Weir's own connection never leaves the process, logs in as a user that
// exists only in memory, and works on subjects that others can neither read nor
// write.
package jetstream
