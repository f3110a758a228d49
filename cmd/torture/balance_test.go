package main

import (
	"strings"
	"testing"

	"github.com/events-concierge/concierge/payments/x402"
)

// Ids in the books of these tests.
var (
	hostWallet, apart  = x402.Address{19: 0xaa}, x402.Address{19: 0xbb}
	ada, bob, eve      = x402.Address{19: 1}, x402.Address{19: 2}, x402.Address{19: 3}
	n1, n2, n3, n4, nr = x402.Bytes32{31: 1}, x402.Bytes32{31: 2}, x402.Bytes32{31: 3}, x402.Bytes32{31: 4}, x402.Bytes32{31: 9}
	t1, t3, t4, tr     = x402.Bytes32{31: 0xf1}, x402.Bytes32{31: 0xf3}, x402.Bytes32{31: 0xf4}, x402.Bytes32{31: 0xf9}
)

func paid(payer x402.Address, nonce x402.Bytes32, answers ...told) *sent {
	for i := range answers {
		answers[i].call, answers[i].alone = i+1, true
	}
	return &sent{kind: patient, told: answers, calls: len(answers), payment: x402.Payment{
		Payload: x402.Payload{Authorization: x402.Authorization{From: payer, To: hostWallet, Nonce: nonce}}}}
}

// sound are books in which everything agrees: ada has paid 10 and is booked; a
// payment of bob's failed; another was made when the seats had gone, and was paid
// back. eve has cancelled what she booked at a Host that pays back by itself.
func sound() *books {
	return &books{
		Hosts: []hostBooks{{
			User: "u", Wallet: hostWallet,
			Events: []eventRow{{"e", 2, 1, false}},
			RSVPs: []rsvpRow{
				{"r1", "e", "confirmed", 1, ada, 10, ""},
				{"r2", "e", "failed", 2, bob, 20, ""},
				{"r3", "e", "refunded", 2, bob, 20, ""}},
			Payments: []paymentRow{
				{"p1", "r1", "settled", false, ada, hostWallet, 10, n1, t1},
				{"p2", "r2", "failed", false, bob, hostWallet, 20, n2, x402.Bytes32{}},
				{"p3", "r3", "owed", false, bob, hostWallet, 20, n3, t3}},
			Refunds: []refundRow{{"p3", "settled", "", hostWallet, nr, tr}},
			Revenue: revenue{Settled: 10, Refunded: 20},
		}, {
			User: "v", Wallet: apart, Apart: true, Debtor: true,
			Events:   []eventRow{{"f", 2, 0, false}},
			RSVPs:    []rsvpRow{{"r4", "f", "cancelled", 1, eve, 40, ""}},
			Payments: []paymentRow{{"p4", "r4", "settled", false, eve, apart, 40, n4, t4}},
			Refunds:  []refundRow{{Payment: "p4", State: "owed", Reason: "wallet_not_held"}},
			Revenue:  revenue{Owed: 40},
		}},
		Claims: []claimRow{
			{"p1", "u", false, authorization{ada, n1}},
			{"p2", "u", false, authorization{bob, n2}},
			{"p3", "u", false, authorization{bob, n3}},
			{"p4", "v", false, authorization{eve, n4}}},
		Chain: history{
			transfers: []transfer{
				{To: ada, Amount: 100}, {To: bob, Amount: 100}, {To: eve, Amount: 100},
				{ada, hostWallet, 10, n1, t1}, {bob, hostWallet, 20, n3, t3}, {eve, apart, 40, n4, t4},
				{hostWallet, bob, 20, nr, tr}},
			used:      []authorization{{ada, n1}, {bob, n3}, {eve, n4}, {hostWallet, nr}},
			cancelled: []authorization{{bob, n2}},
		},
		Balances: map[x402.Address]x402.Amount{ada: 90, bob: 100, eve: 60, hostWallet: 10, apart: 40},
		Sent: []*sent{
			paid(ada, n1, told{verdict: pending, rsvp: "r1"}, told{verdict: confirmed, rsvp: "r1", tx: t1}, told{verdict: confirmed, rsvp: "r1", tx: t1, atEnd: true}),
			paid(bob, n2, told{verdict: denial, rsvp: "r2"}, told{verdict: denial, atEnd: true}),
			paid(bob, n3, told{verdict: denial, code: "invalid_transaction_state"}, told{verdict: given, rsvp: "r3", tx: t3, atEnd: true}),
			gave(paid(eve, n4, told{verdict: confirmed, rsvp: "r4", tx: t4}, told{verdict: given, rsvp: "r4", tx: t4, atEnd: true}))},
		Excused: map[authorization]bool{{bob, n3}: true},
	}
}

