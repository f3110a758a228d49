package store_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/store"
)

// A process that says so before it opens a file has smaller rooms, and what calls
// need has room in them.
func TestTuneMemory(t *testing.T) {
	const again = "TUNE_MEMORY"
	if os.Getenv(again) == "" { // this process has opened files
		cmd := exec.Command(os.Args[0], "-test.run", "^TestTuneMemory$", "-test.v")
		cmd.Env = append(os.Environ(), again+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestTuneMemory") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := store.TuneMemory(); err != nil {
		t.Fatal(err)
	}
	h := MustOpen(t)
	for _, id := range []string{"tea", "opera"} {
		h.event(t, id, nil)
	}
	if err := store.TuneMemory(); err != nil {
		t.Errorf("later: %v", err)
	}
	read := func(times int) (found, full int) {
		for range times {
			if events, _, err := h.Events(t.Context(), store.EventQuery{Limit: 20}); err != nil || len(events) != 2 {
				t.Fatal(len(events), err)
			}
		}
		found, full, err := h.Looked(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return found, full
	}
	_, before := read(1) // to prepare a statement takes more than there is, once
	if before == 0 {
		t.Error("there is as much room as ever")
	}
	if found, full := read(100); found < 100 || full > before {
		t.Errorf("100 calls found room %d times, and %d times none", found, full-before)
	}
}
