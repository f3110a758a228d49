package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/events-concierge/concierge/tools"
)

// problem is an answer that says what is wrong (RFC 9457).
type problem struct {
	status int
	code   string
	detail string
	retry  int   // in how many seconds, if that helps
	cause  error // for the log
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.code + ": " + p.cause.Error()
	}
	return p.code
}

func (p *problem) Unwrap() error { return p.cause }

func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	if p.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retry))
	}
	w.WriteHeader(p.status)
	json.NewEncoder(w).Encode(struct { // #nosec G104 -- who has gone away is told nothing
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(p.status), p.status, p.code, p.detail})
}

// problemOf says how an error is told to the client; whatever it does not know
// is a 500 without details.
func problemOf(err error) *problem {
	var p *problem
	var coded *tools.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &coded):
		return &problem{status: statusOf(coded.Code), code: string(coded.Code), detail: coded.Message, retry: coded.RetryAfter, cause: coded.Unwrap()}
	case errors.As(err, &tooLarge):
		return &problem{status: http.StatusRequestEntityTooLarge, code: "too_large", detail: "The body is larger than 256 KiB."}
	}
	if p := accountProblem(err); p != nil {
		return p
	}
	return &problem{status: http.StatusInternalServerError, code: string(tools.CodeInternal),
		detail: "Something went wrong on the server. Repeat the request unchanged.", cause: err}
}

func statusOf(code tools.Code) int {
	switch code {
	case tools.CodeEventNotFound, tools.CodeRSVPNotFound:
		return http.StatusNotFound
	case tools.CodeEventFull, tools.CodeEventPast, tools.CodeEventCancelled, tools.CodeEventChanged, tools.CodeAlreadyBooked, tools.CodePaymentAlreadyUsed:
		return http.StatusConflict
	case tools.CodeNotAllowed:
		return http.StatusForbidden
	case tools.CodeOverLimit:
		return http.StatusTooManyRequests
	case tools.CodePaymentUnavailable:
		return http.StatusServiceUnavailable
	case tools.CodeInternal:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}
