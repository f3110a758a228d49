package tools_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// What is told of a client and its revision with each request of 2026-07-28.
const modern = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`

// asked is the answer to a request.
type asked struct {
	Result json.RawMessage
	Error  struct {
		Code    int
		Message string
		Data    struct{ URI string }
	}
}

// ask has a Host asked as a transport would, with params as JSON without their braces.
func ask(t *testing.T, c tools.Call, method, params string) (a asked) {
	t.Helper()
	s := tools.NewServer("test", testlog.New())
	ctx := tools.WithCall(t.Context(), &c)
	message := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s}}`, method, params)
	raw, err := json.Marshal(tools.Answered(ctx, s.HandleMessage(ctx, json.RawMessage(message))))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a asked) into(t *testing.T, out any) {
	t.Helper()
	if a.Error.Code != 0 {
		t.Fatalf("%d %s", a.Error.Code, a.Error.Message)
	}
	if err := json.Unmarshal(a.Result, out); err != nil {
		t.Fatal(err)
	}
}

// What clients see of the places is a file, as of the tools.
func TestPlacesGolden(t *testing.T) {
	h := mustHost(t)
	var all bytes.Buffer
	for _, q := range []struct{ method, params string }{
		{"initialize", `"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}`},
		{"server/discover", modern},
		{"resources/list", ""},
		{"resources/templates/list", ""},
		{"prompts/list", ""},
	} {
		a := ask(t, tools.Call{Host: h, Scope: store.ScopeOwner}, q.method, q.params)
		fmt.Fprintf(&all, "%s\n", q.method)
		if err := json.Indent(&all, a.Result, "", "  "); err != nil {
			t.Fatal(err)
		}
		all.WriteString("\n\n")
	}
	golden(t, "places.golden.txt", all.Bytes())
}

// resources returns the URIs of all that a caller is shown, page by page.
func resources(t *testing.T, c tools.Call) (uris []string) {
	t.Helper()
	for cursor, pages := "", 0; ; pages++ {
		var page struct {
			Resources  []struct{ URI, Title string }
			NextCursor string
		}
		ask(t, c, "resources/list", fmt.Sprintf(`"cursor":%q`, cursor)).into(t, &page)
		for _, r := range page.Resources {
			uris = append(uris, r.URI)
		}
		if cursor = page.NextCursor; cursor == "" || pages > 10 {
			return uris
		}
	}
}

func TestResourcesAreListed(t *testing.T) {
	h := mustHost(t)
	at := now
	h.Now = func() time.Time { return at }
	past := create(t, h, tools.CreateEventInput{StartsAt: now.Add(time.Hour).Format(time.RFC3339)})
	hidden := create(t, h, tools.CreateEventInput{Visibility: "unlisted"})
	want := []string{"event://u"}
	for i := range 230 {
		e := create(t, h, tools.CreateEventInput{StartsAt: now.AddDate(0, 0, 2+i).Format(time.RFC3339)})
		want = append(want, "event://u/"+e.ID)
	}
	at = now.Add(2 * time.Hour)
	if diff := cmp.Diff(want, resources(t, tools.Call{Host: h})); diff != "" {
		t.Error("guest", diff)
	}
	for _, scope := range []store.Scope{store.ScopeOwner, store.ScopeRead, store.ScopeCheckIn} {
		got := strings.Join(resources(t, tools.Call{Host: h, Scope: scope}), " ")
		if len(strings.Fields(got)) != 233 || !strings.Contains(got, past.ID) || !strings.Contains(got, hidden.ID) {
			t.Errorf("%s is shown %d", scope, len(strings.Fields(got)))
		}
	}
	for _, cursor := range []string{"%", "AAAA", base64.StdEncoding.EncodeToString([]byte("rsvp.1.x"))} {
		if a := ask(t, tools.Call{Host: h}, "resources/list", fmt.Sprintf(`"cursor":%q`, cursor)); a.Error.Code != -32602 {
			t.Errorf("cursor %q: %+v", cursor, a)
		}
	}
}

