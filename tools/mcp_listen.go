package tools

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
)

// MethodListen is the request for a stream of notices (revision 2026-07-28,
// SEP-2575). Transports handle it themselves: mcp-go tells of what changes for all
// clients of a server, and here it is one Host's events.
const MethodListen = string(mcp.MethodSubscriptionsListen)

// Listener is a stream of notices that a client has asked for.
type Listener struct {
	*Watch
	id      json.RawMessage
	granted mcp.SubscriptionFilter
}

// Listen reads a message of [MethodListen]; header is nil where there is none. What
// it asks for and a Host has not, no change of its tools and prompts for instance, is
// left out of the acknowledgement. Errors are [*Refusal].
func (c *Call) Listen(ctx context.Context, message []byte, header http.Header) (*Listener, error) {
	var m struct {
		ID     json.RawMessage `json:"id"`
		Params json.RawMessage `json:"params"`
	}
	var params struct {
		Notifications *mcp.SubscriptionFilter `json:"notifications"`
		Meta          *mcp.Meta               `json:"_meta"`
	}
	switch {
	case json.Unmarshal(message, &m) != nil:
		return nil, &Refusal{Code: mcp.PARSE_ERROR, Message: "The message is no JSON-RPC."}
	case !requestID(m.ID):
		return nil, &Refusal{Code: mcp.INVALID_REQUEST, Message: "subscriptions/listen needs an id, a string or a whole number."}
	case json.Unmarshal(m.Params, &params) != nil:
		return nil, &Refusal{Code: mcp.INVALID_PARAMS, Message: "params of subscriptions/listen can't be read."}
	}
	if r := modern(params.Meta, m.Params, header); r != nil {
		return nil, r
	}
	if params.Notifications == nil {
		return nil, &Refusal{Code: mcp.INVALID_PARAMS, Message: "params has no notifications: say what to be told of."}
	}
	if c.Spent != nil {
		return nil, refusalOf(c.Spent, true, "")
	}
	l := &Listener{Watch: c.NewWatch(), id: m.ID}
	return l, l.grant(ctx, *params.Notifications)
}

// requestID reports whether a JSON-RPC id is one that can be answered.
func requestID(raw json.RawMessage) bool {
	var text string
	var number json.Number
	return len(raw) > 0 && len(raw) <= maxID && string(raw) != "null" &&
		(json.Unmarshal(raw, &text) == nil || json.Unmarshal(raw, &number) == nil)
}

// modern checks what revision 2026-07-28 wants of every request, as mcp-go does for
// the others.
func modern(meta *mcp.Meta, params json.RawMessage, header http.Header) *Refusal {
	version := meta.ProtocolVersion()
	switch {
	case !mcp.IsModernProtocol(version):
		return &Refusal{Code: mcp.METHOD_NOT_FOUND, Message: "subscriptions/listen is of revision 2026-07-28: name it in _meta."}
	case !mcp.IsValidProtocolVersion(version):
		e := mcp.UnsupportedProtocolVersionError{Version: version, Supported: mcp.ValidProtocolVersions}.JSONRPCError().Error
		return &Refusal{Code: e.Code, Message: e.Message, Data: e.Data}
	case meta.ClientCapabilities() == nil:
		return &Refusal{Code: mcp.INVALID_PARAMS, Message: "missing or invalid _meta field " + mcp.MetaKeyClientCapabilities}
	case header == nil:
		return nil
	case header.Get(mcp.HeaderProtocolVersion) != version:
		return &Refusal{Code: mcp.HEADER_MISMATCH, Message: mcp.HeaderProtocolVersion + " does not say the revision that _meta does."}
	}
	if err := mcp.ValidateStandardHeaders(header.Get, version, mcp.MethodSubscriptionsListen, params); err != nil {
		return &Refusal{Code: mcp.HEADER_MISMATCH, Message: err.Error()}
	}
	return nil
}

// grant has watched what is asked for and there is. Of resources alone, of which none
// is there, nothing could be told: that is refused.
func (l *Listener) grant(ctx context.Context, want mcp.SubscriptionFilter) error {
	var missing string
	for _, uri := range want.ResourceSubscriptions {
		switch err := l.Add(ctx, uri); {
		case errors.Is(err, errNoResource):
			missing = uri
		case err != nil:
			return refusalOf(err, true, uri)
		default:
			l.granted.ResourceSubscriptions = append(l.granted.ResourceSubscriptions, uri)
		}
	}
	if want.ResourcesListChanged {
		if err := l.AddList(ctx); err != nil {
			return refusalOf(err, true, "")
		}
		l.granted.ResourcesListChanged = true
	}
	if l.Empty() && missing != "" {
		return refusalOf(errNoResource, true, missing[:min(len(missing), maxURI)])
	}
	return nil
}

// Empty reports whether there is nothing to be told of: then the stream ends at once.
func (l *Listener) Empty() bool { return l.granted.IsEmpty() }

// ID is that of the request, as it was written.
func (l *Listener) ID() json.RawMessage { return l.id }

// Begun is the first message of the stream: what will be told of.
func (l *Listener) Begun() json.RawMessage {
	return l.notice(mcp.MethodNotificationSubscriptionsAcknowledged, map[string]any{"notifications": l.granted})
}

// Ended is the answer to the request, when the server ends the stream.
func (l *Listener) Ended() json.RawMessage {
	return mustJSON(map[string]any{"jsonrpc": mcp.JSONRPC_VERSION, "id": l.id,
		"result": map[string]any{"resultType": mcp.ResultTypeComplete, "_meta": l.meta()}})
}

// News looks at what is watched and returns the notices of what has changed.
func (l *Listener) News(ctx context.Context) ([]json.RawMessage, error) {
	return l.Watch.news(ctx, l.notice)
}

func (l *Listener) meta() map[string]any { return map[string]any{mcp.MetaKeySubscriptionID: l.id} }

func (l *Listener) notice(method string, params map[string]any) json.RawMessage {
	params["_meta"] = l.meta()
	return notice(method, params)
}

// News looks at what is watched and returns the notices of what has changed, as the
// older revisions have them.
func (w *Watch) News(ctx context.Context) ([]json.RawMessage, error) { return w.news(ctx, notice) }

func (w *Watch) news(ctx context.Context, notice func(string, map[string]any) json.RawMessage) (all []json.RawMessage, err error) {
	uris, list, err := w.Look(ctx)
	for _, uri := range uris {
		all = append(all, notice(mcp.MethodNotificationResourceUpdated, map[string]any{"uri": uri}))
	}
	if list {
		all = append(all, notice(mcp.MethodNotificationResourcesListChanged, map[string]any{}))
	}
	return all, err
}

func notice(method string, params map[string]any) json.RawMessage {
	m := map[string]any{"jsonrpc": mcp.JSONRPC_VERSION, "method": method}
	if len(params) > 0 {
		m["params"] = params
	}
	return mustJSON(m)
}
