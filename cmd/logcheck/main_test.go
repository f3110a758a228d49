package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if _, err := check(dir, &out); err == nil {
		t.Error("nothing was searched, and that is fine")
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a-1.secrets", `"s3same"`+"\n"+`"s3same"`+"\n")
	write("a-1.log", "level=INFO msg=clean\n")
	if n, err := check(dir, &out); err != nil || n != 0 || !strings.Contains(out.String(), "for 1 secrets") {
		t.Error(n, err, &out)
	}
	write("b-2.log", "level=INFO msg=clean\nlevel=INFO msg=x v=s3same by=ada@example.org\n")
	if n, err := check(dir, &out); err != nil || n != 2 || !strings.Contains(out.String(), "b-2.log:2: an email") {
		t.Error(n, err, &out)
	}
	write("c-3.secrets", "not quoted\n")
	if _, err := check(dir, &out); err == nil {
		t.Error("a broken file of secrets is fine")
	}
}
