// Command mcpb makes MCP Bundles (.mcpb) of the product, which Claude Desktop and
// others install at a click, and the server.json by which a registry knows them. It
// is not part of the product.
//
// It needs the Go command, and is run in the module (`make mcpb`):
//
//	go run ./cmd/mcpb -version v1.2.3 -out bin
//
// The manifests are in deploy/mcpb, one for each bundle. Each bundle has the binary
// for macOS (one file for both processors), Windows and Linux. The same source and
// the same Go give the same bytes. See docs/how-to/development.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// bundles are the names of the manifests.
var bundles = []string{"guest", "host"}

// maxBundle is how many bytes a bundle may have: people download it, and keep every
// version that they install.
const maxBundle = 100_000_000

// options are the command line.
type options struct {
	version string
	source  string
	out     string
	systems string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 0 done, 1 failed, 2 wrong usage.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	var o options
	flags := flag.NewFlagSet("mcpb", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.version, "version", "dev", "as `git describe` has it")
	flags.StringVar(&o.source, "source", "deploy/mcpb", "folder of the manifests and the icon")
	flags.StringVar(&o.out, "out", "bin", "folder for the bundles")
	flags.StringVar(&o.systems, "systems", "", "make bundles for these alone, such as linux, to try them; separate by commas")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(errOut, "mcpb: unexpected %q\n", flags.Arg(0))
		return 2
	}
	if err := makeAll(ctx, o, out); err != nil {
		fmt.Fprintf(errOut, "mcpb: %v\n", err)
		return 1
	}
	return 0
}

// makeAll builds the binaries, and packs them into each bundle.
func makeAll(ctx context.Context, o options, out io.Writer) error {
	version, err := semver(o.version)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "concierge-mcpb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binaries, err := build(ctx, dir, o.version, strings.FieldsFunc(o.systems, func(r rune) bool { return r == ',' }), out)
	if err != nil {
		return err
	}
	for _, name := range bundles {
		b, err := pack(o.source, name, version, binaries)
		if err != nil {
			return fmt.Errorf("bundle %s: %w", name, err)
		}
		if err := release(o, name, version, b); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %d bytes, SHA-256 %s\n", filepath.Join(o.out, fileName(name)), len(b.content), b.sum)
	}
	return nil
}

// release writes a bundle, its hash as sha256sum has it, and its server.json.
func release(o options, name, version string, b bundle) error {
	entry, err := registryEntry(o.source, name, version, o.version, b.sum)
	if err != nil {
		return fmt.Errorf("server.json of %s: %w", name, err)
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	file := fileName(name)
	for path, content := range map[string][]byte{
		file:                                 b.content,
		file + ".sha256":                     fmt.Appendf(nil, "%s  %s\n", b.sum, file),
		"concierge-" + name + ".server.json": entry,
	} {
		if err := os.WriteFile(filepath.Join(o.out, path), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func fileName(name string) string { return "concierge-" + name + ".mcpb" }
