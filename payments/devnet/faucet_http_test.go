package devnet

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

func TestFaucetHTTP(t *testing.T) {
	c, url := serveHTTP(t, Options{})
	const addr = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
	for _, tt := range []struct {
		body, usdc string
		balance    int64
	}{
		{`{"address":"` + strings.ToLower(addr) + `"}`, "10.00", 10_000_000},
		{`{"address":"` + addr + `","usdc":"0.5"}`, "0.50", 10_500_000},
		{`{"address":"` + addr + `","usdc":"10000"}`, "10000.00", 10_010_500_000},
	} {
		status, contentType, body := post(t, url+"/faucet", tt.body)
		var got struct{ Address, USDC, Transaction string }
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		if status != 200 || contentType != "application/json" || got.Address != addr || got.USDC != tt.usdc {
			t.Errorf("%s: %d %s %s", tt.body, status, contentType, body)
		}
		if r, err := c.eth.TransactionReceipt(t.Context(), common.HexToHash(got.Transaction)); err != nil || r.Status != 1 {
			t.Errorf("%s: receipt %v, %v", tt.body, r, err)
		}
		if b := c.balance(t, common.HexToAddress(addr)); b != tt.balance {
			t.Errorf("%s: balance %d", tt.body, b)
		}
	}
}

func TestFaucetRefuses(t *testing.T) {
	c, url := serveHTTP(t, Options{})
	const addr = `"address":"0x70997970C51812dc3A010C7d01b50e0d17dc79C8"`
	for _, tt := range []struct {
		name, body, code string
		status           int
	}{
		{"nothing", ``, "invalid_request", 400},
		{"not JSON", `{`, "invalid_request", 400},
		{"another type", `[]`, "invalid_request", 400},
		{"unknown member", `{` + addr + `,"eth":"1"}`, "invalid_request", 400},
		{"two values", `{` + addr + `} {}`, "invalid_request", 400},
		{"garbage after", `{` + addr + `} x`, "invalid_request", 400},
		{"a number", `{` + addr + `,"usdc":10}`, "invalid_request", 400},
		{"no address", `{}`, "invalid_address", 400},
		{"short address", `{"address":"0x7099"}`, "invalid_address", 400},
		{"wrong checksum", `{"address":"0x70997970c51812dc3A010C7d01b50e0d17dc79C8"}`, "invalid_address", 400},
		{"zero address", `{"address":"0x0000000000000000000000000000000000000000"}`, "invalid_address", 400},
		{"too much", `{` + addr + `,"usdc":"10000.000001"}`, "invalid_amount", 400},
		{"zero", `{` + addr + `,"usdc":"0.00"}`, "invalid_amount", 400},
		{"negative", `{` + addr + `,"usdc":"-1"}`, "invalid_amount", 400},
		{"seven decimals", `{` + addr + `,"usdc":"0.0000001"}`, "invalid_amount", 400},
		{"not a number", `{` + addr + `,"usdc":"ten"}`, "invalid_amount", 400},
		{"too large", strings.Repeat(" ", maxFaucetBody+1), "request_too_large", 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, contentType, body := post(t, url+"/faucet", tt.body)
			var got problem
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if status != tt.status || contentType != "application/problem+json" || got.Code != tt.code || got.Status != tt.status || got.Title == "" || got.Detail == "" {
				t.Errorf("%d %s %s", status, contentType, body)
			}
		})
	}
	if n := c.engine.head().Number.Uint64(); n != 1 {
		t.Errorf("at block %d after refused requests", n)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := post(t, url+"/faucet", `{`+addr+`}`); status != 503 {
		t.Errorf("closed: %d", status)
	}
}
