package facilitator

import "net/http"

// SetTransport replaces the way to the facilitator.
func (c *Client) SetTransport(t http.RoundTripper) { c.http.Transport = t }

// Remembered returns how many settlements the Server keeps in memory.
func (s *Server) Remembered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.settlements)
}
