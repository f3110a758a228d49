package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
)

// doctorWithin is how long all checks that ask others may take together.
const doctorWithin = 8 * time.Second

func newDoctor() *cobra.Command {
	var d doctor
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at all that a server needs, and what has not come to an end",
		Long: "Looks at the configuration of 'serve', whose flags it takes, the data directory, the disk, the clock, the\n" +
			"chain, the facilitators, the money for gas and refunds, the backup, the versions of all files, and the payments\n" +
			"and refunds that have not come to an end, also beside a running server, and says what to do about them. It\n" +
			"changes nothing. A warning is for when there is time; if something has failed, so does this command.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data := d.serve.hosts.data
			if _, err := os.Stat(filepath.Join(data, "server.db")); err != nil {
				return fmt.Errorf("%s is no data directory of a server (--data): %w", data, err)
			}
			d.adopt(cmd)
			r := d.examine(cmd.Context())
			if asJSON {
				return errors.Join(r.printJSON(cmd.OutOrStdout()), r.failure())
			}
			return errors.Join(r.print(cmd.OutOrStdout()), r.failure())
		},
	}
	cmd.Flags().AddFlagSet(d.serve.command().Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// report is all that doctor found.
type report struct {
	findings []finding
	versions host.Versions
	checks   []check
}

func (r report) failure() error {
	failed, late := 0, 0
	for _, f := range r.findings {
		if f.Status == checkFailed {
			failed++
		}
	}
	for _, c := range r.checks {
		if c.Status == checkFailed {
			late++
		}
	}
	var errs []error
	if failed > 0 {
		errs = append(errs, fmt.Errorf("%d of %d checks failed", failed, len(r.findings)))
	}
	if late > 0 {
		errs = append(errs, fmt.Errorf("%d of %d are late or can't be read", late, len(r.checks)))
	}
	if n := len(r.versions.Failed); n > 0 {
		errs = append(errs, fmt.Errorf("%d files can't be used", n))
	}
	return errors.Join(errs...)
}

func (r report) printJSON(out io.Writer) error {
	return printJSON(out, map[string]any{"ok": r.failure() == nil, "findings": r.findings, "schemas": schemas(r.versions), "checks": r.checks})
}

func (r report) print(out io.Writer) error {
	for _, f := range r.findings {
		fmt.Fprintf(out, "%-8s %-14s %s\n", f.Status, f.Check, f.Says)
		if f.Advice != "" {
			fmt.Fprintf(out, "%-23s → %s\n", "", f.Advice)
		}
	}
	fmt.Fprintln(out)
	showVersions(out, r.versions)
	return showChecks(out, r.checks)
}

// books reads the versions of all files and what has not come to an end.
func (r *report) books(ctx context.Context, data string, each func(*host.Hosts, []host.Unfinished)) error {
	var err error
	// Before any is opened: see [host.ReadVersions].
	if r.versions, err = host.ReadVersions(ctx, data); err != nil {
		return err
	}
	return withHosts(ctx, data, func(h *host.Hosts) error {
		open, err := h.Unfinished(ctx)
		if err != nil {
			return err
		}
		for _, u := range open {
			r.checks = append(r.checks, diagnose(u, h.Now()))
		}
		restoring, err := h.Restoring(ctx)
		if err != nil {
			return err
		}
		for _, s := range restoring {
			r.checks = append(r.checks, diagnoseRestore(s, h.Now())...)
		}
		each(h, open)
		return nil
	})
}

// The outcomes of a check.
const (
	checkOK      = "ok"
	checkWarning = "warning"
	checkFailed  = "failed"
)

// check is one line of what doctor finds.
type check struct {
	Status      string `json:"status"`
	Check       string `json:"check"` // payment, refund, restore or stray
	User        string `json:"user"`
	ID          string `json:"id,omitempty"` // of the payment, also for its refund
	State       string `json:"state,omitempty"`
	Amount      string `json:"amount,omitempty"` // atomic units
	Payer       string `json:"payer,omitempty"`
	PayTo       string `json:"pay_to,omitempty"`
	Transaction string `json:"transaction,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Since       string `json:"since,omitempty"` // RFC 3339
	Due         string `json:"due,omitempty"`   // RFC 3339
	Advice      string `json:"advice"`

	age time.Duration
	usd string
}

// guest is who paid.
func (c check) guest() string {
	if c.Check == "payment" {
		return c.Payer
	}
	return c.PayTo
}

// diagnose says how a payment stands at a time, and what to do.
func diagnose(u host.Unfinished, now time.Time) check {
	p := u.Payment
	c := check{Check: "payment", User: u.User, ID: p.ID, State: string(p.State), Reason: string(p.Reason)}
	if u.Refund {
		c.Check = "refund"
	}
	if !p.CreatedAt.IsZero() {
		c.Since, c.age = p.CreatedAt.UTC().Format(time.RFC3339), now.Sub(p.CreatedAt).Truncate(time.Second)
	}
	if !p.Payer.IsZero() {
		c.Payer = p.Payer.String()
	}
	if p.Amount > 0 {
		c.Amount, c.usd, c.PayTo = p.Amount.String(), p.Amount.USD(), p.PayTo.String()
	}
	if p.Transaction != (x402.Bytes32{}) {
		c.Transaction = p.Transaction.String()
	}
	if !u.Due.IsZero() {
		c.Due = u.Due.UTC().Format(time.RFC3339)
	}
	if p.State == "" {
		c.State = "claimed"
	}
	c.Status, c.Advice = verdict(u, now)
	return c
}

func verdict(u host.Unfinished, now time.Time) (status, advice string) {
	p := u.Payment
	switch {
	case u.Err != nil:
		return checkFailed, "it can't be read: " + u.Err.Error()
	case u.Refund && p.Reason == payments.ReasonNoWallet:
		return checkWarning, "its owner has to pay it: this server does not hold the wallet"
	case u.Refund && p.Reason == x402.ReasonInsufficientFunds:
		return checkWarning, "send USDC to the Host's wallet; a running server then pays it"
	case u.Due.IsZero():
		return checkOK, "a running server pays it"
	case now.After(u.Due):
		return checkFailed, "it is late: see that a server runs on this directory and reaches the chain (/readyz, and its log for " + p.ID + ")"
	case p.State == "":
		return checkOK, "it is being checked"
	case p.State == payments.Settled, p.State == payments.Owed:
		return checkOK, "it is on the chain, and becomes final"
	case p.State == payments.Failed:
		return checkOK, "the chain is watched until its authorization has expired"
	}
	return checkOK, "the chain is being asked; it settles, or expires"
}

func showChecks(out io.Writer, checks []check) error {
	if len(checks) == 0 {
		_, err := fmt.Fprintln(out, "All payments and refunds have come to an end.")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STATUS\tWHAT\tUSER\tPAYMENT\tSTATE\tUSD\tGUEST\tAGE\tDUE\tADVICE")
	for _, c := range checks {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Status, c.Check, c.User, or(c.ID), or(c.State), or(c.usd),
			or(c.guest()), c.age, or(c.Due), c.Advice)
	}
	return w.Flush()
}

// or is what a table shows for nothing.
func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
