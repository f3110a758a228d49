package tune

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestLimitFor(t *testing.T) {
	for live, want := range map[uint64]int64{0: 56 << 20, 10 << 20: 76 << 20, 30 << 20: 116 << 20, 1 << 30: 512 << 20} {
		if got := limitFor(live); got != want {
			t.Errorf("%d MB alive: %d MB, want %d", live>>20, got>>20, want>>20)
		}
	}
}

// There are more of Go's processors, once, however often it is asked.
func TestProcs(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for name, value := range map[string]string{"GOMAXPROCS": "", "GOGC": "400", "GOMEMLIMIT": "512MiB"} {
		t.Setenv(name, value)
	}
	for range 2 {
		if err := Server(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := runtime.GOMAXPROCS(0); got != before+syncing {
		t.Errorf("%d, want %d and %d more", got, before, syncing)
	}
}

// The limit grows with what is alive, and shrinks with it, without anybody asking.
func TestFollowHeap(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	runtime.GC() // what others left is not alive
	followHeap(ctx)
	limit := func() int64 { return debug.SetMemoryLimit(-1) }
	await := func(what string, reached func() bool) {
		t.Helper()
		for late := time.Now().Add(10 * time.Second); !reached(); runtime.GC() { // what was found is cleaned up beside this
			if time.Now().After(late) {
				t.Fatalf("%s: the limit is %d MB", what, limit()>>20)
			}
		}
	}
	before := limit()
	alive := make([]byte, 40<<20)
	await("40 MB more are alive", func() bool { return limit() > before+60<<20 })
	runtime.KeepAlive(alive)
	await("they are not any more", func() bool { return limit() < before+20<<20 })
	cancel()
	last := limit()
	alive = make([]byte, 40<<20)
	for range 3 {
		runtime.GC()
	}
	runtime.KeepAlive(alive)
	if limit() > last+20<<20 {
		t.Errorf("after the end the limit is still set: %d MB, was %d MB", limit()>>20, last>>20)
	}
}
