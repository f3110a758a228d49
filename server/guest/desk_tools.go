package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

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

const priceMeta = "agents-x402/priceUSD"

// known returns the tools as the Hosts last told them, after the Desk's own.
func (d *Desk) known() []Tool {
	var all []Tool
	for _, t := range ownTools() {
		all = append(all, t.Tool)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, h := range d.hosts {
		if h == nil {
			continue
		}
		names := namesOf(d.lists[h].tools, i, len(d.hosts))
		for _, t := range d.lists[h].tools {
			if name := names[t.Name]; name != "" {
				all = append(all, toolOf(name, h, t))
			}
		}
	}
	return all
}

func (d *Desk) find(ctx context.Context, name string) (Tool, error) {
	for _, list := range []func() []Tool{d.known, func() []Tool { return d.toolsFor(ctx) }} {
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
