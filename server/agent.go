package server

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/events-concierge/concierge/server/guest/chat"
	"github.com/events-concierge/concierge/server/limit"
)

const (
	agentCookie = "concierge_agent"
	agentPath   = "/agent"
	// A browser may keep a cookie no longer (RFC 6265bis); there is a wallet behind it.
	agentCookieAge = 400 * 24 * time.Hour
)

// What one address may do at the agent, if addresses are limited at all.
const (
	maxSeats = 64 // connections at a time
	sayings  = 20 // at once
	sayEvery = 2  // seconds, in the long run
)

// agent is the WebSocket at which people talk to the Guest. Who they are is said
// by a cookie that they were given there.
func (s *Server) agent(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	if s.Agent == nil {
		return &problem{status: http.StatusNotFound, code: "not_found", detail: "This server has no agent."}
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		return &problem{status: http.StatusUpgradeRequired, code: "websocket_only",
			detail: "This is a WebSocket: connect to it with a client of that protocol. docs/explanation/agent.md says what is sent."}
	}
	if !s.sameOrigin(r) {
		return &problem{status: http.StatusForbidden, code: "wrong_origin",
			detail: "Pages of this origin may not talk to the agent. Name it with --cors-origin if they should."}
	}
	client, counted := clientOf(r)
	if counted {
		if !s.seats.take(client) {
			return &problem{status: http.StatusTooManyRequests, code: "over_limit", retry: 60, detail: "Your address has too many connections to the agent. Close some."}
		}
		defer s.seats.leave(client)
	}
	token, err := s.visitor(w, r)
	if err != nil {
		return err
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // sameOrigin has verified it
	if err != nil {
		return nil // it has answered
	}
	return s.Agent.Serve(r.Context(), conn, &chat.Visitor{Token: token,
		Say:    s.agentLimit(s.limits().say, client, counted, "You say too much at once. Wait a moment."),
		Wallet: s.agentLimit(s.limits().register, client, counted, "Too many wallets were made from your address. Wait a minute.")})
}

// visitor returns the token of a browser, which is given one if it has none that
// is known here: it never chooses its own.
func (s *Server) visitor(w http.ResponseWriter, r *http.Request) (string, error) {
	if c, err := r.Cookie(agentCookie); err == nil {
		known, err := s.Agent.Known(r.Context(), c.Value)
		if known || err != nil {
			return c.Value, err
		}
	}
	token, err := s.Agent.NewToken()
	if err != nil {
		return "", err
	}
	http.SetCookie(w, &http.Cookie{Name: agentCookie, Value: token, Path: agentPath, MaxAge: int(agentCookieAge.Seconds()), // #nosec G124 -- Secure where the page came by https
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.https(r)})
	return token, nil
}

// sameOrigin reports whether a request comes from a page of this server, of an
// origin that was named, or from no page at all.
func (s *Server) sameOrigin(r *http.Request) bool {
	origin := r.Header.Values("Origin")
	if len(origin) == 0 {
		return true
	}
	u, err := url.Parse(origin[0])
	if err != nil || len(origin) > 1 || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, r.Host) || s.PublicURL != nil && strings.EqualFold(u.Host, s.PublicURL.Host) ||
		slices.ContainsFunc(s.origins(), func(o string) bool { return strings.EqualFold(o, origin[0]) })
}

func (s *Server) agentLimit(b *limit.Buckets[netip.Prefix], client netip.Prefix, counted bool, refusal string) func() error {
	return func() error {
		if counted && !b.Take(client, 1, s.Hosts.Now()).OK {
			return &chat.OverLimit{Reason: refusal}
		}
		return nil
	}
}

// seats counts the agent's connections by address: they are not among those that
// the HTTP server knows.
type seats struct {
	mu    sync.Mutex
	taken map[netip.Prefix]int
}

func (s *seats) take(client netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[client] >= maxSeats {
		return false
	}
	if s.taken == nil {
		s.taken = map[netip.Prefix]int{}
	}
	s.taken[client]++
	return true
}

func (s *seats) leave(client netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[client]--; s.taken[client] == 0 {
		delete(s.taken, client)
	}
}

// closeAgent ends the agent's connections, and waits for what clicks have begun.
func (s *Server) closeAgent(ctx context.Context) error {
	if s.Agent == nil {
		return nil
	}
	return s.Agent.Close(ctx)
}
