package main

import (
	"fmt"

	"github.com/events-concierge/concierge/payments/x402"
)

// differences holds the books against the chain, against themselves, and
// against what guests were told, and says what does not agree. It names ids,
// addresses and hashes only.
func (b *books) differences() []string {
	c := &comparison{books: b, received: map[authorization]transfer{}, returned: map[authorization]transfer{},
		booked: map[authorization]booked{}, all: map[authorization][]booked{}}
	c.chain()
	for i := range b.Hosts {
		c.host(&b.Hosts[i])
	}
	c.transfers()
	c.claims()
	for _, s := range b.Sent {
		c.guest(s)
	}
	return c.found
}

// comparison is differences at work.
type comparison struct {
	*books
	found    []string
	received map[authorization]transfer // to Hosts, by authorization
	returned map[authorization]transfer // from Hosts
	booked   map[authorization]booked   // payments whose money came, as the books say
	all      map[authorization][]booked // all payments of an authorization
}

// booked is a payment with its RSVP and refund, if there are any, and its Host.
type booked struct {
	paymentRow
	rsvp   rsvpRow
	refund refundRow
	event  eventRow
	user   string
}

func (c *comparison) differ(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// chain checks what was read of the chain against the chain itself, and that
// the token has let no authorization be used twice.
func (c *comparison) chain() {
	balances := map[x402.Address]x402.Amount{}
	for _, t := range c.Chain.transfers {
		balances[t.From] -= t.Amount
		balances[t.To] += t.Amount
	}
	for account, balance := range c.Balances {
		if balances[account] != balance {
			c.differ("chain: %s has %d, its transfers make %d", account, balance, balances[account])
		}
	}
	ended := map[authorization]bool{}
	for _, a := range append(c.Chain.used[:len(c.Chain.used):len(c.Chain.used)], c.Chain.cancelled...) {
		if ended[a] {
			c.differ("chain: the authorization %s was used or cancelled twice", a)
		}
		ended[a] = true
	}
	hosts := map[x402.Address]bool{}
	for _, h := range c.Hosts {
		hosts[h.Wallet] = true
	}
	for _, t := range c.Chain.transfers {
		if hosts[t.To] {
			c.received[authorization{t.From, t.Nonce}] = t
		}
		if hosts[t.From] {
			c.returned[authorization{t.From, t.Nonce}] = t
		}
	}
}

// host checks one Host's books against themselves.
func (c *comparison) host(h *hostBooks) {
	rsvps, events, refunds, paid := map[string]rsvpRow{}, map[string]eventRow{}, map[string]refundRow{}, map[string]bool{}
	for _, r := range h.RSVPs {
		rsvps[r.ID] = r
	}
	for _, e := range h.Events {
		events[e.ID] = e
	}
	for _, f := range h.Refunds {
		refunds[f.Payment] = f
	}
	var sums revenue
	for _, p := range h.Payments {
		r, ok := rsvps[p.RSVP]
		if !ok {
			c.differ("host %s: payment %s is for the RSVP %s, which is not there", h.User, p.ID, p.RSVP)
		}
		paid[p.RSVP] = true
		if r.Payer != p.Payer || r.Amount != p.Amount {
			c.differ("host %s: payment %s is of %d from %s, its RSVP %s of %d from %s", h.User, p.ID, p.Amount, p.Payer, r.ID, r.Amount, r.Payer)
		}
		if p.PayTo != h.Wallet {
			c.differ("host %s: payment %s is to %s, its wallet is %s", h.User, p.ID, p.PayTo, h.Wallet)
		}
		if p.Open {
			c.differ("host %s: payment %s is %s and still open", h.User, p.ID, p.State)
		}
		f, refunded := refunds[p.ID]
		delete(refunds, p.ID)
		if !rightStatus(p.State, f.State, r.Status) {
			c.differ("host %s: payment %s is %s, its refund %q, its RSVP %s is %s", h.User, p.ID, p.State, f.State, r.ID, r.Status)
		}
		switch {
		case !p.received():
		case !refunded:
			sums.Settled += p.Amount
		case f.State == "settled":
			sums.Refunded += p.Amount
		default:
			sums.Owed += p.Amount
		}
		one := booked{p, r, f, events[r.Event], h.User}
		if refunded {
			c.refund(h, one)
		}
		a := p.authorization()
		c.all[a] = append(c.all[a], one)
		if !p.received() {
			continue
		}
		if other, twice := c.booked[a]; twice {
			c.differ("the authorization %s is in the payments %s and %s", a, other.ID, p.ID)
		}
		c.booked[a] = one
	}
	for id := range refunds {
		c.differ("host %s: there is a refund of payment %s, which is not there", h.User, id)
	}
	if has := c.Balances[h.Wallet]; has != sums.Settled+sums.Owed {
		c.differ("host %s: its wallet has %d, its books make %d", h.User, has, sums.Settled+sums.Owed)
	}
	if sums != h.Revenue {
		c.differ("host %s: its payments make %+v, its owner is told %+v", h.User, sums, h.Revenue)
	}
	c.seats(h, paid)
}

// rightStatus tells whether an RSVP may have this status with a payment and a
// refund ("" is none) in these states.
func rightStatus(payment, refund, status string) bool {
	switch {
	case payment == "settled" && refund == "":
		return status == "confirmed"
	case payment == "failed" && refund == "":
		return status == "failed"
	case payment == "settled" && refund == "owed":
		return status == "cancelled"
	case payment == "owed" && refund == "owed":
		return status == "cancelled" || status == "failed"
	}
	return (payment == "settled" || payment == "owed") && refund == "settled" && status == "refunded"
}

// refund checks one refund: it has been paid, once, to who had paid; unless its
// Host's owner has to do that.
func (c *comparison) refund(h *hostBooks, p booked) {
	f := p.refund
	if f.State != "settled" {
		if !h.Apart || f.State != "owed" || f.Reason != "wallet_not_held" {
			c.differ("host %s: the refund of payment %s is still %s: %s", h.User, p.ID, f.State, f.Reason)
		}
		if !h.Debtor {
			c.differ("host %s: the refund of payment %s is open, and the server does not look for it there", h.User, p.ID)
		}
		return
	}
	a := authorization{f.Payer, f.Nonce}
	t, ok := c.returned[a]
	if !ok || f.Payer != h.Wallet || t.To != p.Payer || t.Amount != p.Amount || t.Tx != f.Tx {
		c.differ("host %s: the refund of payment %s is settled by %s in %s; the chain has %d to %s in %s", h.User, p.ID, a, f.Tx, t.Amount, t.To, t.Tx)
	}
	delete(c.returned, a) // it refunds no other
}

// seats checks that no seat was sold twice.
func (c *comparison) seats(h *hostBooks, paid map[string]bool) {
	taken := map[string]int{}
	type place struct {
		event string
		payer x402.Address
	}
	guests := map[place]string{}
	for _, r := range h.RSVPs {
		if !paid[r.ID] {
			c.differ("host %s: RSVP %s has no payment", h.User, r.ID)
		}
		if r.Status == "pending" {
			c.differ("host %s: RSVP %s is still pending", h.User, r.ID)
		}
		if r.Status != "confirmed" && r.Status != "pending" {
			continue
		}
		taken[r.Event] += r.Seats
		if other, twice := guests[place{r.Event, r.Payer}]; twice {
			c.differ("host %s: %s has two RSVPs for event %s: %s and %s", h.User, r.Payer, r.Event, other, r.ID)
		}
		guests[place{r.Event, r.Payer}] = r.ID
	}
	for _, e := range h.Events {
		if taken[e.ID] > e.Capacity {
			c.differ("host %s: event %s has %d seats, %d are taken", h.User, e.ID, e.Capacity, taken[e.ID])
		}
		if taken[e.ID] != e.Taken {
			c.differ("host %s: event %s says that %d seats are taken, its RSVPs have %d", h.User, e.ID, e.Taken, taken[e.ID])
		}
	}
}

// transfers checks that what Hosts received is what their books say, one by
// one.
func (c *comparison) transfers() {
	for a, p := range c.booked {
		t, ok := c.received[a]
		switch {
		case !ok:
			c.differ("payment %s is %s, but there is no transfer of %s", p.ID, p.State, a)
		case t.To != p.PayTo || t.Amount != p.Amount || t.Tx != p.Tx:
			c.differ("payment %s is %d to %s in %s, the chain has %d to %s in %s", p.ID, p.Amount, p.PayTo, p.Tx, t.Amount, t.To, t.Tx)
		}
	}
	for a, t := range c.received {
		if _, ok := c.booked[a]; !ok {
			c.differ("%s was charged %d in %s (%s), and no payment says so", t.From, t.Amount, t.Tx, a)
		}
	}
	for a, t := range c.returned {
		c.differ("%d went from %s to %s in %s (%s), and no refund says so", t.Amount, t.From, t.To, t.Tx, a)
	}
	// Nobody is charged twice for one thing: what came too much goes back.
	type place struct {
		user, event string
		payer       x402.Address
	}
	settled := map[place]string{}
	for _, p := range c.booked {
		at := place{p.user, p.rsvp.Event, p.Payer}
		if p.refund.State != "" {
			continue
		}
		if other, twice := settled[at]; twice {
			c.differ("%s was charged twice for event %s: payments %s and %s", p.Payer, p.rsvp.Event, other, p.ID)
		}
		settled[at] = p.ID
	}
}

// claims checks the server's list of authorizations.
func (c *comparison) claims() {
	claimed := map[string]claimRow{}
	for _, claim := range c.Claims {
		claimed[claim.Payment] = claim
		if claim.Open {
			c.differ("the claim of payment %s is still open", claim.Payment)
		}
	}
	for a, p := range c.booked {
		claim, ok := claimed[p.ID]
		if !ok || claim.authorization != a || claim.User != p.user {
			c.differ("payment %s of %s at host %s has no claim of its own", p.ID, a, p.user)
		}
		delete(claimed, p.ID)
	}
	for a, all := range c.all {
		for _, p := range all {
			if claim, ok := claimed[p.ID]; ok && claim.authorization != a {
				c.differ("the claim of payment %s is for %s, not for %s", p.ID, claim.authorization, a)
			}
			delete(claimed, p.ID)
		}
	}
	for id := range claimed {
		c.differ("there is a claim for payment %s, which is not there", id)
	}
}

// guest checks that a guest was told the truth about a payment.
func (c *comparison) guest(s *sent) {
	a := s.authorization()
	p, booked := c.booked[a]
	_, charged := c.received[a]
	known := map[string]bool{}
	for _, one := range c.all[a] {
		known[one.RSVP] = true
	}
	wrong := func(t told, format string, args ...any) {
		c.differ("guest %d (%s) was told %s %s (RSVP %s) of %s, but %s", s.guest, s.kind, t.verdict, t.code, t.rsvp, a, fmt.Sprintf(format, args...))
	}
	for _, t := range s.told {
		if t.rsvp != "" && !known[t.rsvp] {
			wrong(t, "no payment of it has that RSVP")
			continue
		}
		switch t.verdict {
		case confirmed:
			switch {
			case !booked || p.State != "settled":
				wrong(t, "it is not settled")
			case t.rsvp != p.RSVP:
				wrong(t, "it has the RSVP %s", p.RSVP)
			case t.tx != p.Tx:
				wrong(t, "not in transaction %s, but in %s", t.tx, p.Tx)
			case t.atEnd && p.rsvp.Status != "confirmed":
				wrong(t, "it is %s", p.rsvp.Status)
			}
		case pending:
			if t.atEnd {
				wrong(t, "nothing is open any more")
			}
		case owed, given:
			if !booked || p.refund.State == "" {
				wrong(t, "nothing goes back")
			}
		case denial:
			switch {
			case !charged:
			case !t.atEnd && (t.call < s.calls || !t.alone): // it was sent again, or still on its way
			case t.code == "payment_already_used" && booked && p.rsvp.Name != t.name: // it is
			case c.Excused[a] && !t.atEnd && t.code != "payment_already_used":
				// A payment that failed may still be used by whoever has it, until it has
				// expired. Then it is booked or owed, but not denied for good.
			default:
				wrong(t, "it was charged in %s", c.received[a].Tx)
			}
		default:
			wrong(t, "no server should say that: %s", t.note)
		}
	}
	if booked && p.State == "settled" && p.refund.State != "" && !s.gave && !p.event.Cancelled {
		c.differ("guest %d (%s) has lost the RSVP %s, and nobody cancelled it", s.guest, s.kind, p.RSVP)
	}
	if len(s.told) == 0 || !s.told[len(s.told)-1].atEnd {
		c.differ("guest %d (%s) was told nothing of %s in the end", s.guest, s.kind, a)
	}
}