func read(t *testing.T, h *tools.Host, uri string) (mimeType, text string) {
	t.Helper()
	var out struct {
		Contents []struct{ URI, MIMEType, Text string }
	}
	ask(t, tools.Call{Host: h}, "resources/read", fmt.Sprintf(`"uri":%q`, uri)).into(t, &out)
	if len(out.Contents) != 1 || out.Contents[0].URI != uri {
		t.Fatalf("%s: %+v", uri, out)
	}
	return out.Contents[0].MIMEType, out.Contents[0].Text
}

// A resource is what the tool tells; and what everybody may get by its id, they may
// read.
func TestResourcesAreRead(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{Title: "Jazz <script>", Price: "0.05", Capacity: 3, Visibility: "unlisted"})
	var one tools.Event
	mimeType, text := read(t, h, "event://u/"+e.ID)
	if err := json.Unmarshal([]byte(text), &one); err != nil || mimeType != "application/json" {
		t.Fatal(mimeType, err)
	}
	if diff := cmp.Diff(e, one); diff != "" {
		t.Error(diff)
	}
	create(t, h, tools.CreateEventInput{Title: "Tea"})
	var list tools.ListEventsOutput
	if _, text = read(t, h, "event://u"); json.Unmarshal([]byte(text), &list) != nil || len(list.Events) != 1 || list.Events[0].Title != "Tea" {
		t.Error(text)
	}
	mimeType, text = read(t, h, "event://u/"+e.ID+".ics")
	if mimeType != "text/calendar" || !strings.Contains(text, "UID:"+e.ID+"@u\r\n") || !strings.Contains(text, "SEQUENCE:1\r\n") || !strings.Contains(text, "METHOD:PUBLISH") {
		t.Error(mimeType, text)
	}
	if _, err := h.Store.CancelEvent(t.Context(), e.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, text = read(t, h, "event://u/"+e.ID+".ics"); !strings.Contains(text, "METHOD:CANCEL") || !strings.Contains(text, "STATUS:CANCELLED") {
		t.Error(text)
	}
	if mimeType, text = read(t, h, "ui://events/cards"); mimeType != "text/html;profile=mcp-app" || !strings.HasPrefix(text, "<!doctype html>") {
		t.Errorf("%s %.40s", mimeType, text)
	}
}

// What is not there is told with the code that the client's revision has for it.
func TestUnknownResources(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{})
	for _, uri := range []string{"", "x", "event://", "event://u/", "event://u/none", "event://u/.ics", "event://u/none.ics", "event://v/" + e.ID,
		"event://u/" + e.ID + "/x", "event://u/" + e.ID + "?x", "ui://events/other", "file:///etc/passwd", "event://u/" + strings.Repeat("a", 5000),
		"event://u/" + strings.Repeat("%2e", 90), "event://u/é\u0000"} {
		for meta, code := range map[string]int{`"_meta":{}`: -32002, modern: -32602} {
			for _, call := range []tools.Call{{Host: h}, {Host: h, Scope: store.ScopeOwner}} {
				quoted, _ := json.Marshal(uri)
				a := ask(t, call, "resources/read", fmt.Sprintf(`"uri":%s,%s`, quoted, meta))
				if a.Error.Code != code || !strings.Contains(a.Error.Message, "resources/list") || !strings.HasPrefix(uri, a.Error.Data.URI) {
					t.Errorf("%.60q: %+v", uri, a)
				}
			}
		}
	}
}

// A Host whose requests are used up tells nothing more, here as by its tools.
func TestPlacesAreLimited(t *testing.T) {
	c := tools.Call{Host: mustHost(t), Spent: tools.OverLimit("Enough.", time.Minute)}
	for method, params := range map[string]string{"resources/list": "", "resources/read": `"uri":"event://u"`, "prompts/get": `"name":"find_something_to_do"`,
		"completion/complete": `"ref":{"type":"ref/prompt","name":"find_something_to_do"},"argument":{"name":"where","value":""}`} {
		if a := ask(t, c, method, params); !strings.Contains(a.Error.Message, "Enough.") {
			t.Errorf("%s: %+v", method, a)
		}
	}
}

