package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/pflag"
)

// clientServer is an MCP server in the settings of a client.
type clientServer struct {
	Type    string            `json:"type"`
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

// clientSettings are those of Claude Desktop and Cursor (mcpServers), and of VS Code
// (servers, inputs).
type clientSettings struct {
	MCPServers map[string]clientServer `json:"mcpServers"`
	Servers    map[string]clientServer `json:"servers"`
	Inputs     []struct {
		Type        string `json:"type"`
		ID          string `json:"id"`
		Description string `json:"description"`
		Password    bool   `json:"password"`
	} `json:"inputs"`
}

// fenced returns the blocks of code of a language in a page.
func fenced(t *testing.T, path, language string) []string {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllSubmatch(page, -1) {
		blocks = append(blocks, string(m[1]))
	}
	return blocks
}

// clientPages are the pages with settings of clients to copy, and how many.
var clientPages = map[string]int{
	"README.md":                     1,
	"docs/how-to/guest.md":          1,
	"docs/how-to/claude-desktop.md": 4,
	"docs/how-to/cursor.md":         5,
	"docs/how-to/vs-code.md":        4,
}

// What the pages say to copy is understood by the clients, and does what is said.
func TestClientPages(t *testing.T) {
	c := newClub(t)
	for page, want := range clientPages {
		t.Run(page, func(t *testing.T) {
			blocks := fenced(t, "../../"+page, "json")
			if len(blocks) != want {
				t.Errorf("it has %d blocks of JSON, and %d were expected", len(blocks), want)
			}
			for _, block := range blocks {
				for name, server := range settings(t, page, block) {
					c.works(t, name, server)
				}
			}
		})
	}
}

// settings reads what a client would, and knows what each of them wants.
func settings(t *testing.T, page, block string) map[string]clientServer {
	t.Helper()
	var s clientSettings
	d := json.NewDecoder(strings.NewReader(block))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatalf("%v in\n%s", err, block)
	}
	servers, vsCode := s.MCPServers, strings.Contains(page, "vs-code")
	if vsCode {
		servers = s.Servers
	}
	if len(servers) == 0 || len(s.MCPServers)+len(s.Servers) != len(servers) || !vsCode && s.Inputs != nil {
		t.Errorf("these are no settings of this client:\n%s", block)
	}
	for _, in := range s.Inputs {
		if in.Type != "promptString" || !in.Password || in.Description == "" || !strings.Contains(block, "${input:"+in.ID+"}") {
			t.Errorf("the input %q is not asked for as a secret, or not used", in.ID)
		}
	}
	for name, server := range servers {
		kind := map[bool]string{true: "http", false: "stdio"}[server.URL != ""]
		if vsCode && server.Type != kind || !vsCode && server.Type != "" {
			t.Errorf("%s: the type %q", name, server.Type)
		}
		if strings.Contains(page, "claude") && server.URL != "" {
			t.Errorf("%s: Claude Desktop connects to no URL in this file", name)
		}
	}
	return servers
}

// works starts a server, or connects to it, as a client does, and wants the tools
// that its name promises.
func (c club) works(t *testing.T, name string, s clientServer) {
	t.Helper()
	var tools []string
	switch {
	case s.URL != "":
		tools = c.connect(t, s.URL, s.Headers)
	case s.Command == "npx": // mcp-remote, which is others'; what it connects to is ours
		header, value, ok := strings.Cut(s.Args[slices.Index(s.Args, "--header")+1], ":")
		if !ok || s.Args[1] != "mcp-remote" {
			t.Fatalf("%s: the arguments %q", name, s.Args)
		}
		for variable, is := range s.Env {
			value = strings.ReplaceAll(value, "${"+variable+"}", is)
		}
		tools = c.connect(t, s.Args[2], map[string]string{header: value})
	case filepath.Base(s.Command) == "concierge":
		tools = c.start(t, s.Args, s.Env)
	default:
		t.Fatalf("%s: the command %q", name, s.Command)
	}
	owner := strings.HasPrefix(name, "my-")
	if slices.Contains(tools, "create_event") != owner || !slices.Contains(tools, "rsvp_to_event") {
		t.Errorf("%s has the tools %q", name, tools)
	}
}

