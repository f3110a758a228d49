package tools_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/tools"
)

func formID(t *testing.T, h *tools.Host) string {
	t.Helper()
	id, err := h.NewRSVPID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// However often a form is sent, and also all at once: its guest has one RSVP.
func TestBookOnce(t *testing.T) {
	h := mustHost(t)
	e := create(t, h, tools.CreateEventInput{Capacity: 4})
	c := &tools.Call{Host: h}
	for _, email := range []string{"", "ada@example.org"} {
		id := formID(t, h)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				r, err := c.BookOnce(t.Context(), tools.RSVPInput{EventID: e.ID, Seats: 2, Name: "Ada", Email: email}, id)
				if err != nil || r.ID != id || r.Status != "confirmed" || r.Seats != 2 {
					t.Errorf("%+v, %v", r, err)
				}
			})
		}
		all.Wait()
	}
	got, err := h.GetEvent(t.Context(), tools.GetEventInput{EventID: e.ID})
	if err != nil || *got.SeatsLeft != 0 || got.Status != "full" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.BookOnce(t.Context(), tools.RSVPInput{EventID: e.ID}, formID(t, h)); codeOf(err) != tools.CodeEventFull {
		t.Errorf("another form: %v", err)
	}
}

func TestBookOnceRefuses(t *testing.T) {
	h := mustHost(t)
	one, other := create(t, h, tools.CreateEventInput{}), create(t, h, tools.CreateEventInput{})
	priced := create(t, h, tools.CreateEventInput{Price: "0.000001"})
	used := formID(t, h)
	if _, err := (&tools.Call{Host: h}).BookOnce(t.Context(), tools.RSVPInput{EventID: other.ID, Email: "ada@example.org"}, used); err != nil {
		t.Fatal(err)
	}
	spent := &tools.Error{Code: tools.CodeOverLimit, Message: "enough"}
	for name, test := range map[string]struct {
		in    tools.RSVPInput
		id    string
		spent *tools.Error
		want  tools.Code
	}{
		"no id":             {tools.RSVPInput{EventID: one.ID}, "", nil, tools.CodeInvalidArgument},
		"a short id":        {tools.RSVPInput{EventID: one.ID}, "rsvp_00", nil, tools.CodeInvalidArgument},
		"upper case":        {tools.RSVPInput{EventID: one.ID}, "rsvp_" + strings.Repeat("AB", 22), nil, tools.CodeInvalidArgument},
		"of another event":  {tools.RSVPInput{EventID: one.ID}, used, nil, tools.CodeInvalidArgument},
		"too many seats":    {tools.RSVPInput{EventID: one.ID, Seats: 21}, formID(t, h), nil, tools.CodeInvalidArgument},
		"no event":          {tools.RSVPInput{EventID: "evt_"}, formID(t, h), nil, tools.CodeEventNotFound},
		"the same email":    {tools.RSVPInput{EventID: other.ID, Email: "Ada@example.org"}, formID(t, h), nil, tools.CodeAlreadyBooked},
		"with a price":      {tools.RSVPInput{EventID: priced.ID}, formID(t, h), nil, tools.CodeNotAllowed},
		"nothing is left":   {tools.RSVPInput{EventID: one.ID}, formID(t, h), spent, tools.CodeOverLimit},
		"but it was booked": {tools.RSVPInput{EventID: other.ID}, used, spent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := (&tools.Call{Host: h, Spent: test.spent}).BookOnce(t.Context(), test.in, test.id)
			if codeOf(err) != test.want {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
