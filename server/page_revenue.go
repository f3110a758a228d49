package server

import (
	"net/http"
	"net/url"
	"time"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// spans are the ranges that the page of revenue offers by a link.
var spans = []struct {
	Name, Per string
	back      func(time.Time) time.Time
}{
	{"30 days", tools.PerDay, func(t time.Time) time.Time { return t.AddDate(0, 0, -29) }},
	{"12 weeks", tools.PerWeek, func(t time.Time) time.Time { return t.AddDate(0, 0, -77) }},
	{"12 months", tools.PerMonth, func(t time.Time) time.Time { return t.AddDate(0, -11, 1-t.Day()) }},
}

// refundReasons say why a refund is open still.
var refundReasons = map[string]string{
	"payment_not_final":    "The payment is only just on the chain. It is sent back when nothing can undo it any more.",
	"insufficient_funds":   "The wallet has too little USDC. Send it some: it is tried again.",
	"payments_unavailable": "The chain could not be reached. It is tried again.",
	"wallet_not_held":      "Your wallet is not kept here: send the amount to the address yourself.",
	"":                     "It is about to be sent.",
}

// takings is the page of revenue.
func (s *Server) takings(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	q := r.URL.Query()
	from, to, err := dates(q.Get("from"), q.Get("to"))
	if err != nil {
		return err
	}
	today := c.Host.Now().UTC().Truncate(24 * time.Hour)
	if to.IsZero() {
		to = today
	}
	if from.IsZero() {
		from = spans[0].back(to)
	}
	per := q.Get("per")
	if per != tools.PerWeek && per != tools.PerMonth {
		per = tools.PerDay
	}
	all, err := c.Host.GetRevenue(r.Context(), tools.GetRevenueInput{})
	if err != nil {
		return err
	}
	periods, err := c.Host.Takings(r.Context(), from, to, per)
	problem := ""
	if codeOf(err) == tools.CodeInvalidArgument {
		problem = problemOf(err).detail
	} else if err != nil {
		return err
	}
	events, next, err := c.Host.Shelf(r.Context(), tools.ShelfInput{Shelf: store.ShelfPaid, Cursor: q.Get("cursor"), Limit: 25})
	if err != nil {
		return err
	}
	type link struct{ Name, URL string }
	var links []link
	for _, span := range spans {
		links = append(links, link{span.Name, "?" + rangeQuery(span.back(today), today, span.Per)})
	}
	type openRefund struct {
		tools.OpenRefund
		Why string
	}
	var open []openRefund
	for _, f := range all.Refunds {
		why, ok := refundReasons[f.Reason]
		if !ok {
			why = "The last try failed (" + f.Reason + "). It is tried again."
		}
		open = append(open, openRefund{f, why})
	}
	return s.show(w, r, http.StatusOK, ownPage("revenue", "Revenue", map[string]any{
		"All": all, "Open": open, "Periods": periods, "Chart": chartOf(periods, per), "Per": per, "Pers": []string{tools.PerDay, tools.PerWeek, tools.PerMonth}, "Problem": problem,
		"From": from.Format(time.DateOnly), "To": to.Format(time.DateOnly), "Links": links, "Events": events,
		"CSV": "/my-mcp/revenue.csv?" + rangeQuery(from, to, ""), "Next": nextURL(r, next), "First": firstURL(r)}))
}

func rangeQuery(from, to time.Time, per string) string {
	q := url.Values{"from": {from.Format(time.DateOnly)}, "to": {to.Format(time.DateOnly)}}
	if per != "" {
		q.Set("per", per)
	}
	return q.Encode()
}

// dates reads two days (UTC) of a query; each may be missing.
func dates(from, to string) (a, b time.Time, err error) {
	for _, one := range []struct {
		text string
		to   *time.Time
	}{{from, &a}, {to, &b}} {
		if one.text == "" {
			continue
		}
		if *one.to, err = time.Parse(time.DateOnly, one.text); err != nil || one.to.Year() < 1970 {
			return a, b, &tools.Error{Code: tools.CodeInvalidArgument, Message: "That is no date. Write it as 2027-03-14."}
		}
	}
	return a, b, nil
}
