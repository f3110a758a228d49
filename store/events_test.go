package store_test

import (
	stdcmp "cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

func TestEventRoundTrip(t *testing.T) {
	h := MustOpen(t)
	berlin := time.FixedZone("", 7200)
	want := store.Event{
		ID: "e1", Title: "Ünïcode \x1f 'quotes'", Description: "two\nlines", TimeZone: "Europe/Berlin", Location: "here",
		StartsAt: time.Date(2026, 7, 1, 20, 0, 0, 1_999_999, berlin), EndsAt: time.Date(2026, 7, 1, 22, 0, 0, 0, berlin),
		Capacity: 7, SeatsTaken: 3, Price: 1, Cancelled: true, Unlisted: true, CreatedAt: time.Unix(1, 0), Revision: 8,
	}
	made, err := h.CreateEvent(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Event(t.Context(), "e1")
	if err != nil {
		t.Fatal(err)
	}
	want.StartsAt = time.Date(2026, 7, 1, 18, 0, 0, 1_000_000, time.UTC)
	want.EndsAt = time.Date(2026, 7, 1, 20, 0, 0, 0, time.UTC)
	want.SeatsTaken, want.CreatedAt, want.ChangedAt, want.Revision = 0, start, start, 1
	for _, e := range []store.Event{made, got} {
		if e != want {
			t.Errorf("got\n%+v, want\n%+v", e, want)
		}
	}
	if e := h.event(t, "e2", nil); !e.EndsAt.IsZero() {
		t.Errorf("an end out of nothing: %v", e.EndsAt)
	}
}

func TestCreateEventRefuses(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "taken", nil)
	for name, c := range map[string]struct {
		change func(*store.Event)
		want   error
	}{
		"no id":             {func(e *store.Event) { e.ID = "" }, store.ErrInvalid},
		"no start":          {func(e *store.Event) { e.StartsAt = time.Time{} }, store.ErrInvalid},
		"end before start":  {func(e *store.Event) { e.EndsAt = e.StartsAt.Add(-1) }, store.ErrInvalid},
		"negative price":    {func(e *store.Event) { e.Price = -1 }, store.ErrInvalid},
		"negative capacity": {func(e *store.Event) { e.Capacity = -1 }, store.ErrInvalid},
		"id is taken":       {func(e *store.Event) { e.ID = "taken" }, store.ErrEventExists},
	} {
		t.Run(name, func(t *testing.T) {
			e := store.Event{ID: "new", StartsAt: start}
			c.change(&e)
			if _, err := h.CreateEvent(t.Context(), e); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if _, err := h.Event(t.Context(), "new"); !errors.Is(err, store.ErrEventNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestEventStatus(t *testing.T) {
	end := start.Add(time.Hour)
	for name, c := range map[string]struct {
		e    store.Event
		now  time.Time
		want store.Status
	}{
		"before":            {store.Event{StartsAt: start}, start.Add(-1), store.StatusOpen},
		"at the start":      {store.Event{StartsAt: start}, start, store.StatusPast},
		"going on":          {store.Event{StartsAt: start, EndsAt: end}, start, store.StatusOpen},
		"at the end":        {store.Event{StartsAt: start, EndsAt: end}, end, store.StatusPast},
		"full":              {store.Event{StartsAt: end, Capacity: 2, SeatsTaken: 2}, start, store.StatusFull},
		"nearly full":       {store.Event{StartsAt: end, Capacity: 2, SeatsTaken: 1}, start, store.StatusOpen},
		"unlimited":         {store.Event{StartsAt: end, SeatsTaken: 9}, start, store.StatusOpen},
		"full and past":     {store.Event{StartsAt: start, Capacity: 1, SeatsTaken: 1}, end, store.StatusPast},
		"cancelled and all": {store.Event{StartsAt: start, Capacity: 1, SeatsTaken: 1, Cancelled: true}, end, store.StatusCancelled},
	} {
		if got := c.e.Status(c.now); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// ids lists all events that q selects, page by page.
func (h *host) ids(t *testing.T, q store.EventQuery) (ids []string) {
	t.Helper()
	for pages := 0; ; pages++ {
		events, next, err := h.Events(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			ids = append(ids, e.ID)
		}
		if q.Limit > 0 && len(events) > q.Limit || pages > 100 || next != "" && len(events) == 0 {
			t.Fatalf("page %d has %d events and goes on with %q", pages, len(events), next)
		}
		if q.After = next; next == "" {
			return ids
		}
	}
}

func TestEventsQuery(t *testing.T) {
	h := MustOpen(t)
	day := func(n int) time.Time { return start.AddDate(0, 0, n) }
	for id, e := range map[string]store.Event{
		"a": {Title: "Café CRÈME", StartsAt: day(1)},
		"b": {Title: "100% wool", Description: "snake_case", StartsAt: day(2), EndsAt: day(5)},
		"c": {Title: "100 wool", Description: "snakeXcase", StartsAt: day(3), Location: `C:\Temp`},
		"d": {Title: "Jazz", Description: "créme brûlée", StartsAt: day(3), Location: "Café"},
		"e": {Title: "End", StartsAt: day(6), Cancelled: true},
	} {
		h.event(t, id, func(to *store.Event) { e.ID = id; *to = e })
	}
	for name, c := range map[string]struct {
		q    store.EventQuery
		want string
	}{
		"all":                       {store.EventQuery{}, "[a b c d e]"},
		"text, not only ASCII":      {store.EventQuery{Text: "cAFÉ"}, "[a d]"},
		"text in the description":   {store.EventQuery{Text: "BRÛ"}, "[d]"},
		"percent sign":              {store.EventQuery{Text: "100%"}, "[b]"},
		"percent sign alone":        {store.EventQuery{Text: "%"}, "[b]"},
		"underscore":                {store.EventQuery{Text: "snake_"}, "[b]"},
		"backslash":                 {store.EventQuery{Text: `:\t`}, "[c]"},
		"quote":                     {store.EventQuery{Text: `'`}, "[]"},
		"not across fields":         {store.EventQuery{Text: "woolsnake"}, "[]"},
		"from: those still going":   {store.EventQuery{From: day(4)}, "[b e]"},
		"from is included":          {store.EventQuery{From: day(5)}, "[b e]"},
		"from after the end":        {store.EventQuery{From: day(5).Add(time.Millisecond)}, "[e]"},
		"from without end is start": {store.EventQuery{From: day(3)}, "[b c d e]"},
		"to is included":            {store.EventQuery{To: day(3)}, "[a b c d]"},
		"to before the start":       {store.EventQuery{To: day(3).Add(-1)}, "[a b]"},
		"from and to":               {store.EventQuery{From: day(2), To: day(2)}, "[b]"},
		"text and from":             {store.EventQuery{Text: "wool", From: day(4)}, "[b]"},
		"pages of one":              {store.EventQuery{Limit: 1}, "[a b c d e]"},
		"pages of two":              {store.EventQuery{Limit: 2, Text: "a"}, "[a b c d]"},
		"pages that end evenly":     {store.EventQuery{Limit: 5}, "[a b c d e]"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(h.ids(t, c.q)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestEventsPages(t *testing.T) {
	h := MustOpen(t)
	var want []string
	for i := range 120 { // many at the same time
		id := fmt.Sprintf("e%03d", i)
		want = append(want, id)
		h.event(t, id, func(e *store.Event) { e.StartsAt = start.Add(time.Duration(i/50) * time.Hour) })
	}
	for _, limit := range []int{0, 7, 40, 120, 1 << 30} {
		if diff := cmp.Diff(want, h.ids(t, store.EventQuery{Limit: limit})); diff != "" {
			t.Errorf("limit %d: %s", limit, diff)
		}
	}
	events, next, err := h.Events(t.Context(), store.EventQuery{Limit: -1})
	if err != nil || len(events) != store.DefaultPage || next == "" {
		t.Errorf("a page without limit has %d events, next %q, %v", len(events), next, err)
	}
	// A page is not disturbed by what is added before it.
	h.event(t, "before", func(e *store.Event) { e.StartsAt = start.Add(-time.Hour) })
	events, _, err = h.Events(t.Context(), store.EventQuery{Limit: 1, After: next})
	if err != nil || len(events) != 1 || events[0].ID != want[store.DefaultPage] {
		t.Errorf("after an insertion: %v, %v", events, err)
	}
}

func TestBadCursors(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "a", priced(0))
	h.event(t, "b", nil)
	h.hold(t, "a", 1, 1)
	h.hold(t, "a", 2, 1)
	_, events, err := h.Events(t.Context(), store.EventQuery{Limit: 1})
	if err != nil || events == "" {
		t.Fatal(events, err)
	}
	_, rsvps, err := h.RSVPs(t.Context(), "a", 1, "")
	if err != nil || rsvps == "" {
		t.Fatal(rsvps, err)
	}
	bad := []string{"x", "!", "AAAA", events + "=", events[:len(events)-3] + "!!!", base64.RawURLEncoding.EncodeToString([]byte("event.x.y")),
		base64.RawURLEncoding.EncodeToString([]byte("event.5"))}
	for _, cursor := range append(slices.Clone(bad), rsvps) {
		if _, _, err := h.Events(t.Context(), store.EventQuery{After: cursor}); !errors.Is(err, store.ErrCursor) {
			t.Errorf("events after %q: %v", cursor, err)
		}
	}
	for _, cursor := range append(slices.Clone(bad), events) {
		if _, _, err := h.RSVPs(t.Context(), "a", 1, cursor); !errors.Is(err, store.ErrCursor) {
			t.Errorf("RSVPs after %q: %v", cursor, err)
		}
	}
}

func TestWallet(t *testing.T) {
	h := MustOpen(t)
	if got, err := h.SealedWallet(t.Context()); got != nil || err != nil {
		t.Errorf("a new host has the wallet %q, %v", got, err)
	}
	if _, err := h.KeepWallet(t.Context(), nil); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("keeping nothing: %v", err)
	}
	for _, sealed := range []string{"first", "second"} {
		if got, err := h.KeepWallet(t.Context(), []byte(sealed)); string(got) != "first" || err != nil {
			t.Errorf("keeping the %s: kept %q, %v", sealed, got, err)
		}
	}
	if got, err := reopen(t, h).SealedWallet(t.Context()); string(got) != "first" || err != nil {
		t.Errorf("kept %q, %v", got, err)
	}
}

func TestRevenue(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "a", priced(10))
	h.event(t, "b", priced(11))
	for n, seats := range []int{1, 2, 3, 4} {
		h.hold(t, "a", n, seats)
	}
	h.hold(t, "b", 4, 5)
	must(t)(h.Confirm(t.Context(), "pay-0", moved(1)))
	must(t)(h.Fail(t.Context(), "pay-1", "reason", true))
	must(t)(h.Fail(t.Context(), "pay-2", "reason", false))
	h.cancel(t, "a")
	must(t)(h.Confirm(t.Context(), "pay-2", moved(2)))
	h.hold(t, "b", 5, 6)
	for _, id := range []string{"pay-4", "pay-5"} {
		must(t)(h.Confirm(t.Context(), id, moved(3)))
	}
	must(t)(h.CancelRSVP(t.Context(), "rsvp-4", 0))
	must(t)(h.ConfirmRefund(t.Context(), "pay-4", hash(4)))
	for event, want := range map[string]store.Revenue{
		"a": {Pending: 4 * x402.USD, Owed: 4 * x402.USD},
		"b": {Settled: 6 * x402.USD, Refunded: 5 * x402.USD},
		"":  {Settled: 6 * x402.USD, Pending: 4 * x402.USD, Owed: 4 * x402.USD, Refunded: 5 * x402.USD},
	} {
		if got, err := h.Revenue(t.Context(), event); got != want || err != nil {
			t.Errorf("event %q: %+v, %v, want %+v", event, got, err, want)
		}
	}
	if got, err := MustOpen(t).Revenue(t.Context(), ""); got != (store.Revenue{}) || err != nil {
		t.Errorf("of nothing: %+v, %v", got, err)
	}
	if _, err := h.Revenue(t.Context(), "none"); !errors.Is(err, store.ErrEventNotFound) {
		t.Errorf("of no event: %v", err)
	}
}

// A list from some time on has the events that a look at each would find.
func TestEventsFromSomeTime(t *testing.T) {
	h := MustOpen(t)
	random := rand.New(rand.NewPCG(3, 4))
	var all []store.Event
	for n := range 60 {
		all = append(all, h.event(t, fmt.Sprintf("%02d", n), func(e *store.Event) {
			e.StartsAt = start.Add(time.Duration(random.IntN(500)) * time.Hour)
			if n%3 > 0 {
				e.EndsAt = e.StartsAt.Add(time.Duration(random.IntN(10*(n%3))) * time.Hour)
			}
		}))
	}
	slices.SortFunc(all, func(a, b store.Event) int {
		return stdcmp.Or(a.StartsAt.Compare(b.StartsAt), strings.Compare(a.ID, b.ID))
	})
	for range 40 {
		from := start.Add(time.Duration(random.IntN(520)) * time.Hour)
		var want, got []string
		for _, e := range all {
			if !e.StartsAt.Before(from) || !e.EndsAt.Before(from) {
				want = append(want, e.ID)
			}
		}
		for after, more := "", true; more; more = after != "" {
			events, next, err := h.Events(t.Context(), store.EventQuery{From: from, Limit: 7, After: after})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				got = append(got, e.ID)
			}
			after = next
		}
		if !slices.Equal(got, want) {
			t.Errorf("from %v: %v, want %v", from, got, want)
		}
	}
}