func gave(s *sent) *sent {
	s.gave = true
	return s
}

func TestSoundBooks(t *testing.T) {
	b := sound()
	// Who tries to book two things with one payment is told the truth as well.
	b.Sent[0].told = append(b.Sent[0].told, told{name: "somebody else", verdict: denial, code: "payment_already_used"}, b.Sent[0].told[2])
	for _, d := range b.differences() {
		t.Error(d)
	}
}

// Whatever is wrong is found, and said with the ids that it is about.
func TestDoctoredBooks(t *testing.T) {
	host := func(b *books) *hostBooks { return &b.Hosts[0] }
	for _, test := range []struct {
		name   string
		doctor func(*books)
		want   []string // in one difference
	}{
		{"a seat too many is sold", func(b *books) { host(b).RSVPs[0].Seats = 3 }, []string{"event e", "2 seats, 3"}},
		{"seats are counted wrong", func(b *books) { host(b).Events[0].Taken = 0 }, []string{"event e", "0 seats are taken"}},
		{"an RSVP is pending", func(b *books) { host(b).RSVPs[0].Status = "pending" }, []string{"r1", "pending"}},
		{"an RSVP without a payment", func(b *books) {
			host(b).RSVPs = append(host(b).RSVPs, rsvpRow{"r4", "e", "confirmed", 1, bob, 10, ""})
			host(b).Events[0].Taken = 2
		}, []string{"r4", "no payment"}},
		{"a payment without an RSVP", func(b *books) { host(b).RSVPs = host(b).RSVPs[1:] }, []string{"p1", "r1", "not there"}},
		{"a payment is open", func(b *books) { host(b).Payments[1].Open = true }, []string{"p2", "open"}},
		{"a settled payment without a seat", func(b *books) { host(b).RSVPs[0].Status = "failed" }, []string{"p1 is settled", "r1 is failed"}},
		{"a seat for a failed payment", func(b *books) { host(b).RSVPs[1].Status = "confirmed" }, []string{"p2 is failed", "r2 is confirmed"}},
		{"the amount of another payment", func(b *books) { host(b).RSVPs[0].Amount = 11 }, []string{"p1", "r1"}},
		{"paid to a stranger", func(b *books) { host(b).Payments[0].PayTo = bob }, []string{"p1", bob.String()}},
		{"two RSVPs of one payer", func(b *books) {
			host(b).RSVPs[2].Status = "confirmed"
			host(b).RSVPs[2].Payer = ada
		}, []string{"two RSVPs", "r1", "r3"}},
		{"settled without a transfer", func(b *books) {
			b.Chain.transfers = append(b.Chain.transfers[:4], b.Chain.transfers[5:]...)
		}, []string{"p3", "no transfer"}},
		{"a transfer that no payment knows of", func(b *books) {
			host(b).Payments[0].State, host(b).Payments[0].Tx = "failed", x402.Bytes32{}
		}, []string{ada.String(), "no payment says so"}},
		{"a transfer of another amount", func(b *books) { b.Chain.transfers[3].Amount = 9 }, []string{"p1 is 10", "has 9"}},
		{"a transfer in another transaction", func(b *books) { host(b).Payments[0].Tx = t3 }, []string{"p1", t1.String(), t3.String()}},
		{"money sent by hand", func(b *books) {
			b.Chain.transfers = append(b.Chain.transfers, transfer{From: bob, To: hostWallet, Amount: 5})
		}, []string{bob.String(), "charged 5"}},
		{"charged twice for one event", func(b *books) {
			host(b).Payments[2] = paymentRow{"p3", "r3", "settled", false, ada, hostWallet, 20, n3, t3}
			host(b).RSVPs[2].Payer, host(b).Refunds = ada, nil
		}, []string{"charged twice", "p1", "p3"}},
		{"two payments of one authorization", func(b *books) { host(b).Payments[2].Payer, host(b).Payments[2].Nonce = ada, n1 }, []string{"p1 and p3"}},
		{"an authorization used twice", func(b *books) { b.Chain.used = append(b.Chain.used, b.Chain.used[0]) }, []string{ada.String(), "twice"}},
		{"used and cancelled", func(b *books) { b.Chain.used = append(b.Chain.used, b.Chain.cancelled[0]) }, []string{bob.String(), "twice"}},
		{"a balance that its transfers do not make", func(b *books) { b.Balances[ada] = 89 }, []string{ada.String(), "89", "90"}},
		{"an open claim", func(b *books) { b.Claims[0].Open = true }, []string{"p1", "open"}},
		{"a payment without a claim", func(b *books) { b.Claims = b.Claims[1:] }, []string{"p1", "no claim"}},
		{"a claim without a payment", func(b *books) { b.Claims = append(b.Claims, claimRow{Payment: "p9"}) }, []string{"p9"}},
		{"a claim of another authorization", func(b *books) { b.Claims[1].Nonce = n1 }, []string{"p2"}},
		{"the owner is told another sum", func(b *books) { host(b).Revenue.Settled = 11 }, []string{"host u", "Settled:10", "Settled:11"}},
		{"told confirmed, not settled", func(b *books) { b.Sent[1].told[0] = told{verdict: confirmed, rsvp: "r2"} }, []string{"confirmed", "not settled"}},
		{"told another transaction", func(b *books) { b.Sent[0].told[1].tx = t3 }, []string{t1.String(), t3.String()}},
		{"told an RSVP of somebody else", func(b *books) { b.Sent[0].told[0].rsvp = "r2" }, []string{"r2", "has that RSVP"}},
		{"told failed, and charged", func(b *books) {
			b.Sent[0].told = []told{{verdict: denial, call: 3, alone: true}}
		}, []string{"denied", "charged"}},
		{"told failed for good, and charged", func(b *books) { b.Sent[2].told[1] = told{verdict: denial, atEnd: true} }, []string{"denied", "charged"}},
		{"told that it is used elsewhere, and charged", func(b *books) {
			b.Sent[2].told[0].code, b.Sent[2].calls = "payment_already_used", 1
		}, []string{"payment_already_used", "charged"}},
		{"told that it is used elsewhere by the same order", func(b *books) {
			b.Sent[0].told[2] = told{verdict: denial, code: "payment_already_used", atEnd: true}
		}, []string{"payment_already_used", "charged"}},
		{"told owed, and nothing is", func(b *books) { b.Sent[0].told[1] = told{verdict: owed, rsvp: "r1", tx: t1} }, []string{"owed", "nothing goes back"}},
		{"a refund that was not paid", func(b *books) { host(b).Refunds[0].State, host(b).RSVPs[2].Status = "owed", "failed" }, []string{"refund of payment p3", "still owed"}},
		{"a refund that nobody looks for", func(b *books) { b.Hosts[1].Debtor = false }, []string{"refund of payment p4", "does not look"}},
		{"a refund without a transfer", func(b *books) { b.Chain.transfers = b.Chain.transfers[:6] }, []string{"refund of payment p3"}},
		{"a refund to somebody else", func(b *books) { b.Chain.transfers[6].To = eve }, []string{"refund of payment p3", eve.String()}},
		{"a refund of another amount", func(b *books) { b.Chain.transfers[6].Amount = 19 }, []string{"refund of payment p3", "19"}},
		{"refunded twice", func(b *books) {
			b.Chain.transfers = append(b.Chain.transfers, transfer{hostWallet, bob, 20, n1, tr})
		}, []string{"20 went from", "no refund says so"}},
		{"one transfer for two refunds", func(b *books) {
			host(b).Refunds = append(host(b).Refunds, refundRow{"p1", "settled", "", hostWallet, nr, tr})
		}, []string{"refund of payment p"}},
		{"a refund of nothing", func(b *books) { host(b).Refunds[0].Payment = "p9" }, []string{"refund of payment p9"}},
		{"a refund of a failed payment", func(b *books) { host(b).Refunds[0].Payment = "p2" }, []string{"p2 is failed", "settled"}},
		{"a wallet with less than the books", func(b *books) { b.Balances[apart] = 39 }, []string{"host v", "has 39", "make 40"}},
		{"cancelled by nobody", func(b *books) { b.Sent[3].gave = false }, []string{"r4", "nobody cancelled"}},
		{"told cancelled, and nothing is", func(b *books) { b.Sent[0].told[1].verdict = given }, []string{"given back", "nothing goes back"}},
		{"told confirmed in the end, and it is cancelled", func(b *books) { b.Sent[3].told[1].verdict = confirmed }, []string{"confirmed", "cancelled"}},
		{"told pending in the end", func(b *books) { b.Sent[0].told[2] = told{verdict: pending, rsvp: "r1", atEnd: true} }, []string{"pending"}},
		{"told nonsense", func(b *books) { b.Sent[0].told[1] = told{verdict: nonsense, note: "strange"} }, []string{"strange"}},
		{"told nothing in the end", func(b *books) { b.Sent[0].told = b.Sent[0].told[:2] }, []string{"told nothing"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := sound()
			test.doctor(b)
			all := b.differences()
			for _, d := range all {
				if containsAll(d, test.want) {
					return
				}
			}
			t.Errorf("want a difference with %q, got:\n%s", test.want, strings.Join(all, "\n"))
		})
	}
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
