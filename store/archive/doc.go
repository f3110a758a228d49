// Package archive keeps copies of a data directory's SQLite files elsewhere, in
// a directory or a bucket ([Backend]), while they are in use, so that each can be
// put back as it was at any second that is kept.
//
// What is kept of a file is a chain of objects. A generation begins with a base,
// which has every page of the database, and goes on with segments: the pages that
// committed frames of its write-ahead log have changed since. Each object names
// what it follows by its digest, so that one that is missing, torn, doubled or of
// another file is noticed when the chain is read, and named.
//
//	server.db/20261127T180501.000Z-1a2b3c4d/00000000       a base
//	server.db/20261127T180501.000Z-1a2b3c4d/00000001       a segment
//	hosts/ab/abcd….db/…
//
// The log is read as a file, and a base through a connection of SQLite: nothing
// here opens a database by other means (see package store on locks). A segment
// follows another only where that is proved: the log still has the frame that was
// archived last, or it is another log and nothing has been moved from any log into
// the database since. Where it can't be, as after another program wrote the file,
// a new generation begins.
//
// Start with [Open], [Archiver.Run] and [Archive.Restore].
package archive
