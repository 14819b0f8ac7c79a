// Package load publishes the lines of files as events: one event for each line,
// once, however often it is asked to and whatever ended it the last time.
//
// # What makes a line the same
//
// A file is known by what it holds and not by its name: by its first lines (the
// head) and by what stands before the place up to which it was published (the
// tail). So a file that was renamed, moved, compressed or continued is the same
// one, and another under the name of the first is not. An event's ID is that of
// its file and the offset at which the line ends, both in the uncompressed text.
//
// # What makes it once
//
// The log forgets IDs after its duplicate window, so IDs alone are not enough. A
// mark, which the server keeps beside the logs, says up to which line all of a
// file is acknowledged, and from which sequence of the log on the events of the
// lines behind it can be. From these the lines that the log lacks follow exactly:
//
//   - No line of a file is published before the file has a mark.
//   - Every line before the mark's offset is in the log.
//   - Every line behind it that is in the log too has a sequence above the mark's.
//     A run that did not end in order may have left such lines. The next one reads
//     the IDs in that part of the log and passes over what it finds.
//   - A run publishes only while its mark is its own and hardly older than a
//     second; a mark changes only if nobody else has changed it. So of two runs one
//     gives way, and what was in flight meanwhile is met by the duplicate window.
//
// A log that has lost its end, as in a power cut, no longer has the event that
// the mark names last. Then all of the log is read for the file's IDs.
package load
