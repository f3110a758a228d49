package server_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
)

// shop is a world with an event to pay for, and with what must not change when
// a payment is refused.
type shop struct {
	*world
	a, b    owner // b's wallet is another
	event   string
	purse   *wallet.Local
	asked   x402.PaymentRequired
	secrets []string // that nobody should find in a log or an answer
}

const (
	guestName  = "Ada Lovelace"
	guestEmail = "ada.lovelace@guests.example.org"
)

func newShop(t *testing.T, between ...settle) *shop {
	t.Helper()
	s := &shop{world: newWorld(t, between...), secrets: []string{guestName, guestEmail, "@example.org"}}
	s.a, s.b = s.register("a@example.org"), s.register("b@example.org")
	s.event = s.world.event(s.a, map[string]any{"price": "0.05", "capacity": 3})
	s.purse = s.wallet(10 * x402.USD)
	s.asked = s.quote(s.a.URL, s.arguments(s.event, 1))
	t.Cleanup(func() {
		said := strings.ToLower(s.logged())
		for _, secret := range s.secrets {
			if strings.Contains(said, strings.ToLower(secret)) {
				t.Errorf("the log has %.20q…", secret)
			}
		}
	})
	return s
}

func (s *shop) arguments(event string, seats int) map[string]any {
	return map[string]any{"event_id": event, "seats": seats, "name": guestName, "email": guestEmail}
}

// signed makes a payment of the shop's quote. What change makes of it is signed
// as well, in the domain that it names, by the purse whoever the payer is.
func (s *shop) signed(version int, change func(*x402.Payment)) x402.Payment {
	s.t.Helper()
	p := sign(s.t, s.purse, s.asked, version)
	if change == nil {
		change = func(*x402.Payment) {}
	}
	signature := bytes.Clone(p.Payload.Signature)
	change(&p)
	if bytes.Equal(signature, p.Payload.Signature) {
		p.Payload.Signature = s.signedIn(s.asked.Accepts[0], p.Payload.Authorization)
	}
	s.secrets = append(s.secrets, hex.EncodeToString(p.Payload.Signature))
	return p
}

func (s *shop) signedIn(r x402.Requirements, a x402.Authorization) x402.Signature {
	s.t.Helper()
	domain, err := evm.DomainOf(r)
	if err != nil {
		s.t.Fatal(err)
	}
	signature, err := s.purse.SignHash(s.t.Context(), domain.Digest(a))
	if err != nil {
		s.t.Fatal(err)
	}
	return signature
}

// stock is all that a booking changes.
type stock struct {
	payerHas, aHas, bHas               x402.Amount
	seats, rsvps, paid, claims, others int
}

func (s *shop) stock() (got stock) {
	s.t.Helper()
	got.payerHas, got.aHas, got.bHas = s.balance(s.purse.Address()), s.balance(s.a.Wallet), s.balance(s.b.Wallet)
	got.seats = s.count(s.hostFile(s.a), "SELECT coalesce(sum(seats_taken), 0) FROM events")
	got.rsvps = s.count(s.hostFile(s.a), "SELECT count(*) FROM rsvps")
	got.paid = s.count(s.hostFile(s.a), "SELECT count(*) FROM payments")
	got.others = s.count(s.hostFile(s.b), "SELECT (SELECT count(*) FROM rsvps) + (SELECT count(*) FROM payments)")
	got.claims = s.count("server.db", "SELECT count(*) FROM claims")
	return got
}

func (w *world) hostFile(o owner) string { return filepath.Join("hosts", o.User[:2], o.User+".db") }

// count asks one of the server's files past the server.
func (w *world) count(file, query string) (n int) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.hosts.Dir, file)+"?mode=ro")
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		w.t.Fatalf("%s: %v", file, err)
	}
	return n
}

// place is somewhere that a payment can be put: what makes the request of its
// text, or of the base64 of it.
type place struct {
	name   string
	base64 bool
	tries  func(s *shop, at owner, arguments map[string]any, version int, payment string) verdict
}

func places() []place {
	inHeader := func(query string) func(*shop, owner, map[string]any, int, string) verdict {
		return func(s *shop, at owner, arguments map[string]any, version int, payment string) verdict {
			return s.try(at.URL+query, rpcCall(s.t, arguments, ""), x402.PaymentHeader(version), payment)
		}
	}
	return []place{
		{"an object in _meta", false, func(s *shop, at owner, arguments map[string]any, _ int, payment string) verdict {
			return s.try(at.URL, rpcCall(s.t, arguments, payment))
		}},
		{"base64 in _meta", true, func(s *shop, at owner, arguments map[string]any, _ int, payment string) verdict {
			text, err := json.Marshal(payment)
			if err != nil {
				s.t.Fatal(err)
			}
			return s.try(at.URL, rpcCall(s.t, arguments, string(text)))
		}},
		{"a header of MCP", true, inHeader("")},
		{"a header with payment=http", true, inHeader("?payment=http")},
		{"a header of REST", true, func(s *shop, at owner, arguments map[string]any, version int, payment string) verdict {
			url, body := s.rest(at, arguments)
			return s.try(url, body, x402.PaymentHeader(version), payment)
		}},
	}
}

