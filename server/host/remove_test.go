package host_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// leased opens a directory whose processes notice soon when a user is gone.
func leased(t *testing.T, dir string) *host.Hosts {
	t.Helper()
	h, err := host.Open(t.Context(), host.Config{Dir: dir, Log: testlog.New(), Lease: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(context.Background()) })
	return h
}

func register(t *testing.T, h *host.Hosts, email string) store.User {
	t.Helper()
	u, _, err := h.Register(t.Context(), host.Registration{Email: email})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// booked gives a user an event with a paid RSVP whose payment has this end.
func booked(t *testing.T, h *host.Hosts, u store.User, final bool) payments.Claim {
	t.Helper()
	hosted, err := h.Host(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hosted.Store.CreateEvent(t.Context(), store.Event{ID: "evt_1", Title: "Opera", StartsAt: time.Now().Add(time.Hour), TimeZone: "UTC", Price: x402.USD}); err != nil {
		t.Fatal(err)
	}
	claim := payments.Claim{ClaimKey: payments.ClaimKey{Network: x402.BaseSepolia, Payer: x402.Address{1}, Nonce: x402.Bytes32{2}}, User: u.ID, PaymentID: "pay_1"}
	if _, won, err := h.Server.Claims().Claim(t.Context(), claim); err != nil || !won {
		t.Fatal(won, err)
	}
	p := payments.Payment{ID: "pay_1", Network: x402.BaseSepolia, Payer: claim.Payer, Nonce: claim.Nonce, PayTo: u.WalletAddress, Amount: x402.USD,
		ValidBefore: time.Now().Add(time.Minute), Signature: x402.Signature{1}}
	if err := hosted.Store.Hold(t.Context(), p, payments.Booking{RSVPID: "rsvp_1", EventID: "evt_1", Seats: 1, Name: "Bo"}); err != nil {
		t.Fatal(err)
	}
	if final {
		finish(t, h, hosted)
	}
	return claim
}

func finish(t *testing.T, h *host.Hosts, hosted *tools.Host) {
	t.Helper()
	_, err := hosted.Store.Confirm(t.Context(), "pay_1", payments.Settlement{Transaction: x402.Bytes32{9}, Block: 1, Final: true})
	if err = errors.Join(err, h.Server.Claims().Close(t.Context(), []string{"pay_1"})); err != nil {
		t.Fatal(err)
	}
}

func export(t *testing.T) host.Export {
	return host.Export{Path: filepath.Join(t.TempDir(), "export.zip"), Passphrase: "correct horse", Strength: wallet.Light}
}

// files lists what is in a data directory under a user's name.
func files(t *testing.T, dir, user string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "hosts", user[:2], user+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A user is removed while another process serves them.
func TestRemove(t *testing.T) {
	dir := t.TempDir()
	serving, h := leased(t, dir), leased(t, dir)
	ada, bo := register(t, serving, "ada@example.org"), register(t, serving, "bo@example.org")
	claim := booked(t, serving, ada, true)
	served, err := serving.Host(t.Context(), ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	copies := filepath.Join(dir, "hosts", ada.ID[:2], ada.ID+".db.v1.bak")
	if err := os.WriteFile(copies, []byte("a copy"), 0o600); err != nil {
		t.Fatal(err)
	}

	d, err := h.Departure(t.Context(), ada.ID)
	if err != nil || d.Exported || d.Wallet != ada.WalletAddress || len(d.Open) > 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	e := export(t)
	if err := h.Remove(t.Context(), ada.ID, e); err != nil {
		t.Fatal(err)
	}
	for name, hosts := range map[string]*host.Hosts{"who serves": serving, "who removed": h} {
		if _, err := hosts.Host(t.Context(), ada.ID); !errors.Is(err, store.ErrUserNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := served.ListEvents(t.Context(), tools.ListEventsInput{}); err == nil {
		t.Error("who was at work with it goes on")
	}
	if left := files(t, dir, ada.ID); len(left) > 0 {
		t.Errorf("there are still %v", left)
	}
	claim.User, claim.PaymentID = bo.ID, "pay_2"
	if _, _, err := serving.Server.Claims().Claim(t.Context(), claim); !errors.Is(err, payments.ErrAlreadyUsed) {
		t.Errorf("its payment once more: %v", err)
	}
	if _, err := serving.Host(t.Context(), bo.ID); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	if err := h.Remove(t.Context(), ada.ID, export(t)); !errors.Is(err, store.ErrUserNotFound) {
		t.Errorf("removed again: %v", err)
	}

	parts := unzip(t, e.Path)
	for name, says := range map[string]string{"README.txt": "wallet.json", "user.json": ada.WalletAddress.String(), "events.jsonl": `"title":"Opera"`,
		"rsvps.jsonl": `"name":"Bo"`, "host.db": "SQLite format 3", "wallet.json": "scrypt"} {
		if !bytes.Contains(parts[name], []byte(says)) {
			t.Errorf("%s of the export: %.80q", name, parts[name])
		}
	}
	if w, err := wallet.Unseal(parts["wallet.json"], e.Passphrase); err != nil || w.Address() != ada.WalletAddress {
		t.Errorf("the wallet in the export: %v", err)
	}
	if info, err := os.Stat(e.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if left, err := os.ReadDir(filepath.Dir(e.Path)); err != nil || len(left) != 1 {
		t.Errorf("beside the export are %v, %v", left, err)
	}

	// Who comes back is somebody new, also where the old one was served.
	again := register(t, h, "ada@example.org")
	if again.ID != ada.ID || again.WalletAddress == ada.WalletAddress {
		t.Errorf("back as %+v", again)
	}
	back, err := serving.Host(t.Context(), ada.ID)
	if err != nil || back.PayTo != again.WalletAddress {
		t.Fatalf("%+v, %v", back, err)
	}
	if list, err := back.ListEvents(t.Context(), tools.ListEventsInput{}); err != nil || len(list.Events) > 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func unzip(t *testing.T, path string) map[string][]byte {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	parts := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if parts[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return parts
}

// A removal that is refused leaves everything as it was.
func TestNotRemoved(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there.zip")
	if err := os.WriteFile(there, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	var unfinished *host.UnfinishedError
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	for name, test := range map[string]struct {
		make   func(*testing.T, *host.Hosts, store.User)
		export func(*host.Export)
		want   func(error) bool
	}{
		"a payment is open": {func(t *testing.T, h *host.Hosts, u store.User) { booked(t, h, u, false) }, nil,
			func(err error) bool {
				return errors.As(err, &unfinished) && len(unfinished.Open) == 1 && unfinished.Open[0].Payment.ID == "pay_1"
			}},
		"a refund is owed": {func(t *testing.T, h *host.Hosts, u store.User) {
			booked(t, h, u, true)
			hosted, err := h.Host(t.Context(), u.ID)
			if err == nil {
				_, err = hosted.Store.CancelRSVP(t.Context(), "rsvp_1", 0)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, nil, func(err error) bool { return errors.As(err, &unfinished) && unfinished.Open[0].Refund }},
		"no passphrase":          {nil, func(e *host.Export) { e.Passphrase = "" }, is(host.ErrNoPassphrase)},
		"the export is there":    {nil, func(e *host.Export) { e.Path = there }, func(err error) bool { return strings.Contains(err.Error(), "there already") }},
		"no place for an export": {nil, func(e *host.Export) { e.Path = filepath.Join(e.Path, "no", "folder") }, is(os.ErrNotExist)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			serving, h := leased(t, dir), leased(t, dir)
			u := register(t, serving, "ada@example.org")
			if test.make != nil {
				test.make(t, serving, u)
			}
			e := export(t)
			if test.export != nil {
				test.export(&e)
			}
			if err := h.Remove(t.Context(), u.ID, e); err == nil || !test.want(err) {
				t.Errorf("got %v", err)
			}
			for _, hosts := range []*host.Hosts{serving, h} {
				hosted, err := hosts.Host(t.Context(), u.ID)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := hosted.CreateEvent(t.Context(), tools.CreateEventInput{Title: "T", StartsAt: "2030-01-01T00:00:00Z"}); err != nil {
					t.Errorf("the host does not go on: %v", err)
				}
			}
		})
	}
	if raw, err := os.ReadFile(there); err != nil || string(raw) != "precious" {
		t.Errorf("%q, %v", raw, err)
	}
}

// A removal that was broken off at any point is finished by another.
func TestRemovalResumed(t *testing.T) {
	for name, broken := range map[string]func(*testing.T, *host.Hosts, string, string){
		"closing": func(*testing.T, *host.Hosts, string, string) {},
		"before the files went": func(t *testing.T, h *host.Hosts, _, user string) {
			if err := h.Server.CommitRemoval(t.Context(), user); err != nil {
				t.Fatal(err)
			}
		},
		"after the file went": func(t *testing.T, h *host.Hosts, dir, user string) {
			err := h.Server.CommitRemoval(t.Context(), user)
			if err = errors.Join(err, os.Remove(filepath.Join(dir, "hosts", user[:2], user+".db"))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h := leased(t, dir)
			u := register(t, h, "ada@example.org")
			booked(t, h, u, true)
			if _, _, err := h.Server.StartRemoval(t.Context(), u.ID); err != nil {
				t.Fatal(err)
			}
			broken(t, h, dir, u.ID)
			if err := h.Close(t.Context()); err != nil {
				t.Fatal(err)
			}

			h = leased(t, dir)
			if _, err := h.Host(t.Context(), u.ID); !errors.Is(err, store.ErrUserLeaving) {
				t.Errorf("half removed: %v", err)
			}
			if _, _, err := h.Register(t.Context(), host.Registration{Email: "ada@example.org"}); !errors.Is(err, store.ErrUserExists) {
				t.Errorf("registered while half removed: %v", err)
			}
			d, err := h.Departure(t.Context(), u.ID)
			if err != nil || d.Exported == (name == "closing") {
				t.Fatalf("%+v, %v", d, err)
			}
			if _, err := h.Host(t.Context(), u.ID); (err == nil) == d.Exported {
				t.Errorf("looked at, and: %v", err)
			}
			e := export(t)
			if err := h.Remove(t.Context(), u.ID, e); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(e.Path); (err == nil) == d.Exported {
				t.Errorf("an export: %v", err)
			}
			if left := files(t, dir, u.ID); len(left) > 0 {
				t.Errorf("there are still %v", left)
			}
			if _, err := h.Host(t.Context(), u.ID); !errors.Is(err, store.ErrUserNotFound) {
				t.Errorf("removed: %v", err)
			}
			register(t, h, "ada@example.org")
		})
	}
}

// Under load the file of a removed user does not come back, and nobody is told
// anything but that the host is gone.
func TestRemovedUnderLoad(t *testing.T) {
	dir := t.TempDir()
	serving, h := leased(t, dir), leased(t, dir)
	u := register(t, serving, "ada@example.org")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				hosted, err := serving.Host(ctx, u.ID)
				if err == nil {
					_, err = hosted.CreateEvent(ctx, tools.CreateEventInput{Title: "T", StartsAt: "2030-01-01T00:00:00Z"})
				}
				if err != nil && !errors.Is(err, store.ErrUserNotFound) && !errors.Is(err, store.ErrNoFile) && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	if err := h.Remove(t.Context(), u.ID, export(t)); err != nil {
		t.Error(err)
	}
	stop()
	load.Wait()
	if left := files(t, dir, u.ID); len(left) > 0 {
		t.Errorf("there are still %v", left)
	}
}

// Only one user is removed at a time: a slower removal must not meet who has come
// back.
func TestRemovalsOneByOne(t *testing.T) {
	dir := t.TempDir()
	h := leased(t, dir)
	u := register(t, h, "ada@example.org")
	var wg sync.WaitGroup
	results := make([]error, 4)
	for i := range results {
		wg.Go(func() { results[i] = h.Remove(t.Context(), u.ID, export(t)) })
	}
	wg.Wait()
	removed := 0
	for _, err := range results {
		switch {
		case err == nil:
			removed++
		case !errors.Is(err, store.ErrUserNotFound) && !strings.Contains(err.Error(), "run it again"):
			t.Error(err)
		}
	}
	if removed != 1 {
		t.Errorf("removed %d times", removed)
	}
}

// Over stdio a Host is served until its user is removed.
func TestServedUntilRemoved(t *testing.T) {
	dir := t.TempDir()
	serving, h := leased(t, dir), leased(t, dir)
	u := register(t, serving, "ada@example.org")
	in, out := io.Pipe()
	answers, answered := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- serving.ServeHost(context.Background(), tools.NewServer("test", testlog.New()), u.ID, store.ScopeOwner, in, answered)
		in.Close()
		answered.Close()
	}()
	lines := bufio.NewReader(answers)
	list := callLine(1, "list_events")
	if _, err := io.WriteString(out, hello+list); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if line, err := lines.ReadString('\n'); err != nil || strings.Contains(line, "isError") {
			t.Fatalf("%s, %v", line, err)
		}
	}
	if err := h.Remove(t.Context(), u.ID, export(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(out, list); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, store.ErrUserNotFound) {
		t.Errorf("it ended with %v", err)
	}
	if left := files(t, dir, u.ID); len(left) > 0 {
		t.Errorf("there are still %v", left)
	}
}

// Who comes back where their old file is still open gets a new wallet in a new
// file: the key of the old one is nowhere but in the export.
func TestComesBackAtOnce(t *testing.T) {
	dir := t.TempDir()
	serving, h := leased(t, dir), leased(t, dir)
	u := register(t, serving, "ada@example.org")
	booked(t, serving, u, true)
	if err := h.Remove(t.Context(), u.ID, export(t)); err != nil {
		t.Fatal(err)
	}
	again := register(t, serving, "ada@example.org")
	if again.WalletAddress == u.WalletAddress {
		t.Error("the old wallet is back")
	}
	for name, hosts := range map[string]*host.Hosts{"there": serving, "elsewhere": h} {
		d, err := hosts.Departure(t.Context(), u.ID)
		if err != nil || d.Wallet != again.WalletAddress {
			t.Errorf("%s the file has the wallet %s, %v", name, d.Wallet, err)
		}
		hosted, err := hosts.Host(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := hosted.ListEvents(t.Context(), tools.ListEventsInput{}); err != nil || len(list.Events) > 0 {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
}
