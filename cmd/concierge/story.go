package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// story prints what a demo does: in colour for a person at a terminal, plain in
// a pipe, or as one JSON document.
type story struct {
	out    io.Writer
	colour bool
	asJSON bool
	steps  []storyStep
}

type storyStep struct {
	Step string `json:"step"`
	Text string `json:"text"`
	Data any    `json:"data,omitempty"`
}

func newStory(out io.Writer, asJSON bool) *story {
	s := &story{out: out, asJSON: asJSON, steps: []storyStep{}}
	if f, ok := out.(*os.File); ok && os.Getenv("NO_COLOR") == "" {
		s.colour = term.IsTerminal(int(f.Fd()))
	}
	return s
}

func (s *story) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// part begins a chapter.
func (s *story) part(title string) {
	if !s.asJSON {
		fmt.Fprintf(s.out, "\n%s\n", s.paint("1", title))
	}
}

// tell adds a step; data is for machines.
func (s *story) tell(step, text string, data any) {
	s.steps = append(s.steps, storyStep{step, text, data})
	if s.asJSON {
		return
	}
	code := map[string]string{"booked": "32", "paid": "32", "back": "32", "books": "32", "refused": "33", "asked": "36"}[step]
	if code == "" {
		code = "2"
	}
	fmt.Fprintf(s.out, "  %s  %s\n", s.paint(code, fmt.Sprintf("%-7s", step)), text)
}

// end prints how it came out.
func (s *story) end(err error) error {
	if s.asJSON {
		answer := map[string]any{"ok": err == nil, "steps": s.steps}
		if err != nil {
			answer["error"] = err.Error()
		}
		return printJSON(s.out, answer)
	}
	if err == nil {
		fmt.Fprintf(s.out, "\n%s\n", s.paint("1;32", "Every seat that was sold is paid for, and every payment has its seat."))
	}
	return nil
}
