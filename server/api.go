package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/tools"
)

func reply(w http.ResponseWriter, status int, v any) error {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a client that has gone is nobody's error
	return nil
}

func (s *Server) decode(r *http.Request, into any) error {
	body, err := s.readBody(r)
	if err != nil {
		return err
	}
	return tools.DecodeInput(body, into)
}

func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) error {
	c, err := s.readCall(r)
	if err != nil {
		return err
	}
	c.Tool = "list_events"
	q := r.URL.Query()
	in := tools.ListEventsInput{Query: q.Get("query"), From: q.Get("from"), To: q.Get("to"), Cursor: q.Get("cursor")}
	if n := q.Get("limit"); n != "" {
		if in.Limit, err = strconv.Atoi(n); err != nil {
			return &tools.Error{Code: tools.CodeInvalidArgument, Message: "limit is not a number. Send 1 to 100."}
		}
	}
	out, err := c.ListEventsJSON(r.Context(), in)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

func (s *Server) getEvent(w http.ResponseWriter, r *http.Request) error {
	c, err := s.readCall(r)
	if err != nil {
		return err
	}
	c.Tool = "get_event"
	out, err := c.Host.GetEvent(r.Context(), tools.GetEventInput{EventID: r.PathValue("event")})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, out)
}

func (s *Server) createEvent(w http.ResponseWriter, r *http.Request) error {
	c, err := s.allowed(r, "create_event")
	if err != nil {
		return err
	}
	var in tools.CreateEventInput
	if err := s.decode(r, &in); err != nil {
		return err
	}
	out, err := c.Host.CreateEvent(r.Context(), in)
	if err != nil {
		return err
	}
	c.Event = out.ID
	return reply(w, http.StatusCreated, out)
}

func (s *Server) revenue(w http.ResponseWriter, r *http.Request) error {
	c, err := s.allowed(r, "get_revenue")
	if err != nil {
		return err
	}
	out, err := c.Host.GetRevenue(r.Context(), tools.GetRevenueInput{EventID: r.URL.Query().Get("event_id")})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, http.StatusOK, c.Shown(out))
}

// info says what is here, for people with curl and for scripts.
func (s *Server) info(w http.ResponseWriter, r *http.Request) error {
	base := s.base(r)
	endpoints := map[string]string{
		"host": base + "/mcp/users/{user}", "register": base + "/api/users",
		"events": base + "/api/users/{user}/events", "chat": base + "/",
		"my_mcp": base + "/my-mcp", "page": base + pagePath + "{user}", "event_page": base + pagePath + "{user}/{event}", "health": base + "/healthz", "ready": base + "/readyz",
	}
	if s.Index != nil {
		endpoints["shared"], endpoints["find_events"] = base+"/mcp", base+"/api/events"
		endpoints["catalog"] = base + catalogPath
	}
	if s.Agent != nil {
		endpoints["agent"] = base + agentPath
	}
	if s.Devnet != nil {
		endpoints["devnet_rpc"], endpoints["devnet_faucet"] = base+"/devnet/", base+"/devnet/faucet"
	}
	return reply(w, http.StatusOK, map[string]any{
		"name": "events-concierge", "version": s.Version, "endpoints": endpoints,
		"payment": map[string]any{"scheme": x402.SchemeExact, "network": s.Network, "network_name": s.Network.Name(1),
			"asset": s.Asset, "currency": "USDC", "x402_versions": []int{1, 2}},
	})
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, http.StatusOK, map[string]string{"status": "ok"})
}
