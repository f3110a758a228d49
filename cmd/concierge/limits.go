package main

import (
	"fmt"
	"math"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
)

// addLimits adds the flags for how often the server may be called.
func addLimits(cmd *cobra.Command, l *server.Limits) {
	d := server.DefaultLimits()
	cmd.Flags().Float64Var(&l.IP, "rate-ip", d.IP, "requests a second from one address (an IPv4 address or an IPv6 /64, not this machine), or all at once; 0: any number")
	cmd.Flags().Float64Var(&l.User, "rate-user", d.User, "requests a second to one Host from all its guests, and as many from its owner, or all at once; 0: any number")
	cmd.Flags().Float64Var(&l.Tool, "rate-tool", d.Tool, "bookings and cancellations a second from one address at one Host, or all at once; 0: any number")
	cmd.Flags().IntVar(&l.Connections, "max-connections", d.Connections, "connections at a time; 0: any number")
	cmd.Flags().IntVar(&l.ConnectionsPerIP, "max-connections-ip", d.ConnectionsPerIP, "connections at a time from one address, not this machine; 0: any number")
}

// addQuotas adds the flags for what each Host may use.
func addQuotas(cmd *cobra.Command, q *host.Quotas) {
	d := host.DefaultQuotas()
	cmd.Flags().Int64Var(&q.Requests, "quota-requests", d.Requests, "requests to one Host a day (UTC); 0: any number")
	cmd.Flags().Int64Var(&q.Events, "quota-events", d.Events, "events created at one Host a day (UTC); 0: any number")
	cmd.Flags().Int64Var(&q.Bytes, "quota-bytes", d.Bytes, "bytes that one Host may store; 0: any number")
}

// validLimits refuses what would be no limit by mistake.
func validLimits(l server.Limits, q host.Quotas) error {
	for name, n := range map[string]float64{"rate-ip": l.IP, "rate-user": l.User, "rate-tool": l.Tool,
		"max-connections": float64(l.Connections), "max-connections-ip": float64(l.ConnectionsPerIP),
		"quota-requests": float64(q.Requests), "quota-events": float64(q.Events), "quota-bytes": float64(q.Bytes)} {
		if !(n >= 0 && n <= math.MaxInt64/2) {
			return misuse("--%s %v: want a number above 0, or 0 for no limit", name, n)
		}
	}
	return nil
}

func newUserUsage(data *string) *cobra.Command {
	var quotas host.Quotas
	cmd := &cobra.Command{
		Use:   "usage EMAIL",
		Short: "Show what a user's Host has used of its quotas",
		Long: "Shows what a user's Host has used of its quotas, and what is left if the server runs with the\n" +
			"same quotas as this command. A running server writes what it counts every 10 seconds.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withConfig(cmd.Context(), host.Config{Dir: *data, Quotas: quotas}, func(h *host.Hosts) error {
				id, err := h.UserID(args[0])
				if err != nil {
					return misuse("%v", err)
				}
				if _, err := h.Server.User(cmd.Context(), id); err != nil {
					return err
				}
				u, err := h.Usage(cmd.Context(), id)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "QUOTA\tUSED\tLIMIT\tRESETS")
				resets := u.ResetsAt.Format(time.RFC3339)
				fmt.Fprintf(w, "requests\t%d\t%s\t%s\n", u.Requests, atMost(u.Limits.Requests), resets)
				fmt.Fprintf(w, "events\t%d\t%s\t%s\n", u.Events, atMost(u.Limits.Events), resets)
				fmt.Fprintf(w, "stored bytes\t%d\t%s\tnever\n", u.Bytes, atMost(u.Limits.Bytes))
				return w.Flush()
			})
		},
	}
	addQuotas(cmd, &quotas)
	return cmd
}

func atMost(limit int64) string {
	if limit == 0 {
		return "none"
	}
	return fmt.Sprint(limit)
}
