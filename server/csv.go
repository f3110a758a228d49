package server

import (
	"encoding/csv"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"github.com/events-concierge/concierge/tools"
)

// writeCSV writes rows as they come, as RFC 4180 says, for a browser to keep as a
// file. A byte order mark is before them: without one Excel takes UTF-8 for
// something else. What goes wrong on the way stands in the last row, for the
// beginning has been sent by then.
func writeCSV(w http.ResponseWriter, name string, head []string, rows iter.Seq2[[]string, error]) error {
	next, stop := iter.Pull2(rows)
	defer stop()
	row, err, ok := next()
	if err != nil { // there is time for an answer that says it
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	_, _ = w.Write([]byte("\uFEFF"))
	out := csv.NewWriter(w)
	out.UseCRLF = true
	_ = out.Write(head)
	for ; ok; row, err, ok = next() {
		if err != nil {
			_ = out.Write([]string{"INCOMPLETE: the rest could not be read. Load the file again."})
			break
		}
		for i := range row {
			row[i] = cell(row[i])
		}
		_ = out.Write(row)
	}
	out.Flush()
	return nil // who has gone is nobody's error
}

// cell makes a text one that no spreadsheet takes for a formula: a stranger may have
// typed it. What is told apart by its first character gets a quote before it.
func cell(s string) string {
	trimmed := strings.TrimLeft(s, " \u00A0\u200B\uFEFF")
	if trimmed != "" && strings.ContainsAny(firstRune(trimmed), "=+-@\t\r\n|%\uFF1D\uFF0B\uFF0D\uFF20\u2212") {
		return "'" + s
	}
	return s
}

func firstRune(s string) string {
	for i := range s {
		if i > 0 {
			return s[:i]
		}
	}
	return s
}

// convert makes rows of what is listed.
func convert[T any](all iter.Seq2[T, error], row func(T) []string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for one, err := range all {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(row(one), nil) {
				return
			}
		}
	}
}

func (s *Server) guestsCSV(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	id := r.PathValue("event")
	if _, err := c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: id}); err != nil {
		return err
	}
	return writeCSV(w, "rsvps-"+id+".csv",
		[]string{"rsvp", "name", "email", "seats", "status", "booked_at", "checked_in_at", "payer", "amount_usd", "network", "transaction",
			"refund", "refund_transaction", "refund_reason"},
		convert(c.Host.EachRSVP(r.Context(), id), func(r tools.RSVP) []string {
			refund := tools.Refund{}
			if r.Refund != nil {
				refund = *r.Refund
			}
			return []string{r.ID, r.Name, r.Email, strconv.Itoa(r.Seats), r.Status, r.CreatedAt, r.CheckedInAt, r.Payer, r.Price, r.Network, r.Transaction,
				refund.Status, refund.Transaction, refund.Reason}
		}))
}

func (s *Server) paymentsCSV(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	q := r.URL.Query()
	from, to, err := dates(q.Get("from"), q.Get("to"))
	if err != nil {
		return err
	}
	if !to.IsZero() {
		to = to.AddDate(0, 0, 1) // all of the last day
	}
	return writeCSV(w, "payments.csv",
		[]string{"paid_at", "event", "title", "rsvp", "payer", "amount_usd", "amount_atomic", "state", "network", "transaction",
			"refund", "refund_amount_usd", "refund_to", "refund_transaction", "refund_reason"},
		convert(c.Host.EachPayment(r.Context(), from, to), func(p tools.LedgerEntry) []string {
			refund := tools.Refund{}
			if p.Refund != nil {
				refund = *p.Refund
			}
			return []string{p.At, p.EventID, p.Event, p.RSVPID, p.Payer, p.Amount.USD, p.Amount.Amount, p.State, p.Network, p.Transaction,
				refund.Status, refund.USD, refund.To, refund.Transaction, refund.Reason}
		}))
}
