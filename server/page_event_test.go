package server_test

import (
	"encoding/csv"
	"fmt"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/guest"
)

// signedIn is a browser of a user's.
func (w *world) signedIn(t *testing.T, user string) *browser {
	t.Helper()
	b := newBrowser(t, w.base)
	secret, err := w.hosts.NewSession(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(w.base)
	if err != nil {
		t.Fatal(err)
	}
	b.http.Jar.(*cookiejar.Jar).SetCookies(u, []*http.Cookie{{Name: "concierge_session", Value: secret, Path: "/"}})
	return b
}

// hidden returns a hidden field of a form.
func (p page) hidden(t *testing.T, name string) string {
	t.Helper()
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(p.body)
	if m == nil {
		t.Fatalf("there is no field %s in\n%s", name, p.body)
	}
	return html.UnescapeString(m[1])
}

func TestOwnersEvents(t *testing.T) {
	h := newHouse(t, server.Registration{})
	b := h.signIn("ada@example.org")
	b.shows("nothing yet", b.get("/my-mcp/events"), 200, "There are no events to come")
	form := b.get("/my-mcp/events/new")
	key := form.hidden(t, "key")
	day := h.clock().AddDate(0, 1, 0).Format(time.DateOnly)
	hostile := `<script>alert(1)</script> مرحبا ` + strings.Repeat("x", 100)
	fields := []string{"key", key, "title", hostile, "description", "One\r\n\r\nTwo", "starts_date", day, "starts_time", "19:30", "ends_time", "21:00",
		"time_zone", "Europe/Berlin", "location", "The garden", "capacity", "8", "price", "$2.50", "visibility", "unlisted"}
	with := func(changes ...string) []string { return append(append([]string{}, fields...), changes...) }

	b.shows("a preview", b.post("/my-mcp/events/new", with("do", "preview")...), 200, "&lt;script&gt;alert(1)", "$2.50", "8 left", "In no list")
	b.shows("the part of a preview", b.post("/my-mcp/events/preview", fields...), 200, "preview-title", "&lt;script&gt;", "<p>Two</p>")
	for name, c := range map[string]struct {
		change []string
		words  string
	}{
		"no title":      {[]string{"title", " "}, "Give the event a title."},
		"no day":        {[]string{"starts_date", ""}, "Say on which day"},
		"no date":       {[]string{"starts_date", "tomorrow"}, "Write the day as"},
		"the past":      {[]string{"starts_date", "2020-01-01"}, "This has passed."},
		"ends before":   {[]string{"ends_time", "18:00"}, "The end is not after the start."},
		"no zone":       {[]string{"time_zone", "Mars/Base"}, "This time zone is unknown."},
		"seats":         {[]string{"capacity", "many"}, "Write a whole number"},
		"price":         {[]string{"price", "five"}, "The price is not usable."},
		"cancel a day":  {[]string{"cancel_date", day}, "Say both a day and a time"},
		"visibility":    {[]string{"visibility", "x"}, "Who may find it is unknown."},
		"a gap":         {[]string{"starts_date", gap(h.clock()), "starts_time", "02:30", "ends_time", ""}, "the clocks go forward from 02:00 to 03:00"},
		"a fold":        {[]string{"starts_date", fold(h.clock()), "starts_time", "02:30", "ends_time", ""}, "it is 02:30 twice"},
		"another form":  {[]string{"key", "x"}, "The form is incomplete"},
		"a long title":  {[]string{"title", strings.Repeat("ü", 201)}, "The title has 201 characters"},
		"control chars": {[]string{"location", "a\x00b"}, "The place must be one line"},
	} {
		p := b.post("/my-mcp/events/new", with(c.change...)...)
		b.shows(name, p, 400, html.EscapeString(c.words), `value="The garden"`[:7], "aria-")
	}

	made := b.post("/my-mcp/events/new", fields...)
	path := "/my-mcp/events/evt_" + key
	b.to("made", made, path+"?done=unlisted")
	b.to("sent twice", b.post("/my-mcp/events/new", fields...), path+"?done=unlisted")
	b.shows("another by the same form", b.post("/my-mcp/events/new", with("title", "Other")...), 409, "has been made already")
	list := b.get("/my-mcp/events")
	b.shows("the list", list, 200, "&lt;script&gt;", "unlisted", "0 seats taken of 8, 8 left")
	if n := strings.Count(list.body, `<li class="card">`); n != 1 {
		t.Errorf("%d events", n)
	}
	b.shows("found", b.get("/my-mcp/events?q=GARDEN"), 200, "&lt;script&gt;")
	b.shows("not found", b.get("/my-mcp/events?q=%25"), 200, "No event of these has that")
	b.shows("the event", b.get(path+"?done=unlisted"), 200, "Whoever has its link", "/u/", "Book one seat of the event evt_"+key, "Nobody has booked yet")

	// Two tabs: the second is told what the first has kept.
	edit := b.get(path + "/edit")
	b.shows("edit", edit, 200, `value="19:30"`, `value="21:00"`, `value="8"`, `value="2.50"`)
	revision := edit.hidden(t, "revision")
	kept := with("revision", revision, "price", "2.50", "ends_date", day)
	b.to("the first tab", b.post(path+"/edit", append(kept, "title", "Tea")...), path+"?done=changed")
	second := b.post(path+"/edit", append(kept, "location", "The hall")...)
	b.shows("the second tab", second, 409, "was changed since you opened this form", "Kept now: <q", ">Tea</q>", ">The garden</q>", `value="The hall"`)
	b.to("the second tab, after reading", b.post(path+"/edit", append(kept, "location", "The hall", "title", "Tea", "revision", second.hidden(t, "revision"))...), path+"?done=changed")
	b.shows("both", b.get(path), 200, "Tea", "The hall")
	b.shows("a duplicate", b.get("/my-mcp/events/new?like=evt_"+key), 200, `value="Tea"`, `value="The hall"`)

	b.to("to be asked", b.post(path+"/cancel"), path+"?ask=cancel#cancel")
	b.shows("asked", b.get(path+"?ask=cancel"), 200, "Nobody has booked it", "This can&#39;t be undone"[:8])
	b.to("cancelled", b.post(path+"/cancel", "sure", "yes"), path+"?done=cancelled")
	b.shows("among the cancelled", b.get("/my-mcp/events?show=cancelled"), 200, "Tea")
	b.shows("too late", b.post(path+"/edit", kept...), 409)
	b.shows("no such event", b.get("/my-mcp/events/evt_none"), 404, "There is nothing here")
	b.shows("no such list", b.get("/my-mcp/events?show=x"), 400, "There is no such list")

	// Another owner sees none of it.
	other := h.signIn("bob@example.org")
	for _, p := range []string{"", "/edit", "/rsvps.csv"} {
		other.shows("another owner", other.get(path+p), 404)
	}
	nobody := newBrowser(t, h.base)
	for _, p := range []string{"/my-mcp/events", "/my-mcp/events/new", path, "/my-mcp/check-in", "/my-mcp/revenue"} {
		if got := nobody.get(p); got.status != 303 || !strings.HasPrefix(got.location, "/sign-in") {
			t.Errorf("%s: %d %s", p, got.status, got.location)
		}
	}
	if p := b.do("POST", path+"/cancel", url.Values{"sure": {"yes"}}, "Origin", "https://evil.example.org", "Sec-Fetch-Site", "cross-site"); p.status != 403 {
		t.Errorf("from another site: %d", p.status)
	}
}

// gap and fold are the days of the next changes of the clocks in Berlin.
func gap(now time.Time) string  { return clockChange(now, time.March) }
func fold(now time.Time) string { return clockChange(now, time.October) }

func clockChange(now time.Time, month time.Month) string {
	t := time.Date(now.Year()+1, month, 31, 0, 0, 0, 0, time.UTC)
	return t.AddDate(0, 0, -int(t.Weekday())).Format(time.DateOnly)
}

// A time that there is twice is the one that was chosen, and stays so in the form.
func TestFoldIsChosen(t *testing.T) {
	h := newHouse(t, server.Registration{})
	b := h.signIn("ada@example.org")
	for choice, zone := range map[string]string{"1": "CEST", "2": "CET"} {
		key := b.get("/my-mcp/events/new").hidden(t, "key")
		fields := []string{"key", key, "title", "Late", "starts_date", fold(h.clock()), "starts_time", "02:30", "time_zone", "Europe/Berlin"}
		b.shows("asked", b.post("/my-mcp/events/new", fields...), 400, `name="starts_choice" value="1"`, "02:30 CEST", "02:30 CET")
		path := "/my-mcp/events/evt_" + key
		b.to("chosen", b.post("/my-mcp/events/new", append(fields, "starts_choice", choice)...), path+"?done=created")
		b.shows("shown", b.get(path), 200, "02:30 "+zone)
		edit := b.get(path + "/edit")
		if got := edit.hidden(t, "starts_choice"); got != choice {
			t.Errorf("the form says %s, want %s", got, choice)
		}
		b.to("kept", b.post(path+"/edit", append(fields, "starts_choice", choice, "title", "Later", "price", "0.00", "visibility", "public", "revision", edit.hidden(t, "revision"))...), path+"?done=changed")
		b.shows("still", b.get(path), 200, "02:30 "+zone, "Later")
	}
}

// Guests pay on the chain; their owner sees who they are, checks them in, and sees
// the same money in sums, chart, tables and files.
func TestGuestsAndRevenue(t *testing.T) {
	w := newWorld(t)
	o, other := w.register("owner@example.org"), w.register("other@example.org")
	event := w.event(o, map[string]any{"title": "Opera", "price": "2.50"})
	second := w.event(o, map[string]any{"title": "=Tea", "price": "1"})
	b := w.signedIn(t, o.User)
	var ids []string
	for n, name := range []string{"=HYPERLINK(\"https://evil.example.org\")", `<b>Zoë</b>`, "Kim"} {
		g := w.guest(o, w.wallet(10*x402.USD), "")
		booked, err := g.Book(t.Context(), guest.Wish{EventID: event, Name: name, Email: fmt.Sprintf("guest%d@example.org", n)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, booked.RSVP.ID)
		if n == 0 {
			if _, err := g.Book(t.Context(), guest.Wish{EventID: second, Seats: 2}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r, code := w.rsvp(o, "cancel_rsvp", ids[2]); code != "" || r.Status != "refunded" {
		t.Fatalf("%s %+v", code, r)
	}
	w.agree(o, "7.00", "2.50", "0.00")

	path := "/my-mcp/events/" + event
	b.shows("guests", b.get(path), 200, "&lt;b&gt;Zoë&lt;/b&gt;", "guest0@example.org", "$2.50", "paid back", "$5.00", "Check in &lt;b&gt;")
	for query, want := range map[string]int{"q=ZO%C3%8B": 1, "q=guest": 3, "q=nobody": 0, "q=" + ids[1]: 1, "show=refunded": 1, "show=confirmed&q=%3C": 1, "show=here": 0, "show=expected": 2} {
		if p := b.get(path + "?" + query); p.status != 200 || strings.Count(p.body, `<th scope="row">`) != want {
			t.Errorf("%s: %d with %d guests, want %d", query, p.status, strings.Count(p.body, `<th scope="row">`), want)
		}
	}
	b.to("checked in", b.post(path+"/check-in?q=Zo&show=", "rsvp", ids[1]), path+"?done=here&q=Zo&show=#guests")
	b.to("once more", b.post(path+"/check-in", "rsvp", ids[1]), path+"?done=before#guests")
	b.shows("of another event", b.post("/my-mcp/events/"+second+"/check-in", "rsvp", ids[0]), 404)
	b.shows("of one who does not come", b.post(path+"/check-in", "rsvp", ids[2]), 403)
	b.shows("here", b.get(path+"?show=here"), 200, "Zoë")

	door := func(ticket, at string, words ...string) {
		t.Helper()
		b.shows("the door: "+ticket, b.post("/my-mcp/check-in", "ticket", ticket, "event", at), 200, words...)
	}
	door(ids[1], "", "Already checked in", "&lt;b&gt;Zoë", "Opera")
	door(w.base+"/u/"+o.User+"/rsvps/"+ids[0], second, "For another event", "Opera")
	door(" "+w.base+"/u/"+o.User+"/rsvps/"+ids[0]+"\n", event, "Welcome", "1 seat")
	door(w.base+"/u/"+other.User+"/rsvps/"+ids[0], "", "Not your ticket")
	door(ids[2], "", "Cancelled")
	door("rsvp_nothing", "", "Unknown")
	door("https://example.org/", "", "Not a ticket")
	door("<script>", "", "Not a ticket")

	b.shows("revenue", b.get("/my-mcp/revenue"), 200, "<dd>$7.00</dd>", "<dd>$2.50</dd>", "<svg viewBox", `class="bar settled"`, `class="bar refunded"`,
		"Opera", "=Tea", `<td class="number">$5.00</td>`, `<td class="number">$2.00</td>`)
	for _, per := range []string{"week", "month"} {
		b.shows("by "+per, b.get("/my-mcp/revenue?per="+per), 200, `class="bar settled"`)
	}
	b.shows("long ago", b.get("/my-mcp/revenue?from=2020-01-01&to=2020-02-01"), 200, "Nothing was paid between these days", "<dd>$7.00</dd>")
	b.shows("too many days", b.get("/my-mcp/revenue?from=2020-01-01"), 200, "There are more than 400")
	b.shows("no date", b.get("/my-mcp/revenue?from=x"), 400, "That is no date")

	guests := w.csv(b, path+"/rsvps.csv", 4)
	if guests[1][0] != ids[0] || guests[1][1] != `'=HYPERLINK("https://evil.example.org")` || guests[2][1] != "<b>Zoë</b>" || guests[2][6] == "" ||
		guests[1][8] != "2.50" || guests[3][4] != "refunded" || len(guests[3][12]) != 66 {
		t.Errorf("%q", guests)
	}
	payments := w.csv(b, "/my-mcp/revenue.csv", 5)
	sums := map[string]x402.Amount{}
	for _, row := range payments[1:] {
		amount, err := x402.ParseAtomic(row[6])
		if err != nil || amount.USD() != row[5] || len(row[9]) != 66 {
			t.Errorf("%q, %v", row, err)
		}
		sums[row[7]] += amount
	}
	if sums["settled"] != 7*x402.USD || sums["refunded"] != 2_500_000 || payments[2][2] != "'=Tea" {
		t.Errorf("%v in %q", sums, payments)
	}
	w.csv(b, "/my-mcp/revenue.csv?from=2020-01-01&to=2020-02-01", 1)

	b.shows("asked", b.get(path+"?ask=cancel"), 200, "2 bookings are cancelled with it, and $5.00")
	b.to("cancelled", b.post(path+"/cancel", "sure", "yes"), path+"?done=cancelled")
	b.shows("owed", b.get("/my-mcp/revenue"), 200, `class="bar owed"`, "<dd>$5.00</dd>", `<span class="badge owed">`)
	for range 2 {
		if err := w.hosts.Cashier.Reconcile(t.Context()); err != nil {
			t.Error(err)
		}
	}
	w.agree(o, "2.00", "7.50", "0.00")
	b.shows("paid back", b.get("/my-mcp/revenue"), 200, "<dd>$7.50</dd>", "<p class=\"muted\">None.</p>")
}

// csv loads a file with so many rows.
func (w *world) csv(b *browser, path string, rows int) [][]string {
	w.t.Helper()
	p := b.get(path)
	text, marked := strings.CutPrefix(p.body, "\uFEFF")
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if p.status != 200 || !marked || err != nil || len(all) != rows || !strings.HasPrefix(p.header.Get("Content-Disposition"), "attachment") {
		w.t.Fatalf("%s: %d, %d rows, want %d, %v\n%s", path, p.status, len(all), rows, err, p.body)
	}
	return all
}
