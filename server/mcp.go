package server

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// serveMCP is a user's Host over streamable HTTP, without sessions: who calls
// is said by the credential of each request.
func (s *Server) serveMCP(w http.ResponseWriter, r *http.Request) error {
	c, err := s.call(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	// Without sessions, request ids of different clients are alike, and a
	// stranger's notice could cancel this one's call. Over HTTP a client cancels
	// by hanging up.
	if methodOf(body) == "notifications/cancelled" {
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := &buffered{header: http.Header{}, status: http.StatusOK}
	s.mcp.ServeHTTP(answer, r.WithContext(tools.WithCall(r.Context(), c)))
	if c.Required != nil {
		switch r.URL.Query().Get("payment") {
		case "http":
			return paymentRequired(w, c, c.Required)
		case "jsonrpc":
			return paymentError(w, c, body)
		}
	}
	maps.Copy(w.Header(), answer.header)
	w.Header().Set("Cache-Control", "no-store")
	receiptHeaders(w.Header(), c)
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body.Bytes()) // a client that has gone is nobody's error
	return nil
}

// buffered keeps an answer until it is known what belongs in its headers.
type buffered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header         { return b.header }
func (b *buffered) WriteHeader(status int)      { b.status = status }
func (b *buffered) Write(p []byte) (int, error) { return b.body.Write(p) }

// paymentError asks for payment by a JSON-RPC error with code 402 and x402's
// version 1 as its data, as mcp-go-x402 does. request is what is answered.
func paymentError(w http.ResponseWriter, c *tools.Call, request []byte) error {
	var m struct {
		ID json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(request, &m); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	receiptHeaders(w.Header(), c)
	return reply(w, http.StatusOK, map[string]any{"jsonrpc": "2.0", "id": m.ID,
		"error": map[string]any{"code": http.StatusPaymentRequired, "message": "Payment required", "data": c.Required.V1()}})
}

func methodOf(body []byte) mcp.MCPMethod {
	var m struct {
		Method mcp.MCPMethod `json:"method"`
	}
	_ = json.Unmarshal(body, &m) // what is no JSON has no method; the server answers it
	return m.Method
}

// call finds the Host of a request and says with whose rights it comes. A wrong
// credential is refused: it never makes the caller a guest.
func (s *Server) call(r *http.Request) (*tools.Call, error) {
	user := r.PathValue("user")
	h, err := s.Hosts.Host(r.Context(), user)
	if err != nil {
		return nil, err
	}
	c := &tools.Call{Host: h}
	recordOf(r.Context()).call = c
	credential := r.Header.Values("Authorization")
	if len(credential) == 0 {
		return c, nil
	}
	scheme, token, _ := strings.Cut(credential[0], " ")
	if len(credential) == 1 && strings.EqualFold(scheme, "Bearer") {
		c.Scope, err = s.Hosts.Scope(r.Context(), user, strings.TrimSpace(token))
	}
	if err == nil && c.Scope == "" {
		err = errWrongToken
	}
	return c, err
}

// allowed is call for what is allowed to who may call a tool.
func (s *Server) allowed(r *http.Request, tool string) (*tools.Call, error) {
	c, err := s.call(r)
	if err != nil {
		return c, err
	}
	if err = c.May(tool); err != nil && c.Scope == "" {
		err = errNoToken
	}
	return c, err
}

// ownerCall is call for what is the owner's alone, and no tool.
func (s *Server) ownerCall(r *http.Request) (*tools.Call, error) {
	c, err := s.call(r)
	switch {
	case err != nil:
	case c.Scope == "":
		err = errNoToken
	case c.Scope != store.ScopeOwner:
		err = errWrongScope
	}
	return c, err
}

var (
	errWrongToken = &problem{status: http.StatusUnauthorized, code: "wrong_token",
		detail: "The token is not one of this host's. Send one that is as Authorization: Bearer, or none to call as a guest."}
	errNoToken = &problem{status: http.StatusUnauthorized, code: string(tools.CodeNotAllowed),
		detail: "This is for the owner. Send the owner token as Authorization: Bearer."}
	errWrongScope = &problem{status: http.StatusForbidden, code: string(tools.CodeNotAllowed),
		detail: "This wants a token of scope owner."}
)
