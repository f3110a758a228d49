package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/store"
)

// A file is replaced when nobody has it open, and the old one is kept with all that
// was in its log.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path, aside := filepath.Join(dir, "host.db"), filepath.Join(dir, "aside")
	open := func(path string) *store.Host {
		h, err := store.OpenHost(t.Context(), path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	wants := func(path, wallet string) {
		t.Helper()
		h := open(path)
		if got, err := h.SealedWallet(t.Context()); err != nil || string(got) != wallet {
			t.Errorf("%s has %q, %v", path, got, err)
		}
		must(t)(nil, h.Close())
	}
	make := func(name, wallet string) (string, *store.Host) {
		h := open(filepath.Join(dir, name))
		must(t)(h.KeepWallet(t.Context(), []byte(wallet)))
		return filepath.Join(dir, name), h
	}
	_, old := make("host.db", "old")
	from, h := make("from", "new")
	must(t)(nil, h.Close())
	if err := store.Replace(t.Context(), path, from, aside); !errors.Is(err, store.ErrInUse) {
		t.Errorf("while it is open: %v", err)
	}
	if _, err := os.Stat(aside); err == nil {
		t.Error("it was put aside all the same")
	}
	must(t)(nil, old.Close())
	must(t)(nil, store.Replace(t.Context(), path, from, aside))
	wants(path, "new")
	wants(aside, "old")
	from, h = make("from", "third")
	must(t)(nil, h.Close())
	must(t)(nil, store.Replace(t.Context(), filepath.Join(dir, "none.db"), from, filepath.Join(dir, "aside2")))
	wants(filepath.Join(dir, "none.db"), "third")
}

// Whoever opens a file while it is replaced has either kept that from happening,
// or the new one.
func TestReplaceWhileOpening(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "host.db")
	for _, name := range []string{"host.db", "from"} {
		h, err := store.OpenHost(t.Context(), filepath.Join(dir, name), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		must(t)(h.KeepWallet(t.Context(), []byte(name)))
		must(t)(nil, h.Close())
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				h, err := store.OpenHost(t.Context(), path, store.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(h.Abandon(t.Context(), "pay"), h.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var replaced error
	for range 100 {
		if replaced = store.Replace(t.Context(), path, filepath.Join(dir, "from"), filepath.Join(dir, "aside")); !errors.Is(replaced, store.ErrInUse) {
			break
		}
	}
	wg.Wait()
	if errors.Is(replaced, store.ErrInUse) { // the others were always faster
		replaced = store.Replace(t.Context(), path, filepath.Join(dir, "from"), filepath.Join(dir, "aside"))
	}
	must(t)(nil, replaced)
	h, err := store.OpenHost(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if got, err := h.SealedWallet(t.Context()); err != nil || string(got) != "from" {
		t.Errorf("it has %q, %v", got, err)
	}
}
