package tools

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/events-concierge/concierge/payments/x402"
)

// Plain answers calls of a Host's tools that come as nearly all of them do: over HTTP,
// in the revisions before 2026-07-28, in words that can be read in one way only. It
// writes what mcp-go would, to the byte (TestPlain, FuzzPlain), in a quarter of the
// time: mcp-go reads a message seven times over, into maps, and starts a goroutine for
// notices, of which there are none here.
type Plain struct {
	log   *slog.Logger
	tools map[string]tool // by their names in quotes
}

// NewPlain returns what answers the tools of [NewServer].
func NewPlain(log *slog.Logger) *Plain {
	p := &Plain{log, map[string]tool{}}
	for _, t := range allTools() {
		p.tools[`"`+t.name+`"`] = t
	}
	return p
}

// Answer returns the answer to a message that was posted with this header, in two
// parts, of which rest is not to be changed; and false if it is no plain call: then
// nothing was done, and mcp-go is to be asked. Of a message that was lifted
// ([Call.Lift]) it is given what is left.
func (p *Plain) Answer(ctx context.Context, c *Call, message []byte, header http.Header) (head, rest []byte, ok bool) {
	version := header.Get(mcp.HeaderProtocolVersion)
	if header.Get("Content-Type") != "application/json" || mcp.IsModernProtocol(version) ||
		version != "" && !mcp.IsValidProtocolVersion(version) || !json.Valid(message) {
		return nil, nil, false
	}
	m, ok := members(message, "jsonrpc", "id", "method", "params")
	if !ok || string(m[0]) != `"2.0"` || !plainID(m[1]) || string(m[2]) != `"tools/call"` {
		return nil, nil, false
	}
	params, ok := members(m[3], "name", "arguments", "_meta")
	if !ok || !flat(params[1]) || !flat(params[2]) {
		return nil, nil, false
	}
	t, ok := p.tools[string(params[0])]
	if !ok {
		return nil, nil, false
	}
	head, rest = t.answer(ctx, p.log, c, params[1], header).plain(c, m[1])
	return head, rest, true
}

// members returns the values of an object's members of these names, nil where there is
// none. It is false if it has another, or one twice, or is no object.
func members(object []byte, names ...string) (values [4][]byte, ok bool) {
	if len(object) == 0 {
		return values, false
	}
	ok = object[0] == '{'
next:
	for quoted, value := range x402.Members(object) {
		for i, name := range names {
			if string(quoted[1:len(quoted)-1]) == name && values[i] == nil {
				values[i] = value
				continue next
			}
		}
		return values, false
	}
	return values, ok
}

// plainID reports whether an id is written as it is read: a whole number that is exact
// as a float, or a short text without anything to escape.
func plainID(id []byte) bool {
	if len(id) == 0 || len(id) > 100 {
		return false
	}
	if id[0] != '"' {
		return wholeNumber(id)
	}
	for _, b := range id[1 : len(id)-1] {
		if b < ' ' || b > '~' || strings.IndexByte(`\"<>&`, b) >= 0 {
			return false
		}
	}
	return true
}

// wholeNumber reports whether JSON is one from 0 on that a float has exactly.
func wholeNumber(raw []byte) bool {
	for _, b := range raw {
		if b < '0' || b > '9' {
			return false
		}
	}
	return len(raw) <= 15
}

// revisionPrefix is of the names by which a message says that it is of another revision.
const revisionPrefix = "io.modelcontextprotocol/"

// flat reports whether JSON is an object of texts, words and whole numbers, or is not
// there, and says nothing of a revision. There is nothing in it that can't be read.
func flat(object []byte) bool {
	if object == nil {
		return true
	}
	if object[0] != '{' {
		return false
	}
	for quoted, value := range x402.Members(object) {
		name := string(quoted[1 : len(quoted)-1])
		if strings.HasPrefix(name, revisionPrefix) || strings.Contains(name, `\`) {
			return false
		}
		switch value[0] {
		case '"', 't', 'f', 'n':
		default:
			if !wholeNumber(value) {
				return false
			}
		}
	}
	return true
}

// plain is an outcome as mcp-go writes the answer to the call with this id, in two
// parts.
func (o outcome) plain(c *Call, id []byte) (head, rest []byte) {
	room := 300 + len(id)
	if o.written == nil {
		room += 3 * len(o.json)
	}
	b := make([]byte, 0, room)
	b = append(append(append(b, `{"jsonrpc":"2.0","id":`...), id...), `,"result":{`...)
	if c.Required != nil || c.Receipt != nil {
		b = append(b, `"_meta":{`...)
		if c.Required != nil {
			asked := o.json
			if c.Required.Code != "" { // else it is the same JSON
				asked = mustJSON(c.Required.PaymentRequired)
			}
			b = append(append(b, `"`+x402.MetaError+`":`...), asked...)
		}
		if c.Receipt != nil {
			if c.Required != nil {
				b = append(b, ',')
			}
			b = append(append(b, `"`+x402.MetaResponse+`":`...), mustJSON(c.Receipt)...)
		}
		b = append(b, `},`...)
	}
	if o.written != nil {
		return b, o.written
	}
	return o.appendResult(b), nil
}

// appendResult appends what is behind the `_meta` of an answer, which ends with it.
func (o outcome) appendResult(b []byte) []byte {
	b = append(appendQuoted(append(b, `"content":[{"type":"text","text":"`...), o.json), `"}],`...)
	if o.failed {
		b = append(b, `"isError":true,`...)
	}
	return append(append(append(b, `"structuredContent":`...), o.json...), resultEnd...)
}

const resultEnd = "}}\n"

// prepared is JSON to be answered with. That of a long list is kept as it is written.
type prepared struct {
	json    json.RawMessage
	written []byte // by [outcome.appendResult], if it is kept; json is a part of it
}

// longAnswer is from where on it takes longer to write an answer than to copy it.
const longAnswer = 1 << 10

func prepare(raw json.RawMessage) prepared {
	if len(raw) < longAnswer {
		return prepared{json: raw}
	}
	written := slices.Clip(outcome{prepared: prepared{json: raw}}.appendResult(nil))
	end := len(written) - len(resultEnd)
	return prepared{json: written[end-len(raw) : end : end], written: written}
}
