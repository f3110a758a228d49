//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// nextVersion is what the build with one more migration says it is.
const nextVersion = "v99.0.0"

// migrationsOf is where the files of Hosts have their migrations.
const migrationsOf = "store/migrations/host"

// buildNext builds this source with one more migration of Hosts' files. Nothing of
// the source is changed: the migration is laid over it.
func buildNext(ctx context.Context, dir string) (string, error) {
	there, err := filepath.Glob(migrationsOf + "/*.sql")
	if err != nil || len(there) == 0 {
		return "", fmt.Errorf("there are no migrations in %s: run it in the root of the source (%v)", migrationsOf, err)
	}
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	step := filepath.Join(dir, "next.sql")
	if err := os.WriteFile(step, []byte("CREATE TABLE notes (event BLOB NOT NULL, text TEXT NOT NULL) STRICT;\n"), 0o600); err != nil {
		return "", err
	}
	name := filepath.Join(root, migrationsOf, fmt.Sprintf("%04d_next.sql", len(there)+1))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{name: step}})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "concierge-next")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-overlay", file,
		"-ldflags", "-s -w -X main.version="+nextVersion, "-o", program, "./cmd/concierge")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the next version: %w\n%s", err, said)
	}
	return program, nil
}
