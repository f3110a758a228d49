package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Who subscribes to notices (revision 2026-07-28, SEP-2575) is told that there are
// none, instead of being left to wait for them.
func TestSubscribe(t *testing.T) {
	w := newWorld(t)
	o := w.register("owner@example.org")
	for _, id := range []string{`7`, `"seven"`} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.URL, strings.NewReader(fmt.Sprintf(
			`{"jsonrpc":"2.0","id":%s,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},
			"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, id)))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
			"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"} {
			r.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			ID    json.RawMessage
			Error struct{ Code int }
		}
		if err := json.Unmarshal(raw, &m); err != nil || resp.StatusCode != http.StatusNotFound || string(m.ID) != id || m.Error.Code != -32601 {
			t.Errorf("%s: %s, %v", resp.Status, raw, err)
		}
	}
}
