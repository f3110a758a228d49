package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/guest"
)

func newGuestEvents(g *guestFlags) *cobra.Command {
	var query guest.Query
	cmd := &cobra.Command{
		Use:   "events --host URL [--host URL …]",
		Short: "Find events of one Host or of several, the earliest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkQuery(query); err != nil {
				return err
			}
			if err := g.needHosts(); err != nil {
				return err
			}
			desk, done, err := g.desk(cmd, g.none)
			if err != nil {
				return err
			}
			defer done()
			found, err := desk.FindEvents(cmd.Context(), query)
			if err != nil {
				return err
			}
			return g.showEvents(cmd, found, len(desk.Hosts()))
		},
	}
	g.addHosts(cmd)
	cmd.Flags().StringVar(&query.Query, "query", "", "words to find in title, description or location")
	cmd.Flags().StringVar(&query.From, "from", "", "no events before, such as 2030-01-31T18:00:00Z")
	cmd.Flags().StringVar(&query.To, "to", "", "no events after")
	cmd.Flags().IntVar(&query.Limit, "limit", 20, "how many events to show, at most 100")
	return cmd
}

func checkQuery(q guest.Query) error {
	for name, at := range map[string]string{"from": q.From, "to": q.To} {
		if _, err := time.Parse(time.RFC3339, at); at != "" && err != nil {
			return misuse("--%s %.40q: want a time such as 2030-01-31T18:00:00Z", name, at)
		}
	}
	if q.Limit < 1 || q.Limit > 100 {
		return misuse("--limit %d: want 1 to 100", q.Limit)
	}
	return nil
}

// showEvents fails if no Host answered.
func (g *guestFlags) showEvents(cmd *cobra.Command, found guest.Found, hosts int) error {
	if len(found.Unreachable) == hosts {
		return fmt.Errorf("%w: %s", guest.ErrUnreachable, found.Unreachable[0].Error)
	}
	for _, u := range found.Unreachable {
		fmt.Fprintf(cmd.ErrOrStderr(), "No answer from %s: %s\n", u.Host, u.Error)
	}
	if found.More {
		fmt.Fprintln(cmd.ErrOrStderr(), "There are more events; narrow the list with --query, --from and --to, or raise --limit.")
	}
	if g.asJSON {
		return printJSON(cmd.OutOrStdout(), found)
	}
	return table(cmd.OutOrStdout(), func(w io.Writer) {
		host := ""
		if hosts > 1 {
			host = "\tHOST"
		}
		fmt.Fprintf(w, "EVENT\tSTARTS\tPRICE\tSTATUS\tTITLE%s\n", host)
		for _, e := range found.Events {
			if hosts > 1 {
				host = "\t" + e.Host
			}
			fmt.Fprintf(w, "%s\t%s\t$%s\t%s\t%s%s\n", plain(e.ID), cell(e.StartsAt), cell(e.Price), cell(e.Status), cell(e.Title), host)
		}
	})
}

// table aligns columns that are separated by tabs.
func table(out io.Writer, rows func(io.Writer)) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	rows(w)
	return w.Flush()
}
