package calendar

import (
	"strings"
	"testing"
	"time"
)

// Whatever people type is read again as it was, less what iCalendar can't hold,
// and nothing of it becomes a line of its own.
func FuzzWrite(f *testing.F) {
	for _, s := range []string{"", "Supper", "a\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:2", "x\rATTACH:https://example.org", "\u2028ATTENDEE:1\u0085X:1\v\f",
		`back\slash\n, comma; "quote": colon`, "\x00\x1f\x7f\x80\xff\xc3", strings.Repeat("🎉", 10_000), strings.Repeat("w", 200),
		"\u202eمساء الخير\u200f", "<script>alert('1')</script>", " leading", "tab\tand  two spaces  ", strings.Repeat("a ", 100), "e\u0301" + strings.Repeat("\u0301", 100)} {
		f.Add(s, s, "Europe/Berlin", int64(1792900800), int64(3600))
	}
	f.Add("t", "d", "../../etc/passwd", int64(1792900800), int64(0))
	f.Add("t", "d", "Europe/Berlin\r\nX:1", int64(1792888200), int64(-5))
	f.Fuzz(func(t *testing.T, title, description, zone string, start, length int64) {
		if start < 0 || start > 250_000_000_000 || length < -1e9 || length > 1e11 {
			return
		}
		e := Event{UID: UID("u", "e"), Title: title, Description: description, Location: title, Price: title, URL: description, Zone: zone,
			Start: time.Unix(start, 0), End: time.Unix(start+length, 0)}
		s := write(t, Calendar{Name: title, Events: []Event{e}})
		c := parse(t, s)
		if len(c.Events()) != 1 {
			t.Fatalf("%d events in\n%s", len(c.Events()), s)
		}
		props := c.Events()[0].Props
		for name := range props {
			switch name {
			case "UID", "DTSTAMP", "LAST-MODIFIED", "CREATED", "SEQUENCE", "DTSTART", "DTEND", "SUMMARY", "DESCRIPTION", "LOCATION", "URL", "STATUS":
			default:
				t.Errorf("%s came from a text:\n%s", name, s)
			}
		}
		if got := propText(t, props, "SUMMARY"); got != line(title) {
			t.Errorf("title %q became %q", title, got)
		}
		if want := e.description(); want != "" {
			if got := propText(t, props, "DESCRIPTION"); got != want {
				t.Errorf("description %q became %q", want, got)
			}
		}
		if got := instant(t, c, props.Get("DTSTART")); !got.Equal(e.Start) {
			t.Errorf("start %v became %v", e.Start, got)
		}
	})
}
