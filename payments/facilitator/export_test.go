package facilitator

import "net/http"

// SetTransport replaces the way to the facilitator.
func (c *Client) SetTransport(t http.RoundTripper) { c.http.Transport = t }
