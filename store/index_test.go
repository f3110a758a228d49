package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

// index is an open index and its clock.
type index struct {
	*store.Index
	clock *clock
	known map[string]store.Indexed
}

func mustOpenIndex(tb testing.TB) *index {
	tb.Helper()
	x := &index{clock: &clock{}, known: map[string]store.Indexed{}}
	var err error
	if x.Index, err = store.OpenIndex(tb.Context(), filepath.Join(tb.TempDir(), "index.db"), store.Options{Now: x.clock.Now}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { x.Close() })
	return x
}

func soon(id, title string) store.Event {
	return store.Event{ID: id, Title: title, StartsAt: start.Add(time.Hour), Revision: 1}
}

// put indexes events of a user, and nothing else of them if anew.
func (x *index) put(tb testing.TB, user string, anew bool, events ...store.Event) {
	tb.Helper()
	was := x.known[user]
	is := store.Indexed{User: user, Since: start, Revision: was.Revision + 1, State: "s"}
	if err := x.Update(tb.Context(), was, is, events, anew); err != nil {
		tb.Fatal(err)
	}
	x.known[user] = is
}

// found are the ids of all events that a query finds, page by page.
func (x *index) found(tb testing.TB, q store.FindQuery) string {
	tb.Helper()
	var ids []string
	for range 1000 {
		events, next, err := x.Find(tb.Context(), q)
		if err != nil {
			tb.Fatalf("%q: %v", q.Text, err)
		}
		for _, e := range events {
			ids = append(ids, e.ID)
		}
		if q.After = next; next == "" {
			return strings.Join(ids, " ")
		}
	}
	tb.Fatal("the pages have no end")
	return ""
}

func TestFindWords(t *testing.T) {
	x := mustOpenIndex(t)
	texts := map[string]string{
		"jazz": "Jazz at the café", "opera": "L'Opéra de Quat'sous", "tokyo": "東京音楽祭 2027", "hindi": "संगीत की शाम", "rtl": "موسيقى في الحديقة",
		"thai": "เทศกาลดนตรี", "greek": "ΜΟΥΣΙΚΉ βραδιά", "emoji": "🎉 Party 🎉", "and": "Rock AND roll NOT near you", "long": strings.Repeat("x", 5000),
		"odd": "C++ & C#: a talk", "nul": "zero\x00byte",
	}
	for i, id := range slices.Sorted(func(yield func(string) bool) {
		for id := range texts {
			if !yield(id) {
				return
			}
		}
	}) {
		e := soon(id, texts[id])
		e.StartsAt = e.StartsAt.Add(time.Duration(i) * time.Second)
		if id == "jazz" {
			e.Description, e.Location = "Bring a friend", "Cellar, Straße 5"
		}
		x.put(t, "u", false, e)
	}
	for query, want := range map[string]string{
		"jazz": "jazz", "JAZZ": "jazz", "ja": "jazz", "cafe": "jazz", "CAFÉ": "jazz", "café jazz": "jazz", "jazz opera": "",
		"friend cellar jazz": "jazz", "fri": "jazz", "fri ": "", "straße": "jazz", "strasse": "",
		"opera": "opera", "OPÉRA": "opera", "quat sous": "opera", "l'opéra": "opera",
		"音楽": "tokyo", "東京": "tokyo", "楽音": "", "音楽祭 2027": "tokyo", "संगीत": "hindi", "संगी": "hindi", "موسيقى": "rtl", "ดนตรี": "thai",
		"μουσική": "greek", "party": "emoji", "🎉": "", "🎉 party": "emoji", "!!!": "", "\u0301": "",
		"and": "and", "AND": "and", "NOT": "and", "roll NOT near": "and", "NEAR(rock roll)": "and", "rock OR jazz": "", "title:jazz": "", "title": "",
		"jazz*": "jazz", "ja*": "", "*": "", `"jazz"`: "jazz", `ja"zz`: "", `" OR "a`: "", "^jazz": "jazz", "-jazz": "jazz", "{title}: jazz": "", "(jazz": "jazz",
		"c++": "odd", "xxxx": "long", "zero": "nul", "zero\x00": "nul", "zero\x00byte": "nul", "jazz\xff": "jazz", "'; DROP TABLE events": "",
	} {
		if got := x.found(t, store.FindQuery{Text: query}); got != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
	for _, hostile := range []string{strings.Repeat(`"`, 10_000), strings.Repeat("z ", 5_000), strings.Repeat("x", 10_000), strings.Repeat("(", 10_000), strings.Repeat("NOTE ", 3_000)} {
		if got := x.found(t, store.FindQuery{Text: hostile}); got != "" {
			t.Errorf("%.10q… finds %q", hostile, got)
		}
	}
}

func TestFindTimes(t *testing.T) {
	x := mustOpenIndex(t)
	at := func(h float64) time.Time { return start.Add(time.Duration(h * float64(time.Hour))) }
	event := func(id string, from, to float64) store.Event {
		return store.Event{ID: id, Title: "Tea " + id, StartsAt: at(from), EndsAt: at(to), Revision: 1}
	}
	x.put(t, "u", false, event("on", -5, 1), event("next", 2, 3), event("later", 4, 4))
	unlisted, cancelled := event("unlisted", 2, 3), event("cancelled", 2, 3)
	unlisted.Unlisted, cancelled.Cancelled = true, true
	x.put(t, "v", false, event("long", -1, 100), event("past", -2, -1), unlisted, cancelled)
	for _, text := range []string{"", "tea"} {
		for _, c := range []struct {
			from, to time.Time
			want     string
		}{
			{want: "on long next later"},
			{from: at(-100), want: "on long next later"},
			{from: at(1), want: "on long next later"},
			{from: at(1.5), want: "long next later"},
			{from: at(3.5), want: "long later"},
			{from: at(200), want: ""},
			{to: at(2), want: "on long next"},
			{to: at(1.9), want: "on long"},
			{to: at(-10), want: ""},
			{from: at(3.5), to: at(3.9), want: "long"},
			{from: at(5), to: at(4), want: "long"},
			{to: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), want: "on long next later"},
			{to: time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), want: ""},
			{from: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), want: ""},
		} {
			for _, limit := range []int{0, 1, 2} {
				if got := x.found(t, store.FindQuery{Text: text, From: c.from, To: c.to, Limit: limit}); got != c.want {
					t.Errorf("%q from %v to %v, %d a page: %q, want %q", text, c.from, c.to, limit, got, c.want)
				}
			}
		}
	}
	x.clock.Advance(90 * time.Minute) // when the first is over
	if got := x.found(t, store.FindQuery{}); got != "long next later" {
		t.Error(got)
	}
	if more, err := x.Purge(t.Context()); err != nil || more {
		t.Fatal(more, err)
	}
	if known, err := x.Known(t.Context(), []string{"u", "v", "w"}); err != nil || len(known) != 2 || known["u"].Events != 2 || known["v"].Events != 1 {
		t.Errorf("%+v, %v", known, err)
	}
}

