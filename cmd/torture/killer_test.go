package main

import (
	"testing"

	"github.com/events-concierge/concierge/payments/crashpoint"
)

// Every step is died at, the number is kept, and a step that is never taken is
// found out.
func TestKiller(t *testing.T) {
	for _, n := range []int{1, 12, 50, 200} {
		k := newKiller(n, 40*n, (&world{}).chance(1))
		at := map[crashpoint.Point]int{}
		for all := k.left(); all > 0; all-- {
			l, ok := k.next()
			if !ok || l.hit < 1 {
				t.Fatalf("%+v, %t", l, ok)
			}
			if !l.asked {
				at[l.at]++
			}
			k.ended(l, true, true)
		}
		deaths := 0
		for _, died := range at {
			deaths += died
		}
		if deaths != max(n, len(crashpoint.Points)) {
			t.Errorf("%d deaths, want %d", deaths, n)
		}
		for _, p := range crashpoint.Points {
			if at[p] == 0 {
				t.Errorf("nobody of %d dies at %q", n, p)
			}
		}
		if _, ok := k.next(); ok || k.left() != 0 || len(k.missed) != 0 {
			t.Errorf("%d are left, missed: %v", k.left(), k.missed)
		}
	}
	k := newKiller(1, 40, (&world{}).chance(1))
	for k.left() > 0 {
		l, _ := k.next()
		k.ended(l, false, false) // a start that failed
		l, _ = k.next()
		k.ended(l, true, l.at != crashpoint.Held)
	}
	if len(k.missed) != 1 {
		t.Errorf("missed: %v", k.missed)
	}
}
