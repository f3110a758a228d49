package store_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// No statement reads a table from end to end, or sorts what an index could
// have sorted, except those that are named here.
func TestPlans(t *testing.T) {
	h := MustOpen(t)
	h.event(t, "tea", nil)
	h.event(t, "opera", priced(9))
	book(t, h, 1, 1)
	h.hold(t, "opera", 2, 1)
	h.hold(t, "opera", 3, 1)
	must(t)(h.Fail(t.Context(), "pay-2", "", false))
	must(t)(h.Confirm(t.Context(), "pay-2", moved(2)))
	must(t)(h.Confirm(t.Context(), "pay-3", moved(3)))
	must(t)(nil, h.Abandon(t.Context(), "pay-4"))
	must(t)(h.RSVP(t.Context(), "rsvp-1"))
	must(t)(h.Ahead(t.Context(), start))
	must(t)(h.Revenue(t.Context(), "tea"))
	must(t)(h.Revenue(t.Context(), ""))
	must(t)(h.KeepWallet(t.Context(), []byte("x")))
	must(t)(h.UpdateEvent(t.Context(), "tea", func(e *store.Event) error { e.Unlisted = true; return nil }))
	must(t)(h.CheckIn(t.Context(), "rsvp-1"))
	must(t)(h.CancelRSVP(t.Context(), "rsvp-3", 0))
	must(t)(h.CancelEvent(t.Context(), "opera", 0))
	must(t)(h.Sign(t.Context(), signed(t, h, 3, 1)))
	must(t)(h.FailRefund(t.Context(), "pay-3", hash(1), "", true))
	must(t)(h.Postpone(t.Context(), "pay-3", "", start))
	must(t)(h.Refund(t.Context(), "pay-3"))
	must(t)(h.Due(t.Context(), 1))
	must(t)(h.OpenRefunds(t.Context(), "opera", 1))
	must(t)(h.ConfirmRefund(t.Context(), "pay-3", hash(4)))
	must(t)(h.Cleared(t.Context()))
	if _, _, err := h.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.ids(t, store.EventQuery{From: start})
	must(t)(h.Listing(t.Context(), start))
	if _, _, err := h.PastEvents(t.Context(), store.PastQuery{Now: start}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.RSVPs(t.Context(), "tea", 0, ""); err != nil {
		t.Fatal(err)
	}
	yes := true
	for _, newest := range []bool{false, true} {
		for _, q := range []store.RSVPQuery{{}, {Text: "x"}, {Status: store.RSVPPending}, {Here: &yes, Text: "x"}} {
			q.EventID, q.Newest = "tea", newest
			if _, _, err := h.FindRSVPs(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
	}
	must(t)(h.Attendance(t.Context(), "tea"))
	must(t)(h.RevenueByDay(t.Context(), start, start))
	for _, shelf := range []store.Shelf{store.ShelfUpcoming, store.ShelfPast, store.ShelfCancelled, store.ShelfPaid} {
		if _, _, err := h.Shelf(t.Context(), store.ShelfQuery{Shelf: shelf, Now: start}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := h.Entries(t.Context(), store.LedgerQuery{}); err != nil {
		t.Fatal(err)
	}
	plans(t, h.path, h.Statements(), map[string]string{
		"FROM events WHERE over_at > ? AND":         "SCAN events",                     // most of an owner's are to come, or few
		"sealed FROM wallet":                        "SCAN wallet",                     // one row
		"cleared":                                   "SCAN cleared",                    // one row
		"FROM refunds f JOIN payments p ON":         "SCAN f USING INDEX refunds_open", // the open ones only
		"FROM payments p WHERE p.id":                "",
		"SELECT retry_at FROM refunds":              "SCAN refunds USING INDEX refunds_open",
		"SELECT\n\t\t\t(SELECT count(*) FROM rsvps": "SCAN CONSTANT ROW",
		"FROM takings_by_day":                       "SCAN takings_by_day", // a row a day
		"ORDER BY starts_at, id LIMIT":              "",
		"SET revision = ":                           "SCAN events", // after a restore
		"WHERE event_id = ?1 AND payer = ?2":        "SCAN CONSTANT ROW",
		"SELECT 1 FROM abandoned WHERE payment":     "SCAN CONSTANT ROW",
	})

	s := MustOpenServer(t, &clock{})
	must(t)(nil, s.AddInvite(t.Context(), hash(1), start.Add(time.Hour)))
	must(t)(nil, s.CheckInvite(t.Context(), hash(1)))
	invite := [32]byte(hash(1))
	must(t)(nil, s.AddUser(t.Context(), store.User{ID: "u"}, token("", store.ScopeOwner, 0), &invite))
	must(t)(nil, s.SetToken(t.Context(), "u", token("", store.ScopeOwner, 1)))
	must(t)(nil, s.AddToken(t.Context(), "u", token("door", store.ScopeCheckIn, 2)))
	must(t)(s.RotateToken(t.Context(), "u", "door", hash(3)))
	must(t)(nil, s.NoteUses(t.Context(), []store.Use{{User: "u", Hash: hash(3)}}))
	must(t)(nil, s.RevokeToken(t.Context(), "u", "door"))
	must(t)(nil, s.AddCode(t.Context(), hash(1), hash(2)))
	must(t)(nil, s.UseCode(t.Context(), hash(1), hash(2)))
	must(t)(s.User(t.Context(), "u"))
	must(t)(s.Tokens(t.Context(), "u"))
	if _, _, err := s.TokenUser(t.Context(), hash(1)); err != nil {
		t.Fatal(err)
	}
	must(t)(nil, s.AddSession(t.Context(), store.Session{Hash: hash(5), User: "u", ExpiresAt: start.Add(time.Hour)}))
	must(t)(s.Session(t.Context(), hash(5)))
	must(t)(s.Sessions(t.Context(), "u"))
	must(t)(nil, s.EndSession(t.Context(), hash(5)))
	must(t)(nil, s.EndSessions(t.Context(), "u"))
	if _, _, err := s.Users(t.Context(), 0, ""); err != nil {
		t.Fatal(err)
	}
	c := s.Claims()
	for n := range 2 {
		claimOf(t, c, claim("u", n), claim("u", n), true)
		claimOf(t, c, claim("u", n), claim("u", n), true)
	}
	if _, _, err := c.Identified(t.Context(), "u", x402.Address{}, "0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	must(t)(nil, c.FreeIdentifier(t.Context(), "none"))
	must(t)(nil, c.Release(t.Context(), claim("u", 0).ClaimKey, claim("u", 0).PaymentID))
	must(t)(nil, c.Close(t.Context(), []string{claim("u", 1).PaymentID}))
	must(t)(c.Open(t.Context()))
	must(t)(nil, s.Note(t.Context(), "u"))
	must(t)(nil, s.Strike(t.Context(), payments.Debtor{}))
	must(t)(s.Debtors(t.Context()))
	for range 2 {
		if _, _, err := s.StartRemoval(t.Context(), "u"); err != nil {
			t.Fatal(err)
		}
	}
	must(t)(nil, s.StopRemoval(t.Context(), "u"))
	if _, _, err := s.StartRemoval(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Removal(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	must(t)(nil, s.CommitRemoval(t.Context(), "u"))
	must(t)(nil, s.FinishRemoval(t.Context(), "u"))
	plans(t, s.Path(), s.Statements(), map[string]string{
		"FROM debtors ORDER BY seq":          "SCAN debtors",                        // all of them, in their order
		"WHERE open = 1 ORDER BY claimed_at": "SCAN claims USING INDEX claims_open", // the open ones only
		"SELECT EXISTS (":                    "SCAN CONSTANT ROW",
		"DELETE FROM removals WHERE state":   "SCAN removals", // a few
		"json_each":                          "SCAN json_each VIRTUAL TABLE INDEX 1:",
	})
}

// plans checks the plans of all statements; allowed is, by a part of a
// statement, the line of its plan that is all right.
func plans(t *testing.T, path string, statements []string, allowed map[string]string) {
	t.Helper()
	db := rawDB(t, path)
	defer db.Close()
	for _, query := range slices.Compact(slices.Sorted(slices.Values(statements))) {
		ok := ""
		for part, line := range allowed {
			if strings.Contains(query, part) {
				ok = line
			}
		}
		for _, line := range plan(t, db, query) {
			if (strings.HasPrefix(line, "SCAN") || strings.Contains(line, "TEMP B-TREE")) && line != ok {
				t.Errorf("%s\nneeds: %s", query, line)
			}
		}
	}
}

// plan returns what SQLite would do, line by line.
func plan(t *testing.T, db *sql.DB, query string) (lines []string) {
	t.Helper()
	var rows *sql.Rows
	err := error(nil)
	for args := range 20 { // as many as the statement has
		if rows, err = db.Query("EXPLAIN QUERY PLAN "+query, make([]any, args)...); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var skip int
		var line string
		if err := rows.Scan(&skip, &skip, &skip, &line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}
