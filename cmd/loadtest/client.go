package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// connection is a keep-alive connection to a server. It reads just as much of
// HTTP as the servers here answer with, so that what is measured is theirs.
type connection struct {
	conn net.Conn
	r    *bufio.Reader
	body []byte // of the last answer
}

func dial(addr string) (*connection, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// patience is how long an answer may take.
const patience = time.Minute

var contentLength = []byte("content-length:")

// maxAnswer bounds what is read of one answer.
const maxAnswer = 16 << 20

// do sends a whole request and reads its answer; body is good until the next.
func (c *connection) do(request []byte) (status int, body []byte, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	line, err := c.line()
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, nil, fmt.Errorf("not an answer: %.60q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, err
	}
	length := -1
	for {
		if line, err = c.line(); err != nil {
			return 0, nil, err
		}
		if len(line) == 0 {
			break
		}
		if len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return 0, nil, err
			}
		}
	}
	switch {
	case length < 0:
		body, err = c.chunks()
		return status, body, err
	case length > maxAnswer:
		return 0, nil, fmt.Errorf("an answer of %d bytes", length)
	}
	if err := c.read(0, length); err != nil {
		return 0, nil, err
	}
	return status, c.body, nil
}

// line reads a line, without its end.
func (c *connection) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// read reads n bytes into the body, behind what is there.
func (c *connection) read(have, n int) error {
	if cap(c.body) < have+n {
		c.body = append(make([]byte, 0, 2*(have+n)), c.body[:have]...)
	}
	c.body = c.body[:have+n]
	_, err := io.ReadFull(c.r, c.body[have:])
	return err
}

// chunks reads a body whose length its server did not say.
func (c *connection) chunks() ([]byte, error) {
	for have := 0; ; {
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(string(line), 16, 32)
		if err != nil || have+int(n) > maxAnswer {
			return nil, fmt.Errorf("not a chunk: %.20q", line)
		}
		if err := c.read(have, int(n)); err != nil {
			return nil, err
		}
		have += int(n)
		if line, err = c.line(); err != nil || len(line) > 0 {
			return nil, errors.Join(err, errors.New("a chunk without its end"))
		}
		if n == 0 {
			return c.body, nil
		}
	}
}

// post makes a request that posts JSON; header lines end in \r\n.
func post(path, header string, body []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"+
		"Accept: application/json, text/event-stream\r\nMcp-Protocol-Version: 2025-06-18\r\n%sContent-Length: %d\r\n\r\n%s",
		path, header, len(body), body)
}
