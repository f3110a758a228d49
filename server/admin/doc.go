// Package admin is how the commands of an operator talk to a running server: a
// Unix socket in the data directory that only the server's own account can
// connect to, with HTTP on it. It is no API for others, who have nothing to do
// on this machine, and knows nothing of Hosts.
//
// A server keeps its log in a [Log], whose [Log.Handler] stands before the one that
// writes it to stderr, and serves it with a [Server] on what [Listen] returns. Others
// may have routes there ([Server.Handle]). A command asks with a [Client].
package admin