// The index agrees with a map, whatever is done to it.
func TestIndexModel(t *testing.T) {
	x := mustOpenIndex(t)
	r := rand.New(rand.NewPCG(3, 4))
	model := map[string]store.Event{} // by user and id
	users := []string{"a", "b", "c"}
	words := []string{"tea", "opera", "walk", "jazz"}
	for step := range 300 {
		user := users[r.IntN(len(users))]
		switch r.IntN(10) {
		case 0:
			if err := x.Forget(t.Context(), user); err != nil {
				t.Fatal(err)
			}
			delete(x.known, user)
			for key := range model {
				if strings.HasPrefix(key, user) {
					delete(model, key)
				}
			}
		default:
			e := soon(fmt.Sprintf("%s%d", user, r.IntN(5)), words[r.IntN(4)]+" "+words[r.IntN(4)])
			e.StartsAt = start.Add(time.Duration(1+r.IntN(3)) * time.Hour)
			e.Unlisted, e.Cancelled = r.IntN(4) == 0, r.IntN(5) == 0
			anew := r.IntN(10) == 0
			if anew {
				for key := range model {
					if strings.HasPrefix(key, user) {
						delete(model, key)
					}
				}
			}
			x.put(t, user, anew, e)
			model[e.ID] = e
		}
		word := words[r.IntN(4)]
		var want []string
		for id, e := range model {
			if !e.Unlisted && !e.Cancelled && strings.Contains(e.Title, word) {
				want = append(want, id)
			}
		}
		got := strings.Fields(x.found(t, store.FindQuery{Text: word, Limit: 1 + r.IntN(3)}))
		if !slices.IsSortedFunc(got, func(a, b string) int { return model[a].StartsAt.Compare(model[b].StartsAt) }) {
			t.Fatalf("step %d: %v are not in order", step, got)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("step %d: %q finds %v, want %v", step, word, got, want)
		}
	}
}

func TestIndexIsNotOverwritten(t *testing.T) {
	x := mustOpenIndex(t)
	x.put(t, "u", false, soon("tea", "Tea"))
	known := x.known["u"]
	next := known
	next.Revision++
	for name, was := range map[string]store.Indexed{
		"nothing was known": {}, "an earlier revision": {User: "u", Since: start}, "somebody else": {User: "u", Since: start.Add(1e9), Revision: known.Revision},
	} {
		if err := x.Update(t.Context(), was, next, []store.Event{soon("opera", "Opera")}, true); !errors.Is(err, store.ErrIndexed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := x.Update(t.Context(), store.Indexed{User: "v", Revision: 1}, store.Indexed{User: "v"}, nil, false); !errors.Is(err, store.ErrIndexed) {
		t.Error(err)
	}
	if got := x.found(t, store.FindQuery{}); got != "tea" {
		t.Error(got)
	}
}

func TestIndexUsers(t *testing.T) {
	x := mustOpenIndex(t)
	for i := range 7 {
		var events []store.Event
		for n := range i % 4 {
			events = append(events, soon(fmt.Sprint(i, n), "Tea"))
		}
		x.put(t, fmt.Sprint("u", i), false, events...)
	}
	if users, err := x.Users(t.Context(), "u2", 3); err != nil || fmt.Sprint(users) != "[u3 u4 u5]" {
		t.Error(users, err)
	}
	known, err := x.Known(t.Context(), []string{"u3", "u2"})
	if err != nil || known["u3"].Events != 3 {
		t.Errorf("%+v, %v", known, err)
	}
}

// Whatever is asked with whatever cursor: an answer, or ErrCursor.
func FuzzFind(f *testing.F) {
	x := mustOpenIndex(f)
	x.put(f, "u", false, soon("tea", "Tea for two"), soon("tokyo", "東京音楽祭"))
	f.Add("tea", "", int64(0), int64(0))
	f.Add(`"tea" OR NEAR(*`, "ZmluZC4xLg", int64(-1), int64(1<<62))
	f.Add("東", "", int64(1780315200000), int64(1780315200000))
	f.Fuzz(func(t *testing.T, text, cursor string, from, to int64) {
		events, _, err := x.Find(t.Context(), store.FindQuery{Text: text, After: cursor, From: time.UnixMilli(from), To: time.UnixMilli(to), Limit: 1})
		if err != nil && (!errors.Is(err, store.ErrCursor) || cursor == "") {
			t.Fatal(err)
		}
		if len(events) > 1 {
			t.Fatal("more than were asked for")
		}
	})
}
