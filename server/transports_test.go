package server_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest"
	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// pipes serves an owner's Host over stdio and returns the client's ends. The
// server ends when out is closed.
func (w *world) pipes(o owner, owns bool) (in io.ReadCloser, out io.WriteCloser) {
	w.t.Helper()
	serverIn, clientOut := io.Pipe()
	clientIn, serverOut := io.Pipe()
	done := make(chan error, 1)
	go func() {
		scope := map[bool]store.Scope{true: store.ScopeOwner}[owns]
		err := w.hosts.ServeHost(context.Background(), tools.NewServer("test", testlog.New()), o.User, scope, serverIn, serverOut)
		serverOut.Close()
		done <- err
	}()
	w.t.Cleanup(func() {
		clientOut.Close()
		clientIn.Close() // what is still being answered has nobody to read it
		<-done
	})
	return clientIn, clientOut
}

// sign makes the payment of the first way to pay, as any x402 client would.
func sign(t *testing.T, purse *wallet.Local, asked x402.PaymentRequired, version int) x402.Payment {
	t.Helper()
	r := asked.Accepts[0]
	now := time.Now()
	a := x402.Authorization{From: purse.Address(), To: r.PayTo, Value: r.Amount,
		ValidAfter: x402.NewUint256(uint64(now.Add(-10 * time.Minute).Unix())), ValidBefore: x402.NewUint256(uint64(now.Add(5 * time.Minute).Unix()))}
	if _, err := rand.Read(a.Nonce[:]); err != nil {
		t.Fatal(err)
	}
	signature, err := purse.SignAuthorization(t.Context(), r, a)
	if err != nil {
		t.Fatal(err)
	}
	p := x402.Payment{Version: version, Scheme: r.Scheme, Network: r.Network, Payload: x402.Payload{Signature: signature, Authorization: a}}
	if version == 2 {
		p.Accepted, p.Resource = &r, &asked.Resource
	}
	return p
}

// The Guest (the official SDK's client) over stdio: it pays by `_meta`.
func TestGuestOverStdio(t *testing.T) {
	w := newWorld(t)
	for _, protocol := range []string{"2025-06-18", "2026-07-28"} {
		t.Run(protocol, func(t *testing.T) {
			o := w.register("owner-" + protocol + "@example.org")
			event := w.event(o, map[string]any{"price": "0.05"})
			in, out := w.pipes(o, false)
			g, err := guest.Over(t.Context(), "in memory", func() sdk.Transport { return &sdk.IOTransport{Reader: in, Writer: out} },
				guest.Config{Wallet: w.wallet(x402.USD), Protocol: protocol, Purse: w.purse(),
					Policy: guest.Policy{Network: x402.BaseSepolia, MaxPrice: x402.USD}})
			if err != nil {
				t.Fatal(err)
			}
			if _, spoken, err := g.Server(t.Context()); err != nil || spoken != protocol {
				t.Errorf("speaks %q, %v", spoken, err)
			}
			booked, err := g.Book(t.Context(), guest.Wish{EventID: event})
			if err != nil || booked.RSVP.Status != "confirmed" || w.balance(o.Wallet) != 50_000 {
				t.Errorf("%+v, %v, balance %s", booked, err, w.balance(o.Wallet))
			}
		})
	}
}

// Another client altogether, over both transports and generations, paying in
// version 1 and 2, by object and by base64.
func TestMCPGoClient(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name, protocol string
		stdio, base64  bool
		x402Version    int
	}{
		{"HTTP, handshake", "2025-06-18", false, false, 2},
		{"HTTP, stateless", "2026-07-28", false, true, 2},
		{"HTTP, x402 version 1", "2025-06-18", false, false, 1},
		{"stdio, handshake", "2025-06-18", true, true, 2},
		{"stdio, stateless", "2026-07-28", true, false, 2},
		{"stdio, x402 version 1", "2025-06-18", true, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := w.register("owner-" + rand.Text() + "@example.org")
			event := w.event(o, map[string]any{"price": "2.50", "capacity": 3})
			c := w.mcpGo(o, test.stdio, test.protocol)
			list, err := c.CallTool(t.Context(), toolCall("list_events", map[string]any{}, nil))
			if err != nil || list.IsError {
				t.Fatalf("list: %v", err)
			}
			arguments := map[string]any{"event_id": event, "seats": 2}
			asked := paymentRequired(t, c, arguments)
			purse := w.wallet(10 * x402.USD)
			payment := sign(t, purse, asked, test.x402Version)
			var meta any = payment
			if test.base64 {
				if meta, err = x402.Header(payment); err != nil {
					t.Fatal(err)
				}
			}
			result, err := c.CallTool(t.Context(), toolCall("rsvp_to_event", arguments, map[string]any{x402.MetaPayment: meta}))
			if err != nil || result.IsError {
				t.Fatalf("%v: %+v", err, result)
			}
			var r tools.RSVP
			if err := json.Unmarshal(result.RawStructuredContent, &r); err != nil || r.Status != "confirmed" || r.Amount != "5000000" || r.Seats != 2 {
				t.Errorf("%+v, %v", r, err)
			}
			raw, err := json.Marshal(result.Meta.AdditionalFields[x402.MetaResponse])
			if err != nil {
				t.Fatal(err)
			}
			receipt, err := x402.DecodeReceipt(raw)
			if err != nil || !receipt.Success || receipt.Transaction != r.Transaction || receipt.Network != x402.BaseSepolia.Name(test.x402Version) {
				t.Errorf("receipt %+v, %v", receipt, err)
			}
			if w.balance(o.Wallet) != 5_000_000 {
				t.Errorf("balance %s", w.balance(o.Wallet))
			}
		})
	}
}

func (w *world) mcpGo(o owner, stdio bool, protocol string) *client.Client {
	w.t.Helper()
	var pipe transport.Interface
	if stdio {
		in, out := w.pipes(o, false)
		pipe = transport.NewIO(in, out, io.NopCloser(&emptyReader{}))
	} else {
		var err error
		if pipe, err = transport.NewStreamableHTTP(o.URL); err != nil {
			w.t.Fatal(err)
		}
	}
	c := client.NewClient(pipe, client.WithProtocolVersion(protocol))
	if err := c.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = protocol
	hello.Params.ClientInfo = mcp.Implementation{Name: "test", Version: "1"}
	if _, err := c.Initialize(w.t.Context(), hello); err != nil {
		w.t.Fatal(err)
	}
	if c.ProtocolVersion() != protocol {
		w.t.Errorf("speaks %q, want %q", c.ProtocolVersion(), protocol)
	}
	return c
}

type emptyReader struct{}

func (*emptyReader) Read([]byte) (int, error) { return 0, io.EOF }

func toolCall(name string, arguments map[string]any, meta map[string]any) mcp.CallToolRequest {
	var r mcp.CallToolRequest
	r.Params.Name, r.Params.Arguments = name, arguments
	if meta != nil {
		r.Params.Meta = mcp.NewMetaFromMap(meta)
	}
	return r
}

func paymentRequired(t *testing.T, c *client.Client, arguments map[string]any) x402.PaymentRequired {
	t.Helper()
	result, err := c.CallTool(t.Context(), toolCall("rsvp_to_event", arguments, nil))
	if err != nil || !result.IsError {
		t.Fatalf("unpaid call: %v: %+v", err, result)
	}
	asked, err := x402.DecodeRequired(result.RawStructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	return asked
}
