package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
)

// rollbackOptions say how it is gone back.
type rollbackOptions struct {
	data                         string
	yes, dryRun, install, asJSON bool
}

func newRollback() *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback ID",
		Short: "Go back to the program of an earlier deployment, and take the files back to what it reads",
		Long: "Tells what going back to a deployment ('concierge deployments list') comes to, asks, and does it. A file that\n" +
			"the older program reads stays as it is. One whose migration can be undone loses nothing but what it says. Any\n" +
			"other Host's file becomes what it was before the migration; what was paid since is found on the chain by the\n" +
			"server, is owed, and goes back. No authorization that was used becomes good again, and no user is lost.\n" +
			"The files of now stay beside the others. What fails half-way is run again.\n\n" +
			"Run it with the newest of the programs, with the server stopped.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || id < 1 {
				return misuse("%q: want the id of a deployment, as 'concierge deployments list' shows it", args[0])
			}
			return o.rollback(cmd.Context(), id, personAt(cmd), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&o.data, "data", "./data", "data directory")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "tell what it comes to, and change nothing")
	cmd.Flags().BoolVar(&o.install, "install", false, "put the program that was kept in the place from which it was started")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	return cmd
}

func (o *rollbackOptions) rollback(ctx context.Context, id int64, p person, out io.Writer) (err error) {
	r, err := host.PlanRollback(ctx, o.data, id, time.Now)
	if errors.Is(err, store.ErrNewerSchema) {
		err = fmt.Errorf("%w (run the rollback with the program that wrote it)", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	plan := o.plan(r)
	if o.dryRun && o.asJSON {
		return printJSON(out, plan)
	}
	if !o.asJSON {
		plan.show(out)
	}
	if o.dryRun {
		return nil
	}
	if err := o.confirm(ctx, p); err != nil {
		return err
	}
	if err := r.Do(ctx); err != nil {
		return fmt.Errorf("%w\nThe rollback has not come to its end: run it again", err)
	}
	if plan.Done = true; o.install {
		if plan.Program, err = host.InstallProgram(o.data, r.To.Program); err != nil {
			err = fmt.Errorf("the files are taken back, and the program is not: %w", err)
		}
	}
	if o.asJSON {
		return errors.Join(err, printJSON(out, plan))
	}
	if err == nil {
		plan.next(out)
	}
	return err
}

// confirm asks whether to go on.
func (o *rollbackOptions) confirm(ctx context.Context, p person) error {
	switch {
	case o.yes:
		return nil
	case p.in == nil:
		return misuse("nobody is there to be asked: say --yes, or --dry-run to look first")
	}
	yes, err := p.confirm(ctx, "Go back?")
	if err == nil && !yes {
		err = errNotConfirmed
	}
	return err
}

// rollbackPlan is what a rollback comes to.
type rollbackPlan struct {
	To      deploymentJSON `json:"to"`
	Stay    int            `json:"stay"` // files
	Files   []fileBack     `json:"files"`
	Lost    store.Lost     `json:"lost"` // in all
	Done    bool           `json:"done"`
	Program string         `json:"program,omitempty"` // the file to start
}

// fileBack is what is done with one file.
type fileBack struct {
	File   string      `json:"file"` // below the data directory
	From   int         `json:"from"`
	Schema int         `json:"schema"`
	Way    store.Way   `json:"way"` // undo, copy or carry
	Copy   string      `json:"copy,omitempty"`
	At     string      `json:"at,omitempty"` // what was written since is lost
	Loses  string      `json:"loses,omitempty"`
	Lost   *store.Lost `json:"lost,omitempty"`
}

func (o *rollbackOptions) plan(r *host.Rollback) rollbackPlan {
	p := rollbackPlan{To: deployment(o.data, r.To), Stay: r.Stay, Files: []fileBack{}}
	if p.Program = p.To.Kept; p.Program == "" && isThere(r.To.Path) {
		if sum, err := host.SumProgram(r.To.Path); err == nil && sum == r.To.SHA256 {
			p.Program = r.To.Path
		}
	}
	for _, b := range append(append([]store.Back{r.Server}, r.Others...), r.Hosts...) {
		if b.Way == store.BackNone {
			continue
		}
		name, err := filepath.Rel(o.data, b.Path)
		if err != nil {
			name = b.Path
		}
		f := fileBack{File: filepath.ToSlash(name), From: b.Version, Schema: b.To, Way: b.Way, Copy: b.Copy, At: rfc3339(b.At), Loses: b.Loses}
		if b.Way == store.BackCopy {
			f.Lost = &b.Lost
			p.Lost.Events += b.Lost.Events
			p.Lost.RSVPs += b.Lost.RSVPs
			p.Lost.Payments += b.Lost.Payments
			p.Lost.Amount += b.Lost.Amount
		}
		p.Files = append(p.Files, f)
	}
	return p
}

// mostShown is how many files are named, of what may be very many.
const mostShown = 20

func (p rollbackPlan) show(out io.Writer) {
	fmt.Fprintf(out, "Back to deployment %d: %s, of %s.\n", p.To.ID, p.To.Version, p.To.Since)
	fmt.Fprintf(out, "%d files stay as they are.\n", p.Stay)
	for i, f := range p.Files {
		if i == mostShown {
			fmt.Fprintf(out, "… and %d more files (--dry-run --json has them all)\n", len(p.Files)-i)
			break
		}
		fmt.Fprintf(out, "%s: schema %d → %d, %s.\n", f.File, f.From, f.Schema, f.how())
	}
	if l := p.Lost; l != (store.Lost{}) {
		fmt.Fprintf(out, "Lost in all: %s. The payments are found on the chain, owed, and go back.\n", lostText(l))
	}
	switch {
	case p.Program == "":
		fmt.Fprintf(out, "No copy of that program was kept: have its file at hand (SHA-256 %s).\n", p.To.SHA256)
	default:
		fmt.Fprintf(out, "The program is %s.\n", p.Program)
	}
}

// how says how a file is taken back, and what that loses.
func (f fileBack) how() string {
	switch {
	case f.Way == store.BackUndo && f.Loses == "":
		return "its migration is undone, nothing is lost"
	case f.Way == store.BackUndo:
		return "its migration is undone, which loses " + f.Loses
	case f.Way == store.BackCarry:
		return "made anew with all that the older program knows, nothing of that is lost"
	case f.Copy == "":
		return "made since: it begins empty but for its wallet, which loses " + lostText(*f.Lost)
	}
	return "becomes the copy of " + f.At + ", which loses " + lostText(*f.Lost)
}

func lostText(l store.Lost) string {
	if l == (store.Lost{}) {
		return "nothing"
	}
	return fmt.Sprintf("%d events and %d RSVPs that were made or changed since, and %d payments of $%s", l.Events, l.RSVPs, l.Payments, l.Amount.USD())
}

// next says what is left to do.
func (p rollbackPlan) next(out io.Writer) {
	fmt.Fprintln(out, "Done. The files of before are beside them (.replaced-TIME): remove them when nobody needs them any more.")
	switch p.Program {
	case "":
		fmt.Fprintf(out, "Now start %s.\n", p.To.Version)
	case p.To.Path: // it is where it was
		fmt.Fprintf(out, "Now start %s.\n", p.Program)
	default:
		fmt.Fprintf(out, "Now start %s, for example after: install -m 0755 %[1]s %s\n", p.Program, p.To.Path)
	}
}