// filled puts what is there in place of what a person fills in.
func (c club) filled(t *testing.T, s string) string {
	t.Helper()
	for from, to := range map[string]string{
		`^https?://.*/mcp/users/.*$`:                               c.mcp,
		`^/path/to/data$`:                                          t.TempDir(),
		`OWNER_TOKEN|\$\{(env:CONCIERGE_TOKEN|input:token)\}`:      c.token,
		`\$\{(input:passphrase|env:CONCIERGE_WALLET_PASSPHRASE)\}`: "correct horse",
		`^(the passphrase of your wallet)$`:                        "correct horse",
	} {
		s = regexp.MustCompile(from).ReplaceAllLiteralString(s, to)
	}
	if regexp.MustCompile(`\$\{|/path/|example\.org/`).MatchString(s) {
		t.Errorf("%q is to be filled in, and nobody knows by what", s)
	}
	return s
}

// start runs a command of ours over stdio, and returns the tools that it lists.
func (c club) start(t *testing.T, args []string, env map[string]string) []string {
	t.Helper()
	t.Setenv("CONCIERGE_HOME", t.TempDir())
	checkVariables(t, args, slices.Collect(maps.Keys(env)))
	for name, value := range env {
		t.Setenv(name, c.filled(t, value))
		defer os.Unsetenv(name) // t.Setenv puts back what was there before
	}
	args = slices.Clone(args)
	for i := range args {
		args[i] = c.filled(t, args[i])
	}
	in, requests := io.Pipe()
	answers, out := io.Pipe()
	var errOut lockedBuffer
	done := make(chan int, 1)
	go func() {
		done <- run(t.Context(), args, in, out, &errOut)
		out.Close()
	}()
	var sending sync.WaitGroup
	defer sending.Wait()
	send := func(lines string) { sending.Go(func() { _, _ = io.WriteString(requests, lines) }) }
	defer func() {
		requests.Close()
		_, _ = io.Copy(io.Discard, answers)
		if code := <-done; code != 0 {
			t.Errorf("%q ended with code %d: %s", args, code, &errOut)
		}
	}()
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}` + "\n"
	send(hello + list)
	for lines := bufio.NewScanner(answers); lines.Scan(); {
		tools := toolsIn(t, lines.Bytes())
		switch {
		case slices.Contains(tools, "rsvp_to_event"):
			return tools
		case strings.Contains(lines.Text(), "notifications/tools/list_changed"): // a Guest has reached a Host
			send(list)
		}
	}
	t.Fatalf("%q said no more: %s", args, &errOut)
	return nil
}

// secretVariables are read from the environment alone.
var secretVariables = []string{envWalletPassphrase, envGasKey}

// checkVariables wants each variable to be one that the command reads.
func checkVariables(t *testing.T, args, names []string) {
	t.Helper()
	cmd, _, err := newRoot().Find(args)
	if err != nil {
		t.Fatal(err)
	}
	read := slices.Clone(secretVariables)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		read = append(read, "CONCIERGE_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")))
	})
	for _, name := range names {
		if !slices.Contains(read, name) {
			t.Errorf("%s reads no %s", cmd.CommandPath(), name)
		}
	}
}

// connect asks a Host over HTTP for its tools.
func (c club) connect(t *testing.T, address string, headers map[string]string) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", c.filled(t, address), strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for name, value := range headers {
		req.Header.Set(name, c.filled(t, value))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s, %v", address, resp.Status, body, err)
	}
	return toolsIn(t, body)
}

// toolsIn are the names of the tools in an answer to tools/list; nil if it is another.
func toolsIn(t *testing.T, line []byte) (names []string) {
	t.Helper()
	var answer struct {
		Result struct{ Tools []struct{ Name string } }
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	for _, tool := range answer.Result.Tools {
		names = append(names, tool.Name)
	}
	return names
}

// The lines that make a link make one with the entry that they are given.
func TestClientLinks(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh on this machine")
	}
	for page, entryOf := range map[string]func(u *url.URL) (string, error){
		"cursor": func(u *url.URL) (string, error) {
			entry, err := base64.StdEncoding.DecodeString(u.Query().Get("config"))
			return string(entry), err
		},
		"vs-code": func(u *url.URL) (string, error) { return url.QueryUnescape(u.RawQuery) },
	} {
		for _, script := range fenced(t, "../../docs/how-to/"+page+".md", "sh") {
			// Each letter that base64 and addresses have trouble with.
			const special = `"https://h/?>>>???+ &%é"`
			script = regexp.MustCompile(`"https://[^"]*"`).ReplaceAllLiteralString(script, special)
			said, err := exec.CommandContext(t.Context(), sh, "-c", "code() { :; }\n"+script).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			u, err := url.Parse(strings.TrimSpace(string(said)))
			if err != nil {
				t.Fatal(err)
			}
			entry, err := entryOf(u)
			want := regexp.MustCompile(`entry='(.*)'`).FindStringSubmatch(script)[1]
			if err != nil || entry != want || !json.Valid([]byte(entry)) {
				t.Errorf("%s: the link has %q, %v; want %q", page, entry, err, want)
			}
		}
	}
}

