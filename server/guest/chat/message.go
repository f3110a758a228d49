package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/events-concierge/concierge/store"
)

// Bounds of what a client sends, in bytes.
const (
	maxRequest = 8 << 10
	MaxText    = 4000 // of what a person says
	maxSeats   = 9999 // that are asked for; how many there are the Host knows
)

// What clients ask for.
const (
	AskSay     = "say"
	AskApprove = "approve"
	AskDeny    = "deny"
	AskCancel  = "cancel"
	// What has buttons, and so needs neither rules nor a model to be understood.
	AskConnect = "connect" // to Host
	AskShow    = "show"    // the Event of Host
	AskBook    = "book"    // Seats of Event of Host
	AskUnbook  = "unbook"  // RSVP of Host
	AskTrace   = "trace"   // to be shown, or not, what goes between the agent and Hosts
)

// Request is a message of a client.
type Request struct {
	Type     string `json:"type"`
	Text     string `json:"text,omitempty"`     // of say
	Approval int64  `json:"approval,omitempty"` // of approve and deny
	Host     string `json:"host,omitempty"`     // the address of connect, show, book and unbook
	Event    string `json:"event_id,omitempty"` // of show and book
	Seats    int    `json:"seats,omitempty"`    // of book; 0: one
	RSVP     string `json:"rsvp_id,omitempty"`  // of unbook
	On       bool   `json:"on,omitempty"`       // of trace
}

var errRequest = errors.New(`a message is a JSON object such as {"type":"say","text":"help"}, {"type":"approve","approval":1}, {"type":"deny","approval":1} or {"type":"cancel"}; docs/explanation/agent.md lists all`)

// decodeRequest reads one message, strictly.
func decodeRequest(raw []byte) (r Request, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || d.Decode(&struct{}{}) != io.EOF {
		return Request{}, errRequest
	}
	if !r.valid() {
		return Request{}, errRequest
	}
	return r, nil
}

func (r Request) valid() bool {
	bare := Request{Type: r.Type} // and what else there may be of it
	switch r.Type {
	case AskSay:
		bare.Text = r.Text
		return r == bare && r.Text != "" && len(r.Text) <= MaxText && utf8.ValidString(r.Text)
	case AskApprove, AskDeny:
		bare.Approval = r.Approval
		return r == bare && r.Approval > 0
	case AskCancel:
		return r == bare
	case AskTrace:
		bare.On = r.On
		return r == bare
	}
	bare.Host = r.Host
	if !short(r.Host, maxURL) {
		return false
	}
	switch r.Type {
	case AskConnect:
		return r == bare
	case AskShow, AskBook:
		bare.Event = r.Event
		if r.Type == AskBook {
			bare.Seats = r.Seats
		}
		return r == bare && short(r.Event, maxID) && r.Seats >= 0 && r.Seats <= maxSeats
	case AskUnbook:
		bare.RSVP = r.RSVP
		return r == bare && short(r.RSVP, maxID)
	}
	return false
}

// short reports whether a text is there, and not too long.
func short(s string, most int) bool { return s != "" && len(s) <= most && utf8.ValidString(s) }

// Kinds of messages to a client. Those that have an id are kept.
const (
	kindHistory  = "history"  // what is kept, when a client connects
	kindSaid     = "said"     // by the person
	kindText     = "text"     // by the agent
	kindDelta    = "delta"    // a piece of a text that is being written
	kindEvents   = "events"   // a numbered list
	kindEvent    = "event"    // one in full
	kindApproval = "approval" // the question whether to pay
	kindAnswered = "answered" // what became of it
	kindProgress = "progress" // what is being done
	kindReceipt  = "receipt"  // a booking, or its end, and what was paid
	kindRSVPs    = "rsvps"
	kindWallet   = "wallet"
	kindSpending = "spending"
	kindHosts    = "hosts"
	kindError    = "error"
	kindDone     = "done"  // the turn is over
	kindTrace    = "trace" // an exchange with a Host, for who asked for it
	kindTool     = "tool"  // for the model: no client sees it
)

// Message is what a client is sent.
type Message struct {
	Type     string          `json:"type"`
	ID       int64           `json:"id,omitempty"`   // of what is kept; later ones are greater
	At       string          `json:"at,omitempty"`   // RFC 3339; likewise
	Text     string          `json:"text,omitempty"` // for people who see nothing else
	Code     string          `json:"code,omitempty"` // of an error
	Approval int64           `json:"approval,omitempty"`
	State    string          `json:"state,omitempty"` // of an approval; see [store.ApprovalState]
	Data     json.RawMessage `json:"data,omitempty"`
	Messages []Message       `json:"messages,omitempty"` // of a history
	Busy     bool            `json:"busy,omitempty"`     // of a history: a turn is under way
}

// shown is how a kept message is sent.
func (a *Agent) shown(m store.ChatMessage) Message {
	out := Message{Type: m.Kind, ID: m.ID, At: m.SaidAt.Format(time.RFC3339), Text: m.Text, Approval: m.Approval, Data: m.Data}
	if m.Kind == kindError { // its code is kept where others have data
		out.Data = nil
		_ = json.Unmarshal(m.Data, &out.Code)
	}
	if m.Kind == kindReceipt {
		out.Data = a.shownReceipt(m)
	}
	if m.Kind == kindApproval {
		var q question
		_ = json.Unmarshal(m.Data, &q)
		out.Data, _ = json.Marshal(q.Shown)
	}
	return out
}
