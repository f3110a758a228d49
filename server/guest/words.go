package guest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// ToolError is a Host's refusal, in the Host's words.
type ToolError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *ToolError) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// refusal is what a failed answer says. Without the code and message of our own
// Hosts, it is the first text.
func (a Answer) refusal() *ToolError {
	e := &ToolError{}
	if json.Unmarshal(a.Structured, e) == nil && e.Message != "" {
		return &ToolError{words(e.Code), words(e.Message)}
	}
	if len(a.Texts) > 0 {
		return &ToolError{Message: words(a.Texts[0])}
	}
	return &ToolError{Message: "the host refused without a reason"}
}

// strangersError is an error with a Host's words in it.
type strangersError struct {
	doing string
	err   error
}

func (e *strangersError) Error() string { return e.doing + ": " + words(e.err.Error()) }
func (e *strangersError) Unwrap() error { return e.err }

// tooLong matches what no person reads, such as a signature that a Host repeats.
var tooLong = regexp.MustCompile(`[0-9A-Za-z+/=_-]{100,}`)

// words makes a stranger's text fit for a terminal and a log: one line of at
// most 300 characters, without any that steer a terminal.
func words(s string) string {
	line := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s[:min(len(s), 4096)])
	return fmt.Sprintf("%.300s", tooLong.ReplaceAllString(line, "…"))
}

// Refusal is what a Host says of a result that failed without an error of ours.
func (r Result) Refusal() *ToolError {
	return Answer{Structured: r.Structured, Texts: r.Texts}.refusal()
}
