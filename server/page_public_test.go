package server_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	ical "github.com/emersion/go-ical"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
)

// cast is a world with an owner and a browser that is nobody's.
func cast(t *testing.T) (*world, owner, *browser) {
	w := newWorld(t)
	return w, w.register("ada@example.org"), newBrowser(t, w.base)
}

func (o owner) page(rest ...string) string {
	return strings.Join(append([]string{"/u/" + o.User}, rest...), "/")
}

// asOwner signs a browser in.
func (b *browser) asOwner(o owner) {
	b.t.Helper()
	if p := b.post("/sign-in/token", "token", o.Token); p.status != http.StatusSeeOther {
		b.t.Fatalf("signing in: %d\n%.400s", p.status, p.body)
	}
}

var formID = regexp.MustCompile(`name="id" value="(rsvp_[0-9a-f]{44})"`)

// form opens an event's page and returns the id of its form.
func (b *browser) form(path string) string {
	b.t.Helper()
	found := formID.FindStringSubmatch(b.get(path).body)
	if found == nil {
		b.t.Fatalf("%s has no form", path)
	}
	return found[1]
}

func TestHostPage(t *testing.T) {
	w, o, b := cast(t)
	b.shows("an empty host", b.get(o.page()), 200, "There is nothing to come", o.URL, "webcal://", "/events.ics")
	w.event(o, map[string]any{"title": "Tea <b>time</b>", "price": "2.50"})
	w.event(o, map[string]any{"title": "Opera", "capacity": 7})
	hidden := w.event(o, map[string]any{"title": "Hidden", "visibility": "unlisted"})
	p := b.get(o.page())
	b.shows("events", p, 200, "Tea &lt;b&gt;time&lt;/b&gt;", "$2.50", "Opera", "7 left", "Free")
	if strings.Contains(p.body, "Hidden") {
		t.Error("an unlisted event is listed")
	}
	b.shows("its own page", b.get(o.page(hidden)), 200, "Hidden", "unlisted")
	p = b.get(o.page() + "?q=opera")
	b.shows("a search", p, 200, "Opera", `value="opera"`)
	if strings.Contains(p.body, "Tea") {
		t.Error("a search found what was not asked for")
	}
	b.shows("nothing found", b.get(o.page()+"?q="+url.QueryEscape(`"<script>' OR 1=1`)), 200, "Nothing here has these words")
	b.shows("no past", b.get(o.page()+"?past"), 200, "Nothing has taken place")
	w.later(72 * time.Hour)
	b.shows("past", b.get(o.page()+"?past"), 200, "Opera", "Tea")
	b.shows("a cursor of nobody's", b.get(o.page()+"?cursor=x"), 400, "cursor")
	b.shows("no host", b.get("/u/aaaaaaaaaaaaaaaaaaaaaaaaaa"), 404, "There is no host at this address")
	b.shows("no event", b.get(o.page("evt_none")), 404, "This host has no such event")
	b.shows("no ticket", b.get(o.page("rsvps", "rsvp_none")), 404, "There is no ticket")
}

func TestHostPagePages(t *testing.T) {
	w, o, b := cast(t)
	for range 25 {
		w.event(o, nil)
	}
	first := b.get(o.page())
	if n := strings.Count(first.body, `class="card event"`); n != 24 {
		t.Errorf("%d on the first page", n)
	}
	next := regexp.MustCompile(`href="(\?cursor=[^"]+)" rel="next"`).FindStringSubmatch(first.body)
	if next == nil {
		t.Fatal("there is no next page")
	}
	second := b.get(o.page() + html.UnescapeString(next[1]))
	if n := strings.Count(second.body, `class="card event"`); n != 1 {
		t.Errorf("%d on the second page", n)
	}
	b.shows("the second page", second, 200, "First page")
}

