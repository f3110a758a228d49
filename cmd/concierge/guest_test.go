package main

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/events-concierge/concierge/server/testlog"
)

// stage is a server on devnet, for the scripts that need one.
type stage struct {
	t      *testing.T
	server func() *program
}

func newStage(t *testing.T) *stage {
	dir := t.TempDir()
	return &stage{t, sync.OnceValue(func() *program {
		return start(t, "serve", "--network", "devnet", "--addr", "127.0.0.1:0", "--data", dir, "--log-level", "error")
	})}
}

// commands are what scripts do on a stage.
func (s *stage) commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){"host": s.host, "event": s.event, "purse": s.purse, "asked": asked}
}

// host NAME opens a Host on the server; $NAME is its URL, and $RPC the chain.
func (s *stage) host(ts *testscript.TestScript, _ bool, args []string) {
	web := s.server().url
	user := post(s.t, web+"/api/users", "", map[string]string{"email": rand.Text() + "@example.org"})
	ts.Setenv(args[0], web+"/mcp/users/"+user["user"].(string))
	ts.Setenv(args[0]+"_EVENTS", web+"/api/users/"+user["user"].(string)+"/events")
	ts.Setenv(args[0]+"_TOKEN", user["owner_token"].(string))
	ts.Setenv(args[0]+"_PAYEE", user["wallet_address"].(string))
	ts.Setenv("RPC", web+"/devnet")
}

// event NAME HOST TITLE PRICE STARTS adds an event; $NAME is its id.
func (s *stage) event(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], post(s.t, ts.Getenv(args[1]+"_EVENTS"), ts.Getenv(args[1]+"_TOKEN"),
		map[string]any{"title": args[2], "price": args[3], "starts_at": args[4]})["id"].(string))
}

// purse gives the script a wallet with $10.
func (s *stage) purse(ts *testscript.TestScript, _ bool, _ []string) {
	key := newKey(s.t)
	ts.Setenv(envWalletKey, key)
	ts.Check(ts.Exec("concierge", "guest", "wallet", "--fund", "--rpc", ts.Getenv("RPC")))
}

var approvalNumber = regexp.MustCompile(`\(approval (\d+), `)

// asked NAME takes the number of a question from what the last command said.
func asked(ts *testscript.TestScript, _ bool, args []string) {
	m := approvalNumber.FindStringSubmatch(ts.ReadFile("stderr"))
	if m == nil {
		ts.Fatalf("no question was asked")
	}
	ts.Setenv(args[0], m[1])
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	text := hex.EncodeToString(crypto.FromECDSA(key))
	testlog.Secret(text)
	return text
}
