package evm

// SetLogRange lets a test have more blocks than one question for logs covers.
func (c *Client) SetLogRange(blocks uint64) { c.logRange = blocks }

// Waiting is how many wait for their turn.
func (s *Sender) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}
