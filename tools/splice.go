package tools

import (
	"bytes"
	"encoding/json"
)

// Marks stand for the JSON of an answer until it is written. mcp-go has a result
// checked and copied by encoding/json once for each level that it is nested in, and
// the JSON is in it two or three times; with marks in its place that costs nothing,
// and a list of events is answered three times as fast. See [Call.Splice].
type Marks struct {
	text       string          // of the JSON as a text
	structured json.RawMessage // of the JSON as such
}

// NewMarks returns marks for all answers of a transport. mark is a word that nobody
// can guess, so that nothing else in an answer has it in it.
func NewMarks(mark string) *Marks {
	return &Marks{text: mark + "t", structured: json.RawMessage(`"` + mark + `s"`)}
}

// Splice returns what mcp-go has written of an answer with the JSON in place of the
// marks. A transport that sets Marks must have it done.
func (c *Call) Splice(written []byte) []byte {
	if c.marked == nil {
		return written
	}
	all := make([]byte, 0, len(written)+4*len(c.marked))
	prefix := []byte(c.Marks.text[:len(c.Marks.text)-1])
	for {
		at := bytes.Index(written, prefix)
		if at < 0 {
			return append(all, written...)
		}
		end := at + len(prefix)
		switch rest := written[end:]; {
		case bytes.HasPrefix(rest, []byte("t")):
			all = appendQuoted(append(all, written[:at]...), c.marked)
			end++
		default: // in quotes
			all = append(append(all, written[:at-1]...), c.marked...)
			end += 2
		}
		written = written[end:]
	}
}

// appendQuoted appends JSON as encoding/json writes a string that has it: of JSON
// that encoding/json has made, no more than this must be escaped.
func appendQuoted(all, raw []byte) []byte {
	from := 0
	for i, c := range raw {
		if c == '"' || c == '\\' {
			all = append(append(all, raw[from:i]...), '\\')
			from = i
		}
	}
	return append(all, raw[from:]...)
}
