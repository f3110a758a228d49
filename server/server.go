package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/mark3labs/mcp-go/server"
	"github.com/rs/cors"
	"golang.org/x/time/rate"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/guest/chat"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/tools"
)

// maxHeader bounds a request's headers; a payment in one is up to 44 KB.
const maxHeader = 64 << 10

// patience is how long a connection is waited for.
type patience struct {
	header, read time.Duration // from a request's beginning to the end of its headers, and of its body
	write        time.Duration // from the end of the headers to that of the answer
	idle         time.Duration // between two requests
	alive        time.Duration // between two signs of life on a stream
}

// defaultPatience is for clients that mean it. A tool answers within 45 s; what
// is longer is a client that does not read.
func defaultPatience() patience {
	return patience{header: 10 * time.Second, read: 30 * time.Second, write: 75 * time.Second, idle: 2 * time.Minute,
		alive: 25 * time.Second}
}

// Config is what [New] needs.
type Config struct {
	Hosts *host.Hosts
	// Index, if there is one, finds the events of all Hosts for the shared server at
	// /mcp and the first page.
	Index   *host.Index
	Version string
	Log     *slog.Logger
	// PublicURL is where clients reach the server, such as
	// https://events.example.org. Empty: derived from each request.
	PublicURL *url.URL
	// Origins are the web origins whose pages may call the server (CORS).
	Origins []string
	// Registration says who may register.
	Registration Registration
	// Ready says whether payments can be taken; nil means yes.
	Ready func(context.Context) error
	// Network and Asset are told to clients by /mcp/info.
	Network x402.Network
	Asset   x402.Address
	// Balance returns what an address has of the asset, from the chain. Nil: nobody
	// is told.
	Balance func(context.Context, x402.Address) (x402.Amount, error)
	// Limits are none if they are zero; see [DefaultLimits].
	Limits Limits
	// RegistryProof, if there is one, proves to the MCP registry whose domain this is;
	// see [ValidRegistryProof].
	RegistryProof string
	// Devnet, if there is one, is served below /devnet.
	Devnet http.Handler
	// Agent, if there is one, is talked to at /agent; [Server.Serve] closes it.
	Agent *chat.Agent
}

// Server answers HTTP for all Hosts.
type Server struct {
	Config
	limits   *limits
	patience patience
	large    chan struct{} // has room for the large bodies that are being read
	mcp      *server.StreamableHTTPServer
	shared   *server.StreamableHTTPServer // of all Hosts; nil: there is no index
	marks    *tools.Marks
	handler  http.Handler
	codes    *rate.Limiter // that are sent to emails
	seats    seats         // at the agent
	pages    pages
	balances balances
	feeds    feeds
	streams  streams // of pages that are told what changes

	listeners    listeners
	stopping     context.Context // ends those who listen, who would go on for ever
	endListening func()
}

