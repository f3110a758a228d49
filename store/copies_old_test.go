package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

// What is old and a copy goes, and nothing else.
func TestDropOldCopies(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	must(t)(nil, os.MkdirAll(filepath.Join(dir, "hosts", "ad"), 0o700))
	must(t)(nil, os.Mkdir(filepath.Join(dir, "ada.db.v4.bak"), 0o700)) // a directory is no copy
	for name, c := range map[string]struct {
		age   time.Duration
		stays bool
	}{
		"server.db":                               {900 * time.Hour, true},
		"server.db.v3.bak":                        {900 * time.Hour, false},
		"server.db.v4.bak":                        {100 * time.Hour, true},
		"server.db.v0.bak":                        {900 * time.Hour, true},
		"server.db.v4.bak.mine":                   {900 * time.Hour, true},
		"server.db.replaced-20260101T000000.000Z": {900 * time.Hour, true},
		"hosts/ad/ada.db":                         {900 * time.Hour, true},
		"hosts/ad/ada.db.v11.bak":                 {900 * time.Hour, false},
		"hosts/ad/ada.db-wal":                     {900 * time.Hour, true},
		"hosts/ad/bob.db.v11.bak":                 {900 * time.Hour, true}, // bob's file is elsewhere
		"hosts/ad/.copy-1":                        {25 * time.Hour, false},
		"hosts/ad/.copy-2":                        {time.Hour, true},
	} {
		path := filepath.Join(dir, name)
		write(t, path, []byte("x"))
		must(t)(nil, os.Chtimes(path, now, now.Add(-c.age)))
		t.Cleanup(func() {
			if _, err := os.Lstat(path); (err == nil) != c.stays {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if n, err := store.DropOldCopies(ended, dir, now.Add(-720*time.Hour), now); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := store.DropOldCopies(t.Context(), dir, now.Add(-720*time.Hour), now); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := store.DropOldCopies(t.Context(), filepath.Join(dir, "none"), now, now); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}
