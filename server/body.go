package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/events-concierge/concierge/tools"
)

// What a body may be. Its JSON is read some ten times on its way through MCP, so
// a long one costs more than a short one, and one of many values much more.
const (
	maxBody   = 256 << 10 // the longest description, all of it escaped, is 120 KB
	smallBody = 64 << 10  // the largest payment, and a booking, is 45 KB
	maxLarge  = 64        // larger ones that are read at a time
	perToken  = 16 << 10  // bytes for which no second token is taken
	maxValues = 4096      // in a JSON-RPC message
	maxDepth  = 64
)

// readBody reads a request's body, and takes from the limits what a long one
// costs more than others.
func (s *Server) readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, smallBody))
	if err == nil && len(body) == smallBody {
		select {
		case s.large <- struct{}{}:
			var rest []byte
			rest, err = io.ReadAll(r.Body)
			body = append(body, rest...)
			<-s.large
		default:
			s.limits().refusals.note(r.Context(), s.Log, "large", s.Hosts.Now())
			err = tools.OverLimit("Too many large bodies are on their way in.", time.Second)
		}
	}
	if err != nil {
		return nil, unread(err)
	}
	if charge := recordOf(r.Context()).charge; charge != nil && len(body) > perToken {
		err = charge(len(body) / perToken)
	}
	return body, err
}

// unread says why a body could not be read: it is the client's doing.
func unread(err error) error {
	var over *tools.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &over), errors.As(err, &tooLarge):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &problem{status: http.StatusRequestTimeout, code: "too_slow", detail: "The body did not come in time. Nothing was changed or charged.", cause: err}
	}
	return &problem{status: http.StatusBadRequest, code: string(tools.CodeInvalidArgument), detail: "The body did not come whole.", cause: err}
}

// simple refuses a JSON-RPC message that is made of more values than any of ours.
func simple(message []byte) error {
	values, depth := 0, 0
	for i := 0; i < len(message); i++ {
		switch message[i] {
		case '"':
			for i++; i < len(message) && message[i] != '"'; i++ {
				if message[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
			values++
		case ']', '}':
			depth--
		case ',':
			values++
		}
		if values > maxValues || depth > maxDepth {
			return errTooComplex
		}
	}
	return nil
}

var errTooComplex = &problem{status: http.StatusBadRequest, code: string(tools.CodeInvalidArgument),
	detail: "The message has more than 4096 values, or is nested deeper than 64."}