// Over HTTP the older revisions have no session to subscribe in, and are not told
// that there is one.
func TestSubscribeWithoutASession(t *testing.T) {
	h := mustHost(t)
	create(t, h, tools.CreateEventInput{})
	var hello struct {
		Capabilities struct {
			Resources struct{ Subscribe, ListChanged bool }
		}
	}
	ask(t, tools.Call{Host: h}, "initialize", `"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}`).into(t, &hello)
	if hello.Capabilities.Resources.Subscribe || hello.Capabilities.Resources.ListChanged {
		t.Errorf("%+v", hello)
	}
	for _, method := range []string{"resources/subscribe", "resources/unsubscribe"} {
		if a := ask(t, tools.Call{Host: h}, method, `"uri":"event://u"`); a.Error.Code != -32601 {
			t.Errorf("%s: %+v", method, a)
		}
	}
	c := tools.Call{Host: h}
	c.Session = c.NewWatch()
	ask(t, c, "initialize", `"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}`).into(t, &hello)
	if !hello.Capabilities.Resources.Subscribe || !hello.Capabilities.Resources.ListChanged {
		t.Errorf("%+v", hello)
	}
	if a := ask(t, c, "resources/subscribe", `"uri":"event://u/none"`); a.Error.Code != -32002 {
		t.Errorf("%+v", a)
	}
}

// A watch tells of what can be read, not of how it is kept: of seats, of what is
// over by now, and never of one thing twice.
func TestWatch(t *testing.T) {
	h := mustHost(t)
	at := now
	h.Now = func() time.Time { return at }
	e := create(t, h, tools.CreateEventInput{Capacity: 2})
	other := create(t, h, tools.CreateEventInput{Title: "Another", StartsAt: now.Add(time.Hour).Format(time.RFC3339)})
	guest := tools.Call{Host: h}
	w := guest.NewWatch()
	one, ics := "event://u/"+e.ID, "event://u/"+e.ID+".ics"
	for _, uri := range []string{one, ics} {
		if err := w.Add(t.Context(), uri); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.AddList(t.Context()); err != nil {
		t.Fatal(err)
	}
	look := func(what string, list bool, want ...string) {
		t.Helper()
		for range 2 {
			uris, changed, err := w.Look(context.Background())
			got := map[string]bool{}
			for _, uri := range uris {
				got[uri] = true
			}
			if err != nil || changed != list || len(got) != len(want) {
				t.Errorf("%s: %v, list %v, %v", what, uris, changed, err)
			}
			for _, uri := range want {
				if !got[uri] {
					t.Errorf("%s: nothing of %s", what, uri)
				}
			}
			list, want = false, nil // the second time there is nothing to tell
		}
	}
	look("nothing", false)
	if _, err := guest.RSVP(t.Context(), tools.RSVPInput{EventID: e.ID}, func(string) []string { return nil }); err != nil {
		t.Fatal(err)
	}
	look("a booking", false, one)
	title := "Another title"
	if _, err := h.UpdateEvent(t.Context(), tools.UpdateEventInput{EventID: e.ID, Title: &title}); err != nil {
		t.Fatal(err)
	}
	look("a title", true, one, ics)
	if _, err := h.UpdateEvent(t.Context(), tools.UpdateEventInput{EventID: other.ID, Title: &title}); err != nil {
		t.Fatal(err)
	}
	look("another's title", true)
	create(t, h, tools.CreateEventInput{Visibility: "unlisted"})
	look("one that is not listed", false)
	at = now.Add(2 * time.Hour)
	look("another is over", true)
	w.Remove(one)
	at = now.AddDate(1, 0, 0)
	look("all are over", true)
	for i := range 100 {
		err := w.Add(t.Context(), "event://u/"+create(t, h, tools.CreateEventInput{StartsAt: at.AddDate(0, 1, 0).Format(time.RFC3339)}).ID)
		if (err != nil) != (i == 99) {
			t.Fatalf("%d: %v", i, err)
		}
	}
}
