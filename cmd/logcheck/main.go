// Command logcheck searches what tests logged for secrets: those that the tests told,
// and what looks like one. It is not part of the product; `make test-logs` runs it on
// the folder in which [testlog] collected.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/events-concierge/concierge/server/testlog"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: logcheck DIR")
		os.Exit(2)
	}
	found, err := check(os.Args[1], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "logcheck:", err)
	}
	if err != nil || found > 0 {
		os.Exit(1)
	}
}

// check returns how many lines of logs have a secret in them, and tells of each. A
// folder without logs, or without secrets to look for, is an error: nothing was
// searched.
func check(dir string, out io.Writer) (found int, err error) {
	secrets, err := toldSecrets(dir)
	if err != nil {
		return 0, err
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*"+testlog.LogSuffix))
	if err != nil {
		return 0, err
	}
	if len(logs) == 0 || len(secrets) == 0 {
		return 0, fmt.Errorf("%s has %d logs and %d secrets to look for: want some of both", dir, len(logs), len(secrets))
	}
	size := 0
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			return found, err
		}
		size += len(text)
		for _, f := range testlog.Find(string(text), secrets...) {
			found++
			fmt.Fprintf(out, "%s:%d: %s: %s\n", filepath.Base(path), f.Line, f.What, f.Text)
		}
	}
	fmt.Fprintf(out, "%d logs, %d bytes, searched for %d secrets and what looks like one: %d found\n", len(logs), size, len(secrets), found)
	return found, nil
}

func toldSecrets(dir string) (secrets []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+testlog.SecretSuffix))
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			s, err := strconv.Unquote(strings.TrimSuffix(line, "\n"))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			if !seen[s] {
				seen[s], secrets = true, append(secrets, s)
			}
		}
	}
	return secrets, nil
}
