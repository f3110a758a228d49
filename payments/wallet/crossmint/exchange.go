package crossmint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	api       = "/api/2025-06-09/wallets"
	maxAnswer = 128 << 10 // bytes; a signature of 8 KiB comes beside what was signed
	tries     = 4         // of one request
	firstWait = 250 * time.Millisecond
	tryLimit  = 10 * time.Second // of one try
)

// call makes a request of the API and decodes its answer. It is repeated while
// there is none to go by, which is safe: what has an effect carries a key that
// makes it have the effect once. Errors: [ErrUnavailable]; any other is a refusal.
func (c *Client) call(ctx context.Context, method, path, key string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	for try, wait := 1, firstWait; ; try, wait = try+1, 2*wait {
		raw, err := c.try(ctx, method, path, key, body)
		if err == nil {
			return decode(raw, out)
		}
		if !errors.Is(err, ErrUnavailable) || try == tries {
			return err
		}
		if c.Pause(ctx, wait) != nil {
			return err // which says more than that there is no time left
		}
	}
}

// try makes one request. What an answer says is put into an error only if it can't
// be a secret.
func (c *Client) try(ctx context.Context, method, path, key string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, tryLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.URL+api+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-KEY", c.Key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("x-idempotency-key", key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: it can't be reached, or does not answer", ErrUnavailable)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		return nil, fmt.Errorf("%w: it answers %d", ErrUnavailable, resp.StatusCode)
	case err != nil:
		return nil, fmt.Errorf("%w: half an answer", ErrUnavailable)
	case len(raw) > maxAnswer:
		return nil, fmt.Errorf("crossmint: an answer of more than %d bytes", maxAnswer)
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated:
		return nil, fmt.Errorf("crossmint refuses with %d%s", resp.StatusCode, reason(resp.StatusCode, raw))
	}
	return raw, nil
}

// reason is what a refusal says, or what its status means.
func reason(status int, raw []byte) string {
	var refusal struct {
		Message string `json:"message"`
	}
	// Without an @, for it may name an email.
	secret := func(r rune) bool { return r < ' ' || r > '~' || r == '@' }
	const longest = 200
	if json.Unmarshal(raw, &refusal) == nil && refusal.Message != "" && len(refusal.Message) <= longest &&
		!strings.ContainsFunc(refusal.Message, secret) && !strings.Contains(refusal.Message, "sk_") {
		return ": " + refusal.Message
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ": the key is wrong or lacks a scope (wallets.create, wallets:signatures.create)"
	case http.StatusNotFound:
		return ": there is no such wallet or signature"
	}
	return ""
}

// decode reads exactly one JSON value.
func decode(raw []byte, out any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if d.Decode(out) != nil { // whose text may quote a signature
		return errors.New("crossmint: an answer that can't be read")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("crossmint: an answer with something behind it")
	}
	return nil
}
