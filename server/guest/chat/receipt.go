package chat

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"rsc.io/qr"

	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools/calendar"
)

// askWait is how long a Host is asked about an event that was booked.
const askWait = 10 * time.Second

// receipt is a booking, or what has become of one.
type receipt struct {
	Host        string  `json:"host"`
	Title       string  `json:"title,omitempty"` // the Host's words
	RSVP        string  `json:"rsvp_id,omitempty"`
	EventID     string  `json:"event_id,omitempty"`
	Seats       int     `json:"seats,omitempty"`
	Status      string  `json:"status"`
	USD         string  `json:"usd,omitempty"` // what was paid now; "": nothing
	PayTo       string  `json:"pay_to,omitempty"`
	Transaction string  `json:"transaction,omitempty"`
	Refund      *refund `json:"refund,omitempty"`
	Note        string  `json:"note,omitempty"` // the Host's words

	// Of the event, if it is known; the Host's words.
	StartsAt string `json:"starts_at,omitempty"`
	EndsAt   string `json:"ends_at,omitempty"`
	TimeZone string `json:"time_zone,omitempty"`
	Location string `json:"location,omitempty"`
	Revision int64  `json:"revision,omitempty"`
}

// refund is money on its way back, in the Host's words.
type refund struct {
	USD         string `json:"usd"`
	Status      string `json:"status"`
	Transaction string `json:"transaction,omitempty"`
}

// shownReceipt is a receipt with what a page makes of it. That is not kept.
type shownReceipt struct {
	receipt
	Explorer       string   `json:"explorer,omitempty"`        // where to see the transaction
	RefundExplorer string   `json:"refund_explorer,omitempty"` // likewise
	Ticket         string   `json:"ticket,omitempty"`          // the page of the RSVP, of a Host that has one
	QR             []string `json:"qr,omitempty"`              // Ticket, else RSVP: rows of 1 (dark) and 0
	Calendar       string   `json:"calendar,omitempty"`        // the event as iCalendar, if it is known
}

func (t *turn) receipt(approval int64, r receipt) {
	text := fmt.Sprintf("%s: RSVP %s", r.Status, r.RSVP)
	if r.Title != "" {
		text += ", " + r.Title
	}
	if r.USD != "" {
		text += fmt.Sprintf(". Paid $%s to %s", r.USD, r.PayTo)
	}
	if r.Refund != nil {
		text += fmt.Sprintf(". Refund of $%s: %s", r.Refund.USD, r.Refund.Status)
	}
	if r.Note != "" {
		text += ". " + r.Note
	}
	t.showAbout(approval, kindReceipt, text, r)
}

// booked shows an RSVP as a Host has answered it.
func (t *turn) booked(approval int64, r guest.Result, rsvp guest.RSVP) {
	out := receipt{Host: r.Host, RSVP: clip(rsvp.ID, maxID), EventID: clip(rsvp.EventID, maxID), Seats: rsvp.Seats, Status: clip(rsvp.Status, maxID),
		Transaction: clip(rsvp.Transaction, maxID), Note: clip(rsvp.Note, maxTitle)}
	if b := rsvp.Refund; b != nil {
		out.Refund = &refund{clip(b.USD, maxShort), clip(b.Status, maxShort), clip(b.Transaction, maxID)}
	}
	if r.Paid > 0 {
		out.USD, out.PayTo = r.Paid.USD(), r.PayTo.String()
	}
	if e, ok := t.eventOf(r.Host, rsvp.EventID); ok {
		out.Title, out.StartsAt, out.EndsAt, out.TimeZone, out.Location, out.Revision = e.Title, e.StartsAt, e.EndsAt, e.TimeZone, e.Location, e.Revision
	}
	t.receipt(approval, out)
}

