package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/host"
)

func newUserInvite(data *string) *cobra.Command {
	var valid time.Duration
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Make the code of an invitation and print it; it registers one user",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if valid <= 0 {
				return misuse("--expires %s: want a time such as 168h", valid)
			}
			return withHosts(cmd.Context(), *data, func(h *host.Hosts) error {
				code, err := h.Invite(cmd.Context(), valid)
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), code)
				return nil
			})
		},
	}
	cmd.Flags().DurationVar(&valid, "expires", 7*24*time.Hour, "for how long it is good")
	return cmd
}
