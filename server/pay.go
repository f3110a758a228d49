package server

import (
	"errors"
	"net/http"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/tools"
)

// rsvp books over plain HTTP, for clients that pay as x402 does there: 402 with
// the requirements, then the same request with the payment in a header.
func (s *Server) rsvp(w http.ResponseWriter, r *http.Request) error {
	c, err := s.allowed(r, "rsvp_to_event")
	if err != nil {
		return err
	}
	const tool = "rsvp_to_event"
	if c.Allow != nil {
		if err := c.Allow(tool); err != nil {
			return err
		}
	}
	var in struct {
		Seats int    `json:"seats"`
		Name  string `json:"name"`
		Email string `json:"email"`
	}
	if err := s.decode(r, &in); err != nil {
		return err
	}
	out, err := c.RSVP(r.Context(), tools.RSVPInput{EventID: r.PathValue("event"), Seats: in.Seats, Name: in.Name, Email: in.Email},
		r.Header.Values)
	var required *tools.PaymentRequired
	if errors.As(err, &required) {
		c.Code = required.Code
		return paymentRequired(w, c, required)
	}
	receiptHeaders(w.Header(), c)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusCreated
	if out.Status == "pending" {
		status = http.StatusAccepted
	}
	return reply(w, status, out)
}

// paymentRequired answers HTTP 402 to clients of both versions: the header of
// version 2 and the body of version 1.
func paymentRequired(w http.ResponseWriter, c *tools.Call, p *tools.PaymentRequired) error {
	value, err := x402.Header(p)
	if err != nil {
		return err
	}
	w.Header().Set(x402.HeaderRequired, value)
	w.Header().Set("Cache-Control", "no-store")
	receiptHeaders(w.Header(), c)
	return reply(w, http.StatusPaymentRequired, p.V1())
}

// receiptHeaders gives a client that paid by header its receipt there too.
func receiptHeaders(h http.Header, c *tools.Call) {
	if c.Receipt == nil {
		return
	}
	if value, err := x402.Header(c.Receipt); err == nil {
		h.Set(x402.HeaderResponseV2, value)
		h.Set(x402.HeaderResponseV1, value)
	}
}
