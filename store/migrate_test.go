package store_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// steps are the migrations of a schema.
func steps(t *testing.T, schema fs.FS) (all []string) {
	t.Helper()
	names, err := fs.Glob(schema, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatal(err, names)
	}
	for _, name := range names {
		text, err := fs.ReadFile(schema, name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

// version1 makes a file as the first version of this program did, with these
// rows.
func version1(t *testing.T, schema fs.FS, id int, rows string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "old.db")
	raw(t, path, fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = 1; PRAGMA journal_mode = WAL; %s",
		steps(t, schema)[0], id, rows))
	return path
}

// What is owed in a file of version 1 has a refund from then on.
func TestHostOfVersion1(t *testing.T) {
	payment := func(n int, state, tx string) string {
		return fmt.Sprintf(`INSERT INTO rsvps (id, event_id, seats, status, payer, name, email, amount, created_at)
				VALUES ('rsvp-%d', 'opera', 1, iif('%s' = 'settled', 'confirmed', 'failed'), '%s', '', '', 1000000, 5);
			INSERT INTO payments (id, rsvp_id, state, open, x402_version, network, asset, payer, pay_to, amount, nonce,
				valid_after, valid_before, since, tx, created_at, updated_at)
			VALUES ('pay-%d', 'rsvp-%d', '%s', 0, 2, 'eip155:84532', '%s', '%s', '%s', 1000000, '%s', 1, 2, 3, %s, 5, 6);`,
			n, state, address(n), n, n, state, address(50), address(n), address(60), hash(n), tx)
	}
	tx := fmt.Sprintf("'%s'", hash(70))
	path := version1(t, store.HostSchema(), store.HostID, fmt.Sprintf(`
		INSERT INTO events (id, title, description, starts_at, time_zone, location, capacity, seats_taken, price, created_at, search)
			VALUES ('opera', 'Opera', '', %d, 'UTC', '', 5, 1, 1000000, 5, 'opera');`, start.UnixMilli())+
		payment(1, "settled", tx)+payment(2, "owed", tx)+payment(3, "failed", "NULL"))

	h := reopen(t, &host{path: path, clock: &clock{}})
	e, err := h.Event(t.Context(), "opera")
	if err != nil || e.SeatsTaken != 1 || !e.CutOff().Equal(start) {
		t.Errorf("%+v, %v", e, err)
	}
	refunds, err := h.OpenRefunds(t.Context(), "", 9)
	if err != nil {
		t.Fatal(err)
	}
	want := []payments.Payment{{ID: "pay-2", RSVPID: "rsvp-2", State: payments.Owed, Open: true, X402Version: 2, Network: x402.BaseSepolia,
		Asset: address(50), PayTo: address(2), Amount: x402.USD, CreatedAt: refunds[0].CreatedAt, UpdatedAt: refunds[0].CreatedAt}}
	if diff := cmp.Diff(want, refunds); diff != "" || refunds[0].CreatedAt.UnixMilli() != 6 {
		t.Error(diff)
	}
	if ids, err := h.Due(t.Context(), 9); err != nil || len(ids) != 1 {
		t.Errorf("due: %v, %v", ids, err)
	}
	if got, err := h.Revenue(t.Context(), ""); err != nil || got != (store.Revenue{Settled: x402.USD, Owed: x402.USD}) {
		t.Errorf("%+v, %v", got, err)
	}
	r, err := h.CancelRSVP(t.Context(), "rsvp-2", 0) // it failed, and its money is on the way already
	if err != nil || r.Status != store.RSVPFailed || r.Refund == nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// A Host that has been paid before there were refunds may owe one.
func TestServerOfVersion1(t *testing.T) {
	path := version1(t, store.ServerSchema(), store.ServerID, fmt.Sprintf(`
		INSERT INTO users (id, created_at) VALUES ('poor', 1), ('paid', 2);
		INSERT INTO claims (network, asset, payer, nonce, user_id, payment_id, fingerprint, claimed_at, open) VALUES
			('n', '%[1]s', '%[1]s', '1', 'paid', 'pay-1', zeroblob(32), 1, 0),
			('n', '%[1]s', '%[1]s', '2', 'paid', 'pay-2', zeroblob(32), 1, 1),
			('n', '%[1]s', '%[1]s', '3', 'gone', 'pay-3', zeroblob(32), 1, 0);`, address(1)))
	s, err := store.OpenServer(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.Debtors(t.Context()); err != nil || len(got) != 1 || got[0].User != "paid" {
		t.Errorf("%v, %v", got, err)
	}
}
