package store_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

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
	must(t)(h.Revenue(t.Context(), "tea"))
	must(t)(h.Revenue(t.Context(), ""))
	must(t)(h.KeepWallet(t.Context(), []byte("x")))
	must(t)(h.UpdateEvent(t.Context(), "tea", func(*store.Event) error { return nil }))
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
	if _, _, err := h.RSVPs(t.Context(), "tea", 0, ""); err != nil {
		t.Fatal(err)
	}
	plans(t, h.path, h.Statements(), map[string]string{
		"sealed FROM wallet":                    "SCAN wallet",                     // one row
		"cleared":                               "SCAN cleared",                    // one row
		"FROM refunds f JOIN payments p ON":     "SCAN f USING INDEX refunds_open", // the open ones only
		"FROM payments p WHERE p.id":            "",
		"SELECT retry_at FROM refunds":          "SCAN refunds USING INDEX refunds_open",
		"sum(p.amount)":                         "SCAN p USING COVERING INDEX payments_by_state",
		"ORDER BY starts_at, id LIMIT":          "",
		"WHERE event_id = ?1 AND payer = ?2":    "SCAN CONSTANT ROW",
		"SELECT 1 FROM abandoned WHERE payment": "SCAN CONSTANT ROW",
	})

	s := MustOpenServer(t, &clock{})
	must(t)(nil, s.AddUser(t.Context(), store.User{ID: "u"}, [32]byte{}, ""))
	must(t)(nil, s.SetToken(t.Context(), "u", "", [32]byte{}))
	must(t)(s.User(t.Context(), "u"))
	must(t)(s.TokenHashes(t.Context(), "u"))
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
	plans(t, s.Path(), s.Statements(), map[string]string{
		"FROM debtors ORDER BY seq":          "SCAN debtors",                        // all of them, in their order
		"WHERE open = 1 ORDER BY claimed_at": "SCAN claims USING INDEX claims_open", // the open ones only
		"FROM users WHERE id = ?)":           "SCAN CONSTANT ROW",
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
