package secrets_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store/secrets"
)

// marker is what must be found in no file and no print.
const marker = "correct-horse-battery"

func newKey(t *testing.T) (secrets.Key, secrets.File) {
	t.Helper()
	k, err := secrets.NewKey()
	f := secrets.File(filepath.Join(t.TempDir(), "key"))
	if err := errors.Join(err, f.Create(k)); err != nil {
		t.Fatal(err)
	}
	return k, f
}

func put(t *testing.T, s *secrets.Store, name, value string, at secrets.Keeper) {
	t.Helper()
	if err := s.Put(t.Context(), name, secrets.NewValue(value), at); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *secrets.Store, name string, at secrets.Keeper) string {
	t.Helper()
	k, err := at.Load()
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Get(name, k)
	if err != nil {
		t.Fatal(err)
	}
	return v.Reveal()
}

func TestStore(t *testing.T) {
	s := secrets.In(t.TempDir())
	_, at := newKey(t)
	if entries, err := s.List(); err != nil || len(entries) > 0 {
		t.Fatal(entries, err)
	}
	for _, value := range []string{marker, "another\nwith a line\n", strings.Repeat("x", secrets.MaxValue), "\x80 no UTF-8"} {
		put(t, s, "smtp-password", value, at)
		if got := get(t, s, "smtp-password", at); got != value {
			t.Errorf("put %q, got %q", value, got)
		}
	}
	put(t, s, "a", marker, at)
	entries, err := s.List()
	if err != nil || len(entries) != 2 || entries[0].Name != "a" || time.Since(entries[0].Put).Abs() > time.Hour {
		t.Error(entries, err)
	}
	if found := s.Check(); len(found) > 0 {
		t.Error(found)
	}
	sealed, err := os.ReadFile(filepath.Join(s.Dir(), "a.age"))
	if err != nil || bytes.Contains(sealed, []byte(marker)) {
		t.Error("it is there to read", err)
	}
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), "a"); !errors.Is(err, secrets.ErrNotFound) {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	s := secrets.In(t.TempDir())
	k, at := newKey(t)
	other, _ := newKey(t)
	put(t, s, "a", marker, at)
	put(t, s, "b", "of b", at)
	for _, name := range []string{"", "A", "../a", "a/b", "-a", "a-", "a--b", "a.b", strings.Repeat("a", 65), "ä"} {
		if err := s.Put(t.Context(), name, secrets.NewValue("x"), at); !errors.Is(err, secrets.ErrName) {
			t.Errorf("put %q: %v", name, err)
		}
		if _, err := s.Get(name, k); !errors.Is(err, secrets.ErrName) {
			t.Errorf("get %q: %v", name, err)
		}
		if err := s.Delete(t.Context(), name); !errors.Is(err, secrets.ErrName) {
			t.Errorf("delete %q: %v", name, err)
		}
	}
	if err := s.Put(t.Context(), "a", secrets.Value{}, at); !errors.Is(err, secrets.ErrEmpty) {
		t.Error(err)
	}
	if err := s.Put(t.Context(), "a", secrets.NewValue(strings.Repeat("x", secrets.MaxValue+1)), at); !errors.Is(err, secrets.ErrTooLong) {
		t.Error(err)
	}
	if _, err := s.Get("a", other); !errors.Is(err, secrets.ErrLocked) {
		t.Error("with another key:", err)
	}
	if _, err := s.Get("c", k); !errors.Is(err, secrets.ErrNotFound) {
		t.Error(err)
	}
	// One secret in another's place: who can write files does not choose what is
	// sent where.
	file := func(name string) string { return filepath.Join(s.Dir(), name+".age") }
	if err := os.Rename(file("b"), file("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("a", k); !errors.Is(err, secrets.ErrLocked) {
		t.Error("b in the place of a:", err)
	}
	sealed, err := os.ReadFile(file("a"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"empty": nil, "cut": sealed[:len(sealed)-1], "long": bytes.Repeat([]byte("x"), 1<<20), "text": []byte(marker)} {
		if err := os.WriteFile(file("a"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get("a", k); err == nil || strings.Contains(err.Error(), marker) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOthers: what others can write is not used, and what they can read is told.
func TestOthers(t *testing.T) {
	s := secrets.In(t.TempDir())
	k, at := newKey(t)
	put(t, s, "a", marker, at)
	file := filepath.Join(s.Dir(), "a.age")
	for _, test := range []struct {
		path     string
		now, fix os.FileMode
		refused  bool
	}{
		{s.Dir(), 0o755, 0o700, false}, {s.Dir(), 0o770, 0o700, true}, {s.Dir(), 0o777, 0o700, true},
		{file, 0o640, 0o600, false}, {file, 0o666, 0o600, true},
	} {
		if err := os.Chmod(test.path, test.now); err != nil {
			t.Fatal(err)
		}
		found := s.Check()
		want := fmt.Sprintf("chmod %o %s", test.fix, test.path)
		if len(found) != 1 || found[0].Refuse != test.refused || !strings.Contains(found[0].Advice, want) {
			t.Errorf("%s, mode %o: %+v", test.path, test.now, found)
		}
		if _, err := s.Get("a", k); (err != nil) != test.refused {
			t.Errorf("get, mode %o: %v", test.now, err)
		}
		if err := s.Put(t.Context(), "b", secrets.NewValue("x"), at); (err != nil) != test.refused {
			t.Errorf("put, mode %o: %v", test.now, err)
		}
		if err := os.Chmod(test.path, test.fix); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(string(at), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := at.Load(); err == nil || !strings.Contains(err.Error(), "chmod 600 "+string(at)) {
		t.Error("a key for everybody:", err)
	}
}

func TestConcurrentPut(t *testing.T) {
	s := secrets.In(t.TempDir())
	_, at := newKey(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 5 {
				if err := s.Put(t.Context(), "same", secrets.NewValue(strings.Repeat(fmt.Sprint(i), 100)), at); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() {
		for range 3 {
			if _, err := s.Rekey(t.Context(), at); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	if got := get(t, s, "same", at); len(got) != 100 || strings.Trim(got, got[:1]) != "" {
		t.Errorf("a mixture: %q", got)
	}
	left, err := os.ReadDir(s.Dir())
	if err != nil || len(left) != 2 { // and .lock
		t.Error(left, err)
	}
}

// breaking is a Keeper that fails when it is written to for the n-th time, before or
// after it is done.
type breaking struct {
	secrets.Keeper
	left  int
	after bool
}

var errBroken = errors.New("broken off")

func (b *breaking) Save(k secrets.Key) error {
	b.left--
	if b.left == 0 && !b.after {
		return errBroken
	}
	err := b.Keeper.Save(k)
	if b.left == 0 {
		return errBroken
	}
	return err
}

func TestRekey(t *testing.T) {
	for _, test := range []breaking{{left: 1}, {left: 1, after: true}, {left: 2}, {left: 2, after: true}, {left: 99}} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			s := secrets.In(t.TempDir())
			old, at := newKey(t)
			names := []string{"a", "b", "c"}
			for _, name := range names {
				put(t, s, name, marker+name, at)
			}
			before, _ := s.List()
			test.Keeper = at
			_, err := s.Rekey(t.Context(), &test)
			if (err != nil) != errors.Is(err, errBroken) {
				t.Fatal(err)
			}
			for _, name := range names { // all can be read at any time
				if got := get(t, s, name, at); got != marker+name {
					t.Errorf("%s: %q", name, got)
				}
			}
			if n, err := s.Rekey(t.Context(), at); err != nil || n != len(names) {
				t.Fatal(n, err)
			}
			for i, name := range names {
				if got := get(t, s, name, at); got != marker+name {
					t.Errorf("%s after it: %q", name, got)
				}
				if _, err := s.Get(name, old); !errors.Is(err, secrets.ErrLocked) {
					t.Errorf("the old key still opens %s", name)
				}
				if after, _ := s.List(); !after[i].Put.Equal(before[i].Put) {
					t.Errorf("%s: put at %v, was %v", name, after[i].Put, before[i].Put)
				}
			}
			if now, err := at.Load(); err != nil || strings.Count(now.Text().Reveal(), "AGE-SECRET-KEY-") != 1 {
				t.Error("the old key is kept", err)
			}
		})
	}
}

// TestRekeyDamaged: what can't be opened is found before anything is changed.
func TestRekeyDamaged(t *testing.T) {
	s := secrets.In(t.TempDir())
	_, at := newKey(t)
	put(t, s, "a", "of a", at)
	put(t, s, "b", "of b", at)
	whole, _ := os.ReadFile(filepath.Join(s.Dir(), "b.age"))
	key, _ := os.ReadFile(string(at))
	if err := os.WriteFile(filepath.Join(s.Dir(), "b.age"), whole[:len(whole)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rekey(t.Context(), at); !errors.Is(err, secrets.ErrLocked) || !strings.Contains(err.Error(), "secret b") {
		t.Fatal(err)
	}
	if now, _ := os.ReadFile(string(at)); !bytes.Equal(now, key) {
		t.Error("the key is changed although not all can be")
	}
	// What a killed writer leaves is swept by the next.
	if err := os.WriteFile(filepath.Join(s.Dir(), ".writing-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir(), "b.age"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rekey(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.Dir(), ".writing-1")); !errors.Is(err, os.ErrNotExist) {
		t.Error("not swept", err)
	}
}

func TestKey(t *testing.T) {
	k, at := newKey(t)
	if err := at.Create(k); !errors.Is(err, secrets.ErrKeyExists) {
		t.Error("over another:", err)
	}
	if _, err := secrets.File(filepath.Join(t.TempDir(), "none")).Load(); !errors.Is(err, secrets.ErrNoKey) {
		t.Error(err)
	}
	if err := secrets.Credential(at).Save(k); err == nil {
		t.Error("a credential is written")
	}
	if got, err := secrets.Credential(at).Load(); err != nil || got.Text() != k.Text() {
		t.Error(err)
	}
	text := k.Text().Reveal()
	for _, bad := range []string{"", "# nothing\n", "AGE-SECRET-KEY-1QQQ", marker, text + text + text, strings.Repeat("#\n", 1<<20)} {
		if _, err := secrets.ParseKey(bad); err == nil || strings.Contains(err.Error(), marker) || strings.Contains(err.Error(), "1QQQ") {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

// TestRedacted prints values and keys in all ways that there are.
func TestRedacted(t *testing.T) {
	k, _ := newKey(t)
	v := secrets.NewValue(marker)
	whole := strings.TrimSpace(k.Text().Reveal())
	secret := whole[strings.LastIndex(whole, "\n")+1:]
	var out bytes.Buffer
	type config struct {
		V  secrets.Value
		P  *secrets.Value
		K  secrets.Key
		In map[string]secrets.Value
	}
	c := config{v, &v, k, map[string]secrets.Value{"a": v}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		for _, arg := range []any{v, &v, k, &k, c, &c, []secrets.Value{v}} {
			fmt.Fprintf(&out, verb+"\n", arg)
		}
	}
	for _, log := range []*slog.Logger{testlog.New(slog.NewTextHandler(&out, nil)), testlog.New(slog.NewJSONHandler(&out, nil))} {
		log.Info("x", "v", v, "p", &v, "k", k, "c", c, "list", []secrets.Value{v})
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(asJSON)
	fmt.Fprintln(&out, v.String(), v.GoString(), errors.Join(fmt.Errorf("%v %w", v, fmt.Errorf("%v", k))))
	for name, text := range map[string]string{"the value": marker, "its hex": fmt.Sprintf("%x", marker), "the key": secret} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(text)) {
			t.Errorf("%s is in what was printed", name)
		}
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing is redacted")
	}
}
