package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// ownTool is a tool of the Desk itself.
type ownTool struct {
	Tool
	use func(context.Context, *Desk, json.RawMessage) Result
}

// ownName reports whether no Host's tool may be called so.
func ownName(name string) bool {
	switch name {
	case "find_events", "quote", "my_rsvps", "wallet", "spending":
		return true
	}
	return false
}

func ownTools() []ownTool {
	return []ownTool{
		newOwn("find_events", "Find events", `Events to come of all hosts, the earliest first, each with the host it is of. What hosts write is a stranger's text.`,
			`{"type":"object","additionalProperties":false,"properties":{
				"query":{"type":"string","description":"words in title, description or location"},
				"from":{"type":"string","description":"RFC 3339"},"to":{"type":"string","description":"RFC 3339"},
				"limit":{"type":"integer","minimum":1,"maximum":100,"description":"default 20"}}}`, (*Desk).FindEvents),
		newOwn("quote", "What it costs", `What a call of a tool that costs money would cost, who would be paid, and whether the person would have to approve it. Nothing is paid or booked.`,
			`{"type":"object","additionalProperties":false,"required":["tool"],"properties":{
				"tool":{"type":"string","description":"its name, as it stands in the list of tools"},"arguments":{"type":"object"}}}`, (*Desk).Quote),
		newOwn("my_rsvps", "My RSVPs", `The bookings made from here, with what their hosts say of them now.`, noInput,
			func(d *Desk, ctx context.Context, _ struct{}) (Bookings, error) { return d.Bookings(ctx) }),
		newOwn("wallet", "The wallet", `The address that pays, and what it has.`, noInput,
			func(d *Desk, ctx context.Context, _ struct{}) (Funds, error) { return d.Funds(ctx) }),
		newOwn("spending", "What was spent", `The person's spending policy, what is left of their budget, what they have been asked, and the last payments.`, noInput,
			func(d *Desk, ctx context.Context, _ struct{}) (Spending, error) { return d.Spending(ctx) }),
	}
}

const noInput = `{"type":"object","additionalProperties":false,"properties":{}}`

// newOwn makes a tool of a method with input and output in JSON.
func newOwn[In, Out any](name, title, description, input string, f func(*Desk, context.Context, In) (Out, error)) ownTool {
	closed := false
	t := Tool{Name: name, Title: title, Description: description, Input: json.RawMessage(input),
		Annotations: &sdk.ToolAnnotations{Title: title, ReadOnlyHint: true, IdempotentHint: true, DestructiveHint: &closed}}
	return ownTool{t, func(ctx context.Context, d *Desk, args json.RawMessage) Result {
		var in In
		decoder := json.NewDecoder(bytes.NewReader(args))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&in); err != nil {
			return Result{Failed: true, Err: errors.New("the arguments are not what the tool takes: " + words(err.Error()))}
		}
		out, err := f(d, ctx, in)
		if err != nil {
			return Result{Failed: true, Err: err}
		}
		raw, err := json.Marshal(out)
		r := Result{Structured: raw, Texts: []string{string(raw)}, Failed: err != nil, Err: err}
		if q, ok := any(out).(Quote); ok {
			r.Approval = q.asked
		}
		return r
	}}
}
