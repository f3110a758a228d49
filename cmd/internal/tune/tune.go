// Package tune sets up a process that serves many: Go's runtime and SQLite.
package tune

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"

	"github.com/events-concierge/concierge/store"
)

// Server sets up a server, until ctx ends. Call it before a file is opened. GOGC,
// GOMEMLIMIT and GOMAXPROCS say otherwise, each for itself.
func Server(ctx context.Context) error {
	if os.Getenv("GOMAXPROCS") == "" {
		moreProcs()
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		followHeap(ctx)
	}
	return store.TuneMemory()
}

// While a file is synced, its thread keeps the right to run Go code, which nobody
// uses, for up to 10 ms: of two such rights, half. So there are more of them, for
// the server's file and a Host's may be synced at a time.
const syncing = 2

var moreProcs = sync.OnceFunc(func() { runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + syncing) })

// Go's collector by itself lets the heap grow to twice of what is alive. That is
// little here, and a server would collect all the time: it may grow to five times
// as much, but that is too much where many Hosts are known and their answers
// remembered. So what is not alive gets about as much room as what is, and some
// more, which for a server of few Hosts is no bound at all; see
// docs/explanation/performance.md.
const (
	gcPercent   = 400
	memoryRoom  = 56 << 20
	memoryLimit = 512 << 20
)

// limitFor is how much memory Go may take while so much of its heap is alive. Near
// it the collector works more often; it is no bound for what is alive.
func limitFor(live uint64) int64 { return int64(min(2*live+memoryRoom, memoryLimit)) }

// followHeap sets the limit anew each time that garbage was collected.
func followHeap(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}} // as it was then
	metrics.Read(live)
	debug.SetMemoryLimit(limitFor(live[0].Value.Uint64()))
	// Nobody has the mark, so the next collection finds it, and this is called.
	runtime.AddCleanup(&mark{}, followHeap, ctx)
}

// mark is an object of its own: the smallest ones, of up to 16 bytes without a
// pointer, share their memory with others.
type mark struct{ _ *mark }