// eventOf returns an event that was shown here, or what its Host says of it.
func (t *turn) eventOf(host, id string) (listed, bool) {
	if kept, err := t.agent.Chats.Messages(t.agent.life, t.chat.ID); err == nil {
		for _, m := range slices.Backward(kept) {
			if e, ok := eventIn(m, host, id); ok {
				return e, true
			}
		}
	}
	h, err := t.desk.Host(host)
	if err != nil || id == "" {
		return listed{}, false
	}
	ctx, cancel := context.WithTimeout(t.agent.life, askWait)
	defer cancel()
	e, err := h.Event(ctx, id)
	return listedOf(0, guest.FoundEvent{Host: host, Event: e}, maxTitle), err == nil
}

// eventIn finds an event in a message that shows it.
func eventIn(m store.ChatMessage, host, id string) (listed, bool) {
	var all eventList
	switch m.Kind {
	case kindEvents:
		_ = json.Unmarshal(m.Data, &all) // we have written it
	case kindEvent:
		all.Events = make([]listed, 1)
		_ = json.Unmarshal(m.Data, &all.Events[0])
	}
	for _, e := range all.Events {
		if e.Host == host && e.ID == id {
			return e, true
		}
	}
	return listed{}, false
}

// shownReceipt is how a kept receipt is sent.
func (a *Agent) shownReceipt(m store.ChatMessage) json.RawMessage {
	var out shownReceipt
	if json.Unmarshal(m.Data, &out.receipt) != nil {
		return m.Data
	}
	out.Explorer = a.explorer(out.Transaction)
	if out.Refund != nil {
		out.RefundExplorer = a.explorer(out.Refund.Transaction)
	}
	out.Ticket = ticketOf(out.Host, out.RSVP)
	switch out.Status {
	case "confirmed", "pending", "paid":
		if text := cmp.Or(out.Ticket, out.RSVP); text != "" {
			out.QR = qrRows(text)
		}
		out.Calendar = calendarOf(out.receipt, m.SaidAt)
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return m.Data
	}
	return raw
}

var transaction = regexp.MustCompile(`^0x[0-9a-fA-F]{64}$`)

// explorer is where to see a transaction; "": nowhere. That it is one is a Host's
// word.
func (a *Agent) explorer(tx string) string {
	if a.Explorer == "" || !transaction.MatchString(tx) {
		return ""
	}
	return a.Explorer + tx
}

// ticketOf is the page of an RSVP at a Host of a server such as this, which one
// knows by its address.
func ticketOf(host, rsvp string) string {
	page, _ := pageOf(host)
	if page == "" || rsvp == "" {
		return ""
	}
	return page + "/rsvps/" + url.PathEscape(rsvp)
}

// pageOf is the page of such a Host, and whose it is.
func pageOf(host string) (page, user string) {
	before, user, ok := strings.Cut(host, "/mcp/users/")
	if !ok || user == "" || strings.Contains(user, "/") {
		return "", ""
	}
	return before + "/u/" + user, user
}

// calendarOf is the booked event as iCalendar; "" if it is not known when it is. Of
// a Host such as ours it is the entry that its pages and feeds have, too.
func calendarOf(r receipt, said time.Time) string {
	start, err := time.Parse(time.RFC3339, r.StartsAt)
	if err != nil {
		return ""
	}
	end, _ := time.Parse(time.RFC3339, r.EndsAt) // zero: not said
	page, user := pageOf(r.Host)
	if page == "" {
		if u, err := url.Parse(r.Host); err == nil {
			user = u.Host
		}
	} else {
		page += "/" + url.PathEscape(r.EventID)
	}
	var out bytes.Buffer
	if err := calendar.Write(&out, calendar.Calendar{Events: []calendar.Event{{UID: calendar.UID(user, r.EventID), Sequence: r.Revision, Changed: said,
		Start: start, End: end, Zone: r.TimeZone, Title: r.Title, Description: "RSVP " + r.RSVP, Location: r.Location, URL: page}}}); err != nil {
		return ""
	}
	return out.String()
}

// qrRows draws a text, or returns nil for one that is too long.
func qrRows(text string) []string {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil
	}
	rows := make([]string, code.Size)
	for y := range rows {
		row := make([]byte, code.Size)
		for x := range row {
			row[x] = '0'
			if code.Black(x, y) {
				row[x] = '1'
			}
		}
		rows[y] = string(row)
	}
	return rows
}
