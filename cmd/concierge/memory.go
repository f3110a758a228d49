package main

import (
	"os"
	"runtime/debug"
)

// Go's collector by itself lets the heap grow to twice of what is alive. That is
// little here, and a server would collect all the time; see docs/explanation/performance.md.
// Near the limit it collects more often instead of taking more memory. GOGC and
// GOMEMLIMIT say otherwise.
const (
	gcPercent   = 400
	memoryLimit = 512 << 20
)

// tuneMemory sets the collector of a process that serves many.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
