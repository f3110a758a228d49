package archive_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/store/archive"
)

// backends runs a test on each kind of backend.
func backends(t *testing.T, test func(*testing.T, archive.Backend)) {
	for name, open := range kinds {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

var kinds = map[string]func(*testing.T) archive.Backend{
	"directory": func(t *testing.T) archive.Backend { return newDir(t) },
	"bucket":    newS3,
}

// What every backend does.
func TestBackends(t *testing.T) {
	backends(t, func(t *testing.T, b archive.Backend) {
		ctx := t.Context()
		put := func(name, content string) error {
			return b.Put(ctx, name, func(w io.Writer) error {
				_, err := io.WriteString(w, content)
				return err
			})
		}
		get := func(name string) (string, error) {
			r, err := b.Get(ctx, name)
			if err != nil {
				return "", err
			}
			defer r.Close()
			content, err := io.ReadAll(r)
			return string(content), err
		}
		want := func(prefix string, names ...string) {
			t.Helper()
			if got, err := b.List(ctx, prefix); err != nil || !slices.Equal(got, names) {
				t.Errorf("below %q: %v, %v, want %v", prefix, got, err, names)
			}
		}
		want("")
		want("a/b")
		large := strings.Repeat("0123456789abcdef", 1<<19)
		for name, content := range map[string]string{"a/b/1": "one", "a/b/2": "", "a/c": "x", "ab": large} {
			if err := put(name, content); err != nil {
				t.Fatal(err)
			}
			if got, err := get(name); err != nil || got != content {
				t.Errorf("%s: %.20q, %v", name, got, err)
			}
		}
		want("", "a/", "ab")
		want("a", "b/", "c")
		want("a/b", "1", "2")
		want("a/c")
		if err := put("a/c", "y"); !errors.Is(err, archive.ErrExists) {
			t.Errorf("put twice: %v", err)
		}
		if got, _ := get("a/c"); got != "x" {
			t.Errorf("the second put wrote %q", got)
		}
		failure := errors.New("failure")
		if err := b.Put(ctx, "a/d", func(w io.Writer) error { io.WriteString(w, "half"); return failure }); !errors.Is(err, failure) {
			t.Errorf("a put that fails: %v", err)
		}
		want("a", "b/", "c")
		if _, err := get("a/d"); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("what is not there: %v", err)
		}
		for _, name := range []string{"a/b/1", "a/b/2", "a/b/2", "ab"} {
			if err := b.Delete(ctx, name); err != nil {
				t.Error(err)
			}
		}
		want("", "a/")
		want("a", "c")
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		if err := b.Put(cancelled, "z", func(io.Writer) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
	})
}
