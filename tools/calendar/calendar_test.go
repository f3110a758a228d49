package calendar

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

func supper(t testing.TB) Event {
	return Event{
		UID: UID("3f", "evt_1"), Sequence: 4, Created: rfc3339(t, "2026-09-01T10:00:00Z"), Changed: rfc3339(t, "2026-09-02T11:30:00.25Z"),
		Start: rfc3339(t, "2026-10-24T23:00:00+02:00"), End: rfc3339(t, "2026-10-25T04:00:00+01:00"), Zone: "Europe/Berlin",
		Title: "Supper; late, and long", Description: "Bring:\n\\ a spoon\n", Price: "$2.50 a seat",
		Location: "Unter den Linden 1, Berlin", URL: "https://example.org/u/3f/evt_1",
	}
}

// The whole of what is written, to be looked at.
func TestGolden(t *testing.T) {
	e, cancelled := supper(t), supper(t)
	cancelled.Cancelled, cancelled.Sequence = true, 5
	lecture := Event{UID: UID("3f", "evt_2"), Sequence: 6, Created: e.Created, Changed: e.Changed,
		Start: rfc3339(t, "2026-12-01T18:00:00Z"), Title: "مساء الخير <script>alert(1)</script>"}
	for name, c := range map[string]Calendar{
		"event":     {Events: []Event{e}},
		"cancelled": {Method: Cancel, Events: []Event{cancelled}},
		"feed":      {Name: "Events of 3f", Events: []Event{e, lecture}},
	} {
		t.Run(name, func(t *testing.T) {
			got, file := write(t, c), filepath.Join("testdata", name+".ics")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs (run with -update to accept):\n%s", file, got)
			}
		})
	}
}

