package testlog_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/events-concierge/concierge/server/testlog"
)

// child runs TestCollect with its logs collected.
func child(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCollect$")
	cmd.Env = append(os.Environ(), testlog.Dir+"="+dir, "TESTLOG_CHILD=1")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
}
