// Package server is the HTTP front door: it routes requests to Hosts, says who
// the caller is, bounds what a request may cost, and writes one log record for
// each. What is behind the door is in package host; the wire of the tools is in
// package tools.
//
// Start with [New] and [Server.Serve].
package server
