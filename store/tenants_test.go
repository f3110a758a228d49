package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

// How a test starts itself to keep many Hosts with few file descriptors.
const childTenants = "STORE_TEST_TENANTS"

// keepTenants books at a number of Hosts, twice each.
func keepTenants(dir, number string) error {
	tenants, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	ctx := context.Background()
	files := store.NewFiles(store.Options{})
	failed := make(chan error, 1)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < int64(2*tenants); n = next.Add(1) - 1 {
				if err := visit(ctx, files.Host(filepath.Join(dir, fmt.Sprint(n%int64(tenants), ".db"))), int(n)); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return errors.Join(<-failed, files.Close())
}

func visit(ctx context.Context, h *store.Host, n int) error {
	_, err := h.CreateEvent(ctx, store.Event{ID: "tea", StartsAt: time.Now().Add(time.Hour)})
	if err != nil && !errors.Is(err, store.ErrEventExists) {
		return err
	}
	if _, err := h.BookFree(ctx, booking("tea", n, 1)); err != nil {
		return err
	}
	_, _, err = h.Events(ctx, store.EventQuery{})
	return err
}

// With ulimit -n 1024 there are many more tenants than open files: nobody gets an error. With
// STORE_TENANTS there are as many as that says.
func TestFewDescriptors(t *testing.T) {
	tenants := cmp.Or(os.Getenv("STORE_TENANTS"), "90")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -n 1024 && exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), childTenants+"="+tenants, childFile+"="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