func TestAnotherLibraryReadsIt(t *testing.T) {
	e := supper(t)
	c := parse(t, write(t, Calendar{Events: []Event{e}}))
	if got := propText(t, c.Props, "METHOD"); got != "PUBLISH" {
		t.Errorf("METHOD %s", got)
	}
	events := c.Events()
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	got := events[0]
	for name, want := range map[string]string{
		"UID": "evt_1@3f", "SUMMARY": e.Title, "LOCATION": e.Location, "STATUS": "CONFIRMED",
		"DESCRIPTION": "Bring:\n\\ a spoon\n\n$2.50 a seat\nhttps://example.org/u/3f/evt_1",
	} {
		if got := propText(t, got.Props, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	start, err := got.DateTimeStart(nil)
	if err != nil || !start.Equal(e.Start) {
		t.Errorf("starts %v, %v", start, err)
	}
	end, err := got.DateTimeEnd(nil)
	if err != nil || !end.Equal(e.End) {
		t.Errorf("ends %v, %v", end, err)
	}
}

// A calendar finds an entry again by its UID, and takes the greater SEQUENCE.
func TestOneEntryThroughItsLife(t *testing.T) {
	e := supper(t)
	before := parse(t, write(t, Calendar{Events: []Event{e}})).Events()[0]
	e.Sequence, e.Cancelled, e.Zone = 7, true, "America/New_York"
	c := parse(t, write(t, Calendar{Method: Cancel, Events: []Event{e}}))
	after := c.Events()[0]
	if a, b := prop(t, before.Props, "UID"), prop(t, after.Props, "UID"); a != b {
		t.Errorf("UID %s became %s", a, b)
	}
	if got := prop(t, after.Props, "SEQUENCE"); got != "7" {
		t.Errorf("SEQUENCE %s", got)
	}
	if prop(t, c.Props, "METHOD") != "CANCEL" || prop(t, after.Props, "STATUS") != "CANCELLED" {
		t.Errorf("not cancelled: %v", c.Props)
	}
}

func TestTimes(t *testing.T) {
	for _, tc := range []struct{ name, zone, start, end, wantStart, wantEnd string }{
		{"across the end of summer time", "Europe/Berlin", "2026-10-24T23:00:00+02:00", "2026-10-25T04:00:00+01:00",
			"Europe/Berlin 20261024T230000", "Europe/Berlin 20261025T040000"},
		{"across the beginning", "America/New_York", "2027-03-14T01:30:00-05:00", "2027-03-14T03:30:00-04:00",
			"America/New_York 20270314T013000", "America/New_York 20270314T033000"},
		{"in the hour that comes twice", "Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-25T04:00:00+01:00",
			"20261025T003000Z", "20261025T030000Z"},
		{"when it comes again", "Europe/Berlin", "2026-10-25T02:30:00+01:00", "2026-10-25T04:00:00+01:00",
			"20261025T013000Z", "20261025T030000Z"},
		{"ends in it", "Europe/Berlin", "2026-10-24T23:00:00+02:00", "2026-10-25T02:59:59+01:00",
			"20261024T210000Z", "20261025T015959Z"},
		{"at its very end", "Europe/Berlin", "2026-10-25T03:00:00+01:00", "", "Europe/Berlin 20261025T030000", ""},
		{"at its beginning", "Europe/Berlin", "2026-10-25T02:00:00+02:00", "", "20261025T000000Z", ""},
		{"just before it", "Europe/Berlin", "2026-10-25T01:59:59+02:00", "", "Europe/Berlin 20261025T015959", ""},
		{"half an hour's change", "Australia/Lord_Howe", "2027-04-04T01:45:00+11:00", "", "20270403T144500Z", ""},
		{"UTC", "UTC", "2026-10-25T02:30:00Z", "", "20261025T023000Z", ""},
		{"a zone that nobody knows", "Mars/Olympus", "2026-10-25T02:30:00+02:00", "", "20261025T003000Z", ""},
		{"no zone", "", "2026-10-25T02:30:00+02:00", "", "20261025T003000Z", ""},
		{"where the server is", "Local", "2026-10-25T02:30:00+02:00", "", "20261025T003000Z", ""},
		{"a zone without changes", "Asia/Tokyo", "2027-01-01T10:00:00+09:00", "", "Asia/Tokyo 20270101T100000", ""},
		{"no time passes", "UTC", "2026-10-25T02:30:00.2Z", "2026-10-25T02:30:00.9Z", "20261025T023000Z", ""},
		{"ends before it starts", "UTC", "2026-10-25T02:30:00Z", "2026-10-24T02:30:00Z", "20261025T023000Z", ""},
		{"ends in the year 10000", "UTC", "2026-10-25T02:30:00Z", "9999-12-31T23:59:59-10:00", "20261025T023000Z", ""},
		{"ends long before that", "Europe/Berlin", "2027-01-01T10:00:00+01:00", "9998-12-31T23:59:59Z", "Europe/Berlin 20270101T100000", "Europe/Berlin 99990101T005959"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := Event{UID: "1", Zone: tc.zone, Start: rfc3339(t, tc.start)}
			if tc.end != "" {
				e.End = rfc3339(t, tc.end)
			}
			c := parse(t, write(t, Calendar{Events: []Event{e}}))
			props := c.Events()[0].Props
			for name, want := range map[string]string{"DTSTART": tc.wantStart, "DTEND": tc.wantEnd} {
				got := ""
				if p := props.Get(name); p != nil {
					got = strings.TrimSpace(p.Params.Get("TZID") + " " + p.Value)
				}
				if got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if got := instant(t, c, props.Get("DTSTART")); !got.Equal(e.Start.Truncate(time.Second)) {
				t.Errorf("starts %s, want %s", got, e.Start)
			}
			if tc.wantEnd != "" {
				if got := instant(t, c, props.Get("DTEND")); !got.Equal(e.End) {
					t.Errorf("ends %s, want %s", got, e.End)
				}
			}
		})
	}
}

// Whoever has no time zones but those of the calendar finds every time in it.
func TestTimeZonesAreSufficient(t *testing.T) {
	zones := []string{"Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Kolkata",
		"Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Apia", "America/Nuuk", "Antarctica/Troll", "Etc/GMT+5", "UTC"}
	var c Calendar
	for i, zone := range zones {
		// Steps of a bit less than a week, so that each hour of the day has its turn.
		for start, n := rfc3339(t, "2011-12-20T00:00:00Z"), 0; n < 400; start, n = start.Add(163*time.Hour+17*time.Minute), n+1 {
			c.Events = append(c.Events, Event{UID: fmt.Sprint(i, "-", n), Zone: zone, Start: start, End: start.Add(26 * time.Hour)})
		}
	}
	read := parse(t, write(t, c))
	for i, e := range read.Events() {
		if got := instant(t, read, e.Props.Get("DTSTART")); !got.Equal(c.Events[i].Start) {
			t.Errorf("%s: %v read as %v", c.Events[i].Zone, c.Events[i].Start, got)
		}
		if got := instant(t, read, e.Props.Get("DTEND")); !got.Equal(c.Events[i].End) {
			t.Errorf("%s: %v read as %v", c.Events[i].Zone, c.Events[i].End, got)
		}
	}
}

func TestFeed(t *testing.T) {
	c := parse(t, write(t, Calendar{Name: "Events, mine", Events: []Event{supper(t), supper(t)}}))
	for name, want := range map[string]string{"NAME": "Events, mine", "X-WR-CALNAME": "Events, mine", "X-PUBLISHED-TTL": "PT1H", "REFRESH-INTERVAL": "PT1H"} {
		got := c.Props.Get(name)
		if got == nil || strings.ReplaceAll(got.Value, `\,`, ",") != want {
			t.Errorf("%s is %v, want %s", name, got, want)
		}
	}
	zones := 0
	for _, child := range c.Children {
		if child.Name == "VTIMEZONE" {
			zones++
		}
	}
	if zones != 1 || len(c.Events()) != 2 {
		t.Errorf("%d zones and %d events", zones, len(c.Events()))
	}
	if got := parse(t, write(t, Calendar{Name: "none"})); len(got.Children) != 0 {
		t.Errorf("%d children of an empty feed", len(got.Children))
	}
}

func BenchmarkFeed(b *testing.B) {
	c := Calendar{Name: "a feed"}
	for i := range 1000 {
		e := supper(b)
		e.UID, e.Start, e.End = fmt.Sprint(i), e.Start.AddDate(0, 0, i), e.End.AddDate(0, 0, i)
		c.Events = append(c.Events, e)
	}
	for b.Loop() {
		var out strings.Builder
		if err := Write(&out, c); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(out.Len()))
	}
}
