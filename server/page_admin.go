package server

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/metrics"
	"github.com/events-concierge/concierge/server/web"
)

const (
	adminPath        = "/admin"
	adminUpdatesPath = "/admin/updates"
	// adminEvery is how often the page is told to look again.
	adminEvery = 5 * time.Second
	// adminOver is the time of which the page tells rates.
	adminOver = 5 * time.Minute
)

// Operator is a user who may see the operator's page. Who is registered anew under the
// same email later is another.
type Operator struct {
	User  string
	Since time.Time // that they have been registered
}

// adminPages adds the operator's page.
func (s *Server) adminPages(mux *http.ServeMux) {
	mux.HandleFunc("GET "+adminPath, s.page(s.admin))
	mux.HandleFunc("GET "+adminUpdatesPath, s.handle(s.adminUpdates))
}

// mayOperate reports whether a request may see the operator's page: it comes straight
// from this machine, or from a browser in which an operator is signed in.
func (s *Server) mayOperate(r *http.Request) (bool, error) {
	if fromHere(r) {
		return true, nil
	}
	found, err := s.sessionOf(r)
	if err != nil || found.user == "" {
		return false, err
	}
	operators := s.operators()
	at := slices.IndexFunc(operators, func(o Operator) bool { return o.User == found.user })
	if at < 0 {
		return false, nil
	}
	user, err := s.Hosts.Server.User(r.Context(), found.user)
	return err == nil && user.CreatedAt.Equal(operators[at].Since), err
}

// adminView is what the operator's page shows.
type adminView struct {
	Ready             bool
	Version, Network  string
	Uptime            string
	Checks            []adminCheck
	Figures           []adminFigure
	Over              string
	Tools             []adminTool
	Payments, Refunds []adminState
	Failures          []metrics.Failure
	Curve             string // points of a line in a box of 600 by 80
	Most              string // requests a second, at its top
}

type adminCheck struct {
	checked
	For string
}

type adminFigure struct{ Name, Value, Kind string }

type adminTool struct {
	Name          string
	Calls, Failed int
	P50, P99      string
}

type adminState struct {
	State, Age, USD string
	N               int
	Late            bool
}

// admin is the operator's page. To everybody else there is nothing.
func (s *Server) admin(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	may, err := s.mayOperate(r)
	if err != nil {
		return err
	}
	if !may {
		return s.nothing(w, r)
	}
	found := s.readiness.fresh(r.Context())
	now := s.Hosts.Now()
	sum := s.Metrics.Summary(adminOver)
	values := s.Metrics.Values("concierge_gas_balance_ether", "concierge_backup_timestamp_seconds", "concierge_disk_free_bytes",
		"concierge_http_connections", "process_resident_memory_bytes", "concierge_certificate_expiry_timestamp_seconds")
	v := adminView{Ready: true, Version: s.Version, Network: s.networkName(), Uptime: age(now.Sub(s.begun)), Over: age(sum.Over), Failures: s.Metrics.Failures()}
	for _, c := range found {
		v.Ready = v.Ready && (c.OK || !c.Needed)
		v.Checks = append(v.Checks, adminCheck{c, age(now.Sub(c.Since))})
	}
	v.Figures = s.adminFigures(sum, values, now)
	for _, t := range sum.Tools {
		v.Tools = append(v.Tools, adminTool{t.Name, t.Calls, t.Failed, quick(t.P50), quick(t.P99)})
	}
	v.Payments, v.Refunds = s.adminMoney(now)
	v.Curve, v.Most = curve(sum.Curve)
	return s.show(w, r, http.StatusOK, web.View{Name: "admin", Title: "The server", NoIndex: true, Updates: adminUpdatesPath, Data: v})
}

