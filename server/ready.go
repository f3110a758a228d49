package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/events-concierge/concierge/tools"
)

// Check is something that the server needs to be in order.
type Check struct {
	Name string // such as "chain"
	// Code and Detail are what a client is told that asks whether the server is ready;
	// Detail says what is missing. Without a Code the server is ready all the same.
	Code, Detail string
	// Look finds out, until its context ends. The error is for the log; a client is
	// told its [Plain] text, or what kind it is of.
	Look func(context.Context) error
}

// Plain is an error whose text may be told to everybody.
type Plain string

func (p Plain) Error() string { return string(p) }

const (
	// checkEvery is the pause between two rounds of checks while nobody asks.
	checkEvery = 10 * time.Second
	// checkFresh is how old an answer may be that is told again, and checkFor how long
	// a check may take.
	checkFresh = 2 * time.Second
	checkFor   = 3 * time.Second
)

// checked is what a check found last.
type checked struct {
	Name   string    `json:"name"`
	OK     bool      `json:"ok"`
	Needed bool      `json:"needed"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"` // that it is as it is
}

// readiness are the checks and what they found. However many ask at a time, a check is
// made once.
type readiness struct {
	server *Server
	checks []Check

	looking chan struct{} // has room for who makes the checks
	mu      sync.Mutex
	found   []checked
	at      time.Time // of found
}

func (s *Server) openReadiness() {
	store := Check{Name: "store", Code: "store_unavailable", Detail: "The data directory can't be read.",
		Look: func(ctx context.Context) error { _, _, err := s.Hosts.Server.Users(ctx, 1, ""); return err }}
	s.readiness = readiness{server: s, checks: append([]Check{store}, s.Checks...), looking: make(chan struct{}, 1)}
}

// last returns what was found last.
func (r *readiness) last() []checked {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.found)
}

// fresh returns what was found just now, by this call or another.
func (r *readiness) fresh(ctx context.Context) []checked {
	r.mu.Lock()
	age := r.server.Hosts.Now().Sub(r.at)
	r.mu.Unlock()
	if age < 0 || age >= checkFresh {
		r.refresh(ctx)
	}
	return r.last()
}

// refresh makes the checks, unless somebody is at it; then it waits for them.
func (r *readiness) refresh(ctx context.Context) {
	asked := r.server.Hosts.Now()
	select {
	case r.looking <- struct{}{}:
		defer func() { <-r.looking }()
	case <-ctx.Done():
		return
	}
	r.mu.Lock()
	done := r.at.After(asked) // by who was waited for
	r.mu.Unlock()
	if done {
		return
	}
	// Not until the client has gone: what it asked for is for others, too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkFor)
	defer cancel()
	errs := make([]error, len(r.checks))
	var wg sync.WaitGroup
	for i, c := range r.checks {
		wg.Go(func() { errs[i] = c.Look(ctx) })
	}
	wg.Wait()
	r.note(errs)
}

// note keeps what was found, and tells the log of what has changed.
func (r *readiness) note(errs []error) {
	now := r.server.Hosts.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.found
	r.found, r.at = make([]checked, len(errs)), now
	for i, err := range errs {
		c := checked{Name: r.checks[i].Name, OK: err == nil, Needed: r.checks[i].Code != "", Reason: reasonOf(err), Since: now.UTC().Truncate(time.Second)}
		if before != nil && before[i].OK == c.OK {
			c.Since = before[i].Since
		} else if err != nil {
			r.server.Log.Warn("not in order", "check", c.Name, "err", err)
		} else if before != nil {
			r.server.Log.Info("in order again", "check", c.Name)
		}
		r.found[i] = c
	}
}

// reasonOf says in plain words what an error is, without its text: an address in that
// may have a key in it.
func reasonOf(err error) string {
	var plain Plain
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &plain):
		return string(plain)
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection is refused"
	case errors.As(err, &name):
		return "its name is not known"
	case errors.As(err, &certificate), errors.As(err, &unknown):
		return "its certificate is not accepted"
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full"
	}
	return "it fails; the server's log says how"
}

// readyz tells whether the server is ready, and if it is not, what is missing since
// when and why.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	found := s.readiness.fresh(r.Context())
	if s.stopping.Err() != nil {
		return notReady(w, r, "stopping", "The server is stopping.", found)
	}
	if found == nil {
		return &problem{status: http.StatusServiceUnavailable, code: string(tools.CodeInternal), detail: "The checks have not come to an end yet."}
	}
	for i, c := range found {
		if !c.OK && c.Needed {
			return notReady(w, r, s.readiness.checks[i].Code, s.readiness.checks[i].Detail, found)
		}
	}
	return reply(w, http.StatusOK, map[string]any{"status": "ready", "checks": found})
}

// notReady is a problem with all checks in it.
func notReady(w http.ResponseWriter, r *http.Request, code, detail string, found []checked) error {
	recordOf(r.Context()).code = code
	if found == nil {
		found = []checked{}
	}
	body, err := json.Marshal(map[string]any{"type": "about:blank", "title": http.StatusText(http.StatusServiceUnavailable),
		"status": http.StatusServiceUnavailable, "code": code, "detail": detail, "checks": found})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write(append(body, '\n')) // a client that has gone is nobody's error
	return nil
}
