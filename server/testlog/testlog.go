// Package testlog collects what tests log, to be searched for secrets; it is not part
// of the product. Every logger of a test is made by [New], and every secret that has
// no shape of its own is told to [Secret]. Without the variable [Dir] nothing is
// collected. `make test-logs` sets it, and has [Find] search what came together.
package testlog

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// Dir is the variable with the folder in which logs are collected.
const Dir = "CONCIERGE_TEST_LOGS"

// Names of the files in it: logs, and lines that are secrets, quoted as Go does.
const (
	LogSuffix    = ".log"
	SecretSuffix = ".secrets"
)

// New returns a logger for a test that logs to some handlers, or nowhere, and all of
// it, in both formats, to what is collected.
func New(to ...slog.Handler) *slog.Logger {
	if w := collected(); w != nil {
		all := &slog.HandlerOptions{Level: slog.LevelDebug}
		to = append(to, slog.NewTextHandler(w, all), slog.NewJSONHandler(w, all))
	}
	switch len(to) {
	case 0:
		return slog.New(slog.DiscardHandler)
	case 1:
		return slog.New(to[0])
	}
	return slog.New(slog.NewMultiHandler(to...))
}

// Tee returns a writer for the standard error of a program that logs there, which is
// collected as well.
func Tee(w io.Writer) io.Writer {
	if c := collected(); c != nil {
		return io.MultiWriter(w, c)
	}
	return w
}

// Secret makes what a test uses as a secret known: it may be in no log of any test.
func Secret(values ...string) {
	dir := os.Getenv(Dir)
	if dir == "" {
		return
	}
	f := mustOpen(dir, SecretSuffix)
	defer f.Close()
	for _, v := range values {
		if _, err := fmt.Fprintf(f, "%q\n", v); err != nil {
			panic(err)
		}
	}
}

// collected is the file of this process, open as long as it lives, or nil.
var collected = sync.OnceValue(func() io.Writer {
	if dir := os.Getenv(Dir); dir != "" {
		return mustOpen(dir, LogSuffix)
	}
	return nil
})

// mustOpen opens a file of this process to append to. A test of which the logs are
// not collected would pass for one that is clean.
func mustOpen(dir, suffix string) *os.File {
	name := fmt.Sprintf("%s-%d%s", filepath.Base(os.Args[0]), os.Getpid(), suffix)
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600) // #nosec G703 -- who runs the tests says where
	if err != nil {
		panic(err)
	}
	return f
}
