package main

import (
	"encoding/hex"
	"encoding/json"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/wallet/crossminttest"
	"github.com/events-concierge/concierge/server/testlog"
)

// crossmintOn starts a Crossmint whose wallets are on a chain, and has the commands
// ask it.
func crossmintOn(t *testing.T, rpc string) {
	t.Helper()
	chain, err := ethclient.DialContext(t.Context(), rpc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(chain.Close)
	file, err := os.ReadFile("../../payments/devnet/contracts/build/OwnerWallet.bin")
	if err != nil {
		t.Fatal(err)
	}
	creation, err := hex.DecodeString(strings.TrimSpace(string(file)))
	if err != nil {
		t.Fatal(err)
	}
	const key = "sk_staging_5ecret"
	testlog.Secret(key)
	api := httptest.NewServer(crossminttest.New(crossminttest.Options{Key: key, Chain: chain, Creation: creation, Factory: devnet.DeterministicFactory()}))
	t.Cleanup(api.Close)
	t.Setenv(envCrossmintKey, key)
	t.Setenv(envCrossmintURL, api.URL)
}

// A Guest with a wallet at Crossmint books on a server whose Hosts have theirs there:
// before it is deployed, after that, and over stdio.
func TestCrossmint(t *testing.T) {
	chain := start(t, "devnet", "--addr", "127.0.0.1:0")
	crossmintOn(t, chain.url)
	data := t.TempDir()
	added := output(t, "", "user", "add", "bob@example.org", "--data", data, "--wallets", "crossmint")
	web := start(t, "serve", "--addr", "127.0.0.1:0", "--data", data, "--rpc", chain.url, "--wallets", "crossmint")
	user := post(t, web.url+"/api/users", "", map[string]string{"email": "ada@example.org"})
	if !strings.Contains(added, "wallet address  0x") || strings.Contains(added, user["wallet_address"].(string)) {
		t.Errorf("added: %s", added)
	}
	hostURL := web.url + "/mcp/users/" + user["user"].(string)
	event := func() string {
		return post(t, web.url+"/api/users/"+user["user"].(string)+"/events", user["owner_token"].(string),
			map[string]any{"title": "An evening", "price": "0.05", "starts_at": "2030-01-01T00:00:00Z"})["id"].(string)
	}
	alice := []string{"--wallet", "crossmint:userId:alice", "--rpc", chain.url}
	wallet := output(t, "", append([]string{"guest", "wallet", "--fund"}, alice...)...)
	address := regexp.MustCompile(`0x[0-9a-fA-F]{40}`).FindString(wallet)
	if !strings.Contains(wallet, "10.00 USDC") {
		t.Errorf("wallet: %s", wallet)
	}
	for range 2 {
		var booked struct {
			RSVP struct{ Status, Payer string }
			Paid string
		}
		answer := output(t, "", append([]string{"guest", "book", event(), "--host", hostURL, "--json"}, alice...)...)
		if err := json.Unmarshal([]byte(answer), &booked); err != nil || booked.Paid != "50000" || booked.RSVP.Status != "confirmed" || booked.RSVP.Payer != address {
			t.Errorf("%s, %v", answer, err)
		}
	}
	lines := output(t, hello+toolLine(1, "rsvp_to_event", `{"event_id":"`+event()+`"}`), append([]string{"mcp", "guest", "--host", hostURL}, alice...)...)
	if !strings.Contains(lines, address) || !strings.Contains(lines, "Paid $0.05") {
		t.Errorf("mcp guest: %s", lines)
	}
	if got := output(t, "", append([]string{"guest", "wallet", "--json"}, alice...)...); !strings.Contains(got, `"9.85"`) || !strings.Contains(got, address) {
		t.Errorf("wallet after: %s", got)
	}
	if log := web.stderr.String(); strings.Contains(log, "5ecret") {
		t.Errorf("the key is in the log:\n%s", log)
	}
}
