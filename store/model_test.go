package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// model is a Host in a few maps, with nothing clever about it.
type model struct {
	events    map[string]*store.Event
	rsvps     map[string]*modelRSVP
	payments  map[string]*modelPayment
	abandoned map[string]bool
	cleared   int64
}

type modelRSVP struct {
	event, email string
	payer        x402.Address
	seats        int
	status       store.RSVPStatus
}

type modelPayment struct {
	rsvp   string
	state  payments.State
	open   bool
	amount x402.Amount
	refund *modelRefund
}

type modelRefund struct {
	state payments.State
	nonce x402.Bytes32 // of the last attempt
}

func (r *modelRSVP) active() bool {
	return r.status == store.RSVPPending || r.status == store.RSVPConfirmed
}

func (m *model) taken(event string) (n int) {
	for _, r := range m.rsvps {
		if r.event == event && r.active() {
			n += r.seats
		}
	}
	return n
}

func (m *model) booked(event, email string, payer x402.Address) bool {
	for _, r := range m.rsvps {
		if r.event == event && r.active() && (email != "" && r.email == email || !payer.IsZero() && r.payer == payer) {
			return true
		}
	}
	return false
}

func (m *model) fits(event string, seats int) bool {
	e := m.events[event]
	return e.Capacity == 0 || m.taken(event)+seats <= e.Capacity
}

func (m *model) canBook(b payments.Booking, payer x402.Address) error {
	e := m.events[b.EventID]
	switch {
	case e == nil:
		return store.ErrEventNotFound
	case e.Cancelled:
		return store.ErrEventCancelled
	case m.booked(b.EventID, b.Email, payer):
		return store.ErrAlreadyBooked
	case !m.fits(b.EventID, b.Seats):
		return store.ErrEventFull
	}
	return nil
}

func (m *model) add(b payments.Booking, payer x402.Address, status store.RSVPStatus) {
	m.rsvps[b.RSVPID] = &modelRSVP{b.EventID, b.Email, payer, b.Seats, status}
}

func (m *model) bookFree(b payments.Booking) error {
	if err := m.canBook(b, x402.Address{}); err != nil {
		return err
	}
	if m.events[b.EventID].Price > 0 {
		return store.ErrPriced
	}
	m.add(b, x402.Address{}, store.RSVPConfirmed)
	return nil
}

func (m *model) hold(p payments.Payment, b payments.Booking) error {
	if known := m.payments[p.ID]; known != nil {
		if known.rsvp == b.RSVPID && m.rsvps[known.rsvp].active() {
			return nil
		}
		return payments.ErrHeld
	}
	if m.abandoned[p.ID] {
		return payments.ErrAbandoned
	}
	if err := m.canBook(b, p.Payer); err != nil {
		return err
	}
	m.add(b, p.Payer, store.RSVPPending)
	m.payments[p.ID] = &modelPayment{b.RSVPID, payments.Settling, true, p.Amount, nil}
	return nil
}

func (m *model) confirm(id string, final bool) error {
	p := m.payments[id]
	if p == nil {
		return payments.ErrNoPayment
	}
	r := m.rsvps[p.rsvp]
	switch {
	case p.state == payments.Settling && r.status == store.RSVPCancelled:
		p.state = payments.Settled
	case p.state == payments.Settling && m.events[r.event].Cancelled:
		p.state, r.status, p.refund = payments.Owed, store.RSVPCancelled, &modelRefund{state: payments.Owed}
	case p.state == payments.Settling,
		p.state == payments.Failed && r.status == store.RSVPFailed && !m.events[r.event].Cancelled && !m.booked(r.event, r.email, r.payer) && m.fits(r.event, r.seats):
		p.state, r.status = payments.Settled, store.RSVPConfirmed
	case p.state == payments.Failed:
		p.state, p.refund = payments.Owed, &modelRefund{state: payments.Owed}
	}
	p.open = p.open && !final
	return nil
}

