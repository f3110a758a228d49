package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
)

func newUserToken(data *string) *cobra.Command {
	var name, scope, revoke string
	var show bool
	cmd := &cobra.Command{
		Use:   "token EMAIL",
		Short: "Make a new owner token, or another one, and print it; the old one of its name stops working",
		Long: "Makes a new owner token and prints it, once; the old one stops working. With --name and --scope it makes\n" +
			"one more, for the door or a bookkeeper, or replaces the one of that name. --list shows what there is.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if show && revoke != "" {
				return misuse("--list and --revoke are two things: do one at a time")
			}
			return withHosts(cmd.Context(), *data, func(h *host.Hosts) error {
				id, err := userID(h, args[0])
				if err != nil {
					return err
				}
				switch {
				case show:
					tokens, err := h.Server.Tokens(cmd.Context(), id)
					if err != nil {
						return err
					}
					return showTokens(cmd.OutOrStdout(), tokens)
				case revoke != "":
					return h.Server.RevokeToken(cmd.Context(), id, revoke)
				}
				token, err := h.SetToken(cmd.Context(), id, name, store.Scope(scope))
				if errors.Is(err, host.ErrTokenName) || errors.Is(err, host.ErrScope) {
					return misuse("%v", err)
				}
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), token)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", host.OwnerToken, "name of the token")
	cmd.Flags().StringVar(&scope, "scope", string(store.ScopeOwner), "what it may do: owner, check-in or read")
	cmd.Flags().BoolVar(&show, "list", false, "list the tokens instead")
	cmd.Flags().StringVar(&revoke, "revoke", "", "take the token of this name away instead")
	return cmd
}

func showTokens(out io.Writer, tokens []store.Token) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSCOPE\tCREATED\tLAST USED")
	for _, t := range tokens {
		used := ""
		if !t.UsedAt.IsZero() {
			used = t.UsedAt.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Name, t.Scope, t.CreatedAt.Format(time.RFC3339), or(used))
	}
	return w.Flush()
}
