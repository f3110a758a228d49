package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// target is a kind of machine, in the words of the Go command.
type target struct{ os, arch string }

// files are the binaries of a bundle, by their names in it, and what each is for.
// Several targets are one universal binary, for a manifest tells systems apart and
// not processors. Windows on arm64 runs what is for amd64.
var files = map[string][]target{
	"server/concierge":       {{"darwin", "amd64"}, {"darwin", "arm64"}},
	"server/concierge.exe":   {{"windows", "amd64"}},
	"server/concierge-linux": {{"linux", "amd64"}},
}

// build compiles the product for each kind of machine of some systems, as `make
// build` does for this one. No systems: all of them.
func build(ctx context.Context, dir, version string, systems []string, out io.Writer) (map[string][]byte, error) {
	built := map[string][]byte{}
	for name, targets := range files {
		if len(systems) > 0 && !slices.Contains(systems, targets[0].os) {
			continue
		}
		var parts [][]byte
		for _, t := range targets {
			fmt.Fprintf(out, "building for %s/%s\n", t.os, t.arch)
			b, err := compile(ctx, filepath.Join(dir, t.os+"-"+t.arch), version, t)
			if err != nil {
				return nil, err
			}
			parts = append(parts, b)
		}
		if len(parts) == 1 {
			built[name] = parts[0]
			continue
		}
		b, err := universal(parts)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		built[name] = b
	}
	if len(built) == 0 {
		return nil, fmt.Errorf("systems %v: want some of darwin, windows, linux", systems)
	}
	return built, nil
}

func compile(ctx context.Context, path, version string, t target) ([]byte, error) {
	// Without the version control's stamp, which a source archive would not give.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version="+version, "-o", path, "./cmd/concierge")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch, "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build for %s/%s: %w\n%s", t.os, t.arch, err, said)
	}
	return os.ReadFile(path)
}

// described is what `git describe --tags --always --dirty` says: a tag and what is
// since, or without any tag a commit.
var described = regexp.MustCompile(`^(?:v(\d+\.\d+\.\d+)(-[0-9A-Za-z.-]+)?|[0-9a-f]{4,64}(-dirty)?|dev)$`)

// semver makes a semantic version of what git says, as manifests and registries want
// one. What is not tagged is before every release.
func semver(version string) (string, error) {
	m := described.FindStringSubmatch(version)
	switch {
	case m == nil:
		return "", fmt.Errorf("version %q: want v1.2.3, what git describe makes of it, or a commit", version)
	case m[1] != "":
		return strings.TrimPrefix(version, "v"), nil
	}
	return "0.0.0-g" + version, nil
}
