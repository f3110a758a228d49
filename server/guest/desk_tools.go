package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/payments/x402"
)

// Tool is a tool that a Desk offers.
type Tool struct {
	Name        string // unique, and such as all clients can call
	Title       string
	Description string          // a Host's word, unless Host is nil
	Input       json.RawMessage // its JSON Schema: an object
	Annotations *sdk.ToolAnnotations
	Paid        bool   // the Host says that it may cost money
	PriceUSD    string // of each call, in dollars, if the Host names one

	Host   *Host  // nil: the Desk's own
	Remote string // its name there
}

// toolList is what a Host offered when it was last asked.
type toolList struct {
	tools []*sdk.Tool
	err   error
}

const (
	maxPages  = 16 // of a Host's list of tools
	maxTools  = 256
	listWait  = 10 * time.Second // for a Host's list
	priceMeta = "agents-x402/priceUSD"
)

var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// Tools asks all Hosts for their tools, and returns them after the Desk's own.
// Those of a Host that does not answer are as they last were; Unreachable has
// why.
func (d *Desk) Tools(ctx context.Context) []Tool {
	hosts := d.Hosts()
	lists := each(hosts, func(h *Host) toolList {
		ctx, cancel := context.WithTimeout(ctx, listWait)
		defer cancel()
		tools, err := h.tools(ctx)
		return toolList{tools, err}
	})
	d.mu.Lock()
	for i, h := range hosts {
		if list := lists[i]; list.err != nil {
			d.lists[h] = toolList{d.lists[h].tools, list.err}
		} else {
			d.lists[h] = list
		}
	}
	d.mu.Unlock()
	return d.known()
}

// Unreachable says why Hosts did not answer when they were last asked for their
// tools, by their addresses.
func (d *Desk) Unreachable() map[string]error {
	d.mu.Lock()
	defer d.mu.Unlock()
	errs := map[string]error{}
	for h, list := range d.lists {
		if list.err != nil {
			errs[h.address] = list.err
		}
	}
	return errs
}

// known returns the tools as the Hosts last told them.
func (d *Desk) known() []Tool {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []Tool
	for _, t := range ownTools() {
		all = append(all, t.Tool)
	}
	for i, h := range d.hosts {
		if h == nil {
			continue
		}
		for _, t := range d.lists[h].tools {
			if name := t.Name + suffix(i); callable(name, i, len(d.hosts)) {
				all = append(all, toolOf(name, h, t))
			}
		}
	}
	return all
}

func (d *Desk) find(ctx context.Context, name string) (Tool, error) {
	for _, list := range []func() []Tool{d.known, func() []Tool { return d.Tools(ctx) }} {
		for _, t := range list() {
			if t.Name == name && t.Host != nil {
				return t, nil
			}
		}
	}
	return Tool{}, fmt.Errorf("there is no tool %.64q", name)
}

func toolOf(name string, h *Host, t *sdk.Tool) Tool {
	input, err := json.Marshal(t.InputSchema)
	if err != nil || !bytes.HasPrefix(input, []byte("{")) { // one such tool would spoil the list for strict clients
		input = json.RawMessage(`{"type":"object"}`)
	}
	tool := Tool{Name: name, Title: t.Title, Description: t.Description, Input: input, Annotations: t.Annotations, Host: h, Remote: t.Name}
	tool.Paid, _ = t.Meta[x402.MetaRequired].(bool)
	if usd, ok := t.Meta[priceMeta].(float64); ok { // shown, never reckoned with
		tool.Paid, tool.PriceUSD = true, fmt.Sprint(usd)
	}
	return tool
}

func suffix(i int) string {
	if i == 0 {
		return ""
	}
	return fmt.Sprintf("_%d", i+1)
}

// callable reports whether clients can call a tool by this name, and would mean
// the i-th of n Hosts by it: the first one must not pass for another, nor any for
// the Desk.
func callable(name string, i, n int) bool {
	for other := 1; i == 0 && other < n; other++ {
		if strings.HasSuffix(name, suffix(other)) {
			return false
		}
	}
	return !ownName(name) && toolName.MatchString(name)
}

func (h *Host) tools(ctx context.Context) ([]*sdk.Tool, error) {
	session, err := h.live(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var all []*sdk.Tool
	seen := map[string]bool{}
	cursor := ""
	for range maxPages {
		page, err := session.ListTools(ctx, &sdk.ListToolsParams{Cursor: cursor})
		if err != nil {
			return nil, &strangersError{"list the host's tools", err}
		}
		for _, t := range page.Tools {
			if t == nil || seen[t.Name] {
				continue // nobody could say which was meant
			}
			seen[t.Name] = true
			all = append(all, t)
		}
		if len(all) > maxTools {
			return nil, fmt.Errorf("the host has more than %d tools", maxTools)
		}
		if cursor = page.NextCursor; cursor == "" {
			return all, nil
		}
	}
	return nil, fmt.Errorf("the host's list of tools has more than %d pages", maxPages)
}
