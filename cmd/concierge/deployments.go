package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
)

const (
	// copiesKept is how long copies from before migrations are kept: who would go back
	// further would lose as much of what Hosts have sold since.
	copiesKept = 30 * 24 * time.Hour
	// firstDropped is how long after its start a server first looks for older ones: it
	// reads all directories for that, and has others to read then.
	firstDropped = time.Hour
	dropEvery    = 24 * time.Hour
)

// dropOldCopies removes copies of Hosts' files that nobody goes back to any more, until
// stop.
func dropOldCopies(ctx context.Context, data string, log *slog.Logger) (stop func()) {
	return tend(ctx, func(ctx context.Context) {
		for look := time.NewTimer(firstDropped); ; look.Reset(dropEvery) {
			select {
			case <-ctx.Done():
				look.Stop()
				return
			case <-look.C:
			}
			now := time.Now()
			switch n, err := store.DropOldCopies(ctx, data, now.Add(-copiesKept), now); {
			case ctx.Err() != nil:
			case err != nil:
				log.Warn("remove old copies from before migrations", "err", err)
			case n > 0:
				log.Info("old copies from before migrations are removed", "files", n)
			}
		}
	})
}

// keepPrograms is how many programs are kept to go back to, if nothing else is said.
const keepPrograms = 3

// programOf is this program, as it is recorded. One whose file can't be read (there is
// no /proc, or it may be run and not read) is recorded without a digest, and no copy of
// it is kept.
func programOf(log *slog.Logger) (*store.Program, error) {
	b, err := thisBuild()
	if err != nil {
		return nil, err
	}
	p := &store.Program{Version: b.Version, Commit: b.Commit, Built: b.Date, Schemas: b.Schemas}
	if p.Path, err = os.Executable(); err == nil {
		p.SHA256, err = host.SumProgram(p.Path)
	}
	if err != nil {
		log.Warn("this program's file can't be read, so a rollback to it will need it from elsewhere", "err", err)
	}
	return p, nil
}

// keepProgram keeps a copy of this program beside what it serves, until stop.
func keepProgram(ctx context.Context, hosts *host.Hosts, n int, log *slog.Logger) (stop func()) {
	return tend(ctx, func(ctx context.Context) {
		if err := hosts.KeepProgram(ctx, n); err != nil && ctx.Err() == nil {
			log.Warn("a rollback to this program will need its file from elsewhere", "err", err)
		}
	})
}

func newDeployments() *cobra.Command {
	return group("deployments", "The programs that have served a data directory", newDeploymentsList())
}

func newDeploymentsList() *cobra.Command {
	var data string
	var limit int
	var starts, asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List them, the newest first, and how their last start ended",
		Long: "Lists the programs that have served a data directory, each from when it took over from another. One that\n" +
			"comes again is another deployment. 'concierge rollback ID' goes back to one.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return misuse("--limit %d: want 1 or more", limit)
			}
			if _, err := os.Stat(filepath.Join(data, "server.db")); err != nil {
				return fmt.Errorf("%s is no data directory of a server (--data): %w", data, err)
			}
			if starts {
				all, err := host.ListStarts(cmd.Context(), data, limit)
				if err != nil {
					return err
				}
				return showStarts(cmd.OutOrStdout(), all, asJSON)
			}
			all, err := host.ListDeployments(cmd.Context(), data, limit)
			if err != nil {
				return err
			}
			return showDeployments(cmd.OutOrStdout(), data, all, asJSON)
		},
	}
	cmd.Flags().StringVar(&data, "data", "./data", "data directory")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many")
	cmd.Flags().BoolVar(&starts, "starts", false, "list each start")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// deploymentJSON is a deployment as it is printed.
type deploymentJSON struct {
	ID        int64         `json:"id"`
	Version   string        `json:"version"`
	Commit    string        `json:"commit,omitempty"`
	Built     string        `json:"built,omitempty"`
	SHA256    string        `json:"sha256"`
	Path      string        `json:"path"`
	Kept      string        `json:"kept,omitempty"` // where there is a copy of it
	Schemas   store.Schemas `json:"schemas"`
	Since     string        `json:"since"`
	Starts    int           `json:"starts"`
	LastStart *startJSON    `json:"last_start,omitempty"`
}

// startJSON is a start as it is printed.
type startJSON struct {
	ID         int64  `json:"id"`
	Deployment int64  `json:"deployment"`
	Command    string `json:"command"`
	Schema     int    `json:"server_schema_before"`
	At         string `json:"at"`
	Ended      string `json:"ended,omitempty"` // stopped or killed
	EndedAt    string `json:"ended_at,omitempty"`
}

func deployment(data string, d store.Deployment) deploymentJSON {
	said := deploymentJSON{ID: d.ID, Version: d.Version, Commit: d.Commit, Built: d.Built, SHA256: fmt.Sprintf("%x", d.SHA256), Path: d.Path,
		Schemas: d.Schemas, Since: rfc3339(d.Since), Starts: d.Starts}
	if kept := host.ProgramFile(data, d.Program); isThere(kept) {
		said.Kept = kept
	}
	if d.Last.ID != 0 {
		last := startOf(d.Last)
		said.LastStart = &last
	}
	return said
}

func startOf(s store.Start) startJSON {
	return startJSON{s.ID, s.Deployment, s.Command, s.Schema, rfc3339(s.At), string(s.Ended), rfc3339(s.EndedAt)}
}

func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func showDeployments(out io.Writer, data string, all []store.Deployment, asJSON bool) error {
	said := []deploymentJSON{}
	for _, d := range all {
		said = append(said, deployment(data, d))
	}
	if asJSON {
		return printJSON(out, said)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tVERSION\tCOMMIT\tSCHEMAS\tSINCE\tSTARTS\tLAST ENDED\tKEPT")
	for i, d := range said {
		kept := "no"
		if d.Kept != "" {
			kept = "yes"
		}
		fmt.Fprintf(w, "%d\t%s\t%.12s\tserver %d, hosts %d\t%s\t%d\t%s\t%s\n", d.ID, d.Version, d.Commit, d.Schemas.Server.Newest, d.Schemas.Hosts.Newest,
			d.Since, d.Starts, ending(all[i].Last), kept)
	}
	return w.Flush()
}

// ending is how a start ended. Who was killed is found out by the next start.
func ending(s store.Start) string {
	switch {
	case s.ID == 0:
		return ""
	case s.Ended == "":
		return "running, or killed"
	}
	return string(s.Ended) + " " + rfc3339(s.EndedAt)
}

func showStarts(out io.Writer, all []store.Start, asJSON bool) error {
	said := []startJSON{}
	for _, s := range all {
		said = append(said, startOf(s))
	}
	if asJSON {
		return printJSON(out, said)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DEPLOYMENT\tCOMMAND\tSTARTED\tENDED")
	for i, s := range said {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", s.Deployment, s.Command, s.At, ending(all[i]))
	}
	return w.Flush()
}

// errNotConfirmed ends a command whose question was not answered with yes.
var errNotConfirmed = errors.New("nothing was changed")
