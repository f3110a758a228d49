package server

import (
	"net/http"
	"time"
)

// SetHoldBack says how long refusals are held back.
func (s *Server) SetHoldBack(d time.Duration) { s.limits().holdBack = d }

// SetPatience says how long connections are waited for.
func (s *Server) SetPatience(header, read, write, idle time.Duration) {
	s.patience = patience{header: header, read: read, write: write, idle: idle, alive: s.patience.alive}
}

// SetAlive says how often there is a sign of life on a stream.
func (s *Server) SetAlive(d time.Duration) { s.patience.alive = d }

// Listeners returns how many listen.
func (s *Server) Listeners() int {
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	return s.listeners.all
}

// Large returns how many large bodies are being read.
func (s *Server) Large() int { return len(s.large) }

// MaxStreams is how many pages of one user are told of changes at a time.
const MaxStreams = maxStreams

// LocalPath is where a sign-in may lead.
func LocalPath(next string) string { return localPath(next) }

// Attempt reads what a browser keeps of a sign-in on its way.
func (s *Server) Attempt(r *http.Request) (email, next string, ok bool) {
	try, ok := s.attemptOf(r)
	return try.Email, try.Next, ok
}
