package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/events-concierge/concierge/store"
)

func TestVersions(t *testing.T) {
	current := len(steps(t, store.HostSchema()))
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want int
		err  error
	}{
		"empty":      {func(t *testing.T, path string) { write(t, path, nil) }, 0, nil},
		"up to date": {makeHost, current, nil},
		"old": {func(t *testing.T, path string) {
			raw(t, path, fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = 1", steps(t, store.HostSchema())[0], store.HostID))
		}, 1, nil},
		"in use, its version still in the log": {func(t *testing.T, path string) {
			reopen(t, &host{path: path, clock: &clock{}}).event(t, "tea", nil)
		}, current, nil},
		"newer": {func(t *testing.T, path string) {
			makeHost(t, path)
			raw(t, path, `PRAGMA user_version = 99`)
		}, 99, store.ErrNewerSchema},
		"text":       {func(t *testing.T, path string) { write(t, path, []byte("x")) }, 0, store.ErrNotDatabase},
		"long text":  {func(t *testing.T, path string) { write(t, path, make([]byte, 4096)) }, 0, store.ErrNotDatabase},
		"another's":  {func(t *testing.T, path string) { raw(t, path, `CREATE TABLE t (x)`) }, 0, store.ErrWrongFile},
		"the server": {func(t *testing.T, path string) { kinds()[1].upgrade(t, path) }, len(steps(t, store.ServerSchema())), store.ErrWrongFile},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir) // so that the name is not whole, as those in ./data
			c.make(t, filepath.Join(dir, "f.db"))
			version, known, err := store.HostVersion(t.Context(), "f.db")
			if version != c.want || known != current || !errors.Is(err, c.err) {
				t.Errorf("version %d of %d, %v; want %d, %v", version, known, err, c.want, c.err)
			}
		})
	}
}
