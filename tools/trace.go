package tools

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.opentelemetry.io/otel/trace"

	"github.com/events-concierge/concierge/payments/tracing"
)

// Traced begins a trace with each call of a tool, for a server that is spoken to over
// stdio. Over HTTP the request begins it.
func Traced(from trace.TracerProvider) server.ToolHandlerMiddleware {
	return func(next server.ToolHandlerFunc) server.ToolHandlerFunc {
		return func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			ctx, span := tracing.Begin(ctx, from, "stdio tools/call")
			defer span.End()
			if c := CallOf(ctx); c != nil {
				span.Set("concierge.user", c.Host.User)
				defer func() {
					span.Set("concierge.tool", c.Tool)
					span.Set("concierge.code", string(c.Code))
					span.Set("concierge.payer", c.Payer)
				}()
			}
			span.Set("mcp.method.name", "tools/call")
			span.Set("network.transport", "pipe")
			return next(ctx, r)
		}
	}
}
