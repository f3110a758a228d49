//go:build unix

// Operator does what a page of docs says, as its reader would: it runs the
// page's shell blocks in their order, in one shell, in a directory that has
// nothing but two builds of concierge, and holds what they print against what the
// page shows. `make operator` runs it over the tutorials.
//
//	operator [-program FILE] [-next FILE] [-limit 10m] [-keep] PAGE...
//
// A block of kind sh is run; it has failed when one of its commands has. A block
// of kind text behind it is what it prints: a line that is only … stands for any
// lines, and a … within a line for anything in it. The addresses of the page
// (127.0.0.1 with a port) become free ones, so that nothing else is in the way.
// ./concierge-next is a build of this source that has one more migration.
//
// Exit codes: 0 all pages hold, 1 one does not, 2 wrong usage.
package main
