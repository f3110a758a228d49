package guest_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// A person is told how far a booking has come, in the order in which it comes.
func TestProgress(t *testing.T) {
	to, err := x402.ParseAddress(payee)
	if err != nil {
		t.Fatal(err)
	}
	const amount = 50_000
	asking := guest.Step{Stage: guest.StageAsking}
	price := guest.Step{Stage: guest.StagePrice, Amount: amount, PayTo: to}
	paying := guest.Step{Stage: guest.StagePaying, Amount: amount, PayTo: to}
	again := guest.Step{Stage: guest.StagePaying, Amount: amount, PayTo: to, Again: true}
	pending := guest.Step{Stage: guest.StagePending, Amount: amount, PayTo: to, RSVP: "rsvp_1"}
	for name, c := range map[string]struct {
		host *puppet
		want []guest.Step
	}{
		"free":          {&puppet{answer: always(rsvp("confirmed", ""))}, []guest.Step{asking}},
		"refused":       {&puppet{answer: always(refuses("event_full", "no"))}, []guest.Step{asking}},
		"too expensive": {&puppet{answer: always(asks(required(entry("50000", "1000001"))))}, []guest.Step{asking}},
		"paid": {&puppet{answer: then(required(honest), func(int, call) string { return rsvp("confirmed", "") })},
			[]guest.Step{asking, price, paying}},
		"paid at the third try": {&puppet{answer: then(required(honest), func(n int, _ call) string {
			if n < 3 {
				return refuses("payment_unavailable", "later")
			}
			return rsvp("confirmed", "")
		})}, []guest.Step{asking, price, paying, again, again}},
		"settled late": {clerk(rsvp("confirmed", "")), []guest.Step{asking, price, paying, pending}},
	} {
		t.Run(name, func(t *testing.T) {
			var told []guest.Step
			config := config(t, newCounter(t))
			config.Progress = func(_ context.Context, s guest.Step) { told = append(told, s) }
			_, err := dial(t, c.host.web(t), config).Book(t.Context(), wish)
			if diff := cmp.Diff(c.want, told); diff != "" {
				t.Errorf("%s (%v)", diff, err)
			}
		})
	}
}

// Any Host can say that it has an event: of several, one is asked to book it only
// if it is alone in that.
func TestHostOf(t *testing.T) {
	has := func() *guest.Host {
		return dial(t, (&puppet{answer: always(says(`{"id":"evt_1"}`))}).web(t), config(t, nil))
	}
	hasNot := func() *guest.Host {
		return dial(t, (&puppet{answer: always(refuses("event_not_found", "no such event"))}).web(t), config(t, nil))
	}
	for name, c := range map[string]struct {
		hosts []*guest.Host
		want  int // -1: none
	}{
		"the only host":       {[]*guest.Host{hasNot()}, 0},
		"one of two":          {[]*guest.Host{hasNot(), has()}, 1},
		"none of two":         {[]*guest.Host{hasNot(), hasNot()}, -1},
		"two that say so":     {[]*guest.Host{has(), hasNot(), has()}, -1},
		"one out of reach":    {[]*guest.Host{closed(t, has()), has()}, 1},
		"it is out of reach":  {[]*guest.Host{closed(t, has()), hasNot()}, -1},
		"nobody is in sight":  {[]*guest.Host{closed(t, has()), closed(t, has())}, -1},
		"the only one closed": {[]*guest.Host{closed(t, has())}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := deskOf(t, c.hosts...).HostOf(t.Context(), "evt_1")
			if c.want < 0 && err == nil || c.want >= 0 && (err != nil || h != c.hosts[c.want]) {
				t.Errorf("%v, %v", h, err)
			}
		})
	}
}

func closed(t *testing.T, h *guest.Host) *guest.Host {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	return h
}
