package tools_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// remembering is a Host of which lists are remembered, a second one on the same
// file, as another process has it, and their clock.
type remembering struct {
	*tools.Host
	other *tools.Host
	path  string
	now   time.Time
}

func newRemembering(t *testing.T) *remembering {
	t.Helper()
	r := &remembering{Host: mustHost(t), other: mustHost(t), path: filepath.Join(t.TempDir(), "host.db"), now: now}
	for _, h := range []*tools.Host{r.Host, r.other} {
		h.Now = func() time.Time { return r.now }
		file, err := store.OpenHost(t.Context(), r.path, store.Options{Now: h.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		h.Store = file
	}
	return r
}

// rest makes the file's last change one of long ago.
func (r *remembering) rest(t *testing.T) {
	t.Helper()
	ago := time.Now().Add(-time.Hour)
	for _, name := range []string{r.path, r.path + "-wal"} {
		if err := os.Chtimes(name, ago, ago); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// titles lists the events, and returns the answer itself besides.
func (r *remembering) titles(t *testing.T, in tools.ListEventsInput) (string, json.RawMessage) {
	t.Helper()
	answer, err := (&tools.Call{Host: r.Host}).ListEventsJSON(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var out tools.ListEventsOutput
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, e := range out.Events {
		titles = append(titles, e.Title)
	}
	return strings.Join(titles, " "), answer
}

func TestListsAreRemembered(t *testing.T) {
	r := newRemembering(t)
	create(t, r.Host, tools.CreateEventInput{Title: "tea", StartsAt: now.Add(time.Hour).Format(time.RFC3339)})
	r.rest(t)
	_, first := r.titles(t, tools.ListEventsInput{})
	_, again := r.titles(t, tools.ListEventsInput{})
	if &first[0] != &again[0] {
		t.Error("the same question is answered from the file")
	}
	if _, other := r.titles(t, tools.ListEventsInput{Query: "tea"}); &other[0] == &first[0] {
		t.Error("another question has the same answer")
	}
}

func TestListsKnowEveryChange(t *testing.T) {
	r := newRemembering(t)
	at := func(h int) string { return now.Add(time.Duration(h) * time.Hour).Format(time.RFC3339) }
	expect := func(want string) {
		t.Helper()
		for range 2 { // from the file, and as it was remembered
			if got, _ := r.titles(t, tools.ListEventsInput{}); got != want {
				t.Fatalf("there are %q, want %q", got, want)
			}
		}
	}
	tea := create(t, r.Host, tools.CreateEventInput{Title: "tea", StartsAt: at(1)})
	r.rest(t)
	expect("tea")
	create(t, r.Host, tools.CreateEventInput{Title: "opera", StartsAt: at(3)})
	expect("tea opera")
	r.rest(t)
	expect("tea opera")
	create(t, r.other, tools.CreateEventInput{Title: "walk", StartsAt: at(2)}) // in another process
	expect("tea walk opera")
	r.rest(t)
	expect("tea walk opera")
	r.now = now.Add(90 * time.Minute) // when the tea is over
	expect("walk opera")
	if err := r.other.Store.Close(); err != nil { // and what was in the log is in the file
		t.Fatal(err)
	}
	expect("walk opera")
	if e, err := r.GetEvent(t.Context(), tools.GetEventInput{EventID: tea.ID}); err != nil || e.Status != "past" {
		t.Fatal(e.Status, err)
	}
}

// A price is quoted as the file has it, however well the event is remembered.
func TestPricesKnowEveryChange(t *testing.T) {
	r := newRemembering(t)
	e := create(t, r.Host, tools.CreateEventInput{Title: "opera"})
	set := func(h *tools.Host, price tools.USD) {
		t.Helper()
		if _, err := h.UpdateEvent(t.Context(), tools.UpdateEventInput{EventID: e.ID, Price: &price}); err != nil {
			t.Fatal(err)
		}
	}
	asks := func() string {
		t.Helper()
		c := &tools.Call{Host: r.Host}
		call(t, c, "rsvp_to_event", tools.RSVPInput{EventID: e.ID}, nil)
		if c.Required == nil {
			return "nothing"
		}
		return c.Required.Accepts[0].Amount.String()
	}
	for i, price := range []tools.USD{"0.05", "2.50", "0", "1"} {
		set([]*tools.Host{r.Host, r.other}[i%2], price)
		want := map[tools.USD]string{"0.05": "50000", "2.50": "2500000", "0": "nothing", "1": "1000000"}[price]
		for _, rest := range []bool{false, true, true} {
			if rest {
				r.rest(t)
			}
			if got := asks(); got != want {
				t.Errorf("at %s it asks for %s, want %s", price, got, want)
			}
		}
	}
}

// Of a Host whose file is gone nothing is remembered.
func TestNothingWithoutFile(t *testing.T) {
	r := newRemembering(t)
	e := create(t, r.Host, tools.CreateEventInput{Title: "tea"})
	get := func() error {
		_, err := r.GetEvent(t.Context(), tools.GetEventInput{EventID: e.ID})
		return err
	}
	if err := get(); err != nil { // and it was written just now
		t.Fatal(err)
	}
	if err := errors.Join(r.Store.Close(), r.other.Store.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	if get() == nil {
		t.Error("the event is still there")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	r := newRemembering(t)
	r.Cache = tools.NewCache(10_000)
	create(t, r.Host, tools.CreateEventInput{Title: "tea", Description: strings.Repeat("x", 1000), StartsAt: now.Add(time.Hour).Format(time.RFC3339)})
	r.rest(t)
	_, first := r.titles(t, tools.ListEventsInput{})
	for i := range 50 {
		r.titles(t, tools.ListEventsInput{Limit: 2 + i})
	}
	if _, again := r.titles(t, tools.ListEventsInput{}); &first[0] == &again[0] {
		t.Error("an answer outlives what there is room for")
	}
	if n := r.Cache.Bytes(); n > 10_000 {
		t.Errorf("it keeps %d bytes", n)
	}
}
