package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// found lists all RSVPs that q selects, page by page, by their number.
func (h *host) found(t *testing.T, q store.RSVPQuery) string {
	t.Helper()
	var ids []string
	for pages := 0; ; pages++ {
		rsvps, next, err := h.FindRSVPs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rsvps {
			ids = append(ids, strings.TrimPrefix(r.ID, "rsvp-"))
		}
		if pages > 100 || q.Limit > 0 && len(rsvps) > q.Limit {
			t.Fatalf("page %d has %d RSVPs and goes on with %q", pages, len(rsvps), next)
		}
		if q.After = next; next == "" {
			return strings.Join(ids, " ")
		}
	}
}

func TestFindRSVPs(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	h.event(t, "opera", priced(0))
	h.event(t, "other", nil)
	names := []string{"Zoë Ångström", "zoë", "100% O'Brien_x", `<script>alert(1)</script>`, "شاي", "Kim"}
	for n, name := range names {
		b := booking("tea", n, 1)
		b.Name = name
		must(t)(h.BookFree(t.Context(), b))
	}
	must(t)(h.BookFree(t.Context(), booking("other", 90, 1)))
	must(t)(h.CheckIn(t.Context(), "rsvp-1"))
	must(t)(h.CancelRSVP(t.Context(), "rsvp-2", 0))
	for n := 10; n < 14; n++ {
		h.hold(t, "opera", n, 1)
	}
	must(t)(h.Confirm(t.Context(), "pay-11", moved(1)))
	must(t)(h.Fail(t.Context(), "pay-12", "no", true))
	yes, no := true, false
	for name, c := range map[string]struct {
		q    store.RSVPQuery
		want string
	}{
		"all":                 {store.RSVPQuery{}, "0 1 2 3 4 5"},
		"newest first":        {store.RSVPQuery{Newest: true}, "5 4 3 2 1 0"},
		"pages":               {store.RSVPQuery{Limit: 2}, "0 1 2 3 4 5"},
		"pages, newest first": {store.RSVPQuery{Limit: 4, Newest: true}, "5 4 3 2 1 0"},
		"name, not ASCII":     {store.RSVPQuery{Text: "ZOË"}, "0 1"},
		"and in pages":        {store.RSVPQuery{Text: "ZOË", Limit: 1}, "0 1"},
		"newest first, found": {store.RSVPQuery{Text: "ZOË", Limit: 1, Newest: true}, "1 0"},
		"percent sign":        {store.RSVPQuery{Text: "%"}, "2"},
		"underscore":          {store.RSVPQuery{Text: "_"}, "2"},
		"quote":               {store.RSVPQuery{Text: "o'b"}, "2"},
		"markup":              {store.RSVPQuery{Text: "<SCRIPT"}, "3"},
		"right to left":       {store.RSVPQuery{Text: "شاي"}, "4"},
		"email":               {store.RSVPQuery{Text: "GUEST5@"}, "5"},
		"not across fields":   {store.RSVPQuery{Text: "kimguest"}, ""},
		"an id":               {store.RSVPQuery{Text: "RSVP-3", IDs: true}, "3"},
		"an id, not asked":    {store.RSVPQuery{Text: "rsvp-3"}, ""},
		"confirmed":           {store.RSVPQuery{Status: store.RSVPConfirmed}, "0 1 3 4 5"},
		"cancelled":           {store.RSVPQuery{Status: store.RSVPCancelled}, "2"},
		"arrived":             {store.RSVPQuery{Here: &yes}, "1"},
		"not yet":             {store.RSVPQuery{Here: &no, Newest: true, Limit: 2}, "5 4 3 0"},
		"status and text":     {store.RSVPQuery{Here: &no, Text: "zoë"}, "0"},
		"pending":             {store.RSVPQuery{EventID: "opera", Status: store.RSVPPending}, "10 13"},
		"a payer":             {store.RSVPQuery{EventID: "opera", Text: strings.ToUpper(address(12).String()[20:])}, "11"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.q.EventID == "" {
				c.q.EventID = "tea"
			}
			if got := h.found(t, c.q); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	for event, want := range map[string]store.Attendance{
		"tea":   {Confirmed: 5, Here: 1, Cancelled: 1},
		"opera": {Confirmed: 1, Pending: 2, Failed: 1},
		"none":  {},
	} {
		if got, err := h.Attendance(t.Context(), event); err != nil || got != want {
			t.Errorf("%s: %+v, %v", event, got, err)
		}
	}
	if _, _, err := h.FindRSVPs(t.Context(), store.RSVPQuery{EventID: "none"}); !errors.Is(err, store.ErrEventNotFound) {
		t.Error(err)
	}
	_, cursor, err := h.FindRSVPs(t.Context(), store.RSVPQuery{EventID: "tea", Limit: 1})
	if err != nil || cursor == "" {
		t.Fatal(cursor, err)
	}
	for _, q := range []store.RSVPQuery{{EventID: "tea", After: "x"}, {EventID: "tea", After: cursor, Newest: true}} {
		if _, _, err := h.FindRSVPs(t.Context(), q); !errors.Is(err, store.ErrCursor) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// A search of very many RSVPs comes in parts.
func TestFindAmongMany(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	err := h.Write(t.Context(), func(exec execFunc) error {
		return exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
			INSERT INTO rsvps (id, event_id, seats, status, name, email, amount, created_at)
			SELECT 'rsvp-' || i, 'tea', 1, 'confirmed', iif(i IN (7, 59999), 'Needle', 'Hay'), '', 0, 0 FROM n`)
	})
	if err != nil {
		t.Fatal(err)
	}
	rsvps, next, err := h.FindRSVPs(t.Context(), store.RSVPQuery{EventID: "tea", Text: "needle"})
	if err != nil || len(rsvps) != 1 || next == "" {
		t.Errorf("%d RSVPs, next %q, %v", len(rsvps), next, err)
	}
	if got := h.found(t, store.RSVPQuery{EventID: "tea", Text: "needle"}); got != "7 59999" {
		t.Error(got)
	}
	if got := h.found(t, store.RSVPQuery{EventID: "tea", Text: "needle", Newest: true}); got != "59999 7" {
		t.Error(got)
	}
}

func TestShelves(t *testing.T) {
	h := MustOpen(t)
	now := start
	for id, hours := range map[string]int{"a": 1, "b": 2, "c": 3, "d": 30, "e": 40, "f": 50} {
		h.event(t, id, func(e *store.Event) {
			e.StartsAt, e.Price = now.Add(time.Duration(hours)*time.Hour), x402.USD
			if id == "c" {
				e.Title, e.EndsAt = "Café", now.Add(31*time.Hour)
			}
		})
	}
	h.hold(t, "a", 1, 1)
	must(t)(h.Confirm(t.Context(), "pay-1", moved(1)))
	h.hold(t, "d", 2, 2)
	must(t)(h.Confirm(t.Context(), "pay-2", moved(2)))
	h.cancel(t, "d")
	h.cancel(t, "f")
	h.clock.Advance(10 * time.Hour)
	for name, c := range map[string]struct {
		q    store.ShelfQuery
		want string
	}{
		"upcoming":  {store.ShelfQuery{Shelf: store.ShelfUpcoming}, "[c e]"},
		"past":      {store.ShelfQuery{Shelf: store.ShelfPast}, "[b a]"},
		"cancelled": {store.ShelfQuery{Shelf: store.ShelfCancelled}, "[f d]"},
		"paid":      {store.ShelfQuery{Shelf: store.ShelfPaid}, "[d a]"},
		"text":      {store.ShelfQuery{Shelf: store.ShelfUpcoming, Text: "CAFÉ"}, "[c]"},
		"no text":   {store.ShelfQuery{Shelf: store.ShelfPast, Text: "%"}, "[]"},
	} {
		for limit := range 3 {
			t.Run(fmt.Sprint(name, limit), func(t *testing.T) {
				c.q.Now, c.q.Limit = h.clock.Now(), limit
				got := []string{}
				for q := c.q; ; {
					events, next, err := h.Shelf(t.Context(), q)
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range events {
						got = append(got, e.ID)
						if want := map[string]store.Revenue{"a": {Settled: x402.USD}, "d": {Owed: 2 * x402.USD}}[e.ID]; e.Revenue != want {
							t.Errorf("%s: %+v", e.ID, e.Revenue)
						}
					}
					if q.After = next; next == "" {
						break
					}
				}
				if fmt.Sprint(got) != c.want {
					t.Errorf("got %v, want %s", got, c.want)
				}
			})
		}
	}
	if _, _, err := h.Shelf(t.Context(), store.ShelfQuery{Shelf: "x"}); !errors.Is(err, store.ErrInvalid) {
		t.Error(err)
	}
	if _, _, err := h.Shelf(t.Context(), store.ShelfQuery{Shelf: store.ShelfPast, After: "x"}); !errors.Is(err, store.ErrCursor) {
		t.Error(err)
	}
}

func TestLedgerList(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "opera", priced(0))
	var want []string
	for n := range 7 {
		h.hold(t, "opera", n, 1)
		want = append(want, fmt.Sprintf("pay-%d", n))
		if n%2 == 1 {
			h.clock.Advance(time.Hour)
		}
	}
	must(t)(h.Confirm(t.Context(), "pay-3", moved(3)))
	must(t)(h.CancelRSVP(t.Context(), "rsvp-3", h.cleared(t)))
	all := func(q store.LedgerQuery) (ids []string) {
		for {
			entries, next, err := h.Entries(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				ids = append(ids, e.Payment.ID)
				if e.EventID != "opera" || e.Event != "Tea" || (e.Refund != nil) != (e.Payment.ID == "pay-3") {
					t.Errorf("%+v", e)
				}
				if e.Refund != nil && (e.Refund.State != payments.Owed || e.Refund.Amount != x402.USD) {
					t.Errorf("%+v", e.Refund)
				}
			}
			if q.After = next; next == "" {
				return ids
			}
		}
	}
	for name, c := range map[string]struct {
		q    store.LedgerQuery
		want []string
	}{
		"all":      {store.LedgerQuery{}, want},
		"in pages": {store.LedgerQuery{Limit: 3}, want},
		"from":     {store.LedgerQuery{From: start.Add(time.Hour), Limit: 1}, want[2:]},
		"to":       {store.LedgerQuery{To: start.Add(time.Hour)}, want[:2]},
		"none":     {store.LedgerQuery{From: start.Add(50 * time.Hour)}, nil},
	} {
		if got := all(c.q); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if _, _, err := h.Entries(t.Context(), store.LedgerQuery{After: "x"}); !errors.Is(err, store.ErrCursor) {
		t.Error(err)
	}
}

func TestRevenueByDay(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "opera", func(e *store.Event) { e.Price, e.StartsAt = x402.USD, start.Add(1000*time.Hour) })
	for n := range 5 { // at noon, at midnight, and so on
		h.hold(t, "opera", n, 1)
		h.clock.Advance(12 * time.Hour)
	}
	for n := range 3 {
		must(t)(h.Confirm(t.Context(), fmt.Sprintf("pay-%d", n), moved(n+1)))
	}
	must(t)(h.CancelRSVP(t.Context(), "rsvp-0", h.cleared(t)))
	must(t)(h.ConfirmRefund(t.Context(), "pay-0", hash(77)))
	must(t)(h.CancelRSVP(t.Context(), "rsvp-1", h.cleared(t)))
	must(t)(h.Fail(t.Context(), "pay-4", "no", true))
	day := func(n int) time.Time { return time.Date(2026, 6, 1+n, 0, 0, 0, 0, time.UTC) }
	want := []store.Day{
		{Date: day(0), Revenue: store.Revenue{Refunded: x402.USD}},
		{Date: day(1), Revenue: store.Revenue{Owed: x402.USD, Settled: x402.USD}},
		{Date: day(2), Revenue: store.Revenue{Pending: x402.USD}},
	}
	want[2].Pending = x402.USD // pay-3; what failed is nothing
	got, err := h.RevenueByDay(t.Context(), time.Time{}, time.Time{})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	got, err = h.RevenueByDay(t.Context(), day(1).Add(5*time.Hour), day(1))
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want[1:2]) {
		t.Errorf("%v, %v", got, err)
	}
}

// The pages of a Host with 1,000,000 RSVPs, half of them paid for.
func BenchmarkOwnerLists(b *testing.B) {
	h := MustOpen(b)
	crowd(b, h, 1000, 1_000_000)
	err := h.Write(b.Context(), func(exec execFunc) error {
		return exec(`INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce,
				valid_after, valid_before, since, tx, created_at, updated_at)
			SELECT printf('pay-%08d', seq), id, 'settled', 0, 2, 'eip155:84532', ?1, ?1, ?1, 1000000, printf('0x%064d', seq), 0, 0, 0,
				printf('0x%064d', seq), ?2 + seq * 60000, ?2 FROM rsvps WHERE seq % 2 = 0`, address(1).String(), start.UnixMilli())
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.WithoutCancel(b.Context())
	for name, f := range map[string]func() (int, error){
		"sums": func() (int, error) { r, err := h.Revenue(ctx, ""); return int(r.Settled), err },
		"days": func() (int, error) {
			days, err := h.RevenueByDay(ctx, start.AddDate(0, 0, 100), start.AddDate(0, 0, 130))
			return len(days), err
		},
		"events": func() (int, error) {
			events, _, err := h.Shelf(ctx, store.ShelfQuery{Shelf: store.ShelfPaid, Now: start, Limit: 50})
			return len(events), err
		},
		"ledger": func() (int, error) {
			entries, _, err := h.Entries(ctx, store.LedgerQuery{From: start.AddDate(0, 0, 100)})
			return len(entries), err
		},
		"guests": func() (int, error) {
			rsvps, _, err := h.FindRSVPs(ctx, store.RSVPQuery{EventID: "evt_00000500", Newest: true})
			return len(rsvps), err
		},
		"attendance": func() (int, error) { a, err := h.Attendance(ctx, "evt_00000500"); return a.Confirmed, err },
		"search": func() (int, error) {
			rsvps, _, err := h.FindRSVPs(ctx, store.RSVPQuery{EventID: "evt_00000500", Text: "nobody"})
			return 1 + len(rsvps), err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if n, err := f(); n == 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
