package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"github.com/events-concierge/concierge/tools"
)

// What a test of the connection says, and what is in the snippets.
var (
	initialize = []byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`)
	listTools  = []byte(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
)

// tryout is what came of a test.
type tryout struct {
	As       string `json:"as"` // guest or owner
	Server   string `json:"server,omitempty"`
	Version  string `json:"version,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Tools    int    `json:"tools"`
	Micros   int64  `json:"micros"`
	Error    string `json:"error,omitempty"`
}

// Millis are for people.
func (c tryout) Millis() string { return fmt.Sprintf("%.1f", float64(c.Micros)/1000) }

// testConnection calls the Host with somebody's rights, as its route does for who
// sends a token.
func (s *Server) testConnection(ctx context.Context, as string, c tools.Call) (out tryout) {
	out.As = as
	start := time.Now()
	var hello struct {
		ProtocolVersion string
		ServerInfo      struct{ Name, Version string }
	}
	var list struct{ Tools []json.RawMessage }
	err := s.ask(ctx, c, initialize, &hello)
	if err == nil {
		err = s.ask(ctx, c, listTools, &list)
	}
	out.Micros = time.Since(start).Microseconds()
	if err != nil {
		out.Error = err.Error()
		return out
	}
	out.Server, out.Version, out.Protocol, out.Tools = hello.ServerInfo.Name, hello.ServerInfo.Version, hello.ProtocolVersion, len(list.Tools)
	return out
}

// ask sends a message to the MCP server, and decodes its result.
func (s *Server) ask(ctx context.Context, c tools.Call, message []byte, result any) error {
	w := &inside{header: http.Header{}}
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	s.mcp.Handle(&answer{ResponseWriter: w, call: &c}, &server.HTTPRequest{Method: http.MethodPost,
		URL: &url.URL{Path: "/mcp/users/" + c.Host.User}, Header: header, Body: message, Context: tools.WithCall(ctx, &c)})
	w.WriteHeader(http.StatusOK)
	var said struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	switch err := json.Unmarshal(w.body.Bytes(), &said); {
	case err != nil:
		return fmt.Errorf("the answer (status %d) is no JSON-RPC", w.status)
	case said.Error != nil:
		return fmt.Errorf("the server refused: %s", said.Error.Message)
	}
	if err := json.Unmarshal(said.Result, result); err != nil {
		return fmt.Errorf("the answer is not as MCP has it")
	}
	return nil
}
