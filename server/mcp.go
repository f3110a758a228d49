package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

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
	body = c.Lift(body)
	// Without sessions, request ids of different clients are alike, and a
	// stranger's notice could cancel this one's call. Over HTTP a client cancels
	// by hanging up.
	if isMethod(body, "notifications/cancelled") {
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	if r.Method == http.MethodPost && isMethod(body, tools.MethodListen) {
		return s.listen(w, r, c, body)
	}
	dialect := ""
	if r.URL.RawQuery != "" {
		dialect = r.URL.Query().Get("payment")
	}
	answer := &answer{ResponseWriter: w, call: c, replaced: dialect == "http" || dialect == "jsonrpc"}
	s.handleMCP(answer, r, body)
	switch {
	case !answer.discard:
		return nil
	case c.Refusal != nil:
		status := http.StatusOK
		if mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion)) {
			status = httpStatus(c.Refusal.Code)
		}
		return answerError(w, status, body, c.Refusal)
	case dialect == "http":
		return paymentRequired(w, c, c.Required)
	}
	return paymentError(w, c, body)
}

// handleMCP has a message answered: a plain call of a tool here, all else by mcp-go.
func (s *Server) handleMCP(a *answer, r *http.Request, body []byte) {
	ctx := tools.WithCall(r.Context(), a.call)
	if r.Method == http.MethodPost {
		if head, rest, ok := s.plain.Answer(ctx, a.call, body, r.Header); ok {
			a.whole(r.Context(), head, rest)
			return
		}
	}
	s.mcp.Handle(a, &server.HTTPRequest{Method: r.Method, URL: r.URL, Header: r.Header, Body: body, Context: ctx})
}

// answer is where a call is answered. By then the tool has run, and it is known
// what belongs in the headers.
type answer struct {
	http.ResponseWriter
	call     *tools.Call
	replaced bool // what asks for money is asked for in another dialect
	discard  bool // this one is
}

// discards reports whether something else is answered.
func (a *answer) discards() bool {
	a.discard = a.call.Refusal != nil || a.replaced && a.call.Required != nil
	return a.discard
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.discards() {
		return
	}
	a.Header().Set("Cache-Control", "no-store")
	receiptHeaders(a.Header(), a.call)
	a.ResponseWriter.WriteHeader(status)
}

// whole answers a call at once, unless its client has gone. Its length is said, so that
// it is not cut into chunks.
func (a *answer) whole(ctx context.Context, head, rest []byte) {
	if ctx.Err() != nil || a.discards() {
		return
	}
	a.Header().Set("Content-Type", "application/json")
	a.Header().Set("Content-Length", strconv.Itoa(len(head)+len(rest)))
	a.WriteHeader(http.StatusOK)
	_, _ = a.ResponseWriter.Write(head) // #nosec G705 -- JSON by its content type, with nosniff
	_, _ = a.ResponseWriter.Write(rest) // #nosec G705 -- likewise
}

// Write implements http.ResponseWriter. mcp-go writes an answer whole. A client that
// has gone is nobody's error.
func (a *answer) Write(p []byte) (int, error) {
	if !a.discard {
		_, _ = a.ResponseWriter.Write(a.call.Splice(p)) // #nosec G705 -- JSON by its content type, with nosniff
	}
	return len(p), nil
}

// Flush does nothing: every answer is one body.
func (a *answer) Flush() {}

// CanStream says so.
func (a *answer) CanStream() bool { return false }

// paymentError asks for payment by a JSON-RPC error with code 402 and x402's
// version 1 as its data, as mcp-go-x402 does. request is what is answered.
func paymentError(w http.ResponseWriter, c *tools.Call, request []byte) error {
	receiptHeaders(w.Header(), c)
	return answerError(w, http.StatusOK, request, map[string]any{"code": http.StatusPaymentRequired,
		"message": "Payment required", "data": c.Required.V1()})
}

// answerError answers a request with a JSON-RPC error.
func answerError(w http.ResponseWriter, status int, request []byte, e any) error {
	var m struct {
		ID json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(request, &m); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return reply(w, status, map[string]any{"jsonrpc": "2.0", "id": m.ID, "error": e})
}

// isMethod reports whether a message is of this method.
func isMethod(body []byte, method string) bool {
	// Most messages don't have the word in them, and need not be read for that. It
	// may be written with escapes, which begin with a backslash.
	if !bytes.Contains(body, []byte(method)) && !bytes.ContainsRune(body, '\\') {
		return false
	}
	var m struct {
		Method string `json:"method"`
	}
	_ = json.Unmarshal(body, &m) // what is no JSON has no method; the server answers it
	return m.Method == method
}

// call finds the Host of a request and says with whose rights it comes. A wrong
// credential is refused: it never makes the caller a guest.
func (s *Server) call(r *http.Request) (*tools.Call, error) {
	host, ok := keyOf(r.PathValue("user"))
	if !ok {
		return nil, store.ErrUserNotFound
	}
	scope, err := s.caller(r, host)
	if err != nil {
		return nil, err
	}
	h, err := s.Hosts.Host(r.Context(), string(host[:]))
	if err != nil {
		return nil, err
	}
	c := &tools.Call{Host: h, Scope: scope, Marks: s.marks}
	recordOf(r.Context()).call = c
	spent, err := s.Hosts.CountRequest(r.Context(), h.User)
	if scope == "" { // else they are to see what is used up, and what there is to cancel
		c.Spent, c.Allow = spent, s.limitTool(r, host)
	}
	return c, err
}

// caller returns the scope of the caller's token, "" for a guest, who has none, and
// counts the call. Guests are counted apart, and before anything is read, so that however many come the owner gets
// in; and who sends wrong tokens is soon not listened to.
func (s *Server) caller(r *http.Request, host hostKey) (scope store.Scope, err error) {
	ctx, credential := r.Context(), r.Header.Values("Authorization")
	if len(credential) == 0 {
		recordOf(ctx).charge = charge(s, r, s.limits().guests, host)
		return "", take(s, ctx, s.limits().guests, host, 1)
	}
	client, counted := clientOf(r)
	if v := s.limits().wrong.Look(client, s.Hosts.Now()); counted && !v.OK {
		return "", s.refuse(ctx, s.limits().wrong.Policy, v)
	}
	if token := bearer(r); token != "" {
		scope, err = s.Hosts.Scope(ctx, string(host[:]), token)
	}
	switch {
	case err != nil:
		return "", err
	case scope != "":
		recordOf(ctx).charge = charge(s, r, s.limits().owner, host)
		return scope, take(s, ctx, s.limits().owner, host, 1)
	case counted:
		s.limits().wrong.Take(client, 1, s.Hosts.Now())
	}
	return "", errWrongToken
}

// bearer returns the token of a request, "" if it has none or is not sure which.
func bearer(r *http.Request) string {
	credential := r.Header.Values("Authorization")
	if len(credential) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(credential[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// readCall is call for what anybody may see while the Host answers at all.
func (s *Server) readCall(r *http.Request) (*tools.Call, error) {
	c, err := s.call(r)
	if err == nil && c.Spent != nil {
		err = c.Spent
	}
	return c, err
}

// allowed is call for what is allowed to who may call a tool.
func (s *Server) allowed(r *http.Request, tool string) (*tools.Call, error) {
	c, err := s.call(r)
	if err != nil {
		return c, err
	}
	c.Tool = tool
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
