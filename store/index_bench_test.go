package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/events-concierge/concierge/store"
)

// What it takes to find a page of 20 among 100,000 events of 1,000 Hosts: by a word
// that one event has, that a hundredth has, that all have, by the beginning of one,
// and by the time alone.
func BenchmarkFind(b *testing.B) {
	x := mustOpenIndex(b)
	kinds := []string{"jazz", "opera", "walk", "tea", "chess", "poetry", "yoga", "film", "dance", "talk"}
	for h := range 1000 {
		var events []store.Event
		for n := range 100 {
			i := h*100 + n
			events = append(events, store.Event{ID: fmt.Sprintf("evt_%d", i), Title: fmt.Sprintf("%s evening number%d", kinds[i%10], i),
				Description: fmt.Sprintf("An evening of %s with friends and cake, for everybody in district%d.", kinds[i%10], i%100), Location: "The garden",
				StartsAt: start.Add(time.Duration(1+i*7%8760) * time.Hour), Revision: int64(n + 1)})
		}
		x.put(b, fmt.Sprintf("user%d", h), true, events...)
	}
	for name, q := range map[string]store.FindQuery{
		"one": {Text: "number77777"}, "hundredth": {Text: "district42"}, "tenth": {Text: "jazz evening"}, "all": {Text: "evening"},
		"beginning": {Text: "friends dist"}, "time": {From: start.Add(4000 * time.Hour), To: start.Add(4100 * time.Hour)},
		"word and time": {Text: "opera", From: start.Add(8000 * time.Hour)}, "none": {Text: "jazz opera"}, "next": {},
	} {
		q.Limit = 20
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := x.Find(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
