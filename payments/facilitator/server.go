package facilitator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/limit"
)

// ServerConfig is what a [Server] needs. Fields without a default must be set.
type ServerConfig struct {
	Network     x402.Network
	Assets      []x402.Address // the only tokens that are moved
	Signers     []x402.Address // the accounts that pay for gas, for /supported
	Facilitator payments.Facilitator
	Chain       payments.Chain
	Log         *slog.Logger

	// Rate is how many requests a second one client address may make, with
	// bursts of twice as many. 0 means any number.
	Rate float64
	// Patience is how long /settle waits for the chain before the answer is
	// settlement_pending. Default 30 s: x402's clients give up at 90.
	Patience time.Duration
	Now      func() time.Time // default time.Now
}

// reasonOverLimit is this project's word for "too many requests".
const reasonOverLimit x402.Reason = "over_limit"

// Server is an x402 facilitator for others to use. It answers
//
//	GET  /supported → x402.Supported
//	POST /verify    x402.FacilitatorRequest → x402.VerifyResponse
//	POST /settle    x402.FacilitatorRequest → x402.SettleResponse
//
// A payment that is refused is answered with status 200, as x402's clients
// expect. Where the request itself is at fault (400, 405, 413, 415, 429), or
// this facilitator or its chain (500, 503), the answer has the same form.
//
// No web page can use it: there is no CORS, and a body must be application/json.
type Server struct {
	ServerConfig
	mux    *http.ServeMux
	limits *limit.Buckets[netip.Prefix]

	mu          sync.Mutex
	settlements map[identity]*settlement
	closed      bool
	running     sync.WaitGroup
	awaiting    context.Context // of the waits for the chain; ends with Close
	stop        context.CancelFunc
}

// NewServer returns the Server. Close it.
func NewServer(c ServerConfig) *Server {
	if c.Patience == 0 {
		c.Patience = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Server{ServerConfig: c, mux: http.NewServeMux(), settlements: map[identity]*settlement{},
		limits: limit.New[netip.Prefix](limit.Policy{Rate: c.Rate, Burst: int(2 * c.Rate)})}
	s.awaiting, s.stop = context.WithCancel(context.Background())
	s.mux.HandleFunc("/supported", s.serveSupported)
	s.mux.HandleFunc("/verify", s.post("verify", verifyReply, s.verify))
	s.mux.HandleFunc("/settle", s.post("settle", settleReply, s.settle))
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.mux.ServeHTTP(w, r)
}

// Close ends the waits for the chain and returns when nothing is under way any
// more, at most when ctx ends. What was submitted goes its way without us.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	done := make(chan struct{})
	go func() { // ends with the last settlement, which has a limit
		defer close(done)
		s.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("settlements are still being submitted")
	}
}

// reply is an answer in whichever form.
type reply struct {
	status  int
	success bool
	reason  x402.Reason
	message string // for people
	payer   string
	tx      string
	network string
	amount  string
}

func verifyReply(r reply) any {
	return struct {
		x402.VerifyResponse
		InvalidMessage string `json:"invalidMessage,omitempty"`
	}{x402.VerifyResponse{IsValid: r.success, InvalidReason: r.reason, Payer: r.payer}, r.message}
}

func settleReply(r reply) any {
	return struct {
		x402.SettleResponse
		ErrorMessage string `json:"errorMessage,omitempty"`
	}{x402.SettleResponse{Success: r.success, ErrorReason: r.reason, Payer: r.payer,
		Transaction: r.tx, Network: r.network, Amount: r.amount}, r.message}
}

func refusal(status int, reason x402.Reason, message string) reply {
	return reply{status: status, reason: reason, message: message}
}

func (s *Server) serveSupported(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET")
		s.write(w, http.StatusMethodNotAllowed, struct {
			Error string `json:"error"`
		}{"GET it"})
		return
	}
	if !s.spared(w, r) {
		s.write(w, http.StatusTooManyRequests, struct {
			Error x402.Reason `json:"error"`
		}{reasonOverLimit})
		return
	}
	supported := x402.Supported{Extensions: []string{}, Signers: map[string][]string{}}
	for _, version := range []int{2, 1} {
		supported.Kinds = append(supported.Kinds,
			x402.Kind{X402Version: version, Scheme: x402.SchemeExact, Network: s.Network.Name(version)})
	}
	for _, a := range s.Signers {
		supported.Signers["eip155:*"] = append(supported.Signers["eip155:*"], a.String())
	}
	s.write(w, http.StatusOK, supported)
}

