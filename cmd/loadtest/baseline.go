package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// What a server does at the least to give an answer: it has it in memory.
const (
	bareHTTP  = "net/http"
	bareMCPGo = "mcp-go"
	bareSDK   = "go-sdk"
)

// answer is a tool's answer, as JSON-RPC carries it.
type answer struct {
	Result struct {
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
		Structured json.RawMessage            `json:"structuredContent"`
		IsError    bool                       `json:"isError"`
		Meta       map[string]json.RawMessage `json:"_meta"`
	} `json:"result"`
}

// baseline serves the answer in a file to calls of a tool, until ctx ends.
func baseline(ctx context.Context, kind, tool, file string) error {
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return err
	}
	if len(a.Result.Content) != 1 {
		return fmt.Errorf("%s is no answer of a tool", file)
	}
	h, err := a.handler(kind, tool, body)
	if err != nil {
		return err
	}
	return listen(ctx, h)
}

func (a answer) handler(kind, tool string, body []byte) (http.Handler, error) {
	meta := map[string]any{}
	for k, v := range a.Result.Meta {
		meta[k] = v
	}
	switch kind {
	case bareHTTP:
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body) // a client that has gone is nobody's error
		}), nil
	case bareMCPGo:
		s := server.NewMCPServer("bare", "1")
		s.AddTool(mcp.Tool{Name: tool, RawInputSchema: json.RawMessage(`{"type":"object"}`)},
			func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				r := &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent(a.Result.Content[0].Text)},
					RawStructuredContent: a.Result.Structured, IsError: a.Result.IsError}
				if len(meta) > 0 {
					r.Meta = mcp.NewMetaFromMap(meta)
				}
				return r, nil
			})
		return server.NewStreamableHTTPServer(s, server.WithStateLess(true), server.WithDisableStreaming(true)), nil
	case bareSDK:
		s := sdk.NewServer(&sdk.Implementation{Name: "bare", Version: "1"}, nil)
		s.AddTool(&sdk.Tool{Name: tool, InputSchema: json.RawMessage(`{"type":"object"}`)},
			func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
				return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: a.Result.Content[0].Text}},
					StructuredContent: a.Result.Structured, IsError: a.Result.IsError, Meta: meta}, nil
			})
		return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s },
			&sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true}), nil
	}
	return nil, fmt.Errorf("there is no baseline %q", kind)
}

// listen serves h on some port of this machine, which it prints, until ctx ends.
func listen(ctx context.Context, h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Listening on http://%s\n", l.Addr())
	web := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(l) }()
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = web.Shutdown(stopping)
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
