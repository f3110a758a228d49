package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
)

// Bounds of what is shown of what goes between the agent and Hosts, in bytes but
// for the first.
const (
	maxTraced   = 60        // exchanges that are kept for who begins to look
	maxRing     = 256 << 10 // of these, of one conversation
	maxRings    = 32 << 20  // of all conversations
	maxShown    = 16 << 10  // of one body
	maxLookedAt = 128 << 10 // a longer body is not shown at all
)

// exchange is a request to a Host, and its answer, without what is secret.
type exchange struct {
	N      int64  `json:"n"` // grows; the same again when there is more of it
	At     string `json:"at"`
	Method string `json:"method"`
	URL    string `json:"url"`
	RPC    string `json:"rpc,omitempty"` // JSON-RPC's method
	Tool   string `json:"tool,omitempty"`
	Sent   part   `json:"request"`

	Done   bool   `json:"done,omitempty"`
	Status int    `json:"status,omitempty"`
	Got    *part  `json:"answer,omitempty"`
	Millis int64  `json:"ms"`
	Error  string `json:"error,omitempty"` // why there is no answer
	X402   bool   `json:"x402,omitempty"`  // it is about money
	Failed bool   `json:"failed,omitempty"`
}

// part is one half of an exchange.
type part struct {
	Headers map[string]json.RawMessage `json:"headers,omitempty"`
	// Body is JSON as it was; of a stream of events an array; a text if it had to be
	// shortened.
	Body  json.RawMessage `json:"body,omitempty"`
	Bytes int64           `json:"bytes,omitempty"`
	Note  string          `json:"note,omitempty"` // why less is shown than there was
}

// tracer stands between a conversation and its Hosts, and tells what passes to
// those who asked for it. Nothing of it is stored.
type tracer struct {
	next http.RoundTripper
	held *atomic.Int64 // bytes that the rings of all conversations have
	now  func() time.Time

	mu       sync.Mutex
	n        int64
	scrubber scrubber // for what it has met
	watching map[*socket]struct{}
	ring     [][]byte
	size     int
}

func newTracer(next http.RoundTripper, held *atomic.Int64, now func() time.Time) *tracer {
	if next == nil {
		next = http.DefaultTransport
	}
	return &tracer{next: next, held: held, now: now, watching: map[*socket]struct{}{}}
}

// watch has a client be told of exchanges, the last ones first, or no more.
func (t *tracer) watch(s *socket, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, is := t.watching[s]
	switch {
	case !on:
		delete(t.watching, s)
	case !is:
		t.watching[s] = struct{}{}
		for _, raw := range t.ring {
			s.offer(Message{Type: kindTrace, Data: raw})
		}
	}
}

// close forgets everything.
func (t *tracer) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held.Add(int64(-t.size))
	t.ring, t.size, t.watching = nil, 0, map[*socket]struct{}{}
}

// RoundTrip implements [http.RoundTripper].
func (t *tracer) RoundTrip(r *http.Request) (*http.Response, error) {
	begun := t.now()
	x := t.begin(r, begun)
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		x.Error = "there was no answer"
		t.end(x, begun)
		return nil, err
	}
	x.Status = resp.StatusCode
	resp.Body = &overheard{body: resp.Body, done: func(seen []byte, total int64) { t.answered(x, resp.Header, seen, total, begun) }}
	return resp, nil
}

