package store_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/store"
)

// What several processes count adds up, day by day; no day comes again.
func TestUsage(t *testing.T) {
	s := MustOpenServer(t, &clock{})
	for _, id := range []string{"a", "b"} {
		MustAddUser(t, s, id)
	}
	for _, step := range []struct {
		name        string
		added, sums []store.Usage
	}{
		{"nothing", nil, nil},
		{"the first of two users", []store.Usage{{"a", 10, 5, 1}, {"b", 10, 7, 0}}, []store.Usage{{"a", 10, 5, 1}, {"b", 10, 7, 0}}},
		{"more on the same day", []store.Usage{{"a", 10, 3, 0}, {"a", 10, 1, 1}}, []store.Usage{{"a", 10, 8, 1}, {"a", 10, 9, 2}}},
		{"the next day", []store.Usage{{"a", 11, 2, 0}}, []store.Usage{{"a", 11, 2, 0}}},
		{"one that still has yesterday", []store.Usage{{"a", 10, 100, 100}}, []store.Usage{{"a", 10, 2, 0}}},
		{"a user who is gone, and one who is not", []store.Usage{{"c", 11, 4, 4}, {"b", 11, 1, 1}}, []store.Usage{{"c", 11, 4, 4}, {"b", 11, 1, 1}}},
	} {
		sums, err := s.AddUsage(t.Context(), step.added)
		if diff := cmp.Diff(step.sums, sums); err != nil || diff != "" {
			t.Errorf("%s: %v %s", step.name, err, diff)
		}
	}
	for _, want := range []store.Usage{{"a", 11, 2, 0}, {"a", 10, 2, 0}, {"a", 12, 0, 0}, {"b", 11, 1, 1}, {"c", 11, 0, 0}} {
		if got, err := s.Usage(t.Context(), want.User, want.Day); err != nil || got != want {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}

// Many users, in several transactions, from several sides at once.
func TestUsageOfMany(t *testing.T) {
	s := MustOpenServer(t, &clock{})
	var all []store.Usage
	for i := range 600 {
		id := fmt.Sprintf("u%d", i)
		MustAddUser(t, s, id)
		all = append(all, store.Usage{User: id, Day: 1, Requests: int64(i), Events: 1})
	}
	var adding sync.WaitGroup
	for range 4 {
		adding.Go(func() {
			if sums, err := s.AddUsage(t.Context(), all); err != nil || len(sums) != len(all) {
				t.Errorf("%d sums, %v", len(sums), err)
			}
		})
	}
	adding.Wait()
	for _, i := range []int{0, 255, 256, 599} {
		if got, err := s.Usage(t.Context(), all[i].User, 1); err != nil || got.Requests != int64(4*i) || got.Events != 4 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}
