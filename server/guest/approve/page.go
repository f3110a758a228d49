// Package approve is the page on which a person approves payments: served on
// loopback, to whoever knows an address that is told to nobody but the person.
// It is not for models, and asks nobody by itself.
//
// Start with [Page.URL].
package approve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/events-concierge/concierge/store"
)

// Page serves questions. It listens when the first one is to be shown. The zero
// value is ready to use, and Close ends it.
type Page struct {
	mu      sync.Mutex
	server  *http.Server // nil: it does not listen yet
	host    string       // its address, and the only one to call it by
	served  sync.WaitGroup
	closed  bool
	tickets map[string]ticket // by the secret in the address
}

// ticket lets its holder answer one question.
type ticket struct {
	purse  *store.Purse
	id     int64
	expiry time.Time
	token  string // comes back with the answer from our own form only
}

const (
	maxTickets = 256
	maxForm    = 4 << 10 // bytes
	patience   = 10 * time.Second
)

var errClosed = errors.New("the approval page is closed")

// URL returns the address of the page with a question of a purse. Who has it may
// answer: it must be shown to the person, and to nobody and nothing else.
func (p *Page) URL(purse *store.Purse, a store.Approval) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", errClosed
	}
	if p.server == nil {
		if err := p.listen(); err != nil {
			return "", err
		}
	}
	for secret, t := range p.tickets {
		switch {
		case t.purse == purse && t.id == a.ID:
			return p.address(secret), nil
		case t.expiry.Before(a.CreatedAt): // it has expired, also if it was answered since
			delete(p.tickets, secret)
		}
	}
	if len(p.tickets) >= maxTickets {
		return "", fmt.Errorf("there are %d questions already", maxTickets)
	}
	secret := rand.Text()
	p.tickets[secret] = ticket{purse: purse, id: a.ID, expiry: a.ExpiresAt.Add(store.ApprovalLife), token: rand.Text()}
	return p.address(secret), nil
}

func (p *Page) address(secret string) string { return "http://" + p.host + "/approve/" + secret }

func (p *Page) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("approval page: %w", err)
	}
	p.host, p.tickets = l.Addr().String(), map[string]ticket{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /approve/{secret}", p.show)
	mux.HandleFunc("POST /approve/{secret}", p.answer)
	p.server = &http.Server{Handler: p.guarded(mux), ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: patience, MaxHeaderBytes: 16 << 10}
	p.served.Go(func() { _ = p.server.Serve(l) }) // it ends with Close
	return nil
}

// Close stops listening, after the answers that are under way.
func (p *Page) Close() error {
	p.mu.Lock()
	p.closed = true
	server := p.server
	p.mu.Unlock()
	if server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := server.Shutdown(ctx)
	p.served.Wait()
	return err
}

// guarded lets through what comes from our own page only: under another name it
// would be a page of somebody who made their name point here, and from another
// origin a form that somebody else wrote.
func (p *Page) guarded(next http.Handler) http.Handler {
	ours := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src '"+styleHash+"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if r.Host != p.host {
			http.Error(w, "This page is not known by that name.", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		ours.ServeHTTP(w, r)
	})
}