// spared reports whether a client has not asked too often; if it has, the answer
// says when to come again.
func (s *Server) spared(w http.ResponseWriter, r *http.Request) bool {
	v := s.limits.Take(limit.Client(r.RemoteAddr), 1, s.Now())
	if !v.OK {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(v.Wait.Seconds()))))
	}
	return v.OK
}

// post makes a handler of one that judges a request; form is how its answers
// are written.
func (s *Server) post(op string, form func(reply) any, judge func(context.Context, x402.FacilitatorRequest) reply) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := s.Now()
		request, bad := s.read(w, r)
		answer := bad
		if bad.status == 0 {
			if answer = s.allowed(request); answer.status == 0 {
				answer = judge(r.Context(), request)
			}
			answer.payer = request.Payment.Payload.Authorization.From.String()
			answer.network = request.Requirements.Network.Name(request.Payment.Version)
		}
		s.write(w, answer.status, form(answer))
		s.Log.Info("facilitator", "op", op, "status", answer.status, "code", answer.reason, "payer", answer.payer,
			"tx", answer.tx, "dur", s.Now().Sub(start))
	}
}

// read reads a request; with a status, the reply says why it is none.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (x402.FacilitatorRequest, reply) {
	none := x402.FacilitatorRequest{}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		return none, refusal(http.StatusMethodNotAllowed, x402.ReasonPayload, "POST it")
	}
	if !s.spared(w, r) {
		return none, refusal(http.StatusTooManyRequests, reasonOverLimit, "too many requests from this address")
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return none, refusal(http.StatusUnsupportedMediaType, x402.ReasonPayload, "the body must be application/json")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, x402.MaxFacilitatorRequest))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return none, refusal(http.StatusRequestEntityTooLarge, x402.ReasonPayload, "the body is too large")
	}
	if err != nil {
		return none, refusal(http.StatusBadRequest, x402.ReasonPayload, "the body could not be read")
	}
	request, err := x402.DecodeFacilitatorRequest(raw)
	switch {
	case err == nil:
		return request, reply{}
	case errors.Is(err, x402.ErrVersion):
		return none, refusal(http.StatusBadRequest, x402.ReasonVersion, err.Error())
	case errors.Is(err, x402.ErrScheme):
		return none, refusal(http.StatusBadRequest, x402.ReasonScheme, err.Error())
	case errors.Is(err, x402.ErrNetwork):
		return none, refusal(http.StatusBadRequest, x402.ReasonNetwork, err.Error())
	}
	return none, refusal(http.StatusBadRequest, x402.ReasonPayload, err.Error())
}

// allowed refuses what this facilitator has nothing to do with.
func (s *Server) allowed(r x402.FacilitatorRequest) reply {
	switch {
	case r.Requirements.Network != s.Network:
		return refusal(http.StatusOK, x402.ReasonNetwork, "this facilitator settles on "+string(s.Network))
	case !slices.Contains(s.Assets, r.Requirements.Asset):
		return refusal(http.StatusOK, x402.ReasonRequirements, "this facilitator does not move this asset")
	}
	return reply{}
}

func (s *Server) verify(ctx context.Context, r x402.FacilitatorRequest) reply {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	v, err := s.Facilitator.Verify(ctx, r.Payment, r.Requirements)
	switch {
	case err != nil:
		s.Log.Error("a payment could not be verified", "payer", r.Payment.Payload.Authorization.From, "err", err)
		return refusal(http.StatusInternalServerError, x402.ReasonUnexpectedVerify, "the chain could not be asked")
	case !v.IsValid:
		return refusal(http.StatusOK, v.InvalidReason, "")
	}
	return reply{status: http.StatusOK, success: true}
}

func (s *Server) write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.Log.Debug("an answer was not taken", "err", err)
	}
}
