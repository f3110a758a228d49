package concierge_test

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"strings"
	"testing"
)

// constants evaluates the constants of a file that are numbers and made of nothing
// but numbers.
func constants(t *testing.T, file string) map[string]int64 {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != len(spec.Values) {
			return true
		}
		for i, name := range spec.Names {
			v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(spec.Values[i]))
			if err != nil || v.Value == nil || v.Value.Kind() != constant.Int {
				continue
			}
			found[name.Name], _ = constant.Int64Val(v.Value)
		}
		return true
	})
	return found
}

// grouped writes a number as the pages do: 1,000,000.
func grouped(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// What docs/reference/limits.md says of limits that no flag changes is what the
// code has; those of flags are held against the flags in cmd/concierge.
func TestLimitsPage(t *testing.T) {
	b, err := os.ReadFile("docs/reference/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	// Lines are wrapped.
	page := strings.Join(strings.Fields(string(b)), " ")
	for _, c := range []struct {
		says  string // * is the number, or the next of them
		file  string
		names string
		unit  int64
	}{
		{"| title | * |", "tools/input.go", "maxTitle", 1},
		{"| description | * |", "tools/input.go", "maxDescription", 1},
		{"| location | * |", "tools/input.go", "maxLocation", 1},
		{"| capacity | * seats", "tools/input.go", "maxCapacity", 1},
		{"| start | * years", "tools/input.go", "farthestStart", 1},
		{"| seats of one RSVP | * |", "tools/input.go", "maxSeats", 1},
		{"| name, email of a guest | *, * |", "tools/input.go", "maxName maxEmail", 1},
		{"| what is searched for | * |", "tools/input.go", "maxQuery", 1},
		{"| entries of a page | *; * if nothing is said |", "tools/input.go", "maxLimit defaultLimit", 1},
		{"| events in a calendar's feed | * |", "tools/public.go", "maxFeed", 1},
		{"| tokens | * |", "store/tokens.go", "MaxTokens", 1},
		{"| browsers signed in | *, each", "store/sessions.go", "MaxSessions", 1},
		{"| conversations that are kept | *;", "store/chats.go", "MaxChats", 1},
		{"| wallets | *;", "store/chats.go", "MaxChatWallets", 1},
		{"| of one conversation | * messages,", "store/chats.go", "MaxChatMessages", 1},
		{"messages, * KiB,", "store/chats.go", "MaxChatBytes", 1 << 10},
		{"KiB, * Hosts,", "store/chats.go", "MaxChatHosts", 1},
		{"Hosts, * windows |", "server/guest/chat/agent.go", "maxTabs", 1},
		{"| what a person says at once | * |", "server/guest/chat/message.go", "MaxText", 1},
		{"| connections | *,", "server/guest/chat/agent.go", "maxSockets", 1},
		{"1,024, * of one address |", "server/agent.go", "maxSeats", 1},
		{"| answers under way | * |", "server/guest/chat/agent.go", "maxTurns", 1},
		{"| `POST /api/users` from one address | *, then one in * s |", "server/limits.go", "registrations registerEvery", 1},
		{"| wrong tokens from one address, at whatever Host | *, then one in * s |", "server/limits.go", "wrongTokens wrongEvery", 1},
		{"| messages to the agent from one address | *, then one in * s |", "server/agent.go", "sayings sayEvery", 1},
		{"* from one address, * of a Host's guests, as many with its tokens, * in all", "server/listen.go",
			"maxListenersPerClient maxListenersPerHost maxListeners", 1},
		{"| request line and headers | * KiB,", "server/server.go", "maxHeader", 1 << 10},
		{"| body | * KiB,", "server/body.go", "maxBody", 1 << 10},
		{"in 30 s; * larger", "server/body.go", "maxLarge", 1},
		{"larger than * KiB at a time", "server/body.go", "smallBody", 1 << 10},
		{"| a JSON-RPC message | * values, * levels;", "server/body.go", "maxValues maxDepth", 1},
		{"one more token for each * KiB", "server/body.go", "perToken", 1 << 10},
		{"up to * of them at a time, so that", "server/limits.go", "maxHeld", 1},
	} {
		known := constants(t, c.file)
		says := c.says
		for name := range strings.FieldsSeq(c.names) {
			n, ok := known[name]
			if !ok {
				t.Errorf("%s has no constant %s", c.file, name)
			}
			says = strings.Replace(says, "*", grouped(n/c.unit), 1)
		}
		if !strings.Contains(page, says) {
			t.Errorf("by %s it is to say %q, and does not", c.file, says)
		}
	}
}
