package server

import (
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/events-concierge/concierge/tools"
)

// places adds what is about all Hosts together.
func (s *Server) places(mux *http.ServeMux) {
	s.wellKnown(mux)
	if s.Index == nil {
		return
	}
	s.shared = server.NewStreamableHTTPServer(tools.NewSharedServer(s.Version, s.Log),
		server.WithStateLess(true), server.WithDisableStreaming(true), // as Hosts are served
		server.WithDisableLocalhostProtection(true), server.WithStreamableHTTPLogger(s.Log))
	mux.HandleFunc(sharedPath, s.handle(s.serveShared))
	mux.HandleFunc("GET /api/events", s.handle(s.findEvents))
}

// serveShared is the shared server over streamable HTTP. Everything that it knows is
// public, so it asks nobody who they are.
func (s *Server) serveShared(w http.ResponseWriter, r *http.Request) error {
	c := s.sharedCall(r)
	body, err := s.readBody(r)
	if err != nil {
		return err
	}
	if err := simple(body); err != nil {
		return err
	}
	// As with a Host: nobody's call is cancelled by another's notice, and there is
	// nothing to subscribe to.
	if isMethod(body, "notifications/cancelled") {
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	if isMethod(body, "subscriptions/listen") {
		return answerError(w, http.StatusNotFound, body, map[string]any{"code": mcp.METHOD_NOT_FOUND,
			"message": "This server sends no notices; the hosts that it names do."})
	}
	s.shared.Handle(&answer{ResponseWriter: w, call: c}, &server.HTTPRequest{Method: r.Method, URL: r.URL, Header: r.Header, Body: body,
		Context: tools.WithCall(r.Context(), c)})
	return nil
}

// sharedCall is a call that is for no Host.
func (s *Server) sharedCall(r *http.Request) *tools.Call {
	c := &tools.Call{Host: &tools.Host{}, Directory: s.catalogue(s.base(r)), Marks: s.marks, Allow: s.limitTool(r, hostKey{})}
	recordOf(r.Context()).call = c
	return c
}
