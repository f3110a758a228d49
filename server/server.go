package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/server"
	"github.com/rs/cors"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/forwarded"
	"github.com/events-concierge/concierge/server/guest/chat"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/metrics"
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
	linger       time.Duration // for an unused connection to be used, when the server stops
	handover     time.Duration // likewise, when another process goes on
}

// defaultPatience is for clients that mean it. A tool answers within 45 s; what
// is longer is a client that does not read.
func defaultPatience() patience {
	return patience{header: 10 * time.Second, read: 30 * time.Second, write: 75 * time.Second, idle: 2 * time.Minute,
		alive: 25 * time.Second, linger: 500 * time.Millisecond, handover: 10 * time.Second}
}

// Config is what [New] needs.
type Config struct {
	Hosts *host.Hosts
	// Index, if there is one, finds the events of all Hosts for the shared server at
	// /mcp and the first page.
	Index   *host.Index
	Version string
	Log     *slog.Logger
	// NoClients leaves the addresses of clients out of the log.
	NoClients bool
	// PublicURL is where clients reach the server, such as
	// https://events.example.org. Empty: derived from each request.
	PublicURL *url.URL
	// Domains are other names than that of PublicURL by which clients may reach the
	// server.
	Domains []string
	// Proxies are those in front of the server.
	Proxies forwarded.Proxies
	// Origins are the web origins whose pages may call the server (CORS).
	Origins []string
	// Registration says who may register.
	Registration Registration
	// Checks say what the server needs beside its data directory; /readyz tells of them.
	Checks []Check
	// Metrics count what is done; nil: nobody does, and there is no /metrics.
	Metrics *metrics.Metrics
	// Operators may see the operator's page, /admin, wherever they are.
	Operators []Operator
	// Tracer makes the traces of requests; nil: there are none.
	Tracer trace.TracerProvider
	// MetricsToken, if there is one, lets who sends it read /metrics from elsewhere.
	MetricsToken string
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
	patience  patience
	large     chan struct{} // has room for the large bodies that are being read
	mcp       *server.StreamableHTTPServer
	shared    *server.StreamableHTTPServer // of all Hosts; nil: there is no index
	marks     *tools.Marks
	handler   http.Handler
	codes     *rate.Limiter // that are sent to emails
	proxy     sync.Once     // that is not declared has been told of
	seats     seats         // at the agent
	pages     pages
	readiness readiness
	refunds   refundSums
	open      *connections
	begun     time.Time
	balances  balances
	feeds     feeds
	streams   streams // of pages that are told what changes

	reloading    sync.Mutex
	live         atomic.Pointer[live] // see Reload
	leaving      atomic.Bool          // each answer is the last of its connection
	listeners    listeners
	stopping     context.Context // ends those who listen, who would go on for ever
	endListening func()
}

// New returns the server; it listens to nothing yet.
func New(c Config) *Server {
	aMinute := cmp.Or(c.Registration.Minute, 30)
	s := &Server{Config: c, open: newConnections(c.Limits, c.Proxies), patience: defaultPatience(), large: make(chan struct{}, maxLarge), marks: tools.NewMarks(rand.Text()),
		codes: rate.NewLimiter(rate.Every(time.Minute/time.Duration(aMinute)), aMinute)}
	s.Reload(Reloadable{c.Limits, c.Origins, c.Registration, c.Operators, c.MetricsToken})
	s.begun = c.Hosts.Now()
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
	s.watchOver(mux)
	if c.Devnet != nil {
		mux.Handle("/devnet/", http.StripPrefix("/devnet", c.Devnet))
		mux.HandleFunc("/devnet", func(w http.ResponseWriter, r *http.Request) { // without a redirect, which few RPC clients follow
			r.URL.Path = "/"
			c.Devnet.ServeHTTP(w, r)
		})
	}
	s.registerPages(mux)
	mux.HandleFunc("/", s.handle(s.nothing))
	s.handler = s.Proxies.Handler(s.observe(s.secure(s.cors(s.limitClients(s.checkHost(mux))))))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// nothing answers for paths at which there is nothing.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) error {
	if wantsPage(r) {
		return s.showProblem(w, r, &problem{status: http.StatusNotFound, code: "not_found",
			detail: "The address may be mistyped, or what was here is gone."})
	}
	return &problem{status: http.StatusNotFound, code: "not_found", detail: "There is nothing at this path. /mcp/info lists what there is."}
}

func corsOptions(origins []string) cors.Options {
	return cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowedHeaders: []string{"Content-Type", "Authorization", x402.HeaderPaymentV1, x402.HeaderPaymentV2,
			"Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Last-Event-ID"},
		ExposedHeaders: []string{x402.HeaderResponseV1, x402.HeaderRequired, x402.HeaderResponseV2, "Mcp-Session-Id",
			"Retry-After", "RateLimit-Policy", "RateLimit", headerRequestID},
		MaxAge: int(time.Hour.Seconds()),
	}
}

// base returns the URL below which clients reach this server.
func (s *Server) base(r *http.Request) string {
	if s.PublicURL != nil {
		return s.PublicURL.String()
	}
	if s.https(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
