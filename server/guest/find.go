package guest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// askWait is how long the answers of several Hosts are waited for.
const askWait = 10 * time.Second

// Query says which events to find; what is zero does not matter.
type Query struct {
	Query string `json:"query,omitempty"` // words in title, description or location
	From  string `json:"from,omitempty"`  // RFC 3339
	To    string `json:"to,omitempty"`    // RFC 3339
	Limit int    `json:"limit,omitempty"` // 0: 20
}

// Found is what several Hosts have answered.
type Found struct {
	Events      []FoundEvent `json:"events"`
	More        bool         `json:"more"` // there are more; narrow the query
	Unreachable []Unreached  `json:"unreachable,omitempty"`
}

// FoundEvent is an event and the Host it is of.
type FoundEvent struct {
	Host string `json:"host"` // its address
	Event
}

// Unreached is a Host that gave no answer.
type Unreached struct {
	Host  string `json:"host"`
	Error string `json:"error"`
}

// FindEvents asks all Hosts for events, and returns the earliest.
func (d *Desk) FindEvents(ctx context.Context, q Query) (Found, error) {
	if q.Limit <= 0 || q.Limit > 100 {
		q.Limit = 20
	}
	type page struct {
		events []FoundEvent
		more   bool
		err    error
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	hosts := d.Hosts()
	found := Found{Events: []FoundEvent{}}
	for i, p := range each(hosts, func(h *Host) (p page) {
		p.events, p.more, p.err = d.askForEvents(ctx, h, q)
		return p
	}) {
		if p.err != nil {
			found.Unreachable = append(found.Unreachable, Unreached{hosts[i].address, words(p.err.Error())})
		}
		for _, e := range p.events { // of its Host and of a shared server, it is the same one
			if !slices.ContainsFunc(found.Events, func(f FoundEvent) bool { return f.Host == e.Host && f.ID == e.ID }) {
				found.Events = append(found.Events, e)
			}
		}
		found.More = found.More || p.more
	}
	slices.SortStableFunc(found.Events, func(a, b FoundEvent) int { return cmp.Compare(a.start().Unix(), b.start().Unix()) })
	if len(found.Events) > q.Limit {
		found.Events, found.More = found.Events[:q.Limit], true
	}
	return found, nil
}

// askForEvents asks one Host for events. One that lists none of its own and finds
// those of others is a server's shared one: it says of each where it can be booked,
// and that is the event's Host. No other Host is believed to speak for others.
func (d *Desk) askForEvents(ctx context.Context, h *Host, q Query) (events []FoundEvent, more bool, err error) {
	var out struct {
		Events []struct {
			Event
			Host struct {
				URL string `json:"mcp_url"`
			} `json:"host"`
		} `json:"events"`
		Next string `json:"next_cursor"`
	}
	shared := d.isShared(ctx, h)
	tool := "list_events"
	if shared {
		tool = "find_events"
	}
	if err := h.ask(ctx, tool, q, &out); err != nil {
		return nil, false, err
	}
	for _, e := range out.Events[:min(len(out.Events), q.Limit)] {
		found := FoundEvent{h.address, e.Event}
		if shared {
			u, err := url.Parse(e.Host.URL)
			if err != nil || len(e.Host.URL) > maxFoundURL || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
				continue
			}
			found.Host = u.String()
		}
		events = append(events, found)
	}
	return events, out.Next != "", nil
}

// maxFoundURL bounds the address of a Host that another one names.
const maxFoundURL = 500

// isShared reports whether a Host finds the events of others, and has none itself.
func (d *Desk) isShared(ctx context.Context, h *Host) bool {
	d.refresh(listStale, listFresh)
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lists[h]
	if l == nil {
		return false
	}
	if asking := l.asking; !l.known && asking != nil {
		d.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
		}
		d.mu.Lock()
	}
	has := func(name string) bool {
		return slices.ContainsFunc(l.tools, func(t *sdk.Tool) bool { return t.Name == name })
	}
	return has("find_events") && !has("list_events")
}

// HostOf returns the Host that has an event: the only Host there is, or the only
// one that says it has it, for any Host can say so.
func (d *Desk) HostOf(ctx context.Context, eventID string) (*Host, error) {
	hosts := d.Hosts()
	if len(hosts) == 1 {
		return hosts[0], nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	var with *Host
	var errs []error
	for i, err := range each(hosts, func(h *Host) error {
		_, err := h.Event(ctx, eventID)
		return err
	}) {
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", hosts[i].address, err))
		case with != nil:
			return nil, errors.New("several hosts say that they have this event; say which one is meant")
		default:
			with = hosts[i]
		}
	}
	if with == nil {
		return nil, fmt.Errorf("%w: %w", ErrNoHost, errors.Join(errs...))
	}
	return with, nil
}

// start is when an event begins; what can't be read is long ago.
func (e Event) start() time.Time {
	t, _ := time.Parse(time.RFC3339, e.StartsAt)
	return t
}

// Bookings are the RSVPs made from a wallet.
type Bookings struct {
	RSVPs []Booking `json:"rsvps"`
}

// Booking is an RSVP as it was kept, and as its Host tells it now.
type Booking struct {
	Host     string `json:"host"`
	ID       string `json:"id"`
	EventID  string `json:"event_id"`
	Title    string `json:"title,omitempty"`
	Seats    int    `json:"seats"`
	Price    string `json:"price"` // USD, of all seats
	Status   string `json:"status"`
	BookedAt string `json:"booked_at"`
	Error    string `json:"error,omitempty"` // why status is not of now
}

// MaxBookings is how many RSVPs [Desk.Bookings] returns.
const MaxBookings = 50

// Bookings returns the last RSVPs, and asks the Hosts that are at the Desk what
// has become of them.
func (d *Desk) Bookings(ctx context.Context) (Bookings, error) {
	kept, err := d.Purse.RSVPs(ctx, payerOf(d.Wallet), MaxBookings)
	if err != nil {
		return Bookings{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	all := Bookings{RSVPs: []Booking{}}
	for _, k := range kept {
		all.RSVPs = append(all.RSVPs, Booking{Host: k.Host, ID: k.ID, EventID: k.EventID, Title: k.Title, Seats: k.Seats, Price: k.Amount.USD(),
			Status: k.Status, BookedAt: k.BookedAt.Format(time.RFC3339)})
	}
	// A Host at a time, for its limits' sake; the Hosts beside each other.
	each(d.Hosts(), func(h *Host) (none struct{}) {
		for i := range all.RSVPs {
			b := &all.RSVPs[i]
			if b.Host != h.address {
				continue
			}
			now, err := h.RSVP(ctx, b.ID)
			if err != nil {
				b.Error = words(err.Error())
				continue
			}
			if b.Status = words(now.Status); b.Status != kept[i].Status {
				kept[i].Status = b.Status
				_ = d.Purse.KeepRSVP(ctx, kept[i]) // it is asked for again next time
			}
		}
		return none
	})
	return all, nil
}