// New returns the server; it listens to nothing yet.
func New(c Config) *Server {
	aMinute := cmp.Or(c.Registration.Minute, 30)
	s := &Server{Config: c, limits: newLimits(c.Limits), patience: defaultPatience(), large: make(chan struct{}, maxLarge), marks: tools.NewMarks(rand.Text()),
		codes: rate.NewLimiter(rate.Every(time.Minute/time.Duration(aMinute)), aMinute)}
	s.stopping, s.endListening = context.WithCancel(context.Background())
	s.mcp = server.NewStreamableHTTPServer(tools.NewServer(c.Version, c.Log),
		server.WithStateLess(true), server.WithDisableStreaming(true), // every answer is one JSON body
		server.WithDisableLocalhostProtection(true), // checkHost does it, and knows the public URL
		server.WithStreamableHTTPLogger(c.Log))
	var err error
	if s.pages, err = s.openPages(); err != nil {
		panic(err) // the templates are part of the program: a test shows that they are right
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/mcp/users/{user}", s.handle(s.serveMCP))
	mux.HandleFunc("GET /mcp/info", s.handle(s.info))
	mux.HandleFunc("POST /api/users", s.handle(s.register))
	mux.HandleFunc("GET /api/users/{user}/events", s.handle(s.listEvents))
	mux.HandleFunc("POST /api/users/{user}/events", s.handle(s.createEvent))
	mux.HandleFunc("GET /api/users/{user}/events/{event}", s.handle(s.getEvent))
	mux.HandleFunc("POST /api/users/{user}/events/{event}/rsvps", s.handle(s.rsvp))
	mux.HandleFunc("GET /api/users/{user}/revenue", s.handle(s.revenue))
	mux.HandleFunc("GET /api/users/{user}/usage", s.handle(s.usage))
	mux.HandleFunc("GET /api/users/{user}/tokens", s.handle(s.listTokens))
	mux.HandleFunc("POST /api/users/{user}/tokens", s.handle(s.addToken))
	mux.HandleFunc("DELETE /api/users/{user}/tokens/{name}", s.handle(s.revokeToken))
	mux.HandleFunc("POST /api/users/{user}/tokens/{name}/rotate", s.handle(s.rotateToken))
	mux.HandleFunc("GET "+agentPath, s.handle(s.agent))
	mux.HandleFunc("GET /healthz", s.handle(s.healthz))
	mux.HandleFunc("GET /readyz", s.handle(s.readyz))
	if c.Devnet != nil {
		mux.Handle("/devnet/", http.StripPrefix("/devnet", c.Devnet))
		mux.HandleFunc("/devnet", func(w http.ResponseWriter, r *http.Request) { // without a redirect, which few RPC clients follow
			r.URL.Path = "/"
			c.Devnet.ServeHTTP(w, r)
		})
	}
	s.registerPages(mux)
	mux.HandleFunc("/", s.handle(s.nothing))
	s.handler = s.observe(secure(s.cors(s.limitClients(s.checkHost(mux)))))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers on l until ctx ends, then lets calls in flight finish, at most
// for grace.
func (s *Server) Serve(ctx context.Context, l net.Listener, grace time.Duration) error {
	web := &http.Server{
		Handler: s, ReadHeaderTimeout: s.patience.header, ReadTimeout: s.patience.read, WriteTimeout: s.patience.write,
		IdleTimeout: s.patience.idle, MaxHeaderBytes: maxHeader, ConnState: newConnections(s.Limits).follow,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(l) }()
	select {
	case err := <-failed:
		s.endListening()
		now, cancel := context.WithCancel(ctx)
		cancel()
		return errors.Join(err, s.closeAgent(now))
	case <-ctx.Done():
	}
	s.endListening()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	s.streams.close()
	parted := make(chan error, 1)
	go func() { parted <- s.closeAgent(stopping) }() // the connections of which web does not know
	err := errors.Join(web.Shutdown(stopping), <-parted)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("calls did not finish within %s", grace), web.Close())
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// nothing answers for paths at which there is nothing.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) error {
	if wantsPage(r) {
		return s.showProblem(w, r, &problem{status: http.StatusNotFound, code: "not_found",
			detail: "The address may be mistyped, or what was here is gone."})
	}
	return &problem{status: http.StatusNotFound, code: "not_found", detail: "There is nothing at this path. /mcp/info lists what there is."}
}

func (s *Server) cors(next http.Handler) http.Handler {
	if len(s.Origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: s.Origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowedHeaders: []string{"Content-Type", "Authorization", x402.HeaderPaymentV1, x402.HeaderPaymentV2,
			"Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Last-Event-ID"},
		ExposedHeaders: []string{x402.HeaderResponseV1, x402.HeaderRequired, x402.HeaderResponseV2, "Mcp-Session-Id",
			"Retry-After", "RateLimit-Policy", "RateLimit"},
		MaxAge: int(time.Hour.Seconds()),
	}).Handler(next)
}

// base returns the URL below which clients reach this server.
func (s *Server) base(r *http.Request) string {
	if s.PublicURL != nil {
		return s.PublicURL.String()
	}
	return "http://" + r.Host
}
