package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// ErrNoServer means that no server answers on a data directory's socket.
var ErrNoServer = errors.New("no server is running on this data directory")

// maxLine is the longest record that is read, in bytes; a request's body is shorter.
const maxLine = 1 << 20

// Client asks the server that runs on a data directory.
type Client struct {
	http http.Client
	path string
}

// NewClient returns a Client; it connects when it is first used.
func NewClient(data string) (*Client, error) {
	path, err := SocketPath(data)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true,
		ResponseHeaderTimeout: 10 * time.Second, DisableKeepAlives: true}}}, nil
}

// Path returns where the socket is.
func (c *Client) Path() string { return c.path }

// Get asks for a path such as /v1/status. Whoever calls closes the answer's body.
// Errors: [ErrNoServer].
func (c *Client) Get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://concierge"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	var op *net.OpError
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, ctx.Err()
	case errors.As(err, &op), errors.Is(err, io.EOF): // it is not there, or ended before it answered
		return nil, fmt.Errorf("%w (%w)", ErrNoServer, err)
	case err != nil:
		return nil, fmt.Errorf("ask the server: %w", err)
	case resp.StatusCode != http.StatusOK:
		defer resp.Body.Close()
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return nil, fmt.Errorf("the server answers %s: %s", resp.Status, strings.TrimSpace(string(said)))
	}
	return resp, nil
}

// Status asks the server what it is. Errors: [ErrNoServer].
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	resp, err := c.Get(ctx, "/v1/status")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxLine)).Decode(&s); err != nil {
		return s, fmt.Errorf("read the server's status: %w", err)
	}
	return s, nil
}

// Logs asks for records. Close what it returns. Errors: [ErrNoServer].
func (c *Client) Logs(ctx context.Context, q Query) (*Stream, error) {
	at, err := os.Lstat(c.path) // before it answers, as another may be there afterwards
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNoServer, err)
	}
	resp, err := c.Get(ctx, "/v1/logs?"+q.Encode())
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	return &Stream{Run: resp.Header.Get(headerRun), body: resp.Body, lines: lines, after: q.After, path: c.path, at: at}, nil
}

// Stream is records as they come.
type Stream struct {
	Run   string // of the server
	body  io.Closer
	lines *bufio.Scanner
	after uint64
	path  string
	at    fs.FileInfo // the socket
}

// Next returns the next record as a line of JSON, which holds until the next call. It
// returns io.EOF when the server has ended it, and io.ErrUnexpectedEOF when it broke
// off.
func (s *Stream) Next() ([]byte, error) {
	if !s.lines.Scan() {
		if err := s.lines.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	line := bytes.TrimSpace(s.lines.Bytes())
	var r struct {
		Seq uint64 `json:"seq"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, fmt.Errorf("read a record: %w", err)
	}
	s.after = max(s.after, r.Seq)
	return line, nil
}

// Replaced reports whether another server is found at the socket by now, as when this
// one has handed over. What this one still does goes on coming.
func (s *Stream) Replaced() bool {
	now, err := os.Lstat(s.path)
	return err == nil && !os.SameFile(now, s.at)
}

// Place returns where the stream is, to go on from there.
func (s *Stream) Place() Place { return Place{Run: s.Run, After: s.after} }

// Close ends it.
func (s *Stream) Close() error { return s.body.Close() }
