package calendar

import (
	"bytes"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
	"unicode/utf8"

	ical "github.com/emersion/go-ical"
)

// write writes a calendar and checks the form of its lines (RFC 5545 3.1).
func write(t testing.TB, c Calendar) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, c); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(out.String(), "\r\n"), "\r\n") {
		if len(line) > 75 || !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n\x00\x7f") {
			t.Fatalf("a line of %d octets: %q", len(line), line)
		}
	}
	return out.String()
}

// parse reads a calendar with a library that did not write it.
func parse(t testing.TB, s string) *ical.Calendar {
	t.Helper()
	out, err := ical.NewDecoder(strings.NewReader(s)).Decode()
	if err != nil {
		t.Fatalf("%v in\n%s", err, s)
	}
	return out
}

func prop(t testing.TB, props ical.Props, name string) string {
	t.Helper()
	if len(props.Values(name)) != 1 {
		t.Fatalf("%d of %s, want one", len(props.Values(name)), name)
	}
	return props.Get(name).Value
}

func propText(t testing.TB, props ical.Props, name string) string {
	t.Helper()
	s, err := props.Text(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instant reads a time as who has no time zones but those in the calendar.
func instant(t testing.TB, c *ical.Calendar, p *ical.Prop) time.Time {
	t.Helper()
	zone := p.Params.Get("TZID")
	if zone == "" {
		return at(t, utcForm, p.Value)
	}
	local := at(t, localForm, p.Value)
	for _, z := range c.Children {
		if z.Name != "VTIMEZONE" || z.Props.Get("TZID").Value != zone {
			continue
		}
		var onset time.Time
		var offset string
		for _, o := range z.Children {
			if from := at(t, localForm, prop(t, o.Props, "DTSTART")); !from.After(local) && !from.Before(onset) {
				onset, offset = from, prop(t, o.Props, "TZOFFSETTO")
			}
		}
		return local.Add(-seconds(t, offset))
	}
	t.Fatalf("no VTIMEZONE %s", zone)
	return time.Time{}
}

func seconds(t testing.TB, offset string) time.Duration {
	t.Helper()
	form := "-0700"
	if len(offset) == 7 {
		form = "-070000"
	}
	_, s := at(t, form, offset).Zone()
	return time.Duration(s) * time.Second
}

func at(t testing.TB, form, s string) time.Time {
	t.Helper()
	v, err := time.Parse(form, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func rfc3339(t testing.TB, s string) time.Time { return at(t, time.RFC3339, s) }
