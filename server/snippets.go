package server

import (
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net"
	"net/url"
	"regexp"
	"strings"
)

// mcpClient is a program that can be an MCP client of a Host, and how it gets to be one.
type mcpClient struct {
	ID, Name string
	Steps    []step
}

// step is something to do: a text, and what to copy or follow.
type step struct {
	Text, Code string
	Link       template.URL // of a scheme of the program's own
	LinkText   string
}

// entry is a server in the files of these programs, or what they ask for it.
type entry struct {
	Name        string            `json:"name,omitempty"`
	Type        string            `json:"type,omitempty"`
	ID          string            `json:"id,omitempty"`
	Description string            `json:"description,omitempty"`
	Password    bool              `json:"password,omitempty"`
	Command     string            `json:"command,omitempty"`
	Args        []string          `json:"args,omitempty"`
	Env         map[string]string `json:"env,omitempty"`
	URL         string            `json:"url,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Inputs      []entry           `json:"inputs,omitempty"`
}

const (
	snippetName = "my-events"
	// tokenVariable is where snippets take the token from: it is in none of them.
	tokenVariable = "CONCIERGE_TOKEN"
	tokenHint     = "YOUR_OWNER_TOKEN"
)

// mcpClients tells how programs reach a Host at a URL. docs/explanation/pages.md says where the
// formats are from.
func mcpClients(mcpURL, network string) []mcpClient {
	bearer := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	cursor := entry{URL: mcpURL, Headers: bearer("${env:" + tokenVariable + "}")}
	input := entry{Type: "promptString", ID: "concierge-token", Description: "Owner token of your host", Password: true}
	code := entry{Type: "http", URL: mcpURL, Headers: bearer("${input:concierge-token}")}
	install := code
	install.Name, install.Inputs = snippetName, []entry{input}
	remote := []string{"-y", "mcp-remote", mcpURL, "--header", "Authorization:${AUTH_HEADER}"}
	if u, err := url.Parse(mcpURL); err == nil && u.Scheme == "http" && !isLoopback(u.Host) {
		remote = append(remote, "--allow-http")
	}
	accept := ` -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream'`
	return []mcpClient{
		{"claude", "Claude Desktop", []step{
			{Text: "On the machine of the server, with all your rights and no token: in claude_desktop_config.json (Settings, Developer, Edit Config), with your own email and the server's data directory.",
				Code: indented(map[string]any{"mcpServers": map[string]entry{snippetName: {Command: "concierge",
					Args: []string{"mcp", "host", "--user", "YOU@example.org", "--data", "/path/to/data", "--network", network}}}})},
			{Text: "From anywhere, with a token, by the bridge mcp-remote (needs Node.js): in the same file.",
				Code: indented(map[string]any{"mcpServers": map[string]entry{snippetName: {Command: "npx", Args: remote,
					Env: map[string]string{"AUTH_HEADER": "Bearer " + tokenHint}}}})},
			{Text: reach(mcpURL)},
		}},
		{"cursor", "Cursor", []step{
			{Text: "One click; the token is taken from the environment variable " + tokenVariable + ".",
				Link:     template.URL("cursor://anysphere.cursor-deeplink/mcp/install?name=" + url.QueryEscape(snippetName) + "&config=" + url.QueryEscape(base64.StdEncoding.EncodeToString(compact(cursor)))), // #nosec G203 -- the scheme is a constant, and the rest is escaped
				LinkText: "Add to Cursor"},
			{Text: "Or by hand, in ~/.cursor/mcp.json.", Code: indented(map[string]any{"mcpServers": map[string]entry{snippetName: cursor}})},
		}},
		{"vscode", "VS Code", []step{
			{Text: "One click; VS Code asks for the token, and keeps it.",
				Link: template.URL("vscode:mcp/install?" + strings.ReplaceAll(url.QueryEscape(string(compact(install))), "+", "%20")), LinkText: "Add to VS Code"}, // #nosec G203 -- the scheme is a constant, and the rest is escaped
			{Text: "Or by hand, in .vscode/mcp.json.", Code: indented(map[string]any{"inputs": []entry{input}, "servers": map[string]entry{snippetName: code}})},
			{Text: "Or from a terminal, without a token: with a guest's tools.",
				Code: "code --add-mcp '" + string(compact(entry{Name: snippetName, Type: "http", URL: mcpURL})) + "'"},
		}},
		{"inspector", "MCP Inspector", []step{
			{Text: "What a guest can call:", Code: "npx @modelcontextprotocol/inspector --cli " + mcpURL + " --transport http --method tools/list"},
			{Text: "What you can:", Code: "npx @modelcontextprotocol/inspector --cli " + mcpURL + ` --transport http --method tools/list --header "Authorization: Bearer $` + tokenVariable + `"`},
		}},
		{"curl", "curl", []step{
			{Text: "The greeting:", Code: "curl -s " + mcpURL + accept + " \\\n  -d '" + string(initialize) + "'"},
			{Text: "The tools; without the first header, those of a guest.", Code: "curl -s " + mcpURL + ` -H "Authorization: Bearer $` + tokenVariable + `"` + accept + " \\\n  -d '" + string(listTools) + "'"},
		}},
	}
}

// reach says how Claude connects by itself: from its own servers.
func reach(mcpURL string) string {
	u, err := url.Parse(mcpURL)
	if err == nil && u.Scheme == "https" {
		if host, _, err := net.SplitHostPort(u.Host); err != nil || !isLoopback(host) {
			return "As a guest, without a token: in Settings, Connectors, Add custom connector, enter the address above. Connectors have no place for a token of yours."
		}
	}
	return "Custom connectors (Settings, Connectors) call from the servers of Claude: they want an https address that can be reached from the internet, and this is none."
}

func compact(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // of maps and strings
	}
	return raw
}

// indented is JSON for people, with lists of words on one line.
func indented(v any) string {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return wordList.ReplaceAllStringFunc(string(raw), func(list string) string {
		return strings.NewReplacer("[ ", "[", " ]", "]").Replace(spaces.ReplaceAllString(list, " "))
	})
}

var (
	wordList = regexp.MustCompile(`\[\s*"[^"]*"(,\s*"[^"]*")*\s*\]`)
	spaces   = regexp.MustCompile(`\n *`)
)
