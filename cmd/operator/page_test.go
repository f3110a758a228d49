//go:build unix

package main

import (
	"strings"
	"testing"
)

func TestSteps(t *testing.T) {
	got, err := steps("# Page\n\n## One\n\n```sh\na\nb\n```\nprints\n```text\nc\n```\n\n```json\n{}\n```\n\n## Two\n```sh\nd\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []step{{6, "One", "a\nb\n", "c\n", true}, {20, "Two", "d\n", "", false}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for name, page := range map[string]string{
		"no end":        "```sh\na\n",
		"nothing":       "# Page\n",
		"nothing ran":   "```text\na\n```\n",
		"shown twice":   "```sh\na\n```\n```text\na\n```\n```text\na\n```\n",
		"an empty page": "",
	} {
		if _, err := steps(page); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		shown, printed string
		want           bool
	}{
		{"a\n", "a\n", true},
		{"a\n", "a", true},
		{"a\n", "b\n", false},
		{"a\n", "a\nb\n", false},
		{"a …\n", "a 12 s\n", true},
		{"a … s\n", "a 12 m\n", false},
		{"a … s\n", "a\nb s\n", false},
		{"…\nz\n", "z\n", true},
		{"…\nz\n", "x\ny\nz\n", true},
		{"a\n…\n", "a\n", true},
		{"a\n…\nz\n", "a\nx\ny\n", false},
		{"a.c\n", "abc\n", false},
		{"a\n\nb\n", "a\n\nb\n", true},
		{"", "", true},
	} {
		if got := matches(c.shown, c.printed); got != c.want {
			t.Errorf("%q shows %q: %t, want %t", c.shown, c.printed, got, c.want)
		}
	}
}

func TestElsewhere(t *testing.T) {
	next := 40000
	free := func() (int, error) { next++; return next, nil }
	got, err := elsewhere("http://127.0.0.1:8402/a 127.0.0.1:8545 127.0.0.1:8402 0.0.0.0:80", free)
	if want := "http://127.0.0.1:40001/a 127.0.0.1:40002 127.0.0.1:40001 0.0.0.0:80"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// The pages that CI runs can be read.
func FuzzSteps(f *testing.F) {
	f.Add("## One\n```sh\na\n```\n```text\n…\n```\n", "a\n")
	f.Add("```sh\na\n```\n```text\n\xa6\n```\n", "a\n")
	f.Fuzz(func(t *testing.T, page, printed string) {
		found, err := steps(page)
		if err != nil {
			return
		}
		for _, s := range found {
			if !strings.Contains(page, strings.TrimSuffix(s.script, "\n")) {
				t.Errorf("%q is not in the page", s.script)
			}
			matches(s.shown, printed)
		}
	})
}
