package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/web"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// updatesPath is where an owner's pages listen for changes: it is their View.Updates.
const updatesPath = "/my-mcp/updates"

// nextEvents is how many events the overview shows.
const nextEvents = 3

// ownerPages adds the pages by which an owner sees to their Host.
func (s *Server) ownerPages(mux *http.ServeMux) {
	s.signInPages(mux)
	mux.HandleFunc("GET /my-mcp", s.mine(s.overview))
	mux.HandleFunc("GET "+updatesPath, s.handle(s.updates))
	mux.HandleFunc("GET /my-mcp/test", s.mine(func(w http.ResponseWriter, r *http.Request, _ *tools.Call) error {
		return seeOther(w, r, "/my-mcp#test")
	}))
	mux.HandleFunc("POST /my-mcp/test", s.mine(s.test))
	mux.HandleFunc("GET /my-mcp/tokens", s.mine(s.tokensPage))
	mux.HandleFunc("POST /my-mcp/tokens", s.mine(s.makeToken))
	mux.HandleFunc("POST /my-mcp/tokens/{name}/rotate", s.mine(s.turnToken))
	mux.HandleFunc("POST /my-mcp/tokens/{name}/revoke", s.mine(s.dropToken))
	mux.HandleFunc("GET /my-mcp/wallet", s.mine(s.walletPage))
	mux.HandleFunc("GET /my-mcp/wallet/balance", s.mine(s.balancePart))
}

// showMine shows a page of an owner's, which stays true while it is looked at.
func (s *Server) showMine(w http.ResponseWriter, r *http.Request, status int, name, title string, data any, modules ...string) error {
	v := web.View{Name: name, Title: title, Current: "mine", NoIndex: true, Data: data, Modules: modules}
	if r.Method == http.MethodGet {
		v.Updates = updatesPath
	}
	return s.show(w, r, status, v)
}

// overviewPage is what an owner sees first.
type overviewPage struct {
	MCPURL, Path, PublicPath string
	Events                   []ownEvent
	Ahead                    store.Ahead
	Revenue                  tools.Revenue
	Usage                    []usedUp
	Resets                   string
	Clients                  []mcpClient
	Results                  []tryout
	Sessions                 int
}

// ownEvent is an event with the page that its owner has of it.
type ownEvent struct {
	Event tools.Event
	URL   string
}

// usedUp is what was used of a quota, in words.
type usedUp struct{ What, Used, Limit string }

func (s *Server) overview(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	return s.showOverview(w, r, c, nil)
}

func (s *Server) showOverview(w http.ResponseWriter, r *http.Request, c *tools.Call, results []tryout) error {
	ctx, user := r.Context(), c.Host.User
	p := overviewPage{MCPURL: s.mcpURL(r, user), Path: "/mcp/users/" + user, PublicPath: "/u/" + user, Results: results}
	raw, err := c.ListEventsJSON(ctx, tools.ListEventsInput{Limit: nextEvents})
	if err != nil {
		return err
	}
	var list tools.ListEventsOutput
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	for _, e := range list.Events {
		p.Events = append(p.Events, ownEvent{e, "/my-mcp/events/" + e.ID})
	}
	if p.Ahead, err = c.Host.Store.Ahead(ctx, s.Hosts.Now()); err != nil {
		return err
	}
	if p.Revenue, err = c.Host.GetRevenue(ctx, tools.GetRevenueInput{}); err != nil {
		return err
	}
	used, err := s.Hosts.Usage(ctx, user)
	if err != nil {
		return err
	}
	p.Usage, p.Resets = usage(used), used.ResetsAt.Format(time.RFC3339)
	if p.Sessions, err = s.Hosts.Server.Sessions(ctx, user); err != nil {
		return err
	}
	p.Clients = mcpClients(p.MCPURL, s.networkName())
	return s.showMine(w, r, http.StatusOK, "my-mcp", "Your host", p, "connect")
}

// networkName is that of --network.
func (s *Server) networkName() string {
	if s.Hosts.Network == "" {
		return "devnet"
	}
	return s.Hosts.Network
}

func usage(u host.Usage) []usedUp {
	rows := []usedUp{{"Requests today", count(u.Requests), ""}, {"Events made today", count(u.Events), ""}, {"Stored", bytesInWords(u.Bytes), ""}}
	for i, limit := range []int64{u.Limits.Requests, u.Limits.Events, u.Limits.Bytes} {
		switch {
		case limit <= 0:
		case i == 2:
			rows[i].Limit = bytesInWords(limit)
		default:
			rows[i].Limit = count(limit)
		}
	}
	return rows
}

// count writes a number with its thousands apart.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func bytesInWords(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KB", (n+1023)>>10)
}

// test calls the Host as a guest and as its owner. To a script it answers with JSON.
func (s *Server) test(w http.ResponseWriter, r *http.Request, c *tools.Call) error {
	results := []tryout{
		s.testConnection(r.Context(), "guest", tools.Call{Host: c.Host, Marks: s.marks}),
		s.testConnection(r.Context(), "owner", tools.Call{Host: c.Host, Scope: c.Scope, Marks: s.marks}),
	}
	if !wantsPage(r) {
		return reply(w, http.StatusOK, results)
	}
	return s.showOverview(w, r, c, results)
}
