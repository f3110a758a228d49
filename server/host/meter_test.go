package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/tools"
)

// metered opens a data directory at a time that the test sets.
func metered(t *testing.T, dir string, now *time.Time, q host.Quotas) *host.Hosts {
	t.Helper()
	h, err := host.Open(t.Context(), host.Config{Dir: dir, Quotas: q, Log: testlog.New(), Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(context.Background()) })
	return h
}

func mustRegister(t *testing.T, h *host.Hosts) (user string) {
	t.Helper()
	u, _, err := h.Register(t.Context(), host.Registration{Email: "ada@example.org", PayTo: x402.Address{1}})
	if err != nil {
		t.Fatal(err)
	}
	return u.ID
}

func used(t *testing.T, h *host.Hosts, user string) host.Quotas {
	t.Helper()
	u, err := h.Usage(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	u.Bytes = 0
	return u.Quotas
}

// What is counted outlives the program, comes to an end with the day (UTC), and
// adds up over several processes.
func TestUsageSurvives(t *testing.T) {
	now := time.Date(2026, 6, 1, 23, 59, 0, 0, time.FixedZone("", -3600))
	dir := t.TempDir()
	h := metered(t, dir, &now, host.Quotas{Requests: 3})
	user := mustRegister(t, h)
	for i := range 5 {
		spent, err := h.CountRequest(t.Context(), user)
		if err != nil || (spent != nil) != (i >= 3) {
			t.Errorf("request %d: %v, %v", i, spent, err)
		}
		if spent != nil && spent.RetryAfter != 23*3600+60 { // it is the next day already
			t.Errorf("retry after %d s", spent.RetryAfter)
		}
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, b := metered(t, dir, &now, host.Quotas{}), metered(t, dir, &now, host.Quotas{})
	for range 4 {
		a.CountRequest(t.Context(), user)
		b.CountRequest(t.Context(), user)
	}
	keep := func(h *host.Hosts) {
		t.Helper()
		if err := h.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	keep(a)
	keep(b)
	if a, b := used(t, a, user), used(t, b, user); a.Requests != 9 || b.Requests != 13 {
		t.Errorf("one counts %d, the other %d", a.Requests, b.Requests)
	}
	keep(a) // it had nothing to write, and asks again
	if got := used(t, a, user); got.Requests != 13 {
		t.Errorf("later the one counts %d", got.Requests)
	}
	now = now.Add(23 * time.Hour)
	if got := used(t, a, user); got.Requests != 13 {
		t.Errorf("before the day is over: %d", got.Requests)
	}
	now = now.Add(time.Hour)
	a.CountRequest(t.Context(), user)
	keep(a)
	now = now.Add(-time.Hour) // the clock is set back
	if got := used(t, b, user); got.Requests != 13 {
		t.Errorf("who did not see the day end has %d", got.Requests)
	}
	now = now.Add(time.Hour)
	if got := used(t, b, user); got.Requests != 1 {
		t.Errorf("the next day: %d", got.Requests)
	}
}

// However many events are created at once, there are no more than may be; one
// that could not be created does not count.
func TestEventQuota(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	h := metered(t, t.TempDir(), &now, host.Quotas{Events: 5})
	user := mustRegister(t, h)
	ada, err := h.Host(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	in := tools.CreateEventInput{Title: "Opera", StartsAt: "2026-07-01T19:00:00Z"}
	if _, err := ada.CreateEvent(t.Context(), tools.CreateEventInput{Title: "without a start"}); err == nil {
		t.Error("an event without a start was created")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ada.CreateEvent(gone, in); err == nil {
		t.Error("an event was created for who has gone")
	}
	var creating sync.WaitGroup
	var mu sync.Mutex
	created, refused := 0, 0
	for range 12 {
		creating.Go(func() {
			_, err := ada.CreateEvent(t.Context(), in)
			var over *tools.Error
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				created++
			case errors.As(err, &over) && over.Code == tools.CodeOverLimit && over.RetryAfter == 12*3600:
				refused++
			default:
				t.Error(err)
			}
		})
	}
	creating.Wait()
	if created != 5 || refused != 7 || used(t, h, user).Events != 5 {
		t.Errorf("%d created, %d refused, %+v", created, refused, used(t, h, user))
	}
	now = now.Add(12 * time.Hour)
	if _, err := ada.CreateEvent(t.Context(), in); err != nil {
		t.Errorf("the next day: %v", err)
	}
}

// A Host that stores as much as it may takes no more on, and goes on otherwise.
// Who was asked to pay before can pay still.
func TestStorageQuota(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	h := metered(t, dir, &now, host.Quotas{Bytes: 1 << 20})
	user := mustRegister(t, h)
	ada, err := h.Host(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	free, err := ada.CreateEvent(t.Context(), tools.CreateEventInput{Title: "Opera", StartsAt: "2026-07-01T19:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	booked, _, err := ada.RSVPToEvent(t.Context(), tools.RSVPInput{EventID: free.ID}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Quotas.Bytes = 1000
	_, _, bookErr := ada.RSVPToEvent(t.Context(), tools.RSVPInput{EventID: free.ID}, nil)
	_, createErr := ada.CreateEvent(t.Context(), tools.CreateEventInput{Title: "Opera", StartsAt: "2026-07-01T19:00:00Z"})
	for what, err := range map[string]error{"book": bookErr, "create": createErr} {
		var over *tools.Error
		if !errors.As(err, &over) || over.Code != tools.CodeOverLimit || over.RetryAfter != 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ada.GetRSVP(t.Context(), tools.GetRSVPInput{RSVPID: booked.ID}); err != nil {
		t.Error(err)
	}
	if _, err := ada.CancelRSVP(t.Context(), tools.CancelRSVPInput{RSVPID: booked.ID}); err != nil {
		t.Error(err)
	}
	file, err := os.Stat(filepath.Join(dir, "hosts", user[:2], user+".db"))
	if err != nil {
		t.Fatal(err)
	}
	if u, err := h.Usage(t.Context(), user); err != nil || u.Bytes < file.Size() || u.Events != 1 || u.Limits.Bytes != 1000 {
		t.Errorf("%+v, %v", u, err)
	}
}

// Far from the limit the file is not looked at for each call, and near it is.
func TestStorageQuotaIsReached(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	const most = 3 << 20
	h := metered(t, t.TempDir(), &now, host.Quotas{Bytes: most})
	user := mustRegister(t, h)
	ada, err := h.Host(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("ü", 10_000)
	for n := 0; ; n++ {
		_, err := ada.CreateEvent(t.Context(), tools.CreateEventInput{Title: "Opera", Description: long, StartsAt: "2026-07-01T19:00:00Z"})
		u, usageErr := h.Usage(t.Context(), user)
		if usageErr != nil || u.Bytes > most+100_000 {
			t.Fatalf("after %d events: %+v, %v", n, u, usageErr)
		}
		var over *tools.Error
		if errors.As(err, &over) && over.Code == tools.CodeOverLimit && u.Bytes >= most {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Counting from all sides while it is written loses nothing.
func TestCountingIsExact(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	h := metered(t, dir, &now, host.Quotas{})
	user := mustRegister(t, h)
	var counting sync.WaitGroup
	for range 8 {
		counting.Go(func() {
			for i := range 200 {
				if _, err := h.CountRequest(t.Context(), user); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					if err := h.Keep(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	counting.Wait()
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := used(t, metered(t, dir, &now, host.Quotas{}), user); got.Requests != 1600 {
		t.Errorf("%d requests were counted, want 1600", got.Requests)
	}
}

// BenchmarkCountRequest is what it costs a request to be counted.
func BenchmarkCountRequest(b *testing.B) {
	h := mustOpen(b, b.TempDir(), "")
	u, _, err := h.Register(b.Context(), host.Registration{Email: "ada@example.org", PayTo: x402.Address{1}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := h.CountRequest(b.Context(), u.ID); err != nil {
			b.Fatal(err)
		}
	}
}
