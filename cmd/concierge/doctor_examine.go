package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
)

// finding is one line of what doctor finds of the server's surroundings.
type finding struct {
	Status string `json:"status"`
	Check  string `json:"check"` // such as disk
	Says   string `json:"says"`
	Advice string `json:"advice,omitempty"` // the fix, if it is not ok
}

func fine(check, says string) finding { return finding{Status: checkOK, Check: check, Says: says} }

func warning(check, says, advice string) finding {
	return finding{checkWarning, check, says, advice}
}

func failed(check, says, advice string) finding { return finding{checkFailed, check, says, advice} }

// doctor looks at what 'serve' would run with.
type doctor struct {
	serve    serveOptions
	flags    *pflag.FlagSet // that serve was filled from
	settings *configured    // and from where
	gasKey   func() (evm.Key, error)

	// For tests; nil: the real ones.
	room func(dir string) (free, total uint64, err error)
	now  func() time.Time
}

// adopt takes what a command was told, and the network of the data directory if none
// was chosen: its books are of no other.
func (d *doctor) adopt(cmd *cobra.Command) {
	d.flags, d.settings = cmd.Flags(), configuredOf(cmd)
	_, given := os.LookupEnv("CONCIERGE_NETWORK")
	if given || cmd.Flags().Changed("network") || d.serve.network.name != onDevnet {
		return
	}
	if name, err := os.ReadFile(filepath.Join(d.serve.hosts.data, "network")); err == nil && len(name) < 100 {
		d.serve.network.name = strings.TrimSpace(string(name))
	}
}

// debt is what a Host's wallet has to pay back.
type debt struct {
	user   string
	wallet x402.Address
	owed   x402.Amount
}

// maxDebts bounds the wallets whose balance is asked for.
const maxDebts = 20

// debts returns which wallets of this server owe refunds.
func debts(ctx context.Context, h *host.Hosts, open []host.Unfinished) (all []debt) {
	at := map[string]int{}
	for _, u := range open {
		p := u.Payment
		if !u.Refund || u.Err != nil || p.State != payments.Owed || p.Reason == payments.ReasonNoWallet {
			continue
		}
		i, known := at[u.User]
		if !known {
			user, err := h.Server.User(ctx, u.User)
			if err != nil || len(all) == maxDebts {
				continue
			}
			i, at[u.User] = len(all), len(all)
			all = append(all, debt{user: u.User, wallet: user.WalletAddress})
		}
		all[i].owed += p.Amount
	}
	return all
}

// examine makes all checks. Those that ask others are made at once and end in time.
func (d *doctor) examine(ctx context.Context) (r report) {
	if d.room == nil {
		d.room = store.DiskSpace
	}
	if d.now == nil {
		d.now = time.Now
	}
	d.gasKey = sync.OnceValues(d.serve.network.ownGas) // to open a keystore takes a while
	r.findings, r.checks = []finding{}, []check{}
	secrets := d.openSecrets()
	r.findings = append(r.findings, d.configuration()...)
	r.findings = append(r.findings, d.mainnet()...)
	r.findings = append(r.findings, secrets...)
	r.findings = append(r.findings, d.certificates()...)
	r.findings = append(r.findings, d.directory()...)
	r.findings = append(r.findings, d.disk())
	var owing []debt
	err := r.books(ctx, d.serve.hosts.data, func(h *host.Hosts, open []host.Unfinished) { owing = debts(ctx, h, open) })
	if err != nil {
		r.findings = append(r.findings, failed("data", "it can't be opened: "+err.Error(), "mend it, or restore it from a backup ('concierge restore')"))
	}
	ctx, cancel := context.WithTimeout(ctx, doctorWithin)
	defer cancel()
	asked := []func(context.Context) []finding{
		d.running,
		func(ctx context.Context) []finding { return d.chain(ctx, owing) },
		d.facilitators,
		d.backup,
	}
	answers := make([]chan []finding, len(asked))
	for i, ask := range asked {
		answers[i] = make(chan []finding, 1)
		go func() { answers[i] <- ask(ctx) }() // each ends with ctx, and is waited for
	}
	for _, a := range answers {
		r.findings = append(r.findings, <-a...)
	}
	return r
}

// openSecrets reads what is stored, as serve does.
func (d *doctor) openSecrets() []finding {
	if err := d.serve.openSecrets(slog.New(slog.DiscardHandler)); err != nil {
		return []finding{failed("secrets", err.Error(), "see docs/how-to/secrets.md; without them what needs one fails, too")}
	}
	return nil
}
