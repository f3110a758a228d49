// Package store keeps what must survive: one SQLite file a user ([Host]:
// events, RSVPs, payments, the sealed wallet) and one file a server ([Server]:
// users, the hashes of their tokens, payment claims).
//
// A method that changes something returns after the change has been committed
// and synced to the disk, and not before. Calls that arrive together share one
// commit; each of them succeeds or fails alone. A context ends the wait for
// the file, never a change half-way: an error that is the context's means that
// nothing happened.
//
// A [Host] costs little while nobody uses it: its file is opened for the calls
// that need it and closed when its place among [Files] is needed, or after a
// time. Logs are emptied beside the callers, see checkpoint.go.
//
// All rules about seats are checked inside the transaction that takes them,
// and once more by constraints of the schema. Several processes may use one
// file at a time.
//
// [*Host] is a payments.Ledger, and [*Claims] is a payments.Claims. What a
// price should be, who may call, and what a client is told is decided
// elsewhere. Start with [NewFiles] and [OpenServer].
//
// SQLite's locks belong to the process and the file: in a process that has a
// file open here, never open and close that file by other means (to copy it,
// say), for closing would drop the locks.
package store
