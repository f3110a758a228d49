package tools_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/events-concierge/concierge/tools"
)

func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestInstants(t *testing.T) {
	for name, c := range map[string]struct{ zone, date, clock, want, skip string }{
		"ordinary":              {"Europe/Berlin", "2027-06-01", "19:30", "[2027-06-01T17:30:00Z]", "-"},
		"with seconds":          {"Europe/Berlin", "2027-06-01", "19:30:00", "[2027-06-01T17:30:00Z]", "-"},
		"never shown":           {"Europe/Berlin", "2027-03-28", "02:30", "[]", "02:00-03:00"},
		"first of the gap":      {"Europe/Berlin", "2027-03-28", "02:00", "[]", "02:00-03:00"},
		"last before the gap":   {"Europe/Berlin", "2027-03-28", "01:59", "[2027-03-28T00:59:00Z]", "-"},
		"first after the gap":   {"Europe/Berlin", "2027-03-28", "03:00", "[2027-03-28T01:00:00Z]", "-"},
		"shown twice":           {"Europe/Berlin", "2027-10-31", "02:30", "[2027-10-31T00:30:00Z 2027-10-31T01:30:00Z]", "-"},
		"first of the fold":     {"Europe/Berlin", "2027-10-31", "02:00", "[2027-10-31T00:00:00Z 2027-10-31T01:00:00Z]", "-"},
		"after the fold":        {"Europe/Berlin", "2027-10-31", "03:00", "[2027-10-31T02:00:00Z]", "-"},
		"New York, gap":         {"America/New_York", "2027-03-14", "02:15", "[]", "02:00-03:00"},
		"New York, fold":        {"America/New_York", "2027-11-07", "01:15", "[2027-11-07T05:15:00Z 2027-11-07T06:15:00Z]", "-"},
		"half an hour, gap":     {"Australia/Lord_Howe", "2027-10-03", "02:15", "[]", "02:00-02:30"},
		"half an hour, fold":    {"Australia/Lord_Howe", "2027-04-04", "01:45", "[2027-04-03T14:45:00Z 2027-04-03T15:15:00Z]", "-"},
		"a day that never was":  {"Pacific/Apia", "2011-12-30", "12:00", "[]", "00:00-00:00"},
		"no change of clocks":   {"Asia/Kolkata", "2027-03-28", "02:30", "[2027-03-27T21:00:00Z]", "-"},
		"UTC":                   {"UTC", "2027-03-28", "02:30", "[2027-03-28T02:30:00Z]", "-"},
		"midnight of a gap day": {"America/Santiago", "2027-09-05", "00:30", "[]", "00:00-01:00"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tools.Instants(c.date, c.clock, zoneOf(t, c.zone))
			if err != nil {
				t.Fatal(err)
			}
			texts := []string{}
			for _, at := range got {
				texts = append(texts, at.UTC().Format(time.RFC3339))
			}
			if fmt.Sprint(texts) != c.want {
				t.Errorf("got %v, want %s", texts, c.want)
			}
			if before, after := tools.Skip(c.date, c.clock, zoneOf(t, c.zone)); before+"-"+after != c.skip {
				t.Errorf("the clocks go from %s to %s, want %s", before, after, c.skip)
			}
		})
	}
	for _, bad := range [][2]string{{"", "19:30"}, {"2027-02-29", "19:30"}, {"2027-06-01", ""}, {"2027-06-01", "24:00"}, {"01.06.2027", "19:30"}, {"2027-06-01", "7pm"}} {
		if got, err := tools.Instants(bad[0], bad[1], time.UTC); err == nil {
			t.Errorf("%v: %v", bad, got)
		}
	}
}

// Every instant is among those of what its clock shows.
func TestInstantsOfClocks(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "Asia/Tehran", "America/St_Johns"} {
		zone := zoneOf(t, name)
		for range 3000 {
			at := time.Unix(chance.Int64N(2_000_000_000), 0).Truncate(time.Minute).In(zone)
			if _, offset := at.Zone(); offset%60 != 0 {
				continue
			}
			all, err := tools.Instants(at.Format(time.DateOnly), at.Format("15:04"), zone)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, one := range all {
				found = found || one.Equal(at)
			}
			if !found {
				t.Errorf("%s: %s is not among %v", name, at, all)
			}
		}
	}
}
