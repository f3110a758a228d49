package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// watched is a server's log. A panic in it is a fault, also one that the server
// has survived.
type watched struct {
	io.Writer
	name  string
	fault func(format string, args ...any)
}

// Write is given whole lines.
func (w *watched) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panic")) {
		w.fault("%s panicked: see its log", w.name)
	}
	return w.Writer.Write(line)
}

// build compiles the product with its crash points, as it is compiled
// otherwise.
func build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "crashpoint", "-o", path,
		"github.com/events-concierge/concierge/cmd/concierge")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the product: %w\n%s", err, out)
	}
	return nil
}
