package server

import "time"

// SetHoldBack says how long refusals are held back.
func (s *Server) SetHoldBack(d time.Duration) { s.limits.holdBack = d }

// SetPatience says how long connections are waited for.
func (s *Server) SetPatience(header, read, write, idle time.Duration) {
	s.patience = patience{header: header, read: read, write: write, idle: idle}
}

// Large returns how many large bodies are being read.
func (s *Server) Large() int { return len(s.large) }