// bundleManifest is what of an MCP Bundle's manifest says how it is started.
type bundleManifest struct {
	Server struct {
		Config struct {
			Args      []string          `json:"args"`
			Env       map[string]string `json:"env"`
			Overrides map[string]struct {
				Args []string          `json:"args"`
				Env  map[string]string `json:"env"`
			} `json:"platform_overrides"`
		} `json:"mcp_config"`
	} `json:"server"`
	Form map[string]struct {
		Default   any  `json:"default"`
		Required  bool `json:"required"`
		Sensitive bool `json:"sensitive"`
	} `json:"user_config"`
	Tools []struct{ Name string } `json:"tools"`
	More  bool                    `json:"tools_generated"`
}

// What the manifests of the bundles have Claude Desktop start runs, with the forms
// filled in as they come and as people do, and has the tools that they name.
func TestBundles(t *testing.T) {
	c := newClub(t)
	for name, forms := range map[string][]map[string]string{
		"guest": {{}, {"hosts": c.mcp + ", " + c.mcp + "\n", "network": onDevnet, "max_price": "0.05", "passphrase": "correct horse"}},
		"host":  {{"email": "ada@example.org", "data": t.TempDir()}, {"email": "ada@example.org", "data": t.TempDir() + "/a b", "network": onBaseSepolia, "gas_key": strings.Repeat("1", 64)}},
	} {
		text, err := os.ReadFile("../../deploy/mcpb/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var m bundleManifest
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		for _, o := range m.Server.Config.Overrides {
			if o.Args != nil || o.Env != nil {
				t.Errorf("%s: arguments that only some systems have are not tried here", name)
			}
		}
		for i, form := range forms {
			t.Run(fmt.Sprint(name, i), func(t *testing.T) {
				args, env := m.with(t, form)
				tools := c.start(t, args, env)
				for _, named := range m.Tools {
					if !slices.Contains(tools, named.Name) {
						t.Errorf("the manifest names %s, which is not in %q", named.Name, tools)
					}
				}
				if !m.More && len(tools) != len(m.Tools) {
					t.Errorf("the manifest has %d tools, and there are %d: %q", len(m.Tools), len(tools), tools)
				}
			})
		}
	}
}

// with fills a form in: what it does not have is as it comes. Where there is nothing
// either, Claude Desktop leaves the name of the field in place; so each has something.
func (m bundleManifest) with(t *testing.T, form map[string]string) (args []string, env map[string]string) {
	t.Helper()
	used := map[string]bool{}
	fill := func(s string) string {
		return regexp.MustCompile(`\$\{user_config\.(\w+)\}`).ReplaceAllStringFunc(s, func(v string) string {
			key := strings.TrimSuffix(strings.TrimPrefix(v, "${user_config."), "}")
			field, ok := m.Form[key]
			used[key] = true
			if !ok || field.Default == nil && !field.Required {
				t.Errorf("%s has nothing in it", v)
			}
			if value, ok := form[key]; ok {
				return value
			}
			return fmt.Sprint(field.Default)
		})
	}
	for _, arg := range m.Server.Config.Args {
		args = append(args, fill(arg))
	}
	env = map[string]string{}
	for name, value := range m.Server.Config.Env {
		env[name] = fill(value)
	}
	for key, field := range m.Form {
		if !used[key] {
			t.Errorf("the form asks for %s, which is not used", key)
		}
		if field.Sensitive && strings.Contains(strings.Join(m.Server.Config.Args, " "), key) {
			t.Errorf("the secret %s is an argument, which all the machine can see", key)
		}
	}
	return args, env
}
