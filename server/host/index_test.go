package host_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/tools"
)

// indexed is a data directory whose Hosts are kept in an index.
type indexed struct {
	*host.Hosts
	*host.Index
	dir   string
	later atomic.Int64 // nanoseconds that its clock is ahead
}

func mustIndex(t testing.TB, dir string) *indexed {
	t.Helper()
	x := &indexed{dir: dir}
	h, err := host.Open(t.Context(), host.Config{Dir: dir, Log: testlog.New(),
		Now: func() time.Time { return time.Now().Add(time.Duration(x.later.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	x.Hosts, x.Index = h, host.OpenIndex(t.Context(), h)
	t.Cleanup(func() { x.Index.Close(); h.Close(context.Background()) })
	return x
}

// with registers a user and returns their Host.
func (x *indexed) with(t testing.TB, name string) *tools.Host {
	t.Helper()
	u, _, err := x.Register(t.Context(), host.Registration{Email: name + "@example.org", PayTo: x402.Address{1}})
	if err != nil {
		t.Fatal(err)
	}
	return x.host(t, u.ID)
}

func (x *indexed) host(t testing.TB, user string) *tools.Host {
	t.Helper()
	h, err := x.Host(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func mustCreate(t testing.TB, h *tools.Host, title string, hours int) tools.Event {
	t.Helper()
	e, err := h.CreateEvent(t.Context(), tools.CreateEventInput{Title: title,
		StartsAt: time.Now().Add(time.Duration(hours) * time.Hour).Format(time.RFC3339)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// titles are those that are found, page by page.
func (x *indexed) titles(t testing.TB, query string) string {
	t.Helper()
	var titles []string
	for in := (tools.FindEventsInput{Query: query, Limit: 7}); ; {
		events, next, err := x.Find(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			titles = append(titles, e.Title)
		}
		if in.Cursor = next; next == "" {
			return strings.Join(titles, ",")
		}
	}
}

func (x *indexed) mustSweep(t testing.TB) {
	t.Helper()
	if err := x.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What this process changes is found at once.
func TestFound(t *testing.T) {
	x := mustIndex(t, t.TempDir())
	ada, bob := x.with(t, "ada"), x.with(t, "bob")
	tea := mustCreate(t, ada, "Tea", 3)
	mustCreate(t, bob, "Opera", 2)
	expect := func(query, want string) {
		t.Helper()
		if got := x.titles(t, query); got != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
	expect("", "Opera,Tea")
	expect("te", "Tea")
	change := func(in tools.UpdateEventInput) {
		t.Helper()
		in.EventID = tea.ID
		if _, err := ada.UpdateEvent(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	text := func(s string) *string { return &s }
	change(tools.UpdateEventInput{Title: text("Coffee")})
	expect("tea", "")
	expect("coffee", "Coffee")
	change(tools.UpdateEventInput{Visibility: text(tools.Unlisted)})
	expect("", "Opera")
	change(tools.UpdateEventInput{Visibility: text(tools.Public), StartsAt: text(time.Now().Add(time.Hour).Format(time.RFC3339))})
	expect("", "Coffee,Opera")
	if _, err := ada.CancelEvent(t.Context(), tools.CancelEventInput{EventID: tea.ID}); err != nil {
		t.Fatal(err)
	}
	expect("", "Opera")
	if _, _, err := x.Find(t.Context(), tools.FindEventsInput{Cursor: "x"}); err == nil || !strings.Contains(err.Error(), "cursor") {
		t.Error(err)
	}
}

// What another process does is found by a sweep, and what it took back is not shown
// even before that.
func TestFoundOfAnotherProcess(t *testing.T) {
	x := mustIndex(t, t.TempDir())
	ada := x.with(t, "ada")
	mustCreate(t, ada, "Tea", 3)
	other := mustOpen(t, x.dir, "") // which knows nothing of the index
	there, err := other.Host(t.Context(), ada.User)
	if err != nil {
		t.Fatal(err)
	}
	opera := mustCreate(t, there, "Opera", 2)
	walk := mustCreate(t, there, "Walk", 1)
	x.mustSweep(t)
	if got := x.titles(t, ""); got != "Walk,Opera,Tea" {
		t.Error(got)
	}
	unlisted := tools.Unlisted
	if _, err := there.UpdateEvent(t.Context(), tools.UpdateEventInput{EventID: opera.ID, Visibility: &unlisted}); err != nil {
		t.Fatal(err)
	}
	if _, err := there.CancelEvent(t.Context(), tools.CancelEventInput{EventID: walk.ID}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // before a sweep, and after it
		if got := x.titles(t, ""); got != "Tea" {
			t.Error(got)
		}
		x.mustSweep(t)
	}
	if _, _, err := other.Register(t.Context(), host.Registration{Email: "bob@example.org", PayTo: x402.Address{1}}); err != nil {
		t.Fatal(err)
	}
	id, err := other.UserID("bob@example.org")
	if err != nil {
		t.Fatal(err)
	}
	if there, err = other.Host(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, there, "Jazz", 1)
	x.mustSweep(t)
	if got := x.titles(t, ""); got != "Jazz,Tea" {
		t.Error(got)
	}
}

// A user who is removed is not found any more, and leaves nothing.
func TestFoundNoMore(t *testing.T) {
	x := mustIndex(t, t.TempDir())
	ada, bob := x.with(t, "ada"), x.with(t, "bob")
	mustCreate(t, ada, "Tea", 1)
	mustCreate(t, bob, "Opera", 1)
	if err := x.Remove(t.Context(), ada.User, host.Export{Path: filepath.Join(t.TempDir(), "export.zip")}); err != nil {
		t.Fatal(err)
	}
	if got := x.titles(t, ""); got != "Opera" {
		t.Error(got)
	}
	if err := x.Index.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(x.dir, "index.db"))
	if err != nil || strings.Contains(string(raw), "Tea") || strings.Contains(string(raw), ada.User) {
		t.Errorf("something is left of who was removed (%v)", err)
	}
}

// Whatever happens to the index's file, a sweep makes it say what it said.
func TestIndexIsMadeAnew(t *testing.T) {
	x := mustIndex(t, t.TempDir())
	for _, name := range []string{"ada", "bob", "eve"} {
		h := x.with(t, name)
		for i := range 9 {
			mustCreate(t, h, fmt.Sprint("Tea ", name, i), i+1)
		}
	}
	path := filepath.Join(x.dir, "index.db")
	want := x.titles(t, "tea")
	older := filepath.Join(t.TempDir(), "older.db")
	if strings.Count(want, ",") != 26 {
		t.Fatal(want)
	}
	x.mustSweep(t)
	x.mustClose(t)
	copyTo(t, path, older)
	other := mustOpen(t, t.TempDir(), "") // whose server.db is put in its place
	for name, harm := range map[string]func(){
		"nothing":   func() {},
		"deleted":   func() { remove(t, path) },
		"truncated": func() { truncate(t, path, 10_000) },
		"short":     func() { truncate(t, path, 100) },
		"empty":     func() { truncate(t, path, 0) },
		"scrambled": func() { scramble(t, path) },
		"no database": func() {
			if err := os.WriteFile(path, []byte(strings.Repeat("what? ", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"wrong file": func() { copyTo(t, filepath.Join(other.Dir, "server.db"), path) },
		"older":      func() { copyTo(t, older, path) },
	} {
		for _, while := range []string{"closed", "open"} {
			t.Run(name+" while "+while, func(t *testing.T) {
				x.reopen(t)
				x.mustSweep(t)
				if got := x.titles(t, "tea"); got != want {
					t.Fatalf("before: %q", got)
				}
				if while == "closed" {
					x.mustClose(t)
				}
				harm()
				if while == "closed" {
					x.reopen(t)
				} else if _, _, err := x.Find(t.Context(), tools.FindEventsInput{Query: "tea"}); err != nil && !strings.Contains(err.Error(), "internal") {
					t.Error(err)
				}
				x.mustSweep(t)
				// What SQLite remembered of the file may have hidden the damage until now.
				if _, _, err := x.Find(t.Context(), tools.FindEventsInput{Query: "tea"}); while == "open" && err != nil {
					x.mustSweep(t)
				}
				if got := x.titles(t, "tea"); got != want {
					t.Errorf("finds %q", got)
				}
				x.mustClose(t)
			})
		}
	}
}

func (x *indexed) mustClose(t *testing.T) {
	t.Helper()
	if err := x.Index.Close(); err != nil {
		t.Log(err)
	}
}

func (x *indexed) reopen(t *testing.T) {
	t.Helper()
	x.Index = host.OpenIndex(t.Context(), x.Hosts)
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string, n int64) {
	t.Helper()
	if err := os.Truncate(path, n); err != nil {
		t.Fatal(err)
	}
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// scramble overwrites every page but the first with noise.
func scramble(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for i := 4096; i < len(content); i++ {
		content[i] = byte(r.Uint32())
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A Host that can't be read, or was put back to an earlier state, stops nobody else.
func TestSweepOfBrokenHosts(t *testing.T) {
	x := mustIndex(t, t.TempDir())
	ada, bob := x.with(t, "ada"), x.with(t, "bob")
	mustCreate(t, ada, "Tea", 1)
	mustCreate(t, bob, "Opera", 2)
	x.mustSweep(t)
	path := filepath.Join(x.dir, "hosts", ada.User[:2], ada.User+".db")
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := ada.Store.Copy(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, ada, "Walk", 3)
	close := func() {
		t.Helper()
		if err := x.Files.Alone(t.Context(), path, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	close()
	copyTo(t, backup, path)
	x.mustSweep(t)
	if got := x.titles(t, ""); got != "Tea,Opera" {
		t.Errorf("after a restore: %q", got)
	}
	close()
	truncate(t, path, 5000)
	x.mustSweep(t)
	mustCreate(t, bob, "Jazz", 3)
	if got := x.titles(t, ""); got != "Opera,Jazz" {
		t.Errorf("with a broken host: %q", got)
	}
	remove(t, path)
	copyTo(t, backup, path)
	x.later.Add(int64(2 * time.Second)) // until then it is not tried again
	x.mustSweep(t)
	if got := x.titles(t, ""); !strings.Contains(got, "Tea") || !strings.Contains(got, "Jazz") {
		t.Errorf("after it was mended: %q", got)
	}
}

// Many Hosts, changed by two processes at a time while the index is lost now and
// then: in the end it has what the Hosts have.
func TestIndexOfMany(t *testing.T) {
	hosts := 200
	if testing.Short() {
		hosts = 40
	}
	x := mustIndex(t, t.TempDir())
	other := mustOpen(t, x.dir, "")
	r := rand.New(rand.NewPCG(5, 6))
	var users []string
	for i := range hosts {
		users = append(users, x.with(t, fmt.Sprint("user", i)).User)
	}
	ctx, cancel := context.WithCancel(t.Context())
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		for i := 0; ctx.Err() == nil; i++ {
			if i%5 == 4 {
				_ = os.Remove(filepath.Join(x.dir, "index.db"))
			}
			_ = x.Sweep(ctx)
		}
	}()
	var want []string
	for i, user := range users {
		for n := range 3 {
			from := x.Hosts
			if (i+n)%2 == 0 {
				from = other
			}
			h, err := from.Host(t.Context(), user)
			if err != nil {
				t.Fatal(err)
			}
			title := fmt.Sprintf("Tea %d %d", i, n)
			e := mustCreate(t, h, title, 1+r.IntN(100))
			switch r.IntN(4) {
			case 0:
				if _, err := h.CancelEvent(t.Context(), tools.CancelEventInput{EventID: e.ID}); err != nil {
					t.Fatal(err)
				}
			case 1:
				unlisted := tools.Unlisted
				if _, err := h.UpdateEvent(t.Context(), tools.UpdateEventInput{EventID: e.ID, Visibility: &unlisted}); err != nil {
					t.Fatal(err)
				}
			default:
				want = append(want, title)
			}
		}
	}
	cancel()
	<-swept
	x.mustSweep(t)
	got := strings.Split(x.titles(t, "tea"), ",")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d are found of %d", len(got), len(want))
	}
}

// A server starts and answers before its first sweep is over, and runs until it is
// told to stop.
func TestIndexRuns(t *testing.T) {
	x := mustIndex(t, t.TempDir())
	mustCreate(t, x.with(t, "ada"), "Tea", 1)
	x.mustClose(t)
	remove(t, filepath.Join(x.dir, "index.db"))
	x.reopen(t)
	if got := x.titles(t, ""); got != "" {
		t.Error(got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { x.Run(ctx); close(done) }()
	for x.titles(t, "") != "Tea" {
		if t.Context().Err() != nil {
			t.Fatal("never found")
		}
	}
	cancel()
	<-done
}
