package guest

import (
	"encoding/json"
	"errors"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/payments/x402"
)

// Codes with which our Hosts say that the same call may just be sent again.
const (
	codeUnavailable = "payment_unavailable" // nothing was charged
	codeOverLimit   = "over_limit"          // likewise
	codeInternal    = "internal"
)

// Answer is a tool's answer, and what was paid for it.
type Answer struct {
	Failed     bool            // the tool refused; a text says why
	Structured json.RawMessage // may be nil
	Texts      []string
	Meta       map[string]any

	Paid    x402.Amount          // 0: nothing was paid
	PayTo   x402.Address         // zero: nothing was paid
	Receipt *x402.SettleResponse // as the Host gave it, if it did
}

func answerOf(result *mcp.CallToolResult) (Answer, error) {
	answer := Answer{Failed: result.IsError, Meta: result.Meta}
	for _, c := range result.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			answer.Texts = append(answer.Texts, text.Text)
		}
	}
	var err error
	if result.StructuredContent != nil {
		answer.Structured, err = json.Marshal(result.StructuredContent)
	}
	return answer, err
}

// requested returns the request for payment in an answer, or nil.
func (a Answer) requested() (*x402.PaymentRequired, error) {
	if !a.Failed {
		return nil, nil
	}
	meta, err := json.Marshal(a.Meta[x402.MetaError])
	if err != nil {
		return nil, err
	}
	return requested(a.Structured, meta, a.Texts)
}

func (a Answer) code() string {
	var e ToolError
	if !a.Failed || json.Unmarshal(a.Structured, &e) != nil {
		return ""
	}
	return e.Code
}

func (a Answer) temporary() bool { return a.uncharged() || a.code() == codeInternal }

// uncharged reports whether the Host says that nothing was charged, and to send
// the same again.
func (a Answer) uncharged() bool {
	code := a.code()
	return code == codeUnavailable || code == codeOverLimit
}

// pending reports whether it is an RSVP whose payment is not decided yet.
func (a Answer) pending() bool {
	var r RSVP
	return !a.Failed && a.decode(&r) == nil && r.Status == "pending"
}

func (a Answer) receipt() *x402.SettleResponse {
	raw, err := json.Marshal(a.Meta[x402.MetaResponse])
	if err != nil {
		return nil
	}
	receipt, err := x402.DecodeReceipt(raw)
	if err != nil {
		return nil
	}
	return &receipt
}

// decode reads what a tool that did not refuse has answered.
func (a Answer) decode(into any) error {
	raw := a.Structured
	if raw == nil && len(a.Texts) > 0 {
		raw = json.RawMessage(a.Texts[0])
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return &strangersError{"the host's answer is not what its tools promise", err}
	}
	return nil
}

var errNoRSVP = errors.New("the host's answer is not an RSVP")

func (a Answer) rsvp() (r RSVP, err error) {
	if err := a.decode(&r); err != nil {
		return RSVP{}, err
	}
	if r.ID == "" || r.Status == "" {
		return RSVP{}, errNoRSVP
	}
	return r, nil
}