func TestEventPage(t *testing.T) {
	w, o, b := cast(t)
	hostile := `</script><script>alert("no")</script>`
	id := w.event(o, map[string]any{"title": hostile, "description": "See https://example.org/a?b=1&c=2.\n\n" + hostile + strings.Repeat("🎉", 9000),
		"starts_at": "2034-03-25T20:00:00+01:00", "ends_at": "2034-03-26T04:00:00+02:00", "time_zone": "Europe/Berlin",
		"location": `"><img src=x>`, "price": "2.50", "capacity": 3})
	status, raw := w.raw("GET", o.page(id), "", nil)
	head := string(raw)
	if status != 200 || strings.Contains(head, "<script>alert") || strings.Contains(head, "<img") {
		t.Fatalf("%d\n%s", status, head)
	}
	for _, want := range []string{
		`<link rel="canonical" href="` + w.base + o.page(id) + `">`, `property="og:title"`, `property="og:description"`, `/poster.png">`,
		`<link rel="alternate" type="text/calendar"`, "Sat, 25 Mar 2034, 20:00 CET – Sun, 26 Mar 2034, 04:00 CEST",
		`<a rel="nofollow noopener ugc" href="https://example.org/a?b=1&amp;c=2">`, "calendar.google.com", "3 of 3 seats left", "$2.50",
		"Book 1 seat at the event " + id + " of the MCP server " + o.URL,
	} {
		if !strings.Contains(head, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if strings.Contains(head, `id="book"`) {
		t.Error("an event with a price has a form")
	}
	linked := regexp.MustCompile(`(?s)<script type="application/ld\+json"[^>]*>(.*?)</script>`).FindStringSubmatch(head)
	if linked == nil {
		t.Fatal("there is no JSON-LD")
	}
	var e struct {
		Type   string `json:"@type"`
		Name   string
		Start  string `json:"startDate"`
		Status string `json:"eventStatus"`
		Offers struct{ Price, PriceCurrency, Availability string }
	}
	if err := json.Unmarshal([]byte(linked[1]), &e); err != nil || e.Type != "Event" || e.Name != hostile || e.Start != "2034-03-25T20:00:00+01:00" ||
		e.Status != "https://schema.org/EventScheduled" || e.Offers.Price != "2.50" || e.Offers.PriceCurrency != "USD" || e.Offers.Availability != "https://schema.org/InStock" {
		t.Errorf("%v, %+v of %s", err, e, linked[1])
	}
	b.asOwner(o)
	b.shows("to its owner", b.get(o.page(id)), 200, "/my-mcp/events/"+id)
	other := w.register("bob@example.org")
	stranger := newBrowser(t, w.base)
	stranger.asOwner(other)
	if strings.Contains(stranger.get(o.page(id)).body, "/my-mcp/events/") {
		t.Error("another owner is shown how to manage it")
	}
}

func TestBookingInABrowser(t *testing.T) {
	w, o, b := cast(t)
	id := w.event(o, map[string]any{"title": "A walk", "capacity": 3})
	form := b.form(o.page(id))
	for name, c := range map[string]struct {
		fields []string
		want   string
	}{
		"too many seats": {[]string{"seats", "99"}, "Choose a whole number from 1 to 3"},
		"no number":      {[]string{"seats", "two"}, "Choose a whole number"},
		"no email":       {[]string{"seats", "1", "email", "ada"}, "That is no email address"},
		"a long name":    {[]string{"seats", "1", "name", strings.Repeat("n", 201)}, "Write a name on one line"},
	} {
		p := b.post(o.page(id), append(c.fields, "id", form)...)
		b.shows(name, p, 422, c.want, form, `value="`+c.fields[len(c.fields)-1]+`"`, `aria-invalid="true"`)
	}
	b.shows("not enough seats", b.post(o.page(id), "id", form, "seats", "4", "name", "<Ada>"), 409, "not enough seats left", "&lt;Ada&gt;")
	b.shows("another site's form", b.do("POST", o.page(id), url.Values{"id": {form}}, "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site"), 403, "another site")

	ticket := o.page("rsvps", form)
	b.to("booked", b.post(o.page(id), "id", form, "seats", "2", "name", "<Ada>", "email", "ada@example.org"), ticket+"?done=booked")
	b.to("sent again", b.post(o.page(id), "id", form, "seats", "2", "name", "<Ada>", "email", "ada@example.org"), ticket+"?done=booked")
	b.to("sent with other seats", b.post(o.page(id), "id", form, "seats", "1"), ticket+"?done=again")
	again := b.form(o.page(id))
	b.shows("the same email", b.post(o.page(id), "id", again, "seats", "1", "email", "ADA@example.org"), 409, "booked already", `value="ADA@example.org"`)
	b.shows("no id", b.post(o.page(id), "seats", "1"), 422, "Open the event&#39;s page again")

	p := b.get(ticket + "?done=booked")
	b.shows("the ticket", p, 200, "You are booked", "2 seats", "confirmed", "&lt;Ada&gt;", "<svg class=\"qr\"", w.base+ticket, "Yes, cancel 2 seats")
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "same-origin", "Refresh": ""} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	b.to("cancelled", b.post(ticket+"/cancel"), ticket+"?done=cancelled")
	b.to("cancelled again", b.post(ticket+"/cancel"), ticket+"?done=cancelled")
	p = b.get(ticket + "?done=cancelled")
	b.shows("cancelled", p, 200, "The RSVP is cancelled", "badge cancelled")
	if strings.Contains(p.body, "qr") || strings.Contains(p.body, "/cancel") {
		t.Error("a cancelled ticket can be shown or cancelled")
	}
	for _, secret := range []string{form, "ada@example.org", o.Token} {
		if strings.Contains(w.logged(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

// A form that is sent many times at once books once.
func TestDoubleSubmit(t *testing.T) {
	w, o, b := cast(t)
	id := w.event(o, map[string]any{"capacity": 3})
	form := b.form(o.page(id))
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			b.to("sent", b.post(o.page(id), "id", form, "seats", "2"), o.page("rsvps", form)+"?done=booked")
		})
	}
	all.Wait()
	b.shows("the event", b.get(o.page(id)), 200, "1 of 3 seats left")
}

func TestCheckInByTicket(t *testing.T) {
	w, o, b := cast(t)
	id := w.event(o, nil)
	form := b.form(o.page(id))
	ticket := o.page("rsvps", form)
	b.to("booked", b.post(o.page(id), "id", form, "seats", "3"), ticket+"?done=booked")
	b.shows("a guest", b.post(ticket+"/check-in"), 403, "Only the host")
	b.asOwner(w.register("bob@example.org"))
	b.shows("another host", b.post(ticket+"/check-in"), 403, "Only the host")
	door := newBrowser(t, w.base)
	door.asOwner(o)
	door.shows("at the door", door.get(ticket), 200, "Check in 3 guests")
	door.to("checked in", door.post(ticket+"/check-in"), ticket+"?done=here")
	door.shows("checked in", door.get(ticket), 200, "Already checked in at")
	b.shows("checked in, to the guest", b.post(ticket+"/cancel"), 409, "has been checked in")
}

// A paid ticket shows the payment; a cancelled event that the money is back.
func TestPaidTicket(t *testing.T) {
	w, o, b := cast(t)
	id := w.event(o, map[string]any{"price": "2.50"})
	b.shows("a form for what has a price", b.post(o.page(id), "id", "rsvp_"+strings.Repeat("0", 44)), 403, "has a price now")
	booked, err := w.guest(o, w.wallet(10*x402.USD), "").Book(t.Context(), guest.Wish{EventID: id})
	if err != nil {
		t.Fatal(err)
	}
	ticket := o.page("rsvps", booked.RSVP.ID)
	b.shows("the ticket", b.get(ticket), 200, "$2.50 in USDC", booked.RSVP.Transaction, "goes back to the address that paid")
	b.to("cancelled", b.post(ticket+"/cancel"), ticket+"?done=cancelled")
	b.shows("the refund", b.get(ticket), 200, "Refund", "back")
}

func TestCalendars(t *testing.T) {
	w, o, b := cast(t)
	id := w.event(o, map[string]any{"title": "Supper; at eight", "starts_at": "2034-03-25T20:00:00+01:00", "ends_at": "2034-03-26T04:00:00+02:00", "time_zone": "Europe/Berlin"})
	hidden := w.event(o, map[string]any{"title": "Hidden", "visibility": "unlisted"})
	read := func(path string, events int) (*ical.Calendar, page) {
		t.Helper()
		p := b.get(path)
		c, err := ical.NewDecoder(strings.NewReader(p.body)).Decode()
		if err != nil || p.status != 200 || len(c.Events()) != events || p.header.Get("Content-Type") != "text/calendar; charset=utf-8" {
			t.Fatalf("%s: %d, %v\n%s", path, p.status, err, p.body)
		}
		return c, p
	}
	one := o.page(id + ".ics")
	before, p := read(one, 1)
	if got := p.header.Get("Content-Disposition"); got != `attachment; filename="supper-at-eight.ics"` {
		t.Error(got)
	}
	start, err := before.Events()[0].DateTimeStart(nil)
	if want := time.Date(2034, 3, 25, 19, 0, 0, 0, time.UTC); err != nil || !start.Equal(want) {
		t.Errorf("%v, %v", start, err)
	}
	read(o.page(hidden+".ics"), 1)
	_, p = read(o.page("events.ics"), 1)
	tag := p.header.Get("ETag")
	unchanged := func(path, tag string) bool {
		t.Helper()
		return b.do("GET", path, nil, "If-None-Match", tag).status == http.StatusNotModified
	}
	if !unchanged(o.page("events.ics"), tag) || unchanged(o.page("events.ics"), `W/"other"`) {
		t.Error("If-None-Match is not heeded")
	}
	b.form(o.page(hidden)) // a page, and no change
	if !unchanged(o.page("events.ics"), tag) {
		t.Error("the feed changed by itself")
	}
	if status := w.do("POST", o.URL[len(w.base):], o.Token, call("update_event", map[string]any{"event_id": id, "title": "Dinner"}), nil); status != 200 {
		t.Fatal(status)
	}
	if unchanged(o.page("events.ics"), tag) {
		t.Error("the feed is said not to have changed")
	}
	if status := w.do("POST", o.URL[len(w.base):], o.Token, call("cancel_event", map[string]any{"event_id": id}), nil); status != 200 {
		t.Fatal(status)
	}
	after, _ := read(one, 1)
	for name, want := range map[string]string{"STATUS": "CANCELLED", "SUMMARY": "Dinner", "UID": before.Events()[0].Props.Get("UID").Value, "SEQUENCE": "4"} {
		if got := after.Events()[0].Props.Get(name).Value; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if got := after.Props.Get("METHOD").Value; got != "CANCEL" {
		t.Error(got)
	}
	feed, _ := read(o.page("events.ics"), 1)
	if got := feed.Events()[0].Props.Get("STATUS").Value; got != "CANCELLED" {
		t.Error(got)
	}
	b.shows("the page of what is cancelled", b.get(o.page(id)), 200, "This event is cancelled", "Take it out of my calendar")
	b.shows("no event", b.get(o.page("evt_none.ics")), 404, "no such event")
	if status, raw := w.raw("GET", o.page("evt_none.ics"), "", nil); status != 404 || !strings.Contains(string(raw), `"code":"not_found"`) {
		t.Errorf("%d %s", status, raw)
	}
}

func call(tool string, arguments map[string]any) map[string]any {
	return map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": arguments}}
}
