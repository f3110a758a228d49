package tools

import _ "embed"

// Clients that show pages in a conversation (MCP Apps, SEP-1865) show what
// list_events and get_event answer as cards. The page is the same for all Hosts and
// has no event in it: the client hands it the tool's answer. It asks nobody for
// anything, and says so in its metadata, by which the client makes its
// Content-Security-Policy. Clients that show no pages have the answer as text.
const (
	appsExtension = "io.modelcontextprotocol/ui"
	cardsURI      = "ui://events/cards"
	cardsType     = "text/html;profile=mcp-app"
)

//go:embed apps/cards.html
var cardsHTML string

func cards() Content {
	return Content{URI: cardsURI, MIMEType: cardsType, Text: cardsHTML, Meta: map[string]any{"ui": map[string]any{
		"csp":           map[string]any{"connectDomains": []string{}, "resourceDomains": []string{}, "frameDomains": []string{}, "baseUriDomains": []string{}},
		"prefersBorder": false,
	}}}
}
