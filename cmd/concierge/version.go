package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/store"
)

// Set by -ldflags "-X main.version=…" where the program is built for others to use
// (Makefile, .goreleaser.yaml). What is not set is taken from what Go itself notes in
// a program.
var (
	version      = unversioned
	commit, date string
)

// unversioned is the version of what was built in a checkout, by hand.
const unversioned = "dev"

// build is what this program was made of, and what it reads and writes.
type build struct {
	Version string        `json:"version"`
	Commit  string        `json:"commit,omitempty"`
	Date    string        `json:"date,omitempty"` // RFC 3339
	Go      string        `json:"go"`
	System  string        `json:"system"` // such as linux/amd64
	Schemas store.Schemas `json:"schemas"`
}

// thisBuild returns that of this program.
func thisBuild() (build, error) {
	b := build{Version: version, Commit: commit, Date: date, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.fill(info)
	}
	var err error
	b.Schemas, err = store.CurrentSchemas()
	return b, err
}

// fill takes what the linker was not told from what Go noted: of a program installed
// with "go install" the module's version, of one built in a checkout the commit.
func (b *build) fill(info *debug.BuildInfo) {
	if v := info.Main.Version; b.Version == unversioned && v != "" && v != "(devel)" {
		b.Version = v
	}
	noted := map[string]string{}
	for _, s := range info.Settings {
		noted[s.Key] = s.Value
	}
	b.Date = cmp.Or(b.Date, noted["vcs.time"])
	if b.Commit == "" {
		if b.Commit = noted["vcs.revision"]; b.Commit != "" && noted["vcs.modified"] == "true" {
			b.Commit += "-dirty"
		}
	}
}

// versionName returns the version alone, as others are told it.
func versionName() string {
	b, err := thisBuild()
	if err != nil { // a migration is named wrongly, for which a test is there
		return unversioned
	}
	return b.Version
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, and the schemas of files that this program reads",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := thisBuild()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), b)
			}
			return b.show(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (b build) show(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "version\t%s\n", b.Version)
	for _, line := range [][2]string{{"commit", b.Commit}, {"date", b.Date}} {
		if line[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
		}
	}
	fmt.Fprintf(w, "go\t%s %s\n", strings.TrimPrefix(b.Go, "go"), b.System)
	s := b.Schemas
	fmt.Fprintf(w, "schemas\tserver %s, hosts %s, chats %s, purse %s, index %s\n",
		rangeText(s.Server), rangeText(s.Hosts), rangeText(s.Chats), rangeText(s.Purse), rangeText(s.Index))
	return w.Flush()
}

// rangeText is a range of versions as people read it: the oldest that is brought up
// to date, and the newest.
func rangeText(r store.Range) string { return fmt.Sprintf("%d–%d", r.Oldest, r.Newest) }
