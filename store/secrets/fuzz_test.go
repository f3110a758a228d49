package secrets_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/events-concierge/concierge/store/secrets"
)

// FuzzStored reads files that others may have damaged: what opens is what was put,
// and nothing else does.
func FuzzStored(f *testing.F) {
	s := secrets.In(f.TempDir())
	k, err := secrets.NewKey()
	at := secrets.File(filepath.Join(f.TempDir(), "key"))
	if err := errors.Join(err, at.Create(k), s.Put(f.Context(), "a", secrets.NewValue(marker), at), s.Put(f.Context(), "b", secrets.NewValue("x"), at)); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		sealed, err := os.ReadFile(filepath.Join(s.Dir(), name+".age"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sealed)
		f.Add(sealed[:len(sealed)/2])
	}
	f.Add([]byte("age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 30\n"))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if err := os.WriteFile(filepath.Join(s.Dir(), "a.age"), sealed, 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Get("a", k); err == nil && v.Reveal() != marker {
			t.Errorf("it opens as %q", v.Reveal())
		}
	})
}

// FuzzName: a name that is valid stays in the folder.
func FuzzName(f *testing.F) {
	for _, name := range []string{"smtp-password", "", "../a", "a-", "A", "a/b", "a\x00"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if secrets.ValidName(name) && (filepath.Base(name) != name || !filepath.IsLocal(name) || filepath.Ext(name) != "") {
			t.Errorf("%q is valid", name)
		}
	})
}

// FuzzKey: a key that is read is written and read again as the same.
func FuzzKey(f *testing.F) {
	f.Add("AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33\n")
	f.Add("# comment\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := secrets.ParseKey(text)
		if err != nil {
			return
		}
		again, err := secrets.ParseKey(k.Text().Reveal())
		if err != nil || again.Text() != k.Text() {
			t.Errorf("%q is another key when it is read again: %v", text, err)
		}
	})
}
