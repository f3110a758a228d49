package concierge_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogsAreCollected: a test that makes a logger by itself logs past what
// `make test-logs` searches for secrets.
func TestLogsAreCollected(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && (d.Name() == "node_modules" || path == "server/testlog" || path == "interop") {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") || path == "logs_test.go" {
			return err
		}
		source, err := os.ReadFile(path)
		if bytes.Contains(source, []byte("slog.New(")) {
			t.Errorf("%s: make loggers of tests with testlog.New", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