func (s *Server) adminFigures(sum metrics.Summary, values map[string]float64, now time.Time) []adminFigure {
	stats := s.Hosts.Stats()
	kind := func(bad bool) string {
		if bad {
			return "bad"
		}
		return ""
	}
	all := []adminFigure{
		{"Requests a second", number(sum.Requests), ""},
		{"Failed", number(100*sum.Failed) + " %", kind(sum.Failed > .02)},
		{"Connections", number(values["concierge_http_connections"]), ""},
		{"Hosts open", fmt.Sprint(stats.Open), ""},
		{"Logs to be emptied", size(float64(stats.LogBytes)), ""},
	}
	if memory, ok := values["process_resident_memory_bytes"]; ok {
		all = append(all, adminFigure{"Memory", size(memory), ""})
	}
	if free, ok := values["concierge_disk_free_bytes"]; ok {
		all = append(all, adminFigure{"Disk left", size(free), kind(free < 1e9)})
	}
	if ether, ok := values["concierge_gas_balance_ether"]; ok {
		all = append(all, adminFigure{"Gas account", fmt.Sprintf("%.4f ETH", ether), kind(ether < .002)})
	}
	if at, ok := values["concierge_backup_timestamp_seconds"]; ok {
		late := now.Sub(time.Unix(int64(at), 0))
		all = append(all, adminFigure{"Archived up to", age(late) + " ago", kind(late > 15*time.Minute)})
	}
	if at, ok := values["concierge_certificate_expiry_timestamp_seconds"]; ok {
		left := time.Unix(int64(at), 0).Sub(now)
		all = append(all, adminFigure{"Certificate good for", age(left), kind(left < 7*24*time.Hour)})
	}
	return all
}

// adminMoney is what has not come to its end.
func (s *Server) adminMoney(now time.Time) (open, refunds []adminState) {
	standing, at := s.Hosts.Cashier.Standing()
	for _, state := range openStates {
		if t := standing[state]; !at.IsZero() && t.N > 0 {
			waits := state == payments.Claimed || state == payments.Settling
			open = append(open, adminState{State: string(state), N: t.N, Age: age(now.Sub(t.Oldest)), Late: waits && now.Sub(t.Oldest) > 15*time.Minute})
		}
	}
	if owed := s.refunds.Load(); owed != nil {
		for _, state := range refundStates {
			if o := (*owed)[state]; o.N > 0 {
				refunds = append(refunds, adminState{State: string(state), N: o.N, Age: age(now.Sub(o.Oldest)), USD: x402.Amount(o.Amount).USD(),
					Late: now.Sub(o.Oldest) > 24*time.Hour})
			}
		}
	}
	return open, refunds
}

// adminUpdates has the page look again every few seconds, as server-sent events.
func (s *Server) adminUpdates(w http.ResponseWriter, r *http.Request) error {
	tick := time.NewTicker(adminEvery)
	defer tick.Stop()
	var stream *eventStream
	for {
		if may, err := s.mayOperate(r); err != nil || !may {
			if stream != nil || err != nil {
				return ignoreEnd(r.Context(), err)
			}
			return s.nothing(w, r)
		}
		if stream == nil {
			stream = newEventStream(w, s.patience)
		}
		if stream.write("event: changed\ndata:\n\n"); stream.err != nil {
			return nil // it has gone
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return nil
		case <-s.stopping.Done():
			return nil
		}
	}
}

// curve draws numbers as a line, and says what its top is.
func curve(values []float64) (points, most string) {
	if len(values) < 2 {
		return "", ""
	}
	top := slices.Max(values)
	if top == 0 {
		top = 1
	}
	var b strings.Builder
	for i, v := range values {
		fmt.Fprintf(&b, "%d,%d ", 600*i/(len(values)-1), 78-int(math.Round(76*v/top)))
	}
	return strings.TrimSpace(b.String()), number(top)
}

func number(f float64) string {
	if f == math.Trunc(f) {
		return fmt.Sprintf("%.0f", f)
	}
	if f >= 100 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

func size(bytes float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if bytes < 1000 {
			return number(bytes) + " " + unit
		}
		bytes /= 1000
	}
	return number(bytes) + " TB"
}

// age tells how long something is in its two largest units.
func age(d time.Duration) string {
	d = max(0, d)
	day := 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// quick tells how long a call takes.
func quick(d time.Duration) string {
	if d >= time.Second {
		return number(d.Seconds()) + " s"
	}
	return number(float64(d)/float64(time.Millisecond)) + " ms"
}
