package chat

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/events-concierge/concierge/server/guest"
)

// Bounds of what is kept of a Host's words, in bytes.
const (
	maxID     = 200
	maxShort  = 64 // of a time, a price, a status
	maxTitle  = 200
	maxDetail = 4000
	maxListed = 30
)

// clip makes a stranger's text one that may be kept: at most n bytes, in which
// nothing steers.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s[:min(len(s), n)], "")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' {
			return r
		}
		return ' '
	}, s)
}

// listed is an event as it stands in a list.
type listed struct {
	N           int    `json:"n"` // how the person may call it
	Host        string `json:"host"`
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	StartsAt    string `json:"starts_at"`
	EndsAt      string `json:"ends_at,omitempty"`
	TimeZone    string `json:"time_zone,omitempty"`
	Location    string `json:"location,omitempty"`
	SeatsLeft   *int   `json:"seats_left,omitempty"`
	Price       string `json:"price"`
	Status      string `json:"status"`
	Revision    int64  `json:"revision,omitempty"`
}

func listedOf(n int, e guest.FoundEvent, detail int) listed {
	return listed{N: n, Host: e.Host, ID: e.ID, Title: clip(e.Title, maxTitle), Description: clip(e.Description, detail), StartsAt: clip(e.StartsAt, maxShort), EndsAt: clip(e.EndsAt, maxShort),
		TimeZone: clip(e.TimeZone, maxShort), Location: clip(e.Location, maxTitle), SeatsLeft: e.SeatsLeft, Price: clip(e.Price, maxShort), Status: clip(e.Status, maxShort), Revision: e.Revision}
}

func (l listed) line() string {
	price := "$" + l.Price
	if strings.Trim(l.Price, "0.") == "" {
		price = "free"
	}
	s := fmt.Sprintf("%s, %s, %s", l.Title, l.StartsAt, price)
	if l.Status != "open" {
		s += ", " + l.Status
	}
	return s
}

// eventList is what is kept of a list, for "the second one" to mean something.
type eventList struct {
	Events      []listed          `json:"events"`
	More        bool              `json:"more,omitempty"`
	Unreachable []guest.Unreached `json:"unreachable,omitempty"`
}

func (t *turn) showEvents(found guest.Found) {
	list := eventList{Events: []listed{}, More: found.More, Unreachable: found.Unreachable}
	var lines []string
	for _, e := range found.Events {
		if len(e.ID) > maxID || len(list.Events) == maxListed {
			continue
		}
		l := listedOf(len(list.Events)+1, e, maxTitle)
		list.Events = append(list.Events, l)
		lines = append(lines, fmt.Sprintf("%d. %s", l.N, l.line()))
	}
	switch {
	case len(lines) == 0 && len(t.chat.Hosts) == 0:
		lines = append(lines, "I know no host yet. Send me the address of one, such as https://events.example.org/mcp/users/…")
	case len(lines) == 0:
		lines = append(lines, "There are no such events.")
	case list.More:
		lines = append(lines, "There are more; say what you look for.")
	}
	for _, u := range found.Unreachable {
		lines = append(lines, u.Host+" did not answer: "+u.Error)
	}
	t.events = list.Events
	t.show(kindEvents, strings.Join(lines, "\n"), list)
}

// base is the name of a Host's tool without what makes it unique at the desk.
func base(tool string) string {
	if cut := strings.TrimRight(tool, "0123456789"); len(cut) < len(tool) && strings.HasSuffix(cut, "_") {
		return cut[:len(cut)-1]
	}
	return tool
}

// present shows what a tool has answered, where there is something to be seen.
func (t *turn) present(approval int64, tool string, r guest.Result) {
	if r.Failed {
		return
	}
	switch base(tool) {
	case "find_events":
		presentAs(t, r, t.showEvents)
	case "my_rsvps":
		presentAs(t, r, t.showBookings)
	case "wallet":
		presentAs(t, r, t.showFunds)
	case "spending":
		presentAs(t, r, t.showSpending)
	case "rsvp_to_event", "cancel_rsvp":
		presentAs(t, r, func(rsvp guest.RSVP) { t.booked(approval, r, rsvp) })
	default:
		if approval != 0 { // it was paid for, whatever it is
			t.receipt(approval, receipt{Host: r.Host, Title: clip(tool, maxID), Status: "paid", USD: r.Paid.USD(), PayTo: r.PayTo.String()})
		}
	}
}

func presentAs[T any](t *turn, r guest.Result, show func(T)) {
	var v T
	if err := json.Unmarshal(r.Structured, &v); err != nil {
		t.fail("host", "The host's answer is not what its tools promise.")
		return
	}
	show(v)
}

func (t *turn) showBookings(b guest.Bookings) {
	b.RSVPs = b.RSVPs[:min(len(b.RSVPs), maxListed)]
	lines := []string{}
	for i, r := range b.RSVPs {
		lines = append(lines, fmt.Sprintf("%d. %s: %s, %d seat(s), $%s, RSVP %s", i+1, r.Status, r.Title, r.Seats, r.Price, r.ID))
	}
	if len(lines) == 0 {
		lines = append(lines, "You have booked nothing yet.")
	}
	t.show(kindRSVPs, strings.Join(lines, "\n"), b)
}

func (t *turn) showFunds(f guest.Funds) {
	text := fmt.Sprintf("Your wallet here is %s on %s", f.Address, f.Network)
	if f.USD != "" {
		text += fmt.Sprintf(", with $%s in USDC", f.USD)
	}
	if t.agent.Fund == nil && t.agent.Wallet == nil {
		text += ". To fund it, send USDC on that network to this address, little of it: the key is kept by this server."
	}
	t.show(kindWallet, text, f)
}

func (t *turn) showSpending(s guest.Spending) {
	text := fmt.Sprintf("Spent $%s in the last 24 hours. You are asked about each payment; none may be above $%s", s.Spent, s.PerPayment)
	if s.PerDay != "" {
		text += fmt.Sprintf(", all of a day together not above $%s", s.PerDay)
	}
	t.show(kindSpending, text+".", s)
}
