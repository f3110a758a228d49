package main

import (
	"time"

	"github.com/events-concierge/concierge/server/host"
)

// lookWithin is by when a server has looked at the chain after a restore: some
// minutes have to pass on it, and many Hosts may have been restored at once.
const lookWithin = time.Hour

// diagnoseRestore says how a restored Host stands, and what it can't find out.
func diagnoseRestore(r host.Restoring, now time.Time) (all []check) {
	if s := r.Since; !s.At.IsZero() {
		c := check{Status: checkOK, Check: "restore", User: r.User, State: "looking", Since: s.At.UTC().Format(time.RFC3339),
			age: now.Sub(s.At).Truncate(time.Second), Advice: "a running server looks at the chain; until then no refund is paid"}
		switch {
		case s.Looked:
			c.State, c.Advice = "watching", "refunds are paid; a payment of before could still come, and is looked for"
		case c.age > lookWithin:
			c.Status, c.Advice = checkFailed, "it is late: see that a server runs on this directory and reaches the chain (/readyz, and its log)"
		}
		all = append(all, c)
	}
	for _, s := range r.Strays {
		all = append(all, check{Status: checkWarning, Check: "stray", User: r.User, State: "sent", Amount: s.Amount.String(), usd: s.Amount.USD(),
			PayTo: s.Payee.String(), Transaction: s.Transaction.String(),
			Advice: "it was sent back before the restore, for one of several payments; it is taken for the first of them that is cancelled"})
	}
	return all
}
