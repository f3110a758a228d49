package evm

import "time"

// SetLogRange lets a test have more blocks than one question for logs covers.
func (c *Client) SetLogRange(blocks uint64) { c.logRange = blocks }

// Age lets the time pass after which the node is asked for the nonce again.
func (s *Sender) Age() { s.asked = time.Time{} }