func (m *model) reopen(id string) error {
	p := m.payments[id]
	switch {
	case p == nil:
		return payments.ErrNoPayment
	case p.open && p.state == payments.Settled:
		p.state = payments.Settling
		if r := m.rsvps[p.rsvp]; r.status == store.RSVPConfirmed {
			r.status = store.RSVPPending
		}
	case p.open && p.state == payments.Owed:
		p.state, p.refund = payments.Failed, nil
	}
	return nil
}

func (m *model) fail(id string, final bool) error {
	p := m.payments[id]
	if p == nil {
		return payments.ErrNoPayment
	}
	if p.state == payments.Settling && m.rsvps[p.rsvp].status == store.RSVPCancelled {
		p.state, p.refund = payments.Failed, nil
	}
	if p.state == payments.Settling {
		p.state, m.rsvps[p.rsvp].status = payments.Failed, store.RSVPFailed
	}
	if p.state == payments.Failed && final {
		p.open = false
	}
	return nil
}

func (m *model) abandon(id string) error {
	if m.payments[id] != nil {
		return payments.ErrHeld
	}
	m.abandoned[id] = true
	return nil
}

func (m *model) paymentOf(rsvp string) *modelPayment {
	for _, p := range m.payments {
		if p.rsvp == rsvp {
			return p
		}
	}
	return nil
}

func (m *model) cancelRSVP(id string, cleared int64) error {
	r, p := m.rsvps[id], m.paymentOf(id)
	switch {
	case r == nil:
		return store.ErrRSVPNotFound
	case r.status == store.RSVPPending:
		return store.ErrRSVPPending
	case r.status == store.RSVPFailed && p.refund == nil:
		return store.ErrNotBooked
	case r.status != store.RSVPConfirmed:
		return nil
	case p != nil && cleared != m.cleared:
		return payments.ErrCleared
	}
	r.status = store.RSVPCancelled
	if p != nil {
		p.refund = &modelRefund{state: payments.Owed}
	}
	return nil
}

