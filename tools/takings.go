package tools

import (
	"context"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/store"
)

// Period is what became of the payments that were begun in some days.
type Period struct {
	From, To time.Time // its first and last day, UTC
	Amounts  store.Revenue
	Sums     Sums
}

// The lengths of periods.
const (
	PerDay   = "day"
	PerWeek  = "week" // from Monday on
	PerMonth = "month"
)

// maxPeriods bounds how many periods are asked for at once.
const maxPeriods = 400

// Takings returns what was paid in each period from the one of from to the one of
// to, also those in which nothing was. Each payment is counted on the day (UTC) on
// which it was begun, with what has become of it since. It is like get_revenue.
func (h *Host) Takings(ctx context.Context, from, to time.Time, per string) ([]Period, error) {
	var all []Period
	for at := first(from, per); !at.After(to); {
		end := next(at, per)
		all = append(all, Period{From: at, To: end.AddDate(0, 0, -1)})
		if at = end; len(all) > maxPeriods {
			return nil, invalid("There are more than %d of these between the two dates. Choose longer periods, or dates that are closer.", maxPeriods)
		}
	}
	if len(all) == 0 {
		return nil, invalid("The last date is before the first. Choose a later one.")
	}
	days, err := h.Store.RevenueByDay(ctx, all[0].From, all[len(all)-1].To)
	if err != nil {
		return nil, explain(err)
	}
	i := 0
	for _, d := range days {
		for d.Date.After(all[i].To) {
			i++
		}
		add(&all[i].Amounts, d.Revenue)
	}
	for i := range all {
		all[i].Sums = sumsOf(all[i].Amounts)
	}
	return all, nil
}

func add(to *store.Revenue, r store.Revenue) {
	for _, sum := range []struct {
		to   *x402.Amount
		more x402.Amount
	}{{&to.Settled, r.Settled}, {&to.Refunded, r.Refunded}, {&to.Owed, r.Owed}, {&to.Pending, r.Pending}} {
		*sum.to += sum.more
	}
}

// first is the first day of the period that a time is in.
func first(t time.Time, per string) time.Time {
	year, month, day := t.UTC().Date()
	switch per {
	case PerMonth:
		day = 1
	case PerWeek:
		day -= (int(t.UTC().Weekday()) + 6) % 7
	}
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// next is the first day of the period after.
func next(t time.Time, per string) time.Time {
	switch per {
	case PerMonth:
		return t.AddDate(0, 1, 0)
	case PerWeek:
		return t.AddDate(0, 0, 7)
	}
	return t.AddDate(0, 0, 1)
}
