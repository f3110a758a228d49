package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/events-concierge/concierge/server/guest/chat"
)

// screen shows what the agent says: answers on out, and how far it has come in
// notes.
type screen struct {
	out, notes io.Writer
	asJSON     bool

	written bool // of the next text pieces are there already
}

func (s *screen) show(m chat.Message) {
	if s.asJSON {
		_ = json.NewEncoder(s.out).Encode(m) // who does not read it any more does not want it
		return
	}
	if m.Type == "delta" {
		fmt.Fprint(s.out, paragraphs(m.Text))
		s.written = true
		return
	}
	whole := s.written && m.Type == "text"
	if s.written {
		fmt.Fprintln(s.out)
		s.written = false
	}
	if !whole {
		s.print(m)
	}
}

func (s *screen) print(m chat.Message) {
	switch m.Type {
	case "said", "done":
	case "history":
		if n := len(m.Messages); n > 0 {
			fmt.Fprintf(s.notes, "We go on where you left off, after %d messages.\n", n)
		} else {
			fmt.Fprintln(s.notes, `Say "help" for what I understand, and "quit" to leave.`)
		}
	case "progress":
		fmt.Fprintln(s.notes, paragraphs(m.Text))
	case "answered":
		if m.State == "denied" {
			fmt.Fprintln(s.out, "You said no: nothing was paid.")
		}
	case "approval":
		fmt.Fprintf(s.out, "%s\nAnswer with \"approve %d\" or \"deny %d\".\n", paragraphs(m.Text), m.Approval, m.Approval)
	case "receipt":
		fmt.Fprintln(s.out, paragraphs(m.Text))
		var r struct{ Transaction string }
		if json.Unmarshal(m.Data, &r) == nil && r.Transaction != "" {
			fmt.Fprintf(s.out, "transaction %s\n", cell(r.Transaction))
		}
	default:
		fmt.Fprintln(s.out, paragraphs(m.Text))
	}
}

// paragraphs is plain for a text of several lines.
func paragraphs(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\t", " "), "\n")
	for i, line := range lines {
		lines[i] = plain(line)
	}
	return strings.Join(lines, "\n")
}
