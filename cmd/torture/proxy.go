package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 8 << 20

// fault is what a proxy does to a request.
type fault string

const (
	none        fault = ""
	dropped     fault = "dropped before"        // it does not arrive
	lost        fault = "dropped after"         // it arrives, the answer does not
	slow        fault = "slow"                  // up to 2 s
	stalled     fault = "stalled"               // the answer comes after the authorization has expired
	truncated   fault = "truncated"             // half of the answer
	doubled     fault = "duplicated"            // it arrives twice at once
	refused     fault = "500 before"            // it does not arrive
	failed      fault = "500 after"             // it arrives
	denied      fault = "failure after"         // it arrives, and is said to have failed
	deferred    fault = "failure, settled late" // it is said to have failed, and arrives later
	unsure      fault = "pending after"         // it arrives, and is said to be on its way
	claimed     fault = "success, not settled"  // it does not arrive, and is said to have succeeded
	blessed     fault = "valid, not verified"   // as claimed, for a verification
	overtaken   fault = "a stranger was faster" // somebody else submits the authorization first
	deferredFor       = 8 * time.Second
)

// chance is how many requests of a thousand a fault befalls.
type chance struct {
	fault fault
	of    int
}

// What befalls a question to the node, a transaction on its way there, and the
// calls of a facilitator.
var (
	onQuestion    = []chance{{dropped, 5}, {lost, 5}, {slow, 6}, {truncated, 4}, {refused, 4}, {failed, 2}, {doubled, 4}}
	onTransaction = []chance{{dropped, 15}, {lost, 30}, {slow, 20}, {truncated, 20}, {refused, 15}, {failed, 30}, {doubled, 40}, {overtaken, 50}}
	onVerify      = []chance{{dropped, 15}, {lost, 15}, {slow, 20}, {truncated, 15}, {refused, 15}, {failed, 10}, {doubled, 20}, {blessed, 40}}
	onSettle      = []chance{{dropped, 25}, {lost, 40}, {slow, 30}, {stalled, 6}, {truncated, 40}, {refused, 20}, {failed, 50}, {doubled, 40},
		{denied, 60}, {deferred, 25}, {unsure, 40}, {claimed, 4}, {overtaken, 50}}
)

// proxy stands between a server and what it asks, and breaks the talk.
type proxy struct {
	name     string
	target   string // URL below which requests go
	chain    *chain
	patient  bool          // faults of which the end takes long are made, too
	stall    time.Duration // of [stalled]
	excuses  *excuses
	tally    *tally
	peaceful atomic.Bool // from now on nothing is broken

	mu     sync.Mutex
	random *rand.Rand

	client http.Client
	server http.Server
	life   context.Context // of what is on its way, and outlives its request
	end    context.CancelFunc
	work   sync.WaitGroup // the server, and what arrives late
}

// excuses are the authorizations that were used after the server could be told
// with good reason that they had not been.
type excuses struct {
	mu  sync.Mutex
	all map[authorization]bool
}

func (e *excuses) add(p x402.Payment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all[authorization{p.Payload.Authorization.From, p.Payload.Authorization.Nonce}] = true
}

// listen serves the proxy on a port of its own until close.
func (p *proxy) listen() (url string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.client.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	p.life, p.end = context.WithCancel(context.Background())
	p.server.Handler = p
	p.work.Go(func() { _ = p.server.Serve(listener) })
	return "http://" + listener.Addr().String(), nil
}

// close ends all talk and waits for that.
func (p *proxy) close() {
	p.end()
	_ = p.server.Shutdown(context.Background()) // waits for requests, which have ended with life
	p.work.Wait()
	p.client.CloseIdleConnections()
}

// pick chooses what befalls the next request.
func (p *proxy) pick(chances []chance) fault {
	p.mu.Lock()
	n := p.random.IntN(1000)
	p.mu.Unlock()
	for _, c := range chances {
		if n -= c.of; n < 0 {
			if p.peaceful.Load() || !p.patient && c.fault == claimed {
				return none
			}
			p.tally.add("faults of "+p.name, string(c.fault), 1)
			return c.fault
		}
	}
	return none
}

// up is a number below n.
func (p *proxy) up(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.IntN(n)
}

// message is one request on its way, and what else is known of it.
type message struct {
	method, path string
	header       http.Header
	body         []byte
	payment      *x402.Payment      // that a facilitator is to settle
	tx           *types.Transaction // that the node is to take
}

// reply is what came back.
type reply struct {
	status int
	body   []byte
}

// says tells whether a facilitator reports that a payment is settled, or that
// it is not and won't be.
func (r reply) says(settled bool) bool {
	var s x402.SettleResponse
	return json.Unmarshal(r.body, &s) == nil && s.Success == settled && s.ErrorReason != x402.ReasonSettlementPending
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	m := message{method: r.Method, path: r.URL.Path, header: r.Header, body: body}
	chances := p.read(&m)
	p.serve(w, m, p.pick(chances))
}

