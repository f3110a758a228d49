package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
)

// envExportPassphrase locks the wallet in an export; it is never a flag.
const envExportPassphrase = "CONCIERGE_EXPORT_PASSPHRASE"

type removeOptions struct {
	data    *string
	export  string
	yes     bool
	backup  backupFlags
	network networkFlags
	key     secretFlags
}

func newUserRemove(data *string) *cobra.Command {
	o := removeOptions{data: data, backup: backupFlags{keep: keepByDefault}}
	cmd := &cobra.Command{
		Use:   "remove EMAIL|USER",
		Short: "Export everything of a user, then delete it",
		Long: "Writes everything of a user into a ZIP file: events, RSVPs, payments, refunds, and the key of the wallet if\n" +
			"this server holds it. Then it deletes all of that, also beside running servers. Of the payments only hashes\n" +
			"stay, so that none can be used again. With --backup the archive forgets the user too. It refuses while a payment or refund has not come to its end. If it is\n" +
			"broken off, run it again.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHosts(cmd.Context(), *data, func(h *host.Hosts) error { return o.remove(cmd, h, args[0]) })
		},
	}
	cmd.Flags().StringVar(&o.export, "export", "", "the ZIP file to write (default: USER.zip here); the passphrase of the wallet in it is in "+envExportPassphrase+" or asked for")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&o.backup.url, "backup", "", "the archive that has the user too: a "+placeHelp)
	o.key.add(cmd)
	o.network.addChain(cmd)
	return cmd
}

func (o *removeOptions) remove(cmd *cobra.Command, h *host.Hosts, who string) error {
	ctx, notice := cmd.Context(), cmd.ErrOrStderr()
	user, err := userID(h, who)
	if err != nil {
		return err
	}
	d, err := h.Departure(ctx, user)
	if err != nil {
		return err
	}
	if d.Exported {
		fmt.Fprintln(notice, "Going on with a removal that was broken off; its export is written already.")
		return errors.Join(h.Remove(ctx, user, host.Export{}), o.forget(ctx, user))
	}
	if len(d.Open) > 0 {
		return explainOpen(notice, &host.UnfinishedError{Open: d.Open}, h.Now())
	}
	export := host.Export{Path: o.export}
	if export.Path == "" {
		export.Path = user + ".zip"
	}
	if !d.Wallet.IsZero() {
		fmt.Fprintf(notice, "The user's wallet %s %s. Its key will be in the export and nowhere else.\n", d.Wallet, o.worth(ctx, d.Wallet))
		if export.Passphrase, err = exportPassphrase(ctx, notice); err != nil {
			return err
		}
	}
	if !d.Crossmint.IsZero() {
		fmt.Fprintf(notice, "The user's wallet %s %s. It is at Crossmint, as userId:%s, and stays there.\n", d.Crossmint, o.worth(ctx, d.Crossmint), user)
	}
	if !o.yes && !confirmed(cmd.InOrStdin(), notice, user) {
		return errors.New("nothing is removed")
	}
	if err := h.Remove(ctx, user, export); err != nil {
		return explainOpen(notice, err, h.Now())
	}
	fmt.Fprintf(cmd.OutOrStdout(), "removed  %s\nexport   %s\n", user, export.Path)
	return o.forget(ctx, user)
}

// forget has the archive forget a user who is gone.
func (o *removeOptions) forget(ctx context.Context, user string) (err error) {
	if o.backup.url == "" {
		return nil
	}
	if o.backup.secrets, err = o.key.open(*o.data, slog.New(slog.DiscardHandler), bucketSecrets()...); err != nil {
		return err
	}
	a, err := o.backup.open(ctx, *o.data, "", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return host.RemoveFromArchive(ctx, a, user)
}

// worth says what is in a wallet, if there is a chain to ask.
func (o *removeOptions) worth(ctx context.Context, wallet x402.Address) string {
	const unknown = "may have USDC in it (--rpc and --network find out)"
	if o.network.rpc == "" {
		return unknown
	}
	network, err := o.network.network()
	if err != nil {
		return unknown
	}
	asset, _, _ := x402.USDC(network)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client, err := evm.Dial(ctx, o.network.rpc, o.network.options(time.Second))
	if err != nil {
		return unknown + ": the node can't be reached"
	}
	defer client.Close()
	balance, err := client.Balance(ctx, asset, wallet)
	if err != nil {
		return unknown + ": the node does not say"
	}
	amount, err := balance.Amount()
	if err != nil {
		return "has more USDC than there is"
	}
	return "has " + amount.USD() + " USDC in it"
}

// explainOpen adds to an error, if it is of that kind, what has not come to its
// end.
func explainOpen(notice io.Writer, err error, now time.Time) error {
	var unfinished *host.UnfinishedError
	if !errors.As(err, &unfinished) {
		return err
	}
	var checks []check
	for _, u := range unfinished.Open {
		checks = append(checks, diagnose(u, now))
	}
	return errors.Join(err, showChecks(notice, checks))
}

func confirmed(in io.Reader, notice io.Writer, user string) bool {
	fmt.Fprintf(notice, "Everything of user %s is deleted for good. Go on? Type yes: ", user)
	line, _ := bufio.NewReader(io.LimitReader(in, 100)).ReadString('\n')
	return strings.TrimSpace(line) == "yes"
}

// exportPassphrase returns the passphrase for the wallet in an export.
func exportPassphrase(ctx context.Context, notice io.Writer) (string, error) {
	if passphrase, _ := secretExportPassphrase.given(); !passphrase.IsZero() {
		return passphrase.Reveal(), nil
	}
	if !atTerminal() {
		return "", misuse("a passphrase for the wallet in the export is missing: set %s, or run in a terminal to be asked", envExportPassphrase)
	}
	return askTwice(ctx, ask, notice, "A passphrase for the wallet in the export: ")
}
