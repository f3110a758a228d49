package concierge_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// page is a Markdown file: the anchors of its headings, and where its links lead.
type page struct {
	anchors map[string]bool
	links   []string
}

var (
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	code    = regexp.MustCompile("`[^`\n]*`")
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
)

// readPage reads a page as GitHub shows it.
func readPage(t *testing.T, name string) page {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := fence.ReplaceAllString(string(b), "")
	p := page{anchors: map[string]bool{}}
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		p.anchors[anchor(h[1])] = true
	}
	for _, l := range link.FindAllStringSubmatch(code.ReplaceAllString(text, "code"), -1) {
		p.links = append(p.links, l[1])
	}
	return p
}

// anchor is the fragment by which GitHub links to a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// pages finds the Markdown files of the root and of docs.
func pages(t *testing.T) map[string]page {
	t.Helper()
	found := map[string]page{}
	roots, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range roots {
		found[name] = readPage(t, name)
	}
	err = filepath.WalkDir("docs", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && path.Ext(name) == ".md" {
			found[filepath.ToSlash(name)] = readPage(t, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Each link within the repository leads to a file that is there, and to a heading
// that it has.
func TestDocsLinks(t *testing.T) {
	all := pages(t)
	for name, p := range all {
		for _, l := range p.links {
			if strings.Contains(l, "://") || strings.HasPrefix(l, "mailto:") {
				continue
			}
			to, fragment, _ := strings.Cut(l, "#")
			target := name
			if to != "" {
				target = path.Join(path.Dir(name), to)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", name, l, err)
			}
			if to, ok := all[target]; ok && fragment != "" && !to.anchors[fragment] {
				t.Errorf("%s links to %s: there is no such heading", name, l)
			}
		}
	}
}

// Who looks for a page finds it in the index.
func TestDocsIndex(t *testing.T) {
	all := pages(t)
	listed := map[string]bool{"docs/README.md": true}
	for _, l := range all["docs/README.md"].links {
		to, _, _ := strings.Cut(l, "#")
		listed[path.Join("docs", to)] = true
	}
	for name := range all {
		if strings.HasPrefix(name, "docs/") && !listed[name] {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
}

// docsMention is how comments, messages and settings name a page of docs.
var docsMention = regexp.MustCompile(`(?:^|[^\w/.-]|\.\./|/blob/main/)(docs/[\w/-]+\.md)`)

// What the code says to read is there.
func TestDocsMentions(t *testing.T) {
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); base == ".git" || base == "node_modules" || base == "bin" || base == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		switch path.Ext(name) {
		case ".go", ".mjs", ".json", ".html", ".tmpl", ".yml", ".toml", ".service", "":
		default:
			return nil
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, m := range docsMention.FindAllSubmatch(b, -1) {
			if _, err := os.Stat(string(m[1])); err != nil {
				t.Errorf("%s says to read %s: %v", name, m[1], err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
