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
	body, err := s.readBody(r)
	if err != nil {
		return err
	}
	if err := simple(body); err != nil {
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
	host, ok := keyOf(r.PathValue("user"))
	if !ok {
		return nil, store.ErrUserNotFound
	}
	owner, err := s.caller(r, host)
	if err != nil {
		return nil, err
	}
	h, err := s.Hosts.Host(r.Context(), string(host[:]))
	if err != nil {
		return nil, err
	}
	c := &tools.Call{Host: h, Owner: owner}
	recordOf(r.Context()).call = c
	spent, err := s.Hosts.CountRequest(r.Context(), h.User)
	if !owner { // who is to see what is used up, and what there is to cancel
		c.Spent, c.Allow = spent, s.limitTool(r, host)
	}
	return c, err
}

// caller says whether the owner calls, and counts the call. Guests are counted
// apart, and before anything is read, so that however many come the owner gets
// in; and who sends wrong tokens is soon not listened to.
func (s *Server) caller(r *http.Request, host hostKey) (owner bool, err error) {
	ctx, credential := r.Context(), r.Header.Values("Authorization")
	if len(credential) == 0 {
		recordOf(ctx).charge = charge(s, r, s.limits.guests, host)
		return false, take(s, ctx, s.limits.guests, host, 1)
	}
	client, counted := clientOf(r)
	if v := s.limits.wrong.Look(client, s.Hosts.Now()); counted && !v.OK {
		return false, s.refuse(ctx, s.limits.wrong.Policy, v)
	}
	scheme, token, _ := strings.Cut(credential[0], " ")
	if len(credential) == 1 && strings.EqualFold(scheme, "Bearer") {
		owner, err = s.Hosts.IsOwner(ctx, string(host[:]), strings.TrimSpace(token))
	}
	switch {
	case err != nil:
		return false, err
	case owner:
		recordOf(ctx).charge = charge(s, r, s.limits.owner, host)
		return true, take(s, ctx, s.limits.owner, host, 1)
	case counted:
		s.limits.wrong.Take(client, 1, s.Hosts.Now())
	}
	return false, errWrongToken
}

// readCall is call for what anybody may see while the Host answers at all.
func (s *Server) readCall(r *http.Request) (*tools.Call, error) {
	c, err := s.call(r)
	if err == nil && c.Spent != nil {
		err = c.Spent
	}
	return c, err
}

// ownerCall is call for what only an owner may do.
func (s *Server) ownerCall(r *http.Request) (*tools.Call, error) {
	c, err := s.call(r)
	if err == nil && !c.Owner {
		err = errNoToken
	}
	return c, err
}

var (
	errWrongToken = &problem{status: http.StatusUnauthorized, code: "wrong_token",
		detail: "The token is not one of this host's. Send the owner token as Authorization: Bearer, or no token to call as a guest."}
	errNoToken = &problem{status: http.StatusUnauthorized, code: string(tools.CodeNotAllowed),
		detail: "This is for the owner. Send the owner token as Authorization: Bearer."}
)