// serve has f befall a request.
func (p *proxy) serve(w http.ResponseWriter, m message, f fault) {
	// What has been sent arrives, whatever becomes of the sender.
	ctx, cancel := context.WithTimeout(p.life, 2*time.Minute)
	defer cancel()
	answer, err := p.carry(ctx, m, f)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	told := p.tell(m, answer, f)
	if m.payment != nil && told.says(false) && !answer.says(true) {
		p.excuses.add(*m.payment) // it may be on its way all the same
	}
	write(w, told, f)
}

// read finds out what a message is.
func (p *proxy) read(m *message) []chance {
	switch {
	case strings.HasSuffix(m.path, "/verify"):
		return onVerify
	case strings.HasSuffix(m.path, "/settle"):
		var settle struct {
			Payment json.RawMessage `json:"paymentPayload"`
		}
		if json.Unmarshal(m.body, &settle) == nil {
			if payment, err := x402.DecodePayment(settle.Payment); err == nil {
				m.payment = &payment
			}
		}
		return onSettle
	}
	var call struct {
		Method string   `json:"method"`
		Params []string `json:"params"`
	}
	if json.Unmarshal(m.body, &call) != nil || call.Method != "eth_sendRawTransaction" || len(call.Params) != 1 {
		return onQuestion
	}
	if raw, err := hexutil.Decode(call.Params[0]); err == nil {
		var tx types.Transaction
		if tx.UnmarshalBinary(raw) == nil {
			m.tx = &tx
		}
	}
	return onTransaction
}

// carry takes a message to its target as f wants it, and returns the true
// answer. With an error there is none.
func (p *proxy) carry(ctx context.Context, m message, f fault) (reply, error) {
	switch f {
	case dropped:
		return reply{}, io.ErrUnexpectedEOF
	case refused:
		return reply{status: http.StatusInternalServerError}, nil
	case claimed:
		return p.say(m, true, ""), nil
	case blessed:
		return reply{status: http.StatusOK, body: []byte(`{"isValid": true}`)}, nil
	case deferred:
		p.work.Go(func() {
			if sleep(p.life, time.Duration(p.up(int(deferredFor)))) == nil {
				_, _ = p.forward(p.life, m)
			}
		})
		return p.say(m, false, x402.ReasonTransactionState), nil
	case slow:
		if err := sleep(ctx, time.Duration(p.up(int(2*time.Second)))); err != nil {
			return reply{}, err
		}
	case overtaken:
		var err error
		switch {
		case m.payment != nil:
			err = p.chain.broadcast(ctx, *m.payment)
		case m.tx != nil && m.tx.To() != nil:
			_, err = p.chain.stranger.Send(ctx, evm.Call{To: x402.Address(*m.tx.To()), Data: m.tx.Data(), Gas: m.tx.Gas()})
		}
		if err != nil {
			p.tally.add("faults of "+p.name, "a stranger was not faster", 1)
		}
	case doubled:
		first := make(chan reply, 1)
		go func() { // the other one is waited for
			answer, _ := p.forward(ctx, m)
			first <- answer
		}()
		second, err := p.forward(ctx, m)
		if one := <-first; one.says(true) && !second.says(true) {
			second = one
		}
		return second, err
	}
	answer, err := p.forward(ctx, m)
	if f == stalled && err == nil {
		err = sleep(ctx, p.stall)
	}
	return answer, err
}

// tell returns what f makes of the true answer.
func (p *proxy) tell(m message, a reply, f fault) reply {
	switch f {
	case failed:
		return reply{status: http.StatusInternalServerError, body: []byte("internal error")}
	case denied:
		return p.say(m, false, x402.ReasonTransactionState)
	case unsure:
		var s x402.SettleResponse
		if json.Unmarshal(a.body, &s) == nil && s.Success {
			s.Success, s.ErrorReason = false, x402.ReasonSettlementPending
			a.body, _ = json.Marshal(s)
		}
	}
	return a
}

// write answers the server, unless f loses the answer or half of it.
func write(w http.ResponseWriter, a reply, f fault) {
	if f == lost {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	if f != truncated {
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body[:len(a.body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// say is a facilitator's answer to a settlement that is made up.
func (p *proxy) say(m message, success bool, reason x402.Reason) reply {
	s := x402.SettleResponse{Success: success, ErrorReason: reason, Network: string(x402.BaseSepolia)}
	if m.payment != nil {
		s.Payer, s.Network = m.payment.Payload.Authorization.From.String(), m.payment.Network.Name(m.payment.Version)
		if success {
			s.Transaction = m.payment.Payload.Authorization.Nonce.String() // as good as any
		}
	}
	body, _ := json.Marshal(s)
	return reply{status: http.StatusOK, body: body}
}

// forward asks the target.
func (p *proxy) forward(ctx context.Context, m message) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, m.method, p.target+m.path, bytes.NewReader(m.body))
	if err != nil {
		return reply{}, err
	}
	for _, name := range []string{"Content-Type", "Accept", "Authorization"} {
		if v := m.header.Get(name); v != "" {
			req.Header.Set(name, v)
		}
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return reply{resp.StatusCode, body}, err
}

// sleep waits, unless ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
