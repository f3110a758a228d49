package tools

import (
	_ "embed"
	"encoding/base64"
	"strings"
)

// icon is a small picture, as a data: URI, which is there over every transport and
// asks nobody for anything.
type icon struct{ src, mimeType, size string }

var (
	//go:embed icons/concierge.svg
	logoSVG string
	//go:embed icons/concierge.png
	logoPNG []byte
	//go:embed icons/event.svg
	eventSVG string
	//go:embed icons/ticket.svg
	ticketSVG string
	//go:embed icons/edit.svg
	editSVG string
	//go:embed icons/revenue.svg
	revenueSVG string
)

// logo returns the server's icons. Every client shows PNG; most show SVG, which is
// sharp at any size.
func logo() []icon {
	return []icon{svgIcon(logoSVG), {"data:image/png;base64," + base64.StdEncoding.EncodeToString(logoPNG), "image/png", "48x48"}}
}

// iconOf returns a tool's icon.
func iconOf(tool string) icon {
	switch {
	case strings.HasSuffix(tool, "_revenue"):
		return svgIcon(revenueSVG)
	case strings.Contains(tool, "rsvp"), tool == "check_in":
		return svgIcon(ticketSVG)
	case strings.HasPrefix(tool, "list_"), strings.HasPrefix(tool, "get_"):
		return svgIcon(eventSVG)
	}
	return svgIcon(editSVG)
}

// svgIcon writes an SVG into a URI with no more escapes than it must have: that is
// shorter than base64.
func svgIcon(svg string) icon {
	escaped := strings.NewReplacer("%", "%25", "#", "%23", "<", "%3C", ">", "%3E", "\"", "'", " ", "%20").Replace(strings.TrimSpace(svg))
	return icon{"data:image/svg+xml," + escaped, "image/svg+xml", "any"}
}
