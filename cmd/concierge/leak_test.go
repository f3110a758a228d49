package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/events-concierge/concierge/server/testlog"
)

// vault is a data directory in which every secret that there can be is stored, each
// another random text.
type vault struct {
	*testing.T
	data, key string
	values    map[secretName]string
	more      []string // other secrets of the test
	said      bytes.Buffer
}

func newVault(t *testing.T) *vault {
	v := &vault{T: t, data: t.TempDir(), key: filepath.Join(t.TempDir(), "key"), values: map[secretName]string{}}
	for _, k := range knownSecrets() {
		t.Setenv(k.variable, "")
	}
	t.Setenv("CONCIERGE_SECRETS_KEY_FILE", v.key)
	t.Setenv("AWS_REGION", "nowhere-1")
	output(t, "", "secret", "key", v.key, "--data", v.data)
	for _, name := range storable() {
		value := "s3-" + name + "-" + rand.Text()
		switch secretName(name) {
		case secretGasKey:
			value = newKey(t)
		case secretCrossmintKey:
			value = "sk_staging_" + rand.Text()
		}
		v.store(secretName(name), value)
	}
	return v
}

func (v *vault) store(name secretName, value string) {
	v.Helper()
	v.values[name] = value
	v.secret(value)
	output(v.T, value+"\n", "secret", "put", string(name), "--data", v.data)
}

func (v *vault) secret(s ...string) {
	v.more = append(v.more, s...)
	testlog.Secret(s...)
}

// fails runs a command that has to fail, and keeps what it says.
func (v *vault) fails(args ...string) {
	v.Helper()
	var out bytes.Buffer
	if code := run(v.Context(), args, strings.NewReader(""), &out, testlog.Tee(&v.said)); code == 0 {
		v.Errorf("%v does not fail: %s", args, &out)
	}
	v.said.Write(out.Bytes())
}

// clean fails if a secret is in what was said.
func (v *vault) clean() {
	v.Helper()
	for _, f := range testlog.Find(v.said.String(), v.more...) {
		v.Errorf("%s is told in: %s", f.What, f.Text)
	}
}

// call makes a request that is answered with anything but a server's failure of its
// own, and returns the answer.
func (v *vault) call(method, url, body string, headers ...string) string {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), method, url, strings.NewReader(body))
	if err != nil {
		v.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		v.Fatal(err)
	}
	return string(said)
}

// TestNoSecretIsLogged runs servers of which all secrets are known and everybody
// whom they talk with fails and repeats what they were sent, at the level debug, in
// both formats: nothing that was said has a secret, a token, a signature or an email
// in it.
func TestNoSecretIsLogged(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			v := newVault(t)
			gossip := newGossip(t)
			chain := start(t, "devnet", "--addr", "127.0.0.1:0", "--log-level", "debug", "--log-format", format)
			gossip.chain = chain.url
			t.Setenv(envModelURL, gossip.URL+"/model")
			t.Setenv(envCrossmintURL, gossip.URL)
			t.Setenv("AWS_ENDPOINT_URL", gossip.URL)
			web := start(t, "serve", "--addr", "127.0.0.1:0", "--data", v.data, "--rpc", chain.url+"/?key="+v.values[secretMetricsToken],
				"--facilitator", gossip.URL, "--smtp", gossip.mail, "--smtp-from", "Events <events@example.org>", "--verify-email",
				"--log-level", "debug", "--log-format", format)
			v.visit(web, gossip)
			v.wrong(format, gossip)
			if code := web.stop(); code != 0 {
				t.Errorf("the server ended with code %d", code)
			}
			chain.stop()
			v.said.WriteString(web.stderr.String() + chain.stderr.String())
			v.clean()
			gossip.heard(v)
			if n := strings.Count(v.said.String(), "\n"); n < 20 {
				t.Errorf("only %d lines were searched", n)
			}
		})
	}
}

