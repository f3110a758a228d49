package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/guest"
)

func newGuestSpending(g *guestFlags) *cobra.Command {
	var create bool
	cmd := &cobra.Command{
		Use:   "spending",
		Short: "Show the spending policy, what was spent under it, and what waits for your yes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := g.file(policyFile)
			if err != nil {
				return err
			}
			if create {
				if err := writePolicy(path); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "Wrote %s. Only you should edit it.\n", path)
			}
			desk, done, err := g.desk(cmd, g.look)
			if err != nil {
				return err
			}
			defer done()
			s, err := desk.Spending(cmd.Context())
			if err != nil {
				return err
			}
			if g.asJSON {
				return printJSON(cmd.OutOrStdout(), spendingJSON{path, s})
			}
			return showSpending(cmd.OutOrStdout(), path, s)
		},
	}
	cmd.Flags().BoolVar(&create, "init", false, "write the policy file first, with what holds without one, to be edited")
	return cmd
}

type spendingJSON struct {
	PolicyFile string `json:"policy_file"` // where it is, or would be
	guest.Spending
}

// writePolicy writes the policy file for a person to edit. One that is there is
// never touched.
func writePolicy(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("there is a policy at %s already, and none is ever overwritten: edit it, and leave out --init", path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(guest.DefaultPolicy)
	return errors.Join(err, f.Close())
}

func showSpending(out io.Writer, path string, s guest.Spending) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		path += " (not there: the defaults hold; --init writes them)"
	}
	return table(out, func(w io.Writer) {
		fmt.Fprintf(w, "policy\t%s\nnetwork\t%s\n", path, s.Network)
		fmt.Fprintf(w, "per payment\t$%s\nper host\t$%s in 24 hours\n", s.PerPayment, s.PerHost)
		fmt.Fprintf(w, "per day\t$%s: spent $%s, left $%s\nyou are asked\tabove $%s\n", s.PerDay, s.Spent, s.Left, s.AskAbove)
		if len(s.Payments) > 0 {
			fmt.Fprintln(w, "\nAT\tAMOUNT\tSTATE\tPAYEE\tEVENT\tHOST\tTRANSACTION")
		}
		for _, p := range s.Payments {
			fmt.Fprintf(w, "%s\t$%s\t%s\t%s\t%s\t%s\t%s\n", p.At, p.USD, p.State, p.PayTo, cell(p.About), p.Host, cell(p.Transaction))
		}
		if len(s.Waiting) > 0 {
			fmt.Fprintln(w, "\nWaiting for you, see 'concierge guest approve':")
			writeQuestions(w, s.Waiting)
		}
	})
}
