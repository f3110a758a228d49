package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
)

// ledger is a data directory in which payments have been left at their states.
type ledger struct {
	*testing.T
	dir   string
	hosts *host.Hosts
	user  store.User
	host  *store.Host
	event string
	made  byte
	now   time.Time
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{T: t, dir: t.TempDir(), now: time.Now()}
	var err error
	if l.hosts, err = host.Open(t.Context(), host.Config{Dir: l.dir, Log: testlog.New()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.hosts.Close(t.Context()) })
	if l.user, _, err = l.hosts.Register(t.Context(), host.Registration{Email: "ada@example.org"}); err != nil {
		t.Fatal(err)
	}
	h, err := l.hosts.Host(t.Context(), l.user.ID)
	if err != nil {
		t.Fatal(err)
	}
	l.host = h.Store
	return l
}

// claim begins a payment that was claimed this long ago.
func (l *ledger) claim(ago time.Duration) payments.Payment {
	l.Helper()
	l.made++
	key := payments.ClaimKey{Network: x402.BaseSepolia, Payer: x402.Address{1, l.made}, Nonce: x402.Bytes32{l.made}}
	p := payments.Payment{ID: "pay_" + strings.Repeat(string('a'+rune(l.made)), 32), State: payments.Settling, Open: true, X402Version: 2,
		Network: key.Network, Payer: key.Payer, PayTo: l.user.WalletAddress, Amount: 2_500_000, Nonce: key.Nonce,
		ValidAfter: l.now.Add(-time.Hour), ValidBefore: l.now.Add(5*time.Minute - ago), Signature: x402.Signature{1}}
	_, won, err := l.hosts.Server.Claims().Claim(l.Context(), payments.Claim{ClaimKey: key, User: l.user.ID, PaymentID: p.ID, ClaimedAt: l.now.Add(-ago)})
	if err != nil || !won {
		l.Fatalf("claim: %v, %v", won, err)
	}
	return p
}

func (l *ledger) hold(ago time.Duration) payments.Payment {
	l.Helper()
	if l.event == "" {
		e, err := l.host.CreateEvent(l.Context(), store.Event{ID: "evt_1", Title: "Opera", StartsAt: l.now.Add(24 * time.Hour),
			EndsAt: l.now.Add(26 * time.Hour), Price: 2_500_000, TimeZone: "UTC"})
		if err != nil {
			l.Fatal(err)
		}
		l.event = e.ID
	}
	p := l.claim(ago)
	if err := l.host.Hold(l.Context(), p, payments.Booking{RSVPID: "rsvp_" + p.ID[4:], EventID: l.event, Seats: 1}); err != nil {
		l.Fatal(err)
	}
	return p
}

func (l *ledger) confirm(p payments.Payment, final bool) payments.Payment {
	l.Helper()
	p, err := l.host.Confirm(l.Context(), p.ID, payments.Settlement{Transaction: x402.Bytes32{0xab}, Block: 7, Final: final})
	if err != nil {
		l.Fatal(err)
	}
	return p
}

// refund cancels the RSVP of a settled payment.
func (l *ledger) refund(p payments.Payment, reason x402.Reason) {
	l.Helper()
	err := l.hosts.Cashier.Owe(l.Context(), l.user.ID, func(ctx context.Context, cleared int64) error {
		_, err := l.host.CancelRSVP(ctx, p.RSVPID, cleared)
		return err
	})
	if err == nil {
		_, err = l.host.Postpone(l.Context(), p.ID, reason, l.now)
	}
	if err != nil {
		l.Fatal(err)
	}
}

func TestDoctor(t *testing.T) {
	for name, c := range map[string]struct {
		make   func(*ledger)
		status string // of the only line
		says   []string
		code   int
	}{
		"nothing":                              {func(*ledger) {}, "", []string{"All payments and refunds have come to an end."}, 0},
		"an end":                               {func(l *ledger) { l.confirm(l.hold(0), true) }, "", []string{"come to an end"}, 0},
		"a claim":                              {func(l *ledger) { l.claim(0) }, "ok", []string{"claimed", "being checked"}, 0},
		"an old claim":                         {func(l *ledger) { l.claim(time.Hour) }, "failed", []string{"claimed", "it is late", "1h0m"}, 1},
		"settling":                             {func(l *ledger) { l.hold(0) }, "ok", []string{"settling", "2.50", "0x0101"}, 0},
		"settling, its window closed just now": {func(l *ledger) { l.hold(6 * time.Minute) }, "ok", []string{"settling"}, 0},
		"settling for long":                    {func(l *ledger) { l.hold(time.Hour) }, "failed", []string{"settling", "it is late", "/readyz"}, 1},
		"not final":                            {func(l *ledger) { l.confirm(l.hold(time.Hour), false) }, "ok", []string{"settled", "becomes final"}, 0},
		"failed, and watched": {func(l *ledger) {
			if _, err := l.host.Fail(l.Context(), l.hold(0).ID, x402.ReasonTransactionFailed, false); err != nil {
				l.Fatal(err)
			}
		}, "ok", []string{"failed", "watched"}, 0},
		"a refund":               {func(l *ledger) { l.refund(l.confirm(l.hold(0), true), "") }, "ok", []string{"refund", "owed", "2.50", "0x0101", "running server pays it"}, 0},
		"a refund without money": {func(l *ledger) { l.refund(l.confirm(l.hold(0), true), x402.ReasonInsufficientFunds) }, "warning", []string{"owed", "send USDC"}, 0},
		"a refund of another wallet": {func(l *ledger) { l.refund(l.confirm(l.hold(0), true), payments.ReasonNoWallet) }, "warning",
			[]string{"owed", "owner has to pay"}, 0},
		"a file that is damaged": {func(l *ledger) {
			l.hold(0)
			file := filepath.Join(l.dir, "hosts", l.user.ID[:2], l.user.ID+".db")
			if err := l.hosts.Close(l.Context()); err != nil {
				l.Fatal(err)
			}
			if err := os.WriteFile(file, []byte("this is no database at all"), 0o600); err != nil {
				l.Fatal(err)
			}
		}, "failed", []string{"can't be read", "database"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger(t)
			c.make(l)
			for _, format := range [][]string{{}, {"--json"}} {
				var out, errOut bytes.Buffer
				args := append([]string{"doctor", "--data", l.dir}, format...)
				if code := run(t.Context(), args, strings.NewReader(""), &out, &errOut); code != c.code {
					t.Errorf("%v: exit code %d, want %d: %s", args, code, c.code, &errOut)
				}
				said := out.String()
				if len(format) > 0 {
					var answer struct {
						OK     bool
						Checks []struct{ Status, Check, ID, Advice string }
					}
					if err := json.Unmarshal(out.Bytes(), &answer); err != nil || answer.OK != (c.code == 0) {
						t.Errorf("%v: %s", err, said)
					}
					if lines := len(answer.Checks); lines > 1 || lines == 1 != (c.status != "") || lines == 1 && answer.Checks[0].Status != c.status {
						t.Errorf("want %q: %s", c.status, said)
					}
					continue
				}
				for _, want := range c.says {
					if !strings.Contains(said, want) {
						t.Errorf("%q is not in:\n%s", want, said)
					}
				}
			}
		})
	}
}
