package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/events-concierge/concierge/server/guest"
)

// follow does what the rules have understood.
func (t *turn) follow(c command) {
	var err error
	switch c.verb {
	case verbHelp:
		t.say(help)
	case verbConnect:
		err = t.followConnect(c)
	case verbLeave:
		err = t.followLeave(c)
	case verbHosts:
		t.showHosts()
	case verbFind:
		err = t.tool("find_events", guest.Query{Query: c.words})
	case verbDetails:
		err = t.followDetails(c)
	case verbBook:
		err = t.followBook(c)
	case verbCancel:
		err = t.followCancel(c)
	case verbRSVPs:
		err = t.tool("my_rsvps", struct{}{})
	case verbWallet:
		err = t.tool("wallet", struct{}{})
	case verbSpending:
		err = t.tool("spending", struct{}{})
	default:
		t.say("I did not understand that. " + help)
	}
	if err != nil && t.ctx.Err() == nil {
		t.fail(codeOf(err), clip(err.Error(), maxDetail))
	}
}

// codeOf is how an error is known to clients.
func codeOf(err error) string {
	var refusal *guest.ToolError
	switch {
	case errors.As(err, new(*OverLimit)):
		return "over_limit"
	case errors.As(err, &refusal) && refusal.Code != "":
		return clip(refusal.Code, maxID)
	case errors.Is(err, errChoose):
		return "which"
	}
	return "failed"
}

// tool calls a tool, and returns why nothing came of it.
func (t *turn) tool(name string, args any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	r := t.use(name, raw)
	switch {
	case r.Approval != nil:
		return nil // the person has been asked
	case r.Err != nil:
		return errors.New(r.Note())
	case r.Failed:
		return r.Refusal()
	}
	return nil
}

func (t *turn) followConnect(c command) error {
	if c.url == "" {
		return errURL
	}
	t.progress("Connecting …")
	found, err := t.connect(c.url)
	if err != nil {
		return fmt.Errorf("there is no host that I can reach: %w", err)
	}
	t.showEvents(found)
	return nil
}

func (t *turn) followLeave(c command) error {
	if c.url == "" {
		return errURL
	}
	if err := t.leave(c.url); err != nil {
		return err
	}
	t.showHosts()
	return nil
}

func (t *turn) showHosts() {
	hosts := slices.Clone(t.chat.Hosts)
	text := strings.Join(hosts, "\n")
	if text == "" {
		text = "I know no host yet. Send me the address of one."
	}
	t.show(kindHosts, text, map[string]any{"hosts": hosts})
}

// listed returns the last list of events.
func (t *turn) listed() []listed {
	if t.events == nil {
		var last eventList
		t.last(kindEvents, &last)
		t.events = last.Events
	}
	return t.events
}

// last reads what was shown last of a kind, if there is something.
func (t *turn) last(kind string, into any) {
	kept, err := t.agent.Chats.Messages(t.agent.life, t.chat.ID)
	if err != nil {
		t.agent.Log.Error("a conversation can't be read", "err", err)
		return
	}
	for _, m := range slices.Backward(kept) {
		if m.Kind == kind {
			_ = json.Unmarshal(m.Data, into) // we have written it
			return
		}
	}
}

var errChoose = errors.New("which one?")

// event finds the event that is meant.
func (t *turn) event(c command) (listed, error) {
	last := t.listed()
	switch {
	case c.n > 0:
		if c.n > len(last) {
			return listed{}, fmt.Errorf("%w there is no number %d in the last list", errChoose, c.n)
		}
		return last[c.n-1], nil
	case c.id != "":
		for _, e := range last {
			if e.ID == c.id {
				return e, nil
			}
		}
		return t.eventByID(c.id)
	case c.words == "" && len(last) == 1:
		return last[0], nil
	case c.words == "":
		return listed{}, fmt.Errorf("%w say its number in the list, or words of its title", errChoose)
	}
	if e, ok := only(last, func(e listed) bool { return matches(e.Title, c.words) }); ok {
		return e, nil
	}
	desk, err := t.at(false)
	if err != nil {
		return listed{}, err
	}
	var found guest.Found
	if found, err = desk.FindEvents(t.ctx, guest.Query{Query: c.words}); err != nil {
		return listed{}, err
	}
	if len(found.Events) == 0 { // its words may stand in another order
		if found, err = desk.FindEvents(t.ctx, guest.Query{Limit: 100}); err != nil {
			return listed{}, err
		}
		found.Events = slices.DeleteFunc(found.Events, func(e guest.FoundEvent) bool { return !matches(e.Title, c.words) })
		found.More = false
	}
	if len(found.Events) == 1 && len(found.Events[0].ID) <= maxID {
		return listedOf(0, found.Events[0], maxDetail), nil
	}
	t.showEvents(found)
	return listed{}, errChoose
}

func (t *turn) eventByID(id string) (listed, error) {
	desk, err := t.at(false)
	if err != nil {
		return listed{}, err
	}
	for _, h := range desk.Hosts() {
		if e, err := h.Event(t.ctx, id); err == nil {
			return listedOf(0, guest.FoundEvent{Host: h.Address(), Event: e}, maxDetail), nil
		}
	}
	return listed{}, fmt.Errorf("no host here has an event %s", id)
}

// matches reports whether a title has all of the words in it.
func matches(title, words string) bool {
	title = strings.ToLower(title)
	for word := range strings.FieldsSeq(words) {
		if !strings.Contains(title, word) {
			return false
		}
	}
	return true
}

func only[T any](all []T, is func(T) bool) (one T, ok bool) {
	for _, v := range all {
		if !is(v) {
			continue
		}
		if ok {
			return one, false
		}
		one, ok = v, true
	}
	return one, ok
}

func (t *turn) followDetails(c command) error {
	e, err := t.event(c)
	if err != nil {
		return err
	}
	h, err := t.hostAt(e.Host)
	if err != nil {
		return err
	}
	return t.details(h, e.ID, e.N)
}

func (t *turn) followBook(c command) error {
	e, err := t.event(c)
	if err != nil {
		return err
	}
	name, err := t.toolOf(e.Host, "rsvp_to_event")
	if err != nil {
		return err
	}
	t.progress("Booking " + e.Title + " …")
	return t.tool(name, guest.Wish{EventID: e.ID, Seats: c.seats})
}

func (t *turn) followCancel(c command) error {
	desk, err := t.at(true)
	if err != nil {
		return err
	}
	all, err := desk.Bookings(t.ctx)
	if err != nil {
		return err
	}
	if c.n > 0 { // as they were shown: others may have come since
		var shown guest.Bookings
		t.last(kindRSVPs, &shown)
		if c.n <= len(shown.RSVPs) {
			c.id = shown.RSVPs[c.n-1].ID
		}
	}
	live := func(b guest.Booking) bool { return b.Status == "confirmed" || b.Status == "pending" }
	b, ok := only(all.RSVPs, func(b guest.Booking) bool {
		if c.id != "" {
			return b.ID == c.id || b.EventID == c.id && live(b)
		}
		return c.words != "" && live(b) && matches(b.Title, c.words)
	})
	if !ok {
		t.showBookings(all)
		return errChoose
	}
	name, err := t.toolOf(b.Host, "cancel_rsvp")
	if err != nil {
		return err
	}
	return t.tool(name, map[string]string{"rsvp_id": b.ID})
}
