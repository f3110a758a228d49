package main

import (
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// sent is a signed payment, and what its guest was told of it.
type sent struct {
	guest   int
	kind    kind
	order   order
	payment x402.Payment
	until   time.Time // when the authorization expires

	mu     sync.Mutex
	told   []told
	booked bool // as the guest was told
	rsvp   string
	gave   bool // the guest has cancelled it, or has begun to
	calls  int  // that were begun with it
	open   int  // of which the server may still be at work on: those that were hung up, too
}

// told is an answer to a payment. After the end nothing can change any more,
// so that what is told then must be true.
type told struct {
	name    string // in the order; a guest who cheats uses two
	call    int    // how many had been begun with the payment
	alone   bool   // there was no other
	verdict verdict
	code    string
	rsvp    string
	tx      x402.Bytes32
	atEnd   bool
	note    string
}

func (s *sent) authorization() authorization {
	return authorization{s.payment.Payload.Authorization.From, s.payment.Payload.Authorization.Nonce}
}

// hear notes an answer to an order. It tells whether it is the first that says
// "booked".
func (s *sent) hear(o order, a answer, atEnd bool) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, told{o.name, s.calls, s.open == 0, a.verdict, a.code, a.rsvp, a.tx, atEnd, a.note})
	first = a.verdict == confirmed && !s.booked
	if first {
		s.booked, s.rsvp = true, a.rsvp
	}
	return first
}

// begin notes a call with the payment; end must follow, unless it is hung up.
func (s *sent) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.open++
}

func (s *sent) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}
