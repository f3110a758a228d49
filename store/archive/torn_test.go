package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store/archive"
)

// Whatever is done to an archive, what comes out is a state that was, or an error.
func TestTorn(t *testing.T) {
	w := newWorld(t, newDir(t))
	db := w.database(file)
	other := w.database("hosts/aa/other.db")
	var wanted []string
	var at []time.Time
	for i := range 6 {
		w.exec(db, `INSERT INTO t VALUES (?, randomblob(3000))`, i)
		w.exec(other, `INSERT INTO t VALUES (?, randomblob(3000))`, i)
		w.ship(file)
		w.ship("hosts/aa/other.db")
		wanted, at = append(wanted, rows(t, db)), append(at, w.clock())
		w.advance(time.Second)
		if i == 3 { // a new generation
			w.exec(db, `PRAGMA wal_checkpoint(TRUNCATE)`)
		}
	}
	root := w.backend.(*archive.Dir).String()
	generations, _ := filepath.Glob(filepath.Join(root, filepath.FromSlash(file), "*"))
	others, _ := filepath.Glob(filepath.Join(root, "hosts", "aa", "other.db", "*"))
	if len(generations) != 2 || len(others) != 1 {
		t.Fatal(generations, others)
	}
	object := func(n int) string { return filepath.Join(generations[0], fmt.Sprintf("%08d", n)) }
	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, c := range map[string]struct {
		damage map[string][]byte // nil: it is gone
		upTo   int               // what is before it is restored still
		says   string
	}{
		"nothing":                             {nil, 4, ""},
		"a base is missing":                   {map[string][]byte{object(0): nil}, 0, "00000000"},
		"a segment is missing":                {map[string][]byte{object(2): nil}, 0, "00000002 is missing"},
		"the last segment is missing":         {map[string][]byte{object(3): nil}, 3, "00000003 is missing"},
		"a segment is torn":                   {map[string][]byte{object(2): read(object(2))[:500]}, 2, "00000002"},
		"a segment is empty":                  {map[string][]byte{object(2): {}}, 2, "00000002"},
		"a byte is another":                   {map[string][]byte{object(2): flip(read(object(2)))}, 2, "00000002"},
		"something is appended":               {map[string][]byte{object(2): append(read(object(2)), "more"...)}, 2, "00000002"},
		"a segment is there twice":            {map[string][]byte{object(2): read(object(1))}, 2, "00000002"},
		"a segment of another file":           {map[string][]byte{object(2): read(filepath.Join(others[0], "00000002"))}, 2, "00000002"},
		"two are exchanged":                   {map[string][]byte{object(2): read(object(3)), object(3): read(object(2))}, 2, "00000002"},
		"the base of the other is of no help": {map[string][]byte{object(1): read(filepath.Join(generations[1], "00000000"))}, 1, "00000001"},
	} {
		t.Run(name, func(t *testing.T) {
			sound := map[string][]byte{}
			for path, content := range c.damage {
				sound[path] = read(path)
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if content != nil {
					if err := os.WriteFile(path, content, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			v := &world{T: t, backend: w.backend}
			for i := range 4 {
				got, _, err := v.restored(file, at[i])
				switch {
				case i < c.upTo && (err != nil || got != wanted[i]):
					t.Errorf("point %d: %v", i, err)
				case i >= c.upTo && (!errors.Is(err, archive.ErrTorn) || !strings.Contains(err.Error(), c.says)):
					t.Errorf("point %d: want an error that names %q: %v", i, c.says, err)
				}
			}
			for i := 4; i < 6; i++ { // those of the next generation
				v.wantRestored(file, at[i], wanted[i])
			}
			for path, content := range sound {
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}