func (m *model) cancelEvent(id string, cleared int64) error {
	switch e := m.events[id]; {
	case e == nil:
		return store.ErrEventNotFound
	case e.Cancelled:
		return nil
	case cleared != m.cleared:
		return payments.ErrCleared
	}
	m.events[id].Cancelled = true
	for rsvp, r := range m.rsvps {
		if r.event == id && r.status == store.RSVPConfirmed {
			if err := m.cancelRSVP(rsvp, cleared); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *model) refund(id string, change func(*modelRefund)) error {
	p := m.payments[id]
	if p == nil || p.refund == nil {
		return payments.ErrNoPayment
	}
	if p.open { // nothing goes back before that can't be undone
		return nil
	}
	if change(p.refund); p.refund.state == payments.Settled {
		m.rsvps[p.rsvp].status = store.RSVPRefunded
	}
	return nil
}

// refunds are the payments that have one, confirmed the RSVPs that are.
func (m *model) refunds() (ids []string) {
	for id, p := range m.payments {
		if p.refund != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *model) confirmed() (ids []string) {
	for id, r := range m.rsvps {
		if r.status == store.RSVPConfirmed {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *model) clear() bool {
	for _, p := range m.payments {
		if p.refund != nil && p.refund.state != payments.Settled {
			return false
		}
	}
	m.cleared++
	return true
}

func (m *model) revenue(event string) (sum store.Revenue) {
	for _, p := range m.payments {
		if event != "" && m.rsvps[p.rsvp].event != event {
			continue
		}
		switch {
		case p.state == payments.Settling:
			sum.Pending += p.amount
		case p.refund != nil && p.refund.state == payments.Settled:
			sum.Refunded += p.amount
		case p.refund != nil:
			sum.Owed += p.amount
		case p.state == payments.Settled:
			sum.Settled += p.amount
		}
	}
	return sum
}

// Hosts and their models are told the same things in a random order, and say
// the same; while the Hosts' files are closed and opened all the time, for there
// is room for few.
func TestModel(t *testing.T) {
	const tenants, places = 4, 2
	files, _ := MustFiles(t, store.Options{MaxOpen: places})
	files.Limit(40, 100_000)
	t.Run("tenants", func(t *testing.T) {
		for seed, h := range hosts(t, files, tenants) {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				t.Parallel()
				runModel(t, h, rand.New(rand.NewPCG(uint64(seed), 1)), 120)
			})
		}
	})
	if open := files.Open(); open > places {
		t.Errorf("%d are open", open)
	}
}

func runModel(t *testing.T, h *host, random *rand.Rand, steps int) {
	m := &model{map[string]*store.Event{}, map[string]*modelRSVP{}, map[string]*modelPayment{}, map[string]bool{}, 0}
	for id, change := range map[string]func(*store.Event){
		"small": priced(4), "large": priced(12), "open": priced(0), "free": seats(5),
	} {
		e := h.event(t, id, change)
		m.events[id] = &e
	}
	events := []string{"small", "large", "open", "free", "none"}
	counts := map[string]int{}
	for step := range steps {
		// Few of everything, so that they meet.
		n := random.IntN(25)
		p := paid(n, 1+random.IntN(3))
		p.Payer = address(1 + random.IntN(6))
		b := booking(events[random.IntN(len(events))], n, 1+random.IntN(3))
		if b.Email = ""; random.IntN(2) == 0 {
			b.Email = fmt.Sprintf("g%d@example.com", random.IntN(5))
		}
		if known := m.payments[p.ID]; known != nil && random.IntN(2) == 0 {
			b.RSVPID = "another" + b.RSVPID
		}
		var did string
		var got, want error
		k := random.IntN(100)
		if refunds := m.refunds(); k >= 79 && len(refunds) > 0 { // of which there are few
			p.ID = refunds[random.IntN(len(refunds))]
		}
		switch {
		case k < 10:
			did, b.RSVPID = "book free", fmt.Sprintf("free-%d", step)
			_, got = h.BookFree(t.Context(), b)
			want = m.bookFree(b)
		case k < 20:
			did = "can book"
			_, got = h.CanBook(t.Context(), b.EventID, b.Seats, b.Email)
			want = m.canBook(b, x402.Address{})
		case k < 45:
			did, got, want = "hold", h.Hold(t.Context(), p, b), m.hold(p, b)
		case k < 60:
			did = "confirm"
			s := moved(step)
			s.Final = random.IntN(2) == 0
			_, got = h.Confirm(t.Context(), p.ID, s)
			want = m.confirm(p.ID, s.Final)
		case k < 64:
			did = "reopen"
			_, got = h.Reopen(t.Context(), p.ID)
			want = m.reopen(p.ID)
		case k < 70:
			did = "fail"
			final := random.IntN(3) == 0
			_, got = h.Fail(t.Context(), p.ID, "why", final)
			want = m.fail(p.ID, final)
		case k < 73:
			did, got, want = "abandon", h.Abandon(t.Context(), p.ID), m.abandon(p.ID)
		case k < 78:
			did = "cancel"
			if confirmed := m.confirmed(); len(confirmed) > 0 && random.IntN(2) == 0 {
				b.RSVPID = confirmed[random.IntN(len(confirmed))]
			}
			cleared := m.cleared - int64(random.IntN(4)/3)
			_, got = h.CancelRSVP(t.Context(), b.RSVPID, cleared)
			want = m.cancelRSVP(b.RSVPID, cleared)
		case k < 79 && step > steps/2:
			did = "cancel event"
			id := events[random.IntN(2)]
			_, got = h.CancelEvent(t.Context(), id, m.cleared)
			want = m.cancelEvent(id, m.cleared)
		case k < 84:
			did = "sign"
			r := payments.Payment{ID: p.ID, PayTo: m.payer(p.ID), Amount: m.amount(p.ID), Payer: address(99), Nonce: hash(step), Signature: x402.Signature{1}}
			_, got = h.Sign(t.Context(), r)
			want = m.refund(p.ID, func(f *modelRefund) {
				if f.state == payments.Owed {
					f.state, f.nonce = payments.Settling, r.Nonce
				}
			})
		case k < 89:
			did = "fail refund"
			final, nonce := random.IntN(2) == 0, hash(random.IntN(step+1))
			if known := m.payments[p.ID]; known != nil && known.refund != nil && random.IntN(2) == 0 {
				nonce = known.refund.nonce
			}
			_, got = h.FailRefund(t.Context(), p.ID, nonce, "why", final)
			want = m.refund(p.ID, func(f *modelRefund) {
				if f.state == payments.Settling && f.nonce == nonce && final {
					f.state = payments.Owed
				}
			})
		case k < 93:
			did = "confirm refund"
			_, got = h.ConfirmRefund(t.Context(), p.ID, hash(step))
			want = m.refund(p.ID, func(f *modelRefund) { f.state = payments.Settled })
		case k < 96:
			did = "clear"
			cleared, _, err := h.Clear(t.Context())
			if got = err; cleared != m.clear() {
				t.Fatalf("step %d: cleared: %t", step, cleared)
			}
		default:
			did = "close and open"
			got = h.closeFile(t)
		}
		if !errors.Is(got, want) {
			t.Fatalf("step %d: %s %s of %+v: got %v, want %v", step, did, p.ID, b, got, want)
		}
		counts[did]++
		if known := m.payments[p.ID]; known != nil {
			counts[fmt.Sprintf("%s, then %s", did, known.state)]++
			if known.refund != nil {
				counts[fmt.Sprintf("%s, refund then %s", did, known.refund.state)]++
			}
		}
		m.compare(t, h, p.ID)
	}
	for id := range m.payments {
		m.compare(t, h, id)
	}
	t.Log(counts)
}

func (m *model) payer(id string) (a x402.Address) {
	if p := m.payments[id]; p != nil {
		a = m.rsvps[p.rsvp].payer
	}
	return a
}

func (m *model) amount(id string) (a x402.Amount) {
	if p := m.payments[id]; p != nil {
		a = p.amount
	}
	return a
}

// compare looks for differences in one payment and in all sums.
func (m *model) compare(t *testing.T, h *host, id string) {
	t.Helper()
	p, err := h.Payment(t.Context(), id)
	if want := m.payments[id]; want == nil {
		if !errors.Is(err, payments.ErrNoPayment) {
			t.Fatalf("payment %s: %+v, %v, want none", id, p, err)
		}
	} else {
		if err != nil || p.State != want.state || p.Open != want.open || p.Amount != want.amount || p.Signature != nil && !want.open {
			t.Fatalf("payment %s: %+v, %v, want %+v", id, p, err, want)
		}
		f, err := h.Refund(t.Context(), id)
		switch {
		case want.refund == nil && !errors.Is(err, payments.ErrNoPayment):
			t.Fatalf("refund of %s: %+v, %v, want none", id, f, err)
		case want.refund != nil && (err != nil || f.State != want.refund.state || f.Nonce != want.refund.nonce ||
			f.Amount != want.amount || f.PayTo != p.Payer || (f.Signature != nil) != (f.State == payments.Settling)):
			t.Fatalf("refund of %s: %+v, %v, want %+v", id, f, err, want.refund)
		}
		r, err := h.RSVP(t.Context(), want.rsvp)
		if err != nil || r.Status != m.rsvps[want.rsvp].status || r.Seats != m.rsvps[want.rsvp].seats {
			t.Fatalf("RSVP %+v, %v, want %+v", r, err, m.rsvps[want.rsvp])
		}
	}
	for event := range m.events {
		if got, want := h.taken(t, event), m.taken(event); got != want {
			t.Fatalf("%s: %d seats taken, want %d", event, got, want)
		}
	}
	if got, err := h.Revenue(t.Context(), ""); got != m.revenue("") || err != nil {
		t.Fatalf("revenue %+v, %v, want %+v", got, err, m.revenue(""))
	}
	if got, err := h.Revenue(t.Context(), "small"); got != m.revenue("small") || err != nil {
		t.Fatalf("revenue of one %+v, %v, want %+v", got, err, m.revenue("small"))
	}
}