// visit does on a server all that has to do with secrets.
func (v *vault) visit(web *program, gossip *gossip) {
	v.Helper()
	email := "ada." + strings.ToLower(rand.Text()) + "@example.org"
	v.secret(email)
	added := strings.Fields(output(v.T, "", "user", "add", email, "--data", v.data))
	user, token := added[1], added[len(added)-1]
	v.secret(token)
	api, mcp := web.url+"/api/users/"+user, web.url+"/mcp/users/"+user

	// Tokens: right, wrong, of another shape, in the wrong place.
	event := post(v.T, api+"/events", token, map[string]any{"title": "An evening", "price": "0.05", "starts_at": "2030-01-01T00:00:00Z"})["id"].(string)
	for _, wrong := range []string{token + "x", "ec_" + rand.Text() + rand.Text(), rand.Text()} {
		v.secret(wrong)
		v.call("GET", api+"/revenue", "", "Authorization", "Bearer "+wrong)
		v.call("POST", mcp, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "Authorization", "Bearer "+wrong)
		v.call("GET", api+"/events?token="+wrong, "")
		v.call("GET", web.url+"/metrics?token="+wrong, "", "Authorization", "Bearer "+wrong)
		v.call("GET", web.url+"/my-mcp", "", "Cookie", "concierge_session="+wrong, "Referer", web.url+"/?token="+wrong)
	}
	v.call("GET", web.url+"/metrics", "", "Authorization", "Bearer "+v.values[secretMetricsToken])

	// Emails and codes; the mail server refuses the password and repeats it.
	other := "bo." + strings.ToLower(rand.Text()) + "@example.org"
	code := "inv_" + rand.Text()
	v.secret(other, code)
	v.call("POST", web.url+"/api/users", `{"email":"`+other+`"}`)
	v.call("POST", web.url+"/api/users", `{"email":"`+other+`","code":"AAAAAAAA","invite":"`+code+`"}`)
	v.call("POST", web.url+"/api/users", `{"email":"`+other)

	// Payments that are none, and one that the facilitator repeats and fails.
	for _, payment := range []string{rand.Text(), `{"x402Version":2,"payload":{"signature":"` + rand.Text() + `"}}`} {
		v.secret(payment)
		v.call("POST", api+"/events/"+event+"/rsvps", `{"name":"Ada","email":"`+other+`"}`, "PAYMENT-SIGNATURE", payment, "X-PAYMENT", payment)
	}
	fund(v.T, gossip.chain)
	v.secret(os.Getenv(envWalletKey))
	v.book(gossip, "guest", "book", event, "--host", mcp, "--email", other, "--json")
	if len(gossip.signatures()) == 0 {
		v.Error("the facilitator was shown no payment")
	}
	v.secret(gossip.signatures()...)

	// The language model repeats its key.
	b := openTab(v.T, web, "")
	v.secret(strings.TrimPrefix(b.cookie[strings.Index(b.cookie, "="):], "="))
	b.send(map[string]any{"type": "say", "text": "Who are you?"})
	b.until("error")
}

// book pays. What becomes of it nobody will ever know: the guest is interrupted when
// the facilitator has failed.
func (v *vault) book(gossip *gossip, args ...string) {
	v.Helper()
	ctx, interrupt := context.WithCancel(v.Context())
	defer interrupt()
	ended := make(chan int, 1)
	var out, said bytes.Buffer
	go func() { ended <- run(ctx, args, strings.NewReader(""), &out, testlog.Tee(&said)) }()
	select {
	case <-gossip.settling:
		interrupt()
		<-ended
	case code := <-ended:
		v.Errorf("the guest ended with code %d before a settlement: %s", code, &said)
	}
	v.said.Write(said.Bytes()) // what it prints on standard output is for the guest
}

// wrong runs commands that fail with secrets in their hands.
func (v *vault) wrong(format string, gossip *gossip) {
	v.Helper()
	v.fails("backup", "--data", v.data, "--to", "s3://books", "--log-level", "debug", "--log-format", format)
	v.fails("user", "add", "cy@example.org", "--data", v.data, "--wallets", "crossmint")
	// The URL of the node is a secret, and the node repeats it.
	v.store(secretRPCURL, gossip.URL+"/node/"+rand.Text())
	v.fails("facilitator", "--data", v.data, "--network", "base-sepolia", "--addr", "127.0.0.1:0", "--log-level", "debug", "--log-format", format)
	v.store(secretRPCURL, "http://127.0.0.1:1/node/"+rand.Text())
	v.fails("serve", "--data", v.data, "--network", "base-sepolia", "--addr", "127.0.0.1:0", "--log-level", "debug", "--log-format", format)
	v.store(secretRPCURL, "http://nobody:"+rand.Text()+"@127.0.0.1:1:1/")
	v.fails("serve", "--data", v.data, "--network", "base-sepolia", "--addr", "127.0.0.1:0", "--log-level", "debug", "--log-format", format)
	v.store(secretGasKey, "no key "+rand.Text())
	v.fails("facilitator", "--data", v.data, "--rpc", gossip.chain, "--addr", "127.0.0.1:0", "--log-level", "debug", "--log-format", format)
	v.store(secretFacilitatorToken, "not=for "+rand.Text()+"="+rand.Text())
	v.fails("serve", "--data", v.data, "--rpc", gossip.chain, "--facilitator", gossip.URL+",http://127.0.0.1:1", "--addr", "127.0.0.1:0", "--log-level", "debug", "--log-format", format)
	v.fails("secret", "put", "smtp-password", v.values[secretSMTPPassword], "--data", v.data)
	v.fails("secret", "put", v.values[secretSMTPPassword], "--data", v.data)
}

// signatureIn returns the signature of the payment in a request to a facilitator.
func signatureIn(body []byte) (signature, payer string) {
	var asked struct {
		PaymentPayload struct {
			Payload struct {
				Signature     string
				Authorization struct{ From string }
			}
		}
	}
	_ = json.Unmarshal(body, &asked)
	p := asked.PaymentPayload.Payload
	return p.Signature, p.Authorization.From
}
