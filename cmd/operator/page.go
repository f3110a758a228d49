//go:build unix

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// step is a block of commands, and what the page shows of their output.
type step struct {
	line    int    // of the page, where the commands begin
	heading string // under which it is
	script  string
	shown   string
	checked bool // whether the page shows anything
}

// steps finds the blocks of a page. A text block belongs to the commands before it.
func steps(page string) ([]step, error) {
	if !utf8.ValidString(page) {
		return nil, errors.New("the page is not UTF-8")
	}
	var found []step
	var heading, kind string
	var block []string
	begin := 0
	for i, line := range strings.Split(page, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case begin == 0 && isFence:
			kind, begin, block = fence, i+1, nil
		case begin == 0:
			if h, ok := strings.CutPrefix(line, "## "); ok {
				heading = h
			}
		case !isFence:
			block = append(block, line)
		default:
			text := strings.Join(block, "\n") + "\n"
			switch last := len(found) - 1; kind {
			case "sh":
				found = append(found, step{line: begin + 1, heading: heading, script: text})
			case "text":
				if last < 0 || found[last].checked {
					return nil, fmt.Errorf("line %d: a text block shows what a sh block before it prints; there is none", begin)
				}
				found[last].shown, found[last].checked = text, true
			}
			begin = 0
		}
	}
	if begin != 0 {
		return nil, fmt.Errorf("line %d: the block has no end", begin)
	}
	if len(found) == 0 {
		return nil, errors.New("there is no sh block")
	}
	return found, nil
}

// matches tells whether what was printed is what is shown, where … stands for
// what differs from one time to the next.
func matches(shown, printed string) bool {
	var pattern strings.Builder
	pattern.WriteString(`(?s)^`)
	for line := range strings.Lines(strings.TrimRight(shown, "\n") + "\n") {
		line = strings.TrimRight(line, " \n")
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		for i, part := range strings.Split(line, "…") {
			if i > 0 {
				pattern.WriteString(`[^\n]*?`)
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		pattern.WriteString(` *\n`)
	}
	pattern.WriteString(`$`)
	return regexp.MustCompile(pattern.String()).MatchString(strings.TrimRight(printed, "\n") + "\n")
}

var address = regexp.MustCompile(`127\.0\.0\.1:(\d{2,5})`)

// elsewhere gives each address of a page a free port.
func elsewhere(page string, free func() (int, error)) (string, error) {
	ports, err := map[string]int{}, error(nil)
	moved := address.ReplaceAllStringFunc(page, func(a string) string {
		port, known := ports[a]
		if !known && err == nil {
			port, err = free()
			ports[a] = port
		}
		return fmt.Sprintf("127.0.0.1:%d", port)
	})
	return moved, err
}