// rest is the plain HTTP request for the same booking.
func (w *world) rest(at owner, arguments map[string]any) (url, body string) {
	w.t.Helper()
	rest := map[string]any{}
	for name, value := range arguments {
		if name != "event_id" {
			rest[name] = value
		}
	}
	raw, err := json.Marshal(rest)
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprintf("%s/api/users/%s/events/%s/rsvps", w.base, at.User, arguments["event_id"]), string(raw)
}

// rpcCall is a call with a text of JSON in `_meta["x402/payment"]`, or with none.
func rpcCall(t *testing.T, arguments map[string]any, payment string) string {
	t.Helper()
	raw, err := json.Marshal(arguments)
	if err != nil {
		t.Fatal(err)
	}
	meta := ""
	if payment != "" {
		meta = `,"_meta":{"x402/payment":` + payment + `}`
	}
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rsvp_to_event","arguments":` + string(raw) + meta + `}}`
}

// verdict is an answer as far as it tells what is wrong.
type verdict struct {
	status  int
	code    string
	reason  x402.Reason // of the request to pay again; "" if there is none
	message string
	raw     string
}

// try posts a body with headers in pairs, and reads the answer in whichever of
// the three forms it comes. All places of it must say the same.
func (w *world) try(url, body string, headers ...string) verdict {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "POST", url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	v := verdict{status: resp.StatusCode, raw: string(raw)}
	var said struct {
		Code, Message, Detail, Error string
		Accepts                      json.RawMessage
	}
	read := func(raw []byte) {
		if err := json.Unmarshal(raw, &said); err != nil {
			w.t.Fatalf("%v in %s", err, raw)
		}
	}
	if resp.StatusCode == http.StatusPaymentRequired {
		asked, err := x402.DecodeRequiredHeader(resp.Header.Get(x402.HeaderRequired))
		if read(raw); err != nil || asked.Error != said.Error || asked.Accepts[0].Amount.IsZero() {
			w.t.Errorf("header %+v, %v; body %s", asked, err, raw)
		}
	} else if strings.HasPrefix(v.raw, `{"jsonrpc"`) {
		var m struct {
			Result struct {
				IsError           bool
				Content           []struct{ Text string }
				StructuredContent json.RawMessage
				Meta              struct {
					Required *struct{ Error string } `json:"x402/error"`
				} `json:"_meta"`
			}
		}
		if err := json.Unmarshal(raw, &m); err != nil {
			w.t.Fatalf("%v in %s", err, raw)
		}
		r := m.Result
		if read(r.StructuredContent); len(r.Content) != 1 || r.Content[0].Text != string(r.StructuredContent) ||
			(r.Meta.Required != nil) != (said.Accepts != nil) || r.Meta.Required != nil && r.Meta.Required.Error != said.Error {
			w.t.Errorf("the places of the answer differ: %s", raw)
		}
	} else {
		read(raw)
	}
	v.code, v.message = said.Code, said.Message+said.Detail
	if said.Accepts != nil {
		v.reason = x402.Reason(said.Error)
	}
	return v
}

// member returns a change of the JSON of a payment: of the member at a path such
// as payload.authorization.from. An empty value takes it away.
func member(path, value string) func([]byte) []byte {
	return func(raw []byte) []byte {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			panic(err) // a path of these tests that is not there
		}
		name, rest, deeper := strings.Cut(path, ".")
		switch {
		case deeper:
			object[name] = member(rest, value)(object[name])
		case value == "":
			delete(object, name)
		default:
			object[name] = json.RawMessage(value)
		}
		raw, err := json.Marshal(object)
		if err != nil {
			panic(err)
		}
		return raw
	}
}

func toBase64(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }

// submit has a call of the token mined, paid by somebody who has nothing to do
// with it.
func (w *world) submit(data []byte) common.Hash {
	w.t.Helper()
	return w.submitTo(devnet.USDC(), data)
}

// submitTo has a call of any contract mined, which must succeed.
func (w *world) submitTo(contract common.Address, data []byte) common.Hash {
	w.t.Helper()
	sender := evm.NewSender(w.client, w.wallet(0), evm.SenderOptions{})
	hash, err := sender.Send(w.t.Context(), evm.Call{To: x402.Address(contract), Data: data, Gas: 200_000})
	if err != nil {
		w.t.Fatal(err)
	}
	eth := ethclient.NewClient(w.chain.RPC())
	for {
		receipt, err := eth.TransactionReceipt(w.t.Context(), hash)
		if errors.Is(err, ethereum.NotFound) {
			continue
		}
		if err != nil || receipt.Status != 1 {
			w.t.Fatalf("a call of a contract: %+v, %v", receipt, err)
		}
		return hash
	}
}

// cancellation is the purse's call that cancels an authorization.
func (s *shop) cancellation(a x402.Authorization) []byte {
	s.t.Helper()
	domain, err := evm.DomainOf(s.asked.Accepts[0])
	if err != nil {
		s.t.Fatal(err)
	}
	separator := domain.Separator()
	digest := crypto.Keccak256Hash([]byte("\x19\x01"), separator[:], crypto.Keccak256(
		crypto.Keccak256([]byte("CancelAuthorization(address authorizer,bytes32 nonce)")),
		common.LeftPadBytes(a.From[:], 32), a.Nonce[:]))
	sig, err := s.purse.SignHash(s.t.Context(), digest)
	if err != nil {
		s.t.Fatal(err)
	}
	return evm.NewFiatToken().PackCancelAuthorization0(common.Address(a.From), a.Nonce,
		sig[64], [32]byte(sig[:32]), [32]byte(sig[32:64]))
}
