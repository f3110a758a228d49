package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// Documents by which programs find out what is here before they speak MCP or x402:
//
//   - the AI Catalog and MCP Server Cards of SEP-2127 (Final),
//     github.com/modelcontextprotocol/experimental-ext-server-card, its discovery.md;
//   - the x402 manifest of draft-hawkins-x402-dns-discovery-02, an Internet-Draft;
//   - the MCP registry's proof of a domain, modelcontextprotocol.io/registry/authentication.
const (
	catalogPath  = "/.well-known/ai-catalog.json"
	manifestPath = "/.well-known/x402"
	registryPath = "/.well-known/mcp-registry-auth"
	cardSuffix   = "/server-card"

	catalogType = "application/ai-catalog+json"
	cardType    = "application/mcp-server-card+json"
	cardSchema  = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json"
)

// wellKnown adds the routes of these documents.
func (s *Server) wellKnown(mux *http.ServeMux) {
	add := func(path string, document func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc("GET "+path, s.handle(document))
		mux.HandleFunc("OPTIONS "+path, s.handle(func(w http.ResponseWriter, _ *http.Request) error {
			forAnyOrigin(w.Header())
			w.WriteHeader(http.StatusNoContent)
			return nil
		}))
	}
	add(hostPath+"{user}"+cardSuffix, s.hostCard)
	if s.Index != nil {
		add(catalogPath, s.catalog)
		add(sharedPath+cardSuffix, s.sharedCard)
		if s.PublicURL != nil && s.PublicURL.Scheme == "https" { // the draft forbids it elsewhere
			add(manifestPath, s.manifest)
		}
	}
	if s.RegistryProof != "" {
		add(registryPath, func(w http.ResponseWriter, r *http.Request) error {
			return document(w, r, "text/plain; charset=utf-8", []byte(s.RegistryProof+"\n"))
		})
	}
}

func forAnyOrigin(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET")
	h.Set("Access-Control-Allow-Headers", "Content-Type, If-None-Match")
	h.Set("Access-Control-Expose-Headers", "ETag")
}

// document answers with a document that anybody may keep for a while.
func document(w http.ResponseWriter, r *http.Request, mediaType string, content []byte) error {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	forAnyOrigin(h)
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("ETag", tag)
	if slices.Contains(strings.Split(strings.ReplaceAll(r.Header.Get("If-None-Match"), " ", ""), ","), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", mediaType)
	_, _ = w.Write(content) // a client that has gone is nobody's error
	return nil
}

func documentJSON(w http.ResponseWriter, r *http.Request, mediaType string, v any) error {
	var content bytes.Buffer
	e := json.NewEncoder(&content)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	return document(w, r, mediaType, content.Bytes())
}

// catalog names the shared server. Hosts are found through it: a list of all of them
// would be one of all users.
func (s *Server) catalog(w http.ResponseWriter, r *http.Request) error {
	type entry struct {
		Identifier string `json:"identifier"`
		Type       string `json:"type"`
		URL        string `json:"url"`
	}
	base := s.base(r)
	return documentJSON(w, r, catalogType, struct {
		SpecVersion string  `json:"specVersion"`
		Entries     []entry `json:"entries"`
	}{"1.0", []entry{{"urn:air:" + hostName(base) + ":mcp:events", cardType, base + sharedPath + cardSuffix}}})
}

// card is an MCP Server Card.
type card struct {
	Schema      string   `json:"$schema"`
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	Description string   `json:"description"` // at most 100 characters
	Title       string   `json:"title"`
	WebsiteURL  string   `json:"websiteUrl"`
	Remotes     []remote `json:"remotes"`
}

type remote struct {
	Type      string   `json:"type"`
	URL       string   `json:"url"`
	Headers   []header `json:"headers,omitempty"`
	Protocols []string `json:"supportedProtocolVersions"`
}

type header struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Required    bool   `json:"isRequired"`
	Secret      bool   `json:"isSecret"`
}

func (s *Server) sharedCard(w http.ResponseWriter, r *http.Request) error {
	base := s.base(r)
	return documentJSON(w, r, cardType, card{Schema: cardSchema, Name: reversed(hostName(base)) + "/events", Version: s.Version,
		Title: "Events Concierge: all hosts", Description: "Finds public events of all hosts of this server, and says where each can be booked.", WebsiteURL: base + "/",
		Remotes: []remote{{Type: "streamable-http", URL: base + sharedPath, Protocols: mcp.ValidProtocolVersions}}})
}

// hostCard is the card of one user's Host. Whether there are events does not matter.
func (s *Server) hostCard(w http.ResponseWriter, r *http.Request) error {
	user := r.PathValue("user")
	if _, ok := keyOf(user); !ok {
		return store.ErrUserNotFound
	}
	if _, err := s.Hosts.Host(r.Context(), user); err != nil {
		return err
	}
	base := s.base(r)
	return documentJSON(w, r, cardType, card{Schema: cardSchema, Name: reversed(hostName(base)) + "/" + user, Version: s.Version,
		Title: "Events Concierge", Description: "One host's events: list them, and book with x402 payments in USDC.", WebsiteURL: base + pagePath + user,
		Remotes: []remote{{Type: "streamable-http", URL: base + hostPath + user, Protocols: mcp.ValidProtocolVersions,
			Headers: []header{{Name: "Authorization", Description: "Bearer and a token of this host. Owners send it, guests none.", Secret: true}}}}})
}

// hostName is the name in a URL, without the port.
func hostName(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return "localhost"
	}
	return strings.ToLower(u.Hostname())
}

// reversed is a domain in reverse-DNS form; an address stays as it is, in the
// characters that a card's name may have.
func reversed(name string) string {
	if net.ParseIP(name) != nil {
		return strings.ReplaceAll(name, ":", "-")
	}
	labels := strings.Split(name, ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}

// manifest lists what is for sale: the next priced events, each as a bare pointer,
// for what they cost is said by the answer 402 of each.
func (s *Server) manifest(w http.ResponseWriter, r *http.Request) error {
	type resource struct {
		URL         string `json:"url"`
		Method      string `json:"method"`
		Description string `json:"description"`
	}
	out := struct {
		X402Version int        `json:"x402Version"`
		Kind        string     `json:"kind"`
		Name        string     `json:"name"`
		Description string     `json:"description"`
		Resources   []resource `json:"resources"`
		Updated     string     `json:"updated,omitempty"`
	}{X402Version: 2, Kind: "resource-server", Name: "Events Concierge", Description: "Seats at events, paid with USDC.", Resources: []resource{}}
	c := s.sharedCall(r)
	if c.Allow != nil {
		if err := c.Allow("x402"); err != nil {
			return err
		}
	}
	found, err := c.Directory.FindEvents(r.Context(), tools.FindEventsInput{Limit: 100})
	if err != nil {
		return err
	}
	for _, e := range found.Events {
		if e.Price != "0.00" {
			out.Resources = append(out.Resources, resource{URL: s.base(r) + "/api/users/" + e.Host.User + "/events/" + url.PathEscape(e.ID) + "/rsvps", Method: http.MethodPost, Description: "Book: " + e.Title})
			out.Updated = max(out.Updated, e.ChangedAt) // all of them are UTC
		}
	}
	return documentJSON(w, r, "application/json", out)
}

var registryProof = regexp.MustCompile(`^v=MCPv1; ?k=(ed25519|ecdsap384); ?p=[A-Za-z0-9+/]{40,200}={0,2}$`)

// ValidRegistryProof reports whether a text is what the MCP registry asks for.
func ValidRegistryProof(s string) bool { return registryProof.MatchString(s) }
