package concierge_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// texts returns every string of the product's code, one a line; those that are
// put together with + are one.
func texts(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			e, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			s, ok := folded(e)
			if ok {
				all.WriteString(s + "\n")
			}
			return !ok
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// folded is the value of an expression of nothing but strings.
func folded(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			s, err := strconv.Unquote(e.Value)
			return s, err == nil
		}
	case *ast.BinaryExpr:
		a, left := folded(e.X)
		b, right := folded(e.Y)
		return a + b, left && right && e.Op == token.ADD
	}
	return "", false
}

// Who searches the page for what they were told finds it: each text that it quotes
// is one that the program has, but for what differs.
func TestTroubleshootingTexts(t *testing.T) {
	page, err := os.ReadFile("docs/reference/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	all, quoted := texts(t), 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		// What the program says is in the first two cells; what to do is in the last.
		for _, cell := range cells[1 : len(cells)-2] {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
				if !strings.Contains(m[1], " ") && !strings.Contains(m[1], "_") {
					continue // a flag or a word
				}
				quoted++
				for piece := range strings.SplitSeq(m[1], "…") {
					if piece = strings.Trim(piece, " :,"); !strings.Contains(all, piece) {
						t.Errorf("%q: the program has no text with %q", m[1], piece)
					}
				}
			}
		}
	}
	if quoted < 50 {
		t.Errorf("only %d texts were found in the page", quoted)
	}
}
