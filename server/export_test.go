package server

import "time"

// SetPatience says how long connections are waited for.
func (s *Server) SetPatience(header, read, write, idle time.Duration) {
	s.patience = patience{header: header, read: read, write: write, idle: idle}
}