func (t *tracer) begin(r *http.Request, begun time.Time) *exchange {
	x := &exchange{At: begun.UTC().Format(time.RFC3339Nano), Method: r.Method, URL: shownURL(r.URL)}
	var seen []byte
	var total int64
	if r.Body != nil && r.GetBody != nil {
		if body, err := r.GetBody(); err == nil {
			seen, _ = io.ReadAll(io.LimitReader(body, maxLookedAt+1)) // it is in memory
			_ = body.Close()
			total = max(r.ContentLength, int64(len(seen)))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	x.N = t.n
	s := t.look()
	x.Sent = s.part(r.Header, sentHeaders, seen, total)
	x.RPC, x.Tool, x.X402 = s.method, s.tool, s.paid || s.asks
	t.scrubber.met = s.met
	t.tell(x)
	return x
}

// look returns a scrubber that knows what was met. It is called with mu locked.
func (t *tracer) look() *scrubber { return &scrubber{met: t.scrubber.met} }

func (t *tracer) answered(x *exchange, h http.Header, seen []byte, total int64, begun time.Time) {
	t.mu.Lock()
	s := t.look()
	t.mu.Unlock()
	got := s.part(h, gotHeaders, seen, total)
	x.Got = &got
	paid := x.X402
	x.X402 = paid || s.asks || s.receipt || s.paid
	// To be asked for money is no failure, but after a payment it is a refusal.
	x.Failed = x.Status >= 400 && x.Status != http.StatusPaymentRequired || s.failed && (!s.asks || paid)
	t.end(x, begun)
}

func (t *tracer) end(x *exchange, begun time.Time) {
	x.Done, x.Millis, x.Failed = true, t.now().Sub(begun).Milliseconds(), x.Failed || x.Error != ""
	t.mu.Lock()
	defer t.mu.Unlock()
	raw := t.tell(x)
	if int64(len(raw)) > maxRings-t.held.Load() {
		return // who looks now has seen it
	}
	t.ring = append(t.ring, raw)
	t.size += len(raw)
	t.held.Add(int64(len(raw)))
	for len(t.ring) > maxTraced || t.size > maxRing {
		t.size -= len(t.ring[0])
		t.held.Add(int64(-len(t.ring[0])))
		t.ring = slices.Delete(t.ring, 0, 1)
	}
}

// tell tells of an exchange. It is called with mu locked.
func (t *tracer) tell(x *exchange) []byte {
	raw, err := json.Marshal(x)
	if err != nil {
		return nil
	}
	for s := range t.watching {
		s.offer(Message{Type: kindTrace, Data: raw})
	}
	return raw
}

// shownURL is a URL without what may be a secret in it.
func shownURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	s := clip(shown.String(), maxURL)
	if u.RawQuery != "" {
		s += "?" + cut
	}
	return s
}

// Headers that say something, of requests and of answers. Of the secret ones it is
// shown that they are there.
var (
	sentHeaders = []string{"Accept", "Authorization", "Content-Type", "Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version", "Mcp-Session-Id",
		x402.HeaderPaymentV2, x402.HeaderPaymentV1}
	gotHeaders = []string{"Content-Type", "Location", "Mcp-Session-Id", x402.HeaderRequired, x402.HeaderResponseV2, x402.HeaderResponseV1,
		"RateLimit", "RateLimit-Policy", "Retry-After", "Set-Cookie"}
)

// part is how headers and a body are shown.
func (s *scrubber) part(h http.Header, names []string, seen []byte, total int64) part {
	p := part{Headers: map[string]json.RawMessage{}, Bytes: total}
	for _, name := range names {
		if v := h.Get(name); v != "" {
			p.Headers[name] = s.header(name, v)
		}
	}
	switch kind, _, _ := mime.ParseMediaType(h.Get("Content-Type")); {
	case total == 0:
	case int64(len(seen)) < total || len(seen) > maxLookedAt:
		p.Note = fmt.Sprintf("%d bytes: too long to be shown", total)
	case kind == "text/event-stream":
		p.Body, p.Note = s.short(s.stream(seen))
	default:
		body, err := s.json(seen)
		if err != nil {
			p.Note = fmt.Sprintf("%d bytes that are no JSON: not shown", total)
			break
		}
		p.Body, p.Note = s.short(body)
	}
	return p
}

func (s *scrubber) header(name, v string) json.RawMessage {
	var out bytes.Buffer
	switch name {
	case "Authorization", "Mcp-Session-Id", "Set-Cookie":
		put(&out, cut)
	case x402.HeaderPaymentV1, x402.HeaderPaymentV2, x402.HeaderRequired, x402.HeaderResponseV1, x402.HeaderResponseV2:
		s.paid = s.paid || name == x402.HeaderPaymentV1 || name == x402.HeaderPaymentV2
		s.asks = s.asks || name == x402.HeaderRequired
		s.receipt = s.receipt || name == x402.HeaderResponseV1 || name == x402.HeaderResponseV2
		inside := *s // the version that all of them have asks for nothing
		shown, err := inside.json(decode64(v))
		s.met = inside.met
		if err != nil || len(v) > maxLookedAt || len(shown) > maxShown {
			put(&out, cut)
		} else {
			out.Write(shown)
		}
	case "Location":
		u, err := url.Parse(v)
		if err != nil {
			u = &url.URL{}
		}
		put(&out, s.plain(shownURL(u)))
	default:
		put(&out, s.plain(clip(v, maxTitle)))
	}
	return out.Bytes()
}

// stream is a stream of events (text/event-stream) as an array of their data.
func (s *scrubber) stream(seen []byte) json.RawMessage {
	out := bytes.NewBufferString("[")
	for block := range strings.SplitSeq(strings.ReplaceAll(string(seen), "\r\n", "\n"), "\n\n") {
		var data []string
		for line := range strings.SplitSeq(block, "\n") {
			if v, ok := strings.CutPrefix(line, "data:"); ok {
				data = append(data, strings.TrimPrefix(v, " "))
			}
		}
		if len(data) == 0 || data[0] == "" {
			continue
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		if shown, err := s.json([]byte(strings.Join(data, "\n"))); err == nil {
			out.Write(shown)
		} else {
			put(out, cut)
		}
	}
	out.WriteByte(']')
	return out.Bytes()
}

// short returns a body as it is if it is not too long.
func (s *scrubber) short(body json.RawMessage) (json.RawMessage, string) {
	if len(body) <= maxShown {
		return body, ""
	}
	var out bytes.Buffer
	put(&out, strings.ToValidUTF8(string(body[:maxShown]), ""))
	return out.Bytes(), fmt.Sprintf("only the first %d bytes", maxShown)
}

// overheard is a body of which the beginning is kept, until it has been read.
type overheard struct {
	body  io.ReadCloser
	seen  []byte
	total int64
	once  sync.Once
	done  func(seen []byte, total int64)
}

func (o *overheard) Read(p []byte) (int, error) {
	n, err := o.body.Read(p)
	o.total += int64(n)
	if room := maxLookedAt + 1 - len(o.seen); room > 0 {
		o.seen = append(o.seen, p[:min(n, room)]...)
	}
	if err != nil {
		o.finish()
	}
	return n, err
}

func (o *overheard) Close() error {
	err := o.body.Close()
	o.finish()
	return err
}

func (o *overheard) finish() { o.once.Do(func() { o.done(o.seen, o.total) }) }
